/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is said on one connection: requests are found and decided about, one behind the other, and
 * responses are followed as far as needed to know whose turn it is, and which of them is to be
 * changed. An answer of ours comes when
 * the server has answered all that was asked before. What is not understood passes, and everything
 * behind it: a mistake here makes a fault miss, never a byte be lost.
 */
#include "faults/http_stream.h"

#include "injector/base/clock.h"

#include <string.h>

static size_t undecided(const struct http_lane *lane)
{
	return lane->used - lane->clear;
}

static const uint8_t *next_bytes(const struct http_lane *lane)
{
	return lane->bytes + lane->clear;
}

/* No more can come before some of it has gone. */
static bool is_full(const struct http_lane *lane)
{
	return lane->start == lane->clear && undecided(lane) == HTTP_LANE_SIZE;
}

static void drop(struct http_lane *lane, size_t size)
{
	memmove(lane->bytes + lane->clear, lane->bytes + lane->clear + size,
		undecided(lane) - size);
	lane->used -= size;
}

/* A changed message is longer. False: what is decided has to go on first. */
static bool has_room_to_grow(struct http_lane *lane)
{
	http_lane_compact(lane);
	return sizeof(lane->bytes) - lane->used >= HTTP_GROWTH_MAX;
}

/* The next `size` bytes become others. */
static void replace(struct http_lane *lane, size_t size, const uint8_t *bytes, size_t new_size)
{
	memmove(lane->bytes + lane->clear + new_size, lane->bytes + lane->clear + size,
		undecided(lane) - size);
	memcpy(lane->bytes + lane->clear, bytes, new_size);
	lane->used = lane->used - size + new_size;
}

/* What is left of the body of a request that was answered here would be a request to the server: it
 * never passes. */
static void pass_all(struct http_stream *stream)
{
	if (stream->mode == HTTP_IN_DROPPED) {
		http_stream_hang_up(stream);
		return;
	}
	stream->mode = HTTP_RAW;
	stream->pending = 0;
	/* what is dropped still is: behind ours it would be taken for something else */
	stream->is_in_response = stream->is_dropped;
}

static bool give_up(struct http_stream *stream)
{
	stream->relay->strange++;
	pass_all(stream);
	return true;
}

/* Requests. */

/* Its response is one that is to be changed: `is_met`. */
static bool pass_request(struct http_stream *stream, bool is_met)
{
	uint64_t bit = 1ULL << stream->pending;

	stream->to_server.clear += stream->head_size;
	if (stream->request.is_tunnel)
		return give_up(stream);
	stream->pending_head &= ~bit;
	stream->pending_head |= stream->request.is_head ? bit : 0;
	stream->pending_met &= ~bit;
	stream->pending_met |= is_met ? bit : 0;
	stream->pending++;
	stream->mode = HTTP_IN_BODY;
	return true;
}

static bool at_head(struct http_stream *stream)
{
	struct http_lane *lane = &stream->to_server;
	struct http_relay *relay = stream->relay;
	enum http_found found;

	if (!undecided(lane) || stream->pending == HTTP_PENDING_MAX ||
	    (stream->pending && stream->request.is_changing))
		return false;
	found = http_find_request(next_bytes(lane), undecided(lane), &stream->head_size);
	if (found == HTTP_PART && !is_full(lane) && !lane->has_ended)
		return false;
	if (found != HTTP_WHOLE ||
	    !http_read_request(next_bytes(lane), stream->head_size, &stream->request))
		return give_up(stream);
	stream->has_asked = true;
	relay->requests++;
	if (relay->base.is_soft || !http_policy_holds(relay->policy, &stream->request) ||
	    !http_policy_draws(relay->policy, &relay->random))
		return pass_request(stream, false);
	relay->hits++;
	stream->mode = HTTP_HELD;
	http_stream_hold(stream, http_policy_delay_ns(relay->policy));
	return true;
}

