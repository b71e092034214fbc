/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Network namespaces: finding them, and running something inside one. A descriptor is what pins a
 * namespace; device and inode of nsfs are what tells one from another across processes.
 */
#ifndef SQUALL_NAMESPACE_H
#define SQUALL_NAMESPACE_H

#include "injector/base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct namespace_id {
	uint64_t device, inode;
};

/* By `ip netns` name, by process, or the one this thread is in. Verified to be a network
 * namespace. */
int namespace_open_name(const char *name, int *out_fd, struct error *err);
int namespace_open_pid(pid_t pid, int *out_fd, struct error *err);
int namespace_open_self(int *out_fd, struct error *err);
/* fd -1: this thread's own. */
int namespace_identify(int fd, struct namespace_id *out, struct error *err);
bool namespace_is_same(const struct namespace_id *a, const struct namespace_id *b);

#define NAMESPACE_NAMES "/run/netns" /* ip-netns(8) */
/* Does a name of `ip netns`, or a process, still stand for that one? 1: yes. 0: no, or it is gone.
 * -errno: it cannot be told. */
int namespace_is_named(const char *name, const struct namespace_id *id);
int namespace_is_of(pid_t pid, const struct namespace_id *id);
/* Any process in it. -ENOENT: nobody is. */
int namespace_find_process(const struct namespace_id *id, pid_t *out_pid, struct error *err);

/* Finds a namespace again: own, `ip netns` names, then every process. -ENOENT: it is gone. */
int namespace_find(const struct namespace_id *id, int *out_fd, struct error *err);

/* Runs fn inside the namespace (-1: where we are) and comes back; verified. Only this thread moves.
 * Returns what fn returned. Ends the process when there is no way back: see stranded.h. */
int namespace_run(int fd, int (*fn)(void *context, struct error *err), void *context,
		  struct error *err);
/* The same inside a new one, which lives as long as what fn opens in it. CAP_SYS_ADMIN. */
int namespace_run_new(int (*fn)(void *context, struct error *err), void *context,
		      struct error *err);

#endif
