/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The event loop: order of timers, cancelling, stale events of closed descriptors, stopping.
 */
#include "injector/base/loop.h"

#include "injector/base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <cmocka.h>

#define TIMERS 500

struct firing {
	struct loop *loop;
	int64_t last_due_ns;
	unsigned fired, wanted;
	bool in_order;
};

struct one {
	struct firing *firing;
	struct loop_timer timer;
	int64_t due_ns;
};

static void on_ordered(void *context)
{
	struct one *one = context;

	one->firing->in_order &= one->due_ns >= one->firing->last_due_ns;
	one->firing->last_due_ns = one->due_ns;
	if (++one->firing->fired == one->firing->wanted)
		loop_stop(one->firing->loop);
}

static void test_timers_fire_in_order_and_cancelled_ones_do_not(void **state)
{
	struct firing firing = {.in_order = true};
	struct one *all = calloc(TIMERS, sizeof(*all));
	int64_t now = clock_now_ns();
	unsigned seed = 4711;

	(void)state;
	assert_non_null(all);
	assert_int_equal(loop_new(&firing.loop, NULL), 0);
	for (unsigned i = 0; i < TIMERS; i++) {
		seed = seed * 1103515245 + 12345;
		all[i].firing = &firing;
		all[i].due_ns = now + seed % 5000000;
		assert_int_equal(loop_timer_set(firing.loop, &all[i].timer, all[i].due_ns,
						on_ordered, &all[i]),
				 0);
	}
	for (unsigned i = 0; i < TIMERS; i += 3) { /* re-arm a third */
		all[i].due_ns = now + (int64_t)i * 10000;
		loop_timer_set(firing.loop, &all[i].timer, all[i].due_ns, on_ordered, &all[i]);
	}
	firing.wanted = TIMERS;
	for (unsigned i = 1; i < TIMERS; i += 5, firing.wanted--) {
		loop_timer_cancel(firing.loop, &all[i].timer);
		loop_timer_cancel(firing.loop, &all[i].timer);
		assert_int_equal(all[i].timer.heap_index, 0);
	}
	assert_int_equal(loop_run(firing.loop, NULL), 0);
	assert_true(firing.in_order);
	assert_int_equal(firing.fired, firing.wanted);
	loop_free(firing.loop);
	free(all);
}

struct counter {
	struct loop *loop;
	struct loop_timer timer;
	unsigned calls;
	int other; /* descriptor to drop from within */
	int replaced_by;
};

static void on_tick(void *context)
{
	struct counter *counter = context;

	counter->calls++;
	loop_stop(counter->loop);
}

static void test_a_turn_after_a_stopped_run_still_works(void **state)
{
	struct counter counter = {0};

	(void)state;
	assert_int_equal(loop_new(&counter.loop, NULL), 0);
	loop_timer_set(counter.loop, &counter.timer, clock_now_ns(), on_tick, &counter);
	assert_int_equal(loop_run(counter.loop, NULL), 0);
	assert_int_equal(counter.calls, 1);
	loop_timer_set(counter.loop, &counter.timer, clock_now_ns(), on_tick, &counter);
	for (unsigned i = 0; i < 100 && counter.calls < 2; i++)
		assert_int_equal(loop_turn(counter.loop, 10 * NSEC_PER_MSEC, NULL), 0);
	assert_int_equal(counter.calls, 2);
	loop_free(counter.loop);
}

static void test_a_turn_waits_no_longer_than_told(void **state)
{
	struct loop *loop;
	int64_t start = clock_now_ns(), took;

	(void)state;
	assert_int_equal(loop_new(&loop, NULL), 0);
	assert_int_equal(loop_turn(loop, 20 * NSEC_PER_MSEC, NULL), 0);
	took = clock_now_ns() - start;
	assert_true(took >= 20 * NSEC_PER_MSEC);
	assert_true(took < 5 * NSEC_PER_SEC);
	assert_int_equal(loop_turn(loop, 0, NULL), 0);
	loop_free(loop);
}

static void count_event(void *context, uint32_t events)
{
	struct counter *counter = context;

	(void)events;
	counter->calls++;
}

/* Closes the other descriptor, whose event is in the same batch, and opens one of the same number.
 */
static void replace_other(void *context, uint32_t events)
{
	struct counter *counter = context;

	(void)events;
	counter->calls++;
	if (counter->other < 0)
		return;
	loop_unwatch(counter->loop, counter->other);
	close(counter->other);
	counter->replaced_by = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_int_equal(loop_watch(counter->loop, counter->replaced_by, EPOLLIN, count_event,
				    counter, NULL),
			 0);
	counter->other = -1;
}

static void test_stale_events_of_a_closed_descriptor_are_dropped(void **state)
{
	int fds[2] = {eventfd(1, EFD_CLOEXEC), eventfd(1, EFD_CLOEXEC)};
	struct counter counters[2] = {{.replaced_by = -1}, {.replaced_by = -1}};
	struct loop *loop;
	unsigned total;

	(void)state;
	assert_int_equal(loop_new(&loop, NULL), 0);
	for (unsigned i = 0; i < 2; i++) {
		counters[i].loop = loop;
		counters[i].other = fds[1 - i];
		assert_int_equal(
			loop_watch(loop, fds[i], EPOLLIN, replace_other, &counters[i], NULL), 0);
	}
	assert_int_equal(loop_turn(loop, NSEC_PER_SEC, NULL), 0);
	/* whichever came first closed the other one; the new descriptor is not readable */
	total = counters[0].calls + counters[1].calls;
	assert_int_equal(total, 1);
	for (unsigned i = 0; i < 2; i++) {
		if (counters[i].replaced_by < 0)
			continue;
		assert_int_equal(counters[i].replaced_by, fds[1 - i]);
		loop_unwatch(loop, counters[i].replaced_by);
		close(counters[i].replaced_by);
		close(fds[i]);
	}
	loop_free(loop);
}

static void test_watching_replaces_and_unwatching_ends(void **state)
{
	int fd = eventfd(1, EFD_CLOEXEC);
	struct counter first = {0}, second = {0};
	struct loop *loop;

	(void)state;
	assert_int_equal(loop_new(&loop, NULL), 0);
	assert_int_equal(loop_watch(loop, fd, EPOLLIN, count_event, &first, NULL), 0);
	assert_int_equal(loop_watch(loop, fd, EPOLLIN, count_event, &second, NULL), 0);
	assert_int_equal(loop_turn(loop, NSEC_PER_SEC, NULL), 0);
	assert_int_equal(first.calls, 0);
	assert_int_equal(second.calls, 1);
	loop_unwatch(loop, fd);
	loop_unwatch(loop, fd);
	assert_int_equal(loop_turn(loop, 0, NULL), 0);
	assert_int_equal(second.calls, 1);
	close(fd);
	loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_timers_fire_in_order_and_cancelled_ones_do_not),
		cmocka_unit_test(test_a_turn_after_a_stopped_run_still_works),
		cmocka_unit_test(test_a_turn_waits_no_longer_than_told),
		cmocka_unit_test(test_stale_events_of_a_closed_descriptor_are_dropped),
		cmocka_unit_test(test_watching_replaces_and_unwatching_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
