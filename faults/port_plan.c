/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Planning a port fault: which ports, how many descriptors they take, and whether somebody has
 * them.
 */
#include "faults/port.h"

#include "injector/base/cleanup.h"
#include "injector/kernel/socket_owner.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define OCCUPIED_MAX  1000   /* ports */
#define EXHAUSTED_MAX 250000 /* sockets: 4 KB of the kernel's memory each */

static const int families[] = {AF_INET, AF_INET6};

int port_check(const struct params *params, struct error *err)
{
	bool exhausts = params_number(params, PORT_ACTION, PORT_OCCUPY) == PORT_EXHAUST;

	if (exhausts && params_number(params, PORT_IN_USE, 0))
		return error_set(err, EINVAL, "`in-use` belongs to `action: occupy`");
	if (!exhausts && params_is_set(params, PORT_LEAVE))
		return error_set(err, EINVAL, "`leave` belongs to `action: exhaust`");
	return 0;
}

/* Which container has a network of its own is seen in the plan. */
const struct target_use port_use = {
	.takes = TARGET_TAKES(LOCAL_PORT) | TARGET_TAKES(TO) | TARGET_TAKES(TO_FILE) |
		 TARGET_TAKES(PROTOCOL) | TARGET_TAKES(PROTOCOL_NUMBER) | TARGET_TAKES(NAMESPACE) |
		 TARGET_TAKES(CONTAINER) | TARGET_TAKES(CONTAINER_COUNT),
	.chosen = "ports are taken at every address of this side, from everybody in the network "
		  "namespace",
	.spoken = "ports are taken of tcp and udp alone",
	.protocols = {IPPROTO_TCP, IPPROTO_UDP},
	.example = "10.0.5.7:443",
};

static bool speaks(const struct params *target, uint8_t wanted)
{
	uint8_t numbers[TRAFFIC_PROTOCOLS_MAX];
	unsigned count = target_protocols(target, numbers);

	for (unsigned i = 0; i < count; i++)
		if (numbers[i] == wanted)
			return true;
	return count == 0 && wanted == IPPROTO_TCP;
}

/* Of a name this is the one thing that is known before it is looked up. */
static bool is_one_place(const struct endpoint *to)
{
	if (!to->port_first || to->port_first != to->port_last)
		return false;
	return to->is_name || (to->family == AF_INET && to->prefix == 32) ||
	       (to->family == AF_INET6 && to->prefix == 128);
}

static int check_exhausted(const struct params *target, const struct param_value **out_blamed,
			   struct error *err)
{
	if (!params_count(target, TRAFFIC_TO)) {
		error_set(err, EINVAL, "action: exhaust needs a target with `to`");
		return error_remedy(err, "name the far sides to which no port is left: to: "
					 "10.0.5.7:443");
	}
	for (unsigned i = 0; i < params_count(target, TRAFFIC_TO); i++) {
		*out_blamed = params_value(target, TRAFFIC_TO, i);
		if (is_one_place(&(*out_blamed)->endpoint))
			continue;
		error_set(err, EINVAL, "to: '%s' is not one address with one port",
			  (*out_blamed)->text);
		return error_remedy(err, "name each far side: to: [\"10.0.5.7:443\", "
					 "\"10.0.5.8:443\"]");
	}
	if (params_count(target, TRAFFIC_LOCAL_PORT)) {
		*out_blamed = params_value(target, TRAFFIC_LOCAL_PORT, 0);
		error_set(err, EINVAL, "local-port: `action: exhaust` takes every local port");
		return error_remedy(err, "leave it out, or write action: occupy");
	}
	if (speaks(target, IPPROTO_TCP))
		return 0;
	*out_blamed = params_value(target,
				   params_count(target, TRAFFIC_PROTOCOL) ? TRAFFIC_PROTOCOL
									  : TRAFFIC_PROTOCOL_NUMBER,
				   0);
	error_set(err, EINVAL, "ports towards one far side run out with tcp alone");
	return error_remedy(err, "leave protocol out");
}

static int check_occupied(const struct params *target, const struct param_value **out_blamed,
			  struct error *err)
{
	unsigned ports = 0;

