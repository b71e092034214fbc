/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The nf_tables table of a dns fault. Before connection tracking looks at a packet (priority -200),
 * queries and our answers to them get the zone; then the first packet of each flow in the zone is
 * redirected, before anybody's own translation (-100) sees it.
 */
#include "faults/dns.h"

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netinet/in.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PRIORITY_ZONE	  (-301)
#define PRIORITY_REDIRECT (-101)

/* The packets of one protocol to one server: "[oif] [address] udp dport 53 ". */
static void write_match(const struct endpoint *server, const struct target_interface *interface,
			const char *protocol, FILE *out)
{
	char address[INET6_ADDRSTRLEN];
	unsigned first = server->port_first ? server->port_first : DNS_PORT;
	unsigned last = server->port_last ? server->port_last : first;

	if (interface)
		fprintf(out, "meta oif %d ", interface->index);
	if (server->family != AF_UNSPEC && server->prefix > 0) {
		inet_ntop(server->family, server->address, address, sizeof(address));
		fprintf(out, "%s daddr %s/%u ", server->family == AF_INET ? "ip" : "ip6", address,
			server->prefix);
	} else if (server->family != AF_UNSPEC) {
		fprintf(out, "meta nfproto %s ", server->family == AF_INET ? "ipv4" : "ipv6");
	}
	fprintf(out, "%s dport %u", protocol, first);
	if (last != first)
		fprintf(out, "-%u", last);
}

static void write_query(const struct dns_state *state, const struct target *target,
			const struct endpoint *server, FILE *out)
{
	static const char *const protocols[] = {"udp", "tcp"};
	const char *wanted = params_text(&target->params, TRAFFIC_PROTOCOL);
	bool has_interfaces = params_count(&target->params, TRAFFIC_INTERFACE) > 0;
	unsigned interfaces = has_interfaces ? target->interface_count : 1;

	for (unsigned i = 0; i < interfaces; i++)
		for (unsigned p = 0; p < 2; p++) {
			if (wanted && strcmp(wanted, "any") != 0 &&
			    strcmp(wanted, protocols[p]) != 0)
				continue;
			fprintf(out, "add rule inet %s queries ", state->record.table);
			write_match(server, has_interfaces ? &target->interfaces[i] : NULL,
				    protocols[p], out);
			fprintf(out, " ct zone set %u comment \"queries\"\n",
				dns_responder_port(state->responder));
		}
}

static void write_queries(const struct dns_state *state, const struct target *target, FILE *out)
{
	const struct endpoint every = {.family = AF_UNSPEC};
	unsigned count = params_count(&target->params, TRAFFIC_TO);
	const char *table = state->record.table;

	if (!dns_responder_has_ipv6(state->responder))
		fprintf(out,
			"add rule inet %s queries meta nfproto ipv6 return comment \"no ::1\"\n",
			table);
	else /* the interface it is on is not known behind the redirection */
		fprintf(out,
			"add rule inet %s queries ip6 daddr fe80::/10 return comment "
			"\"link-local\"\n",
			table);
	if (count == 0)
		write_query(state, target, &every, out);
	for (unsigned i = 0; i < count; i++)
		write_query(state, target, &params_value(&target->params, TRAFFIC_TO, i)->endpoint,
			    out);
}

static void write_family(const struct dns_state *state, const char *loopback, FILE *out)
{
	unsigned port = dns_responder_port(state->responder), last = port + DNS_PORTS - 1;
	const char *table = state->record.table;

	fprintf(out,
		"add rule inet %s track %s udp sport %u-%u ct zone set %u accept comment "
		"\"answers\"\n",
		table, loopback, port, last, port);
	fprintf(out,
		"add rule inet %s track %s tcp sport %u ct zone set %u accept comment "
		"\"answers\"\n",
		table, loopback, port, port);
	fprintf(out,
		"add rule inet %s divert %s udp sport %u-%u accept comment \"late answers\"\n",
		table, loopback, port, last);
}

static void write_table(const struct dns_state *state, const struct target *target,
			const char *run_id, unsigned step, FILE *out)
{
	unsigned port = dns_responder_port(state->responder);
	const char *table = state->record.table;

	fprintf(out, "create table inet %s { flags owner; comment \"squall run %s step %u\"; }\n",
		table, run_id, step);
	fprintf(out,
		"add chain inet %s queries\n"
		"add chain inet %s track { type filter hook output priority %d; policy accept; }\n"
		"add chain inet %s divert { type nat hook output priority %d; policy accept; }\n",
		table, table, PRIORITY_ZONE, table, PRIORITY_REDIRECT);
	/* What this responder sends, and those of older faults: a newer one passes to an older one
	 * what it does not answer, never the other way round. */
	fprintf(out, "add rule inet %s track meta mark 0x%x-0x%x accept comment \"passed on\"\n",
		table, DNS_MARK_BASE, state->mark);
	write_family(state, "ip saddr 127.0.0.1", out);
	if (dns_responder_has_ipv6(state->responder))
		write_family(state, "ip6 saddr ::1", out);
	fprintf(out, "add rule inet %s track jump queries\n", table);
	write_queries(state, target, out);
	fprintf(out,
		"add rule inet %s divert ct zone %u meta l4proto 17 redirect to :%u-%u\n"
		"add rule inet %s divert ct zone %u meta l4proto 6 redirect to :%u\n",
		table, port, port, port + DNS_PORTS - 1, table, port, port);
}

int dns_table_text(const struct dns_state *state, const struct target *target, const char *run_id,
		   unsigned step, char **out, struct error *err)
{
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	if (!stream)
		return error_errno(err, ENOMEM, "cannot write the table");
	write_table(state, target, run_id, step, stream);
	if (ferror(stream) | fclose(stream)) {
		free(text);
		return error_errno(err, ENOMEM, "cannot write the table");
	}
	*out = text;
	return 0;
}

int dns_table_soften(struct dns_state *state, struct error *err)
{
	char text[64];

	snprintf(text, sizeof(text), "flush chain inet %s queries\n", state->record.table);
	return nft_commit(state->nft, text, err);
}

static void take_table(void *context, const struct nlmsghdr *reply)
{
	const struct nlattr *table[NFTA_TABLE_OWNER + 1];

	if (reply->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWTABLE))
		return;
	netlink_attributes(reply, sizeof(struct nfgenmsg), table, NFTA_TABLE_OWNER);
	*(uint32_t *)context = ntohl(netlink_u32(table[NFTA_TABLE_OWNER], 0));
}

int dns_table_find(struct netlink *netfilter, const char *table, uint32_t *out_owner,
		   struct error *err)
{
	struct nfgenmsg header = {.nfgen_family = 1 /* NFPROTO_INET */, .version = NFNETLINK_V0};
	struct netlink_request request;
	uint32_t owner = 0;
	int result;

	netlink_begin(&request, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE, 0, &header,
		      sizeof(header));
	netlink_put_text(&request, NFTA_TABLE_NAME, table);
	result = netlink_call(netfilter, &request, take_table, &owner, err);
	if (result == 0)
		*out_owner = owner;
	return result;
}
