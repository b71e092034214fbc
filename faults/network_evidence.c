/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Did it bite? From the counters of the table or filters, of the queue and of the delay line; and
 * whether it is still in force, for which this is the moment.
 */
#include "faults/network.h"

#include "faults/network_gate.h"
#include "faults/network_line.h"
#include "faults/network_netem.h"

#include <errno.h>
#include <string.h>

struct reading {
	struct evidence evidence;
	uint64_t unseen;
};

static void count(void *context, const char *name, uint64_t packets, uint64_t bytes)
{
	struct reading *reading = context;
	struct evidence *evidence = &reading->evidence;

	(void)bytes;
	if (strncmp(name, "hit", 3) == 0)
		evidence->hits += packets;
	else if (strncmp(name, "lost", 4) == 0)
		evidence->dropped += packets;
	else if (strncmp(name, "full", 4) == 0)
		reading->unseen += packets;
}

int network_read_counters(struct network_state *state, struct error *err)
{
	struct reading reading = {0};
	int result =
		state->hook == NETWORK_GATE
			? network_gate_counters(state, &reading.evidence, err)
			: nft_counters(state->netfilter, state->record.table, count, &reading, err);

	if (result < 0)
		return result;
	state->evidence = reading.evidence;
	state->unseen = reading.unseen;
	return 0;
}

/* Not all counters are read at one moment: that must not make it less than nothing. */
static uint64_t above(uint64_t count, uint64_t others)
{
	return count > others ? count - others : 0;
}

static void at_least(uint64_t *count, uint64_t least)
{
	if (*count < least)
		*count = least;
}

/* Where packets are cut before anything is decided, the table has counted what the stack handed
 * down (up to 64 KiB each); what came through and what was dropped are packets of the wire, and so
 * is their sum. */
static void count_wire_packets(const struct network_state *state, struct evidence *out)
{
	const struct network_queue_counts *queue = &state->queue;
	const struct network_line_counts *line = &state->line_counts;

	if (state->way == NETWORK_NETEM) {
		out->passed = queue->sent + queue->waiting;
		if (queue->has_fates)
			at_least(&out->hits,
				 above(out->passed + queue->dropped, queue->fates.duplicated));
		else /* with ecn what is marked is in both, and copies are counted as packets */
			at_least(&out->hits,
				 out->passed + (state->effect.full.has_ecn ? 0 : queue->dropped));
	} else {
		at_least(&out->hits, line->taken);
		out->passed = above(out->hits + line->fates.duplicated, out->dropped);
	}
}

static void count_fates(const struct network_state *state, struct evidence *out)
{
	const struct netem_config *effect = &state->effect.full;

	out->dropped += state->queue.dropped + state->line_counts.dropped;
	out->hits = above(out->hits, state->line_counts.spared);
	out->passed = above(out->hits, out->dropped);
	if (state->way != NETWORK_FILTER && !state->effect.refusal.is_on &&
	    (state->effect.segment || network_effect_needs_wire_packets(&state->effect)))
		count_wire_packets(state, out);
	if (effect->delay_ns || effect->rate_bytes || effect->slot_max_ns)
		out->delayed = out->passed;
}

int network_evidence(struct fault *fault, struct evidence *out, struct error *err)
{
	struct network_state *state = fault->state;
	struct network_queue_counts queue = state->queue;
	int result = 0;

	if (state->phase == NETWORK_ACTIVE || state->phase == NETWORK_EMPTYING)
		result = network_read_counters(state, err);
	if (result == 0 && state->phase != NETWORK_IDLE && state->way == NETWORK_NETEM)
		result = network_netem_count(state, &queue, err);
	/* what is missing, and what that means, is said below */
	if (result < 0 && result != -ENOENT && result != -ENODEV)
		return result;
	if (state->phase != NETWORK_IDLE && state->way == NETWORK_LINE &&
	    !state->effect.refusal.is_on)
		network_line_count(state, &state->line_counts);
	if (state->phase == NETWORK_ACTIVE && state->way == NETWORK_LINE)
		network_line_tend(state, fault);
	state->queue = queue;
	*out = state->evidence;
	count_fates(state, out);
	out->processor_ns = network_line_processor_ns(state);
	if (network_is_instant(fault->params))
		*out = (struct evidence){.unit = "connections"};
	else
		network_describe_evidence(state, out);
	if (state->diag)
		network_describe_connections(state, out);
	return state->phase == NETWORK_ACTIVE ? network_check_in_force(state, err) : 0;
}
