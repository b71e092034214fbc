/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The life of the gates: see network_gate.h. The filters of a step are found again by their name,
 * which is that of its table on the other way.
 */
#include "faults/network_gate.h"

#include "faults/network_after.h"
#include "faults/network_netem.h"

#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/base/quantity.h"
#include "injector/kernel/bpf.h"
#include "injector/kernel/descriptors.h"
#include "injector/kernel/link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct network_gate {
	struct gate_scope scope;
	int programs_map; /* held by nobody else: empty when this process is dead */
	int counters_map;
	int after_map; /* of the present injection; -1: none */
	const struct target *target;
	bool is_open;
};

static enum qdisc_hook hook_of(const struct network_path *path)
{
	return path->is_ingress ? QDISC_INGRESS : QDISC_EGRESS;
}

/* Is there already a path with the same interface before this one? */
static bool is_repeated(const struct network_state *state, unsigned at)
{
	for (unsigned i = 0; i < at; i++)
		if (state->paths[i].index == state->paths[at].index)
			return true;
	return false;
}

/* See network_open_netfilter(). */
static int raise_descriptor(int *fd, struct error *err)
{
	int raised, result = descriptor_raise(*fd, &raised);

	if (result < 0)
		return error_errno(err, -result, "cannot keep a descriptor apart");
	close(*fd);
	*fd = raised;
	return 0;
}

int network_gate_prepare(struct network_state *state, const struct target *target,
			 struct error *err)
{
	struct network_gate *gate = calloc(1, sizeof(*gate));
	const struct bpf_map_shape programs = {"squall_gate", BPF_MAP_TYPE_PROG_ARRAY, 4, 4,
					       state->path_limit};
	const struct bpf_map_shape counters = {"squall_counters", BPF_MAP_TYPE_ARRAY, 4,
					       sizeof(struct gate_count), state->path_limit * 2};
	int result;

	if (!gate)
		return error_errno(err, ENOMEM, "gate");
	gate->programs_map = gate->counters_map = gate->after_map = -1;
	gate->scope = (struct gate_scope)GATE_SCOPE_NONE;
	gate->target = target;
	state->gate = gate;
	bpf_unlimit_memory();
	result = gate_scope_new(&target->params, &gate->scope, err);
	if (result == 0)
		result = bpf_map_new(&counters, &gate->counters_map, err);
	if (result == 0)
		result = bpf_map_new(&programs, &gate->programs_map, err);
	if (result == 0 && state->follows_interfaces)
		result = raise_descriptor(&gate->programs_map, err);
	else if (result == 0 && network_effect_only_delays(&state->effect))
		raise_descriptor(&gate->programs_map, NULL); /* for a hold, which may never be */
	return result;
}

int network_gate_descriptor(const struct network_state *state)
{
	return state->gate->programs_map;
}

int network_gate_list(const struct network_state *state, struct plan *plan, struct error *err)
{
	int result = 0;

	for (unsigned i = 0; result == 0 && i < state->path_count; i++) {
		const struct network_path *path = &state->paths[i];
		bool exists, is_ours;

		if (!is_repeated(state, i))
			result = network_gate_look_for_clsact(state->route, path, &exists, &is_ours,
							      err);
		if (result == 0 && !is_repeated(state, i) && !exists)
			result = plan_add(plan, PLAN_CHANGE,
					  "add clsact to %s: what waits in its queue at that "
					  "moment is lost, and again when it is removed at the end",
					  path->interface);
		else if (result == 0 && !is_repeated(state, i))
			result = plan_add(plan, PLAN_NOTE,
					  "%s has a clsact, which is used and stays",
					  path->interface);
		if (result == 0)
			result = plan_add(plan, PLAN_CHANGE,
					  "add a BPF filter %s to the clsact of %s, %s (inert "
					  "without its process)",
					  state->record.table, path->interface,
					  path->is_ingress ? "ingress" : "egress");
	}
	return result;
}

static uint16_t gate_priority(const struct network_state *state)
{
	return network_loses_first(state) ? GATE_PRIORITY_LOSS
					  : (uint16_t)(GATE_PRIORITY_DELAY - state->rank);
}

/* Where what comes back passes the gates. */
static enum qdisc_hook back_hook(const struct network_state *state, const struct network_path *path)
{
	if (state->effect.refusal.is_on)
		return path->is_ingress ? QDISC_EGRESS : QDISC_INGRESS;
	return hook_of(path);
}

static int add_filter(struct network_state *state, unsigned at, struct error *err)
{
	const struct network_path *path = &state->paths[at];
	char name[FILTER_NAME_SIZE];
	struct bpf_filter filter = {.hook = hook_of(path),
				    .priority = gate_priority(state),
				    .name = name,
				    .redirect_index = state->way == NETWORK_NETEM
							      ? network_netem_device(state, at)
							      : 0};
	int result = gate_code_load_gate(state->gate->programs_map, at, state->way != NETWORK_NETEM,
					 &filter.program_fd, err);

	if (result < 0)
		return result;
	snprintf(name, sizeof(name), "%s%s", state->record.table,
		 path->owns_clsact ? GATE_OWNER_MARK : "");
	result = filter_add_bpf(state->route, path->index, &filter, err);
	close(filter.program_fd);
	if (result < 0 || state->way == NETWORK_FILTER)
		return result;
	filter.redirect_index = 0;
	filter.priority = GATE_PRIORITY_BACK;
	filter.hook = back_hook(state, path);
	result = gate_code_load_back(&filter.program_fd, err);
	if (result < 0)
		return result;
	result = filter_add_bpf(state->route, path->index, &filter, err);
	close(filter.program_fd);
	return result;
}

