/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Traffic of some addresses of this side: which of them this machine has, and by which interfaces
 * these reach the others, as rules of the routing may choose by the source. Reads addresses and
 * routes, changes nothing.
 */
#include "faults/target_interfaces.h"

#include "injector/kernel/address.h"
#include "injector/kernel/route.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

static bool is_within(const struct address *address, const struct endpoint *network)
{
	unsigned bytes = network->prefix / 8, bits = network->prefix % 8;

	return address->family == network->family &&
	       memcmp(address->bytes, network->address, bytes) == 0 &&
	       (bits == 0 ||
		((address->bytes[bytes] ^ network->address[bytes]) >> (8 - bits)) == 0);
}

static bool is_loopback(int family, const uint8_t *address)
{
	return family == AF_INET
		       ? address[0] == 127
		       : memcmp(address, &in6addr_loopback, sizeof(in6addr_loopback)) == 0;
}

/* Who means every address does not mean those that never leave: 0.0.0.0/0 is without 127.0.0.1. */
static bool is_selected(const struct params *params, unsigned list, const struct address *address)
{
	const bool stays = is_loopback(address->family, address->bytes);

	for (unsigned i = 0; i < params_count(params, list); i++) {
		const struct endpoint *network = &params_value(params, list, i)->endpoint;

		if (is_within(address, network) &&
		    (!stays || is_loopback(network->family, network->address)))
			return true;
	}
	return false;
}

struct search {
	struct target *target;
	int result;
};

static void add_source(void *context, const struct address *address)
{
	struct search *search = context;
	struct target *target = search->target;
	struct target_source *grown;

	if (search->result < 0 || !is_selected(&target->params, TRAFFIC_LOCAL_ADDRESS, address) ||
	    is_selected(&target->params, TRAFFIC_EXCEPT_LOCAL_ADDRESS, address))
		return;
	grown = reallocarray(target->sources, target->source_count + 1, sizeof(*grown));
	if (!grown) {
		search->result = -ENOMEM;
		return;
	}
	target->sources = grown;
	grown += target->source_count++;
	*grown = (struct target_source){
		.index = address->index,
		.family = address->family,
		.is_loopback = is_loopback(address->family, address->bytes),
		.is_link_local = address->family == AF_INET6 && address->bytes[0] == 0xfe &&
				 (address->bytes[1] & 0xc0) == 0x80,
	};
	memcpy(grown->address, address->bytes, sizeof(grown->address));
}

int target_find_sources(struct target *target, struct netlink *netlink, struct error *err)
{
	struct search search = {.target = target};
	int result;

	target_forget_sources(target);
	if (!params_count(&target->params, TRAFFIC_LOCAL_ADDRESS))
		return 0;
	result = address_each(netlink, add_source, &search, err);
	if (result == 0 && search.result < 0)
		result = error_errno(err, -search.result, "addresses of this side");
	return result;
}

void target_forget_sources(struct target *target)
{
	free(target->sources);
	target->sources = NULL;
	target->source_count = 0;
}

bool target_has_near_family(const struct params *params, int family)
{
	unsigned count = params_count(params, TRAFFIC_LOCAL_ADDRESS);

	for (unsigned i = 0; i < count; i++)
		if (params_value(params, TRAFFIC_LOCAL_ADDRESS, i)->endpoint.family == family)
			return true;
	return count == 0;
}

/* Those of list[first..first + more) that are not before it go behind it. */
static unsigned join(int *list, unsigned first, unsigned more)
{
	unsigned count = first;

	for (unsigned i = first; i < first + more; i++) {
		unsigned k = 0;

		while (k < count && list[k] != list[i])
			k++;
		if (k == count)
			list[count++] = list[i];
	}
	return count;
}

int target_route(const struct target *target, struct netlink *netlink, int family,
		 const void *address, int *out_indexes, unsigned capacity, unsigned *out_count,
		 struct error *err)
{
	const bool never_leaves = is_loopback(family, address);
	int result = -ENETUNREACH;
	unsigned count = 0;
	bool is_asked = false;

	for (unsigned i = 0; i < target->source_count; i++) {
		const struct target_source *source = &target->sources[i];
		unsigned more = 0;
		int one;

		if (source->family != family || (source->is_loopback && !never_leaves))
			continue;
		is_asked = true;
		one = route_interfaces_from(netlink, family, source->address, address,
					    out_indexes + count, capacity - count, &more,
					    result == 0 ? NULL : err);
		if (one < 0 && one != -ENETUNREACH)
			return one;
		count = join(out_indexes, count, more);
		result = result == 0 ? 0 : one; /* one way is enough */
	}
	if (!is_asked) /* none of them is here: what is forwarded */
		return route_interfaces(netlink, family, address, out_indexes, capacity, out_count,
					err);
	*out_count = count;
	return result;
}
