/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/kernel/nft_match.h"

#include <linux/if_ether.h>
#include <stdlib.h>

static uint16_t ether_type(int family)
{
	return htons(family == AF_INET ? ETH_P_IP : ETH_P_IPV6);
}

void nft_match_family(struct nft_batch *batch, int family)
{
	uint16_t type = ether_type(family);
	uint8_t number = family == AF_INET ? NFPROTO_IPV4 : NFPROTO_IPV6;

	if (batch->rule_family == family)
		return;
	batch->rule_family = family;
	if (batch->family == NFPROTO_INET) {
		nft_load_meta(batch, 0, NFT_META_NFPROTO);
		nft_compare(batch, 0, NFT_CMP_EQ, &number, sizeof(number));
	} else if (batch->family != number) {
		nft_load_meta(batch, 0, NFT_META_PROTOCOL);
		nft_compare(batch, 0, NFT_CMP_EQ, &type, sizeof(type));
	}
}

void nft_match_not_ip(struct nft_batch *batch)
{
	const uint16_t types[] = {ether_type(AF_INET), ether_type(AF_INET6)};

	nft_add_own_set(batch, NFT_TYPE_ETHER_TYPE, false, types, 2);
	nft_load_meta(batch, 0, NFT_META_PROTOCOL);
	nft_lookup_own(batch, 0, true);
}

/* Returns the next free register. */
static unsigned load_address(struct nft_batch *batch, int family, enum nft_side side)
{
	unsigned size = family == AF_INET ? 4 : 16;
	unsigned offset = family == AF_INET ? 12 : 8; /* of the source; the destination follows */

	nft_match_family(batch, family);
	nft_load_payload(batch, 0, NFT_PAYLOAD_NETWORK_HEADER,
			 offset + (side == NFT_DESTINATION ? size : 0), size);
	return size / 4;
}

void nft_load_port(struct nft_batch *batch, unsigned word, enum nft_side side)
{
	/* What is loaded in 1, 2 or 4 bytes is read as ports even where there are none, behind the
	 * IPv4 header of a later fragment (nft_payload_fast_eval() of Linux 6.18, measured). Three
	 * bytes are loaded by nft_payload_eval(), which ends the rule there. */
	nft_load_payload(batch, word, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 3);
	nft_load_payload(batch, word, NFT_PAYLOAD_TRANSPORT_HEADER, side == NFT_SOURCE ? 0 : 2, 2);
}

void nft_match_address(struct nft_batch *batch, int family, enum nft_side side, const void *address)
{
	unsigned words = load_address(batch, family, side);

	nft_compare(batch, 0, NFT_CMP_EQ, address, words * sizeof(uint32_t));
}

/* Its size in bytes. */
static size_t load_network(struct nft_batch *batch, int family, enum nft_side side, unsigned prefix)
{
	const uint8_t nothing[16] = {0};
	uint8_t mask[16] = {0};
	size_t size = family == AF_INET ? 4 : 16;

	for (unsigned bit = 0; bit < prefix; bit++)
		mask[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	load_address(batch, family, side);
	if (prefix < size * 8)
		nft_mask(batch, 0, mask, nothing, size);
	return size;
}

void nft_match_network(struct nft_batch *batch, int family, enum nft_side side, const void *address,
		       unsigned prefix)
{
	size_t size = load_network(batch, family, side, prefix);

	nft_compare(batch, 0, NFT_CMP_EQ, address, size);
}

void nft_match_prefixes(struct nft_batch *batch, int family, enum nft_side side, unsigned prefix,
			const char *set)
{
	load_network(batch, family, side, prefix);
	nft_lookup(batch, 0, set, false);
}

void nft_match_other_prefixes(struct nft_batch *batch, int family, enum nft_side side,
			      unsigned prefix, const char *set)
{
	load_network(batch, family, side, prefix);
	nft_lookup(batch, 0, set, true);
}

void nft_match_length(struct nft_batch *batch, int family, enum nft_side side, unsigned prefix,
		      const char *set)
{
	const uint16_t length = htons((uint16_t)prefix);
	size_t size = load_network(batch, family, side, prefix);

	nft_load_value(batch, (unsigned)size / 4, &length, sizeof(length));
	nft_lookup(batch, 0, set, false);
}

void nft_match_egress(struct nft_batch *batch, int interface_index)
{
	nft_load_meta(batch, 0, NFT_META_OIF);
	nft_compare_u32(batch, 0, NFT_CMP_EQ, (uint32_t)interface_index);
}

void nft_match_addresses(struct nft_batch *batch, int family, enum nft_side side, const char *set)
{
	load_address(batch, family, side);
	nft_lookup(batch, 0, set, false);
}

void nft_match_other_addresses(struct nft_batch *batch, int family, enum nft_side side,
			       const char *set)
{
	load_address(batch, family, side);
	nft_lookup(batch, 0, set, true);
}

void nft_match_services(struct nft_batch *batch, int family, enum nft_side side, const char *set)
{
	nft_load_port(batch, load_address(batch, family, side), side);
	nft_lookup(batch, 0, set, false);
}

void nft_match_protocols(struct nft_batch *batch, const uint8_t *protocols, unsigned count)
{
	if (count != 1)
		nft_add_own_set(batch, NFT_TYPE_PROTOCOL, false, protocols, count);
	nft_load_meta(batch, 0, NFT_META_L4PROTO);
	if (count != 1)
		nft_lookup_own(batch, 0, false);
	else
		nft_compare(batch, 0, NFT_CMP_EQ, protocols, 1);
}

void nft_match_has_ports(struct nft_batch *batch)
{
	static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_DCCP, IPPROTO_SCTP,
					    IPPROTO_UDPLITE};

	nft_match_protocols(batch, protocols, sizeof(protocols));
}

