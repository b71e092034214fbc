/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Planning a network fault: which traffic, and what of it is left out, in words.
 */
#include "faults/network.h"

#include "faults/target_follow.h"
#include "injector/base/clock.h"
#include "injector/base/prose.h"
#include "injector/base/quantity.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <string.h>

#define ENDPOINTS_SHOWN 20 /* of a long list, the first ones */

/* ", protocol tcp, udp, 47", or nothing */
static const char *describe_protocols(const struct params *params, char *out, size_t size)
{
	static const unsigned lists[] = {TRAFFIC_PROTOCOL, TRAFFIC_PROTOCOL_NUMBER};
	uint8_t numbers[TRAFFIC_PROTOCOLS_MAX];
	const char *comma = ", protocol ";
	size_t used = 0;

	out[0] = '\0';
	if (target_protocols(params, numbers) == 0)
		return out;
	if (target_tcp_flags(params).mask) {
		snprintf(out, size, ", protocol tcp");
		return out;
	}
	for (unsigned list = 0; list < 2; list++)
		for (unsigned i = 0; i < params_count(params, lists[list]) && used < size; i++) {
			used += (size_t)snprintf(out + used, size - used, "%s%s", comma,
						 params_value(params, lists[list], i)->text);
			comma = ", ";
		}
	return out;
}

static const char *format_local(const struct params *params, unsigned list, unsigned at, char *out)
{
	return endpoint_format(&params_value(params, list, at)->endpoint, out);
}

/* "of that, packets with fin or syn" */
static int list_flags(const struct params *params, struct plan *plan)
{
	char words[120];

	if (!params_count(params, TRAFFIC_TCP_FLAGS))
		return 0;
	target_tcp_flags_say(params, words, sizeof(words));
	return plan_add(plan, PLAN_TARGET, "of that, packets with the TCP flag %s", words);
}

/* "of that, packets with the payload "DELETE /cart" or hex:0d0a" */
static int list_payload(const struct params *params, struct plan *plan)
{
	struct prose prose;
	char words[300];

	if (!params_count(params, NETWORK_PAYLOAD))
		return 0;
	prose_begin(&prose, words, sizeof(words));
	for (unsigned i = 0; i < params_count(params, NETWORK_PAYLOAD); i++)
		prose_say(&prose, "%s\"%s\"", i ? " or " : "",
			  params_value(params, NETWORK_PAYLOAD, i)->text);
	prose_end(&prose);
	return plan_add(plan, PLAN_TARGET, "of that, packets with the payload %s", words);
}

/* "of that, 10.0.5.7 on this side", and how that tells the interfaces, if it does */
static int list_local(const struct params *params, struct plan *plan)
{
	const unsigned count = params_count(params, TRAFFIC_LOCAL_ADDRESS);
	char text[ENDPOINT_TEXT_SIZE];
	int result = 0;

	for (unsigned i = 0; result == 0 && i < count && i < ENDPOINTS_SHOWN; i++)
		result = plan_add(plan, PLAN_TARGET, "%s %s on this side", i ? "or" : "of that,",
				  format_local(params, TRAFFIC_LOCAL_ADDRESS, i, text));
	if (result == 0 && count > ENDPOINTS_SHOWN)
		result = plan_add(plan, PLAN_TARGET,
				  "or one of %u more addresses or networks on this side",
				  count - ENDPOINTS_SHOWN);
	if (result == 0 && count && !params_count(params, TRAFFIC_TO) &&
	    !params_count(params, TRAFFIC_INTERFACE))
		result = plan_add(plan, PLAN_NOTE,
				  "its interfaces are those that have such an address, and those "
				  "of its default routes; `interface` names others");
	return result;
}

/* "of that, frames of VLAN 5"; and where they are looked for, if nobody said it */
static int list_vlan(const struct network_state *state, const struct params *params,
		     struct plan *plan)
{
	int result;

	if (!params_is_set(params, TRAFFIC_VLAN))
		return 0;
	result = plan_add(plan, PLAN_TARGET, "of that, frames of VLAN %s",
			  params_text(params, TRAFFIC_VLAN));
	if (result < 0 || params_count(params, TRAFFIC_INTERFACE) || !state->path_count)
		return result;
	return plan_add(plan, PLAN_NOTE,
			"vlan: the routes lead by %s, and frames are met there only if they have "
			"the tag, which they have on the interface below that of a VLAN: name it "
			"with `interface`",
			state->paths[0].interface);
}

int network_list_targets(const struct network_state *state, const struct target *target,
			 struct plan *plan)
{
	const struct params *params = &target->params;
	unsigned count = params_count(params, TRAFFIC_TO);
	char text[ENDPOINT_TEXT_SIZE] = "*", protocols[160];
	int result = 0;

