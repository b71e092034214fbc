/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Times are fixed before anything runs: `after` means the planned end of a step, so that plan and
 * display know when everything happens. Everything in a method is divided by time-scale, nothing
 * else is.
 */
#include "injector/experiment/schedule.h"

#include "injector/base/clock.h"
#include "injector/base/quantity.h"
#include "injector/experiment/format.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct schedule_entry *schedule_add(struct reader *reader, struct schedule *schedule,
				    const struct tree_node *node)
{
	struct schedule_entry *grown =
		reader_grow(reader, schedule->entries, schedule->count, sizeof(*grown));
	struct schedule_entry *entry;

	if (!grown)
		return NULL;
	schedule->entries = grown;
	entry = &grown[schedule->count];
	*entry = (struct schedule_entry){.node = node, .step = -1};
	if (!reader_init(reader, &entry->times, format_step))
		return NULL;
	schedule->count++;
	return entry;
}

void schedule_free(struct schedule *schedule)
{
	for (unsigned i = 0; i < schedule->count; i++) {
		params_free(&schedule->entries[i].times);
		params_free(&schedule->entries[i].ramp);
	}
	free(schedule->entries);
	*schedule = (struct schedule){0};
}

bool schedule_take(struct reader *reader, struct schedule_entry *entry, const struct tree_node *key)
{
	if (key->kind == TREE_MAPPING && strcmp(key->key->text, "ramp") == 0 &&
	    !entry->ramp.settings) {
		reader_table(reader, key, "'ramp'", "{from: 20ms, to: 200ms, over: 30s}",
			     format_ramp, &entry->ramp);
		return true;
	}
	return reader_take(reader, &entry->times, key);
}

static const struct tree_node *key_of(const struct schedule_entry *entry, const char *name)
{
	const struct tree_node *found = tree_find(entry->node, name);

	return found ? found->key : entry->node;
}

/* A time of the method, by the clock of the run. */
static int64_t scaled(struct reader *reader, const struct schedule_entry *entry, int64_t time_ns,
		      const char *name)
{
	int64_t scale = reader->experiment->time_scale, result = time_ns / scale;
	/* what is divided reads better round, and is no more exact than that in life */
	int64_t unit = result >= 100 * NSEC_PER_MSEC ? NSEC_PER_MSEC : 1000;
	char text[QUANTITY_TEXT_SIZE];

	if (scale > 1)
		result = (result + unit / 2) / unit * unit;

	if (time_ns >= NSEC_PER_MSEC && result < NSEC_PER_MSEC)
		reader_problem(reader, key_of(entry, name),
			       "'%s' (%s) is less than 1ms when it is divided by time-scale (%lld)",
			       name, quantity_format_duration(time_ns, text), (long long)scale);
	return result;
}

/* The parameter that a value of a ramp is of: the one that `of` names, or the only one of the
 * fault's that is a strength and takes such a value. -1: none, which is said. */
static int find_ramped(struct reader *reader, const struct schedule_entry *entry,
		       const struct experiment_step *step, const char *text)
{
	const struct param *table = step->ops->params;
	const char *of = params_text(&entry->ramp, RAMP_OF);
	char known[200] = "";
	int found = -1;

	for (int i = 0; table[i].name; i++) {
		const struct param any = {.type = table[i].type};
		struct param_value value = {0};

		if (!(table[i].flags & PARAM_RAMPED) || !params_is_set(&step->params, (unsigned)i))
			continue;
		snprintf(known + strlen(known), sizeof(known) - strlen(known), "%s%s",
			 *known ? ", " : "", table[i].name);
		if (of ? strcmp(of, table[i].name) != 0 : param_parse(&any, text, &value, NULL) < 0)
			continue;
		param_value_free(&value);
		if (found >= 0) {
			reader_problem(reader, key_of(entry, "ramp"),
				       "'%s' may be a value of %s or of %s; say which with 'of'",
				       text, table[found].name, table[i].name);
			return -1;
		}
		found = i;
	}
	if (found < 0)
		reader_problem(reader, key_of(entry, "ramp"),
			       "'%s' in 'ramp': the fault has no such strength%s%s (the others are "
			       "a share of it, like 10%%)",
			       of ? of : text, *known ? "; it has " : "", known);
	return found;
}

/* One end of the ramp as a share of the strength that the fault gives. Half the rate is twice the
 * strength: so it is done (network_effect_scale()). */
