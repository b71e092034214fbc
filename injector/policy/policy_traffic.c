/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The rules about traffic: with which addresses, through which interfaces.
 */
#include "injector/policy/policy_ask.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* Do the first `bits` of two addresses agree? */
static bool has_prefix(const uint8_t *one, const uint8_t *other, unsigned bits)
{
	unsigned bytes = bits / 8, rest = bits % 8;

	return memcmp(one, other, bytes) == 0 &&
	       (!rest || !((one[bytes] ^ other[bytes]) >> (8 - rest)));
}

/* Is all of `inner` in the range? Ports of an allowed range: all of them, unless it names some. */
static bool contains(const struct endpoint *range, const struct endpoint *inner)
{
	bool has_ports = range->port_first || range->port_last;

	if (range->family != AF_UNSPEC &&
	    (inner->family != range->family || inner->prefix < range->prefix ||
	     !has_prefix(range->address, inner->address, range->prefix)))
		return false;
	return !has_ports || (inner->port_first >= range->port_first && inner->port_last &&
			      inner->port_last <= range->port_last);
}

/* Can a packet be in both? */
static bool overlaps(const struct endpoint *one, const struct endpoint *other)
{
	unsigned bits = one->prefix < other->prefix ? one->prefix : other->prefix;

	if (one->family != AF_UNSPEC && other->family != AF_UNSPEC &&
	    (one->family != other->family || !has_prefix(one->address, other->address, bits)))
		return false;
	if (!(one->port_first || one->port_last) || !(other->port_first || other->port_last))
		return true;
	return one->port_first <= other->port_last && other->port_first <= one->port_last;
}

static int check_endpoint(const struct policy *policy, const struct endpoint *endpoint,
			  struct error *err)
{
	const struct params *allow = policy_section(policy, POLICY_ALLOW);
	const struct params *protect = policy_section(policy, POLICY_PROTECT);
	unsigned allowed = params_count(allow, POLICY_ALLOW_NETWORKS);
	char text[ENDPOINT_TEXT_SIZE], what[ENDPOINT_TEXT_SIZE * 2 + 40];
	bool is_allowed = !allowed;

	endpoint_format(endpoint, text);
	for (unsigned i = 0; !is_allowed && i < allowed; i++)
		is_allowed = contains(&params_value(allow, POLICY_ALLOW_NETWORKS, i)->endpoint,
				      endpoint);
	if (!is_allowed) {
		snprintf(what, sizeof(what), "traffic with %s", text);
		return policy_refuse(policy, allow, POLICY_ALLOW_NETWORKS, err, what);
	}
	for (unsigned i = 0; i < params_count(protect, POLICY_PROTECT_ADDRESSES); i++) {
		const struct param_value *value =
			params_value(protect, POLICY_PROTECT_ADDRESSES, i);

		if (!overlaps(endpoint, &value->endpoint))
			continue;
		snprintf(what, sizeof(what), "traffic with %s includes %.80s, which is protected",
			 text, value->text);
		return policy_refuse(policy, protect, POLICY_PROTECT_ADDRESSES, err, what);
	}
	return 0;
}

/* None named: everything is meant. */
static int check_list(const struct policy *policy, const struct params *params, unsigned index,
		      struct error *err)
{
	static const struct endpoint everything = {.family = AF_UNSPEC};
	unsigned count = params_count(params, index);
	int result = 0;

	if (!count)
		return check_endpoint(policy, &everything, err);
	for (unsigned i = 0; result == 0 && i < count; i++)
		result = check_endpoint(policy, &params_value(params, index, i)->endpoint, err);
	return result;
}

/* One that is protected with ports is met where no port of this side is given, or one of those. */
static bool has_port_of(const struct params *target, const struct endpoint *protected)
{
	unsigned count = params_count(target, TRAFFIC_LOCAL_PORT);

	for (unsigned i = 0; protected->port_first && i < count; i++) {
		const struct param_value *ports = params_value(target, TRAFFIC_LOCAL_PORT, i);

		if (ports->ports.first <= protected->port_last &&
		    ports->ports.last >= protected->port_first)
			return true;
	}
	return !protected->port_first || !count;
}

/* Who names an address of this side means it, wherever its traffic goes. What is allowed is about
 * the far side, which is asked about as ever. */
static int check_local(const struct policy *policy, const struct params *target, struct error *err)
{
	const struct params *protect = policy_section(policy, POLICY_PROTECT);
	char text[ENDPOINT_TEXT_SIZE], what[ENDPOINT_TEXT_SIZE * 2 + 40];

	for (unsigned i = 0; i < params_count(target, TRAFFIC_LOCAL_ADDRESS); i++)
		for (unsigned k = 0; k < params_count(protect, POLICY_PROTECT_ADDRESSES); k++) {
			const struct endpoint *local =
				&params_value(target, TRAFFIC_LOCAL_ADDRESS, i)->endpoint;
			const struct param_value *value =
				params_value(protect, POLICY_PROTECT_ADDRESSES, k);

			if (value->endpoint.family == AF_UNSPEC || /* a port of the far side */
			    !overlaps(local, &value->endpoint) ||
			    !has_port_of(target, &value->endpoint))
				continue;
			snprintf(what, sizeof(what),
				 "traffic of local-address %s includes %.80s, which is protected",
				 endpoint_format(local, text), value->text);
			return policy_refuse(policy, protect, POLICY_PROTECT_ADDRESSES, err, what);
		}
	return 0;
}

int policy_check_endpoints(const struct policy *policy, const struct target *target,
			   struct error *err)
{
	int result = policy ? check_list(policy, &target->params, TRAFFIC_TO, err) : 0;

	return result < 0 || !policy ? result : check_local(policy, &target->params, err);
}

/* Whatever it is called: a fault that is added later cannot be forgotten here. */
int policy_check_values(const struct policy *policy, const struct params *params, struct error *err)
{
	int result = 0;

	for (unsigned i = 0; policy && result == 0 && params->table[i].name; i++) {
		const struct param *param = &params->table[i];

		if (!param_is_endpoint(param) || param->flags & PARAM_SPARED)
			continue;
		if (params_count(params, i) || !(param->flags & PARAM_NONE_ELSE))
			result = check_list(policy, params, i, err);
	}
	return result;
}

int policy_check_interface(const struct policy *policy, const char *name, struct error *err)
{
	const struct params *allow = policy ? policy_section(policy, POLICY_ALLOW) : NULL;
	char what[80];

	if (!allow || !params_count(allow, POLICY_ALLOW_INTERFACES) ||
	    policy_matches(allow, POLICY_ALLOW_INTERFACES, name))
		return 0;
	snprintf(what, sizeof(what), "interface %.40s", name);
	return policy_refuse(policy, allow, POLICY_ALLOW_INTERFACES, err, what);
}