	describe_protocols(params, protocols, sizeof(protocols));
	for (unsigned i = 0; result == 0 && i < (count ? count : 1) && i < ENDPOINTS_SHOWN; i++) {
		if (count)
			endpoint_format(&params_value(params, TRAFFIC_TO, i)->endpoint, text);
		result = plan_add(plan, PLAN_TARGET, "traffic with %s%s", text, protocols);
	}
	if (result == 0 && count > ENDPOINTS_SHOWN)
		result = plan_add(plan, PLAN_TARGET, "and with %u more addresses or networks",
				  count - ENDPOINTS_SHOWN);
	if (result == 0)
		result = list_local(params, plan);
	if (result == 0 && params_is_set(params, TRAFFIC_SHARE))
		result = plan_add(plan, PLAN_TARGET, "of that, %s of the %s",
				  params_text(params, TRAFFIC_SHARE),
				  target_shares_addresses(params) ? "far addresses" : "flows");
	if (result == 0)
		result = list_vlan(state, params, plan);
	if (result == 0)
		result = list_flags(params, plan);
	if (result == 0)
		result = list_payload(state->fault->params, plan);
	if (result == 0)
		result = target_list_followed(target, plan);
	for (unsigned i = 0; result == 0 && i < state->path_count; i++)
		result = plan_add(plan, PLAN_TARGET, "interface %s %s%s%s",
				  state->paths[i].interface,
				  state->paths[i].is_ingress ? "ingress" : "egress",
				  target->namespace_name[0] ? ", network namespace " : "",
				  target->namespace_name);
	return result;
}

/* Those addresses alone that would be met otherwise. */
static int list_metadata(const struct network_scope *scope, struct plan *plan)
{
	static const int families[] = {AF_INET, AF_INET6};
	const uint8_t *address;
	struct prose prose;
	char words[160];
	unsigned count = 0;

	prose_begin(&prose, words, sizeof(words));
	for (unsigned f = 0; f < 2; f++)
		for (unsigned k = 0; (address = target_metadata_address(families[f], k)); k++) {
			char text[INET6_ADDRSTRLEN];

			if (!network_scope_meets_address(scope, families[f], address))
				continue;
			inet_ntop(families[f], address, text, sizeof(text));
			prose_say(&prose, "%s%s", count++ ? ", " : "", text);
		}
	if (!count)
		return 0;
	return plan_add(plan, PLAN_NOTE,
			"not affected: the cloud's metadata address%s (%s); name one in `to` to "
			"affect %s",
			count == 1 ? "" : "es", words, count == 1 ? "it" : "them");
}

/* Who asks for them does not get them with every target. */
static int list_neighbours(const struct network_state *state, const struct target *target,
			   const struct network_scope *scope, struct plan *plan)
{
	const struct network_pick pick = network_pick_of(state, target);

	if (!params_number(&target->params, TRAFFIC_NEIGHBOURS, 0))
		return plan_add(plan, PLAN_NOTE, "not affected: ARP and IPv6 neighbour discovery");
	if (network_scope_meets_not_ip(scope) && network_pick_takes_not_ip(&pick))
		return 0;
	return plan_add(plan, PLAN_NOTE,
			"not affected, for all that neighbours says: ARP%s; it is met with every "
			"address (`to: \"*\"`), and neither protocol, ports, local-address, share "
			"nor after-bytes",
			network_scope_meets_discovery(scope) ? ""
							     : " and IPv6 neighbour discovery");
}

static int list_spared(const struct network_state *state, const struct target *target,
		       struct plan *plan, struct error *err)
{
	struct network_scope *scope;
	int result = network_scope_new(&target->params, false, 0, &scope, err);

	if (result < 0)
		return result;
	result = list_neighbours(state, target, scope, plan);
	if (result == 0 && target_spares_metadata(&target->params))
		result = list_metadata(scope, plan);
	network_scope_free(scope);
	return result;
}

int network_list_excluded(const struct network_state *state, const struct target *target,
			  struct plan *plan, struct error *err)
{
	const struct params *params = &target->params;
	char text[ENDPOINT_TEXT_SIZE];
	unsigned count = params_count(params, TRAFFIC_EXCEPT);
	int result = list_spared(state, target, plan, err);

