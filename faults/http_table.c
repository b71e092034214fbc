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
#include <stdio.h>

#define PRIORITY_REDIRECT (-101)

static const uint16_t no_zone;
static const uint8_t tcp = IPPROTO_TCP;

static void match_endpoint(struct nft_batch *batch, const struct endpoint *endpoint)
{
	if (endpoint->family != AF_UNSPEC && endpoint->prefix > 0)
		nft_match_network(batch, endpoint->family, NFT_DESTINATION, endpoint->address,
				  endpoint->prefix);
	else if (endpoint->family != AF_UNSPEC)
		nft_match_family(batch, endpoint->family);
}

/* What somebody left out, at any port or at some. */
static void add_spared(struct nft_batch *batch, const struct endpoint *spared)
{
	const struct nft_ports ports = {spared->port_first, spared->port_last};

	nft_rule_begin(batch, "requests");
	match_endpoint(batch, spared);
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
		nft_rule_begin(batch, "requests");
		nft_match_address(batch, family, NFT_DESTINATION, address);
		nft_verdict(batch, NFT_RETURN);
		nft_rule_end(batch, "the cloud's metadata");
	}
}

static void add_server(struct nft_batch *batch, uint16_t port, const struct endpoint *server,
		       int interface)
{
	const struct nft_ports usual = {HTTP_PORT, HTTP_PORT},
			       given = {server->port_first, server->port_last};

	nft_rule_begin(batch, "requests");
	if (interface)
		nft_match_egress(batch, interface);
	match_endpoint(batch, server);
	nft_match_protocols(batch, &tcp, 1);
	nft_match_ports(batch, NFT_DESTINATION, given.first ? &given : &usual, 1);
	nft_redirect(batch, port, port);
	nft_rule_end(batch, "to the responder");
}

static void add_to(struct nft_batch *batch, uint16_t port, const struct endpoint *server,
		   const struct target *target)
{
	bool has_interfaces = params_count(&target->params, TRAFFIC_INTERFACE) > 0;
	unsigned interfaces = has_interfaces ? target->interface_count : 1;

	for (unsigned i = 0; i < interfaces; i++)
		add_server(batch, port, server, has_interfaces ? target->interfaces[i].index : 0);
}

static void add_requests(struct nft_batch *batch, uint16_t port, bool has_ipv6,
			 const struct target *target)
{
	const struct endpoint every = {.family = AF_UNSPEC};
	const struct params *params = &target->params;
	unsigned count = params_count(params, TRAFFIC_TO);

	redirect_spare_ipv6(batch, "requests", has_ipv6);
	if (target_spares_metadata(params)) {
		add_metadata(batch, AF_INET);
		add_metadata(batch, AF_INET6);
	}
	for (unsigned i = 0; i < params_count(params, TRAFFIC_EXCEPT); i++)
		add_spared(batch, &params_value(params, TRAFFIC_EXCEPT, i)->endpoint);
	if (count == 0)
		add_to(batch, port, &every, target);
	for (unsigned i = 0; i < count; i++)
		add_to(batch, port, &params_value(params, TRAFFIC_TO, i)->endpoint, target);
}

/* A packet that begins a connection, of everybody or of some control groups. What somebody's rules
 * have put into a zone of connection tracking is left alone: our answers come from lo, in no zone,
 * and would not be known for answers. That they ask for its
 * state keeps connection tracking on, and with it the translation of what was redirected, when the
 * redirecting rules are gone. */
static void add_beginning(struct nft_batch *batch, const struct target *target)
{
	const uint32_t is_new = 1U << 3, no_state = 0; /* NF_CT_STATE_BIT(IP_CT_NEW) */
	const uint8_t looked_at = TH_SYN | TH_ACK | TH_RST | TH_FIN, none = 0, syn = TH_SYN;

	for (unsigned i = 0; i < target->group_count || i == 0; i++) {
		nft_rule_begin(batch, "divert");
		nft_load_ct(batch, 0, NFT_CT_STATE);
		nft_mask(batch, 0, &is_new, &no_state, sizeof(is_new));
		nft_compare(batch, 0, NFT_CMP_NEQ, &no_state, sizeof(no_state));
		nft_load_ct(batch, 0, NFT_CT_ZONE);
		nft_compare(batch, 0, NFT_CMP_EQ, &no_zone, sizeof(no_zone));
		nft_match_protocols(batch, &tcp, 1);
		nft_load_payload(batch, 0, NFT_PAYLOAD_TRANSPORT_HEADER, 13, 1);
		nft_mask(batch, 0, &looked_at, &none, 1);
		nft_compare(batch, 0, NFT_CMP_EQ, &syn, 1);
		if (target->group_count)
			nft_match_cgroup(batch, target->groups[i].level, target->groups[i].id);
		nft_jump_to(batch, "requests");
		nft_rule_end(batch, target->group_count ? "of the group" : NULL);
	}
}

static void add_table(struct nft_batch *batch, const char *table, const char *comment,
		      uint16_t port, bool has_ipv6, uint32_t mark, const struct target *target)
{
	nft_add_table(batch, NFPROTO_INET, table, comment);
	nft_add_chain(batch, "requests");
	nft_add_hook_chain(batch, &(struct nft_hook_chain){.name = "divert",
							   .hook = NF_INET_LOCAL_OUT,
							   .priority = PRIORITY_REDIRECT,
							   .type = "nat"});
	/* a newer one passes to an older one what it does not answer, never the other way round */
	redirect_pass_on(batch, "divert", HTTP_MARK_BASE, mark);
	add_beginning(batch, target);
	add_requests(batch, port, has_ipv6, target);
}

int http_table_commit(const struct http_state *state, const struct target *target,
		      const char *run_id, unsigned step, struct error *err)
{
	struct nft_batch batch;
	char comment[64];

	snprintf(comment, sizeof(comment), "squall run %s step %u", run_id, step);
	nft_batch_begin(&batch);
	add_table(&batch, state->record.table, comment, http_responder_port(state->responder),
		  http_responder_has_ipv6(state->responder), state->mark, target);
	return nft_commit(state->owner, &batch, err);
}

int http_table_soften(struct http_state *state, struct error *err)
{
	struct nft_batch batch;

	nft_batch_begin(&batch);
	nft_use_table(&batch, NFPROTO_INET, state->record.table);
	nft_flush_chain(&batch, "requests");
	return nft_commit(state->owner, &batch, err);
}

int http_table_try(bool with_groups, struct error *err)
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
		add_table(&batch, "squall_probe", NULL, 1, true, HTTP_MARK_BASE, &every);
		result = nft_commit(netlink, &batch, err);
	}
	netlink_close(netlink);
	params_free(&every.params);
	return result;
}
