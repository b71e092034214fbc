/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The life of the worker: hear requests, arm (journal, guardian, sandbox), hold, restore, leave.
 * Invariant: whatever ends the loop, everything injected has been ended and undone before
 * worker_main() returns, or is in the journal as left.
 */
#include "injector/run/worker.h"

#include "injector/base/alive.h"
#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/journal/audit.h"
#include "injector/kernel/proc.h"
#include "injector/kernel/sandbox.h"
#include "injector/restore/halt.h"
#include "injector/restore/restore.h"
#include "injector/run/result_file.h"
#include "injector/run/worker_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define REQUESTS_A_TURN 64

/* Nothing was injected, and nothing will be: requests that wait already are not heard. */
void worker_leave_unarmed(struct worker *worker)
{
	worker->state = WORKER_LEAVING;
	loop_stop(worker->loop);
}

void worker_stop(struct worker *worker, enum stop_cause cause, const char *why)
{
	struct reply reply = {.type = REPLY_STOPPING, .numbers = {cause, clock_now_ns()}};

	if (worker->state == WORKER_STOPPING)
		return;
	if (worker->state != WORKER_ARMED) {
		worker_leave_unarmed(worker);
		return;
	}
	worker->state = WORKER_STOPPING;
	audit_hold(); /* nothing is written before everything is out of force */
	worker->stop_began_ns = reply.numbers[1];
	loop_timer_cancel(worker->loop, &worker->evidence_timer);
	/* Every effect ends first, by one system call each. Then the conductor hears why, before it
	 * hears that the steps are over: else it takes that for the planned end. Undoing and
	 * reading back, which take longer, come last. */
	worker_cut_steps(worker);
	snprintf(reply.text, sizeof(reply.text), "%s", why);
	worker_send(worker, &reply, -1);
	worker_tidy_steps(worker);
}

static int on_ping(struct worker *worker, const struct request *request, struct error *err)
{
	(void)worker, (void)request, (void)err;
	return 0;
}

static int on_stop(struct worker *worker, const struct request *request, struct error *err)
{
	(void)err;
	worker_stop(worker, STOP_REQUEST, request->text[0] ? request->text : "asked to stop");
	return 0;
}

static int on_finish(struct worker *worker, const struct request *request, struct error *err)
{
	(void)request, (void)err;
	worker_stop(worker, STOP_NONE, "finished");
	/* who got a signal that is not KILL leaves in its own time: looked at once more */
	worker_look_back(worker);
	return 0;
}

static int identify(pid_t pid, struct process_identity *out, struct error *err)
{
	int result = proc_identity(pid, out);

	return result < 0 ? error_errno(err, -result, "cannot identify process %d", pid) : 0;
}

static int open_journal(struct worker *worker, const char *title, struct error *err)
{
	struct journal_header header = {
		.conductor = worker->conductor,
		.worker = worker->self,
		.started_wall_ns = clock_wall_ns(),
		.deadline_ns = clock_now_ns() + worker->limits.duration_ns,
		.invoking_uid = worker->options.invoking_uid,
	};
	int result;

	memcpy(header.run_id, worker->run_id, sizeof(header.run_id));
	snprintf(header.title, sizeof(header.title), "%.*s", (int)sizeof(header.title) - 1, title);
	result = guardian_meet(&worker->guardian, err);
	if (result == 0)
		result = identify(worker->guardian.pid, &header.guardian, err);
	if (result == 0)
		result = worker_outlives_reboot(worker)
				 ? journal_create_kept(&header, &worker->journal, err)
				 : journal_create(&header, &worker->journal, err);
	if (result == 0)
		result = guardian_begin(&worker->guardian, worker->run_id, header.deadline_ns, err);
	worker->env.guardian = header.guardian;
	return result;
}

static void on_guardian_event(void *context, uint32_t events)
{
	struct worker *worker = context;

	(void)events;
	loop_unwatch(worker->loop, worker->guardian.pidfd);
	worker->has_guardian = false;
	worker_stop(worker, STOP_INTERNAL, "the guardian was killed");
}

static void on_deadline(void *context)
{
	worker_stop(context, STOP_DEADLINE, "the deadline (limits.duration) is reached");
}

