/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * variables: {NAME: value, or a list, or {from-env: NAME} or {from-file: PATH, secret: true}}. A
 * value that is ${NAME} alone becomes what the variable is, a list as well; within a longer text it
 * is put in as text. A secret goes only where nothing is ever shown.
 */
#include "injector/experiment/include.h"

#include "injector/base/cleanup.h"
#include "injector/experiment/format.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_VARIABLES 256
#define MAX_EXPANDED  65536 /* bytes of one value */

struct variable {
	const char *name;
	const struct tree_node *node; /* its value: TREE_SCALAR or TREE_LIST; NULL: is broken */
	bool is_secret;
	const char *origin;
};

struct replacing {
	struct reader *reader;
	struct experiment_inputs *inputs;
	const char *main_path;
	struct tree *tree; /* owns what is made */
	struct variable variables[MAX_VARIABLES];
	unsigned count;
};

static struct variable *find_variable(struct replacing *replacing, const char *name, size_t length)
{
	for (unsigned i = 0; i < replacing->count; i++)
		if (strlen(replacing->variables[i].name) == length &&
		    strncmp(replacing->variables[i].name, name, length) == 0)
			return &replacing->variables[i];
	return NULL;
}

static struct tree_node *new_scalar(struct replacing *replacing, const struct tree_node *at,
				    const char *text, size_t length)
{
	struct problem_list *problems = replacing->reader->problems;
	struct tree_node *node = tree_allocate(replacing->tree, problems, sizeof(*node));
	char *copy = tree_allocate(replacing->tree, problems, length + 1);

	if (!node || !copy)
		return NULL;
	memcpy(copy, text, length);
	*node = (struct tree_node){
		.kind = TREE_SCALAR, .line = at->line, .column = at->column, .text = copy};
	return node;
}

static void read_environment(struct replacing *replacing, struct variable *variable,
			     const struct params *values, const struct tree_node *at)
{
	const struct param_value *name = params_value(values, VARIABLE_FROM_ENV, 0);
	const char *text = getenv(name->text);

	variable->origin = "environment";
	if (!text)
		text = params_text(values, VARIABLE_DEFAULT);
	if (text)
		variable->node = new_scalar(replacing, at, text, strlen(text));
	else
		problems_add(replacing->reader->problems, name->line, name->column,
			     "the environment has no %.60s, and there is no 'default' (sudo keeps "
			     "only what it is told to: sudo --preserve-env=%.60s)",
			     name->text, name->text);
}

static void read_value_file(struct replacing *replacing, struct variable *variable,
			    const struct params *values, const struct tree_node *at)
{
	struct experiment_inputs *inputs = replacing->inputs;
	const struct param_value *name = params_value(values, VARIABLE_FROM_FILE, 0);
	unsigned file = TREE_FILE(name->line);
	cleanup_free char *path =
		include_path(file ? inputs->files[file].path : replacing->main_path, name->text);
	cleanup_free char *text = NULL;
	struct error err = ERROR_INIT;
	size_t length = 0;

	variable->origin = "file";
	if (!path) {
		replacing->reader->problems->is_out_of_memory = true;
		return;
	}
	if (!inputs || !inputs->read) {
		problems_add(replacing->reader->problems, name->line, name->column,
			     "no file can be read here");
		return;
	}
	if (inputs->read(inputs->context, path, INPUTS_SECRET_MAX, &text, &length, &err) < 0) {
		problems_add(replacing->reader->problems, name->line, name->column,
			     "from-file: %s%s%s", err.text, err.remedy[0] ? "; remedy: " : "",
			     err.remedy);
		return;
	}
	while (length && (text[length - 1] == '\n' || text[length - 1] == '\r'))
		length--;
	for (size_t i = 0; i < length; i++)
		if (iscntrl((unsigned char)text[i])) {
			problems_add(replacing->reader->problems, name->line, name->column,
				     "from-file: %.200s must hold one line without control "
				     "characters",
				     path);
			explicit_bzero(text, length);
			return;
		}
	variable->node = new_scalar(replacing, at, text, length);
	explicit_bzero(text, length);
}

