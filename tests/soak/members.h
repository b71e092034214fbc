/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The processes of one run: found, looked at, killed.
 */
#ifndef SQUALL_TESTS_SOAK_MEMBERS_H
#define SQUALL_TESTS_SOAK_MEMBERS_H

#include <stdbool.h>
#include <sys/types.h>

enum soak_member {
	MEMBER_CONDUCTOR,
	MEMBER_WORKER,
	MEMBER_GUARDIAN,
	MEMBER_LAUNCHER,
	MEMBER_COUNT,
};
extern const char *const member_names[MEMBER_COUNT];

/* 0 for each that is not there. */
void members_find(pid_t conductor, pid_t out[MEMBER_COUNT]);
/* A number behind a key at the beginning of a line of a file; -1: none. */
long soak_number(const char *path, const char *key);
/* `squall run --json EXPERIMENT` in that network namespace, its output in a file. */
pid_t soak_start(int namespace_fd, const char *experiment, const char *log);

#endif
