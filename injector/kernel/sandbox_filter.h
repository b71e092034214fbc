/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The system call filter of a process as the kernel takes it, made from sandbox_lists.c by
 * libseccomp. That costs a millisecond, so it is done when squall is built: generate/ writes the
 * result into sandbox_filters.h, and nothing of this is in the program.
 */
#ifndef SQUALL_SANDBOX_FILTER_H
#define SQUALL_SANDBOX_FILTER_H

#include "injector/kernel/sandbox_lists.h"

#include <linux/filter.h>

#define SANDBOX_FILTER_MAX 1024 /* instructions */

struct sandbox_filter {
	const struct sock_filter *code;
	unsigned count;
};

/* Stands for the process's own number, which the filter compares: no process can have this one. */
#define SANDBOX_OWN_PID 0x7fffff1d

/* For tests: a filter that forbids nothing (but what is deadly) and tells a tracer of every call:
 * by which rule it is allowed, from 1 in the order of all groups, or 0: by none. Without a tracer
 * every call is ENOSYS, so a program with such a filter is of no use to anybody else. */
enum sandbox_teller {
	SANDBOX_SILENT,
	SANDBOX_CONDUCTOR,
	SANDBOX_WORKER,
	SANDBOX_GUARDIAN,
	SANDBOX_READER,
	SANDBOX_TLS,
};
void sandbox_filter_untell(unsigned told, enum sandbox_teller *out_teller, unsigned *out_rule);

/* Of those groups that apply. Into `out`, SANDBOX_FILTER_MAX long. Returns how many instructions,
 * or -errno. */
int sandbox_filter_build(const struct sandbox_group *groups, unsigned choice,
			 enum sandbox_teller teller, struct sock_filter *out);

#endif
