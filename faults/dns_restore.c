/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Undoing and verifying the dns fault from its journal record, in the worker, the guardian or a
 * later `squall restore`. The table vanishes with its owner, so there is mostly nothing to do but
 * to look.
 */
#include "faults/dns.h"

#include "faults/target_namespace.h"
#include "injector/base/cleanup.h"
#include "injector/base/shell_word.h"
#include "injector/kernel/nft.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <string.h>

static struct dns_state *live;
static pid_t live_in; /* a guardian is forked with the list, but has closed the sockets in it */

void dns_register(struct dns_state *state)
{
	state->next = live;
	live = state;
	live_in = getpid();
}

void dns_unregister(struct dns_state *state)
{
	for (struct dns_state **at = &live; *at; at = &(*at)->next)
		if (*at == state) {
			*at = state->next;
			return;
		}
}

/* end() was not called, or failed. */
static void finish_own(const struct dns_record *record)
{
	if (live_in != getpid())
		return;
	for (struct dns_state *state = live; state; state = state->next)
		if (namespace_is_same(&state->record.namespace_id, &record->namespace_id) &&
		    strcmp(state->record.table, record->table) == 0)
			dns_finish(state);
}

static int read_record(const struct journal_record *record, struct dns_record *out,
		       struct error *err)
{
	memcpy(out, record->payload, sizeof(*out));
	out->namespace_name[sizeof(out->namespace_name) - 1] = '\0';
	out->table[sizeof(out->table) - 1] = '\0';
	if (record->type != DNS_RECORD_TABLE)
		return error_set(err, EINVAL, "unknown dns record %u", record->type);
	/* It goes into the text of a transaction */
	if (!out->table[0] ||
	    out->table[strspn(out->table, "abcdefghijklmnopqrstuvwxyz0123456789_")] != '\0')
		return error_set(err, EINVAL, "damaged dns record");
	return 0;
}

/* -ENOENT: the namespace is gone, and everything in it with it. */
static int open_namespace(const struct dns_record *record, int *out_fd, struct netlink **out,
			  struct error *err)
{
	int result = namespace_find(&record->namespace_id, out_fd, err);

	return result < 0 ? result : netlink_open_netfilter(*out_fd, out, err);
}

int dns_undo(const struct journal_record *record, struct error *err)
{
	cleanup_fd int namespace_fd = -1;
	struct netlink *netfilter = NULL;
	struct dns_record what;
	int result = read_record(record, &what, err);

	if (result < 0)
		return result;
	finish_own(&what);
	result = open_namespace(&what, &namespace_fd, &netfilter, err);
	if (result < 0)
		return result == -ENOENT ? 0 : result;
	result = nft_remove_table(netfilter, NFPROTO_INET, what.table, err);
	netlink_close(netfilter);
	return result;
}

static void say_left(const struct dns_record *what, char *out, size_t size)
{
	char prefix[TARGET_NAMESPACE_PREFIX];

	target_namespace_prefix(what->namespace_name, &what->namespace_id, prefix, sizeof(prefix));
	if (shell_word_is_plain(prefix))
		snprintf(out, size, "table %s: %snft delete table inet %s", what->table, prefix,
			 what->table);
	else
		snprintf(out, size,
			 "table %s: no command is shown, since a name in it is no plain text; run: "
			 "squall restore",
			 what->table);
}

int dns_verify(const struct journal_record *record, bool *out_gone, char *out_left,
	       size_t left_size, struct error *err)
{
	cleanup_fd int namespace_fd = -1;
	struct netlink *netfilter = NULL;
	struct dns_record what;
	uint32_t owner;
	int result = read_record(record, &what, err);

	if (result < 0)
		return result;
	result = open_namespace(&what, &namespace_fd, &netfilter, err);
	if (result == 0)
		result = nft_find_table(netfilter, NFPROTO_INET, what.table, &owner, err);
	netlink_close(netfilter);
	*out_gone = result == -ENOENT;
	if (*out_gone)
		return 0;
	say_left(&what, out_left, left_size); /* also where it cannot be looked at */
	return result;
}
