/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The queue of the delay line with a clock of our own: order, jitter, live changes, memory.
 */
#include "faults/delay_effect.h"
#include "faults/delay_queue.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MSEC 1000000LL
#define MIB  (1UL << 20)

struct stamp {
	uint64_t number;
	int64_t arrival_ns;
};

static struct delay_effect effect; /* of the one queue at a time */
static struct delay_budget budget;

/* As the thread of the line does it. */
static void set(struct delay_queue *queue, int64_t delay_ns, int64_t jitter_ns, int64_t now_ns)
{
	const struct netem_config config = {.delay_ns = delay_ns, .jitter_ns = jitter_ns};
	int64_t before_ns = delay_effect_longest_ns(&effect);

	delay_effect_set(&effect, &config);
	if (delay_effect_longest_ns(&effect) < before_ns)
		delay_queue_hasten(queue, delay_effect_longest_ns(&effect), now_ns);
}

static struct delay_queue *make(size_t limit, int64_t delay_ns, int64_t jitter_ns, uint64_t seed)
{
	struct delay_queue *queue = NULL;

	delay_budget_init(&budget, limit, NULL);
	assert_int_equal(delay_queue_new(&budget, 65800, &queue, NULL), 0);
	delay_effect_init(&effect, seed);
	set(queue, delay_ns, jitter_ns, 0);
	return queue;
}

static bool push(struct delay_queue *queue, uint64_t number, int64_t now_ns, size_t length)
{
	struct stamp stamp = {number, now_ns};
	struct delay_due due;
	unsigned char *room = delay_queue_reserve(queue);

	if (!room)
		return false;
	assert_int_equal((uintptr_t)room % 16, 0);
	memset(room, (int)number, length);
	memcpy(room, &stamp, sizeof(stamp));
	due = delay_effect_due(&effect, length, now_ns, delay_queue_last_ns(queue));
	delay_queue_commit(queue, length, now_ns, due.at_ns, due.is_ordered);
	return true;
}

/* Takes the next packet at now_ns and checks that its bytes are intact. */
static bool take(struct delay_queue *queue, int64_t now_ns, struct stamp *out)
{
	size_t length;
	const unsigned char *data = delay_queue_peek(queue, now_ns, &length);

	if (!data)
		return false;
	memcpy(out, data, sizeof(*out));
	for (size_t i = sizeof(*out); i < length; i++) {
		if (data[i] != (unsigned char)out->number)
			fail_msg("packet %lu damaged at byte %zu", out->number, i);
	}
	delay_queue_pop(queue);
	return true;
}

static void test_packet_leaves_exactly_at_its_time(void **state)
{
	struct delay_queue *queue = make(4 * MIB, 20 * MSEC, 0, 1);
	struct stamp got;

	(void)state;
	assert_int_equal(delay_queue_next_ns(queue), INT64_MAX);
	assert_true(push(queue, 7, 5 * MSEC, 100));
	assert_int_equal(delay_queue_next_ns(queue), 25 * MSEC);
	assert_false(take(queue, 25 * MSEC - 1, &got));
	assert_true(take(queue, 25 * MSEC, &got));
	assert_int_equal(got.number, 7);
	assert_int_equal(delay_queue_count(queue), 0);
	assert_false(take(queue, INT64_MAX, &got));
	delay_queue_free(queue);
}

/* Mixed sizes through many blocks, several times round the memory, never out of order. */
static void test_order_is_kept_without_jitter(void **state)
{
	struct delay_queue *queue = make(8 * MIB, 3 * MSEC, 0, 1);
	uint64_t sent = 0, received = 0;
	struct stamp got;

	(void)state;
	for (int64_t now = 0; received < 20000; now += 50000) {
		if (sent < 20000) {
			assert_true(push(queue, sent, now, sent % 7 ? 60 + sent % 1500 : 65800));
			sent++;
		}
		while (take(queue, now, &got)) {
			assert_int_equal(got.number, received++);
			assert_int_equal(now - got.arrival_ns, 3 * MSEC);
		}
	}
	delay_queue_free(queue);
}

