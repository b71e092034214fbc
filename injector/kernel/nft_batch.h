/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A transaction of nf_tables, as the netlink messages that the kernel takes: all of it or nothing.
 * Encoded here and not by libnftables, whose parser and caches cost a millisecond a commit and
 * eight shared libraries a start; what it would write, and how `nft` reads it back, is followed
 * closely, so that an operator sees ordinary rules.
 *
 *     struct nft_batch batch;
 *     nft_batch_begin(&batch);
 *     nft_table(&batch, NFPROTO_NETDEV, "squall_x_1", "squall run x step 1");
 *     nft_add_hook_chain(&batch, &(struct nft_hook_chain){...});
 *     nft_rule_begin(&batch, "out0");
 *     nft_match_...(&batch, ...);       what the packet must be (nft_match.h)
 *     nft_verdict(&batch, NF_DROP);     what becomes of it (nft_expr.h)
 *     nft_rule_end(&batch, "loss 100%");
 *     result = nft_commit(netlink, &batch, err);
 *
 * Whatever fails while it is built (memory, misuse) is kept and reported by nft_commit().
 */
#ifndef SQUALL_NFT_BATCH_H
#define SQUALL_NFT_BATCH_H

#include "injector/base/error.h"
#include "injector/kernel/netlink.h"

#include <stdbool.h>
#include <stdint.h>

#define NFT_NAME_SIZE 64 /* of tables, chains, sets and counters, with the final zero */

#define NFT_FIELDS_MAX 5
#define NFT_KEY_MAX    64 /* bytes; fields are padded to 4 */

struct nft_batch {
	struct netlink_request request; /* whole messages */
	struct netlink_request rule;	/* the one being written */
	int rule_family;		/* it has matched already; 0: none */
	uint8_t family;			/* of the table in use, NFPROTO_... */
	bool is_refilled;		/* the table has its chains, and gets other rules */
	char table[NFT_NAME_SIZE];
	struct {
		char name[NFT_NAME_SIZE];
		uint32_t id; /* the last one */
		unsigned key_size;
		bool has_ranges, is_joining, has_pending, is_written;
		uint8_t first[NFT_KEY_MAX], last[NFT_KEY_MAX];
	} set; /* the one being written */
};

void nft_batch_begin(struct nft_batch *batch);
/* Throws an unsent batch away. */
void nft_batch_drop(struct nft_batch *batch);
/* Consumes the batch in every case. A failure is the kernel's, with its sentence and the object
 * that it is about, and nothing was changed. Nothing in it: 0, and the kernel is not asked. */
int nft_commit(struct netlink *netlink, struct nft_batch *batch, struct error *err);

/* A new table (one that exists is an error), owned by the socket that commits it: it vanishes when
 * that is closed, by netlink_close() or by the death of the process. Everything after it goes into
 * it, up to the next. The comment is for people; NULL: none. */
void nft_add_table(struct nft_batch *batch, uint8_t family, const char *name, const char *comment);
/* A table that is there already is the one that the following is about. */
void nft_use_table(struct nft_batch *batch, uint8_t family, const char *name);
/* The same, and it is to have other rules: all that it has are taken out, and the chains that the
 * following adds are those that it has. A packet meets the old ones or the new ones. */
void nft_refill_table(struct nft_batch *batch, uint8_t family, const char *name);
void nft_delete_table(struct nft_batch *batch, uint8_t family, const char *name);

/* A chain that rules jump or go to. It must be there before they do. */
void nft_add_chain(struct nft_batch *batch, const char *name);
struct nft_hook_chain {
	const char *name;
	uint32_t hook; /* NF_NETDEV_EGRESS, NF_INET_LOCAL_OUT, ... */
	int32_t priority;
	const char *device; /* family netdev; NULL otherwise */
	const char *type;   /* NULL: "filter" */
};
/* A chain that packets come to at a hook; what it does not decide is accepted. */
void nft_add_hook_chain(struct nft_batch *batch, const struct nft_hook_chain *chain);
/* With its rules; nothing else may go to it. */
void nft_delete_chain(struct nft_batch *batch, const char *name);
/* Takes the rules out of a chain. */
void nft_flush_chain(struct nft_batch *batch, const char *name);
void nft_add_counter(struct nft_batch *batch, const char *name);

void nft_rule_begin(struct nft_batch *batch, const char *chain);
void nft_rule_end(struct nft_batch *batch, const char *comment);

/* What a set holds; the numbers are those by which nft knows how to print them (datatype.h). */
enum nft_type {
	NFT_TYPE_NONE = 0,
	NFT_TYPE_IPV4 = 7,
	NFT_TYPE_IPV6 = 8,
	NFT_TYPE_ETHER_TYPE = 10,
	NFT_TYPE_PROTOCOL = 12,
	NFT_TYPE_PORT = 13,
	NFT_TYPE_MARK = 19,
};

struct nft_set {
	const char *name;
	enum nft_type fields[NFT_FIELDS_MAX]; /* more than one: a concatenation */
	bool has_ranges;		      /* else single values, found by a hash */
	bool is_dynamic;		      /* filled by rules (nft_remember()) */
	uint32_t size;			      /* most entries of a dynamic one */
	uint64_t timeout_ms;		      /* after which it forgets an entry */
};
/* Before the rules that look it up, and not while a rule is being written. */
void nft_add_set(struct nft_batch *batch, const struct nft_set *set);
/* Nothing may look it up any more, and what did is gone before it in this transaction. */
void nft_delete_set(struct nft_batch *batch, const char *name);
/* Into the set that was added last: the values from `first` to `last` (NULL: the one value), in
 * network order; fields of a concatenation padded to 4 bytes, as in registers. Ranges of one field
 * are given in ascending order and joined when they touch or overlap; those of a concatenation must
 * be disjoint. Any number of them. */
void nft_set_add(struct nft_batch *batch, const void *first, const void *last);
void nft_set_end(struct nft_batch *batch);

/* While a rule is being written: a set of its own for nft_lookup_own(). `values`: `count` of the
 * type's size each; pairs of first and last, ascending, if `has_ranges`. */
void nft_add_own_set(struct nft_batch *batch, enum nft_type type, bool has_ranges,
		     const void *values, unsigned count);

#endif
