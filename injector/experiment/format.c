/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One place for the fixed keys: the reader, its messages and the documentation come from here.
 */
#include "injector/experiment/format.h"

#include "injector/base/clock.h"
#include "injector/base/quantity.h"
#include "injector/experiment/shape.h"

#define DAY_NS (24 * 3600 * NSEC_PER_SEC)

const struct param format_root[] = {
	[ROOT_VERSION] = {.name = "version",
			  .type = PARAM_INTEGER,
			  .flags = PARAM_REQUIRED,
			  .doc = "version of the format: 1"},
	[ROOT_TITLE] = {.name = "title",
			.type = PARAM_TEXT,
			.flags = PARAM_REQUIRED,
			.doc = "what is rehearsed, in a few words"},
	[ROOT_HYPOTHESIS] = {.name = "hypothesis",
			     .type = PARAM_TEXT,
			     .doc = "what is expected to stay true meanwhile"},
	[ROOT_SOURCE] = {.name = "source",
			 .type = PARAM_TEXT,
			 .doc = "address of the report that the timeline comes from"},
	[ROOT_TIME_SCALE] = {.name = "time-scale",
			     .type = PARAM_INTEGER,
			     .min = 1,
			     .max = 100000,
			     .fallback = "1",
			     .doc = "the times of the method are divided by this: 60 makes a "
				    "minute of an hour"},
	[ROOT_ALLOW_IDLE] = {.name = "allow-idle",
			     .type = PARAM_BOOL,
			     .fallback = "false",
			     .doc = "a fault that hit nothing does not fail the run"},
	{0},
};

const struct format_section format_sections[SECTION_COUNT + 1] = {
	[SECTION_LIMITS] = {"limits", "{duration: 5m, targets: 3}",
			    "the longest the run may take and the most it may touch"},
	[SECTION_TARGETS] = {"targets", "{store: {to: 10.0.5.0/24:443}}",
			     "what faults may touch, by name"},
	[SECTION_PROBES] = {"probes",
			    "{shop: {http: \"http://127.0.0.1/\", expect: {status: 200}}}",
			    "what tells whether the system is well, by name"},
	[SECTION_STEADY_STATE] = {"steady-state", "{require: [shop], for: 10s}",
				  "what must hold before anything is injected"},
	[SECTION_ABORT_WHEN] = {"abort-when", "[{probe: shop, fails: 3}]",
				"when to stop and restore at once"},
	[SECTION_METHOD] = {"method",
			    "[{at: 0s, for: 30s, network: {target: store, delay: 100ms}}]",
			    "the faults and their times"},
	[SECTION_RECOVERY] = {"recovery", "{require: [shop], within: 15s}",
			      "what must hold again afterwards"},
	[SECTION_COUNT] = {0},
};

const struct param format_limits[] = {
	[LIMITS_DURATION] = {.name = "duration",
			     .type = PARAM_DURATION,
			     .flags = PARAM_REQUIRED,
			     .min = NSEC_PER_SEC,
			     .max = 7 * DAY_NS,
			     .doc = "hard deadline of the whole run"},
	[LIMITS_TARGETS] = {.name = "targets",
			    .type = PARAM_INTEGER,
			    .flags = PARAM_REQUIRED,
			    .min = 1,
			    .max = 100000,
			    .doc = "most processes and endpoints that may be touched"},
	{0},
};

const struct param format_steady_state[] = {
	[STEADY_REQUIRE] = {.name = "require",
			    .type = PARAM_NAME,
			    .flags = PARAM_REQUIRED | PARAM_LIST,
			    .doc = "probes that must pass"},
	[STEADY_FOR] = {.name = "for",
			.type = PARAM_DURATION,
			.flags = PARAM_REQUIRED,
			.min = 1,
			.max = DAY_NS,
			.doc = "how long they must pass without a failure"},
	[STEADY_WITHIN] = {.name = "within",
			   .type = PARAM_DURATION,
			   .min = 1,
			   .max = DAY_NS,
			   .doc = "how long to wait for that; default: no longer than `for`"},
	{0},
};

const struct param format_recovery[] = {
	[RECOVERY_REQUIRE] = {.name = "require",
			      .type = PARAM_NAME,
			      .flags = PARAM_REQUIRED | PARAM_LIST,
			      .doc = "probes that must pass"},
	[RECOVERY_WITHIN] = {.name = "within",
			     .type = PARAM_DURATION,
			     .flags = PARAM_REQUIRED,
			     .min = 1,
			     .max = DAY_NS,
			     .doc = "how soon after the method they must pass"},
	[RECOVERY_HOLD] = {.name = "hold",
			   .type = PARAM_DURATION,
			   .max = DAY_NS,
			   .fallback = "0",
			   .doc = "how long they must then go on passing"},
	{0},
};

