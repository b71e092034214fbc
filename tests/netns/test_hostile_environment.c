/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Whatever squall inherits from who starts it (closed or strange descriptors, limits, signals, a
 * directory that is gone, umask, environment): a whole run with two faults goes as it should, or is
 * refused before anything is injected; and the machine is as it was.
 */
#include "tests/support/children.h"
#include "tests/support/squall_runner.h"

#include "injector/base/cleanup.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#define INHERITED 40

/* Two faults of different kinds; how long, so that somebody can look on. */
static const char *write_run(struct stage *stage, const char *lasts)
{
	return stage_write(stage, "hostile.yaml",
			   "version: 1\n"
			   "title: hostile surroundings\n"
			   "limits: {duration: 20s, targets: 4}\n"
			   "allow-idle: true\n"
			   "targets:\n"
			   "  far: {to: \"10.88.0.2:7001\"}\n"
			   "  one: {process: {pid: %d}}\n"
			   "method:\n"
			   "  - {at: 0s, for: %s, network: {target: far, delay: 100ms}}\n"
			   "  - {at: 0s, for: %s, process: {target: one, action: pause}}\n",
			   stage_child(stage), lasts, lasts);
}

static void run_in(struct stage *stage, void (*prepare)(const struct stage *stage),
		   const char *const *extra)
{
	const struct squall_how how = {.prepare = prepare, .extra = extra};

	assert_int_equal(squall_call(stage, &how, "run --json %s", write_run(stage, "200ms")), 0);
	stage_assert_clean(stage);
}

static void close_all(const struct stage *stage)
{
	(void)stage;
	close_range(0, 2, 0);
}

static void close_input(const struct stage *stage)
{
	(void)stage;
	close(0);
}

static void close_output(const struct stage *stage)
{
	(void)stage;
	close(1);
}

static void test_closed_standard_streams(void **state)
{
	run_in(*state, close_all, NULL);
	run_in(*state, close_input, NULL);
	run_in(*state, close_output, NULL);
}

static void limit(int which, rlim_t soft, rlim_t hard)
{
	const struct rlimit both = {soft, hard};

	setrlimit(which, &both);
}

/* Hard limits, too: what root may raise again is raised. */
static void set_small_limits(const struct stage *stage)
{
	(void)stage;
	limit(RLIMIT_NOFILE, 32, 32);
	limit(RLIMIT_MEMLOCK, 0, 0);
	limit(RLIMIT_NPROC, 1, 1);
	limit(RLIMIT_STACK, 128 << 10, 128 << 10);
	limit(RLIMIT_CPU, 1, 2);
	limit(RLIMIT_NICE, 0, 0);
	limit(RLIMIT_RTPRIO, 0, 0);
	limit(RLIMIT_MSGQUEUE, 0, 0);
	limit(RLIMIT_SIGPENDING, 0, 0);
}

static void test_small_limits(void **state)
{
	run_in(*state, set_small_limits, NULL);
}

static void allow_no_files(const struct stage *stage)
{
	(void)stage;
	limit(RLIMIT_FSIZE, 0, 0);
}

/* Where not even a result could be written nothing begins; and nobody dies of SIGXFSZ. */
static void test_a_limit_on_the_size_of_files(void **state)
{
	static const struct squall_how how = {.prepare = allow_no_files};
	struct stage *stage = *state;

	assert_int_equal(squall_call(stage, &how, "run --json %s", write_run(stage, "200ms")), 2);
	stage_assert_clean(stage);
}

/* All of them, past glibc, which leaves out its own two. */
static void block_and_ignore_signals(const struct stage *stage)
{
	static const struct {
		void *handler;
		unsigned long flags;
		void *restorer;
		unsigned long mask;
	} ignore = {.handler = (void *)1};
	static const uint64_t all = ~0ULL;

	(void)stage;
	for (int signal = 1; signal < NSIG; signal++)
		syscall(SYS_rt_sigaction, signal, &ignore, NULL, sizeof(all));
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, sizeof(all));
}