/* The program behind the gate; from the moment it is in the array, packets in scope are affected.
 */
static int open_gate(struct network_state *state, unsigned at, int program_fd, struct error *err)
{
	return bpf_map_set(state->gate->programs_map, &at, &program_fd, err);
}

/* Only a fault that does nothing but lose or refuse is lost here; queues lose by themselves. */
static int set_loss(struct network_state *state, unsigned at, struct error *err)
{
	const uint64_t loss_ppb = state->effect.at.loss_ppb;
	const struct gate_setting setting = {
		.loss = loss_ppb >= SHARE_ONE ? 1ULL << 32 : (loss_ppb << 32) / SHARE_ONE};
	uint32_t settings = at * 2 + 1;

	return bpf_map_set(state->gate->counters_map, &settings, &setting, err);
}

int network_gate_change(struct network_state *state, struct error *err)
{
	int result = 0;

	for (unsigned i = 0; result == 0 && i < state->path_count; i++)
		if (state->paths[i].index)
			result = set_loss(state, i, err);
	return result;
}

static int reset_counters(struct network_state *state, unsigned at, struct error *err)
{
	const struct gate_count count = {0};
	uint32_t counter = at * 2;
	int result = bpf_map_set(state->gate->counters_map, &counter, &count, err);

	return result < 0 ? result : set_loss(state, at, err);
}

static struct gate_maps maps_of(const struct network_gate *gate)
{
	return (struct gate_maps){.counters = gate->counters_map, .after = gate->after_map};
}

/* Each injection counts anew. */
static int renew_after_map(struct network_state *state, struct error *err)
{
	cleanup_fd_at(&state->gate->after_map);
	state->gate->after_map = -1;
	return network_after_new_map(state, &state->gate->after_map, err);
}

static void close_programs(const int *programs, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (programs[i] >= 0)
			close(programs[i]);
}

/* The programs of all paths; on failure none. */
static int load_programs(const struct network_state *state, const struct gate_scope *scope,
			 int *programs, struct error *err)
{
	const struct network_gate *gate = state->gate;
	unsigned loaded = 0;
	int result = 0;

	while (result == 0 && loaded < state->path_count) {
		programs[loaded] = -1;
		if (!state->paths[loaded].index) {
			loaded++;
			continue;
		}
		result = gate_code_load(state, loaded, scope, gate->target, maps_of(gate),
					&programs[loaded], err);
		loaded += result == 0;
	}
	if (result < 0)
		close_programs(programs, loaded);
	return result;
}

int network_gate_start(struct network_state *state, const struct fault *fault, struct error *err)
{
	struct network_gate *gate = state->gate;
	int *programs = calloc(state->path_count, sizeof(*programs));
	int result = programs ? 0 : error_errno(err, ENOMEM, "gate");

	for (unsigned i = 0; result == 0 && i < state->path_count; i++)
		if (state->paths[i].index && !is_repeated(state, i))
			result = network_gate_add_clsact(state, fault, &state->paths[i], err);
	for (unsigned i = 0; result == 0 && i < state->path_count; i++)
		result = reset_counters(state, i, err);
	if (result == 0)
		result = renew_after_map(state, err);
	if (result == 0)
		result = load_programs(state, &gate->scope, programs, err);
	if (result == 0) {
		for (unsigned i = 0; result == 0 && i < state->path_count; i++)
			if (state->paths[i].index)
				result = add_filter(state, i, err);
		for (unsigned i = 0; result == 0 && i < state->path_count; i++)
			if (state->paths[i].index)
				result = open_gate(state, i, programs[i], err);
		close_programs(programs, state->path_count);
	}
	free(programs);
	gate->is_open = true; /* also when only some were opened */
	if (result < 0)
		network_gate_shut(state);
	return result;
}

/* Each packet meets the old program or the new one. */
static int exchange_programs(struct network_state *state, const struct gate_scope *scope,
			     struct error *err)
{
	int *programs = calloc(state->path_count, sizeof(*programs));
	int result = programs ? load_programs(state, scope, programs, err)
			      : error_errno(err, ENOMEM, "gate");

	if (result == 0) {
		for (unsigned i = 0; result == 0 && i < state->path_count; i++)
			if (state->paths[i].index)
				result = open_gate(state, i, programs[i], err);
		close_programs(programs, state->path_count);
	}
	free(programs);
	return result;
}

/* Has another path brought the clsact of its interface already? */
static bool has_clsact(const struct network_state *state, unsigned at)
{
	for (unsigned i = 0; i < state->path_count; i++)
		if (i != at && state->paths[i].is_attached &&
		    state->paths[i].index == state->paths[at].index)
			return true;
	return false;
}

