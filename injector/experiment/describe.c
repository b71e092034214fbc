/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A step in words, from the tables alone: what is done, then to what. For people, not for parsing.
 */
#include "injector/experiment/model.h"

#include "injector/base/clock.h"
#include "injector/base/prose.h"

#include <stdio.h>
#include <string.h>

#define LIST_SHOWN 3 /* values of a list in words */

static void say_values(struct prose *prose, const struct params *params, unsigned index)
{
	unsigned count = params_count(params, index);

	if (params->table[index].flags & PARAM_FILE)
		count = 1;
	for (unsigned i = 0; i < count && i < LIST_SHOWN; i++) {
		const char *text = params_value(params, index, i)->text;
		const char *quote = !*text || strpbrk(text, " ,") ? "'" : "";

		prose_say(prose, "%s%s%s%s", i ? ", " : "", quote, text, quote);
	}
	if (count > LIST_SHOWN)
		prose_say(prose, " and %u more", count - LIST_SHOWN);
}

static void say_setting(struct prose *prose, const struct params *params, unsigned index)
{
	const struct param *param = &params->table[index];

	if (param->type == PARAM_BOOL) {
		prose_say(prose, "%s%s", params_number(params, index, 0) ? "" : "no ", param->name);
		return;
	}
	prose_say(prose, "%s ", param->name);
	say_values(prose, params, index);
}

/* "pause" says more than "action pause", also when it is the default. */
static bool is_verb(const struct param *param)
{
	return param->type == PARAM_WORD && strcmp(param->name, "action") == 0;
}

/* Which way the packets go says more about the target than about the effect. */
static bool is_direction(const struct param *param)
{
	return param->type == PARAM_WORD && strcmp(param->name, "direction") == 0;
}

static void say_direction(struct prose *prose, const struct experiment_step *step)
{
	for (unsigned i = 0; i < step->params.count; i++)
		if (is_direction(&step->params.table[i]) && params_is_set(&step->params, i)) {
			prose_say(prose, ", ");
			say_setting(prose, &step->params, i);
		}
}

static void say_effects(struct prose *prose, const struct experiment_step *step)
{
	bool is_first = true, has_verb = false;

	for (unsigned i = 0; i < step->params.count; i++) {
		const struct param *param = &step->params.table[i];

		if (param->type == PARAM_TARGET || is_direction(param) ||
		    (!is_verb(param) && !params_is_set(&step->params, i)) ||
		    !params_text(&step->params, i))
			continue;
		if (is_verb(param)) {
			prose_say(prose, "%s", params_text(&step->params, i));
			has_verb = true;
			continue;
		}
		prose_say(prose, "%s", !is_first ? ", " : has_verb ? " (" : "");
		say_setting(prose, &step->params, i);
		is_first = false;
	}
	if (has_verb && !is_first)
		prose_say(prose, ")");
	/* nothing set: the fault's own defaults */
	if (is_first && !has_verb)
		prose_say(prose, "%s", step->ops->name);
}

static void say_traffic(struct prose *prose, const struct params *params)
{
	if (params_is_set(params, TRAFFIC_TO)) {
		prose_say(prose, " to ");
		say_values(prose, params, TRAFFIC_TO);
	} else {
		prose_say(prose, " to any address");
	}
	for (unsigned i = 0; i < params->count; i++) {
		if (i == TRAFFIC_TO || !params_is_set(params, i))
			continue;
		prose_say(prose, ", ");
		say_setting(prose, params, i);
	}
}

static void say_processes(struct prose *prose, const struct params *params)
{
	const char *separator = " processes with ";

	for (unsigned i = 0; i < params->count; i++) {
		if (!params_is_set(params, i))
			continue;
		prose_say(prose, "%s", separator);
		say_setting(prose, params, i);
		separator = ", ";
	}
}

void experiment_describe_effects(const struct experiment_step *step, char *out, size_t size)
{
	struct prose prose;

	prose_begin(&prose, out, size);
	say_effects(&prose, step);
	say_direction(&prose, step);
}

void experiment_describe_step(const struct experiment *experiment, unsigned index, char *out,
			      size_t size)
{
	const struct experiment_step *step = &experiment->steps[index];
	struct prose prose;
	char shape[160];

	prose_begin(&prose, out, size);
	say_effects(&prose, step);
	if (step->target >= experiment->target_count)
		return;
	if (experiment->targets[step->target].kind == TARGET_TRAFFIC) {
		say_traffic(&prose, &experiment->targets[step->target].params);
		say_direction(&prose, step);
	} else if (experiment->targets[step->target].kind == TARGET_FILE) {
		prose_say(&prose, " in %s",
			  params_text(&experiment->targets[step->target].params, FILE_PATH));
	} else {
		say_processes(&prose, &experiment->targets[step->target].params);
	}
	shape_describe(&step->shape, shape, sizeof(shape));
	prose_say(&prose, "%s", shape);
}

void experiment_status_line(const char *what, int64_t since_wall_ns, int64_t until_wall_ns,
			    char *out, size_t size)
{
	char since[CLOCK_DAYTIME_SIZE], until[CLOCK_DAYTIME_SIZE];

	snprintf(out, size, "injected %s since %s%s%s", what,
		 clock_format_daytime(since_wall_ns, since), until_wall_ns ? ", expected end " : "",
		 until_wall_ns ? clock_format_daytime(until_wall_ns, until) : "");
}
