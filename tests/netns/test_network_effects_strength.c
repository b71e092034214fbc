/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The strength of a network fault goes up and down while packets flow.
 */
#include "tests/netns/effects_bench.h"

#include "faults/network.h"
#include "injector/base/quantity.h"

#include <pthread.h>
#include <unistd.h>

struct ramp {
	struct netlab_fault *fault;
	const int64_t *levels; /* percent; ends with -1 */
};

static void *change_levels(void *context)
{
	const struct ramp *ramp = context;

	for (const int64_t *level = ramp->levels; *level >= 0; level++) {
		usleep(40000);
		ramp->fault->fault.level_ppb = *level * (SHARE_ONE / 100);
		assert_int_equal(network_fault.set_level(&ramp->fault->fault, NULL), 0);
	}
	return NULL;
}

/* Up and down while packets flow. */
static struct netlab_seen see_ramp(const struct both *both, const char *const *settings,
				   const int64_t *levels)
{
	struct netlab_flow flow = steady;
	struct netlab_fault fault;
	struct netlab_seen seen;
	struct ramp ramp = {&fault, levels};
	pthread_t thread;

	flow.quiet_ms = 600;
	netlab_need_way();
	netlab_fault_start(both->lab, &fault, "aaaaf2", settings);
	assert_int_equal(pthread_create(&thread, NULL, change_levels, &ramp), 0);
	netlab_flow_run(both->lab, &flow, &seen);
	pthread_join(thread, NULL);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	print_message("  %u arrived, %u overtaken\n", seen.arrived, seen.overtaken);
	return seen;
}

#define RAMP(levels, ...)                                                                          \
	see_ramp(*state, (const char *[]){"to", "10.88.0.2", __VA_ARGS__, NULL}, levels)

static void test_strength_changes_lose_and_reorder_nothing(void **state)
{
	static const int64_t levels[] = {10, 60, 100, 30, 5, 0, 70, 20, 0, -1};
	struct netlab_seen seen = RAMP(levels, "delay", "200ms");

	assert_int_equal(seen.arrived, COUNT);
	assert_in_order(&seen);
	assert_true(seen.delays_ns[COUNT - 1] >= 30 * MSEC); /* it was felt */
	free(seen.delays_ns);
}

static void test_rate_changes_lose_and_reorder_nothing(void **state)
{
	static const int64_t levels[] = {50, 5, 100, 1, 0, -1};
	struct netlab_seen seen =
		RAMP(levels, "rate", "100mbit", "delay", "20ms", "limit", "10000");

	assert_int_equal(seen.arrived, COUNT);
	assert_in_order(&seen);
	free(seen.delays_ns);
}

static void test_partition_comes_by_degrees(void **state)
{
	static const int64_t half[] = {50, -1}, none[] = {50, 100, 0, -1};
	struct netlab_seen seen = RAMP(half, "loss", "100%");

	/* all of the first 40 ms are lost, half of what came later */
	assert_in_range(seen.arrived, COUNT * 3 / 10, COUNT * 55 / 100);
	free(seen.delays_ns);
	seen = RAMP(none, "loss", "100%");
	assert_in_range(seen.arrived, COUNT / 3, COUNT * 98 / 100);
	free(seen.delays_ns);
}

/* Weaker is seldomer: of a fault that has been at full strength for 40 ms of 600. */
static void test_copies_come_by_degrees(void **state)
{
	static const int64_t half[] = {50, -1}, none[] = {50, 0, -1};
	struct netlab_seen seen = RAMP(half, "duplicate", "40%");

	assert_in_range(seen.duplicated, COUNT * 14 / 100, COUNT * 32 / 100);
	free(seen.delays_ns);
	seen = RAMP(none, "duplicate", "40%");
	assert_in_range(seen.duplicated, 1, COUNT * 14 / 100);
	free(seen.delays_ns);
}

/* What is damaged does not get past the checksum. */
static void test_damage_comes_by_degrees(void **state)
{
	static const int64_t half[] = {50, -1}, none[] = {50, 0, -1};
	struct netlab_seen seen = RAMP(half, "corrupt", "40%");
	const unsigned half_lost = COUNT - seen.arrived;

	free(seen.delays_ns);
	seen = RAMP(none, "corrupt", "40%");
	assert_in_range(half_lost, COUNT * 14 / 100, COUNT * 32 / 100);
	assert_in_range(COUNT - seen.arrived, 1, COUNT * 14 / 100);
	free(seen.delays_ns);
}

static void test_overtaking_comes_by_degrees(void **state)
{
	static const int64_t half[] = {50, -1}, none[] = {50, 0, -1};
	struct netlab_seen seen = RAMP(half, "delay", "100ms", "reorder", "40%");

	/* at half the strength of 50 ms, too: a fifth is not delayed */
	assert_true(netlab_seen_below(&seen, 10 * MSEC) > 0.14 &&
		    netlab_seen_below(&seen, 10 * MSEC) < 0.32);
	assert_true(seen.overtaken > COUNT / 2);
	free(seen.delays_ns);
	seen = RAMP(none, "delay", "100ms", "reorder", "40%");
	/* the delay has gone as well; all the others have it or had it */
	assert_true(seen.delays_ns[COUNT - 1] >= 40 * MSEC);
	assert_true(netlab_seen_below(&seen, 10 * MSEC) > 0.5);
	free(seen.delays_ns);
}

int main(void)
{
#define ALL(WAY)                                                                                   \
	WAY(test_strength_changes_lose_and_reorder_nothing),                                       \
		WAY(test_rate_changes_lose_and_reorder_nothing),                                   \
		WAY(test_partition_comes_by_degrees), WAY(test_copies_come_by_degrees),            \
		WAY(test_damage_comes_by_degrees), WAY(test_overtaking_comes_by_degrees)
	const struct CMUnitTest line[] = {ALL(LINE)};
	const struct CMUnitTest netem[] = {ALL(NETEM)};

	return RUN_EFFECTS(line, netem);
}
