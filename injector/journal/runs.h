/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Directories of runs, below journal.h: for journal.c and runs.c alone.
 */
#ifndef SQUALL_RUNS_H
#define SQUALL_RUNS_H

#include "injector/journal/journal.h"

#define RUN_ID_LENGTH 6
#define JOURNAL_FILE  "journal"
#define RESERVE_FILE  "reserve" /* see reserve_beside() */

bool runs_is_id(const char *text);
/* The directory of a run, checked; -ENOENT, -EINVAL, -EPERM. */
int runs_open(const char *run_id, struct error *err);
/* The root directory, exclusively locked; closing it unlocks. Made when missing if `may_make`. */
int runs_lock_root(bool may_make, struct error *err);
/* Removes the root directory if no run is left in it; the lock must be held. */
void runs_tidy_root(void);
/* Empties and removes the directory of a run, the journal last. */
int runs_remove(int root, int directory, const char *run_id, struct error *err);

#endif
