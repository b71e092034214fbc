/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * When a packet of the delay line leaves because of a rate or of slots, to the nanosecond, with a
 * clock of our own.
 */
#include "faults/delay_effect.h"
#include "faults/network_effect.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define MSEC   1000000LL
#define SECOND (1000 * MSEC)
#define SLOTS  10000

static struct delay_effect effect;

static void begin(const struct netem_config *config)
{
	delay_effect_init(&effect, 21);
	delay_effect_set(&effect, config);
}

/* How long one packet of 100 bytes takes, alone, at a byte a microsecond: its bytes. */
static int64_t bytes_of_100(int32_t overhead, uint32_t cell, int32_t cell_overhead)
{
	begin(&(struct netem_config){.rate_bytes = 1000000,
				     .packet_overhead = overhead,
				     .cell_size = cell,
				     .cell_overhead = cell_overhead});
	return delay_effect_due(&effect, 100, SECOND, 0).at_ns / 1000 - SECOND / 1000;
}

static void test_a_packet_counts_its_overhead(void **state)
{
	(void)state;
	assert_int_equal(bytes_of_100(0, 0, 0), 100);
	assert_int_equal(bytes_of_100(24, 0, 0), 124);
}

static void test_a_packet_may_count_less(void **state)
{
	(void)state;
	assert_int_equal(bytes_of_100(-14, 0, 0), 86);
	assert_int_equal(bytes_of_100(-200, 0, 0), 0);
}

static void test_a_packet_counts_whole_cells(void **state)
{
	(void)state;
	assert_int_equal(bytes_of_100(0, 48, 0), 3 * 48);
	assert_int_equal(bytes_of_100(-4, 48, 0), 2 * 48); /* they are just full */
}

static void test_each_cell_counts_its_overhead(void **state)
{
	(void)state;
	assert_int_equal(bytes_of_100(0, 48, 5), 3 * 53);
	assert_int_equal(bytes_of_100(0, 48, -8), 3 * 40);
}

/* The slot of each of `count` packets of 100 bytes that come at once. */
static void assert_slots(const struct netem_config *config, const int64_t *due_ms, unsigned count)
{
	begin(config);
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(delay_effect_due(&effect, 100, 0, 0).at_ns, due_ms[i] * MSEC);
}

static void test_a_slot_takes_what_has_come(void **state)
{
	static const int64_t due_ms[] = {10, 10, 10, 10, 10, 10, 10};

	(void)state;
	assert_slots(&(struct netem_config){.slot_min_ns = 10 * MSEC, .slot_max_ns = 10 * MSEC},
		     due_ms, 7);
}

static void test_a_slot_takes_so_many_packets(void **state)
{
	static const int64_t due_ms[] = {10, 10, 10, 20, 20, 20, 30};

	(void)state;
	assert_slots(&(struct netem_config){.slot_min_ns = 10 * MSEC,
					    .slot_max_ns = 10 * MSEC,
					    .slot_packets = 3},
		     due_ms, 7);
}

/* netem lets the packet through that makes it too much. */
static void test_a_slot_takes_so_many_bytes(void **state)
{
	static const int64_t due_ms[] = {10, 10, 20, 20, 30, 30, 40};

	(void)state;
	assert_slots(&(struct netem_config){.slot_min_ns = 10 * MSEC,
					    .slot_max_ns = 10 * MSEC,
					    .slot_bytes = 150},
		     due_ms, 7);
}

/* What SLOTS packets wait, each alone, in milliseconds. */
struct waits {
	double least, most, mean, deviation;
	unsigned below_mean;
};

static struct waits wait_alone(const struct netem_config *config)
{
	static double values[SLOTS];
	struct waits waits = {.least = HUGE_VAL, .most = -HUGE_VAL};
	double squares = 0;

	begin(config);
	for (int64_t i = 0; i < SLOTS; i++) {
		int64_t now_ns = i * SECOND;

		values[i] =
			(double)(delay_effect_due(&effect, 100, now_ns, 0).at_ns - now_ns) / MSEC;
		waits.least = fmin(waits.least, values[i]);
		waits.most = fmax(waits.most, values[i]);
		waits.mean += values[i] / SLOTS;
	}
	for (unsigned i = 0; i < SLOTS; i++) {
		squares += (values[i] - waits.mean) * (values[i] - waits.mean);
		waits.below_mean += values[i] < waits.mean;
	}
	waits.deviation = sqrt(squares / SLOTS);
	return waits;
}

static void test_the_time_between_slots_varies_up_to_slot_max(void **state)
{
	struct waits waits = wait_alone(
		&(struct netem_config){.slot_min_ns = 10 * MSEC, .slot_max_ns = 30 * MSEC});

	(void)state;
	assert_true(waits.least >= 10 && waits.least < 10.1);
	assert_true(waits.most > 29.9 && waits.most <= 30);
	assert_true(fabs(waits.mean - 20) < 0.3);
}

static struct waits wait_for_shape(enum network_distribution shape)
{
	return wait_alone(&(struct netem_config){.slot_min_ns = 50 * MSEC,
						 .slot_max_ns = 50 * MSEC,
						 .slot_jitter_ns = 10 * MSEC,
						 .slot_table = network_distribution(shape)});
}

static void test_the_time_between_slots_has_a_shape(void **state)
{
	struct waits normal = wait_for_shape(NETWORK_NORMAL);
	struct waits pareto = wait_for_shape(NETWORK_PARETO);

	(void)state;
	assert_true(fabs(normal.mean - 50) < 0.5 && fabs(normal.deviation - 10) < 0.4);
	assert_in_range(normal.below_mean, SLOTS * 48 / 100, SLOTS * 52 / 100);
	assert_true(fabs(pareto.mean - 50) < 0.7);
	assert_true(pareto.least > 43); /* nothing is much sooner, and most is sooner */
	assert_in_range(pareto.below_mean, SLOTS * 60 / 100, SLOTS * 80 / 100);
}

static void test_no_slot_is_before_its_packet(void **state)
{
	struct waits waits = wait_alone(
		&(struct netem_config){.slot_min_ns = 10 * MSEC,
				       .slot_max_ns = 10 * MSEC,
				       .slot_jitter_ns = 10 * MSEC,
				       .slot_table = network_distribution(NETWORK_NORMAL)});

	(void)state;
	assert_true(waits.least == 0); /* one in six would be */
	assert_true(waits.most > 30);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_packet_counts_its_overhead),
		cmocka_unit_test(test_a_packet_may_count_less),
		cmocka_unit_test(test_a_packet_counts_whole_cells),
		cmocka_unit_test(test_each_cell_counts_its_overhead),
		cmocka_unit_test(test_a_slot_takes_what_has_come),
		cmocka_unit_test(test_a_slot_takes_so_many_packets),
		cmocka_unit_test(test_a_slot_takes_so_many_bytes),
		cmocka_unit_test(test_the_time_between_slots_varies_up_to_slot_max),
		cmocka_unit_test(test_the_time_between_slots_has_a_shape),
		cmocka_unit_test(test_no_slot_is_before_its_packet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
