/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which packets: the target's endpoints as nf_tables sets and the rules that look them up. A set is
 * one hash or tree lookup for any number of endpoints. Overlapping endpoints are made disjoint
 * here: prefixes nest or are disjoint, so only port ranges have to be cut.
 *
 * Only parsed numbers are ever written into the text.
 */
#include "faults/network.h"

#include "injector/base/cleanup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PIECES_MAX 1000000 /* after cutting port ranges; memory, not meaning, is the limit */

struct piece {
	uint8_t address[16];
	uint8_t prefix;
	uint16_t first, last; /* 0, 0: every port */
};

struct pieces {
	struct piece *list; /* owned; sorted, disjoint */
	unsigned count;
};

/* [0] IPv4, [1] IPv6 */
struct network_scope {
	struct pieces addresses[2]; /* without ports */
	struct pieces services[2];  /* with ports */
	struct pieces any_ports;    /* first, last only: of "*:PORT" */
	struct pieces local_ports;  /* first, last only */
	bool has_everything;	    /* "*" */
	char protocol[48];	    /* match on the transport protocol, or empty */
};

static const char *const address_set[2] = {"to4", "to6"};
static const char *const service_set[2] = {"to4_ports", "to6_ports"};
static const char *const family_name[2] = {"ip", "ip6"};
static const char *const address_type[2] = {"ipv4_addr", "ipv6_addr"};

