/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/delay_packet.h"

#include "faults/delay_return.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <string.h>

#define ECN_MASK 3
#define ECN_CE	 3

uint64_t delay_packet_wire_length(const void *packet, size_t length, size_t tag)
{
	struct virtio_net_hdr header;
	uint64_t bytes, payload, segments;

	if (length < sizeof(header) + tag)
		return 0;
	memcpy(&header, packet, sizeof(header));
	bytes = length - sizeof(header);
	if (header.gso_type == VIRTIO_NET_HDR_GSO_NONE || !header.gso_size ||
	    header.hdr_len >= bytes)
		return bytes - tag;
	payload = bytes - header.hdr_len;
	segments = (payload + header.gso_size - 1) / header.gso_size;
	return payload + segments * (header.hdr_len > tag ? header.hdr_len - tag : 0);
}

uint32_t delay_packet_bits(size_t length, size_t tag)
{
	return length > TAP_HEADER_SIZE + tag ? (uint32_t)(length - TAP_HEADER_SIZE - tag) * 8 : 0;
}

void delay_packet_damage(void *packet, size_t length, size_t tag, uint32_t draw)
{
	size_t at = draw / 8;

	if (at >= DELAY_TAG_AT)
		at += tag;
	if (draw < delay_packet_bits(length, tag))
		((uint8_t *)packet)[TAP_HEADER_SIZE + at] ^= (uint8_t)(1U << draw % 8);
}

size_t delay_packet_find_ip(const void *packet, size_t length, enum tap_kind kind)
{
	const uint8_t *bytes = packet;
	size_t at = TAP_HEADER_SIZE + 12;
	uint16_t type = 0;

	if (kind == TAP_IP)
		return TAP_HEADER_SIZE;
	for (unsigned tags = 0; tags < 3 && at + 2 <= length; tags++) {
		memcpy(&type, bytes + at, sizeof(type));
		type = ntohs(type);
		if (type != ETH_P_8021Q && type != ETH_P_8021AD)
			break;
		at += 4;
	}
	return type == ETH_P_IP || type == ETH_P_IPV6 ? at + 2 : 0;
}

/* The sum of an IPv4 header whose 16-bit word changed (RFC 1624, equation 3). */
static void update_sum(uint8_t *sum, uint16_t old_word, uint16_t new_word)
{
	uint16_t value;
	uint32_t total;

	memcpy(&value, sum, sizeof(value));
	total = (uint16_t)~ntohs(value) + (uint32_t)(uint16_t)~old_word + new_word;
	total = (total & 0xffff) + (total >> 16);
	total = (total & 0xffff) + (total >> 16);
	value = htons((uint16_t)~total);
	memcpy(sum, &value, sizeof(value));
}

bool delay_packet_mark(void *packet, size_t length, enum tap_kind kind)
{
	uint8_t *bytes = packet, *ip;
	size_t at = delay_packet_find_ip(bytes, length, kind);
	uint16_t old_word;

	if (!at || at + 20 > length)
		return false;
	ip = bytes + at;
	if (ip[0] >> 4 == 6) { /* the traffic class lies across two bytes */
		if (!(ip[1] >> 4 & ECN_MASK))
			return false;
		ip[1] |= ECN_CE << 4;
		return true;
	}
	if (ip[0] >> 4 != 4 || !(ip[1] & ECN_MASK))
		return false;
	old_word = (uint16_t)(ip[0] << 8 | ip[1]);
	ip[1] |= ECN_CE;
	update_sum(ip + 10, old_word, (uint16_t)(ip[0] << 8 | ip[1]));
	return true;
}
