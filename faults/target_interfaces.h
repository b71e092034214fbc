/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The interfaces of a traffic target.
 */
#ifndef SQUALL_TARGET_INTERFACES_H
#define SQUALL_TARGET_INTERFACES_H

#include "faults/target.h"
#include "injector/kernel/netlink.h"

/* Fills target->interfaces; none is an error, unless they are followed by a pattern. */
int target_find_interfaces(struct target *target, struct netlink *netlink, struct error *err);
/* What is selected now, of a target that has some already (which stay while they are down); what is
 * not there is no error. *out_has_routes: false where the routes decide, and to some endpoint there
 * is none. The caller frees. */
int target_find_interfaces_again(const struct target *target, struct netlink *netlink,
				 struct target_interface **out, unsigned *out_count,
				 bool *out_has_routes, struct error *err);

/* target_local.c: an address of this machine. */
struct target_source {
	int index; /* of its interface */
	int family;
	uint8_t address[16];
	bool is_loopback, is_link_local;
};
/* Fills target->sources; none is no error. */
int target_find_sources(struct target *target, struct netlink *netlink, struct error *err);
void target_forget_sources(struct target *target);
/* Does `local-address` leave any of this family? */
bool target_has_near_family(const struct params *params, int family);
/* Interfaces that route to the address; from those of the sources that are of its family, if there
 * are any. -ENETUNREACH: from none of them. */
int target_route(const struct target *target, struct netlink *netlink, int family,
		 const void *address, int *out_indexes, unsigned capacity, unsigned *out_count,
		 struct error *err);

#endif