static int push(struct pieces *pieces, const struct piece *piece)
{
	/* the capacity is the next power of two */
	if ((pieces->count & (pieces->count - 1)) == 0) {
		size_t capacity = pieces->count ? (size_t)pieces->count * 2 : 1;
		struct piece *grown = reallocarray(pieces->list, capacity, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		pieces->list = grown;
	}
	if (pieces->count >= PIECES_MAX)
		return -E2BIG;
	pieces->list[pieces->count++] = *piece;
	return 0;
}

static int compare_pieces(const void *left, const void *right)
{
	const struct piece *a = left, *b = right;
	int order = (int)a->first - (int)b->first;

	if (order == 0)
		order = memcmp(a->address, b->address, sizeof(a->address));
	if (order == 0)
		order = (int)a->prefix - (int)b->prefix;
	return order;
}

static bool contains(const struct piece *outer, const struct piece *inner)
{
	unsigned bytes = outer->prefix / 8, bits = outer->prefix % 8;

	if (outer->first != inner->first || outer->prefix > inner->prefix ||
	    memcmp(outer->address, inner->address, bytes) != 0)
		return false;
	return bits == 0 || ((outer->address[bytes] ^ inner->address[bytes]) >> (8 - bits)) == 0;
}

/* Sorts and drops what an earlier piece contains: a network sorts right before its parts. */
static void make_disjoint(struct pieces *pieces)
{
	unsigned kept = 0;

	if (pieces->count == 0)
		return;
	qsort(pieces->list, pieces->count, sizeof(*pieces->list), compare_pieces);
	for (unsigned i = 1; i < pieces->count; i++)
		if (!contains(&pieces->list[kept], &pieces->list[i]))
			pieces->list[++kept] = pieces->list[i];
	pieces->count = kept + 1;
}

static int compare_numbers(const void *left, const void *right)
{
	return (int)*(const uint32_t *)left - (int)*(const uint32_t *)right;
}

/* Cuts every port range at the ends of all others, so that ranges are equal or disjoint. */
static int cut_ports(struct pieces *pieces)
{
	cleanup_free uint32_t *cuts = calloc((size_t)pieces->count * 2 + 1, sizeof(*cuts));
	struct pieces cut = {0};
	unsigned count = 0, unique = 0;
	int result = 0;

	if (!cuts)
		return -ENOMEM;
	for (unsigned i = 0; i < pieces->count; i++) {
		cuts[count++] = pieces->list[i].first;
		cuts[count++] = pieces->list[i].last + 1U;
	}
	qsort(cuts, count, sizeof(*cuts), compare_numbers);
	for (unsigned i = 0; i < count; i++)
		if (unique == 0 || cuts[i] != cuts[unique - 1])
			cuts[unique++] = cuts[i];
	for (unsigned i = 0; result == 0 && i < pieces->count; i++) {
		struct piece piece = pieces->list[i];
		const uint32_t first = piece.first, last = piece.last;
		const uint32_t *at = bsearch(&first, cuts, unique, sizeof(*cuts), compare_numbers);

		for (; result == 0 && at && *at <= last; at++) {
			piece.first = (uint16_t)at[0];
			piece.last = (uint16_t)(at[1] - 1);
			result = push(&cut, &piece);
		}
	}
	free(pieces->list);
	*pieces = cut;
	return result;
}

/* Sorts and joins overlapping or touching port ranges. */
static void join_ranges(struct pieces *ranges)
{
	unsigned kept = 0;

	if (ranges->count == 0)
		return;
	qsort(ranges->list, ranges->count, sizeof(*ranges->list), compare_pieces);
	for (unsigned i = 1; i < ranges->count; i++) {
		struct piece *last = &ranges->list[kept];

		if (ranges->list[i].first > last->last + 1U)
			ranges->list[++kept] = ranges->list[i];
		else if (ranges->list[i].last > last->last)
			last->last = ranges->list[i].last;
	}
	ranges->count = kept + 1;
}

static int add_endpoint(struct network_scope *scope, const struct endpoint *endpoint)
{
	struct piece piece = {.prefix = endpoint->prefix,
			      .first = endpoint->port_first,
			      .last = endpoint->port_last};
	unsigned family = endpoint->family == AF_INET6;

	if (endpoint->family == AF_UNSPEC) {
		scope->has_everything |= piece.first == 0;
		return piece.first ? push(&scope->any_ports, &piece) : 0;
	}
	memcpy(piece.address, endpoint->address, family ? 16 : 4);
	return push(piece.first ? &scope->services[family] : &scope->addresses[family], &piece);
}

static void set_protocol(struct network_scope *scope, const char *protocol, bool needs_ports)
{
	const char *match = "";

	/* Numbers, not names: the same on every machine. Ports exist in TCP, UDP, DCCP, SCTP and
	 * UDP-Lite; `th dport` alone would read other bytes of other protocols. */
	if (protocol && strcmp(protocol, "tcp") == 0)
		match = "meta l4proto 6 ";
	else if (protocol && strcmp(protocol, "udp") == 0)
		match = "meta l4proto 17 ";
	else if (protocol && strcmp(protocol, "icmp") == 0)
		match = "meta l4proto { 1, 58 } ";
	else if (needs_ports)
		match = "meta l4proto { 6, 17, 33, 132, 136 } ";
	snprintf(scope->protocol, sizeof(scope->protocol), "%s", match);
}

static int fill(struct network_scope *scope, const struct params *target)
{
	unsigned count = params_count(target, TRAFFIC_TO);
	int result = 0;

	scope->has_everything = count == 0;
	for (unsigned i = 0; result == 0 && i < count; i++)
		result = add_endpoint(scope, &params_value(target, TRAFFIC_TO, i)->endpoint);
	for (unsigned i = 0; result == 0 && i < params_count(target, TRAFFIC_LOCAL_PORT); i++) {
		const struct param_value *value = params_value(target, TRAFFIC_LOCAL_PORT, i);
		struct piece piece = {.first = value->ports.first, .last = value->ports.last};

		result = push(&scope->local_ports, &piece);
	}
	join_ranges(&scope->any_ports);
	join_ranges(&scope->local_ports);
	for (unsigned family = 0; result == 0 && family < 2; family++) {
		make_disjoint(&scope->addresses[family]);
		if (scope->services[family].count)
			result = cut_ports(&scope->services[family]);
		make_disjoint(&scope->services[family]);
	}
	return result;
}

int network_scope_new(const struct params *target, struct network_scope **out, struct error *err)
{
	struct network_scope *scope = calloc(1, sizeof(*scope));
	int result = scope ? fill(scope, target) : -ENOMEM;

	if (result < 0) {
		network_scope_free(scope);
		if (result == -E2BIG)
			return error_set(err, E2BIG,
					 "the endpoints overlap in too many port ranges");
		return error_errno(err, -result, "cannot hold the endpoints");
	}
	set_protocol(scope, params_text(target, TRAFFIC_PROTOCOL), scope->local_ports.count > 0);
	*out = scope;
	return 0;
}

void network_scope_free(struct network_scope *scope)
{
	if (!scope)
		return;
	for (unsigned family = 0; family < 2; family++) {
		free(scope->addresses[family].list);
		free(scope->services[family].list);
	}
	free(scope->any_ports.list);
	free(scope->local_ports.list);
	free(scope);
}

static void write_ports(const struct piece *piece, FILE *out)
{
	fprintf(out, "%u", piece->first);
	if (piece->last != piece->first)
		fprintf(out, "-%u", piece->last);
}

/* "{ 80, 8000-8010 }" */
static void write_ranges(const struct pieces *ranges, FILE *out)
{
	fputs("{ ", out);
	for (unsigned i = 0; i < ranges->count; i++) {
		fputs(i ? ", " : "", out);
		write_ports(&ranges->list[i], out);
	}
	fputs(" } ", out);
}

static void write_set(const struct pieces *pieces, unsigned family, bool has_ports,
		      const char *table, FILE *out)
{
	char address[INET6_ADDRSTRLEN];

	fprintf(out, "add set netdev %s %s { type %s%s; flags interval; elements = {", table,
		has_ports ? service_set[family] : address_set[family], address_type[family],
		has_ports ? " . inet_service" : "");
	for (unsigned i = 0; i < pieces->count; i++) {
		const struct piece *piece = &pieces->list[i];

		inet_ntop(family ? AF_INET6 : AF_INET, piece->address, address, sizeof(address));
		fprintf(out, "%s %s/%u", i ? "," : "", address, piece->prefix);
		if (has_ports) {
			fputs(" . ", out);
			write_ports(piece, out);
		}
	}
	fputs(" }; }\n", out);
}

/* 0.0.0.0/0 or ::/0: sorted first, and then alone without ports. */
static bool is_whole_family(const struct pieces *pieces)
{
	return pieces->count > 0 && pieces->list[0].prefix == 0;
}

void network_scope_write_sets(const struct network_scope *scope, const char *table, FILE *out)
{
	if (scope->has_everything)
		return;
	for (unsigned family = 0; family < 2; family++) {
		if (scope->addresses[family].count && !is_whole_family(&scope->addresses[family]))
			write_set(&scope->addresses[family], family, false, table, out);
		if (scope->services[family].count)
			write_set(&scope->services[family], family, true, table, out);
	}
}

static void begin_rule(const struct network_scope *scope, bool is_ingress, bool has_ports,
		       const char *start, FILE *out)
{
	fputs(start, out);
	if (scope->protocol[0])
		fputs(scope->protocol, out);
	else if (has_ports)
		fputs("meta l4proto { 6, 17, 33, 132, 136 } ", out);
	if (scope->local_ports.count) {
		fputs(is_ingress ? "th dport " : "th sport ", out);
		write_ranges(&scope->local_ports, out);
	}
}

static void write_family(const struct network_scope *scope, unsigned family, bool is_ingress,
			 const char *start, const char *verdict, FILE *out)
{
	const char *name = family_name[family], *side = is_ingress ? "saddr" : "daddr";
	const char *port = is_ingress ? "sport" : "dport";

	if (scope->addresses[family].count) {
		begin_rule(scope, is_ingress, false, start, out);
		if (is_whole_family(&scope->addresses[family]))
			fprintf(out, "meta protocol %s %s\n", name, verdict);
		else
			fprintf(out, "%s %s @%s %s\n", name, side, address_set[family], verdict);
	}
	if (scope->services[family].count) {
		begin_rule(scope, is_ingress, true, start, out);
		fprintf(out, "%s %s . th %s @%s %s\n", name, side, port, service_set[family],
			verdict);
	}
}

void network_scope_write_rules(const struct network_scope *scope, bool is_ingress,
			       const char *start, const char *verdict, FILE *out)
{
	if (scope->has_everything) {
		begin_rule(scope, is_ingress, false, start, out);
		fprintf(out, "%s\n", verdict);
		return;
	}
	if (scope->any_ports.count) {
		begin_rule(scope, is_ingress, true, start, out);
		fputs(is_ingress ? "th sport " : "th dport ", out);
		write_ranges(&scope->any_ports, out);
		fprintf(out, "%s\n", verdict);
	}
	for (unsigned family = 0; family < 2; family++)
		write_family(scope, family, is_ingress, start, verdict, out);
}
