/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A network fault whose target's host names have got other addresses.
 */
#include "faults/network.h"

#include "faults/network_gate.h"
#include "faults/network_group.h"
#include "faults/network_table.h"
#include "faults/target_follow.h"
#include "faults/target_interfaces.h"

#define ROUTES_MAX 8 /* next hops of one route that are looked at */

static bool is_reached(const struct network_state *state, const struct target *target,
		       const struct endpoint *address)
{
	int indexes[ROUTES_MAX];
	unsigned count = 0;

	if (target_route(target, state->route, address->family, address->address, indexes,
			 ROUTES_MAX, &count, NULL) < 0)
		return true; /* not known, or by nothing: nobody gets there */
	for (unsigned i = 0; i < state->path_count; i++)
		for (unsigned at = 0; at < count; at++)
			if (state->paths[i].index == indexes[at])
				return true;
	return false;
}

static void note_routes(const struct network_state *state, const struct target *target, char *out,
			size_t size)
{
	if (target_follows_routes(&target->params))
		return; /* the fault comes to be on it */
	for (unsigned h = 0; h < target->host_count; h++) {
		const struct target_host *host = &target->hosts[h];

		for (unsigned i = 0; host->parameter == TRAFFIC_TO && i < host->now.count; i++) {
			struct endpoint address = host->now.list[i];
			char text[ENDPOINT_TEXT_SIZE];

			if (is_reached(state, target, &address))
				continue;
			address.port_first = address.port_last = 0;
			snprintf(out, size,
				 "%s is reached by an interface that the fault is not on",
				 endpoint_format(&address, text));
			return;
		}
	}
}

int network_follow(struct fault *fault, char *out_note, size_t size, struct error *err)
{
	struct network_state *state = fault->state;
	int result;

	if (state->hook == NETWORK_GATE && state->gate)
		result = network_gate_follow(state, err);
	else if (state->phase == NETWORK_ACTIVE && state->is_followed)
		result = network_table_follow(state, fault->target, err);
	else
		result = 0; /* inject() begins with them */
	if (result == 0)
		result = network_group_follow(state, err);
	if (result == 0)
		note_routes(state, fault->target, out_note, size);
	return result;
}
