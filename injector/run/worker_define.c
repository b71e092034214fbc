/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the conductor may define, checked again with the tables of the faults and selectors, and the
 * plan made from it: targets resolved and pinned once, no side effect on the machine.
 */
#include "injector/run/worker_internal.h"

#include "faults/target_follow.h"
#include "injector/base/clock.h"
#include "injector/base/quantity.h"
#include "injector/experiment/model.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DURATION_NS (7LL * 24 * 3600 * 1000000000LL)
#define MAX_TARGETS	100000
/* An experiment is a file of 2 MiB, lists of addresses beside it; what is more comes from nobody we
 * know. */
#define MAX_VALUES	(4 * MAX_TARGETS)
#define MAX_VALUE_BYTES (12 << 20)
/* A copy in each network namespace */
#define MAX_COPIES     (1 << 20)
#define MAX_COPY_BYTES (64 << 20)

int worker_on_limits(struct worker *worker, const struct request *request, struct error *err)
{
	if (worker->limits.duration_ns)
		return error_set(err, EPROTO, "limits are given twice");
	if (request->numbers[0] < 1 || request->numbers[0] > MAX_DURATION_NS)
		return error_set(err, ERANGE, "limits: the duration is out of range");
	if (request->numbers[1] < 1 || request->numbers[1] > MAX_TARGETS)
		return error_set(err, ERANGE, "limits: the number of targets is out of range");
	worker->limits.duration_ns = request->numbers[0];
	worker->limits.targets = (unsigned)request->numbers[1];
	worker->seed = worker->env.seed = (uint64_t)request->numbers[2];
	return 0;
}

int worker_make_room(struct worker *worker, struct error *err)
{
	const size_t targets = EXPERIMENT_MAX_TARGETS + WORKER_PARTS_MAX;

	worker->copies = (struct target_room){MAX_COPIES, MAX_COPY_BYTES};
	worker->targets = calloc(targets, sizeof(*worker->targets));
	worker->links = calloc(targets, sizeof(*worker->links));
	worker->steps = calloc(EXPERIMENT_MAX_STEPS, sizeof(*worker->steps));
	if (!worker->targets || !worker->links || !worker->steps)
		return error_errno(err, ENOMEM, "cannot keep targets and steps");
	return 0;
}

int worker_on_target(struct worker *worker, const struct request *request, struct error *err)
{
	const struct param *table =
		request->numbers[0] > TARGET_NONE && request->numbers[0] <= TARGET_FILE
			? target_params((enum target_kind)request->numbers[0])
			: NULL;
	struct target *target;

	if (request->index != worker->target_count || request->index >= EXPERIMENT_MAX_TARGETS)
		return error_set(err, EPROTO, "target %u comes out of order", request->index);
	if (!table)
		return error_set(err, EPROTO, "target %u is of an unknown kind", request->index);
	target = &worker->targets[worker->target_count];
	target->kind = (enum target_kind)request->numbers[0];
	target->namespace_fd = -1;
	target->seed = worker->seed + request->index;
	snprintf(target->name, sizeof(target->name), "%s", request->name);
	if (params_init(&target->params, table, err) < 0)
		return -ENOMEM;
	worker->target_count++;
	return 0;
}

static int add_one(struct worker *worker, struct params *params, unsigned index, const char *text,
		   struct error *err)
{
	const unsigned before = params_count(params, index);
	int result;

	worker->value_bytes += strlen(text) + 1;
	if (++worker->value_count > MAX_VALUES || worker->value_bytes > MAX_VALUE_BYTES)
		return error_set(err, E2BIG, "there are more values than an experiment can have");
	result = params_add(params, index, text, 0, 0, err);
	/* what stands for several was taken apart where the experiment was read */
	if (result == 0 && params_count(params, index) != before + 1)
		return error_set(err, EPROTO, "a value of '%s' stands for several",
				 params->table[index].name);
	return result;
}

/* There may be a hundred thousand endpoints: many to a request, which have no blanks in them. */
static int add_value(struct worker *worker, struct params *params, const struct request *request,
		     struct error *err)
{
	int index = params_find(params->table, request->name), result = 0;
	char text[sizeof(request->text)], *save = NULL;

