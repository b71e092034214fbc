/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The ifb with netem. An ifb sends a packet on where it was taken: out of the same interface, or up
 * the stack; so one serves all interfaces and both directions of a step.
 */
#include "faults/network.h"

#include "injector/base/clock.h"
#include "injector/kernel/link.h"
#include "injector/kernel/qdisc.h"

#include <errno.h>
#include <net/if.h>

#define TBF_HANDLE	QDISC_HANDLE(1)
#define TBF_CLASS	(TBF_HANDLE | 1)
#define NETEM_HANDLE	QDISC_HANDLE(2)
#define ORDERLY_RATE	12500000000ULL /* 100 gbit/s: any rate makes netem keep the order */
#define LINK_HEADER_MAX 64	       /* Ethernet, two VLAN tags, and some */
#define LIMIT_A_SECOND	2000000	       /* packets a second that the queue must be able to hold */
#define LIMIT_MIN	10000
#define LIMIT_MAX	1000000

static struct netem_config configuration(const struct network_effect *effect)
{
	int64_t longest_ns = effect->delay_ns + effect->jitter_ns;
	int64_t limit = longest_ns / 1000 * (LIMIT_A_SECOND / 1000) / 1000;

	if (limit < LIMIT_MIN)
		limit = LIMIT_MIN;
	if (limit > LIMIT_MAX)
		limit = LIMIT_MAX;
	return (struct netem_config){.delay_ns = effect->delay_ns,
				     .jitter_ns = effect->jitter_ns,
				     .loss_ppb = effect->loss_ppb,
				     .limit = (uint32_t)limit};
}

/* Dropped by a verdict, a packet that leaves is reported to its sender: UDP may see ENOBUFS, TCP
 * takes it for congestion in its own queue and does not count it as sent (NET_XMIT_DROP in
 * nf_hook_egress()). What the wire loses nobody is told: so it is forwarded to nowhere. */
int network_hole_build(struct network_state *state, struct error *err)
{
	return link_create_ifb(state->route, state->record.link, NETWORK_LINK_GROUP,
			       state->record.alias, &state->ifb_index, err);
}

static uint32_t largest_packet(const struct network_state *state)
{
	uint32_t mtu = 0;

	for (unsigned i = 0; i < state->path_count; i++)
		if (state->paths[i].mtu > mtu)
			mtu = state->paths[i].mtu;
	return mtu + LINK_HEADER_MAX;
}

int network_netem_resize(struct network_state *state, struct error *err)
{
	if (state->effect.loss_ppb == 0)
		return 0;
	return qdisc_change_segmenter(state->route, state->ifb_index, TBF_HANDLE,
				      largest_packet(state), err);
}

int network_netem_check(struct network_state *state, struct error *err)
{
	uint32_t handle = state->effect.loss_ppb ? TBF_HANDLE : NETEM_HANDLE;
	struct qdisc root;
	struct link link;
	int result = link_get(state->route, state->ifb_index, &link, err);

	if (result == -ENODEV)
		return error_set(err, ENODEV, "interface %s is gone", state->record.link);
	if (result < 0)
		return result;
	if (!(link.flags & IFF_UP))
		return error_set(err, ENODEV, "interface %s was taken down", link.name);
	result = qdisc_get(state->route, state->ifb_index, TC_H_ROOT, &root, err);
	if (result == 0 && root.handle != handle)
		result =
			error_set(err, ENOENT, "the queue of interface %s was replaced", link.name);
	return result;
}

static int add_queues(struct network_state *state, struct error *err)
{
	struct netem_config config = configuration(&state->effect);
	int result;

	if (config.loss_ppb == 0)
		return qdisc_add_netem(state->route, state->ifb_index, TC_H_ROOT, NETEM_HANDLE,
				       &config, err);
	/* What the stack hands down is up to 64 KiB; losing that whole would lose 40 wire packets
	 * at once. tbf cuts it first. */
	result = qdisc_add_segmenter(state->route, state->ifb_index, TBF_HANDLE,
				     largest_packet(state), err);
	if (result == 0)
		result = qdisc_add_netem(state->route, state->ifb_index, TBF_CLASS, NETEM_HANDLE,
					 &config, err);
	return result;
}

/* Down until its queues are there: to change them on a device that is up waits for an RCU grace
 * period (dev_deactivate_many() in net/sched/sch_generic.c). */
int network_netem_build(struct network_state *state, struct error *err)
{
	const struct link_change up = {.up = true};
	int result = link_create_ifb(state->route, state->record.link, NETWORK_LINK_GROUP,
				     state->record.alias, &state->ifb_index, err);

	if (result == 0)
		result = add_queues(state, err);
	if (result == 0)
		result = link_change(state->route, state->ifb_index, &up, err);
	return result;
}

int network_netem_soften(struct network_state *state, struct error *err)
{
	struct netem_config config = configuration(&state->effect);

	config.delay_ns = config.jitter_ns = 0;
	config.loss_ppb = 0;
	config.rate_bytes = ORDERLY_RATE;
	return qdisc_change_netem(state->route, state->ifb_index,
				  state->effect.loss_ppb ? TBF_CLASS : TC_H_ROOT, NETEM_HANDLE,
				  &config, err);
}

int network_netem_is_empty(struct netlink *netlink, int index, bool *out_empty, struct error *err)
{
	struct qdisc root = {0};
	struct link link = {0};
	int result = qdisc_get(netlink, index, TC_H_ROOT, &root, err);

	if (result == -ENOENT) { /* no qdisc was put there yet, or it has been taken away */
		*out_empty = true;
		return 0;
	}
	if (result == 0)
		result = link_get(netlink, index, &link, err);
	if (result < 0)
		return result;
	/* what left the queue may still be on its way through the ifb's tasklet */
	*out_empty = root.waiting == 0 && link.rx_packets - link.rx_dropped == link.tx_packets;
	return 0;
}

uint64_t network_netem_abandon(struct network_state *state)
{
	struct qdisc root = {0};

	if (qdisc_get(state->route, state->ifb_index, TC_H_ROOT, &root, NULL) < 0 || !root.waiting)
		return 0;
	/* here and not in undo(), which would give it another second: then the count would lie */
	link_delete(state->route, state->ifb_index, NULL);
	return root.waiting;
}

static void add_dropped(void *context, const struct qdisc *qdisc)
{
	/* tbf counts its child's drops as its own (qdisc_tree_reduce_backlog is not called for what
	 * netem refuses); only the leaf that dropped is counted here */
	if (qdisc->handle == NETEM_HANDLE)
		*(uint64_t *)context += qdisc->dropped;
}

int network_netem_dropped(struct network_state *state, uint64_t *out, struct error *err)
{
	uint64_t dropped = 0;
	int result = qdisc_each(state->route, state->ifb_index, add_dropped, &dropped, err);

	if (result == 0)
		*out = dropped;
	return result;
}