static int64_t read_end(struct reader *reader, const struct schedule_entry *entry,
			const struct experiment_step *step, unsigned end, int64_t otherwise)
{
	const char *text = params_is_set(&entry->ramp, end) ? params_text(&entry->ramp, end) : NULL;
	const bool is_share = params_number(&entry->ramp, end, otherwise) >= 0;
	struct param_value value = {0};
	struct error err = ERROR_INIT;
	int64_t full, number;
	int index;

	if (!text || (is_share && (!params_is_set(&entry->ramp, RAMP_OF) || !strcmp(text, "0"))))
		return params_number(&entry->ramp, end, otherwise);
	index = find_ramped(reader, entry, step, text);
	if (index < 0)
		return otherwise;
	if (param_parse(&step->ops->params[index], text, &value, &err) < 0) {
		reader_problem(reader, key_of(entry, "ramp"), "'%s' in 'ramp': %s",
			       format_ramp[end].name, err.text);
		return otherwise;
	}
	number = value.number;
	param_value_free(&value);
	full = params_number(&step->params, (unsigned)index, 0);
	if (step->ops->params[index].type == PARAM_RATE) {
		const int64_t swapped = number;

		number = full;
		full = swapped;
	}
	if (number > full || full <= 0) {
		reader_problem(reader, key_of(entry, "ramp"),
			       "'%s' in 'ramp' (%s) is stronger than what the fault says (%s: %s)",
			       format_ramp[end].name, text, step->ops->params[index].name,
			       params_text(&step->params, (unsigned)index));
		return otherwise;
	}
	return (int64_t)(((__int128)number * SHARE_ONE + full / 2) / full);
}

static void read_ramp(struct reader *reader, const struct schedule_entry *entry,
		      struct experiment_step *step, bool is_sound)
{
	struct shape *shape = &step->shape;

	shape->from_ppb = 0;
	shape->to_ppb = SHARE_ONE;
	if (params_is_set(&entry->times, STEP_RAMP)) {
		shape->over_ns = params_number(&entry->times, STEP_RAMP, 0);
	} else if (entry->ramp.settings) {
		if (is_sound) {
			shape->from_ppb = read_end(reader, entry, step, RAMP_FROM, 0);
			shape->to_ppb = read_end(reader, entry, step, RAMP_TO, SHARE_ONE);
		}
		shape->over_ns = params_number(&entry->ramp, RAMP_OVER, 0);
		shape->stairs = (unsigned)params_number(&entry->ramp, RAMP_STEPS, 0);
	}
	shape->over_ns = scaled(reader, entry, shape->over_ns, "ramp");
}

/* `every` with `for` or `repeat`: how many pulses, and how long they take together. */
static void read_pulses(struct reader *reader, const struct schedule_entry *entry,
			struct experiment_step *step)
{
	const struct params *times = &entry->times;
	struct shape *shape = &step->shape;
	int64_t count = params_number(times, STEP_REPEAT, 0);

	shape->every_ns = scaled(reader, entry, params_number(times, STEP_EVERY, 0), "every");
	shape->active_ns = scaled(reader, entry, params_number(times, STEP_ACTIVE, 0), "active");
	if (!tree_find(entry->node, "every")) {
		for (unsigned i = STEP_ACTIVE; i <= STEP_REPEAT; i++)
			if (params_is_set(times, i))
				reader_problem(
					reader, key_of(entry, format_step[i].name),
					"'%s' goes with 'every': the time from one pulse to the "
					"next",
					format_step[i].name);
		return;
	}
	if (count && step->for_ns)
		reader_problem(reader, key_of(entry, "repeat"),
			       "'repeat' and 'for' both say how long the pulses go on; give one "
			       "of the two");
	/* by the times of the file: divided, they may leave room for a bit of one more */
	if (!count && shape->every_ns > 0)
		count = shape_pulses_within(
			&(struct shape){.every_ns = params_number(times, STEP_EVERY, 0)},
			params_number(times, STEP_FOR, 0));
	if (!shape->every_ns)
		return; /* there, but wrong */
	shape->count = count > SHAPE_MAX_INJECTIONS ? SHAPE_MAX_INJECTIONS + 1 : (unsigned)count;
	if (!step->for_ns && shape->active_ns)
		step->for_ns = shape_lasts_ns(shape, 0);
}

