/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Requests and responses as the http fault changes them: to the byte, and in whole or not at all.
 */
#include "faults/http.h"
#include "faults/http_change.h"
#include "injector/base/quantity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct params params;
static struct http_policy policy;

/* Pairs of name and value. */
static void prepare(const char *const *settings)
{
	struct error err = ERROR_INIT;

	assert_int_equal(params_init(&params, http_params, NULL), 0);
	for (; *settings; settings += 2)
		assert_int_equal(params_add(&params,
					    (unsigned)params_find(http_params, settings[0]),
					    settings[1], 1, 1, NULL),
				 0);
	if (http_check(&params, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(http_read_policy(&params, &policy, NULL), 0);
}
#define PREPARE(...) prepare((const char *[]){__VA_ARGS__, NULL})

/* In memory of exactly these sizes, so that a sanitizer sees who reads or writes beyond it. */
static bool change(const char *text, size_t size, bool is_request, bool to_head, size_t room,
		   char **out, size_t *out_size, bool *out_drops)
{
	uint8_t *bytes = malloc(size), *changed = malloc(room ? room : 1);
	struct http_request_head request;
	struct http_response_head response;
	bool is_changed;

	assert_non_null(bytes);
	assert_non_null(changed);
	memcpy(bytes, text, size);
	if (is_request) {
		assert_true(http_read_request(bytes, size, &request));
		is_changed = http_change_request(&policy, &request, bytes, size, NULL, changed,
						 room, out_size, out_drops);
	} else {
		assert_true(http_read_response(bytes, size, to_head, &response));
		is_changed = http_change_response(&policy, &response, bytes, size, to_head, NULL,
						  changed, room, out_size, out_drops);
	}
	free(bytes);
	*out = calloc(1, room + 1);
	assert_non_null(*out);
	if (is_changed)
		memcpy(*out, changed, *out_size);
	free(changed);
	return is_changed;
}

static void assert_request(const char *text, const char *wanted)
{
	size_t size = 0;
	char *out;
	bool drops;
	bool is_changed = change(text, strlen(text), true, false, 4000, &out, &size, &drops);

	if (!is_changed)
		out[0] = '\0';
	if (strcmp(out, wanted ? wanted : "") != 0)
		fail_msg("'%s' became '%s' instead of '%s'", text, out, wanted);
	free(out);
}

static void assert_response(const char *text, bool to_head, const char *wanted, bool drops)
{
	size_t size = 0;
	bool is_dropped = !drops;
	char *out;

	if (!change(text, strlen(text), false, to_head, 4000, &out, &size, &is_dropped))
		fail_msg("'%s' is not changed", text);
	if (strcmp(out, wanted) != 0)
		fail_msg("'%s' became '%s' instead of '%s'", text, out, wanted);
	assert_int_equal(is_dropped, drops);
	free(out);
}

static void assert_response_is_kept(const char *text, bool to_head)
{
	size_t size = 0;
	bool drops;
	char *out;

	assert_false(change(text, strlen(text), false, to_head, 4000, &out, &size, &drops));
	free(out);
}

/* Requests. */

static void test_a_path_is_replaced_and_the_query_stays(void **state)
{
	(void)state;
	PREPARE("set-path", "/b");
	assert_request("GET /a?x=/y?z HTTP/1.1\r\nHost: h\r\n\r\n",
		       "GET /b?x=/y?z HTTP/1.1\r\nHost: h\r\n\r\n");
	assert_request("GET / HTTP/1.0\n\n", "GET /b HTTP/1.0\n\n");
	assert_request("GET /a? HTTP/1.1\r\n\r\n", "GET /b HTTP/1.1\r\n\r\n");
	/* as to a proxy */
	assert_request("GET http://h:1/a/b?c HTTP/1.1\r\n\r\n",
		       "GET http://h:1/b?c HTTP/1.1\r\n\r\n");
	assert_request("GET HTTP://h HTTP/1.1\r\n\r\n", "GET HTTP://h/b HTTP/1.1\r\n\r\n");
	assert_request("GET http://h?c/d HTTP/1.1\r\n\r\n", "GET http://h/b?c/d HTTP/1.1\r\n\r\n");
	/* no path at all */
	assert_request("OPTIONS * HTTP/1.1\r\n\r\n", NULL);
	assert_request("CONNECT h:1 HTTP/1.1\r\n\r\n", NULL);
	assert_request("GET a HTTP/1.1\r\n\r\n", NULL);
	params_free(&params);
	PREPARE("set-path", "/b?y=1");
	assert_request("GET /a?x HTTP/1.1\r\n\r\n", "GET /b?y=1 HTTP/1.1\r\n\r\n");
	params_free(&params);
	PREPARE("set-path", "/b?");
	assert_request("GET /a?x HTTP/1.1\r\n\r\n", "GET /b HTTP/1.1\r\n\r\n");
	params_free(&params);
}

static void test_queries_are_set_and_removed(void **state)
{
	(void)state;
	PREPARE("set-query", "page=2", "set-query", "q=", "set-query", "n=a=b");
	assert_request("GET /a HTTP/1.1\r\n\r\n", "GET /a?page=2&n=a=b HTTP/1.1\r\n\r\n");
	assert_request("GET /a?page=1&x&q=3&page&q&pages=1&=& HTTP/1.1\r\n\r\n",
		       "GET /a?x&pages=1&=&page=2&n=a=b HTTP/1.1\r\n\r\n");
	params_free(&params);
	PREPARE("set-query", "q=");
	assert_request("GET /a?q=1 HTTP/1.1\r\n\r\n", "GET /a HTTP/1.1\r\n\r\n");
	assert_request("GET /a?q=1&Q=2 HTTP/1.1\r\n\r\n", "GET /a?Q=2 HTTP/1.1\r\n\r\n");
	params_free(&params);
}

static void test_a_method_is_replaced_but_for_head(void **state)
{
	(void)state;
	PREPARE("set-method", "DELETE");
	assert_request("\r\nGET /a HTTP/1.1\r\nA: b\r\n\r\n",
		       "\r\nDELETE /a HTTP/1.1\r\nA: b\r\n\r\n");
	assert_request("OPTIONS * HTTP/1.1\r\n\r\n", "DELETE * HTTP/1.1\r\n\r\n");
	assert_request("HEAD /a HTTP/1.1\r\n\r\n", NULL);
	assert_request("CONNECT a:1 HTTP/1.1\r\n\r\n", NULL);
	params_free(&params);
}

static void test_headers_are_set_and_removed(void **state)
{
	(void)state;
	PREPARE("set-request-header", "X-User:  test: 1", "set-request-header",
		"cookie:", "set-request-header", "Accept: a", "set-request-header", "Accept: b");
	assert_request("POST /a HTTP/1.1\r\nHost:h\r\nCookie: 1\r\nx-user: you\r\nCOOKIE: 2\r\n"
		       "Content-Length:  3\r\nX-Users: all \r\n\r\n",
		       "POST /a HTTP/1.1\r\nHost:h\r\nContent-Length:  3\r\nX-Users: all \r\n"
		       "X-User: test: 1\r\nAccept: a\r\nAccept: b\r\n\r\n");
	/* lines that end as the others do */
	assert_request("GET /a HTTP/1.1\nCookie: 1\nHost: h\n\n",
		       "GET /a HTTP/1.1\nHost: h\nX-User: test: 1\nAccept: a\nAccept: b\n\n");
	params_free(&params);
}

/* Responses. */

static void test_a_status_is_replaced_and_the_rest_stays(void **state)
{
	(void)state;
	PREPARE("set-status", "503");
	assert_response(
		"HTTP/1.1 200 OK\r\nA:b\r\nContent-Length: 3\r\nCache-Control: max-age=9\r\n"
		"Expires: x\r\nETag: e\r\n\r\n",
		false,
		"HTTP/1.1 503 Service Unavailable\r\nA:b\r\nContent-Length: 3\r\nETag: e\r\n"
		"Cache-Control: no-store\r\n\r\n",
		false);
	assert_response("HTTP/1.0 404\n\n", false,
			"HTTP/1.0 503 Service Unavailable\nCache-Control: no-store\n\n", false);
	/* what had no body has none now, and says so */
	assert_response("HTTP/1.1 204 No\r\n\r\n", false,
			"HTTP/1.1 503 Service Unavailable\r\nCache-Control: no-store\r\n"
			"Content-Length: 0\r\n\r\n",
			false);
	assert_response("HTTP/1.1 304 No\r\nContent-Length: 7\r\n\r\n", false,
			"HTTP/1.1 503 Service Unavailable\r\nCache-Control: no-store\r\n"
			"Content-Length: 0\r\n\r\n",
			false);
	assert_response("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", true,
			"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 7\r\n"
			"Cache-Control: no-store\r\n\r\n",
			false);
	params_free(&params);
}

static void test_a_status_without_a_body_takes_it_away(void **state)
{
	static const char *const statuses[] = {"204", "304"};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		char wanted[200];

		PREPARE("set-status", statuses[i]);
		snprintf(wanted, sizeof(wanted),
			 "HTTP/1.1 %s %s\r\nCache-Control: no-store\r\n\r\n", statuses[i],
			 i ? "Not Modified" : "No Content");
		assert_response("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", false, wanted,
				true);
		assert_response(
			"HTTP/1.1 200 OK\r\nTrailer: x\r\nTransfer-Encoding: chunked\r\n\r\n",
			false, wanted, true);
		assert_response("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", true, wanted,
				false);
		params_free(&params);
	}
	PREPARE("set-status", "205");
	assert_response("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", false,
			"HTTP/1.1 205 Reset Content\r\nCache-Control: no-store\r\n"
			"Content-Length: 0\r\n\r\n",
			true);
	params_free(&params);
}

static void test_response_headers_are_set_and_removed(void **state)
{
	(void)state;
	PREPARE("set-response-header", "Retry-After: 60", "set-response-header",
		"server:", "set-response-header", "cache-control: max-age=5");
	assert_response("HTTP/1.1 200 Fine\r\nServer: s\r\nCache-Control: private\r\n"
			"Transfer-Encoding: chunked\r\n\r\n",
			false,
			"HTTP/1.1 200 Fine\r\nTransfer-Encoding: chunked\r\nRetry-After: 60\r\n"
			"cache-control: max-age=5\r\n\r\n",
			false);
	params_free(&params);
}

static void test_a_body_is_replaced_with_all_that_is_said_of_it(void **state)
{
	(void)state;
	PREPARE("set-body", "{\"ok\":no}");
	assert_response("HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: 3\r\n"
			"Content-Encoding: gzip\r\nETag: \"e\"\r\nLast-Modified: d\r\n"
			"Content-MD5: m\r\nDigest: d\r\nContent-Digest: c\r\nRepr-Digest: r\r\n"
			"Content-Range: bytes 0-2/3\r\n\r\n",
			false,
			"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nCache-Control: no-store\r\n"
			"Content-Length: 9\r\n\r\n{\"ok\":no}",
			true);
	assert_response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n",
			false,
			"HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 9\r\n\r\n"
			"{\"ok\":no}",
			true);
	/* the end of the connection was the end of the body: that it ends is now said */
	assert_response("HTTP/1.1 200 OK\r\n\r\n", false,
			"HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 9\r\n"
			"Connection: close\r\n\r\n{\"ok\":no}",
			true);
	assert_response("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", false,
			"HTTP/1.1 200 OK\r\nConnection: close\r\nCache-Control: no-store\r\n"
			"Content-Length: 9\r\n\r\n{\"ok\":no}",
			true);
	assert_response("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false,
			"HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 9\r\n\r\n"
			"{\"ok\":no}",
			false);
	/* to HEAD: what GET would get, without it */
	assert_response("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", true,
			"HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 9\r\n\r\n",
			false);
	assert_response_is_kept("HTTP/1.1 204 No\r\n\r\n", false);
	assert_response_is_kept("HTTP/1.1 304 No\r\n\r\n", true);
	params_free(&params);
	PREPARE("set-body", "", "set-status", "200");
	assert_response("HTTP/1.1 204 No\r\n\r\n", false,
			"HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 0\r\n\r\n",
			false);
	params_free(&params);
}

