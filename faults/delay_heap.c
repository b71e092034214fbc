/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/delay_heap.h"

#include <errno.h>
#include <sys/mman.h>

#define WIDTH 4 /* four children share a cache line */

void *delay_heap_map(size_t size)
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

void delay_heap_give_back(void *from, size_t size)
{
	/* The mapping is private and anonymous: DONTNEED frees the pages now, FREE only under
	 * pressure and RSS would go on showing them. */
	madvise(from, size, MADV_DONTNEED);
}

int delay_heap_init(struct delay_heap *heap, uint32_t capacity)
{
	heap->size = capacity * sizeof(*heap->nodes);
	heap->nodes = delay_heap_map(heap->size);
	return heap->nodes ? 0 : -ENOMEM;
}

void delay_heap_free(struct delay_heap *heap)
{
	if (heap->nodes)
		munmap(heap->nodes, heap->size);
}

static bool is_before(const struct delay_node *a, const struct delay_node *b)
{
	if (a->due_ns != b->due_ns)
		return a->due_ns < b->due_ns;
	return (int32_t)(a->sequence - b->sequence) < 0;
}

static void sift_down(struct delay_heap *heap, uint32_t at)
{
	struct delay_node *nodes = heap->nodes, moving = nodes[at];

	for (;;) {
		uint32_t best = at * WIDTH + 1, end = best + WIDTH;

		if (best >= heap->count)
			break;
		if (end > heap->count)
			end = heap->count;
		for (uint32_t child = best + 1; child < end; child++) {
			if (is_before(&nodes[child], &nodes[best]))
				best = child;
		}
		if (!is_before(&nodes[best], &moving))
			break;
		nodes[at] = nodes[best];
		at = best;
	}
	nodes[at] = moving;
}

void delay_heap_push(struct delay_heap *heap, struct delay_node node)
{
	struct delay_node *nodes = heap->nodes;
	uint32_t at = heap->count++;

	while (at) {
		uint32_t parent = (at - 1) / WIDTH;

		if (!is_before(&node, &nodes[parent]))
			break;
		nodes[at] = nodes[parent];
		at = parent;
	}
	nodes[at] = node;
	if (heap->count > heap->high)
		heap->high = heap->count;
	if (heap->count > heap->touched)
		heap->touched = heap->count;
}

void delay_heap_pop(struct delay_heap *heap)
{
	heap->nodes[0] = heap->nodes[--heap->count];
	if (heap->count)
		sift_down(heap, 0);
}

/* Changed in place, 16 bytes each; those with equal times then leave in the order they came. */
void delay_heap_hasten(struct delay_heap *heap, int64_t latest_ns)
{
	for (uint32_t i = 0; i < heap->count; i++) {
		if (heap->nodes[i].due_ns > latest_ns)
			heap->nodes[i].due_ns = latest_ns;
	}
	for (uint32_t i = heap->count / WIDTH + 1; i-- > 0;) {
		if (i < heap->count)
			sift_down(heap, i);
	}
}

void delay_heap_trim(struct delay_heap *heap)
{
	const size_t page = 4096;
	size_t keep = (heap->high * sizeof(*heap->nodes) + page - 1) / page * page;
	size_t touched = (heap->touched * sizeof(*heap->nodes) + page - 1) / page * page;

	if (touched > keep)
		delay_heap_give_back((unsigned char *)heap->nodes + keep, touched - keep);
	heap->touched = heap->high;
	heap->high = heap->count;
}