/* On the command line. */
static bool is_set(const struct replacing *replacing, const char *name)
{
	const struct experiment_inputs *inputs = replacing->inputs;

	for (unsigned i = 0; inputs && i < inputs->setting_count; i++)
		if (strncmp(inputs->settings[i], name, strlen(name)) == 0 &&
		    inputs->settings[i][strlen(name)] == '=')
			return true;
	return false;
}

static void read_reference(struct replacing *replacing, struct variable *variable,
			   const struct tree_node *entry)
{
	struct reader *reader = replacing->reader;
	bool has_env, has_file;
	struct params values;

	if (reader_table(reader, entry, "a variable", "{from-env: NAME}", format_variable,
			 &values)) {
		has_env = params_is_set(&values, VARIABLE_FROM_ENV);
		has_file = params_is_set(&values, VARIABLE_FROM_FILE);
		variable->is_secret = params_number(&values, VARIABLE_SECRET, 0) != 0;
		if (has_env && has_file)
			reader_problem(reader, entry,
				       "a variable comes from 'from-env' or 'from-file', not from "
				       "both");
		else if (variable->is_secret && !has_file)
			reader_problem(reader, entry,
				       "a secret comes from a file ('from-file: PATH'): others can "
				       "see what stands in an experiment, on a command line or in "
				       "an environment");
		else if (has_file && params_is_set(&values, VARIABLE_DEFAULT))
			reader_problem(reader, entry, "'default' goes with 'from-env'");
		else if (!variable->is_secret && (has_file || has_env) &&
			 is_set(replacing, variable->name))
			; /* its value comes below, and this one may not even be there */
		else if (has_file)
			read_value_file(replacing, variable, &values, entry);
		else if (has_env)
			read_environment(replacing, variable, &values, entry);
		else if (params_is_set(&values, VARIABLE_DEFAULT) ||
			 params_is_set(&values, VARIABLE_SECRET))
			reader_problem(reader, entry,
				       "say where the variable comes from: {from-env: NAME} or "
				       "{from-file: PATH}");
	}
	params_free(&values);
}

/* A list may hold plain values only. */
static bool is_plain(struct reader *reader, const struct tree_node *list)
{
	if (!list->count)
		reader_problem(reader, list, "the list is empty");
	for (const struct tree_node *at = list->first; at; at = at->next)
		if (!reader_is(reader, at, TREE_SCALAR, "a value in the list of a variable",
			       "10.0.0.1"))
			return false;
	return list->count > 0;
}

static void read_variable(struct replacing *replacing, const struct tree_node *entry)
{
	struct reader *reader = replacing->reader;
	struct variable *variable =
		find_variable(replacing, entry->key->text, strlen(entry->key->text));

	/* an included file came later: who includes it has the last word */
	if (variable || !reader_check_name(reader, entry, "variable"))
		return;
	if (replacing->count == MAX_VARIABLES) {
		reader_problem(reader, entry->key, "more than %d variables", MAX_VARIABLES);
		return;
	}
	variable = &replacing->variables[replacing->count++];
	*variable = (struct variable){.name = entry->key->text, .origin = "file of the experiment"};
	if (entry->kind == TREE_MAPPING)
		read_reference(replacing, variable, entry);
	else if (entry->kind == TREE_LIST ? is_plain(reader, entry)
					  : reader_is(reader, entry, TREE_SCALAR, "a variable",
						      "8080 or {from-env: NAME}"))
		variable->node = entry;
}

/* "a,b" for a variable that is a list. */
static const struct tree_node *new_list(struct replacing *replacing, const struct tree_node *at,
					const char *text)
{
	struct tree_node *list =
		tree_allocate(replacing->tree, replacing->reader->problems, sizeof(*list));

	if (!list)
		return NULL;
	*list = (struct tree_node){.kind = TREE_LIST, .line = at->line, .column = at->column};
	for (;; text++) {
		size_t length = strcspn(text, ",");
		struct tree_node *value = new_scalar(replacing, at, text, length);

		if (!value)
			return NULL;
		tree_append(list, value);
		text += length;
		if (!*text)
			return list;
	}
}

