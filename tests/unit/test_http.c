/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * HTTP/1 messages as the http fault reads them: where they end, which requests are meant, and what
 * is not understood.
 */
#include "faults/http.h"
#include "injector/base/quantity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* In memory of exactly that size, so that a sanitizer sees who reads beyond it. */
static uint8_t *exact(const char *text, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	assert_non_null(copy);
	memcpy(copy, text, size);
	return copy;
}

static enum http_found find(const char *text, size_t size, bool is_request, size_t *out_size)
{
	uint8_t *bytes = exact(text, size);
	enum http_found found = is_request ? http_find_request(bytes, size, out_size)
					   : http_find_response(bytes, size, out_size);

	free(bytes);
	return found;
}

static void test_a_head_is_found_when_it_is_whole(void **state)
{
	static const char *const requests[] = {
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"\r\n\nPOST http://a/b HTTP/1.0\n\n",
		"M-SEARCH * HTTP/1.1\r\nA:b\r\nC: d\n\r\n",
	};
	static const char *const responses[] = {
		"HTTP/1.1 200 OK\r\nA: b\r\n\r\n",
		"HTTP/1.0 204\n\n",
	};

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		bool is_request = i < 3;
		const char *text = is_request ? requests[i] : responses[i - 3];
		size_t size = 0, length = strlen(text);

		for (size_t part = 0; part < length; part++)
			assert_int_equal(find(text, part, is_request, &size), HTTP_PART);
		assert_int_equal(find(text, length, is_request, &size), HTTP_WHOLE);
		assert_int_equal(size, length);
	}
}

/* As soon as it can be told: who waits for the server to speak would wait for ever. */
static void test_what_is_no_http_is_told_early(void **state)
{
	static const char *const cases[] = {
		"\x16\x03\x01",	    /* TLS */
		"PRI * HTTP/2",	    /* HTTP/2 */
		"EHLO host\r\n",    /* SMTP */
		"*1\r\n$4\r\nPING", /* Redis */
		"GET / HTTP/3",
		"GET  / HTTP/1.1",
		"GET /\x01",
		"GET / HTTP/1.15",
		"GET / x",
		" GET",
		"GET /\r\n", /* HTTP/0.9 */
		/* lines that not everybody sees end there */
		"GET / HTTP/1.1\rX: 0\r\nHost: x\r\n\r\n",
		"GET / HTTP/1.1\r\r\n",
		"\r\r\n\rGET / HTTP/1.1\r\n\r\n",
		"\rGET / HTTP/1.1\r\n\r\n",
		"AVERYLONGMETHODTHATNOBODYHASEVERSEEN",
		"AMETHODOFTHIRTYTHREECHARACTERSXYZ / HTTP/1.1\r\n\r\n",
	};
	size_t size;

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (find(cases[i], strlen(cases[i]), true, &size) != HTTP_STRANGE)
			fail_msg("'%s'", cases[i]);
	assert_int_equal(find("ICY 200", 7, false, &size), HTTP_STRANGE);
	assert_int_equal(find("HTTP/2 200", 10, false, &size), HTTP_STRANGE);
}

static bool read_request(const char *text, struct http_request_head *out)
{
	return http_read_request((const uint8_t *)text, strlen(text), out);
}

static void test_a_request_says_what_it_is(void **state)
{
	struct http_request_head request;

	(void)state;
	assert_true(read_request("POST /a?b HTTP/1.1\r\nHost: c\r\ncontent-length: 12\r\n"
				 "Expect: 100-continue\r\nConnection: x, close\r\n\r\n",
				 &request));
	assert_int_equal(request.method.size, 4);
	assert_memory_equal(request.target.at, "/a?b", 4);
	assert_int_equal(request.target.size, 4);
	assert_int_equal(request.body.framing, HTTP_COUNTED);
	assert_int_equal(request.body.left, 12);
	assert_true(request.may_wait && request.is_last);
	assert_true(read_request("HEAD / HTTP/1.0\r\n\r\n", &request));
	assert_true(request.is_head && request.is_last);
	assert_int_equal(request.body.framing, HTTP_NOTHING);
	assert_true(read_request("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", &request));
	assert_false(request.is_last);
	assert_true(read_request("GET / HTTP/1.1\r\nUpgrade: h2c\r\n"
				 "Transfer-Encoding: Chunked\r\n\r\n",
				 &request));
	assert_true(request.is_changing);
	assert_int_equal(request.body.framing, HTTP_CHUNKED);
	assert_true(read_request("CONNECT a:1 HTTP/1.1\r\n\r\n", &request));
	assert_true(request.is_tunnel);
}

