/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Works on bytes alone and trusts none of them: every length is checked against what was read.
 */
#include "faults/delay_cut.h"

#include "faults/delay_packet.h"

#include <netinet/in.h>
#include <string.h>

#define IPV4_HEADER    20
#define IPV6_HEADER    40
#define TCP_HEADER     20
#define EXTENSIONS_MAX 8

enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, URG = 32, CWR = 128 };
/* TCP options that are calculated from the whole segment (RFC 2385, RFC 5925). */
enum { OPTION_END = 0, OPTION_NONE = 1, OPTION_MD5 = 19, OPTION_AUTHENTICATION = 29 };

static uint16_t get_16(const uint8_t *from)
{
	return (uint16_t)(from[0] << 8 | from[1]);
}

static void put_16(uint8_t *to, uint16_t value)
{
	to[0] = (uint8_t)(value >> 8);
	to[1] = (uint8_t)value;
}

/* The Internet's checksum (RFC 1071), in the machine's own order, four bytes at a time; all parts
 * but the last have an even length. */
static uint64_t add_bytes(uint64_t sum, const uint8_t *from, size_t size)
{
	uint32_t word;
	uint8_t last[2] = {0};
	uint16_t half;

	for (; size >= sizeof(word); size -= sizeof(word), from += sizeof(word)) {
		memcpy(&word, from, sizeof(word));
		sum += word;
	}
	if (size >= sizeof(half)) {
		memcpy(&half, from, sizeof(half));
		sum += half;
		from += sizeof(half);
		size -= sizeof(half);
	}
	if (size) {
		last[0] = *from;
		memcpy(&half, last, sizeof(half));
		sum += half;
	}
	return sum;
}

static uint16_t fold(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void put_sum(uint8_t *to, uint64_t sum)
{
	uint16_t value = fold(sum);

	memcpy(to, &value, sizeof(value));
}

/* Of the TCP segment of `size` bytes at `tcp`, with what its sum includes of the IP header. */
static uint64_t sum_tcp(const uint8_t *ip, bool is_ipv6, const uint8_t *tcp, size_t size)
{
	uint64_t sum = is_ipv6 ? add_bytes(0, ip + 8, 32) : add_bytes(0, ip + 12, 8);

	sum += htons(IPPROTO_TCP) + (uint64_t)htons((uint16_t)size);
	return add_bytes(sum, tcp, size);
}

/* Where the transport header is; 0: it is not TCP, or not whole. */
static size_t find_tcp4(const uint8_t *ip, size_t size, size_t *out_end)
{
	size_t header = size >= IPV4_HEADER ? (size_t)(ip[0] & 15) * 4 : 0;

	if (header < IPV4_HEADER || header > size || ip[9] != IPPROTO_TCP ||
	    get_16(ip + 6) & 0x3fff)
		return 0;
	*out_end = get_16(ip + 2);
	return header;
}

static size_t find_tcp6(const uint8_t *ip, size_t size, size_t *out_end)
{
	size_t at = IPV6_HEADER;
	uint8_t next;

	if (size < IPV6_HEADER)
		return 0;
	*out_end = IPV6_HEADER + (size_t)get_16(ip + 4);
	next = ip[6];
	for (unsigned i = 0; i < EXTENSIONS_MAX && at + 8 <= size; i++) {
		if (next == IPPROTO_TCP)
			return at;
		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS)
			return 0;
		next = ip[at];
		at += 8 + (size_t)ip[at + 1] * 8;
	}
	return 0;
}

static bool is_signed(const uint8_t *tcp, size_t header)
{
	size_t at = TCP_HEADER;

	while (at < header && tcp[at] != OPTION_END) {
		if (tcp[at] == OPTION_MD5 || tcp[at] == OPTION_AUTHENTICATION)
			return true;
		if (tcp[at] == OPTION_NONE)
			at++;
		else if (at + 1 < header && tcp[at + 1] >= 2)
			at += tcp[at + 1];
		else
			return true; /* not to be understood */
	}
	return false;
}

