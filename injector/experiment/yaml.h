/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Reads an experiment file (design: one short file, exact errors). Strict: unknown and duplicate
 * keys, missing units, values out of range, anchors and aliases, tags, several documents, deep
 * nesting and files above 2 MiB are refused. All errors of a file are reported in one go.
 */
#ifndef SQUALL_EXPERIMENT_YAML_H
#define SQUALL_EXPERIMENT_YAML_H

#include "injector/experiment/inputs.h"
#include "injector/experiment/model.h"

#define EXPERIMENT_FILE_MAX (2 << 20)

struct yaml_problem {
	unsigned file;	  /* index in experiment_inputs.files; 0: the main file */
	int line, column; /* 1-based; 0: the file as a whole */
	char text[600];	  /* what is wrong and what is allowed */
};

struct yaml_problems {
	struct yaml_problem *list; /* in the order of the file, owned */
	unsigned count;
	const struct inputs_file *files; /* of the inputs, borrowed; NULL: there were none */
};

/* Parses `length` bytes, and what they include by `inputs` (NULL: nothing). 0: *out is a valid
 * experiment (caller: experiment_free + free). -EINVAL: *problems has at least one entry (caller:
 * yaml_problems_free). Never touches the machine. */
int yaml_parse_with(const char *text, size_t length, const char *path,
		    struct experiment_inputs *inputs, struct experiment **out,
		    struct yaml_problems *problems, struct error *err);
/* A text that stands for itself. */
int yaml_parse_experiment(const char *text, size_t length, const char *path,
			  struct experiment **out, struct yaml_problems *problems,
			  struct error *err);
void yaml_problems_free(struct yaml_problems *problems);

#endif
