/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Everything is as before when the http fault has ended, was killed, was taken away by somebody, or
 * could not begin; and what becomes of the connections that run through it.
 */
#include "tests/netns/http_bench.h"
#include "tests/netns/redirect_failing.h"

#include <errno.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

static int64_t ms_since(int64_t before_ns)
{
	return (clock_now_ns() - before_ns) / NSEC_PER_MSEC;
}

/* Nothing has come for so long. */
static void assert_silent(int fd, int ms)
{
	struct pollfd polled = {.fd = fd, .events = POLLIN};

	assert_int_equal(poll(&polled, 1, ms), 0);
}

/* Ending. */

static void test_what_waits_goes_on_when_it_ends(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char heard[4096];
	int fd;

	START(lab, &fault, "to", "10.88.0.2", "delay", "30s");
	fd = dial(lab, "10.88.0.2");
	say(fd, GET("/up"));
	assert_silent(fd, 200);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	hear(fd, "\r\n\r\nup", heard, sizeof(heard));
	assert_int_equal(recv(fd, heard, 1, 0), 0); /* hung up on, properly */
	close(fd);
}

static void test_idle_connections_are_closed_at_once(void **state)
{
	struct netlab *lab = *state;
	char *before = netlab_dump(lab), heard[4096];
	struct netlab_fault fault;
	int64_t before_ns;
	int fds[20];

	START(lab, &fault, "to", "10.88.0.2", "to", "fd88::2", "path", "/none", "answer", "503");
	for (unsigned i = 0; i < 20; i++) {
		fds[i] = dial(lab, i % 2 ? "10.88.0.2" : "fd88::2");
		say(fds[i], GET("/up"));
		hear(fds[i], "\r\n\r\nup", heard, sizeof(heard));
	}
	before_ns = clock_now_ns();
	netlab_fault_end(&fault, FAULT_END_SOFT);
	assert_true(ms_since(before_ns) < 1900); /* without waiting for anybody */
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(recv(fds[i], heard, 1, 0), 0);
		close(fds[i]);
	}
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	assert_curl(lab, "200", "http://10.88.0.2/up");
	netlab_same(lab, before);
}

static void test_a_download_is_finished_or_cut_never_short(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	int64_t before_ns;
	pid_t curls[2];
	int status;

	START(lab, &fault, "to", "10.88.0.2", "path", "/none", "answer", "503");
	for (unsigned i = 0; i < 2; i++) {
		curls[i] = fork();
		if (curls[i] == 0)
			_exit(netlab_try("ip netns exec %s curl -s -o %s/got%u --max-time 20 "
					 "http://10.88.0.2/slow/%s",
					 lab->near, bench_home, i, i ? "big" : "mid"));
	}
	while (counters_of(&fault).requests < 2)
		poll(NULL, 0, 10);
	before_ns = clock_now_ns();
	netlab_fault_end(&fault, FAULT_END_SOFT);
	assert_in_range(ms_since(before_ns), 1000, 10000);
	assert_int_equal(waitpid(curls[0], &status, 0), curls[0]);
	assert_int_equal(WEXITSTATUS(status), 0);
	netlab_run("cmp %s/got0 %s/mid", bench_home, bench_home);
	assert_int_equal(waitpid(curls[1], &status, 0), curls[1]);
	assert_int_not_equal(WEXITSTATUS(status), 0); /* and curl knows */
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	assert_bytes(lab, "mid", "http://10.88.0.2/slow/mid");
}

