/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which processes must not be hit: what keeps the machine reachable and alive, and squall itself,
 * its caller included. Judged from /proc at the moment of the call.
 */
#ifndef SQUALL_FAULTS_PROTECT_H
#define SQUALL_FAULTS_PROTECT_H

#include "faults/target.h"
#include "injector/kernel/proc.h"

#include <stdbool.h>
#include <stddef.h>

#define PROTECT_ANCESTORS 64

struct protection {
	bool allow_critical;
	bool means_containers; /* as a whole, so their first process as well */
	pid_t ours[4];	       /* conductor, worker, guardian, and the process that asks */
	unsigned our_count,
		guarded_count; /* the first of `ours` have children that are ours, too */
	pid_t ancestors[2 * PROTECT_ANCESTORS];
	unsigned ancestor_count;
	pid_t sessions[4];
	unsigned session_count;
};

enum protect_level {
	PROTECT_NONE,
	PROTECT_CRITICAL, /* may be hit with allow-critical */
	PROTECT_ALWAYS,
};

/* Collects who we are. `guard` may be NULL: then only the calling process counts. */
void protect_init(struct protection *protection, const struct target_guard *guard,
		  bool allow_critical);

/* PROTECT_NONE, or why not, as a clause that follows the process: "is a kernel thread". */
enum protect_level protect_check(const struct protection *protection, const struct proc_stat *stat,
				 char *out_why, size_t size);

#endif
