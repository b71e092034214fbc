/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Undoing and verifying the network fault from its journal records, in the worker, the guardian or
 * a later `squall restore`. What does not carry our marks any more is not ours and is left alone.
 */
#include "faults/network.h"

#include "faults/network_gate.h"
#include "faults/network_group.h"
#include "faults/network_hold.h"
#include "faults/network_ifbs.h"
#include "faults/target_namespace.h"
#include "injector/base/cleanup.h"
#include "injector/base/shell_word.h"
#include "injector/kernel/bpf.h"
#include "injector/kernel/link.h"

#include <netinet/in.h> /* before linux/: they share types */

#include <errno.h>
#include <linux/ip.h>
#include <linux/netfilter.h>
#include <string.h>

#define SAYS_AFTER 256 /* room for what follows the commands in their line */

static struct network_state *live;
static pid_t live_in; /* a guardian is forked with the list, but has closed the sockets in it */

void network_register(struct network_state *state)
{
	state->next = live;
	live = state;
	live_in = getpid();
}

void network_unregister(struct network_state *state)
{
	for (struct network_state **at = &live; *at; at = &(*at)->next)
		if (*at == state) {
			*at = state->next;
			return;
		}
}

struct network_state *network_first_live(void)
{
	return live_in == getpid() ? live : NULL;
}

struct network_state *network_live(const struct namespace_id *namespace_id, const char *table)
{
	for (struct network_state *state = network_first_live(); state; state = state->next)
		if (namespace_is_same(&state->record.namespace_id, namespace_id) &&
		    (!table || strcmp(state->record.table, table) == 0))
			return state;
	return NULL;
}

static bool needs_loopback_settings(const struct network_state *state,
				    const struct namespace_id *namespace_id)
{
	return state->owns_loopback_settings && state->phase != NETWORK_IDLE &&
	       namespace_is_same(&state->record.namespace_id, namespace_id);
}

uint32_t network_inherit_setting(const struct network_state *state, unsigned setting,
				 uint32_t value)
{
	for (const struct network_state *other = network_first_live(); other; other = other->next)
		if (other != state && needs_loopback_settings(other, &state->record.namespace_id))
			return other->loopback_old[setting == IPV4_DEVCONF_ACCEPT_LOCAL];
	return value;
}

/* Conversations in the record's namespace: of a live state of this process, or new ones. */
struct access {
	struct netlink *route, *netfilter;
	struct network_state *lender; /* owns them, or NULL */
	int namespace_fd;
};

static void access_close(struct access *access)
{
	if (!access->lender) {
		netlink_close(access->route);
		netlink_close(access->netfilter);
	}
	if (access->namespace_fd >= 0)
		close(access->namespace_fd);
}

/* The inode number of a namespace that is gone may be given to a new one. */
static bool is_another(const struct netlink *there, const struct network_record *record)
{
	uint64_t cookie = netlink_namespace_cookie(there);

	return cookie && record->namespace_cookie && cookie != record->namespace_cookie;
}

/* -ENOENT: the namespace is gone, and everything in it with it. */
static int access_open(const struct network_record *record, struct access *out, struct error *err)
{
	struct access access = {.namespace_fd = -1};
	int result;

	access.lender = network_live(&record->namespace_id, NULL);
	if (access.lender && access.lender->netfilter) {
		access.route = access.lender->route;
		access.netfilter = access.lender->netfilter;
		*out = access;
		return 0;
	}
	access.lender = NULL;
	result = namespace_find(&record->namespace_id, &access.namespace_fd, err);
	if (result == 0)
		result = netlink_open(access.namespace_fd, &access.route, err);
	if (result == 0 && is_another(access.route, record))
		result = error_set(err, ENOENT, "the network namespace %llu is another one by now",
				   (unsigned long long)record->namespace_id.inode);
	if (result == 0)
		result = netlink_open_netfilter(access.namespace_fd, &access.netfilter, err);
	if (result < 0) {
		access_close(&access);
		return result;
	}
	*out = access;
	return 0;
}

/* A table with an owner vanishes with it. Any left by a dying process is waited for. */
static int undo_table(const struct network_record *record, struct access *access, struct error *err)
{
	struct network_state *own = network_live(&record->namespace_id, record->table);

	if (own) { /* end() was not called, or failed: without a table nothing goes to the lines */
		network_cut(own);
		network_clear(own);
		own->phase = NETWORK_IDLE;
	}
	return nft_remove_table(access->netfilter, NFPROTO_NETDEV, record->table, err);
}

static int undo_filters(const struct network_record *record, struct access *access,
			struct error *err)
{
	struct network_state *own = network_live(&record->namespace_id, record->table);

	if (own) {
		network_cut(own);
		network_clear(own);
		own->phase = NETWORK_IDLE;
	}
	return network_gate_undo_filters(record, access->route, err);
}

