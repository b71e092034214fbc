/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/network_pieces.h"

#include "injector/base/cleanup.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define PIECES_MAX 1000000 /* after cutting port ranges; memory, not meaning, is the limit */

int pieces_add(struct pieces *pieces, const struct piece *piece)
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
void pieces_make_disjoint(struct pieces *pieces)
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

int pieces_cut_ports(struct pieces *pieces)
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
			result = pieces_add(&cut, &piece);
		}
	}
	free(pieces->list);
	*pieces = cut;
	return result;
}

/* The first `prefix` bits of it, and zeros. */
static struct piece beginning(const struct piece *piece, unsigned prefix)
{
	struct piece out = *piece;

	out.prefix = (uint8_t)prefix;
	for (unsigned i = 0; i < sizeof(out.address); i++) {
		unsigned kept = prefix > i * 8 ? prefix - i * 8U : 0;

		out.address[i] &= kept < 8 ? (uint8_t) ~(0xff >> kept) : 0xff;
	}
	return out;
}

/* Neighbours: what begins the same follows one another, in what is sorted and disjoint. */
static bool begins_as_before(const struct pieces *pieces, unsigned i, unsigned prefix)
{
	struct piece outer = pieces->list[i];

	outer.prefix = (uint8_t)prefix;
	return i > 0 && pieces->list[i].prefix > prefix && pieces->list[i - 1].prefix > prefix &&
	       contains(&outer, &pieces->list[i - 1]);
}

unsigned pieces_count_at(const struct pieces *pieces, unsigned prefix, unsigned most)
{
	unsigned count = 0;

	for (unsigned i = 0; i < pieces->count && count <= most; i++) {
		unsigned own = pieces->list[i].prefix;

		if (own < prefix)
			count = prefix - own < 31 ? count + (1U << (prefix - own)) : UINT_MAX;
		else
			count += !begins_as_before(pieces, i, prefix);
	}
	return count <= most ? count : UINT_MAX;
}

/* The next network of the same length: one more in its last bit. */
static void step(struct piece *piece)
{
	unsigned bit = piece->prefix - 1U, at = bit / 8, carry = 0x80U >> bit % 8;

	for (; carry; at--) {
		carry += piece->address[at];
		piece->address[at] = (uint8_t)carry;
		carry >>= 8;
		if (at == 0)
			return;
	}
}

int pieces_cut_at(const struct pieces *pieces, unsigned prefix, struct pieces *out)
{
	int result = 0;

	for (unsigned i = 0; result == 0 && i < pieces->count; i++) {
		struct piece part = beginning(&pieces->list[i], prefix);
		unsigned own = pieces->list[i].prefix,
			 parts = own < prefix ? 1U << (prefix - own) : 1;

		if (begins_as_before(pieces, i, prefix))
			continue;
		for (; result == 0 && parts; parts--) {
			result = pieces_add(out, &part);
			step(&part);
		}
	}
	return result;
}

void pieces_join_ranges(struct pieces *ranges)
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

bool pieces_hold(const struct pieces *pieces, const uint8_t *address)
{
	for (unsigned i = 0; i < pieces->count; i++) {
		const struct piece *piece = &pieces->list[i];
		const unsigned whole = piece->prefix / 8;
		const uint8_t mask = (uint8_t)(0xff00 >> piece->prefix % 8);

		if (memcmp(piece->address, address, whole) == 0 &&
		    (!mask || ((piece->address[whole] ^ address[whole]) & mask) == 0))
			return true;
	}
	return false;
}

unsigned pieces_longest_prefix(const struct pieces *pieces)
{
	unsigned longest = 0;

	for (unsigned i = 0; i < pieces->count; i++)
		if (pieces->list[i].prefix > longest)
			longest = pieces->list[i].prefix;
	return longest;
}

bool pieces_are_whole_family(const struct pieces *pieces)
{
	return pieces->count > 0 && pieces->list[0].prefix == 0;
}

void piece_last_address(const struct piece *piece, unsigned size, uint8_t *out)
{
	for (unsigned i = 0; i < size; i++) {
		unsigned fixed = piece->prefix > i * 8 ? piece->prefix - i * 8U : 0;

		out[i] = piece->address[i] | (fixed < 8 ? 0xff >> fixed : 0);
	}
}
