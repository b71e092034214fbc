/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Packets of TCP by their flags: each flag selects the packets that have it and no others, also
 * where it is one of several; what that does to connections; and what has no flags to look at. By
 * every way, in both directions and both families.
 */
#include "tests/support/netlab_ways.h"
#include "tests/support/squall_runner.h"

#include "faults/network.h"
#include "injector/base/cleanup.h"
#include "injector/base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define FROM_PORT 7301
#define TO_PORT	  7302 /* nobody listens */
#define TCP_SIZE  20
#define LATE_MS	  400

static const char *const words[] = {"fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"};
enum { FIN, SYN, RST, PSH, ACK, FLAGS = 8 };

static int wait_ms(void)
{
	return is_emulated() ? 300 : 60;
}

/* A TCP header alone, as nobody's stack has sent it. */
static void send_flags(int fd, const char *to, uint8_t flags)
{
	const uint8_t header[TCP_SIZE] = {FROM_PORT >> 8, FROM_PORT & 0xff,	    TO_PORT >> 8,
					  TO_PORT & 0xff, [12] = TCP_SIZE / 4 << 4, [13] = flags};
	struct sockaddr_storage address;
	socklen_t length = netlab_address(to, 0, &address);

	assert_int_equal(sendto(fd, header, sizeof(header), 0, (void *)&address, length),
			 sizeof(header));
}

/* The flags of the next one that arrives; -1: none. */
static int receive_flags(int fd, bool is_six, int patience_ms)
{
	int64_t until_ns = clock_now_ns() + patience_ms * NSEC_PER_MSEC;

	for (;;) {
		struct pollfd ready = {.fd = fd, .events = POLLIN};
		int64_t left_ns = until_ns - clock_now_ns();
		uint8_t packet[2048], *tcp = packet;
		ssize_t size;

		if (left_ns < 0 || poll(&ready, 1, (int)(left_ns / NSEC_PER_MSEC) + 1) <= 0)
			return -1;
		size = recv(fd, packet, sizeof(packet), 0);
		if (!is_six) { /* whose raw sockets alone begin with the IP header */
			tcp += (packet[0] & 15) * 4;
			size -= (packet[0] & 15) * 4;
		}
		if (size >= TCP_SIZE && (tcp[0] << 8 | tcp[1]) == FROM_PORT)
			return tcp[13];
	}
}

/* Of packets with one flag each, those that arrive, as bits. */
static unsigned arriving(const struct netlab *lab, unsigned course)
{
	const bool is_back = course & 1, is_six = course & 2;
	int family = is_six ? AF_INET6 : AF_INET;
	const char *from = netlab_ends[is_six][is_back], *to = netlab_ends[is_six][!is_back];
	cleanup_fd int source = netlab_socket(is_back ? lab->far_fd : lab->near_fd, family,
					      SOCK_RAW, IPPROTO_TCP, from, 0);
	cleanup_fd int sink = netlab_socket(is_back ? lab->near_fd : lab->far_fd, family, SOCK_RAW,
					    IPPROTO_TCP, to, 0);
	unsigned arrived = 0;
	int flags;

	for (unsigned flag = 0; flag < FLAGS; flag++)
		send_flags(source, to, (uint8_t)(1U << flag));
	while ((flags = receive_flags(sink, is_six, wait_ms())) >= 0)
		arrived |= (unsigned)flags;
	return arrived;
}

static void test_each_flag_selects_its_packets(void **state)
{
	for (unsigned course = 0; course < NETLAB_COURSES; course++)
		for (unsigned flag = 0; flag < FLAGS; flag++) {
			struct netlab_fault fault;

			netlab_start_course(
				*state, &fault, course,
				(const char *[]){"tcp-flags", words[flag], "loss", "100%", NULL});
			assert_non_null(strstr(fault.plan, ", protocol tcp"));
			assert_non_null(strstr(fault.plan, words[flag]));
			assert_int_equal(arriving(*state, course), 0xff & ~(1U << flag));
			assert_int_equal(netlab_evidence(&fault).hits, 1);
			netlab_fault_finish(&fault, FAULT_END_NOW);
		}
	assert_int_equal(arriving(*state, 0), 0xff);
}

