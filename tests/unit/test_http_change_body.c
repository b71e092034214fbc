/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Bodies of requests that the http fault replaces, and JSON that it merges, with all that their
 * heads say of them; and what may be asked for together.
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
static void add(const char *const *settings)
{
	assert_int_equal(params_init(&params, http_params, NULL), 0);
	for (; *settings; settings += 2) {
		struct error err = ERROR_INIT;

		if (params_add(&params, (unsigned)params_find(http_params, settings[0]),
			       settings[1], 1, 1, &err) < 0)
			fail_msg("%s", err.text);
	}
}

static void prepare(const char *const *settings)
{
	struct error err = ERROR_INIT;

	add(settings);
	if (http_check(&params, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(http_read_policy(&params, &policy, NULL), 0);
}
#define PREPARE(...) prepare((const char *[]){__VA_ARGS__, NULL})

/* `wanted` NULL: it is not changed. */
static void assert_request(const char *text, const char *merged, const char *wanted, bool drops)
{
	const struct http_text body = {merged, merged ? strlen(merged) : 0};
	struct http_request_head request;
	bool is_dropped = !drops, is_changed;
	uint8_t out[2000];
	size_t size = 0;

	assert_true(http_read_request((const uint8_t *)text, strlen(text), &request));
	is_changed =
		http_change_request(&policy, &request, (const uint8_t *)text, strlen(text),
				    merged ? &body : NULL, out, sizeof(out), &size, &is_dropped);
	if (is_changed != (wanted != NULL) ||
	    (wanted && (size != strlen(wanted) || memcmp(out, wanted, size) != 0)))
		fail_msg("'%s' became '%.*s'", text, (int)size, (char *)out);
	if (wanted)
		assert_int_equal(is_dropped, drops);
}

static void assert_response(const char *text, bool to_head, const char *merged, const char *wanted)
{
	const struct http_text body = {merged, merged ? strlen(merged) : 0};
	struct http_response_head response;
	bool drops, is_changed;
	uint8_t out[2000];
	size_t size = 0;

	assert_true(http_read_response((const uint8_t *)text, strlen(text), to_head, &response));
	is_changed = http_change_response(&policy, &response, (const uint8_t *)text, strlen(text),
					  to_head, merged ? &body : NULL, out, sizeof(out), &size,
					  &drops);
	if (is_changed != (wanted != NULL) ||
	    (wanted && (size != strlen(wanted) || memcmp(out, wanted, size) != 0)))
		fail_msg("'%s' became '%.*s'", text, (int)size, (char *)out);
}

static void test_a_request_gets_another_body(void **state)
{
	(void)state;
	PREPARE("set-request-body", "ours");
	assert_request(
		"POST /a HTTP/1.1\r\nHost: h\r\nContent-Type: a/b\r\nContent-Encoding: gzip\r\n"
		"content-length: 9\r\nContent-MD5: m\r\nDigest: d\r\nContent-Digest: c\r\n"
		"Repr-Digest: r\r\nContent-Range: bytes 0-8/9\r\nexpect: 100-Continue\r\n\r\n",
		NULL,
		"POST /a HTTP/1.1\r\nHost: h\r\nContent-Type: a/b\r\nContent-Length: 4\r\n\r\n"
		"ours",
		true);
	assert_request("PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n", NULL,
		       "PUT /a HTTP/1.1\r\nContent-Length: 4\r\n\r\nours", true);
	assert_request("PUT /a HTTP/1.0\n\n", NULL, "PUT /a HTTP/1.0\nContent-Length: 4\n\nours",
		       false);
	assert_request("POST /a HTTP/1.1\r\nContent-Length: 0\r\n\r\n", NULL,
		       "POST /a HTTP/1.1\r\nContent-Length: 4\r\n\r\nours", false);
	/* of these only those that have one */
	assert_request("GET /a HTTP/1.1\r\n\r\n", NULL, NULL, false);
	assert_request("DELETE /a HTTP/1.1\r\n\r\n", NULL, NULL, false);
	assert_request("HEAD /a HTTP/1.1\r\n\r\n", NULL, NULL, false);
	assert_request("GET /a HTTP/1.1\r\nContent-Length: 1\r\n\r\n", NULL,
		       "GET /a HTTP/1.1\r\nContent-Length: 4\r\n\r\nours", true);
	/* nobody can promise that */
	assert_request("PUT /a HTTP/1.1\r\nExpect: 200-ok\r\nContent-Length: 1\r\n\r\n", NULL, NULL,
		       false);
	params_free(&params);
	PREPARE("set-request-body", "", "set-method", "POST", "set-request-header",
		"Content-Encoding: br");
	assert_request("GET /a HTTP/1.1\r\nContent-Encoding: gzip\r\n\r\n", NULL,
		       "POST /a HTTP/1.1\r\nContent-Encoding: br\r\nContent-Length: 0\r\n\r\n",
		       false);
	params_free(&params);
	PREPARE("set-request-body", "x", "set-method", "GET");
	assert_request("POST /a HTTP/1.1\r\n\r\n", NULL, NULL, false);
	params_free(&params);
}

static void test_what_is_merged_gets_its_length(void **state)
{
	(void)state;
	PREPARE("merge-request-body", "{\"a\":1}", "merge-body", "{\"a\":1}", "set-status", "404");
	assert_request("PUT /a HTTP/1.1\r\nExpect: 100-continue\r\nDigest: d\r\n"
		       "Transfer-Encoding: chunked\r\n\r\n",
		       "{}", "PUT /a HTTP/1.1\r\nContent-Length: 2\r\n\r\n", false);
	assert_request("PUT /a HTTP/1.1\r\nContent-Length: 1\r\n\r\n", NULL, NULL, false);
	assert_response(
		"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nETag: e\r\n\r\n", false, "{}",
		"HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\n"
		"Cache-Control: no-store\r\nContent-Length: 2\r\nConnection: close\r\n\r\n");
	assert_response("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nETag: e\r\n"
			"Content-Length: 9\r\n\r\n",
			true, NULL,
			"HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\n"
			"Cache-Control: no-store\r\n\r\n");
	assert_response("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", true, NULL, NULL);
	assert_response("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n"
			"\r\n",
			false, NULL, NULL);
	params_free(&params);
}

static void test_what_can_be_merged_says_so(void **state)
{
	static const struct {
		const char *headers;
		bool can;
	} cases[] = {
		{"Content-Type: application/json\r\n", true},
		{"content-type: APPLICATION/JSON ; charset=utf-8\r\n", true},
		{"Content-Type: application/problem+json\r\n", true},
		{"Content-Type: a/b+JSON;q\r\nContent-Length: 1\r\n", true},
		{"Content-Type: +json\r\n", false},
		{"Content-Type: application/jsonp\r\n", false},
		{"Content-Type: text/json\r\n", false},
		{"Content-Type:\r\n", false},
		{"Content-Length: 1\r\n", false},
		{"Content-Type: application/json\r\nContent-Type: application/json\r\n", false},
		{"Content-Type: application/json\r\nContent-Encoding: gzip\r\n", false},
		{"Content-Type: application/json\r\nContent-Range: bytes 0-1/2\r\n", false},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (http_change_can_merge((struct http_text){
			    cases[i].headers, strlen(cases[i].headers)}) != cases[i].can)
			fail_msg("%s", cases[i].headers);
}

static void test_responses_are_chosen_by_status_and_header(void **state)
{
	static const struct {
		const char *head;
		bool is_taken;
	} cases[] = {
		{"HTTP/1.1 404 No\r\nServer: nginx/1\r\nX-A: b\r\n\r\n", true},
		{"HTTP/1.1 500 No\r\nx-a: c\r\nX-A: b\r\nserver: nginx\r\n\r\n", true},
		{"HTTP/1.1 403 No\r\nServer: nginx/1\r\nX-A: b\r\n\r\n", false},
		{"HTTP/1.1 600 No\r\nServer: nginx/1\r\nX-A: b\r\n\r\n", false},
		{"HTTP/1.1 599 No\r\nServer: nginx/1\r\nX-A: bb\r\n\r\n", false},
		{"HTTP/1.1 404 No\r\nX-A: b\r\n\r\n", false},
	};

	(void)state;
	PREPARE("status", "404", "status", "500-599", "response-header", "Server: nginx*",
		"response-header", "X-A: b", "set-body", "");
	assert_true(policy.selects_responses);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct http_response_head response;

		assert_true(http_read_response((const uint8_t *)cases[i].head,
					       strlen(cases[i].head), false, &response));
		assert_int_equal(http_policy_takes(&policy, &response), cases[i].is_taken);
	}
	params_free(&params);
}

static void test_what_does_not_go_together_is_refused(void **state)
{
#define TWO_STEPS    "leave one of them out, or make two steps"
#define OF_THEIR_OWN TWO_STEPS ", each with requests of its own"
	static const struct {
		const char *settings[7], *text, *remedy;
	} cases[] = {
		{{"set-body", "", "merge-body", "{}"},
		 "merge-body: the whole body is replaced",
		 "leave one of them out"},
		{{"set-request-body", "", "merge-request-body", "{}"},
		 "merge-request-body: the whole body is replaced",
		 "leave one of them out"},
		{{"set-status", "204", "merge-body", "{}"},
		 "merge-body: a response with status 204 has none",
		 "leave merge-body out, or set another status"},
		{{"merge-body", "[1]"},
		 "merge-body: '[1]' is no JSON object that can be merged",
		 "merge-body: '{\"stock\": 0, \"price\": null}'; no name twice, at most 64 values "
		 "in "
		 "an object and 16 objects in one another"},
		{{"answer", "503", "merge-request-body", "{}"},
		 "merge-request-body: `answer` does not ask the server",
		 "of what the server answers: set-status and set-body"},
		{{"answer", "503", "delay-response", "1s"},
		 "delay-response: `answer` does not ask the server",
		 "of what the server answers: set-status and set-body"},
		{{"abort", "true", "abort-response", "true"},
		 "abort-response: `abort` ends the connection",
		 OF_THEIR_OWN},
		{{"set-status", "500", "abort-response", "true"},
		 "set-status: `abort-response` lets none through",
		 OF_THEIR_OWN},
		{{"answer", "503", "status", "200"},
		 "status: it chooses responses, and `answer` is done before there is one",
		 TWO_STEPS},
		{{"status", "200", "set-status", "500", "set-path", "/a"},
		 "status: it chooses responses, and `set-path` is done before there is one",
		 TWO_STEPS},
		{{"response-header", "A: b", "set-request-body", "x"},
		 "response-header: it chooses responses, and `set-request-body` is done before "
		 "there is one",
		 TWO_STEPS},
		{{"delay", "1s", "status", "200", "set-body", "x"},
		 "status: it chooses responses, and `delay` is done before there is one",
		 TWO_STEPS},
		{{"abort", "true", "status", "200"},
		 "status: it chooses responses, and `abort` is done before there is one",
		 TWO_STEPS},
		{{"response-header", "A", "set-body", "x"},
		 "response-header: 'A' has no name and colon",
		 "response-header: \"X-User: test-*\"; with any value: \"X-User: *\""},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct error err = ERROR_INIT;

		add(cases[i].settings);
		assert_true(http_check(&params, &err) < 0);
		assert_string_equal(err.text, cases[i].text);
		assert_string_equal(err.remedy, cases[i].remedy);
		params_free(&params);
	}
}

static void test_a_selector_alone_does_nothing(void **state)
{
	struct error err = ERROR_INIT;

	(void)state;
	add((const char *[]){"status", "200", NULL});
	assert_true(http_check(&params, &err) < 0);
	assert_string_equal(err.text, "status: it chooses responses, and nothing becomes of them");
	params_free(&params);
}

static void assert_told(const char *explained, const char *described)
{
	char text[2000];

	http_explain(&params, text, sizeof(text));
	if (!strstr(text, explained))
		fail_msg("%s", text);
	http_describe(&policy, text, sizeof(text));
	assert_string_equal(text, described);
	params_free(&params);
}

static void test_what_becomes_of_them_is_told(void **state)
{
	(void)state;
	PREPARE("set-request-body", "x", "path", "/a");
	assert_told("A request for /a reaches the server changed (another body). No cache",
		    "change the request");
	PREPARE("merge-request-body", "{\"a\":1}", "merge-body", "{\"b\":null}");
	assert_told("A request reaches the server changed (its JSON merged with {\"a\":1}), which "
		    "does what it is asked, and its answer comes back changed (its JSON merged "
		    "with {\"b\":null}). No cache may keep what comes of it (no-store). JSON is "
		    "merged when all of it has come, up to 1024 KiB; ",
		    "change the request and the response");
	PREPARE("status", "404", "status", "500-599", "response-header", "A: b", "set-status",
		"200");
	assert_told("A request goes on to the server, which does what it is asked, and its answer, "
		    "if it is one with status 404 or 500-599 with the header A: b, comes back "
		    "changed (status 200 OK). No cache",
		    "change the response");
	PREPARE("delay-response", "2s", "set-status", "500");
	assert_told("and its answer waits 2s and then comes back changed (status 500",
		    "change the response, delay the response 2s");
	PREPARE("delay-response", "2s", "probability", "10%");
	assert_told("does what it is asked, and its answer waits 2s. 10% of these",
		    "delay the response 2s, 10% of them");
	PREPARE("delay", "1s", "abort-response", "true");
	assert_told("A request waits 1s and then goes on to the server, which does what it is "
		    "asked, and its answer is lost: the connection is reset (ECONNRESET), and "
		    "clients that repeat it have it done twice. ",
		    "delay 1s, reset instead of the response");
}

static void test_a_ramp_of_late_responses(void **state)
{
	uint64_t random = 7;
	unsigned drawn = 0;

	(void)state;
	PREPARE("delay-response", "2s");
	http_policy_scale(&policy, SHARE_ONE / 4);
	assert_int_equal(http_policy_response_delay_ns(&policy), policy.response_delay_ns / 4);
	assert_true(http_policy_draws(&policy, &random));
	params_free(&params);
	PREPARE("delay-response", "2s", "abort-response", "true");
	http_policy_scale(&policy, SHARE_ONE / 4);
	assert_int_equal(http_policy_response_delay_ns(&policy), policy.response_delay_ns);
	for (unsigned i = 0; i < 10000; i++)
		drawn += http_policy_draws(&policy, &random);
	assert_in_range(drawn, 2300, 2700);
	params_free(&params);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_request_gets_another_body),
		cmocka_unit_test(test_what_is_merged_gets_its_length),
		cmocka_unit_test(test_what_can_be_merged_says_so),
		cmocka_unit_test(test_responses_are_chosen_by_status_and_header),
		cmocka_unit_test(test_what_does_not_go_together_is_refused),
		cmocka_unit_test(test_a_selector_alone_does_nothing),
		cmocka_unit_test(test_what_becomes_of_them_is_told),
		cmocka_unit_test(test_a_ramp_of_late_responses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
