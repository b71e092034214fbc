/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * libcurl's sockets on the loop: what it waits for is told as often as if it were watched for that
 * alone, whatever it leaves unread, and what is let go of is not told any more.
 */
#include "injector/probes/web_sockets.h"

#include "injector/base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/socket.h>
#include <unistd.h>

static struct loop *loop;
static unsigned told, then_wanted;
static int told_events;

static void on_socket(curl_socket_t fd, int events)
{
	told++;
	told_events = events;
	if (then_wanted)
		assert_int_equal(web_sockets_want(fd, (int)then_wanted), 0);
	then_wanted = 0;
	web_sockets_settle();
}

static void expect_told(unsigned times, int events)
{
	told = 0;
	told_events = 0;
	assert_int_equal(loop_turn(loop, 20 * NSEC_PER_MSEC, NULL), 0);
	assert_int_equal(told, times);
	assert_int_equal(told_events, events);
}

/* Ours, wanted to write as one that connects, and what the other side holds. */
static int begin(int *out_peer)
{
	int pair[2];

	then_wanted = 0;
	assert_int_equal(loop_new(&loop, NULL), 0);
	web_sockets_open(loop, on_socket);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
			 0);
	assert_int_equal(web_sockets_want(pair[0], CURL_POLL_OUT), 0);
	*out_peer = pair[1];
	return pair[0];
}

static void end(int ours, int peer)
{
	assert_int_equal(web_sockets_want(ours, CURL_POLL_REMOVE), 0);
	assert_int_equal(web_sockets_close_one(NULL, ours), 0);
	if (peer >= 0)
		close(peer);
	web_sockets_close();
	loop_free(loop);
}

static void say(int fd, const char *text, size_t length)
{
	assert_int_equal(write(fd, text, length), length);
}

static void hear(int fd, size_t length)
{
	char text[16];

	assert_int_equal(read(fd, text, length), length);
}

static void test_writes_then_reads_in_pieces(void **state)
{
	int peer, ours = begin(&peer);

	(void)state;
	then_wanted = CURL_POLL_IN;
	expect_told(1, CURL_CSELECT_OUT);
	expect_told(0, 0);
	say(peer, "abc", 3);
	expect_told(1, CURL_CSELECT_IN);
	hear(ours, 1); /* the rest is told of, again and again */
	expect_told(1, CURL_CSELECT_IN);
	expect_told(1, CURL_CSELECT_IN);
	hear(ours, 2);
	expect_told(0, 0);
	say(peer, "d", 1);
	expect_told(1, CURL_CSELECT_IN);
	end(ours, peer);
}

static void test_what_came_before_it_was_wanted_is_told(void **state)
{
	int peer, ours = begin(&peer);

	(void)state;
	say(peer, "early", 5);
	then_wanted = CURL_POLL_IN;
	expect_told(1, CURL_CSELECT_OUT);
	expect_told(1, CURL_CSELECT_IN);
	end(ours, peer);
}

static void test_who_still_wants_to_write_is_told_again(void **state)
{
	int peer, ours = begin(&peer);

	(void)state;
	expect_told(1, CURL_CSELECT_OUT);
	expect_told(1, CURL_CSELECT_OUT);
	then_wanted = CURL_POLL_IN;
	expect_told(1, CURL_CSELECT_OUT);
	expect_told(0, 0);
	end(ours, peer);
}

static void test_writing_again_after_reading(void **state)
{
	int peer, ours = begin(&peer);

	(void)state;
	then_wanted = CURL_POLL_IN;
	expect_told(1, CURL_CSELECT_OUT);
	assert_int_equal(web_sockets_want(ours, CURL_POLL_OUT), 0);
	expect_told(1, CURL_CSELECT_OUT);
	assert_int_equal(web_sockets_want(ours, CURL_POLL_INOUT), 0);
	say(peer, "a", 1);
	expect_told(1, CURL_CSELECT_IN | CURL_CSELECT_OUT);
	end(ours, peer);
}

static void test_hang_up_is_told(void **state)
{
	int peer, ours = begin(&peer);

	(void)state;
	then_wanted = CURL_POLL_IN;
	expect_told(1, CURL_CSELECT_OUT);
	close(peer);
	expect_told(1, CURL_CSELECT_IN | CURL_CSELECT_ERR);
	expect_told(1, CURL_CSELECT_IN | CURL_CSELECT_ERR); /* for as long as it is not closed */
	end(ours, -1);
}

static void test_let_go_but_kept_open(void **state)
{
	int peer, ours = begin(&peer);

	(void)state;
	then_wanted = CURL_POLL_REMOVE;
	expect_told(1, CURL_CSELECT_OUT);
	say(peer, "a", 1);
	expect_told(0, 0);
	assert_int_equal(web_sockets_want(ours, CURL_POLL_IN), 0); /* used again */
	expect_told(1, CURL_CSELECT_IN);
	end(ours, peer);
}

static void test_number_of_a_closed_one_is_a_new_one(void **state)
{
	int peer, ours = begin(&peer), pair[2];

	(void)state;
	then_wanted = CURL_POLL_IN;
	expect_told(1, CURL_CSELECT_OUT);
	assert_int_equal(web_sockets_want(ours, CURL_POLL_REMOVE), 0);
	assert_int_equal(web_sockets_close_one(NULL, ours), 0);
	close(peer);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
			 0);
	assert_int_equal(pair[0], ours);
	expect_told(0, 0);
	assert_int_equal(web_sockets_want(pair[0], CURL_POLL_OUT), 0);
	then_wanted = CURL_POLL_IN;
	expect_told(1, CURL_CSELECT_OUT);
	end(pair[0], pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_writes_then_reads_in_pieces),
		cmocka_unit_test(test_what_came_before_it_was_wanted_is_told),
		cmocka_unit_test(test_who_still_wants_to_write_is_told_again),
		cmocka_unit_test(test_writing_again_after_reading),
		cmocka_unit_test(test_hang_up_is_told),
		cmocka_unit_test(test_let_go_but_kept_open),
		cmocka_unit_test(test_number_of_a_closed_one_is_a_new_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
