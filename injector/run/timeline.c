/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The phases of a run and what moves it from one to the next: steady state, method, restore,
 * recovery. Every wait is a timer or a sample in the loop, so any of them ends at once.
 */
#include "injector/run/conductor_internal.h"

#include "injector/base/clock.h"
#include "injector/base/quantity.h"
#include "injector/kernel/realtime.h"
#include "injector/run/expectation.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

static void begin_method(struct conductor *conductor);

static void enter_at(struct conductor *conductor, enum run_phase phase, int64_t began_ns)
{
	conductor->phase = phase;
	conductor->phase_began_ns = began_ns;
	loop_timer_cancel(conductor->loop, &conductor->phase_timer);
	conductor_emit(conductor, (struct event){.kind = EVENT_PHASE, .time_ns = began_ns});
}

static void enter(struct conductor *conductor, enum run_phase phase)
{
	enter_at(conductor, phase, clock_now_ns());
}

static void finish(struct conductor *conductor);

/* What is still to be seen (a detection) may come for a while after all is over. */
static void finish_when_due(void *context)
{
	struct conductor *conductor = context;
	int64_t until_ns = expectation_pending_ns(conductor->result);

	if (conductor->is_cut_short || conductor->is_stopping || clock_now_ns() >= until_ns) {
		finish(conductor);
		return;
	}
	if (conductor->phase != PHASE_RECOVERY)
		enter(conductor, PHASE_RECOVERY);
	conductor->is_awaiting = true;
	loop_timer_set(conductor->loop, &conductor->phase_timer, until_ns, finish_when_due,
		       conductor);
}

static void finish(struct conductor *conductor)
{
	if (conductor->scheduler)
		probe_scheduler_stop(conductor->scheduler);
	enter(conductor, PHASE_FINISHED);
	conductor_leave(conductor);
}

/* The method ends when the last effect does, not when the tidying behind it is done. */
static void mark_method_end(struct conductor *conductor)
{
	if (conductor->method_began_ns && !conductor->method_ended_ns)
		conductor->method_ended_ns = conductor->last_end_ns > conductor->method_began_ns
						     ? conductor->last_end_ns
						     : clock_now_ns();
}

void timeline_on_stop(struct conductor *conductor)
{
	loop_timer_cancel(conductor->loop, &conductor->method_timer);
	/* when the reason was seen: the worker was told before anything else was done, and may have
	 * ended everything by now */
	enter_at(conductor, PHASE_RESTORE, conductor->stop_seen_ns);
}

/* Asks the worker to make sure that all is restored and to leave; goes on in
 * timeline_on_restored(). */
static void begin_restore(struct conductor *conductor)
{
	if (conductor->phase >= PHASE_RESTORE)
		return;
	follow_end(conductor->follow);
	loop_timer_cancel(conductor->loop, &conductor->method_timer);
	enter(conductor, PHASE_RESTORE);
	if (!conductor->in_force)
		mark_method_end(conductor);
	conductor_request(conductor, REQUEST_FINISH, 0, NULL);
	if (conductor->is_worker_gone)
		timeline_on_restored(conductor);
}

static void not_steady(struct conductor *conductor, const char *why)
{
	if (!conductor->is_stopping)
		conductor_stop(conductor, clock_now_ns(), STOP_NOT_STEADY, why);
}

static void steady_is_late(void *context)
{
	not_steady(context, "the required probes did not pass in time");
}

/* Checks whether the streaks are long enough; otherwise looks again when they could be. */
static void check_steady(void *context)
{
	struct conductor *conductor = context;
	int64_t due_ns = streak_due_ns(&conductor->steady), now_ns = clock_now_ns();

	/* a precondition has held once it was seen, and need not hold for a time */
	if (conductor->phase != PHASE_STEADY_STATE ||
	    (conductor->experiment->require_before.count && !streak_since_ns(&conductor->before)))
		return;
	if (conductor->experiment->steady_state.count && !due_ns)
		return;
	if (now_ns >= due_ns)
		begin_method(conductor);
	else
		loop_timer_set(conductor->loop, &conductor->method_timer, due_ns, check_steady,
			       conductor);
}

void timeline_begin(struct conductor *conductor)
{
	const struct experiment_requirement *steady = &conductor->experiment->steady_state;
	struct error err = ERROR_INIT;

	if (conductor->scheduler && probe_scheduler_start(conductor->scheduler, &err) < 0) {
		not_steady(conductor, err.text);
		return;
	}
	if (!steady->count && !conductor->experiment->require_before.count) {
		begin_method(conductor);
		return;
	}
	enter(conductor, PHASE_STEADY_STATE);
	if (steady->within_ns)
		loop_timer_set(conductor->loop, &conductor->phase_timer,
			       clock_now_ns() + steady->within_ns + steady->for_ns, steady_is_late,
			       conductor);
}

