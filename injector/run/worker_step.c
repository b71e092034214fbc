/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The life of one step in the worker: inject, hold, end, undo, read back. The end is timed here and
 * not in the conductor, so that a conductor that hangs cannot prolong a fault.
 */
#include "injector/run/worker_internal.h"

#include "injector/base/clock.h"
#include "injector/restore/restore.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVIDENCE_EVERY_NS 500000000LL

static bool is_instant(const struct worker_step *step)
{
	return step->fault.ops->is_instant && step->fault.ops->is_instant(&step->params);
}

/* -ESTALE: the fault is not in force any more. */
static int send_evidence(struct worker_step *step, struct error *err)
{
	struct evidence evidence = {.unit = ""};
	struct reply reply = {.type = REPLY_EVIDENCE, .index = step->fault.step};
	int result;

	if (!step->fault.ops->evidence)
		return 0;
	result = worker_gather_evidence(step, &evidence, err);
	if (result < 0 && result != -ESTALE)
		return result;
	if (!is_instant(step)) /* that one goes on counting by itself */
		worker_shape_sum(step, &evidence);
	reply.numbers[2] = step->fault.level_ppb;
	reply.numbers[0] = (int64_t)evidence.hits;
	reply.numbers[1] = (int64_t)evidence.dropped;
	reply.numbers[3] = evidence.processor_ns;
	reply.numbers[4] = (int64_t)evidence.passed;
	reply.numbers[5] = (int64_t)evidence.delayed;
	snprintf(reply.name, sizeof(reply.name), "%s", evidence.unit ? evidence.unit : "");
	snprintf(reply.text, sizeof(reply.text), "%s", evidence.detail);
	worker_send(step->worker, &reply, -1);
	return result;
}

/* A fault that somebody else took away must neither pass for one that was survived nor leave half
 * of itself in the way. False: it was so, and the run is being stopped. */
static bool watch_step(struct worker_step *step)
{
	struct error err = ERROR_INIT;
	char why[sizeof(err.text) + 64];

	if (send_evidence(step, &err) != -ESTALE)
		return true;
	snprintf(why, sizeof(why), "fault %u (%s) went out of force: %s", step->fault.step + 1,
		 step->fault.ops->name, err.text);
	worker_stop(step->worker, STOP_FAULT_LOST, why);
	return false;
}

static void look_again(void *context, struct fault *fault)
{
	struct worker *worker = context;
	struct worker_step *step = &worker->steps[fault->step];

	if (step->state != STEP_IN_FORCE)
		return;
	worker_follow_groups(worker, fault->target);
	worker_follow_interfaces(worker, fault->target);
	if (step->state == STEP_IN_FORCE)
		watch_step(step);
}

static void on_heard(void *context, uint32_t events)
{
	struct worker_step *step = context;

	(void)events;
	step->fault.ops->hear(look_again, step->worker);
}

/* Whoever cannot listen is looked at now and then. Watched for the rest of the run: all steps of
 * this kind share the descriptor. */
static void listen_to(struct worker_step *step)
{
	struct error err = ERROR_INIT;

	for (unsigned i = 0; step->fault.ops->listen && i < worker_fault_count(step); i++) {
		int fd = step->fault.ops->listen(worker_fault_at(step, i), &err);

		if (fd >= 0)
			loop_watch(step->worker->loop, fd, EPOLLIN, on_heard, step, NULL);
		else if (fd == -ESTALE && !watch_step(step))
			return;
	}
}

static void follow_targets(struct worker_step *step)
{
	for (unsigned i = 0; i < worker_fault_count(step); i++) {
		worker_follow_groups(step->worker, worker_fault_at(step, i)->target);
		worker_follow_interfaces(step->worker, worker_fault_at(step, i)->target);
	}
}

