/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A network fault in force, and what the kernel tells of it, without anybody looking now and then.
 */
#ifndef SQUALL_TESTS_NETLAB_WATCH_H
#define SQUALL_TESTS_NETLAB_WATCH_H

#include "tests/support/netlab.h"

struct netlab_watch {
	struct netlab_fault fault;
	int fd;		/* -1: it is out of force */
	unsigned times; /* somebody looked */
	struct error why;
};

/* Plans, injects and listens. */
void netlab_watch_start(struct netlab *lab, struct netlab_watch *watched, const char *run,
			const char *const *settings);
/* As the worker looks when something was told; `context` is what is watched. */
void netlab_watch_look(void *context, struct fault *fault);
/* No timer here: only what the kernel tells wakes. */
void netlab_watch_hear(struct netlab_watch *watched, int64_t for_ns);
/* It goes out of force, in these words. */
void netlab_watch_assert_told(struct netlab_watch *watched, const char *words);
void netlab_watch_assert_in_force(struct netlab_watch *watched);

#endif
