/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Through which interfaces a network fault acts, also when they come and go while it does. The
 * target says which ones they are to be; here the paths are made the same: those that have left are
 * let go first, then come the new ones, each inert until its last message.
 *
 * A path keeps its number, which is in the names of its chains and of its tap; who comes later gets
 * a place that is free. What a delay line holds for an interface that is still there comes out of
 * it before the line is taken away.
 */
#include "faults/network.h"

#include "faults/network_delay_line.h"
#include "faults/network_gate.h"
#include "faults/network_group.h"
#include "faults/network_line.h"
#include "faults/network_netem.h"
#include "faults/network_table.h"
#include "faults/target_follow.h"
#include "injector/base/clock.h"
#include "injector/kernel/link.h"
#include "injector/kernel/tap.h"

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#define DRAIN_MAX_NS (2 * NSEC_PER_SEC) /* for what a line holds, as at an abort */
#define UNCUT_NS     (3 * NSEC_PER_SEC) /* then the run ends, which cuts everything */
#define BARE_NS	     (5 * NSEC_PER_SEC) /* so soon again: it is taken away */

/* Places. */

static int find_place(struct network_state *state, const struct link *link,
		      struct network_path **out, struct error *err)
{
	struct network_path *grown;

	for (unsigned i = 0; i < state->path_count; i++)
		if (network_path_is_free(&state->paths[i])) {
			*out = &state->paths[i];
			return 0;
		}
	if (state->path_limit && state->path_count >= state->path_limit)
		return error_set(err, E2BIG, "interface %s: no place is free for it", link->name);
	grown = reallocarray(state->paths, state->path_count + 1, sizeof(*grown));
	if (!grown)
		return error_errno(err, ENOMEM, "interface %s", link->name);
	state->paths = grown;
	*out = grown + state->path_count++;
	**out = (struct network_path){0};
	return 0;
}

static int add_path(struct network_state *state, const struct link *link, bool is_ingress,
		    struct error *err)
{
	struct network_path *place = NULL;
	int result = find_place(state, link, &place, err);

	if (result < 0)
		return result;
	*place = (struct network_path){.index = link->index,
				       .is_ingress = is_ingress,
				       .is_loopback = link->flags & IFF_LOOPBACK,
				       .carries_groups = tap_kind_for(link->type) == TAP_ETHERNET,
				       .mtu = link->mtu,
				       .lower = strcmp(link->kind, "veth") != 0 ? link->lower : 0,
				       .master = link->master,
				       .has_counters = place->has_counters,
				       .bare_index = place->bare_index,
				       .bare_ns = place->bare_ns};
	snprintf(place->interface, sizeof(place->interface), "%s", link->name);
	return 0;
}

int network_add_paths(struct network_state *state, const struct fault *fault,
		      const struct target_interface *interface, struct plan *plan,
		      struct error *err)
{
	int64_t direction = params_number(fault->params, NETWORK_DIRECTION, NETWORK_EGRESS);
	struct link link;
	int result = link_get(state->route, interface->index, &link, err);

	if (result < 0)
		return result;
	/* Only the name that was found plain may get into a transaction. */
	if (strcmp(link.name, interface->name) != 0)
		return error_set(err, ENODEV, "interface %s was renamed just now", interface->name);
	if ((link.flags & IFF_LOOPBACK) && !plan)
		return error_set(err, EOPNOTSUPP,
				 "interface %s is the loopback interface, which has to be there "
				 "from the beginning",
				 link.name);
	if ((link.flags & IFF_LOOPBACK) && direction != NETWORK_EGRESS) {
		/* every packet on lo leaves and arrives: twice the effect otherwise */
		result = add_path(state, &link, false, err);
		if (result == 0)
			result = plan_add(plan, PLAN_NOTE,
					  "%s: on the loopback interface what leaves is what "
					  "arrives; it is affected once, when it leaves",
					  link.name);
		return result;
	}
	if (plan && !(link.flags & IFF_UP))
		result = plan_add(plan, PLAN_NOTE,
				  "%s is down: nothing passes there until it is up", link.name);
	if (result == 0 && direction != NETWORK_INGRESS)
		result = add_path(state, &link, false, err);
	if (result == 0 && direction != NETWORK_EGRESS)
		result = add_path(state, &link, true, err);
	return result;
}

/* One call is not to take long; what it does first it does at any hour. */
struct turn {
	int64_t until_ns;
	bool has_begun;
};

static bool is_over(struct turn *turn)
{
	if (turn->has_begun && clock_now_ns() >= turn->until_ns)
		return true;
	turn->has_begun = true;
	return false;
}

