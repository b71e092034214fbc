/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The guardian's own control group: who kills the worker's group as a whole (a service that is
 * stopped, a job runner) does not take the guardian with it. Named after the guardian's pid, so
 * that anybody can tell which ones are left over, and its start, since containers that share the
 * groups count their processes each from 1. All of it is optional: without a writable cgroup v2 the
 * guardian stays where it is.
 */
#ifndef SQUALL_GUARDIAN_CGROUP_H
#define SQUALL_GUARDIAN_CGROUP_H

#include "injector/kernel/proc.h"

#include <stdbool.h>

/* Moves the calling process into a group of its own. 0 or -errno. */
int guardian_cgroup_enter(void);
/* Moves the calling process, the guardian itself, out again and removes the group. */
void guardian_cgroup_leave(void);
/* Removes the group of a guardian that is dead. */
void guardian_cgroup_remove(const struct process_identity *guardian);
/* The name of its group. */
void guardian_cgroup_name(const struct process_identity *guardian, char out[64]);
/* Removes the groups of all dead guardians: the kernel refuses while a process is inside. False: it
 * could not look, or not remove one. */
bool guardian_cgroup_sweep(void);

#endif
