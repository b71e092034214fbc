/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The experiment of a run: its text is read with the rights of who called, and becomes an
 * experiment later, in a process that has given up all rights.
 */
#ifndef SQUALL_CLI_SOURCE_H
#define SQUALL_CLI_SOURCE_H

#include "injector/experiment/load.h"
#include "injector/kernel/file_reader.h"
#include "injector/run/run.h"

struct source {
	const char *path;
	struct experiment_text text;
	struct file_reader reader; /* of root's own files, for a conductor that is not root */
};

/* Before run_start(): for files beside the text. */
int source_prepare(struct source *source, struct error *err);
/* run_options.load with a source as its context. */
int source_load(void *context, struct experiment **out, struct error *err);
void source_free(struct source *source);
/* The text of --seed, NULL for none. */
int source_take_seed(const char *text, struct run_options *run, struct error *err);

#endif
