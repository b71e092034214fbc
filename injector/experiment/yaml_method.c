/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * targets: {NAME: {to: ...} or {process: {...}}} and method: [{at:, for:, FAULT: {...}}]. A step
 * names a target or carries the selector itself; then a target without a name is made for it. Its
 * times are read in schedule.c.
 */
#include "injector/experiment/format.h"
#include "injector/experiment/reader.h"
#include "injector/experiment/schedule.h"

#include <stdio.h>
#include <string.h>

static const char target_like[] =
	"{to: 10.0.5.0/24:443} for traffic, {process: {name: nginx}} for processes, "
	"{file: {path: /etc/app.conf}} for a file";

static void check_selector(struct reader *reader, const struct experiment_target *target,
			   const struct tree_node *at, const char *what)
{
	bool is_there = experiment_target_selects(target) || tree_has_broken(at);

	/* a key that is there but wrong was reported as such */
	for (unsigned i = PROCESS_PID; i <= PROCESS_PORT && !is_there; i++)
		is_there = tree_find(at, target->params.table[i].name) ||
			   reader_has_misspelt(at, target->params.table[i].name);
	if (!is_there)
		reader_problem(reader, at, "%s " EXPERIMENT_SELECTS_ALL, what);
}

static struct experiment_target *add_target(struct reader *reader, const char *name,
					    enum target_kind kind, const struct tree_node *at)
{
	struct experiment *experiment = reader->experiment;
	struct experiment_target *grown, *target;

	if (experiment->target_count == EXPERIMENT_MAX_TARGETS) {
		reader_problem(reader, at, "more than %d targets", EXPERIMENT_MAX_TARGETS);
		return NULL;
	}
	grown = reader_grow(reader, experiment->targets, experiment->target_count, sizeof(*grown));
	if (!grown)
		return NULL;
	experiment->targets = grown;
	target = &grown[experiment->target_count];
	*target = (struct experiment_target){.kind = kind, .line = at->line, .column = at->column};
	target->name = reader_copy(reader, name);
	if (!target->name)
		return NULL;
	experiment->target_count++;
	return reader_init(reader, &target->params, target_params(kind)) ? target : NULL;
}

/* The part of an experiment that a kind of target is, in words. */
static const char *kind_words(enum target_kind kind)
{
	return kind == TARGET_PROCESS ? "processes" : kind == TARGET_FILE ? "a file" : "traffic";
}

static void read_target(struct reader *reader, const struct tree_node *entry)
{
	const struct tree_node *process;
	enum target_kind kind = TARGET_PROCESS;
	struct experiment_target *target;
	struct name_list allowed = {0};
	char what[80];

	snprintf(what, sizeof(what), "target '%.63s'", entry->key->text);
	if (!reader_is(reader, entry, TREE_MAPPING, what, target_like)) {
		add_target(reader, entry->key->text, TARGET_NONE, entry->key);
		return;
	}
	process = tree_find(entry, "process");
	if (!process && (process = tree_find(entry, "file")))
		kind = TARGET_FILE;
	target = add_target(reader, entry->key->text, process ? kind : TARGET_TRAFFIC, entry->key);
	if (!target)
		return;
	if (process) {
		for (const struct tree_node *at = entry->first; at; at = at->next)
			if (at != process && at->kind != TREE_BROKEN)
				reader_problem(reader, at->key,
					       "%s selects %s; '%.60s' cannot stand beside "
					       "'%s' (keys of the selector go into it)",
					       what, kind_words(kind), at->key->text,
					       target_kind_name(kind));
		params_free(&target->params);
		if (!reader_table(reader, process, what,
				  kind == TARGET_FILE ? "{path: /etc/app.conf}"
						      : "{name: nginx, count: 1}",
				  target_params(kind), &target->params)) {
			if (!target->params.settings)
				reader_init(reader, &target->params, target_params(kind));
			return;
		}
		check_selector(reader, target, process, what);
		return;
	}
	name_list_add_table(&allowed, traffic_params);
	name_list_add(&allowed, "process");
	name_list_add(&allowed, "file");
	for (const struct tree_node *at = entry->first; at; at = at->next) {
		char more[200] = "";

		if (at->kind == TREE_BROKEN || reader_take(reader, &target->params, at))
			continue;
		if (params_find(process_params, at->key->text) >= 0) {
			snprintf(more, sizeof(more),
				 "processes are selected by 'process: {%s: ...}'", at->key->text);
			target->kind = TARGET_NONE; /* what uses it is not to blame */
		}
		reader_unknown_key(reader, at, what, &allowed, more[0] ? more : NULL);
	}
	reader_check_required(reader, &target->params, entry, what);
	reader_load_lists(reader, target);
}

