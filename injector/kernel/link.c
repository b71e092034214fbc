/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/kernel/link.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <string.h>

static void parse_address(const struct nlattr *attribute, struct link *out)
{
	size_t size = attribute ? netlink_size(attribute) : 0;

	if (size > 0 && size <= sizeof(out->address))
		memcpy(out->address, netlink_data(attribute, size), size);
}

static void parse(const struct nlmsghdr *reply, struct link *out)
{
	const struct ifinfomsg *header = NLMSG_DATA(reply);
	const struct nlattr *table[IFLA_MAX + 1], *info[IFLA_INFO_MAX + 1];
	const struct rtnl_link_stats64 *stats;

	*out = (struct link){0};
	if (reply->nlmsg_len < NLMSG_LENGTH(sizeof(*header)))
		return;
	netlink_attributes(reply, sizeof(*header), table, IFLA_MAX);
	netlink_nested(table[IFLA_LINKINFO], info, IFLA_INFO_MAX);
	out->index = header->ifi_index;
	out->flags = header->ifi_flags;
	out->type = header->ifi_type;
	netlink_text(table[IFLA_IFNAME], out->name, sizeof(out->name));
	netlink_text(table[IFLA_IFALIAS], out->alias, sizeof(out->alias));
	netlink_text(info[IFLA_INFO_KIND], out->kind, sizeof(out->kind));
	parse_address(table[IFLA_ADDRESS], out);
	out->group = netlink_u32(table[IFLA_GROUP], 0);
	out->mtu = netlink_u32(table[IFLA_MTU], 0);
	out->lower = (int)netlink_u32(table[IFLA_LINK], 0);
	out->master = (int)netlink_u32(table[IFLA_MASTER], 0);
	out->tx_queue_length = netlink_u32(table[IFLA_TXQLEN], 0);
	/* Older kernels have a shorter struct; what we read is in all of them. */
	stats = netlink_data(table[IFLA_STATS64],
			     offsetof(struct rtnl_link_stats64, rx_compressed));
	if (stats) {
		struct rtnl_link_stats64 copy;

		/* attributes are aligned to four bytes only */
		memcpy(&copy, stats, offsetof(struct rtnl_link_stats64, rx_compressed));
		out->rx_packets = copy.rx_packets;
		out->rx_dropped = copy.rx_dropped;
		out->tx_packets = copy.tx_packets;
		out->tx_dropped = copy.tx_dropped;
	}
}

struct finding {
	struct link link;
	bool is_found;
};

static void take_one(void *context, const struct nlmsghdr *reply)
{
	struct finding *finding = context;

	if (reply->nlmsg_type != RTM_NEWLINK)
		return;
	parse(reply, &finding->link);
	finding->is_found = true;
}

static int find(struct netlink *netlink, int index, const char *name, struct link *out,
		struct error *err)
{
	struct ifinfomsg header = {.ifi_family = AF_UNSPEC, .ifi_index = index};
	struct netlink_request request;
	struct finding finding = {.is_found = false};
	int result;

	netlink_begin(&request, RTM_GETLINK, 0, &header, sizeof(header));
	if (name)
		netlink_put_text(&request, IFLA_IFNAME, name);
	result = netlink_call(netlink, &request, take_one, &finding, err);
	if (result == 0 && !finding.is_found)
		result = error_set(err, ENODEV, "the kernel described no interface");
	if (result < 0)
		return result;
	*out = finding.link;
	return 0;
}

int link_find(struct netlink *netlink, const char *name, struct link *out, struct error *err)
{
	int result = find(netlink, 0, name, out, err);

	if (result == -ENODEV)
		return error_set(err, ENODEV, "there is no interface '%s'", name);
	if (result < 0)
		error_prefix(err, "interface %s", name);
	return result;
}

int link_get(struct netlink *netlink, int index, struct link *out, struct error *err)
{
	int result = find(netlink, index, NULL, out, err);

	if (result == -ENODEV)
		return error_set(err, ENODEV, "there is no interface %d", index);
	if (result < 0)
		error_prefix(err, "interface %d", index);
	return result;
}

static int send_label(struct netlink *netlink, int index, const char *alias, bool is_mute,
		      struct error *err)
{
	struct ifinfomsg header = {.ifi_family = AF_UNSPEC, .ifi_index = index};
	const uint8_t mode = IN6_ADDR_GEN_MODE_NONE;
	struct netlink_request request;

	netlink_begin(&request, RTM_SETLINK, 0, &header, sizeof(header));
	netlink_put_text(&request, IFLA_IFALIAS, alias);
	if (is_mute) {
		netlink_nest(&request, IFLA_AF_SPEC);
		netlink_nest(&request, AF_INET6);
		netlink_put(&request, IFLA_INET6_ADDR_GEN_MODE, &mode, sizeof(mode));
		netlink_unnest(&request);
		netlink_unnest(&request);
	}
	return netlink_call(netlink, &request, NULL, NULL, err);
}

