/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Where a view writes to. Never blocks and never fails: a reader that is slow gets what was kept
 * for it later (up to a limit, whole pieces are dropped beyond it), a reader that is gone gets
 * nothing more. A run must not depend on a terminal that was stopped by Ctrl-S or an SSH connection
 * that hangs.
 */
#ifndef SQUALL_VIEW_OUTPUT_H
#define SQUALL_VIEW_OUTPUT_H

#include "injector/base/error.h"
#include "injector/base/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct output;

/* Keeps `file` (not owned) and `loop` (may be NULL: then only output_write and output_free send).
 */
int output_new(FILE *file, struct loop *loop, struct output **out, struct error *err);
/* Sends `text` or keeps it for later. */
void output_write(struct output *output, const char *text, size_t length);
/* Something is still kept. */
bool output_is_busy(const struct output *output);
bool output_is_gone(const struct output *output);
/* Pieces dropped since the last call; 0 as long as there is no room to tell it. */
unsigned output_take_lost(struct output *output);
/* The descriptor, for its size and its colours; -1: none. */
int output_fd(const struct output *output);
/* Waits up to two seconds for a slow reader. NULL is fine. */
void output_free(struct output *output);

#endif