static bool is_new(struct reader *reader, const struct tree_node *entry)
{
	const struct experiment *experiment = reader->experiment;

	for (unsigned i = 0; i < experiment->target_count; i++)
		if (strcmp(experiment->targets[i].name, entry->key->text) == 0)
			return reader_defined_twice(reader, entry, "target",
						    experiment->targets[i].line);
	return true;
}

void reader_targets(struct reader *reader, const struct tree_node *node)
{
	if (!reader_is(reader, node, TREE_MAPPING, "'targets'",
		       format_sections[SECTION_TARGETS].like)) {
		reader->has_no_targets = true;
		return;
	}
	for (const struct tree_node *entry = node->first; entry; entry = entry->next) {
		if (reader->problems->is_full || reader->problems->is_out_of_memory ||
		    reader->experiment->target_count > EXPERIMENT_MAX_TARGETS)
			return;
		if (entry->kind != TREE_BROKEN && reader_check_name(reader, entry, "target") &&
		    is_new(reader, entry))
			read_target(reader, entry);
	}
}

/* A step's target by name: it must be there and of the kind that the fault works on. */
static void bind_target(struct reader *reader, struct experiment_step *step,
			const struct param_value *name)
{
	const struct experiment_target *target;
	int index = reader_find_target(reader, name->text, name->line, name->column);

	if (index < 0)
		return;
	target = &reader->experiment->targets[index];
	step->target = (unsigned)index;
	if (target->kind != TARGET_NONE && target->kind != step->ops->target_kind)
		problems_add(reader->problems, name->line, name->column,
			     "target '%.63s' selects %s; the fault '%s' works on %s", name->text,
			     kind_words(target->kind), step->ops->name,
			     kind_words(step->ops->target_kind));
}

static void report_no_target(struct reader *reader, const struct experiment_step *step,
			     const struct tree_node *fault)
{
	const struct param *table = target_params(step->ops->target_kind);
	char keys[400] = "";

	for (unsigned i = 0; table && table[i].name && strlen(keys) + 40 < sizeof(keys); i++)
		if (fault_takes(step->ops, i))
			snprintf(keys + strlen(keys), sizeof(keys) - strlen(keys), "%s%s",
				 keys[0] ? ", " : "", table[i].name);
	reader_problem(reader, fault->key,
		       "'%s' has no target: name one of 'targets' with 'target: NAME', or select "
		       "here with: %s",
		       step->ops->name, keys);
}

static void unknown_fault_key(struct reader *reader, const struct fault_ops *ops,
			      const struct tree_node *entry)
{
	const struct param *selector = target_params(ops->target_kind);
	struct name_list allowed = {0};
	char what[80], more[160] = "";

	snprintf(what, sizeof(what), "fault '%s'", ops->name);
	name_list_add_table(&allowed, ops->params);
	for (unsigned i = 0; selector && selector[i].name; i++)
		if (fault_takes(ops, i))
			name_list_add(&allowed, selector[i].name);
	if (params_find(format_step, entry->key->text) >= 0)
		snprintf(more, sizeof(more), "it stands beside '%s': {%s: ..., %s: {...}}",
			 ops->name, entry->key->text, ops->name);
	reader_unknown_key(reader, entry, what, &allowed, more[0] ? more : NULL);
}

/* The selector of a step, made at its first key. */
static struct experiment_target *own_target(struct reader *reader, struct experiment_step *step,
					    const struct tree_node *fault)
{
	struct experiment *experiment = reader->experiment;

	if (step->target < experiment->target_count)
		return &experiment->targets[step->target];
	step->target = experiment->target_count;
	return add_target(reader, "", step->ops->target_kind, fault->key);
}

