/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tree -> experiment: the top level, and what ties its parts together. The parts themselves are
 * read in yaml_probes.c, yaml_method.c and yaml_conditions.c; nothing here touches the machine.
 */
#include "injector/experiment/yaml.h"

#include "injector/base/cleanup.h"
#include "injector/base/quantity.h"
#include "injector/experiment/format.h"
#include "injector/experiment/include.h"
#include "injector/experiment/load.h"
#include "injector/experiment/reader.h"
#include "injector/experiment/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void read_window(struct reader *reader, const struct param_value *window)
{
	struct experiment *experiment = reader->experiment;
	struct error err = ERROR_INIT;

	if (!window)
		return;
	if (calendar_parse_window(window->text, &experiment->limits.window, &err) < 0)
		problems_add(reader->problems, window->line, window->column, "window: %s%s%s",
			     err.text, err.remedy[0] ? "; remedy: " : "", err.remedy);
	experiment->limits.window_text = reader_copy(reader, window->text);
}

static void read_limits(struct reader *reader, const struct tree_node *node)
{
	struct params values;

	if (reader_table(reader, node, "'limits'", format_sections[SECTION_LIMITS].like,
			 format_limits, &values)) {
		reader->experiment->limits.duration_ns = params_number(&values, LIMITS_DURATION, 0);
		reader->experiment->limits.targets =
			(unsigned)params_number(&values, LIMITS_TARGETS, 0);
		read_window(reader, params_value(&values, LIMITS_WINDOW, 0));
	}
	params_free(&values);
}

static void read_source(struct reader *reader, const struct param_value *source)
{
	if (strncmp(source->text, "https://", 8) != 0 && strncmp(source->text, "http://", 7) != 0)
		problems_add(
			reader->problems, source->line, source->column,
			"source: '%.60s' is no address; write it like https://example.org/report",
			source->text);
	reader->experiment->source = reader_copy(reader, source->text);
}

static void read_root_values(struct reader *reader, const struct params *values)
{
	struct experiment *experiment = reader->experiment;

	if (params_is_set(values, ROOT_TITLE))
		experiment->title = reader_copy(reader, params_text(values, ROOT_TITLE));
	if (params_is_set(values, ROOT_HYPOTHESIS))
		experiment->hypothesis = reader_copy(reader, params_text(values, ROOT_HYPOTHESIS));
	if (params_is_set(values, ROOT_SOURCE))
		read_source(reader, params_value(values, ROOT_SOURCE, 0));
	experiment->has_seed = params_is_set(values, ROOT_SEED);
	experiment->seed = params_number(values, ROOT_SEED, 0);
	experiment->time_scale = params_number(values, ROOT_TIME_SCALE, 1);
	experiment->allow_idle = params_number(values, ROOT_ALLOW_IDLE, 0) != 0;
}

static int find_section(const char *name)
{
	for (int i = 0; format_sections[i].name; i++)
		if (strcmp(format_sections[i].name, name) == 0)
			return i;
	return -1;
}

static void read_root_keys(struct reader *reader, const struct tree_node *root,
			   const struct tree_node *sections[SECTION_COUNT])
{
	struct name_list allowed = {0};
	struct params values;

	if (!reader_init(reader, &values, format_root))
		return;
	name_list_add_table(&allowed, format_root);
	for (unsigned i = 0; i < SECTION_COUNT; i++)
		name_list_add(&allowed, format_sections[i].name);
	for (const struct tree_node *entry = root->first; entry; entry = entry->next) {
		int section = find_section(entry->key->text);

		if (section >= 0 && !sections[section])
			sections[section] = entry;
		else if (entry->kind != TREE_BROKEN && !reader_take(reader, &values, entry))
			reader_unknown_key(reader, entry, "an experiment", &allowed, NULL);
		if (reader->problems->is_full)
			break;
	}
	reader_check_required(reader, &values, root, "the experiment");
	read_root_values(reader, &values);
	params_free(&values);
}

