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
#include <string.h>
#include <sys/sysinfo.h>

#define SEGMENTER_HANDLE QDISC_HANDLE(1)
#define NETEM_HANDLE	 QDISC_HANDLE(2)
#define LIMITER_HANDLE	 QDISC_HANDLE(3)
#define ORDERLY_RATE	 12500000000ULL /* 100 gbit/s: any rate makes netem keep the order */
#define MEMORY_PART	 4		/* of the machine's memory, that one queue may take */
#define LINK_HEADER_MAX	 64		/* Ethernet, two VLAN tags, and some */

/* The queues of the ifb, from its root: tbf that cuts what the stack hands down as one into packets
 * of the wire, tbf that limits with bursts, netem. Only those that are needed. */
static uint32_t limiter_parent(const struct network_state *state)
{
	return network_effect_needs_wire_packets(&state->effect) ? SEGMENTER_HANDLE | 1 : TC_H_ROOT;
}

static uint32_t netem_parent(const struct network_state *state)
{
	return state->effect.full.burst ? LIMITER_HANDLE | 1 : limiter_parent(state);
}

static struct qdisc_rate limiter_of(const struct network_state *state)
{
	return (struct qdisc_rate){.bytes = state->effect.at.rate_bytes,
				   .burst = state->effect.full.burst,
				   .overhead = (uint16_t)state->effect.at.packet_overhead};
}

static struct netem_config netem_of(const struct network_state *state)
{
	struct netem_config config = state->effect.at;

	if (state->effect.full.burst)
		config.rate_bytes = 0;
	if (!config.has_seed && state->has_kernel_seed) {
		config.has_seed = true;
		config.seed = state->run_seed;
	}
	/* the same seed again would repeat the same draws after each change */
	config.seed += state->change_count;
	return config;
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

/* netem bounds what waits by its number alone. As the stack hands packets down they have up to 64
 * KiB (more only where somebody has raised an interface's gso_max_size), and each has a head
 * besides (struct sk_buff and its data: 768 bytes at least). */
uint64_t network_netem_bound(struct network_state *state)
{
	const uint64_t head = 1024, whole = 65536;
	struct sysinfo machine = {0};
	uint64_t largest = largest_packet(state);

	if (!network_effect_needs_wire_packets(&state->effect) && largest < whole)
		largest = whole;
	sysinfo(&machine);
	return network_effect_bound(&state->effect, largest + head,
				    (uint64_t)machine.totalram * machine.mem_unit / MEMORY_PART);
}

int network_netem_resize(struct network_state *state, struct error *err)
{
	if (!network_effect_needs_wire_packets(&state->effect))
		return 0;
	return qdisc_change_segmenter(state->route, state->ifb_index, SEGMENTER_HANDLE,
				      largest_packet(state), err);
}

struct queues {
	const struct network_state *state;
	unsigned right;
};

static void count_queue(void *context, const struct qdisc *qdisc)
{
	struct queues *queues = context;
	const struct network_state *state = queues->state;
	bool is_right = false;

	if (qdisc->handle == NETEM_HANDLE)
		is_right = qdisc->parent == netem_parent(state) && !strcmp(qdisc->kind, "netem");
	else if (qdisc->handle == LIMITER_HANDLE)
		is_right = qdisc->parent == limiter_parent(state) && !strcmp(qdisc->kind, "tbf");
	else if (qdisc->handle == SEGMENTER_HANDLE)
		is_right = qdisc->parent == TC_H_ROOT && !strcmp(qdisc->kind, "tbf");
	queues->right += is_right;
}

/* In a row: of one that is taken out, what was below goes with it, and the kernel puts a queue
 * there that drops everything. */
static int check_queues(const struct network_state *state, struct error *err)
{
	struct queues queues = {.state = state};
	unsigned wanted = 1 + (state->effect.full.burst != 0) +
			  network_effect_needs_wire_packets(&state->effect);
	int result = qdisc_each(state->route, state->ifb_index, count_queue, &queues, err);

	if (result == 0 && queues.right != wanted)
		return error_set(err, ENOENT, "the queue of interface %s was replaced",
				 state->record.link);
	return result;
}

int network_netem_check(struct network_state *state, struct error *err)
{
	struct link link;
	int result = link_get(state->route, state->ifb_index, &link, err);

	if (result == -ENODEV)
		return error_set(err, ENODEV, "interface %s is gone", state->record.link);
	if (result < 0)
		return result;
	if (!(link.flags & IFF_UP))
		return error_set(err, ENODEV, "interface %s was taken down", link.name);
	return check_queues(state, err);
}

static int add_queues(struct network_state *state, struct error *err)
{
	const struct netem_config netem = netem_of(state);
	const struct qdisc_rate limiter = limiter_of(state);
	int result = 0;

	if (network_effect_needs_wire_packets(&state->effect))
		result = qdisc_add_segmenter(state->route, state->ifb_index, SEGMENTER_HANDLE,
					     largest_packet(state), err);
	if (result == 0 && state->effect.full.burst)
		result = qdisc_add_rate(state->route, state->ifb_index, limiter_parent(state),
					LIMITER_HANDLE, &limiter, err);
	if (result == 0)
		result = netem_add(state->route, state->ifb_index, netem_parent(state),
				   NETEM_HANDLE, &netem, err);
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

static int change(struct network_state *state, struct netem_config *netem,
		  const struct qdisc_rate *limiter, struct error *err)
{
	int result = 0;

	/* A rate makes a packet wait for the one before it: so none overtakes what came when the
	 * delay was longer. With jitter they overtake each other anyway. */
	if (!netem->rate_bytes && !netem->jitter_ns)
		netem->rate_bytes = ORDERLY_RATE;
	if (state->effect.full.burst)
		result = qdisc_change_rate(state->route, state->ifb_index, limiter_parent(state),
					   LIMITER_HANDLE, limiter, err);
	if (result == 0)
		result = netem_change(state->route, state->ifb_index, netem_parent(state),
				      NETEM_HANDLE, netem, err);
	return result;
}

int network_netem_change(struct network_state *state, struct error *err)
{
	const struct qdisc_rate limiter = limiter_of(state);
	struct netem_config netem;

	state->change_count++;
	netem = netem_of(state);
	return change(state, &netem, &limiter, err);
}

int network_netem_soften(struct network_state *state, struct error *err)
{
	const struct qdisc_rate limiter = {.burst = state->effect.full.burst};
	struct netem_config netem = {.limit = state->effect.at.limit};

	return change(state, &netem, &limiter, err);
}

uint32_t network_mtu(const struct network_state *state)
{
	return largest_packet(state);
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

static void look_at_counts(void *context, const struct qdisc *qdisc)
{
	struct network_queue_counts *counts = context;

	if (qdisc->handle < SEGMENTER_HANDLE || qdisc->handle > LIMITER_HANDLE)
		return;
	/* tbf counts its child's drops as its own, and has its own: packets larger than its burst
	 * that cannot be cut (tbf_enqueue() in net/sched/sch_tbf.c). So the root has seen all. */
	if (qdisc->dropped > counts->dropped)
		counts->dropped = qdisc->dropped;
	if (qdisc->parent != TC_H_ROOT)
		return;
	counts->sent = qdisc->sent;
	counts->waiting = qdisc->waiting;
}

int network_netem_count(struct network_state *state, struct network_queue_counts *out,
			struct error *err)
{
	struct network_queue_counts counts = {0};
	int result = qdisc_each(state->route, state->ifb_index, look_at_counts, &counts, err);

	if (result == 0)
		*out = counts;
	return result;
}
