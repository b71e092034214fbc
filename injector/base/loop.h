/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One event loop a process: descriptors by epoll, timers by a heap on CLOCK_BOOTTIME. Nothing in
 * it blocks, so a stop condition acts at once, also in the middle of a pause. Not thread-safe.
 */
#ifndef SQUALL_LOOP_H
#define SQUALL_LOOP_H

#include "injector/base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

struct loop;

typedef void (*loop_fd_fn)(void *context, uint32_t events);
typedef void (*loop_timer_fn)(void *context);

/* Intrusive; owned by the caller, who must cancel it before it goes away. Zeroed means idle. */
struct loop_timer {
	int64_t due_ns; /* CLOCK_BOOTTIME */
	loop_timer_fn fn;
	void *context;
	unsigned heap_index; /* 1-based; 0: not armed */
};

int loop_new(struct loop **out, struct error *err);
void loop_free(struct loop *loop);

/* Calls fn when `fd` has one of the epoll `events`. The descriptor stays the caller's, who must
 * unwatch it before closing it. Watching a watched descriptor replaces events, fn and context. */
int loop_watch(struct loop *loop, int fd, uint32_t events, loop_fd_fn fn, void *context,
	       struct error *err);
void loop_unwatch(struct loop *loop, int fd);
/* Unwatches and closes it, by one system call: as close(2). Only for what no other process and no
 * duplicate holds open, as the kernel then takes it out of the set by itself (epoll(7)). */
int loop_close(struct loop *loop, int fd);

/* Arms (or re-arms) a one-shot timer; -ENOMEM is the only failure. */
int loop_timer_set(struct loop *loop, struct loop_timer *timer, int64_t due_ns, loop_timer_fn fn,
		   void *context);
void loop_timer_cancel(struct loop *loop, struct loop_timer *timer);

/* Runs until loop_stop(), also one called before. Returns 0 or -errno of epoll_wait. */
int loop_run(struct loop *loop, struct error *err);
/* One turn: waits at most max_wait_ns (-1: until something happens), dispatches what is due. */
int loop_turn(struct loop *loop, int64_t max_wait_ns, struct error *err);
void loop_stop(struct loop *loop);

#endif
