/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What an experiment says of time, seen on running traffic: a delay in pulses loses and reorders
 * nothing, and a ramp of it grows until it is whole.
 */
#include "tests/support/netlab_ways.h"
#include "tests/support/squall_runner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PULSES	 3
#define DELAY_MS 60
#define MSEC	 1e6

static struct squall *run(struct stage *stage, const char *step)
{
	const char *path = stage_write(stage, "timed.yaml",
				       "version: 1\n"
				       "title: timed\n"
				       "limits: {duration: 1m, targets: 1}\n"
				       "time-scale: %u\n"
				       "method: [%s]\n",
				       is_emulated() ? 1 : 4, step);

	return squall_start(stage, NULL, "run --json %s", path);
}

static void test_pulses_of_delay_lose_and_reorder_nothing(void **state)
{
	struct stage *stage = *state;
	/* goes on from before the first pulse until after the last */
	const struct netlab_flow flow = {.count = is_emulated() ? 10000 : 3000,
					 .size = 200,
					 .at_once = 2,
					 .pause_us = 1000,
					 .quiet_ms = is_emulated() ? 1000 : 250};
	/* before Linux 5.16: to add one, and to remove it, takes what waits in the queue */
	const bool needs_clsact = netlab_by_filters(stage->lab);
	struct squall *squall;
	struct netlab_seen seen;

	if (needs_clsact)
		netlab_run("tc -n %s qdisc add dev sqv0 clsact", stage->lab->near);
	squall = run(stage, "{at: 200ms, repeat: 3, every: 2s, active: 1s,"
			    " network: {to: 10.88.0.2, delay: 60ms}}");
	squall_await_armed(squall);
	netlab_flow_run(stage->lab, &flow, &seen);
	for (unsigned pulse = 1; pulse <= PULSES; pulse++)
		squall_await_nth(squall, "ended", pulse);
	squall_assert_exit(squall, 0);
	print_message("  %u of %u arrived, %u twice, %u overtaken, %.0f %% of them late\n",
		      seen.arrived, flow.count, seen.duplicated, seen.overtaken,
		      100 - 100 * netlab_seen_below(&seen, DELAY_MS * MSEC));
	assert_int_equal(seen.arrived, flow.count);
	assert_int_equal(seen.duplicated, 0);
	assert_true(seen.overtaken <= (is_emulated() ? flow.count / 100 : 0));
	assert_true(netlab_seen_below(&seen, DELAY_MS * MSEC) < 0.9);
	assert_true(netlab_seen_below(&seen, DELAY_MS * MSEC / 2) > 0.2);
	free(seen.delays_ns);
	if (needs_clsact)
		netlab_run("tc -n %s qdisc del dev sqv0 clsact", stage->lab->near);
	stage_assert_clean(stage);
}

/* The fastest round trip of each quarter of the rise: never faster than the strength at the
 * quarter's begin, and slow only towards the end. (A single one may be late on a busy machine.) */
static void test_a_ramp_of_delay_grows(void **state)
{
	enum { WHOLE_MS = 240, QUARTERS = 4, STEP_MS = 12 };
	struct stage *stage = *state;
	const int64_t quarter_ns = (is_emulated() ? 2000 : 500) * NSEC_PER_MSEC;
	struct squall *squall = run(stage, "{at: 0s, for: 10s, ramp: 8s,"
					   " network: {to: 10.88.0.2, delay: 240ms}}");
	int64_t least_ns[QUARTERS] = {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX}, start_ns;

	squall_await(squall, "injected");
	start_ns = clock_now_ns();
	for (int64_t quarter; (quarter = (clock_now_ns() - start_ns) / quarter_ns) < QUARTERS;) {
		int64_t took_ns = netlab_round_trip(stage->lab, "10.88.0.2", NETLAB_PORT, 3000);

		assert_true(took_ns > 0);
		least_ns[quarter] = took_ns < least_ns[quarter] ? took_ns : least_ns[quarter];
		pause_ms(5);
	}
	for (int i = 0; i < QUARTERS; i++) {
		print_message("  quarter %d: %.1f ms\n", i, (double)least_ns[i] / MSEC);
		assert_true((double)least_ns[i] >= (WHOLE_MS * i / QUARTERS - STEP_MS) * MSEC);
	}
	assert_true((double)least_ns[0] < WHOLE_MS / 2.0 * MSEC);
	assert_true((double)least_ns[1] < WHOLE_MS * MSEC);
	assert_true(netlab_fastest(stage->lab, "10.88.0.2", NETLAB_PORT, 1) >=
		    WHOLE_MS * NSEC_PER_MSEC);
	squall_assert_exit(squall, 0);
	stage_assert_fast(stage, "10.88.0.2", NETLAB_PORT);
	stage_assert_clean(stage);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_pulses_of_delay_lose_and_reorder_nothing,
						stage_setup, stage_teardown),
		cmocka_unit_test_setup_teardown(test_a_ramp_of_delay_grows, stage_setup,
						stage_teardown),
	};

	return STAGE_RUN(tests);
}