bool delay_cut_begin(struct delay_cut *cut, const void *packet, size_t length, enum tap_kind kind,
		     uint32_t size)
{
	const uint8_t *bytes = packet, *ip, *tcp;
	struct virtio_net_hdr virtio;
	size_t header, end = 0;

	*cut = (struct delay_cut){.packet = bytes, .size = size};
	if (length < sizeof(virtio) || !size)
		return false;
	memcpy(&virtio, packet, sizeof(virtio));
	if (virtio.gso_type != VIRTIO_NET_HDR_GSO_NONE && virtio.gso_size <= size)
		return false;
	cut->ip = delay_packet_find_ip(packet, length, kind);
	if (!cut->ip || cut->ip >= length)
		return false;
	ip = bytes + cut->ip;
	cut->is_ipv6 = ip[0] >> 4 == 6;
	if (!cut->is_ipv6 && ip[0] >> 4 != 4)
		return false;
	header = (cut->is_ipv6 ? find_tcp6 : find_tcp4)(ip, length - cut->ip, &end);
	cut->tcp = cut->ip + header;
	cut->end = cut->ip + end; /* without the padding of short frames */
	if (!header || cut->end > length || cut->tcp + TCP_HEADER > cut->end)
		return false;
	tcp = bytes + cut->tcp;
	header = (size_t)(tcp[12] >> 4) * 4;
	cut->payload = cut->at = cut->tcp + header;
	if (header < TCP_HEADER || cut->payload > cut->end || cut->end - cut->payload <= size ||
	    tcp[13] & (SYN | RST | URG) || is_signed(tcp, header))
		return false;
	return virtio.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM ||
	       fold(sum_tcp(ip, cut->is_ipv6, tcp, cut->end - cut->tcp)) == 0;
}

/* Its length, and that it is another one (as the kernel counts, inet_gso_segment()). */
static void finish_ip(const struct delay_cut *cut, uint8_t *ip, size_t size)
{
	if (cut->is_ipv6) {
		put_16(ip + 4, (uint16_t)(size - IPV6_HEADER));
		return;
	}
	put_16(ip + 2, (uint16_t)size);
	put_16(ip + 4, (uint16_t)(get_16(ip + 4) + cut->count));
	put_16(ip + 10, 0);
	put_sum(ip + 10, add_bytes(0, ip, (size_t)(ip[0] & 15) * 4));
}

static void finish_tcp(const struct delay_cut *cut, uint8_t *tcp, uint32_t before, bool is_last)
{
	uint32_t sequence = ((uint32_t)get_16(tcp + 4) << 16 | get_16(tcp + 6)) + before;

	put_16(tcp + 4, (uint16_t)(sequence >> 16));
	put_16(tcp + 6, (uint16_t)sequence);
	if (!is_last)
		tcp[13] &= (uint8_t) ~(FIN | PSH);
	if (cut->count)
		tcp[13] &= (uint8_t)~CWR;
	put_16(tcp + 16, 0);
}

size_t delay_cut_next(struct delay_cut *cut, void *out)
{
	uint8_t *to = out, *tcp = to + cut->tcp;
	size_t left = cut->end - cut->at, size = left < cut->size ? left : cut->size;

	if (!left)
		return 0;
	memcpy(to, cut->packet, cut->payload);
	memset(to, 0, TAP_HEADER_SIZE); /* nothing is left to be summed up or cut */
	memcpy(to + cut->payload, cut->packet + cut->at, size);
	finish_ip(cut, to + cut->ip, cut->payload - cut->ip + size);
	finish_tcp(cut, tcp, (uint32_t)(cut->at - cut->payload), size == left);
	put_sum(tcp + 16, sum_tcp(to + cut->ip, cut->is_ipv6, tcp, cut->payload - cut->tcp + size));
	cut->at += size;
	cut->count++;
	return cut->payload + size;
}
