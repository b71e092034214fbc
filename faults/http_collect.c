/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/http_collect.h"

#include "faults/http_json.h"
#include "injector/base/cleanup.h"

#include <stdlib.h>
#include <string.h>

#define LEAST (4 << 10) /* bytes at a time */

void http_collect_forget(struct http_relay *relay, struct http_lane *lane)
{
	relay->kept -= lane->store.room;
	free(lane->store.bytes);
	lane->store = (struct http_store){0};
}

/* Room for so many more. */
static bool make_room(struct http_relay *relay, struct http_store *store, size_t size)
{
	size_t room = 2 * store->room > LEAST ? 2 * store->room : LEAST;
	uint8_t *bytes;

	if (size <= store->room - store->used)
		return true;
	if (room < store->used + size)
		room = store->used + size;
	if (room - store->room > HTTP_KEPT_ALL_MAX - relay->kept)
		return false;
	bytes = realloc(store->bytes, room);
	if (!bytes)
		return false;
	relay->kept += room - store->room;
	store->bytes = bytes;
	store->room = room;
	return true;
}

/* The next bytes of the lane. */
static bool keep(struct http_relay *relay, struct http_lane *lane, size_t size)
{
	struct http_store *store = &lane->store;

	if (!make_room(relay, store, size))
		return false;
	memcpy(store->bytes + store->used, lane->bytes + lane->clear, size);
	store->used += size;
	http_lane_drop(lane, size);
	return true;
}

bool http_collect_begin(struct http_relay *relay, struct http_lane *lane, size_t size,
			const struct http_body *body)
{
	if (body->framing == HTTP_NOTHING ||
	    (body->framing == HTTP_COUNTED && body->left > HTTP_KEPT_MAX) ||
	    !keep(relay, lane, size))
		return false;
	lane->store.head_size = size;
	return true;
}

enum http_collected http_collect_go_on(struct http_relay *relay, struct http_lane *lane,
				       struct http_body *body, bool *out_moved)
{
	size_t room = lane->store.head_size + HTTP_KEPT_MAX - lane->store.used, taken;
	struct http_body next = *body;
	bool is_done;

	*out_moved = false;
	if (!http_body_take(&next, lane->bytes + lane->clear, http_lane_undecided(lane), &taken,
			    &is_done) ||
	    taken > room || !keep(relay, lane, taken))
		return HTTP_NOT_COLLECTED;
	*body = next;
	*out_moved = taken > 0;
	if (is_done)
		return HTTP_COLLECTED;
	if (!lane->has_ended || http_lane_undecided(lane))
		return HTTP_COLLECTING;
	return body->framing == HTTP_UNTIL_CLOSE ? HTTP_COLLECTED : HTTP_NOT_COLLECTED;
}

/* What is kept, merged. The caller frees it, also where there is none. */
static bool merge(const struct http_lane *lane, enum http_framing framing, const char *patch,
		  struct http_text *out)
{
	const struct http_text with = {patch, strlen(patch)};
	const uint8_t *bytes = lane->store.bytes + lane->store.head_size;
	size_t size = lane->store.used - lane->store.head_size, room = size + with.size + 2;
	cleanup_free uint8_t *body = malloc(size ? size : 1);
	uint8_t *merged = malloc(room);

	*out = (struct http_text){(char *)merged, 0};
	if (!body || !merged)
		return false;
	size = http_body_strip(framing, bytes, size, body);
	return http_json_merge((struct http_text){(char *)body, size}, with, merged, room,
			       &out->size);
}

static bool replace(struct http_relay *relay, struct http_lane *lane, size_t head_size,
		    struct http_text body)
{
	struct http_store store = {0};

	if (!make_room(relay, &store, head_size + body.size))
		return false;
	memcpy(store.bytes, relay->changed, head_size);
	memcpy(store.bytes + head_size, body.at, body.size);
	store.used = head_size + body.size;
	http_collect_forget(relay, lane);
	lane->store = store;
	return true;
}

bool http_collect_change_request(struct http_stream *stream)
{
	struct http_relay *relay = stream->relay;
	struct http_lane *lane = &stream->to_server;
	const struct http_store *store = &lane->store;
	struct http_request_head request;
	struct http_text merged;
	bool is_changed, drops;
	size_t size;

	is_changed =
		merge(lane, stream->request.body.framing, relay->policy->merged_request, &merged) &&
		http_read_request(store->bytes, store->head_size, &request) &&
		http_change_request(relay->policy, &request, store->bytes, store->head_size,
				    &merged, relay->changed, sizeof(relay->changed), &size,
				    &drops) &&
		replace(relay, lane, size, merged);
	free((void *)(uintptr_t)merged.at);
	return is_changed;
}

bool http_collect_change_response(struct http_stream *stream)
{
	struct http_relay *relay = stream->relay;
	struct http_lane *lane = &stream->to_client;
	const struct http_store *store = &lane->store;
	struct http_response_head response;
	struct http_text merged;
	bool is_changed, drops;
	size_t size;

	is_changed = merge(lane, stream->response.framing, relay->policy->merged_body, &merged) &&
		     http_read_response(store->bytes, store->head_size, false, &response) &&
		     http_change_response(relay->policy, &response, store->bytes, store->head_size,
					  false, &merged, relay->changed, sizeof(relay->changed),
					  &size, &drops) &&
		     replace(relay, lane, size, merged);
	free((void *)(uintptr_t)merged.at);
	return is_changed;
}

void http_collect_release(struct http_lane *lane)
{
	lane->store.is_released = lane->store.bytes != NULL;
}

bool http_collect_pour(struct http_relay *relay, struct http_lane *lane)
{
	struct http_store *store = &lane->store;
	size_t size, room;

	http_lane_compact(lane);
	size = store->used - store->start;
	room = sizeof(lane->bytes) - lane->used;
	if (size > room)
		size = room;
	memmove(lane->bytes + lane->clear + size, lane->bytes + lane->clear,
		http_lane_undecided(lane));
	memcpy(lane->bytes + lane->clear, store->bytes + store->start, size);
	lane->clear += size;
	lane->used += size;
	store->start += size;
	if (store->start == store->used)
		http_collect_forget(relay, lane);
	return size > 0;
}
