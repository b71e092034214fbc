/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The namespace of a target, by its name. That of the network may be deleted while a fault is in
 * force: our own sockets keep it alive when nobody else is in it any more, and nothing that the
 * fault hangs on goes away.
 */
#ifndef SQUALL_TARGET_NAMESPACE_H
#define SQUALL_TARGET_NAMESPACE_H

#include "injector/base/error.h"
#include "injector/kernel/namespace.h"

#include <sys/types.h>

struct target_guard;

struct target_namespace_kind {
	const char *name; /* as in "different network namespaces" */
	int (*open_pid)(pid_t pid, int *out_fd, struct error *err);
	int (*identify)(int fd, struct namespace_id *out, struct error *err);
};
/* "pid:N" or "target:NAME", a process target, whose processes must all be in the same one. */
bool target_namespace_is_of_process(const char *name);
/* -EINVAL for any other name. */
int target_namespace_open(const struct target_namespace_kind *kind, const char *name,
			  const struct target_guard *guard, int *out_fd, struct error *err);

struct target_namespace {
	int fd; /* -1: our own, which needs neither name nor keeper */
	const struct namespace_id *id;
	const char *name;    /* as of the target */
	pid_t *inout_keeper; /* of one without a name: some process in it; 0: none is known yet */
};
/* Somebody still names it, or a process is in it. -ESTALE: not. What cannot be told is no failure.
 */
int target_namespace_check(const struct target_namespace *namespace, struct error *err);

/* What a command that is typed by hand needs in front to act in that namespace, by the name that a
 * target has for it, of less than 64 bytes: "ip netns exec NAME "; of "pid:N" and "target:NAME",
 * whose processes may be others by now, "nsenter --net=/proc/N/ns/net " of one that is in it, or
 * with PID, for a person to find one; nothing for our own (""). */
#define TARGET_NAMESPACE_PREFIX 304
void target_namespace_prefix(const char *name, const struct namespace_id *id, char *out,
			     size_t size);

#endif
