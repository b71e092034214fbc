/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Listens to a run and remembers what counts. May not fail and may not grow without limit: what
 * finds no room is counted, and what is left on the machine is never forgotten (left_lost makes the
 * verdict worse even when the sentence could not be kept). */
#include "injector/run/result.h"

#include "injector/run/verdict.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *const window_names[WINDOW_COUNT] = {"before", "during", "after"};

int result_new(const struct experiment *experiment, const char *run_id, struct run_result **out,
	       struct error *err)
{
	struct run_result *result = calloc(1, sizeof(*result));
	size_t probes = experiment->probe_count ? experiment->probe_count : 1;
	size_t steps = experiment->step_count ? experiment->step_count : 1;

	if (!result)
		return error_errno(err, ENOMEM, "cannot keep a result");
	result->experiment = experiment;
	result->probes = calloc(probes, sizeof(*result->probes));
	result->last_reasons = calloc(probes, sizeof(*result->last_reasons));
	result->steps = calloc(steps, sizeof(*result->steps));
	result->expectations =
		calloc(experiment->expectation_count + 1UL, sizeof(*result->expectations));
	if (!result->expectations || !result->probes || !result->last_reasons || !result->steps) {
		result_free(result);
		return error_errno(err, ENOMEM, "cannot keep a result");
	}
	if (history_init(&result->history, experiment, err) < 0) {
		result_free(result);
		return -ENOMEM;
	}
	strncpy(result->run_id, run_id, sizeof(result->run_id) - 1);
	for (unsigned i = 0; i < experiment->step_count; i++)
		experiment_describe_step(experiment, i, result->steps[i].text,
					 sizeof(result->steps[i].text));
	for (unsigned i = 0; i < experiment->expectation_count; i++)
		result->expectations[i].detected_ns = -1;
	result->score = -1;
	result->stop_latency_ns = -1;
	result->recovery_ns = -1;
	result->command_status = -1;
	*out = result;
	return 0;
}

void result_free(struct run_result *result)
{
	if (!result)
		return;
	for (unsigned i = 0; result->probes && i < result->experiment->probe_count; i++)
		for (unsigned w = 0; w < WINDOW_COUNT; w++)
			histogram_free(&result->probes[i][w].latencies);
	history_free(&result->history);
	free(result->probes);
	free(result->last_reasons);
	free(result->steps);
	free(result->expectations);
	free(result->lines);
	free(result->notes);
	free(result->left);
	free(result);
}

static void copy_text(char *out, size_t size, const char *text)
{
	size_t length = strnlen(text ? text : "", size - 1);

	if (length)
		memcpy(out, text, length);
	out[length] = '\0';
}

/* Makes room for one more of `list`; NULL: no memory, or `most` are there. */
static void *grow(void *list, unsigned count, unsigned *capacity, unsigned most, size_t size)
{
	unsigned wanted = *capacity ? *capacity * 2 : 16;
	void *grown;

	if (count < *capacity)
		return list;
	if (count >= most)
		return NULL;
	grown = realloc(list, wanted * size);
	if (grown)
		*capacity = wanted;
	return grown;
}

static void add_line(struct result_line **lines, unsigned *count, unsigned *capacity,
		     unsigned *lost, unsigned most, const struct event *event)
{
	struct result_line *grown = grow(*lines, *count, capacity, most, sizeof(**lines));

	if (!grown) {
		(*lost)++;
		return;
	}
	*lines = grown;
	grown += (*count)++;
	*grown = (struct result_line){.kind = (enum plan_kind)event->number, .step = event->step};
	copy_text(grown->text, sizeof(grown->text), event->text);
}

static void add_left(struct run_result *result, const char *text)
{
	char(*grown)[RESULT_LEFT_SIZE] =
		grow(result->left, result->left_count, &result->left_capacity, RESULT_MAX_LEFT,
		     sizeof(*grown));

	if (!grown) {
		result->left_lost++;
		return;
	}
	result->left = grown;
	copy_text(grown[result->left_count++], sizeof(*grown), text);
}