/* Programs at control groups vanish with their links, and those with their process. */
static int undo_group(const struct network_record *record, struct error *err)
{
	struct network_state *own = network_live(&record->namespace_id, record->table);

	if (own)
		network_cut(own);
	if (own)
		network_group_detach(own);
	return bpf_links_undo(record->link, err);
}

static int verify_group(const struct network_record *record, bool *out_gone, char *out_left,
			size_t left_size, struct error *err)
{
	char commands[256];
	int result = bpf_links_say(record->link, commands, sizeof(commands), err);

	if (result < 0)
		return result;
	*out_gone = result == 0;
	snprintf(out_left, left_size,
		 "BPF programs %s at control groups; by hand (package bpftool): %s", record->link,
		 commands);
	return 0;
}

static int undo_setting(const struct network_record *record, struct access *access,
			struct error *err)
{
	uint32_t value;
	int result;

	for (struct network_state *state = network_first_live(); state; state = state->next)
		if (needs_loopback_settings(state, &record->namespace_id))
			return 0; /* its own record gives the setting back */
	result = link_get_ipv4(access->route, record->index, record->setting, &value, err);
	if (result == -ENODEV || (result == 0 && value != record->our_value))
		return 0;
	if (result == 0 && value != record->old_value)
		result = link_set_ipv4(access->route, record->index, record->setting,
				       record->old_value, err);
	return result;
}

static int read_record(const struct journal_record *record, struct network_record *out,
		       struct error *err)
{
	memcpy(out, record->payload, sizeof(*out));
	out->namespace_name[sizeof(out->namespace_name) - 1] = '\0';
	out->table[sizeof(out->table) - 1] = '\0';
	out->link[sizeof(out->link) - 1] = '\0';
	out->alias[sizeof(out->alias) - 1] = '\0';
	out->identity.kind[sizeof(out->identity.kind) - 1] = '\0';
	if (record->type < NETWORK_RECORD_TABLE || record->type > NETWORK_RECORD_HOLD)
		return error_set(err, EINVAL, "unknown network record %u", record->type);
	/* It goes into the command that undoes it by hand */
	if (record->type != NETWORK_RECORD_IPV4 &&
	    out->table[strspn(out->table, "abcdefghijklmnopqrstuvwxyz0123456789_")] != '\0')
		return error_set(err, EINVAL, "damaged network record");
	return 0;
}

int network_undo(const struct journal_record *record, struct error *err)
{
	struct network_record what;
	struct access access;
	int result = read_record(record, &what, err);

	if (result < 0)
		return result;
	if (record->type == NETWORK_RECORD_GROUP) /* of the machine, not of a namespace */
		return undo_group(&what, err);
	result = access_open(&what, &access, err);
	if (result == -ENOENT)
		return 0;
	if (result < 0)
		return result;
	if (record->type == NETWORK_RECORD_TABLE)
		result = undo_table(&what, &access, err);
	else if (record->type == NETWORK_RECORD_LINK)
		result = network_ifbs_undo(&what, access.route, err);
	else if (record->type == NETWORK_RECORD_FILTER)
		result = undo_filters(&what, &access, err);
	else if (record->type == NETWORK_RECORD_CLSACT)
		result = network_gate_undo_clsact(&what, access.route, err);
	else if (record->type == NETWORK_RECORD_HOLD)
		result = network_hold_undo(&what, access.route, err);
	else
		result = undo_setting(&what, &access, err);
	access_close(&access);
	return result;
}

static const char *setting_name(const struct network_record *record)
{
	return record->setting == IPV4_DEVCONF_ACCEPT_LOCAL ? "accept_local" : "route_localnet";
}

/* What was seen of it. */
struct look {
	bool is_gone, is_shared;
	struct gate_filters filters;
	struct network_ifbs links;
	char link[16]; /* the name that the interface has by now */
};

/* Whole commands only: one that is cut off would take more away. */
static void say_filters(const char *table, const struct look *look, const char *prefix,
			const char *link, char *out, size_t size)
{
	const struct gate_filters *filters = &look->filters;
	size_t length = (size_t)snprintf(
		out, size, "filter%s %s of %s:", filters->count == 1 ? "" : "s", table, look->link);

	for (unsigned i = 0; i < filters->count && length < size; i++) {
		int more = snprintf(out + length, size - length, "%s %stc filter delete dev %s %s",
				    i ? ";" : "", prefix, link, filters->names[i]);

		if ((size_t)more + SAYS_AFTER >= size - length) {
			snprintf(out + length, size - length, "; squall restore");
			return;
		}
		length += (size_t)more;
	}
}

/* What it is, and the command that takes it away; of a filter only after a look. Whoever may make
 * interfaces, or namespaces, gives them names as he likes. */
