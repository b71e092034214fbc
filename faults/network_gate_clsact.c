/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Whose clsact it is, which filters in it are ours, and how both go again from the record alone. A
 * clsact that a run of ours has added is known by its filters' names, which end in a mark.
 */
#include "faults/network_gate.h"

#include <errno.h>
#include <string.h>

struct clsact_search {
	bool is_clsact, is_other; /* another kind of qdisc stands in its place */
	char kind[16];
};

static void look_at_qdisc(void *context, const struct qdisc *qdisc)
{
	struct clsact_search *search = context;

	if (qdisc->parent != TC_H_CLSACT) /* the same number as TC_H_INGRESS */
		return;
	search->is_clsact = strcmp(qdisc->kind, "clsact") == 0;
	search->is_other = !search->is_clsact;
	snprintf(search->kind, sizeof(search->kind), "%s", qdisc->kind);
}

struct filter_count {
	unsigned all, of_owners;
};

static void count_filter(void *context, const struct filter *filter)
{
	struct filter_count *count = context;
	size_t length = strlen(filter->name);

	/* a classifier without filters is listed as well, with handle 0 */
	if (filter->handle == 0)
		return;
	count->all++;
	count->of_owners += strncmp(filter->name, "squall_", 7) == 0 &&
			    filter->name[length - 1] == GATE_OWNER_MARK[0];
}

static int count_filters(struct netlink *netlink, int index, struct filter_count *out,
			 struct error *err)
{
	int result;

	*out = (struct filter_count){0};
	result = filter_each(netlink, index, QDISC_EGRESS, count_filter, out, err);
	if (result == 0)
		result = filter_each(netlink, index, QDISC_INGRESS, count_filter, out, err);
	return result;
}

int network_gate_look_for_clsact(struct netlink *netlink, const struct network_path *path,
				 bool *out_exists, bool *out_is_ours, struct error *err)
{
	struct clsact_search search = {0};
	struct filter_count count = {0};
	int result = qdisc_each(netlink, path->index, look_at_qdisc, &search, err);

	if (result == 0 && search.is_other && !path->is_ingress) {
		error_set(err, EBUSY, "interface %s has a qdisc '%s' where clsact would be needed",
			  path->interface, search.kind);
		return error_remedy(err, "replace it by clsact, which can do the same");
	}
	if (result == 0)
		result = count_filters(netlink, path->index, &count, err);
	if (result < 0)
		return result;
	*out_exists = search.is_clsact || search.is_other;
	*out_is_ours = !*out_exists || count.of_owners > 0;
	return 0;
}

struct name_search {
	const char *name;
	struct filter found;
	bool is_found;
};

static void look_for_name(void *context, const struct filter *filter)
{
	struct name_search *search = context;
	size_t length = strlen(search->name);

	if (search->is_found || filter->handle == 0 ||
	    strncmp(filter->name, search->name, length) != 0 ||
	    (filter->name[length] && strcmp(filter->name + length, GATE_OWNER_MARK) != 0))
		return;
	search->found = *filter;
	search->is_found = true;
}

static int find_filter(struct netlink *netlink, int index, enum qdisc_hook hook, const char *name,
		       struct name_search *out, struct error *err)
{
	*out = (struct name_search){.name = name};
	return filter_each(netlink, index, hook, look_for_name, out, err);
}

int network_gate_find_filter(struct netlink *netlink, int index, enum qdisc_hook hook,
			     const char *name, bool *out_found, struct error *err)
{
	struct name_search search;
	int result = find_filter(netlink, index, hook, name, &search, err);

	*out_found = search.is_found;
	return result;
}

static int delete_named(struct netlink *netlink, int index, enum qdisc_hook hook, const char *name,
			struct error *err)
{
	struct name_search search;
	int result;

	do {
		result = find_filter(netlink, index, hook, name, &search, err);
		if (result == 0 && search.is_found)
			result = filter_delete(netlink, index, &search.found, err);
	} while (result == 0 && search.is_found);
	return result == -ENOENT || result == -ENODEV ? 0 : result;
}

int network_gate_undo_filters(const struct network_record *record, struct netlink *netlink,
			      struct error *err)
{
	int result = delete_named(netlink, record->index, QDISC_EGRESS, record->table, err);

	if (result == 0)
		result = delete_named(netlink, record->index, QDISC_INGRESS, record->table, err);
	return result;
}

int network_gate_filters_gone(const struct network_record *record, struct netlink *netlink,
			      bool *out_gone, struct error *err)
{
	struct name_search egress, ingress;
	int result = find_filter(netlink, record->index, QDISC_EGRESS, record->table, &egress, err);

	if (result == 0)
		result = find_filter(netlink, record->index, QDISC_INGRESS, record->table, &ingress,
				     err);
	*out_gone = result == 0 && !egress.is_found && !ingress.is_found;
	return result;
}

/* Of use to nobody: no filter is left in it. */
static int is_idle_clsact(struct netlink *netlink, int index, bool *out, struct error *err)
{
	struct clsact_search search = {0};
	struct filter_count count = {0};
	int result = qdisc_each(netlink, index, look_at_qdisc, &search, err);

	if (result == 0)
		result = count_filters(netlink, index, &count, err);
	*out = result == 0 && search.is_clsact && count.all == 0;
	return result;
}

int network_gate_undo_clsact(const struct network_record *record, struct netlink *netlink,
			     struct error *err)
{
	bool is_idle;
	int result = is_idle_clsact(netlink, record->index, &is_idle, err);

	if (result == 0 && is_idle)
		result = qdisc_delete_clsact(netlink, record->index, err);
	return result == -ENOENT || result == -ENODEV || result == -EINVAL ? 0 : result;
}

int network_gate_clsact_gone(const struct network_record *record, struct netlink *netlink,
			     bool *out_gone, struct error *err)
{
	bool is_idle;
	int result = is_idle_clsact(netlink, record->index, &is_idle, err);

	*out_gone = result == 0 && !is_idle;
	return result;
}
