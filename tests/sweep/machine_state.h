/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Everything a run could leave behind, as text, in a few milliseconds and without starting a
 * program, so that it can be looked at after each of thousands of deaths. Lines without counters,
 * ages and other things that change by themselves. Three parts, because they are promised to go at
 * different times:
 *
 *   HELD      what the kernel takes away with the process that holds it: nf_tables, sockets
 *   RECORDED  what the journal undoes: processes and their limits, groups, files, settings, mounts
 *   INERT     what has no effect on anybody: idle interfaces, run folders, leftover processes
 */
#ifndef SQUALL_TESTS_MACHINE_STATE_H
#define SQUALL_TESTS_MACHINE_STATE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum state_part { STATE_HELD, STATE_RECORDED, STATE_INERT, STATE_PARTS };

struct machine_state {
	char *parts[STATE_PARTS]; /* owned */
};

/* What is looked at, beside this process's own namespaces; set once. */
struct state_scope {
	int namespaces[4]; /* of the network; in the first one ports can run out */
	unsigned namespace_count;
	const pid_t *children; /* processes that belong here: their state is recorded */
	unsigned child_count;
	pid_t doomed;	    /* one more, whose death is nobody's fault */
	const char *folder; /* files that faults change */
};
void machine_state_scope(const struct state_scope *scope);

void machine_state_take(struct machine_state *out);
void machine_state_free(struct machine_state *state);
bool machine_state_is_same(const struct machine_state *a, const struct machine_state *b,
			   enum state_part part);
/* The lines that differ, with "-" and "+", newly allocated; at most so many. */
char *machine_state_diff(const struct machine_state *before, const struct machine_state *after,
			 unsigned most);

#endif
