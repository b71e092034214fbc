/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/redirect.h"

#include "faults/target_follow.h"
#include "faults/target_namespace.h"
#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/base/shell_word.h"
#include "injector/kernel/conntrack.h"
#include "injector/kernel/link.h"
#include "injector/kernel/nft.h"
#include "injector/kernel/nft_match.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

int redirect_check_loopback(const struct target *target, const char *what, struct error *err)
{
	struct netlink *route = NULL;
	struct link link = {0};
	int result = netlink_open(target->namespace_fd, &route, err);

	if (result == 0)
		result = link_find(route, "lo", &link, err);
	netlink_close(route);
	if (result < 0 || link.flags & IFF_UP)
		return result;
	error_set(err, ENETDOWN, "lo is down, and %s are answered there", what);
	return error_remedy(err, "ip link set lo up");
}

int redirect_check_links(struct netlink *route, const struct target *target, const char *what,
			 struct error *err)
{
	bool has_interfaces = params_count(&target->params, TRAFFIC_INTERFACE) > 0 &&
			      !target_follows_interfaces(&target->params);
	struct link link = {0};

	/* where nothing can be known now the next look tells */
	if (link_find(route, "lo", &link, NULL) == 0 && !(link.flags & IFF_UP))
		return error_set(err, ESTALE, "lo was taken down, and %s are answered there", what);
	for (unsigned i = 0; has_interfaces && i < target->interface_count; i++)
		if (link_get(route, target->interfaces[i].index, &link, NULL) == -ENODEV)
			return error_set(err, ESTALE, "interface %s is gone",
					 target->interfaces[i].name);
	return 0;
}

uint32_t redirect_new_mark(uint32_t base)
{
	static uint32_t last;
	uint32_t now = (uint32_t)(clock_now_ns() / (100 * NSEC_PER_MSEC)) & 0xffffff;

	last = (now > last ? now : last + 1) & 0xffffff;
	return base | last << 4;
}

void redirect_pass_on(const struct redirect_rules *rules, const char *chain, uint32_t base)
{
	struct nft_batch *batch = rules->batch;

	nft_rule_begin(batch, chain);
	nft_load_meta(batch, 0, NFT_META_PRIORITY);
	nft_to_network_order(batch, 0);
	nft_compare_u32(batch, 0, NFT_CMP_GTE, htonl(base));
	nft_compare_u32(batch, 0, NFT_CMP_LTE, htonl(rules->mark));
	nft_verdict(batch, NF_ACCEPT);
	nft_rule_end(batch, "passed on");
}

void redirect_lead(const struct redirect_rules *rules, const char *chain, const char *to,
		   void (*match)(struct nft_batch *batch))
{
	const struct target *target = rules->target;
	struct nft_batch *batch = rules->batch;

	for (unsigned i = 0; i < target->group_count || i == 0; i++) {
		nft_rule_begin(batch, chain);
		if (match)
			match(batch);
		if (target->group_count)
			nft_match_cgroup(batch, target->groups[i].level, target->groups[i].id);
		nft_jump_to(batch, to);
		nft_rule_end(batch, target->group_count ? "of the group" : NULL);
	}
}

static void spare(struct nft_batch *batch, const char *chain, const enum nft_side *side)
{
	static const uint8_t link_local[16] = {0xfe, 0x80};

	nft_rule_begin(batch, chain);
	if (side)
		nft_match_network(batch, AF_INET6, *side, link_local, 10);
	else
		nft_match_family(batch, AF_INET6);
	nft_verdict(batch, NFT_RETURN);
	nft_rule_end(batch, side ? "link-local" : "lo has no ::1");
}

void redirect_spare_ipv6(const struct redirect_rules *rules, const char *chain)
{
	static const enum nft_side sides[] = {NFT_SOURCE, NFT_DESTINATION};

	if (!rules->has_ipv6)
		spare(rules->batch, chain, NULL);
	for (unsigned i = 0; i < sizeof(sides) / sizeof(*sides) && rules->has_ipv6; i++)
		spare(rules->batch, chain, &sides[i]);
}

