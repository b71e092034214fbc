/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/network_effect.h"

#include "faults/network.h"
#include "injector/base/prose.h"
#include "injector/base/quantity.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define LIMIT_A_SECOND	2000000 /* packets a second that the queue must be able to hold */
#define LIMIT_MIN	10000
#define LIMIT_MAX	1000000
#define WHOLE_SEGMENT	1460 /* as Ethernet takes it */
#define LIMIT_WITH_RATE 1000 /* as netem's own: a slow link does not buffer for minutes */

bool network_effect_needs_wire_packets(const struct network_effect *effect)
{
	const struct netem_config *full = &effect->full;

	return netem_loses(full) || full->duplicate_ppb || full->corrupt_ppb || full->reorder_ppb ||
	       full->peak_bytes || full->packet_overhead || full->cell_size || full->slot_packets ||
	       full->slot_bytes;
}

bool network_effect_only_delays(const struct network_effect *effect)
{
	const struct netem_config *full = &effect->full;

	return !effect->segment && !effect->payload.count &&
	       !network_effect_needs_wire_packets(effect) && !full->jitter_ns && !full->table &&
	       !full->rate_bytes && !full->slot_max_ns && !full->has_ecn;
}

bool network_effect_is_independent(const struct network_effect *effect)
{
	const struct netem_config *full = &effect->full;

	return !effect->refusal.is_on && !full->rate_bytes && !full->slot_max_ns &&
	       !full->reorder_ppb && !full->has_seed && full->loss_model == NETEM_LOSS_RANDOM &&
	       !full->loss_every && !full->delay_correlation_ppb && !full->loss_correlation_ppb &&
	       !full->duplicate_correlation_ppb && !full->corrupt_correlation_ppb;
}

bool network_effect_is_partition(const struct network_effect *effect)
{
	return effect->full.loss_ppb >= SHARE_ONE && !effect->full.has_ecn &&
	       !effect->refusal.is_on && !effect->payload.count;
}

bool network_effect_is_plain_loss(const struct network_effect *effect)
{
	const struct netem_config *full = &effect->full;

	return full->loss_ppb && !effect->segment && !effect->payload.count &&
	       !effect->refusal.is_on && !full->loss_correlation_ppb && !full->loss_every &&
	       !full->has_ecn && !full->delay_ns && !full->duplicate_ppb && !full->corrupt_ppb &&
	       !full->rate_bytes && !full->slot_max_ns && !full->has_seed;
}

int64_t network_effect_longest_ns(const struct network_effect *effect, uint32_t mtu)
{
	const struct netem_config *at = &effect->at;
	int64_t longest_ns = at->delay_ns + at->jitter_ns * (at->table ? NETEM_TABLE_REACH : 1) +
			     at->slot_max_ns + at->slot_jitter_ns * NETEM_TABLE_REACH;
	double backlog_ns = 0;

	if (at->rate_bytes)
		backlog_ns = (double)at->limit * mtu * 1e9 / (double)at->rate_bytes;
	/* whoever waits for it has his own limit far below an hour */
	return longest_ns + (backlog_ns < 3.6e12 ? (int64_t)backlog_ns : 3600000000000LL);
}

/* As many packets as can be on their way. Known before anything is scaled: to shrink it would throw
 * away what waits. */
static uint32_t limit_of(const struct network_effect *effect)
{
	const struct netem_config *full = &effect->full;
	int64_t longest_ns =
		full->delay_ns + full->jitter_ns + full->slot_max_ns + full->slot_jitter_ns;
	int64_t a_second = LIMIT_A_SECOND, limit;

	if (full->rate_bytes && full->rate_bytes / 64 < (uint64_t)a_second)
		a_second = (int64_t)(full->rate_bytes / 64);
	limit = longest_ns / 1000 * a_second / 1000000 + (full->rate_bytes ? LIMIT_WITH_RATE : 0);
	if (limit < LIMIT_MIN && !full->rate_bytes)
		limit = LIMIT_MIN;
	if (effect->segment && effect->segment < WHOLE_SEGMENT) /* of each packet so many */
		limit *= (WHOLE_SEGMENT + effect->segment - 1) / effect->segment;
	return (uint32_t)(limit > LIMIT_MAX ? LIMIT_MAX : limit);
}

