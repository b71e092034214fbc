/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Works on bytes alone and trusts none of them: every length is checked against what was read.
 */
#include "faults/delay_refuse.h"

#include "faults/delay_packet.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <string.h>

#define IPV4_HEADER    20
#define IPV6_HEADER    40
#define TCP_HEADER     20
#define ICMP_HEADER    8
#define IPV4_ERROR_MAX 576  /* RFC 1812, 4.3.2.3 */
#define IPV6_ERROR_MAX 1280 /* RFC 4443, 2.4 (c) */
#define EXTENSIONS_MAX 8
#define HOPS	       64

enum { FIN = 1, SYN = 2, RST = 4, ACK = 16 };

/* What the answer needs of the packet. */
struct asked {
	const uint8_t *ip;
	size_t size;	  /* of ip and what is behind it, as far as it was read */
	size_t transport; /* where that begins; 0: it is of no use */
	uint8_t protocol;
	bool is_ipv6;
};

static uint16_t get_16(const uint8_t *from)
{
	return (uint16_t)(from[0] << 8 | from[1]);
}

static uint32_t get_32(const uint8_t *from)
{
	return (uint32_t)get_16(from) << 16 | get_16(from + 2);
}

static void put_16(uint8_t *to, uint16_t value)
{
	to[0] = (uint8_t)(value >> 8);
	to[1] = (uint8_t)value;
}

static void put_32(uint8_t *to, uint32_t value)
{
	put_16(to, (uint16_t)(value >> 16));
	put_16(to + 2, (uint16_t)value);
}

static uint32_t add_words(uint32_t sum, const uint8_t *from, size_t size)
{
	for (size_t i = 0; i + 1 < size; i += 2)
		sum += get_16(from + i);
	return size & 1 ? sum + (uint32_t)(from[size - 1] << 8) : sum;
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static bool is_any(const uint8_t *address, size_t size)
{
	static const uint8_t none[16];

	return memcmp(address, none, size) == 0;
}

static bool read_ipv4(struct asked *asked)
{
	const uint8_t *ip = asked->ip;
	size_t header;

	if (asked->size < IPV4_HEADER)
		return false;
	header = (size_t)(ip[0] & 15) * 4;
	if (header < IPV4_HEADER || header > asked->size || get_16(ip + 6) & 0x1fff ||
	    is_any(ip + 12, 4) || ip[12] >= 224 || ip[16] >= 224)
		return false;
	if (get_16(ip + 2) >= header && get_16(ip + 2) < asked->size)
		asked->size = get_16(ip + 2); /* without the padding of short frames */
	asked->protocol = ip[9];
	asked->transport = header;
	return true;
}

/* Behind the extension headers. */
static bool read_ipv6(struct asked *asked)
{
	const uint8_t *ip = asked->ip;
	size_t at = IPV6_HEADER;
	uint8_t next;

	if (asked->size < IPV6_HEADER || is_any(ip + 8, 16) || ip[8] == 0xff || ip[24] == 0xff)
		return false;
	if (get_16(ip + 4) && (size_t)get_16(ip + 4) + IPV6_HEADER < asked->size)
		asked->size = (size_t)get_16(ip + 4) + IPV6_HEADER;
	next = ip[6];
	for (unsigned i = 0; i < EXTENSIONS_MAX; i++) {
		bool is_fragment = next == IPPROTO_FRAGMENT;

		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS &&
		    !is_fragment) {
			asked->protocol = next;
			asked->transport = at;
			return true;
		}
		if (at + 8 > asked->size || (is_fragment && get_16(ip + at + 2) & 0xfff8))
			return false;
		next = ip[at];
		at += is_fragment ? 8 : 8 + (size_t)ip[at + 1] * 8;
		if (at > asked->size)
			return false;
	}
	return false;
}

/* Errors are not answered by errors (RFC 1122, 3.2.2; RFC 4443, 2.4 (e)); nor are redirections. */
static bool is_error(const struct asked *asked)
{
	uint8_t type;

	if (asked->protocol != IPPROTO_ICMP && asked->protocol != IPPROTO_ICMPV6)
		return false;
	if (asked->transport >= asked->size)
		return true;
	type = asked->ip[asked->transport];
	if (asked->protocol == IPPROTO_ICMPV6)
		return type < 128 || type == ND_REDIRECT;
	return type == ICMP_DEST_UNREACH || type == ICMP_SOURCE_QUENCH || type == ICMP_REDIRECT ||
	       type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETERPROB;
}

static bool read_asked(const uint8_t *ip, size_t size, struct asked *out)
{
	*out = (struct asked){.ip = ip, .size = size};
	if (size == 0)
		return false;
	out->is_ipv6 = ip[0] >> 4 == 6;
	if (!out->is_ipv6 && ip[0] >> 4 != 4)
		return false;
	return (out->is_ipv6 ? read_ipv6(out) : read_ipv4(out)) && !is_error(out);
}

/* The IP header of the answer; returns its size. */
static size_t put_ip(const struct asked *asked, uint8_t *out, uint8_t protocol, size_t payload)
{
	const uint8_t *ip = asked->ip;

	if (asked->is_ipv6) {
		memset(out, 0, IPV6_HEADER);
		out[0] = 6 << 4;
		put_16(out + 4, (uint16_t)payload);
		out[6] = protocol;
		out[7] = HOPS;
		memcpy(out + 8, ip + 24, 16);
		memcpy(out + 24, ip + 8, 16);
		return IPV6_HEADER;
	}
	memset(out, 0, IPV4_HEADER);
	out[0] = 4 << 4 | IPV4_HEADER / 4;
	put_16(out + 2, (uint16_t)(IPV4_HEADER + payload));
	put_16(out + 6, 0x4000); /* do not fragment: then no identification is needed */
	out[8] = HOPS;
	out[9] = protocol;
	memcpy(out + 12, ip + 16, 4);
	memcpy(out + 16, ip + 12, 4);
	put_16(out + 10, fold(add_words(0, out, IPV4_HEADER)));
	return IPV4_HEADER;
}

