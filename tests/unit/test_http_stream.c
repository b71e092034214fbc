/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One connection through the http fault, between socket pairs: what becomes of a request that is
 * met when its server loses patience, and of the body of one that was answered here.
 */
#include "faults/http.h"
#include "faults/http_relay.h"
#include "injector/base/clock.h"
#include "injector/base/quantity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SERVERS_MAX 3
#define TURN_NS	    (2 * NSEC_PER_MSEC)
#define DELAY_NS    (400 * NSEC_PER_MSEC)
#define GET(path)   "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define OK	    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define TOO_LATE    "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
#define POST	    "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n"
#define HALF	    "12345678901234567890123456789012345678901234567890"

static struct http_relay relay;
static struct http_policy policy;
static struct params params;
static int client, servers[SERVERS_MAX];
static unsigned server_count, forgotten;

bool http_relay_find_server(const struct http_relay *of, int fd, struct sockaddr_storage *out)
{
	(void)of, (void)fd;
	memset(out, 0, sizeof(*out));
	return true;
}

/* With little room, so that what a server does not read waits at our side. */
int http_relay_connect(const struct http_relay *of, struct redirect_way *way)
{
	const int little = 1;
	int pair[2];

	(void)of, (void)way;
	assert_true(server_count < SERVERS_MAX);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
			 0);
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &little, sizeof(little));
	servers[server_count++] = pair[1];
	return pair[0];
}

void http_relay_forget(const struct http_relay *of, const struct redirect_way *way)
{
	(void)of, (void)way;
	forgotten++;
}

/* What is met: /x and all below it. */
static int set_up(void **state)
{
	const struct sockaddr_storage from = {.ss_family = AF_INET};
	int pair[2];

	(void)state;
	memset(&relay, 0, sizeof(relay));
	assert_int_equal(params_init(&params, http_params, NULL), 0);
	assert_int_equal(params_add(&params, HTTP_PARAM_PATH, "/x*", 0, 0, NULL), 0);
	policy = (struct http_policy){.params = &params, .body = "no", .share_ppb = SHARE_ONE};
	relay.policy = &policy;
	relay.stream_max = 1;
	server_count = forgotten = 0;
	assert_int_equal(loop_new(&relay.base.loop, NULL), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
			 0);
	client = pair[0];
	http_stream_begin(&relay, pair[1], &from);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	http_stream_close_all(&relay);
	assert_int_equal(forgotten, server_count); /* of every connection to a server */
	loop_free(relay.base.loop);
	close(client);
	for (unsigned i = 0; i < server_count; i++)
		close(servers[i]);
	params_free(&params);
	return 0;
}

static void go_on_for(int64_t ns)
{
	int64_t until_ns = clock_now_ns() + ns;

	do
		assert_int_equal(loop_turn(relay.base.loop, TURN_NS, NULL), 0);
	while (clock_now_ns() < until_ns);
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	go_on_for(5 * TURN_NS);
}

/* What has come until it is silent. */
static const char *heard(int fd)
{
	static char text[1 << 16];
	size_t used = 0;

	for (unsigned silent = 0; silent < 4; silent++) {
		ssize_t got = recv(fd, text + used, sizeof(text) - 1 - used, 0);

		if (got > 0) {
			used += (size_t)got;
			silent = 0;
		}
		go_on_for(0);
	}
	text[used] = '\0';
	return text;
}

static void assert_heard(int fd, const char *wanted)
{
	assert_string_equal(heard(fd), wanted);
}

static void assert_answered(void)
{
	assert_int_equal(strncmp(heard(client), "HTTP/1.1 503", 12), 0);
}

/* Nothing more comes, and nothing did. */
static void assert_hung_up(int fd)
{
	char byte;

	assert_int_equal(recv(fd, &byte, 1, 0), 0);
}

/* The body of a request that was answered here. */

static void test_the_rest_of_a_body_is_no_request_when_the_server_has_ended(void **state)
{
	(void)state;
	policy.status = 503;
	say(client, POST HALF);
	assert_answered();
	shutdown(servers[0], SHUT_WR);
	go_on_for(5 * TURN_NS);
	assert_hung_up(client);
	send(client, GET("/admin"), strlen(GET("/admin")), MSG_NOSIGNAL);
	go_on_for(5 * TURN_NS);
	assert_heard(servers[0], "");
	assert_int_equal(server_count, 1);
	assert_int_equal(relay.hits, 1);
}

