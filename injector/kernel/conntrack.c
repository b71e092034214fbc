/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * SO_ORIGINAL_DST would do for TCP alone, and in the usual zone alone (getorigdst() in
 * nf_conntrack_proto.c).
 */
#include "injector/kernel/conntrack.h"

#include "injector/base/clock.h"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
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

struct tuple { /* one direction of a flow; NULL: not told */
	const void *source4, *source6, *target4, *target6, *source_port, *target_port;
};

static struct tuple tuple_of(const struct nlmsghdr *reply, unsigned which)
{
	const struct nlattr *entry[CTA_MAX + 1], *tuple[CTA_TUPLE_MAX + 1], *ip[CTA_IP_MAX + 1],
		*protocol[CTA_PROTO_MAX + 1];

	if (reply->nlmsg_type != (NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW))
		return (struct tuple){0};
	netlink_attributes(reply, sizeof(struct nfgenmsg), entry, CTA_MAX);
	netlink_nested(entry[which], tuple, CTA_TUPLE_MAX);
	netlink_nested(tuple[CTA_TUPLE_IP], ip, CTA_IP_MAX);
	netlink_nested(tuple[CTA_TUPLE_PROTO], protocol, CTA_PROTO_MAX);
	return (struct tuple){.source4 = netlink_data(ip[CTA_IP_V4_SRC], 4),
			      .source6 = netlink_data(ip[CTA_IP_V6_SRC], 16),
			      .target4 = netlink_data(ip[CTA_IP_V4_DST], 4),
			      .target6 = netlink_data(ip[CTA_IP_V6_DST], 16),
			      .source_port = netlink_data(protocol[CTA_PROTO_SRC_PORT], 2),
			      .target_port = netlink_data(protocol[CTA_PROTO_DST_PORT], 2)};
}

