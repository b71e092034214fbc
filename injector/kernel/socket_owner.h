/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * From a port to the processes behind it: the kernel's socket tables (sock_diag) name the inode of
 * each listening socket, /proc/PID/fd says who holds it. Several processes may: those of nginx
 * share theirs.
 */
#ifndef SQUALL_KERNEL_SOCKET_OWNER_H
#define SQUALL_KERNEL_SOCKET_OWNER_H

#include "injector/base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* The inodes of all sockets that listen on a port of first..last in one network namespace (-1:
 * ours): listening TCP (and MPTCP) and unconnected UDP sockets, IPv4 and IPv6. Sorted, newly
 * allocated (the caller frees; NULL for none). Needs CAP_SYS_ADMIN for another namespace, else
 * nothing. */
int socket_owner_inodes(int namespace_fd, uint16_t first, uint16_t last, uint32_t **out,
			unsigned *out_count, struct error *err);

/* Does the process hold one of these sockets? 1, 0 or -errno. Needs CAP_SYS_PTRACE for processes of
 * others. */
int socket_owner_holds(pid_t pid, const uint32_t *inodes, unsigned count);

#endif
