/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/redirect.h"

#include "faults/target_namespace.h"
#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/base/shell_word.h"
#include "injector/kernel/conntrack.h"
#include "injector/kernel/link.h"
#include "injector/kernel/nft.h"
#include "injector/kernel/nft_match.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

int redirect_name(const struct fault *fault, struct redirect_record *out, struct error *err)
{
	const char *run = fault->env && fault->env->run_id ? fault->env->run_id : "RUN";
	struct netlink *there = NULL;
	int result = netlink_open_netfilter(fault->target->namespace_fd, &there, err);

	snprintf(out->namespace_name, sizeof(out->namespace_name), "%s",
		 fault->target->namespace_name);
	snprintf(out->table, sizeof(out->table), "squall_%s_%u", run, fault->step);
	if (result < 0)
		return result;
	out->namespace_cookie = netlink_namespace_cookie(there);
	netlink_close(there);
	return namespace_identify(fault->target->namespace_fd, &out->namespace_id, err);
}

int redirect_read(const struct journal_record *record, uint32_t type, struct redirect_record *out,
		  struct error *err)
{
	memcpy(out, record->payload, sizeof(*out));
	out->namespace_name[sizeof(out->namespace_name) - 1] = '\0';
	out->table[sizeof(out->table) - 1] = '\0';
	if (record->type != type)
		return error_set(err, EINVAL, "unknown %s record %u", record->owner, record->type);
	/* It goes into the text of a transaction */
	if (!out->table[0] ||
	    out->table[strspn(out->table, "abcdefghijklmnopqrstuvwxyz0123456789_")] != '\0')
		return error_set(err, EINVAL, "damaged %s record", record->owner);
	return 0;
}

/* -ENOENT: the namespace is gone, and everything in it with it. */
static int open_namespace(const struct redirect_record *record, int *out_fd, struct netlink **out,
			  struct error *err)
{
	uint64_t cookie;
	int result = namespace_find(&record->namespace_id, out_fd, err);

	if (result == 0)
		result = netlink_open_netfilter(*out_fd, out, err);
	if (result < 0)
		return result;
	/* the inode number of a namespace that is gone may be given to a new one */
	cookie = netlink_namespace_cookie(*out);
	if (!cookie || !record->namespace_cookie || cookie == record->namespace_cookie)
		return 0;
	netlink_close(*out);
	*out = NULL;
	return error_set(err, ENOENT, "its network namespace is gone");
}

/* Who is redirected to a port that is no more gets a reset. As good as it goes: where the kernel
 * has no connection tracking to talk to there is no port of ours in it either. */
static void forget(struct netlink *netfilter, uint16_t port)
{
	struct sockaddr_storage local4 = {0}, local6 = {0};
	struct sockaddr_in6 *in6 = (void *)&local6;
	struct sockaddr_in *in = (void *)&local4;

	in->sin_family = AF_INET;
	in->sin_port = htons(port);
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	in6->sin6_addr = in6addr_loopback;
	conntrack_forget(netfilter, IPPROTO_TCP, &local4, NULL);
	conntrack_forget(netfilter, IPPROTO_TCP, &local6, NULL);
}

int redirect_undo(const struct redirect_record *what, struct error *err)
{
	cleanup_fd int namespace_fd = -1;
	struct netlink *netfilter = NULL;
	int result = open_namespace(what, &namespace_fd, &netfilter, err);

	if (result < 0)
		return result == -ENOENT ? 0 : result;
	result = nft_remove_table(netfilter, NFPROTO_INET, what->table, err);
	if (what->port)
		forget(netfilter, what->port);
	netlink_close(netfilter);
	return result;
}

static void say_left(const struct redirect_record *what, char *out, size_t size)
{
	char prefix[TARGET_NAMESPACE_PREFIX];

	target_namespace_prefix(what->namespace_name, &what->namespace_id, prefix, sizeof(prefix));
	if (shell_word_is_plain(prefix))
		snprintf(out, size, "table %s: %snft delete table inet %s", what->table, prefix,
			 what->table);
	else
		snprintf(out, size,
			 "table %s: no command is shown, since a name in it is no plain text; run: "
			 "squall restore",
			 what->table);
}

int redirect_verify(const struct redirect_record *what, bool *out_gone, char *out_left,
		    size_t left_size, struct error *err)
{
	cleanup_fd int namespace_fd = -1;
	struct netlink *netfilter = NULL;
	uint32_t owner;
	int result = open_namespace(what, &namespace_fd, &netfilter, err);

	if (result == 0)
		result = nft_find_table(netfilter, NFPROTO_INET, what->table, &owner, err);
	netlink_close(netfilter);
	*out_gone = result == -ENOENT;
	if (*out_gone)
		return 0;
	say_left(what, out_left, left_size); /* also where it cannot be looked at */
	return result;
}

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
	bool has_interfaces = params_count(&target->params, TRAFFIC_INTERFACE) > 0;
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

void redirect_pass_on(struct nft_batch *batch, const char *chain, uint32_t base, uint32_t mark)
{
	nft_rule_begin(batch, chain);
	nft_load_meta(batch, 0, NFT_META_PRIORITY);
	nft_to_network_order(batch, 0);
	nft_compare_u32(batch, 0, NFT_CMP_GTE, htonl(base));
	nft_compare_u32(batch, 0, NFT_CMP_LTE, htonl(mark));
	nft_verdict(batch, NF_ACCEPT);
	nft_rule_end(batch, "passed on");
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

void redirect_spare_ipv6(struct nft_batch *batch, const char *chain, bool has_ipv6)
{
	static const enum nft_side sides[] = {NFT_SOURCE, NFT_DESTINATION};

	if (!has_ipv6)
		spare(batch, chain, NULL);
	for (unsigned i = 0; i < sizeof(sides) / sizeof(*sides) && has_ipv6; i++)
		spare(batch, chain, &sides[i]);
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

int redirect_raise(int fd, int floor)
{
	int above;

	if (fd < 0 || fd > floor)
		return fd;
	above = fcntl(fd, F_DUPFD_CLOEXEC, floor + 1);
	close(fd);
	return above;
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

int redirect_connect(uint32_t mark, int type, const struct sockaddr_storage *client,
		     const struct sockaddr_storage *server)
{
	cleanup_fd int fd = socket(server->ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_storage from = *client;
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
	if (connect(fd, (const struct sockaddr *)server, redirect_address_size(server)) < 0 &&
	    errno != EINPROGRESS)
		return -1;
	return steal_fd(&fd);
}
