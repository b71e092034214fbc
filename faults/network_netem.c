/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The ifb with netem. An ifb sends a packet on where it was taken: out of the same interface, or up
 * the stack; so one can serve all interfaces and both directions of a step. It does where packets
 * do not depend on each other; where they do, each path has one, for a slow interface must not slow
 * the others.
 */
#include "faults/network_netem.h"

#include "injector/base/clock.h"
#include "injector/base/random.h"
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
#define IDLE_LOOKS	 3		/* in a row: then nothing is between a queue and its ifb */

bool network_netem_is_split(const struct network_state *state)
{
	return state->path_limit > 1 && (network_effect_needs_wire_packets(&state->effect) ||
					 !network_effect_is_independent(&state->effect));
}

int network_netem_device(const struct network_state *state, unsigned at)
{
	return state->paths[at].ifb_index ? state->paths[at].ifb_index : state->ifb_index;
}

bool network_netem_has(const struct network_state *state, int index)
{
	for (unsigned i = 0; i < state->path_count; i++)
		if (state->paths[i].ifb_index == index)
			return index != 0;
	return index != 0 && index == state->ifb_index;
}

/* One ifb of the step: the one of a path, or the one of all (the first, and with a path of NULL).
 */
struct queue {
	int index;
	unsigned at;
	const struct network_path *path;
};

/* Goes on to the next one that is there. */
static bool next_queue(const struct network_state *state, struct queue *queue)
{
	const bool is_first = queue->index == 0;

	if (is_first && state->ifb_index) {
		*queue = (struct queue){.index = state->ifb_index};
		return true;
	}
	if (state->ifb_index)
		return false;
	for (unsigned i = is_first ? 0 : queue->at + 1; i < state->path_count; i++)
		if (state->paths[i].ifb_index) {
			*queue = (struct queue){state->paths[i].ifb_index, i, &state->paths[i]};
			return true;
		}
	return false;
}

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

/* Two queues of one seed would draw the same. */
static struct netem_config netem_of(const struct network_state *state, const struct queue *queue)
{
	struct netem_config config = state->effect.at;

	if (state->effect.full.burst)
		config.rate_bytes = 0;
	if (!config.has_seed && state->has_kernel_seed) {
		config.has_seed = true;
		config.seed = state->run_seed;
	}
	/* The same seed again would repeat the same draws after each change. And the kernel begins
	 * with small numbers for a small seed, so that the first packets were all lost
	 * (prandom_seed_state(), include/linux/prandom.h). */
	config.seed += state->change_count + ((uint64_t)queue->at << 32);
	config.seed = random_next(&config.seed);
	return config;
}

/* Dropped by a verdict, a packet that leaves is reported to its sender: UDP may see ENOBUFS, TCP
 * takes it for congestion in its own queue and does not count it as sent (NET_XMIT_DROP in
 * nf_hook_egress()). What the wire loses nobody is told: so it is forwarded to nowhere. */
int network_hole_build(struct network_state *state, struct error *err)
{
	state->ifb_index = 0;
	return link_create_ifb(state->route, state->record.link, NETWORK_LINK_GROUP,
			       state->record.alias, &state->ifb_index, err);
}

uint32_t network_mtu(const struct network_state *state)
{
	uint32_t mtu = 0;

	for (unsigned i = 0; i < state->path_count; i++)
		if (state->paths[i].mtu > mtu)
			mtu = state->paths[i].mtu;
	return mtu + LINK_HEADER_MAX;
}

static uint32_t largest_of(const struct network_state *state, const struct queue *queue)
{
	return queue->path ? queue->path->mtu + LINK_HEADER_MAX : network_mtu(state);
}

static uint32_t at_least(uint32_t size, uint32_t least)
{
	return size > least ? size : least;
}

/* A packet of the wire fits into either bucket: tbf drops what does not. */
static struct qdisc_rate limiter_of(const struct network_state *state, const struct queue *queue)
{
	const struct netem_config *at = &state->effect.at;
	const uint32_t largest = largest_of(state, queue);

	return (struct qdisc_rate){.bytes = at->rate_bytes,
				   .burst = at_least(at->burst, largest),
				   .overhead = (uint16_t)at->packet_overhead,
				   .peak_bytes = at->peak_bytes,
				   .peak_burst = at_least(at->peak_burst, largest)};
}

/* netem bounds what waits by its number alone. As the stack hands packets down they have up to 64
 * KiB (more only where somebody has raised an interface's gso_max_size), and each has a head
 * besides (struct sk_buff and its data: 768 bytes at least). */
uint64_t network_netem_bound(struct network_state *state)
{
	const uint64_t head = 1024, whole = 65536;
	struct sysinfo machine = {0};
	uint64_t largest = network_mtu(state), queues = 1;

	if (network_netem_is_split(state) && state->path_count)
		queues = state->path_count;
	if (!network_effect_needs_wire_packets(&state->effect) && largest < whole)
		largest = whole;
	sysinfo(&machine);
	return network_effect_bound(&state->effect, largest + head,
				    (uint64_t)machine.totalram * machine.mem_unit / MEMORY_PART /
					    queues) *
	       queues;
}

