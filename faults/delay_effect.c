/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/delay_effect.h"

#include "injector/base/clock.h"
#include "injector/base/quantity.h"
#include "injector/base/random.h"

#include <stddef.h>
#include <string.h>

enum { RECEIVED = 1, RECEIVED_IN_BURST, LOST_IN_BURST, LOST_ALONE };

static uint32_t next_32(struct delay_effect *effect)
{
	return (uint32_t)(random_next(&effect->random) >> 32);
}

/* Weighted with the one before, as netem does; that this makes extremes rarer is netem's way, too.
 */
static uint32_t next_in(struct delay_effect *effect, struct delay_sequence *sequence)
{
	uint64_t value = next_32(effect), weight = (uint64_t)sequence->correlation + 1;

	if (sequence->correlation == 0)
		return (uint32_t)value;
	sequence->last =
		(uint32_t)((value * ((1ULL << 32) - weight) + sequence->last * weight) >> 32);
	return sequence->last;
}

static uint32_t scale(uint64_t ppb)
{
	return ppb >= SHARE_ONE ? UINT32_MAX : (uint32_t)(ppb * UINT32_MAX / SHARE_ONE);
}

/* Nothing here calls the C library's mathematics, a library more to load: a millisecond of each
 * start of squall. */

/* A normal number: the sum of twelve even ones, whose distribution is within 0.003 of it. */
static double next_normal(struct delay_effect *effect)
{
	double sum = -6;

	for (unsigned i = 0; i < 12; i++)
		sum += next_32(effect) / 4294967296.0;
	return sum;
}

/* e^-x for x >= 0, to nine digits: the series for a 64th of it. */
static double decay(double x)
{
	const double step = x / 64;
	double sum = 1 - step * (1 - step / 2 * (1 - step / 3 * (1 - step / 4 * (1 - step / 5))));

	if (x > 40) /* nothing, and the series would not hold */
		return 0;
	for (unsigned i = 0; i < 6; i++)
		sum *= sum;
	return sum;
}

