/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Connections in scope that exist when a network fault begins, ended by force: as `ss -K` does it,
 * but of the scope alone. It cannot be undone, and leaves nothing to undo: like a kill it has no
 * record.
 */
#include "faults/network.h"

#include "injector/base/cleanup.h"
#include "injector/kernel/connection.h"
#include "injector/kernel/route.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROUND_MAX  100000 /* connections ended in one go */
#define ROUTES_MAX 16

struct picking {
	const struct network_state *state;
	const struct params *target;
	uint64_t *groups; /* sorted; owned: the target's control groups and those below */
	unsigned group_count;
	bool is_nameless; /* a connection was met of which the kernel does not say whose it is */
	struct connection *found; /* owned */
	unsigned count;
};

static bool is_within(const uint8_t *address, const struct endpoint *network)
{
	unsigned bytes = network->prefix / 8, bits = network->prefix % 8;

	return memcmp(address, network->address, bytes) == 0 &&
	       (bits == 0 || ((address[bytes] ^ network->address[bytes]) >> (8 - bits)) == 0);
}

static bool has_local_address(const struct connection *connection, const struct params *target,
			      unsigned list)
{
	for (unsigned i = 0; i < params_count(target, list); i++) {
		const struct endpoint *network = &params_value(target, list, i)->endpoint;

		if (network->family == connection->family && is_within(connection->local, network))
			return true;
	}
	return false;
}

static bool is_meant(const struct connection *connection, const struct endpoint *endpoint)
{
	if (endpoint->family != AF_UNSPEC &&
	    (endpoint->family != connection->family || !is_within(connection->remote, endpoint)))
		return false;
	return !endpoint->port_first || (connection->remote_port >= endpoint->port_first &&
					 connection->remote_port <= endpoint->port_last);
}

static bool is_listed(const struct connection *connection, const struct params *target,
		      unsigned list)
{
	for (unsigned i = 0; i < params_count(target, list); i++)
		if (is_meant(connection, &params_value(target, list, i)->endpoint))
			return true;
	return false;
}

static bool has_local_port(const struct connection *connection, const struct params *target,
			   unsigned list)
{
	for (unsigned i = 0; i < params_count(target, list); i++) {
		const struct param_value *value = params_value(target, list, i);

		if (connection->local_port >= value->ports.first &&
		    connection->local_port <= value->ports.last)
			return true;
	}
	return false;
}

static bool is_in_scope(const struct connection *connection, const struct params *target)
{
	return (!params_count(target, TRAFFIC_TO) || is_listed(connection, target, TRAFFIC_TO)) &&
	       (!params_count(target, TRAFFIC_LOCAL_PORT) ||
		has_local_port(connection, target, TRAFFIC_LOCAL_PORT)) &&
	       (!params_count(target, TRAFFIC_LOCAL_ADDRESS) ||
		has_local_address(connection, target, TRAFFIC_LOCAL_ADDRESS)) &&
	       !is_listed(connection, target, TRAFFIC_EXCEPT) &&
	       !has_local_port(connection, target, TRAFFIC_EXCEPT_LOCAL_PORT) &&
	       !has_local_address(connection, target, TRAFFIC_EXCEPT_LOCAL_ADDRESS);
}

/* What every network fault leaves out: the session that controls us, and the cloud's metadata. */
static bool is_protected(const struct connection *connection, const struct picking *picking)
{
	const struct network_state *state = picking->state;
	const size_t size = connection->family == AF_INET ? 4 : 16;

	if (target_spares_metadata(picking->target) &&
	    target_is_metadata(connection->family, connection->remote))
		return true;
	for (unsigned i = 0; i < state->control_count; i++) {
		const struct network_connection *control = &state->control[i];

		if (control->family == connection->family &&
		    control->local_port == connection->local_port &&
		    control->remote_port == connection->remote_port &&
		    memcmp(control->local, connection->local, size) == 0 &&
		    memcmp(control->remote, connection->remote, size) == 0)
			return true;
	}
	return false;
}

static int compare(const void *a, const void *b)
{
	const uint64_t *one = a, *other = b;

	return (*one > *other) - (*one < *other);
}

static bool is_of_group(const struct connection *connection, struct picking *picking)
{
	if (!picking->group_count)
		return true;
	picking->is_nameless |= !connection->cgroup;
	return bsearch(&connection->cgroup, picking->groups, picking->group_count,
		       sizeof(*picking->groups), compare);
}

