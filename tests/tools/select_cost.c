/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What it costs to find processes among many: select_cost [COUNT]. Each selector is resolved
 * several times, beside `pgrep`, and the best time counts.
 */
#include "faults/target.h"
#include "injector/base/clock.h"
#include "tests/support/children.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 7

extern char **environ;

static void measure(const char *title, const struct param_value *values, const int *keys,
		    unsigned count)
{
	int64_t best_ns = INT64_MAX, took_ns;
	unsigned found = 0;

	for (unsigned round = 0; round < ROUNDS; round++) {
		const struct target_guard guard = {0};
		struct target target = {.kind = TARGET_PROCESS, .seed = round};
		struct error err = ERROR_INIT;

		if (params_init(&target.params, process_params, &err) < 0)
			abort();
		for (unsigned i = 0; i < count; i++)
			params_add(&target.params, (unsigned)keys[i], values[i].text, 0, 0, NULL);
		took_ns = clock_now_ns();
		/* to find nobody is an error, and costs as well */
		if (target_process_resolve(&target, &guard, &err) < 0)
			target.process_count = 0;
		took_ns = clock_now_ns() - took_ns;
		best_ns = took_ns < best_ns ? took_ns : best_ns;
		found = target.process_count;
		for (unsigned i = 0; i < found; i++)
			close(target.processes[i].pidfd);
		free(target.processes);
		params_free(&target.params);
	}
	printf("%-44s %8.2f ms  %u pinned\n", title, (double)best_ns / 1e6, found);
}

static void measure_command(const char *title, char *const *arguments)
{
	int64_t best_ns = INT64_MAX, took_ns;
	posix_spawn_file_actions_t actions;
	pid_t child;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	for (unsigned round = 0; round < ROUNDS; round++) {
		took_ns = clock_now_ns();
		if (posix_spawnp(&child, arguments[0], &actions, NULL, arguments, environ) != 0) {
			fprintf(stderr, "no %s\n", arguments[0]);
			break;
		}
		waitpid(child, NULL, 0);
		took_ns = clock_now_ns() - took_ns;
		best_ns = took_ns < best_ns ? took_ns : best_ns;
	}
	posix_spawn_file_actions_destroy(&actions);
	printf("%-44s %8.2f ms\n", title, (double)best_ns / 1e6);
}

#define SELECT(title, ...)                                                                         \
	measure(title, (struct param_value[]){__VA_ARGS__}, keys,                                  \
		sizeof((struct param_value[]){__VA_ARGS__}) / sizeof(struct param_value))

static char *text(const char *constant)
{
	return strdup(constant); /* freed with the process */
}

int main(int argc, char **argv)
{
	unsigned count = argc > 1 ? (unsigned)atoi(argv[1]) : 2000;
	pid_t *children = calloc(count ? count : 1, sizeof(*children));
	char *by_pattern[] = {text("pgrep"), text("-f"), text("select_cost"), NULL};
	char *by_name[] = {text("pgrep"), text("-x"), text("select_cost"), NULL};
	int keys[2];

	if (!children)
		return 1;
	children_init();
	for (unsigned i = 0; i < count; i++)
		children[i] = child_start(CHILD_SLEEPS, NULL);
	printf("%u processes more than usual\n", count);
	keys[0] = PROCESS_COMMAND;
	SELECT("command, all pinned", {.text = text("select_cost")});
	keys[1] = PROCESS_COUNT;
	SELECT("command, count 1", {.text = text("select_cost")}, {.text = text("1")});
	keys[0] = PROCESS_NAME;
	SELECT("name, all pinned", {.text = text("select_cost")});
	SELECT("name, count 1", {.text = text("select_cost")}, {.text = text("1")});
	SELECT("name of nobody else", {.text = text("none-such")}, {.text = text("1")});
	keys[1] = PROCESS_COMMAND;
	keys[0] = PROCESS_USER;
	SELECT("user nobody and command", {.text = text("65534")}, {.text = text("select_cost")});
	measure_command("pgrep -f", by_pattern);
	measure_command("pgrep -x", by_name);
	for (unsigned i = 0; i < count; i++)
		child_stop(children[i]);
	free(children);
	return 0;
}
