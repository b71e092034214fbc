/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The interfaces of ours that a network fault may leave behind: found, removed, told of, from its
 * journal record alone.
 */
#include "faults/network_restore_links.h"

#include "injector/base/clock.h"
#include "injector/kernel/link.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#define WAIT_MAX_NS NSEC_PER_SEC /* what undo() may take */
#define POLL_MS	    2
#define IDLE_POLLS  3

/* The ifb of the step, or one of those of its paths ("q" and a number follow). */
static bool is_name_of(const char *name, const struct network_record *record)
{
	const size_t length = strlen(record->link);

	if (strncmp(name, record->link, length) != 0)
		return false;
	name += length;
	return !*name || (*name == 'q' && name[1] && !name[1 + strspn(name + 1, "0123456789")]);
}

/* Name and marks agree; between creation and labelling the group is the mark. */
static bool is_ours(const struct link *link, const struct network_record *record)
{
	return strcmp(link->kind, "ifb") == 0 && link->group == record->group &&
	       is_name_of(link->name, record) &&
	       (strcmp(link->alias, record->alias) == 0 || link->alias[0] == '\0');
}

static void look_at_link(void *context, const struct link *link)
{
	struct network_links_left *search = context;

	if (!is_ours(link, search->record))
		return;
	search->index = link->index;
	if (search->count < NETWORK_LINKS_SHOWN)
		snprintf(search->names[search->count], sizeof(*search->names), "%s", link->name);
	search->count++;
}

/* Those that are left. */
int network_links_find(const struct network_record *record, struct netlink *route,
		       struct network_links_left *out, struct error *err)
{
	*out = (struct network_links_left){.record = record};
	return link_each(route, look_at_link, out, err);
}

/* Deleting it would lose what it still holds */
static int delete_link(struct netlink *route, int index, int64_t deadline_ns, struct error *err)
{
	unsigned idle = 0;
	int result = 0;

	while (result == 0 && idle < IDLE_POLLS && clock_now_ns() < deadline_ns) {
		bool is_empty = false;

		result = network_netem_is_empty(route, index, &is_empty, err);
		idle = is_empty ? idle + 1 : 0;
		if (result == 0 && idle < IDLE_POLLS)
			poll(NULL, 0, POLL_MS);
	}
	if (result < 0 && result != -ENODEV)
		return result;
	result = link_delete(route, index, err);
	return result == -ENODEV ? 0 : result;
}

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

/* The kernel takes it away with the namespace behind it, when it gets to that. */
int network_hold_undo(const struct network_record *record, struct netlink *route, struct error *err)
{
	struct link link;
	int result = link_find(route, record->link, &link, err);

	if (result == 0)
		result = is_our_hold(&link, record) ? link_delete(route, link.index, err) : 0;
	return result == -ENODEV ? 0 : result;
}

int network_links_undo(const struct network_record *record, struct netlink *route,
		       struct error *err)
{
	const int64_t deadline_ns = clock_now_ns() + WAIT_MAX_NS;
	struct network_links_left search;
	int result;

	do {
		result = network_links_find(record, route, &search, err);
		if (result == 0 && search.count)
			result = delete_link(route, search.index, deadline_ns, err);
	} while (result == 0 && search.count > 1);
	return result;
}

/* As they were seen; without a look (then there is none), as they were made. */
void network_links_say(const struct network_record *record, const struct network_links_left *seen,
		       const char *prefix, char *out, size_t size)
{
	const unsigned made = record->index > 0 ? (unsigned)record->index : 1;
	const unsigned count = seen->count ? seen->count : made;
	size_t length = (size_t)snprintf(out, size, "interface%s of %s:", count == 1 ? "" : "s",
					 record->table);

	for (unsigned i = 0; i < count && length < size; i++) {
		char name[24];

		if (i == NETWORK_LINKS_SHOWN) {
			snprintf(out + length, size - length, "; squall restore");
			return;
		}
		if (seen->count)
			snprintf(name, sizeof(name), "%s", seen->names[i]);
		else if (record->index > 0)
			snprintf(name, sizeof(name), "%sq%u", record->link, i);
		else
			snprintf(name, sizeof(name), "%s", record->link);
		length += (size_t)snprintf(out + length, size - length, "%s %sip link delete %s",
					   i ? ";" : "", prefix, name);
	}
}