/* Its own IPv6 would send router solicitations into the queue, among the packets that are counted
 * there: so it gets no address. */
static int label(struct netlink *netlink, int index, const char *alias, struct error *err)
{
	struct error why = ERROR_INIT;
	int result = send_label(netlink, index, alias, true, &why);

	if (result == -EAFNOSUPPORT) /* there is no IPv6 here: mute anyway */
		return send_label(netlink, index, alias, false, err);
	if (result < 0 && err)
		*err = why;
	return result;
}

/* NLM_F_ECHO hands the new link back with the acknowledgement (since 6.2); before, ask. */
int link_create_ifb(struct netlink *netlink, const char *name, uint32_t group, const char *alias,
		    int *out_index, struct error *err)
{
	struct ifinfomsg header = {.ifi_family = AF_UNSPEC};
	struct netlink_request request;
	struct finding finding = {.is_found = false};
	int result;

	netlink_begin(&request, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ECHO, &header,
		      sizeof(header));
	netlink_put_text(&request, IFLA_IFNAME, name);
	netlink_put_u32(&request, IFLA_GROUP, group);
	netlink_put_u32(&request, IFLA_NUM_TX_QUEUES, 1);
	netlink_put_u32(&request, IFLA_NUM_RX_QUEUES, 1);
	netlink_nest(&request, IFLA_LINKINFO);
	netlink_put_text(&request, IFLA_INFO_KIND, "ifb");
	netlink_unnest(&request);
	result = netlink_call(netlink, &request, take_one, &finding, err);
	if (result == 0 && !finding.is_found)
		result = find(netlink, 0, name, &finding.link, err);
	if (result < 0) {
		error_prefix(err, "cannot create the intermediate interface %s", name);
		return result;
	}
	result = label(netlink, finding.link.index, alias, err);
	if (result < 0) {
		error_prefix(err, "cannot label interface %s", name);
		link_delete(netlink, finding.link.index, NULL);
		return result;
	}
	*out_index = finding.link.index;
	return 0;
}

#define GSO_IPV4_MAX_SIZE 63 /* IFLA_GSO_IPV4_MAX_SIZE of <linux/if_link.h>, Linux 6.3 */

static void put_end(struct netlink_request *request, const struct veth *veth, const char *name,
		    const uint8_t *address)
{
	netlink_put_text(request, IFLA_IFNAME, name);
	netlink_put_u32(request, IFLA_MTU, veth->mtu);
	netlink_put_u32(request, IFLA_GSO_MAX_SIZE, veth->segments_max);
	netlink_put_u32(request, GSO_IPV4_MAX_SIZE, veth->segments_max);
	netlink_put(request, IFLA_ADDRESS, address, ETH_ALEN);
	netlink_put_u32(request, IFLA_NUM_TX_QUEUES, 1);
	netlink_put_u32(request, IFLA_NUM_RX_QUEUES, 1);
}

int link_create_veth(struct netlink *netlink, const struct veth *veth, const char *alias,
		     int *out_index, struct error *err)
{
	const struct ifinfomsg header = {
		.ifi_family = AF_UNSPEC, .ifi_flags = IFF_NOARP, .ifi_change = IFF_NOARP};
	struct netlink_request request;
	struct finding finding = {.is_found = false};
	int result;

	netlink_begin(&request, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ECHO, &header,
		      sizeof(header));
	put_end(&request, veth, veth->name, veth->address);
	netlink_nest(&request, IFLA_LINKINFO);
	netlink_put_text(&request, IFLA_INFO_KIND, "veth");
	netlink_nest(&request, IFLA_INFO_DATA);
	netlink_nest(&request, VETH_INFO_PEER);
	netlink_put_bytes(&request, &header, sizeof(header));
	put_end(&request, veth, veth->peer_name, veth->peer_address);
	netlink_put_u32(&request, IFLA_NET_NS_FD, (uint32_t)veth->peer_namespace_fd);
	netlink_unnest(&request);
	netlink_unnest(&request);
	netlink_unnest(&request);
	result = netlink_call(netlink, &request, take_one, &finding, err);
	if (result == 0 && (!finding.is_found || strcmp(finding.link.name, veth->name) != 0))
		result = find(netlink, 0, veth->name, &finding.link, err);
	if (result == 0 && (result = label(netlink, finding.link.index, alias, err)) < 0)
		link_delete(netlink, finding.link.index, NULL);
	if (result < 0)
		return error_prefix(err, "cannot create the interface %s", veth->name);
	*out_index = finding.link.index;
	return 0;
}

