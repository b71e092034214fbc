/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One line an event, for logs and for people without a terminal that can be redrawn. Samples are
 * told only when a probe changes its mind, and then at most once a second. Of the plan there are
 * the targets and the way: `squall plan` tells the rest. */
#include "injector/base/clock.h"
#include "injector/base/printable.h"
#include "injector/base/quantity.h"
#include "injector/view/part.h"
#include "injector/view/words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CHANGE_EVERY_NS NSEC_PER_SEC

struct plain_probe {
	bool is_told;
	enum probe_result told, last;
	int64_t told_ns;
	unsigned changes; /* since then */
};

struct plain {
	struct plain_probe *probes; /* owned */
	struct evidence *evidence;  /* latest of each step, owned */
	bool *has_evidence;	    /* not yet told, owned */
};

static int plain_open(struct view *view, struct error *err)
{
	struct plain *plain = calloc(1, sizeof(*plain));
	size_t probes = view->experiment->probe_count + 1, steps = view->experiment->step_count + 1;

	view->state = plain;
	if (plain) {
		plain->probes = calloc(probes, sizeof(*plain->probes));
		plain->evidence = calloc(steps, sizeof(*plain->evidence));
		plain->has_evidence = calloc(steps, sizeof(*plain->has_evidence));
	}
	if (!plain || !plain->probes || !plain->evidence || !plain->has_evidence) {
		view->part->close(view);
		return error_errno(err, ENOMEM, "cannot make a view");
	}
	return 0;
}

static void plain_close(struct view *view)
{
	struct plain *plain = view->state;

	if (!plain)
		return;
	free(plain->probes);
	free(plain->evidence);
	free(plain->has_evidence);
	free(plain);
	view->state = NULL;
}

static void print_line(struct view *view, const struct event *event, const char *label,
		       enum tone tone, const char *text)
{
	/* an attempt is told when it is over; it may have begun long before */
	int64_t time_ns = event->sample ? event->sample->known_ns : event->time_ns;
	int64_t tenths = (time_ns - view->started_ns) / (NSEC_PER_SEC / 10);
	const char *start = view->coloured ? tone_start(tone) : "";
	char clean[800], line[1024], when[32];

	snprintf(clean, sizeof(clean), "%s", text);
	printable_clean(clean, view->utf8);
	snprintf(when, sizeof(when), "+%lld.%ds", (long long)(tenths / 10), (int)(tenths % 10));
	snprintf(line, sizeof(line), "%8s  %s%-9s%s %s\n", when, start, label,
		 *start ? TONE_END : "", clean);
	output_write(view->output, line, strlen(line));
}

static void print_evidence(struct view *view, const struct event *event, unsigned step)
{
	struct plain *plain = view->state;
	char text[600], what[300], bite[200];

	if (!plain->has_evidence[step])
		return;
	plain->has_evidence[step] = false;
	experiment_describe_step(view->experiment, step, what, sizeof(what));
	words_of_evidence(&plain->evidence[step], bite, sizeof(bite));
	snprintf(text, sizeof(text), "%s: %s", what, bite);
	print_line(view, event, "evidence", plain->evidence[step].hits ? TONE_NORMAL : TONE_WARNING,
		   text);
}

static void print_sample(struct view *view, const struct event *event)
{
	const struct probe_sample *sample = event->sample;
	struct plain_probe *probe = &((struct plain *)view->state)->probes[event->probe];
	char text[400], turns[64] = "";

	probe->changes += probe->is_told && sample->result != probe->last;
	probe->last = sample->result;
	if (probe->is_told && !probe->changes)
		return;
	if (probe->is_told && event->time_ns - probe->told_ns < CHANGE_EVERY_NS)
		return;
	if (probe->changes > 1)
		snprintf(turns, sizeof(turns), " (changed %u times)", probe->changes);
	/* the reason holds the time already, when it matters */
	snprintf(text, sizeof(text), "%s: %s%s%s%s", view->experiment->probes[event->probe].name,
		 probe_result_names[sample->result], sample->reason[0] ? ", " : "", sample->reason,
		 turns);
	print_line(view, event, "probe",
		   sample->result == PROBE_PASS	  ? TONE_GOOD
		   : sample->result == PROBE_FAIL ? TONE_BAD
						  : TONE_WARNING,
		   text);
	*probe = (struct plain_probe){.is_told = true,
				      .told = sample->result,
				      .last = sample->result,
				      .told_ns = event->time_ns};
}

static void keep_evidence(struct plain *plain, const struct event *event)
{
	struct evidence *kept = &plain->evidence[event->step];
	const struct evidence *now = event->evidence;
	bool is_same = kept->hits == now->hits && kept->dropped == now->dropped &&
		       strcmp(kept->detail, now->detail) == 0;

	/* looked at again, with nothing new: told once */
	if (!is_same || !kept->unit)
		plain->has_evidence[event->step] = true;
	*kept = *now;
}

/* The plan and the end are told by other lines: what is touched, and the result. */
static bool is_wanted(const struct event *event)
{
	if (event->kind == EVENT_PLAN)
		return event->number == PLAN_TARGET || event->number == PLAN_WAY;
	return event->kind != EVENT_PHASE ||
	       (event->phase != PHASE_PLAN && event->phase != PHASE_FINISHED);
}

static void plain_event(struct view *view, const struct event *event)
{
	struct plain *plain = view->state;
	unsigned lost = output_take_lost(view->output);
	struct words words;
	char text[64];

	if (lost) {
		snprintf(text, sizeof(text), "%u lines were lost: the reader was too slow", lost);
		print_line(view, event, "note", TONE_WARNING, text);
	}
	if (event->kind == EVENT_SAMPLE && event->sample &&
	    event->probe < view->experiment->probe_count)
		print_sample(view, event);
	if (event->kind == EVENT_EVIDENCE && event->evidence &&
	    event->step < view->experiment->step_count)
		keep_evidence(plain, event);
	/* what could not be told behind the end of its fault is told before the result */
	if (event->kind == EVENT_RESTORED && event->step < view->experiment->step_count)
		print_evidence(view, event, event->step);
	for (unsigned i = 0; event->kind == EVENT_RESULT && i < view->experiment->step_count; i++)
		print_evidence(view, event, i);
	if (is_wanted(event) && words_of_event(view->experiment, event, &words))
		print_line(view, event, words.label, words.tone, words.text);
}

const struct view_part plain_view = {
	.open = plain_open,
	.event = plain_event,
	.close = plain_close,
};
