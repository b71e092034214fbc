/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Planning a network fault: through which interfaces and directions, and what will be changed
 * there; opens the sockets, changes nothing.
 */
#include "faults/network.h"

#include "faults/network_after.h"
#include "faults/network_delay_line.h"
#include "faults/network_gate.h"
#include "faults/network_group.h"
#include "faults/network_line.h"
#include "faults/network_measured.h"
#include "faults/network_netem.h"
#include "faults/network_support.h"
#include "faults/target_follow.h"
#include "injector/base/clock.h"
#include "injector/base/quantity.h"
#include "injector/kernel/bpf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PATHS_SPARE 512 /* for interfaces that come later; TARGET_INTERFACES_MAX, both ways */

static int add_paths(struct network_state *state, const struct fault *fault, struct plan *plan,
		     struct error *err)
{
	const struct target *target = fault->target;
	int result = 0;

	for (unsigned i = 0; result == 0 && i < target->interface_count; i++)
		result = network_add_paths(state, fault, &target->interfaces[i], plan, err);
	state->path_limit = state->path_count + (state->follows_interfaces ? PATHS_SPARE : 0);
	return result;
}

/* When a process dies, the kernel lets go of the highest descriptor first (measured). The table
 * must vanish before the tap it forwards to, whose removal takes milliseconds in which everything
 * in scope would be lost. So it is opened after the taps; and where taps may come later, it has a
 * descriptor that theirs do not reach. */
int network_open_netfilter(struct network_state *state, int namespace_fd, struct error *err)
{
	int result = netlink_open_netfilter(namespace_fd, &state->netfilter, err);

	/* what is opened later on is closed after it */
	if (result == 0 && state->follows_interfaces)
		return netlink_close_first(state->netfilter, err);
	if (result == 0 && network_effect_only_delays(&state->effect))
		netlink_close_first(state->netfilter, NULL); /* for a hold, which may never be */
	return result;
}

int network_last_descriptor(const struct network_state *state)
{
	return state->hook == NETWORK_GATE ? network_gate_descriptor(state)
					   : netlink_last_descriptor(state->netfilter);
}

bool network_needs_hole(const struct network_state *state)
{
	/* a filter can take a packet without a word to its sender */
	if (!state->has_ifb || state->way != NETWORK_FILTER || state->effect.full.loss_ppb == 0 ||
	    state->hook == NETWORK_GATE)
		return false;
	for (unsigned i = 0; i < state->path_count; i++)
		if (!state->paths[i].is_ingress)
			return true;
	return false;
}

/* What a delay line may come to. */
static int list_hold(const struct network_state *state, struct plan *plan)
{
	bool can = !state->effect.refusal.is_on && network_effect_only_delays(&state->effect);

	for (unsigned i = 0; can && i < state->path_count; i++)
		if (!state->paths[i].is_loopback && !state->paths[i].is_ingress)
			return plan_add(plan, PLAN_CHANGE,
					"should a tap carry more than %lu MiB of TCP a second: "
					"add interface %sh%u (veth) to a network namespace of the "
					"worker, where the kernel keeps these packets (both vanish "
					"with the process)",
					DELAY_LINE_HOLD_BYTES >> 20, state->record.link, i);
	return 0;
}

static int list_queue(const struct network_state *state, struct plan *plan)
{
	char words[600], most[40] = "";
	int result;

	network_effect_describe(&state->effect, words, sizeof(words));
	if (state->way == NETWORK_NETEM)
		return plan_add(plan, PLAN_CHANGE,
				"add interface %s (ifb)%s with %s%snetem %s limit %u (at most %llu "
				"MiB of memory)",
				state->record.link,
				network_netem_is_split(state)
					? ", one for each interface and direction (q0, q1, ...),"
					: "",
				network_effect_needs_wire_packets(&state->effect)
					? "tbf that cuts to wire packets, "
					: "",
				!state->effect.full.burst ? ""
				: state->effect.full.peak_bytes
					? "tbf that limits the rate and its peak, "
					: "tbf that limits the rate, ",
				words, state->effect.at.limit,
				(unsigned long long)(state->queue_bytes >> 20));
	if (state->way != NETWORK_LINE)
		return 0;
	if (state->effect.is_limit_given)
		snprintf(most, sizeof(most), "%u packets and ", state->effect.at.limit);
	result = plan_add(plan, PLAN_CHANGE,
			  "add %u tap interface%s, %s; at most %s%lu MiB wait in each, about %lu "
			  "MiB in all of the run",
			  state->path_count, state->path_count == 1 ? "" : "s", words, most,
			  DELAY_LINE_BYTES >> 20, DELAY_LINES_BYTES >> 20);
	return result < 0 ? result : list_hold(state, plan);
}

