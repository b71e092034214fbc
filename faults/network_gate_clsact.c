/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Whose clsact it is, which filters in it are ours, how one comes behind its record, and how both
 * go again from the record alone. A clsact that a run of ours has added is known by its filters'
 * names, which end in a mark.
 */
#include "faults/network_gate.h"

#include <errno.h>
#include <string.h>

/* Of an interface: its clsact, its filters, and that each is gone again. */
#define RECORDS_EACH 4

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

/* Of the clsact at an interface. Seen from a record (or none): whose filters are in it? */
struct filter_count {
	const struct network_record *record;
	unsigned all, of_owners;
	unsigned own;		  /* of the record's run, of steps that are over */
	unsigned of_other_steps;  /* of ours, also of other runs: each takes its own away */
	unsigned of_other_owners; /* and these the clsact behind them */
	unsigned of_users;
};

static bool is_named(const struct filter *filter, const char *name)
{
	size_t length = strlen(name);

	return strncmp(filter->name, name, length) == 0 &&
	       (!filter->name[length] || strcmp(filter->name + length, GATE_OWNER_MARK) == 0);
}

static bool is_of_owner(const struct filter *filter)
{
	return filter->name[0] && filter->name[strlen(filter->name) - 1] == GATE_OWNER_MARK[0];
}

/* The step of that filter is of this process, and not over: what it has it still needs. */
static bool is_in_force(const struct network_record *record, const struct filter *filter)
{
	char table[sizeof(record->table)];
	const struct network_state *state;

	snprintf(table, sizeof(table), "%.*s", (int)strcspn(filter->name, GATE_OWNER_MARK),
		 filter->name);
	state = network_live(&record->namespace_id, table);
	return state && state->phase != NETWORK_IDLE;
}

/* "squall_RUN_STEP": of the same run */
static bool is_of_run(const struct network_record *record, const struct filter *filter)
{
	const char *step = strrchr(record->table, '_');

	return step &&
	       strncmp(filter->name, record->table, (size_t)(step + 1 - record->table)) == 0;
}

static bool is_own(const struct network_record *record, const struct filter *filter)
{
	return is_named(filter, record->table) ||
	       (is_of_run(record, filter) && !is_in_force(record, filter));
}

static void count_filter(void *context, const struct filter *filter)
{
	struct filter_count *count = context;
	bool is_ours = strncmp(filter->name, "squall_", 7) == 0;

	/* a classifier without filters is listed as well, with handle 0 */
	if (filter->handle == 0)
		return;
	count->all++;
	count->of_owners += is_ours && is_of_owner(filter);
	if (!is_ours) {
		count->of_users++;
	} else if (count->record && is_own(count->record, filter)) {
		count->own++;
	} else {
		count->of_other_steps++;
		count->of_other_owners += is_of_owner(filter);
	}
}

static int count_filters(struct netlink *netlink, int index, struct filter_count *out,
			 struct error *err)
{
	int result = filter_each(netlink, index, QDISC_EGRESS, count_filter, out, err);

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
	uint32_t priority; /* 0: any */
	struct filter found;
	bool is_found;
};

static void look_for_name(void *context, const struct filter *filter)
{
	struct name_search *search = context;

	if (search->is_found || filter->handle == 0 ||
	    (search->priority && filter->priority != search->priority) ||
	    !is_named(filter, search->name))
		return;
	search->found = *filter;
	search->is_found = true;
}

static int find_filter(struct netlink *netlink, int index, enum qdisc_hook hook, const char *name,
		       uint32_t priority, struct name_search *out, struct error *err)
{
	*out = (struct name_search){.name = name, .priority = priority};
	return filter_each(netlink, index, hook, look_for_name, out, err);
}

int network_gate_find_filter(struct netlink *netlink, int index, enum qdisc_hook hook,
			     const char *name, uint32_t priority, bool *out_found,
			     struct error *err)
{
	struct name_search search;
	int result = find_filter(netlink, index, hook, name, priority, &search, err);

	*out_found = search.is_found;
	return result;
}

static int delete_named(struct netlink *netlink, int index, enum qdisc_hook hook, const char *name,
			struct error *err)
{
	struct name_search search;
	int result;

	do {
		result = find_filter(netlink, index, hook, name, 0, &search, err);
		if (result == 0 && search.is_found)
			result = filter_delete(netlink, index, &search.found, err);
	} while (result == 0 && search.is_found);
	return result == -ENOENT || result == -ENODEV ? 0 : result;
}

