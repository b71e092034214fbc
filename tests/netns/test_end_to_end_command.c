/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The real binary with `run FILE -- COMMAND`: the command is the invoking user's, the faults last
 * while it runs, its failure is the run's.
 */
#include "tests/support/squall_runner.h"

#include "injector/base/cleanup.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define PROMPTLY_MS (is_emulated() ? 6000 : 1000)

static const char *const daemon_user[] = {"SUDO_UID=1", "SUDO_GID=1", "SUDO_USER=daemon",
					  "SQEE_MARK=kept-as-it-is", NULL};
static const struct squall_how by_sudo = {.extra = daemon_user};

/* A command that says who it is, waits for the file `go` and ends with `code`. */
static struct squall *run_command(struct stage *stage, const struct squall_how *how, int code)
{
	const char *path =
		stage_write(stage, "command.yaml", "%s",
			    "version: 1\n"
			    "title: with a command\n"
			    "limits: {duration: 15s, targets: 1}\n"
			    "targets: {far: {to: \"10.88.0.2:7001\"}}\n"
			    "method: [{at: 0s, for: 10s, network: {target: far, delay: 100ms}}]\n");
	const char *script;

	netlab_run("mkdir -m 777 %s/out", stage->folder);
	script = stage_write(stage, "command.sh",
			     "#!/bin/sh\n"
			     "cd %s/out || exit 99\n"
			     "trap 'echo yes >interrupted; exit 7' INT\n"
			     "trap 'echo yes >terminated; exit 8' TERM\n"
			     "{ id -u; id -g; id -G; } >who\n"
			     "echo \"$SQEE_MARK $1\" >environment\n"
			     "grep -E 'Cap(Eff|Prm|Amb)|NoNewPrivs' /proc/self/status >rights\n"
			     "echo $$ >pid.new && mv pid.new pid\n"
			     "while [ ! -e go ]; do sleep 0.02; done\n"
			     "exit %d\n",
			     stage->folder, code);

	return squall_start(stage, how, "run --json %s -- %s argument", path, script);
}

static const char *out(const struct stage *stage, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "out/%s", name);
	return stage_path(stage, path);
}

static char *written(const struct stage *stage, const char *name)
{
	return netlab_output("cat %s", out(stage, name));
}

static pid_t await_command(const struct stage *stage)
{
	int64_t until_ns = clock_now_ns() + STAGE_WAIT_MS * NSEC_PER_MSEC;
	cleanup_free char *pid = NULL;

	while (access(out(stage, "pid"), F_OK) != 0) {
		if (clock_now_ns() > until_ns)
			fail_msg("the command has not started");
		pause_ms(5);
	}
	pid = written(stage, "pid");
	return (pid_t)strtol(pid, NULL, 10);
}

static void let_go(struct stage *stage)
{
	stage_write(stage, "out/go", "go");
}

static void test_command_is_the_users_and_meets_the_fault(void **state)
{
	struct stage *stage = *state;
	struct squall *squall = run_command(stage, &by_sudo, 0);
	cleanup_free char *who = NULL, *environment = NULL, *rights = NULL;
	json_t *result, *event;

	await_command(stage);
	stage_assert_delay(stage, "10.88.0.2", NETLAB_PORT, 100);
	let_go(stage);
	event = squall_await(squall, "command");
	assert_int_equal(member_number(event, "status"), 0);
	squall_assert_exit(squall, 0);
	/* it ended the method, long before its 10 s */
	assert_in_range(member_number(squall_event(squall, "result"), "elapsed_ns"), 0,
			9 * NSEC_PER_SEC);
	who = written(stage, "who");
	assert_string_equal(who, "1\n1\n1\n");
	environment = written(stage, "environment");
	assert_string_equal(environment, "kept-as-it-is argument\n");
	rights = written(stage, "rights");
	assert_non_null(strstr(rights, "CapEff:\t0000000000000000"));
	assert_non_null(strstr(rights, "CapPrm:\t0000000000000000"));
	result = stage_result(stage, member_text(squall_event(squall, "armed"), "run"));
	assert_int_equal(member_number(result, "command_status"), 0);
	assert_string_equal(member_text(result, "verdict"), "held");
	json_decref(result);
	stage_assert_fast(stage, "10.88.0.2", NETLAB_PORT);
	stage_assert_clean(stage);
}

static void test_failing_command_fails_the_run(void **state)
{
	struct stage *stage = *state;
	struct squall *squall = run_command(stage, NULL, 5);
	cleanup_free char *who = NULL;
	json_t *event;

	await_command(stage);
	netlab_round_trip(stage->lab, "10.88.0.2", NETLAB_PORT, 1000);
	let_go(stage);
	squall_assert_exit(squall, 1);
	event = squall_event(squall, "command");
	assert_int_equal(member_number(event, "status"), 5);
	assert_non_null(strstr(member_text(squall_event(squall, "result"), "why"), "status 5"));
	/* root called, so root's it is */
	who = written(stage, "who");
	assert_int_equal(strncmp(who, "0\n0\n", 4), 0);
	stage_assert_clean(stage);
}

/* As the terminal sends it: to the whole process group. */
static void test_interrupt_reaches_both(void **state)
{
	struct stage *stage = *state;
	struct squall *squall = run_command(stage, NULL, 0);
	pid_t command = await_command(stage);
	cleanup_free char *interrupted = NULL;

	stage_assert_delay(stage, "10.88.0.2", NETLAB_PORT, 100);
	assert_int_equal(kill(-squall->pid, SIGINT), 0);
	stage_until_fast(stage, "10.88.0.2", NETLAB_PORT, PROMPTLY_MS);
	squall_assert_exit(squall, 4);
	assert_true(process_await_gone(command, PROMPTLY_MS));
	interrupted = written(stage, "interrupted");
	assert_string_equal(interrupted, "yes\n");
	stage_assert_clean(stage);
}

/* The conductor alone is told: it ends its command, too. */
static void test_stopped_run_ends_its_command(void **state)
{
	struct stage *stage = *state;
	struct squall *squall = run_command(stage, &by_sudo, 0);
	pid_t command = await_command(stage);

	assert_int_equal(squall_call(stage, NULL, "stop"), 0);
	squall_assert_exit(squall, 4);
	assert_true(process_await_gone(command, PROMPTLY_MS));
	stage_assert_fast(stage, "10.88.0.2", NETLAB_PORT);
	stage_assert_clean(stage);
}

static void test_killed_conductor_takes_its_command_along(void **state)
{
	struct stage *stage = *state;
	struct squall *squall = run_command(stage, &by_sudo, 0);
	pid_t command = await_command(stage);

	squall_signal(squall, SIGKILL);
	stage_until_fast(stage, "10.88.0.2", NETLAB_PORT, PROMPTLY_MS);
	squall_assert_exit(squall, 128 + SIGKILL);
	assert_true(process_await_gone(command, PROMPTLY_MS));
	stage_await_finished(stage);
	stage_assert_clean(stage);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_command_is_the_users_and_meets_the_fault),
		TEST(test_failing_command_fails_the_run),
		TEST(test_interrupt_reaches_both),
		TEST(test_stopped_run_ends_its_command),
		TEST(test_killed_conductor_takes_its_command_along),
	};

	return STAGE_RUN(tests);
}
