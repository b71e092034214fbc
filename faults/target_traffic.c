/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Traffic targets: which interfaces, in which network namespace, carry what goes to the endpoints.
 * Reads the kernel's routing, changes nothing.
 */
#include "faults/target.h"

#include "injector/kernel/link.h"
#include "injector/kernel/namespace.h"
#include "injector/kernel/route.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const protocols[] = {"any", "tcp", "udp", "icmp", NULL};

const struct param traffic_params[] = {
	[TRAFFIC_TO] = {.name = "to",
			.type = PARAM_ENDPOINT,
			.flags = PARAM_LIST,
			.doc = "far side of the traffic; \"*\" or nothing: every address"},
	[TRAFFIC_LOCAL_PORT] = {.name = "local-port",
				.type = PARAM_PORTS,
				.flags = PARAM_LIST,
				.doc = "ports on this side (of a service that runs here)"},
	[TRAFFIC_PROTOCOL] = {.name = "protocol",
			      .type = PARAM_WORD,
			      .words = protocols,
			      .fallback = "any",
			      .doc = "which transport protocol"},
	[TRAFFIC_INTERFACE] =
		{.name = "interface",
		 .type = PARAM_NAME,
		 .flags = PARAM_LIST,
		 .doc = "network interfaces; default: those that route to the endpoints"},
	[TRAFFIC_NAMESPACE] = {.name = "namespace",
			       .type = PARAM_NAME,
			       .doc = "network namespace: NAME (ip netns), pid:N or target:NAME"},
	{.name = NULL},
};

#define PATHS_MAX 32 /* next hops of one route that are looked at */

static int open_pid(const char *text, int *out_fd, struct error *err)
{
	char *end;
	long pid;

	errno = 0;
	pid = strtol(text, &end, 10);
	if (errno || end == text || *end || pid <= 0 || pid > INT32_MAX)
		return error_set(err, EINVAL, "namespace 'pid:%s' does not name a process", text);
	return namespace_open_pid((pid_t)pid, out_fd, err);
}

/* The namespace of a process target: all its processes must share it. */
static int open_target(const char *name, const struct target_guard *guard, int *out_fd,
		       struct error *err)
{
	struct target *found = guard && guard->find ? guard->find(guard->context, name) : NULL;
	struct namespace_id first = {0};
	int result, kept = -1;

	if (!found)
		return error_set(err, ENOENT, "namespace 'target:%s': there is no such target",
				 name);
	if (found->kind != TARGET_PROCESS)
		return error_set(err, EINVAL, "namespace 'target:%s': it selects no processes",
				 name);
	if (!found->is_resolved || found->process_count == 0)
		return error_set(err, EINVAL, "namespace 'target:%s': it is not resolved yet",
				 name);
	for (unsigned i = 0; i < found->process_count; i++) {
		struct namespace_id id = {0};
		int fd;

		result = namespace_open_pid(found->processes[i].id.pid, &fd, err);
		/* the pid was still its own when the namespace was opened */
		if (result == 0)
			result = target_process_recheck(&found->processes[i], found, err);
		else
			fd = -1;
		if (result == 0)
			result = namespace_identify(fd, &id, err);
		if (result == 0 && i > 0 && !namespace_is_same(&first, &id))
			result = error_set(err, EINVAL,
					   "namespace 'target:%s': its processes live in "
					   "different network namespaces",
					   name);
		if (result < 0 || i > 0) {
			if (fd >= 0)
				close(fd);
		} else {
			kept = fd;
			first = id;
		}
		if (result < 0) {
			if (kept >= 0)
				close(kept);
			return result;
		}
	}
	*out_fd = kept;
	return 0;
}

static int open_namespace(struct target *target, const struct target_guard *guard,
			  struct error *err)
{
	const char *name = params_text(&target->params, TRAFFIC_NAMESPACE);
	struct namespace_id own = {0}, wanted = {0};
	int result;

	if (!name)
		return 0;
	snprintf(target->namespace_name, sizeof(target->namespace_name), "%s", name);
	if (strncmp(name, "pid:", 4) == 0)
		result = open_pid(name + 4, &target->namespace_fd, err);
	else if (strncmp(name, "target:", 7) == 0)
		result = open_target(name + 7, guard, &target->namespace_fd, err);
	else
		result = namespace_open_name(name, &target->namespace_fd, err);
	if (result == 0)
		result = namespace_identify(-1, &own, err);
	if (result == 0)
		result = namespace_identify(target->namespace_fd, &wanted, err);
	if (result == 0 && namespace_is_same(&own, &wanted)) {
		close(target->namespace_fd);
		target->namespace_fd = -1;
	}
	return result;
}

/* Names end up in the text of a transaction: what the kernel allows but nobody uses is refused. */
static bool is_plain_name(const char *name)
{
	for (const char *c = name; *c; c++)
		if (*c <= ' ' || *c >= 127 || *c == '"' || *c == '\\' || *c == '*')
			return false;
	return *name != '\0';
}

static bool has_interface(const struct target *target, int index)
{
	for (unsigned i = 0; i < target->interface_count; i++)
		if (target->interfaces[i].index == index)
			return true;
	return false;
}

static int add_interface(struct target *target, const struct link *link, struct error *err)
{
	struct target_interface *grown;

	if (has_interface(target, link->index))
		return 0;
	if (!is_plain_name(link->name))
		return error_set(err, EINVAL, "interface %d has a name that cannot be used",
				 link->index);
	grown = reallocarray(target->interfaces, target->interface_count + 1, sizeof(*grown));
	if (!grown)
		return error_errno(err, ENOMEM, "interface %s", link->name);
	target->interfaces = grown;
	grown += target->interface_count++;
	*grown = (struct target_interface){.index = link->index};
	snprintf(grown->name, sizeof(grown->name), "%s", link->name);
	return 0;
}

