/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/redirect_state.h"

#include "faults/target_group.h"
#include "faults/target_namespace.h"
#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/base/shell_word.h"
#include "injector/kernel/conntrack.h"
#include "injector/kernel/nft.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <stdio.h>
#include <string.h>

#define DRAIN_SOFT_NS (2 * NSEC_PER_SEC)
#define DRAIN_NOW_NS  (200 * NSEC_PER_MSEC)
#define POLL_NS	      (2 * NSEC_PER_MSEC)

static struct redirect_state *live;
static pid_t live_in; /* a guardian is forked with the list, but has closed the sockets in it */

/* Connections before the table: their last words, also to those that nobody has accepted yet, are
 * still to be translated, or these would wait for an answer without end. The sockets that datagrams
 * are redirected to after it. */
static void finish(struct redirect_state *state)
{
	if (state->responder) {
		responder_hang_up(state->responder);
		state->kind->keep_counters(state);
	}
	netlink_close(state->owner); /* and the table with it */
	state->owner = NULL;
	responder_free(state->responder);
	state->responder = NULL;
	state->phase = REDIRECT_IDLE;
}

/* When the process is killed it is the same: the kernel lets go of the highest descriptor first.
 * Who connects between that and the end of the table, some microseconds, is refused. */
static int start_responder(struct redirect_state *state, const struct fault *fault,
			   struct error *err)
{
	int result = state->kind->new_responder(fault, &state->responder, err);

	if (result == 0)
		result = netlink_open_netfilter(fault->target->namespace_fd, &state->owner, err);
	return result < 0 ? result
			  : responder_start(state->responder, netlink_last_descriptor(state->owner),
					    err);
}

int redirect_inject(struct fault *fault, struct error *err)
{
	struct redirect_state *state = fault->state;
	int result;

	state->mark = redirect_new_mark(state->kind->mark_base);
	result = start_responder(state, fault, err);
	if (result == 0) {
		state->record.port = state->kind->has_zone ? 0 : state->responder->port;
		result = journal_undo(fault->env->journal, fault->ops->name, fault->step,
				      REDIRECT_RECORD_TABLE, &state->record, sizeof(state->record),
				      err);
	}
	if (result >= 0)
		result = state->kind->commit(fault, err);
	if (result < 0) {
		finish(state);
		return result;
	}
	fault->effect_started_ns = clock_now_ns();
	fault->effect_ended_ns = 0;
	state->phase = REDIRECT_ACTIVE;
	return 0;
}

int redirect_commit(struct fault *fault, struct error *err)
{
	const struct redirect_state *state = fault->state;
	struct nft_batch batch;
	char comment[64];

	snprintf(comment, sizeof(comment), "squall run %s step %u", fault->env->run_id,
		 fault->step);
	nft_batch_begin(&batch);
	nft_add_table(&batch, NFPROTO_INET, state->record.table, comment);
	state->kind->add_rules(&(struct redirect_rules){.batch = &batch,
							.target = fault->target,
							.port = state->responder->port,
							.has_ipv6 = state->responder->has_ipv6,
							.mark = state->mark});
	return nft_commit(state->owner, &batch, err);
}

/* Nothing is redirected any more; what was goes on. */
static int soften_table(struct redirect_state *state)
{
	struct nft_batch batch;

	if (!state->owner)
		return -ENOENT;
	nft_batch_begin(&batch);
	nft_use_table(&batch, NFPROTO_INET, state->record.table);
	nft_flush_chain(&batch, state->kind->chain);
	return nft_commit(state->owner, &batch, NULL);
}

int redirect_end(struct fault *fault, enum fault_end how, int64_t *out_again_ns, struct error *err)
{
	struct redirect_state *state = fault->state;
	int64_t now_ns;

	(void)err;
	*out_again_ns = 0;
	if (state->phase == REDIRECT_IDLE)
		return 0;
	if (state->phase == REDIRECT_ACTIVE) {
		bool is_soft = soften_table(state) == 0;

		if (is_soft)
			responder_soften(state->responder);
		else
			finish(state);
		fault->effect_ended_ns = clock_now_ns();
		if (!is_soft)
			return 0;
		state->phase = REDIRECT_DRAINING;
		state->wait_until_ns = fault->effect_ended_ns + DRAIN_SOFT_NS;
	}
	now_ns = clock_now_ns();
	if (how == FAULT_END_NOW && state->wait_until_ns > now_ns + DRAIN_NOW_NS)
		state->wait_until_ns = now_ns + DRAIN_NOW_NS;
	if (now_ns >= state->wait_until_ns || responder_is_empty(state->responder))
		finish(state);
	else
		*out_again_ns = POLL_NS;
	return 0;
}