int network_gate_add_path(struct network_state *state, const struct fault *fault, unsigned at,
			  struct error *err)
{
	const struct network_gate *gate = state->gate;
	struct network_path *path = &state->paths[at];
	int program_fd, result = 0;

	if (!has_clsact(state, at))
		result = network_gate_check_room(fault, err);
	if (result == 0 && !has_clsact(state, at))
		result = network_gate_add_clsact(state, fault, path, err);
	if (result == 0)
		result = set_loss(state, at, err);
	if (result == 0)
		result = gate_code_load(state, at, &gate->scope, gate->target, maps_of(gate),
					&program_fd, err);
	if (result < 0)
		return result;
	result = add_filter(state, at, err);
	if (result == 0)
		result = open_gate(state, at, program_fd, err);
	close(program_fd);
	return result;
}

int network_gate_cut_path(struct network_state *state, unsigned at)
{
	int result = bpf_map_remove(state->gate->programs_map, &at, NULL);

	return result == -ENOENT ? 0 : result;
}

int network_gate_follow(struct network_state *state, struct error *err)
{
	struct network_gate *gate = state->gate;
	struct gate_scope scope = GATE_SCOPE_NONE;
	int result = gate_scope_new(&gate->target->params, &scope, err);

	if (result == 0 && gate->is_open)
		result = exchange_programs(state, &scope, err);
	if (result < 0) {
		gate_scope_close(&scope);
		return result;
	}
	/* programs hold their maps themselves */
	gate_scope_close(&gate->scope);
	gate->scope = scope;
	return 0;
}

void network_gate_shut(struct network_state *state)
{
	if (!state->gate || !state->gate->is_open)
		return;
	for (unsigned i = 0; i < state->path_count; i++)
		bpf_map_remove(state->gate->programs_map, &i, NULL);
	state->gate->is_open = false;
}

int network_gate_counters(struct network_state *state, struct evidence *out, struct error *err)
{
	int result = 0;

	for (uint32_t i = 0; result == 0 && i < state->path_count; i++) {
		uint32_t key = i * 2;
		struct gate_count count;

		result = bpf_map_get(state->gate->counters_map, &key, &count, err);
		if (result < 0)
			return result;
		out->hits += count.hits;
		out->dropped += count.lost;
	}
	return result;
}

static bool has_gone(const struct network_state *state, const struct network_path *path)
{
	struct link link;

	return link_get(state->route, path->index, &link, NULL) == -ENODEV;
}

/* Both: without the gate the fault acts no more, without the way back its packets are lost. */
static int find_both(struct network_state *state, const struct network_path *path, bool *out_found,
		     struct error *err)
{
	int result =
		network_gate_find_filter(state->route, path->index, hook_of(path),
					 state->record.table, gate_priority(state), out_found, err);

	if (result == 0 && *out_found && state->way != NETWORK_FILTER)
		result = network_gate_find_filter(state->route, path->index, back_hook(state, path),
						  state->record.table, GATE_PRIORITY_BACK,
						  out_found, err);
	return result;
}

int network_gate_check(struct network_state *state, struct error *err)
{
	for (unsigned i = 0; i < state->path_count; i++) {
		struct network_path *path = &state->paths[i];
		bool is_found;
		int result;

		if (!path->index || path->is_lost || path->is_bare)
			continue;
		result = find_both(state, path, &is_found, err);
		if ((result < 0 || !is_found) && state->follows_interfaces && has_gone(state, path))
			continue; /* with its interface, just now */
		if (result == 0 && !is_found && network_take_again(state, i))
			continue;
		if (result == 0 && !is_found)
			result = error_set(err, ENOENT, "the filter %s of interface %s is gone",
					   state->record.table, path->interface);
		if (result < 0)
			return result;
	}
	return 0;
}

void network_gate_free(struct network_state *state)
{
	struct network_gate *gate = state->gate;

	if (!gate)
		return;
	if (gate->programs_map >= 0)
		close(gate->programs_map);
	if (gate->counters_map >= 0)
		close(gate->counters_map);
	cleanup_fd_at(&gate->after_map);
	gate_scope_close(&gate->scope);
	free(gate);
	state->gate = NULL;
}

/* A redirecting filter at the egress of lo, behind a gate that stays shut. */
int network_gate_try(struct netlink *netlink, int index, struct error *err)
{
	const struct bpf_map_shape programs = {"squall_gate", BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 1};
	struct bpf_filter filter = {.hook = QDISC_EGRESS,
				    .priority = GATE_PRIORITY_DELAY,
				    .name = "squall_probe",
				    .redirect_index = index};
	int map_fd, result;

	bpf_unlimit_memory();
	result = bpf_map_new(&programs, &map_fd, err);
	if (result < 0)
		return result;
	result = gate_code_load_gate(map_fd, 0, index == 0, &filter.program_fd, err);
	if (result == 0) {
		result = qdisc_add_clsact(netlink, 1, err);
		if (result == 0)
			result = filter_add_bpf(netlink, 1, &filter, err);
		close(filter.program_fd);
	}
	close(map_fd);
	return result;
}
