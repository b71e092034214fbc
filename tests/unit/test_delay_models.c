/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The models of loss, each parameter by the share that is lost in the long run, or by which are
 * lost; and the shapes of a jitter, by what tells one from another.
 */
#include "faults/delay_effect.h"
#include "faults/network_effect.h"
#include "injector/base/quantity.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT	100000
#define PERCENT (SHARE_ONE / 100)
#define MSEC	1000000LL

static struct delay_effect effect;

static void assert_lost(const struct netem_config *config, double expected)
{
	unsigned lost = 0;

	delay_effect_init(&effect, 31);
	delay_effect_set(&effect, config);
	for (unsigned i = 0; i < COUNT; i++)
		lost += delay_effect_loses(&effect);
	if (fabs((double)lost / COUNT - expected) > 0.015)
		fail_msg("%u of %u lost is not %.3f", lost, COUNT, expected);
}

/* A quarter of the time is bad: p / (p + r). */
static struct netem_config gilbert_elliott(uint64_t bad_ppb, uint64_t good_ppb)
{
	return (struct netem_config){.loss_model = NETEM_LOSS_GEMODEL,
				     .gemodel = {.p_ppb = 10 * PERCENT,
						 .r_ppb = 30 * PERCENT,
						 .bad_ppb = bad_ppb,
						 .good_ppb = good_ppb}};
}

static void test_bad_times_lose_1_h(void **state)
{
	struct netem_config all = gilbert_elliott(SHARE_ONE, 0);
	struct netem_config half = gilbert_elliott(50 * PERCENT, 0);

	(void)state;
	assert_lost(&all, 0.25);
	assert_lost(&half, 0.25 * 0.5);
}

static void test_good_times_lose_1_k(void **state)
{
	struct netem_config some = gilbert_elliott(SHARE_ONE, 20 * PERCENT);

	(void)state;
	assert_lost(&some, 0.25 + 0.75 * 0.2);
}

/* Without single losses: the states 1, 3 and 2 are as frequent as 1 : p13 / p31 : that * p32 / p23.
 */
static struct netem_config four_states(uint64_t p32_ppb, uint64_t p23_ppb)
{
	return (struct netem_config){.loss_model = NETEM_LOSS_STATE,
				     .state = {.p13_ppb = 10 * PERCENT,
					       .p31_ppb = 20 * PERCENT,
					       .p32_ppb = p32_ppb,
					       .p23_ppb = p23_ppb}};
}

static void test_bursts_are_interrupted_by_p32(void **state)
{
	struct netem_config never = four_states(0, SHARE_ONE);
	struct netem_config often = four_states(30 * PERCENT, SHARE_ONE);

	(void)state;
	assert_lost(&never, 0.5 / 1.5);
	assert_lost(&often, 0.5 / (1.5 + 0.5 * 0.3));
}

static void test_bursts_go_on_by_p23(void **state)
{
	struct netem_config seldom = four_states(30 * PERCENT, 25 * PERCENT);

	(void)state;
	assert_lost(&seldom, 0.5 / (1.5 + 0.5 * 0.3 / 0.25));
}

/* Share of delays below so many deviations from the mean. */
static double share_below(enum network_distribution shape, double deviations)
{
	const struct netem_config config = {.delay_ns = 100 * MSEC,
					    .jitter_ns = 10 * MSEC,
					    .table = network_distribution(shape)};
	const double below_ns = (100 + 10 * deviations) * MSEC;
	unsigned below = 0;

	delay_effect_init(&effect, 32);
	delay_effect_set(&effect, &config);
	for (unsigned i = 0; i < COUNT; i++)
		below += (double)delay_effect_due(&effect, 100, 0, 0).at_ns < below_ns;
	return (double)below / COUNT;
}

static void assert_between(double value, double least, double most)
{
	if (value < least || value > most)
		fail_msg("%.4f is not from %.4f to %.4f", value, least, most);
}

/* pareto has a wall below; a quarter of paretonormal is normal and goes through it, but less far
 * than what is normal alone; above, both reach further than that. */
