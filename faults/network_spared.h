/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is never affected of the packets in scope: rules of the nf_tables table. They stand behind
 * the scope and not before it, as six rules on each packet of everybody cost 130 ns (two
 * processors, 6.18).
 */
#ifndef SQUALL_NETWORK_SPARED_H
#define SQUALL_NETWORK_SPARED_H

#include "faults/network.h"

/* Which packets a step is about. */
struct network_selection {
	const struct params *params; /* of the target */
	struct network_scope *scope, *except;
};

/* `next` gets the rest. */
void network_spared_add_rules(const struct network_state *state,
			      const struct network_selection *which, bool is_ingress,
			      const char *chain, const char *next, struct nft_batch *batch);
/* What has been here. Also at egress: another fault's delay line may be injected before this one.
 */
void network_spared_pass_again(const struct network_state *state, const char *chain,
			       struct nft_batch *batch);

#endif
