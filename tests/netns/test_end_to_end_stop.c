/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The real binary, stopped before its planned end: by an abort condition, a signal, `squall stop`,
 * the deadline; during a fault and in the middle of every wait. Out of force at once, the right
 * exit code, and the time it took in the result.
 */
#include "tests/support/squall_runner.h"

#include "injector/base/cleanup.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PROMPTLY_MS (is_emulated() ? 6000 : 1000)

/* What each test wants to have in the file beside the delay of one port. */
struct wish {
	const char *duration, *probes, *steady, *aborts, *more_steps, *recovery;
	const char *at, *lasts; /* of the delay; default 0s, 20s */
};

static struct squall *run(struct stage *stage, const struct wish *wish)
{
	const char *path =
		stage_write(stage, "stop.yaml",
			    "version: 1\n"
			    "title: to be stopped\n"
			    "limits: {duration: %s, targets: 2}\n"
			    "targets:\n"
			    "  far: {to: \"10.88.0.2:7001\"}\n"
			    "  other: {to: \"10.88.0.2:7002\"}\n"
			    "%s%s%s"
			    "method:\n"
			    "  - {at: %s, for: %s, network: {target: far, delay: 100ms}}\n"
			    "%s%s",
			    wish->duration ?: "60s", wish->probes ?: "", wish->steady ?: "",
			    wish->aborts ?: "", wish->at ?: "0s", wish->lasts ?: "20s",
			    wish->more_steps ?: "", wish->recovery ?: "");

	return squall_start(stage, NULL, "run --json %s", path);
}

/* What is told later has not happened earlier, so that a log reads from top to bottom. */
static void assert_in_order_of_time(const json_t *result)
{
	const json_t *log = json_object_get(result, "log"), *entry;
	int64_t last_ns = 0;
	bool is_stopping = false;
	size_t i;

	json_array_foreach (log, i, entry) {
		int64_t after_ns = member_number(entry, "after_ns");

		is_stopping |= strcmp(member_text(entry, "event"), "stopping") == 0;
		if (is_stopping && after_ns < last_ns)
			fail_msg("'%s' is told behind what came later", member_text(entry, "text"));
		last_ns = after_ns;
	}
	assert_true(is_stopping);
}

/* The stop as the events and the stored result tell it. */
static void assert_stopped(struct squall *squall, int code, const char *cause, bool in_force)
{
	json_t *result, *stop, *event;
	int64_t latency_ns;

	squall_assert_exit(squall, code);
	assert_string_equal(member_text(squall_event(squall, "stopping"), "cause"), cause);
	event = squall_event(squall, "result");
	assert_int_equal(member_number(event, "exit_code"), code);
	result = stage_result(squall->stage, member_text(squall_event(squall, "armed"), "run"));
	stop = json_object_get(result, "stop");
	assert_string_equal(member_text(stop, "cause"), cause);
	assert_int_equal(member_number(result, "exit_code"), code);
	assert_in_order_of_time(result);
	if (in_force) {
		latency_ns = member_number(stop, "latency_ns");
		printf("# %s: out of force after %.3f ms\n", cause, (double)latency_ns / 1e6);
		assert_in_range(latency_ns, 1, PROMPTLY_MS * NSEC_PER_MSEC);
		assert_int_equal(member_number(event, "stop_latency_ns"), latency_ns);
	}
	json_decref(result);
	stage_assert_fast(squall->stage, "10.88.0.2", NETLAB_PORT);
	stage_assert_clean(squall->stage);
}

/* ---- Abort conditions ---- */

#define PROBE(expect)                                                                              \
	"probes:\n"                                                                                \
	"  far: {tcp: \"10.88.0.2:7001\", every: 50ms, timeout: 8s, expect: {" expect "}}\n"

static void test_abort_by_failures_in_a_row(void **state)
{
	const struct wish wish = {.probes = PROBE("latency: \"< 70ms\""),
				  .aborts = "abort-when:\n  - {probe: far, fails: 3}\n"};
	struct stage *stage = *state;
	struct squall *squall = run(stage, &wish);
	json_t *event;
	unsigned failed = 0;
	size_t i;

	squall_await(squall, "breach");
	/* 3 failures, no fewer */
	json_array_foreach (squall->events, i, event) {
		if (strcmp(member_text(event, "event"), "breach") == 0)
			break;
		if (strcmp(member_text(event, "event"), "sample") == 0)
			failed = strcmp(member_text(event, "result"), "pass") == 0 ? 0 : failed + 1;
	}
	assert_int_equal(failed, 3);
	assert_stopped(squall, 3, "breach", true);
	stage_assert_reports(stage, "aborted", "far");
}

static void test_abort_by_a_share_over_a_window(void **state)
{
	const struct wish wish = {.probes = PROBE("latency: \"< 70ms\""),
				  .aborts =
					  "abort-when:\n  - {probe: far, fails: 50%, over: 1s}\n"};
	struct stage *stage = *state;
	struct squall *squall = run(stage, &wish);
	int64_t injected_ns, breach_ns;

	injected_ns = member_number(squall_await(squall, "injected"), "elapsed_ns");
	breach_ns = member_number(squall_await(squall, "breach"), "elapsed_ns");
	/* half of the 20 attempts of a second, no sooner */
	assert_in_range(breach_ns - injected_ns, 400 * NSEC_PER_MSEC, 8 * NSEC_PER_SEC);
	assert_stopped(squall, 3, "breach", true);
}

