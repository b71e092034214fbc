/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a packet must be for a rule to go on: the usual conditions, written as `nft` writes them, so
 * that it shows them in words. Between nft_rule_begin() and what is done (nft_expr.h); all of a
 * rule's conditions must hold. They use the first registers.
 */
#ifndef SQUALL_NFT_MATCH_H
#define SQUALL_NFT_MATCH_H

#include "injector/kernel/nft_batch.h"
#include "injector/kernel/nft_expr.h"

enum nft_side { NFT_SOURCE, NFT_DESTINATION };

/* AF_INET or AF_INET6; addresses imply it. */
void nft_match_family(struct nft_batch *batch, int family);
/* Neither of them: ARP and whatever else. Family netdev. */
void nft_match_not_ip(struct nft_batch *batch);
/* In network order; named sets of NFT_TYPE_IPV4 or NFT_TYPE_IPV6. */
void nft_match_address(struct nft_batch *batch, int family, enum nft_side side,
		       const void *address);
/* All addresses of a network; the bits behind the prefix are zero. */
void nft_match_network(struct nft_batch *batch, int family, enum nft_side side, const void *address,
		       unsigned prefix);
void nft_match_addresses(struct nft_batch *batch, int family, enum nft_side side, const char *set);
/* The same of the first `prefix` bits: the set has networks of that length, and no ranges. */
void nft_match_prefixes(struct nft_batch *batch, int family, enum nft_side side, unsigned prefix,
			const char *set);
/* None of them. */
void nft_match_other_prefixes(struct nft_batch *batch, int family, enum nft_side side,
			      unsigned prefix, const char *set);
/* The set has networks with their lengths, in the place of a port, of which this one is meant. */
void nft_match_length(struct nft_batch *batch, int family, enum nft_side side, unsigned prefix,
		      const char *set);
void nft_match_other_addresses(struct nft_batch *batch, int family, enum nft_side side,
			       const char *set);

/* IPPROTO_... One of them. */
void nft_match_protocols(struct nft_batch *batch, const uint8_t *protocols, unsigned count);
/* A protocol whose header begins with two ports: of others `th dport` would read other bytes. */
void nft_match_has_ports(struct nft_batch *batch);
/* Ports of the transport protocol: match one that has any before. In host order, ascending. */
struct nft_ports {
	uint16_t first, last;
};
void nft_match_ports(struct nft_batch *batch, enum nft_side side, const struct nft_ports *ranges,
		     unsigned count);
/* For what follows; ends the rule for a later fragment of a packet, which has no ports. */
void nft_load_port(struct nft_batch *batch, unsigned word, enum nft_side side);
/* Address and port of one side, in a set of NFT_TYPE_IPV4 (6) and NFT_TYPE_PORT. */
void nft_match_services(struct nft_batch *batch, int family, enum nft_side side, const char *set);
/* TCP, and one of these flags or more. */
void nft_match_tcp_flags(struct nft_batch *batch, uint8_t flags);
/* TCP, and of the mask just these. */
void nft_match_tcp_flags_are(struct nft_batch *batch, uint8_t mask, uint8_t flags);
/* The interface it leaves by. */
void nft_match_egress(struct nft_batch *batch, int interface_index);
/* ICMPv6 types. */
void nft_match_icmpv6(struct nft_batch *batch, uint8_t first, uint8_t last);

/* (mark & mask) == value; and to change the bits of the mask. */
void nft_match_mark(struct nft_batch *batch, uint32_t mask, uint32_t value);
void nft_set_mark(struct nft_batch *batch, uint32_t mask, uint32_t value);
/* The control group `id` (inode number), at its level below the root, or one in it, owns the
 * socket. Family inet. */
void nft_match_cgroup(struct nft_batch *batch, uint32_t level, uint64_t id);
/* A share of the packets, drawn for each; of the flows, the same for both directions. */
#define NFT_SHARE_ONE 1000000000U
void nft_match_packet_share(struct nft_batch *batch, uint32_t share);
void nft_match_flow_share(struct nft_batch *batch, uint32_t share);
/* Of the values that the first registers can have, `size` bytes: always the same ones of a seed. */
void nft_match_hash_share(struct nft_batch *batch, unsigned size, uint32_t seed, uint32_t share);
/* nft_hash.c: the same, said of one value. */
bool nft_hash_share_takes(const void *key, unsigned size, uint32_t seed, uint32_t share);

#endif
