/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Whoever asks, however: several queries on a connection, several servers from one port, a socket
 * that is older than the dns fault, what is no query at all, and dig.
 */
#include "tests/netns/dns_bench.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ENDLESS (64U << 20) /* more than all buffers on the way hold */

/* RFC 7766: several at a time on one connection; what is quick comes first. */
static void test_queries_on_one_tcp_connection_do_not_wait_for_one_another(void **state)
{
	static const char *const names[] = {"slow.test", "one.test", "gone.slow.test", "two.test"};
	struct netlab *lab = *state;
	uint8_t bytes[2048], ids[4];
	struct netlab_fault fault;
	size_t used = 0, got = 0;
	int fd;

	START(lab, &fault, "to", "10.88.0.2", "name", "slow.test", "delay", "400ms");
	fd = dns_socket(lab, "10.88.0.2", 53, SOCK_STREAM);
	for (unsigned i = 0; i < 4; i++) {
		size_t size = dns_query(names[i], DNS_TYPE_A, (uint16_t)(i + 1), bytes + used + 2);

		bytes[used] = 0;
		bytes[used + 1] = (uint8_t)size;
		used += size + 2;
	}
	/* in pieces that end anywhere */
	for (size_t at = 0; at < used; at += 7) {
		size_t piece = used - at < 7 ? used - at : 7;

		assert_int_equal(send(fd, bytes + at, piece, 0), piece);
		poll(NULL, 0, 2);
	}
	for (unsigned i = 0; i < 4; i++) {
		size_t size;

		assert_int_equal(recv(fd, bytes, 2, MSG_WAITALL), 2);
		size = (size_t)bytes[0] << 8 | bytes[1];
		assert_int_equal(recv(fd, bytes, size, MSG_WAITALL), size);
		assert_int_equal(bytes[3] & 15, 0);
		ids[got++] = bytes[1];
	}
	assert_int_equal(ids[3], 1); /* the one that was held */
	close(fd);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

/* What would be half of it is not put in front of a query that waits: the server would take that
 * for the other half. */
static void test_a_query_arrives_whole_though_half_a_message_follows_it(void **state)
{
	struct netlab *lab = *state;
	struct timeval patience = {.tv_sec = 10};
	struct netlab_fault fault;
	uint8_t bytes[1024] = {0};
	size_t size;
	int fd;

	START(lab, &fault, "to", "10.88.0.2", "name", "slow.test", "delay", "400ms");
	fd = dns_socket(lab, "10.88.0.2", 53, SOCK_STREAM);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	size = dns_query("slow.test", DNS_TYPE_A, 7, bytes + 2);
	bytes[1] = (uint8_t)size;
	memcpy(bytes + 2 + size, bytes, 12);
	assert_int_equal(send(fd, bytes, 2 + size + 12, 0), 2 + size + 12);
	shutdown(fd, SHUT_WR);
	assert_int_equal(recv(fd, bytes, 2, MSG_WAITALL), 2);
	size = (size_t)bytes[0] << 8 | bytes[1];
	assert_in_range(size, 12, sizeof(bytes));
	assert_int_equal(recv(fd, bytes, size, MSG_WAITALL), size);
	assert_int_equal(bytes[1], 7);
	assert_int_equal(bytes[3] & 15, 0);
	close(fd);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

/* Else a client could fill the worker's memory with answers. */
static void test_who_does_not_read_answers_is_not_heard_for_ever(void **state)
{
	static uint8_t queries[64 << 10];
	struct netlab *lab = *state;
	struct netlab_fault fault;
	size_t used = 0, sent = 0;
	struct pollfd ready = {.events = POLLOUT};

	START(lab, &fault, "to", "10.88.0.2", "name", "gone.test", "answer", "nxdomain");
	while (used + 2 + 512 <= sizeof(queries)) {
		size_t size = dns_query("gone.test", DNS_TYPE_A, 7, queries + used + 2);

		queries[used + 1] = (uint8_t)size;
		used += 2 + size;
	}
	ready.fd = dns_socket(lab, "10.88.0.2", 53, SOCK_STREAM);
	while (sent < ENDLESS && poll(&ready, 1, 2000) > 0) {
		/* on from where the last piece ended */
		size_t at = sent % used;
		ssize_t piece = send(ready.fd, queries + at, used - at, MSG_DONTWAIT);

		assert_true(piece > 0);
		sent += (size_t)piece;
	}
	assert_in_range(sent, used, ENDLESS - 1);
	/* nobody else waits for it */
	assert_int_equal(DNS_ASK(lab, .name = "gone.test", .over_tcp = true).rcode, DNS_NXDOMAIN);
	close(ready.fd);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

static void test_a_socket_that_is_older_than_the_fault_is_met_and_let_go(void **state)
{
	struct netlab *lab = *state;
	int fd = dns_socket(lab, "10.88.0.2", 53, SOCK_DGRAM);
	struct netlab_fault fault;

	ASSERT_SERVED(lab, .name = "gone.test", .fd = fd);
	START(lab, &fault, "to", "*", "name", "gone.test", "answer", "nxdomain", "interface",
	      "sqv0");
	assert_int_equal(DNS_ASK(lab, .name = "gone.test", .fd = fd).rcode, DNS_NXDOMAIN);
	ASSERT_SERVED(lab, .name = "here.test", .fd = fd);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	/* at once, and on the same socket */
	ASSERT_SERVED(lab, .name = "gone.test", .fd = fd);
	close(fd);
}

static void test_a_resolver_on_this_machine_is_a_server_like_any_other(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	START(lab, &fault, "to", "127.0.0.53", "name", "gone.test", "answer", "nxdomain");
	for (int tcp = 0; tcp < 2; tcp++) {
		assert_int_equal(
			DNS_ASK(lab, .server = "127.0.0.53", .name = "gone.test", .over_tcp = tcp)
				.rcode,
			DNS_NXDOMAIN);
		ASSERT_SERVED(lab, .server = "127.0.0.53", .name = "here.test", .over_tcp = tcp);
		ASSERT_SERVED(lab, .name = "gone.test", .over_tcp = tcp);
	}
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

/* dnsmasq asks all its servers from one port; each must be answered by the one that was asked. */
static void test_several_servers_asked_from_one_port(void **state)
{
	static const char *const asked[] = {"10.88.0.2", "10.88.0.3"};
	struct netlab *lab = *state;
	int fd = dns_socket(lab, asked[0], 53, SOCK_DGRAM);
	struct sockaddr_in to, from;
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	socklen_t length = sizeof(to);
	struct netlab_fault fault;
	uint8_t bytes[512];
	unsigned answered = 0;

	assert_int_equal(getpeername(fd, (void *)&to, &length), 0);
	assert_int_equal(connect(fd, &none, sizeof(none)), 0);
	START(lab, &fault, "to", "10.88.0.0/24", "name", "x.test", "answer", "servfail");
	for (unsigned i = 0; i < 2; i++) {
		size_t size = dns_query("here.test", DNS_TYPE_A, (uint16_t)(i + 1), bytes);

		to.sin_addr.s_addr = htonl(0x0a580002 + i);
		assert_int_equal(sendto(fd, bytes, size, 0, (void *)&to, sizeof(to)), size);
	}
	for (unsigned i = 0; i < 2; i++) {
		struct pollfd polled = {.fd = fd, .events = POLLIN};

		length = sizeof(from);
		assert_int_equal(poll(&polled, 1, 3000), 1);
		assert_true(recvfrom(fd, bytes, sizeof(bytes), 0, (void *)&from, &length) > 12);
		assert_int_equal(ntohl(from.sin_addr.s_addr), 0x0a580002 + bytes[1] - 1);
		assert_int_equal(ntohs(from.sin_port), 53);
		answered |= 1U << bytes[1];
	}
	assert_int_equal(answered, 6);
	close(fd);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

static void test_what_is_no_query_passes_as_it_is(void **state)
{
	struct netlab *lab = *state;
	int fd = dns_socket(lab, "10.88.0.2", NETLAB_PORT, SOCK_DGRAM);
	uint8_t bytes[1200], back[1500];
	struct netlab_fault fault;

	/* the echo of the lab gives back what it gets */
	START(lab, &fault, "to", "10.88.0.2:7001", "name", "*", "answer", "drop");
	for (size_t size = 8; size < sizeof(bytes); size += 149) {
		struct pollfd polled = {.fd = fd, .events = POLLIN};

		for (size_t i = 0; i < size; i++)
			bytes[i] = (uint8_t)(i * 37 + size);
		bytes[2] |= 0x80; /* an answer, if anything */
		assert_int_equal(send(fd, bytes, size, 0), size);
		assert_int_equal(poll(&polled, 1, 3000), 1);
		assert_int_equal(recv(fd, back, sizeof(back), 0), size);
		assert_memory_equal(bytes, back, size);
	}
	close(fd);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

static void test_real_clients(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char *text;

	START(lab, &fault, "to", "10.88.0.2", "name", "gone.test", "answer", "empty");
	text = netlab_output("ip netns exec %s dig +tcp +keepopen +time=3 +tries=1 @10.88.0.2 "
			     "here.test A gone.test A +dnssec here.test AAAA",
			     lab->near);
	assert_non_null(strstr(text, "192.0.2.1"));
	assert_non_null(strstr(text, "2001:db8::1"));
	assert_null(strstr(text, "NXDOMAIN"));
	assert_null(strstr(text, "ANSWER: 2"));
	free(text);
	text = netlab_output("ip netns exec %s dig +short +time=3 +tries=1 @10.88.0.2 gone.test",
			     lab->near);
	assert_string_equal(text, "");
	free(text);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_queries_on_one_tcp_connection_do_not_wait_for_one_another),
		cmocka_unit_test(test_a_query_arrives_whole_though_half_a_message_follows_it),
		cmocka_unit_test(test_who_does_not_read_answers_is_not_heard_for_ever),
		cmocka_unit_test(test_a_socket_that_is_older_than_the_fault_is_met_and_let_go),
		cmocka_unit_test(test_a_resolver_on_this_machine_is_a_server_like_any_other),
		cmocka_unit_test(test_several_servers_asked_from_one_port),
		cmocka_unit_test(test_what_is_no_query_passes_as_it_is),
		cmocka_unit_test(test_real_clients),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
