/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Whose packets, by nf_tables: the bit that the program has set is matched and taken off; flows are
 * remembered where they leave and looked up where they come in. A packet without ports is known by
 * its addresses and, an echo, by its number.
 */
#include "faults/network_group.h"

#include "injector/kernel/nft_match.h"

#include <netinet/in.h>

/* Of a flow that sends nothing any more. */
#define FORGET_MS   (5 * 60 * 1000)
#define FLOWS_MAX   500000 /* the kernel allocates what is used */
#define NAME_SIZE   NETWORK_CHAIN_SIZE
#define ECHO_NUMBER 4 /* in the ICMP header */

static const int families[] = {AF_INET, AF_INET6};
static const uint8_t echo_protocol[] = {IPPROTO_ICMP, IPPROTO_ICMPV6};
static const char *const flow_set[] = {"flows4", "flows6"};

/* On lo what leaves is what arrives, and is matched where it leaves. */
bool network_group_has_ingress(const struct network_state *state)
{
	for (unsigned i = 0; i < state->path_count; i++)
		if (state->paths[i].is_ingress)
			return true;
	return false;
}

void network_group_add_sets(const struct network_state *state, struct nft_batch *batch)
{
	for (unsigned i = 0; i < 2 && state->group && network_group_has_ingress(state); i++) {
		const enum nft_type address = i ? NFT_TYPE_IPV6 : NFT_TYPE_IPV4;

		nft_add_set(batch, &(struct nft_set){.name = flow_set[i],
						     .fields = {address, address, NFT_TYPE_PORT,
								NFT_TYPE_PORT, NFT_TYPE_PROTOCOL},
						     .is_dynamic = true,
						     .size = FLOWS_MAX,
						     .timeout_ms = FORGET_MS});
	}
}

/* Begins a rule about the flows of one kind, whose key it loads. */
static void load_key(unsigned family, bool has_ports, bool is_ingress, const char *chain,
		     struct nft_batch *batch)
{
	const uint32_t none = 0;
	unsigned words;

	nft_rule_begin(batch, chain);
	nft_match_family(batch, families[family]);
	if (has_ports)
		nft_match_has_ports(batch);
	else
		nft_match_protocols(batch, &echo_protocol[family], 1);
	words = network_flow_load(batch, families[family], is_ingress, has_ports);
	if (!has_ports) {
		nft_load_payload(batch, words++, NFT_PAYLOAD_TRANSPORT_HEADER, ECHO_NUMBER, 2);
		nft_load_value(batch, words++, &none, sizeof(none));
	}
	nft_load_meta(batch, words, NFT_META_L4PROTO);
}

static void add_remembering(const char *chain, struct nft_batch *batch)
{
	for (unsigned family = 0; family < 2; family++)
		for (unsigned has_ports = 0; has_ports < 2; has_ports++) {
			load_key(family, has_ports, false, chain, batch);
			nft_remember(batch, 0, flow_set[family], 0);
			nft_rule_end(batch, "remember the flow");
		}
}

static void add_recalling(const char *chain, const char *next, struct nft_batch *batch)
{
	for (unsigned family = 0; family < 2; family++)
		for (unsigned has_ports = 0; has_ports < 2; has_ports++) {
			load_key(family, has_ports, true, chain, batch);
			nft_lookup(batch, 0, flow_set[family], false);
			nft_go_to(batch, next);
			nft_rule_end(batch, "answers to the group");
		}
}

/* From a delay line of another step a packet comes with the line's mark, and what it was marked
 * with before is in its priority. */
static void add_carried(uint32_t bit, const char *chain, const char *next, const char *comment,
			struct nft_batch *batch)
{
	const uint32_t nothing = 0, others = ~bit;

