/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Requests whose body the http fault replaces before a real nginx stores it, and JSON that it
 * merges in requests and responses. No two of those who read a message see it end at two places.
 */
#include "tests/netns/http_pair.h"

#define BOUND	  (1 << 20)
#define LARGE	  "{\"a\":1,\"x\":\""
#define JSON_TYPE "Content-Type: application/json\r\n"
#define AS_JSON	  "-H Content-Type:application/json "

static void write_file(const char *name, const char *text)
{
	cleanup_file FILE *file = NULL;
	char path[64];

	snprintf(path, sizeof(path), "%s/%s", bench_home, name);
	file = fopen(path, "we");
	assert_non_null(file);
	fputs(text, file);
}

/* {"a":1,"x":"xxx..."}, of so many bytes. */
static void write_large(const char *name, const char *start, size_t size)
{
	cleanup_free char *text = calloc(1, size + 1);

	assert_non_null(text);
	memset(text, 'x', size);
	memcpy(text, start, strlen(start));
	memcpy(text + size - 2, "\"}", 2);
	write_file(name, text);
}

/* What nginx has stored. */
static void assert_stored(const char *wanted)
{
	cleanup_free char *text = netlab_output("cat %s/put/x", bench_home);

	if (strcmp(text, wanted) != 0)
		fail_msg("'%s' instead of '%s'", text, wanted);
	netlab_run("rm %s/put/x", bench_home);
}

static void assert_stored_file(const char *name)
{
	netlab_run("cmp %s/%s %s/put/x", bench_home, name, bench_home);
	netlab_run("rm %s/put/x", bench_home);
}

#define PUT "-X PUT http://10.88.0.2/put/x "

