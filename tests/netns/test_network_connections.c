/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * TCP connections that exist are ended: those in scope and no others, never the one that controls
 * us, with a real Redis that its client can ask again at once.
 */
#include "tests/support/children.h"
#include "tests/support/kernel_version.h"
#include "tests/support/netlab.h"
#include "tests/support/netlab_dial.h"
#include "tests/support/squall_runner.h"

#include "faults/network.h"
#include "injector/base/cleanup.h"
#include "injector/kernel/connection.h"

#include <errno.h>
#include <fcntl.h>
#include <arpa/inet.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define REDIS_PORT 7379

static bool is_able;

static void start(struct netlab *lab, struct netlab_fault *fault, const char *const *settings)
{
	if (!is_able)
		stage_skip("this kernel has no CONFIG_INET_DIAG_DESTROY");
	netlab_fault_start(lab, fault, "kkkkk1", settings);
}

#define START(lab, fault, ...) start(lab, fault, (const char *[]){__VA_ARGS__, NULL})

static void test_those_in_scope_and_no_others(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct evidence seen;
	int v4 = netlab_dial(lab->near_fd, "10.88.0.2", NETLAB_PORT);
	int v6 = netlab_dial(lab->near_fd, "fd88::2", NETLAB_PORT);
	int mapped = netlab_dial(lab->near_fd, "::ffff:10.88.0.2", NETLAB_PORT);
	int other_port = netlab_dial(lab->near_fd, "10.88.0.2", NETLAB_OTHER_PORT);
	int other = netlab_dial(lab->near_fd, "10.88.0.3", NETLAB_PORT);
	int excepted = netlab_dial(lab->near_fd, "fd88::3", NETLAB_PORT);

	START(lab, &fault, "to", "10.88.0.2:7001", "to", "fd88::/64", "except", "fd88::3",
	      "reset-connections", "true");
	assert_non_null(strstr(fault.plan, "end TCP connections in scope, 3 now"));
	assert_int_equal(netlab_told(v4), ECONNABORTED);
	assert_int_equal(netlab_told(v6), ECONNABORTED);
	assert_int_equal(netlab_told(mapped), ECONNABORTED);
	assert_int_equal(netlab_told(other_port), 0);
	assert_int_equal(netlab_told(other), 0);
	assert_int_equal(netlab_told(excepted), 0);
	assert_int_equal(network_fault.evidence(&fault.fault, &seen, NULL), 0);
	assert_int_equal(seen.hits, 3);
	assert_string_equal(seen.detail, "3 connections ended");
	netlab_hang_up(netlab_dial(lab->near_fd, "10.88.0.2", NETLAB_PORT));
	netlab_fault_finish(&fault, FAULT_END_NOW);
	close(v4), close(v6), close(mapped), close(other_port), close(other), close(excepted);
}

/* A server's side of them. */
static void test_by_the_local_port(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	int client = netlab_dial(lab->far_fd, "10.88.0.1", NETLAB_PORT), server, on = 1;
	struct sockaddr_storage here;
	socklen_t size = netlab_socket_address("10.88.0.1", 7006, &here);
	int listener = netlab_own_socket(lab->near_fd, "10.88.0.1", SOCK_STREAM);

	if (client >= 0)
		close(client);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	assert_int_equal(bind(listener, (void *)&here, size), 0);
	assert_int_equal(listen(listener, 5), 0);
	client = netlab_dial(lab->far_fd, "10.88.0.1", 7006);
	server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(client >= 0 && server >= 0);
	START(lab, &fault, "except-local-port", "7006", "interface", "sqv0", "reset-connections",
	      "true");
	assert_int_equal(netlab_told(server), 0);
	assert_int_equal(netlab_told(client), 0);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	START(lab, &fault, "local-port", "7006", "interface", "sqv0", "reset-connections", "true");
	assert_int_equal(netlab_told(server), ECONNABORTED);
	for (unsigned i = 0; i < 50 && netlab_told(client) == 0; i++)
		pause_ms(20);
	assert_int_equal(netlab_told(client), ECONNRESET);
	/* the listener is no connection */
	netlab_hang_up(netlab_dial(lab->far_fd, "10.88.0.1", 7006));
	netlab_fault_finish(&fault, FAULT_END_NOW);
	close(client), close(server), close(listener);
}

