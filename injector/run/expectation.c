/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * An attempt belongs to the time of a fault when it overlaps it in any part, as in result.h. A
 * detection may come later than that: what was killed is noticed afterwards.
 */
#include "injector/run/expectation.h"

#include "injector/base/quantity.h"
#include "injector/run/result.h"

#include <stdio.h>

const char *const expectation_kind_names[] = {
	[EXPECTATION_HOLDS] = "holds",
	[EXPECTATION_DETECTED] = "detected-within",
	[EXPECTATION_DEGRADES] = "degrades-to",
};

static bool is_meant(const struct experiment_expectation *want, const struct event *event)
{
	return want->step < 0 || event->step == (unsigned)want->step;
}

/* More pulses will come: it is not over. */
static bool has_pulses_left(const struct run_result *result, const struct event *event)
{
	const struct shape *shape = &result->experiment->steps[event->step].shape;

	return shape->every_ns && event->phase == PHASE_METHOD &&
	       result->steps[event->step].injections < shape->count;
}

static void note_step(const struct run_result *result, const struct event *event,
		      const struct experiment_expectation *want, struct expectation_result *seen)
{
	if (!is_meant(want, event))
		return;
	if (event->kind == EVENT_INJECTED) {
		if (!seen->began_ns)
			seen->began_ns = event->time_ns;
		seen->ended_ns = 0;
		return;
	}
	/* of all faults together, and of one that acts at once, the end is that of the method */
	if (want->step >= 0 && !run_is_instant(result->experiment, event->step) &&
	    !has_pulses_left(result, event) && !seen->ended_ns)
		seen->ended_ns = event->time_ns;
}

static void note_sample(const struct run_result *result, const struct event *event,
			const struct experiment_expectation *want, struct expectation_result *seen)
{
	const struct probe_sample *sample = event->sample;
	int64_t ended_ns = seen->ended_ns ? seen->ended_ns : result->faults_ended_ns;

	if (want->kind == EXPECTATION_DETECTED && event->probe == want->probe) {
		bool was_failing = seen->is_failing;

		/* not made is not seen: who cannot ask knows nothing */
		if (sample->result != PROBE_UNKNOWN)
			seen->is_failing = sample->result == PROBE_FAIL;
		/* what failed before and goes on has seen something else */
		if (seen->began_ns && !was_failing && seen->is_failing && seen->detected_ns < 0)
			seen->detected_ns = sample->known_ns > seen->began_ns
						    ? sample->known_ns - seen->began_ns
						    : 0;
		return;
	}
	if (!seen->began_ns || want->kind == EXPECTATION_DETECTED ||
	    event->probe != (want->kind == EXPECTATION_HOLDS ? want->probe : want->fallback) ||
	    (ended_ns && sample->started_ns >= ended_ns))
		return;
	seen->attempts++;
	seen->passed += sample->result == PROBE_PASS;
}

void expectation_event(struct run_result *result, const struct event *event)
{
	const struct experiment *experiment = result->experiment;

	for (unsigned i = 0; i < experiment->expectation_count; i++) {
		const struct experiment_expectation *want = &experiment->expectations[i];
		struct expectation_result *seen = &result->expectations[i];

		if ((event->kind == EVENT_INJECTED || event->kind == EVENT_ENDED) &&
		    event->step < experiment->step_count)
			note_step(result, event, want, seen);
		else if (event->kind == EVENT_SAMPLE && event->sample)
			note_sample(result, event, want, seen);
	}
}

int64_t expectation_pending_ns(const struct run_result *result)
{
	const struct experiment *experiment = result->experiment;
	int64_t until_ns = 0;

	for (unsigned i = 0; i < experiment->expectation_count; i++) {
		const struct experiment_expectation *want = &experiment->expectations[i];
		const struct expectation_result *seen = &result->expectations[i];

		if (want->kind == EXPECTATION_DETECTED && seen->began_ns && seen->detected_ns < 0 &&
		    seen->began_ns + want->within_ns > until_ns)
			until_ns = seen->began_ns + want->within_ns;
	}
	return until_ns;
}

