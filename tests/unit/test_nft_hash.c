/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The hash of nf_tables, as Bob Jenkins gives it for two seeds (driver5() of lookup3.c), scaled;
 * that the kernel's own is the same is seen on packets (test_network_connections_share).
 */
#include "injector/kernel/nft_match.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* The share from which on a value with this hash is taken. */
static void assert_hash(const char *key, uint32_t seed, uint32_t hash)
{
	const uint32_t scaled = (uint32_t)((uint64_t)hash * NFT_SHARE_ONE >> 32);
	const unsigned size = (unsigned)strlen(key);

	assert_false(nft_hash_share_takes(key, size, seed, scaled));
	assert_true(nft_hash_share_takes(key, size, seed, scaled + 1));
}

static void test_what_its_author_says(void **state)
{
	static const char speech[] = "Four score and seven years ago";

	(void)state;
	assert_hash("", 0, 0xdeadbeef);
	assert_hash("", 0xdeadbeef, 0xbd5b7dde);
	assert_hash(speech, 0, 0x17770551);
	assert_hash(speech, 1, 0xcd628161);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_its_author_says)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
