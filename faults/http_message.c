/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/http_message.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define METHOD_MAX 32
#define DIGITS_MAX 18 /* of a length: what has more is no length that anybody means */

static bool is_token(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

/* The empty line; a bare line feed ends a line as well (RFC 9112 2.2). */
static size_t find_end(const uint8_t *bytes, size_t size)
{
	const uint8_t *at = bytes, *end = bytes + size, *feed;

	while ((feed = memchr(at, '\n', (size_t)(end - at)))) {
		at = feed + 1;
		if (at < end && *at == '\n')
			return (size_t)(at + 1 - bytes);
		if (end - at >= 2 && at[0] == '\r' && at[1] == '\n')
			return (size_t)(at + 2 - bytes);
	}
	return 0;
}

/* A whole one, with LF alone or with CR before it. */
static enum http_found find_line_end(const uint8_t *bytes, size_t size)
{
	if (size && bytes[0] == '\n')
		return HTTP_WHOLE;
	if (size && bytes[0] != '\r')
		return HTTP_STRANGE;
	if (size < 2)
		return HTTP_PART;
	return bytes[1] == '\n' ? HTTP_WHOLE : HTTP_STRANGE;
}

/* HTTP/1.0 or HTTP/1.1 and what ends it; whole, as far as it is there, or not. */
static enum http_found find_version(const uint8_t *bytes, size_t size, bool ends_line)
{
	static const char version[] = "HTTP/1.";
	size_t length = sizeof(version) - 1;

	if (memcmp(bytes, version, size < length ? size : length) != 0)
		return HTTP_STRANGE;
	if (size <= length)
		return HTTP_PART;
	if (bytes[length] != '0' && bytes[length] != '1')
		return HTTP_STRANGE;
	if (size == length + 1)
		return HTTP_PART;
	if (ends_line)
		return find_line_end(bytes + length + 1, size - length - 1);
	return bytes[length + 1] == ' ' ? HTTP_WHOLE : HTTP_STRANGE;
}

/* Empty lines before a request belong to nobody (RFC 9112 2.2). */
static size_t skip_empty(const uint8_t *bytes, size_t size)
{
	size_t at = 0;

	while (find_line_end(bytes + at, size - at) == HTTP_WHOLE)
		at += bytes[at] == '\r' ? 2 : 1;
	return at;
}

/* METHOD TARGET HTTP/1.x */
static enum http_found find_request_line(const uint8_t *bytes, size_t size)
{
	size_t at = 0;

	while (at < size && at <= METHOD_MAX && is_token(bytes[at]))
		at++;
	if (at > METHOD_MAX)
		return HTTP_STRANGE;
	if (at == size)
		return HTTP_PART;
	if (at == 0 || bytes[at] != ' ')
		return HTTP_STRANGE;
	at++;
	while (at < size && bytes[at] > ' ' && bytes[at] != 0x7f)
		at++;
	if (at == size)
		return HTTP_PART;
	if (bytes[at] != ' ' || bytes[at - 1] == ' ')
		return HTTP_STRANGE;
	return find_version(bytes + at + 1, size - at - 1, true);
}

enum http_found http_find_request(const uint8_t *bytes, size_t size, size_t *out_size)
{
	size_t before = skip_empty(bytes, size), end;
	enum http_found line = find_request_line(bytes + before, size - before);

	if (find_line_end(bytes + before, size - before) == HTTP_PART)
		return HTTP_PART;
	if (line != HTTP_WHOLE)
		return line;
	end = find_end(bytes + before, size - before);
	if (!end)
		return HTTP_PART;
	*out_size = before + end;
	return HTTP_WHOLE;
}

enum http_found http_find_response(const uint8_t *bytes, size_t size, size_t *out_size)
{
	enum http_found line = find_version(bytes, size, false);
	size_t end = line == HTTP_WHOLE ? find_end(bytes, size) : 0;

	if (line != HTTP_WHOLE)
		return line;
	if (!end)
		return HTTP_PART;
	*out_size = end;
	return HTTP_WHOLE;
}

/* The line that begins there, without its end; `text` becomes what is behind it. */
static bool next_line(struct http_text *text, struct http_text *out)
{
	const char *feed = text->size ? memchr(text->at, '\n', text->size) : NULL;

	if (!feed)
		return false;
	out->at = text->at;
	out->size = (size_t)(feed - text->at);
	if (out->size && out->at[out->size - 1] == '\r')
		out->size--;
	text->size -= (size_t)(feed + 1 - text->at);
	text->at = feed + 1;
	return true;
}

static struct http_text trimmed(struct http_text text)
{
	while (text.size && (text.at[0] == ' ' || text.at[0] == '\t'))
		text.at++, text.size--;
	while (text.size && (text.at[text.size - 1] == ' ' || text.at[text.size - 1] == '\t'))
		text.size--;
	return text;
}

bool http_next_header(struct http_text *headers, struct http_text *out_name,
		      struct http_text *out_value)
{
	struct http_text line;
	const char *colon;

	if (!next_line(headers, &line) || !line.size)
		return false;
	colon = memchr(line.at, ':', line.size);
	if (!colon)
		return false;
	out_name->at = line.at;
	out_name->size = (size_t)(colon - line.at);
	out_value->at = colon + 1;
	out_value->size = line.size - out_name->size - 1;
	*out_value = trimmed(*out_value);
	return true;
}

static bool is_word(struct http_text text, const char *word)
{
	return text.size == strlen(word) && strncasecmp(text.at, word, text.size) == 0;
}

/* One of a list, between commas. */
static bool has_word(struct http_text list, const char *word)
{
	while (list.size) {
		const char *comma = memchr(list.at, ',', list.size);
		struct http_text one = {list.at, comma ? (size_t)(comma - list.at) : list.size};

		if (is_word(trimmed(one), word))
			return true;
		list.at += one.size + (comma != NULL);
		list.size -= one.size + (comma != NULL);
	}
	return false;
}

/* What the lines of a head say of the body and the connection. */
struct said {
	bool has_length, is_chunked, closes, stays, may_wait, is_changing;
	uint64_t length;
};

static bool has_control(struct http_text line)
{
	for (size_t at = 0; at < line.size; at++)
		if (((uint8_t)line.at[at] < ' ' && line.at[at] != '\t') || line.at[at] == 0x7f)
			return true;
	return false;
}

static bool is_sound_line(struct http_text line)
{
	size_t at = 0;

	while (at < line.size && is_token((uint8_t)line.at[at]))
		at++;
	if (at == 0 || at == line.size || line.at[at] != ':')
		return false; /* also a folded line */
	return !has_control(line);
}

static bool read_length(struct http_text value, struct said *said)
{
	uint64_t length = 0;

	if (!value.size || value.size > DIGITS_MAX)
		return false;
	for (size_t i = 0; i < value.size; i++) {
		if (value.at[i] < '0' || value.at[i] > '9')
			return false;
		length = length * 10 + (uint64_t)(value.at[i] - '0');
	}
	if (said->has_length)
		return false;
	said->has_length = true;
	said->length = length;
	return true;
}

static bool read_headers(struct http_text headers, struct said *said)
{
	struct http_text rest = headers, line, name, value;

	*said = (struct said){0};
	while (next_line(&rest, &line) && line.size) {
		struct http_text one = {line.at, (size_t)(rest.at - line.at)};

		if (!is_sound_line(line) || !http_next_header(&one, &name, &value))
			return false;
		if (is_word(name, "content-length") && !read_length(value, said))
			return false;
		if (is_word(name, "transfer-encoding")) {
			if (said->is_chunked || !is_word(value, "chunked"))
				return false;
			said->is_chunked = true;
		}
		if (is_word(name, "connection")) {
			said->closes |= has_word(value, "close");
			said->stays |= has_word(value, "keep-alive");
		}
		said->may_wait |= is_word(name, "expect");
		said->is_changing |= is_word(name, "upgrade");
	}
	return !(said->is_chunked && said->has_length);
}

/* Lines that end with LF alone between others that end with CR LF: not everybody sees them end. */
static bool is_mixed(const uint8_t *bytes, size_t size)
{
	const uint8_t *at = bytes, *end = bytes + size, *feed;
	bool has_bare = false, has_whole = false;

	for (; (feed = memchr(at, '\n', (size_t)(end - at))); at = feed + 1) {
		bool is_whole = feed > at && feed[-1] == '\r';

		has_whole |= is_whole;
		has_bare |= !is_whole;
	}
	return has_bare && has_whole;
}

static struct http_body body_of(const struct said *said)
{
	if (said->is_chunked)
		return (struct http_body){.framing = HTTP_CHUNKED};
	if (said->has_length && said->length)
		return (struct http_body){.framing = HTTP_COUNTED, .left = said->length};
	return (struct http_body){.framing = HTTP_NOTHING};
}

bool http_read_request(const uint8_t *bytes, size_t size, struct http_request_head *out)
{
	size_t before = skip_empty(bytes, size);
	struct http_text rest = {(const char *)bytes + before, size - before}, line;
	const char *first, *second;
	struct said said;
	bool is_old;

	if (is_mixed(bytes + before, size - before) || !next_line(&rest, &line))
		return false;
	first = memchr(line.at, ' ', line.size);
	second = first ? memchr(first + 1, ' ', line.size - (size_t)(first + 1 - line.at)) : NULL;
	if (!second || has_control(line) || line.at + line.size - second != sizeof(" HTTP/1.1") - 1)
		return false;
	is_old = line.at[line.size - 1] == '0';
	if (!read_headers(rest, &said) || (is_old && said.is_chunked))
		return false;
	*out = (struct http_request_head){
		.method = {line.at, (size_t)(first - line.at)},
		.target = {first + 1, (size_t)(second - first - 1)},
		.headers = rest,
		.body = body_of(&said),
		.is_last = said.closes || (is_old && !said.stays),
		.is_old = is_old,
		.may_wait = said.may_wait,
		.is_changing = said.is_changing,
		.is_head = first - line.at == 4 && memcmp(line.at, "HEAD", 4) == 0,
		.is_tunnel = first - line.at == 7 && memcmp(line.at, "CONNECT", 7) == 0,
	};
	return true;
}

bool http_read_response(const uint8_t *bytes, size_t size, bool to_head,
			struct http_response_head *out)
{
	struct http_text rest = {(const char *)bytes, size}, line;
	unsigned status = 0;
	struct said said;

	if (is_mixed(bytes, size) || !next_line(&rest, &line) || line.size < 12 ||
	    has_control(line))
		return false;
	for (unsigned i = 9; i < 12; i++) { /* behind "HTTP/1.1 " */
		if (line.at[i] < '0' || line.at[i] > '9')
			return false;
		status = status * 10 + (unsigned)(line.at[i] - '0');
	}
	if (status < 100 || (line.size > 12 && line.at[12] != ' ') || !read_headers(rest, &said))
		return false;
	*out = (struct http_response_head){.status = status,
					   .headers = rest,
					   .is_interim = status < 200 && status != 101,
					   .is_last = said.closes};
	if (status < 200 || status == 204 || status == 304 || to_head)
		return true;
	out->body = body_of(&said);
	if (!said.has_length && !said.is_chunked)
		out->body.framing = HTTP_UNTIL_CLOSE;
	return true;
}

bool http_glob_holds(const char *glob, struct http_text text, bool ignores_case)
{
	const char *star = NULL;
	size_t at = 0, star_at = 0;

	while (at < text.size) {
		char wanted = *glob, there = text.at[at];

		if (wanted == '*') {
			star = ++glob;
			star_at = at;
			continue;
		}
		if (wanted && (wanted == '?' || wanted == there ||
			       (ignores_case && strncasecmp(&wanted, &there, 1) == 0))) {
			glob++;
			at++;
			continue;
		}
		if (!star)
			return false;
		glob = star;
		at = ++star_at;
	}
	while (*glob == '*')
		glob++;
	return !*glob;
}

const char *http_reason(unsigned status)
{
	static const struct {
		unsigned status;
		const char *text;
	} known[] = {
		{200, "OK"},
		{201, "Created"},
		{202, "Accepted"},
		{204, "No Content"},
		{205, "Reset Content"},
		{206, "Partial Content"},
		{301, "Moved Permanently"},
		{302, "Found"},
		{303, "See Other"},
		{304, "Not Modified"},
		{307, "Temporary Redirect"},
		{308, "Permanent Redirect"},
		{400, "Bad Request"},
		{401, "Unauthorized"},
		{402, "Payment Required"},
		{403, "Forbidden"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{406, "Not Acceptable"},
		{408, "Request Timeout"},
		{409, "Conflict"},
		{410, "Gone"},
		{412, "Precondition Failed"},
		{413, "Content Too Large"},
		{415, "Unsupported Media Type"},
		{418, "I'm a teapot"},
		{422, "Unprocessable Content"},
		{423, "Locked"},
		{425, "Too Early"},
		{429, "Too Many Requests"},
		{451, "Unavailable For Legal Reasons"},
		{500, "Internal Server Error"},
		{501, "Not Implemented"},
		{502, "Bad Gateway"},
		{503, "Service Unavailable"},
		{504, "Gateway Timeout"},
		{507, "Insufficient Storage"},
		{511, "Network Authentication Required"},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (known[i].status == status)
			return known[i].text;
	return status < 400 ? "OK" : "Error";
}

size_t http_write_answer(unsigned status, const char *body, bool to_head, bool closes, uint8_t *out)
{
	int size = snprintf((char *)out, HTTP_ANSWER_MAX,
			    "HTTP/1.1 %u %s\r\nContent-Type: text/plain; charset=utf-8\r\n"
			    "Content-Length: %zu\r\nCache-Control: no-store\r\n%s\r\n%s",
			    status, http_reason(status), strlen(body),
			    closes ? "Connection: close\r\n" : "", to_head ? "" : body);

	return size < HTTP_ANSWER_MAX ? (size_t)size : HTTP_ANSWER_MAX - 1;
}