static bool answer(struct http_stream *stream)
{
	const struct http_policy *policy = stream->relay->policy;
	const struct http_request_head *request = &stream->request;
	struct http_lane *lane = &stream->to_client;
	/* whether the body still comes nobody knows who did not ask for it (RFC 9110 10.1.1) */
	bool is_unsure = request->may_wait && request->body.framing != HTTP_NOTHING;
	bool closes = request->is_last || request->is_old || is_unsure;

	lane->start = 0;
	lane->used = lane->clear = http_write_answer(policy->status, policy->body, request->is_head,
						     closes, lane->bytes);
	drop(&stream->to_server, stream->head_size);
	stream->relay->answered++;
	stream->mode = HTTP_IN_DROPPED;
	if (closes)
		http_stream_hang_up(stream);
	return true;
}

/* In whole or not at all: then its response stays as it is, too. */
static bool pass_changed(struct http_stream *stream)
{
	struct http_relay *relay = stream->relay;
	struct http_lane *lane = &stream->to_server;
	struct http_request_head request;
	size_t size;

	if (!has_room_to_grow(lane))
		return false;
	/* what was read of it may lie elsewhere by now */
	if (!http_read_request(next_bytes(lane), stream->head_size, &request) ||
	    !http_change_request(relay->policy, &request, next_bytes(lane), stream->head_size,
				 relay->changed, sizeof(relay->changed), &size)) {
		relay->unchanged++;
		return pass_request(stream, false);
	}
	replace(lane, stream->head_size, relay->changed, size);
	stream->head_size = size;
	relay->changed_requests++;
	return pass_request(stream, true);
}

static bool pass_met(struct http_stream *stream)
{
	const struct http_policy *policy = stream->relay->policy;

	if (stream->relay->base.is_soft)
		return pass_request(stream, false);
	if (policy->changes_requests)
		return pass_changed(stream);
	return pass_request(stream, policy->changes_responses);
}

static bool held(struct http_stream *stream)
{
	struct http_relay *relay = stream->relay;
	enum http_fate fate = relay->base.is_soft ? HTTP_PASSES : http_policy_fate(relay->policy);

	if (!stream->is_due)
		return false;
	if (fate == HTTP_PASSES)
		return pass_met(stream);
	if (stream->pending || !http_lane_is_empty(&stream->to_client))
		return false; /* not its turn */
	if (fate == HTTP_ANSWERED)
		return answer(stream);
	relay->aborted++;
	stream->is_broken = true;
	return false;
}

static bool in_body(struct http_stream *stream, bool is_dropped)
{
	struct http_lane *lane = &stream->to_server;
	size_t taken;
	bool is_done;

	if (!http_body_take(&stream->request.body, next_bytes(lane), undecided(lane), &taken,
			    &is_done)) {
		if (!is_dropped)
			return give_up(stream);
		http_stream_hang_up(stream);
		return true;
	}
	if (is_dropped)
		drop(lane, taken);
	else
		lane->clear += taken;
	if (is_done)
		stream->mode = HTTP_AT_HEAD;
	return is_done || taken;
}

static bool go_on_with_requests(struct http_stream *stream)
{
	struct http_lane *lane = &stream->to_server;

	/* a server that says no more is asked no more by rights; what it has said may wait for room
	 */
	if (stream->to_client.has_ended && !undecided(&stream->to_client) &&
	    stream->mode != HTTP_HANGING_UP)
		pass_all(stream);
	switch (stream->mode) {
	case HTTP_AT_HEAD:
		return at_head(stream);
	case HTTP_HELD:
		return held(stream);
	case HTTP_IN_BODY:
		return in_body(stream, false);
	case HTTP_IN_DROPPED:
		return in_body(stream, true);
	case HTTP_RAW:
		lane->clear = lane->used;
		break;
	case HTTP_HANGING_UP:
		drop(lane, undecided(lane));
		break;
	}
	return false;
}

/* Responses. */

static bool end_response(struct http_stream *stream)
{
	stream->is_in_response = false;
	stream->pending--;
	stream->pending_head >>= 1;
	stream->pending_met >>= 1;
	return true;
}

