/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The life of the programs at control groups: attached while they do nothing, switched on all at
 * once, and gone with the descriptors of their links.
 */
#include "faults/network_group.h"

#include "faults/network_gate.h"
#include "faults/target_group.h"
#include "injector/base/cleanup.h"
#include "injector/kernel/bpf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FLOWS_MAX 65536 /* the map is allocated as a whole */

/* Of the packet's mark, one for each fault in force, whichever run it is of. High ones, which fewer
 * people use, and none that the marks of dns and http faults have (DNS_MARK_BASE, HTTP_MARK_BASE).
 */
static const uint8_t bits[] = {27, 28, 24, 25, 31, 23, 22, 21, 20, 19, 18, 17, 16};
#define BIT_COUNT (sizeof(bits) / sizeof(*bits))

uint32_t network_group_bits(void)
{
	uint32_t all = 0;

	for (unsigned i = 0; i < BIT_COUNT; i++)
		all |= 1U << bits[i];
	return all;
}

/* "sqmC_RUN_STEP", C the letter of the bit. */
#define NAME_START "sqm"

static int make_maps(struct network_state *state, struct error *err)
{
	struct network_group *group = state->group;
	const struct target *target = group->target;
	const struct bpf_map_shape switches = {.name = "squall_switch",
					       .type = BPF_MAP_TYPE_ARRAY,
					       .key_size = sizeof(uint32_t),
					       .value_size = sizeof(uint32_t),
					       .entries = 1};
	const struct bpf_map_shape groups = {.name = "squall_groups",
					     .type = BPF_MAP_TYPE_CGROUP_ARRAY,
					     .key_size = sizeof(uint32_t),
					     .value_size = sizeof(uint32_t),
					     .entries = target->group_count};
	const struct bpf_map_shape flows = {.name = "squall_flows",
					    .type = BPF_MAP_TYPE_LRU_HASH,
					    .key_size = sizeof(struct network_flow),
					    .value_size = sizeof(uint32_t),
					    .entries = FLOWS_MAX};
	const struct bpf_map_shape paths = {.name = "squall_paths",
					    .type = BPF_MAP_TYPE_HASH,
					    .key_size = sizeof(uint32_t),
					    .value_size = sizeof(uint32_t),
					    .entries = state->path_limit};
	int result = bpf_map_new(&switches, &group->switch_map, err);

	if (result == 0 && state->hook == NETWORK_TABLE)
		return bpf_map_new(&paths, &group->paths_map, err);
	if (result < 0)
		return result;
	result = bpf_map_new(&groups, &group->groups_map, err);
	for (uint32_t i = 0; result == 0 && i < target->group_count; i++)
		result = bpf_map_set(group->groups_map, &i, &target->groups[i].fd, err);
	if (result == 0 && network_group_has_ingress(state))
		result = bpf_map_new(&flows, &group->flows_map, err);
	return result;
}

/* Something must be attached: with filters only when flows are to be remembered. */
static bool needs_program(const struct network_state *state)
{
	return state->hook == NETWORK_TABLE || network_group_has_ingress(state);
}

static void name_program(struct network_state *state, const struct fault *fault, unsigned at)
{
	const char *run = fault->env && fault->env->run_id ? fault->env->run_id : "RUN";

	state->group->bit = 1U << bits[at];
	snprintf(state->group->program, sizeof(state->group->program), NAME_START "%c_%.6s_%u",
		 'a' + (int)at, run, fault->step);
}

int network_group_check_path(const struct network_state *state, unsigned at, struct error *err)
{
	if (!state->group || state->hook == NETWORK_GATE || !state->paths[at].master)
		return 0;
	error_set(err, EINVAL,
		  "interface %s is a port of a bridge or bond: packets of %s leave by that",
		  state->paths[at].interface, state->group->target->owner_text);
	return error_remedy(err, "name the bridge or bond");
}

/* IP hands its packets to the interface on top. */
static int check_paths(const struct network_state *state, const struct target *target,
		       struct error *err)
{
	if (state->hook == NETWORK_GATE)
		return 0;
	if (params_is_set(&target->params, TRAFFIC_VLAN)) {
		error_set(err, EINVAL, "vlan: packets of %s leave by the interface of the VLAN",
			  target->owner_text);
		return error_remedy(err, "name that, without vlan: interface: eth0.5");
	}
	for (unsigned i = 0; i < state->path_count; i++) {
		int result = network_group_check_path(state, i, err);

		if (result < 0)
			return result;
	}
	return 0;
}

