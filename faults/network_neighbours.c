/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Planning a network fault: what else the packets meet on the same interfaces. Filters of the
 * user's that they would bypass, interfaces on top of each other.
 */
#include "faults/network.h"

#include "injector/kernel/qdisc.h"

#include <stdio.h>
#include <string.h>

/* What leaves through a VLAN device leaves through the one below as well, and so on. */
int network_list_stacked(const struct network_state *state, struct plan *plan)
{
	int result = 0;

	for (unsigned i = 0; i < state->path_count; i++)
		for (unsigned k = 0; result == 0 && k < state->path_count; k++) {
			const struct network_path *upper = &state->paths[i];
			const struct network_path *lower = &state->paths[k];

			if (upper->is_ingress == lower->is_ingress &&
			    (upper->lower == lower->index || lower->master == upper->index))
				result = plan_add(plan, PLAN_NOTE,
						  "%s %s: is on top of %s; what passes both is "
						  "affected twice (name one: interface: %s)",
						  upper->interface,
						  upper->is_ingress ? "ingress" : "egress",
						  lower->interface, upper->interface);
		}
	return result;
}

struct filter_search {
	unsigned with_actions, deciding;
	char kind[16];
};

static void look_at_filter(void *context, const struct filter *filter)
{
	struct filter_search *search = context;

	if (filter->is_direct_action) {
		search->deciding++;
		return;
	}
	search->with_actions++;
	snprintf(search->kind, sizeof(search->kind), "%s", filter->kind);
}

/* The kernel skips the actions of tc filters for a packet that an ifb sent (act_api.c,
 * skb_skip_tc_classify): someone's drop or police would be bypassed. */
int network_find_bypassed(struct network_state *state, struct plan *plan, bool *out_found,
			  struct error *err)
{
	int result = 0;

	for (unsigned i = 0; result == 0 && i < state->path_count; i++) {
		const struct network_path *path = &state->paths[i];
		struct filter_search search = {0};

		if (path->is_ingress)
			continue; /* they have acted before the packet comes to us */
		result = filter_each(state->route, path->index, QDISC_EGRESS, look_at_filter,
				     &search, err);
		if (result < 0 || search.with_actions == 0)
			continue;
		*out_found = true;
		result = plan_add(plan, PLAN_NOTE,
				  "%s has %u tc filters with actions at egress (%s), which packets "
				  "from an ifb would bypass: netem is not used",
				  path->interface, search.with_actions, search.kind);
	}
	return result;
}