void redirect_each_server(const struct redirect_rules *rules,
			  void (*add)(const struct redirect_rules *rules,
				      const struct endpoint *server, int interface))
{
	const struct endpoint every = {.family = AF_UNSPEC};
	const struct target *target = rules->target;
	unsigned count = params_count(&target->params, TRAFFIC_TO);
	bool has_interfaces = params_count(&target->params, TRAFFIC_INTERFACE) > 0;
	unsigned interfaces = has_interfaces ? target->interface_count : 1;

	for (unsigned i = 0; i < (count ? count : 1); i++)
		for (unsigned k = 0; k < interfaces; k++)
			add(rules,
			    count ? &params_value(&target->params, TRAFFIC_TO, i)->endpoint
				  : &every,
			    has_interfaces ? target->interfaces[k].index : 0);
}

void redirect_match_addresses(struct nft_batch *batch, const struct endpoint *endpoint)
{
	if (endpoint->family != AF_UNSPEC && endpoint->prefix > 0)
		nft_match_network(batch, endpoint->family, NFT_DESTINATION, endpoint->address,
				  endpoint->prefix);
	else if (endpoint->family != AF_UNSPEC)
		nft_match_family(batch, endpoint->family);
}

void redirect_match_server(struct nft_batch *batch, const struct endpoint *server, int interface,
			   const uint8_t *protocol, uint16_t usual_port)
{
	const struct nft_ports usual = {usual_port, usual_port},
			       given = {server->port_first, server->port_last};

	if (interface)
		nft_match_egress(batch, interface);
	redirect_match_addresses(batch, server);
	nft_match_protocols(batch, protocol, 1);
	nft_match_ports(batch, NFT_DESTINATION, given.first ? &given : &usual, 1);
}

int redirect_listen(int family, int type, uint16_t *inout_port, int *out_fd)
{
	cleanup_fd int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6,
				   .sin6_port = htons(*inout_port),
				   .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr_in in = {.sin_family = AF_INET,
				 .sin_port = htons(*inout_port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr *address = family == AF_INET ? (void *)&in : (void *)&in6;
	socklen_t size = family == AF_INET ? sizeof(in) : sizeof(in6);

	if (fd < 0)
		return -errno;
	if (bind(fd, address, size) < 0 || getsockname(fd, address, &size) < 0 ||
	    (type == SOCK_STREAM && listen(fd, SOMAXCONN) < 0))
		return -errno;
	*inout_port = ntohs(family == AF_INET ? in.sin_port : in6.sin6_port);
	*out_fd = steal_fd(&fd);
	return 0;
}

socklen_t redirect_address_size(const struct sockaddr_storage *address)
{
	return address->ss_family == AF_INET ? sizeof(struct sockaddr_in)
					     : sizeof(struct sockaddr_in6);
}

bool redirect_is_same(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
	const struct sockaddr_in6 *a6 = (const void *)a, *b6 = (const void *)b;
	const struct sockaddr_in *a4 = (const void *)a, *b4 = (const void *)b;

	if (a->ss_family != b->ss_family || a4->sin_port != b4->sin_port)
		return false;
	if (a->ss_family == AF_INET)
		return a4->sin_addr.s_addr == b4->sin_addr.s_addr;
	return memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof(a6->sin6_addr)) == 0;
}

bool redirect_has_closed(int fd)
{
	struct tcp_info info;
	socklen_t size = sizeof(info);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 &&
	       info.tcpi_state == TCP_CLOSE;
}

int redirect_connect(uint32_t mark, int type, struct redirect_way *way)
{
	cleanup_fd int fd = socket(way->server.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	socklen_t size = sizeof(way->own);
	struct sockaddr_storage from = way->client;
	const int on = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_PRIORITY, &mark, sizeof(mark)) < 0)
		return -1;
	/* The server, and every router on the way, shall see the address they would have seen. A
	 * client that has just lost its address is served from another. */
	((struct sockaddr_in *)&from)->sin_port = 0; /* at the same place in both */
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	if (bind(fd, (const struct sockaddr *)&from, redirect_address_size(&from)) < 0 &&
	    errno != EADDRNOTAVAIL)
		return -1;
	if (connect(fd, (const struct sockaddr *)&way->server,
		    redirect_address_size(&way->server)) < 0 &&
	    errno != EINPROGRESS)
		return -1;
	if (getsockname(fd, (struct sockaddr *)&way->own, &size) < 0)
		return -1;
	return steal_fd(&fd);
}

bool redirect_comes_back(const struct redirect_way *way, const struct redirect_way *other)
{
	return redirect_is_same(&other->own, &way->client) &&
	       redirect_is_same(&other->server, &way->server);
}
