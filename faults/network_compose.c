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
#include "injector/base/prose.h"
#include "injector/base/quantity.h"
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

/* Independent draws: of what one leaves the other takes its share. */
static double lost_of(const struct network_state *state)
{
	return netem_loses(&state->effect.full)
		       ? (double)state->effect.full.loss_ppb / (double)SHARE_ONE
		       : 0;
}

static void say_losses(const struct network_state *a, const struct network_state *b,
		       struct prose *prose)
{
	const double one = lost_of(a), other = lost_of(b);

	if (one >= 1 || other >= 1)
		prose_say(prose, "; of what is cut off nothing is left for the other");
	else if (one > 0 && other > 0)
		prose_say(prose, "; %.4g%% and %.4g%% of loss are %.4g%% together", 100 * one,
			  100 * other, 100 * (1 - (1 - one) * (1 - other)));
}

static void say_delays(const struct network_state *a, const struct network_state *b,
		       struct prose *prose)
{
	const struct netem_config *one = &a->effect.full, *other = &b->effect.full;
	char first[QUANTITY_TEXT_SIZE], second[QUANTITY_TEXT_SIZE], sum[QUANTITY_TEXT_SIZE];

	if (one->delay_ns && other->delay_ns)
		prose_say(prose, "; delays add up: %s and %s are %s%s",
			  quantity_format_duration(one->delay_ns, first),
			  quantity_format_duration(other->delay_ns, second),
			  quantity_format_duration(one->delay_ns + other->delay_ns, sum),
			  one->jitter_ns || other->jitter_ns ? " on average" : "");
	if (one->rate_bytes && other->rate_bytes)
		prose_say(prose, "; the lower rate counts");
}

/* Which of two comes first is known where one of them loses by a filter. */
static void say_rates(const struct network_state *a, const struct network_state *b,
		      bool loses_first, struct prose *prose)
{
	const struct netem_config *one = &a->effect.full, *other = &b->effect.full;
	const bool has_rate =
		(one->rate_bytes && netem_loses(other)) || (other->rate_bytes && netem_loses(one));

	if (has_rate && loses_first)
		prose_say(prose, "; what is lost does not count for the rate");
	else if (has_rate)
		prose_say(prose, "; what is lost counts for the rate if the rate comes first");
}

static int list_pair(const struct network_state *state, const struct network_state *other,
		     struct plan *plan)
{
	const bool loses_first = network_loses_first(state) || network_loses_first(other);
	const bool both_lose = network_loses_first(state) && network_loses_first(other);
	struct prose prose;
	char words[400], effect[200];

	prose_begin(&prose, words, sizeof(words));
	if (both_lose)
		prose_say(&prose, "what both match meets both while they are in force");
	else if (loses_first)
		prose_say(&prose, "what both match is first lost or not, then %s",
			  state->effect.full.delay_ns || other->effect.full.delay_ns ? "delayed"
										     : "goes on to "
										       "the other");
	else if (!state->has_line)
		prose_say(&prose, "what both match meets the one injected last only (no "
				  "/dev/net/tun here)");
	else
		prose_say(&prose,
			  "while both are in force, what both match meets both, the one injected "
			  "last first (that one is a delay line%s)",
			  state->way == NETWORK_NETEM ? " then, not netem" : "");
	if (loses_first || state->has_line) {
		say_losses(state, other, &prose);
		say_delays(state, other, &prose);
		say_rates(state, other, loses_first, &prose);
	}
	return plan_add(plan, PLAN_NOTE, "shares an interface with another network step (%s): %s",
			network_effect_describe(&other->effect, effect, sizeof(effect)), words);
}

/* One packet may come to both. */
static bool meets(const struct network_state *state, const struct network_state *other)
{
	return network_shares_path(state, other) &&
	       (!state->fault || !other->fault ||
		target_may_share(&state->fault->target->params, &other->fault->target->params));
}

int network_compose(struct network_state *state, struct plan *plan)
{
	static const char with[] = "another network step";
	int result = 0;

	for (struct network_state *other = network_first_live(); other && result == 0;
	     other = other->next) {
		if (other == state || network_is_instant(state->fault->params) ||
		    network_is_instant(other->fault->params) || !meets(state, other))
			continue;
		if (lose_by_filter(state, other))
			return plan_add(
				plan, PLAN_NOTE,
				"shares an interface with %s, and there is no /dev/net/tun: "
				"what both match is first lost or not, then delayed; loss "
				"by %s in place of netem, with segmentation offload one "
				"drop is up to 64 KiB of a TCP stream",
				with, state->hook == NETWORK_GATE ? "a BPF filter" : "nf_tables");
		result = list_pair(state, other, plan);
	}
	return result;
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
