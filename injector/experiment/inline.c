/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Command-line words -> experiment. There are no named targets here: the selector stands in the
 * words. Whoever injects by hand watches by hand, so idle faults are allowed.
 */
#include "injector/experiment/inline.h"

#include "faults/target_follow.h"
#include "injector/base/clock.h"
#include "injector/base/quantity.h"
#include "injector/experiment/format.h"
#include "injector/experiment/load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GRACE_NS	(30 * NSEC_PER_SEC) /* to restore in, beyond the fault's own time */
#define TARGETS_DEFAULT "16"

struct inline_reading {
	struct experiment *experiment;
	struct experiment_step *step;
	struct experiment_target *target; /* NULL: the fault has none */
	struct params own;		  /* of the table below */
	struct param table[INLINE_COUNT + 1];
};

/* What a file says of a step, in the words of a command line. */
void inline_params(struct param out[INLINE_COUNT + 1])
{
	out[INLINE_FOR] = format_step[STEP_FOR];
	out[INLINE_FOR].doc = "how long it lasts (needed unless the fault is instant)";
	out[INLINE_EVERY] = format_step[STEP_EVERY];
	out[INLINE_ACTIVE] = format_step[STEP_ACTIVE];
	out[INLINE_REPEAT] = format_step[STEP_REPEAT];
	out[INLINE_REPEAT].doc = "pulses: how many, instead of for=";
	out[INLINE_RAMP] = format_step[STEP_RAMP];
	out[INLINE_RAMP].doc = "how long it takes to reach its full strength";
	out[INLINE_SEED] = format_root[ROOT_SEED];
	out[INLINE_TARGETS] = format_limits[LIMITS_TARGETS];
	out[INLINE_TARGETS].fallback = TARGETS_DEFAULT;
	out[INLINE_TARGETS].doc = "most things it may touch";
	out[INLINE_COUNT] = (struct param){0};
}

static int unknown_fault(const char *name, struct error *err)
{
	const char *names[64] = {0}, *nearest;
	char list[300] = "";
	unsigned count = 0;

	for (const struct fault_ops *const *each = fault_all(); *each && count < 63; each++) {
		names[count] = (*each)->name;
		snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s",
			 count++ ? ", " : "", (*each)->name);
	}
	nearest = names_nearest(names, name);
	if (nearest)
		error_set(err, EINVAL, "there is no fault '%.60s'; did you mean '%s'?", name,
			  nearest);
	else
		error_set(err, EINVAL, "there is no fault '%.60s'", name);
	error_remedy(err, "the faults are: %s", list);
	return -EINVAL;
}

static void list_names(const struct param *table, char *out, size_t size)
{
	for (; table && table->name; table++)
		if (table->type != PARAM_TARGET && strlen(out) + strlen(table->name) + 3 < size)
			snprintf(out + strlen(out), size - strlen(out), "%s%s", *out ? ", " : "",
				 table->name);
}

static int unknown_key(const struct inline_reading *reading, const char *key, struct error *err)
{
	const struct fault_ops *ops = reading->step->ops;
	const struct param *tables[] = {ops->params, target_params(ops->target_kind),
					reading->table};
	const char *nearest = NULL;
	char list[400] = "";

	for (unsigned i = 0; i < 3; i++)
		if (tables[i] && !nearest)
			nearest = params_nearest(tables[i], key);
	/* a fault may have many: what selects comes first */
	for (unsigned i = 3; i-- > 0;)
		list_names(tables[i], list, sizeof(list));
	if (strcmp(key, "target") == 0)
		error_set(err, EINVAL,
			  "a command line has no named targets; select with the keys themselves");
	else if (nearest && strcmp(nearest, "target") != 0)
		error_set(err, EINVAL, "unknown key '%.60s'; did you mean '%s'?", key, nearest);
	else
		error_set(err, EINVAL, "unknown key '%.60s' for the fault '%s'", key, ops->name);
	error_remedy(err, "allowed: %s; squall faults %s explains them", list, ops->name);
	return -EINVAL;
}