/* Untouched if it is not told. */
static void take_address(const void *v4, const void *v6, const void *port,
			 struct sockaddr_storage *out)
{
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

static void take(void *context, const struct nlmsghdr *reply)
{
	const struct tuple original = tuple_of(reply, CTA_TUPLE_ORIG);

	take_address(original.target4, original.target6, original.target_port, context);
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

struct outside {
	const struct conntrack_flow *inside;
	struct conntrack_flow found;
};

/* Of its two tuples one is the flow as we see it, and the other one as the far side does. */
static void take_outside(void *context, const struct nlmsghdr *reply)
{
	struct outside *outside = context;

	for (unsigned i = 0; i < 2; i++) {
		const struct tuple ours = tuple_of(reply, i ? CTA_TUPLE_REPLY : CTA_TUPLE_ORIG);
		const struct tuple theirs = tuple_of(reply, i ? CTA_TUPLE_ORIG : CTA_TUPLE_REPLY);
		struct sockaddr_storage local = {0}, remote = {0};

		take_address(ours.source4, ours.source6, ours.source_port, &local);
		take_address(ours.target4, ours.target6, ours.target_port, &remote);
		if (memcmp(&local, &outside->inside->local, sizeof(local)) != 0 ||
		    memcmp(&remote, &outside->inside->remote, sizeof(remote)) != 0)
			continue;
		take_address(theirs.target4, theirs.target6, theirs.target_port,
			     &outside->found.local);
		take_address(theirs.source4, theirs.source6, theirs.source_port,
			     &outside->found.remote);
	}
}

int conntrack_outside(struct netlink *netlink, const struct conntrack_flow *flow,
		      struct conntrack_flow *out, struct error *err)
{
	struct nfgenmsg header = {.nfgen_family = (uint8_t)flow->local.ss_family,
				  .version = NFNETLINK_V0};
	struct outside outside = {.inside = flow};
	struct netlink_request request;
	int result;

	netlink_begin(&request, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET, 0, &header,
		      sizeof(header));
	put_reply(&request, flow);
	result = netlink_call(netlink, &request, take_outside, &outside, err);
	if (result < 0)
		return result;
	if (outside.found.local.ss_family == AF_UNSPEC ||
	    outside.found.remote.ss_family == AF_UNSPEC)
		return error_set(err, ENOENT, "the kernel names no such flow");
	*out = *flow;
	out->local = outside.found.local;
	out->remote = outside.found.remote;
	return 0;
}

/* Forgetting. What the kernel compares of a tuple (nf_internals.h): */
#define FILTER_ADDRESS	(1U << 0) /* of the source */
#define FILTER_PROTOCOL (1U << 3)
#define FILTER_PORT	(1U << 4) /* of the source */

#define FORGET_AT_ONCE 16384 /* so much memory */
#define FORGET_NS      (2 * NSEC_PER_SEC)

struct found {
	struct sockaddr_storage local;	  /* asked for */
	struct sockaddr_storage *remotes; /* owned */
	unsigned count;
	bool is_short; /* of memory */
};

static void collect(void *context, const struct nlmsghdr *reply)
{
	const struct tuple tuple = tuple_of(reply, CTA_TUPLE_REPLY);
	const struct tuple original = tuple_of(reply, CTA_TUPLE_ORIG);
	struct found *found = context;
	struct sockaddr_storage local = {0}, remote = {0}, meant = {0}, *grown;

	take_address(tuple.source4, tuple.source6, tuple.source_port, &local);
	take_address(tuple.target4, tuple.target6, tuple.target_port, &remote);
	take_address(original.target4, original.target6, original.target_port, &meant);
	/* also of a kernel that does not compare; and who meant us was not redirected */
	if (memcmp(&local, &found->local, sizeof(local)) != 0 ||
	    memcmp(&meant, &local, sizeof(local)) == 0 || found->count == FORGET_AT_ONCE)
		return;
	/* the capacity is the next power of two */
	if ((found->count & (found->count - 1)) == 0) {
		grown = reallocarray(found->remotes, found->count ? found->count * 2UL : 1,
				     sizeof(*grown));
		found->is_short |= !grown;
		if (!grown)
			return;
		found->remotes = grown;
	}
	found->remotes[found->count++] = remote;
}

static void take_count(void *context, const struct nlmsghdr *reply)
{
	const struct nlattr *stats[CTA_STATS_GLOBAL_MAX + 1];
	const void *count;

	if (reply->nlmsg_type != (NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET_STATS))
		return;
	netlink_attributes(reply, sizeof(struct nfgenmsg), stats, CTA_STATS_GLOBAL_MAX);
	count = netlink_data(stats[CTA_STATS_GLOBAL_ENTRIES], sizeof(uint32_t));
	if (count)
		memcpy(context, count, sizeof(uint32_t));
}

/* A request as plain as this one fails in nfnetlink_rcv_msg() alone where there is no
 * nf_conntrack_netlink. */
int conntrack_count(struct netlink *netlink, uint32_t *out, struct error *err)
{
	struct nfgenmsg header = {.version = NFNETLINK_V0};
	struct netlink_request request;
	int result;

	*out = UINT32_MAX;
	netlink_begin(&request, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET_STATS, 0, &header,
		      sizeof(header));
	result = netlink_call(netlink, &request, take_count, out, err);
	if (result == -EINVAL || result == -EOPNOTSUPP) {
		if (err)
			*err = (struct error)ERROR_INIT;
		*out = 0;
		return 0;
	}
	return result;
}

static int list(struct netlink *netlink, uint8_t protocol, struct found *out, struct error *err)
{
	struct nfgenmsg header = {.nfgen_family = (uint8_t)out->local.ss_family,
				  .version = NFNETLINK_V0};
	/* ctnetlink_filter_match_tuple() passes over the IPv6 addresses that are equal (seen on
	 * 6.18): collect() compares them */
	const bool has_address = out->local.ss_family == AF_INET;
	struct netlink_request request;
	uint32_t count;
	int result = conntrack_count(netlink, &count, err);

	if (result < 0 || count == 0)
		return result;
	netlink_begin(&request, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET, NLM_F_DUMP, &header,
		      sizeof(header));
	netlink_nest(&request, CTA_FILTER | NLA_F_NESTED);
	netlink_put_u32(&request, CTA_FILTER_ORIG_FLAGS, 0);
	netlink_put_u32(&request, CTA_FILTER_REPLY_FLAGS,
			FILTER_PROTOCOL | FILTER_PORT | (has_address ? FILTER_ADDRESS : 0));
	netlink_unnest(&request);
	netlink_nest(&request, CTA_TUPLE_REPLY | NLA_F_NESTED);
	if (has_address) {
		netlink_nest(&request, CTA_TUPLE_IP | NLA_F_NESTED);
		put_address(&request, &out->local, true);
		netlink_unnest(&request);
	}
	netlink_nest(&request, CTA_TUPLE_PROTO | NLA_F_NESTED);
	netlink_put(&request, CTA_PROTO_NUM, &protocol, sizeof(protocol));
	put_port(&request, CTA_PROTO_SRC_PORT, port_of(&out->local));
	netlink_unnest(&request);
	netlink_unnest(&request);
	result = netlink_call(netlink, &request, collect, out, err);
	if (result == 0 && out->is_short)
		return error_errno(err, ENOMEM, "redirected flows");
	return result;
}

static int forget(struct netlink *netlink, uint8_t protocol, const struct found *found,
		  int64_t until_ns, struct error *err)
{
	struct nfgenmsg header = {.nfgen_family = (uint8_t)found->local.ss_family,
				  .version = NFNETLINK_V0};
	int result = 0;

	for (unsigned i = 0; result == 0 && i < found->count; i++) {
		const struct conntrack_flow flow = {
			.protocol = protocol, .local = found->local, .remote = found->remotes[i]};
		struct netlink_request request;

		if (i % 64 == 0 && clock_now_ns() >= until_ns)
			return error_set(err, ETIMEDOUT, "there are too many redirected flows");
		netlink_begin(&request, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE, 0,
			      &header, sizeof(header));
		put_reply(&request, &flow);
		result = netlink_call(netlink, &request, NULL, NULL, err);
		if (result == -ENOENT)
			result = 0; /* it went by itself */
	}
	return result;
}

int conntrack_forget(struct netlink *netlink, uint8_t protocol,
		     const struct sockaddr_storage *local, struct error *err)
{
	const int64_t until_ns = clock_now_ns() + FORGET_NS;
	bool is_all = false;
	int result = 0;

	while (result == 0 && !is_all) {
		struct found found = {.local = *local};

		result = list(netlink, protocol, &found, err);
		is_all = found.count < FORGET_AT_ONCE;
		if (result == 0)
			result = forget(netlink, protocol, &found, until_ns, err);
		free(found.remotes);
	}
	return result;
}

int conntrack_has_forgotten(struct netlink *netlink, uint8_t protocol,
			    const struct sockaddr_storage *local, bool *out, struct error *err)
{
	struct found found = {.local = *local};
	int result = list(netlink, protocol, &found, err);

	*out = result == 0 && !found.count;
	free(found.remotes);
	return result;
}