	if (index < 0)
		return error_set(err, EPROTO, "parameter '%s' is not known to the worker",
				 request->name);
	if (!param_is_endpoint(&params->table[index]))
		return add_one(worker, params, (unsigned)index, request->text, err);
	snprintf(text, sizeof(text), "%s", request->text);
	for (char *at = strtok_r(text, " ", &save); at && result == 0;
	     at = strtok_r(NULL, " ", &save))
		result = add_one(worker, params, (unsigned)index, at, err);
	return result;
}

int worker_on_target_value(struct worker *worker, const struct request *request, struct error *err)
{
	if (request->index >= worker->target_count)
		return error_set(err, EPROTO, "target %u is not defined", request->index);
	return add_value(worker, &worker->targets[request->index].params, request, err);
}

int worker_on_step(struct worker *worker, const struct request *request, struct error *err)
{
	const struct fault_ops *ops = fault_find(request->name);
	struct worker_step *step;

	if (request->index != worker->step_count || request->index >= EXPERIMENT_MAX_STEPS)
		return error_set(err, EPROTO, "step %u comes out of order", request->index);
	if (!ops)
		return error_set(err, EPROTO, "fault '%s' is not known to the worker",
				 request->name);
	if (request->numbers[0] < 0 || request->numbers[0] >= worker->target_count ||
	    worker->targets[request->numbers[0]].kind != ops->target_kind)
		return error_set(err, EPROTO, "step %u has no target of its kind", request->index);
	if (request->numbers[1] < 0 || request->numbers[1] > worker->limits.duration_ns)
		return error_set(err, ERANGE, "step %u lasts longer than the limits allow",
				 request->index);
	step = &worker->steps[worker->step_count];
	step->worker = worker;
	step->target = (unsigned)request->numbers[0];
	step->for_ns = request->numbers[1];
	worker->injection_count++;
	step->fault = (struct fault){
		.level_ppb = SHARE_ONE,
		.ops = ops,
		.step = request->index,
		.number = request->index,
		.params = &step->params,
		.target = &worker->targets[step->target],
		.env = &worker->env,
	};
	if (params_init(&step->params, ops->params, err) < 0)
		return -ENOMEM;
	worker->step_count++;
	return 0;
}

int worker_on_step_value(struct worker *worker, const struct request *request, struct error *err)
{
	if (request->index >= worker->step_count)
		return error_set(err, EPROTO, "step %u is not defined", request->index);
	return add_value(worker, &worker->steps[request->index].params, request, err);
}

/* The step of a request about its shape, if that may still be given. */
static struct worker_step *step_to_shape(struct worker *worker, const struct request *request,
					 struct error *err)
{
	if (request->index < worker->step_count && request->numbers[0] >= 1 &&
	    request->numbers[0] <= worker->limits.duration_ns)
		return &worker->steps[request->index];
	error_set(err, EPROTO, "step %u is not defined, or its times are out of range",
		  request->index);
	return NULL;
}

int worker_on_step_pulses(struct worker *worker, const struct request *request, struct error *err)
{
	struct worker_step *step = step_to_shape(worker, request, err);
	int64_t every_ns = request->numbers[0], active_ns = request->numbers[1],
		count = request->numbers[2];

	if (!step)
		return -EPROTO;
	if (step->shape.every_ns)
		return error_set(err, EPROTO, "step %u is given pulses twice", request->index);
	if (active_ns < 0 || active_ns >= every_ns || count < 1 ||
	    count > worker->limits.duration_ns / every_ns + 1)
		return error_set(err, ERANGE, "the pulses of step %u are beyond the limits",
				 request->index);
	worker->injection_count += (unsigned)count - 1;
	if (count > SHAPE_MAX_INJECTIONS || worker->injection_count > SHAPE_MAX_INJECTIONS)
		return error_set(err, E2BIG, "there are more pulses than the journal can hold");
	step->shape.every_ns = every_ns;
	step->shape.active_ns = active_ns;
	step->shape.count = (unsigned)count;
	return 0;
}

int worker_on_step_ramp(struct worker *worker, const struct request *request, struct error *err)
{
	struct worker_step *step = step_to_shape(worker, request, err);

	if (!step)
		return -EPROTO;
	if (step->shape.over_ns)
		return error_set(err, EPROTO, "step %u is given a ramp twice", request->index);
	if (!step->fault.ops->set_level)
		return error_set(err, EPROTO, "fault '%s' has no strength to change",
				 step->fault.ops->name);
	if (request->numbers[3] < 0 || request->numbers[3] > SHAPE_MAX_STAIRS)
		return error_set(err, ERANGE, "the ramp of step %u is out of range",
				 request->index);
	step->shape.over_ns = request->numbers[0];
	step->shape.from_ppb = request->numbers[1];
	step->shape.to_ppb = request->numbers[2];
	step->shape.stairs = (unsigned)request->numbers[3];
	return 0;
}

