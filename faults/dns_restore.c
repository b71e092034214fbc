/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Undoing and verifying the dns fault from its journal record, in the worker, the guardian or a
 * later `squall restore`. The table vanishes with its owner, so there is mostly nothing to do but
 * to look.
 */
#include "faults/dns.h"

#include <string.h>
#include <unistd.h>

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
static void finish_own(const struct redirect_record *record)
{
	if (live_in != getpid())
		return;
	for (struct dns_state *state = live; state; state = state->next)
		if (namespace_is_same(&state->record.namespace_id, &record->namespace_id) &&
		    strcmp(state->record.table, record->table) == 0)
			dns_finish(state);
}

int dns_undo(const struct journal_record *record, struct error *err)
{
	struct redirect_record what;
	int result = redirect_read(record, DNS_RECORD_TABLE, &what, err);

	if (result < 0)
		return result;
	finish_own(&what);
	return redirect_undo(&what, err);
}

int dns_verify(const struct journal_record *record, bool *out_gone, char *out_left,
	       size_t left_size, struct error *err)
{
	struct redirect_record what;
	int result = redirect_read(record, DNS_RECORD_TABLE, &what, err);

	return result < 0 ? result : redirect_verify(&what, out_gone, out_left, left_size, err);
}