/* What must be so before anything may be tried at all: the first attempt decides. */
static bool is_refused_by(struct conductor *conductor, unsigned probe,
			  const struct probe_sample *sample)
{
	char why[256];

	if (!streak_requires(&conductor->before, probe) || streak_has(&conductor->before, probe))
		return false;
	streak_note(&conductor->before, probe, sample, 0);
	if (sample->result == PROBE_PASS)
		return false;
	snprintf(why, sizeof(why), "require-before: %s: %s",
		 conductor->experiment->probes[probe].name, sample->reason);
	conductor_stop(conductor, clock_now_ns(), STOP_REFUSED, why);
	return true;
}

static void on_steady_sample(struct conductor *conductor, unsigned probe,
			     const struct probe_sample *sample)
{
	char why[256];

	if (conductor->is_stopping || is_refused_by(conductor, probe, sample))
		return;
	if (streak_requires(&conductor->steady, probe)) {
		streak_note(&conductor->steady, probe, sample, 0);
		if (sample->result != PROBE_PASS &&
		    !conductor->experiment->steady_state.within_ns) {
			snprintf(why, sizeof(why), "%s: %s",
				 conductor->experiment->probes[probe].name, sample->reason);
			not_steady(conductor, why);
			return;
		}
	}
	check_steady(conductor);
}

static void step_is_due(void *context)
{
	struct conductor_step *step = context;
	struct conductor *conductor = step->conductor;

	if (conductor->is_stopping)
		return;
	step->is_awaited = true;
	conductor_request(conductor, REQUEST_INJECT, (unsigned)(step - conductor->steps), NULL);
}

static void on_command_end(void *context, const struct launcher_result *result)
{
	struct conductor *conductor = context;
	char text[160];
	int status = 127;

	conductor->is_command_running = false;
	if (result->status < 0) {
		snprintf(text, sizeof(text), "%.*s", (int)sizeof(text) - 1, result->output);
	} else if (WIFSIGNALED(result->status)) {
		status = 128 + WTERMSIG(result->status);
		snprintf(text, sizeof(text), "killed by SIG%s",
			 signal_name(WTERMSIG(result->status)));
	} else {
		status = WEXITSTATUS(result->status);
		snprintf(text, sizeof(text), "ended with status %d", status);
	}
	conductor_emit(conductor,
		       (struct event){.kind = EVENT_COMMAND,
				      .number = status,
				      .duration_ns = clock_now_ns() - conductor->command_began_ns,
				      .text = text});
	if (conductor->phase == PHASE_METHOD && !conductor->is_stopping)
		begin_restore(conductor);
}

static void start_command(void *context)
{
	struct conductor *conductor = context;
	struct error err = ERROR_INIT;

	if (conductor->is_stopping || conductor->phase != PHASE_METHOD)
		return;
	conductor->is_command_running = true;
	conductor->command_began_ns = clock_now_ns();
	if (launcher_run(conductor->options.launcher, conductor->options.command, 0, on_command_end,
			 conductor, &err) < 0) {
		conductor->is_command_running = false;
		conductor_stop(conductor, clock_now_ns(), STOP_INTERNAL, err.text);
	}
}

/* The command of `run -- COMMAND` starts when all faults of the beginning are in force. */
static bool is_command_due(const struct conductor *conductor)
{
	for (unsigned i = 0; i < conductor->experiment->step_count; i++)
		if (conductor->experiment->steps[i].at_ns == 0 &&
		    !conductor->steps[i].is_in_force && !conductor->steps[i].is_over)
			return false;
	return true;
}

static void await_command(void *context)
{
	struct conductor *conductor = context;

	if (is_command_due(conductor))
		start_command(conductor);
	else if (!conductor->is_stopping && conductor->phase == PHASE_METHOD)
		loop_timer_set(conductor->loop, &conductor->method_timer,
			       clock_now_ns() + NSEC_PER_MSEC, await_command, conductor);
}

static void begin_method(struct conductor *conductor)
{
	const struct experiment *experiment = conductor->experiment;

	loop_timer_cancel(conductor->loop, &conductor->method_timer);
	enter(conductor, PHASE_METHOD);
	conductor->method_began_ns = conductor->phase_began_ns;
	for (unsigned i = 0; i < experiment->step_count; i++) {
		if (experiment->steps[i].at_ns == 0)
			step_is_due(&conductor->steps[i]);
		else
			loop_timer_set(conductor->loop, &conductor->steps[i].due_timer,
				       conductor->phase_began_ns + experiment->steps[i].at_ns,
				       step_is_due, &conductor->steps[i]);
	}
	realtime_end(); /* see run.c: all faults of the beginning are asked for */
	if (conductor->options.command >= 0)
		await_command(conductor);
}

void timeline_begin_step(struct conductor *conductor, unsigned step)
{
	loop_timer_cancel(conductor->loop, &conductor->steps[step].due_timer);
	step_is_due(&conductor->steps[step]);
}

