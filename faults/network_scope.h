/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which packets a network fault is about, in rules of nf_tables.
 */
#ifndef SQUALL_NETWORK_SCOPE_H
#define SQUALL_NETWORK_SCOPE_H

#include "faults/target.h"
#include "injector/kernel/nft_batch.h"

#include <stdbool.h>
#include <stdint.h>

/* The name of a chain. */
#define NETWORK_CHAIN_SIZE 24

struct network_state;

/* network_scope.c: which packets, or which of them not (`is_except`). Sets of the target's
 * endpoints, once a table and generation ... */
struct network_scope;
int network_scope_new(const struct params *target, bool is_except, unsigned generation,
		      struct network_scope **out, struct error *err);
void network_scope_free(struct network_scope *scope);
void network_scope_add_sets(const struct network_scope *scope, struct nft_batch *batch);
/* Which sets that are, as bits, and how they go. */
unsigned network_scope_sets(const struct network_scope *scope);
void network_scope_delete_sets(unsigned sets, unsigned generation, struct nft_batch *batch);
/* ... and the rules of a chain that use them, each going on in chain `action`; NULL: each letting
 * the packet pass. */
void network_scope_add_rules(const struct network_scope *scope, bool is_ingress, const char *chain,
			     const char *action, struct nft_batch *batch);

/* Whether such packets may be among those in scope: what cannot be is not left out once more. */
bool network_scope_meets_not_ip(const struct network_scope *scope);
bool network_scope_meets_discovery(const struct network_scope *scope); /* of IPv6 neighbours */
bool network_scope_meets_address(const struct network_scope *scope, int family,
				 const uint8_t *address);

/* network_pick.c: of those, one VLAN, a share of the flows, flows that have carried so much, or
 * packets with certain TCP flags. */
struct network_pick {
	uint16_t vlan; /* 0: any */
	struct target_flags tcp_flags;
	uint64_t after_bytes; /* of each flow; 0: from the first packet on */
	bool has_share;	      /* parts per billion of the flows, drawn by the seed */
	bool by_address;      /* of the far addresses */
	uint32_t share, seed;
};
struct network_pick network_pick_of(const struct network_state *state, const struct target *target);
/* What is not IP has no flow. */
static inline bool network_pick_takes_not_ip(const struct network_pick *pick)
{
	return !pick->has_share && !pick->after_bytes && !pick->tcp_flags.mask;
}
/* Once a table. */
void network_pick_add_sets(const struct network_pick *pick, struct nft_batch *batch);
/* Adds what comes before chain `chain` (which is there), and names there what rules now go to. */
void network_pick_add(const struct network_pick *pick, bool is_ingress, unsigned at,
		      char chain[NETWORK_CHAIN_SIZE], struct nft_batch *batch);
void network_pick_delete(const struct network_pick *pick, unsigned at, struct nft_batch *batch);
/* The name alone. */
void network_pick_name(const struct network_pick *pick, unsigned at,
		       char chain[NETWORK_CHAIN_SIZE]);

/* A TCP connection of this side's is of the share: by the rules of nf_tables, or by a program
 * behind a gate (network_gate_share.c), which draw differently. */
struct connection;
bool network_pick_takes(const struct network_pick *pick, const struct connection *connection);
bool gate_share_takes(const struct network_pick *pick, const struct connection *connection);

/* Near and far address and, if it has any, port into the first registers; how many words. */
unsigned network_flow_load(struct nft_batch *batch, int family, bool is_ingress, bool has_ports);

#endif
