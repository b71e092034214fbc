/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The network fault: delay, jitter and loss for the traffic in scope.
 *
 * Order, everywhere: journal -> what is inert -> the table (the effect starts); the table away (the
 * effect ends) -> what is queued passes -> the ifb is left to undo(). A table that points at a
 * missing device would be a black hole; this order never has one.
 */
#include "faults/network.h"

#include "faults/network_finding.h"
#include "faults/network_gate.h"
#include "faults/network_group.h"
#include "faults/network_line.h"
#include "faults/network_netem.h"
#include "faults/network_support.h"
#include "faults/network_table.h"
#include "injector/base/clock.h"
#include "injector/kernel/link.h"

#include <netinet/in.h> /* before linux/: they share types */

#include <errno.h>
#include <linux/capability.h>
#include <linux/netfilter.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SOFT_MAX_NS  (30 * NSEC_PER_SEC)  /* a soft end waits no longer for the queue */
#define DRAIN_MAX_NS (2 * NSEC_PER_SEC)	  /* after an abort */
#define MARGIN_NS    (50 * NSEC_PER_MSEC) /* for the queue to pass once it is due */
#define IDLE_POLLS   3

static int probe(struct fault_support *out, struct error *err)
{
	struct network_support support;
	const char *hook;
	struct stat about;
	int result = network_survey_anew(&support, err);

	if (result < 0)
		return result;
	*out = (struct fault_support){.usable = support.has_hook || support.has_gate};
	hook = support.has_hook ? "nftables owner table" : "clsact with self-closing BPF gate";
	if (!support.has_hook) {
		snprintf(out->reason, sizeof(out->reason), "no nf_tables egress hook: %s",
			 support.hook_reason);
		snprintf(out->remedy, sizeof(out->remedy), "%s", NETWORK_HOOK_REMEDY);
	}
	if (!out->usable) {
		snprintf(out->reason, sizeof(out->reason), "%.120s; %.120s", support.hook_reason,
			 support.gate_reason);
		return 0;
	}
	if (support.has_netem) {
		snprintf(out->way, sizeof(out->way), "%s + ifb + netem", hook);
		return 0;
	}
	snprintf(out->way, sizeof(out->way), "%s; delays by a delay line in user space", hook);
	snprintf(out->reason, sizeof(out->reason), "no netem: %s", support.netem_reason);
	network_netem_remedy(out->remedy, sizeof(out->remedy));
	if (stat("/dev/net/tun", &about) < 0)
		snprintf(out->way, sizeof(out->way),
			 "%s: loss and partition; no delay (no /dev/net/tun)", hook);
	return 0;
}

/* Injecting. */

static int check_still_there(struct network_state *state, struct error *err)
{
	for (unsigned i = 0; i < state->path_count; i++) {
		struct network_path *path = &state->paths[i];
		struct link link;
		int result;

		if (!path->index)
			continue;
		result = link_get(state->route, path->index, &link, err);
		if (result < 0 || strcmp(link.name, path->interface) != 0)
			return error_set(err, ENODEV,
					 "interface %s is not the one it was when the targets "
					 "were resolved",
					 path->interface);
		path->mtu = link.mtu;
	}
	return 0;
}

static int write_record(const struct fault *fault, enum network_record_type type, struct error *err)
{
	const struct network_state *state = fault->state;
	int sequence = journal_undo(fault->env->journal, fault->ops->name, fault->step, type,
				    &state->record, sizeof(state->record), err);

	return sequence < 0 ? sequence : 0;
}

/* Also for those that come later: they have the name, and a number behind it. */
static int write_link_record(const struct fault *fault, struct error *err)
{
	struct network_state *state = fault->state;

	state->record.index = state->way == NETWORK_NETEM && network_netem_is_split(state)
				      ? (int32_t)state->path_count
				      : 0;
	return write_record(fault, NETWORK_RECORD_LINK, err);
}

static int start_table(struct network_state *state, const struct fault *fault, struct error *err)
{
	struct nft_batch batch;
	int result = write_record(fault, NETWORK_RECORD_TABLE, err);

	nft_batch_begin(&batch);
	if (result == 0)
		result = network_table_add(state, fault->target, fault->env->run_id, fault->step,
					   &batch, err);
	if (result == 0)
		result = nft_commit(state->netfilter, &batch, err);
	nft_batch_drop(&batch);
	return result;
}

static int open_netfilter(struct network_state *state, const struct fault *fault, struct error *err)
{
	if (state->netfilter)
		return 0;
	return network_open_netfilter(state, fault->target->namespace_fd, err);
}

/* Its place among the faults that are in force on the same interfaces, and the way that goes with
 * it. */
