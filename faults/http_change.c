/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/http_change.h"

#include "faults/http.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define VERSION_SIZE 9 /* "HTTP/1.1 " before a status */

/* What is written; once something did not fit nothing else matters. */
struct writer {
	uint8_t *out;
	size_t used, room;
	bool is_short;
	struct http_text line_end; /* as the head has it */
};

static void put(struct writer *writer, const char *bytes, size_t size)
{
	if (size > writer->room - writer->used) {
		writer->is_short = true;
		return;
	}
	memcpy(writer->out + writer->used, bytes, size);
	writer->used += size;
}

static void put_text(struct writer *writer, struct http_text text)
{
	if (text.size)
		put(writer, text.at, text.size);
}

static void put_string(struct writer *writer, const char *text)
{
	put(writer, text, strlen(text));
}

static void put_line(struct writer *writer, const char *line)
{
	put_string(writer, line);
	put_text(writer, writer->line_end);
}

static struct writer begin(const uint8_t *bytes, size_t size, uint8_t *out, size_t room)
{
	bool is_bare = size < 2 || bytes[size - 2] != '\r';

	return (struct writer){
		.out = out, .room = room, .line_end = {is_bare ? "\n" : "\r\n", is_bare ? 1 : 2}};
}

/* Values "name=value" or "Name: value" of a parameter. */
static struct http_text name_of(const char *setting, char between)
{
	const char *end = strchr(setting, between);

	return (struct http_text){setting, end ? (size_t)(end - setting) : strlen(setting)};
}

static const char *value_of(const char *setting, char between)
{
	const char *value = strchr(setting, between);

	value = value ? value + 1 : "";
	return value + strspn(value, " \t");
}

static bool is_set(const struct params *params, unsigned key, struct http_text name)
{
	bool is_header = key != HTTP_PARAM_SET_QUERY;

	for (unsigned i = 0; i < params_count(params, key); i++) {
		struct http_text one =
			name_of(params_value(params, key, i)->text, is_header ? ':' : '=');

		if (one.size == name.size && (is_header ? strncasecmp(one.at, name.at, name.size)
							: memcmp(one.at, name.at, name.size)) == 0)
			return true;
	}
	return false;
}

static bool is_one_of(struct http_text name, const char *const *names)
{
	for (; *names; names++)
		if (strlen(*names) == name.size && strncasecmp(*names, name.at, name.size) == 0)
			return true;
	return false;
}

/* Headers. */

/* All but those that are set, and those of `dropped`, line by line as they came; without the empty
 * one. */
static void put_others(struct writer *writer, struct http_text headers, const struct params *params,
		       unsigned key, const char *const *const *dropped)
{
	struct http_text rest = headers, name, value;

	while (http_next_header(&rest, &name, &value)) {
		size_t size = (size_t)(rest.at - name.at);
		bool is_dropped = is_set(params, key, name);

		for (unsigned i = 0; dropped && dropped[i] && !is_dropped; i++)
			is_dropped = is_one_of(name, dropped[i]);
		if (!is_dropped)
			put(writer, name.at, size);
	}
}

static void put_settings(struct writer *writer, const struct params *params, unsigned key)
{
	for (unsigned i = 0; i < params_count(params, key); i++) {
		const char *setting = params_value(params, key, i)->text;
		const char *value = value_of(setting, ':');

		if (!*value)
			continue;
		put_text(writer, name_of(setting, ':'));
		put_string(writer, ": ");
		put_line(writer, value);
	}
}

/* Bodies. */

/* How the message ends. */
static const char *const framing[] = {"Content-Length", "Transfer-Encoding", "Trailer", NULL};
/* What is true of the body that was there alone; by the last two a program could believe later that
 * it has it. */
static const char *const of_the_body[] = {"Content-Encoding",
					  "Content-MD5",
					  "Digest",
					  "Content-Digest",
					  "Repr-Digest",
					  "Content-Range",
					  "ETag",
					  "Last-Modified",
					  NULL};
/* Somebody who waits for it gets it from us. */
static const char *const expect[] = {"Expect", NULL};

static void put_length(struct writer *writer, size_t length)
{
	char line[64];

	snprintf(line, sizeof(line), "Content-Length: %zu", length);
	put_line(writer, line);
}

