/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Partitions that answer: what a client is told and how soon, on this host, behind a bridge and
 * behind address translation, by nf_tables and by tc filters; that connections which exist are
 * reset, what is beside the scope is not met, and everything is over with the process.
 */
#include "tests/support/netlab.h"
#include "tests/support/netlab_dial.h"
#include "tests/support/squall_runner.h"

#include "faults/network.h"
#include "injector/base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define SERVICE_PORT 7005
/* An answer that came while connect() held its socket counts only at the next attempt, 1 s later.
 */
#define PROMPT_NS (800 * NSEC_PER_MSEC)

/* 0 or errno of a connection that is tried. */
static int dial(int namespace_fd, const char *address, uint16_t port, int64_t *out_took_ns)
{
	struct sockaddr_storage to;
	socklen_t size = netlab_socket_address(address, port, &to);
	int fd = netlab_own_socket(namespace_fd, address, SOCK_STREAM), result;
	int64_t began_ns = clock_now_ns();

	result = connect(fd, (void *)&to, size) < 0 ? errno : 0;
	if (out_took_ns)
		*out_took_ns = clock_now_ns() - began_ns;
	close(fd);
	return result;
}

/* The same error each time, and at once, unless the machine was slow every time; by ICMP, which
 * whoever is still inside connect() does not hear (REFUSAL_NS), a moment later. */
static void assert_told(int namespace_fd, const char *address, uint16_t port, int error)
{
	int64_t took_ns = INT64_MAX;

	for (unsigned i = 0; i < 3 && took_ns > PROMPT_NS; i++) {
		int told = dial(namespace_fd, address, port, &took_ns);

		if (told != error)
			fail_msg("%s port %u: %s and not %s", address, port, strerror(told),
				 strerror(error));
	}
	if (took_ns > PROMPT_NS)
		fail_msg("%s port %u: told after %lld ms", address, port,
			 (long long)(took_ns / NSEC_PER_MSEC));
}

/* What a datagram meets: 0 (an answer) or errno. */
static int ask_by_udp(int namespace_fd, const char *address, uint16_t port)
{
	struct sockaddr_storage to;
	socklen_t size = netlab_socket_address(address, port, &to);
	int fd = netlab_own_socket(namespace_fd, address, SOCK_DGRAM), result;
	char answer[64];

	assert_int_equal(connect(fd, (void *)&to, size), 0);
	assert_int_equal(send(fd, "x", 1, 0), 1);
	result = recv(fd, answer, sizeof(answer), 0) < 0 ? errno : 0;
	close(fd);
	return result;
}

static void start(struct netlab *lab, struct netlab_fault *fault, const char *const *settings)
{
	netlab_fault_start(lab, fault, "rrrrr1", settings);
}

#define START(lab, fault, ...) start(lab, fault, (const char *[]){__VA_ARGS__, NULL})

