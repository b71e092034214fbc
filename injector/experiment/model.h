/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * An experiment, as the conductor knows it: checked, with every value parsed and every name bound.
 * There is no YAML in here; yaml.c makes it from a file, inject.c from a command line.
 */
#ifndef SQUALL_EXPERIMENT_MODEL_H
#define SQUALL_EXPERIMENT_MODEL_H

#include "faults/fault.h"
#include "faults/target.h"
#include "injector/base/calendar.h"
#include "injector/base/params.h"
#include "injector/experiment/shape.h"
#include "injector/probes/probe.h"

#include <stdbool.h>
#include <stdint.h>

#define EXPERIMENT_MAX_SEED	     ((1LL << 53) - 1) /* every reader of JSON keeps it exactly */
#define EXPERIMENT_MAX_STEPS	     256
#define EXPERIMENT_MAX_TARGETS	     256
#define EXPERIMENT_MAX_PROBES	     1024
#define EXPERIMENT_MAX_ABORTS	     256
#define EXPERIMENT_MAX_EXPECTATIONS  256
#define EXPERIMENT_MAX_NOTIFICATIONS 16

struct experiment_target {
	char *name; /* "" for a target written inside a step */
	enum target_kind kind;
	struct params params; /* of target_params(kind) */
	int line, column;
};

struct experiment_step {
	const struct fault_ops *ops;
	struct params params; /* of ops->params */
	unsigned target;      /* index into targets */
	int64_t at_ns;	      /* after the start of the method */
	int64_t for_ns;	      /* 0: instant fault, or until the method ends */
	struct shape shape;   /* pulses and ramp */
	char *name;	      /* NULL: none */
	int line, column;
};

struct experiment_abort {
	unsigned probe;
	unsigned fails;	   /* in a row; 0: a share is used */
	int64_t share_ppb; /* of the attempts within over_ns */
	int64_t over_ns;
};

struct experiment_requirement { /* steady-state, recovery */
	unsigned *probes;	/* indexes, owned */
	unsigned count;
	int64_t *each_ns;  /* steady-state: how long each must hold, owned; NULL: for_ns */
	int64_t for_ns;	   /* steady-state: the longest of these; recovery: `hold` */
	unsigned weight;   /* recovery only */
	int64_t within_ns; /* recovery only; steady state: how long to wait for it (0: `for` alone)
			    */
};

enum expectation_kind { EXPECTATION_HOLDS, EXPECTATION_DETECTED, EXPECTATION_DEGRADES };
struct experiment_expectation {
	enum expectation_kind kind;
	unsigned probe;
	unsigned fallback; /* degrades: the probe that must hold instead */
	int step;	   /* -1: all faults together */
	int64_t share_ppb; /* holds */
	int64_t within_ns; /* detected */
	unsigned weight;
};

/* Who is told while it runs, and of what. */
enum notify_kind { NOTIFY_WEBHOOK, NOTIFY_COMMAND, NOTIFY_SYSLOG };
enum notify_moment {
	NOTIFY_STARTED,
	NOTIFY_INJECTED,
	NOTIFY_ABORTED,
	NOTIFY_ENDED,
	NOTIFY_RESTORED,
	NOTIFY_VERDICT,
};
struct experiment_notification {
	enum notify_kind kind;
	unsigned moments;     /* bits 1 << enum notify_moment */
	struct params params; /* of format_notify */
};

struct experiment_variable {
	char *name, *value; /* value: NULL of a secret; of a list with commas */
	bool is_secret;
	const char *origin; /* static: "command line", "environment", ... */
};

struct experiment {
	char *path;		  /* where it came from, for messages */
	char *title, *hypothesis; /* hypothesis may be NULL */
	char *source;		  /* address of the report it replays; may be NULL */
	int64_t time_scale;	  /* the times of the method were divided by it */
	struct {
		int64_t duration_ns; /* hard deadline of the whole run */
		unsigned targets;    /* most things touched */
		char *window_text;   /* NULL: at any time */
		struct calendar_window window;
	} limits;
	int64_t seed; /* of every random choice */
	bool has_seed;
	struct experiment_source { /* as it was read: [0] is the experiment, then included files */
		char *path, *text;
	} * sources;
	unsigned source_count;
	char *words; /* one fault in words: what stood behind `squall inject` */
	struct experiment_variable *variables;
	unsigned variable_count;
	struct experiment_target *targets;
	unsigned target_count;
	struct probe_spec *probes;
	unsigned probe_count;
	struct experiment_requirement require_before, steady_state, recovery;
	struct experiment_expectation *expectations;
	unsigned expectation_count;
	struct experiment_notification *notifications;
	unsigned notification_count;
	struct experiment_abort *aborts;
	unsigned abort_count;
	struct experiment_step *steps; /* ordered by at_ns */
	unsigned step_count;
	bool allow_idle;
};

/* Everything owned is freed; `experiment` may be partly filled. NULL is fine. */
void experiment_free(struct experiment *experiment);
/* End of the method: the latest end of a step (instant ones count at their start). */
int64_t experiment_method_ns(const struct experiment *experiment);

/* Has no end, by its parameters (kill). */
bool experiment_is_instant(const struct experiment_step *step);
/* From the beginning of the method to the last end of the step. */
int64_t experiment_step_end_ns(const struct experiment_step *step);

/* "delay 400ms, jitter 50ms to 10.0.5.0/24:443": one step in words. */
void experiment_describe_step(const struct experiment *experiment, unsigned step, char *out,
			      size_t size);

/* The fault's own checks of its parameters, after what they name was read by `inputs` (NULL: no
 * files). Names are relative to the experiment's own file. */
struct experiment_inputs;
int experiment_check_fault(const struct experiment *experiment, struct experiment_step *step,
			   const struct experiment_inputs *inputs, struct error *err);

/* A process selector that only limits (count, share) would take every process of the machine. */
bool experiment_target_selects(const struct experiment_target *target);
#define EXPERIMENT_SELECTS_ALL                                                                     \
	"would select every process; say which: pid, pidfile, name, exe, command, user, cgroup, "  \
	"unit, container or port"

/* For people who did not start it: "injected WHAT since 10:04:05 CET, expected end 10:06:05 CET".
 * `until_wall_ns` 0: the end is not known beforehand. */
void experiment_status_line(const char *what, int64_t since_wall_ns, int64_t until_wall_ns,
			    char *out, size_t size);

/* "delay 400ms, jitter 50ms": the same without the target. */
void experiment_describe_effects(const struct experiment_step *step, char *out, size_t size);

/* The table-driven part shared by files and command lines: binds key=value to the fault's own
 * parameter or, when the fault has none of that name, to the selector of its target kind. */
enum experiment_key { KEY_OF_FAULT, KEY_OF_TARGET, KEY_UNKNOWN };
enum experiment_key experiment_find_key(const struct fault_ops *ops, const char *key,
					unsigned *out_index);

#endif
