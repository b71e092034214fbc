/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is said on one connection: requests are found and decided about, one behind the other. An
 * answer of ours comes when the server has answered all that was asked before. What is not
 * understood passes, and everything behind it: a mistake here makes a fault miss, never a byte be
 * lost.
 */
#include "faults/http_exchange.h"

#include "faults/http_collect.h"

#include <string.h>

/* What is left of the body of a request that was answered here, or got another one, would be a
 * request to the server: it never passes. */
static void pass_all(struct http_stream *stream)
{
	if (stream->mode == HTTP_IN_DROPPED) {
		http_stream_hang_up(stream);
		return;
	}
	stream->mode = HTTP_RAW;
	stream->pending = 0;
	stream->is_collected = false;
	http_collect_release(&stream->to_server);
	http_collect_release(&stream->to_client);
	/* what is dropped still is: behind ours it would be taken for something else */
	stream->is_in_response = stream->is_dropped;
}

bool http_exchange_give_up(struct http_stream *stream)
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
		return http_exchange_give_up(stream);
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

	if (!http_lane_undecided(lane) || stream->pending == HTTP_PENDING_MAX ||
	    (stream->pending && stream->request.is_changing))
		return false;
	found = http_find_request(http_lane_next(lane), http_lane_undecided(lane),
				  &stream->head_size);
	if (found == HTTP_PART && !http_lane_is_full(lane) && !lane->has_ended)
		return false;
	if (found != HTTP_WHOLE ||
	    !http_read_request(http_lane_next(lane), stream->head_size, &stream->request))
		return http_exchange_give_up(stream);
	stream->has_asked = true;
	relay->requests++;
	if (relay->base.is_soft || !http_policy_holds(relay->policy, &stream->request) ||
	    !http_policy_draws(relay->policy, &relay->random))
		return pass_request(stream, false);
	relay->hits += !relay->policy->selects_responses;
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
	http_lane_drop(&stream->to_server, stream->head_size);
	stream->relay->answered++;
	stream->mode = HTTP_IN_DROPPED;
	if (closes)
		http_stream_hang_up(stream);
	return true;
}

/* In whole or not at all: then its response stays as it is, too. */
static bool pass_unchanged(struct http_stream *stream)
{
	stream->relay->unchanged++;
	return pass_request(stream, false);
}

/* A client that waits until its body is wanted is told so by us: the server gets another one, or
 * this one late. False: it is not its turn. */
static bool ask_for_body(struct http_stream *stream, const struct http_request_head *request)
{
	static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
	struct http_lane *lane = &stream->to_client;

	if (!request->may_wait || request->is_old)
		return true;
	if (stream->pending || !http_lane_is_empty(lane))
		return false;
	lane->start = 0;
	lane->used = lane->clear = sizeof(text) - 1;
	memcpy(lane->bytes, text, lane->used);
	return true;
}

static bool pass_replaced(struct http_stream *stream, const struct http_request_head *request)
{
	struct http_relay *relay = stream->relay;
	struct http_lane *lane = &stream->to_server;
	bool drops;
	size_t size;

	if (!http_change_request(relay->policy, request, http_lane_next(lane), stream->head_size,
				 NULL, relay->changed, sizeof(relay->changed), &size, &drops))
		return pass_unchanged(stream);
	if (drops && !ask_for_body(stream, request))
		return false;
	http_lane_replace(lane, stream->head_size, relay->changed, size);
	stream->head_size = size;
	relay->changed_requests++;
	pass_request(stream, true);
	if (drops)
		stream->mode = HTTP_IN_DROPPED;
	return true;
}

static bool pass_collected(struct http_stream *stream, const struct http_request_head *request)
{
	if (!http_change_can_collect(request))
		return pass_unchanged(stream);
	if (!ask_for_body(stream, request))
		return false;
	if (!http_collect_begin(stream->relay, &stream->to_server, stream->head_size,
				&request->body))
		return pass_unchanged(stream);
	stream->mode = HTTP_IN_COLLECTED;
	return true;
}

static bool pass_changed(struct http_stream *stream)
{
	struct http_lane *lane = &stream->to_server;
	struct http_request_head request;

	if (!http_lane_may_grow(lane))
		return false;
	/* what was read of it may lie elsewhere by now */
	if (!http_read_request(http_lane_next(lane), stream->head_size, &request))
		return pass_unchanged(stream);
	return stream->relay->policy->merged_request ? pass_collected(stream, &request)
						     : pass_replaced(stream, &request);
}

static bool in_collected(struct http_stream *stream)
{
	struct http_relay *relay = stream->relay;
	enum http_collected collected = HTTP_NOT_COLLECTED;
	bool has_moved, is_changed;

	if (!relay->base.is_soft)
		collected = http_collect_go_on(relay, &stream->to_server, &stream->request.body,
					       &has_moved);
	if (collected == HTTP_COLLECTING)
		return has_moved;
	is_changed = collected == HTTP_COLLECTED && http_collect_change_request(stream);
	relay->changed_requests += is_changed;
	relay->unchanged += !is_changed && !relay->base.is_soft;
	if (collected == HTTP_COLLECTED)
		stream->request.body = (struct http_body){.framing = HTTP_NOTHING};
	http_collect_release(&stream->to_server);
	stream->head_size = 0;
	return pass_request(stream, is_changed);
}

static bool pass_met(struct http_stream *stream)
{
	const struct http_policy *policy = stream->relay->policy;

	if (stream->relay->base.is_soft)
		return pass_request(stream, false);
	if (policy->changes_requests)
		return pass_changed(stream);
	return pass_request(stream, http_policy_meets_responses(policy));
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

	if (!http_body_take(&stream->request.body, http_lane_next(lane), http_lane_undecided(lane),
			    &taken, &is_done)) {
		if (!is_dropped)
			return http_exchange_give_up(stream);
		http_stream_hang_up(stream);
		return true;
	}
	if (is_dropped)
		http_lane_drop(lane, taken);
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
	if (stream->to_client.has_ended && !http_lane_undecided(&stream->to_client) &&
	    !stream->to_client.store.bytes && stream->mode != HTTP_HANGING_UP)
		pass_all(stream);
	if (lane->store.is_released)
		return http_collect_pour(stream->relay, lane);
	switch (stream->mode) {
	case HTTP_AT_HEAD:
		return at_head(stream);
	case HTTP_HELD:
		return held(stream);
	case HTTP_IN_COLLECTED:
		return in_collected(stream);
	case HTTP_IN_BODY:
		return in_body(stream, false);
	case HTTP_IN_DROPPED:
		return in_body(stream, true);
	case HTTP_RAW:
		lane->clear = lane->used;
		break;
	case HTTP_HANGING_UP:
		http_lane_drop(lane, http_lane_undecided(lane));
		break;
	}
	return false;
}

bool http_exchange_go_on(struct http_stream *stream)
{
	bool has_moved = false;

	while (!stream->is_broken && http_exchange_respond(stream))
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
