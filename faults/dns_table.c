/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The nf_tables table of a dns fault. Before connection tracking looks at a packet (priority -200),
 * queries and our answers to them get the zone; then the first packet of each flow in the zone is
 * redirected, before anybody's own translation (-100) sees it. The port is the zone as well: nobody
 * else has it in this namespace.
 */
#include "faults/dns.h"

#include "injector/kernel/nft_match.h"

#include <string.h>

#define PRIORITY_ZONE (-301)

static const uint8_t udp = IPPROTO_UDP, tcp = IPPROTO_TCP;

static void set_zone(struct nft_batch *batch, uint16_t zone)
{
	nft_load_value(batch, 0, &zone, sizeof(zone));
	nft_store_ct(batch, NFT_CT_ZONE, 0);
}

static void add_query(const struct redirect_rules *rules, const struct endpoint *server,
		      int interface, const uint8_t *protocol)
{
	nft_rule_begin(rules->batch, DNS_CHAIN);
	redirect_match_server(rules->batch, server, interface, protocol, DNS_PORT);
	set_zone(rules->batch, rules->port);
	nft_rule_end(rules->batch, "queries");
}

static void add_server(const struct redirect_rules *rules, const struct endpoint *server,
		       int interface)
{
	uint8_t wanted[TRAFFIC_PROTOCOLS_MAX];
	unsigned count = target_protocols(&rules->target->params, wanted);

	if (!count || memchr(wanted, udp, count))
		add_query(rules, server, interface, &udp);
	if (!count || memchr(wanted, tcp, count))
		add_query(rules, server, interface, &tcp);
}

static void match_answer(struct nft_batch *batch, int family, const uint8_t *protocol,
			 uint16_t first, uint16_t last)
{
	static const uint8_t loopback4[4] = {127, 0, 0, 1}, loopback6[16] = {[15] = 1};
	const struct nft_ports ports = {first, last};

	nft_match_address(batch, family, NFT_SOURCE, family == AF_INET ? loopback4 : loopback6);
	nft_match_protocols(batch, protocol, 1);
	nft_match_ports(batch, NFT_SOURCE, &ports, 1);
}

static void add_answers(const struct redirect_rules *rules, int family)
{
	uint16_t port = rules->port, last = (uint16_t)(port + DNS_PORTS - 1);
	struct nft_batch *batch = rules->batch;

	nft_rule_begin(batch, "track");
	match_answer(batch, family, &udp, port, last);
	set_zone(batch, port);
	nft_verdict(batch, NF_ACCEPT);
	nft_rule_end(batch, "answers");
	nft_rule_begin(batch, "track");
	match_answer(batch, family, &tcp, port, port);
	set_zone(batch, port);
	nft_verdict(batch, NF_ACCEPT);
	nft_rule_end(batch, "answers");
	nft_rule_begin(batch, "divert");
	match_answer(batch, family, &udp, port, last);
	nft_verdict(batch, NF_ACCEPT);
	nft_rule_end(batch, "late answers");
}

static void add_redirection(const struct redirect_rules *rules, const uint8_t *protocol,
			    uint16_t last)
{
	struct nft_batch *batch = rules->batch;

	nft_rule_begin(batch, "divert");
	nft_load_ct(batch, 0, NFT_CT_ZONE);
	nft_compare(batch, 0, NFT_CMP_EQ, &rules->port, sizeof(rules->port));
	nft_match_protocols(batch, protocol, 1);
	nft_redirect(batch, rules->port, last);
	nft_rule_end(batch, "to the responder");
}

void dns_add_rules(const struct redirect_rules *rules)
{
	struct nft_batch *batch = rules->batch;

	nft_add_chain(batch, DNS_CHAIN);
	nft_add_hook_chain(batch, &(struct nft_hook_chain){.name = "track",
							   .hook = NF_INET_LOCAL_OUT,
							   .priority = PRIORITY_ZONE});
	nft_add_hook_chain(batch, &(struct nft_hook_chain){.name = "divert",
							   .hook = NF_INET_LOCAL_OUT,
							   .priority = REDIRECT_PRIORITY,
							   .type = "nat"});
	redirect_pass_on(rules, "track", DNS_MARK_BASE);
	add_answers(rules, AF_INET);
	if (rules->has_ipv6)
		add_answers(rules, AF_INET6);
	redirect_lead(rules, "track", DNS_CHAIN, NULL);
	add_redirection(rules, &udp, (uint16_t)(rules->port + DNS_PORTS - 1));
	add_redirection(rules, &tcp, rules->port);
	redirect_spare_ipv6(rules, DNS_CHAIN);
	redirect_each_server(rules, add_server);
}