/* What runs, but does not answer, may only be short of time. */
static bool is_conductor_silent(const struct worker *worker, int64_t silent_ns)
{
	enum proc_stop stop;

	if (silent_ns <= REQUEST_SILENCE_NS)
		return false;
	return silent_ns > REQUEST_STARVED_NS ||
	       (proc_read_stop(worker->conductor.pid, &stop) == 0 &&
		(stop == PROC_STOPPED || stop == PROC_TRACED));
}

static void ping(void *context)
{
	struct worker *worker = context;

	if (worker->has_guardian)
		guardian_ping(&worker->guardian);
}

static void on_tick(void *context)
{
	struct worker *worker = context;
	int64_t now_ns = clock_now_ns();

	ping(worker);
	worker_regain_patience(worker);
	if (!worker->is_conductor_lost && is_conductor_silent(worker, now_ns - worker->heard_ns))
		worker_stop(worker, STOP_INTERNAL, "the conductor does not answer");
	loop_timer_set(worker->loop, &worker->ping_timer, now_ns + GUARDIAN_PING_NS, on_tick,
		       worker);
}

static int arm(struct worker *worker, const char *title, struct error *err)
{
	uint64_t capabilities = worker_capabilities(worker) | GUARDIAN_CAPABILITIES;
	int result;

	worker_end_planning();
	result = halt_check(err);

	/* Again: the conductor decides how long after the plan this is. */
	if (result == 0)
		result = policy_check_time(worker->options.policy, clock_wall_ns(),
					   worker->limits.duration_ns, err);
	if (result == 0)
		result = open_journal(worker, title, err);
	/* Again: whoever pulled the lever in between has looked for runs and not found us. Whoever
	 * pulls it from now on does: this must stay behind the journal (see cli/halt.c). */
	if (result == 0)
		result = halt_check(err);
	if (result == 0)
		result = sandbox_keep_capabilities(capabilities, err);
	if (result == 0)
		result = sandbox_worker(capabilities, err);
	/* It got itself ready meanwhile. */
	if (result == 0)
		result = guardian_ready(&worker->guardian, err);
	if (result == 0)
		result = loop_watch(worker->loop, worker->guardian.pidfd, EPOLLIN,
				    on_guardian_event, worker, err);
	worker->env.journal = worker->journal;
	worker->env.injections_left = worker->injection_count;
	return result;
}

static int on_arm(struct worker *worker, const struct request *request, struct error *err)
{
	struct reply reply = {.type = REPLY_ARMED};
	cleanup_fd int result_fd =
		result_file_open(worker->run_id, worker->options.result_uid, err);
	int result = result_fd < 0 ? result_fd : arm(worker, request->text, err);

	if (result < 0) {
		worker_reply_error(worker, REPLY_REFUSED, 0, err);
		if (result_fd >= 0)
			result_file_remove(worker->run_id);
		worker_leave_unarmed(worker);
		return 0;
	}
	worker->state = WORKER_ARMED;
	worker->heard_ns = clock_now_ns();
	loop_timer_set(worker->loop, &worker->deadline_timer,
		       worker->heard_ns + worker->limits.duration_ns, on_deadline, worker);
	on_tick(worker);
	memcpy(reply.text, worker->run_id, sizeof(worker->run_id));
	reply.numbers[0] = worker->env.guardian.pid;
	reply.numbers[1] = (int64_t)worker->env.guardian.start_time;
	worker_send(worker, &reply, result_fd);
	return 0;
}

static const struct request_rule rules[REQUEST_COUNT] = {
	[REQUEST_PING] = {"ping", WORKER_DEFINE | WORKER_PLANNED | WORKER_ARMED | WORKER_STOPPING,
			  on_ping},
	[REQUEST_LIMITS] = {"limits", WORKER_DEFINE, worker_on_limits},
	[REQUEST_TARGET] = {"target", WORKER_DEFINE, worker_on_target},
	[REQUEST_TARGET_VALUE] = {"target-value", WORKER_DEFINE, worker_on_target_value},
	[REQUEST_TARGET_HOST] = {"target-host", WORKER_DEFINE, worker_on_target_host},
	[REQUEST_ADDRESSES] = {"addresses", WORKER_DEFINE | WORKER_ARMED, worker_on_addresses},
	[REQUEST_STEP] = {"step", WORKER_DEFINE, worker_on_step},
	[REQUEST_STEP_VALUE] = {"step-value", WORKER_DEFINE, worker_on_step_value},
	[REQUEST_STEP_PULSES] = {"step-pulses", WORKER_DEFINE, worker_on_step_pulses},
	[REQUEST_STEP_RAMP] = {"step-ramp", WORKER_DEFINE, worker_on_step_ramp},
	[REQUEST_PLAN] = {"plan", WORKER_DEFINE, worker_on_plan},
	[REQUEST_ARM] = {"arm", WORKER_PLANNED, on_arm},
	[REQUEST_INJECT] = {"inject", WORKER_ARMED, worker_on_inject},
	[REQUEST_END] = {"end", WORKER_ARMED | WORKER_STOPPING, worker_on_end},
	[REQUEST_STOP] = {"stop", WORKER_ARMED | WORKER_STOPPING, on_stop},
	[REQUEST_FINISH] = {"finish", WORKER_ARMED | WORKER_STOPPING, on_finish},
};