uint64_t network_effect_bound(struct network_effect *effect, uint64_t largest, uint64_t memory)
{
	uint64_t fits = memory / largest;

	if (fits < NETWORK_LIMIT_MIN)
		fits = NETWORK_LIMIT_MIN;
	if (!effect->is_limit_given && effect->full.limit > fits)
		effect->full.limit = effect->at.limit = (uint32_t)fits;
	return effect->full.limit * largest;
}

static uint64_t share(const struct params *params, unsigned index, int64_t otherwise)
{
	return (uint64_t)params_number(params, index, otherwise);
}

static void read_loss(const struct params *params, struct netem_config *out)
{
	if (params_is_set(params, NETWORK_GEMODEL_P)) {
		out->loss_model = NETEM_LOSS_GEMODEL;
		out->gemodel.p_ppb = share(params, NETWORK_GEMODEL_P, 0);
		out->gemodel.r_ppb =
			share(params, NETWORK_GEMODEL_R, SHARE_ONE - (int64_t)out->gemodel.p_ppb);
		out->gemodel.bad_ppb = share(params, NETWORK_GEMODEL_1_H, SHARE_ONE);
		out->gemodel.good_ppb = share(params, NETWORK_GEMODEL_1_K, 0);
	} else if (params_is_set(params, NETWORK_STATE_P13)) {
		out->loss_model = NETEM_LOSS_STATE;
		out->state.p13_ppb = share(params, NETWORK_STATE_P13, 0);
		out->state.p31_ppb =
			share(params, NETWORK_STATE_P31, SHARE_ONE - (int64_t)out->state.p13_ppb);
		out->state.p32_ppb = share(params, NETWORK_STATE_P32, 0);
		out->state.p23_ppb = share(params, NETWORK_STATE_P23, SHARE_ONE);
		out->state.p14_ppb = share(params, NETWORK_STATE_P14, 0);
	}
	out->loss_ppb = share(params, NETWORK_LOSS, 0);
	out->loss_correlation_ppb = share(params, NETWORK_LOSS_CORRELATION, 0);
	out->loss_every = (uint32_t)params_number(params, NETWORK_LOSS_EVERY, 0);
	out->loss_every_first =
		(uint32_t)params_number(params, NETWORK_LOSS_EVERY_FIRST, out->loss_every);
	out->has_ecn = params_number(params, NETWORK_ECN, 0);
}

/* An even shape needs no table: from one time to another. */
static void read_slot(const struct params *params, struct netem_config *out)
{
	int64_t jitter_ns = params_number(params, NETWORK_SLOT_JITTER, 0);

	out->slot_min_ns = params_number(params, NETWORK_SLOT, 0);
	out->slot_max_ns = params_number(params, NETWORK_SLOT_MAX, out->slot_min_ns);
	if (jitter_ns)
		out->slot_table = network_distribution((enum network_distribution)params_number(
			params, NETWORK_SLOT_DISTRIBUTION, NETWORK_UNIFORM));
	if (out->slot_table) {
		out->slot_jitter_ns = jitter_ns;
	} else {
		out->slot_min_ns -= jitter_ns;
		out->slot_max_ns += jitter_ns;
	}
	out->slot_packets = (uint32_t)params_number(params, NETWORK_SLOT_PACKETS, 0);
	out->slot_bytes = (uint32_t)params_number(params, NETWORK_SLOT_BYTES, 0);
}

static void read_others(const struct params *params, struct netem_config *out)
{
	out->duplicate_ppb = share(params, NETWORK_DUPLICATE, 0);
	out->duplicate_correlation_ppb = share(params, NETWORK_DUPLICATE_CORRELATION, 0);
	out->corrupt_ppb = share(params, NETWORK_CORRUPT, 0);
	out->corrupt_correlation_ppb = share(params, NETWORK_CORRUPT_CORRELATION, 0);
	out->reorder_ppb = share(params, NETWORK_REORDER, 0);
	out->reorder_correlation_ppb = share(params, NETWORK_REORDER_CORRELATION, 0);
	if (out->reorder_ppb)
		out->reorder_gap = (uint32_t)params_number(params, NETWORK_REORDER_GAP, 1);
	out->rate_bytes = ((uint64_t)params_number(params, NETWORK_RATE, 0) + 7) / 8;
	out->peak_bytes = ((uint64_t)params_number(params, NETWORK_PEAK_RATE, 0) + 7) / 8;
	out->peak_burst = (uint32_t)params_number(params, NETWORK_PEAK_BURST, 0);
	out->packet_overhead = (int32_t)params_number(params, NETWORK_PACKET_OVERHEAD, 0);
	out->cell_size = (uint32_t)params_number(params, NETWORK_CELL_SIZE, 0);
	out->cell_overhead = (int32_t)params_number(params, NETWORK_CELL_OVERHEAD, 0);
	out->burst = (uint32_t)params_number(params, NETWORK_BURST, 0);
	out->has_seed = params_is_set(params, NETWORK_SEED);
	out->seed = (uint64_t)params_number(params, NETWORK_SEED, 0);
}