static void send_all_evidence(void *context)
{
	struct worker *worker = context;
	bool any = false;

	for (unsigned i = 0; i < worker->step_count; i++)
		if (worker->steps[i].state == STEP_IN_FORCE) {
			follow_targets(&worker->steps[i]);
			if (!watch_step(&worker->steps[i]))
				return;
			any = true;
		}
	if (any)
		loop_timer_set(worker->loop, &worker->evidence_timer,
			       clock_now_ns() + EVIDENCE_EVERY_NS, send_all_evidence, worker);
}

void worker_look_back(struct worker *worker)
{
	for (unsigned i = 0; i < worker->step_count; i++) {
		struct worker_step *step = &worker->steps[i];

		if (step->started_ns && is_instant(step))
			send_evidence(step, NULL);
	}
}

static void report_end(struct worker_step *step)
{
	struct worker *worker = step->worker;

	if (step->is_end_reported || !step->ended_ns)
		return;
	step->is_end_reported = true;
	worker_reply_numbers(worker, REPLY_ENDED, step->fault.step, step->ended_ns,
			     step->ended_ns - step->end_began_ns);
	journal_ended(worker->journal, step->fault.step, NULL);
	send_evidence(step, NULL);
}

/* Says STOPPED once the last effect has ended, and finishes once the last step is restored. */
static void settle_steps(struct worker *worker)
{
	int64_t last_ns = 0;

	if (worker->state != WORKER_STOPPING)
		return;
	for (unsigned i = 0; i < worker->step_count; i++) {
		const struct worker_step *step = &worker->steps[i];

		if ((step->state == STEP_IN_FORCE || step->state == STEP_ENDING) && !step->ended_ns)
			return;
		if (step->ended_ns > last_ns)
			last_ns = step->ended_ns;
	}
	if (!worker->has_stopped) {
		worker->has_stopped = true;
		/* nothing was in force: what ended before was not ended by the stop */
		if (last_ns < worker->stop_began_ns)
			last_ns = clock_now_ns();
		worker_reply_numbers(worker, REPLY_STOPPED, 0, last_ns, 0);
	}
	for (unsigned i = 0; i < worker->step_count; i++)
		if (worker->steps[i].state == STEP_IN_FORCE ||
		    worker->steps[i].state == STEP_ENDING)
			return;
	loop_stop(worker->loop);
}

static void next_pulse(void *context);

static void undo_step(struct worker_step *step)
{
	struct worker *worker = step->worker;
	struct restore_report report = {0};
	struct error err = ERROR_INIT;
	int result = restore_records(worker->journal, (int)step->fault.step, &report, &err);

	step->state = STEP_RESTORED;
	worker_sum_times(step);
	if (!step->ended_ns)
		worker_set_times(step, step->started_ns, clock_now_ns());
	report_end(step);
	if (result < 0) {
		worker->left_count++;
		worker_reply(worker, REPLY_LEFT, step->fault.step, "%s; run: squall restore",
			     err.text);
	}
	for (unsigned i = 0; i < report.left_count; i++) {
		worker->left_count++;
		worker_reply(worker, REPLY_LEFT, step->fault.step, "%s", report.left[i]);
	}
	if (report.failed > report.left_count) { /* sentences take memory */
		worker->left_count++;
		worker_reply(worker, REPLY_LEFT, step->fault.step,
			     "%u more, not listed for want of memory; run: squall restore",
			     report.failed - report.left_count);
	}
	if (result == 0 && !report.failed) {
		if (worker_shape_again(step, next_pulse))
			step->state = STEP_BETWEEN;
		worker_reply_numbers(worker, REPLY_RESTORED, step->fault.step, report.undone,
				     step->state == STEP_BETWEEN);
	}
	restore_report_free(&report);
	settle_steps(worker);
}

static void continue_end(void *context);

/* One call of ops->end(); the effect is over, or undo() has to end it. First: of a soft end, or of
 * one that is cut short. */
static void call_end(struct worker_step *step, enum fault_end how, bool is_first)
{
	step->end_again_ns = worker_end_faults(step, how, is_first);
}

