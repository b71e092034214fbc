/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The safety lever with everything against it: processes of the run that hang, a full disk, a
 * reboot.
 */
#include "tests/support/squall_runner.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

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

static void test_halt_ends_a_run_with_full_disks(void **state)
{
	const struct squall_how full = {.full_lib_kib = 64};
	struct stage *stage = *state;
	struct squall *squall = squall_start(stage, NULL, INJECT "1m --json");

	squall_await_injected(squall);
	assert_int_equal(squall_call(stage, &full, "halt --reason fire"), 0);
	stage_assert_fast(stage, "10.88.0.2", NETLAB_PORT);
	squall_assert_exit(squall, 4);
	squall_call(stage, NULL, "resume"); /* the full disk went with its process */
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
		TEST(test_halt_ends_a_run_with_full_disks),
		TEST(test_a_halt_outlives_a_reboot),
	};

	return STAGE_RUN(tests);
}