int redirect_check_in_force(struct redirect_state *state, const struct target *target,
			    struct error *err)
{
	uint32_t owner;
	int result;

	if (state->phase != REDIRECT_ACTIVE)
		return 0;
	result = target_namespace_check(
		&(struct target_namespace){target->namespace_fd, &state->record.namespace_id,
					   state->record.namespace_name, &state->namespace_keeper},
		err);

	if (result < 0)
		return result;
	if (responder_is_broken(state->responder))
		return error_set(err, ESTALE, "the responder has stopped");
	if (state->responder->is_looping)
		return error_set(err, ESTALE,
				 "what is passed on comes back: a rule of the output hook sets the "
				 "priority of packets");
	if (nft_find_table(state->netfilter, NFPROTO_INET, state->record.table, &owner, NULL) ==
	    -ENOENT)
		return error_set(err, ESTALE, "table %s was removed", state->record.table);
	result = redirect_check_links(state->route, target, state->kind->asked, err);
	return result < 0 ? result : target_group_check(target, err);
}

void redirect_register(struct redirect_state *state)
{
	state->next = live;
	live = state;
	live_in = getpid();
}

void redirect_release(struct redirect_state *state)
{
	for (struct redirect_state **at = &live; *at; at = &(*at)->next)
		if (*at == state) {
			*at = state->next;
			break;
		}
	finish(state);
	netlink_close(state->netfilter);
	netlink_close(state->route);
}

/* From the record. */

static int read_record(const struct journal_record *record, struct redirect_record *out,
		       struct error *err)
{
	memcpy(out, record->payload, sizeof(*out));
	out->namespace_name[sizeof(out->namespace_name) - 1] = '\0';
	out->table[sizeof(out->table) - 1] = '\0';
	if (record->type != REDIRECT_RECORD_TABLE)
		return error_set(err, EINVAL, "unknown %s record %u", record->owner, record->type);
	/* It goes into the text of a transaction */
	if (!out->table[0] ||
	    out->table[strspn(out->table, "abcdefghijklmnopqrstuvwxyz0123456789_")] != '\0')
		return error_set(err, EINVAL, "damaged %s record", record->owner);
	return 0;
}

/* -ENOENT: the namespace is gone, and everything in it with it. */
static int open_namespace(const struct redirect_record *record, int *out_fd, struct netlink **out,
			  struct error *err)
{
	uint64_t cookie;
	int result = namespace_find(&record->namespace_id, out_fd, err);

	if (result == 0)
		result = netlink_open_netfilter(*out_fd, out, err);
	if (result < 0)
		return result;
	/* the inode number of a namespace that is gone may be given to a new one */
	cookie = netlink_namespace_cookie(*out);
	if (!cookie || !record->namespace_cookie || cookie == record->namespace_cookie)
		return 0;
	netlink_close(*out);
	*out = NULL;
	return error_set(err, ENOENT, "its network namespace is gone");
}

/* Where a responder was: 127.0.0.1 and ::1. */
static struct sockaddr_storage local_of(unsigned version, uint16_t port)
{
	struct sockaddr_storage local = {0};
	struct sockaddr_in6 *in6 = (void *)&local;
	struct sockaddr_in *in = (void *)&local;

	if (version == 0) {
		in->sin_family = AF_INET;
		in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	} else {
		in6->sin6_family = AF_INET6;
		in6->sin6_addr = in6addr_loopback;
	}
	in->sin_port = htons(port); /* at the same place in both */
	return local;
}

/* Who is redirected to a port that is no more gets a reset. */
static int forget(struct netlink *netfilter, uint16_t port, struct error *err)
{
	int result = 0;

	for (unsigned version = 0; version < 2; version++) {
		struct sockaddr_storage local = local_of(version, port);
		int one = conntrack_forget(netfilter, IPPROTO_TCP, &local, result ? NULL : err);

		if (!result && one < 0)
			result = error_prefix(err, "connection tracking");
	}
	return result;
}

