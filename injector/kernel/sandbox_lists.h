/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which process may make which system calls: data for sandbox.c.
 */
#ifndef SQUALL_SANDBOX_LISTS_H
#define SQUALL_SANDBOX_LISTS_H

#include <stdbool.h>
#include <stdint.h>

#define SANDBOX_ARGS 2

/* One allowed call; with argument conditions, all of which must hold. */
struct sandbox_rule {
	int call;      /* SCMP_SYS(name) */
	char text[60]; /* for people: "setns(CLONE_NEWNET)"; no pointer, which would be relocated */
	unsigned arg_count;
	struct {
		unsigned arg;
		uint64_t mask, value; /* (argument & mask) == value */
	} args[SANDBOX_ARGS];
};

/* Rules of one purpose; ends with .call == SANDBOX_END. */
#define SANDBOX_END (-32768)

/* One purpose of a process. */
struct sandbox_group {
	const char *purpose; /* NULL: the end of the list */
	const struct sandbox_rule *rules;
	uint64_t with; /* only for a process that keeps one of these capabilities; 0: always */
};

extern const struct sandbox_group sandbox_conductor_groups[];
extern const struct sandbox_group sandbox_worker_groups[];
extern const struct sandbox_group sandbox_guardian_groups[];
extern const struct sandbox_group sandbox_reader_groups[];
extern const struct sandbox_group sandbox_tls_groups[];

/* What a worker and a guardian may depends on these capabilities, which stand for the faults of the
 * run: a filter is made for each choice of them. Bit `at` of a choice is sandbox_keys[at]. */
#define SANDBOX_KEYS	5
#define SANDBOX_CHOICES (1U << SANDBOX_KEYS)
extern const uint64_t sandbox_keys[SANDBOX_KEYS];
unsigned sandbox_choice(uint64_t capabilities);
bool sandbox_group_applies(const struct sandbox_group *group, unsigned choice);

/* Calls that end the process at once: nothing of ours ever makes them. */
extern const int sandbox_deadly[]; /* ends with SANDBOX_END */

#endif