static void test_what_can_be_read_twofold_is_not_understood(void **state)
{
	static const char *const headers[] = {
		"Content-Length: 1\r\nContent-Length: 2",
		"Content-Length: 3\r\nContent-Length: 3",
		"Content-Length: 1, 1",
		"Content-Length: +1",
		"Content-Length: ",
		"Content-Length: 0x1",
		"Content-Length: 1234567890123456789",
		"Transfer-Encoding: gzip, chunked",
		"Content-Length: 1\r\nTransfer-Encoding: chunked",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
		"A: b\r\n c",
		"A : b",
		": b",
		"A",
		"A: \x01",
		"A: b\rc",
		"A: b\nContent-Length: 1",
	};
	struct http_request_head request;

	(void)state;
	for (unsigned i = 0; i < sizeof(headers) / sizeof(*headers); i++) {
		char text[256];

		snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n%s\r\n\r\n", headers[i]);
		if (read_request(text, &request))
			fail_msg("'%s' is understood", headers[i]);
	}
	assert_false(
		read_request("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", &request));
	assert_false(read_request("GET / HTTP/1.1\rX: 0\r\nHost: x\r\n\r\n", &request));
	assert_false(read_request("GET /\ra HTTP/1.1\r\n\r\n", &request));
	assert_false(read_request("GET / HTTP/1.10\r\n\r\n", &request));
	assert_true(read_request("\r\nGET / HTTP/1.1\nA: b\n\n", &request));
}

static void test_a_response_says_how_it_ends(void **state)
{
	static const struct {
		const char *text;
		bool to_head;
		enum http_framing framing;
	} cases[] = {
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false, HTTP_COUNTED},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true, HTTP_NOTHING},
		{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false, HTTP_NOTHING},
		{"HTTP/1.1 304 Not\r\nContent-Length: 5\r\n\r\n", false, HTTP_NOTHING},
		{"HTTP/1.1 204 No\r\n\r\n", false, HTTP_NOTHING},
		{"HTTP/1.1 100 Go on\r\n\r\n", false, HTTP_NOTHING},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false, HTTP_CHUNKED},
		{"HTTP/1.0 200 OK\r\n\r\n", false, HTTP_UNTIL_CLOSE},
		{"HTTP/1.1 500\r\n\r\n", false, HTTP_UNTIL_CLOSE},
	};
	struct http_response_head response;

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_true(http_read_response((const uint8_t *)cases[i].text,
					       strlen(cases[i].text), cases[i].to_head, &response));
		assert_int_equal(response.body.framing, cases[i].framing);
		assert_int_equal(response.is_interim, response.status == 100);
	}
	assert_true(http_read_response((const uint8_t *)"HTTP/1.1 200 \tOK\r\n\r\n", 20, false,
				       &response));
	assert_false(http_read_response((const uint8_t *)"HTTP/1.1 200 O\rK\r\n\r\n", 20, false,
					&response));
	assert_false(http_read_response((const uint8_t *)"HTTP/1.1 20 OK\r\n\r\n", 18, false,
					&response));
	assert_false(http_read_response((const uint8_t *)"HTTP/1.1 2000 OK\r\n\r\n", 20, false,
					&response));
}

/* Chunks in pieces of every size end at the same byte. */
static void test_a_body_ends_where_it_ends(void **state)
{
	static const char chunks[] =
		"5;x=y\r\nhello\r\n0A\r\n0123456789\r\n000\r\nT: a\r\nU: \r\n\r\n"
		"GET";
	static const char *const bad[] = {
		"\r\n",
		"g",
		"5\r\nhellox",
		"1x\r\n",
		"fffffffffffffffff",
		/* lines that not everybody sees end there */
		"2;a\nxx",
		"2\nxx",
		"2\r;\n",
		"2;a\rb\r\n",
		"2\r\nxx\n",
		"2\r\nxx\r\r",
		"0\r\n\n",
		"0\r\nA: b\nC: d\r\n",
		"0\r\nA: b\r\n\r\r\n",
		"2;\x01",
	};
	size_t whole = sizeof(chunks) - 1 - 3;

	(void)state;
	for (size_t piece = 1; piece < sizeof(chunks); piece++) {
		struct http_body body = {.framing = HTTP_CHUNKED};
		size_t at = 0, taken = 0;
		bool is_done = false;

		while (!is_done && at < sizeof(chunks) - 1) {
			size_t size = sizeof(chunks) - 1 - at;

			assert_true(http_body_take(&body, (const uint8_t *)chunks + at,
						   size < piece ? size : piece, &taken, &is_done));
			at += taken;
		}
		assert_true(is_done);
		assert_int_equal(at, whole);
	}
	for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct http_body body = {.framing = HTTP_CHUNKED};
		size_t taken;
		bool is_done;

		if (http_body_take(&body, (const uint8_t *)bad[i], strlen(bad[i]), &taken,
				   &is_done))
			fail_msg("'%s' is sound", bad[i]);
	}
}