/* A run that must hit its own deadline is a slip of the pen. */
static void check_duration(struct reader *reader, const struct tree_node *limits)
{
	const struct experiment *experiment = reader->experiment;
	int64_t method = experiment_method_ns(experiment);
	int64_t needed = experiment->steady_state.for_ns + method + experiment->recovery.for_ns;
	const struct tree_node *duration;
	char parts[3][QUANTITY_TEXT_SIZE], sum[QUANTITY_TEXT_SIZE];

	if (!limits || limits->kind != TREE_MAPPING || !experiment->limits.duration_ns ||
	    method > experiment->limits.duration_ns || needed <= experiment->limits.duration_ns)
		return;
	duration = tree_find(limits, "duration");
	reader_problem(reader, duration ? duration : limits,
		       "duration: the run takes at least %s (steady-state %s, method %s, hold of "
		       "the recovery %s) and would be stopped before its end",
		       quantity_format_duration(needed, sum),
		       quantity_format_duration(experiment->steady_state.for_ns, parts[0]),
		       quantity_format_duration(method, parts[1]),
		       quantity_format_duration(experiment->recovery.for_ns, parts[2]));
}

/* Of a format that is not known nothing else can be said. */
static bool is_other_version(struct reader *reader, const struct tree_node *root)
{
	const struct tree_node *version = tree_find(root, "version");

	if (!version || version->kind != TREE_SCALAR || !*version->text ||
	    version->text[strspn(version->text, "0123456789")] || atoi(version->text) == 1)
		return false;
	reader_problem(reader, version,
		       "version %.20s of the format is not known; this is squall %s, which reads "
		       "version 1",
		       version->text, SQUALL_VERSION);
	return true;
}

/* Shared targets and probes of included files; those of the main file come last. */
static void read_included(struct reader *reader, const struct include_set *set, const char *name,
			  void (*read)(struct reader *, const struct tree_node *))
{
	for (unsigned i = set->count; i-- > 1;) {
		const struct tree_node *root = set->trees[i].root;
		const struct tree_node *section =
			root && root->kind == TREE_MAPPING ? tree_find(root, name) : NULL;

		if (section && section->kind != TREE_BROKEN)
			read(reader, section);
	}
}

static void read_root(struct reader *reader, const struct include_set *set)
{
	const struct tree_node *root = set->trees[0].root;
	/* the order in which names must be known, not that of the file */
	static void (*const readers[SECTION_COUNT])(struct reader *, const struct tree_node *) = {
		[SECTION_LIMITS] = read_limits,
		[SECTION_TARGETS] = reader_targets,
		[SECTION_PROBES] = reader_probes,
		[SECTION_STEADY_STATE] = reader_steady_state,
		[SECTION_ABORT_WHEN] = reader_aborts,
		[SECTION_METHOD] = reader_method,
		[SECTION_RECOVERY] = reader_recovery,
		[SECTION_REQUIRE_BEFORE] = reader_require_before,
		[SECTION_EXPECT] = reader_expect,
		[SECTION_NOTIFY] = reader_notify,
	};
	const struct tree_node *sections[SECTION_COUNT] = {0};

	if (!reader_is(reader, root, TREE_MAPPING, "an experiment",
		       "version: 1, title: ..., limits: ..., method: ...") ||
	    is_other_version(reader, root))
		return;
	read_root_keys(reader, root, sections);
	for (unsigned i = 0; i < SECTION_COUNT; i++) {
		if (i == SECTION_TARGETS || i == SECTION_PROBES)
			read_included(reader, set, format_sections[i].name, readers[i]);
		if (sections[i] && readers[i])
			readers[i](reader, sections[i]);
	}
	if (!reader_has_misspelt(root, "limits"))
		reader_problem(reader, root,
			       "'limits' is missing: an experiment needs an end and a bound on its "
			       "reach, like limits: %s",
			       format_sections[SECTION_LIMITS].like);
	if (!reader_has_misspelt(root, "method"))
		reader_problem(reader, root, "'method' is missing: %s, like method: %s",
			       format_sections[SECTION_METHOD].doc,
			       format_sections[SECTION_METHOD].like);
	reader_check_targets(reader);
	check_duration(reader, sections[SECTION_LIMITS]);
}

