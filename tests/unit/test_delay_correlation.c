/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The correlations of the delay line: what was asked for is there, and the jitter keeps its shape.
 */
#include "faults/delay_effect.h"
#include "faults/network_effect.h"
#include "injector/base/quantity.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT 10000
#define MSEC  1000000LL

static struct delay_effect effect;
static double values[COUNT];

/* Even from 0 to the reach of the table, as measured delays would be that are so. */
static struct netem_table even_table(void)
{
	struct netem_table table;

	for (int i = 0; i < NETEM_TABLE_SIZE; i++)
		table.values[i] = (int16_t)((i - NETEM_TABLE_SIZE / 2) * 4);
	return table;
}

/* What each of COUNT packets waits, a second apart, in milliseconds. */
static void draw_delays(const struct netem_table *table, uint64_t correlation_ppb)
{
	const struct netem_config config = {.delay_ns = 100 * MSEC,
					    .jitter_ns = 20 * MSEC,
					    .delay_correlation_ppb = correlation_ppb,
					    .table = table};

	delay_effect_init(&effect, 11);
	delay_effect_set(&effect, &config);
	for (int64_t i = 0; i < COUNT; i++) {
		struct delay_due due = delay_effect_due(&effect, 100, i * 1000 * MSEC, 0);

		values[i] = (double)(due.at_ns - i * 1000 * MSEC) / MSEC;
	}
}

static double mean_of(void)
{
	double sum = 0;

	for (unsigned i = 0; i < COUNT; i++)
		sum += values[i];
	return sum / COUNT;
}

/* With itself, `lag` packets before. */
static double correlation(unsigned lag)
{
	double mean = mean_of(), sum = 0, squares = 0;

	for (unsigned i = 0; i < COUNT; i++)
		squares += (values[i] - mean) * (values[i] - mean);
	for (unsigned i = lag; i < COUNT; i++)
		sum += (values[i] - mean) * (values[i - lag] - mean);
	return sum / squares;
}

static double share_below(double ms)
{
	unsigned count = 0;

	for (unsigned i = 0; i < COUNT; i++)
		count += values[i] < ms;
	return (double)count / COUNT;
}

static void assert_near(double value, double expected, double tolerance)
{
	if (fabs(value - expected) > tolerance)
		fail_msg("%.4f is not %.4f +- %.4f", value, expected, tolerance);
}

/* Bounds are five standard errors and more: three quarters make of 10,000 draws some 1400. */
static void assert_correlated(const struct netem_table *table)
{
	draw_delays(table, SHARE_ONE * 3 / 4);
	assert_near(correlation(1), 0.75, 0.05);
	draw_delays(table, SHARE_ONE / 4);
	assert_near(correlation(1), 0.25, 0.05);
	draw_delays(table, 0);
	assert_near(correlation(1), 0, 0.05);
	draw_delays(table, SHARE_ONE);
	assert_near(values[COUNT - 1], values[0], 1e-3);
}

static void test_even_jitter_is_correlated_as_asked_for(void **state)
{
	(void)state;
	assert_correlated(NULL);
}

static void test_normal_jitter_is_correlated_as_asked_for(void **state)
{
	(void)state;
	assert_correlated(network_distribution(NETWORK_NORMAL));
}

static void test_measured_jitter_is_correlated_as_asked_for(void **state)
{
	struct netem_table table = even_table();

	(void)state;
	assert_correlated(&table);
}

static void test_correlated_jitter_keeps_its_shape(void **state)
{
	const struct netem_table measured = even_table();

	(void)state;
	draw_delays(NULL, SHARE_ONE / 2);
	assert_near(mean_of(), 100, 1);
	assert_near(share_below(82), 0.05, 0.02); /* even from 80 to 120 */
	assert_near(share_below(110), 0.75, 0.04);
	draw_delays(network_distribution(NETWORK_NORMAL), SHARE_ONE / 2);
	assert_near(mean_of(), 100, 2);
	assert_near(share_below(80), 0.1587, 0.035); /* one deviation */
	assert_near(share_below(140), 0.9772, 0.015);
	draw_delays(&measured, SHARE_ONE / 2);
	assert_near(share_below(90), 0.25, 0.04); /* even from 80 to 120, too */
	assert_near(share_below(118), 0.95, 0.02);
}

/* How alike the fates of neighbours are, of which half are hit. */
static double likeness(bool (*decide)(struct delay_effect *), const struct netem_config *config)
{
	delay_effect_init(&effect, 12);
	delay_effect_set(&effect, config);
	for (unsigned i = 0; i < COUNT; i++)
		values[i] = decide(&effect);
	assert_near(mean_of(), 0.5, 0.06);
	return correlation(1);
}

static bool overtakes(struct delay_effect *of)
{
	return delay_effect_due(of, 100, 0, 0).at_ns == 0;
}

#define ASSERT_LIKENESS(decide, NAME, ...)                                                         \
	do {                                                                                       \
		const struct netem_config alone = {.NAME##_ppb = SHARE_ONE / 2, __VA_ARGS__};      \
		const struct netem_config alike = {.NAME##_ppb = SHARE_ONE / 2,                    \
						   .NAME##_correlation_ppb = SHARE_ONE * 3 / 4,    \
						   __VA_ARGS__};                                   \
                                                                                                   \
		assert_near(likeness(decide, &alone), 0, 0.05);                                    \
		/* of the signs of numbers that are correlated by 0.75: about 2/pi asin(0.75) */   \
		assert_near(likeness(decide, &alike), 0.54, 0.08);                                 \
	} while (0)

static void test_losses_are_alike(void **state)
{
	(void)state;
	ASSERT_LIKENESS(delay_effect_loses, loss);
}

static void test_duplicates_are_alike(void **state)
{
	(void)state;
	ASSERT_LIKENESS(delay_effect_duplicates, duplicate);
}

static void test_damages_are_alike(void **state)
{
	(void)state;
	ASSERT_LIKENESS(delay_effect_corrupts, corrupt);
}

static void test_overtakers_are_alike(void **state)
{
	(void)state;
	ASSERT_LIKENESS(overtakes, reorder, .reorder_gap = 1, .delay_ns = MSEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_even_jitter_is_correlated_as_asked_for),
		cmocka_unit_test(test_normal_jitter_is_correlated_as_asked_for),
		cmocka_unit_test(test_measured_jitter_is_correlated_as_asked_for),
		cmocka_unit_test(test_correlated_jitter_keeps_its_shape),
		cmocka_unit_test(test_losses_are_alike),
		cmocka_unit_test(test_duplicates_are_alike),
		cmocka_unit_test(test_damages_are_alike),
		cmocka_unit_test(test_overtakers_are_alike),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
