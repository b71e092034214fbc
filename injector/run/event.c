/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The names of what happens in a run. They are part of the --json format: never change one. */
#include "injector/run/event.h"

const char *const run_phase_names[PHASE_COUNT] = {
	[PHASE_PLAN] = "plan",	       [PHASE_STEADY_STATE] = "steady-state",
	[PHASE_METHOD] = "method",     [PHASE_RESTORE] = "restore",
	[PHASE_RECOVERY] = "recovery", [PHASE_FINISHED] = "finished",
};

const char *const stop_cause_names[STOP_CAUSE_COUNT] = {
	[STOP_NONE] = "none",
	[STOP_BREACH] = "breach",
	[STOP_SIGNAL] = "signal",
	[STOP_REQUEST] = "request",
	[STOP_HALT] = "halt",
	[STOP_DEADLINE] = "deadline",
	[STOP_NOT_STEADY] = "not-steady",
	[STOP_REFUSED] = "refused",
	[STOP_INJECT_FAILED] = "inject-failed",
	[STOP_INTERNAL] = "internal",
	[STOP_FAULT_LOST] = "fault-lost",
};

const char *const plan_kind_names[PLAN_KIND_COUNT] = {
	[PLAN_TARGET] = "target",
	[PLAN_CHANGE] = "change",
	[PLAN_NOTE] = "note",
	[PLAN_WAY] = "way",
};

const char *const event_kind_names[EVENT_KIND_COUNT] = {
	[EVENT_PLAN] = "plan",	       [EVENT_ARMED] = "armed",
	[EVENT_PHASE] = "phase",       [EVENT_SAMPLE] = "sample",
	[EVENT_INJECTED] = "injected", [EVENT_INJECT_FAILED] = "inject-failed",
	[EVENT_ENDED] = "ended",       [EVENT_RESTORED] = "restored",
	[EVENT_EVIDENCE] = "evidence", [EVENT_BREACH] = "breach",
	[EVENT_STOPPING] = "stopping", [EVENT_STOPPED] = "stopped",
	[EVENT_LEFT] = "left",	       [EVENT_NOTE] = "note",
	[EVENT_RESULT] = "result",     [EVENT_RECOVERED] = "recovered",
	[EVENT_COMMAND] = "command",   [EVENT_LEVEL] = "level",
	[EVENT_FOLLOWED] = "followed",
};
