/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The whole result as one JSON object. Field names are stable within a schema_version: fields may
 * be added, none is renamed or removed. Times are nanoseconds; null means "not measured". */
#include "injector/base/json.h"

#include "injector/base/clock.h"
#include "injector/report/course.h"
#include "injector/report/report.h"

#include <errno.h>

#define SCHEMA 1

static int64_t since(const struct run_result *result, int64_t time_ns)
{
	return time_ns ? time_ns - result->started_ns : -1;
}

static json_t *window_json(const struct probe_window *window)
{
	static const struct {
		const char *name;
		double p;
	} percentiles[] = {{"p50_ns", 0.5}, {"p90_ns", 0.9}, {"p99_ns", 0.99}, {"p999_ns", 0.999}};
	const struct histogram *latencies = &window->latencies;
	json_t *root = json_object(), *latency = json_object();
	bool any = latencies->count > 0;

	json_object_set_new(root, "attempts", json_integer(window->attempts));
	json_object_set_new(root, "passed", json_integer(window->passed));
	json_object_set_new(root, "failed", json_integer(window->failed));
	json_object_set_new(root, "unknown", json_integer(window->unknown));
	json_object_set_new(latency, "answered", json_integer((json_int_t)latencies->count));
	json_object_set_new(latency, "min_ns", json_count_or_null(any ? latencies->min : -1));
	json_object_set_new(latency, "max_ns", json_count_or_null(any ? latencies->max : -1));
	json_object_set_new(
		latency, "mean_ns",
		json_count_or_null(any ? (int64_t)(latencies->sum / (double)latencies->count)
				       : -1));
	for (unsigned i = 0; i < sizeof(percentiles) / sizeof(*percentiles); i++)
		json_object_set_new(
			latency, percentiles[i].name,
			json_count_or_null(result_percentile(window, percentiles[i].p)));
	json_object_set_new(root, "latency", latency);
	return root;
}

/* What is expected, as it was written: {"status": "200", "latency": "< 1s"}. */
static json_t *expect_json(const struct params *expect)
{
	json_t *root = json_object();

	for (unsigned i = 0; expect->settings && i < expect->count; i++)
		if (params_is_set(expect, i))
			json_object_set_new(root, expect->table[i].name,
					    json_text(params_text(expect, i)));
	return root;
}

static json_t *probes_json(const struct run_result *result)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < result->experiment->probe_count; i++) {
		const struct probe_spec *spec = &result->experiment->probes[i];
		json_t *probe = json_object(), *windows = json_object();

		json_object_set_new(probe, "name", json_text(spec->name));
		json_object_set_new(probe, "kind", json_text(spec->ops->name));
		json_object_set_new(probe, "required", json_boolean(result_is_required(result, i)));
		json_object_set_new(probe, "last_failure", json_text(result->last_reasons[i]));
		json_object_set_new(probe, "every_ns", json_integer(spec->every_ns));
		json_object_set_new(probe, "expect", expect_json(&spec->expect));
		json_object_set_new(probe, "measures",
				    json_string(probe_is_timed(spec->ops) ? "latency" : "value"));
		for (unsigned w = 0; w < WINDOW_COUNT; w++)
			json_object_set_new(windows, window_names[w],
					    window_json(&result->probes[i][w]));
		json_object_set_new(probe, "windows", windows);
		json_object_set_new(probe, "series", course_series(result, i));
		json_array_append_new(list, probe);
	}
	return list;
}

static json_t *evidence_json(const struct step_result *step)
{
	json_t *root;

	if (!step->has_evidence)
		return json_null();
	root = json_object();
	json_object_set_new(root, "hits", json_integer((json_int_t)step->evidence.hits));
	json_object_set_new(root, "dropped", json_integer((json_int_t)step->evidence.dropped));
	json_object_set_new(root, "passed", json_integer((json_int_t)step->evidence.passed));
	json_object_set_new(root, "delayed", json_integer((json_int_t)step->evidence.delayed));
	json_object_set_new(root, "processor_ns", json_integer(step->evidence.processor_ns));
	json_object_set_new(root, "unit", json_text(step->evidence.unit));
	json_object_set_new(root, "detail", json_text(step->evidence.detail));
	return root;
}

