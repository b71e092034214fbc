/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The pause half of faults/process.c: the cgroup freezer where the target is a whole group, else
 * SIGSTOP to each process. What was stopped or frozen before is neither touched nor recorded, so
 * that the end of the pause cannot wake it.
 */
#ifndef SQUALL_FAULTS_PROCESS_PAUSE_H
#define SQUALL_FAULTS_PROCESS_PAUSE_H

#include "faults/fault.h"
#include "injector/kernel/cgroup.h"

#include <stdbool.h>
#include <stdint.h>

#define PROCESS_FAULT_NAME "process"

enum pause_way { PAUSE_AUTO, PAUSE_FREEZER, PAUSE_SIGSTOP }; /* words of `pause-by` */

struct pause {
	bool by_freezer;
	struct cgroup cgroup;
	int directory;	  /* of the cgroup, owned; -1: by SIGSTOP */
	bool is_frozen;	  /* by us, now */
	bool *is_stopped; /* by us, now; one for each process of the target, owned */
	unsigned paused, gone, already, slow;
};

/* process_conflict.c: -EBUSY when another run holds one of the targets still. */
int pause_check_others(const struct pause *pause, const struct fault *fault, struct error *err);
int pause_plan(struct pause *pause, const struct fault *fault, enum pause_way way,
	       struct plan *plan, struct error *err);
int pause_inject(struct pause *pause, struct fault *fault, struct error *err);
int pause_end(struct pause *pause, const struct fault *fault, struct error *err);
void pause_describe(const struct pause *pause, char *out, size_t size);
void pause_release(struct pause *pause);

int pause_undo(const struct journal_record *record, struct error *err);
int pause_verify(const struct journal_record *record, bool *out_gone, char *out_left,
		 size_t left_size, struct error *err);

#endif
