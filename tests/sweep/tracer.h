/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Runs one squall command under ptrace, knows its processes by their role, and does something to
 * them at the entry of a chosen system call, before the kernel has executed it: kill, stop, or let
 * that call fail.
 */
#ifndef SQUALL_TESTS_TRACER_H
#define SQUALL_TESTS_TRACER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* In the order in which they are born. */
enum role { ROLE_CONDUCTOR, ROLE_WORKER, ROLE_GUARDIAN, ROLE_LAUNCHER, ROLE_COUNT };
#define ROLE_BIT(role) (1U << (role))
#define ROLES_ALL      ((1U << ROLE_COUNT) - 1)

extern const char *const role_names[ROLE_COUNT];

#define TRACE_CALLS_MAX	    20000
#define CALL_NETLINK_CHANGE 500 /* more than there are system calls */

struct trace_plan {
	char *const *words;  /* the command, with the binary in front */
	char *variable;	     /* "NAME=value" of its environment, or NULL */
	int network;	     /* namespace it runs in */
	unsigned steps;	     /* so many "injected" events: everything is in force ("hold") */
	unsigned hold_kills; /* roles killed then; counting begins only after it */
	void (*first)(void *of_first); /* called at the first "injected" event; may be NULL */
	void *of_first;
	/* at the entry of the `at`-th call of `counted` (from 1; 0: never) ... */
	enum role counted;
	unsigned at;
	int behind_call; /* > 0: only calls of this number count, and the hit is at the next call */
	/* ... these get the signal; SIGSTOP: for good */
	unsigned victims;
	int signal;
	/* ... or this call fails, with that error */
	int fail_errno;
	bool refuses;	   /* not the call: the kernel refuses the netlink request with it */
	bool fails_always; /* and every later one of the same number (or kind) in that process */
	/* called every few ms from the hit on, while processes live; false: seen enough */
	bool (*watch)(void *context);
	void *context;
	int64_t patience_ns; /* then what is still there is left alone */
	/* all calls of each role, when wanted; an openat(2) that creates or empties is SYS_creat, a
	 * sendto(2) of a netlink request that changes something CALL_NETLINK_CHANGE */
	int *calls[ROLE_COUNT]; /* TRACE_CALLS_MAX each */
};

struct trace_result {
	bool was_hit, was_held;
	int call;	     /* the system call that was not executed */
	unsigned injected;   /* events seen up to the hit */
	unsigned failed;     /* calls that were made to fail */
	unsigned refused;    /* netlink requests that the kernel has refused */
	unsigned acts_after; /* calls of others than their number that change something, after the
				first of them */
	int64_t hit_ns;	     /* clock_now_ns() */
	unsigned counts[ROLE_COUNT];
	unsigned held_at[ROLE_COUNT]; /* counts when everything was in force */
	pid_t pids[ROLE_COUNT];
	int status;    /* of the command, as waitpid() says; -1: it has not ended */
	bool is_stuck; /* patience ran out with processes alive */
	char *out;     /* what it printed, both streams; owned by the caller */
};

/* failing_calls.c: may that system call fail in a trace? */
bool trace_can_fail(int call);
/* Why it may not; NULL: it may, or nobody has thought of it. */
const char *trace_why_never_fails(int call);
/* SIGCHLD must be blocked, and orphans must become our children. */
void trace_run(const struct trace_plan *plan, struct trace_result *out);

#endif
