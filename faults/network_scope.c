/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which packets: the target's endpoints as nf_tables sets and the rules that look them up. A set is
 * one lookup for any number of endpoints. A tree takes all; of many, a hash of what they begin with
 * stands before it, since most packets are none of them, or in its place where it says all.
 */
#include "faults/network.h"

#include "faults/network_pieces.h"
#include "injector/base/cleanup.h"
#include "injector/kernel/nft_match.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

/* From so many on a hash in place of the tree, which takes all to be of one length: for 100,000
 * networks 110 instead of 400 ns more a packet that is none of them, and 100 instead of 240 ms to
 * load; for one, 100 ns either way (6.18). Some may be cut in parts for it. */
#define HASH_FROM 16
#define PARTS_MAX 2 /* as many as there are networks */
/* From so many on a hash before the tree: it says no for nearly all that the tree would. */
#define COVER_FROM 1024

enum hash {
	HASH_NONE,
	HASH_COVERS, /* what is in none of them is not in the tree */
	HASH_IS_ALL, /* there is no tree */
};

/* [0] IPv4, [1] IPv6 */
struct network_scope {
	struct pieces addresses[2]; /* without ports */
	struct pieces services[2];  /* with ports */
	struct pieces hashed[2];    /* instead of, or in front of `addresses`; all of one length */
	enum hash hash[2];
	struct pieces any_ports;   /* first, last only: of "*:PORT" */
	struct pieces local_ports; /* first, last only; what is left out by them needs no more */
	struct pieces local_addresses[2]; /* of this side, without ports; the same holds for them */
	bool has_everything;		  /* "*" */
	bool is_except;			  /* what is left out: accepted, whatever the protocol */
	unsigned generation;		  /* of its sets, see set_name() */
	uint8_t protocols[TRAFFIC_PROTOCOLS_MAX]; /* of the transport, any of them */
	unsigned protocol_count;		  /* 0: all */
};

/* Those with ports; of others `th dport` would read other bytes. */
static const uint8_t with_ports[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_DCCP, IPPROTO_SCTP,
				     IPPROTO_UDPLITE};

enum set { SET_ADDRESSES, SET_SERVICES, SET_HASH, SET_LOCAL, SETS };
#define EITHER_FAMILY 2 /* of a rule that says nothing of addresses */

/* [is_except][family] */
static const char *const set_names[2][2][SETS] = {
	{{"to4", "to4_ports", "to4_begin", "local4"}, {"to6", "to6_ports", "to6_begin", "local6"}},
	{{"except4", "except4_ports", "except4_begin", "except_local4"},
	 {"except6", "except6_ports", "except6_begin", "except_local6"}}};
static const int family_of[2] = {AF_INET, AF_INET6};
static const enum nft_type address_type[2] = {NFT_TYPE_IPV4, NFT_TYPE_IPV6};

static int add_endpoint(struct network_scope *scope, const struct endpoint *endpoint)
{
	struct piece piece = {.prefix = endpoint->prefix,
			      .first = endpoint->port_first,
			      .last = endpoint->port_last};
	unsigned family = endpoint->family == AF_INET6;

	if (endpoint->family == AF_UNSPEC) {
		scope->has_everything |= piece.first == 0;
		return piece.first ? pieces_add(&scope->any_ports, &piece) : 0;
	}
	memcpy(piece.address, endpoint->address, family ? 16 : 4);
	return pieces_add(piece.first ? &scope->services[family] : &scope->addresses[family],
			  &piece);
}

static int add_local_address(struct network_scope *scope, const struct endpoint *network)
{
	struct piece piece = {.prefix = network->prefix};
	unsigned family = network->family == AF_INET6;

	memcpy(piece.address, network->address, family ? 16 : 4);
	return pieces_add(&scope->local_addresses[family], &piece);
}

