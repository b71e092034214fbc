/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The end of the worker, which its parent waits for: never longer than something can come of it.
 */
#ifndef SQUALL_RUN_WORKER_END_H
#define SQUALL_RUN_WORKER_END_H

#include "injector/run/worker.h"

#include <stdbool.h>

enum worker_end {
	WORKER_ENDED,
	WORKER_STAYS_STOPPED, /* by somebody, with nobody who would kill it */
	WORKER_HANGS, /* in the kernel, where no signal reaches it: killed, or never to be */
};

/* Anything but WORKER_ENDED: it cannot be ended from here any more (rights were given up, or no
 * signal wakes it). One that still plans is killed by its guardian when this process is gone. */
enum worker_end worker_end_await(const struct worker_family *family, bool was_armed);

#endif
