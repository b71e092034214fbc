/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The nf_tables table of a step, and the chains of each of its paths in there.
 */
#ifndef SQUALL_NETWORK_TABLE_H
#define SQUALL_NETWORK_TABLE_H

#include "faults/network.h"

/* What the transaction that starts the effect adds. */
int network_table_add(struct network_state *state, const struct target *target, const char *run_id,
		      unsigned step, struct nft_batch *batch, struct error *err);
/* Takes the chains away that packets come to; what a delay line still gives back finds its way. */
int network_table_cut(struct network_state *state, struct error *err);
/* The rest of it. */
int network_table_remove(struct network_state *state, struct error *err);
/* state->effect.at has changed: the loss of a NETWORK_FILTER step. */
int network_table_change(struct network_state *state, struct error *err);

/* One more path in a table that is there; one less: packets come by it no more, and what is left
 * for what a delay line gives back. What is gone already is no error. */
int network_table_add_path(struct network_state *state, const struct target *target, unsigned at,
			   struct error *err);
int network_table_cut_path(struct network_state *state, const struct target *target, unsigned at);
void network_table_remove_path(struct network_state *state, unsigned at);

/* The chain that packets of a path come to first. */
const char *network_table_chain(const struct network_path *path, unsigned at,
				char out[NETWORK_CHAIN_SIZE]);

/* The target's endpoints are others now. */
int network_table_follow(struct network_state *state, const struct target *target,
			 struct error *err);

#endif
