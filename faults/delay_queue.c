/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See delay_queue.h. A packet is an entry (header and bytes) inside one block and is named by its
 * slot, the offset in the mapping divided by 16. Entries of a block are written one behind the
 * other; a block is free again when its last entry has left.
 */
#include "faults/delay_queue.h"

#include "injector/base/cleanup.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define SLOT_SIZE	16
#define NO_SLOT		UINT32_MAX
#define BYTES_PER_ENTRY 128 /* sizes the heap; real packets are larger with their headers */
#define HEAP_WIDTH	4   /* four children share a cache line */

struct entry {
	int64_t arrival_ns;
	int64_t due_ns;
	uint32_t next; /* slot; list only */
	uint32_t length;
	uint64_t sequence;
	unsigned char data[];
};
static_assert(sizeof(struct entry) == 32, "data must stay aligned to the slot");

struct node {
	int64_t due_ns;
	uint32_t slot;
	uint32_t sequence; /* wraps; the queue holds far fewer than 2^31 packets */
};

struct block {
	uint32_t used; /* bytes written */
	uint32_t live; /* entries that have not left */
	bool is_touched;
};

struct delay_queue {
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

	struct node *heap;
	size_t heap_size;		/* bytes mapped */
	uint32_t heap_count, heap_high; /* heap_high: the most since the last trim */
	uint32_t heap_touched;
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

static void *map_lazily(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		return NULL;
	/* A huge page would make an idle queue resident by 2 MiB at its first packet. */
	madvise(memory, size, MADV_NOHUGEPAGE);
	madvise(memory, size, MADV_DONTDUMP); /* other people's traffic */
	return memory;
}

int delay_queue_new(size_t limit_bytes, size_t frame_max, struct delay_queue **out,
		    struct error *err)
{
	size_t entry_max =
		(sizeof(struct entry) + frame_max + SLOT_SIZE - 1) / SLOT_SIZE * SLOT_SIZE;
	struct delay_queue *queue;

