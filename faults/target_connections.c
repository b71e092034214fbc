/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/target_connections.h"

#include "injector/base/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROUND_MAX 100000 /* connections ended in one go */

struct picking {
	const struct params *target;
	uint16_t usual_port;
	const struct target_spared *spared;
	uint64_t *groups; /* sorted; owned: the target's control groups and those below */
	unsigned group_count;
	bool is_nameless; /* a connection was met of which the kernel does not say whose it is */
	struct target_connections *out;
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

static bool is_meant(const struct connection *connection, const struct endpoint *endpoint,
		     uint16_t usual_port)
{
	if (endpoint->family != AF_UNSPEC &&
	    (endpoint->family != connection->family || !is_within(connection->remote, endpoint)))
		return false;
	if (!endpoint->port_first)
		return !usual_port || connection->remote_port == usual_port;
	return connection->remote_port >= endpoint->port_first &&
	       connection->remote_port <= endpoint->port_last;
}

static bool is_listed(const struct connection *connection, const struct params *target,
		      unsigned list, uint16_t usual_port)
{
	for (unsigned i = 0; i < params_count(target, list); i++)
		if (is_meant(connection, &params_value(target, list, i)->endpoint, usual_port))
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

static bool is_in_scope(const struct connection *connection, const struct params *target,
			uint16_t usual_port)
{
	const struct endpoint every = {.family = AF_UNSPEC};

	return (params_count(target, TRAFFIC_TO)
			? is_listed(connection, target, TRAFFIC_TO, usual_port)
			: is_meant(connection, &every, usual_port)) &&
	       (!params_count(target, TRAFFIC_LOCAL_PORT) ||
		has_local_port(connection, target, TRAFFIC_LOCAL_PORT)) &&
	       (!params_count(target, TRAFFIC_LOCAL_ADDRESS) ||
		has_local_address(connection, target, TRAFFIC_LOCAL_ADDRESS)) &&
	       !is_listed(connection, target, TRAFFIC_EXCEPT, 0) &&
	       !has_local_port(connection, target, TRAFFIC_EXCEPT_LOCAL_PORT) &&
	       !has_local_address(connection, target, TRAFFIC_EXCEPT_LOCAL_ADDRESS) &&
	       !(target_spares_metadata(target) &&
		 target_is_metadata(connection->family, connection->remote));
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

static bool is_spared(const struct connection *connection, const struct target_spared *spared)
{
	const size_t size = connection->family == AF_INET ? 4 : 16;

	for (unsigned i = 0; i < spared->count; i++) {
		const struct session_connection *of = &spared->connections[i];

		if (of->family == connection->family && of->local_port == connection->local_port &&
		    of->remote_port == connection->remote_port &&
		    memcmp(of->local, connection->local, size) == 0 &&
		    memcmp(of->remote, connection->remote, size) == 0)
			return true;
	}
	return false;
}

static int pick(void *context, const struct connection *connection)
{
	struct picking *picking = context;
	struct target_connections *out = picking->out;
	struct connection *grown;

	if (!is_in_scope(connection, picking->target, picking->usual_port))
		return 0;
	if (is_spared(connection, picking->spared)) {
		out->spared_count++;
		return 0;
	}
	/* whose it is matters of those alone */
	if (!is_of_group(connection, picking))
		return 0;
	if (out->count >= ROUND_MAX)
		return -E2BIG;
	/* the capacity is the next power of two */
	if ((out->count & (out->count - 1)) == 0) {
		grown = reallocarray(out->found, out->count ? out->count * 2UL : 1, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		out->found = grown;
	}
	out->found[out->count++] = *connection;
	return 0;
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

static int find(struct netlink *diag, const struct target *target, struct picking *picking,
		struct error *err)
{
	int result = list_groups(target, picking, err);

	if (result < 0 || (target->group_count && !picking->group_count)) /* all are gone */
		return result;
	result = connection_each(diag, pick, picking, err);
	if (result == -E2BIG)
		error_set(err, E2BIG, "more than %d connections are in scope", ROUND_MAX);
	else if (result == -ENOMEM)
		error_errno(err, ENOMEM, "connections");
	if (result < 0 || !picking->is_nameless)
		return result;
	error_set(err, EOPNOTSUPP,
		  "reset-connections: the kernel does not say whose a connection is, and the "
		  "target is that of %s",
		  target->owner_text);
	return error_remedy(err, "needs Linux 5.8 with CONFIG_SOCK_CGROUP_DATA");
}

int target_connections_find(struct netlink *diag, const struct target *target, uint16_t usual_port,
			    const struct target_spared *spared, struct target_connections *out,
			    struct error *err)
{
	struct picking picking = {
		.target = &target->params, .usual_port = usual_port, .spared = spared, .out = out};
	int result;

	*out = (struct target_connections){0};
	result = find(diag, target, &picking, err);
	free(picking.groups);
	if (result < 0)
		target_connections_drop(out);
	return result;
}

int target_connections_end(struct netlink *diag, const struct target_connections *connections,
			   uint64_t *inout_count, struct error *err)
{
	int result = 0;

	for (unsigned i = 0; result == 0 && i < connections->count; i++) {
		result = connection_destroy(diag, &connections->found[i], err);
		*inout_count += result == 0;
		/* it has ended by itself; -EOPNOTSUPP: it was closed, and is only kept in mind
		 * (that the kernel can do it was tried in the plan) */
		if (result == -ENOENT || result == -ESTALE || result == -EOPNOTSUPP)
			result = 0;
	}
	return result < 0 ? error_prefix(err, "cannot end a connection") : 0;
}

void target_connections_drop(struct target_connections *connections)
{
	free(connections->found);
	*connections = (struct target_connections){0};
}
