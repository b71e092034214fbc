/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Planning a network fault: interfaces on top of each other, which packets meet one after the
 * other.
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
