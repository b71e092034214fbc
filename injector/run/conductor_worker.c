/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the worker says, and what it means for the run; and what to do when it says nothing any
 * more. */
#include "injector/base/clock.h"
#include "injector/journal/journal.h"
#include "injector/kernel/proc.h"
#include "injector/run/conductor_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define GUARDIAN_PATIENCE_NS (5 * NSEC_PER_SEC)
#define STOPPED_PATIENCE_NS  (6 * NSEC_PER_SEC) /* its guardian kills it after two or three */
#define HANGING_PATIENCE_NS  (3 * NSEC_PER_SEC) /* then its guardian has its time, as above */

/* Nothing has happened in the future, whatever is said: recovery would be waited for until then. */
static int64_t past_ns(int64_t time_ns)
{
	int64_t now_ns = clock_now_ns();

	return time_ns > 0 && time_ns < now_ns ? time_ns : now_ns;
}

static void on_armed(struct conductor *conductor, const struct reply *reply)
{
	memcpy(conductor->result->run_id, reply->text, RUN_ID_SIZE - 1);
	conductor->guardian = (struct process_identity){.pid = (pid_t)reply->numbers[0],
							.start_time = (uint64_t)reply->numbers[1]};
	conductor_note(conductor, EVENT_ARMED, 0, "%s", conductor->result->run_id);
	follow_begin(conductor->follow);
	timeline_begin(conductor);
}

static void on_planned(struct conductor *conductor)
{
	if (conductor->options.plan_only) {
		conductor->phase = PHASE_FINISHED; /* the last step is complete */
		conductor_emit(conductor, (struct event){.kind = EVENT_PHASE});
		conductor_leave(conductor);
	}
}

static void on_refused(struct conductor *conductor, const struct reply *reply)
{
	conductor->refusal.code = reply->code > 0 ? reply->code : EIO;
	snprintf(conductor->refusal.text, sizeof(conductor->refusal.text), "%s", reply->text);
	snprintf(conductor->refusal.remedy, sizeof(conductor->refusal.remedy), "%s", reply->remedy);
	conductor->is_refused = true;
	if (!conductor->has_injected)
		conductor_leave(conductor);
}

static void on_injected(struct conductor *conductor, const struct reply *reply)
{
	char text[256];

	conductor->has_injected = true;
	conductor->steps[reply->index].is_awaited = false;
	conductor->steps[reply->index].was_injected = true;
	conductor->steps[reply->index].is_in_force = true;
	conductor->in_force++;
	experiment_describe_step(conductor->experiment, reply->index, text, sizeof(text));
	conductor_emit(conductor, (struct event){.kind = EVENT_INJECTED,
						 .time_ns = past_ns(reply->numbers[0]),
						 .step = reply->index,
						 .duration_ns = reply->numbers[1],
						 .text = text});
}

static bool awaits_any(const struct conductor *conductor)
{
	for (unsigned i = 0; i < conductor->experiment->step_count; i++)
		if (conductor->steps[i].is_awaited)
			return true;
	return false;
}

/* Nothing has happened, and the run is over; unless another step may be in force by now. */
static void on_inject_failed(struct conductor *conductor, const struct reply *reply)
{
	conductor->steps[reply->index].is_awaited = false;
	conductor_note(conductor, EVENT_INJECT_FAILED, reply->index, "%s%s%s", reply->text,
		       reply->remedy[0] ? "; " : "", reply->remedy);
	if (!conductor->has_injected && !awaits_any(conductor))
		on_refused(conductor, reply);
	else
		conductor_stop(conductor, clock_now_ns(), STOP_INJECT_FAILED,
			       "a fault could not be injected");
}

static void on_ended(struct conductor *conductor, const struct reply *reply)
{
	struct conductor_step *step = &conductor->steps[reply->index];
	int64_t ended_ns = past_ns(reply->numbers[0]);

	if (step->is_in_force) {
		step->is_in_force = false;
		conductor->in_force--;
	}
	if (ended_ns > conductor->last_end_ns)
		conductor->last_end_ns = ended_ns;
	conductor_emit(conductor, (struct event){.kind = EVENT_ENDED,
						 .time_ns = ended_ns,
						 .step = reply->index,
						 .duration_ns = reply->numbers[1]});
}

static void on_stopped(struct conductor *conductor, const struct reply *reply)
{
	int64_t stopped_ns = past_ns(reply->numbers[0]);
	int64_t latency_ns = stopped_ns - conductor->stop_seen_ns;

	if (!conductor->is_stopping)
		return; /* the planned end */
	conductor_emit(conductor, (struct event){.kind = EVENT_STOPPED,
						 .time_ns = stopped_ns,
						 .duration_ns = latency_ns > 0 ? latency_ns : 0});
}

static void on_worker_stopping(struct conductor *conductor, const struct reply *reply)
{
	/* The answer to our own STOP and FINISH says nothing new. */
	if (conductor->is_stopping || conductor->phase == PHASE_RESTORE)
		return;
	conductor_note_stop(conductor, past_ns(reply->numbers[1]),
			    (enum stop_cause)reply->numbers[0], reply->text);
}