static unsigned longest_prefix(const struct pieces *pieces)
{
	unsigned longest = 0;

	for (unsigned i = 0; i < pieces->count; i++)
		if (pieces->list[i].prefix > longest)
			longest = pieces->list[i].prefix;
	return longest;
}

/* The more bits, the less is in it that is in none of them. */
static int make_hash(struct network_scope *scope, unsigned family)
{
	const struct pieces *pieces = &scope->addresses[family];
	unsigned longest = longest_prefix(pieces), count = pieces->count, prefix = longest;

	if (count < HASH_FROM)
		return 0;
	if (pieces_count_at(pieces, longest, count * PARTS_MAX) != UINT_MAX) {
		scope->hash[family] = HASH_IS_ALL;
	} else if (count >= COVER_FROM) {
		while (pieces_count_at(pieces, prefix, count) == UINT_MAX)
			prefix--;
		scope->hash[family] = prefix ? HASH_COVERS : HASH_NONE;
	}
	if (scope->hash[family] == HASH_NONE)
		return 0;
	return pieces_cut_at(pieces, prefix, &scope->hashed[family]);
}

static int fill_local(struct network_scope *scope, const struct params *target)
{
	const unsigned ports = scope->is_except ? TRAFFIC_EXCEPT_LOCAL_PORT : TRAFFIC_LOCAL_PORT;
	const unsigned addresses =
		scope->is_except ? TRAFFIC_EXCEPT_LOCAL_ADDRESS : TRAFFIC_LOCAL_ADDRESS;
	int result = 0;

	for (unsigned i = 0; result == 0 && i < params_count(target, ports); i++) {
		const struct param_value *value = params_value(target, ports, i);
		struct piece piece = {.first = value->ports.first, .last = value->ports.last};

		result = pieces_add(&scope->local_ports, &piece);
	}
	pieces_join_ranges(&scope->local_ports);
	for (unsigned i = 0; result == 0 && i < params_count(target, addresses); i++)
		result = add_local_address(scope, &params_value(target, addresses, i)->endpoint);
	for (unsigned family = 0; family < 2; family++)
		pieces_make_disjoint(&scope->local_addresses[family]);
	return result;
}

static int fill(struct network_scope *scope, const struct params *target)
{
	const unsigned endpoints = scope->is_except ? TRAFFIC_EXCEPT : TRAFFIC_TO;
	unsigned count = params_count(target, endpoints);
	int result = fill_local(scope, target);

	scope->has_everything = count == 0 && !scope->is_except;
	for (unsigned i = 0; result == 0 && i < count; i++)
		result = add_endpoint(scope, &params_value(target, endpoints, i)->endpoint);
	pieces_join_ranges(&scope->any_ports);
	for (unsigned family = 0; result == 0 && family < 2; family++) {
		pieces_make_disjoint(&scope->addresses[family]);
		if (scope->services[family].count)
			result = pieces_cut_ports(&scope->services[family]);
		pieces_make_disjoint(&scope->services[family]);
		if (result == 0)
			result = make_hash(scope, family);
	}
	return result;
}

/* Of the first generation without a number. */
static const char *name_set(bool is_except, unsigned family, enum set set, unsigned generation,
			    char out[NFT_NAME_SIZE])
{
	const char *word = set_names[is_except][family][set];

	if (generation)
		snprintf(out, NFT_NAME_SIZE, "%s_%u", word, generation);
	else
		snprintf(out, NFT_NAME_SIZE, "%s", word);
	return out;
}

static const char *set_name(const struct network_scope *scope, unsigned family, enum set set,
			    char out[NFT_NAME_SIZE])
{
	return name_set(scope->is_except, family, set, scope->generation, out);
}

int network_scope_new(const struct params *target, bool is_except, unsigned generation,
		      struct network_scope **out, struct error *err)
{
	struct network_scope *scope = calloc(1, sizeof(*scope));
	int result = -ENOMEM;