static int find_place(struct network_state *state, const struct fault *fault, struct error *err)
{
	unsigned rank = 0;
	int result = open_netfilter(state, fault, err); /* a failed end had to close it */

	state->way = state->planned_way;
	if (result == 0 && !network_loses_first(state))
		result = network_find_rank(state, &rank, err);
	if (result < 0 || state->way == NETWORK_FILTER)
		return result;
	if (state->way == NETWORK_NETEM && rank > 0 && state->has_line)
		state->way = NETWORK_LINE;
	if (rank != state->rank) /* prepared for another place */
		network_line_stop(state);
	state->rank = rank;
	if (state->way != NETWORK_LINE || network_line_is_prepared(state))
		return 0;
	/* The table's owner comes after the taps, see network_open_netfilter(). */
	netlink_close(state->netfilter);
	state->netfilter = NULL;
	result = network_line_prepare(state, fault->target->namespace_fd, fault->env->run_id,
				      fault->step, err);
	return result < 0 ? result : open_netfilter(state, fault, err);
}

static int inject(struct fault *fault, struct error *err)
{
	struct network_state *state = fault->state;
	int result = check_still_there(state, err);

	network_effect_scale(&state->effect, fault->level_ppb);
	state->owns_loopback_settings = false;
	network_forget_left(state);
	if (result == 0)
		result = find_place(state, fault, err);
	state->has_hole = network_needs_hole(state);
	state->evidence = (struct evidence){0};
	state->connections_reset = 0;
	state->queue = (struct network_queue_counts){0};
	state->line_counts = (struct network_line_counts){0};
	state->processor_ns = 0;
	/* before the effect, which would keep the resets from the far side */
	if (result == 0)
		result = network_reset_connections(state, fault->target, err);
	if (network_is_instant(fault->params)) {
		fault->effect_started_ns = fault->effect_ended_ns = clock_now_ns();
		return result;
	}
	if (result == 0 && (state->way == NETWORK_NETEM || state->has_hole))
		result = write_link_record(fault, err);
	if (result == 0 && state->way == NETWORK_NETEM)
		result = network_netem_build(state, err);
	else if (result == 0 && state->has_hole)
		result = network_hole_build(state, err);
	if (result == 0 && state->way == NETWORK_LINE)
		result = network_line_start(state, fault, err);
	if (result == 0)
		result = network_group_attach(state, fault, err);
	if (result == 0)
		result = state->hook == NETWORK_GATE ? network_gate_start(state, fault, err)
						     : start_table(state, fault, err);
	/* packets of control groups are not marked before somebody takes the mark off */
	if (result == 0 && (result = network_group_switch(state, true, err)) < 0) {
		state->phase = NETWORK_ACTIVE;
		network_cut(state);
	}
	if (result < 0) {
		network_group_detach(state);
		network_finding_forget(); /* it may have been wrong about this kernel */
		network_line_stop(state);
		return result;
	}
	fault->effect_started_ns = state->injected_ns = clock_now_ns();
	fault->effect_ended_ns = state->ended_ns = 0;
	state->phase = NETWORK_ACTIVE;
	for (unsigned i = 0; i < state->path_count; i++)
		state->paths[i].is_attached = state->paths[i].index;
	/* what has come about meanwhile; that it is in force matters more than a failure here */
	network_reset_connections(state, fault->target, NULL);
	return 0;
}

/* Strength. */

static int set_level(struct fault *fault, struct error *err)
{
	struct network_state *state = fault->state;

	network_effect_scale(&state->effect, fault->level_ppb);
	if (state->phase != NETWORK_ACTIVE) /* inject() begins with it */
		return 0;
	if (state->way == NETWORK_NETEM)
		return network_netem_change(state, err);
	if (state->way == NETWORK_LINE)
		network_line_change(state);
	if (!network_loses_first(state))
		return 0;
	return state->hook == NETWORK_GATE ? network_gate_change(state, err)
					   : network_table_change(state, err);
}

/* Ending. */

void network_cut(struct network_state *state)
{
	if (state->phase != NETWORK_ACTIVE && state->phase != NETWORK_EMPTYING)
		return;
	network_read_counters(state, NULL);
	network_group_switch(state, false, NULL);
	if (state->hook == NETWORK_GATE) {
		network_gate_shut(state);
	} else if (network_table_cut(state, NULL) < 0) {
		netlink_close(state->netfilter);
		state->netfilter = NULL;
	}
	network_group_detach(state);
	state->phase = NETWORK_DRAINING;
	state->idle_polls = 0;
}

void network_clear(struct network_state *state)
{
	/* undo() removes it once more */
	if (state->phase != NETWORK_IDLE && state->way == NETWORK_LINE &&
	    state->hook == NETWORK_TABLE && state->netfilter)
		network_table_remove(state, NULL);
	network_line_stop(state);
}

static bool is_empty(struct network_state *state)
{
	if (state->way == NETWORK_LINE)
		return network_line_is_empty(state);
	return state->way != NETWORK_NETEM || network_netem_all_empty(state);
}

/* Seldom while there is long to wait, soon towards the end and once the queue was seen empty. */
static int64_t pause_ns(const struct network_state *state, int64_t now_ns)
{
	int64_t pause = (state->wait_until_ns - now_ns) / 8;

	if (pause < NSEC_PER_MSEC || state->idle_polls)
		return NSEC_PER_MSEC;
	return pause > 20 * NSEC_PER_MSEC ? 20 * NSEC_PER_MSEC : pause;
}

