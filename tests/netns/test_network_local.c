/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which packets, by their address on this side: of two that this host has only the traffic of one
 * is met, whichever way the packets are taken and whatever is done to them.
 */
#include "tests/support/netlab_dial.h"
#include "tests/support/netlab_ways.h"
#include "tests/support/squall_runner.h"

#include "faults/network.h"
#include "faults/target_follow.h"
#include "injector/base/cleanup.h"
#include "injector/base/clock.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define LOST_MS	     200
#define DELAY_MS     150
#define SERVICE_PORT 7005

/* Of this side beside 10.88.0.1 and fd88::1, which are left alone by most tests. */
#define CHOSEN	"10.88.0.11"
#define CHOSEN6 "fd88::11"

static int set_up(void **state)
{
	struct netlab *lab;

	if (netlab_setup(state) != 0)
		return -1;
	lab = *state;
	netlab_run("ip -n %s addr add " CHOSEN "/24 dev sqv0", lab->near);
	netlab_run("ip -n %s addr add " CHOSEN6 "/64 dev sqv0 nodad", lab->near);
	return 0;
}

#define START(lab, fault, ...) netlab_start(lab, fault, (const char *[]){__VA_ARGS__, NULL})

/* Of a datagram from an address of this side, in ns; -1: lost. */
static int64_t asks(const struct netlab *lab, const char *from, const char *to, int timeout_ms)
{
	static uint32_t number;
	const int family = strchr(to, ':') ? AF_INET6 : AF_INET;
	cleanup_fd int fd = netlab_socket(lab->near_fd, family, SOCK_DGRAM, 0, from, 0);
	const int64_t began_ns = clock_now_ns(), until_ns = began_ns + timeout_ms * NSEC_PER_MSEC;
	struct sockaddr_storage there;
	socklen_t size = netlab_address(to, NETLAB_PORT, &there);
	uint32_t sent = ++number, got = 0;

	assert_int_equal(connect(fd, (void *)&there, size), 0);
	assert_true(send(fd, &sent, sizeof(sent), 0) == sizeof(sent) || errno == EPERM ||
		    errno == ENOBUFS);
	while (clock_now_ns() < until_ns) {
		struct pollfd ready = {.fd = fd, .events = POLLIN};

		if (poll(&ready, 1, (int)((until_ns - clock_now_ns()) / NSEC_PER_MSEC) + 1) > 0 &&
		    recv(fd, &got, sizeof(got), MSG_DONTWAIT) == sizeof(got) && got == sent)
			return clock_now_ns() - began_ns;
	}
	return -1;
}

static void assert_lost(const struct netlab *lab, const char *from, const char *to)
{
	if (asks(lab, from, to, LOST_MS) >= 0)
		fail_msg("%s reaches %s", from, to);
}

static void assert_passes(const struct netlab *lab, const char *from, const char *to)
{
	if (asks(lab, from, to, 2000) < 0)
		fail_msg("%s does not reach %s", from, to);
}

static const char *const directions[] = {"egress", "ingress", "both"};

static void test_one_of_two_addresses(void **state)
{
	struct netlab *lab = *state;
	char *before = netlab_dump(lab);

	for (unsigned i = 0; i < 3; i++) {
		struct netlab_fault fault;

		START(lab, &fault, "local-address", CHOSEN, "local-address", CHOSEN6, "interface",
		      "sqv0", "loss", "100%", "direction", directions[i]);
		assert_non_null(strstr(fault.plan, "of that, " CHOSEN " on this side"));
		assert_lost(lab, CHOSEN, "10.88.0.2");
		assert_lost(lab, CHOSEN6, "fd88::2");
		assert_int_equal(netlab_evidence(&fault).hits, 2);
		assert_int_equal(netlab_evidence(&fault).dropped, 2);
		assert_passes(lab, "10.88.0.1", "10.88.0.2");
		assert_passes(lab, "fd88::1", "fd88::2");
		assert_int_equal(netlab_evidence(&fault).hits, 2);
		netlab_fault_finish(&fault, i % 2 ? FAULT_END_NOW : FAULT_END_SOFT);
		assert_passes(lab, CHOSEN, "10.88.0.2");
		assert_passes(lab, CHOSEN6, "fd88::2");
	}
	netlab_same(lab, before);
}