static void test_signals_that_are_blocked_and_ignored(void **state)
{
	static const struct squall_how how = {.prepare = block_and_ignore_signals};
	struct stage *stage = *state;
	cleanup_free char *said = NULL;
	struct squall *squall;

	run_in(stage, block_and_ignore_signals, NULL);
	/* and it still can be stopped */
	squall = squall_start(stage, &how, "run --json %s", write_run(stage, "10s"));
	squall_await_injected(squall);
	assert_int_equal(squall_call(stage, NULL, "stop"), 0);
	squall_assert_exit(squall, 4);
	/* and the brake still knows that it will outlive a reboot */
	squall = squall_start(stage, &how, "halt --json --reason fire");
	squall_assert_exit(squall, 0);
	said = squall_output(squall);
	assert_non_null(strstr(said, "\"outlives_reboot\": true"));
	assert_int_equal(squall_call(stage, NULL, "resume"), 0);
	stage_assert_clean(stage);
}

static void stand_in_a_removed_folder(const struct stage *stage)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/gone", stage->folder);
	(void)!mkdir(path, 0700);
	(void)!chdir(path);
	rmdir(path);
}

static void test_a_directory_that_is_gone(void **state)
{
	run_in(*state, stand_in_a_removed_folder, NULL);
}

static void deny_everything(const struct stage *stage)
{
	(void)stage;
	umask(0777);
}

static void allow_everything(const struct stage *stage)
{
	(void)stage;
	umask(0);
}

/* Nothing that is left can be written by others, whatever the umask says. */
static void test_a_umask_of_all_or_nothing(void **state)
{
	struct stage *stage = *state;
	cleanup_free char *open = NULL;

	run_in(stage, deny_everything, NULL);
	run_in(stage, allow_everything, NULL);
	open = netlab_output("find %s/lib/squall -perm /022", stage->folder);
	assert_string_equal(open, "");
}

/* Whoever else is in PATH is not called, and no variable makes root read or load something. */
static void test_a_hostile_environment(void **state)
{
	static const char *const tools[] = {"ip",   "tc",	 "nft",		"modprobe", "sh",
					    "kill", "systemctl", "systemd-run", "pidof"};
	struct stage *stage = *state;
	char path[128], trap[160];
	const char *const extra[] = {path,
				     "TZ=:/etc/shadow",
				     "HZ=0",
				     "TICKS_PER_USEC=0",
				     "PROC_ROOT=/nowhere",
				     "PROC_NET_PSCHED=/dev/full",
				     "NLDBG=9",
				     "NLCB=debug",
				     "HOME=/nowhere",
				     "TMPDIR=/nowhere",
				     "LANG=../../../etc",
				     "LC_ALL=x",
				     "IFS=/",
				     "BASH_ENV=/nowhere",
				     "http_proxy=http://127.0.0.1:1",
				     "MALLOC_PERTURB_=165",
				     "TERM=../../etc/passwd",
				     "COLUMNS=-1",
				     NULL};

	netlab_run("mkdir -p %s/trap", stage->folder);
	for (unsigned i = 0; i < sizeof(tools) / sizeof(*tools); i++) {
		snprintf(trap, sizeof(trap), "trap/%s", tools[i]);
		stage_write(stage, trap, "#!/bin/sh\ntouch %s/sprung\n", stage->folder);
		netlab_run("chmod 755 %s/%s", stage->folder, trap);
	}
	snprintf(path, sizeof(path), "PATH=%s/trap", stage->folder);
	run_in(stage, NULL, extra);
	assert_int_equal(access(stage_path(stage, "sprung"), F_OK), -1);
}

