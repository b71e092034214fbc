/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What of a target cannot be with what the network fault shall do: told before anything is looked
 * at.
 */
#include "faults/network.h"

#include <errno.h>
#include <netinet/in.h>

static bool has_tcp(const struct params *target)
{
	uint8_t numbers[TRAFFIC_PROTOCOLS_MAX];
	unsigned count = target_protocols(target, numbers);

	for (unsigned i = 0; i < count; i++)
		if (numbers[i] == IPPROTO_TCP)
			return true;
	return count == 0;
}

static const struct param_value *first_protocol(const struct params *target)
{
	return params_value(target,
			    params_count(target, TRAFFIC_PROTOCOL) ? TRAFFIC_PROTOCOL
								   : TRAFFIC_PROTOCOL_NUMBER,
			    0);
}

/* It is about connections that exist: what of packets alone can be told, it does not know. */
static int check_reset(const struct params *target, const struct param_value **out_blamed,
		       struct error *err)
{
	static const struct {
		unsigned key;
		const char *why;
	} unknown[] = {
		{TRAFFIC_VLAN, "vlan is a tag of packets, and reset-connections ends connections, "
			       "of which it is not known"},
		{TRAFFIC_TCP_FLAGS,
		 "tcp-flags selects packets, and reset-connections ends whole connections"},
	};

	if (!has_tcp(target)) {
		*out_blamed = first_protocol(target);
		error_set(err, EINVAL,
			  "reset-connections: only tcp has connections, and the target selects %s",
			  (*out_blamed)->text);
		return error_remedy(err, "leave protocol out, or name tcp");
	}
	for (unsigned i = 0; i < sizeof(unknown) / sizeof(*unknown); i++) {
		if (!params_is_set(target, unknown[i].key))
			continue;
		*out_blamed = params_value(target, unknown[i].key, 0);
		error_set(err, EINVAL, "%s", unknown[i].why);
		return error_remedy(err, "leave one of them out, or write partition: reset, which "
					 "ends those that send something");
	}
	return 0;
}

/* A group's packets leave by the interface of the VLAN, where they have no tag yet. A container may
 * have a network of its own. */
static int check_vlan(const struct params *target, const struct param_value **out_blamed,
		      struct error *err)
{
	static const unsigned ways[] = {TRAFFIC_CGROUP, TRAFFIC_UNIT, TRAFFIC_OF};

	for (unsigned i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		if (!params_is_set(target, ways[i]))
			continue;
		*out_blamed = params_value(target, TRAFFIC_VLAN, 0);
		error_set(err, EINVAL,
			  "vlan: packets of a %s leave by the interface of the VLAN, without a tag",
			  traffic_params[ways[i]].name);
		return error_remedy(err, "name that interface, without vlan: interface: eth0.5");
	}
	return 0;
}

int network_check_target(const struct params *params, const struct params *target,
			 const struct param_value **out_blamed, struct error *err)
{
	int result = 0;

	if (params_number(params, NETWORK_RESET_CONNECTIONS, 0))
		result = check_reset(target, out_blamed, err);
	if (result == 0 && params_is_set(target, TRAFFIC_VLAN))
		result = check_vlan(target, out_blamed, err);
	if (result < 0 || !params_is_set(params, NETWORK_SEGMENT) || has_tcp(target))
		return result;
	*out_blamed = first_protocol(target);
	error_set(err, EINVAL, "segment cuts what TCP sends, and the target selects %s",
		  (*out_blamed)->text);
	return error_remedy(err, "leave protocol out, or name tcp");
}
