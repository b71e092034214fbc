/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * segment: a TCP stream arrives in pieces of so many bytes at most, as a raw socket at its end sees
 * them, and byte by byte as it was sent; also with a delay, jitter, a rate and losses. By every way
 * of taking packets out, in both directions and both families, and on lo.
 */
#include "tests/support/netlab_ways.h"
#include "tests/support/squall_runner.h"

#include "faults/network.h"
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

#define PORT	7331
#define SEGMENT 100
#define BYTES	(150 << 10) /* more than the stack hands down as one */
#define WAIT_MS 20000

enum { FIN = 1, PSH = 8 };

static void start(struct netlab *lab, struct netlab_fault *fault, unsigned course,
		  const char *const *more)
{
	netlab_start_course(lab, fault, course, more);
	assert_non_null(strstr(fault->plan, "a delay line in user space"));
	assert_non_null(strstr(fault->plan, "TCP leaves in pieces of at most"));
}

struct stream {
	int sender, receiver, raw; /* raw: at the receiver's end, and sees all of it */
	bool is_six;
	uint16_t port; /* of the sender */
	size_t sent, got;
	unsigned packets, ends; /* with data; with FIN */
	size_t largest;
};

/* From near to far or, `is_back`, the other way. */
static void open_stream(const struct netlab *lab, unsigned course, struct stream *out)
{
	const bool is_back = course & 1, is_six = course & 2;
	int family = is_six ? AF_INET6 : AF_INET, buffer = 64 << 20;
	int from = is_back ? lab->far_fd : lab->near_fd, to = is_back ? lab->near_fd : lab->far_fd;
	const char *address = netlab_ends[is_six][!is_back];
	cleanup_fd int listener = netlab_socket(to, family, SOCK_STREAM, 0, NULL, 0);
	struct sockaddr_storage place, own;
	socklen_t length = netlab_address(address, PORT, &place), own_length = sizeof(own);
	int one = 1;

	*out = (struct stream){.is_six = is_six};
	out->raw = netlab_socket(to, family, SOCK_RAW, IPPROTO_TCP, address, 0);
	setsockopt(out->raw, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer));
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(listener, (void *)&place, length), 0);
	assert_int_equal(listen(listener, 1), 0);
	out->sender = netlab_socket(from, family, SOCK_STREAM, 0, netlab_ends[is_six][is_back], 0);
	assert_int_equal(connect(out->sender, (void *)&place, length), 0);
	assert_int_equal(getsockname(out->sender, (void *)&own, &own_length), 0);
	out->port = ntohs(((struct sockaddr_in *)&own)->sin_port); /* in the same place of both */
	out->receiver = accept(listener, NULL, NULL);
	assert_true(out->receiver >= 0);
}

static void close_stream(struct stream *stream)
{
	close(stream->receiver);
	close(stream->raw);
}

static uint8_t byte_at(size_t at)
{
	return (uint8_t)(at * 31 + at / 256);
}

