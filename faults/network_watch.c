/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Somebody else may take an interface away while a fault is in force, the one it acts on or one of
 * ours. Then it acts on nothing, or what is forwarded to a device that is gone or down is all lost.
 * Neither may last: who sees it here ends the fault, unless its interfaces are followed: then that
 * one is let go (network_links.c). So does the end of the namespace, which our
 * own sockets keep alive when nobody else is in it any more.
 */
#include "faults/network.h"

#include "faults/network_gate.h"
#include "faults/network_group.h"
#include "faults/network_line.h"
#include "faults/network_netem.h"
#include "faults/network_table.h"
#include "faults/target_namespace.h"
#include "injector/kernel/link.h"

#include <netinet/in.h> /* before linux/: they share types */

#include <errno.h>
#include <linux/netfilter.h>
#include <stdlib.h>
#include <string.h>

static bool is_missing(int result)
{
	return result == -ENODEV || result == -ENOENT;
}

/* On 6.16 and newer a chain is bound to the name of its device, before to the device: renamed, it
 * may be out of reach either way. */
static int check_path(struct network_state *state, struct network_path *path, bool *out_resized,
		      struct error *err)
{
	struct link link;
	int result = link_get(state->route, path->index, &link, err);

	if (is_missing(result))
		return error_set(err, ESTALE, "interface %s is gone", path->interface);
	if (result < 0)
		return 0; /* nothing is known: the next look tells */
	if (strcmp(link.name, path->interface) != 0)
		return error_set(err, ESTALE, "interface %s was renamed to %s", path->interface,
				 link.name);
	*out_resized |= link.mtu != path->mtu;
	path->mtu = link.mtu;
	return 0;
}

struct chain_search {
	const struct network_state *state;
	bool *is_found; /* by path */
};

static void look_for_chain(void *context, const struct nft_hook *hook)
{
	struct chain_search *search = context;
	const struct network_state *state = search->state;
	char name[NETWORK_CHAIN_SIZE];

	if (strcmp(hook->table, state->record.table) != 0)
		return;
	for (unsigned i = 0; i < state->path_count; i++)
		search->is_found[i] |=
			strcmp(hook->chain, network_table_chain(&state->paths[i], i, name)) == 0;
}

/* Before 6.16 a chain goes with its interface, and does not come back with it. */
static int check_chains(struct network_state *state, struct error *err)
{
	struct chain_search search = {state, calloc(state->path_count, sizeof(bool))};
	int result = search.is_found ? nft_hooks(state->netfilter, look_for_chain, &search, NULL)
				     : -ENOMEM;

	state->has_missed = result < 0; /* nothing is known: the next look tells */
	for (unsigned i = 0; result == 0 && i < state->path_count; i++) {
		const struct network_path *path = &state->paths[i];

		if (path->index && !search.is_found[i] && !path->is_lost && !path->is_bare &&
		    !path->uncut_ns && !network_take_again(state, i))
			result = error_set(err, ENOENT, "the chain of interface %s is gone",
					   path->interface);
	}
	free(search.is_found);
	return result == -ENOENT ? result : 0;
}

int network_check_in_force(struct network_state *state, struct error *err)
{
	struct error why = ERROR_INIT;
	bool is_resized = false;
	uint32_t owner;
	int result = target_namespace_check(
		&(struct target_namespace){state->namespace_fd, &state->record.namespace_id,
					   state->record.namespace_name, &state->namespace_keeper},
		err);

	if (result == 0)
		result = network_check_left(state, err);
	if (result < 0)
		return result;
	for (unsigned i = 0; i < state->path_count; i++) {
		struct network_path *path = &state->paths[i];

		if (!path->index)
			continue;
		result = check_path(state, path, &is_resized, err);
		if (result < 0 && state->follows_interfaces)
			path->is_lost = true; /* let go at the next look */
		else if (result < 0)
			return result;
	}
	if (state->way == NETWORK_NETEM)
		result = network_netem_check(state, &why);
	else if (state->way == NETWORK_LINE)
		result = network_line_check(state, &why);
	if (result == 0 && is_resized && state->way == NETWORK_NETEM)
		result = network_netem_resize(state, &why);
	if (!is_missing(result) && state->hook == NETWORK_GATE)
		result = network_gate_check(state, &why);
	else if (!is_missing(result))
		result = nft_find_table(state->netfilter, NFPROTO_NETDEV, state->record.table,
					&owner, &why);
	if (result == 0 && state->has_missed && state->follows_interfaces &&
	    state->hook == NETWORK_TABLE)
		result = check_chains(state, &why);
	return is_missing(result) ? error_set(err, ESTALE, "%s", why.text)
				  : network_group_check(state, err);
}
