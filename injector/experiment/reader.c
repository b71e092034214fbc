/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Values of a tree into parameter tables. People write `delay: 100`, a list where one value goes,
 * nothing at all: each gets its own sentence with what is allowed.
 */
#include "injector/experiment/reader.h"

#include "faults/target.h"
#include "injector/base/cleanup.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void name_list_add(struct name_list *list, const char *name)
{
	if (list->count < NAME_LIST_MAX)
		list->names[list->count++] = name;
}

void name_list_add_table(struct name_list *list, const struct param *table)
{
	for (; table && table->name; table++)
		name_list_add(list, table->name);
}

void reader_problem(struct reader *reader, const struct tree_node *at, const char *format, ...)
{
	char text[sizeof(((struct yaml_problem *)0)->text)];
	va_list args;

	if (at->kind == TREE_BROKEN)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	problems_add(reader->problems, at->line, at->column, "%s", text);
}

bool reader_is(struct reader *reader, const struct tree_node *node, enum tree_kind kind,
	       const char *what, const char *like)
{
	static const char *const names[] = {
		[TREE_SCALAR] = "a single value",
		[TREE_LIST] = "a list",
		[TREE_MAPPING] = "a mapping",
		[TREE_BROKEN] = "",
	};

	if (node->kind == kind && !(kind == TREE_SCALAR && node->is_null)) {
		if (kind == TREE_SCALAR || node->count)
			return true;
		reader_problem(reader, node, "%s is empty; write it like %s", what, like);
		return false;
	}
	if (node->kind == TREE_SCALAR && node->is_null)
		reader_problem(reader, node, "%s has no value; it must be %s like %s", what,
			       names[kind], like);
	else
		reader_problem(reader, node, "%s must be %s like %s, not %s", what, names[kind],
			       like, tree_kind_name(node));
	return false;
}

bool reader_is_secret(struct reader *reader, const struct tree_node *node, const char *name,
		      bool is_allowed)
{
	if (!node->is_secret || is_allowed)
		return false;
	reader_problem(reader, node,
		       "a secret cannot be used in '%s', which is shown in plans, results and "
		       "process lists; it can be used in 'header' of a probe and in 'webhook'",
		       name);
	return true;
}

static void add_one(struct reader *reader, struct params *params, unsigned index,
		    const struct tree_node *node)
{
	const struct param *param = &params->table[index];
	struct error err = ERROR_INIT;
	char allowed[256];

	if (node->kind == TREE_BROKEN)
		return;
	param_describe(param, allowed, sizeof(allowed));
	if (reader_is_secret(reader, node, param->name, (param->flags & PARAM_SECRET) != 0))
		return;
	if (node->kind == TREE_SCALAR && node->is_null)
		reader_problem(reader, node, "'%s' has no value; it must be: %s", param->name,
			       allowed);
	else if (node->kind == TREE_MAPPING)
		reader_problem(reader, node, "'%s' must be: %s; this is a mapping", param->name,
			       allowed);
	else if (node->kind == TREE_LIST && param->flags & PARAM_LIST)
		reader_problem(reader, node, "'%s' must be: %s; this is a list in a list",
			       param->name, allowed);
	else if (node->kind == TREE_LIST)
		reader_problem(reader, node, "'%s' takes one value, not a list: %s%s", param->name,
			       allowed,
			       params->table == traffic_params
				       ? " (several: a target and a step for each)"
				       : "");
	else if (params_add(params, index, node->text, node->line, node->column, &err) == -ENOMEM)
		reader->problems->is_out_of_memory = true;
	else if (err.code)
		reader_problem(reader, node, "%s%s%s", err.text, err.remedy[0] ? "; remedy: " : "",
			       err.remedy);
}

/* A block of text (`content: |`) is the list of its lines. */
static void add_lines(struct reader *reader, struct params *params, unsigned index,
		      const struct tree_node *block)
{
	struct tree_node line = *block;

	for (const char *at = block->text, *end; *at; at = *end ? end + 1 : end) {
		cleanup_free char *text = NULL;

		end = strchrnul(at, '\n');
		text = strndup(at, (size_t)(end - at));
		if (!text)
			reader->problems->is_out_of_memory = true;
		if (!text || reader->problems->is_full)
			return;
		line.text = text;
		line.line++; /* the block begins below its key */
		add_one(reader, params, index, &line);
	}
}

