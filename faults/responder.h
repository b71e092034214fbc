/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the responders share to which faults redirect traffic: a thread of the worker, inside the
 * target's network namespace, with an event loop, a port on the loopback addresses there, and what
 * other threads may ask. The thread alone touches the rest once it runs. All of it vanishes with
 * the process.
 */
#ifndef SQUALL_RESPONDER_H
#define SQUALL_RESPONDER_H

#include "injector/base/error.h"
#include "injector/base/loop.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct responder;

struct responder_ops {
	const char *name; /* of the thread */
	int64_t sweep_every_ns;
	/* In the namespace: the sockets, at a port that is free in both families. 0 or -errno;
	 * -EADDRINUSE: once more, with what is open by then to be closed. */
	int (*open)(struct responder *responder);
	/* Who listens for connections is put above the floor, and everybody watched for. */
	int (*watch)(struct responder *responder, struct error *err);
	/* In the thread; soften: nothing new comes from now on. */
	void (*sweep)(struct responder *responder, int64_t now_ns);
	void (*soften)(struct responder *responder);
	/* When it has ended: connections, and who listens for them; then everything else, if there
	 * is more (close may be NULL). */
	void (*hang_up)(struct responder *responder);
	void (*close)(struct responder *responder);
};

/* What a responder of some kind begins with; allocated with the rest of that. */
struct responder {
	const struct responder_ops *ops;
	struct loop *loop;
	int namespace_fd; /* not owned; -1: ours */
	uint32_t mark;	  /* on everything it sends to servers */
	uint16_t port;	  /* of TCP */
	bool has_ipv6;
	int floor; /* who listens for connections, and these, have descriptors above this one */
	_Atomic bool is_soft;	  /* nothing is met any more; set by another thread */
	_Atomic bool is_looping;  /* what it sends to servers came back to it */
	_Atomic unsigned awaited; /* so much may still come for somebody */

	/* responder.c */
	struct loop_timer timer;
	int wake_fd;
	pthread_t id;
	bool is_started;
	_Atomic bool is_softened, is_stopping, is_broken;
};

/* On an object of zeros but for namespace and mark. On failure responder_free() is still to come.
 */
int responder_open(struct responder *responder, const struct responder_ops *ops, struct error *err);
/* Starts the thread; enters the namespace. */
int responder_start(struct responder *responder, int floor, struct error *err);
/* Of who listens, and of connections: puts the descriptor above the floor. On failure it is closed,
 * and -1. */
int responder_raise(const struct responder *responder, int *inout_fd, struct error *err);
/* Nothing new comes from now on and nothing is met any more. */
void responder_soften(struct responder *responder);
/* Softened, and nothing is awaited any more. */
bool responder_is_empty(const struct responder *responder);
/* The thread has ended by itself: who was redirected gets no answer. */
bool responder_is_broken(const struct responder *responder);
/* Stops the thread; connections are reset, also those that nobody has accepted. */
void responder_hang_up(struct responder *responder);
/* The same; closes everything, and frees what begins with it. May be NULL. */
void responder_free(struct responder *responder);

#endif