static void test_each_refusal_is_what_the_client_is_told(void **state)
{
	static const struct {
		const char *partition, *with;
		int error4, error6;
	} cases[] = {{"reset", "port-unreachable", ECONNREFUSED, ECONNREFUSED},
		     {"reject", "port-unreachable", ECONNREFUSED, ECONNREFUSED},
		     {"reject", "host-unreachable", EHOSTUNREACH, EHOSTUNREACH},
		     {"reject", "net-unreachable", ENETUNREACH, ENETUNREACH},
		     {"reject", "admin-prohibited", EHOSTUNREACH, EACCES}};
	struct netlab *lab = *state;
	char *before = netlab_dump(lab);

	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct netlab_fault fault;
		struct evidence seen;
		int64_t took_ns;

		START(lab, &fault, "to", "10.88.0.2:7001", "to", "[fd88::2]:7001", "partition",
		      cases[i].partition, "reject-with", cases[i].with);
		assert_told(lab->near_fd, "10.88.0.2", NETLAB_PORT, cases[i].error4);
		assert_told(lab->near_fd, "fd88::2", NETLAB_PORT, cases[i].error6);
		if (i) {
			dial(lab->near_fd, "10.88.0.2", NETLAB_PORT, &took_ns);
			assert_true(took_ns >= REFUSAL_NS);
		}
		/* beside the scope */
		assert_int_equal(dial(lab->near_fd, "10.88.0.2", NETLAB_OTHER_PORT, NULL), 0);
		assert_int_equal(dial(lab->near_fd, "10.88.0.3", NETLAB_PORT, NULL), 0);
		assert_int_equal(dial(lab->near_fd, "fd88::3", NETLAB_PORT, NULL), 0);
		seen = netlab_evidence(&fault);
		assert_true(seen.hits >= 2 && seen.dropped == seen.hits);
		assert_non_null(strstr(seen.detail, i ? "rejected" : "reset"));
		netlab_fault_finish(&fault, i % 2 ? FAULT_END_NOW : FAULT_END_SOFT);
		assert_int_equal(dial(lab->near_fd, "10.88.0.2", NETLAB_PORT, NULL), 0);
		assert_int_equal(dial(lab->near_fd, "fd88::2", NETLAB_PORT, NULL), 0);
	}
	netlab_same(lab, before);
}

static void test_datagrams_are_rejected_by_either(void **state)
{
	static const char *const partitions[] = {"reject", "reset"};
	struct netlab *lab = *state;

	for (unsigned i = 0; i < 2; i++) {
		struct netlab_fault fault;

		START(lab, &fault, "to", "10.88.0.2", "to", "fd88::2", "partition", partitions[i]);
		assert_int_equal(ask_by_udp(lab->near_fd, "10.88.0.2", NETLAB_PORT), ECONNREFUSED);
		assert_int_equal(ask_by_udp(lab->near_fd, "fd88::2", NETLAB_PORT), ECONNREFUSED);
		assert_int_equal(ask_by_udp(lab->near_fd, "10.88.0.3", NETLAB_PORT), 0);
		netlab_fault_finish(&fault, FAULT_END_SOFT);
		assert_int_equal(ask_by_udp(lab->near_fd, "10.88.0.2", NETLAB_PORT), 0);
	}
}

/* A service on all addresses, which nobody's half-open connection can hold up. */
static int serve(int namespace_fd)
{
	struct sockaddr_storage here;
	socklen_t size = netlab_socket_address("::", SERVICE_PORT, &here);
	int fd = netlab_own_socket(namespace_fd, "::", SOCK_STREAM);

	assert_int_equal(bind(fd, (void *)&here, size), 0);
	assert_int_equal(listen(fd, 1000), 0);
	return fd;
}

static void test_what_arrives_is_refused_as_well(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	int service = serve(lab->near_fd);

	START(lab, &fault, "local-port", "7005", "interface", "sqv0", "direction", "ingress",
	      "partition", "reset");
	assert_told(lab->far_fd, "10.88.0.1", SERVICE_PORT, ECONNREFUSED);
	assert_told(lab->far_fd, "fd88::1", SERVICE_PORT, ECONNREFUSED);
	assert_int_equal(netlab_evidence(&fault).dropped, netlab_evidence(&fault).hits);
	assert_int_equal(dial(lab->near_fd, "10.88.0.2", NETLAB_PORT, NULL), 0);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	assert_int_equal(dial(lab->far_fd, "10.88.0.1", SERVICE_PORT, NULL), 0);
	assert_int_equal(dial(lab->far_fd, "fd88::1", SERVICE_PORT, NULL), 0);
	close(service);
}

