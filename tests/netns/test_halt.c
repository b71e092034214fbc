/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The safety lever with everything against it: processes of the run that hang, a disk that is full
 * or hangs, a reboot.
 */
#include "tests/support/children.h"
#include "tests/support/held_calls.h"
#include "tests/support/squall_runner.h"

#include "injector/base/cleanup.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#define INJECT "inject network to=10.88.0.2:7001 delay=100ms for="

/* Halts a run, one process of which is stopped for good. */
static void halt_with(struct stage *stage, pid_t (*whom)(const struct squall *squall))
{
	struct squall *squall = squall_start(stage, NULL, INJECT "1m --json");
	pid_t pid;

	squall_await_injected(squall);
	pid = whom(squall);
	assert_int_equal(kill(pid, SIGSTOP), 0);
	assert_int_equal(squall_call(stage, NULL, "halt --reason fire"), 0);
	stage_assert_fast(stage, "10.88.0.2", NETLAB_PORT);
	assert_int_equal(squall_call(stage, NULL, INJECT "1s"), 2);
	kill(pid, SIGCONT);
	squall_await_exit(squall);
	assert_int_equal(squall_call(stage, NULL, "resume"), 0);
	assert_int_equal(squall_call(stage, NULL, "restore"), 0);
	stage_assert_clean(stage);
}

static pid_t worker_of(const struct squall *squall)
{
	return squall->worker;
}

static pid_t guardian_of(const struct squall *squall)
{
	return squall->guardian;
}

static pid_t conductor_of(const struct squall *squall)
{
	return squall->pid;
}

static void test_halt_ends_a_run_whose_worker_is_stopped(void **state)
{
	halt_with(*state, worker_of);
}

static void test_halt_ends_a_run_whose_guardian_is_stopped(void **state)
{
	halt_with(*state, guardian_of);
}

static void test_halt_ends_a_run_whose_conductor_is_stopped(void **state)
{
	halt_with(*state, conductor_of);
}

/* Nobody is left who could obey: what is stopped is killed, and undone from here. */
static void test_halt_ends_a_run_whose_worker_and_guardian_are_stopped(void **state)
{
	struct stage *stage = *state;
	struct squall *squall = squall_start(stage, NULL, INJECT "1m --json");

	squall_await_injected(squall);
	assert_int_equal(kill(squall->guardian, SIGSTOP), 0);
	assert_int_equal(kill(squall->worker, SIGSTOP), 0);
	assert_int_equal(squall_call(stage, NULL, "halt --reason fire"), 0);
	stage_assert_fast(stage, "10.88.0.2", NETLAB_PORT);
	assert_int_equal(squall_call(stage, NULL, INJECT "1s"), 2);
	kill(squall->guardian, SIGCONT);
	squall_await_exit(squall);
	assert_true(process_await_gone(squall->guardian, STAGE_WAIT_MS));
	assert_int_equal(squall_call(stage, NULL, "resume"), 0);
	stage_assert_clean(stage);
}

/* What the kernel does not hold: a file that was exchanged, a process that is stopped. */
static void test_halt_puts_back_what_outlives_its_processes(void **state)
{
	struct stage *stage = *state;
	const pid_t child = stage_child(stage);
	const char *file = stage_write(stage, "app.conf", "good\n");
	const char *path = stage_write(
		stage, "both.yaml",
		"version: 1\ntitle: both\nlimits: {duration: 2m, targets: 2}\n"
		"targets: {config: {file: {path: %s}}, one: {process: {pid: %d}}}\nmethod:\n"
		"  - {at: 0s, for: 1m, file: {target: config, content: bad}}\n"
		"  - {at: 0s, for: 1m, process: {target: one, action: pause}}\n",
		file, child);
	struct squall *squall = squall_start(stage, NULL, "run --json %s", path);
	cleanup_free char *during = NULL, *after = NULL;

	squall_await_nth(squall, "injected", 2);
	during = netlab_output("cat %s", file);
	assert_string_equal(during, "bad\n");
	assert_false(child_counts());
	assert_int_equal(squall_call(stage, NULL, "halt --reason fire"), 0);
	after = netlab_output("cat %s", file);
	assert_string_equal(after, "good\n");
	assert_true(child_counts());
	squall_assert_exit(squall, 4);
	assert_int_equal(squall_call(stage, NULL, "resume"), 0);
	stage_assert_clean(stage);
}

