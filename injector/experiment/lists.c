/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Files with addresses that targets name (`to-file`). They are read once, by the same way as
 * included files, and are files like those: positions in messages name them.
 */
#include "injector/experiment/include.h"
#include "injector/experiment/reader.h"

#include "injector/base/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct list_reading {
	struct reader *reader;
	const struct param_value *value; /* that names the file */
	unsigned file;			 /* read last */
};

/* The file that a value stands in, which its own names are relative to. */
static const char *base_of(const struct list_reading *reading)
{
	unsigned file = TREE_FILE(reading->value->line);

	return file ? reading->reader->inputs->files[file].path : reading->reader->experiment->path;
}

/* Keeps it for the messages that show the line. */
static int keep(struct list_reading *reading, char *path, const char *text, size_t length,
		struct error *err)
{
	struct experiment_inputs *inputs = reading->reader->inputs;
	unsigned file = inputs->file_count ? inputs->file_count : 1;

	for (unsigned i = 1; i < file; i++)
		if (strcmp(inputs->files[i].path, path) == 0) {
			reading->file = i;
			free(path);
			return 0;
		}
	if (file == sizeof(inputs->files) / sizeof(*inputs->files)) {
		free(path);
		return error_set(err, E2BIG, "more than %d files are named", INPUTS_MAX_LISTS);
	}
	inputs->files[file] =
		(struct inputs_file){.path = path, .text = strndup(text, length), .length = length};
	inputs->file_count = file + 1;
	reading->file = file;
	return inputs->files[file].text ? 0 : error_errno(err, ENOMEM, "cannot keep %s", path);
}

static int read_list(void *context, const char *name, size_t max, char **out_text,
		     size_t *out_length, struct error *err)
{
	struct list_reading *reading = context;
	struct experiment_inputs *inputs = reading->reader->inputs;
	char *path = include_path(base_of(reading), name);
	int result;

	if (!path)
		return error_errno(err, ENOMEM, "%s", name);
	result = inputs->read(inputs->context, path, max, out_text, out_length, err);
	if (result < 0) {
		free(path);
		return result;
	}
	result = keep(reading, path, *out_text, *out_length, err);
	if (result < 0) {
		free(*out_text);
		*out_text = NULL;
	}
	return result;
}

static void add_problem(void *context, unsigned line, unsigned column, const char *text)
{
	const struct list_reading *reading = context;

	/* a line beyond what a position can hold has a mistake, too */
	if (line > TREE_LINE(-1))
		line = TREE_LINE(-1);
	problems_add(reading->reader->problems, (int)(reading->file << TREE_LINE_BITS | line),
		     (int)column, "%s", text);
}

void reader_load_lists(struct reader *reader, struct experiment_target *target)
{
	struct list_reading reading = {.reader = reader};
	const struct fault_files files = {
		.read = read_list, .problem = add_problem, .context = &reading};

	for (unsigned i = 0; i < target->params.count; i++) {
		struct error err = ERROR_INIT;
		int result;

		reading.value = params_value(&target->params, i, 0);
		if (!reading.value || !target_is_list_file(&target->params, i))
			continue;
		if (!reader->inputs || !reader->inputs->read) {
			problems_add(reader->problems, reading.value->line, reading.value->column,
				     "%s: no file can be read here", target->params.table[i].name);
			continue;
		}
		result = target_load(&target->params, i, &files, &err);
		if (result == -ENOMEM)
			reader->problems->is_out_of_memory = true;
		else if (err.code)
			problems_add(reader->problems, reading.value->line, reading.value->column,
				     "%s%s%s", err.text, err.remedy[0] ? "; remedy: " : "",
				     err.remedy);
	}
}