static int resize(struct network_state *state, const struct queue *queue, struct error *err)
{
	const struct qdisc_rate limiter = limiter_of(state, queue);
	int result = 0;

	if (network_effect_needs_wire_packets(&state->effect))
		result = qdisc_change_segmenter(state->route, queue->index, SEGMENTER_HANDLE,
						largest_of(state, queue), err);
	if (result == 0 && state->effect.full.burst && (!queue->path || queue->path->index))
		result = qdisc_change_rate(state->route, queue->index, limiter_parent(state),
					   LIMITER_HANDLE, &limiter, err);
	return result;
}

int network_netem_resize(struct network_state *state, struct error *err)
{
	struct queue queue = {0};
	int result = 0;

	while (result == 0 && next_queue(state, &queue))
		result = resize(state, &queue, err);
	return result;
}

struct row {
	const struct network_state *state;
	unsigned right;
};

static void count_queue(void *context, const struct qdisc *qdisc)
{
	struct row *row = context;
	const struct network_state *state = row->state;
	bool is_right = false;

	if (qdisc->handle == NETEM_HANDLE)
		is_right = qdisc->parent == netem_parent(state) && !strcmp(qdisc->kind, "netem");
	else if (qdisc->handle == LIMITER_HANDLE)
		is_right = qdisc->parent == limiter_parent(state) && !strcmp(qdisc->kind, "tbf");
	else if (qdisc->handle == SEGMENTER_HANDLE)
		is_right = qdisc->parent == TC_H_ROOT && !strcmp(qdisc->kind, "tbf");
	row->right += is_right;
}

/* In a row: of one that is taken out, what was below goes with it, and the kernel puts a queue
 * there that drops everything. */
static int check_row(const struct network_state *state, int index, const char *name,
		     struct error *err)
{
	struct row row = {.state = state};
	unsigned wanted = 1 + (state->effect.full.burst != 0) +
			  network_effect_needs_wire_packets(&state->effect);
	int result = qdisc_each(state->route, index, count_queue, &row, err);

	if (result == 0 && row.right != wanted)
		return error_set(err, ENOENT, "the queue of interface %s was replaced", name);
	return result;
}

/* A path's own one has the name of the step's, and its number. */
static const char *name_of(const struct network_state *state, const struct queue *queue,
			   char out[IFNAMSIZ])
{
	if (queue->path)
		snprintf(out, IFNAMSIZ, "%.*sq%u", IFNAMSIZ - 6, state->record.link,
			 queue->at % 1000);
	else
		snprintf(out, IFNAMSIZ, "%s", state->record.link);
	return out;
}

int network_netem_check(struct network_state *state, struct error *err)
{
	struct queue queue = {0};
	int result = 0;

	while (result == 0 && next_queue(state, &queue)) {
		char name[IFNAMSIZ];
		struct link link;

		result = link_get(state->route, queue.index, &link, err);
		if (result == -ENODEV)
			return error_set(err, ENODEV, "interface %s is gone",
					 name_of(state, &queue, name));
		if (result == 0 && !(link.flags & IFF_UP))
			return error_set(err, ENODEV, "interface %s was taken down", link.name);
		if (result == 0)
			result = check_row(state, queue.index, name_of(state, &queue, name), err);
	}
	return result;
}

static int add_queues(struct network_state *state, const struct queue *queue, struct error *err)
{
	const struct netem_config netem = netem_of(state, queue);
	const struct qdisc_rate limiter = limiter_of(state, queue);
	int result = 0;

	if (network_effect_needs_wire_packets(&state->effect))
		result = qdisc_add_segmenter(state->route, queue->index, SEGMENTER_HANDLE,
					     largest_of(state, queue), err);
	if (result == 0 && state->effect.full.burst)
		result = qdisc_add_rate(state->route, queue->index, limiter_parent(state),
					LIMITER_HANDLE, &limiter, err);
	if (result == 0)
		result = netem_add(state->route, queue->index, netem_parent(state), NETEM_HANDLE,
				   &netem, err);
	return result;
}

/* Down until its queues are there: to change them on a device that is up waits for an RCU grace
 * period (dev_deactivate_many() in net/sched/sch_generic.c). */
static int build(struct network_state *state, struct queue queue, int *out_index, struct error *err)
{
	const struct link_change up = {.up = true};
	char name[IFNAMSIZ];
	int result = link_create_ifb(state->route, name_of(state, &queue, name), NETWORK_LINK_GROUP,
				     state->record.alias, &queue.index, err);

	if (result < 0)
		return result;
	*out_index = queue.index;
	result = add_queues(state, &queue, err);
	if (result == 0)
		result = link_change(state->route, queue.index, &up, err);
	return result;
}

int network_netem_add(struct network_state *state, unsigned at, struct error *err)
{
	struct network_path *path = &state->paths[at];

	if (!network_netem_is_split(state))
		return 0;
	return build(state, (struct queue){.at = at, .path = path}, &path->ifb_index, err);
}

