/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See delay_lane.h. Nothing here allocates, locks or sleeps.
 */
#include "faults/delay_lane.h"

#include "faults/delay_packet.h"
#include "injector/base/clock.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

int delay_lane_init(struct delay_lane *lane, struct delay_budget *budget, uint64_t seed,
		    struct error *err)
{
	lane->tap_fd = -1;
	delay_effect_init(&lane->effect, seed);
	return delay_queue_new(budget, TAP_HEADER_SIZE + TAP_FRAME_MAX, &lane->queue, err);
}

void delay_lane_free(struct delay_lane *lane)
{
	delay_queue_free(lane->queue);
	lane->queue = NULL;
}

void delay_lane_set(struct delay_lane *lane, const struct netem_config *config, int64_t now_ns)
{
	int64_t before_ns = delay_effect_longest_ns(&lane->effect), after_ns;

	delay_effect_set(&lane->effect, config);
	after_ns = delay_effect_longest_ns(&lane->effect);
	/* What waits for a rate must not leave in a burst; without one it may. */
	if (!config->rate_bytes && (after_ns < before_ns || lane->had_rate))
		delay_queue_hasten(lane->queue, after_ns, now_ns);
	lane->had_rate = config->rate_bytes != 0;
}

static void add(_Atomic uint64_t *counter, uint64_t count)
{
	/* one writer: a plain addition that no reader sees half done */
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + count,
			      memory_order_relaxed);
}

/* Sent by the tap's own stack or by somebody who uses it as an interface, not forwarded to it. */
static bool is_foreign(const struct delay_lane *lane, const unsigned char *packet, size_t length)
{
	const unsigned char *source = packet + TAP_HEADER_SIZE + 6;

	return lane->tap.kind == TAP_ETHERNET && length >= (size_t)TAP_HEADER_SIZE + 14 &&
	       !memcmp(source, lane->tap.address, 6);
}

/* A packet in the reserved room gets its time. */
static void admit(struct delay_lane *lane, const void *packet, size_t length, int64_t now_ns)
{
	struct delay_due due = delay_effect_due(
		&lane->effect, delay_packet_wire_length(packet, length, lane->tap.tag), now_ns,
		delay_queue_last_ns(lane->queue));

	if (due.is_reordered)
		add(&lane->reordered, 1);
	delay_queue_commit(lane->queue, length, now_ns, due.at_ns, due.is_ordered);
}

static bool is_full(const struct delay_lane *lane)
{
	return lane->effect.config.limit &&
	       delay_queue_count(lane->queue) >= lane->effect.config.limit;
}

/* Lost, marked, damaged or let in: what the reserved room holds. A copy of a packet is decided on
 * anew, as netem does. */
static void decide(struct delay_lane *lane, void *packet, size_t length, int64_t now_ns)
{
	struct delay_effect *effect = &lane->effect;

	if (delay_effect_loses(effect)) {
		if (!effect->config.has_ecn || !delay_packet_mark(packet, length, lane->tap.kind)) {
			add(&lane->lost, 1);
			return;
		}
		add(&lane->marked, 1);
	}
	if (delay_effect_corrupts(effect)) {
		const size_t tag = lane->tap.tag;

		delay_packet_damage(packet, length, tag,
				    delay_effect_below(effect, delay_packet_bits(length, tag)));
		add(&lane->corrupted, 1);
	}
	if (is_full(lane))
		add(&lane->dropped_full, 1);
	else
		admit(lane, packet, length, now_ns);
}

static void take_in(struct delay_lane *lane, unsigned char *packet, size_t length)
{
	int64_t now_ns = clock_now_ns();
	void *copy;

	if (lane->refusal.is_on) {
		length = delay_refuse(packet, length, lane->tap.kind, &lane->refusal);
		if (!length)
			return; /* it is lost without a word */
	}
	if (delay_effect_duplicates(&lane->effect)) {
		add(&lane->duplicated, 1);
		memcpy(lane->spare, packet, length);
		decide(lane, packet, length, now_ns);
		copy = delay_queue_reserve(lane->queue);
		if (!copy) {
			add(&lane->dropped_full, 1);
			return;
		}
		memcpy(copy, lane->spare, length);
		packet = copy;
	}
	decide(lane, packet, length, now_ns);
}

int delay_lane_receive(struct delay_lane *lane)
{
	uint64_t received = 0, dropped = 0, failed = 0, foreign = 0;
	unsigned char discard[64]; /* the rest of a packet is dropped by the tap */
	int status = 0, count;

	for (count = 0; count < DELAY_LANE_BATCH; count++) {
		void *room = delay_queue_reserve(lane->queue);
		ssize_t length = read(lane->tap_fd, room ? room : discard,
				      room ? TAP_HEADER_SIZE + TAP_FRAME_MAX : sizeof(discard));

		if (length < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (length < 0 && (errno == EBADFD || errno == EBADF)) {
			status = -EBADFD;
			break;
		}
		received++;
		if (length < 0)
			failed++; /* the tap could not express it, and has thrown it away */
		else if (!room)
			dropped++;
		else if (is_foreign(lane, room, (size_t)length))
			foreign++;
		else
			take_in(lane, room, (size_t)length);
	}
	if (count) {
		add(&lane->received, received - foreign);
		add(&lane->dropped_full, dropped);
		add(&lane->dropped_error, failed);
		add(&lane->foreign, foreign);
	}
	return status ? status : count;
}

/* Writes what was collected. Should the kernel not take it in one, then one by one (and from now
 * on, if it cannot read it). */
static int flush(struct delay_lane *lane, uint64_t *sent)
{
	struct delay_merge *merge = &lane->merge;
	int count;
	const struct iovec *parts = delay_merge_finish(merge, &count);
	ssize_t written = count ? writev(lane->tap_fd, parts, count) : 0;

	if (written < 0 && errno == EBADFD)
		return -EBADFD;
	if (written >= 0) {
		*sent += merge->count;
	} else if (merge->count > 1) {
		lane->keeps_single = errno == EINVAL;
		for (unsigned i = 0; i < merge->count; i++)
			*sent += write(lane->tap_fd, merge->packets[i].iov_base,
				       merge->packets[i].iov_len) >= 0;
	}
	merge->count = 0;
	return 0;
}

int delay_lane_send(struct delay_lane *lane, int64_t now_ns)
{
	const bool merges = lane->tap.has_udp_segmentation && !lane->keeps_single;
	struct delay_merge *merge = &lane->merge;
	uint64_t sent = 0;
	const void *packet;
	size_t length;
	int count, status = 0;

	for (count = 0; count < DELAY_LANE_BATCH && !status; count++) {
		packet = delay_queue_peek(lane->queue, now_ns, &length);
		if (!packet)
			break;
		if (!merges || !merge->count || !delay_merge_add(merge, packet, length)) {
			status = merge->count ? flush(lane, &sent) : 0;
			delay_merge_begin(merge, packet, length, lane->tap.kind);
		}
		delay_queue_pop(lane->queue); /* its bytes stay until the next is read */
	}
	if (merge->count && !status)
		status = flush(lane, &sent);
	if (status)
		return status;
	if (count) {
		add(&lane->sent, sent);
		add(&lane->dropped_error, count - sent);
	}
	return count;
}
