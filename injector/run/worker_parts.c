/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A step whose target lives in several network namespaces: one fault in each of them, which begin,
 * change and end as one. Nobody but the worker knows: what is told and journalled is that of the
 * step.
 */
#include "injector/run/worker_internal.h"

#include "faults/target_group.h"
#include "injector/base/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Targets. */

unsigned worker_part_count(const struct worker *worker, const struct target *target)
{
	unsigned count = 0;

	for (unsigned i = 0; i < worker->part_count; i++)
		count += worker->targets[EXPERIMENT_MAX_TARGETS + i].whole == target;
	return count ? count : 1;
}

struct target *worker_part_at(const struct worker *worker, struct target *target, unsigned at)
{
	for (unsigned i = 0; i < worker->part_count; i++) {
		struct target *part = &worker->targets[EXPERIMENT_MAX_TARGETS + i];

		if (part->whole == target && at-- == 0)
			return part;
	}
	return target;
}

const struct target *worker_whole(const struct target *target)
{
	return target->whole ? target->whole : target;
}

const char *worker_say_part(const struct target *target, char out[WORKER_PART_TEXT])
{
	out[0] = '\0';
	if (target->is_part)
		snprintf(out, WORKER_PART_TEXT, "in %s: ", target->part_text);
	return out;
}

/* Each step of the target gets a fault for each part. */
static int spread_step(struct worker *worker, struct worker_step *step, struct target *parts,
		       unsigned count, struct error *err)
{
	const unsigned more = count - 1;
	const unsigned pulses = step->shape.every_ns ? step->shape.count : 1;

	if (worker->injection_count + more * pulses > SHAPE_MAX_INJECTIONS)
		return error_set(err, E2BIG,
				 "step %u: more injections in %u network namespaces than the "
				 "journal can hold",
				 step->fault.step + 1, count);
	step->more = calloc(more, sizeof(*step->more));
	if (!step->more)
		return error_errno(err, ENOMEM, "cannot keep faults");
	step->more_count = more;
	worker->injection_count += more * pulses;
	step->fault.target = &parts[0];
	for (unsigned i = 0; i < more; i++) {
		step->more[i].fault = step->fault;
		step->more[i].fault.target = &parts[i + 1];
		step->more[i].fault.number = EXPERIMENT_MAX_STEPS + worker->number_count++;
	}
	return 0;
}

int worker_split(struct worker *worker, struct target *whole, const struct target_guard *guard,
		 struct error *err)
{
	struct target *slots = &worker->targets[EXPERIMENT_MAX_TARGETS + worker->part_count];
	cleanup_free struct target *parts = NULL;
	unsigned count = 0;
	int result = target_split(whole, guard, &worker->copies, &parts, &count, err);

	if (result < 0 || !count)
		return result;
	if (worker->part_count + count > WORKER_PARTS_MAX) {
		for (unsigned i = 0; i < count; i++)
			target_free(&parts[i]);
		return error_set(err, E2BIG, "the targets are in more than %d network namespaces",
				 WORKER_PARTS_MAX);
	}
	for (unsigned i = 0; i < count; i++) {
		slots[i] = parts[i];
		slots[i].whole = whole;
	}
	worker->part_count += count;
	for (unsigned i = 0; result == 0 && i < worker->step_count; i++)
		if (worker->steps[i].fault.target == whole)
			result = spread_step(worker, &worker->steps[i], slots, count, err);
	return result;
}

void worker_free_parts(struct worker *worker)
{
	for (unsigned i = 0; i < worker->step_count; i++)
		free(worker->steps[i].more);
	for (unsigned i = 0; i < worker->part_count; i++)
		target_free(&worker->targets[EXPERIMENT_MAX_TARGETS + i]);
}

/* Faults. */

unsigned worker_fault_count(const struct worker_step *step)
{
	return 1 + step->more_count;
}

struct fault *worker_fault_at(struct worker_step *step, unsigned at)
{
	return at ? &step->more[at - 1].fault : &step->fault;
}

