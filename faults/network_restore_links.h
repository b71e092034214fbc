/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The interfaces of ours that a network fault may leave behind. `route`: a conversation in the
 * record's namespace.
 */
#ifndef SQUALL_NETWORK_RESTORE_LINKS_H
#define SQUALL_NETWORK_RESTORE_LINKS_H

#include "faults/network.h"

#define NETWORK_LINKS_SHOWN 8

/* NETWORK_RECORD_LINK: the ifbs that are left. */
struct network_links_left {
	const struct network_record *record;
	int index; /* of the last one */
	unsigned count;
	char names[NETWORK_LINKS_SHOWN][16]; /* of the first ones */
};
int network_links_find(const struct network_record *record, struct netlink *route,
		       struct network_links_left *out, struct error *err);
/* Waits up to a second for what they hold to leave. */
int network_links_undo(const struct network_record *record, struct netlink *route,
		       struct error *err);
/* Which ones, and the commands that take them away; those that the record names when none was
 * found. `prefix`: of the commands, leads into their namespace. */
void network_links_say(const struct network_record *record, const struct network_links_left *seen,
		       const char *prefix, char *out, size_t size);

/* NETWORK_RECORD_HOLD: the veth of a delay line. */
int network_hold_find(const struct network_record *record, struct netlink *route, bool *out_gone,
		      struct error *err);
int network_hold_undo(const struct network_record *record, struct netlink *route,
		      struct error *err);

#endif
