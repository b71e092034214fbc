/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Directories of runs, below journal.h.
 */
#ifndef SQUALL_RUNS_H
#define SQUALL_RUNS_H

#include "injector/journal/journal.h"

#define RUN_ID_LENGTH 6
#define JOURNAL_FILE  "journal"
#define RESERVE_FILE  "reserve" /* see reserve_beside() */

/* Where a run's directory lies: below JOURNAL_ROOT, or where it outlives a reboot. */
enum runs_root { RUNS_BOOT, RUNS_KEPT, RUNS_ROOTS };

/* NULL: there is none (a test that has set its own). */
const char *runs_root(enum runs_root which);
const char *journal_run_id(const struct journal *journal);
bool runs_is_id(const char *text);
/* The directory of a run, checked; -ENOENT, -EINVAL, -EPERM. `out_root` may be NULL. */
int runs_open(const char *run_id, enum runs_root *out_root, struct error *err);
/* The root directory, exclusively locked; closing it unlocks. Made when missing if `may_make`. */
int runs_lock_root(enum runs_root which, bool may_make, struct error *err);
/* Removes the root directory if no run is left in it; the lock must be held. */
void runs_tidy_root(enum runs_root which);
/* Empties and removes the directory of a run, the journal last. */
int runs_remove(enum runs_root which, int root, int directory, const char *run_id,
		struct error *err);

#endif
