/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Requests that the http fault changes before a server gets them, and responses that it changes: of
 * a real nginx, and of a server that says what nginx would not. What is not met is the same to the
 * byte.
 */
#include "tests/netns/http_pair.h"

#include "tests/support/netlab_flow.h"

#include <errno.h>

/* nginx. */

static void test_the_server_is_asked_for_something_else(void **state)
{
	static const char *const servers[] = {"10.88.0.2", "[fd88::2]"};
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct evidence seen;
	char arguments[200];

	START(lab, &fault, "to", "10.88.0.2", "to", "fd88::2", "path", "/a", "set-path", "/echo/b",
	      "set-query", "page=2", "set-query", "q=", "set-method", "DELETE",
	      "set-request-header", "X-User: test-1", "set-request-header", "Range:");
	for (unsigned i = 0; i < 2; i++) {
		snprintf(arguments, sizeof(arguments), "-r 0-1 -H X-User:me http://%s/a?q=1\\&r=2",
			 servers[i]);
		assert_output(lab, "DELETE /echo/b?r=2&page=2 test-1.", arguments);
	}
	assert_output(lab, "POST /echo me.", "-H X-User:me -d body http://10.88.0.2/echo");
	assert_curl(lab, "404", "-I http://10.88.0.2/a"); /* HEAD keeps its method */
	seen = netlab_evidence(&fault);
	assert_string_equal(seen.detail, "3 of 4 requests met, 2 requests changed, 1 not changed");
	assert_int_equal(seen.hits, 3);
	assert_int_equal(seen.passed, 3);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	assert_output(lab, "GET /echo me.", "-H X-User:me http://10.88.0.2/echo");
}

