/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See delay_queue.h. A packet is an entry (header and bytes) inside one block and is named by its
 * slot, the offset in the mapping divided by 16. Entries of a block are written one behind the
 * other; a block is free again when its last entry has left.
 */
#include "faults/delay_queue.h"

#include "faults/delay_heap.h"
#include "injector/base/cleanup.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define SLOT_SIZE	16
#define NO_SLOT		UINT32_MAX
#define BYTES_PER_ENTRY 128 /* sizes the heap; real packets are larger with their headers */

struct entry {
	int64_t arrival_ns;
	int64_t due_ns;
	uint32_t next; /* slot; list only */
	uint32_t length;
	uint64_t sequence;
	unsigned char data[];
};
static_assert(sizeof(struct entry) == 32, "data must stay aligned to the slot");

/* Of each queue, whatever the others hold: one drains while the other is filled. */
#define BLOCKS_OWN 2

struct block {
	uint32_t used; /* bytes written */
	uint32_t live; /* entries that have not left */
	bool is_touched;
	bool is_charged; /* to the budget: the current one, and whatever may be touched */
};

struct delay_queue {
	struct delay_budget *budget;
	uint32_t charged; /* blocks; those beyond BLOCKS_OWN also to the whole */
	unsigned char *memory;
	size_t memory_size;
	size_t entry_max; /* header and frame_max, rounded to slots */
	struct block *blocks;
	uint32_t block_count;
	uint32_t current; /* block that is being filled */
	/* A stack: the block freed last is on top. `free_low` is its lowest height since the last
	 * trim: nobody needed the blocks below. */
	uint32_t *free_blocks;
	uint32_t free_count, free_low;
	bool was_used; /* since the last trim */

	struct delay_heap heap;
	uint32_t entry_limit;
	uint32_t first, last; /* slots of the list */
	uint32_t list_count;

	uint64_t sequence; /* of the last packet */
	int64_t last_due_ns;
	/* After a shrink: entries of the list up to cap_sequence leave at arrival + cap_ns at the
	 * latest. Kept as a rule because walking a long list would stop the traffic. */
	uint64_t cap_sequence;
	int64_t cap_ns;
};

static struct entry *entry_at(const struct delay_queue *queue, uint32_t slot)
{
	return (struct entry *)(void *)(queue->memory + (size_t)slot * SLOT_SIZE);
}

void delay_budget_init(struct delay_budget *budget, size_t limit_bytes, struct delay_budget *whole)
{
	budget->blocks = (limit_bytes + DELAY_QUEUE_BLOCK - 1) / DELAY_QUEUE_BLOCK;
	if (budget->blocks < 2)
		budget->blocks = 2;
	budget->whole = whole;
	atomic_init(&budget->used, 0);
}

static bool take_block(struct delay_budget *budget)
{
	if (atomic_fetch_add(&budget->used, 1) < budget->blocks)
		return true;
	atomic_fetch_sub(&budget->used, 1);
	return false;
}

bool delay_budget_take(struct delay_budget *budget)
{
	if (!take_block(budget))
		return false;
	if (!budget->whole || take_block(budget->whole))
		return true;
	atomic_fetch_sub(&budget->used, 1);
	return false;
}

void delay_budget_give(struct delay_budget *budget)
{
	atomic_fetch_sub(&budget->used, 1);
	if (budget->whole)
		atomic_fetch_sub(&budget->whole->used, 1);
}

static bool is_short(const struct delay_budget *budget)
{
	return budget && atomic_load(&budget->used) >= budget->blocks;
}

static bool charge(struct delay_queue *queue, struct block *block)
{
	struct delay_budget *whole = queue->charged < BLOCKS_OWN ? NULL : queue->budget->whole;

	if (block->is_charged)
		return true;
	if (!take_block(queue->budget))
		return false;
	if (whole && !take_block(whole)) {
		atomic_fetch_sub(&queue->budget->used, 1);
		return false;
	}
	queue->charged++;
	block->is_charged = true;
	return true;
}

static void discharge(struct delay_queue *queue, struct block *block)
{
	if (!block->is_charged)
		return;
	block->is_charged = false;
	queue->charged--;
	atomic_fetch_sub(&queue->budget->used, 1);
	if (queue->charged >= BLOCKS_OWN && queue->budget->whole)
		atomic_fetch_sub(&queue->budget->whole->used, 1);
}

int delay_queue_new(struct delay_budget *budget, size_t frame_max, struct delay_queue **out,
		    struct error *err)
{
	size_t entry_max =
		(sizeof(struct entry) + frame_max + SLOT_SIZE - 1) / SLOT_SIZE * SLOT_SIZE;
	struct delay_queue *queue;