static void test_one_of_several_is_enough(void **state)
{
	for (unsigned course = 0; course < NETLAB_COURSES; course++) {
		struct netlab_fault fault;

		netlab_start_course(*state, &fault, course,
				    (const char *[]){"tcp-flags", "fin", "tcp-flags", "rst",
						     "protocol", "tcp", "loss", "100%", NULL});
		assert_non_null(strstr(fault.plan, "packets with the TCP flag fin or rst"));
		assert_int_equal(arriving(*state, course), 0xff & ~(1U << FIN | 1U << RST));
		netlab_fault_finish(&fault, FAULT_END_NOW);
	}
}

/* Of packets with these flags, those that arrive, as bits in their order. */
static unsigned arriving_of(const struct netlab *lab, unsigned course, const uint8_t *sent,
			    unsigned count)
{
	const bool is_back = course & 1, is_six = course & 2;
	int family = is_six ? AF_INET6 : AF_INET;
	const char *from = netlab_ends[is_six][is_back], *to = netlab_ends[is_six][!is_back];
	cleanup_fd int source = netlab_socket(is_back ? lab->far_fd : lab->near_fd, family,
					      SOCK_RAW, IPPROTO_TCP, from, 0);
	cleanup_fd int sink = netlab_socket(is_back ? lab->near_fd : lab->far_fd, family, SOCK_RAW,
					    IPPROTO_TCP, to, 0);
	unsigned arrived = 0;
	int flags;

	for (unsigned i = 0; i < count; i++)
		send_flags(source, to, sent[i]);
	while ((flags = receive_flags(sink, is_six, wait_ms())) >= 0)
		for (unsigned i = 0; i < count; i++)
			arrived |= (unsigned)(sent[i] == flags) << i;
	return arrived;
}

static void test_flags_that_must_not_be_there(void **state)
{
	/* SYN; SYN+ACK; ACK; SYN+ECE+CWR; SYN+FIN; nothing */
	static const uint8_t sent[] = {2, 2 | 16, 16, 2 | 64 | 128, 2 | 1, 0};
	static const struct {
		const char *flags[3];
		unsigned arrive;
		const char *words;
	} cases[] = {
		{{"syn", "!ack"}, 0x06 | 0x20, "packets with the TCP flag syn and not ack"},
		{{"syn", "!ack", "!fin"}, 0x16 | 0x20, "syn, not ack and not fin"},
		{{"syn", "ack", "!fin"}, 0x3d, "syn, ack and not fin"},
		{{"!syn"}, 0x1b, "not syn"},
	};

	for (unsigned course = 0; course < NETLAB_COURSES; course++)
		for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
			const char *more[16] = {"loss", "100%"};
			unsigned at = 2;
			struct netlab_fault fault;

			for (unsigned k = 0; k < 3 && cases[i].flags[k]; k++) {
				more[at++] = "tcp-flags";
				more[at++] = cases[i].flags[k];
			}
			netlab_start_course(*state, &fault, course, more);
			assert_non_null(strstr(fault.plan, cases[i].words));
			assert_int_equal(arriving_of(*state, course, sent, sizeof(sent)),
					 cases[i].arrive);
			netlab_fault_finish(&fault, FAULT_END_NOW);
		}
	assert_int_equal(arriving_of(*state, 0, sent, sizeof(sent)), 0x3f);
}

/* Behind the scope: what is left out stays left out, and other ports are not met. */
static void test_flags_beside_ports_and_shares(void **state)
{
	struct netlab_fault fault;

	for (unsigned course = 0; course < NETLAB_COURSES; course++) {
		netlab_start_course(*state, &fault, course,
				    (const char *[]){"tcp-flags", "psh", "except", "*:7302",
						     "except", "*:7301", "loss", "100%", NULL});
		assert_int_equal(arriving(*state, course), 0xff);
		netlab_fault_finish(&fault, FAULT_END_NOW);
		netlab_start_course(*state, &fault, course,
				    (const char *[]){"tcp-flags", "psh", "share", "99.9999%",
						     "loss", "100%", NULL});
		assert_int_equal(arriving(*state, course), 0xff & ~(1U << PSH));
		netlab_fault_finish(&fault, FAULT_END_NOW);
	}
}

