/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which of the system calls of a run repeat one another. Between two calls that somebody else could
 * notice, each pair of a call and the one before it is looked at twice: a loop that reads hundreds
 * of files of /proc, or gives up forty capabilities one by one, is the same again and again.
 */
#ifndef SQUALL_TESTS_REPEATS_H
#define SQUALL_TESTS_REPEATS_H

#include <stdbool.h>

/* It changes the machine, or tells somebody something: deaths around it are the telling ones. */
bool call_is_telling(int call);
/* One that nobody has thought of: neither telling, nor known to be none. -1: there is none. */
int call_of_no_list(const int *calls, unsigned count);
/* One for each of `count` calls (of those, the first TRACE_CALLS_MAX); the caller's. How many are
 * true goes to *out_chosen. */
bool *calls_without_repeats(const int *calls, unsigned count, unsigned *out_chosen);

#endif
