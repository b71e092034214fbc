/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/kernel/address.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

struct walk {
	address_fn fn;
	void *context;
};

static void walk_one(void *context, const struct nlmsghdr *reply)
{
	const struct nlattr *table[IFA_MAX + 1], *own;
	const struct ifaddrmsg *header = NLMSG_DATA(reply);
	const struct walk *walk = context;
	struct address address = {0};
	size_t size;

	if (reply->nlmsg_type != RTM_NEWADDR || reply->nlmsg_len < NLMSG_LENGTH(sizeof(*header)) ||
	    (header->ifa_family != AF_INET && header->ifa_family != AF_INET6))
		return;
	netlink_attributes(reply, sizeof(*header), table, IFA_MAX);
	size = header->ifa_family == AF_INET ? 4 : 16;
	/* of a point-to-point interface IFA_ADDRESS is the far end's */
	own = table[IFA_LOCAL] ? table[IFA_LOCAL] : table[IFA_ADDRESS];
	if (!netlink_data(own, size))
		return;
	address.index = (int)header->ifa_index;
	address.family = header->ifa_family;
	memcpy(address.bytes, netlink_data(own, size), size);
	walk->fn(walk->context, &address);
}

int address_each(struct netlink *netlink, address_fn fn, void *context, struct error *err)
{
	struct ifaddrmsg header = {.ifa_family = AF_UNSPEC};
	struct walk walk = {.fn = fn, .context = context};
	struct netlink_request request;
	int result;

	netlink_begin(&request, RTM_GETADDR, NLM_F_DUMP, &header, sizeof(header));
	result = netlink_call(netlink, &request, walk_one, &walk, err);
	if (result < 0)
		error_prefix(err, "cannot list the addresses");
	return result;
}
