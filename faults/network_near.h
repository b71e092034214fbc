/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The addresses of this side that a scope is limited to, or leaves out: nf_tables sets of its
 * table, and what looks them up.
 */
#ifndef SQUALL_NETWORK_NEAR_H
#define SQUALL_NETWORK_NEAR_H

#include "faults/network_pieces.h"
#include "injector/base/params.h"
#include "injector/kernel/nft_batch.h"

#include <stdbool.h>

#define NETWORK_NEAR_SETS 4 /* bits */

struct network_near {
	struct pieces addresses[2]; /* IPv4, IPv6; owned */
	bool is_except;
};

/* Of zeros. -ENOMEM, -E2BIG. */
int network_near_fill(struct network_near *near, const struct params *target, bool is_except);
void network_near_free(struct network_near *near);

bool network_near_is_given(const struct network_near *near);
/* Is a packet of that family within the limit, if there is one? [0] IPv4, [1] IPv6 */
bool network_near_has(const struct network_near *near, unsigned family);

/* Names differ by the generation, as those of a scope. */
void network_near_add_sets(const struct network_near *near, unsigned generation,
			   struct nft_batch *batch);
unsigned network_near_sets(const struct network_near *near);
void network_near_delete_sets(unsigned sets, unsigned generation, struct nft_batch *batch);

/* In a rule: one of those of the family. */
void network_near_match(const struct network_near *near, unsigned family, bool is_ingress,
			unsigned generation, struct nft_batch *batch);
/* Rules that let pass what is left out. */
void network_near_add_rules(const struct network_near *near, bool is_ingress, unsigned generation,
			    const char *chain, struct nft_batch *batch);

#endif