struct fault *worker_fault_of(struct worker_step *step, const struct target *target)
{
	for (unsigned i = 0; i < worker_fault_count(step); i++)
		if (worker_fault_at(step, i)->target == target)
			return worker_fault_at(step, i);
	return NULL;
}

bool worker_step_is_of(const struct worker_step *step, const struct target *target)
{
	return worker_whole(step->fault.target) == worker_whole(target);
}

static int64_t *again_of(struct worker_step *step, unsigned at)
{
	return at ? &step->more[at - 1].end_again_ns : &step->first_again_ns;
}

/* The step is in force when all are, and out of force when none is. */
void worker_sum_times(struct worker_step *step)
{
	int64_t started_ns = 0, ended_ns = 0;
	bool has_ended = true;

	for (unsigned i = 0; i < worker_fault_count(step); i++) {
		const struct fault *fault = worker_fault_at(step, i);

		if (fault->effect_started_ns > started_ns)
			started_ns = fault->effect_started_ns;
		if (fault->effect_ended_ns > ended_ns)
			ended_ns = fault->effect_ended_ns;
		has_ended &= fault->effect_ended_ns != 0;
	}
	step->started_ns = started_ns;
	step->ended_ns = has_ended ? ended_ns : 0;
}

void worker_set_times(struct worker_step *step, int64_t started_ns, int64_t ended_ns)
{
	for (unsigned i = 0; i < worker_fault_count(step); i++) {
		struct fault *fault = worker_fault_at(step, i);

		fault->effect_started_ns = started_ns;
		fault->effect_ended_ns = ended_ns;
	}
	worker_sum_times(step);
}

/* Lines of the plans of several faults: what is the same for all is said once, and what is changed
 * in each. */
#define TOLD_MAX 64
struct part_lines {
	const struct plan *plan;
	const struct fault *fault;
	char *told[TOLD_MAX]; /* owned */
	unsigned told_count;
};

static bool was_told(struct part_lines *lines, const char *text)
{
	for (unsigned i = 0; i < lines->told_count; i++)
		if (strcmp(lines->told[i], text) == 0)
			return true;
	if (lines->told_count < TOLD_MAX) {
		lines->told[lines->told_count] = strdup(text);
		lines->told_count += lines->told[lines->told_count] != NULL;
	}
	return false;
}

static void tell_line(void *context, enum plan_kind kind, const char *text)
{
	struct part_lines *lines = context;
	char placed[1024];

	if (kind == PLAN_CHANGE) {
		snprintf(placed, sizeof(placed), "in %s: %.900s", lines->fault->target->part_text,
			 text);
		text = placed;
	} else if (was_told(lines, text)) {
		return;
	}
	lines->plan->line(lines->plan->context, kind, text);
}

int worker_plan_faults(struct worker_step *step, struct plan *plan, struct error *err)
{
	struct part_lines lines = {.plan = plan};
	struct plan each = {.line = tell_line, .context = &lines};
	int result = 0;

	if (!step->more_count)
		return step->fault.ops->plan(&step->fault, plan, err);
	for (unsigned i = 0; result == 0 && i < worker_fault_count(step); i++) {
		lines.fault = worker_fault_at(step, i);
		result = lines.fault->ops->plan(worker_fault_at(step, i), &each, err);
		if (result < 0)
			error_prefix(err, "in %s", lines.fault->target->part_text);
	}
	for (unsigned i = 0; i < lines.told_count; i++)
		free(lines.told[i]);
	return result;
}

int worker_inject_faults(struct worker_step *step, struct error *err)
{
	int result = 0;

	for (unsigned i = 0; result == 0 && i < worker_fault_count(step); i++) {
		struct fault *fault = worker_fault_at(step, i);

		fault->level_ppb = step->fault.level_ppb;
		*again_of(step, i) = 0;
		result = fault->ops->inject(fault, err);
		if (result < 0 && step->more_count)
			error_prefix(err, "in %s", fault->target->part_text);
		/* the others are not left to wait for the undo */
		for (unsigned before = i; result < 0 && before-- > 0;) {
			struct fault *other = worker_fault_at(step, before);
			int64_t again_ns;

			if (other->ops->end)
				other->ops->end(other, FAULT_END_NOW, &again_ns, NULL);
		}
	}
	worker_sum_times(step);
	return result;
}

