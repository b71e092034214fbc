/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A fault that redirects whose injection fails at each of its steps. To be included by one test
 * program each: it stands in front of the C library.
 */
#ifndef SQUALL_TESTS_REDIRECT_FAILING_H
#define SQUALL_TESTS_REDIRECT_FAILING_H

#include "tests/netns/redirect_bench.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>

static unsigned calls_left; /* 0: nothing fails */

static bool fails_now(void)
{
	return calls_left && --calls_left == 0;
}

/* In front of those of libc: each step of an injection needs one of them. */
int bind(int fd, const struct sockaddr *address, socklen_t size)
{
	if (!fails_now())
		return (int)syscall(SYS_bind, fd, address, size);
	errno = EACCES;
	return -1;
}

int listen(int fd, int backlog)
{
	if (!fails_now())
		return (int)syscall(SYS_listen, fd, backlog);
	errno = EACCES;
	return -1;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	if (!fails_now())
		return syscall(SYS_sendmsg, fd, message, flags);
	errno = EPERM;
	return -1;
}

/* `assert_away`: the server answers as without it. */
static inline void fail_at_each_step(struct netlab *lab, const char *const *settings,
				     void (*assert_away)(const struct netlab *lab))
{
	char *before = netlab_dump(lab);
	unsigned failed = 0;

	for (unsigned call = 1; call < 60; call++) {
		struct netlab_fault fault;
		struct error err = ERROR_INIT;
		bool is_injected, is_spent;

		if (netlab_fault_plan(lab, &fault, "fffff1", settings, &err) < 0)
			fail_msg("%s", err.text);
		calls_left = call;
		is_injected = fault.fault.ops->inject(&fault.fault, &err) == 0;
		is_spent = calls_left == 0;
		calls_left = 0;
		failed += !is_injected;
		assert_true(is_injected || err.text[0]);
		netlab_fault_finish(&fault, FAULT_END_NOW);
		assert_away(lab);
		if (!is_spent)
			break;
		assert_true(call < 59);
	}
	assert_true(failed >= 5);
	netlab_same(lab, before);
}

#endif