static void check_shape(struct reader *reader, const struct schedule_entry *entry,
			const struct experiment_step *step, bool is_instant)
{
	static const char *const keys[] = {"every", "active", "repeat", "ramp"};
	struct error err = ERROR_INIT;
	enum shape_key key = SHAPE_RAMP;

	if (shape_check(&step->shape, step->for_ns, is_instant, &key, &err) < 0) {
		if (!tree_find(entry->node, keys[key])) /* what is missing goes with it */
			key = SHAPE_EVERY;
		reader_problem(reader, key_of(entry, keys[key]), "%s", err.text);
	} else if (step->shape.over_ns && !step->ops->set_level)
		reader_problem(reader, key_of(entry, "ramp"),
			       "'%s' is either there or not: it has no strength that a ramp could "
			       "change",
			       step->ops->name);
}

/* `for`, which some faults have and some have not, depending on their parameters. */
static bool check_for(struct reader *reader, const struct schedule_entry *entry,
		      const struct experiment_step *step, bool is_instant)
{
	const struct tree_node *lasts = tree_find(entry->node, "for");
	bool repeats = tree_find(entry->node, "repeat") != NULL;
	char words[200];

	if (is_instant && lasts) {
		experiment_describe_effects(step, words, sizeof(words));
		reader_problem(reader, lasts->key,
			       "'%s' (%s) acts at once and has no end: remove 'for'",
			       step->ops->name, words);
		return false;
	}
	if (is_instant && tree_find(entry->node, "every") && !repeats) {
		reader_problem(reader, key_of(entry, "every"),
			       "'repeat' is missing: how often '%s' acts, like repeat: 5",
			       step->ops->name);
		return false;
	}
	if (is_instant || lasts || repeats)
		return true;
	reader_problem(reader, entry->node, "'for' is missing: how long '%s' lasts, like for: 30s",
		       step->ops->name);
	return false;
}

void schedule_read(struct reader *reader, const struct schedule_entry *entry,
		   struct experiment_step *step, bool is_sound)
{
	unsigned before = reader->problems->found.count;
	bool is_instant = false;

	if (params_is_set(&entry->times, STEP_NAME))
		step->name = reader_copy(reader, params_text(&entry->times, STEP_NAME));
	step->for_ns = scaled(reader, entry, params_number(&entry->times, STEP_FOR, 0), "for");
	if (step->ops->is_instant && !is_sound)
		return; /* it cannot be told whether it is instant */
	if (step->ops->is_instant)
		is_instant = step->ops->is_instant(&step->params);
	if (!check_for(reader, entry, step, is_instant))
		return;
	read_pulses(reader, entry, step);
	read_ramp(reader, entry, step, is_sound);
	if (reader->problems->found.count == before)
		check_shape(reader, entry, step, is_instant);
}

static bool is_whole(const struct schedule *schedule)
{
	for (unsigned i = 0; i < schedule->count; i++)
		if (schedule->entries[i].step < 0)
			return false;
	return true;
}

/* The entry that `after` names; NULL after a message. */
static struct schedule_entry *find_before(struct reader *reader, struct schedule *schedule,
					  const struct schedule_entry *entry)
{
	const struct param_value *after = params_value(&entry->times, STEP_AFTER, 0);
	const char *names[EXPERIMENT_MAX_STEPS + 1] = {0}, *nearest;
	unsigned count = 0;

	if (strcmp(after->text, "previous") == 0) {
		if (entry > schedule->entries)
			return &schedule->entries[entry - schedule->entries - 1];
		problems_add(reader->problems, after->line, after->column,
			     "there is no previous step: this is the first one");
		return NULL;
	}
	for (unsigned i = 0; i < schedule->count; i++) {
		const char *name = params_text(&schedule->entries[i].times, STEP_NAME);

		if (name && strcmp(name, after->text) == 0)
			return &schedule->entries[i];
		if (name)
			names[count++] = name;
	}
	nearest = names_nearest(names, after->text);
	if (nearest)
		problems_add(reader->problems, after->line, after->column,
			     "there is no step '%.60s'; did you mean '%s'?", after->text, nearest);
	else if (is_whole(schedule))
		problems_add(reader->problems, after->line, after->column,
			     "there is no step '%.60s'; a step gets its name by 'name: %.60s'",
			     after->text, after->text);
	return NULL;
}