/* Answers to one direction are traffic of the other. */
static void test_answers_are_not_refused_themselves(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	int service = serve(lab->near_fd);

	START(lab, &fault, "interface", "sqv0", "direction", "both", "partition", "reject",
	      "reject-with", "host-unreachable");
	assert_told(lab->near_fd, "10.88.0.2", NETLAB_PORT, EHOSTUNREACH);
	assert_told(lab->far_fd, "10.88.0.1", SERVICE_PORT, EHOSTUNREACH);
	assert_true(netlab_evidence(&fault).hits < 20);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	close(service);
}

static void test_loopback(void **state)
{
	struct netlab *lab = *state;
	char *before = netlab_dump(lab);
	struct netlab_fault fault;

	START(lab, &fault, "to", "127.0.0.1:7001", "to", "[::1]:7001", "partition", "reject",
	      "reject-with", "host-unreachable");
	assert_told(lab->near_fd, "127.0.0.1", NETLAB_PORT, EHOSTUNREACH);
	assert_told(lab->near_fd, "::1", NETLAB_PORT, EHOSTUNREACH);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	START(lab, &fault, "to", "127.0.0.1:7001", "partition", "reset");
	assert_told(lab->near_fd, "127.0.0.1", NETLAB_PORT, ECONNREFUSED);
	assert_int_equal(dial(lab->near_fd, "::1", NETLAB_PORT, NULL), 0);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	assert_int_equal(dial(lab->near_fd, "127.0.0.1", NETLAB_PORT, NULL), 0);
	netlab_same(lab, before);
}

static int talk(const struct netlab *lab, const char *address)
{
	struct sockaddr_storage to;
	socklen_t size = netlab_socket_address(address, NETLAB_PORT, &to);
	int fd = netlab_own_socket(lab->near_fd, address, SOCK_STREAM);

	assert_int_equal(connect(fd, (void *)&to, size), 0);
	assert_int_equal(send(fd, "hello", 5, 0), 5);
	return fd;
}

static void test_a_connection_is_reset_when_it_speaks(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	int in_scope = talk(lab, "10.88.0.2"), beside = talk(lab, "10.88.0.3");
	uint64_t total = 0;

	START(lab, &fault, "to", "10.88.0.2", "partition", "reset");
	assert_int_equal(send(in_scope, "again", 5, 0), 5);
	assert_int_equal(recv(in_scope, &total, sizeof(total), 0), -1);
	assert_int_equal(errno, ECONNRESET);
	assert_int_equal(send(beside, "again", 5, 0), 5);
	assert_int_equal(shutdown(beside, SHUT_WR), 0);
	assert_int_equal(recv(beside, &total, sizeof(total), MSG_WAITALL), sizeof(total));
	assert_int_equal(total, 10);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	close(in_scope);
	close(beside);
}