static void test_the_rest_of_a_body_is_no_request_when_the_server_speaks_unasked(void **state)
{
	(void)state;
	policy.status = 503;
	say(client, GET("/a"));
	assert_heard(servers[0], GET("/a"));
	say(servers[0], OK);
	assert_heard(client, OK);
	say(client, POST HALF);
	assert_answered();
	say(servers[0], TOO_LATE);
	assert_hung_up(client);
	send(client, GET("/admin"), strlen(GET("/admin")), MSG_NOSIGNAL);
	go_on_for(5 * TURN_NS);
	assert_heard(servers[0], "");
	assert_int_equal(server_count, 1);
	assert_int_equal(relay.strange, 1);
}

static void test_a_server_that_waits_no_longer_does_not_end_an_upload(void **state)
{
	(void)state;
	policy.status = 503;
	say(client, POST HALF);
	assert_answered();
	say(servers[0], TOO_LATE);
	assert_hung_up(servers[0]);
	say(client, HALF GET("/a"));
	assert_int_equal(server_count, 2);
	assert_heard(servers[1], GET("/a"));
	say(servers[1], OK);
	assert_heard(client, OK);
	assert_int_equal(relay.strange, 0);
}

/* A server that has answered an upload before it was there, and hangs up: the rest is for nobody
 * else. */
static void test_the_rest_of_a_refused_upload_opens_no_connection(void **state)
{
	static const char head[] = "POST /a HTTP/1.1\r\nContent-Length: 20000\r\n\r\n";
	static const char refusal[] = "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n";
	char said[21000];
	size_t size = strlen(head);

	(void)state;
	policy.delay_ns = DELAY_NS;
	memcpy(said, head, size);
	memset(said + size, 'x', 20000);
	strcpy(said + size + 20000, GET("/x"));
	say(client, said);
	assert_int_equal(relay.hits, 1);
	say(servers[0], refusal);
	shutdown(servers[0], SHUT_WR);
	go_on_for(2 * DELAY_NS);
	assert_heard(client, refusal);
	assert_int_equal(server_count, 1);
	assert_heard(servers[0], said);
}

/* A server that waits no longer for a request that is held here. */

static void test_what_an_unasked_server_says_is_no_answer(void **state)
{
	(void)state;
	policy.delay_ns = DELAY_NS;
	policy.status = 503;
	say(client, GET("/x"));
	say(servers[0], TOO_LATE);
	assert_hung_up(servers[0]);
	assert_int_equal(relay.delayed, 0);
	assert_heard(client, "");
	go_on_for(DELAY_NS);
	assert_answered();
	assert_int_equal(relay.delayed, 1);
	assert_int_equal(relay.strange, 0);
	assert_int_equal(server_count, 1);
	/* and the connection goes on */
	say(client, GET("/a"));
	assert_int_equal(server_count, 2);
	assert_heard(servers[1], GET("/a"));
	say(servers[1], OK);
	assert_heard(client, OK);
}

static void test_a_late_request_is_asked_anew(void **state)
{
	(void)state;
	policy.delay_ns = DELAY_NS;
	say(client, GET("/x"));
	say(servers[0], TOO_LATE);
	shutdown(servers[0], SHUT_RDWR);
	go_on_for(DELAY_NS);
	assert_int_equal(server_count, 2);
	assert_heard(servers[1], GET("/x"));
	say(servers[1], OK);
	assert_heard(client, OK);
	assert_int_equal(relay.delayed, 1);
}

static void test_an_abort_comes_though_the_server_waits_no_longer(void **state)
{
	char byte;

	(void)state;
	policy.delay_ns = DELAY_NS;
	policy.aborts = true;
	say(client, GET("/x"));
	say(servers[0], TOO_LATE);
	assert_int_equal(recv(client, &byte, 1, 0), -1);
	go_on_for(DELAY_NS);
	assert_int_equal(relay.aborted, 1);
	assert_int_equal(relay.stream_count, 0);
}

/* Who speaks before anything was asked speaks no HTTP. */
static void test_a_server_that_speaks_first_is_heard(void **state)
{
	(void)state;
	say(servers[0], "220 mail\r\n");
	assert_heard(client, "220 mail\r\n");
	assert_int_equal(relay.strange, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_the_rest_of_a_body_is_no_request_when_the_server_has_ended),
		TEST(test_the_rest_of_a_body_is_no_request_when_the_server_speaks_unasked),
		TEST(test_a_server_that_waits_no_longer_does_not_end_an_upload),
		TEST(test_the_rest_of_a_refused_upload_opens_no_connection),
		TEST(test_what_an_unasked_server_says_is_no_answer),
		TEST(test_a_late_request_is_asked_anew),
		TEST(test_an_abort_comes_though_the_server_waits_no_longer),
		TEST(test_a_server_that_speaks_first_is_heard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
