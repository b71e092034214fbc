/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What happens during a run, told once to everybody who listens: the live view, plain lines, --json
 * and the result. Events are made in the conductor; listeners may not block and may not fail.
 */
#ifndef SQUALL_RUN_EVENT_H
#define SQUALL_RUN_EVENT_H

#include "faults/fault.h"
#include "injector/experiment/model.h"

#include <stdint.h>

enum run_phase {
	PHASE_PLAN,
	PHASE_STEADY_STATE,
	PHASE_METHOD,
	PHASE_RESTORE,
	PHASE_RECOVERY,
	PHASE_FINISHED,
};
#define PHASE_COUNT (PHASE_FINISHED + 1)
extern const char *const run_phase_names[]; /* "plan", "steady-state", "method", ... */

/* Why a run did not go to its planned end. The first one counts. */
enum stop_cause {
	STOP_NONE,
	STOP_BREACH,	    /* an abort condition fired */
	STOP_SIGNAL,	    /* SIGINT, SIGTERM, SIGHUP */
	STOP_REQUEST,	    /* squall stop */
	STOP_HALT,	    /* squall halt */
	STOP_DEADLINE,	    /* limits.duration */
	STOP_NOT_STEADY,    /* no steady state before the method; nothing was injected */
	STOP_REFUSED,	    /* the plan was refused (no target, too many, machine cannot) */
	STOP_INJECT_FAILED, /* a step could not be injected */
	STOP_INTERNAL,	    /* a process of ours died */
	STOP_FAULT_LOST,    /* a fault went out of force by no doing of ours */
};
#define STOP_CAUSE_COUNT (STOP_FAULT_LOST + 1)
extern const char *const stop_cause_names[];		   /* "none", "breach", "signal", ... */
extern const char *const plan_kind_names[PLAN_KIND_COUNT]; /* "target", "change", ... */

/* EVENT_RESTORED comes once for every step that was injected and is not instant, whoever undid it
 * (worker, guardian, restore): a step without it makes the verdict "not restored". */
enum event_kind {
	EVENT_PLAN,	     /* text: a line of the plan; number: enum plan_kind; step */
	EVENT_ARMED,	     /* text: run id; guardian up, journal open */
	EVENT_PHASE,	     /* phase */
	EVENT_SAMPLE,	     /* probe, sample */
	EVENT_INJECTED,	     /* step; text: in words; duration_ns: how long it took */
	EVENT_INJECT_FAILED, /* step; text: reason */
	EVENT_ENDED,	     /* step; out of force; duration_ns: how long that took */
	EVENT_RESTORED,	     /* step; everything undone and verified (see below) */
	EVENT_EVIDENCE,	     /* step, evidence; number: the strength, in parts per billion */
	EVENT_BREACH,	     /* abort condition fired: probe; text */
	EVENT_STOPPING,	     /* text: why, for people; number: enum stop_cause */
	EVENT_STOPPED,	     /* all faults out of force; duration_ns: stop latency */
	EVENT_LEFT,	     /* text: something could not be restored; with the command to type */
	EVENT_NOTE,	     /* text */
	EVENT_RESULT,	     /* result is complete */
	EVENT_RECOVERED, /* number: 1 met, 0 not in time; duration_ns: since the end of the method;
			    text */
	EVENT_COMMAND,	 /* run -- COMMAND ended; number: exit status (128 + signal); duration_ns */
	EVENT_LEVEL,	 /* step; a ramp has got to the strength `number`, in parts per billion */
	EVENT_FOLLOWED,	 /* step; a host name of its target has other addresses, or interfaces have
			    come or gone; number: 0 when the fault stays as it was; text */
};
#define EVENT_KIND_COUNT (EVENT_FOLLOWED + 1)
extern const char *const event_kind_names[]; /* "plan", "armed", ..., as in --json */

struct run_result;

struct event {
	enum event_kind kind;
	int64_t time_ns; /* CLOCK_BOOTTIME */
	int64_t wall_ns;
	enum run_phase phase; /* the phase the run is in */
	unsigned step, probe;
	int64_t duration_ns;
	int64_t number;
	const char *text;
	const struct probe_sample *sample;
	const struct evidence *evidence;
	const struct run_result *result; /* EVENT_RESULT */
};

struct event_listener {
	void (*fn)(void *context, const struct event *event);
	void *context;
};

#endif
