/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/kernel/route.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

struct finding {
	int *indexes;
	unsigned capacity, count;
	uint8_t type;
};

static void add(struct finding *finding, int index)
{
	for (unsigned i = 0; i < finding->count; i++)
		if (finding->indexes[i] == index)
			return;
	if (index > 0 && finding->count < finding->capacity)
		finding->indexes[finding->count++] = index;
}

static void add_next_hops(struct finding *finding, const struct nlattr *multipath)
{
	const char *at = netlink_data(multipath, 0);
	size_t left = netlink_size(multipath);

	while (at && left >= sizeof(struct rtnexthop)) {
		const struct rtnexthop *hop = (const void *)at;
		size_t step = RTNH_ALIGN(hop->rtnh_len);

		if (hop->rtnh_len < sizeof(*hop) || hop->rtnh_len > left)
			return;
		add(finding, hop->rtnh_ifindex);
		if (step >= left)
			return;
		at += step;
		left -= step;
	}
}

static void take(void *context, const struct nlmsghdr *reply)
{
	const struct nlattr *table[RTA_MAX + 1];
	const struct rtmsg *header = NLMSG_DATA(reply);
	struct finding *finding = context;

	if (reply->nlmsg_type != RTM_NEWROUTE || reply->nlmsg_len < NLMSG_LENGTH(sizeof(*header)))
		return;
	netlink_attributes(reply, sizeof(*header), table, RTA_MAX);
	finding->type = header->rtm_type;
	if (header->rtm_type == RTN_LOCAL)
		add(finding, ROUTE_LOOPBACK_INDEX);
	else if (table[RTA_MULTIPATH])
		add_next_hops(finding, table[RTA_MULTIPATH]);
	else
		add(finding, (int)netlink_u32(table[RTA_OIF], 0));
}

int route_interfaces(struct netlink *netlink, int family, const void *address, int *out_indexes,
		     unsigned capacity, unsigned *out_count, struct error *err)
{
	return route_interfaces_from(netlink, family, NULL, address, out_indexes, capacity,
				     out_count, err);
}

int route_interfaces_from(struct netlink *netlink, int family, const void *source,
			  const void *address, int *out_indexes, unsigned capacity,
			  unsigned *out_count, struct error *err)
{
	size_t size = family == AF_INET ? 4 : 16;
	/* The matched table entry, not one flow's choice from it: shows all paths of a multipath
	 * route (RTM_F_FIB_MATCH, since 4.13) */
	struct rtmsg header = {.rtm_family = (unsigned char)family,
			       .rtm_dst_len = (unsigned char)(size * 8),
			       .rtm_src_len = (unsigned char)(source ? size * 8 : 0),
			       .rtm_flags = RTM_F_FIB_MATCH};
	struct finding finding = {.indexes = out_indexes, .capacity = capacity};
	struct netlink_request request;
	int result;

	netlink_begin(&request, RTM_GETROUTE, 0, &header, sizeof(header));
	netlink_put(&request, RTA_DST, address, size);
	if (source)
		netlink_put(&request, RTA_SRC, source, size);
	result = netlink_call(netlink, &request, take, &finding, err);
	if (result == -EHOSTUNREACH || result == -EACCES || result == -EINVAL)
		result = -ENETUNREACH; /* an unreachable, prohibit or blackhole route */
	if (result == 0 && finding.count == 0)
		result = -ENETUNREACH;
	if (result == -ENETUNREACH)
		return error_set(err, ENETUNREACH, "there is no route to it");
	if (result == 0)
		*out_count = finding.count;
	return result;
}

/* Not the table of local addresses, where every address of this host leads to lo. */
static void take_unicast(void *context, const struct nlmsghdr *reply)
{
	const struct rtmsg *header = NLMSG_DATA(reply);

	if (reply->nlmsg_len >= NLMSG_LENGTH(sizeof(*header)) && header->rtm_type == RTN_UNICAST)
		take(context, reply);
}

int route_all_interfaces(struct netlink *netlink, int *out_indexes, unsigned capacity,
			 unsigned *out_count, struct error *err)
{
	struct rtmsg header = {.rtm_family = AF_UNSPEC, .rtm_table = RT_TABLE_UNSPEC};
	struct finding finding = {.indexes = out_indexes, .capacity = capacity};
	struct netlink_request request;
	int result;

	netlink_begin(&request, RTM_GETROUTE, NLM_F_DUMP, &header, sizeof(header));
	result = netlink_call(netlink, &request, take_unicast, &finding, err);
	if (result < 0)
		error_prefix(err, "cannot list the routes");
	else
		*out_count = finding.count;
	return result;
}
