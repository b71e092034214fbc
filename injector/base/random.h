/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Random numbers that a seed repeats on every machine. Not for secrets.
 */
#ifndef SQUALL_RANDOM_H
#define SQUALL_RANDOM_H

#include <stdint.h>

/* SplitMix64 (Steele, Lea, Flood 2014): one addition and a mix; any seed is a good one. */
static inline uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15U;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
	z = (z ^ z >> 27) * 0x94d049bb133111ebU;
	return z ^ z >> 31;
}

#endif