	nft_rule_begin(batch, chain);
	nft_match_mark(batch, NETWORK_MARK_BITS, NETWORK_MARK);
	nft_load_meta(batch, 0, NFT_META_PRIORITY);
	nft_mask(batch, 0, &bit, &nothing, sizeof(bit));
	nft_compare_u32(batch, 0, NFT_CMP_EQ, bit);
	nft_load_meta(batch, 0, NFT_META_PRIORITY);
	nft_mask(batch, 0, &others, &nothing, sizeof(others));
	nft_store_meta(batch, NFT_META_PRIORITY, 0);
	nft_go_to(batch, next);
	nft_rule_end(batch, comment);
	/* the line's mark has bits that are those of groups, too */
	nft_rule_begin(batch, chain);
	nft_match_mark(batch, NETWORK_MARK_BITS, NETWORK_MARK);
	nft_verdict(batch, NF_ACCEPT);
	nft_rule_end(batch, "others' behind a delay line");
}

/* What the program has marked goes on, without the mark; everybody else's packets pass. */
static void add_unmarking(const struct network_state *state, const char *chain, const char *next,
			  struct nft_batch *batch)
{
	const uint32_t bit = state->group->bit;
	char comment[200];

	snprintf(comment, sizeof(comment), "of %.90s", state->group->target->owner_text);
	add_carried(bit, chain, next, comment, batch);
	nft_rule_begin(batch, chain);
	nft_match_mark(batch, bit, bit);
	nft_set_mark(batch, bit, 0); /* it is as it was */
	nft_go_to(batch, next);
	nft_rule_end(batch, comment);
	if (network_group_has_ingress(state))
		add_remembering(next, batch);
}

static bool has_egress(const struct network_state *state, int index)
{
	for (unsigned i = 0; i < state->path_count; i++)
		if (state->paths[i].index == index && !state->paths[i].is_ingress)
			return true;
	return false;
}

/* Only what comes in is affected: what leaves is looked at all the same. */
static void add_looking(const struct network_state *state, unsigned at, int32_t priority,
			struct nft_batch *batch)
{
	char chain[NAME_SIZE], next[NAME_SIZE];

	snprintf(next, sizeof(next), "seen%u", at);
	nft_add_chain(batch, next);
	snprintf(chain, sizeof(chain), "see%u", at);
	nft_add_hook_chain(batch, &(struct nft_hook_chain){.name = chain,
							   .hook = NF_NETDEV_EGRESS,
							   .priority = priority,
							   .device = state->paths[at].interface});
	add_unmarking(state, chain, next, batch);
}

void network_group_add_rules(const struct network_state *state, unsigned at, int32_t priority,
			     char chain[NETWORK_CHAIN_SIZE], struct nft_batch *batch)
{
	struct network_path *path = &state->paths[at];
	char next[NAME_SIZE];

	path->has_looking = false;
	if (!state->group)
		return;
	snprintf(next, sizeof(next), "our%u", at);
	nft_add_chain(batch, next);
	if (path->is_ingress) {
		add_recalling(chain, next, batch);
		path->has_looking = !has_egress(state, path->index);
		if (path->has_looking)
			add_looking(state, at, priority, batch);
	} else {
		add_unmarking(state, chain, next, batch);
	}
	snprintf(chain, NETWORK_CHAIN_SIZE, "%s", next);
}

const char *network_group_looking_chain(const struct network_state *state, unsigned at,
					char out[NETWORK_CHAIN_SIZE])
{
	if (!state->group || !state->paths[at].has_looking)
		return NULL;
	snprintf(out, NETWORK_CHAIN_SIZE, "see%u", at);
	return out;
}

void network_group_delete_rules(const struct network_state *state, unsigned at,
				struct nft_batch *batch)
{
	char name[NAME_SIZE];

	if (!state->group)
		return;
	snprintf(name, sizeof(name), "our%u", at);
	nft_delete_chain(batch, name);
	if (!network_group_looking_chain(state, at, name))
		return;
	snprintf(name, sizeof(name), "seen%u", at);
	nft_delete_chain(batch, name);
}