/* end() was not called, or failed. */
static void finish_own(const struct redirect_record *what)
{
	if (live_in != getpid())
		return;
	for (struct redirect_state *state = live; state; state = state->next)
		if (namespace_is_same(&state->record.namespace_id, &what->namespace_id) &&
		    strcmp(state->record.table, what->table) == 0)
			finish(state);
}

int redirect_undo(const struct journal_record *record, struct error *err)
{
	cleanup_fd int namespace_fd = -1;
	struct netlink *netfilter = NULL;
	struct redirect_record what;
	int result = read_record(record, &what, err);

	if (result < 0)
		return result;
	finish_own(&what);
	result = open_namespace(&what, &namespace_fd, &netfilter, err);
	if (result < 0)
		return result == -ENOENT ? 0 : result;
	result = nft_remove_table(netfilter, NFPROTO_INET, what.table, err);
	if (what.port) {
		int forgotten = forget(netfilter, what.port, result ? NULL : err);

		result = result ? result : forgotten;
	}
	netlink_close(netfilter);
	return result;
}

/* What is left, or cannot be looked at: then its command does no harm. */
struct left {
	bool has_table, has_flows[2]; /* of IPv4, of IPv6 */
};

static int look(struct netlink *netfilter, const struct redirect_record *what, struct left *out,
		struct error *err)
{
	uint32_t owner;
	int result = nft_find_table(netfilter, NFPROTO_INET, what->table, &owner, err);

	out->has_table = result != -ENOENT;
	if (result == -ENOENT)
		result = 0;
	for (unsigned version = 0; what->port && version < 2; version++) {
		struct sockaddr_storage local = local_of(version, what->port);
		bool is_clear;
		int one = conntrack_has_forgotten(netfilter, IPPROTO_TCP, &local, &is_clear,
						  result ? NULL : err);

		result = result ? result : one;
		out->has_flows[version] = !is_clear;
	}
	return result;
}

static void say_left(const struct redirect_record *what, const struct left *left, char *out,
		     size_t size)
{
	static const char *const commands[] = {
		"conntrack -D -p tcp --reply-src 127.0.0.1 --reply-port-src",
		"conntrack -D -f ipv6 -p tcp --reply-src ::1 --reply-port-src"};
	char prefix[TARGET_NAMESPACE_PREFIX], flows[2 * TARGET_NAMESPACE_PREFIX + 256] = "";
	size_t used = 0;
	int length;

	target_namespace_prefix(what->namespace_name, &what->namespace_id, prefix, sizeof(prefix));
	if (!shell_word_is_plain(prefix)) {
		snprintf(out, size,
			 "table %s: no command is shown, since a name in it is no plain text; run: "
			 "squall restore",
			 what->table);
		return;
	}
	for (unsigned version = 0; version < 2; version++)
		if (left->has_flows[version])
			used += (size_t)snprintf(flows + used, sizeof(flows) - used, "%s%s%s %u",
						 used ? "; " : "", prefix, commands[version],
						 what->port);
	if (left->has_table)
		length = snprintf(out, size, "table %s: %snft delete table inet %s%s%s",
				  what->table, prefix, what->table, flows[0] ? "; " : "", flows);
	else
		length = snprintf(out, size,
				  "flows that were redirected to port %u; by hand (package "
				  "conntrack): %s",
				  what->port, flows);
	/* half of such a command would make it forget everything */
	if ((size_t)length >= size)
		snprintf(out, size, "table %s, and flows that were redirected: run: squall restore",
			 what->table);
}

int redirect_verify(const struct journal_record *record, bool *out_gone, char *out_left,
		    size_t left_size, struct error *err)
{
	cleanup_fd int namespace_fd = -1;
	struct netlink *netfilter = NULL;
	struct redirect_record what;
	struct left left = {.has_table = true};
	int result = read_record(record, &what, err);

	if (result < 0)
		return result;
	result = open_namespace(&what, &namespace_fd, &netfilter, err);
	if (result == -ENOENT) {
		*out_gone = true;
		return 0;
	}
	left.has_flows[0] = left.has_flows[1] = result < 0 && what.port;
	if (result == 0)
		result = look(netfilter, &what, &left, err);
	netlink_close(netfilter);
	*out_gone = result == 0 && !left.has_table && !left.has_flows[0] && !left.has_flows[1];
	if (!*out_gone)
		say_left(&what, &left, out_left, left_size);
	return result;
}
