/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What stands in a packet's headers beside addresses and ports: the class of service passes through
 * a fault as it was (but for the mark that is asked for), and of a datagram in fragments the later
 * ones have no ports. Both directions, both families, every way.
 */
#include "tests/support/netlab_ways.h"
#include "tests/support/squall_runner.h"

#include "faults/network.h"
#include "injector/base/cleanup.h"

#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define DELAY_NS      20e6
#define DATAGRAM      4000 /* three fragments of either family */
#define FRAGMENTS     3
#define EXPEDITED     0xb8 /* DSCP 46 */
#define ECN_ECT_0     2
#define ECN_CE	      3
#define FRAGMENT_PORT 7003

/* Longer than any delay here: what has not come by then is lost. */
static unsigned wait_ms(void)
{
	return is_emulated() ? 300 : 60;
}

static struct netlab_flow flow_of(unsigned course, uint8_t tos)
{
	return (struct netlab_flow){.course = course & 1 ? NETLAB_BACK : NETLAB_OUT,
				    .is_six = course & 2,
				    .count = 60,
				    .size = 200,
				    .at_once = 20,
				    .pause_us = 1000,
				    .quiet_ms = wait_ms(),
				    .tos = tos};
}

static void test_a_delay_leaves_the_class_of_service_alone(void **state)
{
	static const uint8_t classes[] = {EXPEDITED | ECN_ECT_0, ECN_CE};

	for (unsigned i = 0; i < NETLAB_COURSES * sizeof(classes); i++) {
		const uint8_t class = classes[i / NETLAB_COURSES];
		const struct netlab_flow flow = flow_of(i % NETLAB_COURSES, class);
		struct netlab_seen seen =
			netlab_see(*state, &flow, (const char *[]){"delay", "20ms", NULL});

		assert_int_equal(seen.arrived, flow.count);
		assert_int_equal(seen.recoloured, 0);
		assert_int_equal(seen.marked, (class & 3) == ECN_CE ? flow.count : 0);
		assert_true(seen.least_ns >= DELAY_NS);
		free(seen.delays_ns);
	}
}

static void test_a_mark_leaves_the_rest_of_the_class_alone(void **state)
{
	for (unsigned course = 0; course < NETLAB_COURSES; course++) {
		const struct netlab_flow flow = flow_of(course, EXPEDITED | ECN_ECT_0);
		struct netlab_seen seen = netlab_see(
			*state, &flow,
			(const char *[]){"loss", "100%", "ecn", "true", "delay", "20ms", NULL});

		assert_int_equal(seen.arrived, flow.count);
		assert_int_equal(seen.marked, flow.count);
		assert_int_equal(seen.recoloured, 0);
		free(seen.delays_ns);
	}
}

static void test_a_datagram_waits_for_its_delayed_fragment(void **state)
{
	struct netlab_flow flow = flow_of(0, 0);

	flow.size = DATAGRAM;
	flow.count = 10; /* more than 64 fragments later, IPv4 has given up (ipfrag_max_dist) */
	for (unsigned i = 0; i < 2; i++) {
		struct netlab_seen seen;

		flow.is_six = i;
		seen = netlab_see(*state, &flow,
				  (const char *[]){"to", i ? "[fd88::2]:7100" : "10.88.0.2:7100",
						   "delay", "20ms", NULL});
		assert_int_equal(seen.arrived, flow.count);
		assert_true(seen.least_ns >= DELAY_NS);
		free(seen.delays_ns);
	}
}

/* Fragments that a namespace was handed. */
static unsigned count_fragments(const char *name, bool is_six)
{
	const char *counter = is_six ? "Ip6ReasmReqds" : "IpReasmReqds";

	return netlab_counter(name, counter);
}

/* One datagram with the port at both ends: how many of its fragments arrive, and whether it is made
 * whole in time. */
