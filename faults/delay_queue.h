/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Packets that wait for their time. Time is an argument everywhere, so that tests own the clock.
 * Packets that keep their order are in a list; those that may overtake (jitter, reordering) are in
 * a heap ordered by the due time. Not thread-safe.
 *
 * Memory is one mapping of a fixed size, cut into blocks that are touched only when used. The block
 * freed last is used first, so the memory in use follows the packets in flight and not the limit;
 * delay_queue_trim() gives back what a second did not need. Several queues share one budget of
 * blocks, so that their limit is one, wherever the packets are.
 */
#ifndef SQUALL_DELAY_QUEUE_H
#define SQUALL_DELAY_QUEUE_H

#include "injector/base/error.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DELAY_QUEUE_BLOCK      (1UL << 20)
#define DELAY_QUEUE_BYTES_MAX  (1UL << 30)
#define DELAY_QUEUE_TRIM_EVERY 1000000000LL /* ns */

struct delay_queue;

/* What the queues that share it may hold together, in blocks. */
struct delay_budget {
	size_t blocks;
	_Atomic size_t used;
	/* Of several such budgets together, or NULL; two blocks of each queue are not in it, so
	 * that it can be used up and everybody still gets on. */
	struct delay_budget *whole;
};
/* `limit_bytes` is rounded up to blocks, two at least. Used by queues in any thread. */
void delay_budget_init(struct delay_budget *budget, size_t limit_bytes, struct delay_budget *whole);

/* A block more, or less, for packets that wait elsewhere. False: there is none left. */
bool delay_budget_take(struct delay_budget *budget);
void delay_budget_give(struct delay_budget *budget);

/* `budget` outlives the queue, which keeps one block of it for as long as it is there; -ENOSPC: not
 * even that is left. `frame_max` is the room that reserve() gives, at most half a block. The number
 * of packets is limited as well: one for each 128 bytes of the budget. */
int delay_queue_new(struct delay_budget *budget, size_t frame_max, struct delay_queue **out,
		    struct error *err);
void delay_queue_free(struct delay_queue *queue);

/* What waits now leaves `longest_ns` after its arrival at the latest (what is in the heap: after
 * now), the earlier ones first; what keeps its order still does. */
void delay_queue_hasten(struct delay_queue *queue, int64_t longest_ns, int64_t now_ns);

/* Room for one packet of frame_max bytes, 16-byte aligned; NULL: full. Valid until the next call;
 * without a commit() nothing has happened. */
void *delay_queue_reserve(struct delay_queue *queue);
/* The reserved room now holds a packet of `length` bytes that arrived at `now_ns` and leaves at
 * `due_ns`; with `is_ordered` not before what is there already. */
void delay_queue_commit(struct delay_queue *queue, size_t length, int64_t now_ns, int64_t due_ns,
			bool is_ordered);
/* When the last of all packets so far leaves, or has left. */
int64_t delay_queue_last_ns(const struct delay_queue *queue);

/* The next packet, if its time has come by `now_ns`; NULL otherwise. Valid until pop(). */
const void *delay_queue_peek(struct delay_queue *queue, int64_t now_ns, size_t *out_length);
/* Removes the packet peek() returned last. Its bytes stay where they are until the next reserve()
 * or trim(). */
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
