/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A thread beside the one that handles signals: it takes none, and has a stack of the size it
 * needs.
 */
#ifndef SQUALL_THREAD_H
#define SQUALL_THREAD_H

#include <pthread.h>
#include <stddef.h>

/* 0 or the number of an error, as of pthread_create(3). */
int thread_start(pthread_t *out, size_t stack_size, void *(*run)(void *context), void *context);
/* The same; nobody waits for its end. */
int thread_start_detached(size_t stack_size, void *(*run)(void *context), void *context);

#endif