/* Leaving. */

static bool is_drained(struct network_state *state, unsigned at, int64_t now_ns)
{
	const struct network_path *path = &state->paths[at];

	if (now_ns >= path->drain_until_ns || !(path->line || path->ifb_index))
		return true;
	if (path->ifb_index)
		return network_netem_is_drained(state, at);
	return delay_line_is_broken(path->line) || delay_line_is_empty(path->line);
}

/* Nothing of that interface is left here, and nothing of ours there. False: its filters are still
 * there; until they are gone its place is not given to another one, whom they would lead to the
 * fault. */
static bool finish_interface(struct network_state *state, const struct fault *fault, int index)
{
	if (state->hook == NETWORK_GATE && !network_gate_remove_interface(state, fault, index))
		return false;
	for (unsigned i = 0; i < state->path_count; i++) {
		struct network_path *path = &state->paths[i];

		if (path->left_index != index)
			continue;
		if (state->hook != NETWORK_GATE && path->is_attached)
			network_table_remove_path(state, i);
		path->is_attached = false;
	}
	for (unsigned i = 0; i < state->path_count; i++)
		if (state->paths[i].left_index == index) {
			network_line_remove(state, i);
			network_netem_remove(state, i);
			state->paths[i].left_index = 0;
			state->paths[i].interface[0] = '\0';
		}
	return true;
}

/* False: it was time to go. */
static bool finish_drained(struct network_state *state, const struct fault *fault,
			   struct turn *turn)
{
	const int64_t now_ns = clock_now_ns();

	for (unsigned i = 0; i < state->path_count; i++) {
		const int index = state->paths[i].left_index;
		bool is_done = index != 0;

		for (unsigned k = i; is_done && k < state->path_count; k++)
			if (state->paths[k].left_index == index)
				is_done = is_drained(state, k, now_ns);
		if (is_done && is_over(turn))
			return false;
		if (is_done)
			finish_interface(state, fault, index);
	}
	return true;
}

static int cut(struct network_state *state, const struct fault *fault, unsigned at)
{
	if (!state->paths[at].is_attached)
		return 0;
	network_group_cut_path(state, at);
	return state->hook == NETWORK_GATE ? network_gate_cut_path(state, at)
					   : network_table_cut_path(state, fault->target, at);
}

/* False: something could not be cut. It keeps its place and its line, for packets still come to it,
 * and the next look tries again. */
static bool let_go(struct network_state *state, const struct fault *fault, int index, bool is_gone)
{
	static const struct netem_config nothing = {0};
	bool is_left = true;

	for (unsigned i = 0; i < state->path_count; i++) {
		struct network_path *path = &state->paths[i];

		if (path->index != index)
			continue;
		path->uncut_result = cut(state, fault, i);
		if (path->uncut_result < 0) {
			path->uncut_ns = path->uncut_ns ? path->uncut_ns : clock_now_ns();
			is_left = false;
			continue;
		}
		path->uncut_ns = 0;
		path->left_index = index;
		path->is_gone = is_gone;
		path->index = 0;
		path->drain_until_ns = 0;
		if (!path->is_attached || is_gone)
			continue;
		if (path->line)
			delay_line_set(path->line, &nothing);
		else if (path->ifb_index)
			network_netem_soften_one(state, i);
		path->drain_until_ns = clock_now_ns() + DRAIN_MAX_NS;
	}
	return is_left;
}

int network_check_left(const struct network_state *state, struct error *err)
{
	const int64_t now_ns = clock_now_ns();

	for (unsigned i = 0; i < state->path_count; i++) {
		const struct network_path *path = &state->paths[i];

		if (path->index && path->uncut_ns && now_ns >= path->uncut_ns + UNCUT_NS)
			return error_set(err, ESTALE, "interface %s cannot be let go: %s",
					 path->interface, strerror(-path->uncut_result));
	}
	return 0;
}

static const struct target_interface *find_in_target(const struct target *target,
						     const struct network_path *path)
{
	for (unsigned i = 0; i < target->interface_count; i++)
		if (target->interfaces[i].index == path->index &&
		    strcmp(target->interfaces[i].name, path->interface) == 0)
			return &target->interfaces[i];
	return NULL;
}

static bool must_leave(const struct target *target, const struct network_path *path)
{
	return path->is_lost || path->is_bare || path->uncut_ns || !find_in_target(target, path);
}

