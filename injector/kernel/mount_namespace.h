/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Mount namespaces: finding them, and running something inside one. As namespace.h for the network.
 */
#ifndef SQUALL_MOUNT_NAMESPACE_H
#define SQUALL_MOUNT_NAMESPACE_H

#include "injector/kernel/namespace.h"

int mount_namespace_open_pid(pid_t pid, int *out_fd, struct error *err);
/* fd -1: this thread's own. */
int mount_namespace_identify(int fd, struct namespace_id *out, struct error *err);
/* By its inode, among all processes; *out_pid is one that lives in it. -ENOENT: it is gone, or
 * nobody lives in it. */
int mount_namespace_find(uint64_t inode, int *out_fd, pid_t *out_pid, struct error *err);

/* Each that a process lives in, once, with one of its processes. The first failure of `visit` is
 * returned when all were visited; -errno as well when not all could be found. Processes that hide
 * theirs (EACCES) are passed over. */
int mount_namespace_each(int (*visit)(void *context, pid_t pid, uint64_t inode, struct error *err),
			 void *context, struct error *err);

/* Runs fn inside the namespace and comes back, to the same root and directory; verified. Only this
 * thread moves, which has a root and directory of its own from then on. Needs CAP_SYS_ADMIN and
 * CAP_SYS_CHROOT. Ends the process when there is no way back: see stranded.h. */
int mount_namespace_run(int fd, int (*fn)(void *context, struct error *err), void *context,
			struct error *err);

#endif