/* A probe that cannot be made is as bad as one that fails. */
static void test_abort_by_unknown_probes(void **state)
{
	const struct wish wish = {
		.probes = "probes:\n"
			  "  gone: {command: [/nonexistent/sqee], every: 100ms, timeout: 8s}\n",
		.aborts = "abort-when:\n  - {probe: gone, fails: 2}\n"};
	struct stage *stage = *state;
	struct squall *squall = run(stage, &wish);

	squall_await(squall, "breach");
	assert_string_equal(member_text(squall_event(squall, "sample"), "result"), "unknown");
	assert_stopped(squall, 3, "breach", true);
}

/* ---- From outside, during the fault ---- */

static void test_signals_during_the_fault(void **state)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	static const struct wish wish;
	struct stage *stage = *state;

	for (unsigned i = 0; i < sizeof(signals) / sizeof(*signals); i++) {
		struct squall *squall = run(stage, &wish);

		squall_await_injected(squall);
		stage_assert_delay(stage, "10.88.0.2", NETLAB_PORT, 100);
		squall_signal(squall, signals[i]);
		stage_until_fast(stage, "10.88.0.2", NETLAB_PORT, PROMPTLY_MS);
		assert_stopped(squall, 4, "signal", true);
		if (signals[i] == SIGINT)
			stage_assert_reports(stage, "interrupted", "SIGINT");
	}
}

/* A second Ctrl-C is impatience, not another order; nor does Ctrl-Z leave a fault in force. */
static void test_many_signals_are_one(void **state)
{
	static const struct wish wish;
	struct stage *stage = *state;
	struct squall *squall = run(stage, &wish);

	squall_await_injected(squall);
	squall_signal(squall, SIGTSTP);
	for (unsigned i = 0; i < 20; i++)
		kill(-squall->pid, i % 2 ? SIGINT : SIGTERM);
	assert_stopped(squall, 4, "signal", true);
}

static void test_stop_command(void **state)
{
	static const struct wish wish;
	struct stage *stage = *state;
	struct squall *squall = run(stage, &wish);

	squall_await_injected(squall);
	assert_int_equal(squall_call(stage, NULL, "stop"), 0);
	/* when it returns all is over */
	stage_assert_fast(stage, "10.88.0.2", NETLAB_PORT);
	assert_stopped(squall, 4, "request", true);
}

static void test_halt_command(void **state)
{
	static const struct wish wish;
	struct stage *stage = *state;
	struct squall *squall = run(stage, &wish);

	squall_await_injected(squall);
	assert_int_equal(squall_call(stage, NULL, "halt --reason test"), 0);
	stage_assert_fast(stage, "10.88.0.2", NETLAB_PORT);
	squall_assert_exit(squall, 4);
	assert_int_equal(squall_call(stage, NULL, "resume"), 0);
	stage_assert_clean(stage);
}

/* The file's times fit into its 2 s, but the steady state is late. */
static void test_deadline(void **state)
{
	struct stage *stage = *state;
	char probes[300];
	const struct wish wish = {.duration = "2s",
				  .lasts = "1500ms",
				  .probes = probes,
				  .steady = "steady-state: {require: [ready], for: 100ms, within: "
					    "20s}\n"};
	struct squall *squall;
	int64_t took_ns;

	snprintf(probes, sizeof(probes),
		 "probes:\n"
		 "  ready: {command: [/usr/bin/test, -e, %s], every: 100ms, timeout: 8s}\n",
		 stage_path(stage, "ready"));
	squall = run(stage, &wish);
	squall_await_armed(squall);
	pause_ms(900);
	stage_write(stage, "ready", "yes");
	squall_await_injected(squall);
	squall_await_exit(squall);
	took_ns = member_number(squall_event(squall, "stopping"), "elapsed_ns") -
		  member_number(squall_event(squall, "armed"), "elapsed_ns");
	assert_in_range(took_ns, 1900 * NSEC_PER_MSEC, (2000 + PROMPTLY_MS) * NSEC_PER_MSEC);
	assert_stopped(squall, 4, "deadline", true);
}

/* ---- In the middle of a wait ---- */

static void test_signal_while_waiting_for_the_steady_state(void **state)
{
	const struct wish wish = {.probes = PROBE("latency: \"< 5s\""),
				  .steady = "steady-state: {require: [far], for: 30s}\n"};
	struct stage *stage = *state;
	struct squall *squall = run(stage, &wish);
	int64_t start_ns;

	squall_await_armed(squall);
	squall_await_phase(squall, "steady-state");
	squall_await_nth(squall, "sample", 3);
	start_ns = clock_now_ns();
	squall_signal(squall, SIGINT);
	squall_await_exit(squall);
	assert_in_range(clock_now_ns() - start_ns, 0, PROMPTLY_MS * NSEC_PER_MSEC);
	assert_null(squall_event(squall, "injected"));
	assert_stopped(squall, 4, "signal", true);
}

