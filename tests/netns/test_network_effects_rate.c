/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * How much of a flow a network fault lets through at a time: rates, with overhead and bursts, full
 * queues, and slots.
 */
#include "tests/netns/effects_bench.h"

#include <math.h>

static void assert_rate(const struct netlab_seen *seen, double bytes, double bits_a_second)
{
	double took_ns = bytes * 8 * 1e9 / bits_a_second;

	assert_true(fabs((double)seen->took_ns - took_ns) < 0.1 * took_ns);
}

static const struct netlab_flow bulk = {.count = 500, .size = 958, .quiet_ms = 200};

static void test_rate(void **state)
{
	struct netlab_seen seen = SEE(&bulk, "rate", "8mbit", "limit", "1000");

	assert_int_equal(seen.arrived, bulk.count);
	assert_in_order(&seen);
	assert_rate(&seen, 1000.0 * bulk.count, 8e6);
	free(seen.delays_ns);
}

static void test_rate_with_overhead(void **state)
{
	struct netlab_seen seen =
		SEE(&bulk, "rate", "8mbit", "packet-overhead", "500", "limit", "1000");

	assert_rate(&seen, 1500.0 * bulk.count, 8e6);
	free(seen.delays_ns);
}

static void test_rate_of_cells(void **state)
{
	struct netlab_seen seen = SEE(&bulk, "rate", "8mbit", "cell-size", "600", "cell-overhead",
				      "100", "limit", "1000");

	/* 1000 bytes fill two */
	assert_rate(&seen, 1400.0 * bulk.count, 8e6);
	free(seen.delays_ns);
}

/* What the stack hands down as one. */
static const struct netlab_flow whole = {
	.count = 500, .size = 458, .segments = 20, .quiet_ms = 200};

static void test_overhead_counts_for_each_packet_on_the_wire(void **state)
{
	struct netlab_seen seen =
		SEE(&whole, "rate", "8mbit", "packet-overhead", "500", "limit", "1000");

	assert_int_equal(seen.arrived, whole.count);
	assert_rate(&seen, 1000.0 * whole.count, 8e6);
	free(seen.delays_ns);
}

static void test_slots_take_packets_as_on_the_wire(void **state)
{
	struct netlab_seen seen = SEE(&whole, "slot", "5ms", "slot-packets", "10");

	assert_int_equal(seen.arrived, whole.count);
	assert_true((double)seen.took_ns > (whole.count / 10.0 - 2) * 5 * MSEC);
	free(seen.delays_ns);
}

static void test_slots_take_bytes_as_on_the_wire(void **state)
{
	struct netlab_seen seen = SEE(&whole, "slot", "5ms", "slot-bytes", "5000B");

	assert_int_equal(seen.arrived, whole.count);
	assert_true((double)seen.took_ns > (whole.count / 10.0 - 2) * 5 * MSEC);
	free(seen.delays_ns);
}

static void test_rate_with_burst(void **state)
{
	struct netlab_seen seen = SEE(&bulk, "rate", "8mbit", "burst", "200kB", "limit", "1000");

	assert_int_equal(seen.arrived, bulk.count);
	/* what fits the burst is there at once */
	assert_true(netlab_seen_below(&seen, 50 * MSEC) > 0.35);
	assert_rate(&seen, 1000.0 * bulk.count - 200000, 8e6);
	free(seen.delays_ns);
}

static void test_full_queue_drops(void **state)
{
	struct netlab_seen seen = SEE(&bulk, "rate", "8mbit", "limit", "100");

	/* some leave while the others come, on a slow machine many; whoever was the last one to
	 * find place had all of the queue before it */
	assert_in_range(seen.arrived, 95, bulk.count - 1);
	assert_true(seen.delays_ns[seen.arrived - 1] > 85 * MSEC);
	assert_true(seen.delays_ns[seen.arrived - 1] < 180 * MSEC);
	free(seen.delays_ns);
}

static void test_slots_collect_packets(void **state)
{
	struct netlab_seen seen = SEE(&steady, "slot", "50ms");

	assert_int_equal(seen.arrived, COUNT);
	assert_in_order(&seen);
	/* they wait evenly from 0 to 50 ms */
	assert_true(seen.least_ns < 10 * MSEC);
	assert_true(fabs(median(&seen) - 25 * MSEC) < 8 * MSEC);
	free(seen.delays_ns);
}

/* Sixty slots: some are further apart than an even jitter of as much can make them. */
static void test_slots_of_a_normal_distribution(void **state)
{
	struct netlab_flow slow = steady;
	struct netlab_seen seen;

	slow.count = 1200;
	slow.at_once = 1;
	slow.pause_us = 2000;
	seen = SEE(&slow, "slot", "40ms", "slot-jitter", "13ms", "slot-distribution", "normal");
	assert_int_equal(seen.arrived, slow.count);
	assert_in_order(&seen);
	assert_true(seen.least_ns < 10 * MSEC);
	/* half of the mean square over the mean */
	assert_true(fabs(seen.mean_ns - 22 * MSEC) < 6 * MSEC);
	assert_true(seen.delays_ns[seen.arrived - 1] > 55 * MSEC);
	free(seen.delays_ns);
}

static void test_slots_between_two_times(void **state)
{
	struct netlab_flow slow = steady;
	struct netlab_seen seen;

	slow.count = 1200;
	slow.at_once = 1;
	slow.pause_us = 2000;
	seen = SEE(&slow, "slot", "10ms", "slot-max", "90ms");
	assert_int_equal(seen.arrived, slow.count);
	assert_in_order(&seen);
	assert_true(seen.least_ns < 10 * MSEC);
	/* half of the mean square over the mean */
	assert_true(fabs(seen.mean_ns - 30.3 * MSEC) < 10 * MSEC);
	assert_true(seen.delays_ns[seen.arrived - 1] > 60 * MSEC);
	free(seen.delays_ns);
}

int main(void)
{
#define ALL(WAY)                                                                                   \
	WAY(test_rate), WAY(test_rate_with_overhead), WAY(test_rate_of_cells),                     \
		WAY(test_overhead_counts_for_each_packet_on_the_wire),                             \
		WAY(test_slots_take_packets_as_on_the_wire),                                       \
		WAY(test_slots_take_bytes_as_on_the_wire), WAY(test_rate_with_burst),              \
		WAY(test_full_queue_drops), WAY(test_slots_collect_packets),                       \
		WAY(test_slots_of_a_normal_distribution), WAY(test_slots_between_two_times)
	const struct CMUnitTest line[] = {ALL(LINE)};
	const struct CMUnitTest netem[] = {ALL(NETEM)};

	return RUN_EFFECTS(line, netem);
}