static void conductor_is_lost(struct worker *worker, const char *why)
{
	worker->is_conductor_lost = true;
	loop_unwatch(worker->loop, worker->options.socket);
	loop_unwatch(worker->loop, worker->conductor_pidfd);
	worker_stop(worker, STOP_INTERNAL, why);
}

static void on_request(void *context, uint32_t events)
{
	struct worker *worker = context;
	struct error err = ERROR_INIT;
	struct request request;
	int received = 1, result;

	(void)events;
	/* Bounded: whoever sends without end must not keep the timers from their turn. */
	for (unsigned at = 0; at < REQUESTS_A_TURN && worker->state != WORKER_LEAVING; at++) {
		received = request_receive(worker->options.socket, &request, &err);
		if (received != 1)
			break;
		/* What was sent before the conductor learnt of the stop or the refusal is void. */
		if (worker->state == WORKER_STOPPING &&
		    (request.type == REQUEST_ARM || request.type == REQUEST_INJECT ||
		     request.type == REQUEST_ADDRESSES))
			continue;
		worker->heard_ns = clock_now_ns();
		result = request_check(rules, &request, worker->state, &err);
		if (result == 0)
			result = rules[request.type].handle(worker, &request, &err);
		if (result < 0) {
			worker_reply_error(worker, REPLY_REFUSED, 0, &err);
			worker_stop(worker, STOP_INTERNAL, err.text);
			return;
		}
	}
	if (received != 1 && received != -EAGAIN)
		conductor_is_lost(worker, "the conductor is lost");
}

static void on_conductor_death(void *context, uint32_t events)
{
	struct worker *worker = context;

	(void)events;
	/* What it still sent is heard first: the last request may be FINISH. */
	on_request(worker, 0);
	if (!worker->is_conductor_lost)
		conductor_is_lost(worker, "the conductor is lost");
}

static void on_signal(void *context, uint32_t events)
{
	struct worker *worker = context;
	struct signalfd_siginfo info;
	char why[64];

	(void)events;
	if (read(worker->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGTERM)
		snprintf(why, sizeof(why), "got SIGTERM, as from squall stop or halt");
	else
		snprintf(why, sizeof(why), "got SIG%s", signal_name((int)info.ssi_signo));
	worker_stop(worker, info.ssi_signo == SIGTERM ? STOP_REQUEST : STOP_SIGNAL, why);
}

/* SIGINT and SIGHUP are the conductor's business; this process has a session of its own. */
static int watch_signals(struct worker *worker, struct error *err)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGHUP);
	sigaddset(&mask, SIGQUIT);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	worker->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (worker->signal_fd < 0)
		return error_errno(err, errno, "cannot watch signals");
	return loop_watch(worker->loop, worker->signal_fd, EPOLLIN, on_signal, worker, err);
}

static int begin(struct worker *worker, struct error *err)
{
	int result;

	result = worker_settle_in(worker, err);
	worker_bound_planning(worker);
	guardian_await(&worker->guardian, worker->options.guardian_socket);
	worker->has_guardian = result == 0;
	if (result == 0)
		result = journal_new_run_id(worker->run_id, err);
	if (result == 0)
		result = identify(getpid(), &worker->self, err);
	if (result == 0)
		result = identify(worker->options.conductor, &worker->conductor, err);
	if (result == 0)
		result = loop_new(&worker->loop, err);
	if (result < 0)
		return result;
	worker->env = (struct fault_env){.run_id = worker->run_id,
					 .conductor = worker->conductor,
					 .worker = worker->self,
					 .invoking_uid = worker->options.invoking_uid,
					 .invoking_gid = worker->options.invoking_gid};
	alive_tell(ping, worker);
	worker->conductor_pidfd = proc_pidfd_open(worker->options.conductor);
	if (worker->conductor_pidfd < 0)
		return error_errno(err, -worker->conductor_pidfd, "cannot watch the conductor");
	result = watch_signals(worker, err);
	if (result == 0)
		result = loop_watch(worker->loop, worker->options.socket, EPOLLIN, on_request,
				    worker, err);
	if (result == 0)
		result = loop_watch(worker->loop, worker->conductor_pidfd, EPOLLIN,
				    on_conductor_death, worker, err);
	if (result == 0)
		result = worker_make_room(worker, err);
	return result;
}