/* All is lost; how it is refused is done to what is lost. */
static void read_partition(const struct params *params, struct network_effect *out)
{
	int64_t partition = params_number(params, NETWORK_PARTITION, NETWORK_DROP);

	if (!params_is_set(params, NETWORK_PARTITION))
		return;
	out->full.loss_ppb = SHARE_ONE;
	out->refusal = (struct refusal){.is_on = partition != NETWORK_DROP,
					.resets = partition == NETWORK_RESET,
					.reason = (enum refusal_reason)params_number(
						params, NETWORK_REJECT_WITH, REFUSAL_PORT)};
}

/* The samples were checked by the table of parameters, one by one. */
static int read_measured(const struct params *params, struct network_effect *out, struct error *err)
{
	unsigned count = params_count(params, NETWORK_DISTRIBUTION_SAMPLES);
	int64_t *delays_ns;
	int result;

	if (!count)
		return 0;
	delays_ns = reallocarray(NULL, count, sizeof(*delays_ns));
	out->measured = malloc(sizeof(*out->measured));
	if (!delays_ns || !out->measured) {
		free(delays_ns);
		return error_errno(err, ENOMEM, "cannot hold the measured delays");
	}
	for (unsigned i = 0; i < count; i++)
		delays_ns[i] = params_value(params, NETWORK_DISTRIBUTION_SAMPLES, i)->number;
	result = network_distribution_measured(delays_ns, count, out->measured, &out->full.delay_ns,
					       &out->full.jitter_ns, err);
	free(delays_ns);
	out->full.table = out->measured;
	return result;
}

int network_effect_read(const struct params *params, struct network_effect *out, struct error *err)
{
	struct network_effect effect = {0};
	struct netem_config *full = &effect.full;
	int result;

	full->delay_ns = params_number(params, NETWORK_DELAY, 0);
	full->jitter_ns = params_number(params, NETWORK_JITTER, 0);
	full->delay_correlation_ppb = share(params, NETWORK_DELAY_CORRELATION, 0);
	if (full->jitter_ns)
		full->table = network_distribution((enum network_distribution)params_number(
			params, NETWORK_DISTRIBUTION, NETWORK_UNIFORM));
	read_loss(params, full);
	read_others(params, full);
	read_slot(params, full);
	result = read_measured(params, &effect, err);
	if (result < 0) {
		network_effect_free(&effect);
		return result;
	}
	read_partition(params, &effect);
	for (unsigned i = 0; result == 0 && i < params_count(params, NETWORK_PAYLOAD); i++)
		result = delay_payload_add(&effect.payload,
					   params_value(params, NETWORK_PAYLOAD, i)->text, err);
	if (result < 0) {
		network_effect_free(&effect);
		return result;
	}
	effect.segment = (uint32_t)params_number(params, NETWORK_SEGMENT, 0);
	full->limit = params_is_set(params, NETWORK_LIMIT)
			      ? (uint32_t)params_number(params, NETWORK_LIMIT, 0)
			      : limit_of(&effect);
	effect.is_limit_given = params_is_set(params, NETWORK_LIMIT);
	effect.at = *full;
	*out = effect;
	return 0;
}

void network_effect_free(struct network_effect *effect)
{
	free(effect->measured);
	effect->measured = NULL;
}

double network_effect_early(const struct network_effect *effect)
{
	const struct netem_config *full = &effect->full;

	if (!full->jitter_ns || effect->measured)
		return 0;
	return network_distribution_below(full->table,
					  -(double)full->delay_ns / (double)full->jitter_ns);
}

