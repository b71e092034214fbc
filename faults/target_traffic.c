/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Traffic targets: which interfaces, in which network namespace, carry what goes to the endpoints.
 * Reads the kernel's routing, changes nothing.
 */
#include "faults/target_interfaces.h"

#include "faults/target_group.h"
#include "faults/target_follow.h"
#include "faults/target_namespace.h"
#include "faults/target_parts.h"
#include "injector/base/clock.h"
#include "injector/base/prose.h"
#include "injector/base/quantity.h"

#include "injector/kernel/namespace.h"

#include <netinet/in.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* In the order of their bits, the lowest one first (target_flags.c). */
static const char *const flags[] = {"fin",  "syn",  "rst",  "psh",  "ack",  "urg",
				    "ece",  "cwr",  "!fin", "!syn", "!rst", "!psh",
				    "!ack", "!urg", "!ece", "!cwr", NULL};
static const char *const shared[] = {"flows", "addresses", NULL};
static const char *const protocols[] = {"any", "tcp", "udp", "icmp", "icmpv6", "sctp", NULL};

const struct param traffic_params[] = {
	[TRAFFIC_TO] = {.name = "to",
			.type = PARAM_ENDPOINT,
			.flags = PARAM_LIST,
			.doc = "far side of the traffic; \"*\" or nothing: every address"},
	[TRAFFIC_TO_FILE] = {.name = "to-file",
			     .type = PARAM_TEXT,
			     .doc = "more of them from a file beside this one: an address or "
				    "network a line"},
	[TRAFFIC_LOCAL_PORT] = {.name = "local-port",
				.type = PARAM_PORTS,
				.flags = PARAM_LIST,
				.doc = "ports on this side (of a service that runs here)"},
	[TRAFFIC_LOCAL_ADDRESS] = {.name = "local-address",
				   .type = PARAM_NETWORK,
				   .flags = PARAM_LIST,
				   .doc = "addresses and networks on this side: the source of what "
					  "leaves, the destination of what arrives"},
	[TRAFFIC_PROTOCOL] = {.name = "protocol",
			      .type = PARAM_WORD,
			      .flags = PARAM_LIST,
			      .words = protocols,
			      .fallback = "any",
			      .doc = "which transport protocols; icmp is that of IPv6 as well"},
	[TRAFFIC_PROTOCOL_NUMBER] = {.name = "protocol-number",
				     .type = PARAM_INTEGER,
				     .flags = PARAM_LIST,
				     .min = 0,
				     .max = 255,
				     .doc = "others by their number: 47 (GRE), 50 (ESP), ..."},
	[TRAFFIC_TCP_FLAGS] = {.name = "tcp-flags",
			       .type = PARAM_WORD,
			       .flags = PARAM_LIST,
			       .words = flags,
			       .doc = "only TCP packets with one of these flags or more; where one "
				      "is not to be there (\"!ack\"), with all of the others"},
	[TRAFFIC_EXCEPT] = {.name = "except",
			    .type = PARAM_ENDPOINT,
			    .flags = PARAM_LIST,
			    .doc = "far side that is left out; \"*:PORT\" a port of everybody"},
	[TRAFFIC_EXCEPT_FILE] = {.name = "except-file",
				 .type = PARAM_TEXT,
				 .doc = "more of them from a file, an address or network a line"},
	[TRAFFIC_EXCEPT_LOCAL_PORT] = {.name = "except-local-port",
				       .type = PARAM_PORTS,
				       .flags = PARAM_LIST,
				       .doc = "ports on this side that are left out"},
	[TRAFFIC_EXCEPT_LOCAL_ADDRESS] = {.name = "except-local-address",
					  .type = PARAM_NETWORK,
					  .flags = PARAM_LIST,
					  .doc = "addresses and networks on this side that are "
						 "left out"},
	[TRAFFIC_SHARE] = {.name = "share",
			   .type = PARAM_SHARE,
			   .min = 1,
			   .max = SHARE_ONE,
			   .doc = "only this share of the flows, whole and in both directions"},
	[TRAFFIC_SHARE_OF] = {.name = "share-of",
			      .type = PARAM_WORD,
			      .words = shared,
			      .fallback = "flows",
			      .doc = "what share draws: flows, or addresses of the far side, each "
				     "with all that comes and goes"},
	[TRAFFIC_VLAN] = {.name = "vlan",
			  .type = PARAM_INTEGER,
			  .min = 1,
			  .max = 4094,
			  .doc = "only frames with this VLAN tag (on the interface below)"},
	[TRAFFIC_NEIGHBOURS] = {.name = "neighbours",
				.type = PARAM_BOOL,
				.fallback = "false",
				.doc = "with every address: ARP and neighbour discovery, too"},
	[TRAFFIC_ALLOW_LOCKOUT] = {.name = "allow-lockout",
				   .type = PARAM_BOOL,
				   .fallback = "false",
				   .doc = "also the SSH connection that squall is started from"},
	[TRAFFIC_INTERFACE] =
		{.name = "interface",
		 .type = PARAM_TEXT,
		 .flags = PARAM_LIST,
		 .doc = "names, patterns (\"veth*\"), default-route, or all; default: "
			"those that route to the endpoints"},
	[TRAFFIC_NAMESPACE] = {.name = "namespace",
			       .type = PARAM_NAME,
			       .flags = PARAM_LIST,
			       .doc = "network namespaces: NAME (ip netns), pid:N or target:NAME; "
				      "default: those of whose traffic it is, else squall's own"},
	[TRAFFIC_CGROUP] = {.name = "cgroup",
			    .type = PARAM_PATH,
			    .flags = PARAM_LIST,
			    .doc = "only of this control group (v2), itself and all below"},
	[TRAFFIC_UNIT] = {.name = "unit",
			  .type = PARAM_NAME,
			  .flags = PARAM_LIST | PARAM_GLOB,
			  .doc = "only of this systemd unit; without a suffix a service"},
	[TRAFFIC_CONTAINER] = {.name = "container",
			       .type = PARAM_NAME,
			       .flags = PARAM_LIST | PARAM_GLOB,
			       .doc = "only of this container (docker, podman, containerd, CRI-O), "
				      "by name, POD/NAME, or at least 12 digits of its number"},
	[TRAFFIC_CONTAINER_COUNT] =
		{.name = "container-count",
		 .type = PARAM_INTEGER,
		 .min = 1,
		 .max = TARGET_CONTAINERS_MAX,
		 .doc = "at most so many of these containers, chosen at random"},
	[TRAFFIC_OF] = {.name = "of",
			.type = PARAM_NAME,
			.doc = "only of a process target of this experiment"},
	[TRAFFIC_FOLLOW] = {.name = "follow",
			    .type = PARAM_BOOL,
			    .fallback = "false",
			    .doc = "host names are looked up again while the fault lasts, and it "
				   "moves with them; interfaces that a pattern, all or routes "
				   "select then as well, and a unit, control group or container "
				   "that was restarted"},
	[TRAFFIC_FOLLOW_EVERY] = {.name = "follow-every",
				  .type = PARAM_DURATION,
				  .min = NSEC_PER_SEC,
				  .max = 3600 * NSEC_PER_SEC,
				  .fallback = "5s",
				  .doc = "how often names are looked up"},
	{.name = NULL},
};