/* The part of all normal numbers that is below: Abramowitz and Stegun, 26.2.17. */
static double place_of(double normal)
{
	const double size = normal < 0 ? -normal : normal, t = 1 / (1 + 0.2316419 * size);
	const double polynomial =
		t * (0.319381530 +
		     t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
	double above = 0.3989422804 * decay(size * size / 2) * polynomial;

	return normal < 0 ? above : 1 - above;
}

/* Even in all 32 bits whatever the correlation, so that the jitter keeps its shape and its width,
 * which a weighted mean of draws takes from it: normal numbers, whose weighted sum stays normal,
 * each by its place in their distribution. */
static uint32_t next_of_jitter(struct delay_effect *effect)
{
	double weight = effect->jitter_weight, place;

	if (weight == 0)
		return next_32(effect);
	effect->jitter_last = weight * effect->jitter_last +
			      __builtin_sqrt(1 - weight * weight) * next_normal(effect);
	place = place_of(effect->jitter_last) * 4294967296.0;
	return place >= UINT32_MAX ? UINT32_MAX : (uint32_t)place;
}

/* Of the normal numbers, so that their places are correlated as asked for: twice the sine of a
 * sixth of pi times that (Pearson 1907), here by its series. */
static double weight_of(uint64_t correlation_ppb)
{
	const double x = 0.52359877560 * (double)correlation_ppb / SHARE_ONE, square = x * x;

	return correlation_ppb >= SHARE_ONE
		       ? 1
		       : 2 * x * (1 - square / 6 * (1 - square / 20 * (1 - square / 42)));
}

static bool happens(struct delay_effect *effect, uint64_t ppb)
{
	return ppb >= SHARE_ONE || (ppb && next_32(effect) < scale(ppb));
}

static bool happens_in(struct delay_effect *effect, uint64_t ppb, struct delay_sequence *sequence)
{
	return ppb && scale(ppb) >= next_in(effect, sequence);
}

void delay_effect_init(struct delay_effect *effect, uint64_t seed)
{
	memset(effect, 0, offsetof(struct delay_effect, tables));
	effect->random = seed;
	effect->state = RECEIVED;
	effect->bucket_ns = effect->peak_ns = effect->slot_ns = INT64_MIN;
	effect->jitter_last = next_normal(effect);
	effect->loss.last = next_32(effect);
	effect->duplicate.last = next_32(effect);
	effect->corrupt.last = next_32(effect);
	effect->reorder.last = next_32(effect);
}

void delay_effect_set(struct delay_effect *effect, const struct netem_config *config)
{
	netem_copy(config, &effect->config, &effect->tables);
	effect->jitter_weight = weight_of(config->delay_correlation_ppb);
	effect->loss.correlation = scale(config->loss_correlation_ppb);
	effect->duplicate.correlation = scale(config->duplicate_correlation_ppb);
	effect->corrupt.correlation = scale(config->corrupt_correlation_ppb);
	effect->reorder.correlation = scale(config->reorder_correlation_ppb);
}

int64_t delay_effect_longest_ns(const struct delay_effect *effect)
{
	const struct netem_config *config = &effect->config;

	return config->delay_ns + config->jitter_ns * (config->table ? NETEM_TABLE_REACH : 1) +
	       config->slot_max_ns + config->slot_jitter_ns * NETEM_TABLE_REACH;
}

bool delay_effect_loses_by_count(struct delay_effect *effect)
{
	const struct netem_config *config = &effect->config;

	if (!config->loss_every ||
	    ++effect->since_lost <
		    (effect->has_lost ? config->loss_every : config->loss_every_first))
		return false;
	effect->since_lost = 0;
	effect->has_lost = true;
	return true;
}

bool delay_effect_duplicates(struct delay_effect *effect)
{
	return happens_in(effect, effect->config.duplicate_ppb, &effect->duplicate);
}

bool delay_effect_corrupts(struct delay_effect *effect)
{
	return happens_in(effect, effect->config.corrupt_ppb, &effect->corrupt);
}

uint32_t delay_effect_below(struct delay_effect *effect, uint32_t count)
{
	return (uint32_t)(((uint64_t)next_32(effect) * count) >> 32);
}

static bool loses_by_gemodel(struct delay_effect *effect)
{
	const struct netem_gemodel *model = &effect->config.gemodel;

	if (!effect->is_bad) {
		effect->is_bad = happens(effect, model->p_ppb);
		return happens(effect, model->good_ppb);
	}
	effect->is_bad = !happens(effect, model->r_ppb);
	return happens(effect, model->bad_ppb);
}

/* One draw decides between the ways out of a state. */
static bool loses_by_state(struct delay_effect *effect)
{
	const struct netem_state *model = &effect->config.state;
	uint64_t draw = ((uint64_t)next_32(effect) * SHARE_ONE) >> 32;

	switch (effect->state) {
	case RECEIVED:
		if (draw < model->p14_ppb)
			effect->state = LOST_ALONE;
		else if (draw < model->p14_ppb + model->p13_ppb)
			effect->state = LOST_IN_BURST;
		break;
	case RECEIVED_IN_BURST:
		if (draw < model->p23_ppb)
			effect->state = LOST_IN_BURST;
		break;
	case LOST_IN_BURST:
		if (draw < model->p32_ppb)
			effect->state = RECEIVED_IN_BURST;
		else if (draw < model->p32_ppb + model->p31_ppb)
			effect->state = RECEIVED;
		break;
	default:
		effect->state = RECEIVED;
	}
	return effect->state == LOST_IN_BURST || effect->state == LOST_ALONE;
}

bool delay_effect_loses(struct delay_effect *effect)
{
	switch (effect->config.loss_model) {
	case NETEM_LOSS_GEMODEL:
		return loses_by_gemodel(effect);
	case NETEM_LOSS_STATE:
		return loses_by_state(effect);
	default:
		return happens_in(effect, effect->config.loss_ppb, &effect->loss);
	}
}

/* `at` of a table, in its units of a jitter: by the upper bits of the draw, which are those that a
 * correlation keeps. netem takes the remainder of a division, so that its delays have none,
 * whatever was asked for (measured). */
static int64_t look_up(const struct netem_table *table, uint32_t draw, int64_t jitter_ns)
{
	const uint32_t at = (uint32_t)(((uint64_t)draw * NETEM_TABLE_SIZE) >> 32);

	return jitter_ns * table->values[at] / NETEM_DIST_SCALE;
}

static int64_t draw_delay(struct delay_effect *effect)
{
	const struct netem_config *config = &effect->config;
	const unsigned __int128 width = 2 * (unsigned __int128)config->jitter_ns;
	uint32_t draw;

	if (!config->jitter_ns)
		return config->delay_ns;
	draw = next_of_jitter(effect);
	if (config->table)
		return config->delay_ns + look_up(config->table, draw, config->jitter_ns);
	/* in [-jitter, jitter) */
	return config->delay_ns - config->jitter_ns + (int64_t)((draw * width) >> 32);
}

static int64_t time_for(uint64_t bytes, uint64_t rate_bytes)
{
	return (int64_t)((unsigned __int128)bytes * NSEC_PER_SEC / rate_bytes);
}

/* How many bytes the packet counts. */
static uint64_t bytes_of(const struct netem_config *config, uint64_t length)
{
	int64_t bytes = (int64_t)length + config->packet_overhead;

	if (config->cell_size) {
		int64_t cells = (bytes + config->cell_size - 1) / config->cell_size;

		bytes = cells * ((int64_t)config->cell_size + config->cell_overhead);
	}
	return bytes > 0 ? (uint64_t)bytes : 0;
}

/* Out of a token bucket that holds so much time: as soon as there is enough in it. */
static int64_t through_bucket(int64_t *full_ns, int64_t takes_ns, int64_t holds_ns, int64_t due_ns)
{
	int64_t ready_ns;

	if (*full_ns < due_ns)
		*full_ns = due_ns;
	*full_ns += takes_ns;
	ready_ns = *full_ns - holds_ns;
	return ready_ns > due_ns ? ready_ns : due_ns;
}

/* Behind the other one, which is never the fuller of the two (in time): so that it makes no
 * difference to the first one that the packet leaves it later. tbf asks both at once. */
static int64_t through_peak(struct delay_effect *effect, uint64_t bytes, int64_t due_ns)
{
	const struct netem_config *config = &effect->config;
	const uint64_t holds = config->peak_burst > bytes ? config->peak_burst : bytes;

	return through_bucket(&effect->peak_ns, time_for(bytes, config->peak_bytes),
			      time_for(holds, config->peak_bytes), due_ns);
}

/* When the packet is through: after it has been sent bit by bit, or, with a burst, as soon as the
 * bucket holds enough for it, and that for the peak rate as well. */
static int64_t through_rate(struct delay_effect *effect, uint64_t length, int64_t due_ns)
{
	const struct netem_config *config = &effect->config;
	const uint64_t bytes = bytes_of(config, length);
	const int64_t takes_ns = time_for(bytes, config->rate_bytes);

	if (!config->burst)
		return due_ns + takes_ns;
	due_ns = through_bucket(&effect->bucket_ns, takes_ns,
				time_for(config->burst, config->rate_bytes), due_ns);
	return config->peak_bytes ? through_peak(effect, bytes, due_ns) : due_ns;
}

static void open_slot(struct delay_effect *effect, int64_t after_ns)
{
	const struct netem_config *config = &effect->config;
	uint64_t width = (uint64_t)(config->slot_max_ns - config->slot_min_ns);
	uint32_t draw = next_32(effect);
	int64_t wait_ns = config->slot_min_ns;

	if (config->slot_table)
		wait_ns += look_up(config->slot_table, draw, config->slot_jitter_ns);
	else
		wait_ns += (int64_t)(((unsigned __int128)draw * width) >> 32);
	effect->slot_ns = after_ns + (wait_ns > 0 ? wait_ns : 0);
	effect->slot_packets = 0;
	effect->slot_bytes = 0;
}

/* netem lets packets out in slots; since what leaves is in order, the slot of each is known when it
 * comes. */
static int64_t in_slot(struct delay_effect *effect, uint64_t length, int64_t due_ns)
{
	const struct netem_config *config = &effect->config;

	if (due_ns > effect->slot_ns)
		open_slot(effect, due_ns);
	else if ((config->slot_packets && effect->slot_packets >= config->slot_packets) ||
		 (config->slot_bytes && effect->slot_bytes >= config->slot_bytes))
		open_slot(effect, effect->slot_ns);
	effect->slot_packets++;
	effect->slot_bytes += length;
	return effect->slot_ns;
}

static bool overtakes(struct delay_effect *effect)
{
	const struct netem_config *config = &effect->config;

	if (config->reorder_gap == 0 || ++effect->since_reordered < config->reorder_gap ||
	    !happens_in(effect, config->reorder_ppb, &effect->reorder))
		return false;
	effect->since_reordered = 0;
	return true;
}

struct delay_due delay_effect_due(struct delay_effect *effect, uint64_t length, int64_t now_ns,
				  int64_t last_ns)
{
	const struct netem_config *config = &effect->config;
	struct delay_due due = {.at_ns = now_ns};

	due.is_reordered = overtakes(effect);
	if (due.is_reordered)
		return due;
	due.at_ns += draw_delay(effect);
	if (due.at_ns < now_ns)
		due.at_ns = now_ns;
	due.is_ordered = !config->jitter_ns || config->rate_bytes;
	if (due.is_ordered && due.at_ns < last_ns)
		due.at_ns = last_ns;
	if (config->rate_bytes)
		due.at_ns = through_rate(effect, length, due.at_ns);
	if (config->slot_max_ns)
		due.at_ns = in_slot(effect, length, due.at_ns);
	return due;
}
