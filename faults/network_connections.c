/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Connections in scope that exist when a network fault begins, ended by force: as `ss -K` does it,
 * but of the scope alone. It cannot be undone, and leaves nothing to undo: like a kill it has no
 * record.
 */
#include "faults/network.h"

#include "faults/target_connections.h"
#include "injector/base/prose.h"
#include "injector/kernel/conntrack.h"
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

static struct sockaddr_storage address_of(int family, const uint8_t *address, uint16_t port)
{
	struct sockaddr_storage out = {.ss_family = (sa_family_t)family};

	if (family == AF_INET)
		memcpy(&((struct sockaddr_in *)&out)->sin_addr, address, 4);
	else
		memcpy(&((struct sockaddr_in6 *)&out)->sin6_addr, address, 16);
	((struct sockaddr_in *)&out)->sin_port = htons(port); /* at the same place in both */
	return out;
}

static void take_address(const struct sockaddr_storage *from, uint8_t *address, uint16_t *port)
{
	if (from->ss_family == AF_INET)
		memcpy(address, &((const struct sockaddr_in *)from)->sin_addr, 4);
	else
		memcpy(address, &((const struct sockaddr_in6 *)from)->sin6_addr, 16);
	*port = ntohs(((const struct sockaddr_in *)from)->sin_port);
}

/* As its packets are on an interface, where rules may have translated them. */
static struct connection outside_of(struct netlink *conntrack, const struct connection *connection)
{
	struct conntrack_flow flow = {
		.protocol = IPPROTO_TCP,
		.local = address_of(connection->family, connection->local, connection->local_port),
		.remote = address_of(connection->family, connection->remote,
				     connection->remote_port)};
	struct connection outside = *connection;

	if (conntrack && conntrack_outside(conntrack, &flow, &flow, NULL) == 0) {
		take_address(&flow.local, outside.local, &outside.local_port);
		take_address(&flow.remote, outside.remote, &outside.remote_port);
	}
	return outside;
}

/* Of those found, the ones whose packets are drawn by what lets on only a share. */
static int keep_drawn(const struct network_state *state, const struct target *target,
		      struct target_connections *inout, struct error *err)
{
	const struct network_pick pick = network_pick_of(state, target);
	struct netlink *conntrack = NULL;
	unsigned kept = 0;
	uint32_t flows = 0;
	int result;

	if (!pick.has_share || !inout->count)
		return 0;
	result = netlink_open_netfilter(target->namespace_fd, &conntrack, err);
	if (result == 0)
		result = conntrack_count(conntrack, &flows, err);
	for (unsigned i = 0; result == 0 && i < inout->count; i++) {
		const struct connection seen =
			outside_of(flows ? conntrack : NULL, &inout->found[i]);

		if (state->hook == NETWORK_GATE ? gate_share_takes(&pick, &seen)
						: network_pick_takes(&pick, &seen))
			inout->found[kept++] = inout->found[i];
	}
	netlink_close(conntrack);
	if (result < 0)
		return error_prefix(err, "cannot tell which connections are of the share");
	inout->count = kept;
	return 0;
}

/* The caller drops what was found. */
static int find(struct network_state *state, const struct target *target,
		struct target_connections *out, struct error *err)
{
	unsigned kept = 0;
	int result = target_connections_find(
		state->diag, target, 0,
		&(struct target_spared){state->control, state->control_count}, out, err);

	for (unsigned i = 0; result == 0 && i < out->count; i++)
		if (passes_by(state, &out->found[i]))
			out->found[kept++] = out->found[i];
	if (result == 0) {
		out->count = kept;
		result = keep_drawn(state, target, out, err);
	}
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
