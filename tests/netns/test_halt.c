/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The safety lever with everything against it: processes of the run that hang, a disk that is full
 * or hangs, a reboot.
 */
#include "tests/support/children.h"
#include "tests/support/squall_runner.h"

#include "injector/base/cleanup.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
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
	squall_assert_exit(refused, 2);
	assert_true(squall_has_said(refused, "fire"));
	assert_int_equal(squall_call(stage, NULL, "resume"), 0);
	stage_assert_clean(stage);
}

/* fsync(2) never returns, as on a disk that hangs: somebody has to let it go on
 * (seccomp_unotify(2)), and nobody does. */
static void hang_in_fsync(const struct stage *stage)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fsync, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = {.len = 4, .filter = code};
	long listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
				SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);

	(void)stage;
	if (listener < 0 || fcntl((int)listener, F_SETFD, 0) < 0) /* open as long as it runs */
		_exit(99);
}

static void test_halt_waits_for_no_disk_that_hangs(void **state)
{
	static const struct squall_how hanging = {.prepare = hang_in_fsync};
	struct stage *stage = *state;
	struct squall *squall = squall_start(stage, NULL, INJECT "1m --json"), *halt;

	squall_await_injected(squall);
	halt = squall_start(stage, &hanging, "halt --reason fire");
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

/* What is below /run is gone after a reboot. */
static void test_a_halt_outlives_a_reboot(void **state)
{
	struct stage *stage = *state;
	struct squall *refused;

	assert_int_equal(squall_call(stage, NULL, "halt --reason fire"), 0);
	netlab_run("rm -rf %s", stage_path(stage, "run/squall"));
	refused = squall_start(stage, NULL, INJECT "1s");
	squall_assert_exit(refused, 2);
	assert_true(squall_has_said(refused, "fire"));
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
		TEST(test_halt_waits_for_no_disk_that_hangs),
		TEST(test_a_halt_outlives_a_reboot),
	};

	return STAGE_RUN(tests);
}