/* As the faults call them: it lives longer than the reply. */
static const char *unit_of(const char *name)
{
	static const char *const units[] = {"packets",	"processes", "queries",
					    "ports",	"opens",     "connections",
					    "connects", "requests",  "requests and connections"};

	for (unsigned i = 0; i < sizeof(units) / sizeof(*units); i++)
		if (strcmp(name, units[i]) == 0)
			return units[i];
	return units[0];
}

static void on_evidence(struct conductor *conductor, const struct reply *reply)
{
	struct evidence evidence = {
		.hits = (uint64_t)reply->numbers[0],
		.dropped = (uint64_t)reply->numbers[1],
		.processor_ns = reply->numbers[3] > 0 ? reply->numbers[3] : 0,
		.passed = (uint64_t)reply->numbers[4],
		.delayed = (uint64_t)reply->numbers[5],
		.unit = unit_of(reply->name),
	};

	snprintf(evidence.detail, sizeof(evidence.detail), "%.*s", (int)sizeof(evidence.detail) - 1,
		 reply->text);
	conductor_emit(conductor, (struct event){.kind = EVENT_EVIDENCE,
						 .step = reply->index,
						 .number = reply->numbers[2],
						 .evidence = &evidence});
}

static void on_level(struct conductor *conductor, const struct reply *reply)
{
	conductor_emit(conductor, (struct event){.kind = EVENT_LEVEL,
						 .time_ns = past_ns(reply->numbers[1]),
						 .step = reply->index,
						 .number = reply->numbers[0]});
}

static void on_followed(struct conductor *conductor, const struct reply *reply)
{
	conductor_emit(conductor, (struct event){.kind = EVENT_FOLLOWED,
						 .step = reply->index,
						 .number = reply->numbers[0],
						 .text = reply->text});
}

static void on_reply(struct conductor *conductor, const struct reply *reply)
{
	switch ((enum reply_type)reply->type) {
	case REPLY_PLAN_LINE:
		conductor_emit(conductor, (struct event){.kind = EVENT_PLAN,
							 .step = reply->index,
							 .number = reply->numbers[0],
							 .text = reply->text});
		break;
	case REPLY_PLANNED:
		on_planned(conductor);
		break;
	case REPLY_ARMED:
		on_armed(conductor, reply);
		break;
	case REPLY_REFUSED:
		on_refused(conductor, reply);
		break;
	case REPLY_INJECTED:
		on_injected(conductor, reply);
		break;
	case REPLY_INJECT_FAILED:
		on_inject_failed(conductor, reply);
		break;
	case REPLY_EVIDENCE:
		on_evidence(conductor, reply);
		break;
	case REPLY_ENDED:
		on_ended(conductor, reply);
		break;
	case REPLY_RESTORED:
		conductor_note(conductor, EVENT_RESTORED, reply->index, "%s", reply->text);
		if (!reply->numbers[1]) /* else another pulse comes */
			timeline_step_over(conductor, reply->index);
		break;
	case REPLY_FOLLOWED:
		on_followed(conductor, reply);
		break;
	case REPLY_LEVEL:
		on_level(conductor, reply);
		break;
	case REPLY_STOPPING:
		on_worker_stopping(conductor, reply);
		break;
	case REPLY_STOPPED:
		on_stopped(conductor, reply);
		break;
	case REPLY_LEFT:
		conductor_note(conductor, EVENT_LEFT, reply->index, "%s", reply->text);
		timeline_step_over(conductor, reply->index);
		break;
	case REPLY_FINISHED:
		conductor->is_worker_gone = true;
		loop_unwatch(conductor->loop, conductor->options.worker_socket);
		timeline_on_restored(conductor);
		break;
	case REPLY_COUNT:
		break;
	}
}

static const char *what_became_of_worker(const struct conductor *conductor)
{
	return conductor->worker_hangs_ns     ? "the worker hangs in the kernel"
	       : conductor->worker_stopped_ns ? "the worker was stopped"
					      : "the worker was killed";
}

/* The guardian removes the journal as its last act: its directory is what can be seen from here.
 * One that is dead (asked before the journal is looked at) removes none any more. */
static void await_guardian(void *context)
{
	struct conductor *conductor = context;
	const char *run_id = conductor->result->run_id;
	bool is_dead = proc_is_same(&conductor->guardian) == 0;
	bool is_gone = !journal_exists(run_id);

	if (!is_gone && !is_dead && clock_now_ns() < conductor->guardian_patience_ns) {
		loop_timer_set(conductor->loop, &conductor->phase_timer,
			       clock_now_ns() + 10 * NSEC_PER_MSEC, await_guardian, conductor);
		return;
	}
	if (!is_gone)
		conductor_note(conductor, EVENT_LEFT, 0,
			       "%s and its journal %s/%s is still there; run: squall restore",
			       what_became_of_worker(conductor), journal_root_of(run_id), run_id);
	for (unsigned i = 0; i < conductor->experiment->step_count; i++) {
		struct conductor_step *step = &conductor->steps[i];

		if (!step->was_injected || step->is_over)
			continue;
		if (step->is_in_force)
			conductor_emit(conductor, (struct event){.kind = EVENT_ENDED, .step = i});
		step->is_in_force = false;
		if (is_gone)
			conductor_note(conductor, EVENT_RESTORED, i, "%s", "by the guardian");
	}
	conductor->in_force = 0;
	conductor_emit(conductor,
		       (struct event){.kind = EVENT_STOPPED,
				      .duration_ns = clock_now_ns() - conductor->stop_seen_ns});
	timeline_on_restored(conductor);
}