	if (!params_count(target, TRAFFIC_LOCAL_PORT)) {
		error_set(err, EINVAL, "action: occupy needs a target with `local-port`");
		return error_remedy(err, "name the ports: local-port: 8080");
	}
	for (unsigned i = 0; i < params_count(target, TRAFFIC_LOCAL_PORT); i++) {
		const struct param_value *value = params_value(target, TRAFFIC_LOCAL_PORT, i);

		ports += value->ports.last - value->ports.first + 1U;
		if (ports <= OCCUPIED_MAX)
			continue;
		*out_blamed = value;
		error_set(err, E2BIG, "local-port: more than %d ports", OCCUPIED_MAX);
		return error_remedy(err, "name fewer of them");
	}
	if (!params_count(target, TRAFFIC_TO))
		return 0;
	*out_blamed = params_value(target, TRAFFIC_TO, 0);
	error_set(err, EINVAL, "to: a port is taken whoever is at the other side");
	return error_remedy(err, "leave it out, or write action: exhaust");
}

int port_check_target(const struct params *params, const struct params *target,
		      const struct param_value **out_blamed, struct error *err)
{
	return params_number(params, PORT_ACTION, PORT_OCCUPY) == PORT_EXHAUST
		       ? check_exhausted(target, out_blamed, err)
		       : check_occupied(target, out_blamed, err);
}

static int add_place(struct port_state *state, const struct port_place *place, struct error *err)
{
	struct port_place *grown =
		reallocarray(state->places, state->place_count + 1, sizeof(*grown));

	if (!grown)
		return error_errno(err, ENOMEM, "ports");
	state->places = grown;
	state->places[state->place_count++] = *place;
	return 0;
}

static struct port_place place_at(int family, int protocol, uint16_t port, const uint8_t *address)
{
	struct port_place place = {.protocol = protocol, .address.ss_family = (sa_family_t)family};
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&place.address;
	struct sockaddr_in *v4 = (struct sockaddr_in *)&place.address;

	v4->sin_port = htons(port); /* at the same place in both */
	if (address && family == AF_INET)
		memcpy(&v4->sin_addr, address, 4);
	else if (address)
		memcpy(&v6->sin6_addr, address, 16);
	return place;
}

/* Any address, both families, each protocol that is asked for. */
static int add_port(struct port_state *state, const struct target *target, uint16_t port,
		    struct error *err)
{
	static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP};
	int result = 0;

	for (unsigned p = 0; p < 2; p++)
		for (unsigned f = 0; result == 0 && f < 2; f++) {
			struct port_place place = place_at(families[f], protocols[p], port, NULL);

			if (speaks(&target->params, protocols[p]))
				result = add_place(state, &place, err);
		}
	return result;
}

static int find_holder(const struct target *target, const struct param_value *ports, bool *out,
		       struct error *err)
{
	cleanup_free uint32_t *inodes = NULL;
	unsigned count = 0;
	int result = socket_owner_inodes(target->namespace_fd, ports->ports.first,
					 ports->ports.last, &inodes, &count, err);

	*out = result == 0 && count > 0;
	return result;
}

static int plan_occupied(struct port_state *state, const struct fault *fault, struct plan *plan,
			 struct error *err)
{
	const struct target *target = fault->target;
	const bool may_be_in_use = params_number(fault->params, PORT_IN_USE, 0);
	unsigned count = params_count(&target->params, TRAFFIC_LOCAL_PORT);
	bool is_held;
	int result = 0;

	for (unsigned i = 0; result == 0 && i < count; i++) {
		const struct param_value *ports =
			params_value(&target->params, TRAFFIC_LOCAL_PORT, i);
		unsigned first = ports->ports.first, last = ports->ports.last;

		for (unsigned port = first; result == 0 && port <= last; port++)
			result = add_port(state, target, (uint16_t)port, err);
		if (result == 0)
			result = find_holder(target, ports, &is_held, err);
		if (result == 0 && is_held && !may_be_in_use) {
			error_set(err, EADDRINUSE, "local-port %s: a service has it", ports->text);
			return error_remedy(err,
					    "`in-use: true` lets it go on, and not start again");
		}
		if (result == 0 && is_held)
			result =
				plan_add(plan, PLAN_NOTE,
					 "port %s is in use: its service goes on, and cannot start "
					 "again once it has stopped",
					 ports->text);
		if (result == 0)
			result = plan_add(plan, PLAN_TARGET, "port %s%s%s", ports->text,
					  target->namespace_name[0] ? ", network namespace " : "",
					  target->namespace_name);
	}
	return result < 0 ? result : port_hold_prepare(&state->hold, state->place_count, err);
}

