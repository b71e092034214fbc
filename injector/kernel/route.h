/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which interface a packet would leave by, as the kernel itself decides it. Reads only.
 */
#ifndef SQUALL_ROUTE_H
#define SQUALL_ROUTE_H

#include "injector/base/error.h"
#include "injector/kernel/netlink.h"

#define ROUTE_LOOPBACK_INDEX 1 /* LOOPBACK_IFINDEX: the same in every namespace */

/* Interfaces that route to the address (several for a multipath route), `address` in network order.
 * An address of this host is reached through the loopback interface. -ENETUNREACH: no route. */
int route_interfaces(struct netlink *netlink, int family, const void *address, int *out_indexes,
		     unsigned capacity, unsigned *out_count, struct error *err);
/* The same for what has that source, an address of this host: rules may choose by it. */
int route_interfaces_from(struct netlink *netlink, int family, const void *source,
			  const void *address, int *out_indexes, unsigned capacity,
			  unsigned *out_count, struct error *err);
/* Every interface that a route to another host leads to. */
int route_all_interfaces(struct netlink *netlink, int *out_indexes, unsigned capacity,
			 unsigned *out_count, struct error *err);

#endif
