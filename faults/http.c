/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The http fault: single requests are answered with an error, late, not at all or changed, for
 * everybody in a network namespace or for chosen control groups in it, without touching client or
 * server. Its life: redirect_state.h.
 */
#include "faults/http.h"

#include "injector/base/prose.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int new_responder(const struct fault *fault, struct responder **out, struct error *err)
{
	struct http_state *state = fault->state;
	const struct redirect_pass *pass = &state->redirect.lookup.pass;
	/* what has come to a server is nothing that any table shall redirect: the mark of the
	 * oldest passes all */
	const bool is_at_server = http_is_at_server(&fault->target->params);
	const struct http_responder_config config = {.namespace_fd = fault->target->namespace_fd,
						     .mark = is_at_server ? HTTP_MARK_BASE
									  : state->redirect.mark,
						     .pass = is_at_server ? pass : NULL,
						     .seed = fault->env->seed + fault->number,
						     .policy = &state->policy,
						     .tls = state->tls};

	http_policy_scale(&state->policy, fault->level_ppb);
	state->last = (struct http_counters){0};
	state->reset = 0;
	if (state->tls)
		http_tls_count(state->tls, &state->tls_before);
	return http_responder_new(&config, out, err);
}

int http_find_connections(struct http_state *state, const struct target *target,
			  struct target_connections *out, struct error *err)
{
	const bool is_at_server = http_is_at_server(&target->params);
	int result = target_connections_find(
		state->diag, target, is_at_server ? 0 : HTTP_PORT,
		&(struct target_spared){state->control, state->control_count}, out, err);

	if (result == 0 && is_at_server)
		result = http_keep_awaited(state->diag, out, err);
	return result;
}

/* Ends those that exist, and none that is made behind the table: ours are among these. */
static int commit(struct fault *fault, struct error *err)
{
	struct http_state *state = fault->state;
	struct target_connections old = {0};
	int result = 0;

	if (state->tls && state->redirect.owner)
		result = http_tls_hold(state->tls, netlink_last_descriptor(state->redirect.owner),
				       err);
	if (result == 0 && state->diag)
		result = http_find_connections(state, fault->target, &old, err);
	if (result == 0)
		result = redirect_commit(fault, err);
	if (result == 0 && state->diag)
		result = target_connections_end(state->diag, &old, &state->reset, err);
	target_connections_drop(&old);
	return result;
}

static int set_level(struct fault *fault, struct error *err)
{
	struct http_state *state = fault->state;

	(void)err;
	http_policy_scale(&state->policy, fault->level_ppb);
	return 0;
}

static void keep_counters(struct redirect_state *state)
{
	http_responder_counters(state->responder, &((struct http_state *)state)->last);
}

const struct redirect_kind http_kind = {
	.asked = "requests",
	.redirected = "new connections",
	.port = HTTP_PORT,
	.mark_base = HTTP_MARK_BASE,
	.means = &redirect_by_table,
	.needs = "needs Linux 5.12 or newer with CONFIG_NF_TABLES_INET, CONFIG_NF_CONNTRACK_ZONES "
		 "and nft_redir (modprobe nft_redir)",
	.chain = HTTP_CHAIN,
	.add_rules = http_add_rules,
	.new_responder = new_responder,
	.commit = commit,
	.keep_counters = keep_counters,
};

const struct redirect_kind http_server_kind = {
	.asked = "requests",
	.redirected = "new connections",
	.mark_base = HTTP_MARK_BASE,
	.has_zone = true, /* nothing is translated */
	.means = &redirect_by_lookup,
	.needs = "`local-port` needs Linux 5.9 or newer with CONFIG_BPF_SYSCALL, and CAP_BPF in "
		 "the machine's own user namespace",
	.listener = http_responder_listener,
	.new_responder = new_responder,
	.commit = commit,
	.keep_counters = keep_counters,
};

/* Either of the two ways is of use without the other. */
static int probe(struct fault_support *out, struct error *err)
{
	static const char way[] = "BPF at the socket lookup";
	char reason[120];
	size_t used;
	int result = redirect_probe(&http_kind, out, err);

	redirect_lookup_probe(reason, sizeof(reason));
	used = strlen(out->way);
	if (result < 0)
		return result;
	if (out->usable)
		snprintf(out->way + used, sizeof(out->way) - used, "; with local-port %s%.60s",
			 reason[0] ? "not: " : way, reason);
	else if (!reason[0])
		snprintf(out->way, sizeof(out->way), "with local-port alone: %s", way);
	out->usable |= !reason[0];
	return 0;
}

/* For servers: to load a program, attach it and fill its maps. */
static uint64_t more_capabilities(const struct fault *fault)
{
	return http_is_at_server(&fault->target->params) ? 1ULL << CAP_BPF : 0;
}

