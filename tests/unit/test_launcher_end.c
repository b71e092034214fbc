/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The launcher with real programs: how they end, and that nothing survives.
 */
#include "injector/base/clock.h"
#include "tests/support/launcher_workbench.h"
#include "tests/support/probe_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_time_out_kills_the_group_even_if_it_ignores_sigterm(void **state)
{
	const char *mark = workbench_unique();
	char script[128];
	int64_t before = clock_now_ns();
	struct launcher_result result;

	(void)state;
	snprintf(script, sizeof(script), "trap '' TERM; sleep %s & sleep %s; sleep 1", mark, mark);
	result = workbench_run(script, 300 * NSEC_PER_MSEC);
	assert_true(result.timed_out);
	assert_true(clock_now_ns() - before < 3 * NSEC_PER_SEC);
	await_processes(mark, 0);
}

static void test_background_children_end_with_the_command(void **state)
{
	const char *mark = workbench_unique();
	char script[128];
	struct workbench *bench = workbench_new();

	(void)state;
	snprintf(script, sizeof(script), "sleep %s & echo started", mark);
	workbench_add(bench, script, false);
	workbench_start_all(bench, 0);
	workbench_finish_all(bench);
	assert_string_equal(bench->outcomes[0].result.output, "started\n");
	await_processes(mark, 0);
	workbench_free(bench);
}

/* The daemon leaves the group (the 0.3 s are for that) and keeps standard output: the result does
 * not wait for it. It ends with the launcher. */
static void test_daemon_holds_nothing_up_and_ends_with_the_launcher(void **state)
{
	const char *mark = workbench_unique();
	char script[128];
	struct workbench *bench = workbench_new();
	int64_t before = clock_now_ns();

	(void)state;
	snprintf(script, sizeof(script), "setsid -f sleep %s; sleep 0.3; echo up", mark);
	workbench_add(bench, script, false);
	workbench_start_all(bench, 5 * NSEC_PER_SEC);
	workbench_finish_all(bench);
	assert_true(clock_now_ns() - before < 2 * NSEC_PER_SEC);
	assert_false(bench->outcomes[0].result.timed_out);
	assert_string_equal(bench->outcomes[0].result.output, "up\n");
	await_processes(mark, 1);
	workbench_free(bench);
	assert_int_equal(count_processes(mark), 0);
}

static void test_cancel_kills_and_is_silent(void **state)
{
	const char *mark = workbench_unique();
	char script[128];
	struct workbench *bench = workbench_new();

	(void)state;
	snprintf(script, sizeof(script), "setsid -f sleep %s; exec sleep %s", mark, mark);
	workbench_add(bench, script, false);
	workbench_start_all(bench, 0);
	await_processes(mark, 2);
	launcher_cancel(bench->launcher, 0);
	workbench_turn(bench, 200 * NSEC_PER_MSEC);
	await_processes(mark, 0);
	assert_int_equal(bench->outcomes[0].calls, 0);
	/* and the command can be started again at once */
	workbench_start(bench, 0, 300 * NSEC_PER_MSEC);
	launcher_cancel(bench->launcher, 0);
	workbench_start(bench, 0, 300 * NSEC_PER_MSEC);
	bench->started = 1;
	workbench_finish_all(bench);
	assert_true(bench->outcomes[0].result.timed_out);
	workbench_free(bench);
	await_processes(mark, 0);
}

static void test_hundred_commands_at_once(void **state)
{
	struct workbench *bench = workbench_new();
	int64_t before = clock_now_ns();
	char script[64];

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		snprintf(script, sizeof(script), "sleep 0.3; echo %u; exit %u", i, i);
		workbench_add(bench, script, false);
	}
	workbench_start_all(bench, 10 * NSEC_PER_SEC);
	workbench_finish_all(bench);
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(bench->outcomes[i].calls, 1);
		assert_int_equal(WEXITSTATUS(bench->outcomes[i].result.status), i);
		assert_int_equal(atoi(bench->outcomes[i].result.output), i);
	}
	/* one after the other would take 30 s */
	assert_true(clock_now_ns() - before < 8 * NSEC_PER_SEC);
	workbench_free(bench);
}

