/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Probes at their worst in whole runs: broken, hanging, slower than their interval, five hundred at
 * once, and a clock that jumps. Each has its exit code, a report that says why, and a restored
 * machine.
 */
#include "tests/support/squall_runner.h"

#include "injector/base/cleanup.h"

#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* A delay of 100 ms for `lasts`, and what stands behind it in the file. */
static struct squall *start(struct stage *stage, const char *lasts, const char *rest)
{
	return squall_start(
		stage, NULL, "run --json %s",
		stage_write(stage, "probes.yaml",
			    "version: 1\n"
			    "title: probes\n"
			    "limits: {duration: 60s, targets: 1}\n"
			    "allow-idle: true\n"
			    "targets: {far: {to: \"10.88.0.2:7001\"}}\n"
			    "method: [{at: 0s, for: %s, network: {target: far, delay: 100ms}}]\n"
			    "%s",
			    lasts, rest));
}

static void assert_end(struct squall *squall, int code, const char *verdict, const char *why)
{
	json_t *result;

	squall_assert_exit(squall, code);
	result = stage_result(squall->stage, member_text(squall_event(squall, "armed"), "run"));
	assert_string_equal(member_text(result, "verdict"), verdict);
	if (!strstr(member_text(result, "why"), why))
		fail_msg("'%s' is not said by: %s", why, member_text(result, "why"));
	json_decref(result);
	stage_assert_reports(squall->stage, verdict, why);
	stage_assert_fast(squall->stage, "10.88.0.2", NETLAB_PORT);
	stage_assert_clean(squall->stage);
}

/* It cannot be made: for an abort condition that is a breach, after its own limit. */
static void test_a_broken_probe_aborts(void **state)
{
	struct squall *squall =
		start(*state, "50s",
		      "probes: {broken: {command: [/there/is/none], every: 100ms}}\n"
		      "abort-when: [{probe: broken, fails: 3}]\n");

	assert_end(squall, 3, "aborted", "broken");
}

static void test_a_hanging_probe_aborts(void **state)
{
	struct squall *squall = start(
		*state, "50s",
		"probes: {hangs: {command: [/bin/sleep, 1000], every: 100ms, timeout: 300ms}}\n"
		"abort-when: [{probe: hangs, fails: 2}]\n");

	assert_end(squall, 3, "aborted", "timed out after 300ms");
}

/* It misses most of its ticks and holds up nobody: the end of the fault is not late. */
static void test_a_probe_slower_than_its_interval(void **state)
{
	struct squall *squall =
		start(*state, "1500ms",
		      "probes:\n"
		      "  slow: {command: [/bin/sleep, 0.4], every: 50ms, timeout: 20s}\n"
		      "  far: {tcp: \"10.88.0.2:7001\", every: 100ms, timeout: 20s}\n");
	int64_t injected_ns, ended_ns;

	squall_await(squall, "ended");
	injected_ns = member_number(squall_event(squall, "injected"), "elapsed_ns");
	ended_ns = member_number(squall_event(squall, "ended"), "elapsed_ns");
	if (ended_ns - injected_ns > (is_emulated() ? 8000 : 3000) * NSEC_PER_MSEC)
		fail_msg("it lasted %lld ns", (long long)(ended_ns - injected_ns));
	assert_end(squall, 0, "held", "every attempt passed");
}

static void test_five_hundred_probes(void **state)
{
	cleanup_free char *probes = NULL;
	struct squall *squall;
	size_t size;
	FILE *out = open_memstream(&probes, &size);

	assert_non_null(out);
	fputs("probes:\n", out);
	for (unsigned i = 0; i < 500; i++)
		fprintf(out, "  p%u: {tcp: \"10.88.0.2:7001\", every: 2s, timeout: 50s}\n", i);
	fputs("steady-state: {require: [p0, p499], for: 100ms}\n"
	      "recovery: {require: [p0, p250, p499], within: 50s}\n",
	      out);
	fclose(out);
	squall = start(*state, "2s", probes);
	assert_end(squall, 0, "held", "every attempt passed");
}

/* Only in the test machine: the clock is everybody's. Nothing that waits or measures goes by it. */
static void test_a_clock_that_jumps(void **state)
{
	struct timespec now;
	struct squall *squall;
	json_t *stopped;

	if (!is_emulated())
		stage_skip("this machine's clock is left alone: the test machine has its own");
	squall = start(*state, "4s",
		       "probes: {far: {tcp: \"10.88.0.2:7001\", every: 100ms, timeout: 30s}}\n");
	squall_await_injected(squall);
	for (unsigned i = 0; i < 4; i++) {
		clock_gettime(CLOCK_REALTIME, &now);
		now.tv_sec += i % 2 ? 86400 : -86400;
		assert_int_equal(clock_settime(CLOCK_REALTIME, &now), 0);
		pause_ms(300);
		assert_null(squall_event(squall, "ended"));
	}
	stopped = squall_await(squall, "ended");
	if (member_number(stopped, "elapsed_ns") -
		    member_number(squall_event(squall, "injected"), "elapsed_ns") >
	    20 * NSEC_PER_SEC)
		fail_msg("a jump of the clock prolonged the fault");
	assert_end(squall, 0, "held", "every attempt passed");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_broken_probe_aborts),
		TEST(test_a_hanging_probe_aborts),
		TEST(test_a_probe_slower_than_its_interval),
		TEST(test_five_hundred_probes),
		TEST(test_a_clock_that_jumps),
	};

	return STAGE_RUN(tests);
}
