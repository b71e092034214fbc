/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/run/history.h"

#include "injector/base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define POINTS_ALL   65536 /* of all probes together */
#define POINTS_MOST  1024  /* of one */
#define POINTS_LEAST 64
/* a probe that flaps does not push everything else out of the log */
#define TOLD_EVERY_NS NSEC_PER_SEC

static unsigned points_of_one(unsigned probes)
{
	unsigned limit = POINTS_ALL / (probes ? probes : 1);

	if (limit < POINTS_LEAST)
		return POINTS_LEAST;
	return limit > POINTS_MOST ? POINTS_MOST : limit;
}

int history_init(struct history *history, const struct experiment *experiment, struct error *err)
{
	*history = (struct history){.experiment = experiment};
	history->steps = calloc(experiment->step_count + 1UL, sizeof(*history->steps));
	history->probes = calloc(experiment->probe_count + 1UL, sizeof(*history->probes));
	if (!history->steps || !history->probes) {
		history_free(history);
		return error_errno(err, ENOMEM, "cannot keep the history of a run");
	}
	for (unsigned i = 0; i < experiment->probe_count; i++)
		series_init(&history->probes[i].series, points_of_one(experiment->probe_count));
	return 0;
}

void history_free(struct history *history)
{
	for (unsigned i = 0; history->steps && i < history->experiment->step_count; i++)
		free(history->steps[i].windows);
	for (unsigned i = 0; history->probes && i < history->experiment->probe_count; i++)
		series_free(&history->probes[i].series);
	for (unsigned i = 0; i < history->head_count; i++)
		free(history->head[i].text);
	for (unsigned i = 0; history->tail && i < HISTORY_TAIL; i++)
		free(history->tail[i].text);
	free(history->head);
	free(history->tail);
	free(history->steps);
	free(history->probes);
	*history = (struct history){0};
}

/* Where the next entry goes, or NULL. */
static struct history_entry *next_entry(struct history *history)
{
	struct history_entry *entry;

	if (history->head_count < HISTORY_HEAD) {
		if (history->head_count == history->head_capacity) {
			unsigned wanted = history->head_capacity ? history->head_capacity * 2 : 64;

			entry = realloc(history->head, wanted * sizeof(*entry));
			if (!entry)
				return NULL;
			history->head = entry;
			history->head_capacity = wanted;
		}
		return &history->head[history->head_count++];
	}
	if (!history->tail)
		history->tail = calloc(HISTORY_TAIL, sizeof(*history->tail));
	if (!history->tail)
		return NULL;
	entry = &history->tail[history->tail_count++ % HISTORY_TAIL];
	free(entry->text);
	return entry;
}

static void keep(struct history *history, const struct event *event, const char *text)
{
	struct history_entry *entry = next_entry(history);

	if (!entry) {
		history->lost++;
		return;
	}
	*entry = (struct history_entry){
		.kind = event->kind,
		.phase = event->phase,
		/* of an attempt its end: the log is in the order in which things became known */
		.time_ns = event->sample ? event->sample->known_ns : event->time_ns,
		.duration_ns = event->duration_ns,
		.number = event->number,
		.step = event->step,
		.probe = event->probe,
		.result = event->sample ? event->sample->result : PROBE_PASS,
		.text = text && *text ? strdup(text) : NULL,
	};
}

static void on_sample(struct history *history, const struct event *event)
{
	struct history_probe *probe = &history->probes[event->probe];

	series_add(&probe->series, event->sample);
	if (probe->is_told && (probe->told == event->sample->result ||
			       event->time_ns - probe->told_ns < TOLD_EVERY_NS))
		return;
	/* that it is well at first is no news */
	if (probe->is_told || event->sample->result != PROBE_PASS)
		keep(history, event, event->sample->reason);
	probe->is_told = true;
	probe->told = event->sample->result;
	probe->told_ns = event->time_ns;
}

static void open_window(struct history_step *step, int64_t from_ns)
{
	struct history_window *grown;
	unsigned wanted = step->capacity ? step->capacity * 2 : 4;

	if (step->count == step->capacity && step->count < HISTORY_WINDOWS) {
		grown = realloc(step->windows, wanted * sizeof(*grown));
		if (grown) {
			step->windows = grown;
			step->capacity = wanted;
		}
	}
	if (step->count < step->capacity) {
		step->windows[step->count++] = (struct history_window){.from_ns = from_ns};
	} else if (step->count) {
		step->windows[step->count - 1].to_ns = 0;
		step->merged++;
	}
}

static void close_window(struct history_step *step, int64_t to_ns)
{
	if (step->count && !step->windows[step->count - 1].to_ns)
		step->windows[step->count - 1].to_ns = to_ns;
}

void history_event(struct history *history, const struct event *event)
{
	bool has_step = event->step < history->experiment->step_count;

	switch (event->kind) {
	case EVENT_SAMPLE:
		if (event->sample && event->probe < history->experiment->probe_count)
			on_sample(history, event);
		return;
	case EVENT_PLAN: /* kept in the result, by step */
	case EVENT_EVIDENCE:
	case EVENT_RESULT:
		return;
	case EVENT_INJECTED:
		if (has_step)
			open_window(&history->steps[event->step], event->time_ns);
		break;
	case EVENT_ENDED:
	case EVENT_RESTORED:
		if (has_step)
			close_window(&history->steps[event->step], event->time_ns);
		break;
	default:
		break;
	}
	keep(history, event, event->text);
}

static unsigned in_tail(const struct history *history)
{
	return history->tail_count < HISTORY_TAIL ? history->tail_count : HISTORY_TAIL;
}

unsigned history_count(const struct history *history)
{
	return history->head_count + in_tail(history);
}

const struct history_entry *history_at(const struct history *history, unsigned at)
{
	unsigned first = history->tail_count - in_tail(history);

	if (at < history->head_count)
		return &history->head[at];
	return &history->tail[(first + at - history->head_count) % HISTORY_TAIL];
}

unsigned history_lost(const struct history *history)
{
	return history->tail_count - in_tail(history) + history->lost;
}