	if (entry_max > DELAY_QUEUE_BLOCK / 2 || limit_bytes > DELAY_QUEUE_BYTES_MAX)
		return error_set(err, EINVAL, "delay queue: %zu bytes with frames of %zu",
				 limit_bytes, frame_max);
	queue = calloc(1, sizeof(*queue));
	if (!queue)
		return error_errno(err, ENOMEM, "delay queue");
	queue->entry_max = entry_max;
	queue->block_count = (limit_bytes + DELAY_QUEUE_BLOCK - 1) / DELAY_QUEUE_BLOCK;
	if (queue->block_count < 2)
		queue->block_count = 2;
	queue->memory_size = queue->block_count * DELAY_QUEUE_BLOCK;
	queue->entry_limit = queue->memory_size / BYTES_PER_ENTRY;
	queue->heap_size = queue->entry_limit * sizeof(struct node);
	queue->blocks = calloc(queue->block_count, sizeof(*queue->blocks));
	queue->free_blocks = calloc(queue->block_count, sizeof(*queue->free_blocks));
	queue->memory = map_lazily(queue->memory_size);
	queue->heap = map_lazily(queue->heap_size);
	if (!queue->blocks || !queue->free_blocks || !queue->memory || !queue->heap) {
		delay_queue_free(queue);
		return error_errno(err, ENOMEM, "delay queue of %zu bytes", queue->memory_size);
	}
	for (uint32_t i = 1; i < queue->block_count; i++)
		queue->free_blocks[queue->free_count++] = queue->block_count - i;
	queue->free_low = queue->free_count;
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
	if (queue->heap)
		munmap(queue->heap, queue->heap_size);
	free(queue->blocks);
	free(queue->free_blocks);
	free(queue);
}

/* Room is the largest frame: the length is known only after the read. */
void *delay_queue_reserve(struct delay_queue *queue)
{
	struct block *block = &queue->blocks[queue->current];

	if (queue->list_count + queue->heap_count >= queue->entry_limit)
		return NULL;
	if (block->used + queue->entry_max > DELAY_QUEUE_BLOCK) {
		if (!queue->free_count)
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

static bool is_before(const struct node *a, const struct node *b)
{
	if (a->due_ns != b->due_ns)
		return a->due_ns < b->due_ns;
	return (int32_t)(a->sequence - b->sequence) < 0;
}

static void sift_down(struct delay_queue *queue, uint32_t at)
{
	struct node *heap = queue->heap, moving = heap[at];

	for (;;) {
		uint32_t best = at * HEAP_WIDTH + 1, end = best + HEAP_WIDTH;

		if (best >= queue->heap_count)
			break;
		if (end > queue->heap_count)
			end = queue->heap_count;
		for (uint32_t child = best + 1; child < end; child++) {
			if (is_before(&heap[child], &heap[best]))
				best = child;
		}
		if (!is_before(&heap[best], &moving))
			break;
		heap[at] = heap[best];
		at = best;
	}
	heap[at] = moving;
}

static void heap_push(struct delay_queue *queue, struct node node)
{
	struct node *heap = queue->heap;
	uint32_t at = queue->heap_count++;

	while (at) {
		uint32_t parent = (at - 1) / HEAP_WIDTH;

		if (!is_before(&node, &heap[parent]))
			break;
		heap[at] = heap[parent];
		at = parent;
	}
	heap[at] = node;
	if (queue->heap_count > queue->heap_high)
		queue->heap_high = queue->heap_count;
	if (queue->heap_count > queue->heap_touched)
		queue->heap_touched = queue->heap_count;
}

static void heap_pop(struct delay_queue *queue)
{
	queue->heap[0] = queue->heap[--queue->heap_count];
	if (queue->heap_count)
		sift_down(queue, 0);
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
		heap_push(queue, (struct node){entry->due_ns, slot, (uint32_t)entry->sequence});
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

	if (!queue->heap_count || queue->heap[0].due_ns != list)
		return queue->heap_count && queue->heap[0].due_ns < list;
	return (int32_t)(queue->heap[0].sequence -
			 (uint32_t)entry_at(queue, queue->first)->sequence) < 0;
}

int64_t delay_queue_next_ns(const struct delay_queue *queue)
{
	return is_heap_next(queue) ? queue->heap[0].due_ns : list_due_ns(queue);
}

const void *delay_queue_peek(struct delay_queue *queue, int64_t now_ns, size_t *out_length)
{
	const struct entry *entry;

	if (!delay_queue_count(queue) || delay_queue_next_ns(queue) > now_ns)
		return NULL;
	entry = entry_at(queue, is_heap_next(queue) ? queue->heap[0].slot : queue->first);
	*out_length = entry->length;
	return entry->data;
}

void delay_queue_pop(struct delay_queue *queue)
{
	uint32_t slot, index;

	if (is_heap_next(queue)) {
		slot = queue->heap[0].slot;
		heap_pop(queue);
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

/* The list is capped by a rule (see cap_ns). Nodes of the heap are changed in place, 16 bytes each;
 * those with equal times then leave in the order they came. */
void delay_queue_hasten(struct delay_queue *queue, int64_t longest_ns, int64_t now_ns)
{
	int64_t latest_ns = now_ns + longest_ns;

	queue->cap_ns = longest_ns;
	queue->cap_sequence = queue->sequence;
	for (uint32_t i = 0; i < queue->heap_count; i++) {
		if (queue->heap[i].due_ns > latest_ns)
			queue->heap[i].due_ns = latest_ns;
	}
	for (uint32_t i = queue->heap_count / HEAP_WIDTH + 1; i-- > 0;) {
		if (i < queue->heap_count)
			sift_down(queue, i);
	}
	if (queue->last_due_ns > latest_ns)
		queue->last_due_ns = latest_ns;
}

int64_t delay_queue_last_ns(const struct delay_queue *queue)
{
	return queue->last_due_ns;
}

static void give_back(void *from, size_t size)
{
	/* The mapping is private and anonymous: DONTNEED frees the pages now, FREE only under
	 * pressure and RSS would go on showing them. */
	madvise(from, size, MADV_DONTNEED);
}

static void trim_heap(struct delay_queue *queue)
{
	const size_t page = 4096;
	size_t keep = (queue->heap_high * sizeof(struct node) + page - 1) / page * page;
	size_t touched = (queue->heap_touched * sizeof(struct node) + page - 1) / page * page;

	if (touched > keep)
		give_back((unsigned char *)queue->heap + keep, touched - keep);
	queue->heap_touched = queue->heap_high;
	queue->heap_high = queue->heap_count;
}

bool delay_queue_trim(struct delay_queue *queue)
{
	struct block *current = &queue->blocks[queue->current];
	bool is_idle = !queue->was_used && !delay_queue_count(queue);
	bool is_rest = false;

	for (uint32_t i = 0; i < queue->free_count; i++) {
		struct block *block = &queue->blocks[queue->free_blocks[i]];

		if (block->is_touched && (i < queue->free_low || is_idle)) {
			give_back(queue->memory + queue->free_blocks[i] * DELAY_QUEUE_BLOCK,
				  DELAY_QUEUE_BLOCK);
			block->is_touched = false;
		}
		is_rest |= block->is_touched;
	}
	if (is_idle && current->is_touched) {
		give_back(queue->memory + queue->current * DELAY_QUEUE_BLOCK, DELAY_QUEUE_BLOCK);
		current->is_touched = false;
	}
	trim_heap(queue);
	queue->free_low = queue->free_count;
	queue->was_used = false;
	return is_rest || current->is_touched || queue->heap_touched;
}

uint64_t delay_queue_count(const struct delay_queue *queue)
{
	return (uint64_t)queue->list_count + queue->heap_count;
}

size_t delay_queue_memory(const struct delay_queue *queue)
{
	size_t bytes = queue->heap_touched * sizeof(struct node);

	for (uint32_t i = 0; i < queue->block_count; i++)
		bytes += queue->blocks[i].is_touched ? DELAY_QUEUE_BLOCK : 0;
	return bytes;
}
