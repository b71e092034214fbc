/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Single keys of the terminal that squall is started from, without waiting for a line to be
 * complete. The terminal gets its own mode back at the end; what kills by a key (Ctrl-C) goes on
 * doing so. Nothing is done to a terminal that another process group has.
 */
#ifndef SQUALL_VIEW_KEYS_H
#define SQUALL_VIEW_KEYS_H

#include "injector/base/loop.h"

struct keys;

/* NULL: standard input is no terminal of ours. Call it before the process is confined. fn comes
 * from the loop. */
struct keys *keys_open(struct loop *loop, void (*fn)(void *context, char key), void *context);
void keys_close(struct keys *keys); /* NULL is fine */

#endif
