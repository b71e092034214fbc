/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The result of a run: filled from events, read by the summary, the JSON file and the exit code.
 */
#ifndef SQUALL_RUN_RESULT_H
#define SQUALL_RUN_RESULT_H

#include "injector/experiment/model.h"
#include "injector/run/event.h"
#include "injector/run/expectation.h"
#include "injector/run/histogram.h"
#include "injector/run/history.h"

#include <stdbool.h>
#include <stdint.h>

/* Exit codes; the worst applies (see verdict.c for the order). */
enum verdict {
	VERDICT_HELD = 0,	  /* hypothesis held, everything restored */
	VERDICT_FAILED = 1,	  /* hypothesis failed; restored */
	VERDICT_REFUSED = 2,	  /* invalid or refused; nothing injected */
	VERDICT_ABORTED = 3,	  /* an abort condition fired; restored */
	VERDICT_INTERRUPTED = 4,  /* signal, stop, halt, deadline; restored */
	VERDICT_NOT_STEADY = 5,	  /* not in steady state before; nothing injected */
	VERDICT_NOT_RESTORED = 6, /* something is left */
};
extern const char *const verdict_names[];

/* Which faults an attempt of a probe has met. During: from the first injection until the last fault
 * is out of force, gaps between faults and between pulses included, because effects outlast their
 * fault (queues, back-offs, restarts). An attempt that overlaps this span in any part counts as
 * during, so that no disturbed attempt spoils the base line. Before: everything else until then,
 * the part of a method that precedes its first fault included. */
enum window { WINDOW_BEFORE, WINDOW_DURING, WINDOW_AFTER, WINDOW_COUNT };
extern const char *const window_names[]; /* "before", "during", "after" */

struct probe_window {
	unsigned attempts, passed, failed, unknown;
	struct histogram latencies; /* of the answered attempts */
};

struct step_result {
	bool was_injected, is_restored, has_evidence;
	int64_t injected_ns, ended_ns; /* CLOCK_BOOTTIME, first injection and last end; 0: never */
	int64_t inject_took_ns, end_took_ns;
	unsigned injections; /* pulses are counted one by one */
	int64_t level_ppb;   /* the strength at the last look */
	struct evidence evidence;
	char text[256];
	char failure[512];
};

struct result_line { /* a line of the plan, or a note (step is 0) */
	enum plan_kind kind;
	unsigned step;
	char text[256];
};

/* A run of hours keeps no more than this; what is beyond is counted. */
#define RESULT_MAX_LINES 1024
#define RESULT_MAX_NOTES 64
#define RESULT_MAX_LEFT	 1024
#define RESULT_LEFT_SIZE                                                                           \
	1024 /* of what could not be restored, with a command: all that a reply holds */

struct run_result {
	char run_id[RUN_ID_SIZE];
	const struct experiment *experiment;
	int64_t started_wall_ns, started_ns, finished_ns;
	int64_t method_started_ns, method_ended_ns;
	int64_t faults_started_ns, faults_ended_ns;  /* the span of WINDOW_DURING; 0: not (yet) */
	struct probe_window (*probes)[WINDOW_COUNT]; /* one row a probe, owned */
	char (*last_reasons)[160];		     /* last failure of each probe, owned */
	struct step_result *steps;		     /* owned */
	struct history history;			     /* its course, for the report */
	struct result_line *lines, *notes;	     /* owned */
	unsigned line_count, line_capacity, lines_lost;
	unsigned note_count, note_capacity, notes_lost;
	struct expectation_result *expectations; /* as in the experiment, owned */
	int score;		 /* 0..100, beside the verdict; -1: see expectation_score() */
	int64_t stop_latency_ns; /* breach or signal seen -> out of force; -1: no stop */
	int64_t recovery_ns; /* end of the method -> recovery requirement met; -1: not measured */
	bool is_recovered, was_idle;
	enum verdict verdict;
	char why[512];			/* one sentence for the verdict */
	enum stop_cause stop_cause;	/* of the first EVENT_STOPPING */
	char stop_reason[256];		/* "" when it ran to its end */
	char breach[256];		/* which abort condition fired, "" when none did */
	char recovery[256];		/* what was said of the recovery */
	char (*left)[RESULT_LEFT_SIZE]; /* what could not be restored; owned */
	unsigned left_count, left_capacity;
	unsigned left_lost;    /* more was left than could be kept in memory */
	int command_status;    /* of run -- COMMAND; -1: none */
	char command_end[160]; /* the same in words, "" when there is none */
};

/* Keeps a pointer to `experiment`. */
int result_new(const struct experiment *experiment, const char *run_id, struct run_result **out,
	       struct error *err);
/* Fills `result` from events. Must come before the views among the listeners. */
struct event_listener result_listener(struct run_result *result);
/* After the last event, before EVENT_RESULT: decides the verdict. May be called again. */
void result_finish(struct run_result *result);
void result_free(struct run_result *result);

/* A step that has no end (kill), by its parameters. */
bool run_is_instant(const struct experiment *experiment, unsigned step);
/* A step that lasts was injected and nobody has said that it is undone and verified. */
bool result_is_unrestored(const struct run_result *result, unsigned step);
/* A step that was injected and hit nothing (or nothing is known of what it hit). */
bool result_is_idle(const struct run_result *result, unsigned step);
/* The probes that speak for the hypothesis: those of `steady-state: require`, else all but the mere
 * preconditions. */
bool result_is_required(const struct run_result *result, unsigned probe);

/* p in 0..1 over the answered attempts (nearest rank, within 1 %); -1: no sample. */
int64_t result_percentile(const struct probe_window *window, double p);

#endif