static int pick(void *context, const struct connection *connection)
{
	struct picking *picking = context;
	struct connection *grown;

	if (!is_of_group(connection, picking) || !is_in_scope(connection, picking->target) ||
	    is_protected(connection, picking))
		return 0;
	if (picking->count >= ROUND_MAX)
		return -E2BIG;
	/* the capacity is the next power of two */
	if ((picking->count & (picking->count - 1)) == 0) {
		grown = reallocarray(picking->found, picking->count ? picking->count * 2UL : 1,
				     sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		picking->found = grown;
	}
	picking->found[picking->count++] = *connection;
	return 0;
}

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

static void drop_elsewhere(struct picking *picking)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < picking->count; i++)
		if (passes_by(picking->state, &picking->found[i]))
			picking->found[kept++] = picking->found[i];
	picking->count = kept;
}

static int list_groups(const struct target *target, struct picking *picking, struct error *err)
{
	int result = 0;

	for (unsigned i = 0; result == 0 && i < target->group_count; i++) {
		cleanup_free uint64_t *ids = NULL;
		uint64_t *grown;
		unsigned count = 0;

		result = cgroup_ids(&target->groups[i].cgroup, &ids, &count, err);
		if (result < 0)
			break;
		grown = reallocarray(picking->groups, picking->group_count + count + 1UL,
				     sizeof(*grown));
		if (!grown)
			return error_errno(err, ENOMEM, "control groups");
		picking->groups = grown;
		if (count)
			memcpy(grown + picking->group_count, ids, count * sizeof(*ids));
		picking->group_count += count;
	}
	if (picking->group_count)
		qsort(picking->groups, picking->group_count, sizeof(*picking->groups), compare);
	return result;
}

static void drop(struct picking *picking)
{
	free(picking->groups);
	free(picking->found);
}

/* The caller drops what was found, also after a failure. */
static int find(struct network_state *state, const struct target *target, struct picking *out,
		struct error *err)
{
	int result;

	*out = (struct picking){.state = state, .target = &target->params};
	result = list_groups(target, out, err);
	if (result < 0 || (target->group_count && !out->group_count)) /* all are gone */
		return result;
	result = connection_each(state->diag, pick, out, err);
	if (result == -E2BIG)
		error_set(err, E2BIG, "more than %d connections are in scope", ROUND_MAX);
	else if (result == -ENOMEM)
		error_errno(err, ENOMEM, "connections");
	if (result == 0 && out->is_nameless) {
		result = error_set(err, EOPNOTSUPP,
				   "reset-connections: the kernel does not say whose a connection "
				   "is, and the target is that of %s",
				   target->owner_text);
		error_remedy(err, "needs Linux 5.8 with CONFIG_SOCK_CGROUP_DATA; partition: reset "
				  "ends those that send something");
	}
	if (result == 0)
		drop_elsewhere(out);
	return result;
}

static int check_target(const struct target *target, struct error *err)
{
	uint8_t numbers[TRAFFIC_PROTOCOLS_MAX];
	unsigned count = target_protocols(&target->params, numbers);
	bool has_tcp = count == 0;

	for (unsigned i = 0; i < count; i++)
		has_tcp |= numbers[i] == IPPROTO_TCP;
	if (!has_tcp)
		return error_set(err, EINVAL, "reset-connections: only tcp has connections");
	if (params_is_set(&target->params, TRAFFIC_SHARE) ||
	    params_is_set(&target->params, TRAFFIC_VLAN))
		return error_set(err, EINVAL,
				 "reset-connections does not know which flows `share` and `vlan` "
				 "take; partition: reset ends those that send something");
	if (params_count(&target->params, TRAFFIC_TCP_FLAGS))
		return error_set(
			err, EINVAL,
			"reset-connections ends whole connections, and tcp-flags selects "
			"packets of them; partition: reset ends those that send such a one");
	return 0;
}

int network_plan_connections(struct network_state *state, const struct target *target,
			     struct plan *plan, struct error *err)
{
	struct picking picking = {0};
	unsigned count;
	int result = check_target(target, err);

	if (result == 0)
		result = netlink_open_diag(target->namespace_fd, &state->diag, err);
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
		result = find(state, target, &picking, err);
	count = picking.count;
	drop(&picking);
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
	struct picking picking;
	int result;

	if (!state->diag)
		return 0;
	result = find(state, target, &picking, err);
	for (unsigned i = 0; result == 0 && i < picking.count; i++) {
		result = connection_destroy(state->diag, &picking.found[i], err);
		state->connections_reset += result == 0;
		if (result == -ENOENT || result == -ESTALE)
			result = 0; /* it has ended by itself */
	}
	drop(&picking);
	return result < 0 ? error_prefix(err, "cannot end a connection") : 0;
}

void network_describe_connections(const struct network_state *state, struct evidence *evidence)
{
	size_t used = strlen(evidence->detail);

	/* where nothing else is done, it is what there is to count */
	if (!used)
		evidence->hits = state->connections_reset;
	snprintf(evidence->detail + used, sizeof(evidence->detail) - used,
		 "%s%llu connections ended", used ? ", " : "",
		 (unsigned long long)state->connections_reset);
}
