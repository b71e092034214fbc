/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which packets of a network fault arrive, how often and how well: loss by chance and in bursts,
 * duplicates, damage, marks in place of losses; and that a seed repeats itself.
 */
#include "tests/netns/effects_bench.h"
#include "tests/support/kernel_version.h"

#include "faults/network.h"
#include "faults/network_support.h"

#include <math.h>

/* netem counts what it did to packets since Linux 7.2; before, what it marks is among its drops. */
static bool tells_fates(const struct both *both)
{
	return both->is_line || kernel_is_at_least(7, 2);
}

static void test_loss(void **state)
{
	struct netlab_seen seen = SEE(&steady, "loss", "10%");

	netlab_assert_share(COUNT - seen.arrived, COUNT, 0.1, 1);
	/* no bursts but those of chance: 9 of 10 losses begin one */
	netlab_assert_share(seen.bursts, COUNT - seen.arrived, 0.9, 1);
	free(seen.delays_ns);
}

static void test_gilbert_elliott_loses_in_bursts(void **state)
{
	struct netlab_seen seen = SEE(&steady, "gemodel-p", "2%", "gemodel-r", "20%");
	double burst;

	/* p / (p + r); neighbours are alike (correlation 0.78) */
	netlab_assert_share(COUNT - seen.arrived, COUNT, 0.02 / 0.22, sqrt(1.78 / 0.22));
	burst = (double)(COUNT - seen.arrived) / seen.bursts; /* 1 / r */
	assert_true(burst > 3.5 && burst < 6.8);
	free(seen.delays_ns);
}

static void test_four_states_lose_in_bursts_and_alone(void **state)
{
	struct netlab_seen seen =
		SEE(&steady, "state-p13", "1%", "state-p31", "25%", "state-p14", "2%");
	double one = 1 / (1 + 0.01 / 0.25 + 0.02); /* share of the first state */

	netlab_assert_share(COUNT - seen.arrived, COUNT, 1 - one, 2.5);
	/* bursts of four, and twice as many of one: two on average */
	assert_true((double)(COUNT - seen.arrived) / seen.bursts > 1.3);
	assert_true((double)(COUNT - seen.arrived) / seen.bursts < 2.9);
	free(seen.delays_ns);
}

/* From each of the three states a fifth goes to where packets are lost; from there most go on: with
 * the defaults of the last two it would be a third that is lost, and bursts of more. */
static void test_four_states_leave_a_burst_for_a_while(void **state)
{
	struct netlab_seen seen = SEE(&steady, "state-p13", "20%", "state-p31", "40%", "state-p32",
				      "40%", "state-p23", "20%");

	netlab_assert_share(COUNT - seen.arrived, COUNT, 0.2, 1);
	netlab_assert_share(seen.bursts, COUNT - seen.arrived, 0.8, 1);
	free(seen.delays_ns);
}

/* Either state comes with a half each time, whatever was before. */
static void test_gilbert_elliott_loses_some_in_either_state(void **state)
{
	struct netlab_seen seen = SEE(&steady, "gemodel-p", "50%", "gemodel-r", "50%",
				      "gemodel-1-h", "60%", "gemodel-1-k", "10%");

	netlab_assert_share(COUNT - seen.arrived, COUNT, (0.6 + 0.1) / 2, 1);
	free(seen.delays_ns);
}

static void test_correlated_losses_come_together(void **state)
{
	struct netlab_seen seen = SEE(&steady, "loss", "50%", "loss-correlation", "75%");

	netlab_assert_share(COUNT - seen.arrived, COUNT, 0.5, 2.5);
	/* every second one by itself; of alike ones (0.54) a quarter */
	assert_true((double)seen.bursts / (COUNT - seen.arrived) > 0.15);
	assert_true((double)seen.bursts / (COUNT - seen.arrived) < 0.33);
	free(seen.delays_ns);
}

/* A weighted mean of draws is seldom far from its middle: of a quarter some hundredth is left, of a
 * half a half. So it is with netem. */
static void test_correlated_duplicates(void **state)
{
	struct netlab_seen half = SEE(&steady, "duplicate", "50%", "duplicate-correlation", "75%");
	struct netlab_seen some = SEE(&steady, "duplicate", "25%", "duplicate-correlation", "75%");

	netlab_assert_share(half.duplicated, COUNT, 0.5, 2.5);
	assert_in_range(some.duplicated, 1, COUNT / 12);
	free(half.delays_ns);
	free(some.delays_ns);
}

static void test_correlated_damage(void **state)
{
	struct netlab_flow flow = steady;
	struct netlab_seen half, some;

	flow.has_no_sum = true;
	flow.size = 1000;
	half = SEE(&flow, "corrupt", "50%", "corrupt-correlation", "75%");
	some = SEE(&flow, "corrupt", "25%", "corrupt-correlation", "75%");
	netlab_assert_share(half.damaged, COUNT, 0.5 * 1000 / 1042, 2.5);
	assert_in_range(some.damaged, 1, COUNT / 12);
	free(half.delays_ns);
	free(some.delays_ns);
}

