/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tree -> experiment: the top level, and what ties its parts together. The parts themselves are
 * read in yaml_probes.c and yaml_method.c; nothing here touches the machine.
 */
#include "injector/experiment/yaml.h"

#include "injector/base/cleanup.h"
#include "injector/base/quantity.h"
#include "injector/experiment/format.h"
#include "injector/experiment/include.h"
#include "injector/experiment/reader.h"
#include "injector/experiment/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ABORT_MAX_IN_A_ROW 10000

static void read_limits(struct reader *reader, const struct tree_node *node)
{
	struct params values;

	if (reader_table(reader, node, "'limits'", format_sections[SECTION_LIMITS].like,
			 format_limits, &values)) {
		reader->experiment->limits.duration_ns = params_number(&values, LIMITS_DURATION, 0);
		reader->experiment->limits.targets =
			(unsigned)params_number(&values, LIMITS_TARGETS, 0);
	}
	params_free(&values);
}

/* The list of probes that both steady-state and recovery begin with. */
static void bind_required(struct reader *reader, const struct params *values, unsigned index,
			  struct experiment_requirement *out)
{
	bool is_there[EXPERIMENT_MAX_PROBES] = {0};

	for (unsigned i = 0; i < params_count(values, index); i++) {
		const struct param_value *name = params_value(values, index, i);
		int probe = reader_find_probe(reader, name->text, name->line, name->column);
		unsigned *grown;

		if (reader->problems->is_full)
			return;
		if (probe < 0)
			continue;
		if (is_there[probe]) {
			problems_add(reader->problems, name->line, name->column,
				     "probe '%.63s' is required twice", name->text);
			continue;
		}
		is_there[probe] = true;
		grown = reader_grow(reader, out->probes, out->count, sizeof(*grown));
		if (!grown)
			return;
		out->probes = grown;
		out->probes[out->count++] = (unsigned)probe;
	}
}

static void read_steady_state(struct reader *reader, const struct tree_node *node)
{
	struct experiment_requirement *steady = &reader->experiment->steady_state;
	const struct tree_node *within;
	struct params values;

	if (reader_table(reader, node, "'steady-state'", format_sections[SECTION_STEADY_STATE].like,
			 format_steady_state, &values)) {
		bind_required(reader, &values, STEADY_REQUIRE, steady);
		steady->for_ns = params_number(&values, STEADY_FOR, 0);
		steady->within_ns = params_number(&values, STEADY_WITHIN, 0);
		within = tree_find(node, "within");
		if (within && steady->within_ns && steady->within_ns < steady->for_ns)
			reader_problem(reader, within,
				       "'within' (%s) is shorter than 'for' (%s): it could never "
				       "be steady for so long",
				       params_text(&values, STEADY_WITHIN),
				       params_text(&values, STEADY_FOR));
	}
	params_free(&values);
}

static void read_recovery(struct reader *reader, const struct tree_node *node)
{
	struct experiment_requirement *recovery = &reader->experiment->recovery;
	struct params values;

	if (reader_table(reader, node, "'recovery'", format_sections[SECTION_RECOVERY].like,
			 format_recovery, &values)) {
		bind_required(reader, &values, RECOVERY_REQUIRE, recovery);
		recovery->within_ns = params_number(&values, RECOVERY_WITHIN, 0);
		recovery->for_ns = params_number(&values, RECOVERY_HOLD, 0);
	}
	params_free(&values);
}

