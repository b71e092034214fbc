/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Watches a squall whose system call filters forbid nothing and tell of every call (see
 * sandbox_filter.h): which calls its processes make that their lists do not hold, and which that
 * they hold are made by nobody.
 */
#ifndef SQUALL_TESTS_FILTER_WATCH_H
#define SQUALL_TESTS_FILTER_WATCH_H

#include "injector/kernel/sandbox_filter.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define FILTER_WATCH_RULES   512
#define FILTER_WATCH_FOREIGN 64
#define FILTER_WATCH_TELLERS (SANDBOX_TLS + 1)

/* A call that no rule of its process allows. */
struct filter_foreign {
	enum sandbox_teller teller;
	long number;
	uint64_t arguments[3];
	unsigned long count;
};

/* Zeroed: nothing seen yet. Adds up over any number of commands. */
struct filter_watch {
	unsigned long made[FILTER_WATCH_TELLERS][FILTER_WATCH_RULES];
	struct filter_foreign foreign[FILTER_WATCH_FOREIGN];
	unsigned foreign_count;
	unsigned long calls[FILTER_WATCH_TELLERS];
	/* the worker is killed at that call from now on; 0: never */
	unsigned long kill_worker_at;
};

/* Forks, and has `begin` execute the command (it never returns). Until everything that it started
 * has ended. Returns as waitpid() says of the command. */
int filter_watch_run(struct filter_watch *watch, void (*begin)(void *context), void *context);
/* Foreign calls, each on a line behind "# ". */
void filter_watch_tell_foreign(const struct filter_watch *watch, enum sandbox_teller teller,
			       FILE *out);
/* Rules that no call was made by, by purpose. */
void filter_watch_tell_idle(const struct filter_watch *watch, enum sandbox_teller teller,
			    FILE *out);
/* Why it is refused all the same; NULL: a list lacks it. */
const char *filter_watch_why_refused(const struct filter_foreign *foreign);
/* Kinds that a list lacks. */
unsigned filter_watch_count_foreign(const struct filter_watch *watch, enum sandbox_teller teller);

extern const char *const filter_watch_names[FILTER_WATCH_TELLERS];

#endif