static unsigned fragments_that_arrive(const struct netlab *lab, bool is_back, bool is_six,
				      int patience_ms, bool *out_whole)
{
	uint16_t datagram[DATAGRAM / 2]; /* whoever reads ports in it finds that very port */
	const char *to = netlab_ends[is_six][!is_back], *receiver = is_back ? lab->near : lab->far;
	int family = is_six ? AF_INET6 : AF_INET, near = lab->near_fd, far = lab->far_fd;
	cleanup_fd int source = netlab_socket(is_back ? far : near, family, SOCK_DGRAM, 0,
					      netlab_ends[is_six][is_back], FRAGMENT_PORT);
	cleanup_fd int sink =
		netlab_socket(is_back ? near : far, family, SOCK_DGRAM, 0, to, FRAGMENT_PORT);
	struct pollfd ready = {.fd = sink, .events = POLLIN};
	struct sockaddr_storage address;
	socklen_t length = netlab_address(to, FRAGMENT_PORT, &address);
	unsigned before = count_fragments(receiver, is_six);

	for (unsigned i = 0; i < DATAGRAM / 2; i++)
		datagram[i] = htons(FRAGMENT_PORT);
	assert_int_equal(sendto(source, datagram, DATAGRAM, 0, (void *)&address, length), DATAGRAM);
	*out_whole = poll(&ready, 1, patience_ms) > 0;
	return count_fragments(receiver, is_six) - before;
}

/* For each course: so many of the three fragments pass a partition of this scope. */
static void assert_passing(struct netlab *lab, unsigned passing, const char *four, const char *six,
			   const char *name, const char *value)
{
	/* what arrives at all is there at once */
	const int patience_ms = passing == FRAGMENTS ? 1000 : (int)wait_ms() / 3;

	for (unsigned course = 0; course < NETLAB_COURSES; course++) {
		const bool is_back = course & 1, is_six = course & 2;
		struct netlab_fault fault;
		bool is_whole;

		netlab_start(lab, &fault,
			     (const char *[]){"to", is_six ? six : four, "direction",
					      is_back ? "ingress" : "egress", "loss", "100%", name,
					      value, NULL});
		assert_int_equal(
			fragments_that_arrive(lab, is_back, is_six, patience_ms, &is_whole),
			passing);
		assert_int_equal(is_whole, passing == FRAGMENTS);
		netlab_fault_finish(&fault, FAULT_END_NOW);
	}
}

static void test_only_the_first_fragment_has_ports(void **state)
{
	const unsigned later = FRAGMENTS - 1, none = 0, first = 1, all = FRAGMENTS;

	assert_passing(*state, later, "10.88.0.2:7003", "[fd88::2]:7003", NULL, NULL);
	assert_passing(*state, later, "10.88.0.2", "fd88::2", "local-port", "7003");
	assert_passing(*state, none, "10.88.0.2", "fd88::2", NULL, NULL);
	assert_passing(*state, none, "10.88.0.2", "fd88::2", "protocol", "udp");
	assert_passing(*state, first, "10.88.0.2", "fd88::2", "except", "*:7003");
	assert_passing(*state, all, "10.88.0.2", "fd88::2", "protocol", "tcp");
	/* nearly every flow is drawn, and this one is; and by nearly none */
	assert_passing(*state, later, "10.88.0.2", "fd88::2", "share", "99%");
	assert_passing(*state, all, "10.88.0.2", "fd88::2", "share", "1%");
}

int main(void)
{
#define ALL(BY)                                                                                    \
	BY(test_a_delay_leaves_the_class_of_service_alone),                                        \
		BY(test_a_mark_leaves_the_rest_of_the_class_alone),                                \
		BY(test_a_datagram_waits_for_its_delayed_fragment)
	const struct CMUnitTest line[] = {ALL(BY_LINES)};
	const struct CMUnitTest rest[] = {ALL(BY_NETEMS),
					  BY_LINES(test_only_the_first_fragment_has_ports)};
	int failed = 0;

	/* An emulated machine is slow, and these are run outside of it, too. */
	if (!is_emulated())
		failed += cmocka_run_group_tests_name("delay line", line, netlab_setup,
						      netlab_teardown_ways);
	return failed + cmocka_run_group_tests_name("netem, and neither", rest, netlab_setup,
						    netlab_teardown_ways);
}
