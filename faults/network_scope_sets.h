/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * network_scope.c and network_scope_sets.c: what is in a scope, and by which sets that is asked.
 */
#ifndef SQUALL_NETWORK_SCOPE_SETS_H
#define SQUALL_NETWORK_SCOPE_SETS_H

#include "faults/network_near.h"
#include "faults/network_pieces.h"
#include "injector/kernel/nft_batch.h"

enum network_hash {
	HASH_NONE,
	HASH_COVERS, /* what is in none of them is not in the tree */
	HASH_SORTS,  /* nor in the hash of networks with their lengths, which is asked for each
			length */
	HASH_IS_ALL, /* there is no tree */
};

/* [0] IPv4, [1] IPv6 */
struct network_scope {
	struct pieces addresses[2]; /* without ports */
	struct pieces services[2];  /* with ports */
	struct pieces hashed[2];    /* instead of, or in front of `addresses`; all of one length */
	enum network_hash hash[2];
	struct pieces any_ports;   /* first, last only: of "*:PORT" */
	struct pieces local_ports; /* first, last only; what is left out by them needs no more */
	struct network_near near;
	bool has_everything; /* "*" */
	bool is_except;	     /* what is left out: accepted, whatever the protocol */
	unsigned generation; /* of its sets, see network_scope_set_name() */
	uint8_t protocols[TRAFFIC_PROTOCOLS_MAX]; /* of the transport, any of them */
	unsigned protocol_count;		  /* 0: all */
};

enum network_set { SET_ADDRESSES, SET_SERVICES, SET_HASH, NETWORK_SCOPE_SETS };

/* Once the endpoints are disjoint. -ENOMEM. */
int network_scope_make_hash(struct network_scope *scope, unsigned family);
/* Compared one by one, without a set. */
bool network_scope_are_few(const struct pieces *pieces);
bool network_scope_has_set(const struct network_scope *scope, unsigned family,
			   enum network_set set);
const char *network_scope_set_name(const struct network_scope *scope, unsigned family,
				   enum network_set set, char out[NFT_NAME_SIZE]);

#endif