static void read_fault_keys(struct reader *reader, struct experiment_step *step,
			    const struct tree_node *fault)
{
	const struct tree_node *named = NULL, *selector = NULL;
	struct experiment_target *target = NULL;
	unsigned index;
	char what[80];

	snprintf(what, sizeof(what), "'%s'", step->ops->name);
	for (const struct tree_node *entry = fault->first; entry; entry = entry->next) {
		if (entry->kind == TREE_BROKEN)
			continue;
		switch (experiment_find_key(step->ops, entry->key->text, &index)) {
		case KEY_OF_FAULT:
			reader_take_as(reader, &step->params, index, entry);
			if (step->ops->params[index].type == PARAM_TARGET)
				named = entry;
			break;
		case KEY_OF_TARGET:
			selector = entry;
			target = own_target(reader, step, fault);
			if (!target)
				return;
			reader_take_as(reader, &target->params, index, entry);
			break;
		case KEY_UNKNOWN:
			unknown_fault_key(reader, step->ops, entry);
			break;
		}
	}
	reader_check_required(reader, &step->params, fault, what);
	if (named && selector) {
		reader_problem(reader, selector->key,
			       "'%s' belongs to what is selected, and that is 'target: %.63s'; "
			       "write it there, under 'targets', or leave 'target' away",
			       selector->key->text, named->text ? named->text : "");
	} else if (target) {
		reader_check_required(reader, &target->params, fault, what);
		check_selector(reader, target, fault, what);
		reader_load_lists(reader, target);
	} else if (!named && step->ops->target_kind != TARGET_NONE && !tree_has_broken(fault)) {
		report_no_target(reader, step, fault);
	}
}

/* What is to blame: the key with whose name the words of check() begin, if it is there. */
static const struct tree_node *find_blamed(const struct tree_node *fault, const char *text)
{
	const int length = (int)strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-");
	const struct tree_node *entry;
	char key[40];

	snprintf(key, sizeof(key), "%.*s", length, text);
	entry = tree_find(fault, key);
	return entry ? entry->key : fault->key;
}

/* True: the fault is whole and sensible in itself. */
static bool read_fault(struct reader *reader, struct experiment_step *step,
		       const struct tree_node *fault)
{
	unsigned before = reader->problems->found.count;
	struct error err = ERROR_INIT;
	char what[80], like[120];

	snprintf(what, sizeof(what), "'%s'", step->ops->name);
	snprintf(like, sizeof(like), "{target: NAME, %s: ...}",
		 step->ops->params[0].name && step->ops->params[1].name ? step->ops->params[1].name
									: "...");
	if (!reader_is(reader, fault, TREE_MAPPING, what, like))
		return false;
	read_fault_keys(reader, step, fault);
	for (unsigned i = 0; i < step->params.count; i++)
		if (step->params.table[i].type == PARAM_TARGET && params_is_set(&step->params, i))
			bind_target(reader, step, params_value(&step->params, i, 0));
	if (reader->problems->found.count != before || reader->problems->is_full ||
	    reader->problems->is_out_of_memory)
		return false;
	if (experiment_check_fault(reader->experiment, step, reader->inputs, &err) < 0) {
		reader_problem(reader, find_blamed(fault, err.text), "%s: %s%s%s", step->ops->name,
			       err.text, err.remedy[0] ? "; remedy: " : "", err.remedy);
		return false;
	}
	return true;
}

/* `delay` in the step itself instead of in `network`. */
static void unknown_step_key(struct reader *reader, const struct tree_node *entry)
{
	struct name_list allowed = {0};
	char more[160] = "";

	name_list_add_table(&allowed, format_step);
	for (const struct fault_ops *const *each = fault_all(); *each; each++) {
		name_list_add(&allowed, (*each)->name);
		if (!more[0] && params_find((*each)->params, entry->key->text) >= 0)
			snprintf(more, sizeof(more), "it belongs in the fault: '%s: {%s: ...}'",
				 (*each)->name, entry->key->text);
	}
	reader_unknown_key(reader, entry, "a step", &allowed, more[0] ? more : NULL);
}

