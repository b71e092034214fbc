/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * When the steps of a method begin and end: `at`, `after`, `for`, pulses and ramps of each, read
 * first, bound to one another when all steps are known. Internal to injector/experiment.
 */
#ifndef SQUALL_EXPERIMENT_SCHEDULE_H
#define SQUALL_EXPERIMENT_SCHEDULE_H

#include "injector/experiment/reader.h"

struct schedule_entry {
	const struct tree_node *node;
	struct params times; /* of format_step */
	struct params ramp;  /* of format_ramp */
	int step;	     /* index in the experiment; -1: its fault could not be read */
	enum { SCHEDULE_OPEN, SCHEDULE_LOOKED_AT, SCHEDULE_BOUND } state;
};

struct schedule { /* in the order of the file */
	struct schedule_entry *entries;
	unsigned count;
};

/* One more; NULL: out of memory. */
struct schedule_entry *schedule_add(struct reader *reader, struct schedule *schedule,
				    const struct tree_node *node);
/* Takes a key of a step that is about time. False: it is none. */
bool schedule_take(struct reader *reader, struct schedule_entry *entry,
		   const struct tree_node *key);
/* Fills for_ns, shape and name of the entry's step. `is_sound`: its fault was read without a
 * problem, so that it is known whether it is instant. */
void schedule_read(struct reader *reader, const struct schedule_entry *entry,
		   struct experiment_step *step, bool is_sound);
/* Gives every step its at_ns and checks the whole. */
void schedule_bind(struct reader *reader, struct schedule *schedule);
void schedule_free(struct schedule *schedule);

#endif
