/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Walks a journal backwards and asks each fault to undo its records. The same way whether the run
 * ended well, was aborted or killed. Works from the records alone, may run twice.
 */
#ifndef SQUALL_RESTORE_H
#define SQUALL_RESTORE_H

#include "injector/base/error.h"
#include "injector/journal/journal.h"

#include <stdbool.h>

#define RESTORE_LINE 1024 /* as much as a reply of the worker holds */

struct restore_report {
	unsigned undone;	    /* records undone by this call */
	unsigned failed;	    /* records or runs that could not be undone or verified */
	char (*left)[RESTORE_LINE]; /* one sentence each, with the command to type by hand; owned */
	unsigned left_count;
	char (*did)[RESTORE_LINE]; /* what was undone or tidied up, one sentence each; owned */
	unsigned did_count;
};
/* Starts as {0}; calls add to it. When memory runs out sentences are lost, counts are not. */

enum run_state { RUN_LIVE, RUN_GUARDED, RUN_DEAD, RUN_FOREIGN_BOOT };

/* LIVE: the worker lives; GUARDED: only the guardian lives (it is restoring); DEAD: neither. */
int restore_run_state(const struct journal_record *records, unsigned count, enum run_state *out,
		      struct error *err);

/* The same for a run by name; out_header may be NULL. Errors as of journal_open(). */
int restore_look(const char *run_id, enum run_state *out, struct journal_header *out_header,
		 struct error *err);

/* Nobody of its own will end it any more: dead, or its guardian is stopped. */
bool restore_is_abandoned(enum run_state state, const struct journal_header *header);

/* Undoes all open records (of one step, or of all with step < 0), newest first; goes on after a
 * failure; reads back each. The journal stays. In a journal of another boot only those of faults
 * that outlive one. */
int restore_records(struct journal *journal, int step, struct restore_report *report,
		    struct error *err);
/* For one dead run: lock, undo, verify, remove the journal if nothing is left. What cannot be
 * undone, an unreadable journal included, is in the report; an error means that the run was not
 * touched: -EBUSY: it is live, or another process restores it. A run that is gone is success. */
int restore_run(const char *run_id, struct restore_report *report, struct error *err);
/* The same for who holds journal_lock() and knows that the worker is dead, or is its guardian. */
int restore_locked(const char *run_id, struct restore_report *report, struct error *err);
/* All dead runs; live ones are left alone. Called at the start of every privileged command. Waits
 * up to two seconds for a guardian that is at work. */
int restore_dead_runs(struct restore_report *report, struct error *err);
/* Empties it; it may be used again. */
void restore_report_free(struct restore_report *report);

#endif