static bool begin_soft(struct network_state *state, int64_t now_ns)
{
	int64_t longest_ns =
		network_effect_longest_ns(&state->effect, network_mtu(state)) + MARGIN_NS;

	if (network_loses_first(state))
		return false;
	if (state->way == NETWORK_NETEM && network_netem_soften(state, NULL) < 0)
		return false;
	if (state->way == NETWORK_LINE)
		network_line_soften(state);
	state->phase = NETWORK_EMPTYING;
	state->idle_polls = 0;
	state->wait_until_ns = now_ns + (longest_ns < SOFT_MAX_NS ? longest_ns : SOFT_MAX_NS);
	return true;
}

static void begin_drain(struct fault *fault, enum fault_end how)
{
	struct network_state *state = fault->state;
	int64_t longest_ns =
		network_effect_longest_ns(&state->effect, network_mtu(state)) + MARGIN_NS;

	network_cut(state);
	fault->effect_ended_ns = state->ended_ns = clock_now_ns();
	if (state->way == NETWORK_LINE)
		network_line_soften(state);
	if (how == FAULT_END_SOFT || longest_ns > DRAIN_MAX_NS)
		longest_ns = how == FAULT_END_SOFT ? MARGIN_NS * 4 : DRAIN_MAX_NS;
	state->wait_until_ns = fault->effect_ended_ns + longest_ns;
}

/* What waited when it was looked at and is not thrown away has left meanwhile. */
static void count_abandoned(struct network_queue_counts *queue, uint64_t abandoned)
{
	if (queue->waiting > abandoned)
		queue->sent += queue->waiting - abandoned;
	queue->waiting = 0;
	queue->dropped += abandoned;
}

static void finish(struct fault *fault)
{
	struct network_state *state = fault->state;
	struct evidence last;

	network_evidence(fault, &last, NULL); /* what the queue dropped, while it is there */
	if (state->way == NETWORK_NETEM)
		count_abandoned(&state->queue, network_netem_abandon(state));
	network_clear(state);
	state->phase = NETWORK_IDLE;
}

static int end(struct fault *fault, enum fault_end how, int64_t *out_again_ns, struct error *err)
{
	struct network_state *state = fault->state;
	int64_t now_ns = clock_now_ns();

	(void)err;
	*out_again_ns = 0;
	if (state->phase == NETWORK_IDLE)
		return 0;
	if (state->phase == NETWORK_ACTIVE && (how == FAULT_END_NOW || !begin_soft(state, now_ns)))
		begin_drain(fault, how);
	if (state->phase == NETWORK_EMPTYING &&
	    (how == FAULT_END_NOW || now_ns >= state->wait_until_ns || is_empty(state)))
		begin_drain(fault, how);
	if (state->phase == NETWORK_DRAINING) {
		state->idle_polls = is_empty(state) ? state->idle_polls + 1 : 0;
		if (state->way == NETWORK_FILTER || state->idle_polls >= IDLE_POLLS ||
		    clock_now_ns() >= state->wait_until_ns) {
			finish(fault);
			return 0;
		}
	}
	*out_again_ns = pause_ns(state, now_ns);
	return 0;
}

static void release(struct fault *fault)
{
	struct network_state *state = fault->state;

	if (!state)
		return;
	network_unlisten(state);
	network_unregister(state);
	network_effect_free(&state->effect);
	/* the table first, should it still be there: then nothing points at what goes next */
	network_gate_free(state);
	network_group_free(state);
	netlink_close(state->netfilter);
	network_line_stop(state);
	netlink_close(state->route);
	netlink_close(state->diag);
	free(state->paths);
	free(state);
	fault->state = NULL;
}

const struct fault_ops network_fault = {
	.name = "network",
	.summary = "delays, loses, refuses, damages, doubles, reorders or slows packets of the "
		   "traffic in scope",
	.params = network_params,
	.target_kind = TARGET_TRAFFIC,
	.sees_packets = true,
	/* NET_ADMIN: links, queues, tables. In another network namespace than our own, undo in the
	 * guardian and a second injection of a delay line (pulses) have to enter it: SYS_ADMIN, and
	 * SYS_PTRACE to find one that only a process holds. BPF: the delay line's program. */
	.capabilities = 1ULL << CAP_NET_ADMIN | 1ULL << CAP_SYS_ADMIN | 1ULL << CAP_SYS_PTRACE |
			1ULL << CAP_BPF | 1ULL << CAP_SYS_NICE, /* the delay line in real time */
	.is_instant = network_is_instant,
	.explain = network_explain,
	.load = network_load,
	.check = network_check,
	.check_target = network_check_target,
	.probe = probe,
	.plan = network_plan,
	.inject = inject,
	.set_level = set_level,
	.follow = network_follow,
	.follow_interfaces = network_follow_interfaces,
	.end = end,
	.undo = network_undo,
	.verify = network_verify,
	.evidence = network_evidence,
	.listen = network_listen,
	.hear = network_hear,
	.release = release,
};
