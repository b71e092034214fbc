/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Interfaces of the approved plan that come and go in mid-run. Invariant: nobody tells the worker
 * of them but the kernel. There is no request for it, so that a conductor under somebody else's
 * control has no part in it; the pattern is that of the plan, and the site's policy is asked again
 * for each one. What is refused is passed over and told; what the faults hang on already stays as
 * it is.
 */
#include "injector/run/worker_internal.h"

#include "faults/target_follow.h"
#include "injector/restore/restore.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define INJECT_TRIES 4 /* while interfaces go */

static bool is_followed_by(const struct worker_step *step, const struct target *target)
{
	return step->fault.target == target && step->fault.ops->follow_interfaces &&
	       (step->state == STEP_PLANNED || step->state == STEP_IN_FORCE ||
		step->state == STEP_BETWEEN);
}

static void report(struct worker *worker, const struct target *target, bool is_followed,
		   const char *text)
{
	struct reply reply = {.type = REPLY_FOLLOWED, .numbers = {is_followed}};

	while (reply.index + 1 < worker->step_count &&
	       worker->steps[reply.index].fault.target != target)
		reply.index++;
	snprintf(reply.text, sizeof(reply.text), "%s", text);
	worker_send(worker, &reply, -1);
}

static void pass_over(struct worker *worker, struct target *target,
		      const struct target_interface *interface, const struct error *why)
{
	char text[sizeof(why->text) + 80];

	snprintf(text, sizeof(text), "%s has appeared and is left alone: %s", interface->name,
		 why->text);
	target_pass_over(target, interface);
	report(worker, target, false, text);
}

/* Those of the site are the target's from now on. */
static void take_allowed(struct worker *worker, struct target *target,
			 const struct target_look *look)
{
	for (unsigned i = 0; i < look->appeared_count; i++) {
		const struct target_interface *interface = &look->appeared[i];
		struct error why = ERROR_INIT;
		int result = policy_check_interface(worker->options.policy, interface->name, &why);

		if (result == 0)
			result = target_take_interface(target, interface, &why);
		if (result < 0)
			pass_over(worker, target, interface, &why);
	}
}

static int tell_faults(struct worker *worker, const struct target *target, int *out_index,
		       struct error *err)
{
	int result = 0;

	*out_index = 0;
	for (unsigned i = 0; result == 0 && i < worker->step_count; i++) {
		struct worker_step *step = &worker->steps[i];

		if (is_followed_by(step, target))
			result = step->fault.ops->follow_interfaces(&step->fault, out_index, err);
	}
	return result;
}

/* What may be otherwise in a moment */
static bool passes_by(int result)
{
	return result == -EINTR || result == -EAGAIN || result == -ENOMEM || result == -ENOBUFS ||
	       result == -ETIMEDOUT;
}

/* All faults of the target act on the same interfaces: one that one of them cannot have, none has.
 */
static void agree(struct worker *worker, struct target *target)
{
	struct error why = ERROR_INIT;
	int index, result;

	while ((result = tell_faults(worker, target, &index, &why)) < 0) {
		struct target_interface refused;
		unsigned at = 0;

		while (at < target->interface_count && target->interfaces[at].index != index)
			at++;
		if (at == target->interface_count)
			return; /* none of them: the next look tells */
		refused = target->interfaces[at];
		if (result == -ENODEV) /* it has gone again, and there is nothing to tell */
			target_pass_over(target, &refused);
		else if (passes_by(result))
			target_leave_interface(target, &refused); /* the next look finds it again */
		else
			pass_over(worker, target, &refused, &why);
		why = (struct error)ERROR_INIT;
	}
}

static void report_taken(struct worker *worker, const struct target *target,
			 const struct target_look *look)
{
	static const char begin[] = "affected as well from now on: ";
	char text[400];
	size_t used = (size_t)snprintf(text, sizeof(text), "%s", begin);

	for (unsigned i = 0; i < look->appeared_count; i++)
		for (unsigned k = 0; k < target->interface_count && used + 32 < sizeof(text); k++)
			if (target->interfaces[k].index == look->appeared[i].index)
				used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s",
							 used >= sizeof(begin) ? ", " : "",
							 look->appeared[i].name);
	if (used >= sizeof(begin))
		report(worker, target, true, text);
}

void worker_follow_interfaces(struct worker *worker, struct target *target)
{
	struct target_look look;
	struct error err = ERROR_INIT;

	if (!target->links || worker->state == WORKER_STOPPING ||
	    target_look_again(target, &look, &err) < 0)
		return;
	take_allowed(worker, target, &look);
	agree(worker, target);
	report_taken(worker, target, &look);
	if (look.gone[0]) {
		char text[sizeof(look.gone) + 40];

		snprintf(text, sizeof(text), "no longer affected: %s", look.gone);
		report(worker, target, true, text);
	}
	target_forget_look(&look);
}

/* A followed interface that goes while a fault is being injected is let go like one that goes
 * later: what this try has written down is undone. False: that is not why it failed, or something
 * is left. */
static bool can_try_again(struct worker_step *step)
{
	struct restore_report report = {0};
	bool is_undone;

	if (step->worker->state != WORKER_ARMED || !target_has_lost_interface(step->fault.target))
		return false;
	is_undone =
		restore_records(step->worker->journal, (int)step->fault.step, &report, NULL) == 0 &&
		!report.failed;
	restore_report_free(&report);
	return is_undone;
}

int worker_inject_following(struct worker_step *step, struct error *err)
{
	for (unsigned at = 1;; at++) {
		int result;

		*err = (struct error)ERROR_INIT;
		worker_follow_interfaces(step->worker, step->fault.target);
		result = step->fault.ops->inject(&step->fault, err);
		if (result == 0 || at == INJECT_TRIES || !can_try_again(step))
			return result;
	}
}
