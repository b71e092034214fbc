/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The nf_tables table of an http fault: the first packet of each new connection to the servers is
 * redirected, before anybody's own translation (-100) sees it; connection tracking does the same to
 * those that follow, as long as the table is there. A connection that is older than the fault is
 * new to connection tracking, too: its packets are told by their flags.
 */
#include "faults/http.h"

#include "injector/kernel/nft_match.h"

#include <netinet/tcp.h>

static const uint16_t no_zone;
static const uint8_t tcp = IPPROTO_TCP;

/* What somebody left out, at any port or at some. */
static void add_spared(struct nft_batch *batch, const struct endpoint *spared)
{
	const struct nft_ports ports = {spared->port_first, spared->port_last};

	nft_rule_begin(batch, HTTP_CHAIN);
	redirect_match_addresses(batch, spared);
	if (ports.first) {
		nft_match_protocols(batch, &tcp, 1);
		nft_match_ports(batch, NFT_DESTINATION, &ports, 1);
	}
	nft_verdict(batch, NFT_RETURN);
	nft_rule_end(batch, "except");
}

static void add_metadata(struct nft_batch *batch, int family)
{
	const uint8_t *address;

	for (unsigned i = 0; (address = target_metadata_address(family, i)); i++) {
		nft_rule_begin(batch, HTTP_CHAIN);
		nft_match_address(batch, family, NFT_DESTINATION, address);
		nft_verdict(batch, NFT_RETURN);
		nft_rule_end(batch, "the cloud's metadata");
	}
}

static void add_server(const struct redirect_rules *rules, const struct endpoint *server,
		       int interface)
{
	nft_rule_begin(rules->batch, HTTP_CHAIN);
	redirect_match_server(rules->batch, server, interface, &tcp, HTTP_PORT);
	nft_redirect(rules->batch, rules->port, rules->port);
	nft_rule_end(rules->batch, "to the responder");
}

static void add_requests(const struct redirect_rules *rules)
{
	const struct params *params = &rules->target->params;

	redirect_spare_ipv6(rules, HTTP_CHAIN);
	if (target_spares_metadata(params)) {
		add_metadata(rules->batch, AF_INET);
		add_metadata(rules->batch, AF_INET6);
	}
	for (unsigned i = 0; i < params_count(params, TRAFFIC_EXCEPT); i++)
		add_spared(rules->batch, &params_value(params, TRAFFIC_EXCEPT, i)->endpoint);
	redirect_each_server(rules, add_server);
}

/* A packet that begins a connection. What somebody's rules have put into a zone of connection
 * tracking is left alone: our answers come from lo, in no zone, and would not be known for answers.
 * That these rules ask for its state keeps connection tracking on, and with it the translation of
 * what was redirected, when the redirecting rules are gone. */
static void match_beginning(struct nft_batch *batch)
{
	const uint32_t is_new = 1U << 3, no_state = 0; /* NF_CT_STATE_BIT(IP_CT_NEW) */
	const uint8_t looked_at = TH_SYN | TH_ACK | TH_RST | TH_FIN, none = 0, syn = TH_SYN;

	nft_load_ct(batch, 0, NFT_CT_STATE);
	nft_mask(batch, 0, &is_new, &no_state, sizeof(is_new));
	nft_compare(batch, 0, NFT_CMP_NEQ, &no_state, sizeof(no_state));
	nft_load_ct(batch, 0, NFT_CT_ZONE);
	nft_compare(batch, 0, NFT_CMP_EQ, &no_zone, sizeof(no_zone));
	nft_match_protocols(batch, &tcp, 1);
	nft_load_payload(batch, 0, NFT_PAYLOAD_TRANSPORT_HEADER, 13, 1);
	nft_mask(batch, 0, &looked_at, &none, 1);
	nft_compare(batch, 0, NFT_CMP_EQ, &syn, 1);
}

void http_add_rules(const struct redirect_rules *rules)
{
	nft_add_chain(rules->batch, HTTP_CHAIN);
	nft_add_hook_chain(rules->batch, &(struct nft_hook_chain){.name = "divert",
								  .hook = NF_INET_LOCAL_OUT,
								  .priority = REDIRECT_PRIORITY,
								  .type = "nat"});
	redirect_pass_on(rules, "divert", HTTP_MARK_BASE);
	redirect_lead(rules, "divert", HTTP_CHAIN, match_beginning);
	add_requests(rules);
}