void reader_take_as(struct reader *reader, struct params *params, unsigned index,
		    const struct tree_node *entry)
{
	if (entry->kind == TREE_SCALAR && params->table[index].type == PARAM_LINE &&
	    params->table[index].flags & PARAM_LIST && strchr(entry->text, '\n')) {
		add_lines(reader, params, index, entry);
		return;
	}
	if (entry->kind != TREE_LIST || !(params->table[index].flags & PARAM_LIST)) {
		add_one(reader, params, index, entry);
		return;
	}
	if (!entry->count)
		reader_problem(reader, entry, "'%s' is an empty list", params->table[index].name);
	for (const struct tree_node *at = entry->first; at; at = at->next) {
		if (reader->problems->is_full || reader->problems->is_out_of_memory)
			return;
		add_one(reader, params, index, at);
	}
}

bool reader_take(struct reader *reader, struct params *params, const struct tree_node *entry)
{
	int index = params->table ? params_find(params->table, entry->key->text) : -1;

	if (index < 0)
		return false;
	reader_take_as(reader, params, (unsigned)index, entry);
	return true;
}

/* "a, b, c" as far as it fits, then "...". */
static void join(const char *const *names, char *out, size_t size)
{
	size_t used = 0;

	out[0] = '\0';
	for (; *names; names++) {
		if (used + strlen(*names) + 6 > size) {
			snprintf(out + used, size - used, "...");
			return;
		}
		used += (size_t)snprintf(out + used, size - used, "%s%s", *names,
					 names[1] ? ", " : "");
	}
}

/* `delay:100ms` is one word to YAML. */
static const char *find_glued(const struct name_list *allowed, const char *key)
{
	const char *colon = strchr(key, ':');

	for (unsigned i = 0; colon && i < allowed->count; i++)
		if (strlen(allowed->names[i]) == (size_t)(colon - key) &&
		    strncmp(allowed->names[i], key, (size_t)(colon - key)) == 0)
			return allowed->names[i];
	return NULL;
}

void reader_unknown_key(struct reader *reader, const struct tree_node *entry, const char *where,
			const struct name_list *allowed, const char *more)
{
	const struct tree_node *key = entry->key;
	const char *glued = find_glued(allowed, key->text);
	const char *nearest = names_nearest(allowed->names, key->text);
	char list[300];

	join(allowed->names, list, sizeof(list));
	if (glued)
		reader_problem(reader, key, "'%.60s' needs a space after '%s:'", key->text, glued);
	else if (more)
		reader_problem(reader, key, "unknown key '%.60s' in %s; %s", key->text, where,
			       more);
	else if (nearest)
		reader_problem(reader, key,
			       "unknown key '%.60s' in %s; did you mean '%s'? (allowed: %s)",
			       key->text, where, nearest, list);
	else
		reader_problem(reader, key, "unknown key '%.60s' in %s; allowed: %s", key->text,
			       where, list);
}

bool reader_has_misspelt(const struct tree_node *mapping, const char *name)
{
	const char *const names[] = {name, NULL};

	for (const struct tree_node *entry = mapping->first; entry; entry = entry->next)
		if (names_nearest(names, entry->key->text))
			return true;
	return false;
}

void reader_check_required(struct reader *reader, const struct params *params,
			   const struct tree_node *mapping, const char *where)
{
	char allowed[256];

	if (tree_find(mapping, "<<"))
		return; /* it may be among what was to be merged */
	for (unsigned i = 0; i < params->count; i++) {
		const struct param *param = &params->table[i];

		/* there but wrong, or misspelt: that was said already */
		if (!(param->flags & PARAM_REQUIRED) || param->type == PARAM_TARGET ||
		    params_is_set(params, i) || reader_has_misspelt(mapping, param->name))
			continue;
		param_describe(param, allowed, sizeof(allowed));
		reader_problem(reader, mapping, "'%s' is missing in %s: %s (%s)", param->name,
			       where, param->doc, allowed);
	}
}

bool reader_init(struct reader *reader, struct params *out, const struct param *table)
{
	static const struct param nothing[] = {{0}};

	if (params_init(out, table ? table : nothing, NULL) == 0)
		return true;
	reader->problems->is_out_of_memory = true;
	return false;
}

