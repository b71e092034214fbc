/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Ends a live run from outside: asks the worker, waits, and when it does not obey kills it, which
 * ends everything the kernel held for it; the guardian or we undo the rest.
 */
#ifndef SQUALL_STOP_H
#define SQUALL_STOP_H

#include "injector/base/error.h"
#include "injector/journal/journal.h"
#include "injector/restore/restore.h"

#include <stdbool.h>
#include <stdint.h>

#define STOP_WAIT_NS 10000000000LL /* for the worker's own restore, soft ends included */

struct stop {
	char run_id[RUN_ID_SIZE];
	int worker; /* pidfd; -1: dead already */
	pid_t worker_pid;
	int64_t asked_ns;
	bool was_killed; /* it had not obeyed in time */
	int64_t took_ns; /* until nothing was left */
};

/* Asks. -ENOENT: no such run; -EBADMSG and others of journal_open(): it cannot be read. */
int stop_begin(const char *run_id, struct stop *out, struct error *err);
/* Waits at most wait_ns, less when the worker is stopped, then kills. What the run's own processes
 * could not undo is tried here and told in `report`. */
int stop_finish(struct stop *stop, int64_t wait_ns, struct restore_report *report,
		struct error *err);

#endif