/* It shares our process group: the test itself must survive. */
static void test_own_environment_is_ended_as_a_tree(void **state)
{
	const char *mark = workbench_unique();
	struct workbench *bench = workbench_new();
	char script[160];

	(void)state;
	snprintf(script, sizeof(script),
		 "(setsid sh -c \"trap '' TERM; sleep %s; :\" & wait)& sleep %s", mark, mark);
	workbench_add(bench, script, true);
	workbench_start_all(bench, 0);
	await_processes(mark, 2);
	workbench_free(bench);
	await_processes(mark, 0);
}

static void test_what_an_ended_command_left_is_left_alone(void **state)
{
	const char *mark = workbench_unique();
	struct workbench *bench = workbench_new();
	char script[128];

	(void)state;
	snprintf(script, sizeof(script), "setsid -f sleep %s", mark);
	workbench_add(bench, script, true);
	workbench_start_all(bench, 0);
	workbench_finish_all(bench);
	workbench_free(bench);
	await_processes(mark, 1);
	end_processes(mark);
}

static void test_death_of_the_conductor_ends_everything(void **state)
{
	const char *mark = workbench_unique();
	char script[128];
	pid_t conductor;

	(void)state;
	snprintf(script, sizeof(script), "sleep %s & setsid -f sleep %s; sleep %s", mark, mark,
		 mark);
	conductor = fork();
	if (conductor == 0) {
		struct workbench *bench = workbench_new();

		workbench_add(bench, script, false);
		workbench_add(bench, script, true);
		workbench_start_all(bench, 0);
		pause();
	}
	await_processes(mark, 6);
	/* another holder of the socket would hide the end of file: the pidfd does not care */
	end_process(conductor);
	await_processes(mark, 1); /* the daemon of COMMAND has left its tree */
	end_processes(mark);
}

static pid_t find_launcher(void)
{
	char path[64], text[256] = "";
	int fd, pid = 0;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	assert_int_equal(sscanf(text, "%d", &pid), 1);
	return pid;
}

static void test_death_of_the_launcher_is_an_answer(void **state)
{
	struct workbench *bench = workbench_new();
	struct error err = ERROR_INIT;

	(void)state;
	workbench_add(bench, "exec sleep 2", false);
	workbench_add(bench, "exec sleep 2", false);
	workbench_start_all(bench, 0);
	workbench_turn(bench, 100 * NSEC_PER_MSEC);
	kill(find_launcher(), SIGKILL);
	workbench_finish_all(bench);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(bench->outcomes[i].result.status, -1);
		assert_string_equal(bench->outcomes[i].result.output,
				    "the launcher was killed (signal 9)");
	}
	assert_int_equal(
		launcher_run(bench->launcher, 0, 0, workbench_on_result, &bench->outcomes[0], &err),
		-ESRCH);
	assert_string_equal(err.text, "the launcher was killed (signal 9)");
	workbench_free(bench);
}

static void test_signals_do_not_stop_the_launcher(void **state)
{
	struct workbench *bench = workbench_new();

	(void)state;
	workbench_add(bench, "sleep 0.3; echo done", false);
	workbench_start_all(bench, 0);
	for (unsigned i = 0; i < 3; i++)
		kill(find_launcher(), (int[]){SIGTERM, SIGINT, SIGHUP}[i]);
	workbench_finish_all(bench);
	assert_string_equal(bench->outcomes[0].result.output, "done\n");
	workbench_free(bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_time_out_kills_the_group_even_if_it_ignores_sigterm),
		cmocka_unit_test(test_background_children_end_with_the_command),
		cmocka_unit_test(test_daemon_holds_nothing_up_and_ends_with_the_launcher),
		cmocka_unit_test(test_cancel_kills_and_is_silent),
		cmocka_unit_test(test_hundred_commands_at_once),
		cmocka_unit_test(test_own_environment_is_ended_as_a_tree),
		cmocka_unit_test(test_what_an_ended_command_left_is_left_alone),
		cmocka_unit_test(test_death_of_the_conductor_ends_everything),
		cmocka_unit_test(test_death_of_the_launcher_is_an_answer),
		cmocka_unit_test(test_signals_do_not_stop_the_launcher),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
