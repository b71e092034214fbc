/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Shared between conductor.c (life, signals), conductor_worker.c (what the worker says) and
 * timeline.c (phases, steps, samples).
 */
#ifndef SQUALL_RUN_CONDUCTOR_INTERNAL_H
#define SQUALL_RUN_CONDUCTOR_INTERNAL_H

#include "injector/probes/scheduler.h"
#include "injector/run/abort.h"
#include "injector/run/conductor.h"
#include "injector/run/follow.h"
#include "injector/run/requests.h"
#include "injector/run/streak.h"

struct conductor_step {
	struct conductor *conductor;
	struct loop_timer due_timer;
	bool is_over;	 /* restored, failed or never to come */
	bool is_awaited; /* the worker was asked for it, and has not answered */
	bool was_injected, is_in_force;
};

struct conductor {
	struct conductor_options options;
	const struct experiment *experiment;
	struct loop *loop;
	struct run_result *result;
	struct probe_scheduler *scheduler;
	struct abort_watch *aborts;
	struct streak before, steady, recovery;
	struct conductor_step *steps;
	enum run_phase phase;
	int64_t phase_began_ns;
	unsigned in_force;
	unsigned breached_probe;
	bool has_injected, is_stopping, is_cut_short, is_worker_gone, is_command_running,
		is_refused, is_awaiting;
	int64_t stop_seen_ns; /* when the reason to stop was seen */
	int64_t last_end_ns;  /* when the last effect ended */
	int64_t method_began_ns, method_ended_ns;
	struct error refusal;
	struct process_identity guardian; /* of an armed run */
	int64_t guardian_patience_ns;
	int64_t worker_stopped_ns; /* seen stopped since; 0: it is not */
	int64_t worker_hangs_ns;   /* seen in the kernel, from where it does not come back */
	int64_t command_began_ns;
	int signal_fd, result_fd;
	struct follow *follow; /* NULL: no name is followed */
	struct keys *keys;     /* NULL: no terminal to read them from */
	struct loop_timer ping_timer, phase_timer, method_timer;
};

/* conductor.c */
void conductor_emit(struct conductor *conductor, struct event event);
void conductor_note(struct conductor *conductor, enum event_kind kind, unsigned step,
		    const char *format, ...) __attribute__((format(printf, 4, 5)));
void conductor_request(struct conductor *conductor, enum request_type type, unsigned index,
		       const char *text);
/* Ends the run at once: tells the worker, remembers when the reason was seen. */
void conductor_stop(struct conductor *conductor, int64_t seen_ns, enum stop_cause cause,
		    const char *why);
void conductor_leave(struct conductor *conductor);
/* The run stops, by whomever: told, and from now on it only restores. */
void conductor_note_stop(struct conductor *conductor, int64_t seen_ns, enum stop_cause cause,
			 const char *why);

/* conductor_worker.c */
/* Loop callback of the worker's socket: hears everything that it has said. */
void conductor_on_worker(void *context, uint32_t events);
/* Now and then: a worker that is stopped for good, with nobody to kill it, is given up; so is one
 * that was killed and hangs in the kernel. */
void conductor_look_at_worker(struct conductor *conductor);

/* timeline.c */
void timeline_begin(struct conductor *conductor);
void timeline_on_sample(void *context, unsigned probe, const struct probe_sample *sample);
/* Before its time. */
void timeline_begin_step(struct conductor *conductor, unsigned step);
void timeline_step_over(struct conductor *conductor, unsigned step);
/* The run ends early: the reason is known, the worker is told or acts itself. */
void timeline_on_stop(struct conductor *conductor);
/* The worker has restored everything and left. */
void timeline_on_restored(struct conductor *conductor);

#endif
