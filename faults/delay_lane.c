/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See delay_lane.h. Nothing here allocates, locks or sleeps.
 */
#include "faults/delay_lane.h"

#include "faults/delay_cut.h"
#include "faults/delay_packet.h"
#include "injector/base/clock.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

int delay_lane_init(struct delay_lane *lane, struct delay_budget *budget, uint64_t seed,
		    struct error *err)
{
	lane->tap_fd = -1;
	lane->budget = budget;
	delay_effect_init(&lane->effect, seed);
	return delay_queue_new(budget, TAP_HEADER_SIZE + TAP_FRAME_MAX, &lane->queue, err);
}

void delay_lane_free(struct delay_lane *lane)
{
	for (; lane->held_blocks; lane->held_blocks--)
		delay_budget_give(lane->budget);
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

/* Lost, unless it can be marked instead. False: it goes on. */
static bool lose(struct delay_lane *lane, void *packet, size_t length)
{
	const bool is_marked =
		lane->effect.config.has_ecn && delay_packet_mark(packet, length, lane->tap.kind);

	add(is_marked ? &lane->marked : &lane->lost, 1);
	return !is_marked;
}

/* Lost, marked, damaged or let in: what the reserved room holds. A copy of a packet is decided on
 * anew, as netem does. */
static void decide(struct delay_lane *lane, void *packet, size_t length, int64_t now_ns)
{
	struct delay_effect *effect = &lane->effect;

	if (delay_effect_loses(effect) && lose(lane, packet, length))
		return;
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
	if (delay_effect_loses_by_count(&lane->effect) && lose(lane, packet, length))
		return;
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

/* Not meant: it goes on at once. Asked before it is cut, a text may be longer than a piece. */
static bool spare(struct delay_lane *lane, const unsigned char *packet, size_t length)
{
	const int64_t now_ns = clock_now_ns();

	if (!lane->payload.count ||
	    delay_payload_is_in(&lane->payload, packet, length, lane->tap.kind))
		return false;
	add(&lane->spared, 1);
	delay_queue_commit(lane->queue, length, now_ns, now_ns, false);
	return true;
}

/* Each of its pieces as if it had come so. How many there are. */
static unsigned cut_in(struct delay_lane *lane, unsigned char *packet, size_t length)
{
	struct delay_cut cut;
	void *room = packet;

	if (spare(lane, packet, length))
		return 1;
	if (!lane->segment ||
	    !delay_cut_begin(&cut, packet, length, lane->tap.kind, lane->segment)) {
		take_in(lane, packet, length);
		return 1;
	}
	memcpy(lane->whole, packet, length); /* the first piece takes its place */
	cut.packet = lane->whole;
	for (; (length = delay_cut_next(&cut, room ? room : lane->spare));
	     room = delay_queue_reserve(lane->queue)) {
		if (room)
			take_in(lane, room, length);
		else
			add(&lane->dropped_full, 1);
	}
	return cut.count;
}

/* What stands in the queue for a packet that the kernel keeps. A packet of the tap is longer. */
static_assert(sizeof(struct held_packet) < TAP_HEADER_SIZE, "they are told apart by their length");

/* Far enough from PACKET_QUEUE_MAX for somebody to notice. */
#define HELD_MANY 16384

static void shut_hold(struct delay_lane *lane, const struct packet_queue *hold, bool is_shut)
{
	const struct delay_queue *queue = lane->queue;

	if (is_shut == lane->is_hold_shut)
		return;
	if (packet_queue_limit(hold, is_shut ? (uint32_t)delay_queue_count(queue) : UINT32_MAX) ==
	    0)
		lane->is_hold_shut = is_shut;
}

/* Makes the budget count what is held now. False: there is more than it has left. */
static bool settle_budget(struct delay_lane *lane)
{
	const uint64_t wanted = (lane->held_bytes + DELAY_QUEUE_BLOCK - 1) / DELAY_QUEUE_BLOCK;

	for (; lane->held_blocks > wanted; lane->held_blocks--)
		delay_budget_give(lane->budget);
	while (lane->held_blocks < wanted && delay_budget_take(lane->budget))
		lane->held_blocks++;
	return lane->held_blocks == wanted;
}

/* Of memory, that the kernel takes for a packet of that length: pages for what is segmented late,
 * its descriptors, the entry of the queue (measured: 1.5 KB for a small one, 4.5 KB for 1500
 * bytes). */
static uint64_t charge_for(uint32_t length)
{
	return length < 8192 ? 2ULL * length + 1536 : length + length / 8 + 2048;
}

static void hold_in(struct delay_lane *lane, const struct packet_queue *hold,
		    const struct held_packet *packet, int64_t now_ns)
{
	struct delay_due due = delay_effect_due(&lane->effect, packet->length, now_ns,
						delay_queue_last_ns(lane->queue));
	void *room = delay_queue_reserve(lane->queue);

	if (!room) {
		packet_queue_drop(hold, packet->id);
		add(&lane->dropped_full, 1);
		return;
	}
	memcpy(room, packet, sizeof(*packet));
	lane->held_bytes += charge_for(packet->length);
	lane->held_count++;
	/* the kernel lets them go in their order, and so does the delay */
	delay_queue_commit(lane->queue, sizeof(*packet), now_ns, due.at_ns, true);
}

/* Of the kernel's. Returns how many have come, or -EBADFD. */
static int receive_held(struct delay_lane *lane, const struct packet_queue *hold)
{
	struct held_packet packets[PACKET_QUEUE_BATCH];
	int count = packet_queue_receive(hold, packets);
	int64_t now_ns = clock_now_ns();
	uint64_t bytes = 0;

	if (count < 0)
		return -EBADFD;
	for (int i = 0; i < count; i++) {
		hold_in(lane, hold, &packets[i], now_ns);
		bytes += packets[i].length;
	}
	if (count) {
		add(&lane->received, (uint64_t)count);
		add(&lane->kept, (uint64_t)count);
		add(&lane->bulk, bytes);
	}
	if (lane->held_count > HELD_MANY)
		atomic_store_explicit(&lane->is_crowded, true, memory_order_relaxed);
	if (!settle_budget(lane) || is_full(lane))
		shut_hold(lane, hold, true);
	return count;
}

static size_t bulk_of(const unsigned char *packet, size_t length)
{
	const struct virtio_net_hdr *header = (const void *)packet;
	const uint8_t kind = header->gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;

	return kind == VIRTIO_NET_HDR_GSO_TCPV4 || kind == VIRTIO_NET_HDR_GSO_TCPV6 ? length : 0;
}

static int receive_tap(struct delay_lane *lane)
{
	uint64_t received = 0, dropped = 0, failed = 0, foreign = 0, bulk = 0;
	unsigned char discard[64]; /* the rest of a packet is dropped by the tap */
	int status = 0, count;

	for (count = 0; count < DELAY_LANE_BATCH; count++) {
		void *room = delay_queue_reserve(lane->queue);
		unsigned pieces;
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
		else {
			bulk += bulk_of(room, (size_t)length);
			pieces = cut_in(lane, room, (size_t)length);
			received += pieces - 1;
			count += (int)pieces - 1;
		}
	}
	if (count) {
		add(&lane->bulk, bulk);
		add(&lane->received, received - foreign);
		add(&lane->dropped_full, dropped);
		add(&lane->dropped_error, failed);
		add(&lane->foreign, foreign);
	}
	return status ? status : count;
}

int delay_lane_receive(struct delay_lane *lane)
{
	const struct packet_queue *hold = atomic_load(&lane->hold);
	int count = receive_tap(lane), held;

	if (count < 0 || !hold)
		return count;
	held = receive_held(lane, hold);
	return held < 0 ? held : count + held;
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

/* Those that are due in a row; *out_count: how many. */
static int release_held(struct delay_lane *lane, int64_t now_ns, int *out_count)
{
	const struct packet_queue *hold = atomic_load(&lane->hold);
	struct held_packet packet = {0};
	const void *next;
	size_t length;
	int result;

	*out_count = 0;
	while (*out_count < DELAY_LANE_BATCH &&
	       (next = delay_queue_peek(lane->queue, now_ns, &length)) &&
	       length == sizeof(packet)) {
		memcpy(&packet, next, sizeof(packet));
		lane->held_bytes -= charge_for(packet.length);
		lane->held_count--;
		delay_queue_pop(lane->queue);
		++*out_count;
	}
	if (!*out_count)
		return 0;
	result = packet_queue_release(hold, packet.id);
	add(result < 0 ? &lane->dropped_error : &lane->sent, (uint64_t)*out_count);
	return result < 0 ? -EBADFD : 0;
}

static int send_tap(struct delay_lane *lane, int64_t now_ns)
{
	const bool merges = lane->tap.has_udp_segmentation && !lane->keeps_single;
	struct delay_merge *merge = &lane->merge;
	uint64_t sent = 0;
	const void *packet;
	size_t length;
	/* the pieces of one packet may be many */
	const int most = lane->segment ? DELAY_LANE_PIECES : DELAY_LANE_BATCH;
	int count, status = 0;

	for (count = 0; count < most && !status; count++) {
		packet = delay_queue_peek(lane->queue, now_ns, &length);
		if (!packet || length == sizeof(struct held_packet))
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

int delay_lane_send(struct delay_lane *lane, int64_t now_ns)
{
	int count = send_tap(lane, now_ns), held = 0;

	if (count >= 0 && count < DELAY_LANE_BATCH && release_held(lane, now_ns, &held) < 0)
		return -EBADFD;
	if (lane->is_hold_shut && settle_budget(lane) && !is_full(lane))
		shut_hold(lane, atomic_load(&lane->hold), false);
	return count < 0 ? count : count + held;
}
