/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * HTTP/1 messages of strangers through the reader: a head that is found is the same one whatever
 * comes behind it and however little of it is there, and a body ends at the same byte in pieces of
 * any size. What is changed of them is as sound as it was, ends where it did, or has our body.
 */
#include "faults/http.h"
#include "faults/http_change.h"
#include "injector/base/quantity.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static struct params params;
static struct http_policy policy;

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void prepare(void)
{
	static const char *const settings[][2] = {{"path", "/a*b?c"}, {"path", "*/d"},
						  {"method", "GET"},  {"header", "X: a*b*"},
						  {"header", "y:"},   {"answer", "503"}};

	require(params_init(&params, http_params, NULL) == 0);
	for (unsigned i = 0; i < sizeof(settings) / sizeof(*settings); i++)
		require(params_add(&params, (unsigned)params_find(http_params, settings[i][0]),
				   settings[i][1], 0, 0, NULL) == 0);
	require(http_read_policy(&params, &policy, NULL) == 0);
}

typedef enum http_found finder(const uint8_t *bytes, size_t size, size_t *out_size);

/* In memory of that size alone. */
static enum http_found find(finder *finds, const uint8_t *bytes, size_t size, size_t *out)
{
	uint8_t *copy = malloc(size ? size : 1);
	enum http_found found;

	require(copy != NULL);
	memcpy(copy, bytes, size);
	found = finds(copy, size, out);
	free(copy);
	return found;
}

/* The size of the head, 0: there is none. */
static size_t check_head(finder *finds, const uint8_t *bytes, size_t size)
{
	size_t head = 0, again = 0;
	enum http_found found = find(finds, bytes, size, &head), part;

	require(found != HTTP_WHOLE || (head > 0 && head <= size));
	for (size_t less = 0; less < size && less < 600; less++) {
		part = find(finds, bytes, less, &again);
		if (found == HTTP_PART)
			require(part == HTTP_PART);
		if (found == HTTP_WHOLE)
			require(part == (less < head ? HTTP_PART : HTTP_WHOLE));
		if (part == HTTP_WHOLE)
			require(again == head);
	}
	return found == HTTP_WHOLE ? head : 0;
}

/* What is between chunks goes, and nothing else. */
static void check_strip(enum http_framing framing, const uint8_t *bytes, size_t size)
{
	uint8_t *out = malloc(size ? size : 1);
	size_t used;

	require(out != NULL);
	used = http_body_strip(framing, bytes, size, out);
	require(framing == HTTP_CHUNKED ? used <= size : used == size);
	for (size_t i = 0, at = 0; i < used; i++, at++) {
		while (at < size && bytes[at] != out[i])
			at++;
		require(at < size);
	}
	free(out);
}

static void check_body(struct http_body body, const uint8_t *bytes, size_t size, size_t piece)
{
	enum http_framing framing = body.framing;
	struct http_body pieces = body;
	size_t taken, at = 0, some = 0;
	bool is_done, is_done_too = false, is_sound, is_sound_too = true;

	is_sound = http_body_take(&body, bytes, size, &taken, &is_done);
	require(!is_sound || taken <= size);
	while (is_sound_too && !is_done_too && at < size) {
		is_sound_too =
			http_body_take(&pieces, bytes + at, piece < size - at ? piece : size - at,
				       &some, &is_done_too);
		at += some;
		require(!is_sound_too || some > 0 || is_done_too);
	}
	require(is_sound == is_sound_too);
	require(!is_sound || size == 0 || (at == taken && is_done == is_done_too));
	if (is_done && is_sound)
		check_strip(framing, bytes, taken);
}

/* What is changed, one way or another. */
#define WAYS 9
static struct params change_params[WAYS];
static struct http_policy changes[WAYS];

static void prepare_changes(void)
{
	static const char *const settings[WAYS][8][2] = {
		{{"set-path", "/new?a=b"}, {"set-query", "c=d"}, {"set-method", "PUT"}},
		{{"set-query", "a="},
		 {"set-request-header", "A: b"},
		 {"set-request-header", "Host:"},
		 {"set-response-header", "b: c"},
		 {"set-response-header", "etag:"}},
		{{"set-status", "500"}},
		{{"set-status", "204"}},
		{{"set-body", "body"}, {"set-response-header", "Content-Encoding: gzip"}},
		{{"set-request-body", "body"}, {"set-query", "c=d"}},
		{{"set-request-body", ""}, {"set-method", "POST"}},
		{{"merge-request-body", "{\"a\":1}"}, {"merge-body", "{\"a\":1}"}},
		{{"merge-body", "{\"a\":1}"}, {"set-status", "404"}},
	};

	for (unsigned w = 0; w < WAYS; w++) {
		require(params_init(&change_params[w], http_params, NULL) == 0);
		for (unsigned i = 0; i < 8 && settings[w][i][0]; i++)
			require(params_add(&change_params[w],
					   (unsigned)params_find(http_params, settings[w][i][0]),
					   settings[w][i][1], 0, 0, NULL) == 0);
		require(http_check(&change_params[w], NULL) == 0);
		require(http_read_policy(&change_params[w], &changes[w], NULL) == 0);
	}
}

static bool is_same(struct http_text one, struct http_text other)
{
	return one.size == other.size && memcmp(one.at, other.at, one.size) == 0;
}

