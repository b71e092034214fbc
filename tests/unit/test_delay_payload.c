/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Where the data of a packet begin, by its headers, and that no length leads beyond its end.
 */
#include "faults/delay_payload.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define IP (TAP_HEADER_SIZE + 14)

struct packet {
	uint8_t bytes[256];
	size_t length;
};

static struct packet make(uint16_t type, const uint8_t *headers, size_t size, const char *data)
{
	struct packet packet = {.length = IP};

	packet.bytes[TAP_HEADER_SIZE + 12] = (uint8_t)(type >> 8);
	packet.bytes[TAP_HEADER_SIZE + 13] = (uint8_t)type;
	memcpy(packet.bytes + IP, headers, size);
	memcpy(packet.bytes + IP + size, data, strlen(data));
	packet.length += size + strlen(data);
	return packet;
}

static struct delay_payload wanting(const char *text)
{
	struct delay_payload payload = {0};
	struct error err = ERROR_INIT;

	if (delay_payload_add(&payload, text, &err) < 0)
		fail_msg("%s", err.text);
	return payload;
}

/* From a copy of its own size: the sanitizer sees what is read behind it. */
static bool is_in(const char *text, const struct packet *packet, size_t length)
{
	struct delay_payload payload = wanting(text);
	uint8_t *copy = malloc(length ? length : 1);
	bool result;

	assert_non_null(copy);
	memcpy(copy, packet->bytes, length);
	result = delay_payload_is_in(&payload, copy, length, TAP_ETHERNET);
	free(copy);
	return result;
}

static void test_behind_the_headers(void **state)
{
	/* 'E' is 0x45 and stands at the beginning of each header of IPv4 */
	const uint8_t udp4[28] = {0x45, [9] = 17}, tcp4[44] = {0x45, [9] = 6, [20 + 12] = 0x60};
	const uint8_t icmp4[20] = {0x45, [9] = 1};
	const uint8_t later[28] = {0x45, [7] = 1, [9] = 17};
	const uint8_t udp6[48] = {0x60, [6] = 17};
	const uint8_t options6[56] = {0x60, [6] = 0, [40] = 17, [41] = 0};
	const uint8_t fragment6[56] = {0x60, [6] = 44, [40] = 17};
	const struct {
		uint16_t type;
		const uint8_t *headers;
		size_t size;
		size_t seen; /* so many bytes of them count as data */
	} cases[] = {
		{0x0800, udp4, sizeof(udp4), 0},	   {0x0800, tcp4, sizeof(tcp4), 0},
		{0x0800, icmp4, sizeof(icmp4), 0},	   {0x0800, later, sizeof(later), 8},
		{0x86dd, udp6, sizeof(udp6), 0},	   {0x86dd, options6, sizeof(options6), 0},
		{0x86dd, fragment6, sizeof(fragment6), 0},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint8_t marked[64];
		struct packet packet;

		memcpy(marked, cases[i].headers, cases[i].size);
		packet = make(cases[i].type, marked, cases[i].size, "some needle");
		assert_true(is_in("needle", &packet, packet.length));
		assert_false(is_in("needles", &packet, packet.length));
		/* the last byte before the data is none of it */
		packet.bytes[IP + cases[i].size - 1] = '#';
		assert_int_equal(is_in("#some", &packet, packet.length), cases[i].seen > 0);
		for (size_t length = 0; length < packet.length; length++)
			assert_false(is_in("needle", &packet, length));
	}
}

static void test_what_is_no_ip(void **state)
{
	const uint8_t arp[28] = {0, 1};
	struct packet packet = make(0x0806, arp, sizeof(arp), "needle");

	(void)state;
	assert_true(is_in("needle", &packet, packet.length));
	assert_true(is_in("hex:0806", &packet, packet.length));
}

static void test_texts(void **state)
{
	struct delay_payload payload = {0};
	struct error err = ERROR_INIT;
	char text[2 * DELAY_PAYLOAD_SIZE + 8];

	(void)state;
	payload = wanting("hex:00fFa5");
	assert_int_equal(payload.texts[0].size, 3);
	assert_memory_equal(payload.texts[0].bytes, "\x00\xff\xa5", 3);
	assert_int_equal(delay_payload_add(&payload, "hex:", &err), -EINVAL);
	assert_int_equal(delay_payload_add(&payload, "hex:123", &err), -EINVAL);
	assert_int_equal(delay_payload_add(&payload, "hex:1g", &err), -EINVAL);
	memset(text, 'a', sizeof(text));
	text[DELAY_PAYLOAD_SIZE + 1] = '\0';
	assert_int_equal(delay_payload_add(&payload, text, &err), -EINVAL);
	text[DELAY_PAYLOAD_SIZE] = '\0';
	while (payload.count < DELAY_PAYLOAD_TEXTS)
		assert_int_equal(delay_payload_add(&payload, text, &err), 0);
	assert_int_equal(delay_payload_add(&payload, text, &err), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_behind_the_headers),
		cmocka_unit_test(test_what_is_no_ip),
		cmocka_unit_test(test_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
