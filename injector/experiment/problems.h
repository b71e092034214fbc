/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The problems found while a file is read: collected, not returned one by one, so that a file is
 * mended in one go. Internal to injector/experiment.
 */
#ifndef SQUALL_EXPERIMENT_PROBLEMS_H
#define SQUALL_EXPERIMENT_PROBLEMS_H

#include "injector/experiment/yaml.h"

#include <stdbool.h>

/* Nobody mends more at once, and a hostile file must not make us think long about each. */
#define PROBLEMS_MAX 50

/* A line is known together with its file, so that a value that has come far still knows both: the
 * upper bits are the index in experiment_inputs.files, 0 for the main file. A file of
 * EXPERIMENT_FILE_MAX bytes has no more lines than the lower bits can hold. */
#define TREE_LINE_BITS	22
#define TREE_LINE(line) ((line) & ((1 << TREE_LINE_BITS) - 1))
#define TREE_FILE(line) ((unsigned)(line) >> TREE_LINE_BITS)

struct problem_list {
	unsigned file; /* that is being parsed: problems with a plain line are in it */
	struct yaml_problems found;
	bool is_full;	       /* PROBLEMS_MAX reached; further ones are dropped */
	bool is_out_of_memory; /* something could not be kept: the result is worthless */
};

/* Never fails: see is_full, is_out_of_memory. Control characters of the file become '?'. */
void problems_add(struct problem_list *list, int line, int column, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* Orders them by position and says when there were more. */
void problems_finish(struct problem_list *list);

#endif