static void test_stop_between_two_steps(void **state)
{
	const struct wish wish = {
		.lasts = "300ms",
		.more_steps = "  - {at: 40s, for: 1s, network: {target: other, delay: 100ms}}\n"};
	struct stage *stage = *state;
	struct squall *squall = run(stage, &wish);
	int64_t start_ns;

	squall_await_injected(squall);
	squall_await(squall, "restored");
	pause_ms(100);
	start_ns = clock_now_ns();
	assert_int_equal(squall_call(stage, NULL, "stop %s", squall->run_id), 0);
	squall_await_exit(squall);
	assert_in_range(clock_now_ns() - start_ns, 0, PROMPTLY_MS * NSEC_PER_MSEC);
	assert_stopped(squall, 4, "request", true);
}

/* All is restored by then: only the watching ends. */
static void test_signal_while_waiting_for_the_recovery(void **state)
{
	const struct wish wish = {.lasts = "300ms",
				  .probes = PROBE("latency: \"< 5s\""),
				  .recovery =
					  "recovery: {require: [far], within: 30s, hold: 25s}\n"};
	struct stage *stage = *state;
	struct squall *squall = run(stage, &wish);
	int64_t start_ns;

	squall_await_armed(squall);
	squall_await_phase(squall, "recovery");
	pause_ms(100);
	start_ns = clock_now_ns();
	squall_signal(squall, SIGTERM);
	squall_await_exit(squall);
	assert_in_range(clock_now_ns() - start_ns, 0, PROMPTLY_MS * NSEC_PER_MSEC);
	assert_stopped(squall, 4, "signal", false);
}

/* A delay of a second holds packets back when it is ended: abort does not wait for them. */
static void test_long_delay_ends_at_once(void **state)
{
	struct stage *stage = *state;
	struct squall *squall = squall_start(
		stage, NULL, "inject --json network to=10.88.0.2:7001 delay=10s for=30s");

	squall_await_injected(squall);
	netlab_answers(stage->lab, "10.88.0.2", NETLAB_PORT, 50);
	squall_signal(squall, SIGINT);
	stage_until_fast(stage, "10.88.0.2", NETLAB_PORT, PROMPTLY_MS);
	assert_stopped(squall, 4, "signal", true);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)

/* The first of two that begin together cannot be had, and the other is asked for already: that is
 * in force when this is known, and is restored and told of. */
static void test_one_of_two_cannot_be_injected(void **state)
{
	static const char text[] = "version: 1\n"
				   "title: one of two\n"
				   "allow-idle: true\n"
				   "limits: {duration: 60s, targets: 4}\n"
				   "probes:\n"
				   "  far: {tcp: \"10.88.0.2:7001\", every: 50ms, timeout: 5s}\n"
				   "steady-state: {require: [far], for: 800ms}\n"
				   "targets:\n"
				   "  gone: {interface: sqx0, to: \"10.99.0.1\"}\n"
				   "  other: {to: \"10.88.0.2:7002\"}\n"
				   "method:\n"
				   "  - {at: 0s, for: 20s, network: {target: gone, loss: 100%}}\n"
				   "  - {at: 0s, for: 20s, network: {target: other, loss: 100%}}\n";
	struct stage *stage = *state;
	struct squall *squall;
	int code;

	netlab_run("ip -n %s link add sqx0 type veth peer name sqx1", stage->lab->near);
	netlab_run("ip -n %s link set sqx0 up", stage->lab->near);
	squall = squall_start(stage, NULL, "run --json %s",
			      stage_write(stage, "two.yaml", "%s", text));
	squall_await_armed(squall);
	netlab_run("ip -n %s link delete sqx0", stage->lab->near);
	code = squall_await_exit(squall);
	assert_non_null(squall_event(squall, "inject-failed"));
	assert_non_null(squall_event(squall, "stopping"));
	assert_int_not_equal(code, 0);
	assert_int_not_equal(code, 6); /* all is restored, by proof */
	assert_int_equal(squall_event(squall, "injected") != NULL,
			 squall_event(squall, "restored") != NULL);
	stage_assert_fast(stage, "10.88.0.2", NETLAB_OTHER_PORT);
	stage_assert_clean(stage);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_abort_by_failures_in_a_row),
		TEST(test_abort_by_a_share_over_a_window),
		TEST(test_abort_by_unknown_probes),
		TEST(test_signals_during_the_fault),
		TEST(test_many_signals_are_one),
		TEST(test_stop_command),
		TEST(test_halt_command),
		TEST(test_deadline),
		TEST(test_signal_while_waiting_for_the_steady_state),
		TEST(test_stop_between_two_steps),
		TEST(test_signal_while_waiting_for_the_recovery),
		TEST(test_long_delay_ends_at_once),
		TEST(test_one_of_two_cannot_be_injected),
	};

	return STAGE_RUN(tests);
}