/* "application/json; charset=utf-8", "application/problem+json" */
static bool is_json(struct http_text type)
{
	static const char *const json[] = {"application/json", NULL}, *const suffix[] = {"+json",
											 NULL};
	const char *end = memchr(type.at, ';', type.size);

	if (end)
		type.size = (size_t)(end - type.at);
	while (type.size && (type.at[type.size - 1] == ' ' || type.at[type.size - 1] == '\t'))
		type.size--;
	if (is_one_of(type, json))
		return true;
	return type.size > 5 && is_one_of((struct http_text){type.at + type.size - 5, 5}, suffix);
}

bool http_change_can_merge(struct http_text headers)
{
	static const char *const type[] = {"Content-Type", NULL};
	static const char *const spoils[] = {"Content-Encoding", "Content-Range", NULL};
	struct http_text name, value;
	unsigned types = 0;

	while (http_next_header(&headers, &name, &value)) {
		if (is_one_of(name, spoils) || (is_one_of(name, type) && !is_json(value)))
			return false;
		types += is_one_of(name, type);
	}
	return types == 1;
}

/* Requests. */

static void put_query(struct writer *writer, const struct params *params, struct http_text query)
{
	const char *between = "?";

	while (query.size) {
		const char *end = memchr(query.at, '&', query.size);
		size_t size = end ? (size_t)(end - query.at) : query.size;
		const char *equals = memchr(query.at, '=', size);
		struct http_text name = {query.at, equals ? (size_t)(equals - query.at) : size};

		if (!is_set(params, HTTP_PARAM_SET_QUERY, name)) {
			put_string(writer, between);
			put(writer, query.at, size);
			between = "&";
		}
		size += end != NULL;
		query.at += size;
		query.size -= size;
	}
	for (unsigned i = 0; i < params_count(params, HTTP_PARAM_SET_QUERY); i++) {
		const char *setting = params_value(params, HTTP_PARAM_SET_QUERY, i)->text;

		if (!*value_of(setting, '='))
			continue;
		put_string(writer, between);
		put_string(writer, setting);
		between = "&";
	}
}

static bool put_target(struct writer *writer, const struct params *params, struct http_text target)
{
	const char *wanted = params_text(params, HTTP_PARAM_SET_PATH);
	struct http_text origin, path, query;

	if (!wanted && !params_count(params, HTTP_PARAM_SET_QUERY)) {
		put_text(writer, target);
		return true;
	}
	if (!http_split_target(target, &origin, &path, &query))
		return false;
	if (wanted) {
		size_t size = strcspn(wanted, "?");

		path = (struct http_text){wanted, size};
		if (wanted[size])
			query = (struct http_text){wanted + size + 1, strlen(wanted + size + 1)};
	}
	put_text(writer, origin);
	put_text(writer, path);
	put_query(writer, params, query);
	return true;
}

/* A body means something there (RFC 9110 9.3); of another method that may be. */
static bool may_have_body(struct http_text method)
{
	static const char *const without[] = {"GET", "HEAD", "DELETE", "TRACE", "OPTIONS", NULL};

	return !is_one_of(method, without);
}

/* None, or one that we can satisfy. */
static bool is_expected(struct http_text headers)
{
	static const char *const known[] = {"100-continue", NULL};
	struct http_text name, value;

	while (http_next_header(&headers, &name, &value))
		if (is_one_of(name, expect) && !is_one_of(value, known))
			return false;
	return true;
}

bool http_change_can_collect(const struct http_request_head *request)
{
	return is_expected(request->headers) && http_change_can_merge(request->headers);
}

static bool can_have_body(const struct http_policy *policy, const struct http_request_head *request,
			  const struct http_text *merged)
{
	const char *set = params_text(policy->params, HTTP_PARAM_SET_METHOD);
	struct http_text method = set ? (struct http_text){set, strlen(set)} : request->method;

	if (policy->merged_request && !merged)
		return false;
	return is_expected(request->headers) &&
	       (request->body.framing != HTTP_NOTHING || may_have_body(method));
}

