/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Pieces of a TCP segment: together they are what it was, each with headers and sums of its own;
 * and what is not to be cut stays whole.
 */
#include "faults/delay_cut.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LINK	  (TAP_HEADER_SIZE + ETH_HLEN)
#define TCP_SIZE  32	      /* with a time stamp */
#define SEQUENCE  0xfffffff0U /* goes round */
#define BYTES_MAX 60000

enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16, URG = 32, CWR = 128 };

static uint8_t packet[TAP_HEADER_SIZE + TAP_FRAME_MAX];
static size_t ip_size;

static void put_16(uint8_t *to, unsigned value)
{
	to[0] = (uint8_t)(value >> 8);
	to[1] = (uint8_t)value;
}

static unsigned get_16(const uint8_t *from)
{
	return (unsigned)from[0] << 8 | from[1];
}

/* The plain way, byte by byte: not that of what is tested. 0: the sum is right. */
static unsigned sum_of(const uint8_t *from, size_t size, unsigned sum)
{
	for (size_t i = 0; i < size; i++)
		sum += i & 1 ? from[i] : (unsigned)from[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static unsigned tcp_sum_of(const uint8_t *ip, const uint8_t *tcp, size_t size)
{
	const bool is_six = ip[0] >> 4 == 6;
	unsigned sum = is_six ? sum_of(ip + 8, 32, 0) : sum_of(ip + 12, 8, 0);

	return sum_of(tcp, size, sum + 6 + (unsigned)size) ^ 0xffff;
}

/* A segment with so many bytes; as large ones are handed down, if `mss`. Returns its length. */
static size_t make(bool is_six, size_t bytes, uint8_t flags, uint16_t mss)
{
	static const uint8_t stamp[] = {1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8};
	uint8_t *ip = packet + LINK, *tcp;
	const size_t size = TCP_SIZE + bytes;

	memset(packet, 0, sizeof(packet));
	ip_size = is_six ? 40 : 20;
	tcp = ip + ip_size;
	put_16(packet + LINK - 2, is_six ? ETH_P_IPV6 : ETH_P_IP);
	for (unsigned i = 0; i < 32; i++)
		ip[8 + i] = (uint8_t)(i + 1); /* addresses */
	if (is_six) {
		ip[0] = 6 << 4;
		put_16(ip + 4, (unsigned)size);
		ip[6] = IPPROTO_TCP;
		ip[7] = 64;
	} else {
		ip[0] = 0x45;
		put_16(ip + 2, (unsigned)(20 + size));
		put_16(ip + 4, 0xfffe);
		put_16(ip + 6, 0x4000);
		ip[9] = IPPROTO_TCP;
		put_16(ip + 10, 0);
		put_16(ip + 10, sum_of(ip, 20, 0) ^ 0xffff);
	}
	memset(tcp, 0, TCP_SIZE);
	put_16(tcp, 7001);
	put_16(tcp + 2, 7002);
	put_16(tcp + 4, SEQUENCE >> 16);
	put_16(tcp + 6, SEQUENCE & 0xffff);
	tcp[12] = TCP_SIZE / 4 << 4;
	tcp[13] = flags;
	memcpy(tcp + 20, stamp, sizeof(stamp));
	for (size_t i = 0; i < bytes; i++)
		tcp[TCP_SIZE + i] = (uint8_t)(i * 7 + i / 256);
	if (mss) {
		struct virtio_net_hdr header = {
			.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
			.gso_type = is_six ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4,
			.gso_size = mss,
			.hdr_len = (uint16_t)(ETH_HLEN + ip_size + TCP_SIZE)};

		memcpy(packet, &header, sizeof(header));
		put_16(tcp + 16, 0x1234); /* that of the addresses alone */
	} else {
		put_16(tcp + 16, tcp_sum_of(ip, tcp, size));
	}
	return LINK + ip_size + size;
}

static void check_piece(const uint8_t *piece, size_t length, size_t at, size_t size, uint8_t flags,
			unsigned number)
{
	static const uint8_t none[TAP_HEADER_SIZE];
	const uint8_t *ip = piece + LINK, *tcp = ip + ip_size;
	const uint32_t sequence = SEQUENCE + (uint32_t)at;

	assert_int_equal(length, LINK + ip_size + TCP_SIZE + size);
	assert_memory_equal(piece, none, sizeof(none));
	assert_memory_equal(piece + TAP_HEADER_SIZE, packet + TAP_HEADER_SIZE, ETH_HLEN);
	if (ip_size == 20) {
		assert_int_equal(get_16(ip + 2), 20 + TCP_SIZE + size);
		assert_int_equal(get_16(ip + 4), (0xfffe + number) & 0xffff);
		assert_int_equal(sum_of(ip, 20, 0), 0xffff);
	} else {
		assert_int_equal(get_16(ip + 4), TCP_SIZE + size);
	}
	assert_int_equal(get_16(tcp + 4) << 16 | get_16(tcp + 6), sequence);
	assert_int_equal(tcp[13], flags);
	assert_memory_equal(tcp + 20, packet + LINK + ip_size + 20, TCP_SIZE - 20);
	assert_memory_equal(tcp + TCP_SIZE, packet + LINK + ip_size + TCP_SIZE + at, size);
	assert_int_equal(tcp_sum_of(ip, tcp, TCP_SIZE + size), 0);
}

static void cut_all(bool is_six, size_t bytes, uint16_t mss, uint32_t size)
{
	static uint8_t piece[TAP_HEADER_SIZE + TAP_FRAME_MAX];
	size_t length = make(is_six, bytes, FIN | PSH | ACK | CWR, mss), at = 0;
	struct delay_cut cut;
	unsigned number = 0;

	assert_true(delay_cut_begin(&cut, packet, length, TAP_ETHERNET, size));
	while ((length = delay_cut_next(&cut, piece))) {
		const size_t left = bytes - at, own = left < size ? left : size;
		const bool is_last = own == left;

		check_piece(piece, length, at, own,
			    (uint8_t)(ACK | (number ? 0 : CWR) | (is_last ? FIN | PSH : 0)),
			    number);
		at += own;
		number++;
	}
	assert_int_equal(at, bytes);
	assert_int_equal(number, (bytes + size - 1) / size);
}

static void test_pieces_make_the_whole(void **state)
{
	static const struct {
		size_t bytes;
		uint16_t mss;
		uint32_t size;
	} cases[] = {{1448, 0, 100}, {1448, 0, 1447},	{1448, 0, 724},	     {2, 0, 1},
		     {7, 0, 3},	     {50000, 1448, 99}, {60000, 1448, 1000}, {60000, 1448, 1}};

	(void)state;
	for (unsigned is_six = 0; is_six < 2; is_six++)
		for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++)
			cut_all(is_six, cases[i].bytes, cases[i].mss, cases[i].size);
}

static bool is_cut(size_t length, uint32_t size)
{
	struct delay_cut cut;

	return delay_cut_begin(&cut, packet, length, TAP_ETHERNET, size);
}

static void test_what_fits_stays_whole(void **state)
{
	(void)state;
	assert_false(is_cut(make(false, 1000, ACK, 0), 1000));
	assert_true(is_cut(make(false, 1000, ACK, 0), 999));
	assert_false(is_cut(make(false, 0, ACK, 0), 1));
	/* the kernel will cut it into such as fit */
	assert_false(is_cut(make(true, 50000, ACK, 1000), 1000));
	assert_true(is_cut(make(true, 50000, ACK, 1001), 1000));
	/* a short frame is padded */
	assert_false(is_cut(make(false, 1, ACK, 0) + 30, 1));
}

static void test_what_is_no_plain_data_stays_whole(void **state)
{
	static const uint8_t flags[] = {SYN, RST, URG};
	uint8_t *ip = packet + LINK;
	size_t length;

	(void)state;
	for (unsigned i = 0; i < sizeof(flags); i++)
		assert_false(is_cut(make(false, 1000, ACK | flags[i], 0), 100));
	length = make(false, 1000, ACK, 0);
	put_16(ip + 6, 0x2000); /* a first fragment */
	assert_false(is_cut(length, 100));
	length = make(false, 1000, ACK, 1448);
	ip[9] = IPPROTO_UDP;
	assert_false(is_cut(length, 100));
	length = make(true, 1000, ACK, 1448);
	ip[6] = IPPROTO_FRAGMENT;
	assert_false(is_cut(length, 100));
	/* signed, by either option; and options that are not to be understood */
	for (unsigned i = 0; i < 3; i++) {
		length = make(false, 3000, ACK, 1448);
		ip[20 + 20] = i == 0 ? 19 : i == 1 ? 29 : 8;
		ip[20 + 21] = i == 2 ? 0 : 18;
		assert_false(is_cut(length, 100));
	}
	/* damaged on its way here: not made whole */
	length = make(false, 1000, ACK, 0);
	packet[length - 1] ^= 1;
	assert_false(is_cut(length, 100));
}

/* Whatever stands in the headers, and wherever it is cut off. */
static void test_any_bytes_are_survived(void **state)
{
	static uint8_t piece[TAP_HEADER_SIZE + TAP_FRAME_MAX];

	(void)state;
	srandom(1);
	for (unsigned i = 0; i < 200000; i++) {
		size_t length = make(i & 1, 400, ACK, i & 2 ? 1448 : 0);
		struct delay_cut cut;
		size_t total = 0, size;

		for (unsigned k = 0; k < 3; k++)
			packet[random() % (LINK + 80)] = (uint8_t)random();
		if (i & 4)
			length = (size_t)random() % length;
		if (!delay_cut_begin(&cut, packet, length, TAP_ETHERNET, 50))
			continue;
		while ((size = delay_cut_next(&cut, piece))) {
			assert_true(size <= length);
			total += size - cut.payload;
		}
		assert_true(cut.end <= length);
		assert_int_equal(total, cut.end - cut.payload);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pieces_make_the_whole),
		cmocka_unit_test(test_what_fits_stays_whole),
		cmocka_unit_test(test_what_is_no_plain_data_stays_whole),
		cmocka_unit_test(test_any_bytes_are_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
