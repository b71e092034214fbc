/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Traffic targets that select nothing, whatever the machine: what excludes what, told before
 * anything is looked at. Host names need not be looked up yet.
 */
#include "faults/target.h"

#include "faults/target_follow.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

#define COMPARED_MAX 1000000 /* pairs of what is meant and what is left out */

bool target_protocol_has_ports(uint8_t number)
{
	return number == IPPROTO_TCP || number == IPPROTO_UDP || number == IPPROTO_DCCP ||
	       number == IPPROTO_SCTP || number == IPPROTO_UDPLITE;
}

/* Only those that have no ports: tcp beside them would have some. */
static bool has_no_ports(const struct params *params)
{
	uint8_t numbers[TRAFFIC_PROTOCOLS_MAX];
	unsigned count = target_protocols(params, numbers);

	for (unsigned i = 0; i < count; i++)
		if (target_protocol_has_ports(numbers[i]))
			return false;
	return count > 0;
}

static int blame_port(const struct params *params, unsigned key, unsigned at,
		      const struct param_value **out_blamed, struct error *err)
{
	const unsigned list =
		params_count(params, TRAFFIC_PROTOCOL) ? TRAFFIC_PROTOCOL : TRAFFIC_PROTOCOL_NUMBER;

	*out_blamed = params_value(params, key, at);
	error_set(err, EINVAL, "%s: %s selects by a port, and %s %s has none",
		  traffic_params[key].name, (*out_blamed)->text, traffic_params[list].name,
		  params_value(params, list, 0)->text);
	return error_remedy(err, "leave the port out, or name a protocol that has ports: tcp, udp, "
				 "sctp");
}

static int check_ports(const struct params *params, const struct param_value **out_blamed,
		       struct error *err)
{
	static const unsigned ports[] = {TRAFFIC_LOCAL_PORT, TRAFFIC_EXCEPT_LOCAL_PORT};

	if (!has_no_ports(params))
		return 0;
	for (unsigned i = 0; i < sizeof(ports) / sizeof(*ports); i++)
		if (params_count(params, ports[i]))
			return blame_port(params, ports[i], 0, out_blamed, err);
	for (unsigned i = 0; i < params_count(params, TRAFFIC_TO); i++)
		if (params_value(params, TRAFFIC_TO, i)->endpoint.port_first)
			return blame_port(params, TRAFFIC_TO, i, out_blamed, err);
	return 0;
}

/* [0] IPv4, [1] IPv6; none given: both. A name may have addresses of either. */
static void families_of(const struct params *params, unsigned list, bool out[2])
{
	out[0] = out[1] = params_count(params, list) == 0;
	for (unsigned i = 0; i < params_count(params, list); i++) {
		int family = params_value(params, list, i)->endpoint.family;

		out[0] |= family != AF_INET6;
		out[1] |= family != AF_INET;
	}
}

static int check_families(const struct params *params, const struct param_value **out_blamed,
			  struct error *err)
{
	uint8_t numbers[TRAFFIC_PROTOCOLS_MAX];
	bool near[2], far[2];

	families_of(params, TRAFFIC_LOCAL_ADDRESS, near);
	families_of(params, TRAFFIC_TO, far);
	if (!(near[0] && far[0]) && !(near[1] && far[1])) {
		*out_blamed = params_value(params, TRAFFIC_LOCAL_ADDRESS, 0);
		error_set(err, EINVAL,
			  "local-address: nothing matches: it has addresses of IPv%c alone, `to` "
			  "of IPv%c",
			  near[0] ? '4' : '6', far[0] ? '4' : '6');
		return error_remedy(err, "give both sides addresses of one family");
	}
	if (target_protocols(params, numbers) != 1 || numbers[0] != IPPROTO_ICMPV6 ||
	    (near[1] && far[1]))
		return 0;
	*out_blamed = params_value(params,
				   params_count(params, TRAFFIC_PROTOCOL) ? TRAFFIC_PROTOCOL
									  : TRAFFIC_PROTOCOL_NUMBER,
				   0);
	error_set(err, EINVAL, "nothing matches: icmpv6 is of IPv6, and the addresses are of IPv4");
	return error_remedy(err, "write icmp, which is that of both");
}

/* Every address of one is in the other. */
static bool has_addresses(const struct param_value *outer, const struct param_value *inner)
{
	const struct endpoint *a = &outer->endpoint, *b = &inner->endpoint;
	unsigned bytes = a->prefix / 8, bits = a->prefix % 8;

	if (a->is_name || b->is_name)
		return a->is_name && b->is_name &&
		       strcasecmp(outer->text, inner->text) == 0; /* ports and all */
	if (a->family == AF_UNSPEC)
		return true;
	return a->family == b->family && a->prefix <= b->prefix &&
	       memcmp(a->address, b->address, bytes) == 0 &&
	       (bits == 0 || ((a->address[bytes] ^ b->address[bytes]) >> (8 - bits)) == 0);
}

/* PARAM_ENDPOINT and PARAM_NETWORK */
static bool has_endpoint(const struct param_value *outer, const struct param_value *inner)
{
	const struct endpoint *a = &outer->endpoint, *b = &inner->endpoint;

	return has_addresses(outer, inner) &&
	       (!a->port_first || (b->port_first >= a->port_first && b->port_last <= a->port_last));
}

