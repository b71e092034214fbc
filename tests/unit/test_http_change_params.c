/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the http fault may be asked to change, and the words for what it may not.
 */
#include "faults/http.h"
#include "faults/http_change.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct params params;

static void test_what_cannot_be_set_is_refused(void **state)
{
#define HEADER_REMEDY "set-response-header: \"X-User: test-1\"; to remove it: \"X-User:\""
#define TARGET_REMEDY "a blank is written as %20, # as %23, other bytes the same way"
#define QUERY_REMEDY                                                                               \
	"a blank is written as %20, # as %23, & as %26, other bytes the same way; several are a "  \
	"list"
	static const struct {
		const char *settings[6], *text, *remedy;
	} cases[] = {
		{{"answer", "503", "set-body", ""},
		 "set-body: `answer` does not ask the server",
		 "of what the server answers: set-status and set-body"},
		{{"answer", "503", "set-path", "/a"},
		 "set-path: `answer` does not ask the server",
		 "of what the server answers: set-status and set-body"},
		{{"abort", "true", "set-status", "500"},
		 "set-status: `abort` ends the connection",
		 "leave one of them out, or make two steps, each with requests of its own"},
		{{"set-status", "204", "set-body", "x"},
		 "set-body: a response with status 204 has none",
		 "leave set-body out, or set another status"},
		{{"set-status", "304", "set-body", ""},
		 "set-body: a response with status 304 has none",
		 "leave set-body out, or set another status"},
		{{"set-path", "a"}, "set-path: 'a' does not begin with /", ""},
		{{"set-path", "/a b"},
		 "set-path: '/a b': not all of this can be in a request",
		 TARGET_REMEDY},
		{{"set-path", "/a#b"},
		 "set-path: '/a#b': not all of this can be in a request",
		 TARGET_REMEDY},
		{{"set-path", "/\xc3\xa9"},
		 "set-path: '/\xc3\xa9': not all of this can be in a request",
		 TARGET_REMEDY},
		{{"set-query", "page"},
		 "set-query: 'page' has no name and =",
		 "set-query: \"page=2\"; to remove it: \"page=\""},
		{{"set-query", "=2"},
		 "set-query: '=2' has no name and =",
		 "set-query: \"page=2\"; to remove it: \"page=\""},
		{{"set-query", "a=1&b=2"},
		 "set-query: 'a=1&b=2': not all of this can be in one",
		 QUERY_REMEDY},
		{{"set-query", "a=1 HTTP/1.1"},
		 "set-query: 'a=1 HTTP/1.1': not all of this can be in one",
		 QUERY_REMEDY},
		{{"set-method", "get"},
		 "set-method: 'get' is none",
		 "they are written in capitals: GET, POST"},
		{{"set-method", "AMETHODOFTHIRTYTHREECHARACTERSXYZ"},
		 "set-method: 'AMETHODOFTHIRTYTHREECHARACTERSXYZ' is none",
		 "they are written in capitals: GET, POST"},
		{{"set-method", "HEAD"},
		 "set-method: what is answered to HEAD has another end",
		 "any other method can be set"},
		{{"set-method", "CONNECT"},
		 "set-method: what is answered to CONNECT has another end",
		 "any other method can be set"},
		{{"set-method", "GET", "method", "HEAD"},
		 "set-method: HEAD requests keep their method",
		 "choose others by `method`"},
		{{"set-response-header", "X-User"},
		 "set-response-header: 'X-User' has no name and colon",
		 HEADER_REMEDY},
		{{"set-response-header", "X User: a"},
		 "set-response-header: 'X User: a' has no name and colon",
		 HEADER_REMEDY},
		{{"set-response-header", ": a"},
		 "set-response-header: ': a' has no name and colon",
		 HEADER_REMEDY},
		{{"set-response-header", "\xc3\xa9: a"},
		 "set-response-header: '\xc3\xa9: a' has no name and colon",
		 HEADER_REMEDY},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct error err = ERROR_INIT;

		assert_int_equal(params_init(&params, http_params, NULL), 0);
		for (unsigned k = 0; k < 6 && cases[i].settings[k]; k += 2)
			assert_int_equal(
				params_add(&params,
					   (unsigned)params_find(http_params, cases[i].settings[k]),
					   cases[i].settings[k + 1], 1, 1, NULL),
				0);
		assert_true(http_check(&params, &err) < 0);
		assert_string_equal(err.text, cases[i].text);
		assert_string_equal(err.remedy, cases[i].remedy);
		params_free(&params);
	}
}

static void test_headers_of_the_connection_are_refused(void **state)
{
	static const char *const names[] = {"content-length",
					    "Transfer-Encoding",
					    "CONNECTION",
					    "Keep-Alive",
					    "proxy-connection",
					    "Upgrade",
					    "TE",
					    "Trailer",
					    "expect"};
	static const char *const keys[] = {"set-request-header", "set-response-header"};

	(void)state;
	for (unsigned i = 0; i < 2 * sizeof(names) / sizeof(*names); i++) {
		struct error err = ERROR_INIT;
		char text[40];

		for (unsigned k = 0; k < 2; k++) { /* neither set nor removed */
			snprintf(text, sizeof(text), "%s:%s", names[i / 2], k ? " 1" : "");
			assert_int_equal(params_init(&params, http_params, NULL), 0);
			assert_int_equal(params_add(&params,
						    (unsigned)params_find(http_params, keys[i % 2]),
						    text, 1, 1, NULL),
					 0);
			assert_true(http_check(&params, &err) < 0);
			assert_non_null(strstr(err.text, "says where a message ends"));
			assert_non_null(strstr(err.remedy, "any can be set but Content-Length"));
			params_free(&params);
		}
	}
}

/* Whoever could end a line could add others, and a request behind it. */
static void test_no_value_ends_its_line(void **state)
{
	static const unsigned keys[] = {HTTP_PARAM_SET_PATH, HTTP_PARAM_SET_QUERY,
					HTTP_PARAM_SET_METHOD, HTTP_PARAM_SET_REQUEST_HEADER,
					HTTP_PARAM_SET_RESPONSE_HEADER};
	static const char *const starts[] = {"/a", "a=b", "A", "A: b", "A: b"};

	(void)state;
	assert_int_equal(params_init(&params, http_params, NULL), 0);
	for (unsigned i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		for (int c = 1; c <= 0x7f; c = c < ' ' ? c + 1 : c + 0x7f - ' ') {
			char text[40];

			if (c == ' ')
				continue;
			snprintf(text, sizeof(text), "%s%cB: c", starts[i], c);
			assert_true(params_add(&params, keys[i], text, 1, 1, NULL) < 0);
		}
	params_free(&params);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_cannot_be_set_is_refused),
		cmocka_unit_test(test_headers_of_the_connection_are_refused),
		cmocka_unit_test(test_no_value_ends_its_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
