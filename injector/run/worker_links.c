/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Interfaces of the approved plan that come and go in mid-run. Invariant: nobody tells the worker
 * of them but the kernel. There is no request for it, so that a conductor under somebody else's
 * control has no part in it; the pattern is that of the plan, and the site's policy is asked again
 * for each one. What is refused is passed over and told; what the faults hang on already stays as
 * it is.
 *
 * Whoever may make interfaces in the namespace makes as many as he likes: what is done and told at
 * a time is rationed, so that requests, pings and the deadline have their turn.
 */
#include "injector/run/worker_internal.h"

#include "faults/target_follow.h"
#include "injector/base/clock.h"
#include "injector/restore/restore.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define INJECT_TRIES 4			   /* while interfaces go */
#define WORK_NS	     (100 * NSEC_PER_MSEC) /* then whatever else is due comes first */
#define LOOK_NS	     (50 * NSEC_PER_MSEC)  /* from one look to the next, at least ... */
#define LOOK_PAUSE   4			   /* ... and so many times as long as it took */
#define TELL_NS	     NSEC_PER_SEC	   /* what is told comes no more often ... */
#define BURST_NS     (8 * NSEC_PER_SEC)	   /* ... but a few may come at once */

static bool is_followed_by(const struct worker_step *step, const struct target *target)
{
	return worker_step_is_of(step, target) && step->fault.ops->follow_interfaces &&
	       (step->state == STEP_PLANNED || step->state == STEP_IN_FORCE ||
		step->state == STEP_BETWEEN);
}

/* Words. */

static bool may_tell(const struct worker_links *links)
{
	return links->paid_until_ns <= clock_now_ns() + BURST_NS;
}

/* `count`: interfaces that it is about. */
static void report(struct worker_links *links, bool is_followed, unsigned count, const char *text)
{
	const struct worker *worker = links->worker;
	const int64_t now_ns = clock_now_ns();
	struct reply reply = {.type = REPLY_FOLLOWED, .numbers = {is_followed}};
	char part[WORKER_PART_TEXT];

	if (!may_tell(links)) {
		links->untold += count;
		links->is_change_untold |= is_followed;
		return;
	}
	links->paid_until_ns =
		(links->paid_until_ns > now_ns ? links->paid_until_ns : now_ns) + TELL_NS;
	while (reply.index + 1 < worker->step_count &&
	       !worker_step_is_of(&worker->steps[reply.index], links->target))
		reply.index++;
	snprintf(reply.text, sizeof(reply.text), "%s%s", worker_say_part(links->target, part),
		 text);
	worker_send(links->worker, &reply, -1);
}

static void report_untold(struct worker_links *links)
{
	const unsigned count = links->untold;
	char text[120];

	if (!count || !may_tell(links))
		return;
	snprintf(text, sizeof(text),
		 "%u more interfaces have come or gone, too many to tell each one", count);
	links->untold = 0;
	report(links, links->is_change_untold, count, text);
	links->is_change_untold = false;
}

static void report_names(struct worker_links *links, const char *what, const char *names,
			 unsigned count, unsigned unnamed)
{
	char text[500], more[32] = "";

	if (unnamed)
		snprintf(more, sizeof(more), " and %u more", unnamed);
	snprintf(text, sizeof(text), "%s: %s%s", what, names, more);
	report(links, true, count, text);
}

static void pass_over(struct worker_links *links, const struct target_interface *interface,
		      const struct error *why)
{
	char text[sizeof(why->text) + 80];

	snprintf(text, sizeof(text), "%s has appeared and is left alone: %s", interface->name,
		 why->text);
	target_pass_over(links->target, interface);
	report(links, false, 1, text);
}

static void keep_gone(struct worker_links *links, const struct target_look *look)
{
	const size_t used = strlen(links->gone), room = sizeof(links->gone) - used;

	links->gone_count += look->gone_count;
	links->gone_unnamed += look->gone_unnamed;
	if (!look->gone[0] ||
	    (size_t)snprintf(links->gone + used, room, "%s%s", used ? ", " : "", look->gone) < room)
		return;
	links->gone[used] = '\0';
	links->gone_unnamed += look->gone_count - look->gone_unnamed;
}

/* Not before the faults are on them: that may be later than they were taken. */
static void report_come(struct worker_links *links)
{
	char names[400] = "";
	unsigned count = 0, unnamed = 0;

	for (unsigned i = 0; i < links->target->interface_count; i++) {
		struct target_interface *interface = &links->target->interfaces[i];
		const size_t used = strlen(names);

		if (!interface->is_untold)
			continue;
		interface->is_untold = false;
		count++;
		if (used + strlen(interface->name) + 3 > sizeof(names))
			unnamed++;
		else
			snprintf(names + used, sizeof(names) - used, "%s%s", used ? ", " : "",
				 interface->name);
	}
	if (count)
		report_names(links, "affected as well from now on", names, count, unnamed);
}

static void report_gone(struct worker_links *links)
{
	if (links->gone_count)
		report_names(links, "no longer affected", links->gone, links->gone_count,
			     links->gone_unnamed);
	links->gone_count = links->gone_unnamed = 0;
	links->gone[0] = '\0';
}

/* Deeds. */

/* 1: it was time to stop, and something is left to do. Who is not in force has hardly anything to
 * do, and is to be injected soon. */
static int tell_faults(const struct worker_links *links, int64_t until_ns, int *out_index,
		       struct error *err)
{
	const struct worker *worker = links->worker;
	int result = 0;