static int64_t part_of(int64_t value, int64_t level_ppb)
{
	return (int64_t)((__int128)value * level_ppb / SHARE_ONE);
}

/* At half the strength one of twice as many, at none none at all. */
static uint32_t of_more(uint32_t count, int64_t level_ppb)
{
	uint64_t more = level_ppb ? ((uint64_t)count * SHARE_ONE + (uint64_t)level_ppb / 2) /
					    (uint64_t)level_ppb
				  : 0;

	return more > UINT32_MAX ? UINT32_MAX : (uint32_t)more;
}

/* At half the strength twice as much, at none there is no limit. */
static uint64_t faster(uint64_t bytes, int64_t level_ppb)
{
	unsigned __int128 rate =
		level_ppb ? (unsigned __int128)bytes * SHARE_ONE / (uint64_t)level_ppb : 0;

	return rate > UINT64_MAX / 16 ? 0 : (uint64_t)rate;
}

void network_effect_scale(struct network_effect *effect, int64_t level_ppb)
{
	const struct netem_config *full = &effect->full;
	struct netem_config at = *full;

	at.delay_ns = part_of(full->delay_ns, level_ppb);
	at.jitter_ns = part_of(full->jitter_ns, level_ppb);
	at.loss_ppb = (uint64_t)part_of((int64_t)full->loss_ppb, level_ppb);
	at.gemodel.bad_ppb = (uint64_t)part_of((int64_t)full->gemodel.bad_ppb, level_ppb);
	at.gemodel.good_ppb = (uint64_t)part_of((int64_t)full->gemodel.good_ppb, level_ppb);
	at.state.p13_ppb = (uint64_t)part_of((int64_t)full->state.p13_ppb, level_ppb);
	at.state.p14_ppb = (uint64_t)part_of((int64_t)full->state.p14_ppb, level_ppb);
	at.loss_every = of_more(full->loss_every, level_ppb);
	at.loss_every_first = of_more(full->loss_every_first, level_ppb);
	at.duplicate_ppb = (uint64_t)part_of((int64_t)full->duplicate_ppb, level_ppb);
	at.corrupt_ppb = (uint64_t)part_of((int64_t)full->corrupt_ppb, level_ppb);
	at.reorder_ppb = (uint64_t)part_of((int64_t)full->reorder_ppb, level_ppb);
	if (!at.reorder_ppb)
		at.reorder_gap = 0;
	at.slot_min_ns = part_of(full->slot_min_ns, level_ppb);
	at.slot_max_ns = part_of(full->slot_max_ns, level_ppb);
	at.slot_jitter_ns = part_of(full->slot_jitter_ns, level_ppb);
	at.rate_bytes = faster(full->rate_bytes, level_ppb);
	at.peak_bytes = faster(full->peak_bytes, level_ppb);
	effect->at = at;
}

/* Words. */

static void say_share(struct prose *prose, const char *name, uint64_t ppb)
{
	char text[QUANTITY_TEXT_SIZE];

	prose_say(prose, "%s%s %s", prose->used ? " " : "", name,
		  quantity_format_share((int64_t)ppb, text));
}

static void say_correlated(struct prose *prose, const char *name, uint64_t ppb,
			   uint64_t correlation_ppb)
{
	if (!ppb)
		return;
	say_share(prose, name, ppb);
	if (correlation_ppb)
		say_share(prose, "correlation", correlation_ppb);
}

static void say_time(struct prose *prose, const char *name, int64_t ns)
{
	char text[QUANTITY_TEXT_SIZE];

	prose_say(prose, "%s%s %s", prose->used ? " " : "", name,
		  quantity_format_duration(ns, text));
}

static const char *name_of(const struct network_effect *effect, const struct netem_table *table)
{
	if (!table)
		return "uniform";
	if (table == effect->measured)
		return "measured";
	return table == network_distribution(NETWORK_NORMAL)   ? "normal"
	       : table == network_distribution(NETWORK_PARETO) ? "pareto"
							       : "paretonormal";
}