static void test_late_refusals(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	int64_t took_ns;

	START(lab, &fault, "to", "10.88.0.2", "partition", "reject", "delay", "150ms");
	assert_int_equal(dial(lab->near_fd, "10.88.0.2", NETLAB_PORT, &took_ns), ECONNREFUSED);
	assert_true(took_ns >= 150 * NSEC_PER_MSEC);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

static void test_a_ramp_refuses_a_share(void **state)
{
	enum { COUNT = 200 };
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct error err = ERROR_INIT;
	unsigned refused[3] = {0};
	static const int64_t levels[] = {500000000, 0, 1000000000};
	int service = serve(lab->far_fd);

	START(lab, &fault, "to", "10.88.0.2", "partition", "reset");
	for (unsigned phase = 0; phase < 3; phase++) {
		fault.fault.level_ppb = levels[phase];
		assert_int_equal(network_fault.set_level(&fault.fault, &err), 0);
		for (unsigned i = 0; i < COUNT; i++) /* the first packet decides */
			refused[phase] +=
				dial(lab->near_fd, "10.88.0.2", SERVICE_PORT, NULL) == ECONNREFUSED;
	}
	assert_in_range(refused[0], COUNT / 2 - 50, COUNT / 2 + 50); /* 7 sigma */
	assert_int_equal(refused[1], 0);
	assert_int_equal(refused[2], COUNT);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	close(service);
}

/* Containers as Docker makes them: a namespace behind this one. */
static void add_container(const struct netlab *lab)
{
	netlab_run("ip netns add %s-c", lab->near);
	netlab_run("ip -n %s link add sqc0 type veth peer name sqc1 netns %s-c", lab->near,
		   lab->near);
	netlab_run("ip -n %s link set sqc0 up", lab->near);
	netlab_run("ip -n %s-c link set sqc1 up", lab->near);
}

static int open_container(const struct netlab *lab)
{
	char name[40];
	int fd;

	snprintf(name, sizeof(name), "%s-c", lab->near);
	assert_int_equal(namespace_open_name(name, &fd, NULL), 0);
	return fd;
}

static void remove_container(const struct netlab *lab, int fd)
{
	close(fd);
	netlab_run("ip -n %s link del sqc0", lab->near);
	netlab_run("ip netns del %s-c", lab->near);
}

/* The first packet may wait for its neighbour to be found. */
static void await_reachable(int fd, const char *address)
{
	for (unsigned i = 0; i < 50 && dial(fd, address, NETLAB_PORT, NULL) != 0; i++)
		pause_ms(100);
	assert_int_equal(dial(fd, address, NETLAB_PORT, NULL), 0);
}

static void assert_refused_for(struct netlab *lab, int container, const char *interface)
{
	static const char *const partitions[] = {"reset", "reject"};

	await_reachable(container, "10.88.0.2");
	for (unsigned i = 0; i < 2; i++) {
		struct netlab_fault fault;

		START(lab, &fault, "to", "10.88.0.2:7001", "interface", interface, "partition",
		      partitions[i], "reject-with", "host-unreachable");
		assert_told(container, "10.88.0.2", NETLAB_PORT, i ? EHOSTUNREACH : ECONNREFUSED);
		assert_int_equal(dial(container, "10.88.0.2", NETLAB_OTHER_PORT, NULL), 0);
		assert_int_equal(dial(container, "10.88.0.3", NETLAB_PORT, NULL), 0);
		netlab_fault_finish(&fault, FAULT_END_SOFT);
		assert_int_equal(dial(container, "10.88.0.2", NETLAB_PORT, NULL), 0);
	}
}

static void test_behind_address_translation(void **state)
{
	struct netlab *lab = *state;
	int container;

	add_container(lab);
	netlab_run("ip -n %s address add 10.89.0.1/24 dev sqc0", lab->near);
	netlab_run("ip -n %s-c address add 10.89.0.2/24 dev sqc1", lab->near);
	netlab_run("ip -n %s-c route add default via 10.89.0.1", lab->near);
	netlab_run("ip netns exec %s sysctl -qw net.ipv4.ip_forward=1", lab->near);
	netlab_run("ip netns exec %s nft add table ip sqnat", lab->near);
	netlab_run("ip netns exec %s nft add chain ip sqnat out { type nat hook postrouting "
		   "priority 100 ; }",
		   lab->near);
	netlab_run("ip netns exec %s nft add rule ip sqnat out oif sqv0 masquerade", lab->near);
	container = open_container(lab);
	assert_refused_for(lab, container, "sqv0");
	netlab_run("ip netns exec %s nft delete table ip sqnat", lab->near);
	remove_container(lab, container);
}

static void test_behind_a_bridge(void **state)
{
	struct netlab *lab = *state;
	int container;

	add_container(lab);
	netlab_run("ip -n %s link add sqbr type bridge", lab->near);
	netlab_run("ip -n %s link set sqbr up", lab->near);
	netlab_run("ip -n %s link set sqc0 master sqbr", lab->near);
	netlab_run("ip -n %s link set sqv0 master sqbr", lab->near);
	netlab_run("ip -n %s-c address add 10.88.0.9/24 dev sqc1", lab->near);
	container = open_container(lab);
	assert_refused_for(lab, container, "sqv0");
	netlab_run("ip -n %s link set sqv0 nomaster", lab->near);
	netlab_run("ip -n %s link del sqbr", lab->near);
	remove_container(lab, container);
}

static void test_killed_and_then_restored(void **state)
{
	struct netlab *lab = *state;
	char *before = netlab_dump(lab);
	int64_t killed_ns;
	pid_t child;

	child = netlab_fault_start_apart(
		lab, "rrrrr1", (const char *[]){"to", "10.88.0.2", "partition", "reset", NULL});
	assert_told(lab->near_fd, "10.88.0.2", NETLAB_PORT, ECONNREFUSED);
	kill(child, SIGKILL);
	killed_ns = clock_now_ns();
	while (dial(lab->near_fd, "10.88.0.2", NETLAB_PORT, NULL) != 0)
		assert_true(clock_now_ns() < killed_ns + 2 * NSEC_PER_SEC);
	assert_int_equal(waitpid(child, NULL, 0), child);
	netlab_undo_all("rrrrr1");
	netlab_undo_all("rrrrr1");
	netlab_run("rm -r %s/rrrrr1", lab->root);
	netlab_same(lab, before);
}

/* Planned once more for each injection, as pulses do: the line is prepared anew, step by step. */
static void test_a_failure_at_each_step_leaves_nothing(void **state)
{
	struct netlab *lab = *state;
	char *before = netlab_dump(lab);
	struct netlab_fault fault;
	struct error err = ERROR_INIT;
	unsigned failed = 0;

	START(lab, &fault, "to", "10.88.0.2", "partition", "reset");
	netlab_fault_end(&fault, FAULT_END_NOW);
	for (unsigned count = 0, is_injected = false; !is_injected; count++) {
		netlab_allow_descriptors(count);
		is_injected = network_fault.inject(&fault.fault, &err) == 0;
		netlab_allow_descriptors(UINT_MAX);
		failed += !is_injected;
		assert_true(is_injected || err.text[0]);
		if (!is_injected)
			assert_int_equal(dial(lab->near_fd, "10.88.0.2", NETLAB_PORT, NULL), 0);
	}
	assert_true(failed >= 3);
	assert_told(lab->near_fd, "10.88.0.2", NETLAB_PORT, ECONNREFUSED);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	netlab_same(lab, before);
}

int main(void)
{
#define GATE(test)                                                                                 \
	{                                                                                          \
		"clsact: " #test, test, NULL, NULL, NULL                                           \
	}
	const struct CMUnitTest table[] = {
		cmocka_unit_test(test_each_refusal_is_what_the_client_is_told),
		cmocka_unit_test(test_datagrams_are_rejected_by_either),
		cmocka_unit_test(test_what_arrives_is_refused_as_well),
		cmocka_unit_test(test_answers_are_not_refused_themselves),
		cmocka_unit_test(test_loopback),
		cmocka_unit_test(test_a_connection_is_reset_when_it_speaks),
		cmocka_unit_test(test_late_refusals),
		cmocka_unit_test(test_a_ramp_refuses_a_share),
		cmocka_unit_test(test_killed_and_then_restored),
		cmocka_unit_test(test_a_failure_at_each_step_leaves_nothing),
		cmocka_unit_test(test_behind_address_translation),
		cmocka_unit_test(test_behind_a_bridge),
	};
	const struct CMUnitTest gate[] = {
		GATE(test_each_refusal_is_what_the_client_is_told),
		GATE(test_what_arrives_is_refused_as_well),
		GATE(test_answers_are_not_refused_themselves),
		GATE(test_loopback),
		GATE(test_a_ramp_refuses_a_share),
		GATE(test_killed_and_then_restored),
	};

	return cmocka_run_group_tests(table, netlab_setup, netlab_teardown) +
	       cmocka_run_group_tests(gate, netlab_setup_filters, netlab_teardown_ways);
}
