/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A run that never was: an experiment made by hand and the events that a conductor would tell of
 * it, at exact times. The same run for the tests of views, results and reports, and for
 * tests/tools/view_demo.c.
 *
 *   0s plan, armed   0.1s steady-state   2s method   8s restore   8.2s recovery   9.5s finished
 *   method: delay 0s..4s, kill at 2s, loss 3s..6s
 */
#ifndef SQUALL_TESTS_FAKE_RUN_H
#define SQUALL_TESTS_FAKE_RUN_H

#include "injector/run/event.h"

#include <stdbool.h>

#define FAKE_STEPS	 3
#define FAKE_PROBES	 3
#define FAKE_RUN_ENDS_NS 9500000000LL /* EVENT_RESULT is left to the caller */

struct fake_run {
	struct experiment experiment;
	struct experiment_step steps[FAKE_STEPS];
	struct probe_spec probes[FAKE_PROBES];
	struct experiment_abort abort;
	unsigned required[FAKE_PROBES];
	struct event_listener listeners[4];
	unsigned listener_count;
	int64_t start_ns, done_ns; /* first event; told up to here, relative to it */
	enum run_phase phase;
	bool is_idle;	 /* nothing is hit by the loss */
	bool is_healthy; /* no probe ever fails */
};

void fake_run_init(struct fake_run *run, int64_t start_ns);
void fake_run_listen(struct fake_run *run, struct event_listener listener);
/* Tells everything up to `until_ns` behind the start. */
void fake_run_play(struct fake_run *run, int64_t until_ns);
/* One event, at `at_ns` behind the start, to all listeners. Phase and times are filled in. */
void fake_run_tell(struct fake_run *run, int64_t at_ns, struct event event);

#endif