	if (scope) {
		scope->is_except = is_except;
		scope->generation = generation;
		result = fill(scope, target);
	}
	if (result < 0) {
		network_scope_free(scope);
		if (result == -E2BIG)
			return error_set(err, E2BIG,
					 "the endpoints overlap in too many port ranges");
		return error_errno(err, -result, "cannot hold the endpoints");
	}
	if (!is_except)
		scope->protocol_count = target_protocols(target, scope->protocols);
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
		free(scope->hashed[family].list);
		free(scope->local_addresses[family].list);
	}
	free(scope->any_ports.list);
	free(scope->local_ports.list);
	free(scope);
}

/* The last address of a network whose first is `address`. */
static void last_address(const struct piece *piece, unsigned size, uint8_t *out)
{
	for (unsigned i = 0; i < size; i++) {
		unsigned fixed = piece->prefix > i * 8 ? piece->prefix - i * 8U : 0;

		out[i] = piece->address[i] | (fixed < 8 ? 0xff >> fixed : 0);
	}
}

static void add_hash(const struct network_scope *scope, unsigned family, struct nft_batch *batch)
{
	const struct pieces *pieces = &scope->hashed[family];
	char name[NFT_NAME_SIZE];

	/* with the size the kernel takes the fast one, which does not grow */
	nft_add_set(batch, &(struct nft_set){
				   .name = set_name(scope, family, SET_HASH, name),
				   .fields = {address_type[family]},
				   .size = pieces->count,
			   });
	for (unsigned i = 0; i < pieces->count; i++)
		nft_set_add(batch, pieces->list[i].address, NULL);
	nft_set_end(batch);
}

static const struct pieces *tree_of(const struct network_scope *scope, unsigned family,
				    enum set set)
{
	return set == SET_SERVICES ? &scope->services[family]
	       : set == SET_LOCAL  ? &scope->local_addresses[family]
				   : &scope->addresses[family];
}

static void add_tree(const struct network_scope *scope, unsigned family, enum set set,
		     struct nft_batch *batch)
{
	const struct pieces *pieces = tree_of(scope, family, set);
	const unsigned size = family ? 16 : 4;
	char name[NFT_NAME_SIZE];

	nft_add_set(batch, &(struct nft_set){
				   .name = set_name(scope, family, set, name),
				   .fields = {address_type[family],
					      set == SET_SERVICES ? NFT_TYPE_PORT : NFT_TYPE_NONE},
				   .has_ranges = true,
			   });
	for (unsigned i = 0; i < pieces->count; i++) {
		const struct piece *piece = &pieces->list[i];
		uint16_t port_first = htons(piece->first), port_last = htons(piece->last);
		uint8_t first[20] = {0}, last[20] = {0}; /* the port is padded to 4 bytes */

		memcpy(first, piece->address, size);
		last_address(piece, size, last);
		memcpy(first + size, &port_first, sizeof(port_first));
		memcpy(last + size, &port_last, sizeof(port_last));
		nft_set_add(batch, first, last);
	}
	nft_set_end(batch);
}

/* 0.0.0.0/0 or ::/0: sorted first, and then alone without ports. */
static bool is_whole_family(const struct pieces *pieces)
{
	return pieces->count > 0 && pieces->list[0].prefix == 0;
}

static bool has_set(const struct network_scope *scope, unsigned family, enum set set)
{
	const struct pieces *addresses = &scope->addresses[family];

	if (set == SET_LOCAL)
		return scope->local_addresses[family].count &&
		       !is_whole_family(&scope->local_addresses[family]);
	if (scope->has_everything)
		return false;
	switch (set) {
	case SET_SERVICES:
		return scope->services[family].count > 0;
	case SET_HASH:
		return scope->hash[family] != HASH_NONE;
	default:
		return addresses->count && !is_whole_family(addresses) &&
		       scope->hash[family] != HASH_IS_ALL;
	}
}