bool reader_table(struct reader *reader, const struct tree_node *node, const char *what,
		  const char *like, const struct param *table, struct params *out)
{
	struct name_list allowed = {0};

	*out = (struct params){0};
	if (!reader_is(reader, node, TREE_MAPPING, what, like) || !reader_init(reader, out, table))
		return false;
	name_list_add_table(&allowed, table);
	for (const struct tree_node *entry = node->first; entry; entry = entry->next)
		if (entry->kind != TREE_BROKEN && !reader_take(reader, out, entry))
			reader_unknown_key(reader, entry, what, &allowed, NULL);
	reader_check_required(reader, out, node, what);
	return true;
}

bool reader_check_name(struct reader *reader, const struct tree_node *entry, const char *what)
{
	const char *name = entry->key->text;
	size_t length = strlen(name);

	/* no ':' or '/': names stand in "target:NAME" and become parts of file names */
	if (length >= 1 && length <= 63 &&
	    strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") ==
		    length)
		return true;
	reader_problem(reader, entry->key,
		       "'%.64s' cannot be the name of a %s: 1 to 63 letters, digits and _-. are "
		       "allowed",
		       name, what);
	return false;
}

void *reader_grow(struct reader *reader, void *array, unsigned count, size_t size)
{
	void *grown = array;

	if ((count & (count - 1)) == 0) /* 0, 1, 2, 4, ...: full */
		grown = realloc(array, (count ? count * 2 : 1) * size);
	if (!grown)
		reader->problems->is_out_of_memory = true;
	return grown;
}

char *reader_copy(struct reader *reader, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		reader->problems->is_out_of_memory = true;
	return copy;
}

static void report_unknown_name(struct reader *reader, const char *what, const char *name,
				const char **known, int line, int column)
{
	const char *nearest = names_nearest(known, name);
	char list[300];

	join(known, list, sizeof(list));
	if (nearest)
		problems_add(reader->problems, line, column,
			     "there is no %s '%.60s'; did you mean '%s'?", what, name, nearest);
	else if (known[0])
		problems_add(reader->problems, line, column,
			     "there is no %s '%.60s'; there are: %s", what, name, list);
	else
		problems_add(reader->problems, line, column,
			     "there is no %s '%.60s': the file defines none under '%ss'", what,
			     name, what);
}

int reader_find_probe(struct reader *reader, const char *name, int line, int column)
{
	const struct experiment *experiment = reader->experiment;
	const char *known[EXPERIMENT_MAX_PROBES + 1] = {0};

	for (unsigned i = 0; i < experiment->probe_count; i++) {
		known[i] = experiment->probes[i].name;
		if (strcmp(known[i], name) == 0)
			return (int)i;
	}
	if (!reader->has_no_probes)
		report_unknown_name(reader, "probe", name, known, line, column);
	return -1;
}

int reader_find_target(struct reader *reader, const char *name, int line, int column)
{
	const struct experiment *experiment = reader->experiment;
	const char *known[EXPERIMENT_MAX_TARGETS + 1] = {0};
	unsigned count = 0;

	for (unsigned i = 0; i < experiment->target_count; i++) {
		if (strcmp(experiment->targets[i].name, name) == 0 && *name)
			return (int)i;
		if (*experiment->targets[i].name) /* "": written inside a step */
			known[count++] = experiment->targets[i].name;
	}
	if (!reader->has_no_targets)
		report_unknown_name(reader, "target", name, known, line, column);
	return -1;
}

const char *reader_where(const struct reader *reader, int line, char *out, size_t size)
{
	unsigned file = TREE_FILE(line);

	snprintf(out, size, "%.200s:%d",
		 file && reader->inputs ? reader->inputs->files[file].path
					: reader->experiment->path,
		 TREE_LINE(line));
	return out;
}

bool reader_defined_twice(struct reader *reader, const struct tree_node *entry, const char *what,
			  int line)
{
	char where[256];

	reader_problem(reader, entry->key, "%s '%.63s' is defined in %s, too", what,
		       entry->key->text, reader_where(reader, line, where, sizeof(where)));
	return false;
}