/* What the socket has; all of it is as it was sent. */
static bool take(struct stream *stream)
{
	uint8_t bytes[8192];
	ssize_t size = recv(stream->receiver, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (size < 0)
		assert_int_equal(errno, EAGAIN);
	for (ssize_t i = 0; i < size; i++)
		if (bytes[i] != byte_at(stream->got + (size_t)i))
			fail_msg("byte %zu is wrong", stream->got + (size_t)i);
	stream->got += size > 0 ? (size_t)size : 0;
	return size == 0;
}

/* All of it, and the end; so many ms it took, to the first byte. */
static int64_t pass(struct stream *stream, size_t count)
{
	int64_t began_ns = clock_now_ns(), first_ns = 0;
	uint8_t bytes[8192];

	for (;;) {
		struct pollfd ready[] = {{.fd = stream->receiver, .events = POLLIN},
					 {.fd = stream->sender, .events = POLLOUT}};
		size_t size =
			count - stream->sent < sizeof(bytes) ? count - stream->sent : sizeof(bytes);

		if (poll(ready, stream->sent < count ? 2 : 1, WAIT_MS) <= 0)
			fail_msg("%zu of %zu bytes, then none", stream->got, count);
		for (size_t i = 0; i < size; i++)
			bytes[i] = byte_at(stream->sent + i);
		if (stream->sent < count && ready[1].revents) {
			ssize_t sent = send(stream->sender, bytes, size, MSG_DONTWAIT);

			stream->sent += sent > 0 ? (size_t)sent : 0;
			if (stream->sent == count)
				close(stream->sender);
		}
		if (ready[0].revents && !first_ns)
			first_ns = clock_now_ns();
		if (ready[0].revents && take(stream))
			break;
	}
	assert_int_equal(stream->got, count);
	return (first_ns - began_ns) / NSEC_PER_MSEC;
}

/* What the raw socket saw of it. */
static void look(struct stream *stream)
{
	static uint8_t packet[70000];
	ssize_t size;

	while ((size = recv(stream->raw, packet, sizeof(packet), MSG_DONTWAIT)) > 0) {
		size_t ip = stream->is_six ? 0 : (size_t)(packet[0] & 15) * 4, data;
		const uint8_t *tcp = packet + ip;

		if ((tcp[0] << 8 | tcp[1]) != stream->port)
			continue;
		data = (size_t)size - ip - (size_t)(tcp[12] >> 4) * 4;
		stream->packets += data > 0;
		stream->ends += tcp[13] & FIN;
		if (data > stream->largest)
			stream->largest = data;
	}
}

static void check_course(struct netlab *lab, unsigned course, const char *const *more,
			 struct stream *out, int64_t *out_first_ms)
{
	struct netlab_fault fault;
	struct evidence seen = {0};

	open_stream(lab, course, out);
	start(lab, &fault, course, more);
	*out_first_ms = pass(out, BYTES);
	look(out);
	assert_int_equal(network_fault.evidence(&fault.fault, &seen, NULL), 0);
	assert_true(seen.hits >= BYTES / SEGMENT);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	close_stream(out);
	assert_in_range(out->largest, 1, SEGMENT);
	assert_true(out->packets >= (BYTES + SEGMENT - 1) / SEGMENT);
}

static void test_a_stream_arrives_in_pieces(void **state)
{
	for (unsigned course = 0; course < NETLAB_COURSES; course++) {
		struct stream seen;
		int64_t first_ms;

		check_course(*state, course, (const char *[]){"segment", "100B", NULL}, &seen,
			     &first_ms);
		/* a packet that is lost nowhere ends it once */
		assert_int_equal(seen.ends, 1);
		/* each only as small as it has to be, but for the ends of what was handed down */
		if (!is_emulated())
			assert_in_range(seen.packets, 0, BYTES / SEGMENT * 3 / 2);
	}
}

static void test_nothing_is_left(void **state)
{
	char *before = netlab_dump(*state);
	struct stream seen;
	int64_t first_ms;

	check_course(*state, 0, (const char *[]){"segment", "100B", NULL}, &seen, &first_ms);
	netlab_same(*state, before);
}

/* Without it, what arrives is larger: else nothing would be shown here. */
static void test_otherwise_it_does_not(void **state)
{
	struct stream seen;

	open_stream(*state, 0, &seen);
	pass(&seen, BYTES);
	look(&seen);
	close_stream(&seen);
	assert_true(seen.largest > SEGMENT * 5);
}

static void test_pieces_are_delayed(void **state)
{
	for (unsigned course = 0; course < NETLAB_COURSES; course++) {
		struct stream seen;
		int64_t first_ms;

		check_course(*state, course,
			     (const char *[]){"segment", "100B", "delay", "60ms", NULL}, &seen,
			     &first_ms);
		assert_in_range(first_ms, 55, 2000);
	}
}

/* Pieces overtake each other, are lost, doubled and wait for a rate one by one; TCP puts it right.
 */
static void test_pieces_meet_the_other_effects(void **state)
{
	static const char *const effects[][8] = {
		{"segment", "100B", "delay", "5ms", "jitter", "3ms", NULL},
		{"segment", "100B", "loss", "2%", NULL},
		{"segment", "100B", "duplicate", "20%", "delay", "2ms", NULL},
		{"segment", "100B", "rate", "20mbit", NULL},
	};

	for (unsigned i = 0; i < sizeof(effects) / sizeof(*effects); i++) {
		struct stream seen;
		int64_t first_ms;

		check_course(*state, i, effects[i], &seen, &first_ms);
	}
}

/* Whichever was injected first, the pieces of one are late by the other. */
static void test_beside_a_delay_of_its_own(void **state)
{
	static const char *const effects[2][2] = {{"delay", "60ms"}, {"segment", "100B"}};

	for (unsigned i = 0; i < 2 * NETLAB_COURSES; i++) {
		const unsigned order = i & 1, course = i >> 1;
		const char *settings[2][8];
		struct netlab_fault faults[2];
		struct stream seen;

		for (unsigned k = 0; k < 2; k++)
			memcpy(settings[k],
			       (const char *[]){"to", course & 2 ? "fd88::2" : "10.88.0.2",
						"direction", course & 1 ? "ingress" : "egress",
						effects[k ^ order][0], effects[k ^ order][1], NULL},
			       7 * sizeof(*settings[k]));
		open_stream(*state, course, &seen);
		netlab_start(*state, &faults[0], settings[0]);
		netlab_fault_start_step(*state, &faults[1], &faults[0], 1, settings[1]);
		assert_in_range(pass(&seen, BYTES), 55, 5000);
		look(&seen);
		assert_in_range(seen.largest, 1, SEGMENT);
		netlab_fault_end(&faults[1], FAULT_END_NOW);
		netlab_undo_step(faults[1].run_id, 1);
		faults[1].journal = NULL; /* the first one's */
		netlab_fault_finish(&faults[1], FAULT_END_NOW);
		netlab_fault_finish(&faults[0], FAULT_END_NOW);
		close_stream(&seen);
	}
}

/* A rate counts the headers of each piece: 40 and more for 10 of data. */
static void test_a_rate_counts_pieces_with_their_headers(void **state)
{
	int64_t took_ns[2];

	for (unsigned i = 0; i < 2; i++) {
		struct netlab_fault fault;
		struct stream seen;
		int64_t began_ns;

		open_stream(*state, 0, &seen);
		netlab_start(*state, &fault,
			     i ? (const char *[]){"to", "10.88.0.2", "rate", "4mbit", "segment",
						  "20B", NULL}
			       : (const char *[]){"to", "10.88.0.2", "rate", "4mbit", NULL});
		began_ns = clock_now_ns();
		pass(&seen, 60000);
		took_ns[i] = clock_now_ns() - began_ns;
		netlab_fault_finish(&fault, FAULT_END_NOW);
		close_stream(&seen);
	}
	/* 66 and 20 bytes for 20, against 66 and 1448 */
	assert_true(took_ns[1] > 2 * took_ns[0]);
}

static void test_datagrams_stay_whole(void **state)
{
	for (unsigned is_six = 0; is_six < 2; is_six++) {
		const struct netlab *lab = *state;
		int family = is_six ? AF_INET6 : AF_INET;
		cleanup_fd int sink = netlab_socket(lab->far_fd, family, SOCK_DGRAM, 0,
						    netlab_ends[is_six][1], PORT);
		cleanup_fd int source = netlab_socket(lab->near_fd, family, SOCK_DGRAM, 0, NULL, 0);
		struct pollfd ready = {.fd = sink, .events = POLLIN};
		struct sockaddr_storage address;
		socklen_t length = netlab_address(netlab_ends[is_six][1], PORT, &address);
		struct netlab_fault fault;
		char bytes[1200] = "";

		start(*state, &fault, is_six << 1, (const char *[]){"segment", "100B", NULL});
		assert_int_equal(sendto(source, bytes, sizeof(bytes), 0, (void *)&address, length),
				 sizeof(bytes));
		assert_int_equal(poll(&ready, 1, WAIT_MS), 1);
		assert_int_equal(recv(sink, bytes, sizeof(bytes), 0), sizeof(bytes));
		assert_true(netlab_ping(*state, netlab_ends[is_six][1], WAIT_MS) >= 0);
		netlab_fault_finish(&fault, FAULT_END_NOW);
	}
}

static void test_on_the_loopback_interface(void **state)
{
	static const char *const addresses[] = {"127.0.0.1", "::1"};

	for (unsigned i = 0; i < 2; i++) {
		struct evidence seen = {0};
		struct netlab_fault fault;

		netlab_start(*state, &fault,
			     (const char *[]){"to", addresses[i], "interface", "lo", "segment",
					      "500B", NULL});
		assert_true(netlab_transfer(*state, addresses[i], NETLAB_PORT, 500000, WAIT_MS) >=
			    0);
		assert_int_equal(network_fault.evidence(&fault.fault, &seen, NULL), 0);
		assert_true(seen.hits >= 1000);
		netlab_fault_finish(&fault, FAULT_END_SOFT);
	}
}

/* netem cannot: also where there is netem. */
static void test_the_plan_says_who_cuts(void **state)
{
	struct netlab_fault fault;

	start(*state, &fault, 0, (const char *[]){"segment", "1kB", NULL});
	assert_non_null(strstr(fault.plan, "netem cannot, a delay line cuts it"));
	assert_non_null(strstr(fault.plan, "segment 1000B"));
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

int main(void)
{
#define ALL(BY) BY(test_a_stream_arrives_in_pieces), BY(test_pieces_are_delayed)
	const struct CMUnitTest line[] = {ALL(BY_LINES),
					  BY_LINES(test_nothing_is_left),
					  BY_LINE(test_otherwise_it_does_not),
					  BY_LINES(test_pieces_meet_the_other_effects),
					  BY_LINES(test_beside_a_delay_of_its_own),
					  BY_LINE(test_a_rate_counts_pieces_with_their_headers),
					  BY_LINES(test_datagrams_stay_whole),
					  BY_LINES(test_on_the_loopback_interface)};
	const struct CMUnitTest netem[] = {ALL(BY_NETEMS), BY_NETEMS(test_the_plan_says_who_cuts)};

	return NETLAB_RUN_WAYS(line, netem);
}
