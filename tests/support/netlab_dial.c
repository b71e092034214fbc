/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/support/netlab_dial.h"

#include "injector/kernel/namespace.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

struct opening {
	int family, type, fd;
};

static int open_socket(void *context, struct error *err)
{
	struct opening *opening = context;

	(void)err;
	opening->fd = socket(opening->family, opening->type | SOCK_CLOEXEC, 0);
	return opening->fd < 0 ? -errno : 0;
}

static int family_of(const char *address)
{
	return strchr(address, ':') ? AF_INET6 : AF_INET;
}

socklen_t netlab_socket_address(const char *address, uint16_t port, struct sockaddr_storage *out)
{
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	const bool is_v4 = family_of(address) == AF_INET;

	memset(out, 0, sizeof(*out));
	out->ss_family = (sa_family_t)family_of(address);
	v4->sin_port = htons(port); /* at the same place in both */
	inet_pton(out->ss_family, address, is_v4 ? (void *)&v4->sin_addr : (void *)&v6->sin6_addr);
	return is_v4 ? sizeof(*v4) : sizeof(*v6);
}

int netlab_own_socket(int namespace_fd, const char *address, int type)
{
	struct opening opening = {.family = family_of(address), .type = type};
	const struct timeval limit = {.tv_sec = NETLAB_PATIENCE_S};

	assert_int_equal(namespace_run(namespace_fd, open_socket, &opening, NULL), 0);
	setsockopt(opening.fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	setsockopt(opening.fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return opening.fd;
}

int netlab_dial(int namespace_fd, const char *address, uint16_t port)
{
	return netlab_dial_from(namespace_fd, NULL, address, port);
}

int netlab_dial_from(int namespace_fd, const char *from, const char *address, uint16_t port)
{
	struct sockaddr_storage to, own;
	socklen_t size = from ? netlab_socket_address(from, 0, &own) : 0;
	int fd = netlab_own_socket(namespace_fd, address, SOCK_STREAM), result;

	if (from)
		assert_int_equal(bind(fd, (void *)&own, size), 0);
	size = netlab_socket_address(address, port, &to);
	if (connect(fd, (void *)&to, size) == 0)
		return fd;
	result = -errno;
	close(fd);
	return result;
}

int netlab_told(int fd)
{
	char byte;
	ssize_t size = recv(fd, &byte, 1, MSG_DONTWAIT);

	return size >= 0 ? ECONNRESET : errno == EAGAIN ? 0 : errno;
}

void netlab_hang_up(int fd)
{
	const struct linger at_once = {.l_onoff = 1};

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(fd);
}

void netlab_allow_descriptors(unsigned count)
{
	struct rlimit limit;
	int lowest;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	if (count == UINT_MAX)
		return;
	lowest = dup(0);
	assert_true(lowest >= 0);
	close(lowest);
	limit.rlim_cur = (rlim_t)lowest + count;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}