static int list_changes(const struct network_state *state, struct plan *plan, struct error *err)
{
	const struct netem_config *effect = &state->effect.full;
	char share[QUANTITY_TEXT_SIZE];
	int result = list_queue(state, plan);

	quantity_format_share((int64_t)effect->loss_ppb, share);
	if (result == 0 && network_needs_hole(state))
		result = plan_add(plan, PLAN_CHANGE,
				  "add interface %s (ifb, down), where what is lost ends",
				  state->record.link);
	for (unsigned i = 0; result == 0 && i < state->path_count; i++)
		if (state->way == NETWORK_LINE && state->paths[i].is_loopback)
			result = plan_add(
				plan, PLAN_CHANGE,
				"set net.ipv4.conf.lo.route_localnet=1 and accept_local=1");
	if (result == 0 && state->hook == NETWORK_GATE)
		return network_gate_list(state, plan, err);
	if (result == 0)
		result =
			plan_add(plan, PLAN_CHANGE,
				 "add table netdev %s (owned: vanishes with its process)%s%s",
				 state->record.table,
				 state->way == NETWORK_FILTER && effect->loss_ppb ? ", drops " : "",
				 state->way == NETWORK_FILTER && effect->loss_ppb ? share : "");
	return result;
}

/* What a rate lets into a delay may be more than the queue holds: a delay line by bytes, netem by
 * packets. */
static int list_full(const struct network_state *state, struct plan *plan)
{
	const struct netem_config *full = &state->effect.full;
	const double wait_s = (double)(full->delay_ns + full->jitter_ns) / NSEC_PER_SEC;
	const double packets = (double)full->limit * network_mtu(state);
	const bool by_bytes = state->way == NETWORK_LINE &&
			      (!state->effect.is_limit_given || packets > DELAY_LINE_BYTES);
	double holds = by_bytes ? (double)DELAY_LINE_BYTES : packets;
	char most[60];

	if (state->way == NETWORK_FILTER || !full->rate_bytes ||
	    holds >= wait_s * (double)full->rate_bytes)
		return 0;
	if (by_bytes)
		snprintf(most, sizeof(most), "%lu MiB", DELAY_LINE_BYTES >> 20);
	else
		snprintf(most, sizeof(most), "%u packets", full->limit);
	return plan_add(plan, PLAN_NOTE,
			"at the full rate the queue (%s) is full after about %.3gs of traffic, and "
			"the rest is dropped: %.3g MB come before the first leave",
			most, holds / (double)full->rate_bytes,
			wait_s * (double)full->rate_bytes / 1e6);
}

static int list_measured(const struct params *params, struct plan *plan)
{
	char words[200];
	int result = 0;

	if (*network_measured_span(params, words, sizeof(words)))
		result = plan_add(plan, PLAN_NOTE, "replayed: %s", words);
	if (result == 0 && *network_measured_lost(params, words, sizeof(words)))
		result = plan_add(plan, PLAN_NOTE, "%s", words);
	return result;
}

/* No packet can be early, in netem neither. */
static int list_early(const struct network_state *state, struct plan *plan)
{
	const double early = network_effect_early(&state->effect);

	if (early < 0.001)
		return 0;
	return plan_add(plan, PLAN_NOTE,
			"the jitter reaches beyond the delay: about %.*f%% of the packets are not "
			"delayed at all (none can be early), so that the mean is above the delay",
			early < 0.01 ? 1 : 0, 100 * early);
}

static int list_notes(struct network_state *state, const struct fault *fault, struct plan *plan,
		      struct error *err)
{
	const struct target *target = fault->target;
	int result = network_list_filters(state, plan, err);

	if (result == 0)
		result = list_measured(fault->params, plan);
	if (result == 0)
		result = network_list_excluded(state, target, plan, err);
	if (result == 0 && state->effect.full.rate_bytes && state->path_limit > 1)
		result = plan_add(plan, PLAN_NOTE,
				  "the rate is of each interface and direction by itself");
	if (result == 0)
		result = list_full(state, plan);
	if (result == 0 && state->effect.full.jitter_ns && !state->effect.full.rate_bytes)
		result = plan_add(plan, PLAN_NOTE, "jitter lets packets overtake each other");
	if (result == 0)
		result = list_early(state, plan);
	return result;
}

