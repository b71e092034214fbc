/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The veth of a busy delay line (delay_hold.h), by its journal record alone. `route`: a
 * conversation in the record's namespace.
 */
#ifndef SQUALL_NETWORK_HOLD_H
#define SQUALL_NETWORK_HOLD_H

#include "faults/network.h"

int network_hold_find(const struct network_record *record, struct netlink *route, bool *out_gone,
		      struct error *err);
/* The kernel takes it away with the namespace behind it, when it gets to that. */
int network_hold_undo(const struct network_record *record, struct netlink *route,
		      struct error *err);

#endif
