/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The lists of allowed system calls hold what is needed: experiments of every kind of fault with
 * filters that forbid nothing and tell of every call, undisturbed and with the worker killed half
 * way, so that the guardian undoes. No call is made that a list does not hold: it would be refused,
 * at a moment that no other test may come to. `make check-filters` replays whole test programs so.
 *
 *   test_filter_lists [full] [NAME...]   full: tells as well what the lists hold and nobody called
 */
#include "tests/support/filter_watch.h"
#include "tests/support/squall_runner.h"
#include "tests/sweep/scene.h"
#include "tests/sweep/sweep_options.h"
#include "tests/sweep/world.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct command {
	const struct scene *scene;
	const char *experiment;
};

static struct filter_watch watch;
static unsigned failed_runs;

static void begin(void *context)
{
	const struct command *command = context;
	char binary[512], experiment[128], path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
					   sanitizer[] = "ASAN_OPTIONS=detect_leaks=0";
	char *words[] = {binary, (char[]){"run"}, experiment, NULL};
	char *environment[] = {path, sanitizer, NULL};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	snprintf(binary, sizeof(binary), "%s", world_built("tests/filters/squall"));
	snprintf(experiment, sizeof(experiment), "%s", command->experiment);
	setsid();
	if (setns(command->scene->lab->near_fd, CLONE_NEWNET) < 0 || dup2(null, 0) < 0 ||
	    dup2(null, 1) < 0 || dup2(null, 2) < 0)
		return;
	execve(binary, words, environment);
}

static void run(struct scene *scene, const char *path)
{
	struct command command = {.scene = scene,
				  .experiment = scene_write_experiment(scene, path)};
	unsigned long before = watch.calls[SANDBOX_WORKER];
	int status = filter_watch_run(&watch, begin, &command);

	if (status < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		printf("# %s: status 0x%x\n", path, (unsigned)status);
		/* under a tracer there a worker may be silent for longer than is let pass */
		failed_runs += !is_emulated();
	}
	/* everything is in force at about the half */
	watch.kill_worker_at = 1 + (watch.calls[SANDBOX_WORKER] - before) / 2;
	filter_watch_run(&watch, begin, &command);
	if (watch.kill_worker_at) {
		printf("# %s: the worker was not killed\n", path);
		failed_runs += !is_emulated();
	}
	watch.kill_worker_at = 0;
	kill(scene->children[0], SIGCONT);
}

static void put(const char *path, const char *how, const char *text, mode_t mode)
{
	FILE *file = fopen(path, how);

	if (!file || fputs(text, file) < 0 || fclose(file) != 0 || chmod(path, mode) < 0)
		abort();
}

/* What root includes is opened by a process that has a list as well. */
static void run_one_that_includes(struct scene *scene, const char *path)
{
	struct command command = {.scene = scene};
	int status;

	command.experiment = scene_write_experiment(scene, path);
	put(command.experiment, "ae", "include: [one.yaml, two.yaml]\n", 0644);
	put("/run/one.yaml", "we", "variables: {one: 1}\n", 0644);
	put("/run/two.yaml", "we", "variables: {two: 2}\n", 0400);
	status = filter_watch_run(&watch, begin, &command);
	if (status < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		printf("# %s with an include: status 0x%x\n", path, (unsigned)status);
		failed_runs += !is_emulated();
	}
}

static bool is_wanted(const struct sweep_options *options, const char *path)
{
	if (*options->names)
		return sweep_options_name(options, path);
	return !is_emulated() || strstr(path, "/every-kind") || strstr(path, "/network-delay");
}

static int look(void *context)
{
	const struct sweep_options *options = context;
	struct scene scene = {0};
	unsigned foreign = 0;
	glob_t found;

	sweep_options_find(options, is_wanted, &found);
	scene_make(&scene);
	printf("1..5\n");
	for (size_t i = 0; i < found.gl_pathc; i++)
		run(&scene, found.gl_pathv[i]);
	if (found.gl_pathc)
		run_one_that_includes(&scene, found.gl_pathv[0]);
	for (enum sandbox_teller teller = SANDBOX_CONDUCTOR; teller < FILTER_WATCH_TELLERS;
	     teller++) {
		unsigned count = filter_watch_count_foreign(&watch, teller);

		filter_watch_tell_foreign(&watch, teller, stdout);
		if (options->is_full)
			filter_watch_tell_idle(&watch, teller, stdout);
		printf("# %lu calls\n", watch.calls[teller]);
		count += !watch.calls[teller];
		printf("%sok %u - the_list_of_the_%s_holds_what_it_calls\n", count ? "not " : "",
		       (unsigned)teller, filter_watch_names[teller]);
		foreign += count;
	}
	printf("%sok 5 - experiments_run_under_filters_that_tell\n", failed_runs ? "not " : "");
	scene_kill_strangers(&scene);
	return foreign || failed_runs;
}

int main(int argc, char **argv)
{
	struct sweep_options options;

	sweep_options_read(argc, argv, 0, &options);
	return world_run(look, &options);
}
