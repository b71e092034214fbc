/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Clock and timers of a loop that stands still: the fuzzer says when the next timer is due, and
 * then it is that late.
 */
#ifndef SQUALL_FUZZ_TIME_H
#define SQUALL_FUZZ_TIME_H

#include "injector/base/clock.h"
#include "injector/base/loop.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#ifndef FAKE_TIMERS
#define FAKE_TIMERS 2048
#endif
#define FAKE_FDS 1024

static struct loop_timer *fake_timers[FAKE_TIMERS];
static unsigned fake_timer_count;
static int64_t fake_now_ns;
static bool fake_is_stopped; /* the loop */
/* by descriptor; nobody calls them but a fuzzer that wants to */
static struct {
	loop_fd_fn fn;
	void *context;
	uint32_t events;
} fake_watches[FAKE_FDS];

/* Says which one it was: the calls are inlined. */
#define require(condition) require_at((condition) != 0, __LINE__, #condition)

static void require_at(bool is_true, int line, const char *what)
{
	if (is_true)
		return;
	fprintf(stderr, "line %d: not so: %s\n", line, what);
	abort();
}

int64_t clock_now_ns(void)
{
	return fake_now_ns;
}

int loop_timer_set(struct loop *loop, struct loop_timer *timer, int64_t due_ns, loop_timer_fn fn,
		   void *context)
{
	(void)loop;
	if (!timer->heap_index) {
		require(fake_timer_count < FAKE_TIMERS);
		fake_timers[fake_timer_count++] = timer;
		timer->heap_index = fake_timer_count;
	}
	timer->due_ns = due_ns;
	timer->fn = fn;
	timer->context = context;
	return 0;
}

void loop_timer_cancel(struct loop *loop, struct loop_timer *timer)
{
	struct loop_timer *last;

	(void)loop;
	if (!timer->heap_index)
		return;
	last = fake_timers[--fake_timer_count];
	fake_timers[timer->heap_index - 1] = last;
	last->heap_index = timer->heap_index;
	timer->heap_index = 0;
}

/* The one that is due first. False: none is armed. */
static bool fake_timer_fire(void)
{
	struct loop_timer *first = NULL;

	for (unsigned i = 0; i < fake_timer_count; i++)
		if (!first || fake_timers[i]->due_ns < first->due_ns)
			first = fake_timers[i];
	if (!first)
		return false;
	if (first->due_ns > fake_now_ns)
		fake_now_ns = first->due_ns;
	loop_timer_cancel(NULL, first);
	first->fn(first->context);
	return true;
}

int loop_watch(struct loop *loop, int fd, uint32_t events, loop_fd_fn fn, void *context,
	       struct error *err)
{
	(void)loop, (void)err;
	if (fd >= 0 && fd < FAKE_FDS) {
		fake_watches[fd].fn = fn;
		fake_watches[fd].context = context;
		fake_watches[fd].events = events;
	}
	return 0;
}

void loop_unwatch(struct loop *loop, int fd)
{
	(void)loop;
	if (fd >= 0 && fd < FAKE_FDS)
		fake_watches[fd].fn = NULL;
}

void loop_stop(struct loop *loop)
{
	(void)loop;
	fake_is_stopped = true;
}

static void fake_time_begin(void)
{
	fake_is_stopped = false;
	fake_timer_count = 0;
	fake_now_ns = NSEC_PER_SEC;
}

#endif