/* Once its parameters are known, as in the file. */
static int check_shape(const struct worker_step *step, struct error *err)
{
	bool is_instant = step->fault.ops->is_instant && step->fault.ops->is_instant(&step->params);
	enum shape_key key;

	if (is_instant && step->for_ns)
		return error_set(err, EINVAL, "it acts at once and has no end");
	return shape_check(&step->shape, step->for_ns, is_instant, &key, err);
}

struct plan_lines {
	struct worker *worker;
	unsigned step;
};

static void send_plan_line(void *context, enum plan_kind kind, const char *text)
{
	const struct plan_lines *lines = context;
	struct reply reply = {.type = REPLY_PLAN_LINE, .index = lines->step, .numbers = {kind}};

	snprintf(reply.text, sizeof(reply.text), "%s", text);
	worker_send(lines->worker, &reply, -1);
}

static struct target *find_target(void *context, const char *name)
{
	struct worker *worker = context;

	for (unsigned i = 0; i < worker->target_count; i++)
		if (strcmp(worker->targets[i].name, name) == 0)
			return &worker->targets[i];
	return NULL;
}

static int check_limit(const struct worker *worker, unsigned *out_total, struct error *err)
{
	unsigned total = 0;

	for (unsigned i = 0; i < worker->target_count; i++) {
		struct target *target = &worker->targets[i];

		for (unsigned at = 0; at < worker_part_count(worker, target); at++)
			if (worker_part_at(worker, target, at)->is_resolved)
				total += target_size(worker_part_at(worker, target, at));
	}
	*out_total = total;
	if (total <= worker->limits.targets)
		return 0;
	error_set(err, E2BIG,
		  "the experiment would touch %u targets or more; limits.targets "
		  "allows %u",
		  total, worker->limits.targets);
	return error_remedy(err, "Narrow the selectors, use 'count', or raise limits.targets.");
}

void worker_measure_reach(struct worker *worker)
{
	const unsigned of_site = policy_most_targets(worker->options.policy);
	unsigned total, most = worker->limits.targets;

	if (most > of_site)
		most = of_site;
	check_limit(worker, &total, NULL);
	worker->env.targets_more = most > total ? most - total : 0;
}

int worker_check_reach(const struct worker *worker, struct error *err)
{
	unsigned total;
	int result = check_limit(worker, &total, err);

	return result < 0 ? result : policy_check_reach(worker->options.policy, total, err);
}

static bool may_lack_interfaces(const struct worker *worker, const struct target *target)
{
	for (unsigned i = 0; i < worker->step_count; i++)
		if (worker->steps[i].fault.target == target &&
		    !worker->steps[i].fault.ops->needs_no_interface)
			return false;
	return true;
}

static int resolve(struct worker *worker, struct target *whole, const struct target_guard *guard,
		   struct error *err)
{
	unsigned total;
	int result = worker_split(worker, whole, guard, err);

	for (unsigned i = 0; result == 0 && i < worker_part_count(worker, whole); i++) {
		struct target *target = worker_part_at(worker, whole, i);

		if (target_resolve(target, worker->limits.targets, guard, err) < 0)
			return err->code ? -err->code : -EIO;
		if (policy_check_target(worker->options.policy, target, err) < 0)
			return -EPERM;
		result = check_limit(worker, &total, err);
	}
	return result;
}

/* Processes first: whichever stands first in the file, the others may be about them. */
static int resolve_targets(struct worker *worker, struct error *err)
{
	const struct target_guard guard = {
		.conductor = worker->conductor,
		.worker = worker->self,
		.find = find_target,
		.context = worker,
	};
	int result = 0;

	for (unsigned i = 0; i < worker->target_count * 2 && result == 0; i++) {
		struct target *target = &worker->targets[i % worker->target_count];

		if ((target->kind == TARGET_PROCESS) != (i < worker->target_count))
			continue;
		target->may_lack_interfaces = may_lack_interfaces(worker, target);
		result = resolve(worker, target, &guard, err);
	}
	return result < 0 ? result : worker_check_reach(worker, err);
}

