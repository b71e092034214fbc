/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/run/conductor.h"

#include "injector/base/clock.h"
#include "injector/kernel/sandbox.h"
#include "injector/run/conductor_internal.h"
#include "injector/run/define.h"
#include "injector/view/keys.h"
#include "injector/view/view.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

void conductor_emit(struct conductor *conductor, struct event event)
{
	if (!event.time_ns)
		event.time_ns = clock_now_ns();
	event.wall_ns = clock_wall_ns();
	event.phase = conductor->phase;
	for (unsigned i = 0; i < CONDUCTOR_LISTENERS; i++)
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
void conductor_note_stop(struct conductor *conductor, int64_t seen_ns, enum stop_cause cause,
			 const char *why)
{
	conductor->is_stopping = true;
	follow_end(conductor->follow);
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
	conductor_note_stop(conductor, seen_ns, cause, why);
	if (conductor->is_worker_gone)
		conductor_leave(conductor);
}

void conductor_leave(struct conductor *conductor)
{
	loop_stop(conductor->loop);
}

/* Somebody at the terminal wants it to end. */
static void interrupt(struct conductor *conductor, enum stop_cause cause, const char *why)
{
	if (conductor->phase == PHASE_PLAN) {
		error_set(&conductor->refusal, EINTR, "%s before anything was injected", why);
		conductor->is_refused = true;
		conductor_leave(conductor);
	} else if (conductor->phase == PHASE_RECOVERY) {
		conductor_note_stop(conductor, clock_now_ns(), cause, why);
		conductor_leave(conductor); /* all is restored; only the observation is cut short */
	} else {
		conductor_stop(conductor, clock_now_ns(), cause, why);
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
	interrupt(conductor, STOP_SIGNAL, why);
}

/* Ends what would end first; when nothing is in force, begins what would begin next. The others
 * keep their times. */
static void skip(struct conductor *conductor)
{
	const struct experiment *experiment = conductor->experiment;
	int running = -1, waiting = -1;

	if (conductor->phase != PHASE_METHOD || conductor->is_stopping)
		return;
	for (unsigned i = 0; i < experiment->step_count; i++) {
		const struct experiment_step *step = &experiment->steps[i];

		if (conductor->steps[i].is_over)
			continue;
		if (!conductor->steps[i].was_injected)
			waiting = waiting < 0 ? (int)i : waiting; /* they are ordered by time */
		else if (running < 0 || experiment_step_end_ns(step) <
						experiment_step_end_ns(&experiment->steps[running]))
			running = (int)i;
	}
	if (running >= 0) {
		conductor_request(conductor, REQUEST_END, (unsigned)running, NULL);
		conductor_note(conductor, EVENT_NOTE, (unsigned)running,
			       "key n: step %d is ended before its time", running + 1);
	} else if (waiting >= 0 && conductor->steps[waiting].due_timer.heap_index) {
		conductor_note(conductor, EVENT_NOTE, (unsigned)waiting,
			       "key n: step %d begins before its time", waiting + 1);
		timeline_begin_step(conductor, (unsigned)waiting);
	}
}

static void on_key(void *context, char key)
{
	struct conductor *conductor = context;

	if (key == 'n' || key == 'N')
		skip(conductor);
	else if (key == 'q' || key == 'Q' || key == 's' || key == 'S')
		interrupt(conductor, STOP_REQUEST, "stopped at the terminal (key q)");
}

static void on_place(void *context, unsigned row)
{
	const struct conductor *conductor = context;

	view_place(conductor->options.view, row);
}

static void on_tick(void *context)
{
	struct conductor *conductor = context;

	conductor_request(conductor, REQUEST_PING, 0, NULL);
	conductor_look_at_worker(conductor);
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
	result = streak_init(&conductor->before, &experiment->require_before, err);
	if (result == 0)
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
	if (result == 0 && !conductor->options.plan_only)
		result = follow_new(conductor, &conductor->follow, err);
	if (result == 0)
		result = watch_signals(conductor, err);
	if (result == 0 && conductor->options.view && view_is_live(conductor->options.view)) {
		const struct keys_listener listener = {
			.key = on_key, .place = on_place, .context = conductor};

		conductor->keys = keys_open(conductor->loop, &listener);
		view_show_keys(conductor->options.view, conductor->keys != NULL);
	}
	return result;
}

/* The worker may have closed the connection because it refused something: that is the reason to
 * tell. */
static void read_refusal(struct conductor *conductor, struct error *err)
{
	struct pollfd waiting = {.fd = conductor->options.worker_socket, .events = POLLIN};

	if (poll(&waiting, 1, 100) > 0)
		conductor_on_worker(conductor, 0);
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
				    conductor_on_worker, conductor, err);
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

/* The loop goes on without this conductor: nothing on it may come back here. */
static void leave_loop(struct conductor *conductor)
{
	const struct experiment *experiment = conductor->experiment;

	loop_timer_cancel(conductor->loop, &conductor->ping_timer);
	loop_timer_cancel(conductor->loop, &conductor->phase_timer);
	loop_timer_cancel(conductor->loop, &conductor->method_timer);
	for (unsigned i = 0; conductor->steps && i < experiment->step_count; i++)
		loop_timer_cancel(conductor->loop, &conductor->steps[i].due_timer);
	loop_unwatch(conductor->loop, conductor->options.worker_socket);
	keys_close(conductor->keys);
	if (conductor->is_command_running)
		launcher_cancel(conductor->options.launcher, conductor->options.command);
	if (conductor->signal_fd >= 0) {
		loop_unwatch(conductor->loop, conductor->signal_fd);
		close(conductor->signal_fd);
	}
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
	follow_free(conductor.follow);
	leave_loop(&conductor);
	streak_free(&conductor.before);
	streak_free(&conductor.steady);
	streak_free(&conductor.recovery);
	abort_free(conductor.aborts);
	free(conductor.steps);
	*out_result_fd = conductor.result_fd;
	return result;
}
