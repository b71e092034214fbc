/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One point of the sweep: a whole experiment, a death or a stop at one system call, and what was
 * left behind. An account adds up what was seen.
 */
#ifndef SQUALL_TESTS_POINT_H
#define SQUALL_TESTS_POINT_H

#include "tests/sweep/scene.h"
#include "tests/sweep/tracer.h"

#include <limits.h>

/* How a run is disturbed. */
struct disturbance {
	const char *name;
	enum role counted;
	unsigned victims;
	int signal;
	unsigned hold_kills; /* in full force these die first */
	bool kills_restore;  /* ... and what is counted and killed is `squall restore` */
	bool has_survivor;   /* somebody is left who undoes what the journal says */
	bool goes_on;	     /* the run ends as planned all the same */
	int behind_call;     /* > 0: see struct trace_plan */
};

#define DISTURBANCES 10
extern const struct disturbance disturbances[DISTURBANCES];

struct account {
	unsigned points;     /* system calls at which something died or stopped */
	unsigned in_force;   /* ... while at least one fault was in force */
	unsigned by_restore; /* ... where `squall restore` still found something to tidy up */
	unsigned by_hand;    /* ... where a stopped process had to be killed, as squall said */
	unsigned repeated;   /* too late at first, in time when tried again: a busy machine */
	unsigned deferred;   /* too late each time, and not judged here */
	unsigned residues;
	int64_t slowest_ns; /* from the death to the end of the effect */
};

struct subject {
	const char *binary;
	const char *experiment; /* path, ready for squall */
	unsigned steps;
	bool is_quiet; /* residues are counted, not told */
	bool defers; /* what came too late, once more when nothing else goes on, is told as that */
};

#define POINT_NEVER UINT_MAX

/* The `at`-th call of whom the disturbance counts (POINT_NEVER: nobody is disturbed, and calls[]
 * are recorded if given). False: the run was over before. */
bool point_try(struct scene *scene, const struct subject *subject, const struct disturbance *how,
	       unsigned at, int *const *calls, struct account *account,
	       unsigned out_counts[ROLE_COUNT]);

/* `squall restore` as a user types it, disturbed as the plan says; its exit code. */
int point_restore(struct scene *scene, const char *program, struct trace_plan plan,
		  struct trace_result *out);

#endif
