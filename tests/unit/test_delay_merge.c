/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is merged, cut again by the rules of the kernel, must be what went in, byte by byte; and
 * what could come out otherwise is not merged.
 */
#include "faults/delay_merge.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROOM	2048
#define PACKETS 70
enum { V4, V6 };

static unsigned char packets[PACKETS][ROOM], whole[70000];
static size_t lengths[PACKETS];
static struct delay_merge merge;

static uint16_t get(const unsigned char *from)
{
	return (uint16_t)(from[0] << 8 | from[1]);
}

static void put(unsigned char *to, size_t value)
{
	to[0] = (unsigned char)(value >> 8);
	to[1] = (unsigned char)value;
}

static uint16_t sum(const unsigned char *from, size_t size, uint32_t more)
{
	for (size_t i = 0; i < size; i += 2)
		more += get(from + i);
	while (more >> 16)
		more = (more & 0xffff) + (more >> 16);
	return (uint16_t)more;
}

static size_t header_of(enum tap_kind kind, int version)
{
	return (size_t)TAP_HEADER_SIZE + (kind == TAP_ETHERNET ? 14 : 0) +
	       (version == V6 ? 40 : 20);
}

static void put_lengths(unsigned char *packet, enum tap_kind kind, int version, size_t payload)
{
	unsigned char *udp = packet + header_of(kind, version),
		      *ip = udp - (version == V6 ? 40 : 20);
	const size_t addresses = version == V6 ? 32 : 8;

	put(udp + 4, 8 + payload);
	put(udp + 6, sum(udp - addresses, addresses, IPPROTO_UDP + 8 + (uint32_t)payload));
	if (version == V6) {
		put(ip + 4, 8 + payload);
		return;
	}
	put(ip + 2, 28 + payload);
	put(ip + 10, 0);
	put(ip + 10, (uint16_t)~sum(ip, 20, 0));
}

/* A datagram as a tap gives it: its sum not finished. */
static void make(unsigned at, enum tap_kind kind, int version, uint16_t id, size_t payload)
{
	unsigned char *packet = packets[at];
	size_t header = header_of(kind, version);
	unsigned char *udp = packet + header, *ip = udp - (version == V6 ? 40 : 20);
	struct virtio_net_hdr virtio = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
					.csum_start = (uint16_t)(header - TAP_HEADER_SIZE),
					.csum_offset = 6};

	memset(packet, 0, ROOM);
	memcpy(packet, &virtio, sizeof(virtio));
	if (kind == TAP_ETHERNET) {
		memset(packet + TAP_HEADER_SIZE, 2, 12);
		put(ip - 2, version == V6 ? 0x86dd : 0x0800);
	}
	ip[0] = version == V6 ? 0x60 : 0x45;
	if (version == V6) {
		ip[6] = IPPROTO_UDP;
		ip[7] = 64;
		ip[8] = ip[24] = 0xfd;
		ip[39] = 2;
	} else {
		put(ip + 4, id);
		ip[6] = 0x40;
		ip[8] = 64;
		ip[9] = IPPROTO_UDP;
		memcpy(ip + 12, (unsigned char[]){10, 0, 0, 1, 10, 0, 0, 2}, 8);
	}
	put(udp, 4000);
	put(udp + 2, 5000);
	for (size_t i = 0; i < payload; i++)
		udp[8 + i] = (unsigned char)(at * 7 + i);
	put_lengths(packet, kind, version, payload);
	lengths[at] = header + 8 + payload;
}

static size_t join(void)
{
	int count;
	const struct iovec *parts = delay_merge_finish(&merge, &count);
	size_t size = 0;

	for (int i = 0; i < count; i++) {
		memcpy(whole + size, parts[i].iov_base, parts[i].iov_len);
		size += parts[i].iov_len;
	}
	return size;
}