static void take_setting(struct replacing *replacing, const char *setting)
{
	struct problem_list *problems = replacing->reader->problems;
	size_t length = strcspn(setting, "=");
	struct variable *variable = find_variable(replacing, setting, length);
	const char *names[MAX_VARIABLES + 1] = {0}, *nearest, *value = setting + length;
	static const struct tree_node nowhere = {.kind = TREE_SCALAR};
	char name[64];

	snprintf(name, sizeof(name), "%.*s", (int)length, setting);
	if (*value++ != '=') {
		problems_add(problems, 0, 0, "--set %.60s: write it like --set name=value", name);
		return;
	}
	if (!variable) {
		for (unsigned i = 0; i < replacing->count; i++)
			names[i] = replacing->variables[i].name;
		nearest = names_nearest(names, name);
		problems_add(problems, 0, 0,
			     "--set %s: the experiment has no variable of that name%s%s%s", name,
			     nearest ? "; did you mean '" : "", nearest ? nearest : "",
			     nearest ? "'?" : "");
		return;
	}
	if (variable->is_secret) {
		problems_add(problems, 0, 0,
			     "--set %s: it is a secret, and everybody can see command lines; it "
			     "comes from its file",
			     name);
		return;
	}
	for (const char *at = value; *at; at++)
		if (iscntrl((unsigned char)*at)) {
			problems_add(problems, 0, 0, "--set %s: a control character", name);
			return;
		}
	variable->origin = "setting";
	variable->node = variable->node && variable->node->kind == TREE_LIST
				 ? new_list(replacing, variable->node, value)
				 : new_scalar(replacing, variable->node ? variable->node : &nowhere,
					      value, strlen(value));
}

static void unknown_variable(struct replacing *replacing, const struct tree_node *at,
			     const char *name, size_t length)
{
	const char *names[MAX_VARIABLES + 1] = {0}, *nearest;
	char text[64];

	snprintf(text, sizeof(text), "%.*s", (int)length, name);
	for (unsigned i = 0; i < replacing->count; i++)
		names[i] = replacing->variables[i].name;
	nearest = names_nearest(names, text);
	if (nearest)
		reader_problem(replacing->reader, at,
			       "there is no variable '%s'; did you mean '%s'?", text, nearest);
	else
		reader_problem(replacing->reader, at,
			       "there is no variable '%s'; if ${%s} itself is meant, write $${%s}",
			       text, text, text);
}

/* ${x} alone. True: done, or reported. */
static bool replace_whole(struct replacing *replacing, struct tree_node *node)
{
	size_t length = strlen(node->text);
	const struct variable *variable;

	if (length < 4 || strncmp(node->text, "${", 2) != 0 ||
	    strchr(node->text, '}') != node->text + length - 1)
		return false;
	variable = find_variable(replacing, node->text + 2, length - 3);
	if (!variable)
		return false; /* told below */
	if (!variable->node) {
		node->kind = TREE_BROKEN; /* it was said why */
		return true;
	}
	if (variable->node->kind == TREE_LIST) {
		node->kind = TREE_LIST;
		for (const struct tree_node *at = variable->node->first; at; at = at->next) {
			struct tree_node *copy =
				new_scalar(replacing, node, at->text, strlen(at->text));

			if (copy)
				tree_append(node, copy);
		}
		return true;
	}
	node->text = variable->node->text;
	node->is_null = variable->node->is_null;
	node->is_secret = variable->is_secret;
	return true;
}

/* Puts one ${name} at the end of `out`. False: reported. */
static bool put_value(struct replacing *replacing, struct tree_node *node, const char *name,
		      size_t length, FILE *out)
{
	const struct variable *variable = find_variable(replacing, name, length);

	if (!variable) {
		unknown_variable(replacing, node, name, length);
		return false;
	}
	if (!variable->node)
		return false;
	if (variable->node->kind == TREE_LIST) {
		reader_problem(replacing->reader, node,
			       "the variable '%s' is a list, which cannot be part of a text",
			       variable->name);
		return false;
	}
	fputs(variable->node->text, out);
	node->is_secret |= variable->is_secret;
	return true;
}

static bool expand(struct replacing *replacing, struct tree_node *node, FILE *out)
{
	const char *at = node->text;

	while (*at) {
		const char *end;

		if (strncmp(at, "$${", 3) == 0) {
			fputs("${", out);
			at += 3;
		} else if (strncmp(at, "${", 2) != 0) {
			fputc(*at++, out);
		} else {
			end = strchr(at, '}');
			if (!end) {
				reader_problem(replacing->reader, node,
					       "'${' has no '}'; if ${ itself is meant, write $${");
				return false;
			}
			if (!put_value(replacing, node, at + 2, (size_t)(end - at) - 2, out))
				return false;
			at = end + 1;
		}
		if (ftell(out) > MAX_EXPANDED) {
			reader_problem(replacing->reader, node, "the value becomes too long");
			return false;
		}
	}
	return true;
}

