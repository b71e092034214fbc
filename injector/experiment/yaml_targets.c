/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What traffic targets say about other targets and about the faults that use them: looked at when
 * all of them are known.
 */
#include "injector/experiment/reader.h"

#include "faults/target_follow.h"

#include <string.h>

/* namespace: target:NAME of a traffic target names a process target. */
static void check_namespaces(struct reader *reader)
{
	const struct experiment *experiment = reader->experiment;

	for (unsigned i = 0; i < experiment->target_count; i++) {
		const struct experiment_target *target = &experiment->targets[i];
		const struct param_value *value;
		int index;

		if ((target->kind != TARGET_TRAFFIC && target->kind != TARGET_FILE) ||
		    !target->params.settings)
			continue;
		value = params_value(
			&target->params,
			target->kind == TARGET_FILE ? FILE_NAMESPACE : TRAFFIC_NAMESPACE, 0);
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

/* of: NAME of a traffic target names a process target; and one of the four ways is enough. */
static void check_owners(struct reader *reader)
{
	static const unsigned ways[] = {TRAFFIC_CGROUP, TRAFFIC_UNIT, TRAFFIC_CONTAINER,
					TRAFFIC_OF};
	const struct experiment *experiment = reader->experiment;

	for (unsigned i = 0; i < experiment->target_count; i++) {
		const struct experiment_target *target = &experiment->targets[i];
		const struct param_value *value = NULL;
		const char *first = NULL;
		int index;

		if (target->kind != TARGET_TRAFFIC || !target->params.settings)
			continue;
		for (unsigned w = 0; w < sizeof(ways) / sizeof(*ways); w++) {
			value = params_value(&target->params, ways[w], 0);
			if (value && first)
				problems_add(
					reader->problems, value->line, value->column,
					"%s and %s: whose traffic it is can be said in one way "
					"only",
					first, traffic_params[ways[w]].name);
			else if (value)
				first = traffic_params[ways[w]].name;
		}
		if (!value) /* of `of`, the last one */
			continue;
		index = reader_find_target(reader, value->text, value->line, value->column);
		if (index >= 0 && experiment->targets[index].kind != TARGET_PROCESS &&
		    experiment->targets[index].kind != TARGET_NONE)
			problems_add(reader->problems, value->line, value->column,
				     "of: target '%s' selects no processes", value->text);
	}
}

/* follow: true needs a name, and a fault that can. */
static void check_follow(struct reader *reader)
{
	const struct experiment *experiment = reader->experiment;

	for (unsigned i = 0; i < experiment->target_count; i++) {
		const struct experiment_target *target = &experiment->targets[i];
		const struct param_value *value;
		struct error err = ERROR_INIT;

		if (target->kind != TARGET_TRAFFIC || !target_follows(&target->params))
			continue;
		value = params_value(&target->params, TRAFFIC_FOLLOW, 0);
		if (target_check_follow(&target->params, &err) < 0)
			problems_add(reader->problems, value->line, value->column, "%s%s%s",
				     err.text, err.remedy[0] ? "; remedy: " : "", err.remedy);
		for (unsigned s = 0; s < experiment->step_count; s++)
			if (experiment->steps[s].target == i && experiment->steps[s].ops &&
			    !experiment->steps[s].ops->follow)
				problems_add(reader->problems, value->line, value->column,
					     TARGET_FOLLOWED_NOT, experiment->steps[s].ops->name);
	}
}

/* No packet can be of both sides. */
static void check_families(struct reader *reader)
{
	const struct experiment *experiment = reader->experiment;

	for (unsigned i = 0; i < experiment->target_count; i++) {
		const struct experiment_target *target = &experiment->targets[i];
		const struct param_value *value;
		struct error err = ERROR_INIT;

		if (target->kind != TARGET_TRAFFIC || !target->params.settings ||
		    target_check_families(&target->params, &err) == 0)
			continue;
		value = params_value(&target->params, TRAFFIC_LOCAL_ADDRESS, 0);
		problems_add(reader->problems, value->line, value->column, "%s", err.text);
	}
}

/* tcp-flags: no other protocol, and a fault that sees packets. */
static void check_tcp_flags(struct reader *reader)
{
	const struct experiment *experiment = reader->experiment;

	for (unsigned i = 0; i < experiment->target_count; i++) {
		const struct experiment_target *target = &experiment->targets[i];
		const struct param_value *value;
		struct error err = ERROR_INIT;

		if (target->kind != TARGET_TRAFFIC || !target->params.settings ||
		    !params_count(&target->params, TRAFFIC_TCP_FLAGS))
			continue;
		value = params_value(&target->params, TRAFFIC_TCP_FLAGS, 0);
		if (target_check_tcp_flags(&target->params, NULL, &err) < 0)
			problems_add(reader->problems, value->line, value->column, "%s", err.text);
		for (unsigned s = 0; s < experiment->step_count; s++) {
			const struct fault_ops *ops = experiment->steps[s].ops;

			if (experiment->steps[s].target == i && ops && !ops->sees_packets &&
			    target_check_tcp_flags(&target->params, ops->name, &err) < 0)
				problems_add(reader->problems, value->line, value->column, "%s",
					     err.text);
		}
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
		if (target && target->params.settings && step->ops && step->ops->check_target &&
		    target->kind == step->ops->target_kind &&
		    step->ops->check_target(&step->params, &target->params, &blamed, &err) < 0)
			problems_add(reader->problems, blamed->line, blamed->column, "%s: %s%s%s",
				     step->ops->name, err.text, err.remedy[0] ? "; remedy: " : "",
				     err.remedy);
	}
}

void reader_check_targets(struct reader *reader)
{
	check_use(reader);
	check_tcp_flags(reader);
	check_namespaces(reader);
	check_families(reader);
	check_follow(reader);
	check_owners(reader);
}
