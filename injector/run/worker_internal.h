/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Shared between worker.c (life of the worker), worker_define.c (what the conductor may define and
 * plan), worker_step.c (life of one step), worker_shape.c (its pulses and ramp),
 * worker_follow.c (new addresses of a host name), worker_links.c (interfaces that come and go),
 * worker_parts.c (its faults in several network namespaces), worker_reload.c (who starts commands),
 * worker_reply.c (what the conductor is told) and worker_process.c (what it inherits from whoever
 * called).
 */
#ifndef SQUALL_RUN_WORKER_INTERNAL_H
#define SQUALL_RUN_WORKER_INTERNAL_H

#include "faults/fault.h"
#include "faults/target_parts.h"
#include "injector/base/loop.h"
#include "injector/experiment/shape.h"
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
	STEP_BETWEEN,  /* two pulses: undone and read back, to be injected again */
	STEP_RESTORED, /* undone and read back; or failed to be, see is_left */
};

struct worker_fault {
	struct fault fault;
	int64_t end_again_ns; /* what its last end() asked for */
};

struct worker_step {
	struct worker *worker;
	struct fault fault;	   /* the first one; what all have in common is read here */
	struct worker_fault *more; /* in other network namespaces; owned */
	unsigned more_count;
	int64_t first_again_ns;	      /* see worker_fault */
	int64_t started_ns, ended_ns; /* of the effect; 0: not yet all of them */
	struct params params;
	unsigned target;
	int64_t for_ns; /* 0: until told */
	struct shape shape;
	int64_t first_ns; /* beginning of the step: of the first pulse, of the ramp */
	unsigned pulse;	  /* the present one, or the next one between two; from 0 */
	unsigned injections;
	struct evidence before; /* of the pulses before */
	enum step_state state;
	bool is_end_reported, is_last;	    /* last: no further pulses */
	int64_t end_began_ns, end_again_ns; /* again: what the last call of end() asked for */
	struct loop_timer end_timer, again_timer, shape_timer;
	char text[256];
};

/* What worker_links.c knows of a target whose interfaces are followed. */
struct worker_links {
	struct worker *worker;
	struct target *target;
	struct loop_timer timer; /* of the next look, or of what is left to do of the last one */
	int64_t look_ns;	 /* no look before that */
	bool has_more;		 /* the last look saw some that there was no time for */
	char gone[300];		 /* to be told once it is let go */
	unsigned gone_count, gone_unnamed;
	int64_t paid_until_ns; /* of the ration of what is told */
	unsigned untold;       /* interfaces that it did not last for, */
	bool is_change_untold; /* and not all of them were left alone */
};

#define WORKER_PARTS_MAX 256
#define WORKER_PART_TEXT 88

struct worker {
	struct worker_options options;
	struct loop *loop;
	enum worker_state state;
	char run_id[RUN_ID_SIZE];
	struct process_identity conductor, self;
	int conductor_pidfd, signal_fd;
	struct guardian guardian;
	struct launcher *reloader; /* NULL: no step has a command */
	bool has_guardian, is_conductor_lost, has_stopped;
	bool has_planned, is_refusal_told; /* for the audit */
	int patience_ms; /* left for a conductor that does not read what it is told */
	struct journal *journal;
	struct fault_env env;
	struct {
		int64_t duration_ns;
		unsigned targets;
	} limits;
	uint64_t seed;
	unsigned value_count; /* of all targets and steps: they are kept in memory */
	size_t value_bytes;
	struct target *targets;	    /* EXPERIMENT_MAX_TARGETS slots, then WORKER_PARTS_MAX */
	struct worker_links *links; /* as many */
	unsigned target_count;
	unsigned part_count; /* of targets that are in several network namespaces */
	struct target_room copies;
	unsigned number_count; /* of faults beyond the first one of their step */
	struct worker_step *steps;
	unsigned step_count;
	unsigned injection_count; /* pulses counted one by one */
	unsigned command_count;	  /* of steps that have one */
	unsigned left_count;
	int64_t heard_ns; /* last request of the conductor */
	int64_t stop_began_ns;
	struct loop_timer deadline_timer, ping_timer, evidence_timer, deaf_timer;
};

/* worker_define.c */
int worker_on_limits(struct worker *worker, const struct request *request, struct error *err);
/* For all that may be defined: before the first request, while the worker waits for it. */
int worker_make_room(struct worker *worker, struct error *err);
int worker_on_target(struct worker *worker, const struct request *request, struct error *err);
int worker_on_target_value(struct worker *worker, const struct request *request, struct error *err);
int worker_on_step(struct worker *worker, const struct request *request, struct error *err);
int worker_on_step_value(struct worker *worker, const struct request *request, struct error *err);
int worker_on_plan(struct worker *worker, const struct request *request, struct error *err);
/* Union of the capabilities of the faults in the method. */
uint64_t worker_capabilities(const struct worker *worker);
/* A fault in the method outlives a reboot. */
bool worker_outlives_reboot(const struct worker *worker);

int worker_on_step_pulses(struct worker *worker, const struct request *request, struct error *err);
int worker_on_step_ramp(struct worker *worker, const struct request *request, struct error *err);

/* All targets that are resolved are within the limits, and the site's. */
int worker_check_reach(const struct worker *worker, struct error *err);
/* How many more they may be now (fault_env.targets_more). */
void worker_measure_reach(struct worker *worker);

/* worker_parts.c: the parts of a target, one in each network namespace; itself when it is in one.
 */