static void judge_detection(const struct experiment_expectation *want, const char *probe,
			    struct expectation_result *seen)
{
	char within[QUANTITY_TEXT_SIZE], took[QUANTITY_TEXT_SIZE];

	quantity_format_duration(want->within_ns, within);
	seen->is_met = seen->detected_ns >= 0 && seen->detected_ns <= want->within_ns;
	if (seen->detected_ns >= 0)
		snprintf(seen->text, sizeof(seen->text), "%s saw it after %s, %s %s", probe,
			 quantity_format_latency(seen->detected_ns, took),
			 seen->is_met ? "within" : "not within", within);
	else
		snprintf(seen->text, sizeof(seen->text), "%s did not see it within %s%s", probe,
			 within, seen->is_failing ? ": it failed already before" : "");
}

static void judge_holding(const struct experiment *experiment,
			  const struct experiment_expectation *want,
			  struct expectation_result *seen)
{
	const char *probe = experiment->probes[want->probe].name;
	char share[QUANTITY_TEXT_SIZE];
	bool degrades = want->kind == EXPECTATION_DEGRADES;

	if (degrades)
		probe = experiment->probes[want->fallback].name;
	seen->is_met = seen->attempts && (__int128)seen->passed * SHARE_ONE >=
						 (__int128)want->share_ppb * seen->attempts;
	if (!seen->attempts)
		snprintf(seen->text, sizeof(seen->text), "%s made no attempt meanwhile", probe);
	else
		snprintf(seen->text, sizeof(seen->text),
			 "%s%s%s passed %u of %u attempts, expected %s", probe,
			 degrades ? " instead of " : "",
			 degrades ? experiment->probes[want->probe].name : "", seen->passed,
			 seen->attempts, quantity_format_share(want->share_ppb, share));
}

void expectation_judge(struct run_result *result)
{
	const struct experiment *experiment = result->experiment;

	for (unsigned i = 0; i < experiment->expectation_count; i++) {
		const struct experiment_expectation *want = &experiment->expectations[i];
		struct expectation_result *seen = &result->expectations[i];

		if (!seen->began_ns) {
			seen->is_met = false;
			snprintf(seen->text, sizeof(seen->text), "%s: the fault was not injected",
				 experiment->probes[want->probe].name);
		} else if (want->kind == EXPECTATION_DETECTED) {
			judge_detection(want, experiment->probes[want->probe].name, seen);
		} else {
			judge_holding(experiment, want, seen);
		}
	}
}

bool expectation_has_probe(const struct experiment *experiment, unsigned probe)
{
	for (unsigned i = 0; i < experiment->expectation_count; i++)
		if (experiment->expectations[i].probe == probe)
			return true;
	return false;
}

/* What is met counts whole; of what should hold and did not, the share that did. */
static double part_of(const struct experiment_expectation *want,
		      const struct expectation_result *seen)
{
	if (seen->is_met)
		return 1;
	return want->kind != EXPECTATION_DETECTED && seen->attempts
		       ? (double)seen->passed / seen->attempts
		       : 0;
}

int expectation_score(const struct run_result *result)
{
	const struct experiment *experiment = result->experiment;
	double earned = 0, weights = 0;

	/* what was stopped early has not met what it had no time to miss: no figure instead of a
	 * good one */
	if (!result->faults_started_ns || result->stop_cause != STOP_NONE || result->breach[0])
		return -1;
	for (unsigned i = 0; i < experiment->expectation_count; i++) {
		const struct experiment_expectation *want = &experiment->expectations[i];

		weights += want->weight;
		earned += want->weight * part_of(want, &result->expectations[i]);
	}
	for (unsigned i = 0; i < experiment->probe_count; i++) {
		const struct probe_window *during = &result->probes[i][WINDOW_DURING];

		if (!result_is_required(result, i) || expectation_has_probe(experiment, i))
			continue;
		weights += 1;
		earned += during->attempts ? (double)during->passed / during->attempts : 0;
	}
	if (experiment->recovery.count) {
		weights += experiment->recovery.weight;
		earned += result->is_recovered ? experiment->recovery.weight : 0;
	}
	/* rounded down: 100 is all of it */
	return weights > 0 ? (int)(100 * earned / weights + 1e-9) : -1;
}