const struct param format_abort[] = {
	[ABORT_PROBE] = {.name = "probe",
			 .type = PARAM_NAME,
			 .flags = PARAM_REQUIRED,
			 .doc = "the probe to watch"},
	[ABORT_FAILS] = {.name = "fails",
			 .type = PARAM_TEXT,
			 .flags = PARAM_REQUIRED,
			 .doc = "failures in a row (3) or a share of the attempts (20%)"},
	[ABORT_OVER] = {.name = "over",
			.type = PARAM_DURATION,
			.min = NSEC_PER_SEC,
			.max = DAY_NS,
			.doc = "with a share: over which time it is counted"},
	{0},
};

const struct param format_step[] = {
	[STEP_NAME] = {.name = "name",
		       .type = PARAM_NAME,
		       .doc = "what other steps call it behind 'after'"},
	[STEP_AT] = {.name = "at",
		     .type = PARAM_DURATION,
		     .max = 7 * DAY_NS,
		     .doc = "when it begins, counted from the start of the method, or with "
			    "'after' from the end of that step"},
	[STEP_AFTER] = {.name = "after",
			.type = PARAM_NAME,
			.doc = "begins at the planned end of the step of that name; 'previous' is "
			       "the one written before"},
	[STEP_FOR] = {.name = "for",
		      .type = PARAM_DURATION,
		      .min = NSEC_PER_MSEC,
		      .max = 7 * DAY_NS,
		      .doc = "how long the fault lasts"},
	[STEP_EVERY] = {.name = "every",
			.type = PARAM_DURATION,
			.min = 20 * NSEC_PER_MSEC,
			.max = DAY_NS,
			.doc = "pulses: from the beginning of one to that of the next"},
	[STEP_ACTIVE] = {.name = "active",
			 .type = PARAM_DURATION,
			 .min = NSEC_PER_MSEC,
			 .max = DAY_NS,
			 .doc = "pulses: how long each lasts"},
	[STEP_REPEAT] = {.name = "repeat",
			 .type = PARAM_INTEGER,
			 .min = 1,
			 .max = SHAPE_MAX_INJECTIONS,
			 .doc = "pulses: how many, instead of 'for'"},
	[STEP_RAMP] = {.name = "ramp",
		       .type = PARAM_DURATION,
		       .min = NSEC_PER_MSEC,
		       .max = 7 * DAY_NS,
		       .doc = "how long the fault takes to reach its full strength, or {from: "
			      "10%, to: 100%, over: 30s}"},
	{0},
};

const struct param format_ramp[] = {
	[RAMP_FROM] = {.name = "from",
		       .type = PARAM_SHARE,
		       .max = SHARE_ONE,
		       .fallback = "0%",
		       .doc = "strength at the beginning"},
	[RAMP_TO] = {.name = "to",
		     .type = PARAM_SHARE,
		     .max = SHARE_ONE,
		     .fallback = "100%",
		     .doc = "strength at the end"},
	[RAMP_OVER] = {.name = "over",
		       .type = PARAM_DURATION,
		       .flags = PARAM_REQUIRED,
		       .min = NSEC_PER_MSEC,
		       .max = 7 * DAY_NS,
		       .doc = "how long the way takes"},
	[RAMP_STEPS] = {.name = "steps",
			.type = PARAM_INTEGER,
			.min = 2,
			.max = SHAPE_MAX_STAIRS,
			.doc = "in so many equal steps; default: evenly"},
	{0},
};

const struct param format_probe[] = {
	[PROBE_EVERY] = {.name = "every",
			 .type = PARAM_DURATION,
			 .min = 10 * NSEC_PER_MSEC,
			 .max = 3600 * NSEC_PER_SEC,
			 .fallback = "1s",
			 .doc = "time from one attempt to the next"},
	[PROBE_TIMEOUT] = {.name = "timeout",
			   .type = PARAM_DURATION,
			   .min = NSEC_PER_MSEC,
			   .max = 600 * NSEC_PER_SEC,
			   .fallback = "2s",
			   .doc = "an attempt without an answer by then has failed"},
	{0},
};
