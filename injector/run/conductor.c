/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/run/conductor.h"

#include "injector/base/clock.h"
#include "injector/kernel/sandbox.h"
#include "injector/run/conductor_internal.h"
#include "injector/run/define.h"
#include "injector/view/view.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define GUARDIAN_PATIENCE_NS (5 * NSEC_PER_SEC)

void conductor_emit(struct conductor *conductor, struct event event)
{
	if (!event.time_ns)
		event.time_ns = clock_now_ns();
	event.wall_ns = clock_wall_ns();
	event.phase = conductor->phase;
	for (unsigned i = 0; i < 3; i++)
		if (conductor->options.listeners[i].fn)
			conductor->options.listeners[i].fn(conductor->options.listeners[i].context,
							   &event);
}

void conductor_note(struct conductor *conductor, enum event_kind kind, unsigned step,
		    const char *format, ...)
{
	char text[1200];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	conductor_emit(conductor, (struct event){.kind = kind, .step = step, .text = text});
}

void conductor_request(struct conductor *conductor, enum request_type type, unsigned index,
		       const char *text)
{
	struct request request = {.type = type, .index = index};

	if (conductor->is_worker_gone)
		return;
	if (text)
		snprintf(request.text, sizeof(request.text), "%s", text);
	for (char *at = request.text; *at; at++)
		if ((unsigned char)*at < ' ' || *at == 127)
			*at = ' ';
	/* A worker that is gone is noticed by its closed socket. */
	request_send(conductor->options.worker_socket, &request, NULL);
}

/* Somebody stops the run: from now on it only restores. */
static void note_stop(struct conductor *conductor, int64_t seen_ns, enum stop_cause cause,
		      const char *why)
{
	conductor->is_stopping = true;
	conductor->stop_seen_ns = seen_ns;
	conductor->is_cut_short = cause != STOP_BREACH;
	conductor_emit(conductor, (struct event){.kind = EVENT_STOPPING,
						 .time_ns = seen_ns,
						 .number = cause,
						 .text = why});
	timeline_on_stop(conductor);
}

void conductor_stop(struct conductor *conductor, int64_t seen_ns, enum stop_cause cause,
		    const char *why)
{
	if (conductor->is_stopping)
		return;
	/* Stop first, tell afterwards: every microsecond before is stop latency. */
	conductor_request(conductor, REQUEST_STOP, 0, why);
	if (cause == STOP_BREACH)
		conductor_emit(conductor, (struct event){.kind = EVENT_BREACH,
							 .time_ns = seen_ns,
							 .probe = conductor->breached_probe,
							 .text = why});
	note_stop(conductor, seen_ns, cause, why);
	if (conductor->is_worker_gone)
		conductor_leave(conductor);
}

void conductor_leave(struct conductor *conductor)
{
	loop_stop(conductor->loop);
}

static void on_armed(struct conductor *conductor, const struct reply *reply)
{
	memcpy(conductor->result->run_id, reply->text, RUN_ID_SIZE - 1);
	conductor_note(conductor, EVENT_ARMED, 0, "%s", conductor->result->run_id);
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
	conductor->steps[reply->index].was_injected = true;
	conductor->steps[reply->index].is_in_force = true;
	conductor->in_force++;
	experiment_describe_step(conductor->experiment, reply->index, text, sizeof(text));
	conductor_emit(conductor, (struct event){.kind = EVENT_INJECTED,
						 .time_ns = reply->numbers[0],
						 .step = reply->index,
						 .duration_ns = reply->numbers[1],
						 .text = text});
}

static void on_inject_failed(struct conductor *conductor, const struct reply *reply)
{
	conductor_note(conductor, EVENT_INJECT_FAILED, reply->index, "%s%s%s", reply->text,
		       reply->remedy[0] ? "; " : "", reply->remedy);
	if (!conductor->has_injected)
		on_refused(conductor, reply);
	else
		conductor_stop(conductor, clock_now_ns(), STOP_INJECT_FAILED,
			       "a fault could not be injected");
}

static void on_ended(struct conductor *conductor, const struct reply *reply)
{
	struct conductor_step *step = &conductor->steps[reply->index];

	if (step->is_in_force) {
		step->is_in_force = false;
		conductor->in_force--;
	}
	if (reply->numbers[0] > conductor->last_end_ns)
		conductor->last_end_ns = reply->numbers[0];
	conductor_emit(conductor, (struct event){.kind = EVENT_ENDED,
						 .time_ns = reply->numbers[0],
						 .step = reply->index,
						 .duration_ns = reply->numbers[1]});
}

