/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The parts of the tracer among themselves: whom it follows, and what it does to them.
 */
#ifndef SQUALL_TESTS_TRACEE_H
#define SQUALL_TESTS_TRACEE_H

#include "tests/sweep/tracer.h"

struct ptrace_syscall_info;

/* A netlink request that changes something; of a batch its first message. */
struct change {
	int fd, protocol;
	unsigned type, sequence;
	unsigned long long at; /* where its type is, in the tracee */
};

struct tracee {
	pid_t pid;
	bool is_alive, is_failing; /* the call it is in fails */
	bool is_in_call;	   /* its next stop at a call is the end of this one */
	bool is_to_stop;	   /* for good, at the next SIGSTOP it gets */
	bool is_let_go;
	struct change refused;
	bool is_sending, is_refused;  /* ... on its way, and not answered yet */
	unsigned long long brk_asked; /* of a failing brk(2): its argument */
};

struct trace {
	const struct trace_plan *plan;
	struct trace_result *result;
	struct tracee tracees[ROLE_COUNT];
	int stream;	  /* memfd */
	off_t read_up_to; /* of the stream */
	bool is_counting;
	unsigned behind_count; /* calls of the number of plan->behind_call so far */
	int failing_call;      /* with fails_always */
	bool is_mute;	       /* what fails is itself a write to the standard streams */
	struct change refused; /* the first, with refuses */
	bool has_written;      /* the conductor, since its events were counted */
};

/* tracer_calls.c: the call it is about to make fails; at its end, with the plan's error. */
void trace_fail_call(struct trace *trace, struct tracee *tracee);
void trace_answer_call(const struct trace *trace, struct tracee *tracee);

/* tracer_netlink.c: is that what it is about to send? It will be refused; what is to do for that at
 * the end of each call. */
bool trace_find_change(const struct tracee *tracee, const struct ptrace_syscall_info *info,
		       struct change *out);
void trace_refuse_change(struct tracee *tracee, const struct change *change);
void trace_end_of_call(struct trace *trace, struct tracee *tracee);

/* tracer_end.c: those who are still there are no tracees any more, and left as they are ... */
void trace_let_go(struct trace *trace);
/* ... and so is a child whose parent died before it could tell of the birth. */
void trace_let_unknown_go(void);

#endif