int network_netem_build(struct network_state *state, struct error *err)
{
	int result = 0;

	state->ifb_index = 0;
	if (!network_netem_is_split(state))
		return build(state, (struct queue){0}, &state->ifb_index, err);
	for (unsigned i = 0; result == 0 && i < state->path_count; i++)
		if (state->paths[i].index)
			result = network_netem_add(state, i, err);
	return result;
}

static int change(struct network_state *state, const struct queue *queue,
		  struct netem_config *netem, const struct qdisc_rate *limiter, struct error *err)
{
	int result = 0;

	/* A rate makes a packet wait for the one before it: so none overtakes what came when the
	 * delay was longer. With jitter they overtake each other anyway. */
	if (!netem->rate_bytes && !netem->jitter_ns)
		netem->rate_bytes = ORDERLY_RATE;
	if (state->effect.full.burst)
		result = qdisc_change_rate(state->route, queue->index, limiter_parent(state),
					   LIMITER_HANDLE, limiter, err);
	if (result == 0)
		result = netem_change(state->route, queue->index, netem_parent(state), NETEM_HANDLE,
				      netem, err);
	return result;
}

int network_netem_change(struct network_state *state, struct error *err)
{
	struct queue queue = {0};
	int result = 0;

	state->change_count++;
	while (result == 0 && next_queue(state, &queue)) {
		struct netem_config netem;
		struct qdisc_rate limiter;

		if (queue.path && !queue.path->index)
			continue; /* who has left gives back what it has */
		netem = netem_of(state, &queue);
		limiter = limiter_of(state, &queue);
		result = change(state, &queue, &netem, &limiter, err);
	}
	return result;
}

static int soften(struct network_state *state, const struct queue *queue, struct error *err)
{
	const struct qdisc_rate limiter = {.burst = limiter_of(state, queue).burst};
	struct netem_config netem = {.limit = state->effect.at.limit};

	return change(state, queue, &netem, &limiter, err);
}

int network_netem_soften(struct network_state *state, struct error *err)
{
	struct queue queue = {0};
	int result = 0;

	while (result == 0 && next_queue(state, &queue))
		result = soften(state, &queue, err);
	return result;
}

void network_netem_soften_one(struct network_state *state, unsigned at)
{
	struct network_path *path = &state->paths[at];

	soften(state, &(struct queue){path->ifb_index, at, path}, NULL);
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

bool network_netem_all_empty(struct network_state *state)
{
	struct queue queue = {0};
	bool is_empty = true;

	/* if one is gone, what it held went with it */
	while (is_empty && next_queue(state, &queue))
		network_netem_is_empty(state->route, queue.index, &is_empty, NULL);
	return is_empty;
}

bool network_netem_is_drained(struct network_state *state, unsigned at)
{
	bool is_empty = true;

	for (unsigned i = 0; is_empty && i < IDLE_LOOKS; i++)
		network_netem_is_empty(state->route, state->paths[at].ifb_index, &is_empty, NULL);
	return is_empty;
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
	if (qdisc->has_fates) {
		counts->has_fates = true;
		counts->fates = qdisc->fates;
	}
	if (qdisc->parent != TC_H_ROOT)
		return;
	counts->sent = qdisc->sent;
	counts->waiting = qdisc->waiting;
}

static void add_counts(const struct network_queue_counts *counts, struct network_queue_counts *sum)
{
	sum->sent += counts->sent;
	sum->waiting += counts->waiting;
	sum->dropped += counts->dropped;
	sum->has_fates |= counts->has_fates;
	netem_add_fates(&sum->fates, &counts->fates);
}

int network_netem_count(struct network_state *state, struct network_queue_counts *out,
			struct error *err)
{
	struct network_queue_counts sum = state->left_queues;
	struct queue queue = {0};
	int result = 0;

	while (result == 0 && next_queue(state, &queue)) {
		struct network_queue_counts counts = {0};

		result = qdisc_each(state->route, queue.index, look_at_counts, &counts, err);
		add_counts(&counts, &sum);
	}
	if (result == 0)
		*out = sum;
	return result;
}

void network_netem_remove(struct network_state *state, unsigned at)
{
	struct network_path *path = &state->paths[at];
	struct network_queue_counts counts = {0};

	if (!path->ifb_index)
		return;
	qdisc_each(state->route, path->ifb_index, look_at_counts, &counts, NULL);
	link_delete(state->route, path->ifb_index, NULL);
	path->ifb_index = 0;
	counts.dropped += counts.waiting;
	counts.waiting = 0;
	add_counts(&counts, &state->left_queues);
}

uint64_t network_netem_abandon(struct network_state *state)
{
	struct queue queue = {0};
	uint64_t abandoned = 0;

	while (next_queue(state, &queue)) {
		struct qdisc root = {0};

		if (qdisc_get(state->route, queue.index, TC_H_ROOT, &root, NULL) < 0 ||
		    !root.waiting)
			continue;
		/* here and not in undo(), which would give it another second: then the count would
		 * lie */
		link_delete(state->route, queue.index, NULL);
		abandoned += root.waiting;
	}
	return abandoned;
}
