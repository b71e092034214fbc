/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Shared between worker.c (life of the process), worker_define.c (what the conductor may define and
 * plan) and worker_step.c (life of one step).
 */
#ifndef SQUALL_RUN_WORKER_INTERNAL_H
#define SQUALL_RUN_WORKER_INTERNAL_H

#include "faults/fault.h"
#include "injector/base/loop.h"
#include "injector/restore/guardian.h"
#include "injector/run/event.h"
#include "injector/run/requests.h"
#include "injector/run/worker.h"

#include <stdbool.h>
#include <stdint.h>

enum step_state {
	STEP_DEFINED,
	STEP_PLANNED,
	STEP_IN_FORCE,
	STEP_ENDING,   /* out of force, or softly ending; something inert remains */
	STEP_RESTORED, /* undone and read back; or failed to be, see is_left */
};

struct worker_step {
	struct worker *worker;
	struct fault fault;
	struct params params;
	unsigned target;
	int64_t for_ns; /* 0: until told */
	enum step_state state;
	bool is_defined, is_end_reported;
	int64_t end_began_ns;
	struct loop_timer end_timer, again_timer;
	char text[256];
};

struct worker {
	struct worker_options options;
	struct loop *loop;
	enum worker_state state;
	char run_id[RUN_ID_SIZE];
	struct process_identity conductor, self;
	int conductor_pidfd, signal_fd;
	struct guardian guardian;
	bool has_guardian, is_conductor_lost, has_stopped;
	struct journal *journal;
	struct fault_env env;
	struct {
		int64_t duration_ns;
		unsigned targets;
	} limits;
	uint64_t seed;
	struct target *targets; /* EXPERIMENT_MAX_TARGETS slots, allocated as defined */
	unsigned target_count;
	struct worker_step *steps;
	unsigned step_count;
	unsigned left_count;
	int64_t heard_ns; /* last request of the conductor */
	struct loop_timer deadline_timer, ping_timer, evidence_timer;
};

/* worker_define.c */
int worker_on_limits(struct worker *worker, const struct request *request, struct error *err);
int worker_on_target(struct worker *worker, const struct request *request, struct error *err);
int worker_on_target_value(struct worker *worker, const struct request *request, struct error *err);
int worker_on_step(struct worker *worker, const struct request *request, struct error *err);
int worker_on_step_value(struct worker *worker, const struct request *request, struct error *err);
int worker_on_plan(struct worker *worker, const struct request *request, struct error *err);
/* Union of the capabilities of the faults in the method. */
uint64_t worker_capabilities(const struct worker *worker);

/* worker_step.c */
int worker_on_inject(struct worker *worker, const struct request *request, struct error *err);
int worker_on_end(struct worker *worker, const struct request *request, struct error *err);
void worker_step_end(struct worker_step *step, enum fault_end how);
/* It was done, and it has no end. */
bool worker_step_was_instant(const struct worker_step *step);
void worker_send_evidence(struct worker_step *step);
/* Says STOPPED once the last effect has ended, and finishes once the last step is restored. */
void worker_step_settled(struct worker *worker);

/* worker.c */
void worker_reply(struct worker *worker, enum reply_type type, unsigned index, const char *format,
		  ...) __attribute__((format(printf, 4, 5)));
void worker_reply_numbers(struct worker *worker, enum reply_type type, unsigned index, int64_t a,
			  int64_t b);
void worker_reply_error(struct worker *worker, enum reply_type type, unsigned index,
			const struct error *err);
/* Everything out of force, now; then the worker restores, reports and leaves. */
void worker_stop(struct worker *worker, enum stop_cause cause, const char *why);

#endif
