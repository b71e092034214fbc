/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The privilege boundary: what the unprivileged conductor may ask of the worker, and what the
 * worker tells it. Fixed-size messages over a SOCK_SEQPACKET pair. The table in requests.c is the
 * whole boundary: a request that is not in it, or comes in a state in which it is not allowed, ends
 * the run. Values travel as the text of the file and are parsed again on the privileged side, with
 * the same parameter tables.
 */
#ifndef SQUALL_RUN_REQUESTS_H
#define SQUALL_RUN_REQUESTS_H

#include "injector/base/error.h"
#include "injector/base/params.h"

#include <stdbool.h>
#include <stdint.h>

enum request_type {
	REQUEST_PING,	/* at least every REQUEST_PING_NS, else the conductor counts as lost */
	REQUEST_LIMITS, /* numbers: duration_ns, targets, seed */
	REQUEST_TARGET, /* index, name; numbers: kind */
	REQUEST_TARGET_VALUE, /* index, name: parameter, text: value, or endpoints with blanks
				 between */
	REQUEST_STEP,	      /* index, name: fault; numbers: target, for_ns */
	REQUEST_STEP_VALUE,   /* index, name: parameter, text: value */
	REQUEST_STEP_PULSES,  /* index; numbers: every_ns, active_ns, count */
	REQUEST_STEP_RAMP,    /* index; numbers: over_ns, from_ppb, to_ppb, stairs */
	REQUEST_PLAN,
	REQUEST_ARM,	     /* text: title */
	REQUEST_INJECT,	     /* index */
	REQUEST_END,	     /* index: planned end of one step */
	REQUEST_STOP,	     /* everything out of force at once; text: why */
	REQUEST_FINISH,	     /* all restored? then the worker leaves */
	REQUEST_TARGET_HOST, /* index, name: parameter, text: host name that will be followed */
	REQUEST_ADDRESSES, /* index; numbers: which of these, 1 with the last; text: its addresses,
			      with blanks between. Before the plan, and when they have changed */
	REQUEST_COUNT,
};

struct request {
	uint32_t type;
	uint32_t index;
	int64_t numbers[4];
	char name[64];
	char text[PARAM_TEXT_MAX + 8];
};

enum reply_type {
	REPLY_PLAN_LINE, /* index: step; numbers: enum plan_kind; text */
	REPLY_PLANNED,
	REPLY_ARMED,	/* text: run id; numbers: pid and start time of the guardian; carries the
			   descriptor of the result file */
	REPLY_REFUSED,	/* PLAN or ARM failed: code, text, remedy; nothing was injected */
	REPLY_INJECTED, /* index; numbers: effect_started_ns, took_ns */
	REPLY_INJECT_FAILED, /* index; code, text, remedy */
	REPLY_EVIDENCE, /* index; numbers: hits, dropped, level_ppb, processor_ns, passed, delayed;
			   name: unit; text: detail */
	REPLY_LEVEL,	/* index; numbers: level_ppb, when; a ramp has got so far */
	REPLY_ENDED,	/* index; numbers: effect_ended_ns, took_ns */
	REPLY_RESTORED, /* index: undone and read back; numbers: changes, pulses to come */
	REPLY_STOPPING, /* the worker itself stops the run; text: why */
	REPLY_STOPPED,	/* numbers: when the last effect ended */
	REPLY_LEFT,	/* index; text: what could not be restored, and the command to type */
	REPLY_FINISHED,
	REPLY_FOLLOWED, /* index: a step of the target; numbers: 0 when it stays as it was; text */
	REPLY_COUNT,
};

struct reply {
	uint32_t type;
	uint32_t index;
	int32_t code;
	uint32_t reserved;
	int64_t numbers[6];
	char name[64];
	char text[1024];
	char remedy[512];
};

#define REQUEST_PING_NS	   250000000LL
#define REQUEST_SILENCE_NS 2000000000LL /* of a stopped conductor */
#define REQUEST_STARVED_NS 8000000000LL /* of any other: the machine may be busy */

/* What the worker has reached; each request is allowed in some of them. */
enum worker_state {
	WORKER_DEFINE = 1 << 0,
	WORKER_PLANNED = 1 << 1,
	WORKER_ARMED = 1 << 2,
	WORKER_STOPPING = 1 << 3,
	WORKER_LEAVING = 1 << 4, /* nothing is heard any more */
};

struct worker;
typedef int (*request_fn)(struct worker *worker, const struct request *request, struct error *err);

struct request_rule {
	const char *name;
	unsigned states; /* in which the request is allowed */
	request_fn handle;
};

/* Checks type, state and that every text is terminated and without control characters. */
int request_check(const struct request_rule *rules, const struct request *request,
		  enum worker_state state, struct error *err);

/* Blocks until sent. `fd` is passed along when >= 0 (stays the caller's). */
int request_send(int socket, const struct request *request, struct error *err);
/* Waits at most `patience_ms` for room: a conductor that does not read must not stop the worker.
 * -EAGAIN: there was none. A conductor that is gone is noticed elsewhere. */
int reply_send(int socket, const struct reply *reply, int fd, int patience_ms);
/* 1: received; 0: the other side is gone; -EAGAIN: nothing there; -errno. */
int request_receive(int socket, struct request *out, struct error *err);
/* *out_fd: descriptor that came along or -1; the caller closes it. */
int reply_receive(int socket, struct reply *out, int *out_fd, struct error *err);

#endif