/* As __udp_gso_segment() and inet_gso_segment() do it. */
static void check_cut(size_t size, enum tap_kind kind, int version, unsigned first)
{
	size_t header = header_of(kind, version) + 8, at = header;
	struct virtio_net_hdr virtio;
	unsigned char cut[ROOM];

	memcpy(&virtio, whole, sizeof(virtio));
	assert_int_equal(virtio.gso_type, 5); /* VIRTIO_NET_HDR_GSO_UDP_L4 */
	assert_int_equal(virtio.hdr_len, header - TAP_HEADER_SIZE);
	assert_int_equal(virtio.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	if (version == V4)
		assert_int_equal(sum(whole + header - 28, 20, 0), 0xffff);
	for (unsigned i = 0; at < size; i++) {
		size_t part = size - at < virtio.gso_size ? size - at : virtio.gso_size;

		memcpy(cut, whole, header);
		memcpy(cut + header, whole + at, part);
		memcpy(cut, packets[first + i], TAP_HEADER_SIZE);
		if (version == V4)
			put(cut + header - 24, get(cut + header - 24) + i);
		put_lengths(cut, kind, version, part);
		assert_int_equal(header + part, lengths[first + i]);
		assert_memory_equal(cut, packets[first + i], header + part);
		at += part;
	}
}

static unsigned merge_all(unsigned first, unsigned count, enum tap_kind kind)
{
	unsigned i = 1;

	delay_merge_begin(&merge, packets[first], lengths[first], kind);
	while (i < count && delay_merge_add(&merge, packets[first + i], lengths[first + i]))
		i++;
	return i;
}

static void test_a_merged_packet_is_cut_into_what_it_was_made_of(void **state)
{
	(void)state;
	for (int version = V4; version <= V6; version++) {
		for (enum tap_kind kind = TAP_ETHERNET; kind <= TAP_IP; kind++) {
			for (unsigned i = 0; i < 10; i++) /* identifications wrap */
				make(i, kind, version, (uint16_t)(65530 + i), 101);
			make(10, kind, version, 4, 33); /* the last one may be shorter */
			make(11, kind, version, 5, 33);
			assert_int_equal(merge_all(0, 12, kind), 11);
			check_cut(join(), kind, version, 0);
		}
	}
}

static void test_a_datagram_alone_stays_as_it_is(void **state)
{
	size_t size;

	(void)state;
	make(0, TAP_ETHERNET, V4, 1, 200);
	delay_merge_begin(&merge, packets[0], lengths[0], TAP_ETHERNET);
	size = join();
	assert_int_equal(size, lengths[0]);
	assert_memory_equal(whole, packets[0], size);
}

static void test_no_more_are_merged_than_the_kernel_takes(void **state)
{
	(void)state;
	for (unsigned i = 0; i < PACKETS; i++)
		make(i, TAP_ETHERNET, V6, 0, 64);
	assert_int_equal(merge_all(0, PACKETS, TAP_ETHERNET), DELAY_MERGE_MAX);
	for (unsigned i = 0; i < PACKETS; i++)
		make(i, TAP_ETHERNET, V4, (uint16_t)i, 1472);
	/* 20 of IP, 8 of UDP: 44 * 1472 + 28 <= 65535 */
	assert_int_equal(merge_all(0, PACKETS, TAP_ETHERNET), 44);
	check_cut(join(), TAP_ETHERNET, V4, 0);
}

/* Each byte of the headers that differs, but for what has to, keeps two datagrams apart. */
static void test_datagrams_that_differ_in_a_header_stay_apart(void **state)
{
	(void)state;
	for (int version = V4; version <= V6; version++) {
		size_t header = header_of(TAP_ETHERNET, version) + 8;

		for (size_t at = 0; at < header; at++) {
			make(0, TAP_ETHERNET, version, 7, 64);
			make(1, TAP_ETHERNET, version, 8, 64);
			assert_int_equal(merge_all(0, 2, TAP_ETHERNET), 2);
			packets[1][at] ^= 1;
			assert_int_equal(merge_all(0, 2, TAP_ETHERNET), 1);
			packets[1][at] ^= 1;
			packets[0][at] ^= 1;
			assert_int_equal(merge_all(0, 2, TAP_ETHERNET), 1);
		}
	}
}

static void test_identifications_that_do_not_count_up_stay_apart(void **state)
{
	(void)state;
	make(0, TAP_ETHERNET, V4, 7, 64);
	make(1, TAP_ETHERNET, V4, 7, 64);
	assert_int_equal(merge_all(0, 2, TAP_ETHERNET), 1);
	make(1, TAP_ETHERNET, V4, 9, 64);
	assert_int_equal(merge_all(0, 2, TAP_ETHERNET), 1);
}

static void test_a_longer_or_empty_datagram_is_not_added(void **state)
{
	(void)state;
	make(0, TAP_ETHERNET, V4, 7, 64);
	make(1, TAP_ETHERNET, V4, 8, 65);
	assert_int_equal(merge_all(0, 2, TAP_ETHERNET), 1);
	make(1, TAP_ETHERNET, V4, 8, 0);
	assert_int_equal(merge_all(0, 2, TAP_ETHERNET), 1);
	make(0, TAP_ETHERNET, V4, 7, 0);
	make(1, TAP_ETHERNET, V4, 8, 0);
	assert_int_equal(merge_all(0, 2, TAP_ETHERNET), 1);
}

/* Cut off anywhere, each in a buffer of its own size: the sanitizers watch its end. */
static void test_nothing_is_read_beyond_a_packet(void **state)
{
	(void)state;
	for (int version = V4; version <= V6; version++) {
		for (size_t length = 0; length < 100; length++) {
			unsigned char *first = malloc(length + 1), *second = malloc(length + 1);

			make(0, TAP_ETHERNET, version, 7, 64);
			make(1, TAP_ETHERNET, version, 8, 64);
			memcpy(first, packets[0], length);
			memcpy(second, packets[1], length);
			delay_merge_begin(&merge, first, length, TAP_ETHERNET);
			assert_false(delay_merge_add(&merge, second, length));
			delay_merge_begin(&merge, packets[0], lengths[0], TAP_ETHERNET);
			assert_false(delay_merge_add(&merge, second, length));
			free(first);
			free(second);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_merged_packet_is_cut_into_what_it_was_made_of),
		cmocka_unit_test(test_a_datagram_alone_stays_as_it_is),
		cmocka_unit_test(test_no_more_are_merged_than_the_kernel_takes),
		cmocka_unit_test(test_datagrams_that_differ_in_a_header_stay_apart),
		cmocka_unit_test(test_identifications_that_do_not_count_up_stay_apart),
		cmocka_unit_test(test_a_longer_or_empty_datagram_is_not_added),
		cmocka_unit_test(test_nothing_is_read_beyond_a_packet),
	};

	return cmocka_run_group_tests_name("delay line: merging", tests, NULL, NULL);
}
