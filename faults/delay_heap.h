/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Packets by the time they are due, and those of one time in the order they came: a heap of fixed
 * room, touched only as far as it is used. Part of delay_queue.c.
 */
#ifndef SQUALL_DELAY_HEAP_H
#define SQUALL_DELAY_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct delay_node {
	int64_t due_ns;
	uint32_t slot;
	uint32_t sequence; /* wraps; a queue holds far fewer than 2^31 packets */
};

struct delay_heap {
	struct delay_node *nodes; /* the first is the next */
	size_t size;		  /* bytes mapped */
	uint32_t count, high;	  /* high: the most since the last trim */
	uint32_t touched;
};

/* -ENOMEM. An all-zero heap may be freed. */
int delay_heap_init(struct delay_heap *heap, uint32_t capacity);
void delay_heap_free(struct delay_heap *heap);

/* The caller keeps to the capacity. */
void delay_heap_push(struct delay_heap *heap, struct delay_node node);
/* Removes the next; there is one. */
void delay_heap_pop(struct delay_heap *heap);
/* None is due later than at `latest_ns`. */
void delay_heap_hasten(struct delay_heap *heap, int64_t latest_ns);
/* Gives back what was not needed since the last call. */
void delay_heap_trim(struct delay_heap *heap);

/* Memory that is there when it is touched; NULL: none. And its end before munmap(). */
void *delay_heap_map(size_t size);
void delay_heap_give_back(void *from, size_t size);

#endif
