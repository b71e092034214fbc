/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The interfaces of a traffic target.
 */
#ifndef SQUALL_TARGET_INTERFACES_H
#define SQUALL_TARGET_INTERFACES_H

#include "faults/target.h"
#include "injector/kernel/netlink.h"

/* Fills target->interfaces; none is an error. */
int target_find_interfaces(struct target *target, struct netlink *netlink, struct error *err);
/* What is selected now, of a target that has some already (which stay while they are down); what is
 * not there is no error. *out_has_routes: false where the routes decide, and to some endpoint there
 * is none. The caller frees. */
int target_find_interfaces_again(const struct target *target, struct netlink *netlink,
				 struct target_interface **out, unsigned *out_count,
				 bool *out_has_routes, struct error *err);

#endif
