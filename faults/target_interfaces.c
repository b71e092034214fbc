/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which interfaces: named, by a pattern, all of them, or those that the routes choose. Reads links
 * and routes, changes nothing.
 */
#include "faults/target_interfaces.h"

#include "faults/target_follow.h"
#include "injector/kernel/link.h"
#include "injector/kernel/route.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fnmatch.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATHS_MAX     32   /* next hops of one route that are looked at */
#define LOOKED_UP_MAX 1000 /* endpoints whose routes are asked for one by one */

/* Names end up in messages and commands: what the kernel allows but nobody uses is refused. */
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

/* By their alias; one that is just being made has none, and a tap never. */
static bool is_ours(const struct link *link)
{
	const char *run = link->name + 2;

	if (strncmp(link->alias, "squall run ", 11) == 0)
		return true;
	return (strcmp(link->kind, "ifb") == 0 || strcmp(link->kind, "tun") == 0 ||
		strcmp(link->kind, "veth") == 0) &&
	       strncmp(link->name, "sq", 2) == 0 &&
	       strspn(run, "0123456789abcdefghijklmnopqrstuvwxyz") == RUN_ID_SIZE - 2 &&
	       run[RUN_ID_SIZE - 2] == '-';
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

static int add_index(struct target *target, struct netlink *netlink, int index, struct error *err)
{
	struct link link;
	int result;

	if (has_interface(target, index))
		return 0;
	result = link_get(netlink, index, &link, err);
	return result < 0 ? result : add_interface(target, &link, err);
}

static int add_route(struct target *target, struct netlink *netlink, int family,
		     const void *address, struct error *err)
{
	int indexes[PATHS_MAX];
	unsigned count = 0;
	int result;

	if (!target_has_near_family(&target->params, family))
		return error_set(err, ENETUNREACH, "no local-address is of its family");
	result = target_route(target, netlink, family, address, indexes, PATHS_MAX, &count, err);

	for (unsigned i = 0; result == 0 && i < count; i++)
		result = add_index(target, netlink, indexes[i], err);
	return result;
}

/* Addresses that nobody has (RFC 5737, RFC 3849) show where the default routes lead. */
static int add_some_default_routes(struct target *target, struct netlink *netlink,
				   struct error *err)
{
	static const char somewhere[] = "192.0.2.1", somewhere6[] = "2001:db8::1";
	uint8_t address[16];
	int result, result6;

	inet_pton(AF_INET, somewhere, address);
	result = add_route(target, netlink, AF_INET, address, err);
	inet_pton(AF_INET6, somewhere6, address);
	result6 = add_route(target, netlink, AF_INET6, address, result < 0 ? NULL : err);
	if (result == -ENETUNREACH && result6 == -ENETUNREACH) {
		error_set(err, ENETUNREACH, "%s there is no default route%s",
			  params_count(&target->params, TRAFFIC_INTERFACE)
				  ? "interface: default-route:"
				  : "every address is selected, but",
			  params_count(&target->params, TRAFFIC_INTERFACE)
				  ? ""
				  : " that would tell the interface");
		return error_remedy(err, "name it: interface: eth0");
	}
	if (result < 0 && result != -ENETUNREACH)
		return result;
	return result6 == -ENETUNREACH ? 0 : result6;
}

static int add_default_routes(struct target *target, struct netlink *netlink, struct error *err)
{
	const unsigned before = target->interface_count;
	int result = add_some_default_routes(target, netlink, err);

	for (unsigned i = before; i < target->interface_count; i++)
		target->interfaces[i].is_default = true;
	return result;
}

static int add_endpoint(struct target *target, struct netlink *netlink,
			const struct endpoint *endpoint, struct error *err)
{
	char text[ENDPOINT_TEXT_SIZE];
	int result;

	if (endpoint->family == AF_UNSPEC || endpoint->prefix == 0)
		return add_default_routes(target, netlink, err);
	if (!target_has_near_family(&target->params, endpoint->family))
		return 0; /* another endpoint is of the right one */
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

struct adding {
	struct target *target;
	const struct target *now; /* what it has already; NULL: this is the first look */
	const char *pattern;	  /* NULL: every one that is up, but lo */
	bool is_found;
	int result;
	struct error *err;
};

static void add_matching(void *context, const struct link *link)
{
	struct adding *adding = context;
	/* who is taken down for a while is not let go */
	bool is_up =
		(link->flags & IFF_UP) || (adding->now && has_interface(adding->now, link->index));
	bool is_meant = adding->pattern ? fnmatch(adding->pattern, link->name, 0) == 0
					: is_up && !(link->flags & IFF_LOOPBACK);

	if (adding->result < 0 || is_ours(link) || !is_meant)
		return;
	if (adding->now && !is_plain_name(link->name))
		return; /* whoever comes with such a name keeps no other from being followed */
	if (adding->now && adding->target->interface_count >= TARGET_INTERFACES_SEEN &&
	    !has_interface(adding->now, link->index))
		return;
	adding->is_found = true;
	adding->result = add_interface(adding->target, link, adding->err);
}

static int add_all_matching(struct target *target, const struct target *now,
			    struct netlink *netlink, const char *pattern, struct error *err)
{
	struct adding adding = {.target = target, .now = now, .pattern = pattern, .err = err};
	int result = link_each(netlink, add_matching, &adding, err);

	if (result == 0)
		result = adding.result;
	if (result == 0 && !adding.is_found) {
		error_set(err, ENODEV, "no interface matches '%s'", pattern ? pattern : "all");
		return error_remedy(err, "`ip link` lists them");
	}
	return result;
}

static int add_one_named(struct target *target, struct netlink *netlink, const char *name,
			 struct error *err)
{
	struct link link;
	int result;

	if (strlen(name) > 15)
		return error_set(err, EINVAL, "interface '%s': a name has at most 15 characters",
				 name);
	result = link_find(netlink, name, &link, err);
	if (result == -ENODEV && target->namespace_name[0])
		error_set(err, ENODEV, "there is no interface '%s' in namespace %s", name,
			  target->namespace_name);
	if (result == -ENODEV)
		error_remedy(err, "`ip link` lists them; without `interface` the routes "
				  "decide");
	return result < 0 ? result : add_interface(target, &link, err);
}

/* A plain name that is not there is rather mistyped. */
static bool may_come(const char *name)
{
	return strcmp(name, "all") == 0 || strpbrk(name, "*?[");
}

static int add_named(struct target *target, const struct target *now, struct netlink *netlink,
		     struct error *err)
{
	unsigned count = params_count(&target->params, TRAFFIC_INTERFACE);
	int result = 0;

	for (unsigned i = 0; result == 0 && i < count; i++) {
		const char *name = params_value(&target->params, TRAFFIC_INTERFACE, i)->text;

		if (strcmp(name, "all") == 0)
			result = add_all_matching(target, now, netlink, NULL, err);
		else if (strcmp(name, "default-route") == 0)
			result = add_default_routes(target, netlink, err);
		else if (strpbrk(name, "*?["))
			result = add_all_matching(target, now, netlink, name, err);
		else
			result = add_one_named(target, netlink, name, err);
		/* what is not there may come later */
		if ((now || (target_follows(&target->params) && may_come(name))) &&
		    (result == -ENODEV || result == -ENETUNREACH))
			result = 0;
	}
	return result;
}

/* Too many to ask for each: every interface that a route leads to. One that carries nothing of the
 * target costs its packets a look at the sets, and nothing else. */
static int add_routed(struct target *target, struct netlink *netlink, struct error *err)
{
	int indexes[PATHS_MAX * 4];
	unsigned count = 0;
	int result = route_all_interfaces(netlink, indexes, sizeof(indexes) / sizeof(*indexes),
					  &count, err);

	for (unsigned i = 0; result == 0 && i < count; i++)
		result = add_index(target, netlink, indexes[i], err);
	if (result == 0 && count == 0)
		result = error_set(err, ENETUNREACH, "there is no route to any of the endpoints");
	return result;
}

/* Nothing is said of the far side: those that have the addresses, and those by which these reach
 * the world. What has another address than 127.0.0.1 on lo leaves by others. */
static int add_by_sources(struct target *target, struct netlink *netlink, struct error *err)
{
	bool leaves = false;
	int result = 0;

	for (unsigned i = 0; result == 0 && i < target->source_count; i++) {
		const struct target_source *source = &target->sources[i];

		if (source->index != ROUTE_LOOPBACK_INDEX || source->is_loopback)
			result = add_index(target, netlink, source->index, err);
		leaves |= !source->is_loopback && !source->is_link_local;
	}
	if (result == 0 && leaves) {
		result = add_default_routes(target, netlink, err);
		if (result == -ENETUNREACH && target->interface_count)
			result = 0;
	}
	if (result < 0 || target->source_count)
		return result;
	error_set(err, ENODEV, "no interface has an address that local-address selects");
	return error_remedy(err, "`ip address` lists them; for what is forwarded name the "
				 "interface: interface: eth0");
}

/* Where no route is no error the other endpoints still tell their interfaces: the site is asked
 * about them. */
static int unless_unreachable(const struct target *target, int result)
{
	return (result == -ENETUNREACH || result == -ENODEV) && target->may_lack_interfaces
		       ? 0
		       : result;
}

static int add_by_routes(struct target *target, struct netlink *netlink, struct error *err)
{
	unsigned endpoints = params_count(&target->params, TRAFFIC_TO);
	const struct endpoint everything = {.family = AF_UNSPEC};
	int result = 0;

	if (endpoints == 0 && params_count(&target->params, TRAFFIC_LOCAL_ADDRESS))
		return unless_unreachable(target, add_by_sources(target, netlink, err));
	if (endpoints == 0)
		return unless_unreachable(target, add_endpoint(target, netlink, &everything, err));
	if (endpoints > LOOKED_UP_MAX / (target->source_count ? target->source_count : 1))
		return unless_unreachable(target, add_routed(target, netlink, err));
	for (unsigned i = 0; result == 0 && i < endpoints; i++)
		result = unless_unreachable(
			target,
			add_endpoint(target, netlink,
				     &params_value(&target->params, TRAFFIC_TO, i)->endpoint, err));
	return result;
}

int target_find_interfaces(struct target *target, struct netlink *netlink, struct error *err)
{
	int result = target_find_sources(target, netlink, err);

	if (result < 0)
		return result;
	if (params_count(&target->params, TRAFFIC_INTERFACE))
		return add_named(target, NULL, netlink, err);
	return add_by_routes(target, netlink, err);
}

int target_find_interfaces_again(const struct target *target, struct netlink *netlink,
				 struct target_interface **out, unsigned *out_count,
				 bool *out_has_routes, struct error *err)
{
	struct target found = *target;
	int result;

	found.interfaces = NULL;
	found.interface_count = 0;
	found.sources = NULL;
	found.source_count = 0;
	*out_has_routes = true;
	result = target_find_sources(&found, netlink, err);
	if (result == 0 && params_count(&target->params, TRAFFIC_INTERFACE))
		result = add_named(&found, target, netlink, err);
	else if (result == 0)
		result = add_by_routes(&found, netlink, err);
	target_forget_sources(&found);
	/* those that were found before that are no less: others may be missing */
	if (!params_count(&target->params, TRAFFIC_INTERFACE) &&
	    (result == -ENETUNREACH || result == -ENODEV)) {
		*out_has_routes = false;
		result = 0;
	}
	if (result < 0) {
		free(found.interfaces);
		return result;
	}
	*out = found.interfaces;
	*out_count = found.interface_count;
	return 0;
}
