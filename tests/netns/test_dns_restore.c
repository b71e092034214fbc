/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Everything is as before when the dns fault has ended, was killed, was taken away by somebody, or
 * could not begin.
 */
#include "tests/netns/dns_bench.h"

#include "injector/base/clock.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_what_waits_arrives_when_it_ends_in_time(void **state)
{
	struct netlab *lab = *state;
	int fd = dns_socket(lab, "10.88.0.2", 53, SOCK_DGRAM);
	struct pollfd polled = {.fd = fd, .events = POLLIN};
	struct netlab_fault fault;
	uint8_t bytes[512];
	size_t size = dns_query("slow.test", DNS_TYPE_A, 7, bytes);

	START(lab, &fault, "to", "10.88.0.2", "name", "slow.test", "delay", "30s");
	assert_int_equal(send(fd, bytes, size, 0), size);
	for (unsigned i = 0; i < 500 && evidence_of(&fault).hits == 0; i++)
		poll(NULL, 0, 10);
	assert_int_equal(poll(&polled, 1, 50), 0);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	assert_int_equal(poll(&polled, 1, 1000), 1);
	assert_true(recv(fd, bytes, sizeof(bytes), 0) > 12);
	assert_int_equal(bytes[3] & 15, 0);
	close(fd);
}

static void test_injected_again_after_its_end(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct error err = ERROR_INIT;

	START(lab, &fault, "to", "10.88.0.2", "name", "gone.test", "answer", "nxdomain");
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(DNS_ASK(lab, .name = "gone.test").rcode, DNS_NXDOMAIN);
		netlab_fault_end(&fault, i % 2 ? FAULT_END_NOW : FAULT_END_SOFT);
		netlab_undo_all(fault.run_id);
		netlab_undo_all(fault.run_id); /* twice: nothing more happens */
		ASSERT_SERVED(lab, .name = "gone.test");
		if (dns_fault.inject(&fault.fault, &err) < 0)
			fail_msg("%s", err.text);
	}
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

/* Dying. */

static void live_until_killed(struct netlab *lab, const char *run_id, int ready)
{
	struct netlab_fault fault;
	struct error err = ERROR_INIT;

	if (netlab_fault_plan(lab, &fault, run_id,
			      (const char *[]){"fault", "dns", "to", "10.88.0.2", "to", "fd88::2",
					       "name", "gone.test", "answer", "nxdomain", NULL},
			      &err) < 0 ||
	    dns_fault.inject(&fault.fault, &err) < 0)
		_exit(1);
	if (write(ready, "r", 1) == 1)
		pause();
	_exit(2);
}

static void test_killed_and_then_restored(void **state)
{
	struct netlab *lab = *state;
	char *before = netlab_dump(lab), byte;
	int ends[2], fd = dns_socket(lab, "10.88.0.2", 53, SOCK_DGRAM);
	int64_t killed_ns;
	pid_t child;

	assert_int_equal(pipe(ends), 0);
	child = fork();
	if (child == 0)
		live_until_killed(lab, "kkkkk1", ends[1]);
	close(ends[1]);
	assert_int_equal(read(ends[0], &byte, 1), 1);
	close(ends[0]);
	assert_int_equal(DNS_ASK(lab, .name = "gone.test").rcode, DNS_NXDOMAIN);
	assert_int_equal(DNS_ASK(lab, .name = "gone.test", .fd = fd).rcode, DNS_NXDOMAIN);
	kill(child, SIGKILL);
	killed_ns = clock_now_ns();
	while (DNS_ASK(lab, .name = "gone.test", .timeout_ms = 100).rcode != 0)
		assert_true(clock_now_ns() < killed_ns + NSEC_PER_SEC);
	/* the old socket as well, and over TCP */
	ASSERT_SERVED(lab, .name = "gone.test", .fd = fd);
	ASSERT_SERVED(lab, .name = "gone.test", .over_tcp = true);
	assert_int_equal(waitpid(child, NULL, 0), child);
	netlab_same(lab, before);
	netlab_undo_all("kkkkk1");
	netlab_undo_all("kkkkk1");
	close(fd);
}

