/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which process may make which system calls: data for sandbox.c.
 */
#ifndef SQUALL_SANDBOX_LISTS_H
#define SQUALL_SANDBOX_LISTS_H

#include <stdint.h>

#define SANDBOX_ARGS 2

/* One allowed call; with argument conditions, all of which must hold. */
struct sandbox_rule {
	int call; /* SCMP_SYS(name) */
	unsigned arg_count;
	struct {
		unsigned arg;
		uint64_t mask, value; /* (argument & mask) == value */
	} args[SANDBOX_ARGS];
};

/* Rules of one purpose; ends with .call == SANDBOX_END. */
#define SANDBOX_END (-32768)

extern const struct sandbox_rule *const sandbox_conductor_groups[]; /* NULL-terminated */
extern const struct sandbox_rule *const sandbox_worker_groups[];
extern const struct sandbox_rule *const sandbox_guardian_groups[];

/* Calls that end the process at once: nothing of ours ever makes them. */
extern const int sandbox_deadly[]; /* ends with SANDBOX_END */

#endif
