/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which packets: the target's endpoints, and the rules that look them up in the sets of
 * network_scope_sets.c.
 */
#include "faults/network.h"

#include "faults/network_scope_sets.h"
#include "injector/base/cleanup.h"
#include "injector/kernel/nft_match.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define EITHER_FAMILY 2 /* of a rule that says nothing of addresses */

static const int family_of[2] = {AF_INET, AF_INET6};

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

static int fill(struct network_scope *scope, const struct params *target)
{
	const unsigned endpoints = scope->is_except ? TRAFFIC_EXCEPT : TRAFFIC_TO;
	const unsigned ports = scope->is_except ? TRAFFIC_EXCEPT_LOCAL_PORT : TRAFFIC_LOCAL_PORT;
	unsigned count = params_count(target, endpoints);
	int result = network_near_fill(&scope->near, target, scope->is_except);

	scope->has_everything = count == 0 && !scope->is_except;
	for (unsigned i = 0; result == 0 && i < count; i++)
		result = add_endpoint(scope, &params_value(target, endpoints, i)->endpoint);
	count = params_count(target, ports);
	for (unsigned i = 0; result == 0 && i < count; i++) {
		const struct param_value *value = params_value(target, ports, i);
		struct piece piece = {.first = value->ports.first, .last = value->ports.last};

		result = pieces_add(&scope->local_ports, &piece);
	}
	pieces_join_ranges(&scope->any_ports);
	pieces_join_ranges(&scope->local_ports);
	for (unsigned family = 0; result == 0 && family < 2; family++) {
		pieces_make_disjoint(&scope->addresses[family]);
		if (scope->services[family].count)
			result = pieces_cut_ports(&scope->services[family]);
		pieces_make_disjoint(&scope->services[family]);
		if (result == 0)
			result = network_scope_make_hash(scope, family);
	}
	return result;
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
	}
	free(scope->any_ports.list);
	free(scope->local_ports.list);
	network_near_free(&scope->near);
	free(scope);
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

static bool is_limited_to_near(const struct network_scope *scope)
{
	return !scope->is_except && network_near_is_given(&scope->near);
}

/* What follows of a rule: this side, and that there are ports. */
static void match_rest(const struct network_scope *scope, unsigned family, bool is_ingress,
		       bool has_ports, struct nft_batch *batch)
{
	const bool is_local = scope->local_ports.count > 0 && !scope->is_except;
	uint8_t protocols[TRAFFIC_PROTOCOLS_MAX];
	unsigned count = 0;

	if (is_limited_to_near(scope))
		network_near_match(&scope->near, family, is_ingress, scope->generation, batch);
	has_ports |= is_local;
	for (unsigned i = 0; i < scope->protocol_count; i++)
		if (!has_ports || target_protocol_has_ports(scope->protocols[i]))
			protocols[count++] = scope->protocols[i];
	if (scope->protocol_count)
		nft_match_protocols(batch, protocols, count);
	else if (has_ports)
		nft_match_has_ports(batch);
	if (is_local)
		match_ranges(&scope->local_ports, is_ingress ? NFT_DESTINATION : NFT_SOURCE, batch);
}

static void begin_rule(const struct network_scope *scope, unsigned family, bool is_ingress,
		       bool has_ports, const char *chain, struct nft_batch *batch)
{
	nft_rule_begin(batch, chain);
	match_rest(scope, family, is_ingress, has_ports, batch);
}

static void end_rule(const char *action, struct nft_batch *batch)
{
	if (action)
		nft_go_to(batch, action);
	else
		nft_verdict(batch, NF_ACCEPT);
	nft_rule_end(batch, action ? "scope" : "except");
}

/* The address first: with nearly all packets that is the end of it. */
static void add_one(const struct network_scope *scope, unsigned family, const struct piece *piece,
		    bool is_ingress, const char *chain, const char *action, struct nft_batch *batch)
{
	const enum nft_side side = is_ingress ? NFT_SOURCE : NFT_DESTINATION;
	const bool has_ports = piece->first > 0;

	nft_rule_begin(batch, chain);
	nft_match_network(batch, family_of[family], side, piece->address, piece->prefix);
	match_rest(scope, family, is_ingress, has_ports, batch);
	if (has_ports)
		nft_match_ports(batch, side, &(struct nft_ports){piece->first, piece->last}, 1);
	end_rule(action, batch);
}

static void add_few(const struct network_scope *scope, unsigned family, const struct pieces *pieces,
		    bool is_ingress, const char *chain, const char *action, struct nft_batch *batch)
{
	for (unsigned i = 0; i < pieces->count; i++)
		add_one(scope, family, &pieces->list[i], is_ingress, chain, action, batch);
}

static void add_addresses(const struct network_scope *scope, unsigned family, bool is_ingress,
			  const char *chain, const char *action, struct nft_batch *batch)
{
	const enum nft_side side = is_ingress ? NFT_SOURCE : NFT_DESTINATION;
	char name[NFT_NAME_SIZE];

	begin_rule(scope, family, is_ingress, false, chain, batch);
	if (pieces_are_whole_family(&scope->addresses[family]))
		nft_match_family(batch, family_of[family]);
	if (network_scope_has_set(scope, family, SET_HASH))
		nft_match_prefixes(batch, family_of[family], side,
				   scope->hashed[family].list->prefix,
				   network_scope_set_name(scope, family, SET_HASH, name));
	if (network_scope_has_set(scope, family, SET_ADDRESSES))
		nft_match_addresses(batch, family_of[family], side,
				    network_scope_set_name(scope, family, SET_ADDRESSES, name));
	end_rule(action, batch);
}

