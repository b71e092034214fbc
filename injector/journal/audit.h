/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The audit trail: who did what with squall on this machine, one JSON object a line, appended to
 * /var/lib/squall/audit.log, and the same to the system's log (structured, where that is journald).
 * Only root processes write it. Nothing is kept open: no process inherits a way to write in it.
 */
#ifndef SQUALL_AUDIT_H
#define SQUALL_AUDIT_H

#include "injector/base/error.h"

#include <stddef.h>
#include <sys/types.h>

#define AUDIT_FILE "audit.log" /* below JOURNAL_STATE */

/* Who calls, for all lines of this process and of those it forks. `file` and its content may be
 * NULL; what is kept of the content is its SHA-256. */
void audit_caller(const char *command, uid_t uid, const char *file, const void *content,
		  size_t length);

/* One line. `run_id` may be "". Failures are reported, and may be ignored: squall goes on, unless
 * the site policy wants it otherwise. */
int audit_write(struct error *err, const char *event, const char *run_id, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* From now on lines wait in memory (a disk that hangs must not hold up a restore) ... */
void audit_hold(void);
/* ... until they are written here. What cannot be written is told to the system's log as well. */
int audit_release(struct error *err);

/* For tests: another directory than JOURNAL_STATE. */
void audit_set_directory(const char *path);

#endif
