/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Packets that wait for their time. Time is an argument everywhere, so that tests own the clock.
 * Without jitter the queue is a list and nothing can overtake; with jitter it is a heap ordered by
 * the due time, and packets overtake each other as they do in netem. Not thread-safe.
 *
 * Memory is one mapping of a fixed size, cut into blocks that are touched only when used. The block
 * freed last is used first, so the memory in use follows the packets in flight and not the limit;
 * delay_queue_trim() gives back what a second did not need.
 */
#ifndef SQUALL_DELAY_QUEUE_H
#define SQUALL_DELAY_QUEUE_H

#include "injector/base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DELAY_QUEUE_BLOCK      (1UL << 20)
#define DELAY_QUEUE_BYTES_MAX  (1UL << 30)
#define DELAY_QUEUE_TRIM_EVERY 1000000000LL /* ns */

struct delay_queue;

/* `limit_bytes` is rounded up to blocks, two at least; `frame_max` is the room that reserve()
 * gives, at most half a block. The number of packets is limited as well: one for each 128 bytes.
 * The same seed gives the same sequence of jitter. */
int delay_queue_new(size_t limit_bytes, size_t frame_max, uint64_t seed, struct delay_queue **out,
		    struct error *err);
void delay_queue_free(struct delay_queue *queue);

/* Delay is uniform in [delay - jitter, delay + jitter), never below 0. Packets that are already
 * waiting keep their time when the delay grows; when it shrinks they leave as soon as the new delay
 * would have let them, the earlier ones first: a packet that comes later never overtakes them
 * unless it has jitter. */
void delay_queue_set(struct delay_queue *queue, int64_t delay_ns, int64_t jitter_ns,
		     int64_t now_ns);

/* Room for one packet of frame_max bytes, 16-byte aligned; NULL: full. Valid until the next call;
 * without a commit() nothing has happened. */
void *delay_queue_reserve(struct delay_queue *queue);
/* The reserved room now holds a packet of `length` bytes that arrived at `now_ns`. */
void delay_queue_commit(struct delay_queue *queue, size_t length, int64_t now_ns);

/* The next packet, if its time has come by `now_ns`; NULL otherwise. Valid until pop(). */
const void *delay_queue_peek(struct delay_queue *queue, int64_t now_ns, size_t *out_length);
/* Removes the packet peek() returned last. */
void delay_queue_pop(struct delay_queue *queue);
/* When the next packet is due; INT64_MAX: the queue is empty. */
int64_t delay_queue_next_ns(const struct delay_queue *queue);

/* Gives memory back to the system that was not used since the last call; call it every
 * DELAY_QUEUE_TRIM_EVERY while it returns true (something is left to give back). */
bool delay_queue_trim(struct delay_queue *queue);

uint64_t delay_queue_count(const struct delay_queue *queue);
/* Bytes of blocks that hold packets or have been touched and not given back. */
size_t delay_queue_memory(const struct delay_queue *queue);

#endif