/* A later fragment of TCP, whose bytes look as if they had every flag. */
static void send_fragment(const struct netlab *lab, bool is_six)
{
	uint8_t packet[40 + 8 + 64];
	struct iphdr four = {.version = 4,
			     .ihl = 5,
			     .tot_len = htons(20 + 64),
			     .id = htons(77),
			     .frag_off = htons(8),
			     .ttl = 64,
			     .protocol = IPPROTO_TCP};
	struct ipv6hdr six = {.version = 6,
			      .payload_len = htons(8 + 64),
			      .nexthdr = IPPROTO_FRAGMENT,
			      .hop_limit = 64};
	const uint8_t fragment[8] = {IPPROTO_TCP, 0, 0, 64, 0, 0, 0, 77};
	struct sockaddr_storage address;
	socklen_t length = netlab_address(netlab_ends[is_six][1], 0, &address);
	cleanup_fd int fd = netlab_socket(lab->near_fd, is_six ? AF_INET6 : AF_INET, SOCK_RAW,
					  IPPROTO_RAW, NULL, 0);
	size_t size;

	memset(packet, 0xff, sizeof(packet));
	if (is_six) {
		inet_pton(AF_INET6, netlab_ends[1][0], &six.saddr);
		inet_pton(AF_INET6, netlab_ends[1][1], &six.daddr);
		memcpy(packet, &six, sizeof(six));
		memcpy(packet + sizeof(six), fragment, sizeof(fragment));
		size = sizeof(packet);
	} else {
		inet_pton(AF_INET, netlab_ends[0][0], &four.saddr);
		inet_pton(AF_INET, netlab_ends[0][1], &four.daddr);
		memcpy(packet, &four, sizeof(four));
		size = 20 + 64;
	}
	assert_int_equal(sendto(fd, packet, size, 0, (void *)&address, length), size);
}

static void test_a_later_fragment_has_no_flags(void **state)
{
	for (unsigned is_six = 0; is_six < 2; is_six++)
		for (unsigned has_flags = 0; has_flags < 2; has_flags++) {
			struct netlab_fault fault;

			netlab_start_course(
				*state, &fault, is_six << 1,
				has_flags
					? (const char *[]){"tcp-flags", "fin", "tcp-flags", "syn",
							   "tcp-flags", "rst", "tcp-flags", "psh",
							   "tcp-flags", "ack", "loss", "100%", NULL}
					: (const char *[]){"protocol", "tcp", "loss", "100%",
							   NULL});
			send_fragment(*state, is_six);
			assert_int_equal(netlab_evidence(&fault).hits, !has_flags);
			netlab_fault_finish(&fault, FAULT_END_NOW);
		}
}

/* A connection from near to far: both ends. */
static void open_connection(const struct netlab *lab, bool is_six, int out[2])
{
	int family = is_six ? AF_INET6 : AF_INET;
	cleanup_fd int listener =
		netlab_socket(lab->far_fd, family, SOCK_STREAM, 0, netlab_ends[is_six][1], TO_PORT);
	struct sockaddr_storage address;
	socklen_t length = netlab_address(netlab_ends[is_six][1], TO_PORT, &address);

	assert_int_equal(listen(listener, 1), 0);
	out[0] = netlab_socket(lab->near_fd, family, SOCK_STREAM, 0, NULL, 0);
	assert_int_equal(connect(out[0], (void *)&address, length), 0);
	out[1] = accept(listener, NULL, NULL);
	assert_true(out[1] >= 0);
}

/* How long until there is something to read: data, or the end (then *out_size is 0). */
static int64_t await(int fd, ssize_t *out_size)
{
	int64_t began_ns = clock_now_ns();
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	char bytes[64];

	assert_int_equal(poll(&ready, 1, 10 * LATE_MS), 1);
	*out_size = recv(fd, bytes, sizeof(bytes), 0);
	return (clock_now_ns() - began_ns) / NSEC_PER_MSEC;
}

