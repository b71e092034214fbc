/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * An experiment of several files: the main one, what it includes, lists of addresses, round trips,
 * variables; and one of a few words on the command line (the first byte says which).
 * Files are separated by form feeds, and are found under the names of `names` in their order. Every
 * problem has a place in a file that was read.
 */
#include "tests/fuzz/fuzz_input.h"

#include "injector/experiment/inline.h"
#include "injector/experiment/yaml.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FILES	  5
#define SEPARATOR '\f'
#define WORDS	  16

static const char *const names[FILES] = {"", "/x/a.yaml", "/x/b.yaml", "/x/list.txt", "/x/secret"};

struct files {
	const char *text[FILES];
	size_t length[FILES];
};

static int read_file(void *context, const char *path, size_t max, char **out_text,
		     size_t *out_length, struct error *err)
{
	const struct files *files = context;

	for (unsigned i = 1; i < FILES; i++)
		if (strcmp(path, names[i]) == 0 && files->text[i] && files->length[i] <= max) {
			*out_text = make_text(files->text[i], files->length[i]);
			*out_length = files->length[i];
			return 0;
		}
	return error_set(err, ENOENT, "cannot open %.200s", path);
}

static void split(const char *data, size_t size, struct files *out)
{
	for (unsigned i = 0; i < FILES; i++) {
		const char *end = memchr(data, SEPARATOR, size);
		size_t length = end && i + 1 < FILES ? (size_t)(end - data) : size;

		out->text[i] = data;
		out->length[i] = length;
		if (length == size)
			return;
		data += length + 1;
		size -= length + 1;
	}
}

static void read_files(const char *data, size_t size)
{
	struct files files = {0};
	struct experiment_inputs inputs = {.settings = {"host=10.0.0.1"},
					   .setting_count = 1,
					   .read = read_file,
					   .context = &files};
	struct experiment *experiment = NULL;
	struct yaml_problems problems = {0};
	struct error err = ERROR_INIT;
	char *text;

	split(data, size, &files);
	text = make_text(files.text[0], files.length[0]);
	if (yaml_parse_with(text, files.length[0], "/x/main.yaml", &inputs, &experiment, &problems,
			    &err) == 0) {
		require(!problems.count && experiment->step_count);
		experiment_free(experiment);
		free(experiment);
	} else {
		require(problems.count > 0 && err.code && !experiment);
		for (unsigned i = 0; i < problems.count; i++)
			require(problems.list[i].text[0] && problems.list[i].line >= 0 &&
				(!problems.list[i].file ||
				 problems.list[i].file <
					 sizeof(inputs.files) / sizeof(*inputs.files)));
	}
	yaml_problems_free(&problems);
	inputs_free(&inputs);
	free(text);
}

/* The fault, and its words, a line each. */
static void read_words(const char *data, size_t size)
{
	char *text = make_text(data, size), *words[WORDS], *save = NULL, *fault;
	struct experiment *experiment = NULL;
	struct error err = ERROR_INIT;
	unsigned count = 0;

	fault = strtok_r(text, "\n", &save);
	while (fault && count < WORDS && (words[count] = strtok_r(NULL, "\n", &save)))
		count++;
	if (fault && inline_experiment(fault, words, count, &experiment, &err) == 0) {
		require(experiment->step_count == 1 && experiment->limits.duration_ns > 0);
		experiment_free(experiment);
		free(experiment);
	} else if (fault) {
		require(err.code && err.text[0] && !experiment);
	}
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size)
		(data[0] & 1 ? read_words : read_files)((const char *)data + 1, size - 1);
	return 0;
}
