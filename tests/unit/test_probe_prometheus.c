/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Probe `prometheus` against a server that answers as Prometheus does, and as it should not.
 */
#include "tests/support/probe_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

static struct web_server server;

static int start_server(void **state)
{
	(void)state;
	server = web_server_start();
	return 0;
}

static int stop_server(void **state)
{
	(void)state;
	web_server_stop(&server);
	return 0;
}

static const char *address(const char *end)
{
	static char url[64];

	snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", server.port, end);
	return url;
}

static void test_every_series_must_hold(void **state)
{
	(void)state;
	assert_true(expect_sample("prometheus", address(""), KEYS("query=up + 0", "expect.value=1"),
				  PROBE_PASS, "value 1") == 1);
	expect_sample("prometheus", address("/"), KEYS("query=up + 0", "expect.value=> 1"),
		      PROBE_FAIL, "value 1, expected > 1");
	expect_sample("prometheus", address("?x=y"), KEYS("query=two", "expect.value=< 5"),
		      PROBE_FAIL, "value 7, expected < 5");
	expect_sample("prometheus", address(""), KEYS("query=two", "expect.value=< 8"), PROBE_PASS,
		      "value 7");
	expect_sample("prometheus", address(""), KEYS("query=scalar(3)", "expect.value=3"),
		      PROBE_PASS, "value 3");
	expect_sample("prometheus", address(""), KEYS("query=inf", "expect.value=> 8"), PROBE_PASS,
		      "value inf");
	/* no number is no value to compare with */
	expect_sample("prometheus", address(""), KEYS("query=nan", "expect.value=!= 8"), PROBE_FAIL,
		      "value nan");
}

static void test_what_cannot_be_known(void **state)
{
	static const struct {
		const char *query, *reason;
	} cases[] = {
		{"query=none", "the query has no result"},
		{"query=odd", "a series without a value"},
		{"query=range", "neither a number nor an instant vector"},
		{"query=bad", "the server refuses the query: parse error: ?[2J here"},
		{"query=page", "without JSON"},
		{"query=deep", "without JSON"},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		expect_sample("prometheus", address(""), KEYS(cases[i].query, "expect.value=1"),
			      PROBE_UNKNOWN, cases[i].reason);
}

static void test_a_server_that_is_not_there_fails(void **state)
{
	char url[64];

	(void)state;
	snprintf(url, sizeof(url), "http://127.0.0.1:%u", free_port());
	expect_sample("prometheus", url, KEYS("query=two", "expect.value=1"), PROBE_FAIL,
		      "refused");
}

static void test_mistakes_are_found_before(void **state)
{
	(void)state;
	expect_checked("prometheus", "127.0.0.1:9090", KEYS("query=x", "expect.value=1"), "http");
	expect_checked("prometheus", "http://127.0.0.1", KEYS("query=x"), "nothing is expected");
	expect_checked("prometheus", "http://127.0.0.1",
		       KEYS("query=x", "expect.value=1", "header=secret-without-colon"),
		       "a header must be written as \"Name: value\"");
	expect_checked("prometheus", "http://127.0.0.1", KEYS("query=x", "expect.value=1"), NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_series_must_hold),
		cmocka_unit_test(test_what_cannot_be_known),
		cmocka_unit_test(test_a_server_that_is_not_there_fails),
		cmocka_unit_test(test_mistakes_are_found_before),
	};

	return cmocka_run_group_tests(tests, start_server, stop_server);
}