/* In one length after the other; what does not begin like any of them is somebody else's. */
static void add_lengths(const struct network_scope *scope, unsigned family, bool is_ingress,
			const char *chain, const char *action, struct nft_batch *batch)
{
	const enum nft_side side = is_ingress ? NFT_SOURCE : NFT_DESTINATION;
	const struct pieces *pieces = &scope->addresses[family];
	bool has_length[129] = {false};
	char name[NFT_NAME_SIZE];

	for (unsigned i = 0; i < pieces->count; i++)
		has_length[pieces->list[i].prefix] = true;
	nft_rule_begin(batch, chain);
	nft_match_other_prefixes(batch, family_of[family], side, scope->hashed[family].list->prefix,
				 network_scope_set_name(scope, family, SET_HASH, name));
	nft_verdict(batch, NF_ACCEPT);
	nft_rule_end(batch, "others");
	network_scope_set_name(scope, family, SET_ADDRESSES, name);
	for (unsigned length = 0; length <= 128; length++) {
		if (!has_length[length])
			continue;
		begin_rule(scope, family, is_ingress, false, chain, batch);
		nft_match_length(batch, family_of[family], side, length, name);
		end_rule(action, batch);
	}
}

static void add_services(const struct network_scope *scope, unsigned family, bool is_ingress,
			 const char *chain, const char *action, struct nft_batch *batch)
{
	const enum nft_side side = is_ingress ? NFT_SOURCE : NFT_DESTINATION;
	char name[NFT_NAME_SIZE];

	begin_rule(scope, family, is_ingress, true, chain, batch);
	nft_match_services(batch, family_of[family], side,
			   network_scope_set_name(scope, family, SET_SERVICES, name));
	end_rule(action, batch);
}

static void add_family(const struct network_scope *scope, unsigned family, bool is_ingress,
		       const char *chain, const char *action, struct nft_batch *batch)
{
	const struct pieces *addresses = &scope->addresses[family];
	const struct pieces *services = &scope->services[family];

	if (network_scope_are_few(addresses))
		add_few(scope, family, addresses, is_ingress, chain, action, batch);
	else if (scope->hash[family] == HASH_SORTS)
		add_lengths(scope, family, is_ingress, chain, action, batch);
	else if (addresses->count)
		add_addresses(scope, family, is_ingress, chain, action, batch);
	if (network_scope_are_few(services))
		add_few(scope, family, services, is_ingress, chain, action, batch);
	else if (services->count)
		add_services(scope, family, is_ingress, chain, action, batch);
}

/* Every far address; if there are `ports`, those of one side. */
static void add_every_address(const struct network_scope *scope, unsigned family, bool is_ingress,
			      const struct pieces *ports, enum nft_side side, const char *chain,
			      const char *action, struct nft_batch *batch)
{
	begin_rule(scope, family, is_ingress, ports, chain, batch);
	if (ports)
		match_ranges(ports, side, batch);
	end_rule(action, batch);
}

/* One rule for both families, or one for each that has near addresses. */
static void add_everything(const struct network_scope *scope, bool is_ingress,
			   const struct pieces *ports, const char *chain, const char *action,
			   struct nft_batch *batch)
{
	const enum nft_side far = is_ingress ? NFT_SOURCE : NFT_DESTINATION;

	if (!is_limited_to_near(scope))
		add_every_address(scope, EITHER_FAMILY, is_ingress, ports, far, chain, action,
				  batch);
	for (unsigned family = 0; is_limited_to_near(scope) && family < 2; family++)
		if (network_near_has(&scope->near, family))
			add_every_address(scope, family, is_ingress, ports, far, chain, action,
					  batch);
}

void network_scope_add_rules(const struct network_scope *scope, bool is_ingress, const char *chain,
			     const char *action, struct nft_batch *batch)
{
	const enum nft_side near = is_ingress ? NFT_DESTINATION : NFT_SOURCE;

	if (scope->has_everything) {
		add_everything(scope, is_ingress, NULL, chain, action, batch);
		return;
	}
	if (scope->is_except && scope->local_ports.count)
		add_every_address(scope, EITHER_FAMILY, is_ingress, &scope->local_ports, near,
				  chain, action, batch);
	if (scope->is_except)
		network_near_add_rules(&scope->near, is_ingress, scope->generation, chain, batch);
	if (scope->any_ports.count)
		add_everything(scope, is_ingress, &scope->any_ports, chain, action, batch);
	for (unsigned family = 0; family < 2; family++)
		if (network_near_has(&scope->near, family))
			add_family(scope, family, is_ingress, chain, action, batch);
}

static bool meets_protocol(const struct network_scope *scope, uint8_t protocol)
{
	for (unsigned i = 0; i < scope->protocol_count; i++)
		if (scope->protocols[i] == protocol)
			return true;
	return scope->protocol_count == 0;
}

bool network_scope_meets_not_ip(const struct network_scope *scope)
{
	return scope->has_everything && scope->protocol_count == 0 && !scope->local_ports.count &&
	       !is_limited_to_near(scope);
}

bool network_scope_meets_discovery(const struct network_scope *scope)
{
	return (scope->has_everything || scope->addresses[1].count) && !scope->local_ports.count &&
	       network_near_has(&scope->near, 1) && meets_protocol(scope, IPPROTO_ICMPV6);
}

bool network_scope_meets_address(const struct network_scope *scope, int family,
				 const uint8_t *address)
{
	const unsigned at = family == AF_INET6;

	if (!network_near_has(&scope->near, at))
		return false;
	return scope->has_everything || scope->any_ports.count ||
	       pieces_hold(&scope->addresses[at], address) ||
	       pieces_hold(&scope->services[at], address);
}
