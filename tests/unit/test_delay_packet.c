/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What counts as bytes on the wire, and which of them may be damaged: never those of a tag of ours.
 */
#include "faults/delay_packet.h"

#include "faults/delay_return.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define FRAME  200
#define LENGTH (TAP_HEADER_SIZE + FRAME)

static void test_every_bit_of_the_wire_can_be_damaged_and_no_other(void **state)
{
	static const size_t tags[] = {0, DELAY_TAG_SIZE};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		const size_t tag = tags[i];
		unsigned char packet[LENGTH] = {0};

		assert_int_equal(delay_packet_bits(LENGTH, tag), (FRAME - tag) * 8);
		for (uint32_t draw = 0; draw < delay_packet_bits(LENGTH, tag); draw++)
			delay_packet_damage(packet, LENGTH, tag, draw);
		for (size_t at = 0; at < LENGTH; at++) {
			bool is_header = at < (size_t)TAP_HEADER_SIZE;
			bool is_tag = at >= (size_t)TAP_HEADER_SIZE + DELAY_TAG_AT &&
				      at < TAP_HEADER_SIZE + DELAY_TAG_AT + tag;

			assert_int_equal(packet[at], is_header || is_tag ? 0 : 0xff);
		}
	}
	assert_int_equal(delay_packet_bits(TAP_HEADER_SIZE, 0), 0);
	assert_int_equal(delay_packet_bits(TAP_HEADER_SIZE + 2, DELAY_TAG_SIZE), 0);
}

static void test_what_is_not_cut_yet_counts_as_if_it_were(void **state)
{
	static const size_t tags[] = {0, DELAY_TAG_SIZE};
	unsigned char packet[TAP_HEADER_SIZE + 3100];

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct virtio_net_hdr header = {.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
						.gso_size = 1000,
						.hdr_len = (uint16_t)(54 + tags[i])};

		memset(packet, 0, sizeof(packet));
		assert_int_equal(delay_packet_wire_length(packet, TAP_HEADER_SIZE + 60, tags[i]),
				 60 - tags[i]);
		memcpy(packet, &header, sizeof(header));
		/* three packets, each with headers */
		assert_int_equal(delay_packet_wire_length(
					 packet, TAP_HEADER_SIZE + 54 + tags[i] + 2500, tags[i]),
				 3 * 54 + 2500);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_bit_of_the_wire_can_be_damaged_and_no_other),
		cmocka_unit_test(test_what_is_not_cut_yet_counts_as_if_it_were),
	};

	return cmocka_run_group_tests_name("delay line: packets", tests, NULL, NULL);
}
