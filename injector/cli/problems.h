/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Shows what is wrong with an experiment file: a plain `file:line:column: message` that editors
 * understand and, on a terminal, the source line with a caret below. */
#ifndef SQUALL_CLI_PROBLEMS_H
#define SQUALL_CLI_PROBLEMS_H

#include "injector/experiment/yaml.h"

#include <stddef.h>
#include <stdio.h>

/* `text` of `length` bytes is what was parsed; `path` as given by the user. */
void problems_write(const struct yaml_problems *problems, const char *path, const char *text,
		    size_t length, FILE *out);
/* To standard error. */
void problems_print(const struct yaml_problems *problems, const char *path, const char *text,
		    size_t length);

#endif
