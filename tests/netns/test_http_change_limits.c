/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Where changing ends: what becomes longer than it was, what is under way or held when the fault
 * ends, and a body without end.
 */
#include "tests/netns/http_pair.h"

#include "tests/support/netlab_flow.h"

#include <errno.h>

/* Messages that become many times as long, more of them than there is room for. */
#define MANY  40 /* no more than may be without an answer */
#define LARGE 390

static void test_there_is_room_for_all_that_becomes_longer(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char request[9][LARGE + 10], response[9][LARGE + 10];
	const char *settings[4 + 2 * 18 + 1] = {"fault", "http", "to", "10.88.0.2:8090"};
	const char get[] = "GET / HTTP/1.1\r\n\r\n",
		   ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
	cleanup_free char *asked = calloc(1, 20000), *answered = calloc(1, 20000);
	int listener = listen_far(lab, "10.88.0.2");
	struct pair pair;
	unsigned at = 4;

	for (unsigned i = 0; i < 5; i++) {
		snprintf(request[i], sizeof(request[i]), "A%u: %0*u", i, LARGE - 4, i);
		snprintf(response[i], sizeof(response[i]), "B%u: %0*u", i, LARGE - 4, i);
		settings[at++] = "set-request-header";
		settings[at++] = request[i];
		settings[at++] = "set-response-header";
		settings[at++] = response[i];
	}
	snprintf(asked, 20000, "GET / HTTP/1.1\r\n%s\r\n%s\r\n%s\r\n%s\r\n%s\r\n\r\n", request[0],
		 request[1], request[2], request[3], request[4]);
	snprintf(answered, 20000,
		 "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n%s\r\n%s\r\n%s\r\n%s\r\n%s\r\n" NO_STORE
		 "\r\nx",
		 response[0], response[1], response[2], response[3], response[4]);
	start(lab, &fault, settings);
	pair = meet(lab, listener, "10.88.0.2");
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < MANY; i++)
			say(pair.client, get);
		for (unsigned i = 0; i < MANY; i++)
			hears(pair.server, asked);
		for (unsigned i = 0; i < MANY; i++)
			say(pair.server, ok);
		if (round == 2) /* what waits for room then is not lost with the connection */
			shutdown(pair.server, SHUT_WR);
		for (unsigned i = 0; i < MANY; i++)
			hears(pair.client, answered);
	}
	hears_the_end(pair.client);
	assert_int_equal(counters_of(&fault).changed_requests, 3 * MANY);
	assert_int_equal(counters_of(&fault).changed_responses, 3 * MANY);
	assert_int_equal(counters_of(&fault).strange, 0);
	part(&pair);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	close(listener);
}

/* The end. */

static void test_what_is_under_way_ends_as_it_began(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	int listener = listen_far(lab, "10.88.0.2");
	struct pair asked, waiting;
	char heard[1000] = "";
	int64_t again_ns = 0;

	START(lab, &fault, "to", "10.88.0.2:8090", "set-status", "500", "set-request-header",
	      "A: b");
	asked = meet(lab, listener, "10.88.0.2");
	waiting = meet(lab, listener, "10.88.0.2");
	say(asked.client, GET("/"));
	hears(asked.server, "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n\r\n");
	say(waiting.client, GET("/"));
	hears(waiting.server, "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n\r\n");
	say(waiting.client, GET("/second")); /* met, and not its turn at the server's answer */
	hears(waiting.server, "GET /second HTTP/1.1\r\nHost: a\r\nA: b\r\n\r\n");
	assert_int_equal(http_fault.end(&fault.fault, FAULT_END_SOFT, &again_ns, NULL), 0);
	assert_true(again_ns > 0);
	say(asked.client, GET("/third")); /* none of what comes now */
	hears(asked.server, GET("/third"));
	say(asked.server, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"
			  "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\ny");
	hears(asked.client, "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 1\r\n" NO_STORE
			    "\r\nxHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\ny");
	hears_the_end(asked.client);
	say(waiting.server, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"
			    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\ny");
	hear(waiting.client, "y", heard, sizeof(heard));
	assert_non_null(strstr(strstr(heard, "500 Internal") + 1, "500 Internal"));
	part(&asked);
	part(&waiting);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	close(listener);
}

static void test_what_is_held_goes_on_unchanged_at_the_end(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char heard[1000] = "";
	int fd;

	START(lab, &fault, "to", "10.88.0.2", "set-status", "500", "set-path", "/up", "delay",
	      "30s");
	fd = dial(lab, "10.88.0.2");
	say(fd, GET("/echo"));
	while (!counters_of(&fault).hits)
		poll(NULL, 0, 10);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	hear(fd, "GET /echo .", heard, sizeof(heard));
	assert_non_null(strstr(heard, "200 OK"));
	close(fd);
}

/* A server that speaks for ever is heard for nobody only for a while. */
static void test_a_body_without_end_for_nobody_is_cut(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	int listener = listen_far(lab, "10.88.0.2");
	int64_t before_ns;
	struct pair pair;

	START(lab, &fault, "to", "10.88.0.2:8090", "set-body", "ours");
	pair = meet(lab, listener, "10.88.0.2");
	say(pair.client, GET("/"));
	hears(pair.server, GET("/"));
	say(pair.server, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
	hears(pair.client, "HTTP/1.1 200 OK\r\n" NO_STORE "Content-Length: 4\r\n\r\nours");
	close(pair.client);
	before_ns = clock_now_ns();
	while (send(pair.server, "x", 1, MSG_NOSIGNAL) == 1 &&
	       clock_now_ns() - before_ns < 10 * NSEC_PER_SEC)
		poll(NULL, 0, 20);
	assert_in_range(clock_now_ns() - before_ns, 2 * NSEC_PER_SEC, 9 * NSEC_PER_SEC);
	close(pair.server);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	close(listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_is_room_for_all_that_becomes_longer),
		cmocka_unit_test(test_what_is_under_way_ends_as_it_began),
		cmocka_unit_test(test_what_is_held_goes_on_unchanged_at_the_end),
		cmocka_unit_test(test_a_body_without_end_for_nobody_is_cut),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