static const struct tree_node *read_step_keys(struct reader *reader, const struct tree_node *node,
					      struct schedule_entry *times)
{
	const struct tree_node *fault = NULL;
	bool has_unknown = false;

	for (const struct tree_node *entry = node->first; entry; entry = entry->next) {
		has_unknown |= entry->kind == TREE_BROKEN;
		if (entry->kind == TREE_BROKEN || schedule_take(reader, times, entry))
			continue;
		if (!fault_find(entry->key->text)) {
			unknown_step_key(reader, entry);
			has_unknown = true;
		} else if (fault) {
			reader_problem(
				reader, entry->key,
				"a step has one fault, and '%s' is already there in line %d; "
				"make it a step of its own (steps may overlap)",
				fault->key->text, TREE_LINE(fault->key->line));
		} else {
			fault = entry;
		}
	}
	if (!fault && !has_unknown) {
		struct name_list names = {0};
		char list[200] = "";

		for (const struct fault_ops *const *each = fault_all(); *each; each++)
			snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s",
				 names.count++ ? ", " : "", (*each)->name);
		reader_problem(reader, node, "the step has no fault; give one of: %s", list);
	}
	return fault;
}

static void read_step(struct reader *reader, struct schedule *schedule,
		      const struct tree_node *node, bool is_alone)
{
	struct experiment *experiment = reader->experiment;
	struct experiment_step *grown, *step;
	const struct tree_node *fault;
	struct schedule_entry *entry;

	if (!reader_is(reader, node, TREE_MAPPING, "a step",
		       "{at: 0s, for: 30s, network: {target: store, delay: 100ms}}"))
		return;
	grown = reader_grow(reader, experiment->steps, experiment->step_count, sizeof(*grown));
	if (grown)
		experiment->steps = grown;
	entry = grown ? schedule_add(reader, schedule, node) : NULL;
	if (!entry)
		return;
	fault = read_step_keys(reader, node, entry);
	step = &grown[experiment->step_count];
	*step = (struct experiment_step){
		.line = node->line, .column = node->column, .target = UINT32_MAX};
	step->ops = fault ? fault_find(fault->key->text) : NULL;
	if (!is_alone && !reader_has_misspelt(node, "at") && !tree_find(node, "after"))
		reader_problem(reader, node,
			       "'at' is missing: steps do not wait for one another, each says when "
			       "it begins, like at: 30s or after: previous");
	if (!step->ops || !reader_init(reader, &step->params, step->ops->params))
		return;
	entry->step = (int)experiment->step_count++;
	schedule_read(reader, entry, step, read_fault(reader, step, fault));
}

/* Stable: what begins at the same time keeps the order of the file. */
static void sort_steps(struct experiment *experiment)
{
	for (unsigned i = 1; i < experiment->step_count; i++) {
		struct experiment_step moved = experiment->steps[i];
		unsigned to = i;

		for (; to > 0 && experiment->steps[to - 1].at_ns > moved.at_ns; to--)
			experiment->steps[to] = experiment->steps[to - 1];
		experiment->steps[to] = moved;
	}
}

void reader_method(struct reader *reader, const struct tree_node *node)
{
	struct schedule schedule = {0};
	unsigned read = 0;

	if (!reader_is(reader, node, TREE_LIST, "'method'", format_sections[SECTION_METHOD].like))
		return;
	for (const struct tree_node *at = node->first; at; at = at->next) {
		if (reader->problems->is_full || reader->problems->is_out_of_memory)
			break;
		if (read++ == EXPERIMENT_MAX_STEPS) {
			reader_problem(reader, at, "more than %d steps", EXPERIMENT_MAX_STEPS);
			break;
		}
		read_step(reader, &schedule, at, node->count == 1);
	}
	if (!reader->problems->is_full && !reader->problems->is_out_of_memory)
		schedule_bind(reader, &schedule);
	schedule_free(&schedule);
	sort_steps(reader->experiment);
}