void nft_match_ports(struct nft_batch *batch, enum nft_side side, const struct nft_ports *ranges,
		     unsigned count)
{
	uint16_t(*ends)[2] = calloc(count ? count : 1, sizeof(*ends));

	if (!ends) {
		batch->request.is_broken = true;
		return;
	}
	for (unsigned i = 0; i < count; i++) {
		ends[i][0] = htons(ranges[i].first);
		ends[i][1] = htons(ranges[i].last);
	}
	if (count != 1)
		nft_add_own_set(batch, NFT_TYPE_PORT, true, ends, count);
	nft_load_port(batch, 0, side);
	if (count != 1) {
		nft_lookup_own(batch, 0, false);
	} else if (ranges->first == ranges->last) {
		nft_compare(batch, 0, NFT_CMP_EQ, &ends[0][0], sizeof(ends[0][0]));
	} else {
		nft_compare(batch, 0, NFT_CMP_GTE, &ends[0][0], sizeof(ends[0][0]));
		nft_compare(batch, 0, NFT_CMP_LTE, &ends[0][1], sizeof(ends[0][1]));
	}
	free(ends);
}

static void match_flags(struct nft_batch *batch, uint8_t mask, enum nft_cmp_ops op, uint8_t flags)
{
	const uint8_t tcp = IPPROTO_TCP, none = 0;

	nft_match_protocols(batch, &tcp, 1);
	nft_load_port(batch, 0, NFT_SOURCE); /* a later fragment has none of them */
	nft_load_payload(batch, 0, NFT_PAYLOAD_TRANSPORT_HEADER, 13, sizeof(mask));
	nft_mask(batch, 0, &mask, &none, sizeof(mask));
	nft_compare(batch, 0, op, &flags, sizeof(flags));
}

void nft_match_tcp_flags(struct nft_batch *batch, uint8_t flags)
{
	match_flags(batch, flags, NFT_CMP_NEQ, 0);
}

void nft_match_tcp_flags_are(struct nft_batch *batch, uint8_t mask, uint8_t flags)
{
	match_flags(batch, mask, NFT_CMP_EQ, flags);
}

void nft_match_icmpv6(struct nft_batch *batch, uint8_t first, uint8_t last)
{
	const uint8_t protocol = IPPROTO_ICMPV6;

	nft_match_family(batch, AF_INET6);
	nft_match_protocols(batch, &protocol, 1);
	nft_load_payload(batch, 0, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1);
	nft_compare(batch, 0, NFT_CMP_GTE, &first, 1);
	nft_compare(batch, 0, NFT_CMP_LTE, &last, 1);
}

void nft_match_mark(struct nft_batch *batch, uint32_t mask, uint32_t value)
{
	const uint32_t nothing = 0;

	nft_load_meta(batch, 0, NFT_META_MARK);
	if (mask != UINT32_MAX)
		nft_mask(batch, 0, &mask, &nothing, sizeof(mask));
	nft_compare_u32(batch, 0, NFT_CMP_EQ, value);
}

void nft_set_mark(struct nft_batch *batch, uint32_t mask, uint32_t value)
{
	const uint32_t others = ~mask;

	if (mask == UINT32_MAX) {
		nft_load_value(batch, 0, &value, sizeof(value));
	} else {
		nft_load_meta(batch, 0, NFT_META_MARK);
		nft_mask(batch, 0, &others, &value, sizeof(value));
	}
	nft_store_meta(batch, NFT_META_MARK, 0);
}

void nft_match_cgroup(struct nft_batch *batch, uint32_t level, uint64_t id)
{
	nft_load_cgroup(batch, 0, level);
	nft_compare(batch, 0, NFT_CMP_EQ, &id, sizeof(id));
}

/* The number is in host order, and compared byte by byte. */
static void compare_share(struct nft_batch *batch, uint32_t share)
{
	nft_to_network_order(batch, 0);
	nft_compare_u32(batch, 0, NFT_CMP_LT, htonl(share));
}

void nft_match_packet_share(struct nft_batch *batch, uint32_t share)
{
	nft_load_random(batch, 0, NFT_SHARE_ONE);
	compare_share(batch, share);
}

void nft_match_flow_share(struct nft_batch *batch, uint32_t share)
{
	nft_load_flow_hash(batch, 0, NFT_SHARE_ONE);
	compare_share(batch, share);
}

void nft_match_hash_share(struct nft_batch *batch, unsigned size, uint32_t seed, uint32_t share)
{
	nft_load_hash(batch, 0, 0, size, NFT_SHARE_ONE, seed);
	compare_share(batch, share);
}