void network_scope_add_sets(const struct network_scope *scope, struct nft_batch *batch)
{
	for (unsigned family = 0; family < 2; family++) {
		if (has_set(scope, family, SET_HASH))
			add_hash(scope, family, batch);
		if (has_set(scope, family, SET_ADDRESSES))
			add_tree(scope, family, SET_ADDRESSES, batch);
		if (has_set(scope, family, SET_SERVICES))
			add_tree(scope, family, SET_SERVICES, batch);
		if (has_set(scope, family, SET_LOCAL))
			add_tree(scope, family, SET_LOCAL, batch);
	}
}

static unsigned bit_of(bool is_except, unsigned family, enum set set)
{
	return 1U << ((is_except * 2 + family) * SETS + set);
}

unsigned network_scope_sets(const struct network_scope *scope)
{
	unsigned sets = 0;

	for (unsigned family = 0; family < 2; family++)
		for (enum set set = 0; set < SETS; set++)
			if (has_set(scope, family, set))
				sets |= bit_of(scope->is_except, family, set);
	return sets;
}

void network_scope_delete_sets(unsigned sets, unsigned generation, struct nft_batch *batch)
{
	char name[NFT_NAME_SIZE];

	for (unsigned is_except = 0; is_except < 2; is_except++)
		for (unsigned family = 0; family < 2; family++)
			for (enum set set = 0; set < SETS; set++)
				if (sets & bit_of(is_except, family, set))
					nft_delete_set(batch, name_set(is_except, family, set,
								       generation, name));
}

static void match_ranges(const struct pieces *ranges, enum nft_side side, struct nft_batch *batch)
{
	cleanup_free struct nft_ports *ports = calloc(ranges->count, sizeof(*ports));

	if (!ports) {
		nft_batch_drop(batch); /* which then cannot be committed */
		return;
	}
	for (unsigned i = 0; i < ranges->count; i++)
		ports[i] = (struct nft_ports){ranges->list[i].first, ranges->list[i].last};
	nft_match_ports(batch, side, ports, ranges->count);
}

static bool is_of_some_local_addresses(const struct network_scope *scope)
{
	return scope->local_addresses[0].count || scope->local_addresses[1].count;
}

static void match_local_addresses(const struct network_scope *scope, unsigned family,
				  bool is_ingress, struct nft_batch *batch)
{
	char name[NFT_NAME_SIZE];

	if (has_set(scope, family, SET_LOCAL))
		nft_match_addresses(batch, family_of[family],
				    is_ingress ? NFT_DESTINATION : NFT_SOURCE,
				    set_name(scope, family, SET_LOCAL, name));
	else
		nft_match_family(batch, family_of[family]);
}

static void begin_rule(const struct network_scope *scope, unsigned family, bool is_ingress,
		       bool has_ports, const char *chain, struct nft_batch *batch)
{
	const bool is_local = scope->local_ports.count > 0 && !scope->is_except;
	uint8_t protocols[TRAFFIC_PROTOCOLS_MAX];
	unsigned count = 0;

	nft_rule_begin(batch, chain);
	has_ports |= is_local;
	for (unsigned i = 0; i < scope->protocol_count; i++)
		if (!has_ports || target_protocol_has_ports(scope->protocols[i]))
			protocols[count++] = scope->protocols[i];
	if (scope->protocol_count)
		nft_match_protocols(batch, protocols, count);
	else if (has_ports)
		nft_match_protocols(batch, with_ports, sizeof(with_ports));
	if (is_local)
		match_ranges(&scope->local_ports, is_ingress ? NFT_DESTINATION : NFT_SOURCE, batch);
	if (family != EITHER_FAMILY && is_of_some_local_addresses(scope) && !scope->is_except)
		match_local_addresses(scope, family, is_ingress, batch);
}

static void end_rule(const char *action, struct nft_batch *batch)
{
	if (action)
		nft_go_to(batch, action);
	else
		nft_verdict(batch, NF_ACCEPT);
	nft_rule_end(batch, action ? "scope" : "except");
}

