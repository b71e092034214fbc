/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The course of a run, for its report: what happened when (an incident log), what each probe saw
 * over time, and when each fault was in force. Bounded, however long the run: of the log the
 * beginning and the end are kept and what is between is counted.
 */
#ifndef SQUALL_RUN_HISTORY_H
#define SQUALL_RUN_HISTORY_H

#include "injector/run/event.h"
#include "injector/run/series.h"

#include <stdbool.h>

#define HISTORY_HEAD	1024 /* entries of the log kept from the beginning */
#define HISTORY_TAIL	1024 /* ... and from the end */
#define HISTORY_WINDOWS 256  /* of one step */

struct history_entry {
	enum event_kind kind;
	enum run_phase phase;
	int64_t time_ns, duration_ns, number;
	unsigned step, probe;
	enum probe_result result; /* EVENT_SAMPLE: a probe has changed its mind */
	char *text;		  /* owned; may be NULL */
};

struct history_window {
	int64_t from_ns, to_ns; /* to_ns 0: still in force */
};

struct history_step {
	struct history_window *windows; /* owned */
	unsigned count, capacity;
	unsigned merged; /* more windows than fit: the last one spans these as well */
};

struct history_probe {
	struct series series;
	bool is_told;
	enum probe_result told;
	int64_t told_ns;
};

struct history {
	const struct experiment *experiment;
	struct history_entry *head, *tail; /* owned; tail is a ring */
	unsigned head_count, head_capacity;
	unsigned tail_count;	      /* ever written to the ring */
	unsigned lost;		      /* entries for which there was no memory */
	struct history_step *steps;   /* owned */
	struct history_probe *probes; /* owned */
};

int history_init(struct history *history, const struct experiment *experiment, struct error *err);
void history_free(struct history *history);
/* Never fails: what cannot be kept is counted. */
void history_event(struct history *history, const struct event *event);

/* Entries that are there; `at` from 0, in the order of time. */
unsigned history_count(const struct history *history);
const struct history_entry *history_at(const struct history *history, unsigned at);
/* Entries that were there once: between the beginning and the end. */
unsigned history_lost(const struct history *history);

#endif