	for (unsigned i = 0; result == 0 && i < count && i < ENDPOINTS_SHOWN; i++)
		result = plan_add(
			plan, PLAN_NOTE, "not affected: %s",
			endpoint_format(&params_value(params, TRAFFIC_EXCEPT, i)->endpoint, text));
	if (result == 0 && count > ENDPOINTS_SHOWN)
		result =
			plan_add(plan, PLAN_NOTE, "not affected: %u more", count - ENDPOINTS_SHOWN);
	count = params_count(params, TRAFFIC_EXCEPT_LOCAL_PORT);
	for (unsigned i = 0; result == 0 && i < count; i++)
		result = plan_add(plan, PLAN_NOTE, "not affected: port %s on this side",
				  params_value(params, TRAFFIC_EXCEPT_LOCAL_PORT, i)->text);
	count = params_count(params, TRAFFIC_EXCEPT_LOCAL_ADDRESS);
	for (unsigned i = 0; result == 0 && i < count && i < ENDPOINTS_SHOWN; i++)
		result = plan_add(plan, PLAN_NOTE, "not affected: %s on this side",
				  format_local(params, TRAFFIC_EXCEPT_LOCAL_ADDRESS, i, text));
	if (result == 0 && count > ENDPOINTS_SHOWN)
		result = plan_add(plan, PLAN_NOTE, "not affected: %u more on this side",
				  count - ENDPOINTS_SHOWN);
	for (unsigned i = 0; result == 0 && i < state->control_count; i++) {
		const struct session_connection *c = &state->control[i];
		char remote[INET6_ADDRSTRLEN];

		inet_ntop(c->family, c->remote, remote, sizeof(remote));
		result = plan_add(plan, PLAN_NOTE,
				  "not affected: this session's connection with %s port %u", remote,
				  c->remote_port);
	}
	if (result == 0)
		result = network_list_sessions(state, target, plan);
	if (result == 0 && params_number(params, TRAFFIC_ALLOW_LOCKOUT, 0))
		result = plan_add(plan, PLAN_NOTE,
				  "allow-lockout: your own SSH connection is not left out");
	return result;
}

/* Tenths of a per cent, of one processor. */
static void describe_processor(int64_t used_ns, int64_t lasted_ns, struct prose *prose)
{
	int64_t tenths = lasted_ns > 0 ? used_ns / (lasted_ns / 1000 + 1) : 0;

	prose_say(prose, "; delay line: %lld.%lld %% of a processor", (long long)(tenths / 10),
		  (long long)(tenths % 10));
}

/* What became of those that were not dropped. */
static const char *fate(const struct netem_config *effect)
{
	if (effect->delay_ns)
		return "delayed";
	if (effect->rate_bytes || effect->slot_max_ns)
		return "slowed";
	return "passed";
}

/* Before Linux 7.2 netem counts a packet that it marks as one that it drops (netem_enqueue() in
 * net/sched/sch_netem.c), so that what arrived can be more than is left. */
static void describe_losses(const struct network_state *state, const struct evidence *evidence,
			    struct prose *prose)
{
	const struct netem_config *effect = &state->effect.full;
	const bool may_be_marked =
		state->way == NETWORK_NETEM && effect->has_ecn && !state->queue.has_fates;
	/* with ecn: what is left at the least; all that was dropped may have been marked */
	const uint64_t kept = !may_be_marked ? evidence->passed
			      : evidence->hits > evidence->dropped
				      ? evidence->hits - evidence->dropped
				      : 0;

	prose_say(prose, "%s%" PRIu64 " packets %s", may_be_marked ? "at least " : "", kept,
		  fate(effect));
	if (netem_loses(effect) || evidence->dropped)
		prose_say(prose, ", %" PRIu64 " of %" PRIu64 " dropped%s", evidence->dropped,
			  evidence->hits, may_be_marked ? " or marked" : "");
}

/* What was asked for, also when there was none yet. */
static void describe_fates(const struct network_state *state, struct prose *prose)
{
	const struct netem_config *effect = &state->effect.full;
	const bool is_netem = state->way == NETWORK_NETEM;
	const struct netem_fates *fates =
		is_netem ? &state->queue.fates : &state->line_counts.fates;

	if (is_netem ? !state->queue.has_fates : state->way != NETWORK_LINE)
		return;
	if (effect->has_ecn)
		prose_say(prose, ", %" PRIu64 " marked", fates->marked);
	if (effect->duplicate_ppb)
		prose_say(prose, ", %" PRIu64 " duplicated", fates->duplicated);
	if (effect->corrupt_ppb)
		prose_say(prose, ", %" PRIu64 " corrupted", fates->corrupted);
	if (effect->reorder_ppb)
		prose_say(prose, ", %" PRIu64 " reordered", fates->reordered);
}

void network_describe_evidence(const struct network_state *state, struct evidence *evidence)
{
	const struct refusal *refusal = &state->effect.refusal;
	const char *comma = " on ";
	struct prose prose;

	evidence->unit = "packets";
	prose_begin(&prose, evidence->detail, sizeof(evidence->detail));
	if (refusal->is_on) {
		prose_say(&prose, "%" PRIu64 " of %" PRIu64 " packets %s", evidence->dropped,
			  evidence->hits, refusal->resets ? "reset" : "rejected");
	} else {
		describe_losses(state, evidence, &prose);
		describe_fates(state, &prose);
	}
	for (unsigned i = 0; i < state->path_count; i++) {
		if (!state->paths[i].index)
			continue;
		prose_say(&prose, "%s%s %s", comma, state->paths[i].interface,
			  state->paths[i].is_ingress ? "in" : "out");
		comma = ", ";
	}
	if (state->unseen)
		prose_say(&prose, "; %" PRIu64 " passed uncounted", state->unseen);
	if (state->way == NETWORK_LINE && state->injected_ns)
		describe_processor(evidence->processor_ns,
				   (state->ended_ns ? state->ended_ns : clock_now_ns()) -
					   state->injected_ns,
				   &prose);
}
