/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Walks a journal backwards and asks each fault to undo its records. The same way whether the run ended
 * well, was aborted or killed. Works from the records alone, may run twice.
 */
#ifndef SQUALL_RESTORE_H
#define SQUALL_RESTORE_H

#include "injector/base/error.h"
#include "injector/journal/journal.h"

#include <stdbool.h>

struct restore_report {
	unsigned undone;   /* records undone by this call */
	unsigned failed;   /* records that could not be undone or verified */
	char (*left)[512]; /* one sentence each, with the command to type by hand; owned */
	unsigned left_count;
};

enum run_state { RUN_LIVE, RUN_GUARDED, RUN_DEAD, RUN_FOREIGN_BOOT };

/* LIVE: the worker lives; GUARDED: only the guardian lives (it is restoring); DEAD: neither. */
int restore_run_state(const struct journal_record *records, unsigned count,
		      enum run_state *out, struct error *err);

/* Undoes all open records (of one step, or of all with step < 0), newest first; goes on after a failure;
 * reads back each. The journal stays. */
int restore_records(struct journal *journal, int step, struct restore_report *report,
		    struct error *err);
/* For one dead run: lock, undo, verify, remove the journal if nothing is left. */
int restore_run(const char *run_id, struct restore_report *report, struct error *err);
/* All dead runs; live ones are left alone. Called at the start of every privileged command. Waits up to
 * two seconds for a guardian that is at work. */
int restore_dead_runs(struct restore_report *report, struct error *err);
void restore_report_free(struct restore_report *report);

#endif
