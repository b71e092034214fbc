/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a plan says of a target that is followed.
 */
#include "faults/target_follow.h"

#include "faults/fault.h"

#include <string.h>

static int list_names(const struct target *target, struct plan *plan)
{
	int result = 0;

	for (unsigned i = 0; result == 0 && i < target->host_count; i++) {
		const struct target_host *host = &target->hosts[i];
		char now[160];

		target_format_addresses(&host->now, now, sizeof(now));
		result = plan_add(plan, PLAN_TARGET, "followed: %s%.128s (now %s), every %s",
				  host->parameter == TRAFFIC_EXCEPT ? "except " : "", host->name,
				  now, params_text(&target->params, TRAFFIC_FOLLOW_EVERY));
	}
	return result;
}

static int list_interfaces(const struct target *target, struct plan *plan)
{
	const struct params *params = &target->params;
	int result = 0;

	if (!target->links) /* nobody looks */
		return 0;
	if (!target->interface_count)
		result = plan_add(plan, PLAN_TARGET, "no interface now: those that appear are met");
	if (result == 0 && target_follows_routes(params))
		result = plan_add(
			plan, PLAN_TARGET,
			"followed: the routes; when one leads elsewhere, that interface is "
			"affected, and the one that it leaves is let go");
	for (unsigned i = 0; result == 0 && i < params_count(params, TRAFFIC_INTERFACE); i++) {
		const char *name = params_value(params, TRAFFIC_INTERFACE, i)->text;

		result = plan_add(plan, PLAN_TARGET,
				  strcmp(name, "default-route") == 0
					  ? "followed: %s; when it moves, the interface that it "
					    "leaves is let go"
					  : "followed: interface %s; what appears is affected as "
					    "well, what goes is let go",
				  name);
	}
	return result;
}

int target_list_followed(const struct target *target, struct plan *plan)
{
	int result = list_names(target, plan);

	return result < 0 ? result : list_interfaces(target, plan);
}
