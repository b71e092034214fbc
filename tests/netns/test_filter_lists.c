/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The lists of allowed system calls hold what is needed: experiments of every kind of fault with
 * filters that forbid nothing and tell of every call, undisturbed and with the worker killed half
 * way, so that the guardian undoes. No call is made that a list does not hold: it would be refused,
 * at a moment that no other test may come to. How many calls each process has made for each kind of
 * fault is told, and none of them may be idle: then nothing was proved. `make check-filters`
 * replays whole test programs so.
 *
 *   test_filter_lists [full] [NAME...]   full: tells as well what the lists hold and nobody called
 */
#include "tests/support/filter_watch.h"
#include "tests/support/squall_runner.h"
#include "tests/sweep/scene.h"
#include "tests/sweep/sweep_options.h"
#include "tests/sweep/world.h"

#include "faults/fault.h"
#include "injector/base/cleanup.h"
#include "injector/journal/journal.h"

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

/* Calls of experiments with one kind of fault alone, in the order of fault_all(). */
#define KINDS_MAX 16
static unsigned long calls_of[KINDS_MAX][FILTER_WATCH_TELLERS];

static void begin(void *context)
{
	const struct command *command = context;
	char binary[512], experiment[128], path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
					   sanitizer[] = "ASAN_OPTIONS=detect_leaks=0";
	char *words[] = {binary, (char[]){"run"}, experiment, NULL};
	char *environment[] = {path, sanitizer, command->scene->variable, NULL};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	snprintf(binary, sizeof(binary), "%s", world_built("tests/filters/squall"));
	snprintf(experiment, sizeof(experiment), "%s", command->experiment);
	setsid();
	if (setns(command->scene->lab->near_fd, CLONE_NEWNET) < 0 || dup2(null, 0) < 0 ||
	    dup2(null, 1) < 0 || dup2(null, 2) < 0)
		return;
	execve(binary, words, environment);
}

/* ---- An interface that appears when something is in force ---- */

static bool is_in_force(void)
{
	char(*ids)[RUN_ID_SIZE] = NULL;
	unsigned count = 0;
	bool is_there = false;

	if (journal_list(&ids, &count, NULL) < 0)
		return false;
	for (unsigned i = 0; i < count; i++) {
		cleanup_free struct journal_record *records = NULL;
		struct journal *journal;
		unsigned written = 0;

		if (journal_open(ids[i], &journal, NULL) < 0)
			continue;
		if (journal_read(journal, &records, &written, NULL) < 0)
			written = 0;
		journal_close(journal);
		for (unsigned k = 0; k < written; k++)
			is_there |= records[k].kind == JOURNAL_STARTED;
	}
	free(ids);
	return is_there;
}

/* A process of its own: this one waits for what is traced. */
static pid_t start_to_make_link(struct scene *scene)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	journal_set_root(JOURNAL_ROOT); /* the laboratory has one of its own */
	while (!is_in_force())
		usleep(5000);
	scene_let_link_come(scene);
	_exit(0);
}

static int watch_one(struct scene *scene, struct command *command)
{
	pid_t maker = -1;
	int status;

	scene_begin(scene);
	if (scene->has_late_link)
		maker = start_to_make_link(scene);
	status = filter_watch_run(&watch, begin, command);
	scene_end_clients(scene);
	if (maker < 0)
		return status;
	/* reaped with the rest, if it has ended */
	kill(maker, SIGKILL);
	waitpid(maker, NULL, 0);
	scene->is_link_there = netlab_try("ip -n %s link show sqlatepeer", scene->lab->near) == 0;
	if (!scene->is_link_there) {
		printf("# the late interface did not come\n");
		failed_runs += !is_emulated();
		scene_let_link_come(scene);
	}
	return status;
}

/* ---- Experiments ---- */

