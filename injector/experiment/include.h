/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `include` and `variables`: from one tree to all trees of an experiment, with every ${name}
 * replaced. Internal to injector/experiment.
 */
#ifndef SQUALL_EXPERIMENT_INCLUDE_H
#define SQUALL_EXPERIMENT_INCLUDE_H

#include "injector/experiment/inputs.h"
#include "injector/experiment/reader.h"

struct include_set {
	struct tree trees[INPUTS_MAX_FILES]; /* [0]: the main file */
	unsigned count;			     /* in the order in which they are read: later ones are
					      * included by earlier ones */
};

/* Reads what the main tree includes, and what that includes. Problems are reported. */
void include_read(struct reader *reader, const char *path, struct experiment_inputs *inputs,
		  struct include_set *set);
/* Reads the variables of all trees and puts their values in. */
void variables_replace(struct reader *reader, const char *path, struct experiment_inputs *inputs,
		       struct include_set *set);
void include_free(struct include_set *set);
/* A path in a file is relative to that file. Caller frees; NULL: out of memory. */
char *include_path(const char *base, const char *path);

#endif