/* With the addresses and the length that a transport's sum includes. */
static uint32_t pseudo_sum(const uint8_t *ip, bool is_ipv6, uint8_t protocol, size_t payload)
{
	uint32_t sum = protocol + (uint32_t)payload;

	return is_ipv6 ? add_words(sum, ip + 8, 32) : add_words(sum, ip + 12, 8);
}

/* RFC 9293, 3.10.7.1: as a host answers that knows no such connection. */
static size_t put_reset(const struct asked *asked, uint8_t *out)
{
	const uint8_t *tcp = asked->ip + asked->transport;
	size_t data, at;
	uint8_t *answer;
	uint8_t flags;

	if (asked->transport + TCP_HEADER > asked->size || (flags = tcp[13]) & RST)
		return 0;
	data = (size_t)(tcp[12] >> 4) * 4;
	data = asked->size - asked->transport - data;
	if (data > asked->size)
		return 0;
	at = put_ip(asked, out, IPPROTO_TCP, TCP_HEADER);
	answer = out + at;
	memset(answer, 0, TCP_HEADER);
	memcpy(answer, tcp + 2, 2);
	memcpy(answer + 2, tcp, 2);
	answer[12] = TCP_HEADER / 4 << 4;
	answer[13] = RST;
	if (flags & ACK) {
		memcpy(answer + 4, tcp + 8, 4);
	} else {
		answer[13] |= ACK;
		put_32(answer + 8,
		       get_32(tcp + 4) + (uint32_t)data + !!(flags & SYN) + !!(flags & FIN));
	}
	put_16(answer + 16, fold(add_words(pseudo_sum(out, asked->is_ipv6, IPPROTO_TCP, TCP_HEADER),
					   answer, TCP_HEADER)));
	return at + TCP_HEADER;
}

static size_t put_unreachable(const struct asked *asked, enum refusal_reason reason, uint8_t *out)
{
	static const uint8_t codes4[] = {[REFUSAL_PORT] = ICMP_PORT_UNREACH,
					 [REFUSAL_HOST] = ICMP_HOST_UNREACH,
					 [REFUSAL_NETWORK] = ICMP_NET_UNREACH,
					 [REFUSAL_ADMIN] = ICMP_PKT_FILTERED};
	static const uint8_t codes6[] = {[REFUSAL_PORT] = ICMP6_DST_UNREACH_NOPORT,
					 [REFUSAL_HOST] = ICMP6_DST_UNREACH_ADDR,
					 [REFUSAL_NETWORK] = ICMP6_DST_UNREACH_NOROUTE,
					 [REFUSAL_ADMIN] = ICMP6_DST_UNREACH_ADMIN};
	const size_t most =
		(asked->is_ipv6 ? IPV6_ERROR_MAX - IPV6_HEADER : IPV4_ERROR_MAX - IPV4_HEADER) -
		ICMP_HEADER;
	const uint8_t protocol = asked->is_ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	size_t quoted = asked->size < most ? asked->size : most;
	size_t at = put_ip(asked, out, protocol, ICMP_HEADER + quoted);
	uint8_t *icmp = out + at;
	uint32_t sum = 0;

	memset(icmp, 0, ICMP_HEADER);
	icmp[0] = asked->is_ipv6 ? ICMP6_DST_UNREACH : ICMP_DEST_UNREACH;
	icmp[1] = asked->is_ipv6 ? codes6[reason] : codes4[reason];
	memcpy(icmp + ICMP_HEADER, asked->ip, quoted);
	if (asked->is_ipv6)
		sum = pseudo_sum(out, true, protocol, ICMP_HEADER + quoted);
	put_16(icmp + 2, fold(add_words(sum, icmp, ICMP_HEADER + quoted)));
	return at + ICMP_HEADER + quoted;
}

/* The one who sent it gets it; VLAN tags stay. */
static void turn_round(uint8_t *frame)
{
	uint8_t address[ETH_ALEN];

	memcpy(address, frame, ETH_ALEN);
	memcpy(frame, frame + ETH_ALEN, ETH_ALEN);
	memcpy(frame + ETH_ALEN, address, ETH_ALEN);
}

size_t delay_refuse(void *packet, size_t length, enum tap_kind kind, const struct refusal *refusal)
{
	uint8_t answer[IPV6_ERROR_MAX], *bytes = packet, *frame = bytes + TAP_HEADER_SIZE;
	size_t at = delay_packet_find_ip(packet, length, kind), size;
	struct asked asked;

	if (!at || at > length || !read_asked(bytes + at, length - at, &asked))
		return 0;
	if (kind == TAP_ETHERNET && frame[0] & 1) /* to many */
		return 0;
	if (refusal->resets && asked.protocol == IPPROTO_TCP)
		size = put_reset(&asked, answer);
	else
		size = put_unreachable(&asked, refusal->reason, answer);
	if (!size)
		return 0;
	memcpy(bytes + at, answer, size);
	memset(bytes, 0, TAP_HEADER_SIZE); /* nothing is left to be summed up or cut */
	if (kind == TAP_ETHERNET)
		turn_round(frame);
	return at + size;
}