static int open_namespace(struct target *target, const struct target_guard *guard,
			  struct error *err)
{
	static const struct target_namespace_kind kind = {"network", namespace_open_pid,
							  namespace_identify};
	const char *name = params_text(&target->params, TRAFFIC_NAMESPACE);
	struct namespace_id own = {0}, wanted = {0};
	int result;

	if (!name)
		return 0;
	snprintf(target->namespace_name, sizeof(target->namespace_name), "%s", name);
	if (target_namespace_is_of_process(name))
		result = target_namespace_open(&kind, name, guard, &target->namespace_fd, err);
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

/* Numbers of the words above; `icmp` is one for each family. */
unsigned target_protocols(const struct params *params, uint8_t out[TRAFFIC_PROTOCOLS_MAX])
{
	static const uint8_t numbers[] = {
		0, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_SCTP};
	unsigned count = 0;
	bool has_number[256] = {false};

	if (params_count(params, TRAFFIC_TCP_FLAGS)) {
		out[0] = IPPROTO_TCP;
		return 1;
	}
	for (unsigned i = 0; i < params_count(params, TRAFFIC_PROTOCOL); i++) {
		int64_t word = params_value(params, TRAFFIC_PROTOCOL, i)->number;

		if (word == 0)
			return 0; /* any */
		has_number[numbers[word]] = true;
		if (numbers[word] == IPPROTO_ICMP)
			has_number[IPPROTO_ICMPV6] = true;
	}
	for (unsigned i = 0; i < params_count(params, TRAFFIC_PROTOCOL_NUMBER); i++)
		has_number[params_value(params, TRAFFIC_PROTOCOL_NUMBER, i)->number] = true;
	for (unsigned i = 0; i < 256; i++)
		if (has_number[i])
			out[count++] = (uint8_t)i;
	return count;
}

/* Of nearly all clouds and of Alibaba; of Amazon and of Google. */
static const uint8_t metadata4[][16] = {{169, 254, 169, 254}, {100, 100, 100, 200}};
static const uint8_t metadata6[][16] = {
	{0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54},
	{0xfd, 0x20, 0x00, 0xce, [14] = 0x02, [15] = 0x54},
};

const uint8_t *target_metadata_address(int family, unsigned at)
{
	if (at >= sizeof(metadata4) / sizeof(*metadata4))
		return NULL;
	return family == AF_INET ? metadata4[at] : metadata6[at];
}
_Static_assert(sizeof(metadata4) == sizeof(metadata6), "as many of either family");

bool target_is_metadata(int family, const uint8_t *address)
{
	const uint8_t *known;

	for (unsigned i = 0; (known = target_metadata_address(family, i)); i++)
		if (memcmp(address, known, family == AF_INET ? 4 : 16) == 0)
			return true;
	return false;
}

bool target_spares_metadata(const struct params *params)
{
	for (unsigned i = 0; i < params_count(params, TRAFFIC_TO); i++) {
		const struct endpoint *endpoint = &params_value(params, TRAFFIC_TO, i)->endpoint;

		if (endpoint->family != AF_UNSPEC &&
		    endpoint->prefix == (endpoint->family == AF_INET ? 32 : 128) &&
		    target_is_metadata(endpoint->family, endpoint->address))
			return false;
	}
	return true;
}

bool target_shares_addresses(const struct params *params)
{
	return params_number(params, TRAFFIC_SHARE_OF, 0) == 1;
}

void target_explain_share(const struct params *params, char *out, size_t size)
{
	struct prose prose;

	prose_begin(&prose, out, size);
	if (params_is_set(params, TRAFFIC_SHARE))
		prose_say(&prose,
			  "Of the %s %s meet it, the same ones from beginning to end; the others "
			  "notice nothing. ",
			  target_shares_addresses(params) ? "far addresses" : "connections",
			  params_text(params, TRAFFIC_SHARE));
}

int target_check_companions(const struct params *params, unsigned *out_key, struct error *err)
{
	if (params_is_set(params, TRAFFIC_SHARE_OF) && !params_is_set(params, TRAFFIC_SHARE)) {
		*out_key = TRAFFIC_SHARE_OF;
		return error_set(err, EINVAL,
				 "`share-of` says what `share` draws, but there is no `share`");
	}
	if (params_is_set(params, TRAFFIC_FOLLOW_EVERY) && !target_follows(params)) {
		*out_key = TRAFFIC_FOLLOW_EVERY;
		error_set(err, EINVAL,
			  "`follow-every` says how often `follow` looks, but nothing is followed");
		return error_remedy(err, "add follow: true");
	}
	return 0;
}

static int check_selector(const struct target *target, struct error *err)
{
	static const unsigned lists[] = {TRAFFIC_TO, TRAFFIC_EXCEPT};
	const struct params *params = &target->params;
	const struct param_value *blamed;

	for (unsigned l = 0; l < sizeof(lists) / sizeof(*lists); l++)
		for (unsigned i = 0; i < params_count(params, lists[l]); i++) {
			const struct param_value *value = params_value(params, lists[l], i);

			if (value->endpoint.is_name)
				return error_set(err, EINVAL, "host name '%s' was not resolved",
						 value->text);
		}
	return target_check_selector(params, &blamed, err);
}

int target_traffic_resolve(struct target *target, const struct target_guard *guard,
			   struct error *err)
{
	unsigned key;
	struct netlink *netlink = NULL;
	int result = target_follow_begin(target, err);

	if (result == 0)
		result = target_check_tcp_flags(&target->params, NULL, err);
	if (result == 0)
		result = target_check_companions(&target->params, &key, err);
	if (result == 0)
		result = check_selector(target, err);
	if (result == 0)
		result = target_group_resolve(target, guard, err);
	if (result == 0)
		result = open_namespace(target, guard, err);
	if (result == 0)
		result = target_check_part(target, err);
	if (result == 0)
		result = netlink_open(target->namespace_fd, &netlink, err);
	if (result < 0)
		return result;
	result = target_find_interfaces(target, netlink, err);
	netlink_close(netlink);
	return result < 0 ? result : target_follow_interfaces_begin(target, err);
}