/* The kernel remembers it as FIN_WAIT2, and not whose it was. */
static int leave_half_closed(struct netlab *lab)
{
	struct sockaddr_storage there;
	socklen_t size = netlab_socket_address("10.88.0.2", 7007, &there);
	int listener = netlab_own_socket(lab->far_fd, "10.88.0.2", SOCK_STREAM), fd;

	assert_int_equal(bind(listener, (void *)&there, size), 0);
	assert_int_equal(listen(listener, 5), 0);
	fd = netlab_dial(lab->near_fd, "10.88.0.2", 7007);
	assert_true(fd >= 0);
	close(fd);
	for (unsigned i = 0; i < 100; i++, pause_ms(20)) {
		cleanup_free char *seen = netlab_output(
			"ip netns exec %s ss -Htn state fin-wait-2 dport = :7007", lab->near);

		if (seen[0])
			return listener;
	}
	fail_msg("it is not in FIN_WAIT2");
	return -1;
}

static void test_what_is_closed_already_is_left_alone(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct evidence seen;
	int listener, open = netlab_dial(lab->near_fd, "10.88.0.2", NETLAB_PORT);
	char group[128];
	pid_t child;

	if (!is_able)
		stage_skip("this kernel has no CONFIG_INET_DIAG_DESTROY");
	listener = leave_half_closed(lab);
	group_make("sqnc-web", group);
	child = child_start(CHILD_SLEEPS, group);
	START(lab, &fault, "to", "10.88.0.2", "cgroup", "/sqnc-web", "reset-connections", "true");
	assert_non_null(strstr(fault.plan, "end TCP connections in scope, 0 now"));
	netlab_fault_finish(&fault, FAULT_END_NOW);
	assert_int_equal(netlab_told(open), 0);
	START(lab, &fault, "to", "10.88.0.2", "reset-connections", "true");
	assert_non_null(strstr(fault.plan, "end TCP connections in scope, 1 now"));
	assert_int_equal(netlab_told(open), ECONNABORTED);
	assert_int_equal(network_fault.evidence(&fault.fault, &seen, NULL), 0);
	assert_string_equal(seen.detail, "1 connection ended");
	netlab_fault_finish(&fault, FAULT_END_NOW);
	child_stop(child);
	group_remove(group);
	close(open);
	close(listener);
}

static void test_with_a_partition_nothing_survives(void **state)
{
	struct netlab *lab = *state;
	char *before = netlab_dump(lab);
	struct netlab_fault fault;
	struct evidence seen;
	int idle = netlab_dial(lab->near_fd, "10.88.0.2", NETLAB_PORT);

	START(lab, &fault, "to", "10.88.0.2", "partition", "reset", "reset-connections", "true");
	assert_int_equal(netlab_told(idle), ECONNABORTED);
	assert_int_equal(netlab_dial(lab->near_fd, "10.88.0.2", NETLAB_PORT), -ECONNREFUSED);
	assert_int_equal(network_fault.evidence(&fault.fault, &seen, NULL), 0);
	assert_non_null(strstr(seen.detail, ", 1 connection ended"));
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	netlab_hang_up(netlab_dial(lab->near_fd, "10.88.0.2", NETLAB_PORT));
	close(idle);
	netlab_same(lab, before);
}

static bool redis_answers(const struct netlab *lab)
{
	return netlab_try("ip netns exec %s redis-cli -h 10.88.0.2 -p %d ping", lab->near,
			  REDIS_PORT) == 0;
}

static void test_a_redis_subscriber_is_cut_off(void **state)
{
	static const char subscribe[] = "SUBSCRIBE news\r\n", ping[] = "PING\r\n";
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char answer[128];
	int subscriber;

	netlab_run("ip netns exec %s redis-server --port %d --bind 10.88.0.2 --protected-mode no "
		   "--daemonize yes --save '' --pidfile %s/redis.pid",
		   lab->far, REDIS_PORT, lab->root);
	for (unsigned i = 0; i < 100 && !redis_answers(lab); i++)
		pause_ms(50);
	subscriber = netlab_dial(lab->near_fd, "10.88.0.2", REDIS_PORT);
	assert_int_equal(send(subscriber, subscribe, sizeof(subscribe) - 1, 0),
			 sizeof(subscribe) - 1);
	assert_true(recv(subscriber, answer, sizeof(answer), 0) > 0);
	START(lab, &fault, "to", "10.88.0.2:7379", "reset-connections", "true");
	assert_int_equal(netlab_told(subscriber), ECONNABORTED);
	assert_int_equal(send(subscriber, ping, sizeof(ping) - 1, MSG_NOSIGNAL), -1);
	assert_true(redis_answers(lab));
	netlab_fault_finish(&fault, FAULT_END_NOW);
	close(subscriber);
	netlab_try("ip netns exec %s redis-cli -h 10.88.0.2 -p %d shutdown nosave", lab->near,
		   REDIS_PORT);
}

