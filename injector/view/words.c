/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/view/words.h"

#include "injector/base/clock.h"
#include "injector/base/quantity.h"
#include "injector/run/result.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

char *words_of_count(uint64_t count, char *out, size_t size)
{
	static const char suffixes[] = {'k', 'M', 'G', 'T', 'P', 'E'};
	double value = (double)count;
	unsigned at = 0;

	if (count < 10000) {
		snprintf(out, size, "%" PRIu64, count);
		return out;
	}
	for (value /= 1000; value >= 999.95 && at < 5; at++)
		value /= 1000;
	snprintf(out, size, "%.*f%c", value < 99.95 ? 1 : 0, value, suffixes[at]);
	return out;
}

char *words_of_clock(int64_t ns, char *out, size_t size)
{
	int64_t seconds = ns > 0 ? ns / NSEC_PER_SEC : 0;

	if (seconds < 3600)
		snprintf(out, size, "%" PRId64 ":%02d", seconds / 60, (int)(seconds % 60));
	else
		snprintf(out, size, "%" PRId64 ":%02d:%02d", seconds / 3600,
			 (int)(seconds / 60 % 60), (int)(seconds % 60));
	return out;
}

void words_of_hits(const struct evidence *evidence, char *out, size_t size)
{
	const char *unit = evidence->unit ? evidence->unit : "hits";
	size_t length = strlen(unit);
	char hits[16];

	/* "processes" and "packets": the singular is what the units of faults need, no more */
	if (evidence->hits == 1 && length > 4 && strcmp(unit + length - 4, "sses") == 0)
		length -= 2;
	else if (evidence->hits == 1 && length > 1 && unit[length - 1] == 's')
		length--;
	snprintf(out, size, "%s %.*s", words_of_count(evidence->hits, hits, sizeof(hits)),
		 (int)length, unit);
}

void words_of_evidence(const struct evidence *evidence, char *out, size_t size)
{
	char dropped[16];

	if (!evidence->hits && !evidence->dropped) {
		snprintf(out, size, "nothing hit%s%s%s", evidence->detail[0] ? " (" : "",
			 evidence->detail, evidence->detail[0] ? ")" : "");
		return;
	}
	if (evidence->detail[0]) {
		snprintf(out, size, "%s", evidence->detail);
		return;
	}
	words_of_hits(evidence, out, size);
	if (evidence->dropped) {
		size_t used = strlen(out);

		snprintf(out + used, size - used, ", %s dropped",
			 words_of_count(evidence->dropped, dropped, sizeof(dropped)));
	}
}

/* What the fault of an event does; event->text when it says so itself. */
static void step_words(const struct experiment *experiment, const struct event *event,
		       bool use_text, char *out, size_t size)
{
	if (use_text && event->text && *event->text)
		snprintf(out, size, "%s", event->text);
	else if (event->step < experiment->step_count)
		experiment_describe_step(experiment, event->step, out, size);
	else
		snprintf(out, size, "step %u", event->step);
}

static void step_event(const struct experiment *experiment, const struct event *event,
		       struct words *out)
{
	char step[300], took[QUANTITY_TEXT_SIZE] = "";
	bool failed = event->kind == EVENT_INJECT_FAILED;

	step_words(experiment, event, !failed, step, sizeof(step));
	if (event->duration_ns > 0)
		quantity_format_latency(event->duration_ns, took);
	if (failed)
		snprintf(out->text, sizeof(out->text), "%s: %s", step,
			 event->text ? event->text : "");
	else
		snprintf(out->text, sizeof(out->text), "%s%s%s%s", step, *took ? " (took " : "",
			 took, *took ? ")" : "");
}

static void level_event(const struct experiment *experiment, const struct event *event,
			struct words *out)
{
	char step[300], level[QUANTITY_TEXT_SIZE];

	step_words(experiment, event, false, step, sizeof(step));
	snprintf(out->text, sizeof(out->text), "at %s: %s",
		 quantity_format_share(event->number, level), step);
}

static void phase_event(const struct experiment *experiment, const struct event *event,
			struct words *out)
{
	char time[QUANTITY_TEXT_SIZE];

	snprintf(out->text, sizeof(out->text), "%s", run_phase_names[event->phase]);
	if (event->phase == PHASE_STEADY_STATE && experiment->steady_state.for_ns)
		snprintf(out->text, sizeof(out->text), "steady-state: must hold for %s",
			 quantity_format_duration(experiment->steady_state.for_ns, time));
	if (event->phase == PHASE_METHOD && experiment_method_ns(experiment))
		snprintf(out->text, sizeof(out->text), "method: %s",
			 quantity_format_duration(experiment_method_ns(experiment), time));
	if (event->phase == PHASE_RECOVERY && experiment->recovery.within_ns)
		snprintf(out->text, sizeof(out->text), "recovery: within %s",
			 quantity_format_duration(experiment->recovery.within_ns, time));
}