static void test_jitter_is_uniform_and_exact(void **state)
{
	const int count = 100000;
	struct delay_queue *queue = make(64 * MIB, 10 * MSEC, 4 * MSEC, 42);
	double sum = 0, squares = 0, mean, deviation;
	int64_t least = INT64_MAX, most = 0, now = 0;
	uint64_t received = 0, overtaken = 0, highest = 0;
	struct stamp got;

	(void)state;
	for (int i = 0; i < count; i++)
		assert_true(push(queue, i, i * 1000LL, 64));
	while (delay_queue_count(queue)) {
		int64_t delay;

		assert_true(delay_queue_next_ns(queue) >= now);
		now = delay_queue_next_ns(queue);
		assert_true(take(queue, now, &got));
		delay = now - got.arrival_ns;
		sum += delay;
		squares += (double)delay * delay;
		least = delay < least ? delay : least;
		most = delay > most ? delay : most;
		overtaken += got.number < highest;
		highest = got.number > highest ? got.number : highest;
		received++;
	}
	mean = sum / count;
	deviation = sqrt(squares / count - mean * mean);
	print_message("  mean %.4f ms, sd %.4f ms, %.4f..%.4f ms, %lu overtaken\n", mean / MSEC,
		      deviation / MSEC, (double)least / MSEC, (double)most / MSEC, overtaken);
	assert_int_equal(received, count);
	assert_true(least >= 6 * MSEC && least < 6 * MSEC + MSEC / 100);
	assert_true(most < 14 * MSEC && most > 14 * MSEC - MSEC / 100);
	/* five standard errors of the mean; sd of a uniform distribution is width / sqrt(12) */
	assert_true(fabs(mean - 10 * MSEC) < 5 * deviation / sqrt(count));
	assert_true(fabs(deviation - 8 * MSEC / sqrt(12)) < 0.01 * deviation);
	assert_true(overtaken > count / 2);
	delay_queue_free(queue);
}

static void test_jitter_never_makes_a_delay_negative(void **state)
{
	struct delay_queue *queue = make(4 * MIB, MSEC, 5 * MSEC, 3);
	struct stamp got;
	int at_once = 0;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		assert_true(push(queue, i, 7 * MSEC, 64));
		assert_true(delay_queue_next_ns(queue) >= 7 * MSEC);
	}
	while (take(queue, 7 * MSEC, &got))
		at_once++;
	assert_in_range(at_once, 330, 470); /* 4 of 10 draws are below zero */
	delay_queue_free(queue);
}

static void run_seed(uint64_t seed, int64_t *out)
{
	struct delay_queue *queue = make(4 * MIB, 10 * MSEC, 10 * MSEC, seed);
	struct stamp got;

	for (int i = 0; i < 64; i++)
		assert_true(push(queue, i, 0, 64));
	for (int i = 0; i < 64; i++) {
		out[i] = delay_queue_next_ns(queue);
		assert_true(take(queue, out[i], &got));
	}
	delay_queue_free(queue);
}

static void test_same_seed_gives_the_same_delays(void **state)
{
	int64_t a[64], b[64], c[64];

	(void)state;
	run_seed(11, a);
	run_seed(11, b);
	run_seed(12, c);
	assert_memory_equal(a, b, sizeof(a));
	assert_memory_not_equal(a, c, sizeof(a));
}

static void test_shrink_lets_waiting_packets_go_in_order(void **state)
{
	struct delay_queue *queue = make(4 * MIB, 100 * MSEC, 0, 1);
	struct stamp got;

	(void)state;
	for (int i = 0; i < 50; i++)
		assert_true(push(queue, i, i * MSEC, 64));
	set(queue, 10 * MSEC, 0, 50 * MSEC);
	assert_true(push(queue, 50, 50 * MSEC, 64));
	/* waiting for 10 ms or longer: at once */
	for (unsigned i = 0; i <= 40; i++) {
		assert_true(take(queue, 50 * MSEC, &got));
		assert_int_equal(got.number, i);
	}
	assert_false(take(queue, 50 * MSEC, &got));
	for (unsigned i = 41; i <= 50; i++) {
		assert_int_equal(delay_queue_next_ns(queue), (i + 10) * MSEC);
		assert_true(take(queue, (i + 10) * MSEC, &got));
		assert_int_equal(got.number, i);
	}
	delay_queue_free(queue);
}

