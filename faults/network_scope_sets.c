/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The target's endpoints as nf_tables sets. A set is one lookup for any number of endpoints. A tree
 * takes all; of many, a hash of what they begin with stands before it, since most packets are none
 * of them, or in its place where it says all.
 */
#include "faults/network_scope.h"
#include "faults/network_scope_sets.h"

#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

/* From so many on a hash in place of the tree, which takes all to be of one length: for 100,000
 * networks 110 instead of 400 ns more a packet that is none of them, and 100 instead of 240 ms to
 * load; for one, 100 ns either way (6.18). Some may be cut in parts for it. */
#define HASH_FROM    16
#define COMPARED_MAX 3
#define PARTS_MAX    2 /* as many as there are networks */
/* From so many on a hash before the tree: it says no for nearly all that the tree would. What it
 * does not, other hashes ask instead of the tree, where they are so many at most. An element of a
 * tree takes the kernel two to three times as long, and a network is two of them. */
#define COVER_FROM  1024
#define LENGTHS_MAX 33

/* [is_except][family] */
static const char *const set_names[2][2][NETWORK_SCOPE_SETS] = {
	{{"to4", "to4_ports", "to4_begin"}, {"to6", "to6_ports", "to6_begin"}},
	{{"except4", "except4_ports", "except4_begin"},
	 {"except6", "except6_ports", "except6_begin"}}};
static const enum nft_type address_type[2] = {NFT_TYPE_IPV4, NFT_TYPE_IPV6};

/* A packet that does not begin like any of them is let pass at once: nothing that comes after them
 * may be about it. */
static bool may_sort(const struct network_scope *scope, unsigned family)
{
	const struct pieces *pieces = &scope->addresses[family];
	uint8_t seen[129] = {0};
	unsigned lengths = 0;

	for (unsigned i = 0; i < pieces->count; i++) {
		lengths += !seen[pieces->list[i].prefix];
		seen[pieces->list[i].prefix] = 1;
	}
	return lengths <= LENGTHS_MAX && !scope->is_except && !scope->services[family].count;
}

/* The more bits, the less is in it that is in none of them. */
int network_scope_make_hash(struct network_scope *scope, unsigned family)
{
	const struct pieces *pieces = &scope->addresses[family];
	unsigned longest = pieces_longest_prefix(pieces), count = pieces->count, prefix = longest;

	if (count < HASH_FROM)
		return 0;
	if (pieces_count_at(pieces, longest, count * PARTS_MAX) != UINT_MAX) {
		scope->hash[family] = HASH_IS_ALL;
	} else if (count >= COVER_FROM) {
		while (pieces_count_at(pieces, prefix, count) == UINT_MAX)
			prefix--;
		scope->hash[family] = !prefix			? HASH_NONE
				      : may_sort(scope, family) ? HASH_SORTS
								: HASH_COVERS;
	}
	if (scope->hash[family] == HASH_NONE)
		return 0;
	return pieces_cut_at(pieces, prefix, &scope->hashed[family]);
}

/* Of the first generation without a number. */
static const char *name_set(bool is_except, unsigned family, enum network_set set,
			    unsigned generation, char out[NFT_NAME_SIZE])
{
	const char *word = set_names[is_except][family][set];

	if (generation)
		snprintf(out, NFT_NAME_SIZE, "%s_%u", word, generation);
	else
		snprintf(out, NFT_NAME_SIZE, "%s", word);
	return out;
}

const char *network_scope_set_name(const struct network_scope *scope, unsigned family,
				   enum network_set set, char out[NFT_NAME_SIZE])
{
	return name_set(scope->is_except, family, set, scope->generation, out);
}

static void add_hash(const struct network_scope *scope, unsigned family, struct nft_batch *batch)
{
	const struct pieces *pieces = &scope->hashed[family];
	char name[NFT_NAME_SIZE];

	/* with the size the kernel takes the fast one, which does not grow */
	nft_add_set(batch, &(struct nft_set){
				   .name = network_scope_set_name(scope, family, SET_HASH, name),
				   .fields = {address_type[family]},
				   .size = pieces->count,
			   });
	for (unsigned i = 0; i < pieces->count; i++)
		nft_set_add(batch, pieces->list[i].address, NULL);
	nft_set_end(batch);
}

