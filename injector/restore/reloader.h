/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The reloader: a small process that starts the commands of faults (faults/command.h) as the user
 * who called sudo. A launcher that takes nothing but "run number N" from its first moment on, and
 * lives as long as worker or guardian do, each of which holds its socket: it holds no fault, and no
 * descriptor of the worker's. Where nobody is left to ask it, `squall restore` starts one of its
 * own from what the journal says.
 */
#ifndef SQUALL_RESTORE_RELOADER_H
#define SQUALL_RESTORE_RELOADER_H

#include "faults/command.h"
#include "injector/probes/launcher.h"

/* Forks it, by a process with all its rights; commands[i] gets the number i. */
int reloader_start(const struct fault_command *commands, unsigned count, struct launcher **out,
		   struct error *err);
/* From now on this process has its faults' commands started through that socket, which stays the
 * caller's. Without a call, each command gets a process that ends with it. `tick` is called each
 * quarter of a second while somebody waits for an answer; may be NULL. */
void reloader_use(int socket, void (*tick)(void *context), void *context);
/* For restoring: unless reloader_use() was called. */
void reloader_use_own(void);

#endif