static void test_paretonormal_is_neither_pareto_nor_normal(void **state)
{
	(void)state;
	assert_between(share_below(NETWORK_PARETO, -0.7), 0, 0);
	assert_between(share_below(NETWORK_PARETONORMAL, -0.7), 0.03, 0.2);
	assert_between(share_below(NETWORK_NORMAL, -0.7), 0.232, 0.252);
	assert_between(share_below(NETWORK_PARETONORMAL, -1.5), 0, 0.001);
	assert_between(share_below(NETWORK_NORMAL, -1.5), 0.06, 0.075);
	assert_between(1 - share_below(NETWORK_PARETO, 3.2), 0.005, 0.05);
	assert_between(1 - share_below(NETWORK_NORMAL, 3.2), 0, 0.002);
}

/* Of 10 to 70 s each time is as likely, and of -20 to 40 s a third of the packets is not late. */
static void test_a_jitter_of_half_a_minute_is_even(void **state)
{
	const int64_t second_ns = 1000 * MSEC;
	struct netem_config config = {.delay_ns = 40 * second_ns, .jitter_ns = 30 * second_ns};
	unsigned below[3] = {0}, at_once = 0;

	(void)state;
	delay_effect_init(&effect, 33);
	delay_effect_set(&effect, &config);
	for (unsigned i = 0; i < COUNT; i++) {
		int64_t at_ns = delay_effect_due(&effect, 100, 0, 0).at_ns;

		assert_true(at_ns >= 10 * second_ns && at_ns <= 70 * second_ns);
		for (unsigned part = 0; part < 3; part++)
			below[part] += at_ns < (25 + 15 * part) * second_ns;
	}
	for (unsigned part = 0; part < 3; part++)
		assert_between((double)below[part] / COUNT, 0.25 * (part + 1) - 0.02,
			       0.25 * (part + 1) + 0.02);
	config.delay_ns = 10 * second_ns;
	delay_effect_set(&effect, &config);
	for (unsigned i = 0; i < COUNT; i++) {
		int64_t at_ns = delay_effect_due(&effect, 100, 0, 0).at_ns;

		assert_true(at_ns >= 0);
		at_once += at_ns == 0;
	}
	assert_between((double)at_once / COUNT, 0.313, 0.353);
}

/* The number of the first packet from now on that is lost by counting, counted from 1. */
static unsigned next_lost(void)
{
	for (unsigned i = 1; i <= COUNT; i++)
		if (delay_effect_loses_by_count(&effect))
			return i;
	return 0;
}

static void test_exactly_one_of_so_many_is_lost(void **state)
{
	const struct netem_config first = {.loss_every = 5, .loss_every_first = 2};
	const struct netem_config last = {.loss_every = 5, .loss_every_first = 5};

	(void)state;
	delay_effect_init(&effect, 31);
	delay_effect_set(&effect, &first);
	assert_int_equal(next_lost(), 2);
	for (unsigned i = 0; i < COUNT / 5; i++)
		assert_int_equal(next_lost(), 5);
	delay_effect_init(&effect, 32);
	delay_effect_set(&effect, &last);
	for (unsigned i = 0; i < COUNT / 5; i++)
		assert_int_equal(next_lost(), 5);
}

static void test_counting_goes_on_when_the_strength_changes(void **state)
{
	const struct netem_config some = {.loss_every = 10, .loss_every_first = 10};
	const struct netem_config none = {.delay_ns = 1},
				  more = {.loss_every = 4, .loss_every_first = 4};

	(void)state;
	delay_effect_init(&effect, 31);
	delay_effect_set(&effect, &some);
	assert_int_equal(next_lost(), 10);
	for (unsigned i = 0; i < 3; i++)
		assert_false(delay_effect_loses_by_count(&effect));
	delay_effect_set(&effect, &none);
	assert_int_equal(next_lost(), 0);
	delay_effect_set(&effect, &more);
	assert_int_equal(next_lost(), 1);
	assert_int_equal(next_lost(), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_times_lose_1_h),
		cmocka_unit_test(test_good_times_lose_1_k),
		cmocka_unit_test(test_bursts_are_interrupted_by_p32),
		cmocka_unit_test(test_bursts_go_on_by_p23),
		cmocka_unit_test(test_exactly_one_of_so_many_is_lost),
		cmocka_unit_test(test_counting_goes_on_when_the_strength_changes),
		cmocka_unit_test(test_paretonormal_is_neither_pareto_nor_normal),
		cmocka_unit_test(test_a_jitter_of_half_a_minute_is_even),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
