/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One JSON object a line for every event. Field names are stable: a field may be added, none is
 * renamed. Only ASCII is written, with strict escaping, so a line can neither break nor command a
 * terminal. */
#include "injector/base/json.h"

#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/base/quantity.h"
#include "injector/run/result.h"
#include "injector/view/part.h"

#include <math.h>
#include <string.h>

#define SCHEMA 1

static int json_open(struct view *view, struct error *err)
{
	(void)view;
	(void)err;
	return 0;
}

static void json_close(struct view *view)
{
	(void)view;
}

static void add_sample(json_t *root, const struct probe_sample *sample)
{
	json_object_set_new(root, "result", json_string(probe_result_names[sample->result]));
	json_object_set_new(root, "started_ns", json_integer(sample->started_ns));
	json_object_set_new(root, "latency_ns", json_count_or_null(sample->latency_ns));
	json_object_set_new(root, "value",
			    isfinite(sample->value) ? json_real(sample->value) : json_null());
	json_object_set_new(root, "reason", json_text(sample->reason));
}

static void add_evidence(json_t *root, const struct evidence *evidence)
{
	json_object_set_new(root, "hits", json_integer((json_int_t)evidence->hits));
	json_object_set_new(root, "dropped", json_integer((json_int_t)evidence->dropped));
	json_object_set_new(root, "passed", json_integer((json_int_t)evidence->passed));
	json_object_set_new(root, "delayed", json_integer((json_int_t)evidence->delayed));
	json_object_set_new(root, "processor_ns", json_integer(evidence->processor_ns));
	json_object_set_new(root, "unit", json_text(evidence->unit));
	json_object_set_new(root, "detail", json_text(evidence->detail));
}

/* 1: as strong as the parameters say. */
static void add_level(json_t *root, const struct event *event)
{
	json_object_set_new(root, "level", json_real((double)event->number / SHARE_ONE));
}

static void add_result(json_t *root, const struct run_result *result)
{
	json_object_set_new(root, "run", json_text(result->run_id));
	json_object_set_new(root, "verdict", json_string(verdict_names[result->verdict]));
	json_object_set_new(root, "exit_code", json_integer(result->verdict));
	json_object_set_new(root, "why", json_text(result->why));
	json_object_set_new(root, "stop_latency_ns", json_count_or_null(result->stop_latency_ns));
	json_object_set_new(root, "recovery_ns", json_count_or_null(result->recovery_ns));
}

static void add_step(json_t *root, const struct experiment *experiment, unsigned step)
{
	json_object_set_new(root, "step", json_integer(step));
	if (step < experiment->step_count)
		json_object_set_new(root, "fault", json_text(experiment->steps[step].ops->name));
}

static void add_probe(json_t *root, const struct experiment *experiment, unsigned probe)
{
	if (probe < experiment->probe_count)
		json_object_set_new(root, "probe", json_text(experiment->probes[probe].name));
}

static void add_details(json_t *root, const struct experiment *experiment,
			const struct event *event)
{
	switch (event->kind) {
	case EVENT_PLAN:
		add_step(root, experiment, event->step);
		if (event->number >= PLAN_TARGET && event->number < PLAN_KIND_COUNT)
			json_object_set_new(root, "line",
					    json_string(plan_kind_names[event->number]));
		break;
	case EVENT_ARMED:
		json_object_set_new(root, "schema_version", json_integer(SCHEMA));
		json_object_set_new(root, "run", json_text(event->text));
		json_object_set_new(root, "title", json_text(experiment->title));
		json_object_set_new(root, "hypothesis", json_text(experiment->hypothesis));
		break;
	case EVENT_SAMPLE:
		add_probe(root, experiment, event->probe);
		if (event->sample)
			add_sample(root, event->sample);
		break;
	case EVENT_EVIDENCE:
		add_step(root, experiment, event->step);
		if (event->evidence)
			add_evidence(root, event->evidence);
		add_level(root, event);
		break;
	case EVENT_FOLLOWED:
		add_step(root, experiment, event->step);
		json_object_set_new(root, "changed", json_boolean(event->number != 0));
		break;
	case EVENT_LEVEL:
		add_step(root, experiment, event->step);
		add_level(root, event);
		break;
	case EVENT_INJECTED:
	case EVENT_ENDED:
		json_object_set_new(root, "duration_ns", json_integer(event->duration_ns));
		/* fall through */
	case EVENT_INJECT_FAILED:
	case EVENT_RESTORED:
		add_step(root, experiment, event->step);
		break;
	case EVENT_BREACH:
		add_probe(root, experiment, event->probe);
		break;
	case EVENT_STOPPING:
		if (event->number >= 0 && event->number < STOP_CAUSE_COUNT)
			json_object_set_new(root, "cause",
					    json_string(stop_cause_names[event->number]));
		break;
	case EVENT_STOPPED:
		json_object_set_new(root, "duration_ns", json_integer(event->duration_ns));
		break;
	case EVENT_RECOVERED:
		json_object_set_new(root, "in_time", json_boolean(event->number != 0));
		json_object_set_new(root, "duration_ns", json_integer(event->duration_ns));
		break;
	case EVENT_COMMAND:
		json_object_set_new(root, "status", json_integer(event->number));
		json_object_set_new(root, "duration_ns", json_integer(event->duration_ns));
		break;
	case EVENT_RESULT:
		if (event->result)
			add_result(root, event->result);
		break;
	case EVENT_PHASE:
	case EVENT_LEFT:
	case EVENT_NOTE:
		break;
	}
}

static void write_line(struct view *view, json_t *root)
{
	cleanup_free char *text = json_dumps(root, JSON_COMPACT | JSON_ENSURE_ASCII);
	cleanup_free char *line = NULL;
	int length = text ? asprintf(&line, "%s\n", text) : -1;

	json_decref(root);
	if (length < 0) {
		line = NULL; /* its value is undefined then, see asprintf(3) */
		return;
	}
	output_write(view->output, line, (size_t)length);
}

static json_t *new_object(const struct view *view, const struct event *event, const char *name)
{
	json_t *root = json_object();
	char wall[40];

	clock_format_wall(event->wall_ns, wall, sizeof(wall));
	json_object_set_new(root, "time", json_string(wall));
	json_object_set_new(root, "elapsed_ns", json_integer(event->time_ns - view->started_ns));
	json_object_set_new(root, "event", json_string(name));
	json_object_set_new(root, "phase", json_string(run_phase_names[event->phase]));
	return root;
}

static void json_event(struct view *view, const struct event *event)
{
	unsigned lost = output_take_lost(view->output);
	json_t *root;

	if (lost) {
		root = new_object(view, event, "lost");
		json_object_set_new(root, "count", json_integer(lost));
		write_line(view, root);
	}
	root = new_object(view, event, event_kind_names[event->kind]);
	add_details(root, view->experiment, event);
	if (event->text && *event->text && event->kind != EVENT_ARMED)
		json_object_set_new(root, "text", json_text(event->text));
	write_line(view, root);
}

const struct view_part json_view = {
	.open = json_open,
	.event = json_event,
	.close = json_close,
};
