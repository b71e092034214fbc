/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is said on one connection, when it cannot go on at once: messages that become longer wait
 * for room, and are neither lost nor taken for something else meanwhile.
 */
#include "tests/unit/http_exchange_bench.h"

static unsigned count_of(const char *text, size_t size, const char *word)
{
	unsigned count = 0;

	for (const char *at = text;
	     (at = memmem(at, size - (size_t)(at - text), word, strlen(word))); at += strlen(word))
		count++;
	return count;
}

static char value[2][PARAM_TEXT_MAX + 1];

static const char *large(unsigned which, const char *name)
{
	snprintf(value[which], sizeof(value[which]), "%s: %0350u", name, which);
	return value[which];
}

static void test_responses_wait_for_room_though_the_server_has_gone(void **state)
{
	struct bench *bench = BENCH("set-response-header", large(0, "A"), "set-response-header",
				    large(1, "B"), "set-body", "ours");
	struct http_lane *lane = &bench->stream.to_client;

	(void)state;
	for (unsigned i = 0; i < 60; i++)
		come(&bench->stream.to_server, "GET / HTTP/1.1\r\n\r\n");
	while (http_exchange_go_on(&bench->stream))
		;
	assert_int_equal(bench->stream.pending, 60);
	for (unsigned i = 0; i < 60; i++)
		come(lane, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\ntheirs");
	lane->has_ended = true;
	while (http_exchange_go_on(&bench->stream))
		;
	assert_true(lane->clear < lane->used); /* some wait */
	assert_true(bench->relay.changed_responses < 60);
	while (!http_lane_is_empty(lane)) {
		go(bench, true, 900);
		http_exchange_go_on(&bench->stream);
	}
	assert_int_equal(bench->relay.changed_responses, 60);
	assert_int_equal(count_of(bench->sent[1], bench->sent_size[1], "\r\n\r\nours"), 60);
	assert_int_equal(count_of(bench->sent[1], bench->sent_size[1], "theirs"), 0);
	assert_int_equal(bench->relay.strange, 0);
	bench_free(bench);
}

static void test_requests_wait_for_room_and_are_read_where_they_lie_then(void **state)
{
	struct bench *bench =
		BENCH("path", "/*", "set-request-header", large(0, "A"), "set-request-header",
		      large(1, "B"), "set-method", "PUT", "set-path", "/changed");
	struct http_lane *lane = &bench->stream.to_server;
	char text[100];

	(void)state;
	for (unsigned i = 0; i < 60; i++) {
		snprintf(text, sizeof(text),
			 "POST /%u HTTP/1.1\r\nN: %02u\r\nContent-Length: 3\r\n\r\nx%02u", i, i, i);
		come(lane, text);
	}
	while (http_exchange_go_on(&bench->stream))
		;
	assert_int_equal(bench->stream.mode, HTTP_HELD);
	while (!http_lane_is_empty(lane)) {
		go(bench, false, 900);
		http_exchange_go_on(&bench->stream);
	}
	assert_int_equal(bench->relay.changed_requests, 60);
	assert_int_equal(count_of(bench->sent[0], bench->sent_size[0], "POST"), 0);
	for (unsigned i = 0; i < 60; i++) {
		snprintf(text, sizeof(text), "PUT /changed HTTP/1.1\r\nN: %02u\r\n", i);
		assert_int_equal(count_of(bench->sent[0], bench->sent_size[0], text), 1);
		snprintf(text, sizeof(text), "\r\n\r\nx%02u", i);
		assert_int_equal(count_of(bench->sent[0], bench->sent_size[0], text), 1);
	}
	bench_free(bench);
}

/* The longest head that is understood, with all that may be added. */
static void test_a_full_lane_has_room_to_grow(void **state)
{
	struct bench *bench =
		BENCH("set-request-header", large(0, "A"), "set-request-header", large(1, "B"));
	struct http_lane *lane = &bench->stream.to_server;
	const char start[] = "GET / HTTP/1.1\r\nX: ";

	(void)state;
	come(lane, start);
	memset(lane->bytes + lane->used, 'x', HTTP_LANE_SIZE - lane->used);
	memcpy(lane->bytes + HTTP_LANE_SIZE - 4, "\r\n\r\n", 4);
	lane->used = HTTP_LANE_SIZE;
	while (http_exchange_go_on(&bench->stream))
		;
	go(bench, false, ALL_MAX);
	assert_int_equal(bench->relay.changed_requests, 1);
	assert_int_equal(bench->sent_size[0],
			 HTTP_LANE_SIZE + strlen(value[0]) + strlen(value[1]) + 4);
	assert_memory_equal(bench->sent[0] + bench->sent_size[0] - 8, "0001\r\n\r\n", 8);
	bench_free(bench);
}

/* Whoever is passed on unread while an answer is dropped gets the rest of that not. */
static void test_what_is_dropped_stays_dropped_when_nothing_is_understood_any_more(void **state)
{
	struct bench *bench = BENCH("set-body", "ours");
	struct http_stream *stream = &bench->stream;

	(void)state;
	come(&stream->to_server, "GET / HTTP/1.1\r\n\r\n");
	http_exchange_go_on(stream);
	come(&stream->to_client, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nthe");
	http_exchange_go_on(stream);
	come(&stream->to_server, "CONNECT a:1 HTTP/1.1\r\n\r\nraw");
	http_exchange_go_on(stream);
	assert_int_equal(stream->mode, HTTP_RAW);
	go(bench, true, ALL_MAX);
	bench->sent_size[1] = 0;
	memset(bench->sent[1], 0, ALL_MAX);
	come(&stream->to_client, "ir");
	http_exchange_go_on(stream);
	come(&stream->to_client, "sHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nothers");
	while (http_exchange_go_on(stream))
		;
	go(bench, true, ALL_MAX);
	assert_string_equal(bench->sent[1], "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nothers");
	bench_free(bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_responses_wait_for_room_though_the_server_has_gone),
		cmocka_unit_test(test_requests_wait_for_room_and_are_read_where_they_lie_then),
		cmocka_unit_test(test_a_full_lane_has_room_to_grow),
		cmocka_unit_test(
			test_what_is_dropped_stays_dropped_when_nothing_is_understood_any_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
