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

struct experiment_text {
	char *bytes; /* NUL-terminated, owned */
	size_t length;
	/* What is read beside it: files by the rights of the caller, unless changed. */
	struct experiment_inputs inputs;
};

/* Reads, by out->inputs.read if that is set; caller: experiment_text_free(). */
int experiment_read(const char *path, struct experiment_text *out, struct error *err);
/* Parses; may run with fewer rights than what read it. -EINVAL with problems->count > 0: the file
 * is bad, see yaml_parse_with(). The caller frees *problems in every case, before the text. */
int experiment_parse(struct experiment_text *text, const char *path, struct experiment **out,
		     struct yaml_problems *problems, struct error *err);
/* Both. problems->count == 0 after a failure: it could not be read. */
int experiment_load(const char *path, struct experiment **out, struct yaml_problems *problems,
		    struct error *err);
/* Reads the whole of a descriptor that is a file: inputs.read of those who open otherwise. */
int experiment_read_input(int fd, const char *path, size_t max, char **out_text, size_t *out_length,
			  struct error *err);
/* Opens and reads with the rights of the caller: inputs.read by default. */
int experiment_read_as_caller(void *context, const char *path, size_t max, char **out_text,
			      size_t *out_length, struct error *err);
/* The same for what root shall do: refuses what others could have written, see trusted_file.h. */
int experiment_read_to_run(void *context, const char *path, size_t max, char **out_text,
			   size_t *out_length, struct error *err);
void experiment_text_free(struct experiment_text *text);
/* The name for messages: "-" is EXPERIMENT_STDIN_NAME. */
const char *experiment_file_name(const char *path);

#endif