/* The last reason stands for all: most often they have one in common. */
static void say_handshakes(const struct http_tls *tls, const struct http_tls_counters *before,
			   struct prose *prose)
{
	static const char *const with[] = {"", " with the server"};
	struct http_tls_counters now;

	http_tls_count(tls, &now);
	for (unsigned side = 0; side < HTTP_TLS_SIDES; side++) {
		uint64_t count = now.failed[side] - before->failed[side];

		if (count)
			prose_say(prose, ", %llu handshake%s%s failed: %s",
				  (unsigned long long)count, prose_plural(count), with[side],
				  now.reason[side]);
	}
	if (now.clear > before->clear)
		prose_say(prose, ", %llu connection%s without TLS",
			  (unsigned long long)(now.clear - before->clear),
			  prose_plural(now.clear - before->clear));
}

static void say_counts(const struct http_counters *seen, uint64_t reset, const struct http_tls *tls,
		       const struct http_tls_counters *before, struct evidence *out)
{
	const struct {
		uint64_t count;
		const char *noun, *what;
	} counts[] = {
		{seen->answered, "", "answered"},
		{seen->aborted, "", "aborted"},
		{seen->delayed, "", "delayed"},
		{seen->changed_requests, "request", " changed"},
		{seen->changed_responses, "response", " changed"},
		{seen->unchanged, "", "not changed"},
		{reset, "connection", " ended"},
		{seen->strange, "connection", " not understood"},
		{seen->refused, "connection", " refused (too many)"},
		{seen->left, "half-closed connection", " ended (too many)"},
	};
	struct prose prose;

	prose_begin(&prose, out->detail, sizeof(out->detail));
	prose_say(&prose, "%llu of %llu request%s met", (unsigned long long)seen->hits,
		  (unsigned long long)seen->requests, prose_plural(seen->requests));
	for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++)
		if (counts[i].count)
			prose_say(&prose, ", %llu %s%s%s", (unsigned long long)counts[i].count,
				  counts[i].noun,
				  counts[i].noun[0] ? prose_plural(counts[i].count) : "",
				  counts[i].what);
	if (tls)
		say_handshakes(tls, before, &prose);
	prose_end(&prose);
}

static int evidence(struct fault *fault, struct evidence *out, struct error *err)
{
	struct http_state *state = fault->state;
	struct http_counters seen = state->last;
	uint64_t gone;

	if (state->redirect.responder)
		http_responder_counters(state->redirect.responder, &seen);
	gone = seen.aborted + seen.answered;
	/* connections that it has ended were hit, too */
	*out = (struct evidence){.hits = seen.hits + state->reset,
				 .dropped = seen.aborted,
				 .passed = seen.hits > gone ? seen.hits - gone : 0,
				 .delayed = seen.delayed,
				 .unit = !state->reset ? "requests"
					 : !seen.hits  ? "connections"
						       : "requests and connections"};
	say_counts(&seen, state->reset, state->tls, &state->tls_before, out);
	if (state->tls && state->redirect.phase == REDIRECT_ACTIVE &&
	    http_tls_check_alive(state->tls, err) < 0)
		return -ESTALE;
	return redirect_check_in_force(&state->redirect, fault->target, err);
}

static void release(struct fault *fault)
{
	struct http_state *state = fault->state;

	if (!state)
		return;
	redirect_release(&state->redirect);
	http_tls_free(state->tls);
	netlink_close(state->diag);
	free(state);
	fault->state = NULL;
}

const struct fault_ops http_fault = {
	.name = "http",
	.summary = "single HTTP/1 requests answered with an error, delayed, aborted or changed",
	.params = http_params,
	.target_kind = TARGET_TRAFFIC,
	.needs_no_interface = true,
	/* NET_ADMIN: the table, SO_PRIORITY. SYS_ADMIN and SYS_PTRACE: to enter another network
	 * namespace than our own, and to find it again in the guardian. BIND_SERVICE: the key to
	 * sockets of its own, see sandbox_lists.c */
	.capabilities = 1ULL << CAP_NET_ADMIN | 1ULL << CAP_SYS_ADMIN | 1ULL << CAP_SYS_PTRACE |
			1ULL << CAP_NET_BIND_SERVICE,
	.capabilities_more = 1ULL << CAP_BPF,
	.more_capabilities = more_capabilities,
	.load = http_tls_load,
	.explain = http_explain,
	.explain_target = http_explain_server,
	.check = http_check,
	.use = &http_use,
	.check_target = http_check_target,
	.probe = probe,
	.plan = http_plan,
	.inject = redirect_inject,
	.set_level = set_level,
	.follow = http_follow,
	.follow_interfaces = redirect_follow_interfaces,
	.end = redirect_end,
	.undo = redirect_undo,
	.verify = redirect_verify,
	.evidence = evidence,
	.release = release,
};
