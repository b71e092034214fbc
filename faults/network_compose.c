/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Several network faults on one interface, of this run and of others: a packet that two of them
 * match meets both. Losses come first, at every interface. Then come those that keep packets for a
 * while, the one injected last before the others: what it gives back must be seen by the others. An
 * ifb gives back behind all hooks (nf_skip_egress, tc_skip_classify); so only the first one of an
 * interface can be netem, and those injected while it lasts are delay lines.
 *
 * The order is a rank: 0 for the one that acts last. What a delay line gives back carries a mark
 * with its rank, and every fault lets pass what has been with one of its own rank or a higher one,
 * so that a packet meets each fault once, and no two hand it to each other for ever.
 */
#include "faults/network.h"

#include "faults/network_gate.h"
#include "injector/kernel/qdisc.h"

#include <errno.h>
#include <string.h>

bool network_shares_path(const struct network_state *a, const struct network_state *b)
{
	if (!namespace_is_same(&a->record.namespace_id, &b->record.namespace_id))
		return false;
	for (unsigned i = 0; i < a->path_count; i++)
		for (unsigned k = 0; k < b->path_count; k++)
			if (a->paths[i].index && a->paths[i].index == b->paths[k].index &&
			    a->paths[i].is_ingress == b->paths[k].is_ingress)
				return true;
	return false;
}

/* Without delay lines only one of them could keep packets: then losses are drawn where both are
 * met. Of what the stack hands down as one, all is lost or nothing. */
static bool lose_by_filter(struct network_state *state, struct network_state *other)
{
	const bool is_ours =
		network_effect_is_plain_loss(&state->effect) && state->way != NETWORK_FILTER;
	const bool is_theirs =
		network_effect_is_plain_loss(&other->effect) && other->way != NETWORK_FILTER;

	if (state->has_line)
		return false;
	if (is_ours)
		state->way = NETWORK_FILTER;
	if (is_theirs && other->phase == NETWORK_IDLE)
		other->way = other->planned_way = NETWORK_FILTER;
	return is_ours || is_theirs;
}

int network_list_shared(const struct network_state *state, const char *with, bool loses_first,
			struct plan *plan)
{
	if (loses_first)
		return plan_add(plan, PLAN_NOTE,
				"shares an interface with %s: what both match is first lost or "
				"not, then delayed",
				with);
	if (!state->has_line)
		return plan_add(plan, PLAN_NOTE,
				"shares an interface with %s: what both match is delayed by the "
				"one injected last only (no /dev/net/tun here)",
				with);
	return plan_add(plan, PLAN_NOTE,
			"shares an interface with %s: while both are in force, what both match "
			"meets both, the one injected last first; delays add up (that one is a "
			"delay line%s)",
			with, state->way == NETWORK_NETEM ? " then, not netem" : "");
}

int network_compose(struct network_state *state, struct plan *plan)
{
	static const char with[] = "another network step";

	for (struct network_state *other = network_first_live(); other; other = other->next) {
		if (other == state || !network_shares_path(state, other))
			continue;
		if (lose_by_filter(state, other))
			return plan_add(
				plan, PLAN_NOTE,
				"shares an interface with %s, and there is no /dev/net/tun: "
				"what both match is first lost or not, then delayed; loss "
				"by %s in place of netem, with segmentation offload one "
				"drop is up to 64 KiB of a TCP stream",
				with, state->hook == NETWORK_GATE ? "a BPF filter" : "nf_tables");
		return network_list_shared(state, with,
					   network_loses_first(state) || network_loses_first(other),
					   plan);
	}
	return 0;
}

/* A packet that comes back from a delay line has no socket; its mark it has, in its link-layer
 * header (delay_return.h). */
static bool loses_groups(const struct network_state *state)
{
	for (unsigned i = 0; i < state->path_count; i++)
		if (!state->paths[i].carries_groups)
			return true;
	return state->hook == NETWORK_GATE;
}

int network_compose_groups(const struct network_state *state, struct plan *plan)
{
	for (const struct network_state *other = network_first_live(); other; other = other->next)
		if (other != state && (state->group || other->group) && loses_groups(state) &&
		    network_shares_path(state, other))
			return plan_add(
				plan, PLAN_NOTE,
				"what one network step gives back belongs to no process any "
				"more (%s): of two steps on one packet, the one that is limited "
				"to processes must be the one injected last",
				state->hook == NETWORK_GATE ? "no nf_tables egress hook"
							    : "no link-layer header");
	return 0;
}

struct rank_search {
	const struct network_state *state;
	unsigned first, end; /* of its paths */
	unsigned next;	     /* one more than the highest found */
	bool is_taken;	     /* its own */
};

static void take_rank(struct rank_search *search, const char *name, int64_t behind)
{
	const char *own = search->state->record.table;
	const size_t length = strlen(own);

	/* a digit may follow: step 10 is not step 1; "+" does in the names of filters */
	if (strncmp(name, own, length) == 0 && (name[length] < '0' || name[length] > '9'))
		return;
	if (strncmp(name, "squall_", 7) != 0 || behind < 0 || behind > NETWORK_RANK_MAX)
		return;
	search->is_taken |= search->state->rank == (unsigned)behind;
	if (search->next <= (unsigned)behind)
		search->next = (unsigned)behind + 1;
}

static void look_at_chain(void *context, const struct nft_hook *hook)
{
	struct rank_search *search = context;

	for (unsigned i = search->first; i < search->end; i++) {
		const struct network_path *path = &search->state->paths[i];

		if (path->index && path->is_ingress == hook->is_ingress &&
		    strcmp(path->interface, hook->device) == 0)
			take_rank(search, hook->table,
				  (int64_t)NETWORK_PRIORITY_DELAY - hook->priority);
	}
}

static void look_at_filter(void *context, const struct filter *filter)
{
	if (filter->handle)
		take_rank(context, filter->name,
			  (int64_t)GATE_PRIORITY_DELAY - (int64_t)filter->priority);
}

static int search_ranks(struct network_state *state, struct rank_search *search, struct error *err)
{
	int result = 0;

	search->state = state;
	if (state->hook == NETWORK_TABLE)
		return nft_hooks(state->netfilter, look_at_chain, search, err);
	for (unsigned i = search->first; result == 0 && i < search->end; i++)
		if (state->paths[i].index)
			result = filter_each(state->route, state->paths[i].index,
					     state->paths[i].is_ingress ? QDISC_INGRESS
									: QDISC_EGRESS,
					     look_at_filter, search, err);
	return result;
}

int network_find_rank(struct network_state *state, unsigned *out, struct error *err)
{
	struct rank_search search = {.end = state->path_count};
	int result = search_ranks(state, &search, err);

	if (result < 0)
		return result;
	if (search.next > NETWORK_RANK_MAX)
		return error_set(err, E2BIG, "more than %d faults on one interface",
				 NETWORK_RANK_MAX);
	*out = search.next;
	return 0;
}

int network_check_rank(struct network_state *state, unsigned at, struct error *err)
{
	struct rank_search search = {.first = at, .end = at + 1};
	int result = network_loses_first(state) ? 0 : search_ranks(state, &search, err);

	if (result == 0 && search.is_taken)
		return error_set(err, EEXIST,
				 "a network fault that is in force there has the same place in "
				 "the order");
	return result;
}
