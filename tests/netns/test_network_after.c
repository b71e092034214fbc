/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * after-bytes: a flow is met from the packet on with which it has carried more than so much, each
 * by itself, anew in each injection; TCP is reset there and what came before is intact. By every
 * way, in both directions and both families.
 */
#include "tests/support/netlab_ways.h"
#include "tests/support/squall_runner.h"

#include "faults/network.h"
#include "faults/network_after.h"
#include "injector/base/cleanup.h"
#include "injector/base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define PORT	 7311
#define DATAGRAM 1000 /* with its headers between 1028 and 1062 bytes */
#define SECTION	 (20 << 10)

static int wait_ms(void)
{
	return is_emulated() ? 300 : 80;
}

/* Of so many datagrams from one port to another, those that arrive. */
static unsigned arriving(const struct netlab *lab, unsigned course, uint16_t port, unsigned count)
{
	const bool is_back = course & 1, is_six = course & 2;
	int family = is_six ? AF_INET6 : AF_INET;
	const char *from = netlab_ends[is_six][is_back], *to = netlab_ends[is_six][!is_back];
	cleanup_fd int source = netlab_socket(is_back ? lab->far_fd : lab->near_fd, family,
					      SOCK_DGRAM, 0, from, port);
	cleanup_fd int sink = netlab_socket(is_back ? lab->near_fd : lab->far_fd, family,
					    SOCK_DGRAM, 0, to, PORT);
	struct pollfd ready = {.fd = sink, .events = POLLIN};
	char bytes[DATAGRAM] = "";
	struct sockaddr_storage address;
	socklen_t length = netlab_address(to, PORT, &address);
	unsigned arrived = 0;

	for (unsigned i = 0; i < count; i++)
		assert_int_equal(sendto(source, bytes, DATAGRAM, 0, (void *)&address, length),
				 DATAGRAM);
	while (poll(&ready, 1, wait_ms()) > 0 && recv(sink, bytes, sizeof(bytes), 0) == DATAGRAM)
		arrived++;
	return arrived;
}

static void test_each_flow_is_met_after_its_bytes(void **state)
{
	for (unsigned course = 0; course < NETLAB_COURSES; course++) {
		struct netlab_fault fault;

		netlab_start_course(*state, &fault, course,
				    (const char *[]){"after-bytes", "10kB", "loss", "100%", NULL});
		assert_non_null(strstr(fault.plan, "flows of which more than 10kB have passed"));
		assert_int_equal(arriving(*state, course, 7321, 5), 5);
		assert_int_equal(arriving(*state, course, 7322, 20), 9);
		assert_int_equal(arriving(*state, course, 7321, 20), 4);
		assert_int_equal(netlab_evidence(&fault).hits, 11 + 16);
		netlab_fault_finish(&fault, FAULT_END_NOW);
		/* begins anew */
		netlab_start_course(*state, &fault, course,
				    (const char *[]){"after-bytes", "10kB", "loss", "100%", NULL});
		assert_int_equal(arriving(*state, course, 7322, 20), 9);
		netlab_fault_finish(&fault, FAULT_END_NOW);
	}
}

static void test_nothing_is_left(void **state)
{
	char *before = netlab_dump(*state);
	struct netlab_fault fault;

	netlab_start_course(*state, &fault, 0,
			    (const char *[]){"after-bytes", "10kB", "partition", "reset", NULL});
	assert_in_range(arriving(*state, 0, 7321, 20), 9, 9);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	netlab_same(*state, before);
}

/* A limit that needs more than 32 bits; and one below any packet. */
static void test_limits_of_any_size(void **state)
{
	for (unsigned course = 0; course < NETLAB_COURSES; course++) {
		struct netlab_fault fault;

		netlab_start_course(*state, &fault, course,
				    (const char *[]){"after-bytes", "5GB", "loss", "100%", NULL});
		assert_int_equal(arriving(*state, course, 7322, 5), 5);
		netlab_fault_finish(&fault, FAULT_END_NOW);
		netlab_start_course(*state, &fault, course,
				    (const char *[]){"after-bytes", "1B", "loss", "100%", NULL});
		assert_int_equal(arriving(*state, course, 7322, 5), 0);
		netlab_fault_finish(&fault, FAULT_END_NOW);
	}
}

/* What has no ports is one flow of each pair of addresses. */
static void test_pings_are_a_flow(void **state)
{
	for (unsigned is_six = 0; is_six < 2; is_six++) {
		struct netlab_fault fault;
		unsigned answers = 0;

		netlab_start_course(*state, &fault, is_six << 1,
				    (const char *[]){"after-bytes", "400B", "loss", "100%", NULL});
		for (unsigned i = 0; i < 20; i++)
			answers += netlab_ping(*state, netlab_ends[is_six][1],
					       i < 2 ? 1000 : wait_ms()) >= 0;
		assert_in_range(answers, 2, 12);
		netlab_fault_finish(&fault, FAULT_END_NOW);
	}
}

