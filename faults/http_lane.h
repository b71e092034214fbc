/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One direction of a connection through the responder of the `http` fault: bytes that have come,
 * those of them that may go on, and room for a message to become longer.
 */
#ifndef SQUALL_HTTP_LANE_H
#define SQUALL_HTTP_LANE_H

#include "faults/http_relay.h"

#include <string.h>

/* A message that is kept until it is whole: http_collect.h. */
struct http_store {
	uint8_t *bytes; /* NULL: none */
	size_t start, used, room;
	size_t head_size;
	bool is_released; /* bytes[start, used) come before what is not decided */
};

/* One direction. bytes[start, clear) may go on, [clear, used) is not decided yet. That is filled up
 * to HTTP_LANE_SIZE; beyond it there is room for a message to become longer. */
struct http_lane {
	uint8_t bytes[HTTP_LANE_SIZE + HTTP_GROWTH_MAX];
	size_t start, clear, used;
	bool has_ended; /* nothing more comes */
	bool is_shut;	/* and who gets it has been told */
	struct http_store store;
};

/* What has gone on makes room. */
static inline void http_lane_compact(struct http_lane *lane)
{
	if (!lane->start || lane->start != lane->clear)
		return;
	memmove(lane->bytes, lane->bytes + lane->start, lane->used - lane->start);
	lane->used -= lane->start;
	lane->start = lane->clear = 0;
}

static inline size_t http_lane_undecided(const struct http_lane *lane)
{
	return lane->used - lane->clear;
}

static inline void http_lane_drop(struct http_lane *lane, size_t size)
{
	memmove(lane->bytes + lane->clear, lane->bytes + lane->clear + size,
		http_lane_undecided(lane) - size);
	lane->used -= size;
}

static inline bool http_lane_is_empty(const struct http_lane *lane)
{
	return lane->start == lane->used && !lane->store.bytes;
}

static inline const uint8_t *http_lane_next(const struct http_lane *lane)
{
	return lane->bytes + lane->clear;
}

/* No more can come before some of it has gone. */
static inline bool http_lane_is_full(const struct http_lane *lane)
{
	return lane->start == lane->clear && http_lane_undecided(lane) == HTTP_LANE_SIZE;
}

/* A changed message is longer. False: what is decided has to go on first. */
static inline bool http_lane_may_grow(struct http_lane *lane)
{
	http_lane_compact(lane);
	return sizeof(lane->bytes) - lane->used >= HTTP_GROWTH_MAX;
}

/* The next `size` bytes become others. */
static inline void http_lane_replace(struct http_lane *lane, size_t size, const uint8_t *bytes,
				     size_t new_size)
{
	memmove(lane->bytes + lane->clear + new_size, lane->bytes + lane->clear + size,
		http_lane_undecided(lane) - size);
	memcpy(lane->bytes + lane->clear, bytes, new_size);
	lane->used = lane->used - size + new_size;
}

/* How much may come; makes as much as there can be. */
size_t http_lane_room(struct http_lane *lane);
/* Writes what may go on, reads what there is room for. False: the other end is gone. */
bool http_lane_flush(struct http_lane *lane, int fd);
bool http_lane_fill(struct http_lane *lane, int fd);

#endif