/* Each with its length in the place of a port. */
static void add_lengths(const struct network_scope *scope, unsigned family, struct nft_batch *batch)
{
	const struct pieces *pieces = &scope->addresses[family];
	const unsigned size = family ? 16 : 4;
	char name[NFT_NAME_SIZE];

	nft_add_set(batch,
		    &(struct nft_set){
			    .name = network_scope_set_name(scope, family, SET_ADDRESSES, name),
			    .fields = {address_type[family], NFT_TYPE_PORT},
			    .size = pieces->count,
		    });
	for (unsigned i = 0; i < pieces->count; i++) {
		const uint16_t length = htons(pieces->list[i].prefix);
		uint8_t key[20] = {0};

		memcpy(key, pieces->list[i].address, size);
		memcpy(key + size, &length, sizeof(length));
		nft_set_add(batch, key, NULL);
	}
	nft_set_end(batch);
}

static void add_tree(const struct network_scope *scope, unsigned family, bool has_ports,
		     struct nft_batch *batch)
{
	const struct pieces *pieces =
		has_ports ? &scope->services[family] : &scope->addresses[family];
	const unsigned size = family ? 16 : 4;
	char name[NFT_NAME_SIZE];

	nft_add_set(
		batch,
		&(struct nft_set){
			.name = network_scope_set_name(
				scope, family, has_ports ? SET_SERVICES : SET_ADDRESSES, name),
			.fields = {address_type[family], has_ports ? NFT_TYPE_PORT : NFT_TYPE_NONE},
			.has_ranges = true,
		});
	for (unsigned i = 0; i < pieces->count; i++) {
		const struct piece *piece = &pieces->list[i];
		uint16_t port_first = htons(piece->first), port_last = htons(piece->last);
		uint8_t first[20] = {0}, last[20] = {0}; /* the port is padded to 4 bytes */

		memcpy(first, piece->address, size);
		piece_last_address(piece, size, last);
		memcpy(first + size, &port_first, sizeof(port_first));
		memcpy(last + size, &port_last, sizeof(port_last));
		nft_set_add(batch, first, last);
	}
	nft_set_end(batch);
}

/* A few are compared one by one. One costs a packet that is none of them 90 ns, where a set costs
 * 220, and 100 with a port, where a set costs 350 (6.18). */
bool network_scope_are_few(const struct pieces *pieces)
{
	return pieces->count > 0 && pieces->count <= COMPARED_MAX &&
	       !pieces_are_whole_family(pieces);
}

bool network_scope_has_set(const struct network_scope *scope, unsigned family, enum network_set set)
{
	const struct pieces *addresses = &scope->addresses[family];

	if (scope->has_everything)
		return false;
	switch (set) {
	case SET_SERVICES:
		return scope->services[family].count &&
		       !network_scope_are_few(&scope->services[family]);
	case SET_HASH:
		return scope->hash[family] != HASH_NONE;
	default:
		return addresses->count && !network_scope_are_few(addresses) &&
		       !pieces_are_whole_family(addresses) && scope->hash[family] != HASH_IS_ALL;
	}
}

void network_scope_add_sets(const struct network_scope *scope, struct nft_batch *batch)
{
	for (unsigned family = 0; family < 2; family++) {
		if (network_scope_has_set(scope, family, SET_HASH))
			add_hash(scope, family, batch);
		if (scope->hash[family] == HASH_SORTS)
			add_lengths(scope, family, batch);
		else if (network_scope_has_set(scope, family, SET_ADDRESSES))
			add_tree(scope, family, false, batch);
		if (network_scope_has_set(scope, family, SET_SERVICES))
			add_tree(scope, family, true, batch);
	}
	network_near_add_sets(&scope->near, scope->generation, batch);
}

static unsigned bit_of(bool is_except, unsigned family, enum network_set set)
{
	return 1U << (NETWORK_NEAR_SETS + (is_except * 2 + family) * NETWORK_SCOPE_SETS + set);
}

unsigned network_scope_sets(const struct network_scope *scope)
{
	unsigned sets = network_near_sets(&scope->near);

	for (unsigned family = 0; family < 2; family++)
		for (enum network_set set = 0; set < NETWORK_SCOPE_SETS; set++)
			if (network_scope_has_set(scope, family, set))
				sets |= bit_of(scope->is_except, family, set);
	return sets;
}

void network_scope_delete_sets(unsigned sets, unsigned generation, struct nft_batch *batch)
{
	char name[NFT_NAME_SIZE];

	network_near_delete_sets(sets, generation, batch);
	for (unsigned is_except = 0; is_except < 2; is_except++)
		for (unsigned family = 0; family < 2; family++)
			for (enum network_set set = 0; set < NETWORK_SCOPE_SETS; set++)
				if (sets & bit_of(is_except, family, set))
					nft_delete_set(batch, name_set(is_except, family, set,
								       generation, name));
}
