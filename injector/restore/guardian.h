/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The guardian: forked beside the worker before anything is attached (so that it never inherits a
 * held descriptor), before even the experiment is known: it gets itself ready while the worker
 * plans. By the worker's own parent, not by the worker: which would spend a millisecond on it, and
 * then copy every page it writes.
 * Waits on the worker's pidfd, its pings and the deadline; when the worker is gone it
 * undoes what the journal says. It kills a worker that has stopped pinging or overran the deadline.
 */
#ifndef SQUALL_GUARDIAN_H
#define SQUALL_GUARDIAN_H

#include "injector/base/error.h"
#include "injector/journal/journal.h"

#include <linux/capability.h>
#include <stdint.h>
#include <sys/types.h>

#define GUARDIAN_PING_NS    250000000LL	 /* the worker pings this often */
#define GUARDIAN_STOPPED_NS 600000000LL	 /* silence after which a stopped worker is killed */
#define GUARDIAN_SILENCE_NS 2000000000LL /* and one that a debugger holds, or before the run */
#define GUARDIAN_STARVED_NS 8000000000LL /* and any other: the machine may be busy */
#define GUARDIAN_GRACE_NS                                                                          \
	2000000000LL /* after the deadline, for the worker's own restore; with commands to reload  \
			more */

/* Kept by the guardian beside what it is told to keep, for the control group of its own: the root
 * of cgroup v2 has mode 0555, so that even its owner needs this to remove a group from it. The
 * worker should keep it as well: guardian_end() removes the group of a guardian that was killed. */
#define GUARDIAN_CAPABILITIES (1ULL << CAP_DAC_OVERRIDE)

struct guardian {
	pid_t pid;  /* 0: not met yet */
	int pidfd;  /* readable when the guardian died */
	int socket; /* pings and the end message */
};

/* The two ends of the conversation: [0] for the worker, [1] for guardian_fork(). */
int guardian_sockets(int out[2], struct error *err);
/* Forks the guardian of a child of ours that is not reaped yet. It waits for guardian_confine() and
 * guardian_begin() (the journal does not exist yet: its header names the guardian). Takes `socket`,
 * also when it fails: then guardian_meet() tells the worker. The caller reaps it. */
int guardian_fork(pid_t worker, int socket, pid_t *out, struct error *err);

/* ---- In the worker ---- */

/* Owns `socket`. Never blocks. */
void guardian_await(struct guardian *out, int socket);
/* Waits until it is there; afterwards its pid and pidfd are known. */
int guardian_meet(struct guardian *guardian, struct error *err);
/* Tells it what to keep (the experiment's faults' union) and to give up everything else. Never
 * blocks: whether it has done so is what guardian_begin() returns. */
int guardian_confine(struct guardian *guardian, uint64_t capabilities, struct error *err);
/* Gives it a copy of the reloader's socket (reloader.h), for the time when we are dead. Before
 * guardian_begin(). Never blocks. */
int guardian_give_reloader(struct guardian *guardian, int socket, struct error *err);
/* Tells it run and deadline (CLOCK_BOOTTIME). Never blocks. */
int guardian_begin(struct guardian *guardian, const char *run_id, int64_t deadline_ns,
		   struct error *err);
/* Waits until it stands by, or says why it cannot. Nothing may be injected before. */
int guardian_ready(struct guardian *guardian, struct error *err);
/* Never blocks. */
void guardian_ping(struct guardian *guardian);
/* The worker has restored everything, or begun nothing: the guardian leaves. Waits for it
 * (bounded). */
void guardian_end(struct guardian *guardian);

#endif
