/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Worker and guardian are children of whatever process somebody started. Where that process stood
 * and how it was limited must not decide whether faults end: a limit could kill them, or leave no
 * descriptor for an undo.
 */
#ifndef SQUALL_KERNEL_INHERITED_H
#define SQUALL_KERNEL_INHERITED_H

#include "injector/base/error.h"

/* Makes of a forked child a process of its own: session, name (at most 15 bytes), directory, umask,
 * limits as far as they can be raised, no signal ignored but SIGPIPE's. */
int inherited_leave(const char *name, struct error *err);
/* In a child of such a process that is to run somebody else's program: the limits that there were
 * before. Nothing in a process that has no such parent. */
void inherited_limits_back(void);

#endif
