/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Planning a network fault: the user's own tc filters and nf_tables chains on the same interfaces.
 * Those that act before the fault take from it what they drop; those that a packet would not meet
 * any more because of it are a reason to take another way.
 */
#include "faults/network.h"

#include "faults/network_gate.h"
#include "injector/kernel/qdisc.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct filter_search {
	unsigned with_actions, all;
	char kind[16];
};

static void look_at_filter(void *context, const struct filter *filter)
{
	struct filter_search *search = context;

	/* a classifier without filters is listed as well, with handle 0 */
	if (filter->handle == 0 || strncmp(filter->name, "squall_", 7) == 0)
		return;
	search->all++;
	if (filter->is_direct_action || !filter->has_actions)
		return;
	search->with_actions++;
	snprintf(search->kind, sizeof(search->kind), "%s", filter->kind);
}

struct qdisc_walk {
	struct network_state *state;
	struct filter_search *search;
	uint32_t handles[64];
	unsigned count;
};

static void take_qdisc(void *context, const struct qdisc *qdisc)
{
	struct qdisc_walk *walk = context;

	if (qdisc->handle && qdisc->parent != TC_H_CLSACT &&
	    walk->count < sizeof(walk->handles) / sizeof(*walk->handles))
		walk->handles[walk->count++] = qdisc->handle;
}

/* At clsact, where ours does not come behind them, and at the classful qdiscs that the user shapes
 * with: the kernel skips the actions of the first filter that matches, wherever it is, for a packet
 * that an ifb has sent (skb_skip_tc_classify() in tcf_action_exec(), net/sched/act_api.c). */
static int count_leaving(struct network_state *state, int index, struct filter_search *out,
			 struct error *err)
{
	struct qdisc_walk walk = {.state = state};
	int result = 0;

	if (state->hook == NETWORK_TABLE)
		result = filter_each(state->route, index, QDISC_EGRESS, look_at_filter, out, err);
	if (result == 0)
		result = qdisc_each(state->route, index, take_qdisc, &walk, err);
	for (unsigned i = 0; result == 0 && i < walk.count; i++)
		result = filter_each_of(state->route, index, walk.handles[i], look_at_filter, out,
					err);
	return result;
}

static int note_actions(struct network_state *state, const struct network_path *path,
			struct plan *plan, bool *out_found, struct error *err)
{
	struct filter_search search = {0};
	int result = count_leaving(state, path->index, &search, err);

	if (result < 0 || search.with_actions == 0)
		return result;
	*out_found = true;
	return plan_add(plan, PLAN_NOTE,
			"%s has %u tc filter%s with actions at egress (%s), which packets from an "
			"ifb %s",
			path->interface, search.with_actions, search.with_actions == 1 ? "" : "s",
			search.kind,
			state->allows_bypass ? "bypass (allow-bypass)"
					     : "would bypass: netem is not used");
}

struct chain_search {
	const struct network_path *path;
	unsigned count;
};

static void count_chain(void *context, const struct nft_hook *hook)
{
	struct chain_search *search = context;

	search->count += hook->is_ingress && strcmp(search->path->interface, hook->device) == 0;
}

/* Behind a tc filter at ingress come the chains of nf_tables there; what an ifb has sent goes past
 * both (skip_classify in __netif_receive_skb_core()). */
static int note_chains(const struct network_state *state, const struct network_path *path,
		       struct plan *plan, bool *out_found, struct error *err)
{
	struct chain_search search = {.path = path};
	struct netlink *netfilter;
	int result = netlink_open_netfilter(state->namespace_fd, &netfilter, err);

	if (result < 0)
		return result;
	result = nft_hooks(netfilter, count_chain, &search, err);
	netlink_close(netfilter);
	if (result < 0 || search.count == 0)
		return result;
	*out_found = true;
	return plan_add(plan, PLAN_NOTE,
			"%s has %u nf_tables chain%s at ingress, which packets from an ifb %s",
			path->interface, search.count, search.count == 1 ? "" : "s",
			state->allows_bypass ? "bypass (allow-bypass)"
					     : "would bypass: netem is not used");
}

static int note_path(struct network_state *state, const struct network_path *path,
		     struct plan *plan, bool *out_found, struct error *err)
{
	if (!path->is_ingress)
		return note_actions(state, path, plan, out_found, err);
	if (path->is_ingress && state->hook == NETWORK_GATE)
		return note_chains(state, path, plan, out_found, err);
	return 0;
}

static void keep_note(void *context, enum plan_kind kind, const char *text)
{
	(void)kind;
	snprintf(context, sizeof(((struct error *)0)->text), "%s", text);
}

int network_check_bypassed(struct network_state *state, unsigned at, struct error *err)
{
	char note[sizeof(err->text)] = "";
	struct plan plan = {.line = keep_note, .context = note};
	bool is_found = false;
	int result = note_path(state, &state->paths[at], &plan, &is_found, err);

	if (result == 0 && is_found && !state->allows_bypass)
		return error_set(err, EOPNOTSUPP, "%s", note);
	return result;
}

