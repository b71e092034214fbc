/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Answers to packets, byte by byte: sums that a receiver accepts, sequence numbers that a sender
 * believes, silence where the RFCs want it, and no step outside the packet, whatever is in it.
 */
#include "faults/delay_refuse.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROOM (TAP_HEADER_SIZE + TAP_FRAME_MAX)
enum { SYN = 2, RST = 4, ACK = 16 };

static const struct refusal resets = {.is_on = true, .resets = true};
static const struct refusal rejects = {.is_on = true, .reason = REFUSAL_HOST};

static uint8_t packet[ROOM];

static uint16_t word_at(size_t at)
{
	return (uint16_t)(packet[at] << 8 | packet[at + 1]);
}

static uint32_t long_at(size_t at)
{
	return (uint32_t)word_at(at) << 16 | word_at(at + 2);
}

/* 0xffff when the sum that is in it is right. */
static uint32_t sum_of(size_t from, size_t size, uint32_t sum)
{
	for (size_t i = 0; i < size; i++)
		sum += (uint32_t)packet[from + i] << (i & 1 ? 0 : 8);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* A frame from 10.0.0.1 to 10.0.0.2, or from fd00::1 to fd00::2; returns where the transport is. */
static size_t make_frame(bool is_ipv6, bool has_tag, uint8_t protocol, size_t payload)
{
	static const uint8_t macs[12] = {2, 0, 0, 0, 0, 0xb, 2, 0, 0, 0, 0, 0xa};
	size_t at = TAP_HEADER_SIZE + 12;

	memset(packet, 0, sizeof(packet));
	memset(packet, 0xee, TAP_HEADER_SIZE);
	memcpy(packet + TAP_HEADER_SIZE, macs, sizeof(macs));
	if (has_tag) {
		memcpy(packet + at, (uint8_t[]){0x81, 0, 0, 7}, 4);
		at += 4;
	}
	memcpy(packet + at, is_ipv6 ? (uint8_t[]){0x86, 0xdd} : (uint8_t[]){8, 0}, 2);
	at += 2;
	if (is_ipv6) {
		packet[at] = 0x60;
		packet[at + 4] = (uint8_t)(payload >> 8);
		packet[at + 5] = (uint8_t)payload;
		packet[at + 6] = protocol;
		packet[at + 8] = packet[at + 24] = 0xfd;
		packet[at + 23] = 1;
		packet[at + 39] = 2;
		return at + 40;
	}
	packet[at] = 0x45;
	packet[at + 2] = (uint8_t)((20 + payload) >> 8);
	packet[at + 3] = (uint8_t)(20 + payload);
	packet[at + 9] = protocol;
	memcpy(packet + at + 12, (uint8_t[]){10, 0, 0, 1, 10, 0, 0, 2}, 8);
	return at + 20;
}

static size_t make_tcp(bool is_ipv6, bool has_tag, uint8_t flags, size_t data)
{
	size_t at = make_frame(is_ipv6, has_tag, IPPROTO_TCP, 20 + data);

	/* 5000 to 80, sequence number 1000, acknowledging 7000 */
	memcpy(packet + at, (uint8_t[]){0x13, 0x88, 0, 80, 0, 0, 3, 0xe8, 0, 0, 0x1b, 0x58, 0x50},
	       13);
	packet[at + 13] = flags;
	return at;
}

static void assert_turned_round(size_t ip, bool is_ipv6)
{
	static const uint8_t macs[12] = {2, 0, 0, 0, 0, 0xa, 2, 0, 0, 0, 0, 0xb};

	assert_memory_equal(packet + TAP_HEADER_SIZE, macs, sizeof(macs));
	for (int i = 0; i < TAP_HEADER_SIZE; i++)
		assert_int_equal(packet[i], 0);
	assert_int_equal(packet[ip + (is_ipv6 ? 23 : 15)], 2);
	assert_int_equal(packet[ip + (is_ipv6 ? 39 : 19)], 1);
	if (!is_ipv6)
		assert_int_equal(sum_of(ip, 20, 0), 0xffff);
}

static void assert_sum(size_t ip, bool is_ipv6, uint8_t protocol, size_t transport, size_t size)
{
	uint32_t pseudo = protocol + (uint32_t)size;

	pseudo = is_ipv6 ? sum_of(ip + 8, 32, pseudo) : sum_of(ip + 12, 8, pseudo);
	assert_int_equal(sum_of(transport, size, protocol == IPPROTO_ICMP ? 0 : pseudo), 0xffff);
}

static void test_attempts_to_connect_are_reset(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		bool is_ipv6 = i & 1, has_tag = i & 2;
		size_t at = make_tcp(is_ipv6, has_tag, SYN, 0), ip = at - (is_ipv6 ? 40 : 20);

		assert_int_equal(delay_refuse(packet, at + 20, TAP_ETHERNET, &resets), at + 20);
		assert_turned_round(ip, is_ipv6);
		assert_int_equal(word_at(at), 80);
		assert_int_equal(word_at(at + 2), 5000);
		assert_int_equal(long_at(at + 4), 0);
		assert_int_equal(long_at(at + 8), 1001);
		assert_int_equal(packet[at + 13], RST | ACK);
		assert_sum(ip, is_ipv6, IPPROTO_TCP, at, 20);
	}
}