static bool is_in_force(const struct run_result *result)
{
	for (unsigned i = 0; i < result->experiment->step_count; i++) {
		const struct step_result *step = &result->steps[i];

		if (step->was_injected && !step->ended_ns && !run_is_instant(result->experiment, i))
			return true;
	}
	return false;
}

/* The span of WINDOW_DURING ends when the method is over and nothing is in force any more. */
static void end_faults(struct run_result *result, const struct event *event, bool surely)
{
	bool method_is_over = event->phase >= PHASE_RESTORE;

	if (!result->faults_started_ns || result->faults_ended_ns)
		return;
	if (surely || event->phase >= PHASE_RECOVERY || (method_is_over && !is_in_force(result)))
		result->faults_ended_ns = event->time_ns;
}

static enum window window_of(const struct run_result *result, const struct event *event)
{
	if (!result->faults_started_ns)
		return WINDOW_BEFORE;
	if (!result->faults_ended_ns)
		return WINDOW_DURING;
	/* an attempt that began under a fault and was answered behind it */
	return event->sample->started_ns < result->faults_ended_ns ? WINDOW_DURING : WINDOW_AFTER;
}

static void on_sample(struct run_result *result, const struct event *event)
{
	const struct probe_sample *sample = event->sample;
	struct probe_window *window;

	if (!sample || event->probe >= result->experiment->probe_count)
		return;
	window = &result->probes[event->probe][window_of(result, event)];
	window->attempts++;
	window->passed += sample->result == PROBE_PASS;
	window->failed += sample->result == PROBE_FAIL;
	window->unknown += sample->result == PROBE_UNKNOWN;
	if (sample->latency_ns >= 0)
		histogram_add(&window->latencies, sample->latency_ns);
	if (sample->result != PROBE_PASS)
		copy_text(result->last_reasons[event->probe], sizeof(*result->last_reasons),
			  sample->reason);
}

static void on_phase(struct run_result *result, const struct event *event)
{
	if (event->phase == PHASE_METHOD && !result->method_started_ns)
		result->method_started_ns = event->time_ns;
	if (event->phase >= PHASE_RESTORE && result->method_started_ns && !result->method_ended_ns)
		result->method_ended_ns = event->time_ns;
	end_faults(result, event, false);
}

static void on_step(struct run_result *result, const struct event *event)
{
	struct step_result *step = &result->steps[event->step];

	switch (event->kind) {
	case EVENT_INJECTED:
		/* a pulse is injected many times: the first one counts */
		if (!step->was_injected) {
			step->injected_ns = event->time_ns;
			step->inject_took_ns = event->duration_ns;
		}
		step->was_injected = true;
		step->injections++;
		step->is_restored = false;
		step->ended_ns = 0;
		if (event->text && *event->text)
			copy_text(step->text, sizeof(step->text), event->text);
		if (!result->faults_started_ns)
			result->faults_started_ns = event->time_ns;
		break;
	case EVENT_INJECT_FAILED:
		copy_text(step->failure, sizeof(step->failure), event->text);
		break;
	case EVENT_ENDED:
		step->ended_ns = event->time_ns;
		step->end_took_ns = event->duration_ns;
		end_faults(result, event, false);
		break;
	case EVENT_RESTORED:
		step->is_restored = true;
		if (!step->ended_ns && step->was_injected)
			step->ended_ns = event->time_ns;
		end_faults(result, event, false);
		break;
	default:
		step->has_evidence = true;
		step->evidence = *event->evidence;
		step->level_ppb = event->number;
		break;
	}
}

static void on_stop(struct run_result *result, const struct event *event)
{
	if (event->kind == EVENT_BREACH && !result->breach[0])
		copy_text(result->breach, sizeof(result->breach), event->text);
	if (event->kind == EVENT_STOPPING && result->stop_cause == STOP_NONE) {
		bool known = event->number > STOP_NONE && event->number < STOP_CAUSE_COUNT;

		result->stop_cause = known		 ? (enum stop_cause)event->number
				     : result->breach[0] ? STOP_BREACH
							 : STOP_REQUEST;
		copy_text(result->stop_reason, sizeof(result->stop_reason), event->text);
	}
	if (event->kind == EVENT_STOPPED) {
		if (result->stop_cause != STOP_NONE && result->stop_latency_ns < 0)
			result->stop_latency_ns = event->duration_ns;
		end_faults(result, event, true);
	}
}