static void test_what_it_cannot_know_is_refused(void **state)
{
	static const char *const cases[][9] = {
		{"vlan is a tag", "to", "10.88.0.2", "vlan", "5", "reset-connections", "true"},
		{"only tcp", "to", "10.88.0.2", "protocol", "udp", "reset-connections", "true"},
	};
	struct netlab *lab = *state;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct netlab_fault fault;
		struct error err = ERROR_INIT;

		assert_true(netlab_fault_plan(lab, &fault, "kkkkk2", cases[i] + 1, &err) < 0);
		if (!strstr(err.text, cases[i][0]))
			fail_msg("%s", err.text);
		netlab_fault_finish(&fault, FAULT_END_NOW);
	}
}

/* In a child: the connection is looked for in the namespace we are in. */
static int session_child(const struct netlab *lab, const char *const *settings, int told)
{
	struct sockaddr_in own;
	socklen_t length = sizeof(own);
	struct netlab_fault fault;
	struct error err = ERROR_INIT;
	char text[128];
	int session, other;

	if (setns(lab->near_fd, CLONE_NEWNET) < 0)
		return 1;
	session = netlab_dial(lab->near_fd, "10.88.0.2", NETLAB_PORT);
	other = netlab_dial(lab->near_fd, "10.88.0.2", NETLAB_PORT);
	if (session < 0 || other < 0 || getsockname(session, (void *)&own, &length) < 0)
		return 2;
	snprintf(text, sizeof(text), "10.88.0.2 %d 10.88.0.1 %u", NETLAB_PORT, ntohs(own.sin_port));
	setenv("SSH_CONNECTION", text, 1);
	if (netlab_fault_plan(NULL, &fault, "kkkkk3", settings, &err) < 0 ||
	    fault.fault.ops->inject(&fault.fault, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 3;
	}
	if (netlab_told(session) != told)
		return 4;
	if (netlab_told(other) != ECONNABORTED)
		return 5;
	netlab_fault_finish(&fault, FAULT_END_NOW);
	return 0;
}

static void assert_session(struct netlab *lab, const char *const *settings, int told)
{
	int status;
	pid_t pid;

	if (!is_able)
		stage_skip("this kernel has no CONFIG_INET_DIAG_DESTROY");
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(session_child(lab, settings, told));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 0);
}

static void test_the_controlling_session_is_spared(void **state)
{
	assert_session(*state,
		       (const char *[]){"interface", "sqv0", "reset-connections", "true", NULL}, 0);
	assert_session(*state,
		       (const char *[]){"interface", "sqv0", "reset-connections", "true",
					"allow-lockout", "true", NULL},
		       ECONNABORTED);
}

static void test_it_is_spared_by_the_http_fault_as_well(void **state)
{
	if (!kernel_is_at_least(5, 12))
		stage_skip("http needs Linux 5.12");
	assert_session(*state,
		       (const char *[]){"fault", "http", "to", "10.88.0.2:1-65535", "answer", "503",
					"reset-connections", "true", NULL},
		       0);
	assert_session(*state,
		       (const char *[]){"fault", "http", "to", "10.88.0.2:1-65535", "answer", "503",
					"reset-connections", "true", "allow-lockout", "true", NULL},
		       ECONNABORTED);
}

static int setup(void **state)
{
	struct netlink *diag = NULL;

	is_able =
		netlink_open_diag(-1, &diag, NULL) == 0 && connection_try_destroy(diag, NULL) == 0;
	netlink_close(diag);
	children_init();
	return netlab_setup(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_those_in_scope_and_no_others),
		cmocka_unit_test(test_by_the_local_port),
		cmocka_unit_test(test_what_is_closed_already_is_left_alone),
		cmocka_unit_test(test_with_a_partition_nothing_survives),
		cmocka_unit_test(test_a_redis_subscriber_is_cut_off),
		cmocka_unit_test(test_what_it_cannot_know_is_refused),
		cmocka_unit_test(test_the_controlling_session_is_spared),
		cmocka_unit_test(test_it_is_spared_by_the_http_fault_as_well),
	};

	return cmocka_run_group_tests(tests, setup, netlab_teardown);
}
