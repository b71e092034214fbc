/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Traffic is led to a responder by an nf_tables table that vanishes with the worker: what leaves is
 * redirected where it is sent. The record is mostly there to look, as the table goes with its
 * owner.
 */
#include "faults/redirect_state.h"

#include "faults/target_namespace.h"
#include "injector/base/cleanup.h"
#include "injector/base/shell_word.h"
#include "injector/kernel/conntrack.h"
#include "injector/kernel/nft.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <stdio.h>
#include <string.h>

/* When the process is killed it is the same: the kernel lets go of the highest descriptor first.
 * Who connects between that and the end of the table, some microseconds, is refused. */
static int open_owner(struct redirect_state *state, const struct fault *fault, int *out_floor,
		      struct error *err)
{
	int result = netlink_open_netfilter(fault->target->namespace_fd, &state->owner, err);

	if (result == 0)
		*out_floor = netlink_last_descriptor(state->owner);
	return result;
}

static int commit(struct fault *fault, struct error *err)
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
static int soften(struct redirect_state *state)
{
	struct nft_batch batch;

	if (!state->owner)
		return -ENOENT;
	nft_batch_begin(&batch);
	nft_use_table(&batch, NFPROTO_INET, state->record.table);
	nft_flush_chain(&batch, state->kind->chain);
	return nft_commit(state->owner, &batch, NULL);
}

static void close_owner(struct redirect_state *state)
{
	netlink_close(state->owner); /* and the table with it */
	state->owner = NULL;
}

static int check(struct redirect_state *state, struct error *err)
{
	uint32_t owner;

	if (nft_find_table(state->netfilter, NFPROTO_INET, state->record.table, &owner, NULL) ==
	    -ENOENT)
		return error_set(err, ESTALE, "table %s was removed", state->record.table);
	return 0;
}

/* From the record. */

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

static int undo(const struct redirect_record *what, struct error *err)
{
	cleanup_fd int namespace_fd = -1;
	struct netlink *netfilter = NULL;
	int result = open_namespace(what, &namespace_fd, &netfilter, err);

	if (result < 0)
		return result == -ENOENT ? 0 : result;
	result = nft_remove_table(netfilter, NFPROTO_INET, what->table, err);
	if (what->port) {
		int forgotten = forget(netfilter, what->port, result ? NULL : err);

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

static int verify(const struct redirect_record *what, bool *out_gone, char *out_left,
		  size_t left_size, struct error *err)
{
	cleanup_fd int namespace_fd = -1;
	struct netlink *netfilter = NULL;
	struct left left = {.has_table = true};
	int result = open_namespace(what, &namespace_fd, &netfilter, err);

	if (result == -ENOENT) {
		*out_gone = true;
		return 0;
	}
	left.has_flows[0] = left.has_flows[1] = result < 0 && what->port;
	if (result == 0)
		result = look(netfilter, what, &left, err);
	netlink_close(netfilter);
	*out_gone = result == 0 && !left.has_table && !left.has_flows[0] && !left.has_flows[1];
	if (!*out_gone)
		say_left(what, &left, out_left, left_size);
	return result;
}

const struct redirect_means redirect_by_table = {
	.record = REDIRECT_RECORD_TABLE,
	.returns = "what is passed on comes back: a rule of the output hook sets the priority of "
		   "packets",
	.plan = redirect_table_plan,
	.open = open_owner,
	.commit = commit,
	.soften = soften,
	.close = close_owner,
	.check = check,
	.undo = undo,
	.verify = verify,
};