/* A connection that has come while nobody looked at it is told that there is no answer. */
static void test_stopped_and_then_killed(void **state)
{
	static const char *const servers[] = {"10.88.0.2", "fd88::2"};
	struct netlab *lab = *state;
	uint8_t query[2 + 512] = {0};
	int ends[2], fds[2];
	size_t size;
	char byte;
	pid_t child;

	assert_int_equal(pipe(ends), 0);
	child = fork();
	if (child == 0)
		live_until_killed(lab, "kkkkk3", ends[1]);
	close(ends[1]);
	assert_int_equal(read(ends[0], &byte, 1), 1);
	close(ends[0]);
	kill(child, SIGSTOP);
	assert_int_equal(waitpid(child, NULL, WUNTRACED), child);
	size = dns_query("gone.test", DNS_TYPE_A, 7, query + 2);
	query[1] = (uint8_t)size;
	for (unsigned i = 0; i < 2; i++) {
		struct pollfd polled = {.events = POLLIN};

		polled.fd = fds[i] = dns_socket(lab, servers[i], 53, SOCK_STREAM);
		assert_int_equal(send(fds[i], query, 2 + size, 0), 2 + size);
		assert_int_equal(poll(&polled, 1, 100), 0);
	}
	kill(child, SIGKILL);
	for (unsigned i = 0; i < 2; i++) {
		struct pollfd polled = {.fd = fds[i], .events = POLLIN};

		assert_int_equal(poll(&polled, 1, 2000), 1);
		assert_int_equal(recv(fds[i], &byte, 1, 0), -1);
		assert_int_equal(errno, ECONNRESET);
		close(fds[i]);
	}
	assert_int_equal(waitpid(child, NULL, 0), child);
	ASSERT_SERVED(lab, .name = "gone.test", .over_tcp = true);
	netlab_undo_all("kkkkk3");
}

/* Failing. */

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

static void test_a_failure_at_each_step_leaves_nothing(void **state)
{
	struct netlab *lab = *state;
	char *before = netlab_dump(lab);
	unsigned failed = 0;

	for (unsigned call = 1; call < 60; call++) {
		struct netlab_fault fault;
		struct error err = ERROR_INIT;
		bool is_injected, is_spent;

		if (netlab_fault_plan(lab, &fault, "fffff1",
				      (const char *[]){"fault", "dns", "to", "10.88.0.2", "name",
						       "gone.test", "answer", "nxdomain", NULL},
				      &err) < 0)
			fail_msg("%s", err.text);
		calls_left = call;
		is_injected = dns_fault.inject(&fault.fault, &err) == 0;
		is_spent = calls_left == 0;
		calls_left = 0;
		failed += !is_injected;
		assert_true(is_injected || err.text[0]);
		netlab_fault_finish(&fault, FAULT_END_NOW);
		ASSERT_SERVED(lab, .name = "gone.test");
		if (!is_spent)
			break;
		assert_true(call < 59);
	}
	assert_true(failed >= 5);
	netlab_same(lab, before);
}

static void test_somebody_removes_the_table(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct evidence seen;
	struct error err = ERROR_INIT;
	struct dns_state *dns;

	START(lab, &fault, "to", "10.88.0.2", "name", "gone.test", "answer", "nxdomain");
	dns = fault.fault.state;
	netlink_close(dns->owner); /* nobody else can */
	dns->owner = NULL;
	assert_int_equal(dns_fault.evidence(&fault.fault, &seen, &err), -ESTALE);
	ASSERT_SERVED(lab, .name = "gone.test");
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_waits_arrives_when_it_ends_in_time),
		cmocka_unit_test(test_injected_again_after_its_end),
		cmocka_unit_test(test_killed_and_then_restored),
		cmocka_unit_test(test_stopped_and_then_killed),
		cmocka_unit_test(test_a_failure_at_each_step_leaves_nothing),
		cmocka_unit_test(test_somebody_removes_the_table),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
