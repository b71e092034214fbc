/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Holds the processes of a squall at system calls of theirs, as long as the test likes
 * (seccomp_unotify(2)): what happens in between is no matter of time. One squall at a time.
 */
#ifndef SQUALL_TESTS_HELD_CALLS_H
#define SQUALL_TESTS_HELD_CALLS_H

#include "tests/support/squall_runner.h"

struct held_choice {
	int number;	     /* of the system call */
	unsigned argument;   /* that one (from 0) must have */
	uint32_t with_flags; /* one of these; 0: whatever it has */
};

struct held_call {
	uint64_t id;
	pid_t pid;
	int number;
};

/* Which calls, of the squall that is started next with .prepare = held_calls_prepare. */
void held_calls_choose(const struct held_choice *choices, unsigned count);
void held_calls_prepare(const struct stage *stage);
/* The next process that is held. */
struct held_call held_calls_await(void);
void held_calls_let_go(const struct held_call *call);
/* From now on nobody is held; returns when squall has ended, with its exit code. */
int held_calls_await_exit(struct squall *squall);

#endif
