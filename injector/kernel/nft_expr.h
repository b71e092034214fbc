/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The expressions of a rule, one function each, between nft_rule_begin() and nft_rule_end(). They
 * are the instructions of a small machine: load into a register, change, compare, decide; a
 * comparison that does not hold ends the rule. Most rules are written more shortly with
 * nft_match.h.
 *
 * A register is named by its number of 32-bit words, 0 to 15; a value takes as many as it needs.
 * The fields of a concatenation stand in a row, each padded to a word.
 */
#ifndef SQUALL_NFT_EXPR_H
#define SQUALL_NFT_EXPR_H

#include "injector/kernel/nft_batch.h"

#include <netinet/in.h> /* before linux/: they share types */

#include <linux/netfilter.h> /* NF_ACCEPT, NF_DROP, hooks */
#include <linux/netfilter/nf_tables.h>
#include <stddef.h>

/* Loading. What is not in the packet does not match. */
void nft_load_payload(struct nft_batch *batch, unsigned word, enum nft_payload_bases base,
		      unsigned offset, unsigned size);
void nft_load_meta(struct nft_batch *batch, unsigned word, enum nft_meta_keys key);
void nft_load_ct(struct nft_batch *batch, unsigned word, enum nft_ct_keys key);
/* The number (inode) of the control group that owns the packet's socket, 64 bits; that of its
 * ancestor so many levels below the root. Not in family netdev. */
void nft_load_cgroup(struct nft_batch *batch, unsigned word, uint32_t level);
void nft_load_value(struct nft_batch *batch, unsigned word, const void *value, size_t size);
/* Numbers from 0 to modulus - 1, in host order: a new one for each packet, ... */
void nft_load_random(struct nft_batch *batch, unsigned word, uint32_t modulus);
/* ... one for each flow, the same in both directions, ... */
void nft_load_flow_hash(struct nft_batch *batch, unsigned word, uint32_t modulus);
/* ... one for each value of `size` bytes in register `source`. */
void nft_load_hash(struct nft_batch *batch, unsigned word, unsigned source, unsigned size,
		   uint32_t modulus, uint32_t seed);

/* Changing: (value & mask) ^ flip. */
void nft_mask(struct nft_batch *batch, unsigned word, const void *mask, const void *flip,
	      size_t size);
void nft_to_network_order(struct nft_batch *batch, unsigned word);

/* Comparing, as memcmp() does. */
void nft_compare(struct nft_batch *batch, unsigned word, enum nft_cmp_ops op, const void *value,
		 size_t size);
void nft_compare_u32(struct nft_batch *batch, unsigned word, enum nft_cmp_ops op, uint32_t value);
/* It is in the set, or not. */
void nft_lookup(struct nft_batch *batch, unsigned word, const char *set, bool is_inverted);
/* In that of nft_add_own_set(), just before. */
void nft_lookup_own(struct nft_batch *batch, unsigned word, bool is_inverted);
/* So many packets a second and no more match; or those beyond, if `is_over`. */
void nft_limit(struct nft_batch *batch, uint64_t packets_per_second, uint32_t burst, bool is_over);

/* Doing. */
void nft_count(struct nft_batch *batch, const char *counter);
void nft_store_meta(struct nft_batch *batch, enum nft_meta_keys key, unsigned word);
void nft_store_ct(struct nft_batch *batch, enum nft_ct_keys key, unsigned word);
/* Adds what is in the register to a dynamic set, or renews it. 0: the set's own timeout. */
void nft_remember(struct nft_batch *batch, unsigned word, const char *set, uint64_t timeout_ms);

/* Adds the packet to the bytes of the one in the register, in a dynamic set, which it renews; goes
 * on if these are more than `bytes`. Ends the rule if not, or where the set has no room for it. */
void nft_remember_bytes(struct nft_batch *batch, unsigned word, const char *set, uint64_t bytes);

/* Deciding. */
void nft_verdict(struct nft_batch *batch, int verdict); /* NF_ACCEPT, NF_DROP, NFT_RETURN */
void nft_go_to(struct nft_batch *batch, const char *chain);
void nft_jump_to(struct nft_batch *batch, const char *chain);
/* To a device of the same namespace; a copy of it. Family netdev. */
void nft_forward(struct nft_batch *batch, int interface_index);
void nft_duplicate(struct nft_batch *batch, int interface_index);
/* Of family ip, before routing: sends a copy out by a device, to a neighbour (network order). */
void nft_duplicate_to(struct nft_batch *batch, uint32_t address, int interface_index);
/* To whoever listens on that queue (packet_queue.h), who decides; nobody: it is dropped. By the
 * expression of nf_tables, or by the target of iptables, which some kernels have alone. */
void nft_queue(struct nft_batch *batch, uint16_t number);
void nft_queue_by_target(struct nft_batch *batch, uint16_t number);
/* Of family inet: NFT_REJECT_TCP_RST, or NFT_REJECT_ICMPX_UNREACH with NFT_REJECT_ICMPX_... */
void nft_reject(struct nft_batch *batch, enum nft_reject_types type, uint8_t code);
/* To a local port (one that is free for this flow, of several) on the loopback address; in a chain
 * of type "nat". The packet's transport protocol must have been matched. */
void nft_redirect(struct nft_batch *batch, uint16_t first, uint16_t last);

#endif
