/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What nf_tables' hash expression comes to: reciprocal_scale(jhash(key, size, seed), modulus), see
 * nft_jhash_eval() in net/netfilter/nft_hash.c. jhash (include/linux/jhash.h) is lookup3 by Bob
 * Jenkins, May 2006, public domain (burtleburtle.net/bob/c/lookup3.c), with the seed as initval.
 * Written anew from that: whole blocks are read in the machine's byte order, as the kernel does,
 * and the last one byte by byte.
 */
#include "injector/kernel/nft_match.h"

#include <string.h>

struct lookup3 {
	uint32_t a, b, c;
};

static uint32_t turn(uint32_t value, unsigned bits)
{
	return value << bits | value >> (32 - bits);
}

static void mix(struct lookup3 *s)
{
	s->a = (s->a - s->c) ^ turn(s->c, 4), s->c += s->b;
	s->b = (s->b - s->a) ^ turn(s->a, 6), s->a += s->c;
	s->c = (s->c - s->b) ^ turn(s->b, 8), s->b += s->a;
	s->a = (s->a - s->c) ^ turn(s->c, 16), s->c += s->b;
	s->b = (s->b - s->a) ^ turn(s->a, 19), s->a += s->c;
	s->c = (s->c - s->b) ^ turn(s->b, 4), s->b += s->a;
}

static void finish(struct lookup3 *s)
{
	s->c = (s->c ^ s->b) - turn(s->b, 14);
	s->a = (s->a ^ s->c) - turn(s->c, 11);
	s->b = (s->b ^ s->a) - turn(s->a, 25);
	s->c = (s->c ^ s->b) - turn(s->b, 16);
	s->a = (s->a ^ s->c) - turn(s->c, 4);
	s->b = (s->b ^ s->a) - turn(s->a, 14);
	s->c = (s->c ^ s->b) - turn(s->b, 24);
}

static uint32_t hash(const uint8_t *key, unsigned size, uint32_t seed)
{
	const uint32_t begin = 0xdeadbeef + size + seed;
	struct lookup3 s = {begin, begin, begin};
	uint32_t words[3] = {0};

	for (; size > sizeof(words); size -= sizeof(words), key += sizeof(words)) {
		memcpy(words, key, sizeof(words));
		s.a += words[0], s.b += words[1], s.c += words[2];
		mix(&s);
	}
	if (!size)
		return s.c;
	memset(words, 0, sizeof(words));
	for (unsigned i = 0; i < size; i++)
		words[i / 4] |= (uint32_t)key[i] << i % 4 * 8;
	s.a += words[0], s.b += words[1], s.c += words[2];
	finish(&s);
	return s.c;
}

bool nft_hash_share_takes(const void *key, unsigned size, uint32_t seed, uint32_t share)
{
	return (uint32_t)((uint64_t)hash(key, size, seed) * NFT_SHARE_ONE >> 32) < share;
}
