/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The http fault on a real nginx: which requests it meets, how, and that everything else is as
 * without it, to the byte. The end of it: test_http_restore.c.
 */
#include "tests/netns/http_bench.h"

#include "tests/support/netlab_flow.h"

#include "injector/base/quantity.h"

#include <errno.h>
#include <limits.h>
#include <time.h>

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

static unsigned count_of(const char *text, const char *word)
{
	unsigned count = 0;

	for (const char *at = text; (at = strstr(at, word)); at += strlen(word))
		count++;
	return count;
}

/* What is met. */

static void test_only_what_is_asked_for_is_answered(void **state)
{
	struct netlab *lab = *state;
	char *before = netlab_dump(lab);
	struct netlab_fault fault;
	struct evidence seen;

	START(lab, &fault, "to", "10.88.0.2", "to", "fd88::2", "path", "/u*", "method", "GET",
	      "method", "DELETE", "header", "X-User: test-*", "header", "accept: *", "answer",
	      "503", "body", "try later");
	assert_curl(lab, "503", "-H X-User:test-1 http://10.88.0.2/up");
	assert_curl(lab, "503", "-H x-user:test-1 http://10.88.0.2/up?a=b");
	assert_curl(lab, "503", "-H X-User:test-1 -X DELETE http://[fd88::2]/u/x/y");
	/* another header, method, path, port, server */
	assert_curl(lab, "200", "-H X-User:other http://10.88.0.2/up");
	assert_curl(lab, "200", "http://[fd88::2]/up");
	assert_curl(lab, "200", "-H X-User:test-1 -I http://10.88.0.2/up");
	assert_curl(lab, "200", "-H X-User:test-1 http://10.88.0.2/mid");
	assert_curl(lab, "200", "-H X-User:test-1 http://10.88.0.2:81/up");
	assert_curl(lab, "200", "-H X-User:test-1 http://10.88.0.3/up");
	seen = netlab_evidence(&fault);
	assert_int_equal(seen.hits, 3);
	assert_string_equal(seen.detail, "3 of 7 requests met, 3 answered");
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	assert_curl(lab, "200", "-H X-User:test-1 http://10.88.0.2/up");
	netlab_same(lab, before);
}

