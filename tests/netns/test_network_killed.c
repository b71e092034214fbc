/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * SIGKILL behind every single system call with which a network fault is injected and ended.
 * Whatever the moment: with the process the effect is gone, no packet is lost, and undo finds
 * everything.
 */
#include "tests/support/netlab.h"
#include "tests/support/squall_runner.h"

#include "faults/network.h"
#include "injector/base/clock.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define RUN	  "kkkkk1"
#define CALLS_MAX 200
#define FAST_NS	  (1900 * NSEC_PER_MSEC) /* also on a busy machine */

/* 0: nobody counts. Else the process dies behind so many calls. */
static unsigned calls_left;

static long counted(long result)
{
	if (calls_left && --calls_left == 0)
		kill(getpid(), SIGKILL);
	return result;
}

/* In front of those of libc. */
ssize_t send(int fd, const void *data, size_t size, int flags)
{
	return counted(syscall(SYS_sendto, fd, data, size, flags, NULL, 0));
}

ssize_t sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *to,
	       socklen_t length)
{
	return counted(syscall(SYS_sendto, fd, data, size, flags, to, length));
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	return counted(syscall(SYS_sendmsg, fd, message, flags));
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *argument;

	va_start(args, request);
	argument = va_arg(args, void *);
	va_end(args);
	return (int)counted(syscall(SYS_ioctl, fd, request, argument));
}

static void live(struct netlab *lab, unsigned calls, const char *const *settings)
{
	struct netlab_fault fault;
	struct error err = ERROR_INIT;

	if (netlab_fault_plan(lab, &fault, RUN, settings, &err) < 0)
		_exit(1);
	calls_left = calls;
	if (network_fault.inject(&fault.fault, &err) < 0)
		_exit(2);
	netlab_fault_end(&fault, FAULT_END_SOFT);
	netlab_undo_all(RUN);
	_exit(0);
}

/* True when it died of it. */
static bool die_behind(struct netlab *lab, unsigned calls, const char *address,
		       const char *const *settings)
{
	struct error err = ERROR_INIT;
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		live(lab, calls, settings);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	for (unsigned i = 0; i < 3; i++) {
		int64_t took_ns = netlab_round_trip(lab, address, NETLAB_PORT, 4000);

		if (took_ns < 0 || took_ns > FAST_NS)
			fail_msg("killed behind call %u: %lld us", calls,
				 (long long)took_ns / 1000);
	}
	netlab_undo_all(RUN);
	if (journal_remove(RUN, &err) < 0)
		fail_msg("%s", err.text);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		return true;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	return false;
}

static void check(struct netlab *lab, const char *address, const char *const *settings)
{
	/* an emulated machine takes seconds for each */
	unsigned step = is_emulated() ? 6 : 1, calls = 1, deaths = 0;
	char *before = netlab_dump(lab);

	while (calls < CALLS_MAX && die_behind(lab, calls, address, settings)) {
		calls += step;
		deaths++;
	}
	netlab_same(lab, before);
	printf("# killed %u times, once every %u calls\n", deaths, step);
	assert_in_range(calls, 5, CALLS_MAX - 1);
}

static void test_delay(void **state)
{
	check(*state, "10.88.0.2",
	      (const char *[]){"to", "10.88.0.2", "delay", "2s", "direction", "both", NULL});
}

static void test_delay_and_loss(void **state)
{
	check(*state, "10.88.0.2",
	      (const char *[]){"to", "10.88.0.2", "delay", "2s", "loss", "99%", NULL});
}

static void test_partition(void **state)
{
	check(*state, "10.88.0.2", (const char *[]){"to", "10.88.0.2", "loss", "100%", NULL});
}

static void test_delay_on_loopback(void **state)
{
	check(*state, "127.0.0.1", (const char *[]){"to", "127.0.0.1", "delay", "2s", NULL});
}

/* Filters that outlive the process, inert, and a clsact that came with them. */
static void test_delay_by_clsact(void **state)
{
	setenv("SQUALL_HOOK", "clsact", 1);
	check(*state, "10.88.0.2",
	      (const char *[]){"to", "10.88.0.2", "delay", "2s", "direction", "both", NULL});
}

static void test_delay_and_loss_by_clsact(void **state)
{
	setenv("SQUALL_HOOK", "clsact", 1);
	check(*state, "10.88.0.2",
	      (const char *[]){"to", "10.88.0.2", "delay", "2s", "loss", "99%", NULL});
}

static void test_partition_by_clsact(void **state)
{
	setenv("SQUALL_HOOK", "clsact", 1);
	check(*state, "10.88.0.2", (const char *[]){"to", "10.88.0.2", "loss", "100%", NULL});
}

#define ON_LAB(test) cmocka_unit_test_setup_teardown(test, netlab_setup, netlab_teardown_ways)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_LAB(test_delay),
		ON_LAB(test_delay_and_loss),
		ON_LAB(test_partition),
		ON_LAB(test_delay_on_loopback),
		ON_LAB(test_delay_by_clsact),
		ON_LAB(test_delay_and_loss_by_clsact),
		ON_LAB(test_partition_by_clsact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