static void test_growing_leaves_waiting_packets_alone(void **state)
{
	struct delay_queue *queue = make(4 * MIB, 10 * MSEC, 0, 1);
	struct stamp got;

	(void)state;
	assert_true(push(queue, 0, 0, 64));
	set(queue, 50 * MSEC, 0, MSEC);
	assert_true(push(queue, 1, MSEC, 64));
	assert_true(take(queue, 10 * MSEC, &got));
	assert_false(take(queue, 50 * MSEC, &got));
	assert_true(take(queue, 51 * MSEC, &got));
	delay_queue_free(queue);
}

/* A ramp up and down over and over: in order, and never longer than the longest delay. */
static void test_ramp_never_reorders(void **state)
{
	static const int64_t delays[] = {20, 200, 1, 50, 10, 0, 5};
	struct delay_queue *queue = make(16 * MIB, 20 * MSEC, 0, 1);
	uint64_t received = 0;
	struct stamp got;
	int64_t now = 0;

	(void)state;
	for (unsigned i = 0; i < 10000; i++, now += 100000) {
		if (i % 300 == 0)
			set(queue, delays[i / 300 % 7] * MSEC, 0, now);
		assert_true(push(queue, i, now, 64));
		while (take(queue, now, &got)) {
			assert_int_equal(got.number, received++);
			assert_true(now - got.arrival_ns <= 200 * MSEC);
		}
	}
	while (take(queue, now + 200 * MSEC, &got))
		assert_int_equal(got.number, received++);
	assert_int_equal(received, 10000);
	delay_queue_free(queue);
}

static void test_without_jitter_nothing_overtakes_packets_that_got_it(void **state)
{
	struct delay_queue *queue = make(4 * MIB, 10 * MSEC, 10 * MSEC, 5);
	struct stamp got;

	(void)state;
	for (int i = 0; i < 100; i++)
		assert_true(push(queue, i, 0, 64));
	set(queue, 10 * MSEC, 0, 0);
	for (int i = 100; i < 200; i++)
		assert_true(push(queue, i, 0, 64));
	for (int i = 0; i < 100; i++) {
		assert_true(take(queue, 10 * MSEC, &got));
		assert_true(got.number < 100);
	}
	for (unsigned i = 100; i < 200; i++) {
		assert_true(take(queue, 10 * MSEC, &got));
		assert_int_equal(got.number, i);
	}
	delay_queue_free(queue);
}

static void test_shrink_to_zero_empties_a_jittered_queue_in_order(void **state)
{
	struct delay_queue *queue = make(8 * MIB, 500 * MSEC, 400 * MSEC, 5);
	struct stamp got;

	(void)state;
	for (int i = 0; i < 5000; i++)
		assert_true(push(queue, i, 0, 64));
	set(queue, 0, 0, MSEC);
	assert_true(push(queue, 5000, MSEC, 64));
	for (unsigned i = 0; i <= 5000; i++) {
		assert_true(take(queue, MSEC, &got));
		assert_int_equal(got.number, i);
	}
	delay_queue_free(queue);
}

static size_t resident(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	unsigned long pages = 0;

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%*u %lu", &pages), 1);
	fclose(file);
	return pages * 4096;
}

#ifdef __SANITIZE_ADDRESS__
#define SHADOW_OF(bytes) ((bytes) / 8) /* the sanitizer's own, also resident */
#else
#define SHADOW_OF(bytes) 0
#endif

static void test_memory_is_bounded_and_given_back(void **state)
{
	struct delay_queue *queue = make(64 * MIB, 1000 * MSEC, 0, 1);
	size_t before = resident(), full;
	unsigned pushed = 0, taken = 0;
	struct stamp got;

	(void)state;
	while (push(queue, pushed, pushed, 60000))
		pushed++;
	full = resident();
	print_message("  %u packets of 60000 bytes in 64 MiB, %zu MiB resident\n", pushed,
		      (full - before) / MIB);
	assert_in_range(pushed, 64 * 15, 64 * 17);
	assert_true(full - before <= 66 * MIB + SHADOW_OF(64 * MIB) && full - before > 50 * MIB);
	assert_true(delay_queue_memory(queue) <= 64 * MIB);
	while (take(queue, INT64_MAX, &got))
		assert_int_equal(got.number, taken++);
	assert_int_equal(taken, pushed);
	assert_true(push(queue, 0, 0, 60000)); /* there is room again */
	assert_true(take(queue, INT64_MAX, &got));
	assert_true(delay_queue_trim(queue));
	assert_false(delay_queue_trim(queue));
	assert_int_equal(delay_queue_memory(queue), 0);
	assert_true(resident() < before + MIB + SHADOW_OF(64 * MIB));
	delay_queue_free(queue);
}