/* Neither of the families of which none is named. */
static void test_one_family_alone(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	START(lab, &fault, "local-address", CHOSEN6, "interface", "sqv0", "loss", "100%");
	assert_lost(lab, CHOSEN6, "fd88::2");
	assert_passes(lab, "fd88::1", "fd88::2");
	assert_passes(lab, CHOSEN, "10.88.0.2");
	netlab_fault_finish(&fault, FAULT_END_NOW);
	START(lab, &fault, "local-address", "0.0.0.0/0", "interface", "sqv0", "loss", "100%");
	assert_lost(lab, CHOSEN, "10.88.0.2");
	assert_lost(lab, "10.88.0.1", "10.88.0.2");
	assert_passes(lab, CHOSEN6, "fd88::2");
	netlab_fault_finish(&fault, FAULT_END_NOW);
	START(lab, &fault, "local-address", "::/0", "to", "*:7001", "interface", "sqv0", "loss",
	      "100%");
	assert_lost(lab, CHOSEN6, "fd88::2");
	assert_passes(lab, CHOSEN, "10.88.0.2");
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

/* All keys hold at once. */
static void test_with_other_keys(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	START(lab, &fault, "local-address", "10.88.0.8/29", "local-address", CHOSEN,
	      "local-address", CHOSEN6, "to", "10.88.0.2", "to", "fd88::/64", "except", "fd88::3",
	      "loss", "100%", "direction", "both");
	assert_lost(lab, CHOSEN, "10.88.0.2");
	assert_passes(lab, CHOSEN, "10.88.0.3");
	assert_passes(lab, "10.88.0.1", "10.88.0.2");
	assert_lost(lab, CHOSEN6, "fd88::2");
	assert_passes(lab, CHOSEN6, "fd88::3");
	netlab_fault_finish(&fault, FAULT_END_NOW);
	START(lab, &fault, "local-address", CHOSEN, "local-address", CHOSEN6, "to", "*:7001",
	      "protocol", "udp", "interface", "sqv0", "loss", "100%");
	assert_lost(lab, CHOSEN, "10.88.0.3");
	assert_lost(lab, CHOSEN6, "fd88::3");
	assert_passes(lab, "10.88.0.1", "10.88.0.3");
	netlab_hang_up(netlab_dial_from(lab->near_fd, CHOSEN, "10.88.0.2", NETLAB_PORT));
	netlab_fault_finish(&fault, FAULT_END_NOW);
	START(lab, &fault, "local-address", CHOSEN, "to", "[fd88::2]:7001", "to", "10.88.0.2:7001",
	      "loss", "100%", "direction", "ingress");
	assert_lost(lab, CHOSEN, "10.88.0.2");
	assert_passes(lab, CHOSEN, "10.88.0.3");
	assert_passes(lab, CHOSEN6, "fd88::2");
	netlab_fault_finish(&fault, FAULT_END_NOW);
	START(lab, &fault, "local-address", CHOSEN, "local-port", "1-1000", "interface", "sqv0",
	      "loss", "100%");
	assert_passes(lab, CHOSEN, "10.88.0.2");
	netlab_fault_finish(&fault, FAULT_END_NOW);
	START(lab, &fault, "local-address", CHOSEN, "local-port", "1024-65535", "interface", "sqv0",
	      "loss", "100%");
	assert_lost(lab, CHOSEN, "10.88.0.2");
	assert_passes(lab, "10.88.0.1", "10.88.0.2");
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

static void test_all_but_one(void **state)
{
	struct netlab *lab = *state;

	for (unsigned i = 0; i < 3; i++) {
		struct netlab_fault fault;

		START(lab, &fault, "to", "10.88.0.0/24", "to", "fd88::/64", "except-local-address",
		      "10.88.0.8/29", "except-local-address", CHOSEN6, "loss", "100%", "direction",
		      directions[i]);
		assert_non_null(strstr(fault.plan, "not affected: 10.88.0.8/29 on this side"));
		assert_passes(lab, CHOSEN, "10.88.0.2");
		assert_passes(lab, CHOSEN6, "fd88::2");
		assert_lost(lab, "10.88.0.1", "10.88.0.2");
		assert_lost(lab, "fd88::1", "fd88::2");
		netlab_fault_finish(&fault, FAULT_END_NOW);
	}
}

static void test_many(void **state)
{
	enum { COUNT = 300 };
	struct netlab *lab = *state;
	static char texts[COUNT][32];
	static const char *settings[COUNT * 2 + 12];
	struct netlab_fault fault;
	unsigned at = 0;

	for (unsigned i = 0; i < COUNT; i++) {
		snprintf(texts[i], sizeof(texts[i]), i % 2 ? "fd%02x::/32" : "10.%u.0.0/16",
			 i % 200);
		if (strcmp(texts[i], "10.88.0.0/16") == 0)
			snprintf(texts[i], sizeof(texts[i]), CHOSEN);
		settings[at++] = "local-address";
		settings[at++] = texts[i];
	}
	settings[at++] = "interface";
	settings[at++] = "sqv0";
	settings[at++] = "loss";
	settings[at++] = "100%";
	netlab_start(lab, &fault, settings);
	assert_non_null(strstr(fault.plan, "one of 280 more addresses or networks on this side"));
	assert_lost(lab, CHOSEN, "10.88.0.2");
	assert_passes(lab, "10.88.0.1", "10.88.0.2");
	assert_passes(lab, "fd88::1", "fd88::2");
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

/* By what keeps packets. */
static void test_delay(void **state)
{
	struct netlab *lab = *state;
	char *before;

	netlab_need_way();
	before = netlab_dump(lab);
	for (unsigned i = 0; i < 3; i++) {
		const int64_t least_ns = DELAY_MS * NSEC_PER_MSEC * (i == 2 ? 2 : 1);
		struct netlab_fault fault;

		START(lab, &fault, "local-address", CHOSEN, "local-address", CHOSEN6, "to",
		      "10.88.0.2", "to", "fd88::2", "delay", "150ms", "direction", directions[i]);
		assert_true(asks(lab, CHOSEN, "10.88.0.2", 5000) >= least_ns);
		assert_true(asks(lab, CHOSEN6, "fd88::2", 5000) >= least_ns);
		assert_int_equal(netlab_evidence(&fault).delayed, i == 2 ? 4 : 2);
		for (unsigned tries = 0; tries < 5; tries++) /* the machine may be busy */
			if (asks(lab, "10.88.0.1", "10.88.0.2", 5000) < DELAY_MS * NSEC_PER_MSEC)
				break;
			else
				assert_true(tries < 4);
		assert_int_equal(netlab_evidence(&fault).hits, i == 2 ? 4 : 2);
		netlab_fault_finish(&fault, FAULT_END_SOFT);
	}
	netlab_same(lab, before);
}

/* ARP has no address on this side, whatever is asked for beside it. */
static void test_neighbours_stay_known(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	START(lab, &fault, "local-address", CHOSEN, "neighbours", "true", "interface", "sqv0",
	      "direction", "both", "loss", "100%");
	netlab_run("ip -n %s neigh flush dev sqv0", lab->near);
	assert_passes(lab, "10.88.0.1", "10.88.0.2");
	assert_passes(lab, "fd88::1", "fd88::2");
	assert_lost(lab, CHOSEN, "10.88.0.2");
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

static int serve(const struct netlab *lab, const char *any)
{
	struct sockaddr_storage here;
	socklen_t size = netlab_socket_address(any, SERVICE_PORT, &here);
	int fd = netlab_own_socket(lab->near_fd, any, SOCK_STREAM), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	assert_int_equal(bind(fd, (void *)&here, size), 0);
	assert_int_equal(listen(fd, 100), 0);
	return fd;
}

static void test_refusals(void **state)
{
	struct netlab *lab = *state;
	char *before = netlab_dump(lab);
	struct netlab_fault fault;
	int service = serve(lab, "::");

	START(lab, &fault, "local-address", CHOSEN, "local-address", CHOSEN6, "to", "10.88.0.2",
	      "to", "fd88::2", "partition", "reset");
	assert_int_equal(netlab_dial_from(lab->near_fd, CHOSEN, "10.88.0.2", NETLAB_PORT),
			 -ECONNREFUSED);
	assert_int_equal(netlab_dial_from(lab->near_fd, CHOSEN6, "fd88::2", NETLAB_PORT),
			 -ECONNREFUSED);
	netlab_hang_up(netlab_dial_from(lab->near_fd, "10.88.0.1", "10.88.0.2", NETLAB_PORT));
	netlab_hang_up(netlab_dial_from(lab->near_fd, "fd88::1", "fd88::2", NETLAB_PORT));
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	START(lab, &fault, "local-address", CHOSEN, "local-address", CHOSEN6, "interface", "sqv0",
	      "direction", "ingress", "partition", "reject", "reject-with", "host-unreachable");
	assert_int_equal(netlab_dial(lab->far_fd, CHOSEN, SERVICE_PORT), -EHOSTUNREACH);
	assert_int_equal(netlab_dial(lab->far_fd, CHOSEN6, SERVICE_PORT), -EHOSTUNREACH);
	netlab_hang_up(netlab_dial(lab->far_fd, "10.88.0.1", SERVICE_PORT));
	netlab_hang_up(netlab_dial(lab->far_fd, "fd88::1", SERVICE_PORT));
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	netlab_hang_up(netlab_dial(lab->far_fd, CHOSEN, SERVICE_PORT));
	netlab_hang_up(netlab_dial_from(lab->near_fd, CHOSEN6, "fd88::2", NETLAB_PORT));
	close(service);
	netlab_same(lab, before);
}

static void test_connections_that_exist(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	int chosen, chosen6, other, other6;

	if (!netlab_can_end_connections(lab))
		stage_skip("this kernel has no CONFIG_INET_DIAG_DESTROY");
	chosen = netlab_dial_from(lab->near_fd, CHOSEN, "10.88.0.2", NETLAB_PORT);
	chosen6 = netlab_dial_from(lab->near_fd, CHOSEN6, "fd88::2", NETLAB_PORT);
	other = netlab_dial_from(lab->near_fd, "10.88.0.1", "10.88.0.2", NETLAB_PORT);
	other6 = netlab_dial_from(lab->near_fd, "fd88::1", "fd88::2", NETLAB_PORT);
	START(lab, &fault, "local-address", "10.88.0.8/29", "local-address", CHOSEN6, "interface",
	      "sqv0", "except-local-address", CHOSEN, "reset-connections", "true");
	assert_non_null(strstr(fault.plan, "end TCP connections in scope, 1 now"));
	assert_int_equal(netlab_told(chosen), 0);
	assert_int_equal(netlab_told(chosen6), ECONNABORTED);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	START(lab, &fault, "local-address", CHOSEN, "interface", "sqv0", "reset-connections",
	      "true");
	assert_int_equal(netlab_told(chosen), ECONNABORTED);
	assert_int_equal(netlab_told(other), 0);
	assert_int_equal(netlab_told(other6), 0);
	assert_int_equal(netlab_evidence(&fault).hits, 1);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	close(chosen), close(chosen6), close(other), close(other6);
}

/* What a router forwards: the side is that of the interface. */
static void test_what_is_forwarded(void **state)
{
	struct netlab *lab = *state;
	struct netlab inside = *lab; /* a host behind the near one */
	struct netlab_fault fault;

	snprintf(inside.near, sizeof(inside.near), "%.20s-in", lab->near);
	netlab_run("ip netns add %s", inside.near);
	netlab_run("ip link add sqin0 netns %s type veth peer name sqin1 netns %s", lab->near,
		   inside.near);
	netlab_run("ip -n %s addr add 10.99.0.1/24 dev sqin0", lab->near);
	netlab_run("ip -n %s link set sqin0 up", lab->near);
	netlab_run("ip -n %s addr add 10.99.0.2/24 dev sqin1", inside.near);
	netlab_run("ip -n %s addr add 10.99.0.3/24 dev sqin1", inside.near);
	netlab_run("ip -n %s link set sqin1 up", inside.near);
	netlab_run("ip -n %s route add default via 10.99.0.1", inside.near);
	netlab_run("ip -n %s route add 10.99.0.0/24 via 10.88.0.1", lab->far);
	netlab_run("ip netns exec %s sysctl -qw net.ipv4.ip_forward=1", lab->near);
	assert_int_equal(namespace_open_name(inside.near, &inside.near_fd, NULL), 0);
	assert_passes(&inside, "10.99.0.2", "10.88.0.2");
	for (unsigned i = 0; i < 3; i++) {
		START(lab, &fault, "local-address", "10.99.0.2", "interface", "sqv0", "loss",
		      "100%", "direction", directions[i]);
		assert_lost(&inside, "10.99.0.2", "10.88.0.2");
		assert_passes(&inside, "10.99.0.3", "10.88.0.2");
		netlab_fault_finish(&fault, FAULT_END_NOW);
	}
	close(inside.near_fd);
	netlab_run("ip -n %s link delete sqin0", lab->near);
	netlab_run("ip -n %s route delete 10.99.0.0/24", lab->far);
	netlab_run("ip netns exec %s sysctl -qw net.ipv4.ip_forward=0", lab->near);
	netlab_run("ip netns delete %s", inside.near);
}

/* So many sets of this side are in tables of ours. */
static unsigned near_sets(const struct netlab *lab)
{
	char *list = netlab_output("ip netns exec %s nft list sets", lab->near);
	unsigned count = 0;

	for (const char *at = list; (at = strstr(at, "local4")); at++)
		count++;
	free(list);
	return count;
}

static void move(struct netlab_fault *fault, const char *addresses)
{
	struct error err = ERROR_INIT;
	bool is_changed;
	char note[200];

	if (target_tell_addresses(&fault->target, 0, addresses, &err) < 0 ||
	    target_end_addresses(&fault->target, 0, &is_changed, &err) < 0 ||
	    network_fault.follow(&fault->fault, note, sizeof(note), &err) < 0)
		fail_msg("%s", err.text);
	assert_true(is_changed);
}

/* While the far side moves, the near one stays. */
static void test_names_that_are_followed(void **state)
{
	struct netlab *lab = *state;
	const bool by_filters = netlab_by_filters(lab);
	struct netlab_fault fault;

	START(lab, &fault, "interface", "sqv0", "local-address", CHOSEN, "local-address",
	      "10.77.0.0/16", "except-local-address", "10.88.0.1", "except-local-address",
	      "10.77.1.0/24", "follow", "true", "host", "store.test 10.88.0.2", "loss", "100%");
	assert_lost(lab, CHOSEN, "10.88.0.2");
	assert_passes(lab, "10.88.0.1", "10.88.0.2");
	for (unsigned i = 0; i < 2; i++) {
		const char *now = i ? "10.88.0.2" : "10.88.0.3";
		const char *before = i ? "10.88.0.3" : "10.88.0.2";

		move(&fault, now);
		assert_lost(lab, CHOSEN, now);
		assert_passes(lab, CHOSEN, before);
		assert_passes(lab, "10.88.0.1", now);
		assert_int_equal(near_sets(lab), by_filters ? 0 : 2);
	}
	move(&fault, "fd88::2"); /* of another family than all of this side */
	assert_passes(lab, CHOSEN, "10.88.0.2");
	assert_passes(lab, CHOSEN6, "fd88::2");
	move(&fault, "10.88.0.2 fd88::2");
	assert_lost(lab, CHOSEN, "10.88.0.2");
	assert_passes(lab, CHOSEN6, "fd88::2");
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

int main(void)
{
#define BY_ALL(test) BY_LINES(test), BY_NETEMS(test)
	const struct CMUnitTest tests[] = {
		BY_LINES(test_one_of_two_addresses),
		BY_LINES(test_one_family_alone),
		BY_LINES(test_with_other_keys),
		BY_LINES(test_all_but_one),
		BY_LINES(test_many),
		BY_ALL(test_delay),
		BY_LINES(test_neighbours_stay_known),
		BY_LINES(test_refusals),
		BY_LINES(test_connections_that_exist),
		BY_LINES(test_what_is_forwarded),
		BY_LINES(test_names_that_are_followed),
	};

	return cmocka_run_group_tests(tests, set_up, netlab_teardown_ways);
}
