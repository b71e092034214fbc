/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Messages that are kept until they are whole: what comes behind them stays behind them however
 * little goes on at a time, nothing is kept of what has gone, and when there is no more memory for
 * them they go on as they came.
 */
#include "tests/unit/http_exchange_bench.h"

#include "faults/http_collect.h"

#define JSON_TYPE "Content-Type: application/json\r\n"

static void settle(struct bench *bench)
{
	while (http_exchange_go_on(&bench->stream))
		;
}

static void assert_sent(struct bench *bench, bool to_client, const char *wanted)
{
	if (strcmp(bench->sent[to_client], wanted) != 0)
		fail_msg("'%s' instead of '%s'", bench->sent[to_client], wanted);
}

static void finish(struct bench *bench)
{
	assert_null(bench->stream.to_server.store.bytes);
	assert_null(bench->stream.to_client.store.bytes);
	assert_int_equal(bench->relay.kept, 0);
	bench_free(bench);
}

/* A body much longer than a lane, byte counts that are no divisors of anything, a request behind.
 */
static void test_what_is_behind_stays_behind(void **state)
{
	struct bench *bench = BENCH("merge-request-body", "{\"a\":22}");
	struct http_lane *lane = &bench->stream.to_server;
	const size_t size = 100000;
	char *body = malloc(size + 1), *wanted = malloc(size + 500), head[200];

	(void)state;
	assert_non_null(body);
	assert_non_null(wanted);
	memset(body, 'x', size);
	memcpy(body, "{\"a\":1,\"b\":\"", 12);
	memcpy(body + size - 2, "\"}", 3);
	snprintf(head, sizeof(head), "PUT /1 HTTP/1.1\r\n" JSON_TYPE "Content-Length: %zu\r\n\r\n",
		 size);
	come(lane, head);
	for (size_t at = 0; at < size;) {
		char piece[1000];
		size_t some = size - at < 997 ? size - at : 997;

		snprintf(piece, sizeof(piece), "%.*s", (int)some, body + at);
		come(lane, piece);
		at += some;
		if (at == size)
			come(lane, "GET /2 HTTP/1.1\r\n\r\nGET /3 HTTP/1.1\r\n\r\n");
		assert_int_equal(bench->relay.changed_requests, 0);
		settle(bench);
		if (at < size)
			assert_true(http_lane_undecided(lane) == 0 && lane->start == lane->used);
	}
	assert_true(bench->relay.kept > size);
	while (!http_lane_is_empty(lane)) {
		settle(bench);
		go(bench, false, 613);
	}
	snprintf(wanted, size + 500,
		 "PUT /1 HTTP/1.1\r\n" JSON_TYPE "Content-Length: %zu\r\n\r\n{\"a\":22%s"
		 "GET /2 HTTP/1.1\r\n\r\nGET /3 HTTP/1.1\r\n\r\n",
		 size + 1, body + 6);
	assert_sent(bench, false, wanted);
	assert_int_equal(bench->stream.pending, 3);
	assert_int_equal(bench->relay.changed_requests, 1);
	assert_int_equal(bench->relay.unchanged, 2); /* without a body */
	free(body);
	free(wanted);
	finish(bench);
}

static void test_without_memory_it_goes_on_as_it_came(void **state)
{
	static const char put[] =
		"PUT / HTTP/1.1\r\n" JSON_TYPE "Content-Length: 7\r\n\r\n{\"a\":1}";
	static const char ok[] = "HTTP/1.1 200 OK\r\n" JSON_TYPE
				 "Transfer-Encoding: chunked\r\n\r\n7\r\n{\"a\":1}\r\n0\r\n\r\n";
	struct bench *bench = BENCH("merge-request-body", "{\"a\":2}");

	(void)state;
	bench->relay.kept = HTTP_KEPT_ALL_MAX;
	come(&bench->stream.to_server, put);
	settle(bench);
	go(bench, false, ALL_MAX);
	assert_sent(bench, false, put);
	assert_int_equal(bench->relay.unchanged, 1);
	bench->relay.kept = 0;
	finish(bench);
	bench = BENCH("merge-body", "{\"a\":2}");
	come(&bench->stream.to_server, "GET / HTTP/1.1\r\n\r\n");
	settle(bench);
	/* room to begin, and no more for what becomes of it */
	bench->relay.kept = HTTP_KEPT_ALL_MAX - 5000;
	come(&bench->stream.to_client, ok);
	settle(bench);
	go(bench, true, ALL_MAX);
	assert_sent(bench, true, ok);
	assert_int_equal(bench->relay.unchanged, 1);
	assert_int_equal(bench->relay.kept, HTTP_KEPT_ALL_MAX - 5000);
	bench->relay.kept = 0;
	finish(bench);
}

