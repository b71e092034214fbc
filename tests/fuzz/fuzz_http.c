/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * HTTP/1 messages of strangers through the reader: a head that is found is the same one whatever
 * comes behind it and however little of it is there, and a body ends at the same byte in pieces of
 * any size.
 */
#include "faults/http.h"
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

static void check_body(struct http_body body, const uint8_t *bytes, size_t size, size_t piece)
{
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
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct http_request_head request;
	struct http_response_head response;
	struct http_text name, value;
	size_t head, piece = size ? 1 + bytes[size - 1] % 16 : 1;

	if (!policy.params)
		prepare();
	head = check_head(http_find_request, bytes, size);
	if (head && http_read_request(bytes, head, &request)) {
		const uint8_t *end = bytes + head;

		require((const uint8_t *)request.target.at + request.target.size <= end);
		require((const uint8_t *)request.headers.at + request.headers.size <= end);
		require(request.method.size && request.target.size);
		http_policy_holds(&policy, &request);
		while (http_next_header(&request.headers, &name, &value))
			require((const uint8_t *)value.at + value.size <= end);
		check_body(request.body, end, size - head, piece);
	}
	head = check_head(http_find_response, bytes, size);
	if (head && http_read_response(bytes, head, size & 1, &response))
		check_body(response.body, bytes + head, size - head, piece);
	check_body((struct http_body){.framing = HTTP_CHUNKED}, bytes, size, piece);
	return 0;
}