/* Follows the chain of `after` back to what is bound already, then binds it forwards: no recursion,
 * the chain may be as long as the file. */
static void bind_entry(struct reader *reader, struct schedule *schedule,
		       struct schedule_entry *entry)
{
	struct experiment_step *steps = reader->experiment->steps;
	struct schedule_entry *chain[EXPERIMENT_MAX_STEPS + 1];
	unsigned length = 0;
	int64_t end_ns = 0;

	for (;;) {
		if (entry->state == SCHEDULE_LOOKED_AT) {
			const struct param_value *after =
				params_value(&entry->times, STEP_AFTER, 0);

			problems_add(reader->problems, after->line, after->column,
				     "'after' leads in a circle: the step waits for itself");
			break;
		}
		if (entry->state == SCHEDULE_BOUND) {
			end_ns = entry->step < 0 ? 0 : experiment_step_end_ns(&steps[entry->step]);
			break;
		}
		entry->state = SCHEDULE_LOOKED_AT;
		chain[length++] = entry;
		if (!params_is_set(&entry->times, STEP_AFTER))
			break;
		entry = find_before(reader, schedule, entry);
		if (!entry)
			break;
	}
	while (length--) {
		entry = chain[length];
		entry->state = SCHEDULE_BOUND;
		if (entry->step < 0)
			continue;
		steps[entry->step].at_ns = end_ns + params_number(&entry->times, STEP_AT, 0) /
							    reader->experiment->time_scale;
		end_ns = experiment_step_end_ns(&steps[entry->step]);
	}
}

static void check_end(struct reader *reader, const struct schedule_entry *entry)
{
	const struct experiment *experiment = reader->experiment;
	int64_t limit = experiment->limits.duration_ns;
	int64_t end = experiment_step_end_ns(&experiment->steps[entry->step]);
	char end_text[QUANTITY_TEXT_SIZE], limit_text[QUANTITY_TEXT_SIZE];

	/* 0: the limit itself is missing or wrong, which was said */
	if (limit && end > limit)
		reader_problem(reader, entry->node,
			       "the step ends after %s, but 'limits' allows the whole run only %s",
			       quantity_format_duration(end, end_text),
			       quantity_format_duration(limit, limit_text));
}

static void check_names(struct reader *reader, const struct schedule *schedule)
{
	for (unsigned i = 0; i < schedule->count; i++) {
		const struct param_value *name =
			params_value(&schedule->entries[i].times, STEP_NAME, 0);

		if (name && strcmp(name->text, "previous") == 0)
			problems_add(
				reader->problems, name->line, name->column,
				"'previous' cannot be the name of a step: it stands for the one "
				"before");
		for (unsigned j = 0; name && j < i; j++) {
			const struct param_value *other =
				params_value(&schedule->entries[j].times, STEP_NAME, 0);

			if (other && strcmp(other->text, name->text) == 0) {
				problems_add(reader->problems, name->line, name->column,
					     "the step in line %d has the name '%.60s', too",
					     TREE_LINE(other->line), name->text);
				break;
			}
		}
	}
}

static void check_total(struct reader *reader, const struct schedule *schedule)
{
	const struct experiment *experiment = reader->experiment;
	unsigned total = 0;

	for (unsigned i = 0; i < schedule->count; i++) {
		const struct schedule_entry *entry = &schedule->entries[i];

		if (entry->step < 0)
			continue;
		total += shape_injections(&experiment->steps[entry->step].shape);
		if (shape_injections(&experiment->steps[entry->step].shape) > SHAPE_MAX_INJECTIONS)
			return; /* said already */
		if (total > SHAPE_MAX_INJECTIONS) {
			reader_problem(reader, entry->node,
				       "with this step there are %u pulses and faults; at most %d "
				       "are allowed in all steps together",
				       total, SHAPE_MAX_INJECTIONS);
			return;
		}
	}
}

void schedule_bind(struct reader *reader, struct schedule *schedule)
{
	unsigned before = reader->problems->found.count;

	check_names(reader, schedule);
	for (unsigned i = 0; i < schedule->count; i++)
		bind_entry(reader, schedule, &schedule->entries[i]);
	for (unsigned i = 0; i < schedule->count; i++)
		if (schedule->entries[i].step >= 0)
			check_end(reader, &schedule->entries[i]);
	if (reader->problems->found.count == before)
		check_total(reader, schedule);
}
