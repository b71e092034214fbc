/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The dns fault: wrong, late or no answers for chosen names, for everybody in a network namespace
 * or for chosen control groups in it, without touching a file. Its life: redirect_state.h.
 */
#include "faults/dns.h"

#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>

static int new_responder(const struct fault *fault, struct responder **out, struct error *err)
{
	struct dns_state *state = fault->state;
	const struct dns_responder_config config = {.namespace_fd = fault->target->namespace_fd,
						    .mark = state->redirect.mark,
						    .policy = &state->policy};

	dns_policy_scale(&state->policy, fault->level_ppb);
	state->last = (struct dns_responder_counters){0};
	return dns_responder_new(&config, out, err);
}

static int set_level(struct fault *fault, struct error *err)
{
	struct dns_state *state = fault->state;

	(void)err;
	dns_policy_scale(&state->policy, fault->level_ppb);
	return 0;
}

static void keep_counters(struct redirect_state *state)
{
	dns_responder_counters(state->responder, &((struct dns_state *)state)->last);
}

const struct redirect_kind dns_kind = {
	.asked = "queries",
	.redirected = "queries",
	.port = DNS_PORT,
	.mark_base = DNS_MARK_BASE,
	.has_zone = true,
	.means = &redirect_by_table,
	.needs = "needs Linux 5.12 or newer with CONFIG_NF_TABLES_INET, nft_redir, nft_ct and "
		 "nf_conntrack_netlink (modprobe nft_redir nf_conntrack_netlink)",
	.chain = DNS_CHAIN,
	.add_rules = dns_add_rules,
	.new_responder = new_responder,
	.commit = redirect_commit,
	.keep_counters = keep_counters,
};

static int probe(struct fault_support *out, struct error *err)
{
	return redirect_probe(&dns_kind, out, err);
}

static int evidence(struct fault *fault, struct evidence *out, struct error *err)
{
	struct dns_state *state = fault->state;
	struct dns_responder_counters seen = state->last;
	uint64_t gone;
	int used;

	if (state->redirect.responder)
		dns_responder_counters(state->redirect.responder, &seen);
	gone = seen.dropped + seen.answered;
	*out = (struct evidence){.hits = seen.hits,
				 .dropped = seen.dropped,
				 .passed = seen.hits > gone ? seen.hits - gone : 0,
				 .delayed = seen.delayed,
				 .unit = "queries"};
	used = snprintf(out->detail, sizeof(out->detail), "%llu of %llu %s met",
			(unsigned long long)seen.hits, (unsigned long long)seen.queries,
			seen.queries == 1 ? "query" : "queries");
	if (state->policy.answer < DNS_ANSWER_DROP)
		used += snprintf(out->detail + used, sizeof(out->detail) - (size_t)used,
				 ", %llu answered %s", (unsigned long long)seen.answered,
				 dns_answers[state->policy.answer]);
	if (seen.dropped)
		used += snprintf(out->detail + used, sizeof(out->detail) - (size_t)used,
				 ", %llu dropped", (unsigned long long)seen.dropped);
	if (seen.delayed)
		used += snprintf(out->detail + used, sizeof(out->detail) - (size_t)used,
				 ", %llu delayed", (unsigned long long)seen.delayed);
	if (seen.lost)
		snprintf(out->detail + used, sizeof(out->detail) - (size_t)used,
			 ", %llu lost (too many at once)", (unsigned long long)seen.lost);
	return redirect_check_in_force(&state->redirect, fault->target, err);
}

static void release(struct fault *fault)
{
	struct dns_state *state = fault->state;

	if (!state)
		return;
	redirect_release(&state->redirect);
	dns_match_free(state->policy.match);
	free(state);
	fault->state = NULL;
}

const struct fault_ops dns_fault = {
	.name = "dns",
	.summary = "wrong, late or no answers to DNS queries for chosen names",
	.params = dns_params,
	.target_kind = TARGET_TRAFFIC,
	.needs_no_interface = true,
	/* NET_ADMIN: the table, SO_PRIORITY, connection tracking. SYS_ADMIN and SYS_PTRACE: to
	 * enter another network namespace than our own, and to find it again in the guardian. */
	/* BIND_SERVICE: the key to sockets of its own, see sandbox_lists.c */
	.capabilities = 1ULL << CAP_NET_ADMIN | 1ULL << CAP_SYS_ADMIN | 1ULL << CAP_SYS_PTRACE |
			1ULL << CAP_NET_BIND_SERVICE,
	.explain = dns_explain,
	.check = dns_check,
	.use = &dns_use,
	.probe = probe,
	.plan = dns_plan,
	.inject = redirect_inject,
	.set_level = set_level,
	.follow = redirect_follow,
	.follow_interfaces = redirect_follow_interfaces,
	.end = redirect_end,
	.undo = redirect_undo,
	.verify = redirect_verify,
	.evidence = evidence,
	.release = release,
};
