/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Everything is as before when an http fault where requests arrive has ended, was killed, was
 * detached by somebody, or could not begin.
 */
#define BENCH_RUNS "uuuu"
#include "tests/netns/http_server_bench.h"
#include "tests/netns/redirect_failing.h"

#include "injector/kernel/bpf.h"

#include <errno.h>
#include <sys/wait.h>

/* Ending. */

static void test_new_connections_go_to_the_server_at_once(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	int64_t again_ns = 0;
	char heard[4096];
	int idle, held;

	START(at_server(lab), &fault, "local-port", "80", "path", "/up", "delay", "30s");
	idle = dial(lab, "10.88.0.2");
	say(idle, GET("/empty"));
	hear(idle, "204 No Content", heard, sizeof(heard));
	held = dial(lab, "fd88::2");
	say(held, GET("/up"));
	while (counters_of(&fault).requests < 2)
		poll(NULL, 0, 10);
	assert_int_equal(http_fault.end(&fault.fault, FAULT_END_SOFT, &again_ns, NULL), 0);
	assert_true(again_ns > 0);
	assert_both(lab, "200", "http://10.88.0.2/up"); /* without the delay */
	assert_int_equal(recv(idle, heard, 1, 0), 0);
	hear(held, "\r\n\r\nup", heard, sizeof(heard));
	assert_int_equal(recv(held, heard, 1, 0), 0);
	close(idle);
	close(held);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

/* Its last packet is on its way when new ones are not met any more. */
static void test_a_handshake_across_the_end_is_served(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	int64_t again_ns = 0;
	char heard[4096];
	int fd;

	START(at_server(lab), &fault, "local-port", "80", "path", "/none", "answer", "503");
	netlab_run("ip netns exec %s nft add table ip theirs", lab->far);
	netlab_run("ip netns exec %s nft add chain ip theirs in {type filter hook input priority "
		   "0;}",
		   lab->far);
	netlab_run("ip netns exec %s nft add rule ip theirs in tcp dport 80 tcp flags ack drop",
		   lab->far);
	fd = dial(lab, "10.88.0.2");
	say(fd, GET("/up"));
	assert_int_equal(http_fault.end(&fault.fault, FAULT_END_SOFT, &again_ns, NULL), 0);
	assert_true(again_ns > 0);
	netlab_run("ip netns exec %s nft delete table ip theirs", lab->far);
	netlab_fault_end(&fault, FAULT_END_SOFT);
	hear(fd, "\r\n\r\nup", heard, sizeof(heard));
	close(fd);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

static unsigned count_waiting(const struct netlab *lab)
{
	cleanup_free char *text =
		netlab_output("ip netns exec %s ss -Htan state time-wait", lab->far);
	unsigned count = 0;

	for (const char *at = text; (at = strchr(at, '\n')); at++)
		count++;
	return count;
}

/* What comes from everywhere is passed on from one address: its ports are not to run out. The
 * server is told the end all the same. */
static void test_clients_that_hang_up_leave_no_ports_behind(void **state)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
	struct netlab *lab = *state;
	int listener = netlab_socket(lab->far_fd, AF_INET, SOCK_STREAM, 0, "10.88.0.3", 7005);
	unsigned before = count_waiting(lab);
	struct netlab_fault fault;
	char heard[4096];

	assert_int_equal(listen(listener, 5), 0);
	START(at_server(lab), &fault, "local-port", "7005", "path", "/none", "answer", "503");
	for (unsigned i = 0; i < 20; i++) {
		int client = netlab_dial(lab->near_fd, "10.88.0.3", 7005), server;

		say(client, GET("/"));
		server = accept(listener, NULL, NULL);
		hear(server, "\r\n\r\n", heard, sizeof(heard));
		say(server, answer);
		hear(client, "\r\n\r\n", heard, sizeof(heard));
		close(client);
		poll(NULL, 0, 20);				/* a real one is later */
		assert_int_equal(recv(server, heard, 1, 0), 0); /* no reset */
		close(server);
	}
	assert_int_equal(count_waiting(lab), before);
	close(listener);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

static void test_an_abort_resets(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	int64_t before_ns = clock_now_ns();
	char heard[4096];
	ssize_t size;
	int fd;

	START(at_server(lab), &fault, "local-port", "80", "path", "/none", "answer", "503");
	fd = dial(lab, "10.88.0.2");
	say(fd, GET("/slow/big"));
	hear(fd, "200 OK", heard, sizeof(heard));
	netlab_fault_end(&fault, FAULT_END_NOW);
	while ((size = recv(fd, heard, sizeof(heard), 0)) > 0)
		;
	assert_int_equal(size, -1);
	assert_int_equal(errno, ECONNRESET);
	assert_true(clock_now_ns() - before_ns < 2 * NSEC_PER_SEC);
	close(fd);
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

static void test_injected_again_after_its_end(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct error err = ERROR_INIT;

	START(at_server(lab), &fault, "local-port", "80", "answer", "503");
	for (unsigned i = 0; i < 3; i++) {
		assert_both(lab, "503", "http://10.88.0.2/up");
		netlab_fault_end(&fault, i % 2 ? FAULT_END_NOW : FAULT_END_SOFT);
		netlab_undo_all(fault.run_id);
		netlab_undo_all(fault.run_id); /* twice: nothing more happens */
		assert_both(lab, "200", "http://10.88.0.2/up");
		if (http_fault.inject(&fault.fault, &err) < 0)
			fail_msg("%s", err.text);
	}
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

static void test_killed_and_then_restored(void **state)
{
	struct netlab *lab = *state;
	char *before = netlab_dump(at_server(lab)), heard[4096];
	pid_t child = netlab_fault_start_apart(
		at_server(lab), "kkkkk6",
		SETTINGS("local-port", "80", "path", "/up", "answer", "503"));
	ssize_t size;
	int fd;

	assert_both(lab, "503", "http://10.88.0.2/up");
	fd = dial(lab, "10.88.0.2");
	say(fd, GET("/slow/big"));
	hear(fd, "200 OK", heard, sizeof(heard));
	netlab_kill(child);
	while ((size = recv(fd, heard, sizeof(heard), 0)) > 0)
		;
	assert_int_equal(size, -1); /* cut, and not ended */
	assert_int_equal(errno, ECONNRESET);
	close(fd);
	assert_both(lab, "200", "http://10.88.0.2/up");
	assert_both(lab, "200", "http://[fd88::2]/up");
	assert_int_equal(bpf_links_end("sq_kkkkk6_0", true, NULL), 0);
	netlab_same(at_server(lab), before);
	netlab_undo_all("kkkkk6");
	netlab_undo_all("kkkkk6");
}

/* Of one that is stopped the guardian ends it, from the record. */
static void test_undone_while_its_process_is_there(void **state)
{
	struct netlab *lab = *state;
	pid_t child = netlab_fault_start_apart(
		at_server(lab), "kkkkk7",
		SETTINGS("local-port", "80", "path", "/up", "answer", "503"));

	assert_both(lab, "503", "http://10.88.0.2/up");
	assert_int_equal(kill(child, SIGSTOP), 0);
	netlab_undo_all("kkkkk7");
	assert_both(lab, "200", "http://10.88.0.2/up");
	netlab_kill(child);
}

static void test_somebody_detaches_the_program(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct evidence seen;
	struct error err = ERROR_INIT;
	char name[32];

	START(at_server(lab), &fault, "local-port", "80", "answer", "503");
	snprintf(name, sizeof(name), "sq_%s_0", fault.run_id);
	assert_int_equal(bpf_links_end(name, false, &err), 1);
	assert_int_equal(http_fault.evidence(&fault.fault, &seen, &err), -ESTALE);
	assert_non_null(strstr(err.text, "was detached"));
	assert_both(lab, "200", "http://10.88.0.2/up");
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

static void assert_away(const struct netlab *lab)
{
	assert_curl(lab, "200", "http://10.88.0.2/up");
}

static void test_a_failure_at_each_step_leaves_nothing(void **state)
{
	fail_at_each_step(at_server(*state), SETTINGS("local-port", "80", "answer", "503"),
			  assert_away);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new_connections_go_to_the_server_at_once),
		cmocka_unit_test(test_a_handshake_across_the_end_is_served),
		cmocka_unit_test(test_clients_that_hang_up_leave_no_ports_behind),
		cmocka_unit_test(test_an_abort_resets),
		cmocka_unit_test(test_injected_again_after_its_end),
		cmocka_unit_test(test_killed_and_then_restored),
		cmocka_unit_test(test_undone_while_its_process_is_there),
		cmocka_unit_test(test_somebody_detaches_the_program),
		cmocka_unit_test(test_a_failure_at_each_step_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, set_up_server, tear_down);
}