static void on_stopped(struct conductor *conductor, const struct reply *reply)
{
	int64_t latency_ns = reply->numbers[0] - conductor->stop_seen_ns;

	if (!conductor->is_stopping)
		return; /* the planned end */
	conductor_emit(conductor, (struct event){.kind = EVENT_STOPPED,
						 .time_ns = reply->numbers[0],
						 .duration_ns = latency_ns > 0 ? latency_ns : 0});
}

static void on_worker_stopping(struct conductor *conductor, const struct reply *reply)
{
	/* The answer to our own STOP and FINISH says nothing new. */
	if (conductor->is_stopping || conductor->phase == PHASE_RESTORE)
		return;
	note_stop(conductor, reply->numbers[1] ? reply->numbers[1] : clock_now_ns(),
		  (enum stop_cause)reply->numbers[0], reply->text);
}

static void on_evidence(struct conductor *conductor, const struct reply *reply)
{
	struct evidence evidence = {
		.hits = (uint64_t)reply->numbers[0],
		.dropped = (uint64_t)reply->numbers[1],
		.unit = strcmp(reply->name, "processes") == 0 ? "processes" : "packets",
	};

	snprintf(evidence.detail, sizeof(evidence.detail), "%.*s", (int)sizeof(evidence.detail) - 1,
		 reply->text);
	conductor_emit(conductor, (struct event){.kind = EVENT_EVIDENCE,
						 .step = reply->index,
						 .evidence = &evidence});
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
		timeline_step_over(conductor, reply->index);
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

/* The guardian removes the journal as its last act: its directory is what can be seen from here. */
static void await_guardian(void *context)
{
	struct conductor *conductor = context;
	char path[64];
	struct stat status;
	bool is_gone;

	snprintf(path, sizeof(path), JOURNAL_ROOT "/%s", conductor->result->run_id);
	is_gone = stat(path, &status) < 0 && errno == ENOENT;
	if (!is_gone && clock_now_ns() < conductor->guardian_patience_ns) {
		loop_timer_set(conductor->loop, &conductor->phase_timer,
			       clock_now_ns() + 10 * NSEC_PER_MSEC, await_guardian, conductor);
		return;
	}
	if (!is_gone)
		conductor_note(conductor, EVENT_LEFT, 0,
			       "the worker was killed and its journal %s is still there; run: "
			       "squall restore",
			       path);
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

static void worker_is_lost(struct conductor *conductor)
{
	conductor->is_worker_gone = true;
	loop_unwatch(conductor->loop, conductor->options.worker_socket);
	if (conductor->phase == PHASE_PLAN) {
		if (!conductor->is_refused)
			error_set(&conductor->refusal, EIO, "the worker ended unexpectedly");
		conductor->is_refused = true;
		conductor_leave(conductor);
		return;
	}
	/* The kernel has dropped what it held; the guardian undoes the rest right now. */
	if (!conductor->is_stopping)
		note_stop(conductor, clock_now_ns(), STOP_INTERNAL,
			  "the worker was killed; the kernel dropped what it held, the guardian "
			  "undoes the rest");
	conductor->guardian_patience_ns = clock_now_ns() + GUARDIAN_PATIENCE_NS;
	await_guardian(conductor);
}

static void on_worker(void *context, uint32_t events)
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
			worker_is_lost(conductor);
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

static void on_signal(void *context, uint32_t events)
{
	struct conductor *conductor = context;
	struct signalfd_siginfo info;
	char why[64];

	(void)events;
	if (read(conductor->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGWINCH) {
		if (conductor->options.view)
			view_resize(conductor->options.view);
		return;
	}
	snprintf(why, sizeof(why), "got SIG%s%s", signal_name((int)info.ssi_signo),
		 info.ssi_signo == SIGINT   ? " (Ctrl-C)"
		 : info.ssi_signo == SIGHUP ? " (the terminal was closed)"
					    : "");
	if (conductor->phase == PHASE_PLAN) {
		error_set(&conductor->refusal, EINTR, "%s before anything was injected", why);
		conductor->is_refused = true;
		conductor_leave(conductor);
	} else if (conductor->phase == PHASE_RECOVERY) {
		note_stop(conductor, clock_now_ns(), STOP_SIGNAL, why);
		conductor_leave(conductor); /* all is restored; only the observation is cut short */
	} else {
		conductor_stop(conductor, clock_now_ns(), STOP_SIGNAL, why);
	}
}

static void on_tick(void *context)
{
	struct conductor *conductor = context;

	conductor_request(conductor, REQUEST_PING, 0, NULL);
	loop_timer_set(conductor->loop, &conductor->ping_timer, clock_now_ns() + REQUEST_PING_NS,
		       on_tick, conductor);
}

static int watch_signals(struct conductor *conductor, struct error *err)
{
	struct sigaction hangup;
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGTERM);
	/* Started by nohup(1) it outlives its terminal: signalfd would hear what is ignored, too.
	 */
	if (sigaction(SIGHUP, NULL, &hangup) < 0 || hangup.sa_handler != SIG_IGN)
		sigaddset(&mask, SIGHUP);
	sigaddset(&mask, SIGQUIT);
	sigaddset(&mask, SIGWINCH);
	/* Ctrl-Z would leave faults in force with nobody watching the abort conditions. */
	signal(SIGTSTP, SIG_IGN);
	signal(SIGTTOU, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	conductor->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (conductor->signal_fd < 0)
		return error_errno(err, errno, "cannot watch signals");
	return loop_watch(conductor->loop, conductor->signal_fd, EPOLLIN, on_signal, conductor,
			  err);
}

static int prepare(struct conductor *conductor, struct error *err)
{
	const struct experiment *experiment = conductor->experiment;
	int result;

	conductor->steps = calloc(experiment->step_count + 1UL, sizeof(*conductor->steps));
	if (!conductor->steps)
		return error_errno(err, ENOMEM, "cannot keep the timeline");
	for (unsigned i = 0; i < experiment->step_count; i++)
		conductor->steps[i].conductor = conductor;
	result = streak_init(&conductor->steady, &experiment->steady_state, err);
	if (result == 0)
		result = streak_init(&conductor->recovery, &experiment->recovery, err);
	if (result == 0)
		result = abort_new(experiment, &conductor->aborts, err);
	if (result == 0 && experiment->probe_count && !conductor->options.plan_only)
		result = probe_scheduler_new(experiment->probes, experiment->probe_count,
					     conductor->loop, conductor->options.launcher,
					     timeline_on_sample, conductor, &conductor->scheduler,
					     err);
	if (result == 0)
		result = watch_signals(conductor, err);
	return result;
}

/* The worker may have closed the connection because it refused something: that is the reason to
 * tell. */
static void read_refusal(struct conductor *conductor, struct error *err)
{
	struct pollfd waiting = {.fd = conductor->options.worker_socket, .events = POLLIN};

	if (poll(&waiting, 1, 100) > 0)
		on_worker(conductor, 0);
	if (conductor->is_refused)
		*err = conductor->refusal;
}

static int converse(struct conductor *conductor, struct error *err)
{
	int result = define_experiment(conductor->options.worker_socket, conductor->experiment,
				       conductor->options.command >= 0, err);

	if (result < 0) {
		if (err->code == EPIPE)
			read_refusal(conductor, err);
		return result;
	}
	if (conductor->options.launcher)
		result = launcher_seal(conductor->options.launcher, conductor->loop, err);
	if (result == 0)
		result = loop_watch(conductor->loop, conductor->options.worker_socket, EPOLLIN,
				    on_worker, conductor, err);
	if (result < 0)
		return result;
	/* Nothing is decided here between the two, so the worker need not wait for an answer: it
	 * arms if the plan is good, while this process confines itself. */
	conductor_request(conductor, REQUEST_PLAN, 0, NULL);
	if (!conductor->options.plan_only)
		conductor_request(conductor, REQUEST_ARM, 0, conductor->experiment->title);
	/* Names are looked up and libraries loaded: from here on nothing else is needed. */
	result = sandbox_conductor(err);
	if (result < 0)
		return result;
	conductor_emit(conductor, (struct event){.kind = EVENT_PHASE});
	on_tick(conductor);
	result = loop_run(conductor->loop, err);
	if (result == 0 && conductor->is_refused && !conductor->has_injected) {
		*err = conductor->refusal;
		result = -err->code;
	}
	return result;
}

int conductor_run(const struct conductor_options *options, int *out_result_fd, struct error *err)
{
	struct conductor conductor = {
		.options = *options,
		.experiment = options->experiment,
		.loop = options->loop,
		.result = options->result,
		.signal_fd = -1,
		.result_fd = -1,
	};
	int result = prepare(&conductor, err);

	if (result == 0)
		result = converse(&conductor, err);
	if (conductor.scheduler)
		probe_scheduler_free(conductor.scheduler);
	streak_free(&conductor.steady);
	streak_free(&conductor.recovery);
	abort_free(conductor.aborts);
	free(conductor.steps);
	if (conductor.signal_fd >= 0) {
		loop_unwatch(conductor.loop, conductor.signal_fd);
		close(conductor.signal_fd);
	}
	*out_result_fd = conductor.result_fd;
	return result;
}