unsigned worker_part_count(const struct worker *worker, const struct target *target);
struct target *worker_part_at(const struct worker *worker, struct target *target, unsigned at);
const struct target *worker_whole(const struct target *target);
/* "in web-1: ", for what is told of a part; else "". */
const char *worker_say_part(const struct target *target, char out[WORKER_PART_TEXT]);
/* Before it is resolved, and its processes after that: makes its parts, if there are several, and
 * the faults in each. */
int worker_split(struct worker *worker, struct target *whole, const struct target_guard *guard,
		 struct error *err);
void worker_free_parts(struct worker *worker);
/* The faults of a step, and that in one of its parts (NULL: the step has another target). */
unsigned worker_fault_count(const struct worker_step *step);
struct fault *worker_fault_at(struct worker_step *step, unsigned at);
struct fault *worker_fault_of(struct worker_step *step, const struct target *target);
bool worker_step_is_of(const struct worker_step *step, const struct target *target);
/* The step's started_ns and ended_ns, from those of its faults, and the other way round. */
void worker_sum_times(struct worker_step *step);
void worker_set_times(struct worker_step *step, int64_t started_ns, int64_t ended_ns);
/* What fault_ops do, to all of them. On failure of inject() none is in force, and the step is to be
 * undone. End: what the first of them asks for that wants to be called again, 0: none does; first:
 * it is no such call. */
int worker_plan_faults(struct worker_step *step, struct plan *plan, struct error *err);
int worker_inject_faults(struct worker_step *step, struct error *err);
int worker_set_levels(struct worker_step *step, int64_t level_ppb, struct error *err);
int64_t worker_end_faults(struct worker_step *step, enum fault_end how, bool is_first);
int worker_gather_evidence(struct worker_step *step, struct evidence *out, struct error *err);

/* worker_follow.c */
int worker_on_target_host(struct worker *worker, const struct request *request, struct error *err);
int worker_on_addresses(struct worker *worker, const struct request *request, struct error *err);

/* Control groups that were removed, or are there again under their names. */
void worker_follow_groups(struct worker *worker, struct target *target);

/* worker_links.c: interfaces that have come or gone; of no target whose are not followed. Soon: not
 * more than the loop has time for. */
void worker_follow_interfaces(struct worker *worker, struct target *target);
/* Injects the step on those that are there; one that goes meanwhile is let go. */
int worker_inject_following(struct worker_step *step, struct error *err);

/* worker_shape.c: pulses and ramps, by timers of the worker. */
/* The strength that the step has now. */
int64_t worker_shape_level(const struct worker_step *step);
/* The step is in force: the ramp goes on. */
void worker_shape_follow(struct worker_step *step);
/* When the present injection ends; 0: when told. */
int64_t worker_shape_end_ns(const struct worker_step *step);
/* The injection is undone. True: another pulse will come, by `inject`, with the step as context. */
bool worker_shape_again(struct worker_step *step, void (*inject)(void *step));
/* Adds what was hit in the pulses before, and says which one this is. */
void worker_shape_sum(const struct worker_step *step, struct evidence *evidence);

/* worker_step.c */
int worker_on_inject(struct worker *worker, const struct request *request, struct error *err);
int worker_on_end(struct worker *worker, const struct request *request, struct error *err);
/* An abort in two parts: first the effects of all steps end and nothing else happens; then it is
 * told and tidied, which may wait for queues, processes or the conductor. */
void worker_cut_steps(struct worker *worker);
void worker_tidy_steps(struct worker *worker);
/* Evidence of what was done and has no end, once more. */
void worker_look_back(struct worker *worker);

/* worker_process.c */
/* Makes of a forked child of an arbitrary caller a process of its own: session, directory, umask,
 * limits, descriptors. */
int worker_settle_in(struct worker *worker, struct error *err);
/* Until worker_end_planning() it is refused when it has taken PLANNING_S of the processor's time:
 * what people's files and patterns ask for has no other end. */
#define PLANNING_S 15
void worker_bound_planning(const struct worker *worker);
void worker_end_planning(void);

/* worker_reload.c */
/* A process that starts the commands of the steps, if there are any. Once all steps are planned. */
int worker_start_reloader(struct worker *worker, struct error *err);
/* What its commands are is asked of the site, and each gets its number. Before the step is planned.
 */
int worker_admit_command(struct worker *worker, struct worker_step *step, struct error *err);
void worker_end_reloader(struct worker *worker);

/* worker_reply.c */
/* Waits for a conductor that does not read, but only so long in all; then it counts as lost. `fd`
 * goes along unless it is -1. */
void worker_send(struct worker *worker, const struct reply *reply, int fd);
/* Once in a while: what was used up of the patience comes back slowly. */
void worker_regain_patience(struct worker *worker);
/* Closes the conversation. A local socket that is closed with something unread in it takes from the
 * other side what it was sent last (ECONNRESET; unix_release_sock() in net/unix/af_unix.c): so the
 * requests that crossed our last words are read away first. */
void worker_hang_up(struct worker *worker);
void worker_reply(struct worker *worker, enum reply_type type, unsigned index, const char *format,
		  ...) __attribute__((format(printf, 4, 5)));
void worker_reply_numbers(struct worker *worker, enum reply_type type, unsigned index, int64_t a,
			  int64_t b);
void worker_reply_error(struct worker *worker, enum reply_type type, unsigned index,
			const struct error *err);

/* worker.c */
/* Refused or given up before anything was injected. */
void worker_leave_unarmed(struct worker *worker);
/* Everything out of force, now; then the worker restores, reports and leaves. */
void worker_stop(struct worker *worker, enum stop_cause cause, const char *why);

#endif