static bool ends_alike(const struct http_body *one, const struct http_body *other)
{
	return one->framing == other->framing && one->left == other->left;
}

/* What a body that is merged becomes: how long it is counts. */
static const struct http_text merged = {"{\"a\":1}", 7};

/* Our body, or that of which only the length is written; or where it ended before. */
static void check_framing(const struct http_body *body, const char *ours, bool is_merged,
			  const struct http_body *before, size_t behind)
{
	size_t size = is_merged ? merged.size : ours ? strlen(ours) : 0;

	if (!ours && !is_merged) {
		require(ends_alike(body, before) && behind == 0);
		return;
	}
	require(body->framing == (size ? HTTP_COUNTED : HTTP_NOTHING) && body->left == size);
	require(behind == (is_merged ? 0 : size));
}

static void check_changed_request(const struct http_policy *by, const uint8_t *bytes, size_t head,
				  const struct http_request_head *request)
{
	const struct http_text *body = by->merged_request ? &merged : NULL;
	bool replaces = by->new_request_body || body, drops = false;
	size_t room = head + HTTP_GROWTH_MAX, size = 0, again = 0;
	const char *method = params_text(by->params, HTTP_PARAM_SET_METHOD);
	struct http_text origin, path, query;
	struct http_request_head changed;
	uint8_t *out = malloc(room);

	require(out != NULL);
	require(!body ||
		!http_change_request(by, request, bytes, head, NULL, out, room, &size, &drops));
	if (!http_change_request(by, request, bytes, head, body, out, room, &size, &drops)) {
		require(request->is_tunnel || (method && request->is_head) || replaces ||
			!http_split_target(request->target, &origin, &path, &query));
		free(out);
		return;
	}
	require(size <= room && find(http_find_request, out, size, &again) == HTTP_WHOLE);
	require(http_read_request(out, again, &changed));
	check_framing(&changed.body, by->new_request_body, body, &request->body, size - again);
	require(changed.is_last == request->is_last && changed.is_old == request->is_old &&
		changed.may_wait == (request->may_wait && !replaces) &&
		changed.is_changing == request->is_changing && !changed.is_tunnel);
	require(drops == (by->new_request_body && request->body.framing != HTTP_NOTHING));
	require(is_same(changed.method,
			method ? (struct http_text){method, strlen(method)} : request->method));
	require(!http_change_request(by, request, bytes, head, body, out, size - 1, &again,
				     &drops));
	free(out);
}

static void check_changed_response(const struct http_policy *by, const uint8_t *bytes, size_t head,
				   bool to_head, const struct http_response_head *response)
{
	const struct http_text *body = by->merged_body && !to_head ? &merged : NULL;
	size_t room = head + HTTP_GROWTH_MAX, size = 0, again = 0;
	struct http_response_head changed;
	uint8_t *out = malloc(room);
	bool drops = false;

	require(out != NULL);
	if (!http_change_response(by, response, bytes, head, to_head, body, out, room, &size,
				  &drops)) {
		require((by->merged_body && to_head && !http_change_can_merge(response->headers)) ||
			((by->new_body || by->merged_body) &&
			 (response->status == 204 || response->status == 205 ||
			  response->status == 304)));
		free(out);
		return;
	}
	require(size <= room && find(http_find_response, out, size, &again) == HTTP_WHOLE);
	require(http_read_response(out, again, to_head, &changed));
	require(changed.status == (by->new_status ? by->new_status : response->status));
	require(changed.body.framing != HTTP_UNTIL_CLOSE ||
		response->body.framing == HTTP_UNTIL_CLOSE);
	if (body)
		check_framing(&changed.body, NULL, true, &response->body, size - again);
	else if (by->new_body || drops || changed.status == 204)
		require(changed.body.framing != HTTP_CHUNKED && changed.body.left == size - again);
	else
		require(size == again && ends_alike(&changed.body, &response->body));
	require(!drops || response->body.framing != HTTP_NOTHING);
	require(!http_change_response(by, response, bytes, head, to_head, body, out, size - 1,
				      &again, &drops));
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct http_request_head request;
	struct http_response_head response;
	struct http_text name, value;
	size_t head, piece = size ? 1 + bytes[size - 1] % 16 : 1;

	if (!policy.params) {
		prepare();
		prepare_changes();
	}
	head = check_head(http_find_request, bytes, size);
	if (head && http_read_request(bytes, head, &request)) {
		const uint8_t *end = bytes + head;

		require((const uint8_t *)request.target.at + request.target.size <= end);
		require((const uint8_t *)request.headers.at + request.headers.size <= end);
		require(request.method.size && request.target.size);
		http_policy_holds(&policy, &request);
		for (unsigned w = 0; w < WAYS; w++)
			check_changed_request(&changes[w], bytes, head, &request);
		while (http_next_header(&request.headers, &name, &value))
			require((const uint8_t *)value.at + value.size <= end);
		check_body(request.body, end, size - head, piece);
	}
	head = check_head(http_find_response, bytes, size);
	if (head && http_read_response(bytes, head, size & 1, &response)) {
		check_body(response.body, bytes + head, size - head, piece);
		for (unsigned w = 0; w < WAYS && response.status >= 200; w++)
			check_changed_response(&changes[w], bytes, head, size & 1, &response);
	}
	check_body((struct http_body){.framing = HTTP_CHUNKED}, bytes, size, piece);
	return 0;
}
