/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The nf_tables table of a dns fault. Before connection tracking looks at a packet (priority -200),
 * queries and our answers to them get the zone; then the first packet of each flow in the zone is
 * redirected, before anybody's own translation (-100) sees it.
 */
#include "faults/dns.h"

#include "injector/kernel/nft_match.h"

#include <stdio.h>
#include <string.h>

#define PRIORITY_ZONE	  (-301)
#define PRIORITY_REDIRECT (-101)

static const uint8_t udp = IPPROTO_UDP, tcp = IPPROTO_TCP;

static void set_zone(struct nft_batch *batch, uint16_t zone)
{
	nft_load_value(batch, 0, &zone, sizeof(zone));
	nft_store_ct(batch, NFT_CT_ZONE, 0);
}

/* The packets of one protocol to one server, leaving by one interface (0: any). */
static void add_query(struct nft_batch *batch, uint16_t zone, const struct endpoint *server,
		      int interface, const uint8_t *protocol)
{
	const struct nft_ports every = {DNS_PORT, DNS_PORT},
			       given = {server->port_first, server->port_last};

	nft_rule_begin(batch, "queries");
	if (interface)
		nft_match_egress(batch, interface);
	if (server->family != AF_UNSPEC && server->prefix > 0)
		nft_match_network(batch, server->family, NFT_DESTINATION, server->address,
				  server->prefix);
	else if (server->family != AF_UNSPEC)
		nft_match_family(batch, server->family);
	nft_match_protocols(batch, protocol, 1);
	nft_match_ports(batch, NFT_DESTINATION, given.first ? &given : &every, 1);
	set_zone(batch, zone);
	nft_rule_end(batch, "queries");
}

static void add_server(struct nft_batch *batch, uint16_t zone, const struct endpoint *server,
		       const struct target *target)
{
	uint8_t wanted[TRAFFIC_PROTOCOLS_MAX];
	unsigned count = target_protocols(&target->params, wanted);
	bool has_interfaces = params_count(&target->params, TRAFFIC_INTERFACE) > 0;
	unsigned interfaces = has_interfaces ? target->interface_count : 1;

	for (unsigned i = 0; i < interfaces; i++) {
		int interface = has_interfaces ? target->interfaces[i].index : 0;

		if (!count || memchr(wanted, udp, count))
			add_query(batch, zone, server, interface, &udp);
		if (!count || memchr(wanted, tcp, count))
			add_query(batch, zone, server, interface, &tcp);
	}
}

static void add_queries(struct nft_batch *batch, uint16_t zone, bool has_ipv6,
			const struct target *target)
{
	const struct endpoint every = {.family = AF_UNSPEC};
	unsigned count = params_count(&target->params, TRAFFIC_TO);

	redirect_spare_ipv6(batch, "queries", has_ipv6);
	if (count == 0)
		add_server(batch, zone, &every, target);
	for (unsigned i = 0; i < count; i++)
		add_server(batch, zone, &params_value(&target->params, TRAFFIC_TO, i)->endpoint,
			   target);
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

static void add_answers(struct nft_batch *batch, int family, uint16_t port)
{
	uint16_t last = (uint16_t)(port + DNS_PORTS - 1);

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

static void add_redirection(struct nft_batch *batch, uint16_t zone, const uint8_t *protocol,
			    uint16_t first, uint16_t last)
{
	nft_rule_begin(batch, "divert");
	nft_load_ct(batch, 0, NFT_CT_ZONE);
	nft_compare(batch, 0, NFT_CMP_EQ, &zone, sizeof(zone));
	nft_match_protocols(batch, protocol, 1);
	nft_redirect(batch, first, last);
	nft_rule_end(batch, "to the responder");
}

/* Whose queries are looked at: everybody's, or those of some control groups. */
static void add_asking(struct nft_batch *batch, const struct target *target)
{
	for (unsigned i = 0; i < target->group_count || i == 0; i++) {
		nft_rule_begin(batch, "track");
		if (target->group_count)
			nft_match_cgroup(batch, target->groups[i].level, target->groups[i].id);
		nft_jump_to(batch, "queries");
		nft_rule_end(batch, target->group_count ? "of the group" : NULL);
	}
}

/* The port is the zone as well: nobody else has it in this namespace. */
static void add_table(struct nft_batch *batch, const char *table, const char *comment,
		      uint16_t port, bool has_ipv6, uint32_t mark, const struct target *target)
{
	nft_add_table(batch, NFPROTO_INET, table, comment);
	nft_add_chain(batch, "queries");
	nft_add_hook_chain(batch, &(struct nft_hook_chain){.name = "track",
							   .hook = NF_INET_LOCAL_OUT,
							   .priority = PRIORITY_ZONE});
	nft_add_hook_chain(batch, &(struct nft_hook_chain){.name = "divert",
							   .hook = NF_INET_LOCAL_OUT,
							   .priority = PRIORITY_REDIRECT,
							   .type = "nat"});
	/* a newer one passes to an older one what it does not answer, never the other way round */
	redirect_pass_on(batch, "track", DNS_MARK_BASE, mark);
	add_answers(batch, AF_INET, port);
	if (has_ipv6)
		add_answers(batch, AF_INET6, port);
	add_asking(batch, target);
	add_redirection(batch, port, &udp, port, (uint16_t)(port + DNS_PORTS - 1));
	add_redirection(batch, port, &tcp, port, port);
	add_queries(batch, port, has_ipv6, target);
}

int dns_table_commit(const struct dns_state *state, const struct target *target, const char *run_id,
		     unsigned step, struct error *err)
{
	struct nft_batch batch;
	char comment[64];

	snprintf(comment, sizeof(comment), "squall run %s step %u", run_id, step);
	nft_batch_begin(&batch);
	add_table(&batch, state->record.table, comment, dns_responder_port(state->responder),
		  dns_responder_has_ipv6(state->responder), state->mark, target);
	return nft_commit(state->owner, &batch, err);
}

int dns_table_soften(struct dns_state *state, struct error *err)
{
	struct nft_batch batch;

	nft_batch_begin(&batch);
	nft_use_table(&batch, NFPROTO_INET, state->record.table);
	nft_flush_chain(&batch, "queries");
	return nft_commit(state->owner, &batch, err);
}

int dns_table_try(bool with_groups, struct error *err)
{
	struct target_group group = {.level = 1, .id = 1}; /* there need not be one */
	struct netlink *netlink = NULL;
	struct nft_batch batch;
	struct target every = {.kind = TARGET_TRAFFIC};
	int result = params_init(&every.params, traffic_params, err);

	every.groups = &group;
	every.group_count = with_groups;
	if (result == 0)
		result = netlink_open_netfilter(-1, &netlink, err);
	if (result == 0) {
		nft_batch_begin(&batch);
		add_table(&batch, "squall_probe", NULL, 1, true, DNS_MARK_BASE, &every);
		result = nft_commit(netlink, &batch, err);
	}
	netlink_close(netlink);
	params_free(&every.params);
	return result;
}