static bool holds(const char *glob, const char *text)
{
	return http_glob_holds(glob, (struct http_text){text, strlen(text)}, false);
}

static void test_globs(void **state)
{
	(void)state;
	assert_true(holds("*", "") && holds("*", "/a/b") && holds("/a", "/a"));
	assert_true(holds("/a*", "/a") && holds("/a*", "/a/b/c") && holds("*/c", "/a/b/c"));
	assert_true(holds("/*/c*", "/a/b/c/d") && holds("/a?c", "/abc") && holds("**", "x"));
	assert_false(holds("/a", "/ab") || holds("/a?", "/a") || holds("*c", "/a/b"));
	assert_false(holds("", "a") || holds("/A", "/a") || holds("?", ""));
}

/* Parameters, and requests. */

static void set(struct params *params, const char *name, const char *text)
{
	assert_int_equal(
		params_add(params, (unsigned)params_find(http_params, name), text, 1, 1, NULL), 0);
}

static bool meets(const struct params *params, const char *text)
{
	struct http_policy policy;
	struct http_request_head request;

	assert_int_equal(http_read_policy(params, &policy, NULL), 0);
	assert_true(read_request(text, &request));
	return http_policy_holds(&policy, &request);
}

static void test_which_requests_are_meant(void **state)
{
	struct params params;

	(void)state;
	assert_int_equal(params_init(&params, http_params, NULL), 0);
	set(&params, "answer", "503");
	assert_true(meets(&params, "GET / HTTP/1.1\r\n\r\n"));
	set(&params, "path", "/api/*");
	assert_false(meets(&params, "GET http://host?x=/api/y HTTP/1.1\r\n\r\n"));
	set(&params, "path", "/");
	assert_true(meets(&params, "GET /api/x?y=/z HTTP/1.1\r\n\r\n"));
	assert_true(meets(&params, "GET http://host/api/x HTTP/1.1\r\n\r\n"));
	assert_true(meets(&params, "GET HTTP://host HTTP/1.1\r\n\r\n"));
	assert_true(meets(&params, "GET /?/api HTTP/1.1\r\n\r\n"));
	assert_true(meets(&params, "GET http://host?x=/y HTTP/1.1\r\n\r\n"));
	assert_false(meets(&params, "GET /apis HTTP/1.1\r\n\r\n"));
	set(&params, "method", "POST");
	assert_false(meets(&params, "GET / HTTP/1.1\r\n\r\n"));
	assert_false(meets(&params, "POSTS / HTTP/1.1\r\n\r\n"));
	assert_true(meets(&params, "POST / HTTP/1.1\r\n\r\n"));
	set(&params, "header", "X-User:  test-*");
	set(&params, "header", "host: *");
	assert_false(meets(&params, "POST / HTTP/1.1\r\nHost: a\r\n\r\n"));
	assert_false(meets(&params, "POST / HTTP/1.1\r\nHost: a\r\nX-User: b\r\n\r\n"));
	assert_true(meets(&params,
			  "POST / HTTP/1.1\r\nHost:\r\nX-User: b\r\nx-user: \ttest-1 \r\n\r\n"));
	params_free(&params);
}

static bool meets_path(const char *path, const char *text)
{
	struct params params;
	bool result;

	assert_int_equal(params_init(&params, http_params, NULL), 0);
	set(&params, "answer", "503");
	set(&params, "path", path);
	result = meets(&params, text);
	params_free(&params);
	return result;
}

/* A ? is any character of the path, or where the query begins; a glob goes over no such border. */
static void test_a_path_may_have_a_query(void **state)
{
	(void)state;
	assert_true(meets_path("/a?b=c", "GET /a?b=c HTTP/1.1\r\n\r\n"));
	assert_true(meets_path("/a?b=c", "GET http://host/a?b=c HTTP/1.1\r\n\r\n"));
	assert_true(meets_path("/a?b=c", "GET /a.b=c?d HTTP/1.1\r\n\r\n"));
	assert_false(meets_path("/a?b=c", "GET /a?b=cd HTTP/1.1\r\n\r\n"));
	assert_false(meets_path("/a?b=c", "GET /a HTTP/1.1\r\n\r\n"));
	assert_true(meets_path("/v?/a?*id=7*", "GET /v1/a?x&id=7&y?z HTTP/1.1\r\n\r\n"));
	assert_false(meets_path("/v?/a?*id=7*", "GET /v1/a?id=8 HTTP/1.1\r\n\r\n"));
	assert_true(meets_path("/a?", "GET /a? HTTP/1.1\r\n\r\n"));
	assert_true(meets_path("/a?*", "GET /a?b HTTP/1.1\r\n\r\n"));
	assert_false(meets_path("/v?/*.php", "GET /v1/a?f=b.php HTTP/1.1\r\n\r\n"));
	assert_false(meets_path("*.php", "GET /a?f=b.php HTTP/1.1\r\n\r\n"));
}

