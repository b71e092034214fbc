/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The ifbs of a step, one for all its paths or one for each, from its record alone: they are known
 * by their name and marks.
 */
#ifndef SQUALL_NETWORK_IFBS_H
#define SQUALL_NETWORK_IFBS_H

#include "faults/network.h"

#define NETWORK_IFBS_SHOWN 8
struct network_ifbs {
	int index; /* of the last one */
	unsigned count;
	char names[NETWORK_IFBS_SHOWN][16]; /* of the first ones */
};

/* Those that are left. */
int network_ifbs_find(const struct network_record *record, struct netlink *route,
		      struct network_ifbs *out, struct error *err);
/* Each once it is empty, or a second has passed for all of them. */
int network_ifbs_undo(const struct network_record *record, struct netlink *route,
		      struct error *err);
/* The commands that delete them: as they were seen; without a look (then there is none), as they
 * were made. */
void network_ifbs_say(const struct network_record *record, const struct network_ifbs *seen,
		      const char *prefix, char *out, size_t size);

#endif
