/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A client and a server of our own with the http fault between them, which say what they are told
 * to, beside curl and nginx. To be included by one test program each.
 */
#ifndef SQUALL_TESTS_HTTP_PAIR_H
#define SQUALL_TESTS_HTTP_PAIR_H

#include "tests/netns/http_bench.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define OWN_PORT  8090
#define NO_STORE  "Cache-Control: no-store\r\n"

static inline void assert_output(const struct netlab *lab, const char *wanted,
				 const char *arguments)
{
	cleanup_free char *text =
		netlab_output("ip netns exec %s curl -s --max-time 20 %s", lab->near, arguments);

	if (strcmp(text, wanted) != 0)
		fail_msg("curl %s: '%s' instead of '%s'", arguments, text, wanted);
}

/* A server of our own. */
static inline int listen_far(const struct netlab *lab, const char *address)
{
	struct sockaddr_storage server;
	socklen_t size = netlab_socket_address(address, OWN_PORT, &server);
	int fd = netlab_own_socket(lab->far_fd, address, SOCK_STREAM), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	assert_int_equal(bind(fd, (struct sockaddr *)&server, size), 0);
	assert_int_equal(listen(fd, 10), 0);
	return fd;
}

struct pair {
	int client, server;
};

static inline struct pair meet(const struct netlab *lab, int listener, const char *address)
{
	const struct timeval limit = {.tv_sec = 10};
	struct pair pair = {.client = netlab_dial(lab->near_fd, address, OWN_PORT)};

	assert_true(pair.client >= 0);
	pair.server = accept(listener, NULL, NULL);
	assert_true(pair.server >= 0);
	setsockopt(pair.client, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(pair.server, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return pair;
}

static inline void part(const struct pair *pair)
{
	close(pair->client);
	close(pair->server);
}

/* These bytes come next. */
static inline void hears(int fd, const char *wanted)
{
	size_t size = strlen(wanted), used = 0;
	cleanup_free char *heard = calloc(1, size + 1);

	assert_non_null(heard);
	while (used < size) {
		ssize_t got = recv(fd, heard + used, size - used, 0);

		if (got <= 0)
			break;
		used += (size_t)got;
	}
	if (strcmp(heard, wanted) != 0)
		fail_msg("'%s' instead of '%s'", heard, wanted);
}

static inline void hears_the_end(int fd)
{
	char byte;

	assert_int_equal(recv(fd, &byte, 1, 0), 0);
}

static inline void hears_nothing(int fd)
{
	struct pollfd polled = {.fd = fd, .events = POLLIN};

	assert_int_equal(poll(&polled, 1, 200), 0);
}

#endif