	if (entry_max > DELAY_QUEUE_BLOCK / 2 ||
	    budget->blocks > DELAY_QUEUE_BYTES_MAX / DELAY_QUEUE_BLOCK)
		return error_set(err, EINVAL, "delay queue: %zu blocks with frames of %zu",
				 budget->blocks, frame_max);
	queue = calloc(1, sizeof(*queue));
	if (!queue)
		return error_errno(err, ENOMEM, "delay queue");
	queue->budget = budget;
	queue->entry_max = entry_max;
	queue->block_count = budget->blocks;
	queue->memory_size = queue->block_count * DELAY_QUEUE_BLOCK;
	queue->entry_limit = queue->memory_size / BYTES_PER_ENTRY;
	queue->blocks = calloc(queue->block_count, sizeof(*queue->blocks));
	queue->free_blocks = calloc(queue->block_count, sizeof(*queue->free_blocks));
	queue->memory = delay_heap_map(queue->memory_size);
	if (!queue->blocks || !queue->free_blocks || !queue->memory ||
	    delay_heap_init(&queue->heap, queue->entry_limit)) {
		error_errno(err, ENOMEM, "delay queue of %zu bytes", queue->memory_size);
		delay_queue_free(queue);
		return -ENOMEM;
	}
	for (uint32_t i = 1; i < queue->block_count; i++)
		queue->free_blocks[queue->free_count++] = queue->block_count - i;
	queue->free_low = queue->free_count;
	if (!charge(queue, &queue->blocks[queue->current])) {
		delay_queue_free(queue);
		return error_set(err, ENOSPC, "delay queue: nothing is left of %zu blocks",
				 budget->blocks);
	}
	queue->first = queue->last = NO_SLOT;
	queue->last_due_ns = INT64_MIN;
	*out = queue;
	return 0;
}

void delay_queue_free(struct delay_queue *queue)
{
	if (!queue)
		return;
	if (queue->memory)
		munmap(queue->memory, queue->memory_size);
	delay_heap_free(&queue->heap);
	for (uint32_t i = 0; queue->blocks && i < queue->block_count; i++)
		discharge(queue, &queue->blocks[i]);
	free(queue->blocks);
	free(queue->free_blocks);
	free(queue);
}

/* Room is the largest frame: the length is known only after the read. */
void *delay_queue_reserve(struct delay_queue *queue)
{
	struct block *block = &queue->blocks[queue->current];

	if (queue->list_count + queue->heap.count >= queue->entry_limit)
		return NULL;
	if (block->used + queue->entry_max > DELAY_QUEUE_BLOCK) {
		/* touched ones are on top: if that one is not paid for, none is */
		if (!queue->free_count ||
		    !charge(queue, &queue->blocks[queue->free_blocks[queue->free_count - 1]]))
			return NULL;
		queue->current = queue->free_blocks[--queue->free_count];
		if (queue->free_count < queue->free_low)
			queue->free_low = queue->free_count;
		block = &queue->blocks[queue->current];
		block->used = 0;
	}
	return ((struct entry *)(void *)(queue->memory + queue->current * DELAY_QUEUE_BLOCK +
					 block->used))
		->data;
}

static void list_push(struct delay_queue *queue, struct entry *entry, uint32_t slot)
{
	entry->next = NO_SLOT;
	if (queue->list_count++)
		entry_at(queue, queue->last)->next = slot;
	else
		queue->first = slot;
	queue->last = slot;
}

void delay_queue_commit(struct delay_queue *queue, size_t length, int64_t now_ns, int64_t due_ns,
			bool is_ordered)
{
	struct block *block = &queue->blocks[queue->current];
	size_t offset = queue->current * DELAY_QUEUE_BLOCK + block->used;
	uint32_t slot = offset / SLOT_SIZE;
	struct entry *entry = entry_at(queue, slot);

	entry->arrival_ns = now_ns;
	entry->length = length;
	entry->sequence = ++queue->sequence;
	block->used += (sizeof(*entry) + length + SLOT_SIZE - 1) / SLOT_SIZE * SLOT_SIZE;
	block->live++;
	block->is_touched = true;
	queue->was_used = true;
	entry->due_ns = due_ns;
	if (is_ordered) {
		/* also not before packets in the heap */
		if (entry->due_ns < queue->last_due_ns)
			entry->due_ns = queue->last_due_ns;
		list_push(queue, entry, slot);
	} else {
		delay_heap_push(&queue->heap, (struct delay_node){entry->due_ns, slot,
								  (uint32_t)entry->sequence});
	}
	if (entry->due_ns > queue->last_due_ns)
		queue->last_due_ns = entry->due_ns;
}

