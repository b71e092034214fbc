/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The addresses of this machine's interfaces. Reads only.
 */
#ifndef SQUALL_ADDRESS_H
#define SQUALL_ADDRESS_H

#include "injector/base/error.h"
#include "injector/kernel/netlink.h"

struct address {
	int index;	   /* of the interface */
	int family;	   /* AF_INET, AF_INET6 */
	uint8_t bytes[16]; /* network order */
};

typedef void (*address_fn)(void *context, const struct address *address);
int address_each(struct netlink *netlink, address_fn fn, void *context, struct error *err);

#endif
