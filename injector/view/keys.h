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

struct keys_listener {
	void (*key)(void *context, char key);
	/* the terminal has been asked where its cursor is, and answers: in this row, from 1 */
	void (*place)(void *context, unsigned row);
	void *context;
};

/* NULL: standard input is no terminal of ours. Call it before the process is confined. The listener
 * is called from the loop. */
struct keys *keys_open(struct loop *loop, const struct keys_listener *listener);
void keys_close(struct keys *keys); /* NULL is fine */

#endif
