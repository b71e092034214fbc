/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the live display knows of a run. Bounded, whatever happens. */
#include "injector/view/frame.h"

#include "injector/base/clock.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TELL_EVERY_NS (2 * NSEC_PER_SEC) /* a flapping probe does not flood the messages */

int frame_state_init(struct frame_state *state, const struct experiment *experiment,
		     struct error *err)
{
	*state = (struct frame_state){.experiment = experiment};
	state->probes = calloc(experiment->probe_count + 1U, sizeof(*state->probes));
	state->faults = calloc(experiment->step_count + 1U, sizeof(*state->faults));
	if (!state->probes || !state->faults) {
		frame_state_free(state);
		return error_errno(err, ENOMEM, "cannot make a view");
	}
	for (unsigned i = 0; i < experiment->probe_count; i++) {
		state->probes[i].latest = NAN;
		state->probes[i].has_values = !probe_is_timed(experiment->probes[i].ops);
	}
	return 0;
}

void frame_state_free(struct frame_state *state)
{
	for (unsigned i = 0; state->probes && i < state->experiment->probe_count; i++)
		histogram_free(&state->probes[i].latencies);
	free(state->probes);
	free(state->faults);
	state->probes = NULL;
	state->faults = NULL;
}

static void add_message(struct frame_state *state, int64_t time_ns, const char *label,
			enum tone tone, const char *text)
{
	struct frame_message *message = &state->messages[state->message_count++ % FRAME_MESSAGES];

	*message = (struct frame_message){.time_ns = time_ns, .label = label, .tone = tone};
	snprintf(message->text, sizeof(message->text), "%s", text);
}

/* Tells when a probe changes between pass and not pass. */
static void tell_change(struct frame_state *state, unsigned index, const struct event *event)
{
	struct frame_probe *probe = &state->probes[index];
	bool pass = event->sample->result == PROBE_PASS;
	char text[300];

	if ((probe->told_ns ? probe->told_pass == pass : pass) ||
	    (probe->told_ns && event->time_ns - probe->told_ns < TELL_EVERY_NS))
		return;
	probe->told_ns = event->time_ns;
	probe->told_pass = pass;
	if (pass)
		snprintf(text, sizeof(text), "%s passes again",
			 state->experiment->probes[index].name);
	else
		snprintf(text, sizeof(text), "%s: %s", state->experiment->probes[index].name,
			 event->sample->reason[0] ? event->sample->reason
						  : probe_result_names[event->sample->result]);
	add_message(state, event->sample->known_ns, "probe", pass ? TONE_GOOD : TONE_BAD, text);
}

static void on_sample(struct frame_state *state, const struct event *event)
{
	const struct probe_sample *sample = event->sample;
	struct frame_probe *probe;
	unsigned at;

	if (!sample || event->probe >= state->experiment->probe_count)
		return;
	probe = &state->probes[event->probe];
	tell_change(state, event->probe, event);
	probe->is_seen = true;
	probe->last = sample->result;
	probe->attempts++;
	probe->bad += sample->result != PROBE_PASS;
	probe->latest = NAN;
	if (probe->has_values)
		probe->latest = sample->value;
	else if (sample->latency_ns >= 0)
		probe->latest = (double)sample->latency_ns;
	if (sample->latency_ns >= 0)
		histogram_add(&probe->latencies, sample->latency_ns);
	if (sample->result != PROBE_PASS)
		snprintf(probe->reason, sizeof(probe->reason), "%s", sample->reason);
	at = probe->history_at++ % FRAME_HISTORY;
	probe->history[at].value = (float)probe->latest;
	probe->history[at].is_bad = sample->result != PROBE_PASS;
	if (probe->history_count < FRAME_HISTORY)
		probe->history_count++;
}

static void on_step(struct frame_state *state, const struct event *event)
{
	struct frame_fault *fault;

	if (event->step >= state->experiment->step_count)
		return;
	fault = &state->faults[event->step];
	switch (event->kind) {
	case EVENT_INJECTED:
		if (!fault->is_injected)
			fault->injected_ns = event->time_ns;
		fault->is_injected = true;
		fault->injections++;
		fault->is_ended = fault->is_restored = false;
		break;
	case EVENT_INJECT_FAILED:
		fault->has_failed = true;
		break;
	case EVENT_ENDED:
		fault->is_ended = true;
		fault->ended_ns = event->time_ns;
		break;
	case EVENT_RESTORED:
		if (!fault->is_ended)
			fault->ended_ns = event->time_ns;
		fault->is_ended = fault->is_restored = true;
		break;
	case EVENT_EVIDENCE:
		if (!event->evidence)
			break;
		fault->has_evidence = true;
		fault->evidence = *event->evidence;
		break;
	default:
		break;
	}
}

static void on_phase(struct frame_state *state, const struct event *event)
{
	state->phase = event->phase;
	state->phase_ns = event->time_ns;
	if (event->phase == PHASE_METHOD && !state->method_ns)
		state->method_ns = event->time_ns;
	if (event->phase >= PHASE_RESTORE && state->method_ns && !state->ended_ns)
		state->ended_ns = event->time_ns;
}

void frame_event(struct frame_state *state, const struct event *event)
{
	struct words words;

	if (!state->started_ns)
		state->started_ns = state->phase_ns = event->time_ns;
	switch (event->kind) {
	case EVENT_SAMPLE:
		on_sample(state, event);
		return;
	case EVENT_PHASE:
		on_phase(state, event);
		return; /* it has a line of its own */
	case EVENT_ARMED:
		snprintf(state->run_id, sizeof(state->run_id), "%s",
			 event->text ? event->text : "");
		break;
	case EVENT_STOPPING:
		state->is_stopping = true;
		break;
	case EVENT_RESULT:
		state->is_finished = true;
		if (event->result) {
			state->verdict = event->result->verdict;
			snprintf(state->why, sizeof(state->why), "%s", event->result->why);
		}
		return;
	case EVENT_PLAN:
		return; /* known before; only what happens is told */
	default:
		on_step(state, event);
		break;
	}
	if (words_of_event(state->experiment, event, &words))
		add_message(state, event->time_ns, words.label, words.tone, words.text);
}
