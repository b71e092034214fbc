/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Responses of a real nginx, and of a server that says what it is told to, that the http fault
 * chooses by what they are, and those that come late or never, though the server has done what it
 * was asked.
 */
#include "tests/netns/http_pair.h"

#include <errno.h>

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"

static void test_responses_are_chosen(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	START(lab, &fault, "to", "10.88.0.2", "status", "404", "status", "500-599", "set-status",
	      "200", "set-body", "fine");
	assert_output(lab, "fine[200]up[200]fine[200]",
		      "-w [%{http_code}] http://10.88.0.2/none http://10.88.0.2/up "
		      "http://10.88.0.2/none");
	assert_string_equal(netlab_evidence(&fault).detail,
			    "2 of 3 requests met, 2 responses changed");
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	START(lab, &fault, "to", "10.88.0.2", "response-header", "content-type: text/plain*",
	      "response-header", "Content-Length: 2", "set-body", "down");
	assert_output(lab, "down", "http://10.88.0.2/up");
	assert_output(lab, "GET /echo .", "http://10.88.0.2/echo");
	assert_bytes(lab, "index.html", "http://10.88.0.2/index.html");
	assert_int_equal(counters_of(&fault).changed_responses, 1);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

static void test_a_response_is_lost_when_all_is_done(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	int listener = listen_far(lab, "10.88.0.2");
	struct pair pair;
	char byte;

	START(lab, &fault, "to", "10.88.0.2", "method", "PUT", "abort-response", "true");
	assert_curl(lab, "000", "-X PUT -d done http://10.88.0.2/put/lost");
	netlab_run("grep -x done %s/put/lost", bench_home);
	assert_curl(lab, "200", "http://10.88.0.2/up");
	assert_string_equal(netlab_evidence(&fault).detail, "1 of 2 requests met, 1 aborted");
	assert_int_equal(netlab_evidence(&fault).dropped, 1);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	/* those before it have arrived; by its status */
	START(lab, &fault, "to", "10.88.0.2:8090", "status", "201", "abort-response", "true");
	pair = meet(lab, listener, "10.88.0.2");
	say(pair.client, GET("/1") GET("/2"));
	hears(pair.server, GET("/1") GET("/2"));
	say(pair.server, OK "HTTP/1.1 201 Made\r\nContent-Length: 1\r\n\r\nx");
	hears(pair.client, OK);
	assert_int_equal(recv(pair.client, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	part(&pair);
	assert_int_equal(counters_of(&fault).hits, 1);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	close(listener);
}

static void test_a_response_comes_late(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	int listener = listen_far(lab, "10.88.0.2");
	int64_t before_ns;
	struct pair pair;

	START(lab, &fault, "to", "10.88.0.2:8090", "status", "200", "delay-response", "400ms");
	pair = meet(lab, listener, "10.88.0.2");
	say(pair.client, GET("/1") GET("/2"));
	hears(pair.server, GET("/1") GET("/2")); /* both at once */
	before_ns = clock_now_ns();
	say(pair.server, "HTTP/1.1 100 Continue\r\n\r\n" OK OK);
	hears(pair.client, "HTTP/1.1 100 Continue\r\n\r\n");
	assert_true(clock_now_ns() - before_ns < 300 * NSEC_PER_MSEC);
	hears(pair.client, OK);
	assert_in_range(clock_now_ns() - before_ns, 390 * NSEC_PER_MSEC, 750 * NSEC_PER_MSEC);
	hears(pair.client, OK); /* and this one behind it */
	assert_in_range(clock_now_ns() - before_ns, 790 * NSEC_PER_MSEC, 5 * NSEC_PER_SEC);
	say(pair.client, GET("/3"));
	hears(pair.server, GET("/3"));
	before_ns = clock_now_ns();
	say(pair.server, "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n");
	hears(pair.client, "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n");
	assert_true(clock_now_ns() - before_ns < 300 * NSEC_PER_MSEC);
	/* the server has gone meanwhile */
	say(pair.client, GET("/4"));
	hears(pair.server, GET("/4"));
	say(pair.server, OK);
	close(pair.server);
	hears(pair.client, OK);
	hears_the_end(pair.client);
	close(pair.client);
	assert_int_equal(counters_of(&fault).delayed, 3);
	assert_int_equal(counters_of(&fault).strange, 0);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	close(listener);
}

static void test_what_waits_comes_at_the_end(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	int listener = listen_far(lab, "10.88.0.2");
	struct pair pair;

	START(lab, &fault, "to", "10.88.0.2:8090", "delay-response", "30s", "abort-response",
	      "true");
	pair = meet(lab, listener, "10.88.0.2");
	say(pair.client, GET("/1"));
	hears(pair.server, GET("/1"));
	say(pair.server, OK);
	hears_nothing(pair.client);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	hears(pair.client, OK);
	hears_the_end(pair.client);
	part(&pair);
	/* changed as well, all of it late */
	START(lab, &fault, "to", "10.88.0.2", "path", "/up", "delay-response", "300ms", "set-body",
	      "down");
	{
		int64_t before_ns = clock_now_ns();

		assert_output(lab, "down", "http://10.88.0.2/up");
		assert_true(clock_now_ns() - before_ns > 290 * NSEC_PER_MSEC);
	}
	assert_bytes(lab, "mid", "http://10.88.0.2/mid");
	assert_string_equal(netlab_evidence(&fault).detail,
			    "1 of 2 requests met, 1 delayed, 1 response changed");
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	close(listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_responses_are_chosen),
		cmocka_unit_test(test_a_response_is_lost_when_all_is_done),
		cmocka_unit_test(test_a_response_comes_late),
		cmocka_unit_test(test_what_waits_comes_at_the_end),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