/* The head of a response that is whole; of what it is now, *size. */
static void change_response(struct http_stream *stream, const struct http_response_head *response,
			    size_t *size)
{
	struct http_relay *relay = stream->relay;
	struct http_lane *lane = &stream->to_client;
	size_t new_size;

	if (!http_change_response(relay->policy, response, next_bytes(lane), *size,
				  stream->pending_head & 1, relay->changed, sizeof(relay->changed),
				  &new_size, &stream->is_dropped)) {
		relay->unchanged++;
		return;
	}
	replace(lane, *size, relay->changed, new_size);
	*size = new_size;
	relay->changed_responses += relay->policy->changes_responses;
}

static bool at_response(struct http_stream *stream)
{
	struct http_lane *lane = &stream->to_client;
	bool is_met = stream->pending && stream->pending_met & 1;
	struct http_response_head response;
	enum http_found found;
	size_t size = 0;

	if (!undecided(lane) || (is_met && !has_room_to_grow(lane)))
		return false;
	if (!stream->pending && !stream->is_told &&
	    (stream->mode == HTTP_HELD || stream->mode == HTTP_IN_DROPPED)) {
		http_stream_drop_server(stream); /* that it will wait no longer, of which we know */
		return false;
	}
	if (!stream->pending) /* nobody has asked */
		return give_up(stream);
	found = http_find_response(next_bytes(lane), undecided(lane), &size);
	if (found == HTTP_PART && !is_full(lane) && !lane->has_ended)
		return false;
	if (found != HTTP_WHOLE ||
	    !http_read_response(next_bytes(lane), size, stream->pending_head & 1, &response))
		return give_up(stream);
	if (is_met && !response.is_interim && response.status != 101)
		change_response(stream, &response, &size);
	lane->clear += size;
	if (response.is_interim)
		return true;
	stream->response = response.body;
	/* another protocol from here; or it has answered without the body that it was to ask for,
	 * and whether that still comes nobody knows */
	if (response.status == 101 ||
	    (stream->mode == HTTP_IN_BODY && stream->pending == 1 && stream->request.may_wait))
		return give_up(stream);
	stream->is_in_response = true;
	return true;
}

/* The rest of a response of which the client has all: our own one. */
static bool drop_response(struct http_stream *stream)
{
	struct http_lane *lane = &stream->to_client;
	size_t taken;
	bool is_done;

	if (!http_body_take(&stream->response, next_bytes(lane), undecided(lane), &taken,
			    &is_done)) {
		/* where it ends nobody knows, and nothing else can come from there */
		stream->relay->strange++;
		http_stream_hang_up(stream);
		return true;
	}
	drop(lane, taken);
	if (is_done) {
		stream->is_dropped = false;
		stream->alone_ns = 0;
		if (stream->mode != HTTP_RAW)
			return end_response(stream);
		stream->is_in_response = false;
		return true;
	}
	if (stream->to_server.has_ended && !stream->alone_ns)
		stream->alone_ns = clock_now_ns();
	return taken > 0;
}

static bool go_on_with_responses(struct http_stream *stream)
{
	struct http_lane *lane = &stream->to_client;
	size_t taken;
	bool is_done;

	if (stream->is_dropped && stream->mode != HTTP_HANGING_UP)
		return drop_response(stream);
	if (stream->mode == HTTP_RAW)
		lane->clear = lane->used;
	if (stream->mode == HTTP_RAW || stream->mode == HTTP_HANGING_UP)
		return false;
	if (!stream->is_in_response)
		return at_response(stream);
	if (!http_body_take(&stream->response, next_bytes(lane), undecided(lane), &taken, &is_done))
		return give_up(stream);
	lane->clear += taken;
	return is_done ? end_response(stream) : taken > 0;
}

bool http_exchange_go_on(struct http_stream *stream)
{
	bool has_moved = false;

	while (!stream->is_broken && go_on_with_responses(stream))
		has_moved = true;
	while (!stream->is_broken && go_on_with_requests(stream))
		has_moved = true;
	return has_moved;
}

bool http_exchange_is_idle(const struct http_stream *stream)
{
	return stream->mode == HTTP_AT_HEAD && !stream->pending && !stream->to_client.has_ended &&
	       http_lane_is_empty(&stream->to_server) && http_lane_is_empty(&stream->to_client);
}
