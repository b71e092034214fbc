/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/network_ifbs.h"

#include "faults/network_netem.h"

#include "injector/base/clock.h"
#include "injector/kernel/link.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define WAIT_MAX_NS NSEC_PER_SEC /* what undo() may take */
#define POLL_MS	    2
#define IDLE_POLLS  3
#define LOOKS_MAX   20

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

struct search {
	const struct network_record *record;
	struct network_ifbs found;
};

static void look_at_link(void *context, const struct link *link)
{
	struct search *search = context;
	struct network_ifbs *found = &search->found;

	if (!is_ours(link, search->record))
		return;
	found->index = link->index;
	if (found->count < NETWORK_IFBS_SHOWN)
		snprintf(found->names[found->count], sizeof(*found->names), "%s", link->name);
	found->count++;
}

int network_ifbs_find(const struct network_record *record, struct netlink *route,
		      struct network_ifbs *out, struct error *err)
{
	struct error why;
	struct search search;
	int result, tries = 0;

	/* while others come and go the kernel may say that it has missed some */
	do {
		why = (struct error)ERROR_INIT;
		search = (struct search){.record = record};
		result = link_each(route, look_at_link, &search, &why);
	} while (result == -EINTR && ++tries < LOOKS_MAX);
	if (result < 0 && err)
		*err = why;
	*out = search.found;
	return result;
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

int network_ifbs_undo(const struct network_record *record, struct netlink *route, struct error *err)
{
	const int64_t deadline_ns = clock_now_ns() + WAIT_MAX_NS;
	struct network_ifbs left;
	int result;

	do {
		result = network_ifbs_find(record, route, &left, err);
		if (result == 0 && left.count)
			result = delete_link(route, left.index, deadline_ns, err);
	} while (result == 0 && left.count > 1);
	return result;
}

void network_ifbs_say(const struct network_record *record, const struct network_ifbs *seen,
		      const char *prefix, char *out, size_t size)
{
	const unsigned made = record->index > 0 ? (unsigned)record->index : 1;
	const unsigned count = seen->count ? seen->count : made;
	size_t length = (size_t)snprintf(out, size, "interface%s of %s:", count == 1 ? "" : "s",
					 record->table);

	for (unsigned i = 0; i < count && length < size; i++) {
		char name[24];

		if (i == NETWORK_IFBS_SHOWN) {
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
