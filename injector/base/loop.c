/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/base/loop.h"

#include "injector/base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

struct watch {
	loop_fd_fn fn; /* NULL: slot free */
	void *context;
	uint32_t generation; /* tells a stale event of a re-used descriptor from a live one */
};

struct loop {
	int epoll_fd;
	int timer_fd;	  /* CLOCK_BOOTTIME: epoll_wait's own time-out stops during suspend */
	int64_t clock_ns; /* what it is set to; INT64_MAX: to nothing; 0: it has to be set */
	bool stopping;
	struct watch *watches; /* by descriptor */
	unsigned watch_count;
	uint32_t generation;
	struct loop_timer **heap;
	unsigned heap_count, heap_capacity;
};

int loop_new(struct loop **out, struct error *err)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	struct epoll_event event = {.events = EPOLLIN};

	if (!loop)
		return error_errno(err, ENOMEM, "cannot make an event loop");
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	loop->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	event.data.u64 = (uint32_t)loop->timer_fd;
	if (loop->epoll_fd < 0 || loop->timer_fd < 0 ||
	    epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->timer_fd, &event) < 0) {
		error_errno(err, errno, "cannot make an event loop");
		loop_free(loop);
		return err && err->code ? -err->code : -EIO;
	}
	*out = loop;
	return 0;
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	if (loop->epoll_fd >= 0)
		close(loop->epoll_fd);
	if (loop->timer_fd >= 0)
		close(loop->timer_fd);
	free(loop->watches);
	free(loop->heap);
	free(loop);
}

static int grow_watches(struct loop *loop, int fd)
{
	unsigned count = loop->watch_count ? loop->watch_count : 64;
	struct watch *watches;

	while (count <= (unsigned)fd)
		count *= 2;
	if (count == loop->watch_count)
		return 0;
	watches = realloc(loop->watches, count * sizeof(*watches));
	if (!watches)
		return -ENOMEM;
	memset(watches + loop->watch_count, 0, (count - loop->watch_count) * sizeof(*watches));
	loop->watches = watches;
	loop->watch_count = count;
	return 0;
}

int loop_watch(struct loop *loop, int fd, uint32_t events, loop_fd_fn fn, void *context,
	       struct error *err)
{
	struct epoll_event event = {.events = events};
	bool replace;

	if (fd < 0)
		return error_errno(err, EBADF, "cannot watch descriptor %d", fd);
	if (grow_watches(loop, fd) < 0)
		return error_errno(err, ENOMEM, "cannot watch descriptor %d", fd);
	replace = loop->watches[fd].fn != NULL;
	event.data.u64 = (uint64_t)++loop->generation << 32 | (uint32_t)fd;
	if (epoll_ctl(loop->epoll_fd, replace ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) < 0)
		return error_errno(err, errno, "cannot watch descriptor %d", fd);
	loop->watches[fd] =
		(struct watch){.fn = fn, .context = context, .generation = loop->generation};
	return 0;
}

void loop_unwatch(struct loop *loop, int fd)
{
	if (fd < 0 || (unsigned)fd >= loop->watch_count || !loop->watches[fd].fn)
		return;
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
	loop->watches[fd].fn = NULL;
}

int loop_close(struct loop *loop, int fd)
{
	if (fd >= 0 && (unsigned)fd < loop->watch_count)
		loop->watches[fd].fn = NULL;
	return close(fd);
}

static void heap_place(struct loop *loop, unsigned at, struct loop_timer *timer)
{
	loop->heap[at] = timer;
	timer->heap_index = at;
}

/* 1-based binary heap: index 0 stays unused so that heap_index 0 means "not armed". */
static void heap_up(struct loop *loop, unsigned at)
{
	struct loop_timer *timer = loop->heap[at];

	for (; at > 1 && loop->heap[at / 2]->due_ns > timer->due_ns; at /= 2)
		heap_place(loop, at, loop->heap[at / 2]);
	heap_place(loop, at, timer);
}

