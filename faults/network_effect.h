/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a network fault does to a packet: from its parameters, at a strength, in words. One
 * description (that of netem) for both ways, netem and the delay line.
 */
#ifndef SQUALL_NETWORK_EFFECT_H
#define SQUALL_NETWORK_EFFECT_H

#include "faults/delay_payload.h"
#include "faults/delay_refuse.h"
#include "injector/base/params.h"
#include "injector/kernel/netem.h"

#include <stddef.h>

struct network_effect {
	struct netem_config at;	      /* in force now; at.table may point to `measured` */
	struct netem_config full;     /* at strength SHARE_ONE */
	struct refusal refusal;	      /* of what is lost, which is then refused */
	bool is_limit_given;	      /* by the user: memory does not lower it */
	struct delay_payload payload; /* of which alone all this is */
	uint32_t segment;	      /* bytes of data that TCP leaves in; 0: as it comes */
	uint32_t burst;		      /* bytes; 0: the rate admits no bursts */
	struct netem_table *measured; /* owned, or NULL */
};

/* Which packets are lost, spoilt, doubled or overtaken is decided one by one, and so are overheads,
 * cells, what a slot takes and how fast a burst passes: what the stack hands down as one (up to 64
 * KiB) must be cut into packets of the wire before. */
bool network_effect_needs_wire_packets(const struct network_effect *effect);
/* What happens to a packet depends on nothing that happened to another: no rate, no model, no
 * correlation, no count, and no seed that is to repeat the same row. */
bool network_effect_is_independent(const struct network_effect *effect);
/* All are delayed by one time, and nothing else happens to them, at any strength. */
bool network_effect_only_delays(const struct network_effect *effect);
/* Everything in scope is lost, without a word: no queue is needed. */
bool network_effect_is_partition(const struct network_effect *effect);
/* Nothing but independent random loss. */
bool network_effect_is_plain_loss(const struct network_effect *effect);
/* No packet waits longer because of it (a packet of `mtu` bytes, as many waiting as may). */
int64_t network_effect_longest_ns(const struct network_effect *effect, uint32_t mtu);

/* Lowers the limit of packets that wait so that they take no more than `memory` bytes when each is
 * as large as `largest`; not below NETWORK_LIMIT_MIN, nor one that the user gave. Returns what it
 * now comes to, in bytes. */
#define NETWORK_LIMIT_MIN 1000 /* what netem has when it is not told */
uint64_t network_effect_bound(struct network_effect *effect, uint64_t largest, uint64_t memory);

/* Parameters that passed network_check(). Caller: network_effect_free(). */
int network_effect_read(const struct params *params, struct network_effect *out, struct error *err);
void network_effect_free(struct network_effect *effect);
/* Makes effect->at the share `level_ppb` of effect->full: delay, jitter, shares and slots in
 * proportion, a model of loss by its losses with its rhythm kept, a loss that is counted by how
 * many packets there are to a lost one; a rate by the time that a byte takes (half the strength is
 * twice the rate, and none is no limit). */
void network_effect_scale(struct network_effect *effect, int64_t level_ppb);

/* The share of packets, of 1, that its jitter would let arrive before they were sent: these are not
 * delayed, by netem (what is due in the past leaves at once) as by a delay line. */
double network_effect_early(const struct network_effect *effect);

/* "delay 100ms jitter 10ms 25% distribution normal loss 1%", in the words of tc. */
char *network_effect_describe(const struct network_effect *effect, char *out, size_t size);

/* network_distribution.c: tables for the jitter. */
enum network_distribution { NETWORK_UNIFORM, NETWORK_NORMAL, NETWORK_PARETO, NETWORK_PARETONORMAL };
/* NULL for NETWORK_UNIFORM. Computed once, never freed. */
const struct netem_table *network_distribution(enum network_distribution which);
/* The part of a shape that is below, in jitters from its middle. */
double network_distribution_below(const struct netem_table *table, double jitters);
/* From measured delays (any order, at least two different ones): the table and the delay and jitter
 * that make it what was measured. */
int network_distribution_measured(const int64_t *delays_ns, unsigned count, struct netem_table *out,
				  int64_t *out_delay_ns, int64_t *out_jitter_ns, struct error *err);

#endif
