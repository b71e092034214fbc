/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Who connects to the responder of the http fault without end does not keep it from those who are
 * there already.
 */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static unsigned waiting; /* at each listening socket */

static int take_one(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
	(void)fd;
	*size = sizeof(struct sockaddr_in);
	address->sa_family = AF_INET;
	if (waiting) {
		waiting--;
		return socket(AF_INET, SOCK_STREAM | flags, 0);
	}
	errno = EAGAIN;
	return -1;
}
#define accept4 take_one

/* its sockets are its own business */
#include "faults/http_responder.c" /* NOLINT(bugprone-suspicious-include) */

static void test_a_turn_takes_so_many(void **state)
{
	const struct http_policy policy = {.body = ""};
	const struct http_responder_config config = {.namespace_fd = -1, .policy = &policy};
	struct responder *responder;

	(void)state;
	assert_int_equal(http_responder_new(&config, &responder, NULL), 0);
	waiting = 1000;
	have_come(responder, EPOLLIN);
	assert_in_range(waiting, 1000 - SOCKETS * 64, 1000 - 64);
	soften(responder); /* all that were redirected are in the queue */
	assert_int_equal(waiting, 0);
	responder_free(responder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_turn_takes_so_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
