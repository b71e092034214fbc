/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Abort conditions: pure bookkeeping over probe samples, no clock of its own. Unknown counts as a
 * failure: a condition that cannot be watched is not met.
 */
#ifndef SQUALL_RUN_ABORT_H
#define SQUALL_RUN_ABORT_H

#include "injector/experiment/model.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct abort_watch;

int abort_new(const struct experiment *experiment, struct abort_watch **out, struct error *err);
void abort_free(struct abort_watch *watch);

/* Notes one sample. True when a condition is breached by it: then `out_why` says which and by what.
 */
bool abort_note(struct abort_watch *watch, unsigned probe, const struct probe_sample *sample,
		char *out_why, size_t size);

#endif