/* Why one that is there is given up, or what has ended it. */
static const char *why_lost(const struct conductor *conductor, bool has_ended)
{
	if (has_ended && conductor->worker_stopped_ns)
		return "the worker was stopped, and then killed, as its guardian does; the kernel "
		       "dropped what it held, the guardian undoes the rest";
	if (has_ended)
		return "the worker was killed; the kernel dropped what it held, the guardian "
		       "undoes the rest";
	return conductor->worker_hangs_ns
		       ? "the worker hangs in the kernel, from where nothing brings it back"
		       : "the worker was stopped, and nobody has killed it";
}

/* `has_ended`: its socket says so. */
static void worker_is_lost(struct conductor *conductor, bool has_ended)
{
	conductor->is_worker_gone = true;
	loop_unwatch(conductor->loop, conductor->options.worker_socket);
	if (conductor->phase == PHASE_PLAN) {
		if (!conductor->is_refused)
			error_set(&conductor->refusal, EIO, "%s",
				  conductor->worker_stopped_ns || conductor->worker_hangs_ns
					  ? what_became_of_worker(conductor)
					  : "the worker ended unexpectedly");
		conductor->is_refused = true;
		conductor_leave(conductor);
		return;
	}
	/* The kernel has dropped what it held; the guardian undoes the rest right now. */
	if (!conductor->is_stopping)
		conductor_note_stop(conductor, clock_now_ns(), STOP_INTERNAL,
				    why_lost(conductor, has_ended));
	conductor->guardian_patience_ns = clock_now_ns() + GUARDIAN_PATIENCE_NS;
	await_guardian(conductor);
}

/* Killed and not gone, or asleep where no signal wakes it, with nobody left to kill it. Whether a
 * disk or a lock of the kernel's ever lets it go nobody knows. */
static bool is_hanging(const struct conductor *conductor, const struct proc_stat *first)
{
	if (proc_is_dying(conductor->options.worker) > 0)
		return true;
	return first->state == 'D' && conductor->guardian.pid > 0 &&
	       proc_is_same(&conductor->guardian) == 0;
}

static void note_since(int64_t *since_ns, bool is_so, int64_t now_ns)
{
	if (!is_so)
		*since_ns = 0;
	else if (!*since_ns)
		*since_ns = now_ns;
}

void conductor_look_at_worker(struct conductor *conductor)
{
	int64_t now_ns = clock_now_ns();
	struct proc_stat first = {0};
	enum proc_stop stop;
	bool is_stopped;

	if (conductor->is_worker_gone)
		return;
	if (proc_read_stat(conductor->options.worker, &first) < 0)
		return; /* its socket tells */
	/* one thread that is not stopped tells all, without a look at the others */
	is_stopped = first.state == 'T' && proc_read_stop(conductor->options.worker, &stop) == 0 &&
		     stop == PROC_STOPPED;
	/* one that is on its way out was stopped before, if it was */
	if (!first.is_dead && !first.is_exiting && proc_is_dying(conductor->options.worker) == 0)
		note_since(&conductor->worker_stopped_ns, is_stopped, now_ns);
	note_since(&conductor->worker_hangs_ns, is_hanging(conductor, &first), now_ns);
	if ((conductor->worker_stopped_ns &&
	     now_ns - conductor->worker_stopped_ns > STOPPED_PATIENCE_NS) ||
	    (conductor->worker_hangs_ns &&
	     now_ns - conductor->worker_hangs_ns > HANGING_PATIENCE_NS))
		worker_is_lost(conductor, false);
}

void conductor_on_worker(void *context, uint32_t events)
{
	struct conductor *conductor = context;
	struct error err = ERROR_INIT;
	struct reply reply;
	int fd, result;

	(void)events;
	while (!conductor->is_worker_gone &&
	       (result = reply_receive(conductor->options.worker_socket, &reply, &fd, &err)) !=
		       -EAGAIN) {
		if (result != 1) {
			if (fd >= 0)
				close(fd);
			worker_is_lost(conductor, true);
			return;
		}
		if (fd >= 0 && reply.type == REPLY_ARMED && conductor->result_fd < 0)
			conductor->result_fd = fd;
		else if (fd >= 0)
			close(fd);
		if (reply.index < conductor->experiment->step_count)
			on_reply(conductor, &reply);
	}
}
