/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Threads of one delay line side by side, without a tap: a pair of sockets stands in for each queue
 * of it. Order and memory; for the thread sanitizer as well.
 */
#include "faults/delay_thread.h"
#include "injector/base/clock.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define THREADS 4
#define PACKETS 1000
#define DELAY	(2 * NSEC_PER_MSEC)
#define SECONDS 20 /* at most, on a slow and busy machine */

struct packet {
	unsigned char header[TAP_HEADER_SIZE + 14];
	uint64_t number;
	int64_t sent_ns;
};

struct line {
	struct delay_budget budget;
	struct delay_thread *threads[THREADS];
	int near[THREADS], far[THREADS]; /* ends of the pairs: the thread's, ours */
};

static const struct tap tap = {.kind = TAP_ETHERNET, .address = {2, 1, 1, 1, 1, 1}};

static void start(struct line *line, size_t limit_bytes, int64_t delay_ns)
{
	const struct netem_config effect = {.delay_ns = delay_ns};

	delay_budget_init(&line->budget, limit_bytes, NULL);
	for (unsigned i = 0; i < THREADS; i++) {
		int pair[2];

		assert_int_equal(
			socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair),
			0);
		line->near[i] = pair[0];
		line->far[i] = pair[1];
		assert_int_equal(delay_thread_new(&line->budget, i, &line->threads[i], NULL), 0);
		delay_thread_set(line->threads[i], &effect);
	}
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(delay_thread_start(line->threads[i], line->near[i], &tap, NULL),
				 0);
}

static void stop(struct line *line)
{
	for (unsigned i = 0; i < THREADS; i++) {
		delay_thread_free(line->threads[i]);
		close(line->near[i]);
		close(line->far[i]);
	}
	assert_int_equal(line->budget.used, 0);
}

/* False: there is no room now. */
static bool give(int fd, uint64_t number, size_t length)
{
	static unsigned char bytes[65536];
	struct packet packet = {.number = number, .sent_ns = clock_now_ns()};

	memcpy(bytes, &packet, sizeof(packet));
	return send(fd, bytes, length, MSG_NOSIGNAL) == (ssize_t)length;
}

/* Takes what is there and returns how many; each must be the next in its row and not be early. */
static unsigned take(int fd, uint64_t expected)
{
	struct packet packet;
	unsigned count = 0;

	while (recv(fd, &packet, sizeof(packet), 0) == sizeof(packet)) {
		assert_int_equal(packet.number, expected + count++);
		assert_true(clock_now_ns() - packet.sent_ns >= DELAY);
	}
	return count;
}

static void test_packets_of_each_queue_keep_their_order(void **state)
{
	struct line line;
	uint64_t given[THREADS] = {0}, taken[THREADS] = {0}, all = 0;
	int64_t until_ns = clock_now_ns() + SECONDS * NSEC_PER_SEC;

	(void)state;
	start(&line, 8UL << 20, DELAY);
	while (all < (uint64_t)THREADS * PACKETS && clock_now_ns() < until_ns) {
		for (unsigned i = 0; i < THREADS; i++) {
			unsigned count = take(line.far[i], taken[i]);

			taken[i] += count;
			all += count;
			/* no more on the way than fits into a socket's buffer */
			if (given[i] < PACKETS && given[i] - taken[i] < 50)
				given[i] += give(line.far[i], given[i], sizeof(struct packet));
		}
	}
	assert_int_equal(all, (uint64_t)THREADS * PACKETS);
	for (unsigned i = 0; i < THREADS; i++) {
		struct delay_thread_counters counters;

		delay_thread_counters(line.threads[i], &counters);
		assert_int_equal(counters.received, PACKETS);
		assert_int_equal(counters.dropped_full + counters.dropped_error, 0);
	}
	stop(&line);
}

struct sum {
	uint64_t received, queued, dropped;
};

static struct sum sum_of(const struct line *line)
{
	struct sum sum = {0};

	for (unsigned i = 0; i < THREADS; i++) {
		struct delay_thread_counters counters;

		delay_thread_counters(line->threads[i], &counters);
		sum.received += counters.received;
		sum.queued += counters.queued;
		sum.dropped += counters.dropped_full;
	}
	return sum;
}

/* One queue takes nearly all the memory; then the others are refused, and each drop is counted. */
static void test_memory_has_one_limit_for_all_queues(void **state)
{
	const size_t limit = 8UL << 20, length = 4000;
	const uint64_t first = 1500, each = 300, all = first + (THREADS - 1) * each;
	int64_t until_ns = clock_now_ns() + SECONDS * NSEC_PER_SEC;
	struct sum sum = {0};
	struct line line;

	(void)state;
	start(&line, limit, 3600 * NSEC_PER_SEC);
	for (uint64_t i = 0; i < first && clock_now_ns() < until_ns;)
		i += give(line.far[0], i, length);
	for (uint64_t i = 0; i < each && clock_now_ns() < until_ns; i++)
		for (unsigned at = 1; at < THREADS; at++)
			while (!give(line.far[at], i, length) && clock_now_ns() < until_ns)
				;
	while ((sum.received < all || sum.queued + sum.dropped < all) &&
	       clock_now_ns() < until_ns) {
		nanosleep(&(struct timespec){.tv_nsec = NSEC_PER_MSEC}, NULL);
		sum = sum_of(&line);
	}
	assert_int_equal(sum.received, all);
	assert_int_equal(sum.queued + sum.dropped, all);
	assert_true(sum.queued * length <= limit);
	assert_true(sum.queued * length > limit * 3 / 4);
	assert_true(line.budget.used <= line.budget.blocks);
	stop(&line);
}

static void test_a_budget_that_is_used_up_is_an_error(void **state)
{
	struct delay_budget budget;
	struct delay_thread *threads[3] = {NULL};
	struct error err = ERROR_INIT;

	(void)state;
	delay_budget_init(&budget, 1, NULL); /* two blocks at least */
	assert_int_equal(delay_thread_new(&budget, 0, &threads[0], NULL), 0);
	assert_int_equal(delay_thread_new(&budget, 0, &threads[1], NULL), 0);
	assert_true(delay_thread_new(&budget, 0, &threads[2], &err) < 0);
	assert_null(threads[2]);
	delay_thread_free(threads[0]);
	assert_int_equal(delay_thread_new(&budget, 0, &threads[2], NULL), 0);
	delay_thread_free(threads[1]);
	delay_thread_free(threads[2]);
	assert_int_equal(budget.used, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_packets_of_each_queue_keep_their_order),
		cmocka_unit_test(test_memory_has_one_limit_for_all_queues),
		cmocka_unit_test(test_a_budget_that_is_used_up_is_an_error),
	};

	return cmocka_run_group_tests_name("delay line: threads", tests, NULL, NULL);
}
