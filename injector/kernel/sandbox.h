/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Least privilege, per process: uid, capabilities, no_new_privs, seccomp lists grouped by purpose.
 * Call before the first thread is made (capabilities and filters are per thread).
 */
#ifndef SQUALL_SANDBOX_H
#define SQUALL_SANDBOX_H

#include "injector/base/error.h"

#include <stdint.h>
#include <sys/types.h>

/* Gives up root for good: groups, gid, uid, all capabilities, no_new_privs; verifies it. */
int sandbox_drop_user(uid_t uid, gid_t gid, struct error *err);
/* Stays root but keeps only these capabilities (bits 1 << CAP_*), bounding set included. */
int sandbox_keep_capabilities(uint64_t keep, struct error *err);
/* Those of `wanted` that this process has. */
uint64_t sandbox_held(uint64_t wanted);
/* Filters. Default: EPERM; execve, ptrace, module loading: the process is killed. */
int sandbox_conductor(struct error *err); /* no netlink, no exec, no raw sockets */
/* What the capabilities are for, and no more: netlink, bpf, tap and threads; files; sockets. */
int sandbox_worker(uint64_t capabilities, struct error *err);
int sandbox_guardian(uint64_t capabilities, struct error *err);
int sandbox_reader(struct error *err); /* opens files for reading, and hands them out */
int sandbox_tls(struct error *err);    /* uses sockets that it is given, and opens nothing */

/* Who called: SUDO_UID/SUDO_GID when root by sudo, else the real uid. Commands run as this one.
 * Environment values are checked to be numbers of existing users. */
struct invoking_user {
	uid_t uid;
	gid_t gid;
};
int sandbox_invoking_user(struct invoking_user *out, struct error *err);
/* As whom that user's conductor runs, neither of it 0: for root, nobody. */
struct invoking_user sandbox_conductor_user(const struct invoking_user *user);
/* open(2) with the rights of who called: sudo for squall must not become sudo for reading files,
 * pieces of which appear in messages, nor for writing them (O_CREAT: mode 0666 and the umask).
 * Before the first thread is made. */
int sandbox_open_as_caller(const char *path, int flags, struct error *err);

#endif