static void test_what_is_left_out_is_not_met(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	START(lab, &fault, "to", "10.88.0.0/24", "to", "10.88.0.0/24:81", "except", "10.88.0.3",
	      "except", "10.88.0.2:81", "answer", "500");
	assert_curl(lab, "500", "http://10.88.0.2/up");
	assert_curl(lab, "200", "http://10.88.0.2:81/up");
	assert_curl(lab, "200", "http://10.88.0.3/up");
	assert_curl(lab, "200", "http://10.88.0.3:81/up");
	assert_curl(lab, "200", "http://[fd88::2]/up");
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

static void test_an_answer_is_a_whole_one(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	cleanup_free char *text = NULL;
	char heard[4096];
	int fd;

	START(lab, &fault, "to", "10.88.0.2", "path", "/up", "answer", "429", "body",
	      "100% \"full\"");
	text = netlab_output("ip netns exec %s curl -si http://10.88.0.2/up", lab->near);
	assert_string_equal(text, "HTTP/1.1 429 Too Many Requests\r\n"
				  "Content-Type: text/plain; charset=utf-8\r\n"
				  "Content-Length: 11\r\nCache-Control: no-store\r\n\r\n"
				  "100% \"full\"");
	/* to HEAD without the body; and who wants no other answer is hung up on */
	fd = dial(lab, "10.88.0.2");
	say(fd, "HEAD /up HTTP/1.0\r\n\r\n");
	hear(fd, "Connection: close\r\n\r\n", heard, sizeof(heard));
	assert_null(strstr(heard, "full"));
	assert_int_equal(recv(fd, heard, 1, 0), 0);
	close(fd);
	/* an old one is kept only if we said so as well: it would wait for the end */
	fd = dial(lab, "10.88.0.2");
	say(fd, "GET /up HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	hear(fd, "full", heard, sizeof(heard));
	assert_non_null(strstr(heard, "Connection: close\r\n"));
	assert_int_equal(recv(fd, heard, 1, 0), 0);
	close(fd);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

static void test_a_delayed_request_is_late_and_whole(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	int64_t before_ns = clock_now_ns();

	START(lab, &fault, "to", "10.88.0.2", "path", "/mid", "delay", "700ms");
	assert_bytes(lab, "mid", "http://10.88.0.2/mid");
	assert_true(clock_now_ns() - before_ns > 700 * NSEC_PER_MSEC);
	assert_int_equal(netlab_evidence(&fault).delayed, 1);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	before_ns = clock_now_ns();
	START(lab, &fault, "to", "10.88.0.2", "delay", "300ms", "answer", "504");
	assert_curl(lab, "504", "http://10.88.0.2/mid");
	assert_true(clock_now_ns() - before_ns > 300 * NSEC_PER_MSEC);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

static void set_level(struct netlab_fault *fault, int64_t percent)
{
	fault->fault.level_ppb = percent * (SHARE_ONE / 100);
	assert_int_equal(http_fault.set_level(&fault->fault, NULL), 0);
}

/* A delay grows; an answer meets more. */
static void test_a_ramp(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	int64_t before_ns, took_ns;

	START(lab, &fault, "to", "10.88.0.2", "delay", "2s");
	set_level(&fault, 25);
	before_ns = clock_now_ns();
	assert_curl(lab, "200", "http://10.88.0.2/up");
	took_ns = clock_now_ns() - before_ns;
	assert_true(took_ns >= 500 * NSEC_PER_MSEC && took_ns < 2 * NSEC_PER_SEC);
	set_level(&fault, 100);
	before_ns = clock_now_ns();
	assert_curl(lab, "200", "http://10.88.0.2/up");
	assert_true(clock_now_ns() - before_ns >= 2 * NSEC_PER_SEC);
	netlab_fault_finish(&fault, FAULT_END_SOFT);

	START(lab, &fault, "to", "10.88.0.2", "answer", "503");
	set_level(&fault, 0);
	assert_curl(lab, "200", "http://10.88.0.2/up");
	set_level(&fault, 100);
	assert_curl(lab, "503", "http://10.88.0.2/up");
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

static void test_an_aborted_request_is_a_reset_connection(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct evidence seen;
	char byte;
	int fd;

	START(lab, &fault, "to", "10.88.0.2", "to", "fd88::2", "method", "GET", "path", "/up",
	      "abort", "true");
	fd = dial(lab, "10.88.0.2");
	say(fd, GET("/up"));
	assert_int_equal(recv(fd, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	close(fd);
	assert_curl(lab, "000", "http://[fd88::2]/up");
	assert_curl(lab, "200", "http://[fd88::2]/mid");
	seen = netlab_evidence(&fault);
	assert_string_equal(seen.detail, "2 of 3 requests met, 2 aborted");
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

static void test_a_share_of_the_requests(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	unsigned hits[3];

	for (unsigned i = 0; i < 3; i++) {
		lab->seed = i < 2 ? 7 : 8;
		START(lab, &fault, "to", "10.88.0.2", "answer", "503", "probability", "30%");
		netlab_run("ip netns exec %s curl -s -o /dev/null http://10.88.0.2/up?[1-400]",
			   lab->near);
		hits[i] = (unsigned)netlab_evidence(&fault).hits;
		assert_int_equal(counters_of(&fault).requests, 400);
		netlab_assert_share(hits[i], 400, 0.3, 1);
		netlab_fault_finish(&fault, FAULT_END_SOFT);
	}
	lab->seed = 0;
	assert_int_equal(hits[0], hits[1]); /* of the same seed */
}

/* What passes. */

static void test_what_passes_is_the_same_to_the_byte(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	START(lab, &fault, "to", "10.88.0.2", "to", "fd88::2", "to", "10.88.0.2:443", "path",
	      "/never", "answer", "503");
	assert_bytes(lab, "big", "http://10.88.0.2/big");
	assert_bytes(lab, "big", "http://[fd88::2]/big");
	assert_bytes(lab, "big", "--compressed http://10.88.0.2/big"); /* chunked */
	assert_bytes(lab, "big", "--http1.0 http://10.88.0.2/big");
	assert_bytes(lab, "index.html", "-r 0-99 http://10.88.0.2/index.html");
	assert_curl(lab, "204", "http://10.88.0.2/empty");
	assert_curl(lab, "404", "http://10.88.0.2/none");
	/* up: with Expect, with chunks, of a known length */
	assert_curl(lab, "201", "-T /bin/bash http://10.88.0.2/put/bash");
	netlab_run("cmp /bin/bash %s/put/bash", bench_home);
	assert_curl(lab, "201",
		    "-T /bin/bash -H Transfer-Encoding:chunked -H Expect: http://10.88.0.2/put/1");
	netlab_run("cmp /bin/bash %s/put/1", bench_home);
	assert_curl(lab, "204", "-T /bin/bash -H Expect: http://10.88.0.2/put/1");
	netlab_run("cmp /bin/bash %s/put/1", bench_home);
	assert_int_equal(counters_of(&fault).strange, 0);
	/* TLS, also with HTTP/2 in it; HTTP/2 without */
	assert_bytes(lab, "big", "-k --http1.1 https://10.88.0.2/big");
	assert_bytes(lab, "big", "-k --http2 https://10.88.0.2/big");
	assert_int_equal(counters_of(&fault).strange, 2);
	assert_int_equal(netlab_evidence(&fault).hits, 0);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

static void test_an_upload_is_answered_before_or_after_its_body(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	START(lab, &fault, "to", "10.88.0.2", "method", "PUT", "answer", "507");
	assert_curl(lab, "507", "-T /bin/bash http://10.88.0.2/put/no");
	assert_curl(lab, "507", "-T /bin/bash -H Expect: http://10.88.0.2/put/no");
	assert_curl(lab, "507",
		    "-T /bin/bash -H Transfer-Encoding:chunked -H Expect: http://10.88.0.2/put/no");
	assert_int_not_equal(netlab_try("test -e %s/put/no", bench_home), 0);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

/* Connections. */

static void test_a_kept_connection_goes_on_behind_an_answer(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	cleanup_free char *text = NULL;

	START(lab, &fault, "to", "10.88.0.2", "path", "/up", "answer", "503", "body", "no");
	text = netlab_output("ip netns exec %s curl -s -w [%%{http_code},%%{num_connects}] "
			     "-o /dev/null http://10.88.0.2/mid -o /dev/null http://10.88.0.2/up "
			     "-o /dev/null http://10.88.0.2/mid -o /dev/null http://10.88.0.2/up",
			     lab->near);
	assert_string_equal(text, "[200,1][503,0][200,0][503,0]");
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

static void test_answers_of_both_come_in_order(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char heard[16384], *at;
	int fd;

	START(lab, &fault, "to", "10.88.0.2", "path", "/index.html", "delay", "200ms", "answer",
	      "503", "body", "ours");
	fd = dial(lab, "10.88.0.2");
	say(fd, GET("/up") GET("/index.html"));
	say(fd, "POST /index.html HTTP/1.1\r\nHost: a\r\nContent-Length: 21\r\n\r\n"
		"GET /body HTTP/1.1\r\n\n");
	say(fd, "HEAD /up HTTP/1.1\r\nHost: a\r\n\r\n" GET("/none") GET("/empty") GET("/up"));
	shutdown(fd, SHUT_WR);
	hear(fd, "No Content", heard, sizeof(heard));
	for (unsigned i = 0; i < 100 && count_of(heard, "200 OK") < 3; i++)
		hear(fd, "up", heard + strlen(heard), sizeof(heard) - strlen(heard));
	at = strstr(heard, "\r\n\r\nup");
	assert_non_null(at);
	assert_null(memmem(heard, (size_t)(at - heard), "503", 3));
	assert_int_equal(count_of(heard, "503 Service"), 2);
	assert_int_equal(count_of(heard, "ours"), 2);
	assert_true(strstr(at, "503 Service") < strstr(at, "404 Not"));
	assert_true(strstr(at, "404 Not") < strstr(at, "204 No Content"));
	assert_int_equal(recv(fd, heard, 1, 0), 0); /* the end is passed on, too */
	close(fd);
	assert_int_equal(counters_of(&fault).requests, 7);
	assert_int_equal(counters_of(&fault).strange, 0);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

static void test_who_speaks_something_else_is_heard(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char heard[4096];
	int fd;

	START(lab, &fault, "to", "10.88.0.2", "answer", "503");
	/* nginx's own words to who makes no sense; the rest of the connection is let alone */
	fd = dial(lab, "10.88.0.2");
	say(fd, "\x16\x03\x01 what is this\r\n\r\n");
	hear(fd, "400 Bad Request", heard, sizeof(heard));
	close(fd);
	/* two lengths: whoever is right, it is passed on */
	fd = dial(lab, "10.88.0.2");
	say(fd, "GET /up HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n");
	hear(fd, "400 Bad Request", heard, sizeof(heard));
	close(fd);
	assert_int_equal(counters_of(&fault).strange, 2);
	assert_int_equal(counters_of(&fault).hits, 0);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

static void test_a_connection_that_is_open_is_not_met(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char heard[4096];
	int fd = dial(lab, "10.88.0.2");

	say(fd, GET("/up"));
	hear(fd, "\r\n\r\nup", heard, sizeof(heard));
	START(lab, &fault, "to", "10.88.0.2", "answer", "503");
	say(fd, GET("/up"));
	hear(fd, "\r\n\r\nup", heard, sizeof(heard));
	assert_non_null(strstr(heard, "200 OK"));
	assert_curl(lab, "503", "http://10.88.0.2/up");
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	say(fd, GET("/up"));
	hear(fd, "\r\n\r\nup", heard, sizeof(heard));
	close(fd);
}

static void test_connections_that_exist_are_ended_when_asked_for(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct evidence seen;
	char heard[4096];
	int met, spared, fresh;

	if (!netlab_can_end_connections(lab))
		skip();
	met = dial(lab, "10.88.0.2");
	spared = dial(lab, "10.88.0.3");
	say(met, GET("/up"));
	hear(met, "\r\n\r\nup", heard, sizeof(heard));
	START(lab, &fault, "to", "10.88.0.0/24", "except", "10.88.0.3", "path", "/mid", "answer",
	      "503", "reset-connections", "true");
	assert_int_equal(netlab_told(met), ECONNABORTED);
	seen = netlab_evidence(&fault); /* that is no "nothing" */
	assert_int_equal(seen.hits, 1);
	assert_string_equal(seen.unit, "connections");
	say(spared, GET("/up"));
	hear(spared, "\r\n\r\nup", heard, sizeof(heard));
	/* and what goes through the worker is not ended */
	fresh = dial(lab, "10.88.0.2");
	say(fresh, GET("/up"));
	hear(fresh, "\r\n\r\nup", heard, sizeof(heard));
	say(fresh, GET("/mid"));
	hear(fresh, "503 Service", heard, sizeof(heard));
	seen = netlab_evidence(&fault);
	assert_int_equal(seen.hits, 2);
	assert_string_equal(seen.detail, "1 of 2 requests met, 1 answered, 1 connection ended");
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	close(met);
	close(spared);
	close(fresh);
}

static void test_a_server_that_is_away_resets(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char byte;
	int fd;

	START(lab, &fault, "to", "10.88.0.2:9", "answer", "503");
	fd = netlab_dial(lab->near_fd, "10.88.0.2", 9);
	if (fd >= 0) {
		assert_true(recv(fd, &byte, 1, 0) < 0);
		assert_int_equal(errno, ECONNRESET);
		close(fd);
	}
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

/* Who cannot be accepted waits, and costs nothing meanwhile. */
static void test_without_descriptors_who_comes_waits(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char heard[4096];
	struct timespec before, after;
	int fd;

	START(lab, &fault, "to", "10.88.0.2", "answer", "503");
	fd = netlab_own_socket(lab->near_fd, "10.88.0.2", SOCK_STREAM);
	netlab_allow_descriptors(0);
	{
		struct sockaddr_storage server;
		socklen_t size = netlab_socket_address("10.88.0.2", 80, &server);

		assert_int_equal(connect(fd, (struct sockaddr *)&server, size), 0);
	}
	say(fd, GET("/up"));
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
	poll(NULL, 0, 500);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
	netlab_allow_descriptors(UINT_MAX);
	assert_true((after.tv_sec - before.tv_sec) * NSEC_PER_SEC + after.tv_nsec - before.tv_nsec <
		    100 * NSEC_PER_MSEC);
	hear(fd, "503 Service", heard, sizeof(heard));
	close(fd);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

/* Two of them. */

static void test_the_newer_one_passes_to_the_older(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault first, second;
	struct error err = ERROR_INIT;

	START(lab, &first, "to", "10.88.0.2", "path", "/up", "answer", "500");
	if (netlab_fault_plan_step(lab, &second, &first, 1,
				   (const char *[]){"fault", "http", "to", "10.88.0.2", "path",
						    "/mid", "answer", "502", NULL},
				   &err) < 0 ||
	    http_fault.inject(&second.fault, &err) < 0)
		fail_msg("%s", err.text);
	assert_curl(lab, "500", "http://10.88.0.2/up");
	assert_curl(lab, "502", "http://10.88.0.2/mid");
	assert_curl(lab, "200", "http://10.88.0.2/index.html");
	netlab_fault_end(&first, FAULT_END_SOFT);
	assert_curl(lab, "200", "http://10.88.0.2/up");
	assert_curl(lab, "502", "http://10.88.0.2/mid");
	netlab_fault_end(&second, FAULT_END_SOFT);
	second.journal = NULL; /* the first one's */
	netlab_fault_finish(&second, FAULT_END_SOFT);
	netlab_fault_finish(&first, FAULT_END_SOFT);
}

/* What is refused. */

static void test_targets_that_mean_nothing_are_refused(void **state)
{
	static const struct {
		const char *key, *value, *wanted;
	} cases[] = {
		{"local-address", "10.88.0.1", "local-address: it is about servers on this side"},
		{"except-local-port", "1", "which ones is said by local-port"},
		{"share", "10%", "share: requests are chosen by server"},
		{"protocol", "udp", "over tcp alone"},
		{"neighbours", "true", "neighbours: requests are chosen by server"},
	};
	struct netlab *lab = *state;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct netlab_fault fault;
		struct error err = ERROR_INIT;

		assert_true(netlab_fault_plan(lab, &fault, "hhhhh2",
					      (const char *[]){"fault", "http", "to", "10.88.0.2",
							       "answer", "503", cases[i].key,
							       cases[i].value, NULL},
					      &err) < 0);
		assert_non_null(strstr(err.text, cases[i].wanted));
		netlab_fault_finish(&fault, FAULT_END_NOW);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_what_is_asked_for_is_answered),
		cmocka_unit_test(test_what_is_left_out_is_not_met),
		cmocka_unit_test(test_an_answer_is_a_whole_one),
		cmocka_unit_test(test_a_delayed_request_is_late_and_whole),
		cmocka_unit_test(test_a_ramp),
		cmocka_unit_test(test_an_aborted_request_is_a_reset_connection),
		cmocka_unit_test(test_a_share_of_the_requests),
		cmocka_unit_test(test_what_passes_is_the_same_to_the_byte),
		cmocka_unit_test(test_an_upload_is_answered_before_or_after_its_body),
		cmocka_unit_test(test_a_kept_connection_goes_on_behind_an_answer),
		cmocka_unit_test(test_answers_of_both_come_in_order),
		cmocka_unit_test(test_who_speaks_something_else_is_heard),
		cmocka_unit_test(test_a_connection_that_is_open_is_not_met),
		cmocka_unit_test(test_connections_that_exist_are_ended_when_asked_for),
		cmocka_unit_test(test_a_server_that_is_away_resets),
		cmocka_unit_test(test_without_descriptors_who_comes_waits),
		cmocka_unit_test(test_the_newer_one_passes_to_the_older),
		cmocka_unit_test(test_targets_that_mean_nothing_are_refused),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
