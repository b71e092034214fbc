/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Reads an experiment from a file or from standard input ("-"). Prints nothing. What is not a
 * regular file (a device, a pipe by name, a directory) is refused, and so is what is larger than
 * EXPERIMENT_FILE_MAX.
 */
#ifndef SQUALL_EXPERIMENT_LOAD_H
#define SQUALL_EXPERIMENT_LOAD_H

#include "injector/experiment/yaml.h"

#include <stddef.h>

/* The name that messages give to "-". */
#define EXPERIMENT_STDIN_NAME "standard input"

/* The text of the file, NUL-terminated; caller frees. */
int experiment_read(const char *path, char **out_text, size_t *out_length, struct error *err);
/* Reads and parses. -EINVAL with problems->count > 0: the file is bad; see yaml_parse_experiment().
 * With problems->count == 0 it could not be read or parsed at all and `err` says why. The caller
 * frees *problems in every case. */
int experiment_load(const char *path, struct experiment **out, struct yaml_problems *problems,
		    struct error *err);

#endif