int worker_set_levels(struct worker_step *step, int64_t level_ppb, struct error *err)
{
	int result = 0;

	for (unsigned i = 0; result == 0 && i < worker_fault_count(step); i++) {
		struct fault *fault = worker_fault_at(step, i);

		fault->level_ppb = level_ppb;
		result = fault->ops->set_level(fault, err);
	}
	return result;
}

int64_t worker_end_faults(struct worker_step *step, enum fault_end how, bool is_first)
{
	int64_t soonest_ns = 0;

	for (unsigned i = 0; step->fault.ops->end && i < worker_fault_count(step); i++) {
		struct fault *fault = worker_fault_at(step, i);
		int64_t *again_ns = again_of(step, i);

		if (!*again_ns && (!is_first || fault->effect_ended_ns))
			continue; /* it has nothing more to do */
		*again_ns = 0;
		if (fault->ops->end(fault, how, again_ns, NULL) < 0)
			*again_ns = 0;
		if (*again_ns > 0 && (!soonest_ns || *again_ns < soonest_ns))
			soonest_ns = *again_ns;
	}
	worker_sum_times(step);
	return soonest_ns;
}

static void add(struct evidence *sum, const struct evidence *more)
{
	sum->hits += more->hits;
	sum->dropped += more->dropped;
	sum->passed += more->passed;
	sum->delayed += more->delayed;
	sum->processor_ns += more->processor_ns;
	sum->unit = more->unit;
}

/* "web-1 120, web-2 0, and 62 more": as many as there is room for. */
struct each_text {
	char text[120];
	unsigned left_out;
};

static void say_each(const struct fault *fault, const struct evidence *its, struct each_text *each)
{
	const size_t used = strlen(each->text);
	const size_t room = sizeof(each->text) - sizeof(", and 64 more") - used;

	if (!each->left_out &&
	    (size_t)snprintf(each->text + used, room, "%s%.48s %llu", used ? ", " : "",
			     fault->target->part_text, (unsigned long long)its->hits) < room)
		return;
	if (!each->left_out++)
		each->text[used] = '\0';
}

static void say_sum(struct evidence *sum, struct each_text *each)
{
	const size_t used = strlen(each->text);
	char dropped[32] = "";

	if (each->left_out)
		snprintf(each->text + used, sizeof(each->text) - used, ", and %u more",
			 each->left_out);

	if (sum->dropped)
		snprintf(dropped, sizeof(dropped), ", %llu dropped",
			 (unsigned long long)sum->dropped);
	snprintf(sum->detail, sizeof(sum->detail), "%llu %s%s: %s", (unsigned long long)sum->hits,
		 sum->unit ? sum->unit : "hits", dropped, each->text);
}

int worker_gather_evidence(struct worker_step *step, struct evidence *out, struct error *err)
{
	struct evidence sum = {.unit = ""};
	struct each_text each = {.text = ""};
	int result = 0;

	if (!step->more_count) {
		result = step->fault.ops->evidence(&step->fault, out, err);
		if (result == -ESTALE)
			target_group_say_ended(step->fault.target, err);
		return result;
	}
	for (unsigned i = 0; i < worker_fault_count(step); i++) {
		struct evidence its = {.unit = ""};
		struct error why = ERROR_INIT;
		int one = step->fault.ops->evidence(worker_fault_at(step, i), &its, &why);

		if (one == -ESTALE)
			target_group_say_ended(worker_fault_at(step, i)->target, &why);
		if (one < 0 && result != -ESTALE) {
			result = one;
			if (err)
				*err = why;
		}
		if (one < 0 && one != -ESTALE)
			continue;
		add(&sum, &its);
		say_each(worker_fault_at(step, i), &its, &each);
	}
	say_sum(&sum, &each);
	*out = sum;
	return result;
}