static void test_the_body_of_a_changed_request_is_the_same(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	START(lab, &fault, "to", "10.88.0.2", "method", "POST", "set-method", "PUT",
	      "set-request-header", "Expect-Nothing: here");
	assert_curl(lab, "201",
		    "-X POST --data-binary @/bin/bash -H Expect: http://10.88.0.2/put/changed");
	netlab_run("cmp /bin/bash %s/put/changed", bench_home);
	assert_curl(lab, "204",
		    "-X POST -T /bin/bash -H Expect:100-continue http://10.88.0.2/put/changed");
	netlab_run("cmp /bin/bash %s/put/changed", bench_home);
	assert_curl(lab, "204",
		    "-X POST -T /bin/bash -H Transfer-Encoding:chunked -H Expect: "
		    "http://10.88.0.2/put/changed");
	netlab_run("cmp /bin/bash %s/put/changed", bench_home);
	assert_int_equal(counters_of(&fault).changed_requests, 3);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

static void test_what_the_server_answers_is_changed(void **state)
{
	static const char *const servers[] = {"10.88.0.2", "[fd88::2]"};
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char arguments[200];

	START(lab, &fault, "to", "10.88.0.2", "to", "fd88::2", "path", "/up", "path", "/big",
	      "path", "/empty", "set-status", "502", "set-response-header", "Retry-After: 60",
	      "set-response-header", "server:", "set-response-header", "Date:", "set-body",
	      "{\"ok\": maybe}");
	for (unsigned i = 0; i < 2; i++) {
		/* of a known length; in chunks; much more than a lane holds */
		snprintf(arguments, sizeof(arguments), "-i http://%s/up", servers[i]);
		assert_output(lab,
			      "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain\r\n"
			      "Connection: keep-alive\r\nRetry-After: 60\r\n" NO_STORE
			      "Content-Length: 13\r\n\r\n{\"ok\": maybe}",
			      arguments);
		snprintf(arguments, sizeof(arguments),
			 "--compressed -w [%%{http_code},%%{num_connects}] http://%s/big "
			 "http://%s/big http://%s/up http://%s/echo http://%s/up",
			 servers[i], servers[i], servers[i], servers[i], servers[i]);
		assert_output(lab,
			      "{\"ok\": maybe}[502,1]{\"ok\": maybe}[502,0]{\"ok\": maybe}[502,0]"
			      "GET /echo .[200,0]{\"ok\": maybe}[502,0]",
			      arguments);
	}
	/* to HEAD without the body, and then the next one */
	assert_output(lab, "[502,13,0][502,2,13]",
		      "-w [%{http_code},%header{content-length},%{size_download}] -I "
		      "http://10.88.0.2/up -o /dev/null --next -s -o /dev/null "
		      "-w [%{http_code},2,%{size_download}] http://10.88.0.2/up");
	/* one that had none */
	assert_output(lab, "{\"ok\": maybe}", "http://10.88.0.2/empty");
	assert_string_equal(netlab_evidence(&fault).detail,
			    "13 of 15 requests met, 13 responses changed");
	assert_int_equal(counters_of(&fault).strange, 0);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

static void test_what_is_not_met_is_the_same_to_the_byte(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	START(lab, &fault, "to", "10.88.0.2", "to", "fd88::2", "path", "/up", "set-status", "500",
	      "set-body", "no", "set-request-header", "X-User: a", "set-path", "/mid");
	assert_bytes(lab, "big", "http://10.88.0.2/big");
	assert_bytes(lab, "big", "--compressed http://[fd88::2]/big");
	assert_bytes(lab, "big", "--http1.0 http://10.88.0.2/big");
	netlab_run("ip netns exec %s curl -s -o %s/got1 http://10.88.0.2/up -o %s/got "
		   "http://10.88.0.2/mid -o %s/got1 http://10.88.0.2/up",
		   lab->near, bench_home, bench_home, bench_home);
	netlab_run("cmp %s/got %s/mid", bench_home, bench_home);
	assert_int_equal(counters_of(&fault).changed_responses, 2);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

static void test_a_share_of_the_responses_late(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	int64_t before_ns = clock_now_ns();
	unsigned hits;

	START(lab, &fault, "to", "10.88.0.2", "set-status", "500", "delay", "300ms");
	assert_curl(lab, "500", "http://10.88.0.2/up");
	assert_true(clock_now_ns() - before_ns > 300 * NSEC_PER_MSEC);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	START(lab, &fault, "to", "10.88.0.2", "set-status", "500", "probability", "30%");
	netlab_run("ip netns exec %s curl -s -o /dev/null http://10.88.0.2/up?[1-200]", lab->near);
	hits = (unsigned)netlab_evidence(&fault).hits;
	netlab_assert_share(hits, 200, 0.3, 1);
	assert_int_equal(counters_of(&fault).changed_responses, hits);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

/* A server that says what it is told to. */

static void test_pipelined_requests_keep_their_order(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	int listener = listen_far(lab, "fd88::2");
	struct pair pair;

	START(lab, &fault, "to", "[fd88::2]:8090", "path", "/m*", "set-request-header", "A: b",
	      "set-status", "500", "set-body", "ours");
	pair = meet(lab, listener, "fd88::2");
	say(pair.client, GET("/m1") GET("/2") "HEAD /m3 HTTP/1.1\r\nHost: a\r\n\r\n");
	say(pair.client, "POST /m4 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nGET "
			 "PUT /5 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
			 "1\r\nx\r\n0\r\n\r\n");
	hears(pair.server, "GET /m1 HTTP/1.1\r\nHost: a\r\nA: b\r\n\r\n" GET(
				   "/2") "HEAD /m3 HTTP/1.1\r\nHost: a\r\n"
					 "A: b\r\n\r\nPOST /m4 HTTP/1.1\r\nHost: "
					 "a\r\nContent-Length: 4\r\nA: b\r\n\r\nGET "
					 "PUT /5 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
					 "chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n");
	/* an interim one is nobody's answer; the end of chunks and a beginning in one piece */
	say(pair.server, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n"
			 "Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nHTTP/");
	hears(pair.client,
	      "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
	      "HTTP/1.1 500 Internal Server Error\r\n" NO_STORE "Content-Length: 4\r\n\r\nours");
	say(pair.server,
	    "\r\n0\r\nX: y\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 "
	    "200 OK\r\nContent-Length: 200\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: "
	    "1\r\n\r\nnHTTP/1.1 201 Yes\r\nContent-Length: 0\r\n\r\n");
	hears(pair.client,
	      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	      "HTTP/1.1 500 Internal Server Error\r\n" NO_STORE
	      "Content-Length: 4\r\n\r\nHTTP/1.1 500 Internal Server Error\r\n" NO_STORE
	      "Content-Length: 4\r\n\r\noursHTTP/1.1 201 Yes\r\nContent-Length: 0\r\n\r\n");
	assert_int_equal(counters_of(&fault).strange, 0);
	shutdown(pair.client, SHUT_WR);
	hears_the_end(pair.server);
	shutdown(pair.server, SHUT_WR);
	hears_the_end(pair.client);
	part(&pair);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	close(listener);
}

static void test_a_body_that_ends_with_the_connection(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	int listener = listen_far(lab, "10.88.0.2");
	struct pair pair;

	START(lab, &fault, "to", "10.88.0.2:8090", "path", "/m", "set-body", "ours");
	pair = meet(lab, listener, "10.88.0.2");
	say(pair.client, "GET /m HTTP/1.0\r\n\r\n");
	hears(pair.server, "GET /m HTTP/1.0\r\n\r\n");
	say(pair.server, "HTTP/1.0 200 OK\r\nX: y\r\n\r\nabc");
	hears(pair.client, "HTTP/1.0 200 OK\r\nX: y\r\n" NO_STORE
			   "Content-Length: 4\r\nConnection: close\r\n\r\nours");
	say(pair.server, "defghi");
	close(pair.server);
	hears_the_end(pair.client);
	close(pair.client);
	/* one that is not met stays one */
	pair = meet(lab, listener, "10.88.0.2");
	say(pair.client, "GET /n HTTP/1.0\r\n\r\n");
	hears(pair.server, "GET /n HTTP/1.0\r\n\r\n");
	say(pair.server, "HTTP/1.0 200 OK\r\nX: y\r\n\r\nabc");
	close(pair.server);
	hears(pair.client, "HTTP/1.0 200 OK\r\nX: y\r\n\r\nabc");
	hears_the_end(pair.client);
	close(pair.client);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	close(listener);
}

/* What is dropped never comes behind what is ours, whatever becomes of the connection meanwhile. */
static void test_nothing_of_a_replaced_body_arrives(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	int listener = listen_far(lab, "10.88.0.2");
	struct pair pair;
	const char ours[] = "HTTP/1.1 200 OK\r\n" NO_STORE "Content-Length: 4\r\n\r\nours";

	START(lab, &fault, "to", "10.88.0.2:8090", "set-body", "ours");
	/* the client says something else in the middle of it: it is passed on, as the answer is */
	pair = meet(lab, listener, "10.88.0.2");
	say(pair.client, GET("/"));
	hears(pair.server, GET("/"));
	say(pair.server, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc");
	hears(pair.client, ours);
	say(pair.client, "\x16\x03\x01");
	hears(pair.server, "\x16\x03\x01");
	say(pair.server, "defwhat?");
	hears(pair.client, "what?");
	assert_int_equal(counters_of(&fault).strange, 1);
	part(&pair);
	/* where chunks end nobody knows: the client has a whole answer, and no more */
	pair = meet(lab, listener, "10.88.0.2");
	say(pair.client, GET("/"));
	hears(pair.server, GET("/"));
	say(pair.server, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\nghi");
	hears(pair.client, ours);
	hears_the_end(pair.client);
	hears_the_end(pair.server);
	part(&pair);
	assert_int_equal(counters_of(&fault).strange, 2);
	/* the server goes away in the middle */
	pair = meet(lab, listener, "10.88.0.2");
	say(pair.client, GET("/"));
	hears(pair.server, GET("/"));
	say(pair.server, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc");
	close(pair.server);
	hears(pair.client, ours);
	hears_the_end(pair.client);
	close(pair.client);
	/* it answers before the body that it did not ask for */
	pair = meet(lab, listener, "10.88.0.2");
	say(pair.client, "PUT / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
	hears(pair.server, "PUT / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
	say(pair.server, "HTTP/1.1 403 No\r\nContent-Length: 3\r\n\r\nabcraw");
	hears(pair.client, "HTTP/1.1 403 No\r\n" NO_STORE "Content-Length: 4\r\n\r\noursraw");
	part(&pair);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	close(listener);
}

static void test_another_protocol_is_let_alone(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	int listener = listen_far(lab, "10.88.0.2");
	struct pair pair;

	START(lab, &fault, "to", "10.88.0.2:8090", "set-status", "500", "set-body", "ours");
	pair = meet(lab, listener, "10.88.0.2");
	say(pair.client, "GET / HTTP/1.1\r\nUpgrade: x\r\n\r\n");
	hears(pair.server, "GET / HTTP/1.1\r\nUpgrade: x\r\n\r\n");
	say(pair.server, "HTTP/1.1 101 Other\r\nUpgrade: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n");
	hears(pair.client, "HTTP/1.1 101 Other\r\nUpgrade: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n");
	part(&pair);
	assert_int_equal(counters_of(&fault).changed_responses, 0);
	/* a response without a body keeps everything */
	pair = meet(lab, listener, "10.88.0.2");
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	part(&pair);
	START(lab, &fault, "to", "10.88.0.2:8090", "set-body", "ours");
	pair = meet(lab, listener, "10.88.0.2");
	say(pair.client, GET("/"));
	hears(pair.server, GET("/"));
	say(pair.server, "HTTP/1.1 304 Not\r\nETag: e\r\n\r\n");
	hears(pair.client, "HTTP/1.1 304 Not\r\nETag: e\r\n\r\n");
	part(&pair);
	assert_string_equal(netlab_evidence(&fault).detail, "1 of 1 request met, 1 not changed");
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	close(listener);
}
int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_server_is_asked_for_something_else),
		cmocka_unit_test(test_the_body_of_a_changed_request_is_the_same),
		cmocka_unit_test(test_what_the_server_answers_is_changed),
		cmocka_unit_test(test_what_is_not_met_is_the_same_to_the_byte),
		cmocka_unit_test(test_a_share_of_the_responses_late),
		cmocka_unit_test(test_pipelined_requests_keep_their_order),
		cmocka_unit_test(test_a_body_that_ends_with_the_connection),
		cmocka_unit_test(test_nothing_of_a_replaced_body_arrives),
		cmocka_unit_test(test_another_protocol_is_let_alone),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