/* One value, or a list with commas. */
static int add_value(struct params *params, unsigned index, char *value, struct error *err)
{
	char *rest = NULL;
	int result = 0;

	if (!(params->table[index].flags & PARAM_LIST))
		return params_add(params, index, value, 0, 0, err);
	if (!*value || *value == ',' || value[strlen(value) - 1] == ',' || strstr(value, ",,"))
		return error_set(err, EINVAL, "%s: a value is missing in '%s'",
				 params->table[index].name, value);
	for (char *one = strtok_r(value, ",", &rest); one && result == 0;
	     one = strtok_r(NULL, ",", &rest))
		result = params_add(params, index, one, 0, 0, err);
	return result;
}

static int take_word(struct inline_reading *reading, const char *word, struct error *err)
{
	const struct fault_ops *ops = reading->step->ops;
	char *copy = strdup(word), *value;
	unsigned index = 0;
	int own, result;

	if (!copy)
		return error_errno(err, ENOMEM, "cannot read '%.60s'", word);
	value = strchr(copy, '=');
	if (!value || value == copy) {
		result = error_set(err, EINVAL, "'%.60s' is not of the form key=value", word);
		free(copy);
		return result;
	}
	*value++ = '\0';
	own = params_find(reading->table, copy);
	switch (experiment_find_key(ops, copy, &index)) {
	case KEY_OF_FAULT:
		result = ops->params[index].type == PARAM_TARGET
				 ? unknown_key(reading, copy, err)
				 : add_value(&reading->step->params, index, value, err);
		if (result == 0 && own == INLINE_SEED) /* of both, as far as both take it */
			params_add(&reading->own, INLINE_SEED, value, 0, 0, NULL);
		break;
	case KEY_OF_TARGET:
		result = reading->target ? add_value(&reading->target->params, index, value, err)
					 : unknown_key(reading, copy, err);
		break;
	default:
		result = own >= 0 ? add_value(&reading->own, (unsigned)own, value, err)
				  : unknown_key(reading, copy, err);
	}
	free(copy);
	return result;
}

static bool is_any_set(const struct params *params)
{
	for (unsigned i = 0; i < params->count; i++)
		if (params_is_set(params, i))
			return true;
	return false;
}

static int check_required(const struct params *params, struct error *err)
{
	for (unsigned i = 0; i < params->count; i++)
		if (params->table[i].flags & PARAM_REQUIRED &&
		    params->table[i].type != PARAM_TARGET && !params_is_set(params, i))
			return error_set(err, EINVAL, "%s= is missing: %s", params->table[i].name,
					 params->table[i].doc);
	return 0;
}

static bool is_instant(const struct inline_reading *reading)
{
	const struct fault_ops *ops = reading->step->ops;

	return ops->is_instant && ops->is_instant(&reading->step->params);
}

static int check_for(const struct inline_reading *reading, struct error *err)
{
	const struct fault_ops *ops = reading->step->ops;
	bool lasts = params_is_set(&reading->own, INLINE_FOR);
	char words[200];

	if (is_instant(reading) != lasts)
		return 0;
	if (!lasts && params_is_set(&reading->own, INLINE_REPEAT))
		return 0;
	if (is_instant(reading)) {
		experiment_describe_effects(reading->step, words, sizeof(words));
		return error_set(err, EINVAL,
				 "'%s' (%s) acts at once and has no end: remove for=", ops->name,
				 words);
	}
	error_set(err, EINVAL, "for= is missing: how long '%s' lasts", ops->name);
	error_remedy(err, "add for=30s");
	return -EINVAL;
}

static int load_lists(struct experiment_target *target, struct error *err)
{
	const struct fault_files files = {.read = experiment_read_to_run};
	int result = 0;

	for (unsigned i = 0; i < target->params.count && result == 0; i++)
		result = target_load(&target->params, i, &files, err);
	return result;
}

static bool names_target(const struct params *target)
{
	for (unsigned i = 0; i < params_count(target, TRAFFIC_NAMESPACE); i++)
		if (strncmp(params_value(target, TRAFFIC_NAMESPACE, i)->text, "target:", 7) == 0)
			return true;
	return false;
}

