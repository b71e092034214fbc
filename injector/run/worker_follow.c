/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * New addresses for host names of the approved plan. Invariant: a conductor under somebody else's
 * control can move a fault that was to be followed to other single addresses that the site allows,
 * so often and so many as the plan could have had, and nothing else: ports, names, what is left out
 * and the end stay as they were. Addresses that are refused leave the old ones in force.
 */
#include "injector/run/worker_internal.h"

#include "faults/target_follow.h"
#include "faults/target_group.h"
#include "faults/target_interfaces.h"
#include "injector/base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHANGE_NS NSEC_PER_SEC	     /* a conductor asks no more often (follow-every) ... */
#define BURST_NS  (8 * NSEC_PER_SEC) /* ... but may have been stopped for a while */

static struct target *target_of(struct worker *worker, const struct request *request,
				struct error *err)
{
	if (request->index < worker->target_count &&
	    worker->targets[request->index].kind == TARGET_TRAFFIC)
		return &worker->targets[request->index];
	error_set(err, EPROTO, "target %u is not defined, or has no addresses", request->index);
	return NULL;
}

int worker_on_target_host(struct worker *worker, const struct request *request, struct error *err)
{
	struct target *target = target_of(worker, request, err);
	int parameter = target ? params_find(target->params.table, request->name) : -1;

	if (!target)
		return -EPROTO;
	if (parameter < 0)
		return error_set(err, EPROTO, "parameter '%s' is not known to the worker",
				 request->name);
	return target_add_host(target, (unsigned)parameter, request->text, err);
}

static int take_ration(struct target_host *host, struct error *err)
{
	int64_t now_ns = clock_now_ns();

	if (host->paid_until_ns > now_ns + BURST_NS)
		return error_set(err, EPROTO, "%s: new addresses come too often", host->name);
	host->paid_until_ns =
		(host->paid_until_ns > now_ns ? host->paid_until_ns : now_ns) + CHANGE_NS;
	return 0;
}

/* One of its faults does its work whichever way the routes lead. */
static bool is_met_anywhere(const struct worker *worker, const struct target *target)
{
	bool is_met = false;

	for (unsigned i = 0; i < worker->step_count; i++)
		is_met |= worker_step_is_of(&worker->steps[i], target) &&
			  worker->steps[i].fault.ops->needs_no_interface;
	return is_met && !params_count(&target->params, TRAFFIC_INTERFACE);
}

/* Of such a fault nobody follows the routes: the site is asked here about the interfaces that they
 * lead to now. */
static int check_interfaces(const struct worker *worker, const struct target *target,
			    struct error *err)
{
	struct target_interface *found = NULL;
	struct netlink *route = NULL;
	unsigned count = 0;
	bool has_routes;
	int result;

	if (!worker->options.policy || !is_met_anywhere(worker, target))
		return 0;
	result = netlink_open(target->namespace_fd, &route, err);
	if (result == 0)
		result = target_find_interfaces_again(target, route, &found, &count, &has_routes,
						      err);
	for (unsigned i = 0; result == 0 && i < count; i++)
		result = policy_check_interface(worker->options.policy, found[i].name, err);
	netlink_close(route);
	free(found);
	return result;
}

/* How far a target has come to its new addresses: its first parts have them, of which the first
 * ones were told to faults, the last of these up to a step. */
struct move {
	unsigned changed, told, end;
};

/* All steps of a part, up to `end`, or none: those that had taken them over go back. */
static int tell_faults(struct worker *worker, const struct target *target, unsigned until,
		       unsigned *out_end, char *out_note, size_t size, struct error *err)
{
	int result = 0;

	for (unsigned i = 0; result == 0 && i < until; i++) {
		struct worker_step *step = &worker->steps[i];
		struct fault *fault = worker_fault_of(step, target);

		*out_end = i;
		if (fault && step->state != STEP_RESTORED)
			result = fault->ops->follow(fault, out_note, size, err);
	}
	return result;
}

/* The old addresses are the target's again. */
static void go_back(struct worker *worker, struct target *whole, unsigned host,
		    const struct move *move)
{
	struct error err = ERROR_INIT;
	char why[sizeof(err.text) + 64], note[1];
	unsigned ignored;
	int result = 0;

	for (unsigned i = 0; result == 0 && i < move->changed; i++)
		result = target_swap_addresses(worker_part_at(worker, whole, i), host, &err);
	for (unsigned i = 0; result == 0 && i < move->told; i++)
		result = tell_faults(worker, worker_part_at(worker, whole, i),
				     i + 1 == move->told ? move->end : worker->step_count, &ignored,
				     note, sizeof(note), &err);
	if (result == 0)
		return;
	snprintf(why, sizeof(why), "%s is followed by one fault and not by another: %s",
		 whole->hosts[host].name, err.text);
	worker_stop(worker, STOP_FAULT_LOST, why);
}