/* `fails: 3` in a row, or `fails: 20%` with `over`. */
static void read_fails(struct reader *reader, const struct tree_node *node,
		       const struct params *values, struct experiment_abort *abort)
{
	const struct param_value *fails = params_value(values, ABORT_FAILS, 0);
	const struct tree_node *over = tree_find(node, "over");
	int64_t number = 0;

	if (!fails)
		return;
	if (quantity_parse_integer(fails->text, &number, NULL) == 0) {
		abort->fails = (unsigned)number;
		if (number < 1 || number > ABORT_MAX_IN_A_ROW)
			problems_add(reader->problems, fails->line, fails->column,
				     "fails: '%.40s' is out of range: 1 to %d failures in a row",
				     fails->text, ABORT_MAX_IN_A_ROW);
		else if (over)
			reader_problem(reader, over->key,
				       "'over' goes with a share; 'fails: %s' means %s failures in "
				       "a row (write 'fails: 20%%' for a share)",
				       fails->text, fails->text);
		return;
	}
	if (quantity_parse_share(fails->text, &abort->share_ppb, NULL) < 0)
		problems_add(reader->problems, fails->line, fails->column,
			     "fails: '%.40s' is neither a number of failures in a row (3) nor a "
			     "share of the attempts (20%%)",
			     fails->text);
	else if (abort->share_ppb < 1 || abort->share_ppb > SHARE_ONE)
		problems_add(reader->problems, fails->line, fails->column,
			     "fails: '%.40s' is out of range: more than 0%% and at most 100%%",
			     fails->text);
	else if (!over)
		reader_problem(reader, node,
			       "'over' is missing: the time over which %s of the attempts are "
			       "counted, like over: 30s",
			       fails->text);
}

static void read_abort(struct reader *reader, const struct tree_node *node)
{
	struct experiment *experiment = reader->experiment;
	struct experiment_abort abort = {0}, *grown;
	const struct param_value *probe;
	struct params values;
	int index;

	if (!reader_table(reader, node, "an abort condition", "{probe: shop, fails: 3}",
			  format_abort, &values)) {
		params_free(&values);
		return;
	}
	abort.over_ns = params_number(&values, ABORT_OVER, 0);
	read_fails(reader, node, &values, &abort);
	probe = params_value(&values, ABORT_PROBE, 0);
	index = probe ? reader_find_probe(reader, probe->text, probe->line, probe->column) : -1;
	grown = index < 0 ? NULL
			  : reader_grow(reader, experiment->aborts, experiment->abort_count,
					sizeof(*grown));
	if (grown) {
		abort.probe = (unsigned)index;
		experiment->aborts = grown;
		grown[experiment->abort_count++] = abort;
		if (abort.share_ppb && abort.over_ns &&
		    abort.over_ns < experiment->probes[index].every_ns)
			reader_problem(reader, tree_find(node, "over"),
				       "'over' is shorter than the interval of probe '%s': there "
				       "may be no attempt to count",
				       probe->text);
	}
	params_free(&values);
}

static void read_aborts(struct reader *reader, const struct tree_node *node)
{
	unsigned read = 0;

	if (!reader_is(reader, node, TREE_LIST, "'abort-when'",
		       format_sections[SECTION_ABORT_WHEN].like))
		return;
	for (const struct tree_node *at = node->first; at; at = at->next) {
		if (reader->problems->is_full || reader->problems->is_out_of_memory)
			return;
		if (read++ == EXPERIMENT_MAX_ABORTS) {
			reader_problem(reader, at, "more than %d abort conditions",
				       EXPERIMENT_MAX_ABORTS);
			return;
		}
		read_abort(reader, at);
	}
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

/* namespace: target:NAME of a traffic target names a process target. */
static void check_namespaces(struct reader *reader)
{
	const struct experiment *experiment = reader->experiment;

	for (unsigned i = 0; i < experiment->target_count; i++) {
		const struct experiment_target *target = &experiment->targets[i];
		const struct param_value *value;
		int index;

		if (target->kind != TARGET_TRAFFIC || !target->params.settings)
			continue;
		value = params_value(&target->params, TRAFFIC_NAMESPACE, 0);
		if (!value || strncmp(value->text, "target:", 7) != 0)
			continue;
		index = reader_find_target(reader, value->text + 7, value->line, value->column);
		if (index >= 0 && experiment->targets[index].kind == TARGET_TRAFFIC)
			problems_add(reader->problems, value->line, value->column,
				     "namespace: target '%s' selects traffic; only processes have "
				     "a namespace",
				     value->text + 7);
	}
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
		[SECTION_LIMITS] = read_limits,	    [SECTION_TARGETS] = reader_targets,
		[SECTION_PROBES] = reader_probes,   [SECTION_STEADY_STATE] = read_steady_state,
		[SECTION_ABORT_WHEN] = read_aborts, [SECTION_METHOD] = reader_method,
		[SECTION_RECOVERY] = read_recovery,
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
	check_namespaces(reader);
	check_duration(reader, sections[SECTION_LIMITS]);
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