int link_delete(struct netlink *netlink, int index, struct error *err)
{
	struct ifinfomsg header = {.ifi_family = AF_UNSPEC, .ifi_index = index};
	struct netlink_request request;
	int result;

	netlink_begin(&request, RTM_DELLINK, 0, &header, sizeof(header));
	result = netlink_call(netlink, &request, NULL, NULL, err);
	if (result < 0)
		error_prefix(err, "cannot delete interface %d", index);
	return result;
}

int link_change(struct netlink *netlink, int index, const struct link_change *change,
		struct error *err)
{
	struct ifinfomsg header = {.ifi_family = AF_UNSPEC, .ifi_index = index};
	struct netlink_request request;
	int result;

	if (change->up)
		header.ifi_flags = header.ifi_change = IFF_UP;
	netlink_begin(&request, RTM_NEWLINK, 0, &header, sizeof(header));
	if (change->mtu)
		netlink_put_u32(&request, IFLA_MTU, change->mtu);
	if (change->tx_queue_length)
		netlink_put_u32(&request, IFLA_TXQLEN, change->tx_queue_length);
	if (change->group)
		netlink_put_u32(&request, IFLA_GROUP, change->group);
	result = netlink_call(netlink, &request, NULL, NULL, err);
	if (result < 0)
		error_prefix(err, "cannot change interface %d", index);
	return result;
}

struct walk {
	link_fn fn;
	void *context;
};

static void walk_one(void *context, const struct nlmsghdr *reply)
{
	struct walk *walk = context;
	struct link link;

	if (reply->nlmsg_type != RTM_NEWLINK)
		return;
	parse(reply, &link);
	walk->fn(walk->context, &link);
}

int link_each(struct netlink *netlink, link_fn fn, void *context, struct error *err)
{
	struct ifinfomsg header = {.ifi_family = AF_UNSPEC};
	struct netlink_request request;
	struct walk walk = {.fn = fn, .context = context};
	int result;

	netlink_begin(&request, RTM_GETLINK, NLM_F_DUMP, &header, sizeof(header));
	result = netlink_call(netlink, &request, walk_one, &walk, err);
	if (result < 0)
		error_prefix(err, "cannot list the interfaces");
	return result;
}

struct ipv4_setting {
	unsigned setting;
	uint32_t value;
	bool is_found;
};

static void take_setting(void *context, const struct nlmsghdr *reply)
{
	const struct nlattr *table[IFLA_MAX + 1], *families[AF_INET + 1], *inet[IFLA_INET_MAX + 1];
	struct ipv4_setting *wanted = context;
	const uint32_t *values;

	if (reply->nlmsg_type != RTM_NEWLINK)
		return;
	netlink_attributes(reply, sizeof(struct ifinfomsg), table, IFLA_MAX);
	netlink_nested(table[IFLA_AF_SPEC], families, AF_INET);
	netlink_nested(families[AF_INET], inet, IFLA_INET_MAX);
	/* a bare array here, nested attributes when setting (net/ipv4/devinet.c) */
	values = netlink_data(inet[IFLA_INET_CONF], wanted->setting * sizeof(*values));
	if (!values)
		return;
	wanted->value = values[wanted->setting - 1];
	wanted->is_found = true;
}

int link_get_ipv4(struct netlink *netlink, int index, unsigned setting, uint32_t *out,
		  struct error *err)
{
	struct ifinfomsg header = {.ifi_family = AF_UNSPEC, .ifi_index = index};
	struct ipv4_setting wanted = {.setting = setting};
	struct netlink_request request;
	int result;

	netlink_begin(&request, RTM_GETLINK, 0, &header, sizeof(header));
	result = netlink_call(netlink, &request, take_setting, &wanted, err);
	if (result < 0) {
		error_prefix(err, "cannot read the IPv4 settings of interface %d", index);
		return result;
	}
	if (!wanted.is_found)
		return error_set(err, ENODATA, "interface %d has no IPv4 settings", index);
	*out = wanted.value;
	return 0;
}

int link_set_ipv4(struct netlink *netlink, int index, unsigned setting, uint32_t value,
		  struct error *err)
{
	struct ifinfomsg header = {.ifi_family = AF_UNSPEC, .ifi_index = index};
	struct netlink_request request;
	int result;

	netlink_begin(&request, RTM_SETLINK, 0, &header, sizeof(header));
	netlink_nest(&request, IFLA_AF_SPEC);
	netlink_nest(&request, AF_INET);
	netlink_nest(&request, IFLA_INET_CONF);
	netlink_put_u32(&request, (uint16_t)setting, value);
	netlink_unnest(&request);
	netlink_unnest(&request);
	netlink_unnest(&request);
	result = netlink_call(netlink, &request, NULL, NULL, err);
	if (result < 0)
		error_prefix(err, "cannot change an IPv4 setting of interface %d", index);
	return result;
}