static int rehearse(struct network_state *state, struct error *err)
{
	cleanup_fd int program = -1;
	int result = make_maps(state, err);

	if (result == 0 && needs_program(state))
		result = network_group_load(state, &program, err);
	return result < 0 ? error_prefix(err, "%s", state->group->target->owner_text) : 0;
}

static int list(const struct network_state *state, struct plan *plan)
{
	const struct target *target = state->group->target;
	int result = 0;

	for (unsigned i = 0; result == 0 && needs_program(state) && i < target->group_count; i++)
		result = plan_add(plan, PLAN_CHANGE,
				  "attach a BPF program to control group %s (vanishes with its "
				  "process) that %s",
				  cgroup_path(&target->groups[i].cgroup),
				  state->hook == NETWORK_TABLE
					  ? "marks its packets by one bit, until they reach the "
					    "interface"
					  : "remembers its flows");
	if (result == 0 && network_group_has_ingress(state))
		result =
			plan_add(plan, PLAN_NOTE,
				 "what comes in is affected once the processes have sent something "
				 "on that connection, and for five minutes after they last did");
	return result;
}

int network_group_prepare(struct network_state *state, const struct fault *fault, struct plan *plan,
			  struct error *err)
{
	const struct target *target = fault->target;
	int result = target_group_list(target, plan);

	if (result < 0 || !target->group_count)
		return result;
	state->group = calloc(1, sizeof(*state->group));
	if (!state->group)
		return error_errno(err, ENOMEM, "network");
	state->group->target = target;
	state->group->switch_map = state->group->flows_map = state->group->groups_map = -1;
	state->group->paths_map = -1;
	state->group->links = calloc(target->group_count, sizeof(int));
	state->group->linked = calloc(target->group_count, sizeof(uint64_t));
	if (!state->group->links || !state->group->linked)
		return error_errno(err, ENOMEM, "network");
	for (unsigned i = 0; i < target->group_count; i++)
		state->group->links[i] = -1;
	bpf_unlimit_memory();
	name_program(state, fault, 0);
	result = check_paths(state, target, err);
	if (result == 0)
		result = rehearse(state, err);
	return result < 0 ? result : list(state, plan);
}

struct bit_search {
	bool is_taken[BIT_COUNT];
	const char *own;
	bool is_shared; /* another program has the same letter as `own` */
	int sibling;	/* the letter of the same step in another network namespace; else -1 */
};

static int look_at_link(void *context, int link_fd, const char *name)
{
	struct bit_search *search = context;
	unsigned at = (unsigned)(name[3] - 'a');

	(void)link_fd;
	if (strncmp(name, NAME_START, strlen(NAME_START)) != 0 || at >= BIT_COUNT)
		return 0;
	search->is_taken[at] = true;
	if (strcmp(name + strlen(NAME_START) + 1, search->own + strlen(NAME_START) + 1) == 0)
		search->sibling = (int)at;
	search->is_shared |= name[3] == search->own[3] && strcmp(name, search->own) != 0;
	return 0;
}

static int choose_bit(struct network_state *state, const struct fault *fault, struct error *err)
{
	struct bit_search search = {.own = state->group->program, .sibling = -1};
	unsigned at = 0;
	int result = bpf_links_each(look_at_link, &search, err);

	if (result < 0)
		return result;
	while (at < BIT_COUNT && search.is_taken[at])
		at++;
	/* no packet meets both, or it meets the same twice: the mark is gone in another namespace
	 */
	if (search.sibling >= 0)
		at = (unsigned)search.sibling;
	if (at == BIT_COUNT) {
		error_set(err, EBUSY, "%zu network faults by process are in force on this machine",
			  BIT_COUNT);
		return error_remedy(err, "there are no more bits of the mark for them: wait for "
					 "the end of one (squall status)");
	}
	name_program(state, fault, at);
	return 0;
}

/* Another run may have looked at the same moment. */
static int check_bit(const struct network_state *state, struct error *err)
{
	struct bit_search search = {.own = state->group->program, .sibling = -1};
	int result = bpf_links_each(look_at_link, &search, err);

	if (result == 0 && search.is_shared) {
		error_set(err, EAGAIN, "another run began at the same moment");
		return error_remedy(err, "run it again");
	}
	return result;
}

static int write_record(const struct network_state *state, const struct fault *fault,
			struct error *err)
{
	struct network_record record = state->record;
	int result;

	snprintf(record.link, sizeof(record.link), "%s", state->group->program);
	result = journal_undo(fault->env->journal, fault->ops->name, fault->step,
			      NETWORK_RECORD_GROUP, &record, sizeof(record), err);
	return result < 0 ? result : 0;
}

