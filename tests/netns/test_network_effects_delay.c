/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * When packets of a network fault arrive: delay, jitter of each distribution, and who overtakes
 * whom.
 */
#include "tests/netns/effects_bench.h"

#include "faults/network_effect.h"

#include <math.h>

static void test_delay(void **state)
{
	struct netlab_seen seen = SEE(&steady, "delay", "20ms");

	assert_int_equal(seen.arrived, COUNT);
	assert_in_order(&seen);
	assert_true(seen.least_ns >= 20 * MSEC);
	assert_true(seen.least_ns < 25 * MSEC);
	free(seen.delays_ns);
}

static void test_jitter_is_even(void **state)
{
	struct netlab_seen seen = SEE(&steady, "delay", "40ms", "jitter", "20ms");

	assert_int_equal(seen.arrived, COUNT);
	assert_true(seen.least_ns >= 20 * MSEC && seen.least_ns < 22 * MSEC);
	assert_true(netlab_seen_below(&seen, 30 * MSEC) < 0.27);
	assert_true(fabs(median(&seen) - 40 * MSEC) < 4 * MSEC);
	assert_true(fabs(seen.deviation_ns - 40 * MSEC / sqrt(12)) < 2 * MSEC);
	free(seen.delays_ns);
}

/* What would be early leaves at once: of -20 to 40 ms a third. */
static void test_jitter_beyond_the_delay(void **state)
{
	struct netlab_seen seen = SEE(&steady, "delay", "10ms", "jitter", "30ms");

	assert_int_equal(seen.arrived, COUNT);
	assert_true(fabs(netlab_seen_below(&seen, 1 * MSEC) - 0.35) < 0.06);
	assert_true(fabs(netlab_seen_below(&seen, 25 * MSEC) - 0.75) < 0.06);
	free(seen.delays_ns);
}

static void test_jitter_of_a_normal_distribution(void **state)
{
	struct netlab_seen seen =
		SEE(&steady, "delay", "60ms", "jitter", "15ms", "distribution", "normal");

	assert_true(fabs(median(&seen) - 60 * MSEC) < 4 * MSEC);
	assert_true(fabs(seen.deviation_ns - 15 * MSEC) < 1.5 * MSEC);
	/* one deviation below the mean: 15.9 % */
	assert_true(fabs(netlab_seen_below(&seen, 45 * MSEC) - 0.159) < 0.05);
	free(seen.delays_ns);
}

static void test_jitter_of_a_pareto_distribution(void **state)
{
	struct netlab_seen seen =
		SEE(&steady, "delay", "60ms", "jitter", "15ms", "distribution", "pareto");

	/* nothing is faster than mean - 2/3 jitter; half of all is below mean - 0.32 jitter */
	assert_true(seen.least_ns >= 49.9 * MSEC && seen.least_ns < 52 * MSEC);
	assert_true(fabs(median(&seen) - 55.2 * MSEC) < 4 * MSEC);
	free(seen.delays_ns);
}

/* Its table gives what so many of 4096 are below. */
static void test_jitter_of_pareto_and_normal(void **state)
{
	const struct netem_table *table = network_distribution(NETWORK_PARETONORMAL);
	struct netlab_seen seen =
		SEE(&steady, "delay", "60ms", "jitter", "15ms", "distribution", "paretonormal");

	for (unsigned tenths = 1; tenths < 10; tenths += 4) {
		const int value = table->values[NETEM_TABLE_SIZE * tenths / 10];
		const double below =
			netlab_seen_below(&seen, 60 * MSEC + 15 * MSEC * value / NETEM_DIST_SCALE);

		if (fabs(below - tenths / 10.0) > 0.06)
			fail_msg("%.3f instead of 0.%u", below, tenths);
	}
	free(seen.delays_ns);
}

static void test_correlated_jitter_changes_slowly(void **state)
{
	struct netlab_flow one_by_one = steady;
	struct netlab_seen free_seen, bound_seen;

	one_by_one.at_once = 1;
	one_by_one.count = 500;
	free_seen = SEE(&one_by_one, "delay", "40ms", "jitter", "20ms", "distribution", "normal");
	bound_seen = SEE(&one_by_one, "delay", "40ms", "jitter", "20ms", "distribution", "normal",
			 "delay-correlation", "99.9%");
	/* neighbours are a millisecond apart, and so are their delays */
	assert_true(bound_seen.overtaken < free_seen.overtaken / 2);
	free(free_seen.delays_ns);
	free(bound_seen.delays_ns);
}

static void test_measured_round_trips(void **state)
{
	/* one in four takes 90 ms */
	struct netlab_seen seen =
		SEE(&steady, "distribution-samples", "10ms", "distribution-samples", "10ms",
		    "distribution-samples", "10ms", "distribution-samples", "90ms");

	assert_true(seen.least_ns > 9.8 * MSEC && seen.least_ns < 13 * MSEC);
	assert_true(fabs(netlab_seen_below(&seen, 15 * MSEC) - 0.63) < 0.05);
	assert_true(fabs(netlab_seen_below(&seen, 85 * MSEC) - 0.86) < 0.05);
	free(seen.delays_ns);
}

static void test_reordering(void **state)
{
	struct netlab_seen seen = SEE(&steady, "delay", "50ms", "reorder", "25%");

	assert_int_equal(seen.arrived, COUNT);
	/* what overtakes is not delayed at all */
	netlab_assert_share((unsigned)(netlab_seen_below(&seen, 40 * MSEC) * COUNT), COUNT, 0.25,
			    1);
	assert_true(seen.overtaken > COUNT / 2);
	free(seen.delays_ns);
}

/* A weighted mean of draws is seldom far from its middle, with netem, too. */
static void test_correlated_reordering(void **state)
{
	struct netlab_seen half =
		SEE(&steady, "delay", "50ms", "reorder", "50%", "reorder-correlation", "75%");
	struct netlab_seen some =
		SEE(&steady, "delay", "50ms", "reorder", "25%", "reorder-correlation", "75%");

	netlab_assert_share((unsigned)(netlab_seen_below(&half, 40 * MSEC) * COUNT), COUNT, 0.5,
			    2.5);
	assert_in_range((unsigned)(netlab_seen_below(&some, 40 * MSEC) * COUNT), 1, COUNT / 12);
	free(half.delays_ns);
	free(some.delays_ns);
}

static void test_reordering_with_a_gap(void **state)
{
	struct both *both = *state;
	struct netlab_seen seen =
		SEE(&steady, "delay", "50ms", "reorder", "100%", "reorder-gap", "5");

	netlab_assert_share((unsigned)(netlab_seen_below(&seen, 40 * MSEC) * COUNT), COUNT, 0.2,
			    0.2);
	if (both->is_line)
		assert_int_equal(told_of(&seen, "reordered"), COUNT / 5);
	free(seen.delays_ns);
}

int main(void)
{
#define ALL(WAY)                                                                                   \
	WAY(test_delay), WAY(test_jitter_is_even), WAY(test_jitter_beyond_the_delay),              \
		WAY(test_jitter_of_a_normal_distribution),                                         \
		WAY(test_jitter_of_a_pareto_distribution), WAY(test_measured_round_trips),         \
		WAY(test_jitter_of_pareto_and_normal), WAY(test_reordering),                       \
		WAY(test_correlated_reordering), WAY(test_reordering_with_a_gap)
	/* netem cannot: there it is a delay line as well */
	const struct CMUnitTest line[] = {ALL(LINE), LINE(test_correlated_jitter_changes_slowly)};
	const struct CMUnitTest netem[] = {ALL(NETEM)};

	return RUN_EFFECTS(line, netem);
}