int network_find_bypassed(struct network_state *state, struct plan *plan, bool *out_avoid,
			  struct error *err)
{
	bool is_found = false;
	int result = 0;

	for (unsigned i = 0; result == 0 && i < state->path_count; i++)
		result = note_path(state, &state->paths[i], plan, &is_found, err);
	*out_avoid = is_found && !state->allows_bypass;
	return result;
}

/* Faults of other runs, by the names of their tables and filters; those of this process are told of
 * by network_compose(). */
struct run_search {
	const struct network_state *state;
	struct plan *plan;
	char last[sizeof(((struct network_record *)0)->table)]; /* one has several chains */
	int result;
};

static bool is_of_a_run(const char *name)
{
	return strncmp(name, "squall_", 7) == 0;
}

static void note_run(struct run_search *search, const char *name, bool loses_first)
{
	const int length = (int)strcspn(name, "+"); /* the filters of a step have a tail */
	char table[sizeof(search->last)], with[sizeof(table) + 48];

	snprintf(table, sizeof(table), "%.*s", length, name);
	if (search->result < 0 || strcmp(table, search->last) == 0 ||
	    network_live(&search->state->record.namespace_id, table))
		return;
	snprintf(search->last, sizeof(search->last), "%s", table);
	snprintf(with, sizeof(with), "a network fault of another run (%s)", table);
	search->result = network_list_shared(search->state, with,
					     loses_first || network_loses_first(search->state),
					     search->plan);
}

static void look_at_run_filter(void *context, const struct filter *filter)
{
	if (filter->handle && is_of_a_run(filter->name) && filter->priority != GATE_PRIORITY_BACK)
		note_run(context, filter->name, filter->priority <= GATE_PRIORITY_LOSS);
}

static int list_run_filters(const struct network_state *state, struct plan *plan, struct error *err)
{
	struct run_search search = {.state = state, .plan = plan};
	int result = 0;

	for (unsigned i = 0; result == 0 && i < state->path_count; i++) {
		const struct network_path *path = &state->paths[i];

		if (path->index)
			result = filter_each(state->route, path->index,
					     path->is_ingress ? QDISC_INGRESS : QDISC_EGRESS,
					     look_at_run_filter, &search, err);
	}
	return result < 0 ? result : search.result;
}

/* At clsact ours is the last: whatever an earlier one accepts, drops or redirects has left. */
static int list_earlier_filters(const struct network_state *state, struct plan *plan,
				struct error *err)
{
	int result = 0;

	for (unsigned i = 0; result == 0 && i < state->path_count; i++) {
		const struct network_path *path = &state->paths[i];
		struct filter_search search = {0};

		result = filter_each(state->route, path->index,
				     path->is_ingress ? QDISC_INGRESS : QDISC_EGRESS,
				     look_at_filter, &search, err);
		if (result == 0 && search.all)
			result = plan_add(
				plan, PLAN_NOTE,
				"%s %s: %u tc filter%s act%s before this fault; what they "
				"accept, drop or redirect it does not meet",
				path->interface, path->is_ingress ? "ingress" : "egress",
				search.all, search.all == 1 ? "" : "s", search.all == 1 ? "s" : "");
	}
	return result;
}

struct hook_search {
	const struct network_state *state;
	struct plan *plan;
	struct run_search runs;
	int result;
};

static void look_at_hook(void *context, const struct nft_hook *hook)
{
	struct hook_search *search = context;
	/* among equal ones the newer is first */
	const bool is_after = hook->priority >= NETWORK_PRIORITY_LOSS;

	for (unsigned i = 0; search->result == 0 && i < search->state->path_count; i++) {
		const struct network_path *path = &search->state->paths[i];

		if (path->is_ingress != hook->is_ingress ||
		    strcmp(path->interface, hook->device) != 0)
			continue;
		if (is_of_a_run(hook->table)) {
			if (hook->priority != NETWORK_PRIORITY_BACK)
				note_run(&search->runs, hook->table,
					 hook->priority <= NETWORK_PRIORITY_LOSS);
			continue;
		}
		search->result = plan_add(
			search->plan, PLAN_NOTE, "%s %s: chain %s of table %s (priority %d) %s",
			path->interface, path->is_ingress ? "ingress" : "egress", hook->chain,
			hook->table, (int)hook->priority,
			is_after ? "is after this fault: what is delayed or lost does not "
				   "meet it"
				 : "acts before this fault");
	}
}

int network_list_filters(struct network_state *state, struct plan *plan, struct error *err)
{
	struct hook_search search = {
		.state = state, .plan = plan, .runs = {.state = state, .plan = plan}};
	int result;

	if (state->hook == NETWORK_GATE) {
		result = list_earlier_filters(state, plan, err);
		return result < 0 ? result : list_run_filters(state, plan, err);
	}
	result = nft_hooks(state->netfilter, look_at_hook, &search, err);
	if (result == 0)
		result = search.result;
	return result < 0 ? result : search.runs.result;
}