static void heap_down(struct loop *loop, unsigned at)
{
	struct loop_timer *timer = loop->heap[at];

	for (;;) {
		unsigned child = at * 2;

		if (child > loop->heap_count)
			break;
		if (child < loop->heap_count &&
		    loop->heap[child + 1]->due_ns < loop->heap[child]->due_ns)
			child++;
		if (loop->heap[child]->due_ns >= timer->due_ns)
			break;
		heap_place(loop, at, loop->heap[child]);
		at = child;
	}
	heap_place(loop, at, timer);
}

int loop_timer_set(struct loop *loop, struct loop_timer *timer, int64_t due_ns, loop_timer_fn fn,
		   void *context)
{
	if (loop->heap_count + 2 > loop->heap_capacity) {
		unsigned capacity = loop->heap_capacity ? loop->heap_capacity * 2 : 32;
		struct loop_timer **heap =
			realloc(loop->heap, capacity * sizeof(struct loop_timer *));

		if (!heap)
			return -ENOMEM;
		loop->heap = heap;
		loop->heap_capacity = capacity;
	}
	loop_timer_cancel(loop, timer);
	*timer = (struct loop_timer){.due_ns = due_ns, .fn = fn, .context = context};
	heap_place(loop, ++loop->heap_count, timer);
	heap_up(loop, loop->heap_count);
	return 0;
}

void loop_timer_cancel(struct loop *loop, struct loop_timer *timer)
{
	unsigned at = timer->heap_index;
	struct loop_timer *last;

	if (!at)
		return;
	timer->heap_index = 0;
	last = loop->heap[loop->heap_count--];
	if (last == timer)
		return;
	heap_place(loop, at, last);
	heap_up(loop, at);
	heap_down(loop, last->heap_index);
}

/* Setting it also takes back that it has fired (timerfd_setup() in fs/timerfd.c), so it is never
 * read. */
static void arm_clock(struct loop *loop, int64_t max_wait_ns)
{
	struct itimerspec when = {0};
	int64_t due = INT64_MAX;

	if (max_wait_ns >= 0 && max_wait_ns < INT64_MAX / 2)
		due = clock_now_ns() + max_wait_ns;
	if (loop->heap_count && loop->heap[1]->due_ns < due)
		due = loop->heap[1]->due_ns;
	if (due < 1)
		due = 1; /* zero would disarm */
	if (due == loop->clock_ns)
		return;
	loop->clock_ns = due;
	if (due != INT64_MAX) {
		when.it_value.tv_sec = due / NSEC_PER_SEC;
		when.it_value.tv_nsec = due % NSEC_PER_SEC;
	}
	timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void dispatch_timers(struct loop *loop)
{
	int64_t now = clock_now_ns();

	while (!loop->stopping && loop->heap_count && loop->heap[1]->due_ns <= now) {
		struct loop_timer *timer = loop->heap[1];

		loop_timer_cancel(loop, timer);
		timer->fn(timer->context);
	}
}

int loop_turn(struct loop *loop, int64_t max_wait_ns, struct error *err)
{
	struct epoll_event events[64];
	int count;

	loop->stopping = false; /* what stopped an earlier loop_run() must not mute this turn */
	arm_clock(loop, max_wait_ns);
	count = epoll_wait(loop->epoll_fd, events, 64, -1);
	if (count < 0)
		return errno == EINTR ? 0 : error_errno(err, errno, "the event loop failed");
	for (int i = 0; i < count && !loop->stopping; i++) {
		int fd = (int)(uint32_t)events[i].data.u64;
		uint32_t generation = events[i].data.u64 >> 32;
		struct watch *watch;

		if (fd == loop->timer_fd) {
			loop->clock_ns = 0;
			continue;
		}
		watch = &loop->watches[fd];
		if (watch->fn && watch->generation == generation)
			watch->fn(watch->context, events[i].events);
	}
	dispatch_timers(loop);
	return 0;
}

int loop_run(struct loop *loop, struct error *err)
{
	int result = 0;

	while (!loop->stopping && result == 0)
		result = loop_turn(loop, -1, err);
	loop->stopping = false;
	return result;
}

void loop_stop(struct loop *loop)
{
	loop->stopping = true;
}
