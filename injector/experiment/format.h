/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The fixed part of the format as parameter tables: what the top level, limits, steady-state and so
 * on accept. Values that are mappings or depend on a fault or probe are not in them.
 */
#ifndef SQUALL_EXPERIMENT_FORMAT_H
#define SQUALL_EXPERIMENT_FORMAT_H

#include "injector/base/params.h"

enum format_root_param {
	ROOT_VERSION,
	ROOT_TITLE,
	ROOT_HYPOTHESIS,
	ROOT_SOURCE,
	ROOT_TIME_SCALE,
	ROOT_SEED,
	ROOT_ALLOW_IDLE,
};
extern const struct param format_root[];

/* Keys of the top level whose values are mappings or lists; NULL-terminated, with one line each. */
struct format_section {
	const char *name, *like, *doc;
};
enum format_section_index {
	SECTION_INCLUDE,
	SECTION_VARIABLES,
	SECTION_LIMITS,
	SECTION_TARGETS,
	SECTION_PROBES,
	SECTION_REQUIRE_BEFORE,
	SECTION_STEADY_STATE,
	SECTION_ABORT_WHEN,
	SECTION_METHOD,
	SECTION_EXPECT,
	SECTION_RECOVERY,
	SECTION_NOTIFY,
	SECTION_COUNT,
};
extern const struct format_section format_sections[SECTION_COUNT + 1];

enum format_variable_param {
	VARIABLE_FROM_ENV,
	VARIABLE_FROM_FILE,
	VARIABLE_DEFAULT,
	VARIABLE_SECRET
};
extern const struct param format_variable[];

enum format_limits_param { LIMITS_DURATION, LIMITS_TARGETS, LIMITS_WINDOW };
extern const struct param format_limits[];

enum format_steady_param { STEADY_REQUIRE, STEADY_FOR, STEADY_WITHIN };
extern const struct param format_steady_state[];

enum format_recovery_param { RECOVERY_REQUIRE, RECOVERY_WITHIN, RECOVERY_HOLD, RECOVERY_WEIGHT };
extern const struct param format_recovery[];

enum format_expect_param {
	EXPECT_PROBE,
	EXPECT_HOLDS, /* these three in the order of enum expectation_kind */
	EXPECT_DETECTED,
	EXPECT_DEGRADES_TO,
	EXPECT_OF,
	EXPECT_WEIGHT,
};
extern const struct param format_expect[];

enum format_abort_param { ABORT_PROBE, ABORT_FAILS, ABORT_OVER };
extern const struct param format_abort[];

enum format_step_param {
	STEP_NAME,
	STEP_AT,
	STEP_AFTER,
	STEP_FOR,
	STEP_EVERY,
	STEP_ACTIVE,
	STEP_REPEAT,
	STEP_RAMP, /* a duration, or a mapping of format_ramp */
};
extern const struct param format_step[];

enum format_ramp_param { RAMP_FROM, RAMP_TO, RAMP_OVER, RAMP_STEPS, RAMP_OF };
extern const struct param format_ramp[];

enum format_notify_param {
	NOTIFY_PARAM_WEBHOOK, /* these three in the order of enum notify_kind */
	NOTIFY_PARAM_COMMAND,
	NOTIFY_PARAM_SYSLOG,
	NOTIFY_PARAM_ON,
	NOTIFY_PARAM_FORMAT,
	NOTIFY_PARAM_HEADER,
	NOTIFY_PARAM_CA,
	NOTIFY_PARAM_INSECURE,
	NOTIFY_PARAM_TIMEOUT,
};
extern const struct param format_notify[];
enum format_notify_body { NOTIFY_JSON, NOTIFY_SLACK };
extern const char *const format_notify_moments[]; /* by enum notify_moment; NULL-terminated */
extern const char *const format_notify_levels[];  /* by the priorities of syslog(3) */

enum format_probe_param { PROBE_EVERY, PROBE_TIMEOUT };
extern const struct param format_probe[];

#endif
