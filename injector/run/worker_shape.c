/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Pulses and ramps of a step that is approved. Both are driven from here, by the clock of the
 * worker: a conductor that is slow, busy or lost can neither bend a ramp nor keep a pulse in force.
 * Everything lies on one grid that begins with the first injection, so that nothing drifts.
 */
#include "injector/run/worker_internal.h"

#include "injector/base/clock.h"

#include <stdio.h>
#include <string.h>

#define PAST_NS 1000000 /* a timer that comes so late has not missed its pulse */

int64_t worker_shape_level(const struct worker_step *step)
{
	return shape_level_ppb(&step->shape, step->first_ns ? clock_now_ns() - step->first_ns : 0);
}

static void report_level(struct worker_step *step)
{
	const struct shape *shape = &step->shape;
	int64_t now_ns = clock_now_ns();

	/* what rises evenly is told when it is there; how far it is stands beside the evidence */
	if (shape->stairs || now_ns - step->first_ns >= shape->over_ns)
		worker_reply_numbers(step->worker, REPLY_LEVEL, step->fault.step,
				     step->fault.level_ppb, now_ns);
}

static void level_is_due(void *context)
{
	struct worker_step *step = context;
	struct error err = ERROR_INIT;
	int64_t level_ppb = worker_shape_level(step);
	char why[sizeof(err.text) + 64];

	if (step->state != STEP_IN_FORCE || step->worker->state != WORKER_ARMED)
		return;
	if (level_ppb != step->fault.level_ppb) {
		if (worker_set_levels(step, level_ppb, &err) < 0) {
			snprintf(why, sizeof(why),
				 "the strength of fault %u (%s) stays as it is: %s",
				 step->fault.step + 1, step->fault.ops->name, err.text);
			worker_stop(step->worker, STOP_FAULT_LOST, why);
			return;
		}
		report_level(step);
	}
	worker_shape_follow(step);
}

void worker_shape_follow(struct worker_step *step)
{
	int64_t next_ns = shape_next_level_ns(&step->shape, clock_now_ns() - step->first_ns);

	if (next_ns >= 0 && loop_timer_set(step->worker->loop, &step->shape_timer,
					   step->first_ns + next_ns, level_is_due, step) < 0)
		worker_stop(step->worker, STOP_INTERNAL, "out of memory while driving a ramp");
}

int64_t worker_shape_end_ns(const struct worker_step *step)
{
	int64_t end_ns = step->for_ns ? step->first_ns + step->for_ns : 0, pulse_ns;

	if (!step->shape.every_ns)
		return end_ns;
	pulse_ns = step->first_ns + step->pulse * step->shape.every_ns + step->shape.active_ns;
	return end_ns && end_ns < pulse_ns ? end_ns : pulse_ns;
}

bool worker_shape_again(struct worker_step *step, void (*inject)(void *step))
{
	const struct shape *shape = &step->shape;
	int64_t since_ns = clock_now_ns() - step->first_ns, reached;

	if (!shape->every_ns || step->worker->state != WORKER_ARMED || step->is_last)
		return false;
	/* What was drained longer than the gap has missed the beginning of the next pulse: that one
	 * is shorter, or left out when nothing of it is to come. */
	reached = since_ns / shape->every_ns;
	if (since_ns % shape->every_ns > shape->active_ns + PAST_NS)
		reached++;
	step->pulse = reached > step->pulse ? (unsigned)reached : step->pulse + 1;
	if (step->pulse >= shape->count ||
	    (step->for_ns && step->pulse * shape->every_ns >= step->for_ns))
		return false;
	return loop_timer_set(step->worker->loop, &step->shape_timer,
			      step->first_ns + step->pulse * shape->every_ns, inject, step) == 0;
}

void worker_shape_sum(const struct worker_step *step, struct evidence *evidence)
{
	char last[sizeof(evidence->detail)];

	if (!step->shape.every_ns)
		return;
	evidence->hits += step->before.hits;
	evidence->dropped += step->before.dropped;
	evidence->passed += step->before.passed;
	evidence->delayed += step->before.delayed;
	evidence->processor_ns += step->before.processor_ns;
	if (!evidence->hits)
		return;
	snprintf(last, sizeof(last), "%s", evidence->detail);
	snprintf(evidence->detail, sizeof(evidence->detail),
		 "%llu %s in %u pulse%s; the last: %.100s", (unsigned long long)evidence->hits,
		 evidence->unit ? evidence->unit : "hits", step->injections,
		 step->injections == 1 ? "" : "s", last);
}