static void add_family(const struct network_scope *scope, unsigned family, bool is_ingress,
		       const char *chain, const char *action, struct nft_batch *batch)
{
	const enum nft_side side = is_ingress ? NFT_SOURCE : NFT_DESTINATION;
	const struct pieces *addresses = &scope->addresses[family];
	char name[NFT_NAME_SIZE];

	if (addresses->count) {
		begin_rule(scope, family, is_ingress, false, chain, batch);
		if (is_whole_family(addresses))
			nft_match_family(batch, family_of[family]);
		if (has_set(scope, family, SET_HASH))
			nft_match_prefixes(batch, family_of[family], side,
					   scope->hashed[family].list->prefix,
					   set_name(scope, family, SET_HASH, name));
		if (has_set(scope, family, SET_ADDRESSES))
			nft_match_addresses(batch, family_of[family], side,
					    set_name(scope, family, SET_ADDRESSES, name));
		end_rule(action, batch);
	}
	if (scope->services[family].count) {
		begin_rule(scope, family, is_ingress, true, chain, batch);
		nft_match_services(batch, family_of[family], side,
				   set_name(scope, family, SET_SERVICES, name));
		end_rule(action, batch);
	}
}

/* Every far address, if there are ports those of `far_ports` alone. */
static void add_every_address(const struct network_scope *scope, unsigned family, bool is_ingress,
			      const struct pieces *far_ports, const char *chain, const char *action,
			      struct nft_batch *batch)
{
	begin_rule(scope, family, is_ingress, far_ports, chain, batch);
	if (far_ports)
		match_ranges(far_ports, is_ingress ? NFT_SOURCE : NFT_DESTINATION, batch);
	end_rule(action, batch);
}

/* Without a near address one rule does for both families. */
static void add_either_family(const struct network_scope *scope, bool is_ingress,
			      const struct pieces *far_ports, const char *chain, const char *action,
			      struct nft_batch *batch)
{
	if (scope->is_except || !is_of_some_local_addresses(scope)) {
		add_every_address(scope, EITHER_FAMILY, is_ingress, far_ports, chain, action,
				  batch);
		return;
	}
	for (unsigned family = 0; family < 2; family++)
		if (scope->local_addresses[family].count)
			add_every_address(scope, family, is_ingress, far_ports, chain, action,
					  batch);
}

/* What is left out by its near side alone. */
static void add_except_local(const struct network_scope *scope, bool is_ingress, const char *chain,
			     struct nft_batch *batch)
{
	if (scope->local_ports.count) {
		begin_rule(scope, EITHER_FAMILY, is_ingress, true, chain, batch);
		match_ranges(&scope->local_ports, is_ingress ? NFT_DESTINATION : NFT_SOURCE, batch);
		end_rule(NULL, batch);
	}
	for (unsigned family = 0; family < 2; family++) {
		if (!scope->local_addresses[family].count)
			continue;
		begin_rule(scope, EITHER_FAMILY, is_ingress, false, chain, batch);
		match_local_addresses(scope, family, is_ingress, batch);
		end_rule(NULL, batch);
	}
}

void network_scope_add_rules(const struct network_scope *scope, bool is_ingress, const char *chain,
			     const char *action, struct nft_batch *batch)
{
	if (scope->has_everything) {
		add_either_family(scope, is_ingress, NULL, chain, action, batch);
		return;
	}
	if (scope->is_except)
		add_except_local(scope, is_ingress, chain, batch);
	if (scope->any_ports.count)
		add_either_family(scope, is_ingress, &scope->any_ports, chain, action, batch);
	for (unsigned family = 0; family < 2; family++)
		if (scope->is_except || !is_of_some_local_addresses(scope) ||
		    scope->local_addresses[family].count)
			add_family(scope, family, is_ingress, chain, action, batch);
}
