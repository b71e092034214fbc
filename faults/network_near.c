/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/network_near.h"

#include "faults/target.h"
#include "injector/kernel/nft_match.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* [is_except][family] */
static const char *const set_names[2][2] = {{"local4", "local6"},
					    {"except_local4", "except_local6"}};
static const int family_of[2] = {AF_INET, AF_INET6};

int network_near_fill(struct network_near *near, const struct params *target, bool is_except)
{
	const unsigned list = is_except ? TRAFFIC_EXCEPT_LOCAL_ADDRESS : TRAFFIC_LOCAL_ADDRESS;
	int result = 0;

	near->is_except = is_except;
	for (unsigned i = 0; result == 0 && i < params_count(target, list); i++) {
		const struct endpoint *network = &params_value(target, list, i)->endpoint;
		const unsigned family = network->family == AF_INET6;
		struct piece piece = {.prefix = network->prefix};

		memcpy(piece.address, network->address, family ? 16 : 4);
		result = pieces_add(&near->addresses[family], &piece);
	}
	for (unsigned family = 0; family < 2; family++)
		pieces_make_disjoint(&near->addresses[family]);
	return result;
}

void network_near_free(struct network_near *near)
{
	free(near->addresses[0].list);
	free(near->addresses[1].list);
}

bool network_near_is_given(const struct network_near *near)
{
	return near->addresses[0].count || near->addresses[1].count;
}

bool network_near_has(const struct network_near *near, unsigned family)
{
	return near->is_except || !network_near_is_given(near) || near->addresses[family].count;
}

/* One is compared; so is a whole family, which is then alone. */
static bool has_set(const struct network_near *near, unsigned family)
{
	return near->addresses[family].count > 1;
}

static const char *name_set(bool is_except, unsigned family, unsigned generation,
			    char out[NFT_NAME_SIZE])
{
	if (generation)
		snprintf(out, NFT_NAME_SIZE, "%s_%u", set_names[is_except][family], generation);
	else
		snprintf(out, NFT_NAME_SIZE, "%s", set_names[is_except][family]);
	return out;
}

void network_near_add_sets(const struct network_near *near, unsigned generation,
			   struct nft_batch *batch)
{
	char name[NFT_NAME_SIZE];

	for (unsigned family = 0; family < 2; family++) {
		const struct pieces *pieces = &near->addresses[family];

		if (!has_set(near, family))
			continue;
		nft_add_set(batch,
			    &(struct nft_set){
				    .name = name_set(near->is_except, family, generation, name),
				    .fields = {family ? NFT_TYPE_IPV6 : NFT_TYPE_IPV4},
				    .has_ranges = true,
			    });
		for (unsigned i = 0; i < pieces->count; i++) {
			uint8_t last[16];

			piece_last_address(&pieces->list[i], family ? 16 : 4, last);
			nft_set_add(batch, pieces->list[i].address, last);
		}
		nft_set_end(batch);
	}
}

static unsigned bit_of(bool is_except, unsigned family)
{
	return 1U << (is_except * 2 + family);
}

unsigned network_near_sets(const struct network_near *near)
{
	unsigned sets = 0;

	for (unsigned family = 0; family < 2; family++)
		if (has_set(near, family))
			sets |= bit_of(near->is_except, family);
	return sets;
}

void network_near_delete_sets(unsigned sets, unsigned generation, struct nft_batch *batch)
{
	char name[NFT_NAME_SIZE];

	for (unsigned is_except = 0; is_except < 2; is_except++)
		for (unsigned family = 0; family < 2; family++)
			if (sets & bit_of(is_except, family))
				nft_delete_set(batch,
					       name_set(is_except, family, generation, name));
}

void network_near_match(const struct network_near *near, unsigned family, bool is_ingress,
			unsigned generation, struct nft_batch *batch)
{
	const enum nft_side side = is_ingress ? NFT_DESTINATION : NFT_SOURCE;
	const struct piece *first = near->addresses[family].list;
	char name[NFT_NAME_SIZE];

	if (has_set(near, family))
		nft_match_addresses(batch, family_of[family], side,
				    name_set(near->is_except, family, generation, name));
	else if (first->prefix)
		nft_match_network(batch, family_of[family], side, first->address, first->prefix);
	else
		nft_match_family(batch, family_of[family]);
}

void network_near_add_rules(const struct network_near *near, bool is_ingress, unsigned generation,
			    const char *chain, struct nft_batch *batch)
{
	for (unsigned family = 0; family < 2; family++) {
		if (!near->addresses[family].count)
			continue;
		nft_rule_begin(batch, chain);
		network_near_match(near, family, is_ingress, generation, batch);
		nft_verdict(batch, NF_ACCEPT);
		nft_rule_end(batch, "except");
	}
}
