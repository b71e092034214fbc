/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The same seed and the same packets: the same delays, and the same bits of the same packets are
 * wrong.
 */
#include "faults/delay_effect.h"
#include "faults/delay_lane.h"
#include "faults/network_effect.h"
#include "injector/base/clock.h"
#include "injector/base/quantity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT 2000
#define FRAME (TAP_HEADER_SIZE + 200)
#define MSEC  1000000LL

static uint64_t mix(uint64_t sum, const void *data, size_t size)
{
	const unsigned char *bytes = data;

	for (size_t i = 0; i < size; i++)
		sum = (sum ^ bytes[i]) * 1099511628211ULL;
	return sum;
}

/* Of when COUNT packets leave that come each millisecond. */
static uint64_t delays_of(const struct netem_config *config, uint64_t seed)
{
	static struct delay_effect effect;
	uint64_t sum = 0;

	delay_effect_init(&effect, seed);
	delay_effect_set(&effect, config);
	for (unsigned i = 0; i < COUNT; i++) {
		int64_t at_ns = delay_effect_due(&effect, 100, i * MSEC, 0).at_ns;

		sum = mix(sum, &at_ns, sizeof(at_ns));
	}
	return sum;
}

static void assert_repeats(const struct netem_config *config)
{
	uint64_t first = delays_of(config, 7);

	assert_true(delays_of(config, 7) == first);
	assert_true(delays_of(config, 8) != first);
}

static void test_a_seed_repeats_delays(void **state)
{
	const struct netem_table *normal = network_distribution(NETWORK_NORMAL);

	(void)state;
	assert_repeats(&(struct netem_config){.delay_ns = 50 * MSEC, .jitter_ns = 20 * MSEC});
	assert_repeats(&(struct netem_config){
		.delay_ns = 50 * MSEC, .jitter_ns = 20 * MSEC, .table = normal});
	assert_repeats(&(struct netem_config){.delay_ns = 50 * MSEC,
					      .jitter_ns = 20 * MSEC,
					      .delay_correlation_ppb = SHARE_ONE / 2});
	assert_repeats(&(struct netem_config){
		.delay_ns = 50 * MSEC, .reorder_ppb = SHARE_ONE / 4, .reorder_gap = 1});
	assert_repeats(&(struct netem_config){.slot_min_ns = 5 * MSEC, .slot_max_ns = 50 * MSEC});
	assert_repeats(&(struct netem_config){.slot_min_ns = 50 * MSEC,
					      .slot_max_ns = 50 * MSEC,
					      .slot_jitter_ns = 20 * MSEC,
					      .slot_table = normal});
}

/* Of the bytes that come out of a lane, whose tap is one end of a pair of sockets. */
static uint64_t bytes_of(const struct netem_config *config, uint64_t seed, uint64_t *out_damaged)
{
	struct delay_lane *lane = calloc(1, sizeof(*lane));
	unsigned char frame[FRAME] = {0};
	struct delay_budget budget;
	uint64_t sum = 0;
	int ends[2];

	assert_non_null(lane);
	delay_budget_init(&budget, 4 * DELAY_QUEUE_BLOCK, NULL);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
	assert_int_equal(delay_lane_init(lane, &budget, seed, NULL), 0);
	lane->tap_fd = ends[0];
	lane->tap.kind = TAP_ETHERNET;
	memset(lane->tap.address, 1, sizeof(lane->tap.address)); /* none of these is its own */
	delay_lane_set(lane, config, 0);
	for (unsigned i = 0; i < COUNT; i++) {
		ssize_t length;

		memset(frame, 0, sizeof(frame));
		frame[FRAME - 1] = (unsigned char)i;
		assert_int_equal(write(ends[1], frame, sizeof(frame)), FRAME);
		assert_int_equal(delay_lane_receive(lane), 1);
		delay_lane_send(lane, clock_now_ns() + NSEC_PER_SEC);
		while ((length = read(ends[1], frame, sizeof(frame))) > 0)
			sum = mix(sum, frame, (size_t)length);
	}
	*out_damaged = lane->corrupted;
	delay_lane_free(lane);
	free(lane);
	close(ends[0]);
	close(ends[1]);
	return sum;
}

static void test_a_seed_repeats_damage(void **state)
{
	const struct netem_config config = {.corrupt_ppb = SHARE_ONE / 2};
	uint64_t damaged, again, other, first = bytes_of(&config, 7, &damaged);

	(void)state;
	assert_in_range(damaged, COUNT * 44 / 100, COUNT * 56 / 100);
	assert_true(bytes_of(&config, 7, &again) == first && again == damaged);
	assert_true(bytes_of(&config, 8, &other) != first);
}

static void test_a_seed_repeats_everything_at_once(void **state)
{
	const struct netem_config config = {.corrupt_ppb = SHARE_ONE / 3,
					    .loss_ppb = SHARE_ONE / 5,
					    .duplicate_ppb = SHARE_ONE / 4};
	uint64_t damaged, again, other, first = bytes_of(&config, 7, &damaged);

	(void)state;
	assert_true(damaged > 0);
	assert_true(bytes_of(&config, 7, &again) == first && again == damaged);
	assert_true(bytes_of(&config, 8, &other) != first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_seed_repeats_delays),
		cmocka_unit_test(test_a_seed_repeats_damage),
		cmocka_unit_test(test_a_seed_repeats_everything_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
