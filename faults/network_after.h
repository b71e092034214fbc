/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * after-bytes: which flows have carried so much, see network_after.c.
 */
#ifndef SQUALL_NETWORK_AFTER_H
#define SQUALL_NETWORK_AFTER_H

#include "faults/network.h"

/* Flows whose bytes are counted at a time: of each family, in a table; of both, in a map. The
 * kernel allocates what is used of a set (about 150 bytes each), and a whole map (8 MB). */
#define NETWORK_AFTER_FLOWS    200000
#define NETWORK_AFTER_MAP      65536
#define NETWORK_AFTER_FORGET_S (5 * 60)

/* Once a table; nothing where it is not asked for. */
void network_after_add_sets(const struct network_pick *pick, struct nft_batch *batch);
/* A new chain, which lets go on to `next` what is met. Counter full<at> is there. */
void network_after_add(const struct network_pick *pick, bool is_ingress, unsigned at,
		       const char *chain, const char *next, struct nft_batch *batch);

/* When the hook is chosen. -EOPNOTSUPP, -ENOENT: this kernel cannot. */
int network_after_plan(const struct network_state *state, struct plan *plan, struct error *err);
/* Which of the traffic that is. */
int network_after_list(const struct params *params, struct plan *plan);

/* network_after_program.c: the same for the programs of a gate. A fresh map; -1: none is needed. */
int network_after_new_map(const struct network_state *state, int *out_map_fd, struct error *err);
struct gate_writer;
/* To `miss` with what is not met yet. */
void network_after_match(struct gate_writer *w, int family);

#endif
