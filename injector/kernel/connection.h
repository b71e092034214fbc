/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * TCP connections that exist in a network namespace, and ending one by force (sock_diag(7),
 * SOCK_DESTROY), over netlink_open_diag().
 */
#ifndef SQUALL_CONNECTION_H
#define SQUALL_CONNECTION_H

#include "injector/base/error.h"
#include "injector/kernel/netlink.h"

#include <netinet/in.h>

#include <linux/inet_diag.h>
#include <stdint.h>

struct connection {
	int family; /* of the addresses: that of IPv4 also when the socket is of IPv6 */
	uint8_t local[16], remote[16]; /* network order */
	uint16_t local_port, remote_port;
	uint32_t inode;
	uint64_t cgroup;	    /* that its socket was made in; 0: the kernel does not say */
	uint8_t socket_family;	    /* how the kernel finds it again: */
	struct inet_diag_sockid id; /* with a cookie that no later connection has */
};

/* Those that somebody has, open or being opened by connect(), until fn returns other than 0;
 * returns that, 0 or -errno. fn must not use the conversation. */
typedef int (*connection_fn)(void *context, const struct connection *connection);
int connection_each(struct netlink *netlink, connection_fn fn, void *context, struct error *err);

/* 1: somebody listens at that TCP port, on some address; 0: nobody. */
int connection_is_awaited(struct netlink *netlink, uint16_t local_port, struct error *err);
/* Its owner gets ECONNABORTED, the far side a reset. -ENOENT: it is gone, or another one by now;
 * -EOPNOTSUPP: its owner has closed it meanwhile, or a kernel without CONFIG_INET_DIAG_DESTROY.
 * Needs CAP_NET_ADMIN. */
int connection_destroy(struct netlink *netlink, const struct connection *connection,
		       struct error *err);
/* Can the kernel do it? Asks for one that cannot be: 0 or -errno. */
int connection_try_destroy(struct netlink *netlink, struct error *err);

#endif