static void report(struct worker *worker, const struct target *target, unsigned host,
		   const char *note, const struct error *why)
{
	const struct target_host *of = &target->hosts[host];
	struct reply reply = {.type = REPLY_FOLLOWED, .numbers = {why == NULL}};
	char now[300], was[300];

	while (reply.index + 1 < worker->step_count &&
	       !worker_step_is_of(&worker->steps[reply.index], target))
		reply.index++;
	target_format_addresses(&of->now, now, sizeof(now));
	target_format_addresses(&of->next, was, sizeof(was));
	if (why)
		snprintf(reply.text, sizeof(reply.text),
			 "%.253s has new addresses that cannot be followed: %.300s; it stays at %s",
			 of->name, why->text, now);
	else
		snprintf(reply.text, sizeof(reply.text), "%.253s is now at %s (was %s)%s%.100s",
			 of->name, now, was, *note ? "; " : "", note);
	worker_send(worker, &reply, -1);
}

/* What was told is all; the parts differ in nothing but where they are. */
static int change(struct worker *worker, struct target *whole, unsigned host, struct move *move,
		  struct error *err)
{
	bool is_changed = true;
	int result = 0;

	for (unsigned i = 0; result == 0 && i < worker_part_count(worker, whole); i++) {
		result = target_end_addresses(worker_part_at(worker, whole, i), host, &is_changed,
					      err);
		if (is_changed)
			move->changed = i + 1;
	}
	return result;
}

static int move_there(struct worker *worker, struct target *whole, struct move *move,
		      char *out_note, size_t size, struct error *err)
{
	int result = worker_check_reach(worker, err);

	for (unsigned i = 0; result == 0 && i < move->changed; i++) {
		const struct target *part = worker_part_at(worker, whole, i);

		result = policy_check_endpoints(worker->options.policy, part, err);
		if (result == 0)
			result = check_interfaces(worker, part, err);
	}
	for (unsigned i = 0; result == 0 && i < move->changed; i++) {
		move->told = i + 1;
		result = tell_faults(worker, worker_part_at(worker, whole, i), worker->step_count,
				     &move->end, out_note, size, err);
	}
	return result;
}

/* 0 also when they are refused: names of the world change without anybody's fault. */
static int follow(struct worker *worker, struct target *whole, unsigned host, struct error *err)
{
	struct move move = {0};
	struct error why = ERROR_INIT;
	char note[160] = "";
	int result = change(worker, whole, host, &move, &why);

	if (result == -EPROTO) {
		*err = why;
		return result;
	}
	if (result == 0 && !move.changed)
		return 0;
	if (result == 0)
		result = move_there(worker, whole, &move, note, sizeof(note), &why);
	if (result < 0)
		go_back(worker, whole, host, &move);
	report(worker, worker_part_at(worker, whole, 0), host, note, result < 0 ? &why : NULL);
	for (unsigned i = 0; i < worker_part_count(worker, whole); i++) {
		struct target *part = worker_part_at(worker, whole, i);

		target_drop_addresses(part, host);
		if (result == 0)
			worker_follow_interfaces(worker, part); /* routes may lead elsewhere */
	}
	return 0;
}

void worker_follow_groups(struct worker *worker, struct target *target)
{
	struct reply reply = {.type = REPLY_FOLLOWED, .numbers = {true}};
	struct error err = ERROR_INIT;
	char note[160];
	unsigned end;
	size_t used;

	if (!target_follows_groups(&target->params))
		return;
	used = strlen(worker_say_part(target, reply.text));
	if (!target_group_look_again(target, reply.text + used, sizeof(reply.text) - used))
		return;
	if (tell_faults(worker, target, worker->step_count, &end, note, sizeof(note), &err) < 0) {
		worker_stop(worker, STOP_FAULT_LOST, err.text);
		return;
	}
	while (reply.index + 1 < worker->step_count &&
	       !worker_step_is_of(&worker->steps[reply.index], target))
		reply.index++;
	worker_send(worker, &reply, -1);
}

int worker_on_addresses(struct worker *worker, const struct request *request, struct error *err)
{
	struct target *target = target_of(worker, request, err);
	bool is_changed;
	unsigned host;
	int result = 0;

	if (!target)
		return -EPROTO;
	if (request->numbers[0] < 0 || request->numbers[0] >= target->host_count)
		return error_set(err, EPROTO, "target %u follows no such host", request->index);
	host = (unsigned)request->numbers[0];
	for (unsigned i = 0; result == 0 && i < worker_part_count(worker, target); i++)
		result = target_tell_addresses(worker_part_at(worker, target, i), host,
					       request->text, err);
	if (result < 0 || !request->numbers[1])
		return result;
	if (worker->state == WORKER_DEFINE)
		return target_end_addresses(target, host, &is_changed, err);
	result = take_ration(&target->hosts[host], err);
	return result < 0 ? result : follow(worker, target, host, err);
}