static void test_open_connections_are_reset_where_they_are(void **state)
{
	size_t at = make_tcp(false, false, ACK, 3000);

	(void)state;
	assert_int_equal(delay_refuse(packet, at + 3020, TAP_ETHERNET, &resets), at + 20);
	assert_int_equal(long_at(at + 4), 7000);
	assert_int_equal(packet[at + 13], RST);
	/* the answer to a reset would be one more, for ever */
	at = make_tcp(false, false, RST, 0);
	assert_int_equal(delay_refuse(packet, at + 20, TAP_ETHERNET, &resets), 0);
}

static void test_icmp_quotes_what_it_is_about(void **state)
{
	static const size_t sizes[] = {0, 1, 8, 501, 2000};

	(void)state;
	for (unsigned i = 0; i < 2 * sizeof(sizes) / sizeof(*sizes); i++) {
		bool is_ipv6 = i & 1;
		size_t header = is_ipv6 ? 40 : 20, data = sizes[i / 2], most = is_ipv6 ? 1280 : 576;
		size_t at = make_frame(is_ipv6, false, IPPROTO_UDP, 8 + data), ip = at - header;
		size_t quoted = header + 8 + data, length;
		uint8_t before[1280];

		quoted = quoted < most - header - 8 ? quoted : most - header - 8;
		memcpy(before, packet + ip, quoted);
		length = delay_refuse(packet, at + 8 + data, TAP_ETHERNET, &rejects);
		assert_int_equal(length, at + 8 + quoted);
		assert_turned_round(ip, is_ipv6);
		assert_int_equal(packet[at], is_ipv6 ? 1 : 3);
		assert_int_equal(packet[at + 1], is_ipv6 ? 3 : 1);
		assert_memory_equal(packet + at + 8, before, quoted);
		assert_sum(ip, is_ipv6, is_ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP, at, 8 + quoted);
	}
}

static void assert_silence(size_t length)
{
	assert_int_equal(delay_refuse(packet, length, TAP_ETHERNET, &rejects), 0);
}

static void test_silence_where_an_answer_would_harm(void **state)
{
	size_t at;

	(void)state;
	at = make_frame(false, false, IPPROTO_ICMP, 8); /* an error itself */
	packet[at] = 3;
	assert_silence(at + 8);
	at = make_frame(true, false, IPPROTO_ICMPV6, 8);
	packet[at] = 1;
	assert_silence(at + 8);
	at = make_frame(false, false, IPPROTO_UDP, 8); /* a later fragment */
	packet[at - 20 + 7] = 5;
	assert_silence(at + 8);
	at = make_frame(false, false, IPPROTO_UDP, 8); /* to many */
	packet[at - 4] = 224;
	assert_silence(at + 8);
	at = make_frame(false, false, IPPROTO_UDP, 8); /* from nobody */
	memset(packet + at - 8, 0, 4);
	assert_silence(at + 8);
	at = make_frame(false, false, IPPROTO_UDP, 8); /* to everybody on the link */
	memset(packet + TAP_HEADER_SIZE, 0xff, 6);
	assert_silence(at + 8);
	at = make_frame(false, false, IPPROTO_UDP, 8); /* ARP */
	packet[at - 21] = 6;
	assert_silence(at + 8);
}

static void test_ipv6_behind_extension_headers(void **state)
{
	size_t at = make_frame(true, false, IPPROTO_HOPOPTS, 28), ip = at - 40;

	(void)state;
	packet[at] = IPPROTO_TCP;
	packet[at + 8 + 12] = 0x50;
	packet[at + 8 + 13] = SYN;
	assert_int_equal(delay_refuse(packet, at + 28, TAP_ETHERNET, &resets), at + 20);
	assert_int_equal(packet[ip + 6], IPPROTO_TCP);
	assert_int_equal(packet[at + 13], RST | ACK);
}

/* No step outside of the room: the sanitizers watch. */
static void test_any_bytes(void **state)
{
	uint8_t *exact = malloc(ROOM);
	unsigned answered = 0;

	(void)state;
	assert_non_null(exact);
	srandom(1);
	for (unsigned i = 0; i < 200000; i++) {
		size_t length = (size_t)random() % 120, at = TAP_HEADER_SIZE + 12;

		for (size_t k = 0; k < length; k++)
			exact[k] = (uint8_t)random();
		if (i % 4 && length > at + 12) { /* mostly something like IP */
			memcpy(exact + at,
			       i % 2 ? (uint8_t[]){8, 0, 0x45} : (uint8_t[]){0x86, 0xdd, 0x60}, 3);
			exact[TAP_HEADER_SIZE] &= 0xfe;
			exact[at + 2 + (i % 2 ? 6 : 5)] = 0;
		}
		answered += delay_refuse(exact, length, i % 5 ? TAP_ETHERNET : TAP_IP,
					 i % 3 ? &resets : &rejects) > 0;
	}
	assert_true(answered > 1000);
	free(exact);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_attempts_to_connect_are_reset),
		cmocka_unit_test(test_open_connections_are_reset_where_they_are),
		cmocka_unit_test(test_icmp_quotes_what_it_is_about),
		cmocka_unit_test(test_silence_where_an_answer_would_harm),
		cmocka_unit_test(test_ipv6_behind_extension_headers),
		cmocka_unit_test(test_any_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