static void test_the_body_of_a_request_is_replaced(void **state)
{
	static const char *const ways[] = {
		"-d theirs",
		"-d theirs -H Content-Encoding:gzip",
		"-T /bin/bash -H Expect:",
		"-T /bin/bash -H Expect:100-continue --expect100-timeout 15",
		"-T /bin/bash -H Transfer-Encoding:chunked -H Expect:",
		"-T /bin/bash -H Transfer-Encoding:chunked -H Expect:100-continue "
		"--expect100-timeout 15",
		"--http1.0 -d theirs",
		"-H Content-Length:0",
		"",
		"-d ''",
	};
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char arguments[300];

	START(lab, &fault, "to", "10.88.0.2", "path", "/put/*", "set-request-body", "it is ours");
	for (unsigned i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		int64_t before_ns = clock_now_ns();

		snprintf(arguments, sizeof(arguments), PUT "%s", ways[i]);
		assert_curl(lab, "201", arguments);
		assert_stored("it is ours");
		assert_true(clock_now_ns() - before_ns < 5 * NSEC_PER_SEC);
	}
	/* on one connection, with others between them, of which none is lost or met */
	assert_output(lab, "[201,1]GET /echo .[200,0][204,0]GET /echo .[200,0]",
		      PUT "-w [%{http_code},%{num_connects}] -T /bin/bash -H Expect: --next -s "
			  "-w [%{http_code},%{num_connects}] http://10.88.0.2/echo --next -s " PUT
			  "-w [%{http_code},%{num_connects}] -T /bin/bash -H Expect: "
			  "-H Transfer-Encoding:chunked --next -s "
			  "-w [%{http_code},%{num_connects}] http://10.88.0.2/echo");
	assert_stored("it is ours");
	assert_int_equal(counters_of(&fault).changed_requests, 12);
	/* what has none, and whose method has none */
	assert_curl(lab, "404", "http://10.88.0.2/put/none");
	assert_int_equal(counters_of(&fault).unchanged, 1);
	assert_int_equal(counters_of(&fault).strange, 0);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	START(lab, &fault, "to", "10.88.0.2", "set-request-body", "", "set-method", "PUT");
	assert_curl(lab, "201", "http://10.88.0.2/put/x");
	assert_stored("");
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

static void test_the_json_of_a_request_is_merged(void **state)
{
	static const char *const ways[] = {
		"",
		"-H Expect:100-continue --expect100-timeout 15",
		"-H Transfer-Encoding:chunked",
		"-H Transfer-Encoding:chunked -H Expect:100-continue --expect100-timeout 15",
		"--http1.0",
	};
	static const char *const others[] = {
		"-H Content-Type:text/json",
		AS_JSON "-H Content-Encoding:identity",
		"-H Content-Type:application/json+zip",
		"-H Content-Type:",
	};
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char arguments[300];

	write_file("order",
		   "{\"item\": 7, \"price\": 19.990, \"user\": {\"name\": \"a\", \"id\": 1}}");
	START(lab, &fault, "to", "10.88.0.2", "merge-request-body",
	      "{\"price\": -1, \"user\": {\"id\": null}, \"test\": true}");
	for (unsigned i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		snprintf(arguments, sizeof(arguments), PUT AS_JSON "--data-binary @%s/order %s",
			 bench_home, ways[i]);
		assert_curl(lab, "201", arguments);
		assert_stored("{\"item\": 7, \"price\": -1, \"user\": {\"name\": \"a\"},"
			      "\"test\":true}");
	}
	assert_int_equal(counters_of(&fault).changed_requests, 5);
	for (unsigned i = 0; i < sizeof(others) / sizeof(*others); i++) {
		snprintf(arguments, sizeof(arguments), PUT "--data-binary @%s/order %s", bench_home,
			 others[i]);
		assert_curl(lab, "201", arguments);
		assert_stored_file("order");
	}
	assert_curl(lab, "201", PUT AS_JSON "-d {]");
	assert_stored("{]");
	assert_int_equal(counters_of(&fault).changed_requests, 5);
	assert_int_equal(counters_of(&fault).unchanged, 5);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

static void test_what_is_too_long_to_wait_goes_on_as_it_came(void **state)
{
	static const char *const ways[] = {"-H Expect:", "-H Expect: -H Transfer-Encoding:chunked",
					   "-H Expect:100-continue --expect100-timeout 15"};
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char arguments[300];

	write_large("most", LARGE, BOUND);
	write_large("merged", "{\"a\":22,\"x\":\"", BOUND + 1);
	write_large("more", LARGE, BOUND + 1);
	write_large("chunks", LARGE, 3 * BOUND / 2);
	START(lab, &fault, "to", "10.88.0.2", "merge-request-body", "{\"a\":22}", "merge-body",
	      "{\"a\":22}");
	for (unsigned i = 0; i < 3; i++) {
		snprintf(arguments, sizeof(arguments), PUT AS_JSON "-T %s/more %s", bench_home,
			 ways[i]);
		assert_curl(lab, "201", arguments);
		assert_stored_file("more");
	}
	assert_int_equal(counters_of(&fault).changed_requests, 0);
	snprintf(arguments, sizeof(arguments), PUT AS_JSON "-T %s/most -H Expect:", bench_home);
	assert_curl(lab, "201", arguments);
	assert_stored_file("merged");
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	START(lab, &fault, "to", "10.88.0.2", "merge-body", "{\"a\":22}");
	assert_bytes(lab, "more", "http://10.88.0.2/json/more");
	assert_bytes(lab, "chunks", "http://10.88.0.2/chunks/chunks");
	assert_int_equal(counters_of(&fault).changed_responses, 0);
	assert_int_equal(counters_of(&fault).unchanged, 2);
	netlab_run("ip netns exec %s curl -sf http://10.88.0.2/json/most -o %s/got", lab->near,
		   bench_home);
	netlab_run("cmp %s/got %s/merged", bench_home, bench_home);
	assert_int_equal(counters_of(&fault).changed_responses, 1);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

static void test_the_json_of_a_response_is_merged(void **state)
{
	static const char *const paths[] = {"json", "chunks"};
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char arguments[300];

	write_file("stock", "{\"item\": 7, \"stock\": 12, \"big\": 12345678901234567890}");
	START(lab, &fault, "to", "10.88.0.2", "merge-body", "{\"stock\": 0, \"item\": null}");
	for (unsigned i = 0; i < 2; i++) {
		snprintf(arguments, sizeof(arguments),
			 "-w [%%{http_code},%%{num_connects},%%header{content-length},"
			 "%%header{etag}] http://10.88.0.2/%s/stock http://10.88.0.2/%s/stock",
			 paths[i], paths[i]);
		assert_output(lab,
			      "{ \"stock\": 0, \"big\": 12345678901234567890}[200,1,42,]"
			      "{ \"stock\": 0, \"big\": 12345678901234567890}[200,0,42,]",
			      arguments);
	}
	assert_output(lab, "{ \"stock\": 0, \"big\": 12345678901234567890}",
		      "--http1.0 http://10.88.0.2/chunks/stock");
	assert_int_equal(counters_of(&fault).changed_responses, 5);
	/* to HEAD the length is not known */
	assert_output(lab, "[200,,]",
		      "-o /dev/null -w [%{http_code},%header{content-length},%header{etag}] -I "
		      "http://10.88.0.2/json/stock");
	assert_int_equal(counters_of(&fault).changed_responses, 6);
	/* compressed; a part; not JSON; not as a type */
	assert_bytes(lab, "stock", "--compressed http://10.88.0.2/json/stock");
	assert_output(lab, "{\"item\"", "-r 0-6 http://10.88.0.2/json/stock");
	assert_bytes(lab, "mid", "http://10.88.0.2/json/mid");
	assert_bytes(lab, "stock", "http://10.88.0.2/stock");
	assert_int_equal(counters_of(&fault).unchanged, 4);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	/* so that it is not compressed */
	START(lab, &fault, "to", "10.88.0.2", "set-request-header",
	      "Accept-Encoding:", "set-request-header", "Range:", "merge-body", "{\"stock\": 0}",
	      "set-status", "404");
	assert_output(lab, "{\"item\": 7, \"stock\": 0, \"big\": 12345678901234567890}[404]",
		      "--compressed -r 0-6 -w [%{http_code}] http://10.88.0.2/json/stock");
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

/* A server that says what it is told to. */

static void test_pipelined_bodies_keep_their_order(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	int listener = listen_far(lab, "10.88.0.2");
	struct pair pair;

	START(lab, &fault, "to", "10.88.0.2:8090", "path", "/m*", "merge-request-body", "{\"a\":2}",
	      "merge-body", "{\"b\":null}");
	pair = meet(lab, listener, "10.88.0.2");
	say(pair.client, "POST /m1 HTTP/1.1\r\n" JSON_TYPE "Content-Length: 7\r\n\r\n{\"a\":1}"
			 "PUT /2 HTTP/1.1\r\n" JSON_TYPE "Content-Length: 7\r\n\r\n{\"a\":1}"
			 "PUT /m3 HTTP/1.1\r\n" JSON_TYPE "Transfer-Encoding: chunked\r\n\r\n"
			 "3;x=y\r\n{\"b\r\n04\r\n\":1}\r\n0\r\nT: u\r\n\r\n"
			 "PUT /m4 HTTP/1.1\r\n" JSON_TYPE "Content-Length: 30\r\n\r\n"
			 "GET /smuggled HTTP/1.1\r\n\r\n{}}}" GET("/5"));
	hears(pair.server,
	      "POST /m1 HTTP/1.1\r\n" JSON_TYPE "Content-Length: 7\r\n\r\n{\"a\":2}"
	      "PUT /2 HTTP/1.1\r\n" JSON_TYPE "Content-Length: 7\r\n\r\n{\"a\":1}"
	      "PUT /m3 HTTP/1.1\r\n" JSON_TYPE "Content-Length: 13\r\n\r\n{\"b\":1,\"a\":2}"
	      "PUT /m4 HTTP/1.1\r\n" JSON_TYPE "Content-Length: 30\r\n\r\n"
	      "GET /smuggled HTTP/1.1\r\n\r\n{}}}" GET("/5"));
	say(pair.server, "HTTP/1.1 200 OK\r\n" JSON_TYPE "Content-Length: 13\r\n\r\n{\"a\":1,");
	say(pair.server, "\"b\":2}HTTP/1.1 200 OK\r\n" JSON_TYPE
			 "Content-Length: 7\r\n\r\n{\"b\":1}HTTP/1.1 100 Continue\r\n\r\n"
			 "HTTP/1.1 200 OK\r\n" JSON_TYPE "Transfer-Encoding: chunked\r\n\r\n"
			 "7\r\n{\"b\":1}\r\n0\r\n\r\n");
	hears(pair.client,
	      "HTTP/1.1 200 OK\r\n" JSON_TYPE NO_STORE "Content-Length: 7\r\n\r\n{\"a\":1}"
	      "HTTP/1.1 200 OK\r\n" JSON_TYPE "Content-Length: 7\r\n\r\n{\"b\":1}"
	      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n" JSON_TYPE NO_STORE
	      "Content-Length: 2\r\n\r\n{}");
	/* the one that was not changed is the same all the way */
	say(pair.server, "HTTP/1.1 200 OK\r\n" JSON_TYPE "Content-Length: 7\r\n\r\n{\"b\":1}");
	hears(pair.client, "HTTP/1.1 200 OK\r\n" JSON_TYPE "Content-Length: 7\r\n\r\n{\"b\":1}");
	assert_int_equal(counters_of(&fault).strange, 0);
	part(&pair);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	close(listener);
}

static void test_json_that_ends_with_the_connection(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	int listener = listen_far(lab, "10.88.0.2");
	struct pair pair;

	START(lab, &fault, "to", "10.88.0.2:8090", "merge-body", "{\"a\":2}");
	pair = meet(lab, listener, "10.88.0.2");
	say(pair.client, "GET / HTTP/1.0\r\n\r\n");
	hears(pair.server, "GET / HTTP/1.0\r\n\r\n");
	say(pair.server, "HTTP/1.0 200 OK\r\n" JSON_TYPE "\r\n{\"a\":");
	say(pair.server, "1}");
	close(pair.server);
	hears(pair.client, "HTTP/1.0 200 OK\r\n" JSON_TYPE NO_STORE
			   "Content-Length: 7\r\nConnection: close\r\n\r\n{\"a\":2}");
	hears_the_end(pair.client);
	close(pair.client);
	/* what breaks off is no more than it was */
	pair = meet(lab, listener, "10.88.0.2");
	say(pair.client, GET("/"));
	hears(pair.server, GET("/"));
	say(pair.server, "HTTP/1.1 200 OK\r\n" JSON_TYPE "Content-Length: 9\r\n\r\n{\"a\":1}");
	close(pair.server);
	hears(pair.client, "HTTP/1.1 200 OK\r\n" JSON_TYPE "Content-Length: 9\r\n\r\n{\"a\":1}");
	hears_the_end(pair.client);
	close(pair.client);
	assert_int_equal(counters_of(&fault).unchanged, 1);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	close(listener);
}

#define WAITING(length)                                                                            \
	"PUT / HTTP/1.1\r\n" JSON_TYPE "Expect: 100-continue\r\nContent-Length: " length "\r\n\r"  \
	"\n"
#define ASKED	 "HTTP/1.1 100 Continue\r\n\r\n"
#define ANSWERED "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" NO_STORE "\r\n"
#define OK	 "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

/* Who waits to be asked is asked when it is its turn, and what it sends then is for nobody. */
static void test_a_body_that_waits_to_be_asked_for(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	int listener = listen_far(lab, "10.88.0.2");
	struct pair pair;

	START(lab, &fault, "to", "10.88.0.2:8090", "method", "PUT", "set-request-body", "ours");
	pair = meet(lab, listener, "10.88.0.2");
	say(pair.client, GET("/1") WAITING("26"));
	hears(pair.server, GET("/1"));
	hears_nothing(pair.server);
	say(pair.server, OK);
	hears(pair.client, OK ASKED);
	hears(pair.server, "PUT / HTTP/1.1\r\n" JSON_TYPE "Content-Length: 4\r\n\r\nours");
	/* it answers before the client has said all */
	say(pair.server, OK);
	hears(pair.client, ANSWERED);
	say(pair.client, "GET /smuggled HTTP/1.1\r\n\r\n");
	say(pair.client, GET("/2"));
	hears(pair.server, GET("/2"));
	/* what nobody can promise is not promised */
	say(pair.client, "PUT / HTTP/1.1\r\nExpect: more\r\nContent-Length: 1\r\n\r\nx");
	hears(pair.server, "PUT / HTTP/1.1\r\nExpect: more\r\nContent-Length: 1\r\n\r\nx");
	part(&pair);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	START(lab, &fault, "to", "10.88.0.2:8090", "merge-request-body", "{\"a\":2}");
	pair = meet(lab, listener, "10.88.0.2");
	say(pair.client, WAITING("7"));
	hears(pair.client, ASKED);
	say(pair.client, "{\"a\"");
	hears_nothing(pair.server);
	say(pair.client, ":1}" GET("/3"));
	hears(pair.server,
	      "PUT / HTTP/1.1\r\n" JSON_TYPE "Content-Length: 7\r\n\r\n{\"a\":2}" GET("/3"));
	part(&pair);
	assert_int_equal(counters_of(&fault).strange, 0);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	close(listener);
}

/* Whatever is left of a body that was replaced would be a request. */
static void test_nothing_of_a_replaced_body_reaches_the_server(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	int listener = listen_far(lab, "10.88.0.2");
	const char ours[] = "PUT / HTTP/1.1\r\nContent-Length: 4\r\n\r\nours";
	struct pair pair;

	START(lab, &fault, "to", "10.88.0.2:8090", "set-request-body", "ours");
	/* chunks that are none */
	pair = meet(lab, listener, "10.88.0.2");
	say(pair.client, "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
	hears(pair.server, ours);
	say(pair.client, "zz\r\n" GET("/smuggled"));
	hears_the_end(pair.server);
	hears_the_end(pair.client);
	part(&pair);
	/* the server says something that nobody asked for, or goes away */
	for (unsigned i = 0; i < 2; i++) {
		pair = meet(lab, listener, "10.88.0.2");
		say(pair.client, "PUT / HTTP/1.1\r\nContent-Length: 60\r\n\r\n");
		hears(pair.server, ours);
		say(pair.server, OK);
		hears(pair.client, ANSWERED);
		if (i)
			shutdown(pair.server, SHUT_WR);
		else
			say(pair.server, "what?");
		hears_the_end(pair.server);
		say(pair.client, GET("/smuggled"));
		hears_the_end(pair.client);
		part(&pair);
	}
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	close(listener);
}

/* The end. */

static void test_what_is_collected_goes_on_at_the_end(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	int listener = listen_far(lab, "10.88.0.2");
	const char begun[] = "PUT / HTTP/1.1\r\n" JSON_TYPE "Content-Length: 7\r\n\r\n{\"a\":";
	int64_t again_ns = 0;
	struct pair pair;

	START(lab, &fault, "to", "10.88.0.2:8090", "merge-request-body", "{\"a\":2}");
	pair = meet(lab, listener, "10.88.0.2");
	say(pair.client, begun);
	hears_nothing(pair.server);
	assert_int_equal(http_fault.end(&fault.fault, FAULT_END_SOFT, &again_ns, NULL), 0);
	hears(pair.server, begun);
	say(pair.client, "1}");
	hears(pair.server, "1}");
	say(pair.server, OK);
	hears(pair.client, OK);
	hears_the_end(pair.client);
	part(&pair);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	/* with much of it held, hard */
	START(lab, &fault, "to", "10.88.0.2:8090", "merge-request-body", "{\"a\":2}");
	pair = meet(lab, listener, "10.88.0.2");
	say(pair.client, begun);
	hears_nothing(pair.server);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	part(&pair);
	close(listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_body_of_a_request_is_replaced),
		cmocka_unit_test(test_the_json_of_a_request_is_merged),
		cmocka_unit_test(test_what_is_too_long_to_wait_goes_on_as_it_came),
		cmocka_unit_test(test_the_json_of_a_response_is_merged),
		cmocka_unit_test(test_pipelined_bodies_keep_their_order),
		cmocka_unit_test(test_json_that_ends_with_the_connection),
		cmocka_unit_test(test_a_body_that_waits_to_be_asked_for),
		cmocka_unit_test(test_nothing_of_a_replaced_body_reaches_the_server),
		cmocka_unit_test(test_what_is_collected_goes_on_at_the_end),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