/* How many ports connect() chooses from, in the namespace. */
static int read_range(void *context, struct error *err)
{
	static const char path[] = "/proc/sys/net/ipv4/ip_local_port_range";
	cleanup_file FILE *file = fopen(path, "re");
	unsigned first, last;

	if (!file || fscanf(file, "%u %u", &first, &last) != 2 || last < first || last > 65535)
		return error_errno(err, file ? EINVAL : errno, "%s", path);
	*(unsigned *)context = last - first + 1;
	return 0;
}

static int plan_exhausted(struct port_state *state, const struct fault *fault, struct plan *plan,
			  struct error *err)
{
	const struct target *target = fault->target;
	unsigned count = params_count(&target->params, TRAFFIC_TO), range = 0;
	char text[ENDPOINT_TEXT_SIZE];
	int result = namespace_run(target->namespace_fd, read_range, &range, err);

	for (unsigned i = 0; result == 0 && i < count; i++) {
		const struct endpoint *to = &params_value(&target->params, TRAFFIC_TO, i)->endpoint;
		struct port_place place =
			place_at(to->family, IPPROTO_TCP, to->port_first, to->address);

		endpoint_format(to, text);
		result = add_place(state, &place, err);
		if (result == 0)
			result = plan_add(plan, PLAN_TARGET, "connections to %s%s%s", text,
					  target->namespace_name[0] ? ", network namespace " : "",
					  target->namespace_name);
	}
	if (result < 0)
		return result;
	if ((uint64_t)range * count > EXHAUSTED_MAX)
		return error_set(err, E2BIG,
				 "%u far sides and %u local ports: more than %d sockets", count,
				 range, EXHAUSTED_MAX);
	state->hold.leave = (unsigned)params_number(fault->params, PORT_LEAVE, 0);
	return port_hold_prepare(&state->hold, range * count, err);
}

static int list_changes(const struct port_state *state, bool exhausts, struct plan *plan)
{
	const struct port_hold *hold = &state->hold;
	int result;

	if (!exhausts) {
		result = plan_add(plan, PLAN_WAY,
				  "sockets of the worker that are bound and do not listen");
		if (result == 0)
			result = plan_add(plan, PLAN_CHANGE,
					  "hold %u sockets (vanish with their "
					  "process): bind() there fails with "
					  "EADDRINUSE",
					  hold->capacity);
		return result;
	}
	result = plan_add(plan, PLAN_WAY,
			  "connections in repair mode, of which no packet tells the far side");
	if (result == 0)
		result = plan_add(
			plan, PLAN_CHANGE,
			"hold up to %u sockets (vanish with their process): connect() fails "
			"with EADDRNOTAVAIL%s",
			hold->capacity, hold->leave ? " when what is left is used" : "");
	if (result == 0)
		result = plan_add(
			plan, PLAN_NOTE,
			"everybody in the network namespace is met, squall's own probes as "
			"well; connections that exist go on; about %u MB of the kernel's "
			"memory",
			hold->capacity / 250 + 1);
	return result;
}

static int check_target(const struct target *target, struct error *err)
{
	if (target->group_count)
		return error_set(
			err, EINVAL,
			"ports are of a whole network namespace, and the target is that of %s",
			target->owner_text);
	return 0;
}

int port_plan(struct fault *fault, struct plan *plan, struct error *err)
{
	struct port_state *state = fault->state;
	bool exhausts = params_number(fault->params, PORT_ACTION, PORT_OCCUPY) == PORT_EXHAUST;
	int result = port_check(fault->params, err);

	if (result == 0)
		result = check_target(fault->target, err);
	if (result == 0)
		result = exhausts ? plan_exhausted(state, fault, plan, err)
				  : plan_occupied(state, fault, plan, err);
	state->hold.places = state->places;
	state->hold.place_count = state->place_count;
	state->hold.namespace_fd = fault->target->namespace_fd;
	return result < 0 ? result : list_changes(state, exhausts, plan);
}