static int check(const struct inline_reading *reading, struct error *err)
{
	const struct experiment_inputs inputs = {.read = experiment_read_to_run};
	const struct fault_ops *ops = reading->step->ops;
	const struct param_value *blamed;
	char keys[300] = "";
	unsigned key;
	int result;

	if (reading->target && !is_any_set(&reading->target->params)) {
		list_names(reading->target->params.table, keys, sizeof(keys));
		error_set(err, EINVAL, "'%s' has no target", ops->name);
		error_remedy(err, "select one with: %s", keys);
		return -EINVAL;
	}
	if (reading->target && !experiment_target_selects(reading->target))
		return error_set(err, EINVAL, "'%s' " EXPERIMENT_SELECTS_ALL, ops->name);
	if (reading->target && reading->target->kind == TARGET_TRAFFIC &&
	    params_is_set(&reading->target->params, TRAFFIC_OF))
		return error_set(err, EINVAL,
				 "of: a command line has no named targets; give unit, cgroup or "
				 "container");
	if (reading->target && reading->target->kind == TARGET_TRAFFIC &&
	    names_target(&reading->target->params))
		return error_set(err, EINVAL,
				 "namespace: a command line has no named targets; write NAME or "
				 "pid:N");
	result = check_required(&reading->step->params, err);
	if (result == 0 && reading->target)
		result = check_required(&reading->target->params, err);
	if (result == 0 && reading->target)
		result = load_lists(reading->target, err);
	if (result == 0 && reading->target)
		result = target_check_follow(&reading->target->params, err);
	if (result == 0 && reading->target)
		result = fault_check_follow(ops, &reading->target->params, err);
	if (result == 0 && reading->target && reading->target->kind == TARGET_TRAFFIC)
		result = target_check_tcp_flags(&reading->target->params,
						ops->sees_packets ? NULL : ops->name, err);
	if (result == 0 && reading->target && reading->target->kind == TARGET_TRAFFIC)
		result = target_check_companions(&reading->target->params, &key, err);
	if (result == 0)
		result = experiment_check_fault(reading->experiment, reading->step, &inputs, err);
	if (result == 0 && reading->target && reading->target->kind == TARGET_TRAFFIC)
		result = target_check_selector(&reading->target->params, &blamed, err);
	if (result == 0 && reading->target)
		result = fault_check_target(ops, &reading->step->params, &reading->target->params,
					    &blamed, err);
	return result < 0 ? result : check_for(reading, err);
}

/* The step and, when the fault needs one, its target without a name. */
static int prepare(struct inline_reading *reading, const struct fault_ops *ops, struct error *err)
{
	struct experiment *experiment = reading->experiment;
	int result;

	inline_params(reading->table);
	experiment->time_scale = 1;
	experiment->path = strdup("command line");
	experiment->steps = calloc(1, sizeof(*experiment->steps));
	experiment->targets = calloc(1, sizeof(*experiment->targets));
	if (!experiment->path || !experiment->steps || !experiment->targets) {
		error_errno(err, ENOMEM, "cannot make an experiment");
		return -ENOMEM;
	}
	reading->step = experiment->steps;
	*reading->step = (struct experiment_step){.ops = ops, .target = UINT32_MAX};
	experiment->step_count = 1;
	result = params_init(&reading->own, reading->table, err);
	if (result == 0)
		result = params_init(&reading->step->params, ops->params, err);
	if (result != 0 || ops->target_kind == TARGET_NONE)
		return result;
	reading->target = experiment->targets;
	reading->target->kind = ops->target_kind;
	reading->step->target = 0;
	experiment->target_count = 1;
	reading->target->name = strdup("");
	if (!reading->target->name) {
		error_errno(err, ENOMEM, "cannot make an experiment");
		return -ENOMEM;
	}
	return params_init(&reading->target->params, target_params(ops->target_kind), err);
}

/* `every` with `for` or `repeat`. */
static int take_pulses(const struct inline_reading *reading, struct shape *out, struct error *err)
{
	const struct params *own = &reading->own;
	int64_t count = params_number(own, INLINE_REPEAT, 0);

	for (unsigned i = INLINE_ACTIVE; i <= INLINE_REPEAT; i++)
		if (params_is_set(own, i) && !params_is_set(own, INLINE_EVERY))
			return error_set(err, EINVAL,
					 "%s= goes with every=: the time from one pulse to the "
					 "next",
					 own->table[i].name);
	out->every_ns = params_number(own, INLINE_EVERY, 0);
	out->active_ns = params_number(own, INLINE_ACTIVE, 0);
	if (!out->every_ns)
		return 0;
	if (count && params_is_set(own, INLINE_FOR))
		return error_set(err, EINVAL,
				 "repeat= and for= both say how long the pulses go on; give one of "
				 "the two");
	if (!count && is_instant(reading))
		return error_set(err, EINVAL, "repeat= is missing: how often '%s' acts",
				 reading->step->ops->name);
	if (!count)
		count = shape_pulses_within(out, params_number(own, INLINE_FOR, 0));
	out->count = count > SHAPE_MAX_INJECTIONS ? SHAPE_MAX_INJECTIONS + 1 : (unsigned)count;
	return 0;
}

