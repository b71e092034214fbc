/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The result of a run: filled from events, read by the summary, the JSON file and the exit code.
 */
#ifndef SQUALL_RUN_RESULT_H
#define SQUALL_RUN_RESULT_H

#include "injector/experiment/model.h"
#include "injector/run/event.h"

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

enum window { WINDOW_BEFORE, WINDOW_DURING, WINDOW_AFTER, WINDOW_COUNT };
extern const char *const window_names[]; /* "before", "during", "after" */

struct probe_window {
	unsigned attempts, passed, failed, unknown;
	int64_t *latencies; /* answered attempts, sorted after result_finish(); owned */
	unsigned latency_count;
};

struct step_result {
	bool was_injected, is_restored;
	int64_t injected_ns, ended_ns; /* CLOCK_BOOTTIME, 0: never */
	int64_t inject_took_ns, end_took_ns;
	struct evidence evidence;
	char text[256];
	char failure[512];
};

struct run_result {
	char run_id[RUN_ID_SIZE];
	const struct experiment *experiment;
	int64_t started_wall_ns, started_ns, finished_ns;
	int64_t method_started_ns, method_ended_ns;
	struct probe_window (*probes)[WINDOW_COUNT]; /* one row a probe, owned */
	char (*last_reasons)[160];		     /* last failure of each probe, owned */
	struct step_result *steps;		     /* owned */
	int64_t stop_latency_ns; /* breach or signal seen -> out of force; -1: no stop */
	int64_t recovery_ns;	 /* end of the method -> recovery requirement met; -1: not measured */
	bool is_recovered, was_idle;
	enum verdict verdict;
	char why[512];	       /* one sentence for the verdict */
	char stop_reason[256]; /* "" when it ran to its end */
	char (*left)[512];     /* what could not be restored; owned */
	unsigned left_count;
	int command_status; /* of run -- COMMAND; -1: none */
};

/* p in 0..1 over the sorted latencies (nearest rank); -1: no sample. */
int64_t result_percentile(const struct probe_window *window, double p);

#endif