static int add_route(struct target *target, struct netlink *netlink, int family,
		     const void *address, struct error *err)
{
	int indexes[PATHS_MAX];
	unsigned count = 0;
	int result = route_interfaces(netlink, family, address, indexes, PATHS_MAX, &count, err);

	for (unsigned i = 0; result == 0 && i < count; i++) {
		struct link link;

		if (has_interface(target, indexes[i]))
			continue;
		result = link_get(netlink, indexes[i], &link, err);
		if (result == 0)
			result = add_interface(target, &link, err);
	}
	return result;
}

/* Addresses that nobody has (RFC 5737, RFC 3849) show where the default routes lead. */
static int add_default_routes(struct target *target, struct netlink *netlink, struct error *err)
{
	static const char somewhere[] = "192.0.2.1", somewhere6[] = "2001:db8::1";
	uint8_t address[16];
	int result, result6;

	inet_pton(AF_INET, somewhere, address);
	result = add_route(target, netlink, AF_INET, address, err);
	inet_pton(AF_INET6, somewhere6, address);
	result6 = add_route(target, netlink, AF_INET6, address, result < 0 ? NULL : err);
	if (result == -ENETUNREACH && result6 == -ENETUNREACH) {
		error_set(err, ENETUNREACH,
			  "every address is selected, but there is no default "
			  "route that would tell the interface");
		return error_remedy(err, "name it: interface: eth0");
	}
	if (result < 0 && result != -ENETUNREACH)
		return result;
	return result6 == -ENETUNREACH ? 0 : result6;
}

static int add_endpoint(struct target *target, struct netlink *netlink,
			const struct endpoint *endpoint, struct error *err)
{
	char text[ENDPOINT_TEXT_SIZE];
	int result;

	if (endpoint->family == AF_UNSPEC || endpoint->prefix == 0)
		return add_default_routes(target, netlink, err);
	result = add_route(target, netlink, endpoint->family, endpoint->address, err);
	if (result == 0) {
		/* A network may be spread over several routes; its two ends show the usual cases,
		 * `interface` is for the others. */
		unsigned bits = endpoint->family == AF_INET ? 32 : 128;
		uint8_t last[16];

		memcpy(last, endpoint->address, sizeof(last));
		for (unsigned bit = endpoint->prefix; bit + 1 < bits; bit++)
			last[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
		if (endpoint->prefix < bits)
			result = add_route(target, netlink, endpoint->family, last, err);
		if (result == -ENETUNREACH)
			result = 0;
	}
	if (result < 0)
		error_prefix(err, "%s", endpoint_format(endpoint, text));
	if (result == -ENETUNREACH)
		error_remedy(err, "add the route, or name the interface: interface: eth0");
	return result;
}

static int add_named(struct target *target, struct netlink *netlink, struct error *err)
{
	unsigned count = params_count(&target->params, TRAFFIC_INTERFACE);
	int result = 0;

	for (unsigned i = 0; result == 0 && i < count; i++) {
		const char *name = params_value(&target->params, TRAFFIC_INTERFACE, i)->text;
		struct link link;

		if (strlen(name) > 15)
			return error_set(err, EINVAL,
					 "interface '%s': a name has at most 15 characters", name);
		result = link_find(netlink, name, &link, err);
		if (result == -ENODEV && target->namespace_name[0])
			error_set(err, ENODEV, "there is no interface '%s' in namespace %s", name,
				  target->namespace_name);
		if (result == -ENODEV)
			error_remedy(err, "`ip link` lists them; without `interface` the routes "
					  "decide");
		if (result == 0)
			result = add_interface(target, &link, err);
	}
	return result;
}

static int check_selector(const struct target *target, struct error *err)
{
	const struct params *params = &target->params;
	const char *protocol = params_text(params, TRAFFIC_PROTOCOL);
	bool is_icmp = protocol && strcmp(protocol, "icmp") == 0;

	if (is_icmp && params_count(params, TRAFFIC_LOCAL_PORT))
		return error_set(err, EINVAL,
				 "protocol icmp has no ports, but local-port is given");
	for (unsigned i = 0; i < params_count(params, TRAFFIC_TO); i++) {
		const struct endpoint *endpoint = &params_value(params, TRAFFIC_TO, i)->endpoint;
		char text[ENDPOINT_TEXT_SIZE];

		if (endpoint->host[0])
			return error_set(err, EINVAL, "host name '%s' was not resolved",
					 endpoint->host);
		if (is_icmp && endpoint->port_first)
			return error_set(err, EINVAL, "protocol icmp has no ports, but %s has one",
					 endpoint_format(endpoint, text));
	}
	return 0;
}

int target_traffic_resolve(struct target *target, const struct target_guard *guard,
			   struct error *err)
{
	unsigned endpoints = params_count(&target->params, TRAFFIC_TO);
	const struct endpoint everything = {.family = AF_UNSPEC};
	struct netlink *netlink = NULL;
	int result = check_selector(target, err);

	if (result == 0)
		result = open_namespace(target, guard, err);
	if (result == 0)
		result = netlink_open(target->namespace_fd, &netlink, err);
	if (result < 0)
		return result;
	if (params_count(&target->params, TRAFFIC_INTERFACE))
		result = add_named(target, netlink, err);
	else if (endpoints == 0)
		result = add_endpoint(target, netlink, &everything, err);
	else
		for (unsigned i = 0; result == 0 && i < endpoints; i++)
			result = add_endpoint(
				target, netlink,
				&params_value(&target->params, TRAFFIC_TO, i)->endpoint, err);
	netlink_close(netlink);
	return result;
}