/* Behind call_end(): tells the end, comes again or goes on to the undo. */
static void follow_end(struct worker_step *step)
{
	report_end(step);
	if (step->end_again_ns > 0 &&
	    loop_timer_set(step->worker->loop, &step->again_timer,
			   clock_now_ns() + step->end_again_ns, continue_end, step) == 0)
		return;
	/* Even if end() failed: undo works from the journal and reads back what is left. */
	undo_step(step);
}

static void continue_end(void *context)
{
	struct worker_step *step = context;
	bool is_stopping = step->worker->state == WORKER_STOPPING;

	call_end(step, is_stopping ? FAULT_END_NOW : FAULT_END_SOFT, false);
	follow_end(step);
}

static void begin_end(struct worker_step *step)
{
	loop_timer_cancel(step->worker->loop, &step->end_timer);
	loop_timer_cancel(step->worker->loop, &step->again_timer);
	loop_timer_cancel(step->worker->loop, &step->shape_timer);
	if (step->state == STEP_IN_FORCE)
		step->end_began_ns = clock_now_ns();
	step->state = STEP_ENDING;
}

/* The planned end. */
static void end_softly(struct worker_step *step)
{
	if (step->state != STEP_IN_FORCE || !watch_step(step))
		return;
	begin_end(step);
	call_end(step, FAULT_END_SOFT, true);
	follow_end(step);
}

/* Nothing is in force, and nothing more will come. */
static void end_between(struct worker_step *step)
{
	loop_timer_cancel(step->worker->loop, &step->shape_timer);
	step->state = STEP_RESTORED;
}

/* What lasts, and may have to wait for a disk, holds up nothing else. */
static bool is_lasting(const struct worker_step *step)
{
	return step->fault.ops->outlives_reboot;
}

static void cut_steps(struct worker *worker, bool lasting)
{
	for (unsigned i = worker->step_count; i-- > 0;) {
		struct worker_step *step = &worker->steps[i];

		if (is_lasting(step) != lasting)
			continue;
		if (step->state == STEP_BETWEEN)
			end_between(step);
		if (step->state != STEP_IN_FORCE && step->state != STEP_ENDING)
			continue;
		begin_end(step);
		call_end(step, FAULT_END_NOW, true);
	}
}

void worker_cut_steps(struct worker *worker)
{
	cut_steps(worker, false);
	cut_steps(worker, true);
}

/* Those that only undo() can end */
static void undo_steps(struct worker *worker, bool lasting)
{
	for (unsigned i = worker->step_count; i-- > 0;) {
		struct worker_step *step = &worker->steps[i];

		if (is_lasting(step) == lasting && step->state == STEP_ENDING && !step->ended_ns &&
		    !step->end_again_ns)
			undo_step(step);
	}
}

void worker_tidy_steps(struct worker *worker)
{
	/* before those that are over */
	undo_steps(worker, false);
	undo_steps(worker, true);
	for (unsigned i = worker->step_count; i-- > 0;)
		if (worker->steps[i].state == STEP_ENDING)
			report_end(&worker->steps[i]);
	settle_steps(worker);
	for (unsigned lasting = 0; lasting < 2; lasting++)
		for (unsigned i = worker->step_count; i-- > 0;)
			if (worker->steps[i].state == STEP_ENDING &&
			    is_lasting(&worker->steps[i]) == (lasting == 1))
				follow_end(&worker->steps[i]);
}

static void end_is_due(void *context)
{
	end_softly(context);
}

int worker_on_end(struct worker *worker, const struct request *request, struct error *err)
{
	struct worker_step *step;

	if (request->index >= worker->step_count)
		return error_set(err, EPROTO, "step %u is not defined", request->index);
	step = &worker->steps[request->index];
	step->is_last = true;
	if (step->state == STEP_BETWEEN) {
		end_between(step);
		worker_reply_numbers(worker, REPLY_RESTORED, request->index, 0, 0);
	} else {
		end_softly(step);
	}
	return 0;
}

static void describe_params(const struct params *params, char *text, size_t size)
{
	for (unsigned p = 0; p < params->count; p++)
		for (unsigned i = 0; i < params_count(params, p); i++) {
			size_t used = strlen(text);

			if (used + 1 >= size) /* there may be a hundred thousand */
				return;
			snprintf(text + used, size - used, " %s=%s", params->table[p].name,
				 params_value(params, p, i)->text);
		}
}