bool network_take_again(struct network_state *state, unsigned at)
{
	const int index = state->paths[at].index;
	const int64_t now_ns = clock_now_ns();

	if (!state->follows_interfaces)
		return false;
	for (unsigned i = 0; i < state->path_count; i++)
		if (state->paths[i].bare_index == index &&
		    now_ns < state->paths[i].bare_ns + BARE_NS)
			return false;
	state->paths[at].bare_index = index;
	state->paths[at].bare_ns = now_ns;
	for (unsigned i = 0; i < state->path_count; i++)
		if (state->paths[i].index == index) /* both directions */
			state->paths[i].is_bare = true;
	return true;
}

static bool is_there(const struct network_state *state, const struct network_path *path)
{
	struct link link;

	return !path->is_lost && link_get(state->route, path->index, &link, NULL) == 0;
}

/* First nobody comes to what leaves, then it is tidied up, which takes longer. False: it was time
 * to go. */
static bool let_go_all(struct network_state *state, const struct fault *fault, struct turn *turn)
{
	for (unsigned i = 0; i < state->path_count; i++) {
		const struct network_path *path = &state->paths[i];

		if (!path->index || !must_leave(fault->target, path))
			continue;
		if (is_over(turn))
			return false;
		let_go(state, fault, path->index, !is_there(state, path));
	}
	return finish_drained(state, fault, turn);
}

/* Coming. */

static int attach(struct network_state *state, const struct fault *fault, unsigned at,
		  struct error *err)
{
	int result = network_check_rank(state, at, err);

	if (result == 0 && state->way == NETWORK_NETEM)
		result = network_netem_add(state, at, err);
	if (result == 0 && state->way == NETWORK_LINE)
		result = network_line_add(state, fault, at, err);
	if (result < 0)
		return result;
	state->paths[at].is_attached = true; /* also when only some of it is there */
	result = state->hook == NETWORK_GATE
			 ? network_gate_add_path(state, fault, at, err)
			 : network_table_add_path(state, fault->target, at, err);
	return result < 0 ? result : network_group_add_path(state, at, err);
}

static bool has_paths(const struct network_state *state, int index)
{
	for (unsigned i = 0; i < state->path_count; i++)
		if (state->paths[i].index == index)
			return true;
	return false;
}

static int take_in(struct network_state *state, const struct fault *fault,
		   const struct target_interface *interface, struct error *err)
{
	const enum network_way way =
		state->phase == NETWORK_ACTIVE ? state->way : state->planned_way;
	int result;

	/* it has come back at once */
	if (!finish_interface(state, fault, interface->index))
		return error_set(err, EAGAIN, "interface %s has filters from before",
				 interface->name);
	result = network_add_paths(state, fault, interface, NULL, err);
	for (unsigned i = 0; result == 0 && i < state->path_count; i++) {
		if (state->paths[i].index != interface->index)
			continue;
		result = network_group_check_path(state, i, err);
		if (result == 0 && way == NETWORK_NETEM)
			result = network_check_bypassed(state, i, err);
		if (result == 0 && state->phase == NETWORK_ACTIVE)
			result = attach(state, fault, i, err);
	}
	if (result < 0 && let_go(state, fault, interface->index, false))
		finish_interface(state, fault, interface->index);
	return result;
}

int network_follow_interfaces(struct fault *fault, int64_t until_ns, int *out_index,
			      struct error *err)
{
	struct network_state *state = fault->state;
	const struct target *target = fault->target;
	struct turn turn = {.until_ns = until_ns};

	*out_index = 0;
	if (!state->follows_interfaces ||
	    (state->phase != NETWORK_ACTIVE && state->phase != NETWORK_IDLE))
		return 0;
	if (state->phase == NETWORK_IDLE) {
		network_forget_left(state);
		turn.until_ns = INT64_MAX; /* nothing is in force, nothing takes long */
	}
	if (!let_go_all(state, fault, &turn))
		return 1;
	for (unsigned i = 0; i < target->interface_count; i++) {
		const struct target_interface *interface = &target->interfaces[i];
		int result;

		if (has_paths(state, interface->index))
			continue;
		if (is_over(&turn))
			return 1;
		result = take_in(state, fault, interface, err);
		if (result < 0) {
			*out_index = interface->index;
			return result;
		}
	}
	return 0;
}

void network_forget_left(struct network_state *state)
{
	for (unsigned i = 0; i < state->path_count; i++) {
		struct network_path *path = &state->paths[i];

		path->is_attached = false;
		path->records[0] = path->records[1] = 0;
		path->ifb_index = 0;
		path->left_index = 0;
		path->uncut_ns = 0;
	}
	state->left_counts = (struct network_line_counts){0};
	state->left_queues = (struct network_queue_counts){0};
	state->left_processor_ns = 0;
}