static void replace_scalar(struct replacing *replacing, struct tree_node *node)
{
	cleanup_free char *text = NULL;
	struct tree_node *made;
	size_t size = 0;
	FILE *out;
	bool done;

	if (!strstr(node->text, "${") || replace_whole(replacing, node))
		return;
	out = open_memstream(&text, &size);
	if (!out) {
		replacing->reader->problems->is_out_of_memory = true;
		return;
	}
	done = expand(replacing, node, out);
	if (fclose(out) != 0) {
		replacing->reader->problems->is_out_of_memory = true;
		return;
	}
	made = done ? new_scalar(replacing, node, text, size) : NULL;
	if (text && node->is_secret)
		explicit_bzero(text, size);
	if (made)
		node->text = made->text;
	else
		node->kind = TREE_BROKEN;
}

static void replace_below(struct replacing *replacing, struct tree_node *node)
{
	if (node->kind == TREE_SCALAR)
		replace_scalar(replacing, node);
	else if (node->kind == TREE_LIST || node->kind == TREE_MAPPING)
		for (struct tree_node *at = node->first; at; at = at->next)
			replace_below(replacing, at);
}

/* For the stored result: names and values, of secrets the name alone. */
static void keep_variables(struct replacing *replacing)
{
	struct experiment *experiment = replacing->reader->experiment;

	for (unsigned i = 0; i < replacing->count; i++) {
		const struct variable *variable = &replacing->variables[i];
		struct experiment_variable *grown = reader_grow(
						   replacing->reader, experiment->variables,
						   experiment->variable_count, sizeof(*grown)),
					   *out;
		cleanup_free char *text = NULL;

		if (!grown)
			return;
		experiment->variables = grown;
		out = &grown[experiment->variable_count];
		*out = (struct experiment_variable){.is_secret = variable->is_secret,
						    .origin = variable->origin};
		out->name = reader_copy(replacing->reader, variable->name);
		if (!out->name)
			return;
		experiment->variable_count++;
		if (variable->is_secret || !variable->node)
			continue;
		if (variable->node->kind == TREE_SCALAR) {
			out->value = reader_copy(replacing->reader, variable->node->text);
			continue;
		}
		for (const struct tree_node *at = variable->node->first; at; at = at->next) {
			char *longer = NULL;

			if (asprintf(&longer, "%s%s%s", text ? text : "", text ? "," : "",
				     at->text) < 0) {
				replacing->reader->problems->is_out_of_memory = true;
				return;
			}
			free(text);
			text = longer;
		}
		out->value = steal_pointer(&text);
	}
}

void variables_replace(struct reader *reader, const char *path, struct experiment_inputs *inputs,
		       struct include_set *set)
{
	struct replacing replacing = {
		.reader = reader, .inputs = inputs, .main_path = path, .tree = &set->trees[0]};

	for (unsigned i = 0; i < set->count; i++) {
		const struct tree_node *root = set->trees[i].root, *section;

		section = root && root->kind == TREE_MAPPING ? tree_find(root, "variables") : NULL;
		if (!section || !reader_is(reader, section, TREE_MAPPING, "'variables'",
					   "{host: 10.0.0.1, token: {from-file: token}}"))
			continue;
		for (const struct tree_node *at = section->first; at; at = at->next)
			if (at->kind != TREE_BROKEN)
				read_variable(&replacing, at);
	}
	for (unsigned i = 0; inputs && i < inputs->setting_count; i++)
		take_setting(&replacing, inputs->settings[i]);
	for (unsigned i = 0; i < set->count; i++) {
		struct tree_node *root = set->trees[i].root;

		if (!root || root->kind != TREE_MAPPING)
			continue;
		for (struct tree_node *at = root->first; at; at = at->next)
			if (strcmp(at->key->text, "variables") != 0 &&
			    strcmp(at->key->text, "include") != 0)
				replace_below(&replacing, at);
	}
	keep_variables(&replacing);
}