static json_t *steps_json(const struct run_result *result)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < result->experiment->step_count; i++) {
		const struct experiment_step *plan = &result->experiment->steps[i];
		const struct step_result *step = &result->steps[i];
		bool lasts = step->was_injected && !run_is_instant(result->experiment, i);
		json_t *root = json_object();

		json_object_set_new(root, "fault", json_text(plan->ops->name));
		json_object_set_new(root, "text", json_text(step->text));
		json_object_set_new(root, "at_ns", json_integer(plan->at_ns));
		json_object_set_new(root, "for_ns", json_integer(plan->for_ns));
		json_object_set_new(root, "name", plan->name ? json_text(plan->name) : json_null());
		json_object_set_new(root, "injected", json_boolean(step->was_injected));
		json_object_set_new(root, "injections", json_integer(step->injections));
		json_object_set_new(root, "failure", json_text(step->failure));
		json_object_set_new(root, "injected_after_ns",
				    json_count_or_null(since(result, step->injected_ns)));
		json_object_set_new(root, "ended_after_ns",
				    json_count_or_null(since(result, step->ended_ns)));
		json_object_set_new(
			root, "inject_took_ns",
			json_count_or_null(step->was_injected ? step->inject_took_ns : -1));
		json_object_set_new(
			root, "end_took_ns",
			json_count_or_null(lasts && step->ended_ns ? step->end_took_ns : -1));
		json_object_set_new(root, "idle", json_boolean(result_is_idle(result, i)));
		json_object_set_new(root, "restored",
				    lasts ? json_boolean(step->is_restored) : json_null());
		json_object_set_new(root, "evidence", evidence_json(step));
		json_object_set_new(root, "windows", course_windows(result, i));
		json_array_append_new(list, root);
	}
	return list;
}

static json_t *plan_json(const struct run_result *result)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < result->line_count; i++) {
		const struct result_line *line = &result->lines[i];
		json_t *root = json_object();

		json_object_set_new(root, "step", json_integer(line->step));
		json_object_set_new(
			root, "kind",
			json_string(plan_kind_names[line->kind < PLAN_KIND_COUNT ? line->kind
										 : PLAN_NOTE]));
		json_object_set_new(root, "text", json_text(line->text));
		json_array_append_new(list, root);
	}
	return list;
}

static json_t *texts_json(const struct run_result *result, bool left)
{
	json_t *list = json_array();
	unsigned count = left ? result->left_count : result->note_count;

	for (unsigned i = 0; i < count; i++)
		json_array_append_new(list,
				      json_text(left ? result->left[i] : result->notes[i].text));
	return list;
}

static json_t *stop_json(const struct run_result *result)
{
	json_t *root;

	if (result->stop_cause == STOP_NONE)
		return json_null();
	root = json_object();
	json_object_set_new(root, "cause", json_string(stop_cause_names[result->stop_cause]));
	json_object_set_new(root, "reason", json_text(result->stop_reason));
	json_object_set_new(root, "breach", json_text(result->breach));
	json_object_set_new(root, "latency_ns", json_count_or_null(result->stop_latency_ns));
	return root;
}

/* What it was made from, so that the same can be run again. Secrets have their name alone. */
static json_t *experiment_json(const struct experiment *experiment)
{
	json_t *root = json_object(), *sources = json_array(), *variables = json_array();

	for (unsigned i = 0; i < experiment->source_count; i++)
		json_array_append_new(sources,
				      json_pack("{s:o, s:o}", "path",
						json_text(experiment->sources[i].path), "text",
						json_text(experiment->sources[i].text)));
	for (unsigned i = 0; i < experiment->variable_count; i++) {
		const struct experiment_variable *variable = &experiment->variables[i];

		json_array_append_new(variables, json_pack("{s:o, s:o, s:b, s:s}", "name",
							   json_text(variable->name), "value",
							   variable->value && !*variable->value
								   ? json_string("")
								   : json_text(variable->value),
							   "secret", variable->is_secret, "origin",
							   variable->origin));
	}
	json_object_set_new(root, "sources", sources);
	json_object_set_new(root, "variables", variables);
	json_object_set_new(root, "words", json_text(experiment->words));
	return root;
}