static void on_event(void *context, const struct event *event)
{
	struct run_result *result = context;

	if (!result->started_ns) {
		result->started_ns = event->time_ns;
		result->started_wall_ns = event->wall_ns;
	}
	result->finished_ns = event->time_ns;
	history_event(&result->history, event);
	switch (event->kind) {
	case EVENT_PLAN:
		add_line(&result->lines, &result->line_count, &result->line_capacity,
			 &result->lines_lost, RESULT_MAX_LINES, event);
		break;
	case EVENT_FOLLOWED:
	case EVENT_NOTE:
		add_line(&result->notes, &result->note_count, &result->note_capacity,
			 &result->notes_lost, RESULT_MAX_NOTES, event);
		break;
	case EVENT_PHASE:
		on_phase(result, event);
		break;
	case EVENT_SAMPLE:
		on_sample(result, event);
		break;
	case EVENT_EVIDENCE:
		if (!event->evidence)
			break;
		/* fall through */
	case EVENT_INJECTED:
	case EVENT_INJECT_FAILED:
	case EVENT_ENDED:
	case EVENT_RESTORED:
		if (event->step < result->experiment->step_count)
			on_step(result, event);
		break;
	case EVENT_BREACH:
	case EVENT_STOPPING:
	case EVENT_STOPPED:
		on_stop(result, event);
		break;
	case EVENT_LEFT:
		add_left(result, event->text);
		break;
	case EVENT_RECOVERED:
		result->is_recovered = event->number != 0;
		result->recovery_ns = result->is_recovered ? event->duration_ns : -1;
		copy_text(result->recovery, sizeof(result->recovery), event->text);
		break;
	case EVENT_COMMAND:
		result->command_status = (int)event->number;
		copy_text(result->command_end, sizeof(result->command_end), event->text);
		break;
	case EVENT_LEVEL:
	case EVENT_ARMED:
	case EVENT_RESULT:
		break;
	}
	expectation_event(result, event);
}

struct event_listener result_listener(struct run_result *result)
{
	return (struct event_listener){.fn = on_event, .context = result};
}

bool run_is_instant(const struct experiment *experiment, unsigned step)
{
	return experiment_is_instant(&experiment->steps[step]);
}

bool result_is_unrestored(const struct run_result *result, unsigned step)
{
	return result->steps[step].was_injected && !result->steps[step].is_restored &&
	       !run_is_instant(result->experiment, step);
}

bool result_is_idle(const struct run_result *result, unsigned step)
{
	const struct step_result *at = &result->steps[step];

	/* a fault that cannot tell what it hits is not accused */
	if (!at->was_injected || !result->experiment->steps[step].ops->evidence)
		return false;
	return !at->has_evidence || at->evidence.hits == 0;
}

/* It says whether to begin at all, and nothing else. */
static bool is_aside(const struct experiment *experiment, unsigned probe)
{
	for (unsigned i = 0; i < experiment->require_before.count; i++)
		if (experiment->require_before.probes[i] == probe)
			return true;
	return false;
}

bool result_is_required(const struct run_result *result, unsigned probe)
{
	const struct experiment_requirement *required = &result->experiment->steady_state;

	for (unsigned i = 0; i < required->count; i++)
		if (required->probes[i] == probe)
			return true;
	return required->count == 0 && !is_aside(result->experiment, probe);
}

void result_finish(struct run_result *result)
{
	expectation_judge(result);
	result->score = expectation_score(result);
	result->was_idle = false;
	for (unsigned i = 0; i < result->experiment->step_count; i++)
		result->was_idle |= result_is_idle(result, i);
	result->verdict = verdict_decide(result, result->experiment->allow_idle, result->why,
					 sizeof(result->why));
}

int64_t result_percentile(const struct probe_window *window, double p)
{
	return histogram_percentile(&window->latencies, p);
}