static void test_injected_again_after_its_end(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct error err = ERROR_INIT;

	START(lab, &fault, "to", "10.88.0.2", "answer", "503");
	for (unsigned i = 0; i < 3; i++) {
		assert_curl(lab, "503", "http://10.88.0.2/up");
		netlab_fault_end(&fault, i % 2 ? FAULT_END_NOW : FAULT_END_SOFT);
		netlab_undo_all(fault.run_id);
		netlab_undo_all(fault.run_id); /* twice: nothing more happens */
		assert_curl(lab, "200", "http://10.88.0.2/up");
		if (http_fault.inject(&fault.fault, &err) < 0)
			fail_msg("%s", err.text);
	}
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

/* Dying. */

static pid_t start_to_be_killed(struct netlab *lab, const char *run_id)
{
	return netlab_fault_start_apart(lab, run_id,
					SETTINGS("to", "10.88.0.2", "to", "fd88::2", "path",
						 "/index.html", "answer", "503"));
}

/* A connection that waits for an answer is told at once that there will be none. */
static void test_killed_and_then_restored(void **state)
{
	static const char *const servers[] = {"10.88.0.2", "fd88::2"};
	struct netlab *lab = *state;
	char *before = netlab_dump(lab), heard[4096];
	int fds[2];
	int64_t killed_ns;
	pid_t child;

	child = start_to_be_killed(lab, "kkkkk1");
	assert_curl(lab, "503", "http://10.88.0.2/index.html");
	for (unsigned i = 0; i < 2; i++) {
		fds[i] = dial(lab, servers[i]);
		say(fds[i], GET("/slow/big"));
		hear(fds[i], "200 OK", heard, sizeof(heard));
	}
	kill(child, SIGKILL);
	killed_ns = clock_now_ns();
	for (unsigned i = 0; i < 2; i++) {
		ssize_t size;

		while ((size = recv(fds[i], heard, sizeof(heard), 0)) > 0)
			;
		assert_int_equal(size, -1); /* cut, and not ended */
		assert_int_equal(errno, ECONNRESET);
		close(fds[i]);
	}
	assert_true(ms_since(killed_ns) < 1000);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_curl(lab, "200", "http://10.88.0.2/index.html");
	assert_curl(lab, "200", "http://[fd88::2]/index.html");
	netlab_same(lab, before);
	netlab_undo_all("kkkkk1");
	netlab_undo_all("kkkkk1");
}

/* One that has come while nobody looked at it is told, too. */
static void test_stopped_and_then_killed(void **state)
{
	static const char *const servers[] = {"10.88.0.2", "fd88::2"};
	struct netlab *lab = *state;
	int fds[2];
	char byte;
	pid_t child;

	child = start_to_be_killed(lab, "kkkkk3");
	kill(child, SIGSTOP);
	assert_int_equal(waitpid(child, NULL, WUNTRACED), child);
	for (unsigned i = 0; i < 2; i++) {
		fds[i] = dial(lab, servers[i]);
		say(fds[i], GET("/up"));
		assert_silent(fds[i], 100);
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
	assert_curl(lab, "200", "http://10.88.0.2/index.html");
	netlab_undo_all("kkkkk3");
}

/* Coming back from the same port, while somebody else keeps connection tracking and translation
 * going: the kernel shall not lead there again where nobody listens any more. */

static int dial_from(const struct netlab *lab, uint16_t port)
{
	struct sockaddr_storage own, server;
	socklen_t size = netlab_socket_address("10.88.0.1", port, &own);
	int fd = netlab_own_socket(lab->near_fd, "10.88.0.2", SOCK_STREAM);
	const int on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	assert_int_equal(bind(fd, (struct sockaddr *)&own, size), 0);
	netlab_socket_address("10.88.0.2", 80, &server);
	if (connect(fd, (struct sockaddr *)&server, size) < 0)
		fail_msg("port %u: %s", port, strerror(errno));
	return fd;
}

static void assert_served_from(const struct netlab *lab, uint16_t port)
{
	char heard[4096];
	int fd = dial_from(lab, port);

	say(fd, GET("/up"));
	hear(fd, "\r\n\r\nup", heard, sizeof(heard));
	netlab_hang_up(fd);
}

static void keep_tracking(const struct netlab *lab)
{
	netlab_run("ip netns exec %s nft add table ip theirs", lab->near);
	netlab_run("ip netns exec %s nft add chain ip theirs out {type nat hook output priority "
		   "-100;}",
		   lab->near);
	netlab_run("ip netns exec %s nft add rule ip theirs out ct state new counter", lab->near);
}

static void test_who_comes_back_from_the_same_port_is_served(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char heard[4096];
	int aborted, idle, asking;

	keep_tracking(lab);
	START(lab, &fault, "to", "10.88.0.2", "path", "/index.html", "abort", "true");
	aborted = dial_from(lab, 50001);
	say(aborted, GET("/index.html"));
	assert_int_equal(recv(aborted, heard, 1, 0), -1);
	close(aborted);
	idle = dial_from(lab, 50002);
	say(idle, GET("/up"));
	hear(idle, "\r\n\r\nup", heard, sizeof(heard));
	asking = dial_from(lab, 50003);
	say(asking, GET("/slow/big"));
	hear(asking, "200 OK", heard, sizeof(heard));
	netlab_fault_finish(&fault, FAULT_END_NOW);
	close(idle);
	netlab_hang_up(asking);
	for (uint16_t port = 50001; port <= 50003; port++)
		assert_served_from(lab, port);
	netlab_run("ip netns exec %s nft delete table ip theirs", lab->near);
}

static void test_so_is_who_comes_back_after_a_death(void **state)
{
	struct netlab *lab = *state;
	char heard[4096];
	int fd;
	pid_t child;

	keep_tracking(lab);
	child = start_to_be_killed(lab, "kkkkk2");
	fd = dial_from(lab, 50011);
	say(fd, GET("/slow/big"));
	hear(fd, "200 OK", heard, sizeof(heard));
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
	netlab_hang_up(fd);
	netlab_undo_all("kkkkk2"); /* as the guardian does */
	assert_served_from(lab, 50011);
	netlab_run("ip netns exec %s nft delete table ip theirs", lab->near);
}

/* Failing. */

static void assert_away(const struct netlab *lab)
{
	assert_curl(lab, "200", "http://10.88.0.2/up");
}

static void test_a_failure_at_each_step_leaves_nothing(void **state)
{
	fail_at_each_step(*state, SETTINGS("to", "10.88.0.2", "answer", "503"), assert_away);
}

static void test_somebody_removes_the_table(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct evidence seen;
	struct error err = ERROR_INIT;
	struct http_state *http;

	START(lab, &fault, "to", "10.88.0.2", "answer", "503");
	http = fault.fault.state;
	netlink_close(http->redirect.owner); /* nobody else can */
	http->redirect.owner = NULL;
	assert_int_equal(http_fault.evidence(&fault.fault, &seen, &err), -ESTALE);
	assert_curl(lab, "200", "http://10.88.0.2/up");
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_waits_goes_on_when_it_ends),
		cmocka_unit_test(test_idle_connections_are_closed_at_once),
		cmocka_unit_test(test_a_download_is_finished_or_cut_never_short),
		cmocka_unit_test(test_injected_again_after_its_end),
		cmocka_unit_test(test_killed_and_then_restored),
		cmocka_unit_test(test_stopped_and_then_killed),
		cmocka_unit_test(test_who_comes_back_from_the_same_port_is_served),
		cmocka_unit_test(test_so_is_who_comes_back_after_a_death),
		cmocka_unit_test(test_a_failure_at_each_step_leaves_nothing),
		cmocka_unit_test(test_somebody_removes_the_table),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