	*out_index = 0;
	for (unsigned pass = 0; pass < 2; pass++)
		for (unsigned i = 0; result == 0 && i < worker->step_count; i++) {
			struct worker_step *step = &worker->steps[i];

			if (is_followed_by(step, links->target) &&
			    (step->state == STEP_IN_FORCE) == (pass == 1))
				result = step->fault.ops->follow_interfaces(
					worker_fault_of(step, links->target), until_ns, out_index,
					err);
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
 * False: something is left to do. */
static bool agree(struct worker_links *links, int64_t until_ns)
{
	struct target *target = links->target;
	struct error why = ERROR_INIT;
	int index, result;

	while ((result = tell_faults(links, until_ns, &index, &why)) < 0) {
		struct target_interface refused;
		unsigned at = 0;

		while (at < target->interface_count && target->interfaces[at].index != index)
			at++;
		if (at == target->interface_count)
			return true; /* none of them: the next look tells */
		refused = target->interfaces[at];
		if (result == -ENODEV) /* it has gone again, and there is nothing to tell */
			target_pass_over(target, &refused);
		else if (passes_by(result))
			target_leave_interface(target, &refused); /* the next look finds it again */
		else
			pass_over(links, &refused, &why);
		why = (struct error)ERROR_INIT;
		if (clock_now_ns() >= until_ns)
			return false;
	}
	return result == 0;
}

/* What the site allows is the target's from now on; it is told once the faults are on it. False:
 * something is left to do. */
static bool take(struct worker_links *links, const struct target_interface *interface,
		 int64_t until_ns)
{
	struct target_interface taken = *interface;
	struct error why = ERROR_INIT;
	int result = policy_check_interface(links->worker->options.policy, taken.name, &why);

	taken.is_untold = true;
	if (result == 0)
		result = target_take_interface(links->target, &taken, &why);
	if (result < 0) {
		pass_over(links, interface, &why);
		return true;
	}
	return agree(links, until_ns);
}

/* False: it was time to stop, and the next look finds the others again. *out_agreed: nothing is
 * left to do for those that were taken. */
static bool take_all(struct worker_links *links, const struct target_look *look, int64_t until_ns,
		     bool *out_agreed)
{
	unsigned at = 0;

	for (*out_agreed = true; at < look->appeared_count && *out_agreed; at++) {
		if (at && clock_now_ns() >= until_ns)
			return false;
		*out_agreed = take(links, &look->appeared[at], until_ns);
	}
	return at == look->appeared_count;
}

static void look_again(struct worker_links *links, struct target_look *out)
{
	const int64_t began_ns = clock_now_ns();
	struct error err = ERROR_INIT;
	int64_t pause_ns;

	target_look_again(links->target, out, &err); /* upon failure: nothing has changed */
	links->has_more = false;
	keep_gone(links, out);
	pause_ns = (clock_now_ns() - began_ns) * LOOK_PAUSE;
	links->look_ns = clock_now_ns() + (pause_ns > LOOK_NS ? pause_ns : LOOK_NS);
}

static void go_on(void *context);

static void follow(struct worker_links *links, bool looks)
{
	const int64_t until_ns = clock_now_ns() + WORK_NS;
	struct target_look look = {0};
	bool is_agreed;

	if (looks)
		look_again(links, &look);
	is_agreed = agree(links, until_ns);
	if (!is_agreed)
		links->has_more |= look.appeared_count != 0;
	else if (!take_all(links, &look, until_ns, &is_agreed))
		links->has_more = true;
	target_forget_look(&look);
	if (is_agreed) {
		report_come(links);
		report_gone(links);
	}
	if (!is_agreed || links->has_more)
		loop_timer_set(links->worker->loop, &links->timer,
			       is_agreed ? links->look_ns : clock_now_ns(), go_on, links);
}

static void go_on(void *context)
{
	struct worker_links *links = context;

	if (links->worker->state != WORKER_STOPPING)
		follow(links, clock_now_ns() >= links->look_ns);
}

static struct worker_links *links_of(struct worker *worker, struct target *target)
{
	struct worker_links *links;

	if (!target->links || worker->state == WORKER_STOPPING)
		return NULL;
	links = &worker->links[target - worker->targets];
	links->worker = worker;
	links->target = target;
	return links;
}

void worker_follow_interfaces(struct worker *worker, struct target *target)
{
	struct worker_links *links = links_of(worker, target);

	if (!links)
		return;
	report_untold(links);
	if (links->timer.heap_index)
		return;
	if (clock_now_ns() >= links->look_ns)
		follow(links, true);
	else
		loop_timer_set(worker->loop, &links->timer, links->look_ns, go_on, links);
}

/* A followed interface that goes while a fault is being injected is let go like one that goes
 * later: what this try has written down is undone. False: that is not why it failed, or something
 * is left. */
static bool can_try_again(struct worker_step *step)
{
	struct restore_report report = {0};
	bool is_undone, has_lost = false;

	for (unsigned i = 0; i < worker_fault_count(step); i++)
		has_lost |= target_has_lost_interface(worker_fault_at(step, i)->target);
	if (step->worker->state != WORKER_ARMED || !has_lost)
		return false;
	is_undone =
		restore_records(step->worker->journal, (int)step->fault.step, &report, NULL) == 0 &&
		!report.failed;
	restore_report_free(&report);
	return is_undone;
}

static void look_at_targets(struct worker_step *step)
{
	for (unsigned i = 0; i < worker_fault_count(step); i++) {
		struct target *target = worker_fault_at(step, i)->target;
		struct worker_links *links = links_of(step->worker, target);

		worker_follow_groups(step->worker, target);
		if (links)
			follow(links, true);
	}
}

int worker_inject_following(struct worker_step *step, struct error *err)
{
	for (unsigned at = 1;; at++) {
		int result;

		*err = (struct error)ERROR_INIT;
		look_at_targets(step);
		result = worker_inject_faults(step, err);
		if (result == 0 || at == INJECT_TRIES || !can_try_again(step))
			return result;
	}
}