/* The clsact that they are in goes with them where they say that a run of ours has added it, and
 * nobody else has any there. Once they are gone it may be anybody's. */
static bool delete_with_clsact(const struct network_record *record, struct netlink *netlink)
{
	struct filter_count count = {.record = record};

	return count_filters(netlink, record->index, &count, NULL) == 0 && count.of_owners > 0 &&
	       count.all == count.own && qdisc_delete_clsact(netlink, record->index, NULL) == 0;
}

int network_gate_undo_filters(const struct network_record *record, struct netlink *netlink,
			      struct error *err)
{
	int result;

	if (delete_with_clsact(record, netlink))
		return 0;
	result = delete_named(netlink, record->index, QDISC_EGRESS, record->table, err);

	if (result == 0)
		result = delete_named(netlink, record->index, QDISC_INGRESS, record->table, err);
	return result;
}

struct left_search {
	const char *name, *hook;
	struct gate_filters found;
};

static void list_left(void *context, const struct filter *filter)
{
	struct left_search *search = context;
	struct gate_filters *found = &search->found;

	if (filter->handle == 0 || !is_named(filter, search->name) ||
	    found->count == sizeof(found->names) / sizeof(*found->names))
		return;
	snprintf(found->names[found->count++], sizeof(*found->names), "%s pref %u handle 0x%x bpf",
		 search->hook, filter->priority, filter->handle);
}

int network_gate_filters_left(const struct network_record *record, struct netlink *netlink,
			      struct gate_filters *out, struct error *err)
{
	struct left_search search = {.name = record->table, .hook = "egress"};
	int result = filter_each(netlink, record->index, QDISC_EGRESS, list_left, &search, err);

	search.hook = "ingress";
	if (result == 0)
		result =
			filter_each(netlink, record->index, QDISC_INGRESS, list_left, &search, err);
	*out = search.found;
	return result;
}

/* Its number may have been given to another one, also with its name, which has another address; one
 * that was renamed keeps its address. Without an address the name has to tell. Only asked when no
 * filter of ours is there, which would tell more. */
static bool is_another(const struct network_record *record, const struct link *link)
{
	static const uint8_t none[LINK_ADDRESS_SIZE];
	const struct network_identity *identity = &record->identity;

	if (identity->kind[0] && strcmp(identity->kind, link->kind) != 0)
		return true;
	if (memcmp(identity->address, none, sizeof(none)) != 0)
		return memcmp(identity->address, link->address, sizeof(none)) != 0;
	return strcmp(record->link, link->name) != 0;
}

/* The clsact that the record is about, and what is in it; false: there is none. */
static int look_into_clsact(const struct network_record *record, struct netlink *netlink,
			    struct filter_count *out, bool *out_exists, struct error *err)
{
	struct clsact_search search = {0};
	struct link link;
	int result = link_get(netlink, record->index, &link, NULL);

	*out = (struct filter_count){.record = record};
	*out_exists = false;
	if (result == -ENODEV)
		return 0;
	if (result < 0)
		return error_errno(err, -result, "cannot look at interface %d", record->index);
	result = qdisc_each(netlink, record->index, look_at_qdisc, &search, err);
	if (result == 0)
		result = count_filters(netlink, record->index, out, err);
	*out_exists = search.is_clsact && (out->own > 0 || !is_another(record, &link));
	return result;
}

/* Once it is of use to nobody: no filter is left in it but our own of steps that are over. */
int network_gate_undo_clsact(const struct network_record *record, struct netlink *netlink,
			     struct error *err)
{
	struct filter_count count;
	bool exists;
	int result = look_into_clsact(record, netlink, &count, &exists, err);

	if (result == 0 && exists && count.all == count.own)
		result = qdisc_delete_clsact(netlink, record->index, err);
	return result == -ENOENT || result == -ENODEV || result == -EINVAL ? 0 : result;
}

/* One with filters of the user's is his, and one with those of another step or run theirs, if they
 * take it away. As long as one of our own is in it, which could not be removed, it is still to be
 * removed behind that: of two steps, neither may leave it to the other. */