static void test_halt_ends_a_run_with_full_disks(void **state)
{
	const struct squall_how full = {.full_lib_kib = 64};
	struct stage *stage = *state;
	struct squall *squall = squall_start(stage, NULL, INJECT "1m --json"), *refused;

	squall_await_injected(squall);
	assert_int_equal(squall_call(stage, &full, "halt --reason fire"), 0);
	stage_assert_fast(stage, "10.88.0.2", NETLAB_PORT);
	squall_assert_exit(squall, 4);
	/* the full disk went with its process */
	refused = squall_start(stage, NULL, INJECT "1s");
	squall_assert_refused(refused, "fire");
	assert_int_equal(squall_call(stage, NULL, "resume"), 0);
	stage_assert_clean(stage);
}

static void make_run_read_only(const struct stage *stage)
{
	(void)stage;
	if (mount(NULL, "/run", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) < 0)
		_exit(99);
}

static void test_halt_ends_a_run_where_nothing_can_be_written(void **state)
{
	static const struct squall_how how = {.prepare = make_run_read_only};
	struct stage *stage = *state;
	struct squall *squall = squall_start(stage, NULL, INJECT "1m --json");

	squall_await_injected(squall);
	assert_int_equal(squall_call(stage, &how, "halt --reason fire"), 0);
	stage_assert_fast(stage, "10.88.0.2", NETLAB_PORT);
	squall_assert_exit(squall, 4);
	assert_int_equal(squall_call(stage, NULL, INJECT "1s"), 2);
	assert_int_equal(squall_call(stage, NULL, "resume"), 0);
	stage_assert_clean(stage);
}

/* fsync(2) never returns, as on a disk that hangs. */
static void test_halt_waits_for_no_disk_that_hangs(void **state)
{
	static const struct squall_how hanging = {.prepare = held_calls_prepare};
	static const struct held_choice disk = {.number = SYS_fsync};
	struct stage *stage = *state;
	struct squall *squall = squall_start(stage, NULL, INJECT "1m --json"), *halt;

	squall_await_injected(squall);
	held_calls_choose(&disk, 1);
	halt = squall_start(stage, &hanging, "halt --reason fire");
	held_calls_await(); /* and not let go */
	squall_assert_exit(squall, 4);
	stage_assert_fast(stage, "10.88.0.2", NETLAB_PORT);
	assert_int_equal(squall_call(stage, NULL, INJECT "1s"), 2);
	squall_assert_exit(halt, 0);
	if (!squall_has_said(halt, "experiments are halted until this machine restarts"))
		fail_msg("it does not say how long it lasts");
	assert_int_equal(squall_call(stage, NULL, INJECT "1s"), 2);
	netlab_run("rm -rf %s", stage_path(stage, "run/squall")); /* the restart */
	squall_await_injected(squall_start(stage, NULL, INJECT "1s --json"));
}

/* The lever is in force only when the disk has taken it. Between the last asking of all runs
 * (then it waits for its child) and that (then its child syncs the file) one begins. */
static void test_a_run_does_not_slip_past_a_lever_that_only_the_disk_takes(void **state)
{
	static const struct squall_how how = {.prepare = held_calls_prepare};
	static const struct held_choice choices[] = {{.number = SYS_wait4}, {.number = SYS_fsync}};
	struct held_call waiting, syncing, named;
	struct stage *stage = *state;
	struct squall *halt, *squall;

	netlab_run("mkdir -p %s", stage_path(stage, "run/squall/.halt.new")); /* in the way */
	held_calls_choose(choices, 2);
	halt = squall_start(stage, &how, "halt --reason fire");
	waiting = held_calls_await();
	syncing = held_calls_await();
	if (waiting.pid != halt->pid) {
		const struct held_call first = waiting;

		waiting = syncing;
		syncing = first;
	}
	assert_int_equal(waiting.pid, halt->pid);
	assert_int_equal(syncing.number, SYS_fsync);
	squall = squall_start(stage, NULL, INJECT "1m --json");
	squall_await_injected(squall);
	held_calls_let_go(&syncing);
	named = held_calls_await(); /* syncs the folder: the file has its name */
	assert_int_equal(access(stage_path(stage, "lib/squall/halt"), F_OK), 0);
	held_calls_let_go(&named);
	assert_true(child_wait_exit(named.pid));
	held_calls_let_go(&waiting);
	assert_int_equal(held_calls_await_exit(halt), 0);
	stage_assert_fast(stage, "10.88.0.2", NETLAB_PORT);
	squall_assert_exit(squall, 4);
	assert_int_equal(squall_call(stage, NULL, INJECT "1s"), 2);
	netlab_run("rmdir %s", stage_path(stage, "run/squall/.halt.new"));
	assert_int_equal(squall_call(stage, NULL, "resume"), 0);
	stage_assert_clean(stage);
}