static void test_small_packets_are_bounded_as_well(void **state)
{
	struct delay_queue *queue = make(4 * MIB, 1000 * MSEC, 500 * MSEC, 1);
	unsigned pushed = 0, taken = 0;
	struct stamp got;

	(void)state;
	while (push(queue, pushed, 0, 16))
		pushed++;
	assert_int_equal(pushed, 4 * MIB / 128);
	while (take(queue, INT64_MAX, &got))
		taken++;
	assert_int_equal(taken, pushed);
	delay_queue_trim(queue);
	delay_queue_trim(queue);
	assert_int_equal(delay_queue_memory(queue), 0);
	delay_queue_free(queue);
}

/* A steady stream must not walk through the whole mapping. */
static uint64_t fill(struct delay_queue *queue)
{
	uint64_t count = 0;

	while (count < 100000 && push(queue, count, 0, 60000))
		count++;
	return count;
}

/* Two lines, 8 MiB each, 8 MiB together; two blocks of each are not of what is shared. */
static void test_several_budgets_have_a_limit_together(void **state)
{
	struct delay_budget whole, budgets[2];
	struct delay_queue *queues[2];
	uint64_t counts[2];
	size_t each = MIB / 60000, length;

	(void)state;
	delay_budget_init(&whole, 8 * MIB, NULL);
	for (unsigned i = 0; i < 2; i++) {
		delay_budget_init(&budgets[i], 8 * MIB, &whole);
		assert_int_equal(delay_queue_new(&budgets[i], 65800, &queues[i], NULL), 0);
	}
	delay_effect_init(&effect, 1);
	set(queues[0], 1000 * MSEC, 0, 0);
	for (unsigned i = 0; i < 2; i++)
		counts[i] = fill(queues[i]);
	assert_true(counts[0] >= 7 * each && counts[0] <= 8 * (each + 1));
	assert_true(counts[1] >= 3 * each && counts[1] <= 4 * (each + 1));
	assert_int_equal(whole.used, 8);
	/* what one gives back the other may have; what waits for nothing holds nothing */
	while (delay_queue_peek(queues[0], 2000 * MSEC, &length))
		delay_queue_pop(queues[0]);
	delay_queue_trim(queues[0]);
	delay_queue_trim(queues[0]);
	assert_int_equal(whole.used, 2);
	assert_true(fill(queues[1]) >= 3 * each);
	assert_int_equal(whole.used, 6);
	delay_queue_free(queues[0]);
	delay_queue_free(queues[1]);
	assert_int_equal(whole.used, 0);
	assert_int_equal(budgets[1].used, 0);
}

static void test_memory_follows_what_is_in_flight(void **state)
{
	struct delay_queue *queue = make(256 * MIB, 10 * MSEC, 0, 1);
	struct stamp got;

	(void)state;
	for (unsigned i = 0; i < 100000; i++) { /* 1500 MB, 1.5 MB of it in flight */
		assert_true(push(queue, i, i * 10000LL, 1500));
		while (take(queue, i * 10000LL, &got))
			;
	}
	assert_true(delay_queue_memory(queue) <= 4 * MIB);
	delay_queue_free(queue);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_packet_leaves_exactly_at_its_time),
		cmocka_unit_test(test_order_is_kept_without_jitter),
		cmocka_unit_test(test_jitter_is_uniform_and_exact),
		cmocka_unit_test(test_jitter_never_makes_a_delay_negative),
		cmocka_unit_test(test_same_seed_gives_the_same_delays),
		cmocka_unit_test(test_shrink_lets_waiting_packets_go_in_order),
		cmocka_unit_test(test_growing_leaves_waiting_packets_alone),
		cmocka_unit_test(test_ramp_never_reorders),
		cmocka_unit_test(test_without_jitter_nothing_overtakes_packets_that_got_it),
		cmocka_unit_test(test_shrink_to_zero_empties_a_jittered_queue_in_order),
		cmocka_unit_test(test_memory_is_bounded_and_given_back),
		cmocka_unit_test(test_small_packets_are_bounded_as_well),
		cmocka_unit_test(test_several_budgets_have_a_limit_together),
		cmocka_unit_test(test_memory_follows_what_is_in_flight),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