int network_gate_clsact_gone(const struct network_record *record, struct netlink *netlink,
			     bool *out_gone, bool *out_shared, struct error *err)
{
	struct filter_count count;
	bool exists;
	int result = look_into_clsact(record, netlink, &count, &exists, err);

	if (result == -ENOENT || result == -ENODEV) { /* just now, with its interface */
		exists = false;
		result = 0;
	}
	*out_gone = result == 0 && (!exists || count.of_users > 0 ||
				    (count.of_other_owners > 0 && count.own == 0));
	*out_shared = count.of_other_steps > 0;
	return result;
}

static struct network_record record_of(const struct network_state *state, int index,
				       const struct network_path *path)
{
	struct network_record record = state->record;

	record.index = index;
	record.identity = path->identity;
	snprintf(record.link, sizeof(record.link), "%s", path->interface);
	return record;
}

static int write_record(const struct network_state *state, const struct fault *fault,
			enum network_record_type type, struct network_path *path, struct error *err)
{
	const struct network_record record = record_of(state, path->index, path);
	int sequence = journal_undo(fault->env->journal, fault->ops->name, fault->step, type,
				    &record, sizeof(record), err);

	if (sequence < 0)
		return sequence;
	path->records[type == NETWORK_RECORD_CLSACT] = (uint32_t)sequence;
	return 0;
}

static int identify(const struct network_state *state, struct network_path *path, struct error *err)
{
	struct link link;
	int result = link_get(state->route, path->index, &link, err);

	if (result < 0)
		return result;
	memcpy(path->identity.kind, link.kind, sizeof(link.kind));
	memcpy(path->identity.address, link.address, sizeof(link.address));
	return 0;
}

int network_gate_add_clsact(struct network_state *state, const struct fault *fault,
			    struct network_path *path, struct error *err)
{
	bool exists, is_ours = false;
	int result = network_gate_look_for_clsact(state->route, path, &exists, &is_ours, err);

	path->records[0] = path->records[1] = 0;
	for (unsigned i = 0; i < state->path_count; i++)
		if (state->paths[i].index == path->index)
			state->paths[i].owns_clsact = is_ours;
	if (result == 0 && is_ours)
		result = identify(state, path, err);
	if (result == 0 && is_ours)
		result = write_record(state, fault, NETWORK_RECORD_CLSACT, path, err);
	if (result == 0 && !exists)
		result = qdisc_add_clsact(state->route, path->index, err);
	if (result == 0)
		result = write_record(state, fault, NETWORK_RECORD_FILTER, path, err);
	return result;
}

int network_gate_check_room(const struct fault *fault, struct error *err)
{
	const unsigned at_each = fault->target->interface_count * RECORDS_EACH;
	const unsigned injection = at_each > JOURNAL_INJECTION ? at_each : JOURNAL_INJECTION;

	if (journal_room(fault->env->journal) >=
	    fault->env->injections_left * injection + JOURNAL_INJECTION)
		return 0;
	return error_set(
		err, ENOSPC,
		"the rest of the journal is kept for what is still to be injected; so many "
		"interfaces have come and gone");
}

/* The filters go by their name wherever that number is now; the clsact only where one of ours was,
 * for a number may have been given away again. */
static int remove_from(const struct network_state *state, const struct network_path *path,
		       const struct network_record *record, bool is_gone)
{
	struct gate_filters left;
	int result = network_gate_filters_left(record, state->route, &left, NULL);

	if (result == -ENODEV || result == -ENOENT)
		return 0;
	if (result < 0 || (is_gone && !left.count))
		return result;
	result = network_gate_undo_filters(record, state->route, NULL);
	if (result == 0 && path->records[1])
		result = network_gate_undo_clsact(record, state->route, NULL);
	return result;
}

/* What was written down before it was done is done with. */
bool network_gate_remove_interface(struct network_state *state, const struct fault *fault,
				   int index)
{
	bool is_removed = true;

	for (unsigned i = 0; i < state->path_count; i++) {
		struct network_path *path = &state->paths[i];
		const struct network_record record = record_of(state, index, path);

		if (path->left_index != index || !(path->records[0] || path->records[1]))
			continue;
		if (remove_from(state, path, &record, path->is_gone) < 0) {
			is_removed = false;
			continue;
		}
		for (unsigned k = 0; k < 2; k++)
			if (path->records[k])
				journal_done(fault->env->journal, path->records[k], NULL);
		path->records[0] = path->records[1] = 0;
	}
	return is_removed;
}
