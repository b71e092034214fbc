/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The experiment itself: ownership and questions about it. No YAML in here, no side effects.
 */
#include "injector/experiment/model.h"

#include "injector/experiment/include.h"
#include "injector/experiment/inputs.h"

#include <errno.h>
#include <stdlib.h>

static void free_probe(struct probe_spec *probe)
{
	free(probe->name);
	for (unsigned i = 0; i < probe->subject_count; i++)
		free(probe->subject[i]);
	free(probe->subject);
	params_free(&probe->params);
	params_free(&probe->expect);
}

void experiment_free(struct experiment *experiment)
{
	if (!experiment)
		return;
	for (unsigned i = 0; i < experiment->target_count; i++) {
		free(experiment->targets[i].name);
		params_free(&experiment->targets[i].params);
	}
	for (unsigned i = 0; i < experiment->probe_count; i++)
		free_probe(&experiment->probes[i]);
	for (unsigned i = 0; i < experiment->step_count; i++) {
		params_free(&experiment->steps[i].params);
		free(experiment->steps[i].name);
	}
	for (unsigned i = 0; i < experiment->variable_count; i++) {
		free(experiment->variables[i].name);
		free(experiment->variables[i].value);
	}
	free(experiment->variables);
	for (unsigned i = 0; i < experiment->notification_count; i++)
		params_free(&experiment->notifications[i].params);
	free(experiment->notifications);
	for (unsigned i = 0; i < experiment->source_count; i++) {
		free(experiment->sources[i].path);
		free(experiment->sources[i].text);
	}
	free(experiment->sources);
	free(experiment->words);
	free(experiment->limits.window_text);
	free(experiment->targets);
	free(experiment->probes);
	free(experiment->steps);
	free(experiment->aborts);
	free(experiment->expectations);
	free(experiment->require_before.probes);
	free(experiment->steady_state.probes);
	free(experiment->steady_state.each_ns);
	free(experiment->recovery.probes);
	free(experiment->path);
	free(experiment->title);
	free(experiment->hypothesis);
	free(experiment->source);
	*experiment = (struct experiment){0};
}

bool experiment_is_instant(const struct experiment_step *step)
{
	return step->ops->is_instant && step->ops->is_instant(&step->params);
}

int64_t experiment_step_end_ns(const struct experiment_step *step)
{
	return step->at_ns + shape_lasts_ns(&step->shape, step->for_ns);
}

int64_t experiment_method_ns(const struct experiment *experiment)
{
	int64_t end = 0;

	for (unsigned i = 0; i < experiment->step_count; i++)
		if (experiment_step_end_ns(&experiment->steps[i]) > end)
			end = experiment_step_end_ns(&experiment->steps[i]);
	return end;
}

enum experiment_key experiment_find_key(const struct fault_ops *ops, const char *key,
					unsigned *out_index)
{
	const struct param *selector = target_params(ops->target_kind);
	int index = params_find(ops->params, key);

	if (index >= 0) {
		*out_index = (unsigned)index;
		return KEY_OF_FAULT;
	}
	index = selector ? params_find(selector, key) : -1;
	if (index < 0)
		return KEY_UNKNOWN;
	*out_index = (unsigned)index;
	return KEY_OF_TARGET;
}

bool experiment_target_selects(const struct experiment_target *target)
{
	if (target->kind != TARGET_PROCESS)
		return true;
	for (unsigned i = PROCESS_PID; i <= PROCESS_PORT; i++)
		if (params_is_set(&target->params, i))
			return true;
	return false;
}

struct reading {
	const struct experiment *experiment;
	const struct experiment_inputs *inputs;
};

static int read_beside(void *context, const char *name, size_t max, char **out_text,
		       size_t *out_length, struct error *err)
{
	const struct reading *reading = context;
	const struct experiment_inputs *inputs = reading->inputs;
	char *path;
	int result;

	if (!inputs || !inputs->read)
		return error_set(err, EINVAL, "no file can be read here");
	path = include_path(reading->experiment->path, name);
	if (!path)
		return error_errno(err, ENOMEM, "%s", name);
	result = inputs->read(inputs->context, path, max, out_text, out_length, err);
	free(path);
	return result;
}

int experiment_check_fault(const struct experiment *experiment, struct experiment_step *step,
			   const struct experiment_inputs *inputs, struct error *err)
{
	struct reading reading = {.experiment = experiment, .inputs = inputs};
	const struct fault_files files = {.read = read_beside, .context = &reading};
	int result = 0;

	if (step->ops->load)
		result = step->ops->load(&step->params, &files, err);
	if (result == 0 && step->ops->check)
		result = step->ops->check(&step->params, err);
	return result;
}