static bool has_ports(const struct param_value *outer, const struct param_value *inner)
{
	return outer->ports.first <= inner->ports.first && outer->ports.last >= inner->ports.last;
}

/* Everything in one list is in something of the other; if it is in two parts of two, that is not
 * seen. */
static bool is_covered(const struct params *params, unsigned inner, unsigned outer,
		       bool (*has)(const struct param_value *, const struct param_value *))
{
	const unsigned count = params_count(params, inner), covers = params_count(params, outer);

	if (!count || !covers || (uint64_t)count * covers > COMPARED_MAX)
		return false;
	for (unsigned i = 0; i < count; i++) {
		unsigned k = 0;

		while (k < covers &&
		       !has(params_value(params, outer, k), params_value(params, inner, i)))
			k++;
		if (k == covers)
			return false;
	}
	return true;
}

/* 0.0.0.0/0 and ::/0 */
static bool leaves_no_address(const struct params *params, unsigned list)
{
	bool has[2] = {false};

	for (unsigned i = 0; i < params_count(params, list); i++) {
		const struct endpoint *one = &params_value(params, list, i)->endpoint;

		if (one->family != AF_UNSPEC && one->prefix == 0 && !one->port_first)
			has[one->family == AF_INET6] = true;
	}
	return has[0] && has[1] && !params_number(params, TRAFFIC_NEIGHBOURS, 0);
}

static int check_exceptions(const struct params *params, const struct param_value **out_blamed,
			    struct error *err)
{
	static const struct {
		unsigned meant, spared;
		bool (*has)(const struct param_value *, const struct param_value *);
	} pairs[] = {
		{TRAFFIC_TO, TRAFFIC_EXCEPT, has_endpoint},
		{TRAFFIC_LOCAL_ADDRESS, TRAFFIC_EXCEPT_LOCAL_ADDRESS, has_endpoint},
		{TRAFFIC_LOCAL_PORT, TRAFFIC_EXCEPT_LOCAL_PORT, has_ports},
	};

	for (unsigned i = 0; i < params_count(params, TRAFFIC_EXCEPT); i++) {
		const struct param_value *value = params_value(params, TRAFFIC_EXCEPT, i);

		if (value->endpoint.family != AF_UNSPEC || value->endpoint.is_name ||
		    value->endpoint.port_first)
			continue;
		*out_blamed = value;
		error_set(err, EINVAL, "except: '*' leaves out everything");
		return error_remedy(err, "give a port of everybody (\"*:22\"), an address or a "
					 "network");
	}
	for (unsigned i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		const bool has_far = pairs[i].has == has_endpoint;

		/* names that are followed may come to have other addresses */
		if (!is_covered(params, pairs[i].meant, pairs[i].spared, pairs[i].has) &&
		    !(has_far && leaves_no_address(params, pairs[i].spared)))
			continue;
		if (target_follows(params))
			continue;
		*out_blamed = params_value(params, pairs[i].spared, 0);
		error_set(err, EINVAL, "%s: nothing is left of what `%s` selects",
			  traffic_params[pairs[i].spared].name,
			  traffic_params[pairs[i].meant].name);
		return error_remedy(err, "leave out less than is selected");
	}
	return 0;
}

/* By which packets are told from those of others; all of them are said once. */
static int check_owner(const struct params *params, const struct param_value **out_blamed,
		       struct error *err)
{
	static const unsigned ways[] = {TRAFFIC_CGROUP, TRAFFIC_UNIT, TRAFFIC_CONTAINER,
					TRAFFIC_OF};

	if (!params_number(params, TRAFFIC_NEIGHBOURS, 0))
		return 0;
	for (unsigned i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		if (!params_is_set(params, ways[i]))
			continue;
		*out_blamed = params_value(params, TRAFFIC_NEIGHBOURS, 0);
		error_set(err, EINVAL,
			  "neighbours: ARP and neighbour discovery are the kernel's own, not of "
			  "any %s",
			  traffic_params[ways[i]].name);
		return error_remedy(err, "leave one of them out");
	}
	return 0;
}

static int check_count(const struct params *params, const struct param_value **out_blamed,
		       struct error *err)
{
	if (!params_is_set(params, TRAFFIC_CONTAINER_COUNT) ||
	    params_is_set(params, TRAFFIC_CONTAINER))
		return 0;
	*out_blamed = params_value(params, TRAFFIC_CONTAINER_COUNT, 0);
	error_set(err, EINVAL, "container-count: there is no container to choose among");
	return error_remedy(err, "name them: container: \"web-*\"");
}

int target_check_selector(const struct params *params, const struct param_value **out_blamed,
			  struct error *err)
{
	int result = check_ports(params, out_blamed, err);

	if (result == 0)
		result = check_families(params, out_blamed, err);
	if (result == 0)
		result = check_exceptions(params, out_blamed, err);
	if (result == 0)
		result = check_count(params, out_blamed, err);
	return result < 0 ? result : check_owner(params, out_blamed, err);
}