static int64_t list_due_ns(const struct delay_queue *queue)
{
	const struct entry *entry;

	if (!queue->list_count)
		return INT64_MAX;
	entry = entry_at(queue, queue->first);
	if (entry->sequence <= queue->cap_sequence &&
	    entry->arrival_ns + queue->cap_ns < entry->due_ns)
		return entry->arrival_ns + queue->cap_ns;
	return entry->due_ns;
}

static bool is_heap_next(const struct delay_queue *queue)
{
	int64_t list = list_due_ns(queue);

	if (!queue->heap.count || queue->heap.nodes[0].due_ns != list)
		return queue->heap.count && queue->heap.nodes[0].due_ns < list;
	return (int32_t)(queue->heap.nodes[0].sequence -
			 (uint32_t)entry_at(queue, queue->first)->sequence) < 0;
}

int64_t delay_queue_next_ns(const struct delay_queue *queue)
{
	return is_heap_next(queue) ? queue->heap.nodes[0].due_ns : list_due_ns(queue);
}

const void *delay_queue_peek(struct delay_queue *queue, int64_t now_ns, size_t *out_length)
{
	const struct entry *entry;

	if (!delay_queue_count(queue) || delay_queue_next_ns(queue) > now_ns)
		return NULL;
	entry = entry_at(queue, is_heap_next(queue) ? queue->heap.nodes[0].slot : queue->first);
	*out_length = entry->length;
	return entry->data;
}

void delay_queue_pop(struct delay_queue *queue)
{
	uint32_t slot, index;

	if (is_heap_next(queue)) {
		slot = queue->heap.nodes[0].slot;
		delay_heap_pop(&queue->heap);
	} else {
		slot = queue->first;
		queue->first = entry_at(queue, slot)->next;
		queue->list_count--;
	}
	index = (size_t)slot * SLOT_SIZE / DELAY_QUEUE_BLOCK;
	if (--queue->blocks[index].live)
		return;
	if (index == queue->current)
		queue->blocks[index].used = 0; /* the same few pages again: warm and small */
	else
		queue->free_blocks[queue->free_count++] = index;
}

/* The list is capped by a rule (see cap_ns), the heap in place. */
void delay_queue_hasten(struct delay_queue *queue, int64_t longest_ns, int64_t now_ns)
{
	int64_t latest_ns = now_ns + longest_ns;

	queue->cap_ns = longest_ns;
	queue->cap_sequence = queue->sequence;
	delay_heap_hasten(&queue->heap, latest_ns);
	if (queue->last_due_ns > latest_ns)
		queue->last_due_ns = latest_ns;
}

int64_t delay_queue_last_ns(const struct delay_queue *queue)
{
	return queue->last_due_ns;
}

bool delay_queue_trim(struct delay_queue *queue)
{
	struct block *current = &queue->blocks[queue->current];
	bool is_idle = !queue->was_used && !delay_queue_count(queue);
	/* others wait for what is only kept for a busier moment */
	bool gives_all = is_idle || is_short(queue->budget->whole);
	bool is_rest = false;

	for (uint32_t i = 0; i < queue->free_count; i++) {
		struct block *block = &queue->blocks[queue->free_blocks[i]];

		if (block->is_touched && (i < queue->free_low || gives_all)) {
			delay_heap_give_back(queue->memory +
						     queue->free_blocks[i] * DELAY_QUEUE_BLOCK,
					     DELAY_QUEUE_BLOCK);
			block->is_touched = false;
		}
		if (!block->is_touched)
			discharge(queue, block);
		is_rest |= block->is_touched;
	}
	if (is_idle && current->is_touched) {
		delay_heap_give_back(queue->memory + queue->current * DELAY_QUEUE_BLOCK,
				     DELAY_QUEUE_BLOCK);
		current->is_touched = false;
	}
	delay_heap_trim(&queue->heap);
	queue->free_low = queue->free_count;
	queue->was_used = false;
	return is_rest || current->is_touched || queue->heap.touched;
}

uint64_t delay_queue_count(const struct delay_queue *queue)
{
	return (uint64_t)queue->list_count + queue->heap.count;
}

size_t delay_queue_memory(const struct delay_queue *queue)
{
	size_t bytes = queue->heap.touched * sizeof(struct delay_node);

	for (uint32_t i = 0; i < queue->block_count; i++)
		bytes += queue->blocks[i].is_touched ? DELAY_QUEUE_BLOCK : 0;
	return bytes;
}
