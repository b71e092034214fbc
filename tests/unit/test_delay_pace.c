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

/* A byte takes 10 us by the rate and 1 us by its peak. */
static const struct netem_config peaked = {
	.rate_bytes = 100000, .burst = 10000, .peak_bytes = 1000000};

/* When each of so many packets of 100 bytes leaves that come together: in us, from then on. */
static int64_t leaves_at_us(const struct netem_config *config, unsigned number)
{
	int64_t last_ns = 0;

	begin(config);
	for (unsigned i = 0; i <= number; i++)
		last_ns = delay_effect_due(&effect, 100, SECOND, last_ns).at_ns;
	return (last_ns - SECOND) / 1000;
}

static void test_a_burst_passes_at_its_peak_rate(void **state)
{
	struct netem_config some = peaked, at_once = peaked;

	(void)state;
	some.peak_burst = 1600;
	at_once.peak_bytes = 0;
	assert_int_equal(leaves_at_us(&peaked, 0), 0);
	assert_int_equal(leaves_at_us(&peaked, 1), 100);
	assert_int_equal(leaves_at_us(&peaked, 99), 9900);
	assert_int_equal(leaves_at_us(&some, 15), 0);
	assert_int_equal(leaves_at_us(&some, 16), 100);
	assert_int_equal(leaves_at_us(&at_once, 99), 0);
	/* the burst is used up, with what came in meanwhile: then the rate is what counts */
	assert_int_equal(leaves_at_us(&peaked, 110), 11000);
	assert_int_equal(leaves_at_us(&peaked, 111), 12000);
	assert_int_equal(leaves_at_us(&peaked, 200), leaves_at_us(&at_once, 200));
}

static void test_overhead_counts_for_the_peak_too(void **state)
{
	struct netem_config more = peaked;

	(void)state;
	more.packet_overhead = 24;
	assert_int_equal(leaves_at_us(&more, 50), 50 * 124);
}

/* net/sched/sch_tbf.c, tbf_dequeue(), with a watchdog that is never late. */
struct tbf {
	int64_t buffer, mtu, tokens, ptokens, t_c;
};

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t tbf_leaves(struct tbf *tbf, int64_t takes, int64_t ptakes, int64_t now)
{
	int64_t toks, ptoks;

	now = later(now, tbf->t_c + later(takes - tbf->tokens, ptakes - tbf->ptokens));
	toks = tbf->tokens + (now - tbf->t_c);
	ptoks = tbf->ptokens + (now - tbf->t_c);
	tbf->tokens = (toks > tbf->buffer ? tbf->buffer : toks) - takes;
	tbf->ptokens = (ptoks > tbf->mtu ? tbf->mtu : ptoks) - ptakes;
	tbf->t_c = now;
	return now;
}

/* Packets of any size that come together and with pauses of any length. */
static void test_two_buckets_are_those_of_tbf(void **state)
{
	const struct netem_config config = {
		.rate_bytes = 100000, .burst = 10000, .peak_bytes = 250000, .peak_burst = 1600};
	struct tbf tbf = {.buffer = 10000 * 10000LL,
			  .mtu = 1600 * 4000LL,
			  .tokens = 10000 * 10000LL,
			  .ptokens = 1600 * 4000LL,
			  .t_c = SECOND};
	int64_t now_ns = SECOND, last_ns = SECOND;

	(void)state;
	srandom(5);
	begin(&config);
	for (unsigned i = 0; i < 20000; i++) {
		const uint64_t length = 60 + (unsigned)random() % 1541;
		int64_t expected_ns;

		if (random() % 4 == 0)
			now_ns += random() % 2 ? random() % (20 * MSEC) : random() % (60 * MSEC);
		expected_ns = tbf_leaves(&tbf, (int64_t)length * 10000, (int64_t)length * 4000,
					 later(now_ns, last_ns));
		last_ns = delay_effect_due(&effect, length, now_ns, last_ns).at_ns;
		assert_int_equal(last_ns, expected_ns);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_burst_passes_at_its_peak_rate),
		cmocka_unit_test(test_overhead_counts_for_the_peak_too),
		cmocka_unit_test(test_two_buckets_are_those_of_tbf),
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
