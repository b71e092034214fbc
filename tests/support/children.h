/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Processes for tests to do things to, each in its own session, and control groups (cgroup v2) for
 * them. They die with the test. One counter in shared memory tells what they do; starting a child
 * sets it to 0.
 */
#ifndef SQUALL_TESTS_CHILDREN_H
#define SQUALL_TESTS_CHILDREN_H

#include <stdbool.h>
#include <sys/types.h>

enum child_kind {
	CHILD_SLEEPS,
	CHILD_SLEEPS_AS_NOBODY,
	CHILD_SLEEPS_APART, /* in a mount namespace of its own */
	CHILD_COUNTS,	    /* every millisecond */
	CHILD_COUNTS_USR1,  /* each SIGUSR1 */
	CHILD_COUNTS_CONT,  /* each SIGCONT */
	CHILD_COMPUTES,
	CHILD_COMPUTES_IN_THREADS,
	CHILD_BECOMES_SSHD,	 /* on SIGUSR1 */
	CHILD_HANGS,		 /* in state D, for ever */
	CHILD_HANGS_THEN_COUNTS, /* in state D for a second */
	CHILD_FORKS_FOREVER, /* lineages that fork and exit, counting; for half a minute at most */
};

void children_init(void);
/* group: directory of a control group, or NULL. Returns when the child is up. */
pid_t child_start(enum child_kind kind, const char *group);
/* Prepares a child for what it is there for; false: it cannot. */
typedef bool (*child_fn)(void *context);
/* One that has done so, and waits until it is killed; or the test fails. */
pid_t child_start_ready(child_fn fn, void *context);
/* One that becomes another program there; it has, or it has ended. */
pid_t child_start_program(child_fn fn, void *context);
/* One that sleeps, with a number of old; -1: it is taken, or the kernel is too old. */
pid_t child_start_with_number(pid_t number);
/* SIGKILL, and reaped. */
void child_stop(pid_t child);
char child_state(pid_t child);
/* These wait up to a second. */
bool child_wait_state(pid_t child, char state);
bool child_wait_exit(pid_t child);
bool child_wait_name(pid_t child, const char *name);
/* Is the counter at least that? False after 0.7 s. */
bool child_wait_count(unsigned count);
/* Does the counter move within 100 ms? */
bool child_counts(void);
bool child_counts_within(unsigned ms);

/* Makes NAME below the cgroup v2 mount; out: 128 bytes. */
void group_make(const char *name, char *out);
void group_write(const char *group, const char *file, const char *value);
int group_value(const char *group, const char *file);
void group_kill(const char *group);
void group_remove(const char *group);

#endif
