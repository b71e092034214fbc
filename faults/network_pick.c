/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What stands between the scope and the action: chains that let go on only frames of one VLAN, only
 * a share of the flows, or only packets with certain TCP flags. Who comes to the end of one without
 * having gone on is not affected.
 *
 * A flow is drawn by a hash of its addresses and ports, the near ones first: so the same comes out
 * in both directions, and again with the same seed. (nf_tables' own `symhash` cannot be seeded.)
 */
#include "faults/network_after.h"

#include "injector/kernel/connection.h"
#include "injector/kernel/nft_match.h"

#include <linux/if_ether.h>
#include <netinet/in.h>
#include <string.h>

static void add_vlan(uint16_t vlan, const char *chain, const char *next, struct nft_batch *batch)
{
	const uint16_t type = htons(ETH_P_8021Q), id = htons(vlan), mask = htons(0x0fff), none = 0;

	nft_add_chain(batch, chain);
	nft_rule_begin(batch, chain);
	nft_load_payload(batch, 0, NFT_PAYLOAD_LL_HEADER, 12, sizeof(type));
	nft_compare(batch, 0, NFT_CMP_EQ, &type, sizeof(type));
	nft_load_payload(batch, 0, NFT_PAYLOAD_LL_HEADER, 14, sizeof(id));
	nft_mask(batch, 0, &mask, &none, sizeof(mask));
	nft_compare(batch, 0, NFT_CMP_EQ, &id, sizeof(id));
	nft_go_to(batch, next);
	nft_rule_end(batch, "VLAN");
}

unsigned network_flow_load(struct nft_batch *batch, int family, bool is_ingress, bool has_ports)
{
	const unsigned size = family == AF_INET ? 4 : 16, source = family == AF_INET ? 12 : 8;
	unsigned words = 2 * size / 4;

	for (unsigned is_far = 0; is_far < 2; is_far++) {
		bool is_source = is_far == is_ingress;

		nft_load_payload(batch, is_far * size / 4, NFT_PAYLOAD_NETWORK_HEADER,
				 source + (is_source ? 0 : size), size);
		if (has_ports)
			nft_load_port(batch, words + is_far,
				      is_source ? NFT_SOURCE : NFT_DESTINATION);
	}
	return words + (has_ports ? 2 : 0);
}

static void add_flows(const struct network_pick *pick, int family, bool is_ingress, bool has_ports,
		      const char *chain, const char *next, struct nft_batch *batch)
{
	unsigned words;

	for (unsigned is_rest = 0; is_rest < 2; is_rest++) {
		nft_rule_begin(batch, chain);
		nft_match_family(batch, family);
		if (has_ports)
			nft_match_has_ports(batch);
		words = is_rest ? 0 : network_flow_load(batch, family, is_ingress, has_ports);
		if (is_rest) {
			nft_verdict(batch, NF_ACCEPT);
		} else {
			nft_match_hash_share(batch, words * sizeof(uint32_t), pick->seed,
					     pick->share);
			nft_go_to(batch, next);
		}
		nft_rule_end(batch, is_rest ? "other flows" : "share of the flows");
	}
}

static void add_addresses(const struct network_pick *pick, int family, bool is_ingress,
			  const char *chain, const char *next, struct nft_batch *batch)
{
	const unsigned size = family == AF_INET ? 4 : 16, source = family == AF_INET ? 12 : 8;

	nft_rule_begin(batch, chain);
	nft_match_family(batch, family);
	nft_load_payload(batch, 0, NFT_PAYLOAD_NETWORK_HEADER, source + (is_ingress ? 0 : size),
			 size);
	nft_match_hash_share(batch, size, pick->seed, pick->share);
	nft_go_to(batch, next);
	nft_rule_end(batch, "share of the addresses");
}

static void add_share(const struct network_pick *pick, bool is_ingress, const char *chain,
		      const char *next, struct nft_batch *batch)
{
	static const int families[] = {AF_INET, AF_INET6};

	nft_add_chain(batch, chain);
	for (unsigned i = 0; i < 2; i++) {
		if (pick->by_address) {
			add_addresses(pick, families[i], is_ingress, chain, next, batch);
			continue;
		}
		add_flows(pick, families[i], is_ingress, true, chain, next, batch);
		add_flows(pick, families[i], is_ingress, false, chain, next, batch);
	}
}

/* The same words as are loaded above. */
bool network_pick_takes(const struct network_pick *pick, const struct connection *connection)
{
	const unsigned size = connection->family == AF_INET ? 4 : 16;
	const in_port_t ports[] = {htons(connection->local_port), htons(connection->remote_port)};
	uint8_t key[2 * 16 + 2 * sizeof(uint32_t)] = {0};

	if (pick->by_address)
		return nft_hash_share_takes(connection->remote, size, pick->seed, pick->share);
	memcpy(key, connection->local, size);
	memcpy(key + size, connection->remote, size);
	for (unsigned i = 0; i < 2; i++) /* each in a word of its own, at its beginning */
		memcpy(key + 2UL * size + i * sizeof(uint32_t), &ports[i], sizeof(ports[i]));
	return nft_hash_share_takes(key, 2 * size + 2 * sizeof(uint32_t), pick->seed, pick->share);
}

static void add_flags(const struct target_flags *flags, const char *chain, const char *next,
		      struct nft_batch *batch)
{
	nft_add_chain(batch, chain);
	nft_rule_begin(batch, chain);
	if (flags->is_exact)
		nft_match_tcp_flags_are(batch, flags->mask, flags->wanted);
	else
		nft_match_tcp_flags(batch, flags->mask);
	nft_go_to(batch, next);
	nft_rule_end(batch, "TCP flags");
}

struct network_pick network_pick_of(const struct network_state *state, const struct target *target)
{
	int64_t share = params_number(&target->params, TRAFFIC_SHARE, SHARE_ONE);

	return (struct network_pick){
		.vlan = (uint16_t)params_number(&target->params, TRAFFIC_VLAN, 0),
		.tcp_flags = target_tcp_flags(&target->params),
		.after_bytes = state->after_bytes,
		.has_share = share < SHARE_ONE,
		.by_address = target_shares_addresses(&target->params),
		.share = (uint32_t)share,
		.seed = (uint32_t)(target->seed ^ target->seed >> 32) | 1, /* 0: the kernel draws */
	};
}

/* In this order a packet comes by them. */
enum stage { STAGE_VLAN, STAGE_SHARE, STAGE_AFTER, STAGE_FLAGS, STAGES };
static const char *const words[STAGES] = {"vlan", "share", "after", "flags"};

static bool has_stage(const struct network_pick *pick, enum stage stage)
{
	const bool has[STAGES] = {pick->vlan, pick->has_share, pick->after_bytes,
				  pick->tcp_flags.mask};

	return has[stage];
}

void network_pick_name(const struct network_pick *pick, unsigned at, char chain[NETWORK_CHAIN_SIZE])
{
	for (enum stage stage = 0; stage < STAGES; stage++)
		if (has_stage(pick, stage)) {
			snprintf(chain, NETWORK_CHAIN_SIZE, "%s%u", words[stage], at);
			return;
		}
}

void network_pick_add_sets(const struct network_pick *pick, struct nft_batch *batch)
{
	network_after_add_sets(pick, batch);
}

void network_pick_add(const struct network_pick *pick, bool is_ingress, unsigned at,
		      char chain[NETWORK_CHAIN_SIZE], struct nft_batch *batch)
{
	char next[NETWORK_CHAIN_SIZE];

	for (int stage = STAGES - 1; stage >= 0; stage--) {
		if (!has_stage(pick, (enum stage)stage))
			continue;
		snprintf(next, sizeof(next), "%s", chain);
		snprintf(chain, NETWORK_CHAIN_SIZE, "%s%u", words[stage], at);
		if (stage == STAGE_VLAN)
			add_vlan(pick->vlan, chain, next, batch);
		else if (stage == STAGE_SHARE)
			add_share(pick, is_ingress, chain, next, batch);
		else if (stage == STAGE_AFTER)
			network_after_add(pick, is_ingress, at, chain, next, batch);
		else
			add_flags(&pick->tcp_flags, chain, next, batch);
	}
}

void network_pick_delete(const struct network_pick *pick, unsigned at, struct nft_batch *batch)
{
	char chain[NETWORK_CHAIN_SIZE];

	for (enum stage stage = 0; stage < STAGES; stage++)
		if (has_stage(pick, stage)) {
			snprintf(chain, sizeof(chain), "%s%u", words[stage], at);
			nft_delete_chain(batch, chain);
		}
}