static void test_what_makes_no_sense_is_refused(void **state)
{
	static const struct {
		const char *settings[4], *text, *remedy;
	} cases[] = {
		{{"path", "/"},
		 "what shall become of the requests?",
		 "give answer, delay, abort or what is to be changed (set-status, set-path, ...)"},
		{{"answer", "302"}, "answer: 302 is no error", "give 400 to 599, or 200"},
		{{"answer", "503", "abort", "true"},
		 "abort: a request that is aborted gets no answer",
		 "give `answer` or `abort`"},
		{{"delay", "1s", "body", "x"},
		 "body: it belongs to `answer`, which is not given",
		 "add answer: 503; of what the server answers: set-body"},
		{{"delay", "1s", "path", "api"},
		 "path: 'api' begins with neither / nor *",
		 "path: \"/api\", or \"*/api\" at any place"},
		{{"delay", "1s", "path", "/a b"},
		 "path: '/a b': a blank or # is in no request",
		 "write a blank as %20, and leave out # and what is behind"},
		{{"delay", "1s", "method", "get"},
		 "method: 'get' is none",
		 "they are written in capitals: GET, POST"},
		{{"delay", "1s", "header", "X-User"},
		 "header: 'X-User' has no name and colon",
		 "header: \"X-User: test-*\"; with any value: \"X-User: *\""},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct error err = ERROR_INIT;
		struct params params;

		assert_int_equal(params_init(&params, http_params, NULL), 0);
		for (unsigned k = 0; k < 4 && cases[i].settings[k]; k += 2)
			set(&params, cases[i].settings[k], cases[i].settings[k + 1]);
		assert_true(http_check(&params, &err) < 0);
		assert_string_equal(err.text, cases[i].text);
		assert_string_equal(err.remedy, cases[i].remedy);
		params_free(&params);
	}
}

static void test_an_answer_is_one_that_we_understand(void **state)
{
	uint8_t bytes[HTTP_ANSWER_MAX];
	char body[PARAM_TEXT_MAX + 1] = "";

	(void)state;
	memset(body, 'x', PARAM_TEXT_MAX);
	for (unsigned status = 200; status < 600; status++) {
		struct http_response_head response;
		size_t size = http_write_answer(status, body, false, status % 2, bytes), head;

		assert_in_range(size, PARAM_TEXT_MAX, HTTP_ANSWER_MAX - 2);
		assert_int_equal(http_find_response(bytes, size, &head), HTTP_WHOLE);
		assert_true(http_read_response(bytes, head, false, &response));
		assert_int_equal(response.status, status);
		if (status == 204 || status == 304)
			continue;
		assert_int_equal(response.body.left, PARAM_TEXT_MAX);
		assert_int_equal(size - head, PARAM_TEXT_MAX);
	}
}

static void test_draws_are_a_share_and_repeat(void **state)
{
	struct http_policy policy = {.share_ppb = SHARE_ONE / 4};
	uint64_t first = 7, second = 7;
	unsigned drawn = 0;

	(void)state;
	for (unsigned i = 0; i < 10000; i++) {
		bool is_drawn = http_policy_draws(&policy, &first);

		assert_int_equal(http_policy_draws(&policy, &second), is_drawn);
		drawn += is_drawn;
	}
	assert_in_range(drawn, 2300, 2700);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_head_is_found_when_it_is_whole),
		cmocka_unit_test(test_what_is_no_http_is_told_early),
		cmocka_unit_test(test_a_request_says_what_it_is),
		cmocka_unit_test(test_what_can_be_read_twofold_is_not_understood),
		cmocka_unit_test(test_a_response_says_how_it_ends),
		cmocka_unit_test(test_a_body_ends_where_it_ends),
		cmocka_unit_test(test_globs),
		cmocka_unit_test(test_which_requests_are_meant),
		cmocka_unit_test(test_a_path_may_have_a_query),
		cmocka_unit_test(test_what_makes_no_sense_is_refused),
		cmocka_unit_test(test_an_answer_is_one_that_we_understand),
		cmocka_unit_test(test_draws_are_a_share_and_repeat),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