static void say_delay(struct prose *prose, const struct network_effect *effect)
{
	const struct netem_config *at = &effect->at;

	if (at->delay_ns)
		say_time(prose, "delay", at->delay_ns);
	if (at->jitter_ns) {
		say_time(prose, "jitter", at->jitter_ns);
		if (at->delay_correlation_ppb)
			say_share(prose, "correlation", at->delay_correlation_ppb);
		prose_say(prose, " distribution %s", name_of(effect, at->table));
	}
}

static void say_losses(struct prose *prose, const struct network_effect *effect)
{
	const struct netem_config *at = &effect->at;

	if (at->loss_model == NETEM_LOSS_GEMODEL) {
		say_share(prose, "loss gemodel p", at->gemodel.p_ppb);
		say_share(prose, "r", at->gemodel.r_ppb);
		say_share(prose, "1-h", at->gemodel.bad_ppb);
		say_share(prose, "1-k", at->gemodel.good_ppb);
	} else if (at->loss_model == NETEM_LOSS_STATE) {
		say_share(prose, "loss state p13", at->state.p13_ppb);
		say_share(prose, "p31", at->state.p31_ppb);
		say_share(prose, "p32", at->state.p32_ppb);
		say_share(prose, "p23", at->state.p23_ppb);
		say_share(prose, "p14", at->state.p14_ppb);
	} else if (effect->refusal.is_on) {
		say_share(prose, effect->refusal.resets ? "reset" : "reject", at->loss_ppb);
	} else {
		say_correlated(prose, "loss", at->loss_ppb, at->loss_correlation_ppb);
	}
	if (at->loss_every)
		prose_say(prose, "%sloss of one in every %u packets", prose->used ? " " : "",
			  at->loss_every);
	if (at->loss_every_first != at->loss_every)
		prose_say(prose, ", number %u first", at->loss_every_first);
	if (at->has_ecn)
		prose_say(prose, " ecn");
}

static void say_slot(struct prose *prose, const struct network_effect *effect)
{
	const struct netem_config *at = &effect->at;

	if (!at->slot_max_ns)
		return;
	say_time(prose, "slot", at->slot_min_ns);
	if (at->slot_table) {
		say_time(prose, "jitter", at->slot_jitter_ns);
		prose_say(prose, " distribution %s", name_of(effect, at->slot_table));
	} else {
		say_time(prose, "to", at->slot_max_ns);
	}
	if (at->slot_packets)
		prose_say(prose, " packets %u", at->slot_packets);
	if (at->slot_bytes)
		prose_say(prose, " bytes %u", at->slot_bytes);
}

static void say_rate(struct prose *prose, const struct netem_config *at)
{
	if (at->rate_bytes) {
		prose_say(prose, "%srate %" PRIu64 "bit", prose->used ? " " : "",
			  at->rate_bytes * 8);
		if (at->burst)
			prose_say(prose, " burst %uB", at->burst);
		if (at->peak_bytes)
			prose_say(prose, " peakrate %" PRIu64 "bit", at->peak_bytes * 8);
		if (at->peak_burst)
			prose_say(prose, " minburst %uB", at->peak_burst);
		if (at->packet_overhead)
			prose_say(prose, " packetoverhead %d", at->packet_overhead);
		if (at->cell_size)
			prose_say(prose, " cellsize %u celloverhead %d", at->cell_size,
				  at->cell_overhead);
	}
}

char *network_effect_describe(const struct network_effect *effect, char *out, size_t size)
{
	const struct netem_config *at = &effect->at;
	struct prose prose;

	prose_begin(&prose, out, size);
	say_delay(&prose, effect);
	say_losses(&prose, effect);
	say_correlated(&prose, "duplicate", at->duplicate_ppb, at->duplicate_correlation_ppb);
	say_correlated(&prose, "corrupt", at->corrupt_ppb, at->corrupt_correlation_ppb);
	say_correlated(&prose, "reorder", at->reorder_ppb, at->reorder_correlation_ppb);
	if (at->reorder_gap > 1)
		prose_say(&prose, " gap %u", at->reorder_gap);
	say_rate(&prose, at);
	say_slot(&prose, effect);
	if (effect->segment)
		prose_say(&prose, "%ssegment %uB", prose.used ? " " : "", effect->segment);
	if (effect->payload.count)
		prose_say(&prose, " of what has a certain payload");
	if (at->has_seed)
		prose_say(&prose, " seed %" PRIu64, at->seed);
	return out;
}
