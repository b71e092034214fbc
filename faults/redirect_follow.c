/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A fault that redirects, whose target has got other servers, interfaces or control groups. All
 * rules of its table are replaced in one transaction: a packet meets the old ones or the new ones.
 * The chains stay, and with them connection tracking and the translation of what was redirected.
 */
#include "faults/redirect_state.h"

#include "faults/target_follow.h"

#include <errno.h>
#include <linux/netfilter.h>

#define PAIRS_MAX 4096 /* of a server and an interface: some 200 ms */

/* FNV-1a, 64 bits, of their numbers. */
static uint64_t sum_of(const struct target *target)
{
	uint64_t sum = 0xcbf29ce484222325ULL;

	for (unsigned i = 0; i < target->interface_count; i++)
		sum = (sum ^ (uint32_t)target->interfaces[i].index) * 0x100000001b3ULL;
	return sum;
}

void redirect_note_interfaces(struct redirect_state *state, const struct target *target)
{
	state->placed = sum_of(target);
}

/* What the plan would have refused; and so many rules that the worker would hear of nothing else
 * while it replaces them. */
int redirect_check_followed(const struct fault *fault, struct error *err)
{
	const struct target *target = fault->target;
	const struct params *params = &target->params;
	const unsigned most = fault->ops->use->endpoints_max;
	const unsigned to = params_count(params, TRAFFIC_TO);

	if (most && to + params_count(params, TRAFFIC_EXCEPT) > most)
		return error_set(err, E2BIG, "more than %u servers", most);
	if (params_count(params, TRAFFIC_INTERFACE) &&
	    (to ? to : 1) * target->interface_count > PAIRS_MAX)
		return error_set(err, E2BIG,
				 "follow: %u servers by %u interfaces, together at most %d can be "
				 "followed",
				 to ? to : 1, target->interface_count, PAIRS_MAX);
	return 0;
}

static int refill(const struct fault *fault, struct error *err)
{
	struct redirect_state *state = fault->state;
	struct nft_batch batch;
	int result;

	if (state->phase != REDIRECT_ACTIVE)
		return 0; /* inject() begins with them; nothing comes any more once it has ended */
	nft_batch_begin(&batch);
	nft_refill_table(&batch, NFPROTO_INET, state->record.table);
	state->kind->add_rules(&(struct redirect_rules){.batch = &batch,
							.target = fault->target,
							.port = state->responder->port,
							.has_ipv6 = state->responder->has_ipv6,
							.mark = state->mark});
	result = nft_commit(state->owner, &batch, err);
	if (result == 0)
		redirect_note_interfaces(state, fault->target);
	return result;
}

int redirect_follow(struct fault *fault, char *out_note, size_t size, struct error *err)
{
	int result = redirect_check_followed(fault, err);

	(void)out_note;
	(void)size;
	return result < 0 ? result : refill(fault, err);
}

/* All of them at a time. Where it fails the next look tries again; the one that is too many is the
 * last one. */
int redirect_follow_interfaces(struct fault *fault, int64_t until_ns, int *out_index,
			       struct error *err)
{
	const struct redirect_state *state = fault->state;
	const struct target *target = fault->target;
	int result;

	(void)until_ns;
	*out_index = 0;
	if (!params_count(&target->params, TRAFFIC_INTERFACE) || sum_of(target) == state->placed)
		return 0;
	result = redirect_check_followed(fault, err);
	if (result < 0 && target->interface_count)
		*out_index = target->interfaces[target->interface_count - 1].index;
	return result < 0 ? result : refill(fault, err);
}
