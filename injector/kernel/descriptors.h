/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * File descriptors between processes: sent along with a message of a local socket (unix(7),
 * SCM_RIGHTS), and what a forked process keeps of what it inherited.
 */
#ifndef SQUALL_KERNEL_DESCRIPTORS_H
#define SQUALL_KERNEL_DESCRIPTORS_H

#include <stddef.h>
#include <sys/types.h>

/* One message, with a copy of `fd` unless that is -1; flags as of sendmsg(2). 0 or -errno. */
int descriptor_send(int socket, const void *bytes, size_t size, int fd, int flags);
/* Its bytes, or -errno; flags as of recvmsg(2). *out_fd is what came along, close-on-exec and owned
 * by the caller, or -1. */
ssize_t descriptor_receive(int socket, void *bytes, size_t size, int *out_fd, int flags);

/* Of all descriptors only *ours[0..count) stay, renumbered above 2, and /dev/null in the place of
 * the standard streams. 0 or -errno. */
int descriptors_keep(int *const ours[], unsigned count);
/* All above the standard streams are closed: what the caller had open is not for us, and not for
 * whom our processes may be lost to. To be called before anything of our own is open. */
void descriptors_leave_callers(void);
/* A copy of it above those that a process gets without asking. 0 or -errno. */
int descriptor_raise(int fd, int *out_fd);

#endif
