/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Everything is as before when the dns fault has ended, was killed, was taken away by somebody, or
 * could not begin.
 */
#include "tests/netns/dns_bench.h"
#include "tests/netns/redirect_failing.h"

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
	for (unsigned i = 0; i < 500 && netlab_evidence(&fault).hits == 0; i++)
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

static pid_t start_to_be_killed(struct netlab *lab, const char *run_id)
{
	return netlab_fault_start_apart(lab, run_id,
					SETTINGS("to", "10.88.0.2", "to", "fd88::2", "name",
						 "gone.test", "answer", "nxdomain"));
}

static void test_killed_and_then_restored(void **state)
{
	struct netlab *lab = *state;
	char *before = netlab_dump(lab);
	int fd = dns_socket(lab, "10.88.0.2", 53, SOCK_DGRAM);
	int64_t killed_ns;
	pid_t child;

	child = start_to_be_killed(lab, "kkkkk1");
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
	int fds[2];
	size_t size;
	char byte;
	pid_t child;

	child = start_to_be_killed(lab, "kkkkk3");
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

static void assert_away(const struct netlab *lab)
{
	ASSERT_SERVED(lab, .name = "gone.test");
}

static void test_a_failure_at_each_step_leaves_nothing(void **state)
{
	fail_at_each_step(*state,
			  SETTINGS("to", "10.88.0.2", "name", "gone.test", "answer", "nxdomain"),
			  assert_away);
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
	netlink_close(dns->redirect.owner); /* nobody else can */
	dns->redirect.owner = NULL;
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
