/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The files below /var/lib/squall/results: made by the worker before anything is injected, filled
 * by the unprivileged conductor at the end, the oldest removed by the worker of a later run.
 */
#ifndef SQUALL_RESULT_FILE_H
#define SQUALL_RESULT_FILE_H

#include "injector/base/error.h"

#include <sys/types.h>

#define RESULT_FILES_KEPT 500

/* A new file with room for a usual result, so that a full disk refuses the run instead of losing
 * what it found out. `reader` may read it. Returns the descriptor. */
int result_file_open(const char *run_id, uid_t reader, struct error *err);
void result_file_remove(const char *run_id);
/* All but the RESULT_FILES_KEPT newest go, and the empty ones whose run was killed: nobody holds
 * them any more. What cannot be removed is left to the next run. */
void result_files_prune(void);

#endif