/* Its folder is there, its journal says nothing yet. It looks at the lever when it does. */
static void test_a_run_that_is_being_made_does_not_slip_past_a_halt(void **state)
{
	static const struct squall_how how = {.prepare = held_calls_prepare};
	static const struct held_choice reserving = {.number = SYS_fallocate};
	struct stage *stage = *state;
	cleanup_free char *empty = NULL;
	struct squall *squall, *halt;
	struct held_call call;

	held_calls_choose(&reserving, 1);
	squall = squall_start(stage, &how, INJECT "1m --json");
	call = held_calls_await(); /* for its result */
	held_calls_let_go(&call);
	call = held_calls_await();
	empty = netlab_output("find %s -name journal -size 0", stage_path(stage, "run/squall"));
	assert_string_not_equal(empty, "");
	halt = squall_start(stage, NULL, "halt --reason fire");
	squall_assert_exit(halt, 0);
	assert_false(squall_has_said(halt, "left"));
	held_calls_let_go(&call);
	assert_int_equal(held_calls_await_exit(squall), 2);
	assert_true(squall_has_said(squall, "fire"));
	assert_null(squall_event(squall, "injected"));
	assert_int_equal(squall_call(stage, NULL, "resume"), 0);
	stage_assert_clean(stage);
}

/* Its maker has died in the middle: nothing was done, and nothing is to be told. */
static void test_a_run_without_a_journal_is_not_left(void **state)
{
	struct stage *stage = *state;
	struct squall *halt;

	netlab_run("mkdir -m 755 %s", stage_path(stage, "run/squall"));
	netlab_run("mkdir -m 700 %s", stage_path(stage, "run/squall/unborn"));
	halt = squall_start(stage, NULL, "halt --reason fire");
	squall_assert_exit(halt, 0);
	assert_false(squall_has_said(halt, "left"));
	assert_int_equal(squall_call(stage, NULL, "resume"), 0);
	assert_int_equal(squall_call(stage, NULL, "restore"), 0);
	stage_assert_clean(stage);
}

/* The end of the last run removes the folder, between its opening and the writing of the lever. */
static void test_a_lever_is_pulled_though_its_folder_is_removed(void **state)
{
	static const struct squall_how how = {.prepare = held_calls_prepare};
	static const struct held_choice making = {
		.number = SYS_openat, .argument = 2, .with_flags = O_CREAT};
	struct stage *stage = *state;
	struct held_call call;
	struct squall *halt;

	held_calls_choose(&making, 1);
	halt = squall_start(stage, &how, "halt --reason fire");
	call = held_calls_await();
	assert_int_equal(call.pid, halt->pid);
	assert_int_equal(rmdir(stage_path(stage, "run/squall")), 0);
	held_calls_let_go(&call);
	assert_int_equal(held_calls_await_exit(halt), 0);
	assert_int_equal(access(stage_path(stage, "run/squall/halt"), F_OK), 0);
	assert_int_equal(squall_call(stage, NULL, "resume"), 0);
	stage_assert_clean(stage);
}

/* What is below /run is gone after a reboot. */
static void test_a_halt_outlives_a_reboot(void **state)
{
	struct stage *stage = *state;
	struct squall *refused;

	assert_int_equal(squall_call(stage, NULL, "halt --reason fire"), 0);
	netlab_run("rm -rf %s", stage_path(stage, "run/squall"));
	refused = squall_start(stage, NULL, INJECT "1s");
	squall_assert_refused(refused, "fire");
	assert_true(squall_has_said(refused, "squall resume"));
	assert_int_equal(squall_call(stage, NULL, "resume"), 0);
	squall_await_injected(squall_start(stage, NULL, INJECT "1s --json"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)
		TEST(test_halt_ends_a_run_whose_worker_is_stopped),
		TEST(test_halt_ends_a_run_whose_guardian_is_stopped),
		TEST(test_halt_ends_a_run_whose_conductor_is_stopped),
		TEST(test_halt_ends_a_run_whose_worker_and_guardian_are_stopped),
		TEST(test_halt_puts_back_what_outlives_its_processes),
		TEST(test_halt_ends_a_run_with_full_disks),
		TEST(test_halt_ends_a_run_where_nothing_can_be_written),
		TEST(test_halt_waits_for_no_disk_that_hangs),
		TEST(test_a_run_does_not_slip_past_a_lever_that_only_the_disk_takes),
		TEST(test_a_run_that_is_being_made_does_not_slip_past_a_halt),
		TEST(test_a_run_without_a_journal_is_not_left),
		TEST(test_a_lever_is_pulled_though_its_folder_is_removed),
		TEST(test_a_halt_outlives_a_reboot),
	};

	return STAGE_RUN(tests);
}
