/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Responses on one connection: followed as far as needed to know whose turn it is, and those to
 * requests that were met are delayed, lost or changed. What is ours in place of a server's is whole
 * before the rest of that is dropped.
 */
#include "faults/http_collect.h"
#include "faults/http_exchange.h"
#include "injector/base/clock.h"

static bool end_response(struct http_stream *stream)
{
	stream->is_in_response = false;
	stream->pending--;
	stream->pending_head >>= 1;
	stream->pending_met >>= 1;
	return true;
}

/* It has answered without the body that it was to ask for, and whether that still comes nobody
 * knows. */
static bool is_unsure(const struct http_stream *stream)
{
	return stream->mode == HTTP_IN_BODY && stream->pending == 1 && stream->request.may_wait;
}

/* True: it waits for its end. */
static bool collects(struct http_stream *stream, const struct http_response_head *response,
		     size_t size)
{
	struct http_relay *relay = stream->relay;

	if (!relay->policy->merged_body || is_unsure(stream) ||
	    !http_change_can_merge(response->headers) ||
	    !http_collect_begin(relay, &stream->to_client, size, &response->body))
		return false;
	stream->response = response->body;
	stream->is_collected = true;
	return true;
}

/* The head of a response that is whole; of what it is now, *size. */
static void change_response(struct http_stream *stream, const struct http_response_head *response,
			    size_t *size)
{
	struct http_relay *relay = stream->relay;
	struct http_lane *lane = &stream->to_client;
	size_t new_size;

	if (collects(stream, response, *size))
		return;
	if (!http_change_response(relay->policy, response, http_lane_next(lane), *size,
				  stream->pending_head & 1, NULL, relay->changed,
				  sizeof(relay->changed), &new_size, &stream->is_dropped)) {
		relay->unchanged++;
		return;
	}
	http_lane_replace(lane, *size, relay->changed, new_size);
	*size = new_size;
	relay->changed_responses += relay->policy->changes_responses;
}

/* Is it one that is to be changed? */
static bool is_chosen(const struct http_stream *stream, const struct http_response_head *response)
{
	struct http_relay *relay = stream->relay;

	if (!(stream->pending_met & 1) || response->is_interim || response->status == 101 ||
	    !http_policy_takes(relay->policy, response))
		return false;
	relay->hits += relay->policy->selects_responses && !stream->response_wait;
	return true;
}

/* What is chosen, after its delay. False: it does not go on now. */
static bool meet_response(struct http_stream *stream, const struct http_response_head *response,
			  size_t *size)
{
	struct http_relay *relay = stream->relay;
	const struct http_policy *policy = relay->policy;

	if (stream->response_wait == HTTP_MAY_WAIT)
		http_stream_hold_response(
			stream, relay->base.is_soft ? 0 : http_policy_response_delay_ns(policy));
	if (stream->response_wait == HTTP_WAITS)
		return false;
	stream->response_wait = HTTP_MAY_WAIT;
	if (policy->aborts_responses && !relay->base.is_soft) {
		relay->aborted++;
		stream->is_broken = true;
		return false;
	}
	if (policy->changes_requests || policy->changes_responses)
		change_response(stream, response, size);
	return true;
}

/* Nobody has asked, and it has not been told of what waits here. */
static bool is_early(const struct http_stream *stream)
{
	return !stream->pending && !stream->is_told &&
	       (stream->mode == HTTP_HELD || stream->mode == HTTP_IN_COLLECTED ||
		stream->mode == HTTP_IN_DROPPED);
}

static bool at_response(struct http_stream *stream)
{
	struct http_lane *lane = &stream->to_client;
	bool is_met = stream->pending && stream->pending_met & 1;
	struct http_response_head response;
	enum http_found found;
	size_t size = 0;

	if (!http_lane_undecided(lane) || (is_met && !http_lane_may_grow(lane)))
		return false;
	if (is_early(stream)) {
		http_stream_drop_server(stream); /* that it will wait no longer, of which we know */
		return false;
	}
	if (!stream->pending) /* nobody has asked */
		return http_exchange_give_up(stream);
	found = http_find_response(http_lane_next(lane), http_lane_undecided(lane), &size);
	if (found == HTTP_PART && !http_lane_is_full(lane) && !lane->has_ended)
		return false;
	if (found != HTTP_WHOLE ||
	    !http_read_response(http_lane_next(lane), size, stream->pending_head & 1, &response))
		return http_exchange_give_up(stream);
	if (is_chosen(stream, &response) && !meet_response(stream, &response, &size))
		return false;
	if (stream->is_collected)
		return true;
	lane->clear += size;
	if (response.is_interim)
		return true;
	stream->response = response.body;
	/* another protocol from here */
	if (response.status == 101 || is_unsure(stream))
		return http_exchange_give_up(stream);
	stream->is_in_response = true;
	return true;
}

static bool collect_response(struct http_stream *stream)
{
	struct http_relay *relay = stream->relay;
	bool has_moved, is_changed;
	enum http_collected collected =
		http_collect_go_on(relay, &stream->to_client, &stream->response, &has_moved);

	if (collected == HTTP_COLLECTING)
		return has_moved;
	is_changed = collected == HTTP_COLLECTED && http_collect_change_response(stream);
	relay->changed_responses += is_changed;
	relay->unchanged += !is_changed;
	if (collected == HTTP_COLLECTED)
		stream->response = (struct http_body){.framing = HTTP_NOTHING};
	http_collect_release(&stream->to_client);
	stream->is_collected = false;
	stream->is_in_response = true;
	return true;
}

/* The rest of a response of which the client has all: our own one. */
static bool drop_response(struct http_stream *stream)
{
	struct http_lane *lane = &stream->to_client;
	size_t taken;
	bool is_done;

	if (!http_body_take(&stream->response, http_lane_next(lane), http_lane_undecided(lane),
			    &taken, &is_done)) {
		/* where it ends nobody knows, and nothing else can come from there */
		stream->relay->strange++;
		http_stream_hang_up(stream);
		return true;
	}
	http_lane_drop(lane, taken);
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

bool http_exchange_respond(struct http_stream *stream)
{
	struct http_lane *lane = &stream->to_client;
	size_t taken;
	bool is_done;

	if (lane->store.is_released)
		return http_collect_pour(stream->relay, lane);
	if (stream->is_dropped && stream->mode != HTTP_HANGING_UP)
		return drop_response(stream);
	if (stream->mode == HTTP_RAW)
		lane->clear = lane->used;
	if (stream->mode == HTTP_RAW || stream->mode == HTTP_HANGING_UP)
		return false;
	if (stream->is_collected)
		return collect_response(stream);
	if (!stream->is_in_response)
		return at_response(stream);
	if (!http_body_take(&stream->response, http_lane_next(lane), http_lane_undecided(lane),
			    &taken, &is_done))
		return http_exchange_give_up(stream);
	lane->clear += taken;
	return is_done ? end_response(stream) : taken > 0;
}