static int take_shape(struct inline_reading *reading, struct error *err)
{
	struct experiment_step *step = reading->step;
	struct shape *shape = &step->shape;
	enum shape_key key;
	int result = take_pulses(reading, shape, err);

	if (result < 0)
		return result;
	shape->to_ppb = SHARE_ONE;
	shape->over_ns = params_number(&reading->own, INLINE_RAMP, 0);
	step->for_ns = params_number(&reading->own, INLINE_FOR, 0);
	if (!step->for_ns && shape->active_ns)
		step->for_ns = shape_lasts_ns(shape, 0);
	result = shape_check(shape, step->for_ns, is_instant(reading), &key, err);
	if (result == 0 && shape->over_ns && !step->ops->set_level)
		result = error_set(err, EINVAL,
				   "'%s' is either there or not: it has no strength that a ramp "
				   "could change",
				   step->ops->name);
	return result;
}

static int complete(struct inline_reading *reading, struct error *err)
{
	struct experiment *experiment = reading->experiment;
	char words[300], title[600], shape[200];
	int result;

	experiment_describe_step(experiment, 0, words, sizeof(words)); /* while it has no shape */
	result = take_shape(reading, err);
	if (result < 0)
		return result;
	experiment->limits.duration_ns = experiment_step_end_ns(reading->step) + GRACE_NS;
	experiment->has_seed = params_is_set(&reading->own, INLINE_SEED);
	experiment->seed = params_number(&reading->own, INLINE_SEED, 0);
	experiment->limits.targets = (unsigned)params_number(&reading->own, INLINE_TARGETS, 0);
	experiment->allow_idle = true;
	shape_describe(&reading->step->shape, shape, sizeof(shape));
	if (params_is_set(&reading->own, INLINE_FOR))
		snprintf(title, sizeof(title), "%s for %s%s", words,
			 params_text(&reading->own, INLINE_FOR), shape);
	else
		snprintf(title, sizeof(title), "%s%s", words, shape);
	experiment->title = strdup(title);
	return experiment->title ? 0 : error_errno(err, ENOMEM, "cannot make an experiment");
}

static int keep_words(struct experiment *experiment, const char *fault, char *const words[],
		      unsigned count, struct error *err)
{
	size_t size = strlen(fault) + 1, used;

	for (unsigned i = 0; i < count; i++)
		size += strlen(words[i]) + 1;
	experiment->words = malloc(size);
	if (!experiment->words)
		return error_errno(err, ENOMEM, "cannot make an experiment");
	used = (size_t)snprintf(experiment->words, size, "%s", fault);
	for (unsigned i = 0; i < count; i++)
		used += (size_t)snprintf(experiment->words + used, size - used, " %s", words[i]);
	return 0;
}

int inline_experiment(const char *fault, char *const words[], unsigned count,
		      struct experiment **out, struct error *err)
{
	const struct fault_ops *ops = fault_find(fault);
	struct inline_reading reading = {.own.table = reading.table};
	int result;

	if (!ops)
		return unknown_fault(fault, err);
	reading.experiment = calloc(1, sizeof(*reading.experiment));
	if (!reading.experiment)
		return error_errno(err, ENOMEM, "cannot make an experiment");
	result = prepare(&reading, ops, err);
	for (unsigned i = 0; i < count && result == 0; i++)
		result = take_word(&reading, words[i], err);
	if (result == 0)
		result = check(&reading, err);
	if (result == 0)
		result = complete(&reading, err);
	if (result == 0)
		result = keep_words(reading.experiment, fault, words, count, err);
	params_free(&reading.own);
	if (result < 0) {
		experiment_free(reading.experiment);
		free(reading.experiment);
		return result;
	}
	*out = reading.experiment;
	return 0;
}
