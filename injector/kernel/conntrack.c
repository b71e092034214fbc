/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * SO_ORIGINAL_DST would do for TCP alone, and in the usual zone alone (getorigdst() in
 * nf_conntrack_proto.c).
 */
#include "injector/kernel/conntrack.h"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

static void put_address(struct netlink_request *request, const struct sockaddr_storage *address,
			bool is_source)
{
	if (address->ss_family == AF_INET)
		netlink_put(request, is_source ? CTA_IP_V4_SRC : CTA_IP_V4_DST,
			    &((const struct sockaddr_in *)address)->sin_addr, 4);
	else
		netlink_put(request, is_source ? CTA_IP_V6_SRC : CTA_IP_V6_DST,
			    &((const struct sockaddr_in6 *)address)->sin6_addr, 16);
}

static in_port_t port_of(const struct sockaddr_storage *address)
{
	/* at the same place in both families */
	return ((const struct sockaddr_in *)address)->sin_port;
}

static void put_port(struct netlink_request *request, uint16_t type, in_port_t port)
{
	netlink_put(request, type, &port, sizeof(port));
}

/* Our answer is the reply of the flow: it goes from us to the sender. */
static void put_reply(struct netlink_request *request, const struct conntrack_flow *flow)
{
	uint16_t zone = htons(flow->zone);

	netlink_nest(request, CTA_TUPLE_REPLY | NLA_F_NESTED);
	netlink_nest(request, CTA_TUPLE_IP | NLA_F_NESTED);
	put_address(request, &flow->local, true);
	put_address(request, &flow->remote, false);
	netlink_unnest(request);
	netlink_nest(request, CTA_TUPLE_PROTO | NLA_F_NESTED);
	netlink_put(request, CTA_PROTO_NUM, &flow->protocol, sizeof(flow->protocol));
	put_port(request, CTA_PROTO_SRC_PORT, port_of(&flow->local));
	put_port(request, CTA_PROTO_DST_PORT, port_of(&flow->remote));
	netlink_unnest(request);
	netlink_unnest(request);
	if (flow->zone)
		netlink_put(request, CTA_ZONE, &zone, sizeof(zone));
}

static void take(void *context, const struct nlmsghdr *reply)
{
	const struct nlattr *entry[CTA_MAX + 1], *tuple[CTA_TUPLE_MAX + 1], *ip[CTA_IP_MAX + 1],
		*protocol[CTA_PROTO_MAX + 1];
	struct sockaddr_storage *out = context;
	const void *v4, *v6, *port;

	if (reply->nlmsg_type != (NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW))
		return;
	netlink_attributes(reply, sizeof(struct nfgenmsg), entry, CTA_MAX);
	netlink_nested(entry[CTA_TUPLE_ORIG], tuple, CTA_TUPLE_MAX);
	netlink_nested(tuple[CTA_TUPLE_IP], ip, CTA_IP_MAX);
	netlink_nested(tuple[CTA_TUPLE_PROTO], protocol, CTA_PROTO_MAX);
	v4 = netlink_data(ip[CTA_IP_V4_DST], 4);
	v6 = netlink_data(ip[CTA_IP_V6_DST], 16);
	port = netlink_data(protocol[CTA_PROTO_DST_PORT], 2);
	if (!port || (!v4 && !v6))
		return;
	if (v4) {
		struct sockaddr_in *in = (struct sockaddr_in *)out;

		in->sin_family = AF_INET;
		memcpy(&in->sin_addr, v4, 4);
		memcpy(&in->sin_port, port, 2);
	} else {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;

		in6->sin6_family = AF_INET6;
		memcpy(&in6->sin6_addr, v6, 16);
		memcpy(&in6->sin6_port, port, 2);
	}
}

int conntrack_original(struct netlink *netlink, const struct conntrack_flow *flow,
		       struct sockaddr_storage *out, struct error *err)
{
	struct nfgenmsg header = {.nfgen_family = (uint8_t)flow->local.ss_family,
				  .version = NFNETLINK_V0};
	struct sockaddr_storage found = {0};
	struct netlink_request request;
	int result;

	netlink_begin(&request, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET, 0, &header,
		      sizeof(header));
	put_reply(&request, flow);
	result = netlink_call(netlink, &request, take, &found, err);
	if (result == 0 && found.ss_family == AF_UNSPEC)
		result = error_set(err, ENOENT, "the kernel names no such flow");
	if (result == 0)
		*out = found;
	return result;
}