/* A replay may stand elsewhere. */
static char *absolute(const char *path)
{
	cleanup_free char *here = NULL;
	char *whole = NULL;

	if (path[0] == '/' || strcmp(path, EXPERIMENT_STDIN_NAME) == 0)
		return strdup(path);
	here = getcwd(NULL, 0);
	if (!here)
		return strdup(path);
	return asprintf(&whole, "%s/%s", here, path) < 0 ? NULL : whole;
}

/* For the stored result, so that the same can be run again. */
static void keep_source(struct reader *reader, const char *path, const char *text, size_t length)
{
	struct experiment *experiment = reader->experiment;
	struct experiment_source *grown =
		reader_grow(reader, experiment->sources, experiment->source_count, sizeof(*grown));

	if (!grown)
		return;
	experiment->sources = grown;
	grown += experiment->source_count++;
	*grown = (struct experiment_source){.path = absolute(path), .text = strndup(text, length)};
	if (!grown->text || !grown->path)
		reader->problems->is_out_of_memory = true;
}

static struct experiment *parse(const char *text, size_t length, const char *path,
				struct experiment_inputs *inputs, struct problem_list *problems)
{
	struct experiment *experiment = calloc(1, sizeof(*experiment));
	struct reader reader = {.problems = problems, .experiment = experiment, .inputs = inputs};
	struct include_set set = {0};
	size_t mark = length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;

	if (!experiment || !(experiment->path = strdup(path))) {
		problems->is_out_of_memory = true;
		return experiment;
	}
	if (text_check(text, length, problems))
		tree_parse(text + mark, length - mark, problems, &set.trees[0]);
	if (set.trees[0].root) {
		include_read(&reader, path, inputs, &set);
		variables_replace(&reader, path, inputs, &set);
	}
	if (set.trees[0].root && !problems->is_out_of_memory)
		read_root(&reader, &set);
	keep_source(&reader, path, text, length);
	for (unsigned i = 1; i < set.count; i++)
		keep_source(&reader, inputs->files[i].path, inputs->files[i].text,
			    inputs->files[i].length);
	include_free(&set);
	return experiment;
}

int yaml_parse_experiment(const char *text, size_t length, const char *path,
			  struct experiment **out, struct yaml_problems *problems,
			  struct error *err)
{
	return yaml_parse_with(text, length, path, NULL, out, problems, err);
}

int yaml_parse_with(const char *text, size_t length, const char *path,
		    struct experiment_inputs *inputs, struct experiment **out,
		    struct yaml_problems *problems, struct error *err)
{
	struct problem_list list = {0};
	struct experiment *experiment = parse(text, length, path, inputs, &list);
	const struct yaml_problem *first;
	int result;

	problems_finish(&list);
	list.found.files = inputs ? inputs->files : NULL;
	if (!list.is_out_of_memory && !list.found.count) {
		*out = experiment;
		*problems = list.found;
		return 0;
	}
	experiment_free(experiment);
	free(experiment);
	if (list.is_out_of_memory) {
		yaml_problems_free(&list.found);
		*problems = list.found;
		return error_errno(err, ENOMEM, "cannot read %s", path);
	}
	first = &list.found.list[0];
	if (first->file && inputs)
		path = inputs->files[first->file].path;
	result = first->line ? error_set(err, EINVAL, "%s:%d:%d: %s", path, first->line,
					 first->column, first->text)
			     : error_set(err, EINVAL, "%s: %s", path, first->text);
	*problems = list.found;
	return result;
}
