/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The nf_tables table of one step, as one transaction: a base chain for each interface and
 * direction (the scope, and nothing else: it is all that everybody's packets meet), a chain of what
 * is spared of the packets in scope, and one that does it (count, drop, forward). An operator who
 * lists the ruleset reads there what is in force, and why.
 */
#include "faults/network_table.h"

#include "faults/network_delay_line.h"
#include "faults/network_group.h"
#include "faults/network_line.h"
#include "faults/network_netem.h"
#include "faults/network_spared.h"

#include "injector/base/quantity.h"
#include "injector/kernel/nft_match.h"

#include <errno.h>
#include <netinet/in.h>

#define COMMENT_SIZE 100
/* Of a chain or counter: a word and the number of the path. */
#define NAME_SIZE NETWORK_CHAIN_SIZE

/* For all paths of a step. */
struct table {
	struct network_selection which;
	struct network_pick pick;
};

static const char *name_of(const char *word, unsigned at, char out[NAME_SIZE])
{
	snprintf(out, NAME_SIZE, "%s%u", word, at);
	return out;
}

static uint32_t hook_of(const struct network_path *path)
{
	return path->is_ingress ? NF_NETDEV_INGRESS : NF_NETDEV_EGRESS;
}

const char *network_table_chain(const struct network_path *path, unsigned at, char out[NAME_SIZE])
{
	return name_of(path->is_ingress ? "in" : "out", at, out);
}

static const char *words_of(const struct network_state *state)
{
	const struct refusal *refusal = &state->effect.refusal;

	return !refusal->is_on ? "loss" : refusal->resets ? "reset" : "reject";
}

/* `device`: where somebody refuses what is lost; 0: nobody does. */
static void add_loss(const struct network_state *state, unsigned at, int device, const char *chain,
		     struct nft_batch *batch)
{
	uint64_t loss = state->effect.at.loss_ppb;
	char name[NAME_SIZE], share[QUANTITY_TEXT_SIZE], comment[QUANTITY_TEXT_SIZE + 8];

	quantity_format_share((int64_t)loss, share);
	snprintf(comment, sizeof(comment), "%s %s", words_of(state), share);
	nft_rule_begin(batch, chain);
	if (loss < SHARE_ONE)
		nft_match_packet_share(batch, (uint32_t)loss);
	nft_count(batch, name_of("lost", at, name));
	if (device)
		nft_forward(batch, device);
	else if (state->has_hole && !state->paths[at].is_ingress)
		nft_forward(batch, state->ifb_index);
	else
		nft_verdict(batch, NF_DROP);
	nft_rule_end(batch, comment);
}
_Static_assert(NFT_SHARE_ONE == SHARE_ONE, "a share is drawn as it is written");

static void take_marks_off(const char *chain, struct nft_batch *batch)
{
	const uint32_t nothing = 0;

	nft_rule_begin(batch, chain);
	nft_match_mark(batch, NETWORK_MARK_BITS, NETWORK_MARK);
	nft_set_mark(batch, UINT32_MAX, 0);
	nft_load_value(batch, 0, &nothing, sizeof(nothing)); /* see delay_return.h */
	nft_store_meta(batch, NFT_META_PRIORITY, 0);
	nft_rule_end(batch, "back from a delay line");
}

/* What happens to a packet in scope. */
static int add_action(const struct network_state *state, unsigned at, const char *chain,
		      struct nft_batch *batch, struct error *err)
{
	char name[NAME_SIZE], comment[COMMENT_SIZE];
	int device = network_netem_device(state, at), result = 0;

	nft_rule_begin(batch, chain);
	nft_count(batch, name_of("hit", at, name));
	nft_rule_end(batch, "packets in scope");
	if (state->way == NETWORK_FILTER) {
		if (state->effect.at.loss_ppb)
			add_loss(state, at, 0, chain, batch);
		return 0;
	}
	if (state->way == NETWORK_LINE)
		result = network_line_device(state, at, &device, err);
	else
		take_marks_off(chain, batch); /* behind an ifb no chain of ours does */
	if (state->effect.refusal.is_on) {
		if (state->effect.at.loss_ppb)
			add_loss(state, at, device, chain, batch);
		return result;
	}
	nft_rule_begin(batch, chain);
	nft_forward(batch, device);
	nft_rule_end(batch, network_effect_describe(&state->effect, comment, sizeof(comment)));
	return result;
}

int network_table_change(struct network_state *state, struct error *err)
{
	struct nft_batch batch;
	char chain[NAME_SIZE];
	int result = 0;

	nft_batch_begin(&batch);
	nft_use_table(&batch, NFPROTO_NETDEV, state->record.table);
	for (unsigned i = 0; result == 0 && i < state->path_count; i++) {
		if (!state->paths[i].index)
			continue;
		nft_flush_chain(&batch, name_of("act", i, chain));
		result = add_action(state, i, chain, &batch, err);
	}
	if (result == 0)
		return nft_commit(state->netfilter, &batch, err);
	nft_batch_drop(&batch);
	return result;
}

/* What a delay line gives back meets the ingress hook again. The egress hook it does not
 * (nf_skip_egress() in __netif_receive_skb_core()), unless it is forwarded from the ingress hook of
 * the line's own tap. Every chain of ours, of whichever run, lets it pass by its mark if it has
 * been there, and the very last one takes the mark off. */
static void add_back(const struct network_state *state, unsigned at, struct nft_batch *batch)
{
	const struct network_path *path = &state->paths[at];
	const bool is_arriving = network_path_returns_by_ingress(state, path);
	char name[NAME_SIZE];

	if (!is_arriving && (path->is_ingress || !network_line_reenters(state)))
		return;
	nft_add_hook_chain(batch, &(struct nft_hook_chain){.name = name_of("back", at, name),
							   .hook = is_arriving ? NF_NETDEV_INGRESS
									       : NF_NETDEV_EGRESS,
							   .priority = NETWORK_PRIORITY_BACK,
							   .device = path->interface});
	take_marks_off(name, batch);
	if (is_arriving)
		return;
	nft_add_hook_chain(batch,
			   &(struct nft_hook_chain){.name = name_of("again", at, name),
						    .hook = NF_NETDEV_INGRESS,
						    .device = delay_line_device(path->line)});
	nft_rule_begin(batch, name);
	nft_forward(batch, path->index);
	nft_rule_end(batch, "to the faults behind this one");
}

static int add_path(struct network_state *state, const struct table *table, unsigned at,
		    struct nft_batch *batch, struct error *err)
{
	struct network_path *path = &state->paths[at];
	const int32_t priority = network_loses_first(state)
					 ? NETWORK_PRIORITY_LOSS
					 : NETWORK_PRIORITY_DELAY - (int32_t)state->rank;
	char chain[NAME_SIZE], act[NAME_SIZE], spare[NAME_SIZE], name[NAME_SIZE];
	int result;

	if (!path->has_counters) {
		nft_add_counter(batch, name_of("hit", at, name));
		nft_add_counter(batch, name_of("lost", at, name));
		if (table->pick.after_bytes)
			nft_add_counter(batch, name_of("full", at, name));
	}
	nft_add_chain(batch, name_of("act", at, act));
	result = add_action(state, at, act, batch, err);
	network_pick_add(&table->pick, path->is_ingress, at, act, batch);
	nft_add_chain(batch, name_of("spare", at, spare));
	network_spared_add_rules(state, &table->which, path->is_ingress, spare, act, batch);
	nft_add_hook_chain(batch,
			   &(struct nft_hook_chain){.name = network_table_chain(path, at, chain),
						    .hook = hook_of(path),
						    .priority = priority,
						    .device = path->interface});
	if (state->group)
		network_spared_pass_again(state, chain, batch);
	network_group_add_rules(state, at, priority, chain, batch);
	if (state->is_followed) { /* in a chain of its own, to be replaced as a whole */
		nft_add_chain(batch, name_of("scope", at, name));
		nft_rule_begin(batch, chain);
		nft_go_to(batch, name);
		nft_rule_end(batch, "names are followed");
		snprintf(chain, sizeof(chain), "%s", name);
	}
	network_scope_add_rules(table->which.scope, path->is_ingress, chain, spare, batch);
	if (result == 0 && state->way == NETWORK_LINE)
		add_back(state, at, batch);
	return result;
}

static void close_table(struct table *table)
{
	network_scope_free(table->which.scope);
	network_scope_free(table->which.except);
}

static int open_table(struct table *table, const struct network_state *state,
		      const struct target *target, unsigned generation, struct error *err)
{
	int result;

	*table = (struct table){.which.params = &target->params,
				.pick = network_pick_of(state, target)};
	result = network_scope_new(&target->params, false, generation, &table->which.scope, err);
	if (result == 0)
		result = network_scope_new(&target->params, true, generation, &table->which.except,
					   err);
	if (result < 0)
		close_table(table);
	return result;
}

static unsigned sets_of(const struct table *table)
{
	return network_scope_sets(table->which.scope) | network_scope_sets(table->which.except);
}

int network_table_add(struct network_state *state, const struct target *target, const char *run_id,
		      unsigned step, struct nft_batch *batch, struct error *err)
{
	struct table table;
	char comment[64];
	int result = open_table(&table, state, target, state->generation, err);

	if (result < 0)
		return result;
	snprintf(comment, sizeof(comment), "squall run %s step %u", run_id, step);
	nft_add_table(batch, NFPROTO_NETDEV, state->record.table, comment);
	network_scope_add_sets(table.which.scope, batch);
	network_scope_add_sets(table.which.except, batch);
	network_group_add_sets(state, batch);
	network_pick_add_sets(&table.pick, batch);
	for (unsigned i = 0; i < state->path_count; i++)
		state->paths[i].has_counters = false;
	for (unsigned i = 0; result == 0 && i < state->path_count; i++)
		if (state->paths[i].index)
			result = add_path(state, &table, i, batch, err);
	for (unsigned i = 0; i < state->path_count; i++)
		state->paths[i].has_counters = state->paths[i].index;
	state->sets = sets_of(&table);
	close_table(&table);
	return result;
}

int network_table_add_path(struct network_state *state, const struct target *target, unsigned at,
			   struct error *err)
{
	struct nft_batch batch;
	struct table table;
	int result = open_table(&table, state, target, state->generation, err);

	if (result < 0)
		return result;
	nft_batch_begin(&batch);
	nft_use_table(&batch, NFPROTO_NETDEV, state->record.table);
	result = add_path(state, &table, at, &batch, err);
	if (result == 0)
		result = nft_commit(state->netfilter, &batch, err);
	nft_batch_drop(&batch);
	close_table(&table);
	if (result == 0)
		state->paths[at].has_counters = true;
	return result;
}

/* With its interface goes a chain, before Linux 6.16, and not what it goes to. */
static int delete_hook_chain(struct network_state *state, const char *chain, struct error *err)
{
	struct nft_batch batch;
	int result;

	nft_batch_begin(&batch);
	nft_use_table(&batch, NFPROTO_NETDEV, state->record.table);
	nft_delete_chain(&batch, chain);
	result = nft_commit(state->netfilter, &batch, err);
	return result == -ENOENT ? 0 : result;
}

int network_table_cut_path(struct network_state *state, const struct target *target, unsigned at)
{
	const struct network_pick pick = network_pick_of(state, target);
	struct nft_batch batch;
	char name[NAME_SIZE];
	int result =
		delete_hook_chain(state, network_table_chain(&state->paths[at], at, name), NULL);

	if (result == 0 && network_group_looking_chain(state, at, name))
		result = delete_hook_chain(state, name, NULL);
	if (result < 0)
		return result;
	nft_batch_begin(&batch);
	nft_use_table(&batch, NFPROTO_NETDEV, state->record.table);
	network_group_delete_rules(state, at, &batch);
	if (state->is_followed)
		nft_delete_chain(&batch, name_of("scope", at, name));
	nft_delete_chain(&batch, name_of("spare", at, name));
	network_pick_delete(&pick, at, &batch);
	nft_delete_chain(&batch, name_of("act", at, name));
	result = nft_commit(state->netfilter, &batch, NULL);
	return result == -ENOENT ? 0 : result;
}

void network_table_remove_path(struct network_state *state, unsigned at)
{
	char name[NAME_SIZE];

	if (state->way != NETWORK_LINE)
		return;
	delete_hook_chain(state, name_of("back", at, name), NULL);
	if (network_line_reenters(state))
		delete_hook_chain(state, name_of("again", at, name), NULL);
}

/* The new sets, which nothing looks at yet. They come first and alone: what is put into a set is
 * found a moment after its transaction (nf_tables_commit() calls nft_set_commit_update() behind the
 * change of generation; with rules and sets in one, 5 of 2000 packets passed, 6.18). */
static int add_sets(struct network_state *state, const struct table *table, struct error *err)
{
	struct nft_batch batch;

	nft_batch_begin(&batch);
	nft_use_table(&batch, NFPROTO_NETDEV, state->record.table);
	network_scope_add_sets(table->which.scope, &batch);
	network_scope_add_sets(table->which.except, &batch);
	return nft_commit(state->netfilter, &batch, err);
}

/* All rules of all paths at once. */
static int use_sets(struct network_state *state, const struct table *table, struct error *err)
{
	struct nft_batch batch;
	char chain[NAME_SIZE], spare[NAME_SIZE], act[NAME_SIZE];

	nft_batch_begin(&batch);
	nft_use_table(&batch, NFPROTO_NETDEV, state->record.table);
	for (unsigned i = 0; i < state->path_count; i++) {
		const bool is_ingress = state->paths[i].is_ingress;

		if (!state->paths[i].index)
			continue;
		name_of("act", i, act);
		network_pick_name(&table->pick, i, act);
		nft_flush_chain(&batch, name_of("scope", i, chain));
		nft_flush_chain(&batch, name_of("spare", i, spare));
		network_spared_add_rules(state, &table->which, is_ingress, spare, act, &batch);
		network_scope_add_rules(table->which.scope, is_ingress, chain, spare, &batch);
	}
	network_scope_delete_sets(state->sets, state->generation, &batch);
	return nft_commit(state->netfilter, &batch, err);
}

int network_table_follow(struct network_state *state, const struct target *target,
			 struct error *err)
{
	const unsigned generation = state->generation + 1;
	struct nft_batch batch;
	struct table table;
	int result = open_table(&table, state, target, generation, err);

	if (result < 0)
		return result;
	result = add_sets(state, &table, err);
	if (result == 0 && (result = use_sets(state, &table, err)) < 0) {
		nft_batch_begin(&batch);
		nft_use_table(&batch, NFPROTO_NETDEV, state->record.table);
		network_scope_delete_sets(sets_of(&table), generation, &batch);
		nft_commit(state->netfilter, &batch, NULL);
	} else if (result == 0) {
		state->generation = generation;
		state->sets = sets_of(&table);
	}
	close_table(&table);
	return result;
}

int network_table_cut(struct network_state *state, struct error *err)
{
	struct nft_batch batch;
	char name[NAME_SIZE];
	int result;

	if (state->way != NETWORK_LINE)
		return network_table_remove(state, err);
	nft_batch_begin(&batch);
	nft_use_table(&batch, NFPROTO_NETDEV, state->record.table);
	for (unsigned i = 0; i < state->path_count; i++)
		if (state->paths[i].index)
			nft_delete_chain(&batch, network_table_chain(&state->paths[i], i, name));
	result = nft_commit(state->netfilter, &batch, err);
	if (result != -ENOENT || !state->follows_interfaces)
		return result;
	/* an interface has gone just now: one by one */
	result = 0;
	for (unsigned i = 0; result == 0 && i < state->path_count; i++)
		if (state->paths[i].index)
			result = delete_hook_chain(
				state, network_table_chain(&state->paths[i], i, name), err);
	return result;
}

int network_table_remove(struct network_state *state, struct error *err)
{
	struct nft_batch batch;

	nft_batch_begin(&batch);
	nft_delete_table(&batch, NFPROTO_NETDEV, state->record.table);
	return nft_commit(state->netfilter, &batch, err);
}