/* What no step has told of. */
static void tell_left(struct worker *worker, const struct restore_report *report)
{
	if (worker->left_count >= report->failed)
		return;
	worker->left_count = report->failed;
	for (unsigned i = 0; i < report->left_count; i++)
		worker_reply(worker, REPLY_LEFT, 0, "%s", report->left[i]);
	if (report->failed > report->left_count)
		worker_reply(worker, REPLY_LEFT, 0,
			     "%u more, not listed for want of memory; run: squall restore",
			     report->failed - report->left_count);
}

/* Reads back everything once more, removes the journal, lets the guardian go. */
static void leave(struct worker *worker)
{
	struct restore_report report = {0};
	struct error err = ERROR_INIT;

	if (worker->journal) {
		if (restore_records(worker->journal, -1, &report, &err) < 0) {
			worker->left_count++;
			worker_reply(worker, REPLY_LEFT, 0, "%s; run: squall restore", err.text);
		}
		tell_left(worker, &report);
		restore_report_free(&report);
		if (!worker->left_count && journal_remove(worker->run_id, &err) < 0) {
			worker->left_count++;
			worker_reply(worker, REPLY_LEFT, 0, "%s; run: squall restore", err.text);
		}
	}
	if (worker->has_guardian) {
		loop_unwatch(worker->loop, worker->guardian.pidfd);
		/* What is left here may be our own fault (a broken socket, no memory): the guardian
		 * is not sent away, and tries again once we are dead. */
		if (!worker->left_count)
			guardian_end(&worker->guardian);
	}
	worker_end_reloader(worker);
	worker_reply_numbers(worker, REPLY_FINISHED, 0, worker->left_count, 0);
	/* What the conductor refuses it need not tell: the trail has an end all the same. */
	if (!worker->journal && !worker->is_refusal_told)
		audit_write(NULL, "ended", worker->run_id, "%s",
			    worker->has_planned ? "nothing was injected"
						: "refused before a plan; nothing was injected");
	audit_release(NULL); /* the system's log knows */
	/* Last of all: nobody waits for it any more, should the disk hang. */
	if (worker->journal)
		result_files_prune();
}

/* A loop that fails is left, but in order: everything is cut at once, and leave() undoes it. */
static void converse(struct worker *worker)
{
	struct error err = ERROR_INIT;

	for (int failures = 0; failures < 2 && loop_run(worker->loop, &err) < 0; failures++)
		worker_stop(worker, STOP_INTERNAL, err.text);
}

int worker_main(const struct worker_options *options)
{
	struct worker worker = {.options = *options,
				.state = WORKER_DEFINE,
				.conductor_pidfd = -1,
				.signal_fd = -1};
	struct error err = ERROR_INIT;

	if (begin(&worker, &err) < 0) {
		worker_reply_error(&worker, REPLY_REFUSED, 0, &err);
		if (worker.has_guardian)
			guardian_end(&worker.guardian);
		worker_hang_up(&worker);
		return 1;
	}
	converse(&worker);
	leave(&worker);
	for (unsigned i = 0; i < worker.step_count; i++) {
		for (unsigned at = 0; at < worker_fault_count(&worker.steps[i]); at++)
			if (worker.steps[i].fault.ops->release)
				worker.steps[i].fault.ops->release(
					worker_fault_at(&worker.steps[i], at));
		params_free(&worker.steps[i].params);
	}
	worker_free_parts(&worker);
	for (unsigned i = 0; i < worker.target_count; i++)
		target_free(&worker.targets[i]);
	free(worker.steps);
	free(worker.targets);
	free(worker.links);
	journal_close(worker.journal);
	loop_free(worker.loop);
	worker_hang_up(&worker);
	return worker.left_count ? 6 : 0;
}
