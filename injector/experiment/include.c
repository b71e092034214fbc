/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Included files: shared targets, probes and variables. Each is read once, with the rights of who
 * called, and is a file like the first one: positions in messages name it.
 */
#include "injector/experiment/include.h"

#include "injector/base/cleanup.h"
#include "injector/experiment/format.h"
#include "injector/experiment/text.h"

#include <stdlib.h>
#include <string.h>

struct including {
	struct reader *reader;
	struct experiment_inputs *inputs;
	struct include_set *set;
	const char *main_path;
	size_t total;
	unsigned stack[INPUTS_MAX_DEPTH + 1]; /* files that are being read */
};

char *include_path(const char *base, const char *path)
{
	const char *slash = strrchr(base, '/');
	size_t length = slash && path[0] != '/' ? (size_t)(slash - base) + 1 : 0;
	char *joined = malloc(length + strlen(path) + 1);

	if (!joined)
		return NULL;
	memcpy(joined, base, length);
	strcpy(joined + length, path);
	return joined;
}

static const char *path_of(const struct including *including, unsigned file)
{
	return file ? including->inputs->files[file].path : including->main_path;
}

static void include_all(struct including *including, unsigned file, unsigned depth);

/* Index of a file that was read before; 0: none. */
static unsigned find_file(const struct including *including, const char *path)
{
	for (unsigned i = 1; i < including->set->count; i++)
		if (strcmp(including->inputs->files[i].path, path) == 0)
			return i;
	return 0;
}

static bool is_open(const struct including *including, unsigned file, unsigned depth)
{
	for (unsigned i = 0; i <= depth; i++)
		if (including->stack[i] == file)
			return true;
	return false;
}

/* What may stand in an included file. */
static void check_keys(struct reader *reader, const struct tree_node *root)
{
	static const struct name_list allowed = {{"include", "variables", "targets", "probes"}, 4};

	if (!reader_is(reader, root, TREE_MAPPING, "an included file", "targets: {...}"))
		return;
	for (const struct tree_node *entry = root->first; entry; entry = entry->next) {
		bool is_known = entry->kind == TREE_BROKEN;

		for (unsigned i = 0; i < allowed.count; i++)
			is_known |= strcmp(allowed.names[i], entry->key->text) == 0;
		if (!is_known)
			reader_unknown_key(reader, entry, "an included file", &allowed, NULL);
	}
}

static void read_file(struct including *including, const struct tree_node *at, const char *path,
		      unsigned depth)
{
	struct reader *reader = including->reader;
	struct experiment_inputs *inputs = including->inputs;
	unsigned file = including->set->count;
	struct inputs_file *out = &inputs->files[file];
	struct error err = ERROR_INIT;

	if (inputs->read(inputs->context, path, EXPERIMENT_FILE_MAX, &out->text, &out->length,
			 &err) < 0) {
		reader_problem(reader, at, "include: %s%s%s", err.text,
			       err.remedy[0] ? "; remedy: " : "", err.remedy);
		return;
	}
	out->path = strdup(path);
	if (!out->path) {
		reader->problems->is_out_of_memory = true;
		free(out->text);
		out->text = NULL;
		return;
	}
	including->set->count = inputs->file_count = file + 1;
	including->total += out->length;
	if (including->total > EXPERIMENT_FILE_MAX) {
		reader_problem(reader, at, "the included files have more than 2 MiB together");
		return;
	}
	reader->problems->file = file;
	if (text_check(out->text, out->length, reader->problems))
		tree_parse(out->text, out->length, reader->problems, &including->set->trees[file]);
	reader->problems->file = 0;
	if (!including->set->trees[file].root)
		return;
	check_keys(reader, including->set->trees[file].root);
	including->stack[depth] = file;
	include_all(including, file, depth);
}

static void include_one(struct including *including, const struct tree_node *at, unsigned file,
			unsigned depth)
{
	struct reader *reader = including->reader;
	cleanup_free char *path = NULL;
	unsigned known;

	if (!reader_is(reader, at, TREE_SCALAR, "a file to include", "common.yaml"))
		return;
	if (!including->inputs || !including->inputs->read) {
		reader_problem(reader, at, "nothing can be included here");
		return;
	}
	if (strstr(at->text, "${")) {
		reader_problem(reader, at, "the name of an included file cannot be a variable");
		return;
	}
	path = include_path(path_of(including, file), at->text);
	if (!path) {
		reader->problems->is_out_of_memory = true;
		return;
	}
	known = find_file(including, path);
	if ((known && is_open(including, known, depth)) || strcmp(path, including->main_path) == 0)
		reader_problem(reader, at, "'%.200s' includes itself", path);
	else if (known)
		return; /* by two ways: once is enough */
	else if (depth == INPUTS_MAX_DEPTH)
		reader_problem(reader, at, "included files may include others only %d deep",
			       INPUTS_MAX_DEPTH);
	else if (including->set->count == INPUTS_MAX_FILES)
		reader_problem(reader, at, "more than %d included files", INPUTS_MAX_FILES - 1);
	else
		read_file(including, at, path, depth + 1);
}

static void include_all(struct including *including, unsigned file, unsigned depth)
{
	const struct tree_node *root = including->set->trees[file].root, *list;

	if (root->kind != TREE_MAPPING)
		return;
	list = tree_find(root, "include");
	if (!list || list->kind == TREE_BROKEN)
		return;
	if (list->kind != TREE_LIST) {
		include_one(including, list, file, depth);
		return;
	}
	for (const struct tree_node *at = list->first; at; at = at->next)
		include_one(including, at, file, depth);
}

void include_read(struct reader *reader, const char *path, struct experiment_inputs *inputs,
		  struct include_set *set)
{
	struct including including = {
		.reader = reader, .inputs = inputs, .set = set, .main_path = path};

	set->count = 1;
	include_all(&including, 0, 0);
}

void include_free(struct include_set *set)
{
	for (unsigned i = 0; i < INPUTS_MAX_FILES; i++)
		tree_free(&set->trees[i]);
	set->count = 0;
}

void inputs_free(struct experiment_inputs *inputs)
{
	for (unsigned i = 0; i < INPUTS_MAX_FILES + INPUTS_MAX_LISTS; i++) {
		free(inputs->files[i].path);
		free(inputs->files[i].text);
	}
	*inputs = (struct experiment_inputs){0};
}