/* A chunked body says only by and by how long it is. */
static void test_what_becomes_too_long_goes_on_as_it_came(void **state)
{
	struct bench *bench = BENCH("merge-body", "{\"a\":2}");
	struct http_lane *lane = &bench->stream.to_client;
	char chunk[1100];
	size_t came = 0;

	(void)state;
	come(&bench->stream.to_server, "GET / HTTP/1.1\r\n\r\n");
	settle(bench);
	come(lane, "HTTP/1.1 200 OK\r\n" JSON_TYPE "Transfer-Encoding: chunked\r\n\r\n");
	snprintf(chunk, sizeof(chunk), "400\r\n%01024u\r\n", 7);
	for (; came + strlen(chunk) <= HTTP_KEPT_MAX; came += strlen(chunk)) {
		come(lane, chunk);
		settle(bench);
		assert_int_equal(lane->clear, 0);
	}
	come(lane, chunk);
	for (unsigned i = 0; i < 2000 && !http_lane_is_empty(lane); i++) {
		settle(bench);
		go(bench, true, 1 << 20);
		if (bench->sent_size[1] > ALL_MAX - (40 << 10)) {
			came -= bench->sent_size[1];
			bench->sent_size[1] = 0;
		}
	}
	assert_int_equal(bench->sent_size[1], came + strlen(chunk) +
						      strlen("HTTP/1.1 200 OK\r\n" JSON_TYPE
							     "Transfer-Encoding: chunked\r\n\r\n"));
	assert_int_equal(bench->relay.unchanged, 1);
	come(lane, "0\r\n\r\n");
	settle(bench);
	assert_int_equal(bench->stream.pending, 0);
	assert_int_equal(bench->relay.strange, 0);
	finish(bench);
}

/* When nothing is understood any more what is kept comes first. */
static void test_what_is_kept_is_not_lost_when_nothing_is_understood(void **state)
{
	struct bench *bench = BENCH("merge-request-body", "{\"a\":2}", "merge-body", "{\"a\":2}");

	(void)state;
	bench->stream.is_told = true;
	come(&bench->stream.to_server, "PUT / HTTP/1.1\r\n" JSON_TYPE "Content-Length: 2\r\n\r\n{}"
				       "PUT / HTTP/1.1\r\n" JSON_TYPE "Content-Length: 2\r\n\r\n{");
	settle(bench);
	come(&bench->stream.to_client,
	     "HTTP/1.1 200 OK\r\n" JSON_TYPE "Content-Length: 2\r\n\r\n{}HTTP/1.1 what");
	settle(bench);
	come(&bench->stream.to_client, "\r\n\r\n");
	settle(bench);
	assert_int_equal(bench->stream.mode, HTTP_RAW);
	come(&bench->stream.to_server, "}");
	settle(bench);
	go(bench, false, ALL_MAX);
	go(bench, true, ALL_MAX);
	assert_sent(bench, false,
		    "PUT / HTTP/1.1\r\n" JSON_TYPE "Content-Length: 7\r\n\r\n{\"a\":2}"
		    "PUT / HTTP/1.1\r\n" JSON_TYPE "Content-Length: 2\r\n\r\n{}");
	assert_sent(bench, true,
		    "HTTP/1.1 200 OK\r\n" JSON_TYPE
		    "Cache-Control: no-store\r\nContent-Length: 7\r\n\r\n{\"a\":2}"
		    "HTTP/1.1 what\r\n\r\n");
	finish(bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_behind_stays_behind),
		cmocka_unit_test(test_without_memory_it_goes_on_as_it_came),
		cmocka_unit_test(test_what_becomes_too_long_goes_on_as_it_came),
		cmocka_unit_test(test_what_is_kept_is_not_lost_when_nothing_is_understood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