const char *words_of_verdict(const struct experiment *experiment, enum verdict verdict)
{
	return verdict == VERDICT_HELD && !experiment->probe_count ? "done"
								   : verdict_names[verdict];
}

static void result_event(const struct event *event, struct words *out)
{
	const struct run_result *result = event->result;

	if (!result)
		return;
	out->tone = result->verdict == VERDICT_HELD ? TONE_GOOD : TONE_BAD;
	snprintf(out->text, sizeof(out->text), "%s: %s",
		 words_of_verdict(result->experiment, result->verdict), result->why);
}

static void timed_event(const struct event *event, struct words *out)
{
	char took[QUANTITY_TEXT_SIZE];

	quantity_format_latency(event->duration_ns, took);
	if (event->kind == EVENT_STOPPED) {
		snprintf(out->text, sizeof(out->text), "all faults out of force after %s", took);
	} else if (event->kind == EVENT_COMMAND) {
		out->tone = event->number ? TONE_BAD : TONE_GOOD;
		snprintf(out->text, sizeof(out->text), "%s, after %s",
			 event->text ? event->text : "", took);
	} else if (event->number) {
		snprintf(out->text, sizeof(out->text), "%s after the faults", took);
	} else {
		out->tone = TONE_BAD;
		out->label = "slow";
		snprintf(out->text, sizeof(out->text), "not recovered in time%s%s",
			 event->text && *event->text ? ": " : "", event->text ? event->text : "");
	}
}

static const struct {
	const char *label;
	enum tone tone;
} kinds_told[EVENT_KIND_COUNT] = {
	[EVENT_PLAN] = {"plan", TONE_QUIET},
	[EVENT_ARMED] = {"armed", TONE_NORMAL},
	[EVENT_PHASE] = {"phase", TONE_TITLE},
	[EVENT_INJECTED] = {"injected", TONE_FAULT},
	[EVENT_INJECT_FAILED] = {"failed", TONE_BAD},
	[EVENT_ENDED] = {"ended", TONE_NORMAL},
	[EVENT_RESTORED] = {"restored", TONE_GOOD},
	[EVENT_BREACH] = {"breach", TONE_BAD},
	[EVENT_STOPPING] = {"stopping", TONE_WARNING},
	[EVENT_STOPPED] = {"stopped", TONE_NORMAL},
	[EVENT_LEFT] = {"left", TONE_BAD},
	[EVENT_NOTE] = {"note", TONE_NORMAL},
	[EVENT_RESULT] = {"result", TONE_NORMAL},
	[EVENT_RECOVERED] = {"recovered", TONE_GOOD},
	[EVENT_COMMAND] = {"command", TONE_NORMAL},
	[EVENT_LEVEL] = {"level", TONE_FAULT},
	[EVENT_FOLLOWED] = {"followed", TONE_FAULT},
};

bool words_of_event(const struct experiment *experiment, const struct event *event,
		    struct words *out)
{
	if (!kinds_told[event->kind].label)
		return false;
	out->label = kinds_told[event->kind].label;
	out->tone = kinds_told[event->kind].tone;
	snprintf(out->text, sizeof(out->text), "%s", event->text ? event->text : "");
	switch (event->kind) {
	case EVENT_PLAN:
		if (event->number >= PLAN_TARGET && event->number < PLAN_KIND_COUNT)
			out->label = plan_kind_names[event->number];
		break;
	case EVENT_PHASE:
		phase_event(experiment, event, out);
		break;
	case EVENT_INJECTED:
	case EVENT_INJECT_FAILED:
	case EVENT_ENDED:
	case EVENT_RESTORED:
		step_event(experiment, event, out);
		break;
	case EVENT_FOLLOWED:
		if (!event->number) {
			out->label = "kept";
			out->tone = TONE_WARNING;
		}
		break;
	case EVENT_LEVEL:
		level_event(experiment, event, out);
		break;
	case EVENT_BREACH:
		if (event->probe < experiment->probe_count)
			snprintf(out->text, sizeof(out->text), "%s: %s",
				 experiment->probes[event->probe].name,
				 event->text ? event->text : "");
		break;
	case EVENT_STOPPED:
	case EVENT_COMMAND:
	case EVENT_RECOVERED:
		timed_event(event, out);
		break;
	case EVENT_ARMED:
		snprintf(out->text, sizeof(out->text), "run %s: journal open, guardian up",
			 event->text ? event->text : "");
		break;
	case EVENT_RESULT:
		result_event(event, out);
		break;
	default:
		break;
	}
	return true;
}