/* What needs no look at the machine; the targets follow when they are known. */
static int ask_policy(const struct worker *worker, struct error *err)
{
	const struct policy *policy = worker->options.policy;
	int result = policy_check_limits(policy, worker->limits.duration_ns, err);

	if (result == 0)
		result =
			policy_check_time(policy, clock_wall_ns(), worker->limits.duration_ns, err);
	for (unsigned i = 0; result == 0 && i < worker->step_count; i++)
		result = policy_check_fault(policy, worker->steps[i].fault.ops->name, err);
	return result;
}

static void tell_policy(const struct worker *worker, struct plan *plan)
{
	char text[240];

	if (!worker->options.policy)
		return;
	policy_describe(worker->options.policy, text, sizeof(text));
	plan_add(plan, PLAN_NOTE, "%s", text);
}

/* What of the target the fault has no use for. */
static int check_target(const struct worker_step *step, struct error *err)
{
	const struct fault_ops *ops = step->fault.ops;
	const struct target *target = step->fault.target;
	const struct param_value *blamed;
	int result = fault_check_follow(ops, &target->params, err);

	if (result < 0 || target->kind != TARGET_TRAFFIC)
		return result;
	result = target_check_tcp_flags(&target->params, ops->sees_packets ? NULL : ops->name, err);
	return result < 0
		       ? result
		       : fault_check_target(ops, step->fault.params, &target->params, &blamed, err);
}

int worker_on_plan(struct worker *worker, const struct request *request, struct error *err)
{
	struct plan_lines lines = {.worker = worker};
	struct plan plan = {.line = send_plan_line, .context = &lines};
	int result;

	(void)request;
	if (!worker->limits.duration_ns || !worker->step_count)
		return error_set(err, EPROTO, "limits or steps are missing");
	/* No step comes after this: the guardian gives up the rest while we plan. */
	result = guardian_confine(&worker->guardian, worker_capabilities(worker), err);
	if (result == 0)
		result = ask_policy(worker, err);
	if (result == 0)
		result = resolve_targets(worker, err);
	worker_measure_reach(worker);
	for (unsigned i = 0; i < worker->step_count && result == 0; i++) {
		struct worker_step *step = &worker->steps[i];

		lines.step = i;
		result = params_check_required(&step->params, err);
		if (result == 0)
			result = policy_check_values(worker->options.policy, &step->params, err);
		if (result == 0 && step->fault.ops->check)
			result = step->fault.ops->check(&step->params, err);
		if (result == 0)
			result = check_target(step, err);
		if (result == 0)
			result = check_shape(step, err);
		if (result == 0)
			result = worker_admit_command(worker, step, err);
		if (result == 0)
			result = worker_plan_faults(step, &plan, err);
		if (result == 0)
			step->state = STEP_PLANNED;
		else
			error_prefix(err, "%s", step->fault.ops->name);
	}
	if (result == 0)
		result = worker_start_reloader(worker, err);
	if (result < 0) {
		worker_reply_error(worker, REPLY_REFUSED, 0, err);
		worker_leave_unarmed(worker);
		return 0;
	}
	tell_policy(worker, &plan);
	worker->state = WORKER_PLANNED;
	worker_reply(worker, REPLY_PLANNED, 0, "%s", "");
	return 0;
}

uint64_t worker_capabilities(const struct worker *worker)
{
	uint64_t capabilities = 0;

	for (unsigned i = 0; i < worker->step_count; i++) {
		const struct fault *fault = &worker->steps[i].fault;

		capabilities |= fault->ops->capabilities;
		if (fault->ops->more_capabilities)
			capabilities |= fault->ops->more_capabilities(fault) &
					fault->ops->capabilities_more;
		/* the site is asked about each process again when it is hit */
		if (fault->ops->target_kind == TARGET_PROCESS &&
		    policy_asks_programs(worker->options.policy))
			capabilities |= 1ULL << CAP_SYS_PTRACE;
	}
	return capabilities;
}

bool worker_outlives_reboot(const struct worker *worker)
{
	for (unsigned i = 0; i < worker->step_count; i++)
		if (worker->steps[i].fault.ops->outlives_reboot)
			return true;
	return false;
}
