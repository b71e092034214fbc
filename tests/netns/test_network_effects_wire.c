/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the stack hands down as one, twenty packets of the wire, is lost, doubled, damaged and
 * overtaken packet by packet: by the shares that were asked for, and not twenty at a time.
 */
#include "tests/netns/effects_bench.h"

static const struct netlab_flow whole = {.count = COUNT,
					 .size = 458,
					 .segments = 20,
					 .at_once = 20,
					 .pause_us = 1000,
					 .quiet_ms = 200};

/* Of independent ones a run begins wherever the one before is not like it. */
static void assert_one_by_one(unsigned runs, unsigned of, double p)
{
	netlab_assert_share(runs, of, 1 - p, 1);
}

static void test_loss_of_what_is_handed_down_as_one(void **state)
{
	struct netlab_seen seen = SEE(&whole, "loss", "10%");
	const unsigned lost = COUNT - seen.arrived;

	netlab_assert_share(lost, COUNT, 0.1, 1);
	assert_one_by_one(seen.bursts, lost, 0.1);
	assert_int_equal(seen.told.dropped, lost);
	free(seen.delays_ns);
}

static void test_copies_of_what_is_handed_down_as_one(void **state)
{
	const bool is_line = ((struct both *)*state)->is_line;
	struct netlab_seen seen = SEE(&whole, "duplicate", "10%");

	assert_int_equal(seen.arrived, COUNT);
	netlab_assert_share(seen.duplicated, COUNT, 0.1, 1);
	assert_one_by_one(seen.doubles, seen.duplicated, 0.1);
	assert_int_equal(seen.told.passed, COUNT + seen.duplicated);
	if (is_line)
		assert_int_equal(told_of(&seen, "duplicated"), seen.duplicated);
	free(seen.delays_ns);
}

/* Nobody sends on what is damaged: the receiver throws it away. A wrong address of the sender's
 * card harms nothing: six bytes of five hundred. */
static void test_damage_to_what_is_handed_down_as_one(void **state)
{
	struct netlab_seen seen = SEE(&whole, "corrupt", "10%");
	const unsigned lost = COUNT - seen.arrived;

	assert_in_range(lost, COUNT * 7 / 100, COUNT * 13 / 100);
	assert_one_by_one(seen.bursts, lost, 0.1);
	free(seen.delays_ns);
}

/* Overtaken are those that are delayed: a quarter goes ahead of them. */
static void test_leaps_of_what_is_handed_down_as_one(void **state)
{
	const bool is_line = ((struct both *)*state)->is_line;
	struct netlab_seen seen = SEE(&whole, "delay", "50ms", "reorder", "25%");
	double early = netlab_seen_below(&seen, 40 * MSEC);

	assert_int_equal(seen.arrived, COUNT);
	netlab_assert_share((unsigned)(early * COUNT + 0.5), COUNT, 0.25, 1);
	netlab_assert_share(seen.overtakers, COUNT, 0.25, 1);
	assert_one_by_one(seen.leaps, seen.overtakers, 0.25);
	if (is_line)
		assert_int_equal(told_of(&seen, "reordered"), (unsigned)(early * COUNT + 0.5));
	free(seen.delays_ns);
}

int main(void)
{
#define ALL(WAY)                                                                                   \
	WAY(test_loss_of_what_is_handed_down_as_one),                                              \
		WAY(test_copies_of_what_is_handed_down_as_one),                                    \
		WAY(test_damage_to_what_is_handed_down_as_one),                                    \
		WAY(test_leaps_of_what_is_handed_down_as_one)
	const struct CMUnitTest line[] = {ALL(LINE)};
	const struct CMUnitTest netem[] = {ALL(NETEM)};

	return RUN_EFFECTS(line, netem);
}