/* Sizes. */

/* All the room that may be asked for, with as many separate values as there may be. */
static void prepare_most(void)
{
	static const char *const lists[] = {"set-query", "set-request-header",
					    "set-response-header"};
	char text[PARAM_TEXT_MAX + 1];
	size_t left = HTTP_CHANGES_MAX - 3;
	struct error err = ERROR_INIT;

	assert_int_equal(params_init(&params, http_params, NULL), 0);
	assert_int_equal(params_add(&params, HTTP_PARAM_SET_STATUS, "511", 1, 1, NULL), 0);
	memset(text, 'x', PARAM_TEXT_MAX);
	text[PARAM_TEXT_MAX] = '\0';
	assert_int_equal(params_add(&params, HTTP_PARAM_SET_BODY, text, 1, 1, NULL), 0);
	text[0] = '/';
	assert_int_equal(params_add(&params, HTTP_PARAM_SET_PATH, text, 1, 1, NULL), 0);
	left -= 2 * PARAM_TEXT_MAX;
	for (unsigned i = 0; i < 60; i++) {
		size_t size = i == 59 ? left : left / (60 - i);

		memset(text, 'a' + (int)i % 20, size);
		text[size] = '\0';
		text[1] = i < 20 ? '=' : ':';
		left -= size;
		assert_int_equal(params_add(&params,
					    (unsigned)params_find(http_params, lists[i / 20]), text,
					    1, 1, NULL),
				 0);
	}
	if (http_check(&params, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(http_read_policy(&params, &policy, NULL), 0);
}

static void test_no_message_grows_by_more_than_it_may(void **state)
{
	static const char *const heads[] = {"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 200\r\n\r\n"};

	(void)state;
	prepare_most();
	for (unsigned i = 0; i < 2; i++) {
		size_t length = strlen(heads[i]), size = 0, again = 0;
		bool drops;
		char *out;

		assert_true(change(heads[i], length, i == 0, false, length + HTTP_GROWTH_MAX, &out,
				   &size, &drops));
		assert_true(size > 1500 && size <= length + HTTP_GROWTH_MAX);
		free(out);
		/* just as much room as it needs, and every less one */
		for (size_t room = 0; room <= size; room += room + 50 < size ? 37 : 1) {
			assert_int_equal(
				change(heads[i], length, i == 0, false, room, &out, &again, &drops),
				room == size);
			free(out);
		}
	}
	/* one byte more is refused */
	{
		struct error err = ERROR_INIT;

		params_free(&params);
		prepare_most();
		params_truncate(&params, HTTP_PARAM_SET_METHOD, 0);
		assert_int_equal(params_add(&params, HTTP_PARAM_SET_METHOD, "A", 1, 1, NULL), 0);
		assert_true(http_check(&params, &err) < 0);
		assert_string_equal(err.text, "set-path: all that is to be set has 4001 bytes");
		assert_string_equal(err.remedy, "at most 4000 altogether");
	}
	params_free(&params);
}

static void test_what_is_changed_is_told(void **state)
{
	struct http_policy read;
	char text[2000];

	(void)state;
	PREPARE("path", "/a", "delay", "1s", "set-method", "PUT", "set-path", "/b", "set-query",
		"c=d", "set-query", "e=", "set-request-header", "F: g", "set-request-header",
		"H: ", "set-status", "404", "set-response-header", "I:", "set-body", "");
	http_explain(&params, text, sizeof(text));
	assert_non_null(strstr(
		text, "A request for /a waits 1s and then reaches the server changed (method PUT, "
		      "path /b, query c=d, no query e, header F: g, no header H), which does what "
		      "it is asked, and its answer comes back changed (status 404 Not Found, no "
		      "header I, another body). No cache may keep what comes of it (no-store). "
		      "Other requests pass."));
	assert_int_equal(http_read_policy(&params, &read, NULL), 0);
	http_describe(&read, text, sizeof(text));
	assert_string_equal(text, "delay 1s, then change the request and the response");
	params_free(&params);
	PREPARE("set-status", "404", "probability", "10%");
	http_explain(&params, text, sizeof(text));
	assert_non_null(strstr(text,
			       "A request goes on to the server, which does what it is asked, "
			       "and its answer comes back changed (status 404 Not Found). "));
	assert_int_equal(http_read_policy(&params, &read, NULL), 0);
	http_describe(&read, text, sizeof(text));
	assert_string_equal(text, "change the response, 10% of them");
	params_free(&params);
	PREPARE("set-path", "/b");
	http_explain(&params, text, sizeof(text));
	assert_non_null(strstr(text, "A request reaches the server changed (path /b). "));
	params_free(&params);
}

static void test_a_ramp_changes_more_and_more_of_them(void **state)
{
	uint64_t random = 7;
	unsigned drawn = 0;

	(void)state;
	PREPARE("set-status", "500", "delay", "2s");
	http_policy_scale(&policy, SHARE_ONE / 4);
	assert_int_equal(http_policy_delay_ns(&policy), policy.delay_ns);
	for (unsigned i = 0; i < 10000; i++)
		drawn += http_policy_draws(&policy, &random);
	assert_in_range(drawn, 2300, 2700);
	params_free(&params);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_path_is_replaced_and_the_query_stays),
		cmocka_unit_test(test_queries_are_set_and_removed),
		cmocka_unit_test(test_a_method_is_replaced_but_for_head),
		cmocka_unit_test(test_headers_are_set_and_removed),
		cmocka_unit_test(test_a_status_is_replaced_and_the_rest_stays),
		cmocka_unit_test(test_a_status_without_a_body_takes_it_away),
		cmocka_unit_test(test_response_headers_are_set_and_removed),
		cmocka_unit_test(test_a_body_is_replaced_with_all_that_is_said_of_it),
		cmocka_unit_test(test_no_message_grows_by_more_than_it_may),
		cmocka_unit_test(test_what_is_changed_is_told),
		cmocka_unit_test(test_a_ramp_changes_more_and_more_of_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
