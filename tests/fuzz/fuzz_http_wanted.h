/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a connection through the http fault should come to when all that was said on it is there at
 * once: worked out message by message, without lanes, room or turns. For fuzz_http_stream.c, whose
 * ends, policy and relay are declared before.
 */
#ifndef SQUALL_FUZZ_HTTP_WANTED_H
#define SQUALL_FUZZ_HTTP_WANTED_H

#include "faults/http_json.h"

/* What comes of `end`'s bytes when all is said in one piece. */
#define MESSAGES_MAX (SAID_MAX / 10)
static uint8_t wanted[HEARD_MAX];
static size_t wanted_size;
static bool are_met[MESSAGES_MAX], are_head[MESSAGES_MAX];
static bool are_asked[MESSAGES_MAX]; /* for their bodies, by us */
static unsigned request_count;

static inline void want(const uint8_t *bytes, size_t size)
{
	require(size <= sizeof(wanted) - wanted_size);
	memcpy(wanted + wanted_size, bytes, size);
	wanted_size += size;
}

/* *out_done: all of it was there. */
static inline size_t want_body(struct http_body body, const uint8_t *bytes, size_t size,
			       bool is_dropped, bool *out_done)
{
	size_t taken;

	require(http_body_take(&body, bytes, size, &taken, out_done));
	if (!is_dropped)
		want(bytes, taken);
	return taken;
}

/* Whole, and can be merged: 0 if not. */
static inline size_t merge(struct http_body body, const uint8_t *bytes, size_t size,
			   const char *patch, uint8_t *out)
{
	static uint8_t stripped[SAID_MAX];
	enum http_framing framing = body.framing;
	size_t taken, merged = 0;
	bool is_done;

	require(http_body_take(&body, bytes, size, &taken, &is_done));
	if (!is_done)
		return 0;
	taken = http_body_strip(framing, bytes, taken, stripped);
	http_json_merge((struct http_text){(char *)stripped, taken},
			(struct http_text){patch, strlen(patch)}, out, SAID_MAX + 100, &merged);
	return merged;
}

static uint8_t merged_bytes[SAID_MAX + 100];

static inline size_t want_request(const uint8_t *bytes, size_t left, size_t head, unsigned count,
				  bool *out_done)
{
	bool changes = policy.changes_requests, drops = false, collects = false;
	struct http_text merged = {(char *)merged_bytes, 0};
	struct http_request_head request;
	size_t size = 0;

	require(http_read_request(bytes, head, &request));
	are_head[count] = request.is_head;
	are_met[count] = http_policy_holds(&policy, &request);
	if (are_met[count] && changes && policy.merged_request)
		collects =
			http_change_can_collect(&request) && request.body.framing != HTTP_NOTHING;
	if (collects)
		merged.size = merge(request.body, bytes + head, left - head, policy.merged_request,
				    merged_bytes);
	if (are_met[count] && changes)
		are_met[count] = http_change_request(&policy, &request, bytes, head,
						     merged.size ? &merged : NULL, relay.changed,
						     sizeof(relay.changed), &size, &drops);
	are_asked[count] = (drops || collects) && request.may_wait && !request.is_old;
	if (collects && !size) { /* as it came, when it has come */
		struct http_body body = request.body;
		size_t taken;

		require(http_body_take(&body, bytes + head, left - head, &taken, out_done));
		if (*out_done)
			want(bytes, head + taken);
		return head + taken;
	}
	want(size ? relay.changed : bytes, size ? size : head);
	if (collects)
		want(merged_bytes, merged.size);
	return head +
	       want_body(request.body, bytes + head, left - head, drops || collects, out_done);
}

static inline void want_requests(void)
{
	bool is_done = true;
	size_t head;

	wanted_size = 0;
	request_count = 0;
	for (size_t at = 0; at < client.said && is_done; request_count++) {
		const uint8_t *bytes = client.said_bytes + at;
		size_t left = client.said - at;

		if (http_find_request(bytes, left, &head) != HTTP_WHOLE)
			return;
		at += want_request(bytes, left, head, request_count, &is_done);
	}
}

/* False: it is collected, and goes on when it is whole. */
static inline bool want_response(const uint8_t *bytes, size_t left, size_t head, unsigned count,
				 size_t *out_taken, bool *out_final)
{
	struct http_text merged = {(char *)merged_bytes, 0};
	struct http_response_head response;
	bool drops = false, is_met, collects, is_done;
	size_t size = 0;

	require(http_read_response(bytes, head, are_head[count], &response));
	is_met = are_met[count] && !response.is_interim && http_policy_takes(&policy, &response);
	collects = is_met && policy.merged_body && http_change_can_merge(response.headers) &&
		   response.body.framing != HTTP_NOTHING;
	if (collects)
		merged.size = merge(response.body, bytes + head, left - head, policy.merged_body,
				    merged_bytes);
	if (is_met)
		http_change_response(&policy, &response, bytes, head, are_head[count],
				     merged.size ? &merged : NULL, relay.changed,
				     sizeof(relay.changed), &size, &drops);
	if (collects && !size) {
		struct http_body body = response.body;

		require(http_body_take(&body, bytes + head, left - head, out_taken, &is_done));
		*out_taken += head;
		if (is_done)
			want(bytes, *out_taken);
		*out_final = true;
		return is_done;
	}
	want(size ? relay.changed : bytes, size ? size : head);
	if (collects)
		want(merged_bytes, merged.size);
	*out_taken = head + want_body(response.body, bytes + head, left - head, drops || collects,
				      &is_done);
	*out_final = !response.is_interim;
	return is_done;
}

static inline void want_responses(void)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	bool is_final = true, is_done = true;
	unsigned count = 0;
	size_t head, taken;

	wanted_size = 0;
	for (size_t at = 0; is_done; at += taken, count += is_final) {
		const uint8_t *bytes = server.said_bytes + at;

		if (is_final && count < request_count && are_asked[count])
			want((const uint8_t *)go_on, sizeof(go_on) - 1);
		if (at == server.said ||
		    http_find_response(bytes, server.said - at, &head) != HTTP_WHOLE)
			return;
		is_done = want_response(bytes, server.said - at, head, count, &taken, &is_final);
	}
}

#endif