/* Another way to the same effect, for the same targets, undone as well; or nothing at all. */
static void test_the_variables_of_squall_choose_a_way_and_nothing_else(void **state)
{
	static const char *const values[] = {
		"SQUALL_HOOK=clsact", "SQUALL_NETEM=off", "SQUALL_HOOK=../../etc/shadow",
		"SQUALL_HOOK=%n%n%n", "SQUALL_NETEM=",	  "SQUALL_NETEM=clsact"};
	struct stage *stage = *state;

	for (unsigned i = 0; i < sizeof(values) / sizeof(*values); i++) {
		const char *const extra[] = {values[i], NULL};
		const struct squall_how
			how = {.extra = extra},
			refused = {.extra = extra,
				   .policy = "version: 1\nallow: {networks: [10.99.0.0/16]}\n"};
		struct squall *squall =
			squall_start(stage, &how, "run --json %s", write_run(stage, "1s"));

		squall_await_injected(squall);
		stage_assert_delay(stage, "10.88.0.2", NETLAB_PORT, 100);
		stage_assert_fast(stage, "127.0.0.1", NETLAB_PORT);
		squall_assert_exit(squall, 0);
		squall_assert_refused(squall_start(stage, &refused,
						   "inject network "
						   "to=10.88.0.2:7001 delay=100ms for=1s"),
				      "10.88.0.2");
		stage_assert_fast(stage, "10.88.0.2", NETLAB_PORT);
		stage_assert_clean(stage);
	}
}

static int pipe_ends[2];

static void keep_pipes(const struct stage *stage)
{
	(void)stage;
	for (int i = 0; i < INHERITED; i++)
		fcntl(pipe_ends[1], F_DUPFD, 3 + i); /* not closed on exec */
}

static bool has_open(pid_t pid, ino_t inode)
{
	char path[300];
	cleanup_dir DIR *dir = NULL;
	struct dirent *entry;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		struct stat status;

		if (fstatat(dirfd(dir), entry->d_name, &status, 0) == 0 && status.st_ino == inode)
			return true;
	}
	return false;
}

static void give_file(const struct stage *stage)
{
	const int fd = open(stage_path(stage, "hostile.yaml"), O_RDONLY | O_CLOEXEC);

	keep_pipes(stage);
	dup2(fd, INHERITED + 10);
}

/* A pipe that the guardian kept open would make its reader wait for ever; and what the caller had
 * open is nothing for a conductor that is lost. */
static void test_descriptors_of_the_caller_are_closed(void **state)
{
	static const struct squall_how how = {.prepare = keep_pipes}, file = {.prepare = give_file};
	struct stage *stage = *state;
	struct squall *squall;
	struct stat status;

	assert_int_equal(pipe2(pipe_ends, O_CLOEXEC), 0);
	assert_int_equal(fstat(pipe_ends[0], &status), 0);
	squall = squall_start(stage, &how, "run --json %s", write_run(stage, "1s"));
	squall_await_injected(squall);
	assert_false(has_open(squall->pid, status.st_ino));
	assert_false(has_open(squall->worker, status.st_ino));
	assert_false(has_open(squall->guardian, status.st_ino));
	squall_assert_exit(squall, 0);
	/* but for the experiment itself: squall run <(...) */
	squall = squall_start(stage, &file, "run --json /dev/fd/%d", INHERITED + 10);
	squall_await_injected(squall);
	assert_false(has_open(squall->pid, status.st_ino));
	squall_assert_exit(squall, 0);
	close(pipe_ends[0]);
	close(pipe_ends[1]);
	stage_assert_clean(stage);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_closed_standard_streams),
		TEST(test_small_limits),
		TEST(test_a_limit_on_the_size_of_files),
		TEST(test_signals_that_are_blocked_and_ignored),
		TEST(test_a_directory_that_is_gone),
		TEST(test_a_umask_of_all_or_nothing),
		TEST(test_a_hostile_environment),
		TEST(test_the_variables_of_squall_choose_a_way_and_nothing_else),
		TEST(test_descriptors_of_the_caller_are_closed),
	};

	return STAGE_RUN(tests);
}