/* The one kind of fault in it; -1: there are several. */
static int only_kind(const char *path)
{
	cleanup_file FILE *file = fopen(path, "re");
	char text[4096], wanted[64];
	size_t size = file ? fread(text, 1, sizeof(text) - 1, file) : 0;
	int found = -1;

	text[size] = '\0';
	for (int kind = 0; fault_all()[kind]; kind++) {
		snprintf(wanted, sizeof(wanted), "%s: {target:", fault_all()[kind]->name);
		if (!strstr(text, wanted))
			continue;
		if (found >= 0)
			return -1;
		found = kind;
	}
	return found;
}

static void run(struct scene *scene, const char *path)
{
	struct command command = {.scene = scene,
				  .experiment = scene_write_experiment(scene, path)};
	unsigned long before[FILTER_WATCH_TELLERS], calls;
	int status, kind = only_kind(path);

	memcpy(before, watch.calls, sizeof(before));
	status = watch_one(scene, &command);
	calls = watch.calls[SANDBOX_WORKER] - before[SANDBOX_WORKER];
	if (status < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		printf("# %s: status 0x%x\n", path, (unsigned)status);
		/* under a tracer there a worker may be silent for longer than is let pass */
		failed_runs += !is_emulated();
	}
	/* everything is in force at about the half; who has waited for something made more calls */
	for (unsigned part = 2; part == 2 || (watch.kill_worker_at && part <= 8); part *= 2) {
		watch.kill_worker_at = 1 + calls / part;
		watch_one(scene, &command);
	}
	if (watch.kill_worker_at) {
		printf("# %s: the worker was not killed\n", path);
		failed_runs += !is_emulated();
	}
	watch.kill_worker_at = 0;
	kill(scene->children[0], SIGCONT);
	for (unsigned teller = 0; kind >= 0 && teller < FILTER_WATCH_TELLERS; teller++)
		calls_of[kind][teller] += watch.calls[teller] - before[teller];
}

/* False: somebody had nothing to do for one of them. */
static bool tell_calls(void)
{
	bool is_whole = true;

	for (int kind = 0; fault_all()[kind]; kind++) {
		printf("# %s:", fault_all()[kind]->name);
		for (enum sandbox_teller teller = SANDBOX_CONDUCTOR; teller <= SANDBOX_GUARDIAN;
		     teller++) {
			printf(" %s %lu", filter_watch_names[teller], calls_of[kind][teller]);
			is_whole &= calls_of[kind][teller] > 0;
		}
		printf(" calls\n");
	}
	return is_whole;
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
	status = watch_one(scene, &command);
	if (status < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		printf("# %s with an include: status 0x%x\n", path, (unsigned)status);
		failed_runs += !is_emulated();
	}
}

static bool is_wanted(const struct sweep_options *options, const char *path)
{
	if (*options->names)
		return sweep_options_name(options, path);
	return !is_emulated() || strstr(path, "/every-kind") || strstr(path, "/network-delay") ||
	       strstr(path, "/clsact-network-delay");
}

static int look(void *context)
{
	const struct sweep_options *options = context;
	struct scene scene = {0};
	unsigned foreign = 0, idle;
	glob_t found;

	sweep_options_find(options, is_wanted, &found);
	scene_make(&scene);
	printf("1..6\n");
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
		/* TLS needs certificates: test_http_tls speaks it through the real filter */
		count += teller != SANDBOX_TLS && !watch.calls[teller];
		printf("%sok %u - the_list_of_the_%s_holds_what_it_calls\n", count ? "not " : "",
		       (unsigned)teller, filter_watch_names[teller]);
		foreign += count;
	}
	printf("%sok 5 - experiments_run_under_filters_that_tell\n", failed_runs ? "not " : "");
	/* fewer were run than there are kinds */
	idle = !tell_calls() && !is_emulated() && !*options->names;
	printf("%sok 6 - each_process_has_called_for_each_fault\n", idle ? "not " : "");
	scene_kill_strangers(&scene);
	return foreign || failed_runs || idle;
}

int main(int argc, char **argv)
{
	struct sweep_options options;

	sweep_options_read(argc, argv, 0, &options);
	return world_run(look, &options);
}