/* Every group has its program, but those that are waited for. */
static int link_groups(struct network_state *state, struct error *err)
{
	struct network_group *group = state->group;
	cleanup_fd int program = -1;
	int result = 0;

	for (unsigned i = 0; result == 0 && i < group->target->group_count; i++) {
		const struct target_group *its = &group->target->groups[i];

		if (its->is_away || (group->links[i] >= 0 && group->linked[i] == its->id))
			continue;
		if (group->links[i] >= 0)
			close(group->links[i]);
		group->links[i] = -1;
		if (program < 0)
			result = network_group_load(state, &program, err);
		if (result == 0)
			result = bpf_link_cgroup(program, its->fd, BPF_CGROUP_INET_EGRESS,
						 &group->links[i], err);
		if (result == 0)
			group->linked[i] = its->id;
		else if (target_follows_groups(&group->target->params) &&
			 target_group_is_removed(its))
			result = 0; /* just now: the next look tells */
		else
			error_prefix(err, "%s", its->cgroup.directory);
	}
	return result;
}

static int mark_paths(struct network_state *state, struct error *err)
{
	int result = 0;

	for (unsigned i = 0; result == 0 && i < state->path_count; i++)
		if (state->paths[i].index)
			result = network_group_add_path(state, i, err);
	return result;
}

int network_group_attach(struct network_state *state, const struct fault *fault, struct error *err)
{
	int result;

	if (!state->group || !needs_program(state))
		return 0;
	result = network_group_switch(state, false, err);
	if (result == 0)
		result = mark_paths(state, err);
	if (result == 0)
		result = choose_bit(state, fault, err);
	if (result == 0)
		result = write_record(state, fault, err);
	if (result == 0)
		result = link_groups(state, err);
	if (result == 0)
		result = check_bit(state, err);
	if (result < 0)
		network_group_detach(state);
	return result;
}

int network_group_follow(struct network_state *state, struct error *err)
{
	struct network_group *group = state->group;
	int result = 0;

	for (uint32_t i = 0;
	     result == 0 && group && group->groups_map >= 0 && i < group->target->group_count; i++)
		if (!group->target->groups[i].is_away)
			result = bpf_map_set(group->groups_map, &i, &group->target->groups[i].fd,
					     err);
	if (result < 0 || !group || !needs_program(state) || state->phase != NETWORK_ACTIVE)
		return result; /* inject() begins with them */
	return link_groups(state, err);
}

int network_group_add_path(struct network_state *state, unsigned at, struct error *err)
{
	const uint32_t key = (uint32_t)state->paths[at].index, value = 1;

	return state->group && state->group->paths_map >= 0
		       ? bpf_map_set(state->group->paths_map, &key, &value, err)
		       : 0;
}

void network_group_cut_path(struct network_state *state, unsigned at)
{
	const uint32_t key = (uint32_t)state->paths[at].index;

	if (state->group && state->group->paths_map >= 0)
		bpf_map_remove(state->group->paths_map, &key, NULL);
}

int network_group_switch(struct network_state *state, bool is_on, struct error *err)
{
	const uint32_t key = 0, value = is_on;

	return state->group ? bpf_map_set(state->group->switch_map, &key, &value, err) : 0;
}

void network_group_detach(struct network_state *state)
{
	struct network_group *group = state->group;

	for (unsigned i = 0; group && group->links && i < group->target->group_count; i++) {
		if (group->links[i] >= 0)
			close(group->links[i]);
		group->links[i] = -1;
	}
}

int network_group_check(const struct network_state *state, struct error *err)
{
	const struct network_group *group = state->group;
	int result = group ? target_group_check(group->target, err) : 0;

	for (unsigned i = 0; result == 0 && group && i < group->target->group_count; i++) {
		const bool may_come_back = target_follows_groups(&group->target->params) &&
					   target_group_is_removed(&group->target->groups[i]);

		if (group->links[i] >= 0 && !may_come_back &&
		    !bpf_link_is_attached(group->links[i]))
			result = error_set(err, ESTALE, "the program %s was detached",
					   group->program);
	}
	return result;
}

void network_group_free(struct network_state *state)
{
	struct network_group *group = state->group;

	if (!group)
		return;
	network_group_detach(state);
	cleanup_fd_at(&group->switch_map);
	cleanup_fd_at(&group->flows_map);
	cleanup_fd_at(&group->groups_map);
	cleanup_fd_at(&group->paths_map);
	free(group->links);
	free(group->linked);
	free(group);
	state->group = NULL;
}
