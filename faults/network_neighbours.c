/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Planning a network fault: what else the packets meet on the same interfaces. Interfaces on top of
 * each other, other network steps of this run; filters of the user's: network_bypass.c.
 */
#include "faults/network.h"

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

static bool share_a_path(const struct network_state *a, const struct network_state *b)
{
	if (!namespace_is_same(&a->record.namespace_id, &b->record.namespace_id))
		return false;
	for (unsigned i = 0; i < a->path_count; i++)
		for (unsigned k = 0; k < b->path_count; k++)
			if (a->paths[i].index == b->paths[k].index &&
			    a->paths[i].is_ingress == b->paths[k].is_ingress)
				return true;
	return false;
}

/* A packet that comes back from an ifb or a delay line is not forwarded again (network_table.c),
 * and the chain of the step injected last is the first. When that ends, the other one takes over.
 * Drops come before forwarding: so a pure loss beside a delay is made by nf_tables, and both hold.
 */
int network_compose(struct network_state *state, struct plan *plan)
{
	struct network_state *other;

	for (other = network_first_live(); other; other = other->next) {
		if (other == state || !share_a_path(state, other))
			continue;
		if (network_effect_is_plain_loss(&state->effect) ||
		    network_effect_is_plain_loss(&other->effect)) {
			if (network_effect_is_plain_loss(&state->effect))
				state->way = NETWORK_FILTER;
			if (network_effect_is_plain_loss(&other->effect) &&
			    other->phase == NETWORK_IDLE)
				other->way = NETWORK_FILTER;
			return plan_add(
				plan, PLAN_NOTE,
				"shares an interface with another network step: what both "
				"match is first lost or not, then delayed (loss by nf_tables)");
		}
		return plan_add(plan, PLAN_NOTE,
				"shares an interface with another network step: what both match is "
				"delayed by the one injected last only");
	}
	return 0;
}
