/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Where the body of a message ends: after so many bytes, or after its last chunk and the lines
 * behind that (RFC 9112 7.1).
 */
#include "faults/http_message.h"

#include <string.h>

/* Of the chunks; zero is where a body begins. */
enum {
	SIZE_BEGINS, /* the first digit */
	SIZE,
	EXTENSION, /* up to the end of the line */
	SIZE_ENDS, /* its LF */
	DATA,
	DATA_ENDS, /* CR LF behind it */
	DATA_FEED,
	TRAILER_BEGINS, /* a line behind the last chunk, which is empty if it is the last one */
	TRAILER,
	TRAILER_FEED,
	LAST_FEED,
};

#define SIZE_MAX_BEFORE (UINT64_MAX >> 8) /* another digit still fits */

static int digit_of(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* In the text of a line. */
static bool is_text(uint8_t c)
{
	return (c >= ' ' && c != 0x7f) || c == '\t';
}

static bool take_digit(struct http_body *body, int digit)
{
	if (body->left > SIZE_MAX_BEFORE)
		return false;
	body->left = body->left << 4 | (uint64_t)digit;
	body->state = SIZE;
	return true;
}

static bool enter(struct http_body *body, bool may, unsigned state)
{
	body->state = state;
	return may;
}

/* One byte that is not data. A line ends with CR LF and nothing else: where a bare LF may stand for
 * it two readers find two ends. */
static bool step(struct http_body *body, uint8_t c, bool *out_done)
{
	int digit = digit_of(c);

	switch (body->state) {
	case SIZE_BEGINS:
		return digit >= 0 && take_digit(body, digit);
	case SIZE:
		if (digit >= 0)
			return take_digit(body, digit);
		if (c == '\r')
			return enter(body, true, SIZE_ENDS);
		return enter(body, c == ';' || c == ' ' || c == '\t', EXTENSION);
	case EXTENSION:
		return c == '\r' ? enter(body, true, SIZE_ENDS) : is_text(c);
	case SIZE_ENDS:
		return enter(body, c == '\n', body->left ? DATA : TRAILER_BEGINS);
	case DATA_ENDS:
		return enter(body, c == '\r', DATA_FEED);
	case DATA_FEED:
		return enter(body, c == '\n', SIZE_BEGINS);
	case TRAILER_BEGINS:
		return c == '\r' ? enter(body, true, LAST_FEED) : enter(body, is_text(c), TRAILER);
	case TRAILER:
		return c == '\r' ? enter(body, true, TRAILER_FEED) : is_text(c);
	case TRAILER_FEED:
		return enter(body, c == '\n', TRAILER_BEGINS);
	default: /* LAST_FEED */
		*out_done = c == '\n';
		return *out_done;
	}
}

static bool take_chunks(struct http_body *body, const uint8_t *bytes, size_t size,
			size_t *out_taken, bool *out_done)
{
	size_t at = 0;

	while (at < size && !*out_done) {
		if (body->state == DATA) {
			uint64_t there = size - at;
			uint64_t taken = there < body->left ? there : body->left;

			at += (size_t)taken;
			body->left -= taken;
			if (!body->left)
				body->state = DATA_ENDS;
		} else if (!step(body, bytes[at++], out_done)) {
			return false;
		}
	}
	*out_taken = at;
	return true;
}

bool http_body_take(struct http_body *body, const uint8_t *bytes, size_t size, size_t *out_taken,
		    bool *out_done)
{
	*out_taken = 0;
	*out_done = false;
	switch (body->framing) {
	case HTTP_NOTHING:
		*out_done = true;
		return true;
	case HTTP_COUNTED:
		*out_taken = size < body->left ? size : (size_t)body->left;
		body->left -= *out_taken;
		*out_done = body->left == 0;
		return true;
	case HTTP_CHUNKED:
		return take_chunks(body, bytes, size, out_taken, out_done);
	case HTTP_UNTIL_CLOSE:
		break;
	}
	*out_taken = size;
	return true;
}

size_t http_body_strip(enum http_framing framing, const uint8_t *bytes, size_t size, uint8_t *out)
{
	struct http_body body = {.framing = framing};
	size_t used = 0;
	bool is_done = false;

	if (framing != HTTP_CHUNKED) {
		memcpy(out, bytes, size);
		return size;
	}
	for (size_t at = 0, taken; at < size && !is_done; at += taken) {
		bool is_data = body.state == DATA;
		size_t next = is_data && body.left < size - at ? (size_t)body.left
			      : is_data			       ? size - at
							       : 1;

		if (!take_chunks(&body, bytes + at, next, &taken, &is_done))
			break;
		if (is_data)
			memcpy(out + used, bytes + at, taken);
		used += is_data ? taken : 0;
	}
	return used;
}
