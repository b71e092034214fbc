/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What an experiment is made from beside its own file: included files, files with secrets, and
 * variables that are set on the command line.
 */
#ifndef SQUALL_EXPERIMENT_INPUTS_H
#define SQUALL_EXPERIMENT_INPUTS_H

#include "injector/base/error.h"

#include <stddef.h>

#define INPUTS_MAX_FILES   16 /* with the main one */
#define INPUTS_MAX_LISTS   32 /* files with addresses that targets name */
#define INPUTS_MAX_DEPTH   4
#define INPUTS_SECRET_MAX  4096 /* bytes of a value that comes from a file */
#define INPUTS_MAX_SETTING 64

struct inputs_file {
	char *path, *text; /* owned */
	size_t length;
};

struct experiment_inputs {
	const char *settings[INPUTS_MAX_SETTING]; /* "name=value", borrowed */
	unsigned setting_count;
	/* Reads a file of at most `max` bytes with the rights of who called; *out_text ends with a
	 * NUL and is the caller's. NULL: nothing can be read beside the text itself. */
	int (*read)(void *context, const char *path, size_t max, char **out_text,
		    size_t *out_length, struct error *err);
	void *context;
	/* As read: included ones, then lists of addresses; [0] stays empty. */
	struct inputs_file files[INPUTS_MAX_FILES + INPUTS_MAX_LISTS];
	unsigned file_count;
};

void inputs_free(struct experiment_inputs *inputs);

#endif
