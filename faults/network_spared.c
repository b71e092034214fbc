/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/network_spared.h"

#include "injector/kernel/nft_match.h"

#include <netinet/in.h>

static void exclude_neighbours(const struct network_scope *scope, const char *chain,
			       struct nft_batch *batch)
{
	/* Without neighbours nothing at all gets through once their entries expire: not what "lose
	 * 5 % towards 10.0.5.0/24" asks for. 133-137: neighbour discovery (RFC 4861). */
	if (network_scope_meets_not_ip(scope)) {
		nft_rule_begin(batch, chain);
		nft_match_not_ip(batch);
		nft_verdict(batch, NF_ACCEPT);
		nft_rule_end(batch, "not IP: ARP and others");
	}
	if (network_scope_meets_discovery(scope)) {
		nft_rule_begin(batch, chain);
		nft_match_icmpv6(batch, 133, 137);
		nft_verdict(batch, NF_ACCEPT);
		nft_rule_end(batch, "neighbour discovery");
	}
}

static void exclude_metadata(const struct network_scope *scope, bool is_ingress, const char *chain,
			     struct nft_batch *batch)
{
	static const int families[] = {AF_INET, AF_INET6};
	const enum nft_side side = is_ingress ? NFT_SOURCE : NFT_DESTINATION;
	const uint8_t *address;

	for (unsigned i = 0; i < 2; i++)
		for (unsigned k = 0; (address = target_metadata_address(families[i], k)); k++) {
			if (!network_scope_meets_address(scope, families[i], address))
				continue;
			nft_rule_begin(batch, chain);
			nft_match_address(batch, families[i], side, address);
			nft_verdict(batch, NF_ACCEPT);
			nft_rule_end(batch, "cloud metadata");
		}
}

static void exclude_sessions(const struct network_state *state, bool is_ingress, const char *chain,
			     struct nft_batch *batch)
{
	const enum nft_side local = is_ingress ? NFT_DESTINATION : NFT_SOURCE;
	const enum nft_side remote = is_ingress ? NFT_SOURCE : NFT_DESTINATION;
	const uint8_t tcp = IPPROTO_TCP;

	for (unsigned i = 0; i < state->control_count; i++) {
		const struct session_connection *c = &state->control[i];

		nft_rule_begin(batch, chain);
		nft_match_address(batch, c->family, local, c->local);
		nft_match_address(batch, c->family, remote, c->remote);
		nft_match_protocols(batch, &tcp, 1);
		nft_match_ports(batch, local, &(struct nft_ports){c->local_port, c->local_port}, 1);
		nft_match_ports(batch, remote, &(struct nft_ports){c->remote_port, c->remote_port},
				1);
		nft_verdict(batch, NF_ACCEPT);
		nft_rule_end(batch, "controlling session");
	}
}

void network_spared_pass_again(const struct network_state *state, const char *chain,
			       struct nft_batch *batch)
{
	nft_rule_begin(batch, chain);
	nft_load_meta(batch, 0, NFT_META_MARK);
	nft_to_network_order(batch, 0);
	nft_compare_u32(batch, 0, NFT_CMP_GTE, htonl(NETWORK_MARK));
	nft_compare_u32(batch, 0, NFT_CMP_LTE, htonl(network_mark(state)));
	nft_verdict(batch, NF_ACCEPT);
	nft_rule_end(batch, "back from a delay line");
}

void network_spared_add_rules(const struct network_state *state,
			      const struct network_selection *which, bool is_ingress,
			      const char *chain, const char *next, struct nft_batch *batch)
{
	if (!state->group) /* else it is asked before whose packet it is */
		network_spared_pass_again(state, chain, batch);
	if (!params_number(which->params, TRAFFIC_NEIGHBOURS, 0))
		exclude_neighbours(which->scope, chain, batch);
	if (target_spares_metadata(which->params))
		exclude_metadata(which->scope, is_ingress, chain, batch);
	exclude_sessions(state, is_ingress, chain, batch);
	network_scope_add_rules(which->except, is_ingress, chain, NULL, batch);
	nft_rule_begin(batch, chain);
	nft_go_to(batch, next);
	nft_rule_end(batch, "the others");
}
