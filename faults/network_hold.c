/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/network_hold.h"

#include "injector/kernel/link.h"

#include <errno.h>
#include <string.h>

static bool is_our_hold(const struct link *link, const struct network_record *record)
{
	return strcmp(link->kind, "veth") == 0 && strcmp(link->alias, record->alias) == 0;
}

int network_hold_find(const struct network_record *record, struct netlink *route, bool *out_gone,
		      struct error *err)
{
	struct link link;
	int result = link_find(route, record->link, &link, err);

	*out_gone = result == -ENODEV || (result == 0 && !is_our_hold(&link, record));
	return result;
}

int network_hold_undo(const struct network_record *record, struct netlink *route, struct error *err)
{
	struct link link;
	int result = link_find(route, record->link, &link, err);

	if (result == 0)
		result = is_our_hold(&link, record) ? link_delete(route, link.index, err) : 0;
	return result == -ENODEV ? 0 : result;
}