void timeline_step_over(struct conductor *conductor, unsigned step)
{
	conductor->steps[step].is_over = true;
	if (conductor->phase != PHASE_METHOD || conductor->is_stopping ||
	    conductor->options.command >= 0)
		return;
	for (unsigned i = 0; i < conductor->experiment->step_count; i++)
		if (!conductor->steps[i].is_over)
			return;
	begin_restore(conductor);
}

/* "lost does not pass (connection refused), nor do 2 others" */
static void say_who_is_late(const struct conductor *conductor, char *out, size_t size)
{
	const struct experiment_requirement *want = &conductor->experiment->recovery;
	unsigned late = 0, first = 0;
	const char *reason;

	for (unsigned i = 0; i < want->count; i++)
		if (!streak_has(&conductor->recovery, want->probes[i]) && !late++)
			first = want->probes[i];
	if (!late) {
		snprintf(out, size, "all required probes pass, but have not done so in time");
		return;
	}
	reason = conductor->result->last_reasons[first];
	snprintf(out, size, "%s does not pass%s%.100s%s", conductor->experiment->probes[first].name,
		 *reason ? " (" : "", reason, *reason ? ")" : "");
	if (late > 1)
		snprintf(out + strlen(out), size - strlen(out), ", nor do%s %u other%s",
			 late == 2 ? "es" : "", late - 1, late == 2 ? "" : "s");
}

static void recovery_is_late(void *context)
{
	struct conductor *conductor = context;
	char text[256];

	say_who_is_late(conductor, text, sizeof(text));
	conductor_emit(conductor, (struct event){.kind = EVENT_RECOVERED, .text = text});
	finish_when_due(conductor);
}

static void check_recovery(void *context)
{
	struct conductor *conductor = context;
	const struct experiment_requirement *want = &conductor->experiment->recovery;
	int64_t since_ns = streak_since_ns(&conductor->recovery), now_ns = clock_now_ns();
	int64_t limit_ns = conductor->method_ended_ns + want->within_ns;

	if (conductor->phase != PHASE_RECOVERY)
		return;
	if (!since_ns || since_ns > limit_ns) {
		if (now_ns >= limit_ns)
			recovery_is_late(conductor);
		else
			loop_timer_set(conductor->loop, &conductor->phase_timer, limit_ns,
				       check_recovery, conductor);
		return;
	}
	if (now_ns - since_ns < want->for_ns) {
		loop_timer_set(conductor->loop, &conductor->phase_timer, since_ns + want->for_ns,
			       check_recovery, conductor);
		return;
	}
	conductor_emit(conductor,
		       (struct event){.kind = EVENT_RECOVERED,
				      .number = 1,
				      .duration_ns = since_ns - conductor->method_ended_ns,
				      .text = "all required probes pass again"});
	finish_when_due(conductor);
}

void timeline_on_restored(struct conductor *conductor)
{
	if (conductor->phase >= PHASE_RECOVERY)
		return;
	mark_method_end(conductor);
	if (conductor->is_command_running)
		launcher_cancel(conductor->options.launcher, conductor->options.command);
	if (conductor->is_cut_short || !conductor->experiment->recovery.count ||
	    !conductor->has_injected) {
		finish_when_due(conductor);
		return;
	}
	/* Also after an abort: how long the system took to come back is worth knowing. */
	enter(conductor, PHASE_RECOVERY);
	check_recovery(conductor);
}

static void on_method_sample(struct conductor *conductor, unsigned probe,
			     const struct probe_sample *sample)
{
	char why[256];

	if (conductor->is_stopping ||
	    !abort_note(conductor->aborts, probe, sample, why, sizeof(why)))
		return;
	conductor->breached_probe = probe;
	conductor_stop(conductor, clock_now_ns(), STOP_BREACH, why);
}

void timeline_on_sample(void *context, unsigned probe, const struct probe_sample *sample)
{
	struct conductor *conductor = context;

	conductor_emit(conductor, (struct event){.kind = EVENT_SAMPLE,
						 .time_ns = sample->started_ns,
						 .probe = probe,
						 .sample = sample});
	if (conductor->phase == PHASE_STEADY_STATE)
		on_steady_sample(conductor, probe, sample);
	else if (conductor->phase == PHASE_METHOD)
		on_method_sample(conductor, probe, sample);
	/* The first sample after the last effect may come while restore still tidies up. */
	if (conductor->phase >= PHASE_RESTORE && conductor->method_ended_ns)
		streak_note(&conductor->recovery, probe, sample, conductor->method_ended_ns);
	if (conductor->phase == PHASE_RECOVERY && conductor->is_awaiting)
		finish_when_due(conductor);
	else if (conductor->phase == PHASE_RECOVERY)
		check_recovery(conductor);
}