static json_t *expectations_json(const struct run_result *result)
{
	const struct experiment *experiment = result->experiment;
	json_t *list = json_array();

	for (unsigned i = 0; i < experiment->expectation_count; i++) {
		const struct experiment_expectation *want = &experiment->expectations[i];
		const struct expectation_result *seen = &result->expectations[i];
		json_t *root = json_object();
		bool detects = want->kind == EXPECTATION_DETECTED;

		json_object_set_new(root, "kind", json_string(expectation_kind_names[want->kind]));
		json_object_set_new(root, "probe", json_text(experiment->probes[want->probe].name));
		json_object_set_new(root, "step",
				    want->step < 0 ? json_null() : json_integer(want->step));
		json_object_set_new(root, "weight", json_integer(want->weight));
		json_object_set_new(root, "met", json_boolean(seen->is_met));
		json_object_set_new(root, "text", json_text(seen->text));
		json_object_set_new(root, "detected_ns",
				    json_count_or_null(detects ? seen->detected_ns : -1));
		json_object_set_new(root, "attempts",
				    detects ? json_null() : json_integer(seen->attempts));
		json_object_set_new(root, "passed",
				    detects ? json_null() : json_integer(seen->passed));
		json_array_append_new(list, root);
	}
	return list;
}

static json_t *recovery_json(const struct run_result *result)
{
	json_t *root;

	if (!result->experiment->recovery.count)
		return json_null();
	root = json_object();
	json_object_set_new(root, "recovered", json_boolean(result->is_recovered));
	json_object_set_new(root, "took_ns", json_count_or_null(result->recovery_ns));
	json_object_set_new(root, "within_ns",
			    json_integer(result->experiment->recovery.within_ns));
	json_object_set_new(root, "text", json_text(result->recovery));
	return root;
}

static void add_head(json_t *root, const struct run_result *result)
{
	char started[40];

	clock_format_wall(result->started_wall_ns, started, sizeof(started));
	json_object_set_new(root, "schema_version", json_integer(SCHEMA));
	json_object_set_new(root, "squall_version", json_string(SQUALL_VERSION));
	json_object_set_new(root, "run", json_text(result->run_id));
	json_object_set_new(root, "file", json_text(result->experiment->path));
	json_object_set_new(root, "title", json_text(result->experiment->title));
	json_object_set_new(root, "hypothesis", json_text(result->experiment->hypothesis));
	json_object_set_new(root, "source", json_text(result->experiment->source));
	json_object_set_new(root, "time_scale", json_integer(result->experiment->time_scale));
	json_object_set_new(root, "verdict", json_string(verdict_names[result->verdict]));
	json_object_set_new(root, "exit_code", json_integer(result->verdict));
	json_object_set_new(root, "why", json_text(result->why));
	json_object_set_new(root, "started", json_string(started));
	json_object_set_new(root, "took_ns",
			    json_integer(result->finished_ns - result->started_ns));
}

json_t *report_build(const struct run_result *result)
{
	json_t *root = json_object();

	add_head(root, result);
	json_object_set_new(root, "environment", course_environment());
	json_object_set_new(root, "method_started_after_ns",
			    json_count_or_null(since(result, result->method_started_ns)));
	json_object_set_new(root, "method_ended_after_ns",
			    json_count_or_null(since(result, result->method_ended_ns)));
	json_object_set_new(root, "faults_started_after_ns",
			    json_count_or_null(since(result, result->faults_started_ns)));
	json_object_set_new(root, "faults_ended_after_ns",
			    json_count_or_null(since(result, result->faults_ended_ns)));
	json_object_set_new(root, "idle", json_boolean(result->was_idle));
	json_object_set_new(root, "stop", stop_json(result));
	json_object_set_new(root, "recovery", recovery_json(result));
	json_object_set_new(root, "seed", json_integer(result->experiment->seed));
	json_object_set_new(root, "experiment", experiment_json(result->experiment));
	json_object_set_new(root, "expectations", expectations_json(result));
	json_object_set_new(root, "score", json_count_or_null(result->score));
	json_object_set_new(root, "command_status", json_count_or_null(result->command_status));
	json_object_set_new(root, "command_end", json_text(result->command_end));
	json_object_set_new(root, "probes", probes_json(result));
	json_object_set_new(root, "steps", steps_json(result));
	json_object_set_new(root, "plan", plan_json(result));
	json_object_set_new(root, "plan_lines_lost", json_integer(result->lines_lost));
	json_object_set_new(root, "notes", texts_json(result, false));
	json_object_set_new(root, "left", texts_json(result, true));
	json_object_set_new(root, "left_lost", json_integer(result->left_lost));
	json_object_set_new(root, "log", course_log(result));
	json_object_set_new(root, "log_lost", json_integer(history_lost(&result->history)));
	return root;
}