bool http_change_request(const struct http_policy *policy, const struct http_request_head *request,
			 const uint8_t *bytes, size_t size, const struct http_text *merged,
			 uint8_t *out, size_t room, size_t *out_size, bool *out_drops)
{
	const struct params *params = policy->params;
	const char *method = params_text(params, HTTP_PARAM_SET_METHOD);
	const char *start = (const char *)bytes,
		   *behind = request->target.at + request->target.size;
	const char *body = policy->new_request_body;
	bool replaces = body || policy->merged_request;
	const char *const *const dropped[] = {replaces ? framing : NULL, of_the_body, expect, NULL};
	struct writer writer = begin(bytes, size, out, room);

	if (request->is_tunnel || (method && request->is_head) ||
	    (replaces && !can_have_body(policy, request, merged)))
		return false;
	put(&writer, start, (size_t)(request->method.at - start)); /* empty lines */
	if (method)
		put_string(&writer, method);
	else
		put_text(&writer, request->method);
	put_string(&writer, " ");
	if (!put_target(&writer, params, request->target))
		return false;
	put(&writer, behind, (size_t)(request->headers.at - behind));
	put_others(&writer, request->headers, params, HTTP_PARAM_SET_REQUEST_HEADER, dropped);
	put_settings(&writer, params, HTTP_PARAM_SET_REQUEST_HEADER);
	if (replaces)
		put_length(&writer, merged ? merged->size : strlen(body));
	put_text(&writer, writer.line_end);
	if (replaces && !merged)
		put_string(&writer, body);
	if (writer.is_short)
		return false;
	*out_size = writer.used;
	*out_drops = replaces && !merged && request->body.framing != HTTP_NOTHING;
	return true;
}

/* Responses. */

/* How long it may be kept. */
static const char *const of_caches[] = {"Cache-Control", "Expires", "CDN-Cache-Control",
					"Surrogate-Control", NULL};

/* Responses of that status have no body that could be replaced. */
static bool is_bare(unsigned status)
{
	return status == 204 || status == 205 || status == 304;
}

static void put_status_line(struct writer *writer, const struct http_policy *policy,
			    const struct http_response_head *response, const uint8_t *bytes)
{
	const char *start = (const char *)bytes;
	char line[64];

	if (!policy->new_status) {
		put(writer, start, (size_t)(response->headers.at - start));
		return;
	}
	put(writer, start, VERSION_SIZE);
	snprintf(line, sizeof(line), "%u %s", policy->new_status, http_reason(policy->new_status));
	put_line(writer, line);
}

bool http_change_response(const struct http_policy *policy,
			  const struct http_response_head *response, const uint8_t *bytes,
			  size_t size, bool to_head, const struct http_text *merged, uint8_t *out,
			  size_t room, size_t *out_size, bool *out_drops)
{
	const struct params *params = policy->params;
	unsigned status = policy->new_status ? policy->new_status : response->status;
	bool had_none = response->status == 204 || response->status == 304;
	bool replaces = policy->new_body || policy->merged_body;
	bool is_reframed = replaces || (policy->new_status && (is_bare(status) || had_none));
	bool drops = is_reframed && response->body.framing != HTTP_NOTHING;
	const char *const *const dropped[] = {of_caches, is_reframed ? framing : NULL,
					      replaces ? of_the_body : NULL, NULL};
	struct writer writer = begin(bytes, size, out, room);

	if (replaces && is_bare(status))
		return false;
	/* to HEAD: what GET would get is JSON, of a length that nobody knows */
	if (policy->merged_body && !merged &&
	    !(to_head && http_change_can_merge(response->headers)))
		return false;
	put_status_line(&writer, policy, response, bytes);
	put_others(&writer, response->headers, params, HTTP_PARAM_SET_RESPONSE_HEADER, dropped);
	put_settings(&writer, params, HTTP_PARAM_SET_RESPONSE_HEADER);
	if (!is_set(params, HTTP_PARAM_SET_RESPONSE_HEADER, (struct http_text){of_caches[0], 13}))
		put_line(&writer, "Cache-Control: no-store");
	if (merged)
		put_length(&writer, merged->size);
	else if (policy->new_body)
		put_length(&writer, strlen(policy->new_body));
	else if (is_reframed && (status == 205 || !is_bare(status)) && !to_head)
		put_length(&writer, 0);
	/* the client is to know what the server's body would have told it */
	if (drops && response->body.framing == HTTP_UNTIL_CLOSE && !response->is_last)
		put_line(&writer, "Connection: close");
	put_text(&writer, writer.line_end);
	if (policy->new_body && !to_head)
		put_string(&writer, policy->new_body);
	if (writer.is_short)
		return false;
	*out_size = writer.used;
	*out_drops = drops;
	return true;
}