static int set_names(struct network_state *state, const struct fault *fault, struct error *err)
{
	const char *run = fault->env && fault->env->run_id ? fault->env->run_id : "RUN";
	struct network_record *record = &state->record;

	snprintf(record->namespace_name, sizeof(record->namespace_name), "%s",
		 fault->target->namespace_name);
	snprintf(record->table, sizeof(record->table), NETWORK_TABLE_MOULD, run, fault->step);
	snprintf(record->alias, sizeof(record->alias), "squall run %s step %u", run, fault->step);
	record->group = NETWORK_LINK_GROUP;
	state->namespace_fd = fault->target->namespace_fd;
	if (snprintf(record->link, sizeof(record->link), "sq%s-%u", run, fault->step) > 15)
		return error_set(err, E2BIG, "step %u: too many steps", fault->step);
	return namespace_identify(fault->target->namespace_fd, &record->namespace_id, err);
}

/* It takes out no packets; but of a share it ends those that another step would. */
static int plan_instant(struct network_state *state, const struct fault *fault, struct plan *plan,
			struct error *err)
{
	const bool is_drawn = params_is_set(&fault->target->params, TRAFFIC_SHARE);
	struct network_support support = {.has_hook = true};
	int result = is_drawn ? network_survey(&support, err) : 0;

	state->hook = support.has_hook ? NETWORK_TABLE : NETWORK_GATE;
	if (result == 0)
		result = network_plan_connections(state, fault->target, plan, err);
	return result < 0 ? result : network_list_excluded(state, fault->target, plan, err);
}

static int fill(struct network_state *state, struct fault *fault, struct plan *plan,
		struct error *err)
{
	int result = set_names(state, fault, err);

	if (result == 0)
		result = netlink_open(fault->target->namespace_fd, &state->route, err);
	if (result == 0)
		state->record.namespace_cookie = netlink_namespace_cookie(state->route);
	if (result == 0)
		result = add_paths(state, fault, plan, err);
	if (result == 0)
		result = network_list_targets(state, fault->target, plan);
	if (result == 0)
		result = network_after_list(fault->params, plan);
	if (!params_number(&fault->target->params, TRAFFIC_ALLOW_LOCKOUT, 0))
		state->control_count = target_session_find(
			state->control, sizeof(state->control) / sizeof(*state->control));
	if (result == 0 && network_is_instant(fault->params))
		return plan_instant(state, fault, plan, err);
	if (result == 0)
		result = network_list_stacked(state, plan);
	if (result == 0)
		result = network_choose_way(state, plan, err);
	if (result == 0 && params_number(fault->params, NETWORK_RESET_CONNECTIONS, 0))
		result = network_plan_connections(state, fault->target, plan, err);
	if (result == 0)
		result = network_after_plan(state, plan, err);
	if (result == 0)
		result = network_compose(state, plan);
	state->planned_way = state->way;
	if (result == 0 && state->way == NETWORK_NETEM)
		state->queue_bytes = network_netem_bound(state);
	if (result == 0 && state->way == NETWORK_LINE) {
		bpf_unlimit_memory();
		result = network_line_prepare(state, fault->target->namespace_fd,
					      fault->env && fault->env->run_id ? fault->env->run_id
									       : "RUN",
					      fault->step, err);
	}
	if (result == 0)
		result = network_open_netfilter(state, fault->target->namespace_fd, err);
	if (result == 0)
		result = network_group_prepare(state, fault, plan, err);
	if (result == 0)
		result = network_compose_groups(state, plan);
	if (result == 0 && state->hook == NETWORK_GATE)
		result = network_gate_prepare(state, fault->target, err);
	if (result == 0)
		result = list_changes(state, plan, err);
	if (result == 0)
		result = list_notes(state, fault, plan, err);
	return result;
}

int network_plan(struct fault *fault, struct plan *plan, struct error *err)
{
	struct network_state *state = calloc(1, sizeof(*state));
	int result;

	if (!state)
		return error_errno(err, ENOMEM, "network");
	fault->state = state;
	state->fault = fault;
	state->is_followed = fault->target->host_count > 0;
	state->follows_interfaces = target_follows_interfaces(&fault->target->params);
	state->allows_bypass = params_number(fault->params, NETWORK_ALLOW_BYPASS, 0);
	network_register(state);
	/* in each network namespace others, as on machines of their own */
	state->run_seed =
		fault->env->seed + fault->step + ((uint64_t)(fault->number - fault->step) << 32);
	state->after_bytes = (uint64_t)params_number(fault->params, NETWORK_AFTER_BYTES, 0);
	result = network_effect_read(fault->params, &state->effect, err);
	if (result == 0)
		result = fill(state, fault, plan, err);
	if (result < 0)
		fault->ops->release(fault);
	return result;
}