/* As it would be written behind `squall inject`: what `squall status` shows. */
static void describe(struct worker_step *step)
{
	snprintf(step->text, sizeof(step->text), "%s", step->fault.ops->name);
	describe_params(&step->params, step->text, sizeof(step->text));
	describe_params(&worker_whole(step->fault.target)->params, step->text, sizeof(step->text));
}

static void arm_end(struct worker_step *step)
{
	int64_t end_ns = worker_shape_end_ns(step);

	if (end_ns &&
	    loop_timer_set(step->worker->loop, &step->end_timer, end_ns, end_is_due, step) < 0)
		worker_stop(step->worker, STOP_INTERNAL,
			    "out of memory while arming the end of a fault");
}

static void step_is_in_force(struct worker_step *step, int64_t began_ns)
{
	struct worker *worker = step->worker;
	struct fault *fault = &step->fault;

	if (!step->started_ns)
		worker_set_times(step, clock_now_ns(), step->ended_ns);
	if (!step->first_ns)
		step->first_ns = step->started_ns;
	step->injections++;
	describe(step);
	worker_reply_numbers(worker, REPLY_INJECTED, fault->step, step->started_ns,
			     step->started_ns - began_ns);
	if (is_instant(step)) {
		send_evidence(step, NULL);
		worker_set_times(step, step->started_ns, step->started_ns);
		step->end_began_ns = step->ended_ns;
		undo_step(step);
		return;
	}
	step->state = STEP_IN_FORCE;
	journal_started(worker->journal, fault->step, step->text, worker_shape_end_ns(step), NULL);
	arm_end(step);
	if (step->state == STEP_IN_FORCE)
		worker_shape_follow(step);
	if (!worker->evidence_timer.heap_index)
		loop_timer_set(worker->loop, &worker->evidence_timer,
			       clock_now_ns() + EVIDENCE_EVERY_NS, send_all_evidence, worker);
	if (step->state == STEP_IN_FORCE)
		listen_to(step);
}

static void inject(struct worker_step *step)
{
	struct worker *worker = step->worker;
	struct error err = ERROR_INIT;
	int64_t began_ns = clock_now_ns();

	step->fault.level_ppb = worker_shape_level(step);
	worker_measure_reach(worker);
	if (worker->env.injections_left >= worker_fault_count(step))
		worker->env.injections_left -= worker_fault_count(step);
	if (worker_inject_following(step, &err) == 0) {
		step_is_in_force(step, began_ns);
		return;
	}
	worker_reply_error(worker, REPLY_INJECT_FAILED, step->fault.step, &err);
	step->is_last = true;
	step->end_began_ns = clock_now_ns();
	undo_step(step);
}

static void next_pulse(void *context)
{
	struct worker_step *step = context;
	struct evidence evidence = {.unit = ""};

	if (step->state != STEP_BETWEEN || step->worker->state != WORKER_ARMED)
		return;
	/* a fault that lasts begins to count anew, one that is instant goes on counting */
	if (!is_instant(step) && step->fault.ops->evidence &&
	    worker_gather_evidence(step, &evidence, NULL) == 0) {
		step->before.hits += evidence.hits;
		step->before.dropped += evidence.dropped;
		step->before.passed += evidence.passed;
		step->before.delayed += evidence.delayed;
		step->before.processor_ns += evidence.processor_ns;
	}
	worker_set_times(step, 0, 0);
	step->is_end_reported = false;
	inject(step);
}

int worker_on_inject(struct worker *worker, const struct request *request, struct error *err)
{
	struct worker_step *step;

	if (request->index >= worker->step_count)
		return error_set(err, EPROTO, "step %u is not defined", request->index);
	step = &worker->steps[request->index];
	if (step->state != STEP_PLANNED)
		return error_set(err, EPROTO, "step %u was injected before", request->index);
	inject(step);
	return 0;
}
