/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Connections in scope that exist when a network fault begins, ended by force: as `ss -K` does it,
 * but of the scope alone. It cannot be undone, and leaves nothing to undo: like a kill it has no
 * record.
 */
#include "faults/network.h"

#include "faults/target_connections.h"
#include "injector/base/prose.h"
#include "injector/kernel/route.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#define ROUTES_MAX 16
#define SSH_PORT   22

/* Does it go through an interface of the fault's? */
static bool passes_by(const struct network_state *state, const struct connection *connection)
{
	int indexes[ROUTES_MAX];
	unsigned count = 0;

	/* its own address need not be one of this host's (IP_TRANSPARENT) */
	if (route_interfaces_from(state->route, connection->family, connection->local,
				  connection->remote, indexes, ROUTES_MAX, &count, NULL) < 0 &&
	    route_interfaces(state->route, connection->family, connection->remote, indexes,
			     ROUTES_MAX, &count, NULL) < 0)
		return false;
	for (unsigned i = 0; i < count; i++)
		for (unsigned k = 0; k < state->path_count; k++)
			if (state->paths[k].index == indexes[i])
				return true;
	return false;
}

/* Its packets are drawn by what lets on only a share. */
static bool is_drawn(const struct network_state *state, const struct network_pick *pick,
		     const struct connection *connection)
{
	if (!pick->has_share)
		return true;
	return state->hook == NETWORK_GATE ? gate_share_takes(pick, connection)
					   : network_pick_takes(pick, connection);
}

/* The caller drops what was found. */
static int find(struct network_state *state, const struct target *target,
		struct target_connections *out, struct error *err)
{
	const struct network_pick pick = network_pick_of(state, target);
	unsigned kept = 0;
	int result = target_connections_find(
		state->diag, target, 0,
		&(struct target_spared){state->control, state->control_count}, out, err);

	for (unsigned i = 0; result == 0 && i < out->count; i++)
		if (is_drawn(state, &pick, &out->found[i]) && passes_by(state, &out->found[i]))
			out->found[kept++] = out->found[i];
	if (result == 0)
		out->count = kept;
	if (result == -EOPNOTSUPP)
		error_remedy(err, "needs Linux 5.8 with CONFIG_SOCK_CGROUP_DATA; partition: reset "
				  "ends those that send something");
	return result;
}

/* Whose connection is not known could cut himself off. */
int network_list_sessions(const struct network_state *state, const struct target *target,
			  struct plan *plan)
{
	const struct target_spared nobody = {0};
	struct target_connections open = {0};
	struct netlink *diag = NULL;
	uint8_t numbers[TRAFFIC_PROTOCOLS_MAX];
	unsigned protocols = target_protocols(&target->params, numbers), count = 0;

	if (state->control_count || params_number(&target->params, TRAFFIC_ALLOW_LOCKOUT, 0) ||
	    (protocols && !memchr(numbers, IPPROTO_TCP, protocols)))
		return 0;
	/* it is but a note: whatever fails here fails elsewhere, too, or does no harm. Listing
	 * connections takes milliseconds, as the table of all namespaces is walked; listeners have
	 * a small one. */
	if (netlink_open_diag(target->namespace_fd, &diag, NULL) == 0 &&
	    connection_is_awaited(diag, SSH_PORT, NULL) == 1)
		target_connections_find(diag, target, 0, &nobody, &open, NULL);
	for (unsigned i = 0; i < open.count; i++)
		count += open.found[i].local_port == SSH_PORT && passes_by(state, &open.found[i]);
	target_connections_drop(&open);
	netlink_close(diag);
	if (!count)
		return 0;
	return plan_add(plan, PLAN_NOTE,
			"no controlling SSH connection found; %u established one%s (port %d) %s in "
			"scope: if you sit on one, name its far side in `except`",
			count, count == 1 ? "" : "s", SSH_PORT, count == 1 ? "is" : "are");
}

int network_plan_connections(struct network_state *state, const struct target *target,
			     struct plan *plan, struct error *err)
{
	struct target_connections connections = {0};
	unsigned count;
	int result = netlink_open_diag(target->namespace_fd, &state->diag, err);

	if (result == 0)
		result = connection_try_destroy(state->diag, err);
	if (result == -EOPNOTSUPP && state->effect.refusal.resets) {
		netlink_close(state->diag);
		state->diag = NULL;
		return plan_add(
			plan, PLAN_NOTE,
			"this kernel cannot end connections (CONFIG_INET_DIAG_DESTROY): each "
			"is reset when it sends something");
	}
	if (result == -EOPNOTSUPP)
		error_remedy(err, "partition: reset ends them when they send something");
	if (result == 0)
		result = find(state, target, &connections, err);
	count = connections.count;
	target_connections_drop(&connections);
	if (result < 0)
		return result;
	return plan_add(
		plan, PLAN_CHANGE,
		"end TCP connections in scope, %u now, as far as this kernel owns them: cannot "
		"be undone",
		count);
}

int network_reset_connections(struct network_state *state, const struct target *target,
			      struct error *err)
{
	struct target_connections connections;
	int result;

	if (!state->diag)
		return 0;
	result = find(state, target, &connections, err);
	if (result == 0)
		result = target_connections_end(state->diag, &connections,
						&state->connections_reset, err);
	target_connections_drop(&connections);
	return result;
}

void network_describe_connections(const struct network_state *state, struct evidence *evidence)
{
	size_t used = strlen(evidence->detail);

	/* whoever was ended sends nothing that could be met: it was hit all the same */
	if (!evidence->hits && state->connections_reset) {
		evidence->hits = state->connections_reset;
		evidence->unit = "connections";
	}
	snprintf(evidence->detail + used, sizeof(evidence->detail) - used,
		 "%s%llu connection%s ended", used ? ", " : "",
		 (unsigned long long)state->connections_reset,
		 prose_plural(state->connections_reset));
}
