/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Endpoints that overlap as pieces that do not: prefixes nest or are disjoint, so only port ranges
 * have to be cut.
 */
#ifndef SQUALL_NETWORK_PIECES_H
#define SQUALL_NETWORK_PIECES_H

#include <stdbool.h>
#include <stdint.h>

struct piece {
	uint8_t address[16];
	uint8_t prefix;
	uint16_t first, last; /* 0, 0: every port */
};

/* Its address is the first one of a network. `size`: 4 or 16. */
void piece_last_address(const struct piece *piece, unsigned size, uint8_t *out);

struct pieces {
	struct piece *list; /* owned */
	unsigned count;
};

/* -ENOMEM; -E2BIG: too many. */
int pieces_add(struct pieces *pieces, const struct piece *piece);
/* Sorts and drops what another piece contains. */
void pieces_make_disjoint(struct pieces *pieces);
/* Cuts every port range at the ends of all others, so that ranges are equal or disjoint. */
int pieces_cut_ports(struct pieces *pieces);
/* Those of exactly `prefix` bits that hold all of them, which are disjoint and without ports: each
 * part of what is shorter, one for all that is longer and begins the same. The count, or UINT_MAX
 * when it is more than `most`. */
unsigned pieces_count_at(const struct pieces *pieces, unsigned prefix, unsigned most);
/* `out` is empty before, and the caller's. -ENOMEM. */
int pieces_cut_at(const struct pieces *pieces, unsigned prefix, struct pieces *out);
/* Whether an address is in any of them. `address`: 4 or 16 bytes, as theirs are. */
bool pieces_hold(const struct pieces *pieces, const uint8_t *address);
unsigned pieces_longest_prefix(const struct pieces *pieces);
/* 0.0.0.0/0 or ::/0: sorted first, and then alone without ports. */
bool pieces_are_whole_family(const struct pieces *pieces);
/* Sorts and joins overlapping or touching port ranges; addresses are not looked at. */
void pieces_join_ranges(struct pieces *ranges);

#endif
