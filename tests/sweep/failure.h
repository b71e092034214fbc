/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One failure on the way back: a whole experiment, one call (or allocation) of whoever restores
 * that fails, and what it said and left. A tally adds up what was seen.
 */
#ifndef SQUALL_TESTS_FAILURE_H
#define SQUALL_TESTS_FAILURE_H

#include "tests/sweep/point.h"
#include "tests/sweep/scene.h"
#include "tests/sweep/tracer.h"

/* Whose calls, or allocations, fail. */
enum victim {
	VICTIM_RESTORE,
	VICTIM_GUARDIAN,
	VICTIM_WORKER,
	VICTIM_RESTORE_MEMORY,
	VICTIM_GUARDIAN_MEMORY,
	VICTIM_WORKER_MEMORY,
	VICTIM_COUNT
};

bool victim_is_memory(enum victim victim);

extern const char *const victim_names[VICTIM_COUNT];

struct failure {
	enum victim victim;
	unsigned at; /* the number of the call, from 1; POINT_NEVER: none fails */
	int error;
	bool is_refusal; /* the kernel refuses the netlink request that the call sends */
	bool always;	 /* and every later one of the same number */
	bool is_start;	 /* `squall restore` itself has not begun: it may end by a signal */
};

struct failure_tally {
	unsigned injected; /* failures */
	unsigned refused;  /* of them netlink requests that the kernel refused */
	unsigned left;	   /* runs that told of something left */
	unsigned typed;	   /* commands typed as told */
	unsigned undone;   /* runs whose every trace was to be undone so, and was */
	unsigned residues;
};

/* The calls that were made, and how many when everything was in force. */
struct failure_calls {
	int *calls[ROLE_COUNT]; /* TRACE_CALLS_MAX each, the caller's; NULL: not wanted */
	unsigned counts[ROLE_COUNT];
	unsigned held_at[ROLE_COUNT];
	unsigned allocations; /* of a victim that gets no memory */
	unsigned acts_after;  /* see struct trace_result */
	int code;	      /* exit code of whoever failed; 128: it crashed */
};

/* The binary of the subject is the squall to run; what is wrong is told on standard output. `out`
 * may be NULL. False: that call never came. */
bool failure_try(struct scene *scene, const struct subject *subject, const struct failure *failure,
		 struct failure_calls *out, struct failure_tally *tally);

#endif
