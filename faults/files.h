/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * How a fault or a selector reads the files that its parameters name: where the experiment is read,
 * before anything goes to the worker.
 */
#ifndef SQUALL_FAULT_FILES_H
#define SQUALL_FAULT_FILES_H

#include "injector/base/error.h"

#include <stddef.h>

struct fault_files {
	/* A file beside the experiment, of at most `max` bytes, with the rights of who called;
	 * *out_text ends with a NUL and is the caller's. */
	int (*read)(void *context, const char *name, size_t max, char **out_text,
		    size_t *out_length, struct error *err);
	/* A mistake in the file that was read last. NULL: the first one becomes the error. */
	void (*problem)(void *context, unsigned line, unsigned column, const char *text);
	void *context;
};

#endif