static void test_a_connection_closes_late_and_its_data_are_in_time(void **state)
{
	const int slack_ms = is_emulated() ? LATE_MS * 3 / 4 : LATE_MS / 2;

	for (unsigned is_six = 0; is_six < 2; is_six++) {
		struct netlab_fault fault;
		ssize_t size;
		int pair[2];

		netlab_start(*state, &fault,
			     (const char *[]){"to", is_six ? "fd88::2" : "10.88.0.2", "delay",
					      "400ms", "tcp-flags", "fin", NULL});
		open_connection(*state, is_six, pair);
		assert_int_equal(send(pair[0], "hello", 5, 0), 5);
		assert_true(await(pair[1], &size) < slack_ms);
		assert_int_equal(size, 5);
		close(pair[0]);
		assert_in_range(await(pair[1], &size), LATE_MS - 20, LATE_MS * 9);
		assert_int_equal(size, 0);
		close(pair[1]);
		netlab_fault_finish(&fault, FAULT_END_NOW);
	}
}

/* 0 or errno, of an attempt that is given half a second. */
static int try_to_connect(const struct netlab *lab, bool is_six)
{
	struct sockaddr_storage address;
	socklen_t length = netlab_address(netlab_ends[is_six][1], NETLAB_PORT, &address);
	cleanup_fd int fd =
		netlab_socket(lab->near_fd, is_six ? AF_INET6 : AF_INET, SOCK_STREAM, 0, NULL, 0);
	struct timeval patience = {.tv_usec = 500000};

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	return connect(fd, (void *)&address, length) < 0 ? errno : 0;
}

/* [syn] is both packets that set one up: also when the other side's answer is what is met. */
static void test_only_setting_up_fails(void **state)
{
	for (unsigned course = 0; course < NETLAB_COURSES; course++) {
		const bool is_six = course & 2;
		struct netlab_fault fault;
		ssize_t size;
		int pair[2];

		open_connection(*state, is_six, pair);
		netlab_start_course(*state, &fault, course,
				    (const char *[]){"tcp-flags", "syn", "loss", "100%", NULL});
		assert_int_not_equal(try_to_connect(*state, is_six), 0);
		for (unsigned end = 0; end < 2; end++) {
			assert_int_equal(send(pair[end], "hello", 5, 0), 5);
			await(pair[!end], &size);
			assert_int_equal(size, 5);
		}
		netlab_fault_finish(&fault, FAULT_END_NOW);
		assert_int_equal(try_to_connect(*state, is_six), 0);
		close(pair[0]);
		close(pair[1]);
	}
}

static void assert_refused(struct netlab *lab, const char *const *settings, const char *why)
{
	struct netlab_fault fault;
	struct error err = ERROR_INIT;

	assert_true(netlab_fault_plan(lab, &fault, "fffff1", settings, &err) < 0);
	if (!strstr(err.text, why))
		fail_msg("'%s' and not '%s'", err.text, why);
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

/* What the worker finds by itself, whatever it was told. */
static void test_what_has_no_flags_is_refused(void **state)
{
	assert_refused(*state,
		       (const char *[]){"to", "10.88.0.2", "tcp-flags", "fin", "protocol", "udp",
					"loss", "1%", NULL},
		       "tcp-flags selects packets of tcp alone, and protocol names udp");
	assert_refused(*state,
		       (const char *[]){"to", "10.88.0.2", "tcp-flags", "fin", "protocol-number",
					"47", "loss", "1%", NULL},
		       "protocol-number names 47");
	assert_refused(*state,
		       (const char *[]){"to", "10.88.0.2", "tcp-flags", "fin", "reset-connections",
					"true", NULL},
		       "reset-connections ends whole connections");
}

int main(void)
{
#define ALL(BY) BY(test_a_connection_closes_late_and_its_data_are_in_time)
#define NOW(BY)                                                                                    \
	BY(test_each_flag_selects_its_packets), BY(test_one_of_several_is_enough),                 \
		BY(test_flags_that_must_not_be_there), BY(test_flags_beside_ports_and_shares),     \
		BY(test_a_later_fragment_has_no_flags), BY(test_only_setting_up_fails)
	const struct CMUnitTest line[] = {ALL(BY_LINES), NOW(BY_LINES)};
	const struct CMUnitTest netem[] = {ALL(BY_NETEMS), NOW(BY_NETEMS),
					   BY_LINE(test_what_has_no_flags_is_refused)};

	return NETLAB_RUN_WAYS(line, netem);
}
