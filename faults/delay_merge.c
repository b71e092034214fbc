/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See delay_merge.h. The kernel cuts such a packet in __udp_gso_segment() (net/ipv4/udp_offload.c)
 * and inet_gso_segment() (net/ipv4/af_inet.c): all parts of one size but the last, the headers
 * those of the whole, IPv4 identifications counted up from the first, sums computed. Datagrams
 * whose identification does not count up (those of an unconnected socket have 0) stay alone.
 */
#include "faults/delay_merge.h"

#include <arpa/inet.h>
#include <linux/ip.h>
#include <netinet/in.h>
#include <string.h>

#define IPV4_HEADER (sizeof(struct iphdr))
#define UDP_HEADER  (sizeof(struct udphdr))
#define TOTAL_MAX   65535U

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4 /* <linux/virtio_net.h> of kernel 6.2 */
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

static uint16_t get_16(const unsigned char *from)
{
	return (uint16_t)(from[0] << 8 | from[1]);
}

static void put_16(unsigned char *to, size_t value)
{
	to[0] = (unsigned char)(value >> 8);
	to[1] = (unsigned char)value;
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static uint16_t sum_of(const unsigned char *from, size_t size)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < size; i += 2)
		sum += get_16(from + i);
	return fold(sum);
}

/* The sum of the pseudo header, which stands in the field until the device finishes it, without the
 * length: the same for all datagrams of a flow. */
static uint16_t sum_beside_length(const unsigned char *udp)
{
	return fold((uint32_t)get_16(udp + 6) + (uint16_t)~get_16(udp + 4));
}

static bool is_single(const void *packet, size_t udp)
{
	struct virtio_net_hdr header;

	memcpy(&header, packet, sizeof(header));
	return header.flags == VIRTIO_NET_HDR_F_NEEDS_CSUM &&
	       header.gso_type == VIRTIO_NET_HDR_GSO_NONE &&
	       header.csum_start == udp - TAP_HEADER_SIZE &&
	       header.csum_offset == offsetof(struct udphdr, check);
}

/* Plain IPv4 or IPv6 with UDP in it, its lengths true, its sums as they should be. */
static bool read_headers(struct delay_merge *merge, const unsigned char *packet, size_t length,
			 enum tap_kind kind)
{
	size_t ip = TAP_HEADER_SIZE + (kind == TAP_ETHERNET ? ETH_HLEN : 0), udp;
	const unsigned char *at = packet + ip;

	if (length < ip + IPV4_HEADER + UDP_HEADER ||
	    (kind == TAP_ETHERNET && get_16(at - 2) != ETH_P_IP && get_16(at - 2) != ETH_P_IPV6))
		return false;
	merge->is_ipv6 = at[0] >> 4 == 6;
	if (merge->is_ipv6) {
		udp = ip + sizeof(struct ipv6hdr);
		if (length <= udp + UDP_HEADER || at[6] != IPPROTO_UDP ||
		    get_16(at + 4) != length - udp)
			return false;
	} else {
		udp = ip + IPV4_HEADER;
		if (length <= udp + UDP_HEADER || at[0] != 0x45 || at[9] != IPPROTO_UDP ||
		    get_16(at + 2) != length - ip || get_16(at + 6) & 0x3fff || /* a fragment */
		    sum_of(at, IPV4_HEADER) != 0xffff)
			return false;
	}
	if (!is_single(packet, udp) || get_16(packet + udp + 4) != length - udp)
		return false;
	merge->ip = ip;
	merge->udp = udp;
	merge->payload = udp + UDP_HEADER;
	merge->payload_size = length - merge->payload;
	return true;
}

void delay_merge_begin(struct delay_merge *merge, const void *packet, size_t length,
		       enum tap_kind kind)
{
	merge->count = 1;
	merge->total = length;
	merge->packets[0] = (struct iovec){(void *)(uintptr_t)packet, length};
	merge->is_complete = !read_headers(merge, packet, length, kind);
}

static bool is_alike(const struct delay_merge *merge, const unsigned char *packet)
{
	const unsigned char *first = merge->packets[0].iov_base, *ip = packet + merge->ip;
	const unsigned char *first_ip = first + merge->ip;

	/* the virtio header, the link-layer header, and all of IP but what differs by right */
	if (memcmp(packet, first, merge->ip) != 0 ||
	    memcmp(packet + merge->udp, first + merge->udp, 4) != 0 ||
	    sum_beside_length(packet + merge->udp) != sum_beside_length(first + merge->udp))
		return false;
	if (merge->is_ipv6)
		return memcmp(ip, first_ip, 4) == 0 && memcmp(ip + 6, first_ip + 6, 34) == 0;
	return memcmp(ip, first_ip, 2) == 0 && memcmp(ip + 6, first_ip + 6, 4) == 0 &&
	       memcmp(ip + 12, first_ip + 12, 8) == 0 &&
	       get_16(ip + 4) == (uint16_t)(get_16(first_ip + 4) + merge->count) &&
	       sum_of(ip, IPV4_HEADER) == 0xffff;
}

bool delay_merge_add(struct delay_merge *merge, const void *packet, size_t length)
{
	const unsigned char *bytes = packet;
	size_t size;

	if (merge->is_complete || merge->count == DELAY_MERGE_MAX || length <= merge->payload)
		return false;
	size = length - merge->payload;
	if (size > merge->payload_size || merge->total - merge->ip + size > TOTAL_MAX ||
	    !is_alike(merge, bytes) || get_16(bytes + merge->udp + 4) != length - merge->udp ||
	    get_16(bytes + merge->ip + (merge->is_ipv6 ? 4 : 2)) !=
		    length - (merge->is_ipv6 ? merge->udp : merge->ip))
		return false;
	merge->packets[merge->count++] = (struct iovec){(void *)(uintptr_t)packet, length};
	merge->total += size;
	merge->is_complete = size < merge->payload_size;
	return true;
}

static void put_headers(struct delay_merge *merge)
{
	unsigned char *ip = merge->headers + merge->ip, *udp = merge->headers + merge->udp;
	size_t udp_length = merge->total - merge->udp;
	struct virtio_net_hdr header;
	uint16_t sum;

	memcpy(merge->headers, merge->packets[0].iov_base, merge->payload);
	memcpy(&header, merge->headers, sizeof(header));
	header.gso_type = VIRTIO_NET_HDR_GSO_UDP_L4;
	header.gso_size = (uint16_t)merge->payload_size;
	header.hdr_len = (uint16_t)(merge->payload - TAP_HEADER_SIZE);
	memcpy(merge->headers, &header, sizeof(header));
	sum = sum_beside_length(udp);
	put_16(udp + 4, udp_length);
	put_16(udp + 6, fold((uint32_t)sum + (uint32_t)udp_length));
	if (merge->is_ipv6) {
		put_16(ip + 4, udp_length);
		return;
	}
	put_16(ip + 2, merge->total - merge->ip);
	put_16(ip + 10, 0);
	put_16(ip + 10, (uint16_t)~sum_of(ip, IPV4_HEADER));
}

const struct iovec *delay_merge_finish(struct delay_merge *merge, int *out_count)
{
	if (merge->count == 1) {
		*out_count = 1;
		return merge->packets;
	}
	put_headers(merge);
	merge->parts[0] = (struct iovec){merge->headers, merge->payload};
	for (unsigned i = 0; i < merge->count; i++)
		merge->parts[i + 1] =
			(struct iovec){(unsigned char *)merge->packets[i].iov_base + merge->payload,
				       merge->packets[i].iov_len - merge->payload};
	*out_count = (int)merge->count + 1;
	return merge->parts;
}
