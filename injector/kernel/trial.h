/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What can this kernel do? Asked by doing it, in a network namespace of a child process: nothing of
 * it can be seen from outside, and the kernel takes all of it away with the child. The only trace
 * is a module that the kernel loaded by itself.
 */
#ifndef SQUALL_TRIAL_H
#define SQUALL_TRIAL_H

#include "injector/base/error.h"

#include <stddef.h>

#define TRIAL_ANSWER_MAX 2048

/* Runs fn in such a child; what it writes into its `answer` (`size` bytes, zeroed; may be none)
 * comes back, and so does its error. Forks: not in a sandbox. */
int trial_run(int (*fn)(void *answer, struct error *err), void *answer, size_t size,
	      struct error *err);

#endif
