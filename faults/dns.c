/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The dns fault: wrong, late or no answers for chosen names, for everybody in a network namespace
 * or for chosen control groups in it, without touching a file. Order: journal -> responder -> the
 * table (the effect starts); the queries' rules away (the effect ends) -> what is under way arrives
 * -> table and responder go.
 */
#include "faults/dns.h"

#include "faults/target_group.h"
#include "faults/target_namespace.h"
#include "injector/base/clock.h"
#include "injector/kernel/nft.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/netfilter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DRAIN_SOFT_NS (2 * NSEC_PER_SEC)
#define DRAIN_NOW_NS  (200 * NSEC_PER_MSEC)
#define POLL_NS	      (2 * NSEC_PER_MSEC)

/* Injecting. */

/* When the process is killed, the kernel lets go of the highest descriptor first: TCP connections,
 * also those that nobody has accepted yet, are told while their addresses are still translated, and
 * would wait for an answer without end otherwise. Then the table, which must not outlive the
 * sockets that datagrams are redirected to. */
static int start_responder(struct dns_state *state, const struct fault *fault, struct error *err)
{
	const struct dns_responder_config config = {.namespace_fd = fault->target->namespace_fd,
						    .mark = state->mark,
						    .policy = &state->policy};
	int result = dns_responder_new(&config, &state->responder, err);

	if (result == 0)
		result = netlink_open_netfilter(fault->target->namespace_fd, &state->owner, err);
	return result < 0 ? result
			  : dns_responder_start(state->responder,
						netlink_last_descriptor(state->owner), err);
}

static int inject(struct fault *fault, struct error *err)
{
	struct dns_state *state = fault->state;
	int result = journal_undo(fault->env->journal, fault->ops->name, fault->step,
				  DNS_RECORD_TABLE, &state->record, sizeof(state->record), err);

	dns_policy_scale(&state->policy, fault->level_ppb);
	state->mark = redirect_new_mark(DNS_MARK_BASE);
	state->last = (struct dns_responder_counters){0};
	if (result >= 0)
		result = start_responder(state, fault, err);
	if (result == 0)
		result = dns_table_commit(state, fault->target, fault->env->run_id, fault->step,
					  err);
	if (result < 0) {
		dns_finish(state);
		return result;
	}
	fault->effect_started_ns = clock_now_ns();
	fault->effect_ended_ns = 0;
	state->phase = DNS_ACTIVE;
	return 0;
}

static int set_level(struct fault *fault, struct error *err)
{
	struct dns_state *state = fault->state;

	(void)err;
	dns_policy_scale(&state->policy, fault->level_ppb);
	return 0;
}

/* Ending. */

void dns_finish(struct dns_state *state)
{
	/* as when the process is killed, see above */
	if (state->responder) {
		dns_responder_hang_up(state->responder);
		dns_responder_counters(state->responder, &state->last);
	}
	netlink_close(state->owner); /* and the table with it */
	state->owner = NULL;
	dns_responder_free(state->responder);
	state->responder = NULL;
	state->phase = DNS_IDLE;
}

static int end(struct fault *fault, enum fault_end how, int64_t *out_again_ns, struct error *err)
{
	struct dns_state *state = fault->state;
	int64_t now_ns;

	(void)err;
	*out_again_ns = 0;
	if (state->phase == DNS_IDLE)
		return 0;
	if (state->phase == DNS_ACTIVE) {
		bool is_soft = state->owner && dns_table_soften(state, NULL) == 0;

		if (!is_soft)
			dns_finish(state);
		fault->effect_ended_ns = clock_now_ns();
		if (!is_soft)
			return 0;
		dns_responder_soften(state->responder);
		state->phase = DNS_DRAINING;
		state->wait_until_ns = fault->effect_ended_ns + DRAIN_SOFT_NS;
	}
	now_ns = clock_now_ns();
	if (how == FAULT_END_NOW && state->wait_until_ns > now_ns + DRAIN_NOW_NS)
		state->wait_until_ns = now_ns + DRAIN_NOW_NS;
	if (now_ns >= state->wait_until_ns || dns_responder_is_empty(state->responder))
		dns_finish(state);
	else
		*out_again_ns = POLL_NS;
	return 0;
}

/* Evidence. */

static int check_in_force(struct dns_state *state, const struct target *target, struct error *err)
{
	uint32_t owner;
	int result = target_namespace_check(
		&(struct target_namespace){target->namespace_fd, &state->record.namespace_id,
					   state->record.namespace_name, &state->namespace_keeper},
		err);

	if (result < 0)
		return result;
	if (dns_responder_is_broken(state->responder))
		return error_set(err, ESTALE, "the responder has stopped");
	if (dns_responder_is_looping(state->responder))
		return error_set(err, ESTALE, "%s", REDIRECT_COMES_BACK);
	if (nft_find_table(state->netfilter, NFPROTO_INET, state->record.table, &owner, NULL) ==
	    -ENOENT)
		return error_set(err, ESTALE, "table %s was removed", state->record.table);
	result = redirect_check_links(state->route, target, "queries", err);
	return result < 0 ? result : target_group_check(target, err);
}

static int evidence(struct fault *fault, struct evidence *out, struct error *err)
{
	struct dns_state *state = fault->state;
	struct dns_responder_counters seen = state->last;
	uint64_t gone;
	int used;

	if (state->responder)
		dns_responder_counters(state->responder, &seen);
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
	return state->phase == DNS_ACTIVE ? check_in_force(state, fault->target, err) : 0;
}

static void release(struct fault *fault)
{
	struct dns_state *state = fault->state;

	if (!state)
		return;
	dns_unregister(state);
	dns_finish(state);
	netlink_close(state->netfilter);
	netlink_close(state->route);
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
	.check_target = dns_check_target,
	.probe = dns_probe,
	.plan = dns_plan,
	.inject = inject,
	.set_level = set_level,
	.end = end,
	.undo = dns_undo,
	.verify = dns_verify,
	.evidence = evidence,
	.release = release,
};
