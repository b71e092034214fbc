/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Networks cut to one length, against what each of them holds, over random lists.
 */
#include "faults/network_pieces.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROUNDS	 300
#define NETWORKS 40
#define PROBES	 400

/* Few values of each byte, so that networks nest and touch. */
static void draw_address(uint8_t out[16])
{
	memset(out, 0, 16);
	for (unsigned i = 0; i < 4; i++)
		out[i] = (uint8_t)(random() % 4 * 85 + random() % 2);
}

static bool holds(const struct piece *network, const uint8_t address[16])
{
	for (unsigned bit = 0; bit < network->prefix; bit++)
		if ((network->address[bit / 8] ^ address[bit / 8]) & (0x80 >> bit % 8))
			return false;
	return true;
}

static bool any_holds(const struct pieces *networks, const uint8_t address[16])
{
	for (unsigned i = 0; i < networks->count; i++)
		if (holds(&networks->list[i], address))
			return true;
	return false;
}

static void draw_networks(struct pieces *out, unsigned shortest, unsigned longest)
{
	for (unsigned i = 0; i < NETWORKS; i++) {
		struct piece piece = {0};

		piece.prefix = (uint8_t)(shortest + (unsigned)random() % (longest - shortest + 1));
		draw_address(piece.address);
		for (unsigned bit = piece.prefix; bit < 128; bit++)
			piece.address[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
		assert_int_equal(pieces_add(out, &piece), 0);
	}
	pieces_make_disjoint(out);
}

static void assert_one_length(const struct pieces *cut, unsigned prefix)
{
	for (unsigned i = 0; i < cut->count; i++) {
		assert_int_equal(cut->list[i].prefix, prefix);
		for (unsigned k = 0; k < i; k++)
			assert_memory_not_equal(cut->list[i].address, cut->list[k].address, 16);
	}
}

/* What is cut to the longest holds the same; to fewer bits, at least that. */
static void test_cut_to_one_length(void **state)
{
	unsigned inside = 0, more = 0;

	(void)state;
	srandom(1);
	for (unsigned round = 0; round < ROUNDS; round++) {
		unsigned shortest = 1 + (unsigned)random() % 24, longest = shortest + 7;
		unsigned prefix = shortest + (unsigned)random() % 8;
		struct pieces networks = {0}, cut = {0};

		draw_networks(&networks, shortest, longest);
		assert_int_equal(pieces_cut_at(&networks, prefix, &cut), 0);
		assert_int_equal(pieces_count_at(&networks, prefix, UINT_MAX - 1), cut.count);
		assert_int_equal(pieces_count_at(&networks, prefix, cut.count), cut.count);
		assert_int_equal(pieces_count_at(&networks, prefix, cut.count - 1), UINT_MAX);
		assert_one_length(&cut, prefix);
		for (unsigned probe = 0; probe < PROBES; probe++) {
			uint8_t address[16];
			bool is_in, is_cut;

			draw_address(address);
			is_in = any_holds(&networks, address);
			is_cut = any_holds(&cut, address);
			assert_true(is_cut || !is_in);
			if (prefix == longest)
				assert_int_equal(is_cut, is_in);
			inside += is_in;
			more += is_cut && !is_in;
		}
		free(networks.list);
		free(cut.list);
	}
	/* there was something to see */
	assert_true(inside > 1000);
	assert_true(more > 100);
}

static void test_parts_follow_one_another(void **state)
{
	static const uint8_t last[16] = {10, 1, 255, 255};
	struct piece network = {.prefix = 15, .address = {10, 0}};
	struct pieces networks = {.list = &network, .count = 1}, cut = {0};

	(void)state;
	assert_int_equal(pieces_cut_at(&networks, 32, &cut), 0);
	assert_int_equal(cut.count, 1 << 17);
	assert_memory_equal(cut.list[cut.count - 1].address, last, 16);
	free(cut.list);
	/* not counted one by one, and never more than a number holds */
	network.prefix = 1;
	assert_int_equal(pieces_count_at(&networks, 128, UINT_MAX - 1), UINT_MAX);
}

static void test_what_they_hold(void **state)
{
	unsigned held = 0;

	(void)state;
	srandom(3);
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct pieces networks = {0};

		draw_networks(&networks, 4, 32);
		for (unsigned i = 0; i < PROBES; i++) {
			uint8_t address[16];

			draw_address(address);
			assert_int_equal(pieces_hold(&networks, address),
					 any_holds(&networks, address));
			held += pieces_hold(&networks, address);
		}
		/* and to the last bit */
		memset(networks.list[0].address, 0xa5, 16);
		networks.list[0].prefix = 128;
		networks.count = 1;
		assert_true(pieces_hold(&networks, networks.list[0].address));
		{
			uint8_t other[16];

			memset(other, 0xa5, 16);
			other[15] ^= 1;
			assert_false(pieces_hold(&networks, other));
		}
		free(networks.list);
	}
	assert_true(held > 0 && held < ROUNDS * PROBES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut_to_one_length),
		cmocka_unit_test(test_parts_follow_one_another),
		cmocka_unit_test(test_what_they_hold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
