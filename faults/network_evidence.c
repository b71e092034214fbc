/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Did it bite? From the counters of the table or filters, of the queue and of the delay line; and
 * whether it is still in force, for which this is the moment.
 */
#include "faults/network.h"

#include "faults/network_gate.h"

#include <errno.h>
#include <string.h>

static void count(void *context, const char *name, uint64_t packets, uint64_t bytes)
{
	struct evidence *evidence = context;

	(void)bytes;
	if (strncmp(name, "hit", 3) == 0)
		evidence->hits += packets;
	else if (strncmp(name, "lost", 4) == 0)
		evidence->dropped += packets;
}

int network_read_counters(struct network_state *state, struct error *err)
{
	struct evidence evidence = {0};
	int result = state->hook == NETWORK_GATE
			     ? network_gate_counters(state, &evidence, err)
			     : nft_counters(state->netfilter, state->record.table, count, &evidence,
					    err);

	if (result < 0)
		return result;
	state->evidence = evidence;
	return 0;
}

int network_evidence(struct fault *fault, struct evidence *out, struct error *err)
{
	struct network_state *state = fault->state;
	uint64_t dropped = state->queue_dropped;
	int result = 0;

	if (state->phase == NETWORK_ACTIVE || state->phase == NETWORK_EMPTYING)
		result = network_read_counters(state, err);
	if (result == 0 && state->phase != NETWORK_IDLE && state->way == NETWORK_NETEM)
		result = network_netem_dropped(state, &dropped, err);
	/* what is missing, and what that means, is said below */
	if (result < 0 && result != -ENOENT && result != -ENODEV)
		return result;
	if (state->phase != NETWORK_IDLE && state->way == NETWORK_LINE &&
	    !state->effect.refusal.is_on)
		network_line_count(state, &state->line_counts);
	state->queue_dropped = dropped;
	*out = state->evidence;
	out->dropped += dropped + state->line_counts.dropped;
	out->processor_ns = network_line_processor_ns(state);
	if (network_is_instant(fault->params))
		*out = (struct evidence){.unit = "connections"};
	else
		network_describe_evidence(state, out);
	if (state->diag)
		network_describe_connections(state, out);
	return state->phase == NETWORK_ACTIVE ? network_check_in_force(state, err) : 0;
}