static void test_later_packets_are_late(void **state)
{
	struct netlab_fault fault;
	const char *to = "10.88.0.2";
	unsigned quick = 0;

	netlab_start(*state, &fault,
		     (const char *[]){"to", to, "after-bytes", "1000B", "delay", "300ms", NULL});
	for (unsigned i = 0; i < 40; i++) {
		int64_t took_ns = netlab_round_trip_from(*state, 7323, to, NETLAB_PORT, 5000);

		assert_true(took_ns >= 0);
		quick += took_ns < 200 * NSEC_PER_MSEC;
		if (took_ns >= 300 * NSEC_PER_MSEC)
			break;
	}
	assert_in_range(quick, 5, 35);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

/* A connection from near to far: both ends. */
static void open_connection(const struct netlab *lab, bool is_six, int out[2])
{
	int family = is_six ? AF_INET6 : AF_INET, one = 1;
	cleanup_fd int listener = netlab_socket(lab->far_fd, family, SOCK_STREAM, 0, NULL, 0);
	struct sockaddr_storage address;
	socklen_t length = netlab_address(netlab_ends[is_six][1], PORT, &address);

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(listener, (void *)&address, length), 0);
	assert_int_equal(listen(listener, 1), 0);
	out[0] = netlab_socket(lab->near_fd, family, SOCK_STREAM, 0, NULL, 0);
	assert_int_equal(connect(out[0], (void *)&address, length), 0);
	out[1] = accept(listener, NULL, NULL);
	assert_true(out[1] >= 0);
}

static uint8_t byte_at(size_t at)
{
	return (uint8_t)(at * 31 + at / 256);
}

/* One section over the connection, and all of it at the other end; errno of the sender. */
static int pass(const int pair[2], unsigned from, size_t *passed)
{
	uint8_t bytes[SECTION], arrived[SECTION];
	struct pollfd ready = {.fd = pair[!from], .events = POLLIN};
	size_t got = 0;

	for (size_t i = 0; i < SECTION; i++)
		bytes[i] = byte_at(*passed + i);
	if (send(pair[from], bytes, SECTION, MSG_NOSIGNAL) != SECTION)
		return errno;
	while (got < SECTION) {
		struct pollfd sender = {.fd = pair[from], .events = 0};
		ssize_t size;

		if (poll(&ready, 1, wait_ms()) <= 0) {
			int error = 0;
			socklen_t length = sizeof(error);

			assert_int_equal(poll(&sender, 1, 5000), 1); /* POLLERR */
			getsockopt(pair[from], SOL_SOCKET, SO_ERROR, &error, &length);
			return error;
		}
		size = recv(pair[!from], arrived, sizeof(arrived), 0);
		assert_true(size > 0);
		for (ssize_t i = 0; i < size; i++)
			assert_int_equal(arrived[i], byte_at(*passed + (size_t)i));
		*passed += (size_t)size;
		got += (size_t)size;
	}
	return 0;
}

static void test_a_connection_is_reset_after_its_bytes(void **state)
{
	for (unsigned course = 0; course < NETLAB_COURSES; course++) {
		const unsigned from = course & 1;
		struct netlab_fault fault;
		int one[2], other[2], result = 0;
		size_t passed = 0, others = 0;

		open_connection(*state, course & 2, other);
		netlab_start_course(
			*state, &fault, course,
			(const char *[]){"after-bytes", "100KiB", "partition", "reset", NULL});
		open_connection(*state, course & 2, one);
		while (!result && passed < 1 << 20)
			result = pass(one, from, &passed);
		assert_int_equal(result, ECONNRESET);
		assert_in_range(passed, 60 << 10, 100 << 10);
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(pass(other, from, &others), 0);
		netlab_fault_finish(&fault, FAULT_END_NOW);
		for (unsigned i = 0; i < 10; i++)
			assert_int_equal(pass(other, from, &others), 0);
		for (unsigned i = 0; i < 2; i++) {
			close(one[i]);
			close(other[i]);
		}
	}
}

/* More flows than the set takes: the others pass, and are counted. */
static void test_a_full_set_meets_no_others(void **state)
{
	const struct netlab *lab = *state;
	cleanup_fd int fd =
		netlab_socket(lab->near_fd, AF_INET, SOCK_RAW, IPPROTO_UDP, "10.88.0.1", 0);
	struct sockaddr_storage address;
	socklen_t length = netlab_address("10.88.0.2", 0, &address);
	struct netlab_fault fault;
	struct evidence seen;

	if (is_emulated())
		return; /* it is slow, and this is run outside of it */
	netlab_start_course(*state, &fault, 0,
			    (const char *[]){"after-bytes", "1B", "loss", "100%", NULL});
	for (unsigned i = 0; i < NETWORK_AFTER_FLOWS + 100; i++) {
		const uint16_t header[4] = {htons((uint16_t)(1 + i % 60000)),
					    htons((uint16_t)(20000 + i / 60000)), htons(8)};

		sendto(fd, header, sizeof(header), 0, (void *)&address, length);
	}
	seen = netlab_evidence(&fault);
	assert_int_equal(seen.hits, NETWORK_AFTER_FLOWS);
	assert_non_null(strstr(seen.detail, "; 100 passed uncounted"));
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

int main(void)
{
#define ALL(BY) BY(test_later_packets_are_late)
#define NOW(BY)                                                                                    \
	BY(test_each_flow_is_met_after_its_bytes), BY(test_limits_of_any_size),                    \
		BY(test_pings_are_a_flow), BY(test_a_connection_is_reset_after_its_bytes)
	const struct CMUnitTest line[] = {ALL(BY_LINES), NOW(BY_LINES),
					  BY_LINES(test_nothing_is_left),
					  BY_LINE(test_a_full_set_meets_no_others)};
	const struct CMUnitTest netem[] = {ALL(BY_NETEMS), NOW(BY_NETEMS)};

	return NETLAB_RUN_WAYS(line, netem);
}