static void say_left(const struct network_record *record, unsigned type, const struct look *look,
		     char *out, size_t size)
{
	char prefix[TARGET_NAMESPACE_PREFIX], link[4 * sizeof(record->link) + SHELL_WORD_MORE] = "";

	target_namespace_prefix(record->namespace_name, &record->namespace_id, prefix,
				sizeof(prefix));
	shell_word_add(look->link, link, sizeof(link));
	if (!shell_word_is_plain(prefix) || !shell_word_is_plain(link))
		snprintf(out, size,
			 "%s: no command is shown, since a name in it is no plain text; run: "
			 "squall restore",
			 record->table[0] ? record->table : look->link);
	else if (type == NETWORK_RECORD_TABLE)
		snprintf(out, size, "table %s: %snft delete table netdev %s", record->table, prefix,
			 record->table);
	else if (type == NETWORK_RECORD_LINK)
		network_ifbs_say(record, &look->links, prefix, out, size);
	else if (type == NETWORK_RECORD_HOLD)
		snprintf(out, size, "interface %s: %sip link delete %s", record->link, prefix,
			 link);
	else if (type == NETWORK_RECORD_FILTER)
		say_filters(record->table, look, prefix, link, out, size);
	else if (type == NETWORK_RECORD_CLSACT && look->is_shared)
		snprintf(out, size,
			 "clsact of %s: filters of other steps or runs are in it; when they have "
			 "ended, run: squall restore",
			 look->link);
	else if (type == NETWORK_RECORD_CLSACT)
		snprintf(out, size, "clsact of %s: %stc qdisc delete dev %s clsact", look->link,
			 prefix, link);
	else
		snprintf(out, size, "setting %s of lo: %ssysctl net.ipv4.conf.lo.%s=%u",
			 setting_name(record), prefix, setting_name(record), record->old_value);
}

/* Its number stays; somebody else's may have its old name. */
static int see_name(const struct network_record *record, struct access *access, struct look *out,
		    struct error *err)
{
	struct link link;
	int result = link_get(access->route, record->index, &link, NULL);

	if (result == 0)
		snprintf(out->link, sizeof(out->link), "%s", link.name);
	else if (result == -ENODEV)
		out->is_gone = true;
	else
		return error_errno(err, -result, "cannot look at interface %d", record->index);
	return 0;
}

static int verify_one(const struct network_record *record, unsigned type, struct access *access,
		      struct look *out, struct error *err)
{
	uint32_t value;
	int result;

	if (type == NETWORK_RECORD_TABLE) {
		result = nft_find_table(access->netfilter, NFPROTO_NETDEV, record->table, &value,
					err);
		out->is_gone = result == -ENOENT;
	} else if (type == NETWORK_RECORD_LINK) {
		result = network_ifbs_find(record, access->route, &out->links, err);
		out->is_gone = result == 0 && !out->links.count;
	} else if (type == NETWORK_RECORD_HOLD) {
		result = network_hold_find(record, access->route, &out->is_gone, err);
	} else if (type == NETWORK_RECORD_FILTER) {
		result = network_gate_filters_left(record, access->route, &out->filters, err);
		out->is_gone = out->filters.count == 0;
	} else if (type == NETWORK_RECORD_CLSACT) {
		result = network_gate_clsact_gone(record, access->route, &out->is_gone,
						  &out->is_shared, err);
	} else {
		result = link_get_ipv4(access->route, record->index, record->setting, &value, err);
		out->is_gone =
			result == -ENODEV ||
			(result == 0 && (value != record->our_value || value == record->old_value));
		for (struct network_state *state = network_first_live(); state; state = state->next)
			out->is_gone |= needs_loopback_settings(state, &record->namespace_id);
	}
	if (result == 0 && !out->is_gone &&
	    (type == NETWORK_RECORD_FILTER || type == NETWORK_RECORD_CLSACT))
		result = see_name(record, access, out, err);
	return result == -ENOENT || result == -ENODEV ? 0 : result;
}

int network_verify(const struct journal_record *record, bool *out_gone, char *out_left,
		   size_t left_size, struct error *err)
{
	struct network_record what;
	struct access access;
	struct look look = {0};
	int result = read_record(record, &what, err);

	if (result < 0)
		return result;
	if (record->type == NETWORK_RECORD_GROUP)
		return verify_group(&what, out_gone, out_left, left_size, err);
	result = access_open(&what, &access, err);
	if (result == -ENOENT) {
		*out_gone = true;
		return 0;
	}
	snprintf(look.link, sizeof(look.link), "%s", what.link);
	if (result == 0) {
		result = verify_one(&what, record->type, &access, &look, err);
		access_close(&access);
	}
	/* typed without a look, the others could take away what is somebody else's by now */
	if (!look.is_gone &&
	    (result == 0 || record->type == NETWORK_RECORD_TABLE ||
	     record->type == NETWORK_RECORD_LINK || record->type == NETWORK_RECORD_HOLD))
		say_left(&what, record->type, &look, out_left, left_size);
	if (result == 0)
		*out_gone = look.is_gone;
	return result;
}