static void test_duplicates(void **state)
{
	struct both *both = *state;
	struct netlab_seen seen = SEE(&steady, "duplicate", "10%");

	assert_int_equal(seen.arrived, COUNT);
	netlab_assert_share(seen.duplicated, COUNT, 0.1, 1);
	assert_int_equal(seen.told.passed, COUNT + seen.duplicated);
	if (tells_fates(both))
		assert_int_equal(told_of(&seen, "duplicated"), seen.duplicated);
	free(seen.delays_ns);
}

static void test_damage_reaches_who_does_not_check(void **state)
{
	struct netlab_flow flow = steady;
	struct netlab_seen seen;

	flow.has_no_sum = true;
	flow.size = 1000;
	seen = SEE(&flow, "corrupt", "20%");
	/* one bit, anywhere in 1042 bytes; what hits a header is dropped on the way or at the end
	 */
	netlab_assert_share(seen.damaged, COUNT, 0.2 * 1000 / 1042, 1);
	assert_true(seen.arrived >= COUNT * 97 / 100);
	free(seen.delays_ns);
}

static void test_damage_is_dropped_by_who_checks(void **state)
{
	struct both *both = *state;
	struct netlab_seen seen = SEE(&steady, "corrupt", "20%");

	assert_int_equal(seen.damaged, 0);
	if (tells_fates(both))
		netlab_assert_share(told_of(&seen, "corrupted"), COUNT, 0.2, 1);
	/* some bits of the headers are nobody's loss: those of the sender's address, and such */
	assert_true(seen.arrived > COUNT * 78 / 100 && seen.arrived < COUNT * 85 / 100);
	free(seen.delays_ns);
}

static void test_ecn_marks_in_place_of_losing(void **state)
{
	struct both *both = *state;
	struct netlab_flow flow = steady;
	struct netlab_seen seen;
	char words[64];
	const bool tells_marks = tells_fates(both);

	flow.tos = 2; /* ECT(0) */
	seen = SEE(&flow, "loss", "10%", "ecn", "true");
	assert_int_equal(seen.arrived, COUNT);
	netlab_assert_share(seen.marked, COUNT, 0.1, 1);
	if (tells_marks) {
		assert_int_equal(told_of(&seen, "marked"), seen.marked);
		assert_int_equal(seen.told.dropped, 0);
	}
	snprintf(words, sizeof(words), "%u of %u dropped%s", tells_marks ? 0 : seen.marked, COUNT,
		 tells_marks ? "," : " or marked");
	if (!strstr(seen.told.detail, words))
		fail_msg("'%s' does not say '%s'", seen.told.detail, words);
	assert_true(tells_marks == !strstr(seen.told.detail, "at least"));
	free(seen.delays_ns);
}

/* A step without a seed of its own draws from that of the run. */
static void test_the_seed_of_the_run_repeats_itself(void **state)
{
	struct both *both = *state;
	struct network_support support;
	struct netlab_seen a, b, c;

	both->lab->seed = 7;
	a = SEE(&steady, "loss", "10%", "delay", "5ms");
	b = SEE(&steady, "loss", "10%", "delay", "5ms");
	both->lab->seed = 8;
	c = SEE(&steady, "loss", "10%", "delay", "5ms");
	assert_int_equal(network_survey(&support, NULL), 0);
	if (both->is_line || support.has_netem_seed)
		assert_true(a.fingerprint == b.fingerprint);
	assert_true(a.fingerprint != c.fingerprint);
	free(a.delays_ns);
	free(b.delays_ns);
	free(c.delays_ns);
}

static void test_a_seed_repeats_itself(void **state)
{
	struct netlab_seen a = SEE(&steady, "loss", "10%", "seed", "7");
	struct netlab_seen b = SEE(&steady, "loss", "10%", "seed", "7");
	struct netlab_seen c = SEE(&steady, "loss", "10%", "seed", "8");
	struct both *both = *state;
	struct network_support support;

	assert_int_equal(network_survey(&support, NULL), 0);
	if (both->is_line || support.has_netem_seed)
		assert_true(a.fingerprint == b.fingerprint);
	assert_true(a.fingerprint != c.fingerprint);
	free(a.delays_ns);
	free(b.delays_ns);
	free(c.delays_ns);
}

int main(void)
{
#define ALL(WAY)                                                                                   \
	WAY(test_loss), WAY(test_gilbert_elliott_loses_in_bursts),                                 \
		WAY(test_four_states_lose_in_bursts_and_alone),                                    \
		WAY(test_four_states_leave_a_burst_for_a_while),                                   \
		WAY(test_gilbert_elliott_loses_some_in_either_state),                              \
		WAY(test_correlated_losses_come_together), WAY(test_correlated_duplicates),        \
		WAY(test_correlated_damage), WAY(test_duplicates),                                 \
		WAY(test_damage_reaches_who_does_not_check),                                       \
		WAY(test_damage_is_dropped_by_who_checks), WAY(test_ecn_marks_in_place_of_losing), \
		WAY(test_the_seed_of_the_run_repeats_itself), WAY(test_a_seed_repeats_itself)
	const struct CMUnitTest line[] = {ALL(LINE)};
	const struct CMUnitTest netem[] = {ALL(NETEM)};

	return RUN_EFFECTS(line, netem);
}
