/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What traffic targets say about other targets and about the faults that use them: looked at when
 * all of them are known.
 */
#include "injector/experiment/reader.h"

#include "faults/target_follow.h"

#include <errno.h>
#include <string.h>

/* What is wrong with a target's parameter, at its first value. */
static void add_problem(struct reader *reader, const struct experiment_target *target,
			unsigned param, const struct error *err)
{
	const struct param_value *value = params_value(&target->params, param, 0);

	problems_add(reader->problems, value->line, value->column, "%s%s%s", err->text,
		     err->remedy[0] ? "; remedy: " : "", err->remedy);
}

/* The fault of that step is for this target. */
static bool is_for(const struct experiment *experiment, const struct experiment_step *step,
		   const struct experiment_target *target)
{
	return step->ops && step->target == (unsigned)(target - experiment->targets);
}

/* namespace: target:NAME of a traffic or file target names a process target. */
static void check_namespace(struct reader *reader, const struct param_value *value)
{
	int index;

	if (strncmp(value->text, "target:", 7) != 0)
		return;
	index = reader_find_target(reader, value->text + 7, value->line, value->column);
	if (index >= 0 && reader->experiment->targets[index].kind == TARGET_TRAFFIC)
		problems_add(reader->problems, value->line, value->column,
			     "namespace: target '%s' selects traffic; only processes have a "
			     "namespace",
			     value->text + 7);
}

static void check_namespaces(struct reader *reader, const struct experiment_target *target)
{
	const unsigned key = target->kind == TARGET_FILE ? FILE_NAMESPACE : TRAFFIC_NAMESPACE;

	for (unsigned i = 0; i < params_count(&target->params, key); i++)
		check_namespace(reader, params_value(&target->params, key, i));
}

/* of: NAME of a traffic target names a process target; and one of the four ways is enough. */
static void check_owner(struct reader *reader, const struct experiment_target *target)
{
	static const unsigned ways[] = {TRAFFIC_CGROUP, TRAFFIC_UNIT, TRAFFIC_CONTAINER,
					TRAFFIC_OF};
	const struct experiment *experiment = reader->experiment;
	const struct param_value *value = NULL;
	const char *first = NULL;
	int index;

	for (unsigned w = 0; w < sizeof(ways) / sizeof(*ways); w++) {
		value = params_value(&target->params, ways[w], 0);
		if (value && first)
			problems_add(reader->problems, value->line, value->column,
				     "%s and %s: whose traffic it is can be said in one way only",
				     first, traffic_params[ways[w]].name);
		else if (value)
			first = traffic_params[ways[w]].name;
	}
	if (!value) /* of `of`, the last one */
		return;
	index = reader_find_target(reader, value->text, value->line, value->column);
	if (index >= 0 && experiment->targets[index].kind != TARGET_PROCESS &&
	    experiment->targets[index].kind != TARGET_NONE)
		problems_add(reader->problems, value->line, value->column,
			     "of: target '%s' selects no processes", value->text);
}

/* follow: true needs a name, and a fault that can. */
static void check_follow(struct reader *reader, const struct experiment_target *target)
{
	const unsigned key = target->kind == TARGET_PROCESS ? PROCESS_FOLLOW : TRAFFIC_FOLLOW;
	const struct experiment *experiment = reader->experiment;
	struct error err = ERROR_INIT;

	if (target_check_follow(&target->params, &err) < 0)
		add_problem(reader, target, key, &err);
	for (unsigned s = 0; s < experiment->step_count; s++) {
		const struct experiment_step *step = &experiment->steps[s];

		if (is_for(experiment, step, target) &&
		    fault_check_follow(step->ops, &target->params, &err) < 0)
			add_problem(reader, target, key, &err);
	}
}

/* What came from a file has no place in this one, and what is missing has none at all. */
static void blame(struct reader *reader, const struct experiment_target *target,
		  const struct param_value *value, const char *who, const struct error *err)
{
	const bool has_place = value && value->line > 0;

	problems_add(reader->problems, has_place ? value->line : target->line,
		     has_place ? value->column : target->column, "%s%s%s%s%s", who,
		     *who ? ": " : "", err->text, err->remedy[0] ? "; remedy: " : "", err->remedy);
}

/* What selects nothing. */
static void check_selector(struct reader *reader, const struct experiment_target *target)
{
	const struct param_value *blamed = NULL;
	struct error err = ERROR_INIT;

	if (target_check_selector(&target->params, &blamed, &err) < 0)
		blame(reader, target, blamed, "", &err);
}

/* share-of without a share. */
static void check_companions(struct reader *reader, const struct experiment_target *target)
{
	struct error err = ERROR_INIT;
	unsigned key;

	if (target_check_companions(&target->params, &key, &err) < 0)
		add_problem(reader, target, key, &err);
}

/* tcp-flags: no other protocol, and a fault that sees packets. */
static void check_tcp_flags(struct reader *reader, const struct experiment_target *target)
{
	const struct experiment *experiment = reader->experiment;
	struct error err = ERROR_INIT;

	if (!params_count(&target->params, TRAFFIC_TCP_FLAGS))
		return;
	if (target_check_tcp_flags(&target->params, NULL, &err) < 0)
		add_problem(reader, target, TRAFFIC_TCP_FLAGS, &err);
	for (unsigned s = 0; s < experiment->step_count; s++) {
		const struct experiment_step *step = &experiment->steps[s];

		if (is_for(experiment, step, target) && !step->ops->sees_packets &&
		    target_check_tcp_flags(&target->params, step->ops->name, &err) < 0)
			add_problem(reader, target, TRAFFIC_TCP_FLAGS, &err);
	}
}

/* What a fault has no use for. */
static void check_use(struct reader *reader)
{
	const struct experiment *experiment = reader->experiment;

	for (unsigned s = 0; s < experiment->step_count; s++) {
		const struct experiment_step *step = &experiment->steps[s];
		const struct experiment_target *target = NULL;
		const struct param_value *blamed = NULL;
		struct error err = ERROR_INIT;

		if (step->target < experiment->target_count)
			target = &experiment->targets[step->target];
		if (!target || !target->params.settings || !step->ops ||
		    target->kind != step->ops->target_kind ||
		    fault_check_target(step->ops, &step->params, &target->params, &blamed, &err) ==
			    0)
			continue;
		/* what is missing may be there, and be wrong */
		if (blamed || !reader->problems->found.count)
			blame(reader, target, blamed, step->ops->name, &err);
	}
}

void reader_check_targets(struct reader *reader)
{
	const struct experiment *experiment = reader->experiment;

	check_use(reader);
	for (unsigned i = 0; i < experiment->target_count; i++) {
		const struct experiment_target *target = &experiment->targets[i];

		if (!target->params.settings)
			continue;
		if (target->kind == TARGET_TRAFFIC)
			check_tcp_flags(reader, target);
		if (target->kind == TARGET_TRAFFIC || target->kind == TARGET_FILE)
			check_namespaces(reader, target);
		if (target->kind != TARGET_FILE)
			check_follow(reader, target);
		if (target->kind != TARGET_TRAFFIC)
			continue;
		check_selector(reader, target);
		check_companions(reader, target);
		check_owner(reader, target);
	}
}
