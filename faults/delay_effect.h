/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the delay line does to each packet: the decisions of netem (netem_enqueue() in
 * net/sched/sch_netem.c), in its order and with its arithmetic, so that the same parameters mean
 * the same on either way; but for the correlation of delays, which netem has lost, so that here it
 * can be right. Time is an argument; nothing here sees a packet's bytes. Not thread-safe.
 */
#ifndef SQUALL_DELAY_EFFECT_H
#define SQUALL_DELAY_EFFECT_H

#include "injector/kernel/netem.h"

#include <stdbool.h>
#include <stdint.h>

/* A sequence of numbers of which each may resemble the one before. */
struct delay_sequence {
	uint32_t last;
	uint32_t correlation; /* of 2^32 */
};

struct delay_effect {
	struct netem_config config;
	uint64_t random;
	struct delay_sequence loss, duplicate, corrupt, reorder;
	double jitter_last, jitter_weight; /* a normal number, and how much of it the next one is */
	bool is_bad;			   /* Gilbert-Elliott */
	unsigned state;			   /* of the four, 1 to 4 */
	uint32_t since_reordered;
	uint32_t since_lost; /* packets, while some are lost by their number */
	bool has_lost;	     /* one of them */
	int64_t bucket_ns;   /* when the token bucket is full again */
	int64_t peak_ns;     /* the same of that for the peak rate */
	int64_t slot_ns;     /* when the current slot opens; INT64_MIN: none yet */
	uint32_t slot_packets;
	uint64_t slot_bytes;
	struct netem_tables tables; /* of config */
};

/* The same seed and the same packets give the same decisions. */
void delay_effect_init(struct delay_effect *effect, uint64_t seed);
/* Takes effect with the next packet; sequences and models go on from where they are. */
void delay_effect_set(struct delay_effect *effect, const struct netem_config *config);
/* No packet waits longer for its own delay, jitter and slot (a rate may make it). */
int64_t delay_effect_longest_ns(const struct delay_effect *effect);

/* The packet that comes is the one of so many whose turn it is: it is lost, or marked, and so are
 * its copies. To be asked once for each, before anything else. */
bool delay_effect_loses_by_count(struct delay_effect *effect);
bool delay_effect_duplicates(struct delay_effect *effect);
/* Lost or, with ecn, to be marked. */
bool delay_effect_loses(struct delay_effect *effect);
bool delay_effect_corrupts(struct delay_effect *effect);
/* A number below `count` (not 0), for the place of the damage. */
uint32_t delay_effect_below(struct delay_effect *effect, uint32_t count);

struct delay_due {
	int64_t at_ns;
	bool is_ordered;   /* not before the packets that are there already */
	bool is_reordered; /* as asked for: it overtakes them */
};
/* When a packet of `length` bytes on the wire that comes now leaves; `last_ns`: when the last one
 * that waits leaves (any past time: none waits). */
struct delay_due delay_effect_due(struct delay_effect *effect, uint64_t length, int64_t now_ns,
				  int64_t last_ns);

#endif
