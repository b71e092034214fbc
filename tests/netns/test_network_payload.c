/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Packets by their payload: those with the text are met, others of the same flow pass at once. Both
 * ways of taking packets out, in both directions and both families, TCP and UDP, and on lo.
 */
#include "tests/support/netlab_ways.h"
#include "tests/support/squall_runner.h"

#include "injector/base/cleanup.h"
#include "injector/base/clock.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define PORT	 7341
#define DELAY_MS 300
#define LOST_MS	 400
#define WAIT_MS	 10000

static const char wanted[] = "DELETE /cart/17 HTTP/1.1\r\n\r\n", other[] = "GET /cart/17 HTTP/1.1";

struct pair {
	int source, sink;
};

static void open_datagrams(const struct netlab *lab, unsigned course, struct pair *out)
{
	const bool is_back = course & 1, is_six = course & 2;
	const char *to = netlab_ends[is_six][!is_back];
	int family = is_six ? AF_INET6 : AF_INET;
	struct sockaddr_storage address;
	socklen_t length = netlab_address(to, PORT, &address);

	out->source = netlab_socket(is_back ? lab->far_fd : lab->near_fd, family, SOCK_DGRAM, 0,
				    netlab_ends[is_six][is_back], 0);
	out->sink = netlab_socket(is_back ? lab->near_fd : lab->far_fd, family, SOCK_DGRAM, 0, to,
				  PORT);
	assert_int_equal(connect(out->source, (void *)&address, length), 0);
}

static void open_stream(const struct netlab *lab, unsigned course, struct pair *out)
{
	const bool is_back = course & 1, is_six = course & 2;
	const char *to = netlab_ends[is_six][!is_back];
	int family = is_six ? AF_INET6 : AF_INET;
	struct sockaddr_storage address;
	socklen_t length = netlab_address(to, PORT, &address);
	cleanup_fd int listener = netlab_socket(is_back ? lab->near_fd : lab->far_fd, family,
						SOCK_STREAM, 0, to, PORT);

	assert_int_equal(listen(listener, 1), 0);
	out->source = netlab_socket(is_back ? lab->far_fd : lab->near_fd, family, SOCK_STREAM, 0,
				    netlab_ends[is_six][is_back], 0);
	assert_int_equal(connect(out->source, (void *)&address, length), 0);
	out->sink = accept(listener, NULL, NULL);
	assert_true(out->sink >= 0);
}

static void drop(struct pair *pair)
{
	close(pair->source);
	close(pair->sink);
}

/* Milliseconds until it is there; -1: not within `most_ms`. */
static int64_t pass(const struct pair *pair, const void *bytes, size_t size, int most_ms)
{
	struct pollfd ready = {.fd = pair->sink, .events = POLLIN};
	int64_t began_ns = clock_now_ns();
	char seen[2048];

	assert_int_equal(send(pair->source, bytes, size, 0), size);
	if (poll(&ready, 1, most_ms) <= 0)
		return -1;
	assert_int_equal(recv(pair->sink, seen, sizeof(seen), 0), size);
	assert_memory_equal(seen, bytes, size);
	return (clock_now_ns() - began_ns) / NSEC_PER_MSEC;
}

#define PASS(pair, text, most_ms) pass(pair, text, sizeof(text) - 1, most_ms)

static void test_datagrams_with_it_are_lost(void **state)
{
	for (unsigned course = 0; course < NETLAB_COURSES; course++) {
		struct netlab_fault fault;
		struct evidence seen;
		struct pair pair;

		open_datagrams(*state, course, &pair);
		netlab_start_course(*state, &fault, course,
				    (const char *[]){"payload", "DELETE /cart", "payload",
						     "hex:00ff1b", "loss", "100%", NULL});
		assert_non_null(strstr(fault.plan, "\"DELETE /cart\" or \"hex:00ff1b\""));
		assert_true(PASS(&pair, wanted, LOST_MS) < 0);
		assert_true(PASS(&pair, other, WAIT_MS) >= 0);
		assert_true(PASS(&pair, "x\x00\xff\x1by", LOST_MS) < 0);
		assert_true(PASS(&pair, "x\x00\xff\x1cy", WAIT_MS) >= 0);
		seen = netlab_evidence(&fault);
		assert_int_equal(seen.hits, 2);
		assert_int_equal(seen.dropped, 2);
		netlab_fault_finish(&fault, FAULT_END_NOW);
		assert_true(PASS(&pair, wanted, WAIT_MS) >= 0);
		drop(&pair);
	}
}

static void test_a_stream_is_late_where_it_stands(void **state)
{
	for (unsigned course = 0; course < NETLAB_COURSES; course++) {
		struct netlab_fault fault;
		struct evidence seen;
		struct pair pair;

		open_stream(*state, course, &pair);
		netlab_start_course(
			*state, &fault, course,
			(const char *[]){"payload", "DELETE /cart", "delay", "300ms", NULL});
		assert_in_range(PASS(&pair, other, WAIT_MS), 0, DELAY_MS - 50);
		assert_in_range(PASS(&pair, wanted, WAIT_MS), DELAY_MS - 5, WAIT_MS);
		assert_in_range(PASS(&pair, other, WAIT_MS), 0, DELAY_MS - 50);
		seen = netlab_evidence(&fault);
		assert_in_range(seen.hits, 1, 9); /* it may have been sent again */
		assert_int_equal(seen.dropped, 0);
		netlab_fault_finish(&fault, FAULT_END_NOW);
		drop(&pair);
	}
}

/* Pieces of it, in none of which the text stands. */
static void test_what_is_cut_is_looked_at_whole(void **state)
{
	const int least = sizeof(wanted) - 1;
	struct netlab_fault fault;
	struct pair pair;

	open_stream(*state, 0, &pair);
	assert_int_equal(setsockopt(pair.sink, SOL_SOCKET, SO_RCVLOWAT, &least, sizeof(least)), 0);
	netlab_start_course(*state, &fault, 0,
			    (const char *[]){"payload", "DELETE /cart", "segment", "4B", "delay",
					     "300ms", NULL});
	assert_in_range(PASS(&pair, wanted, WAIT_MS), DELAY_MS - 5, WAIT_MS);
	assert_true(netlab_evidence(&fault).hits >= sizeof(wanted) / 4);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	drop(&pair);
}

/* The kernel does not get to keep them, however many there are: it cannot look into them. */
static void test_much_without_it_passes(void **state)
{
	static char bulk[1 << 20];
	struct netlab_fault fault;
	struct pair pair;
	size_t got = 0;

	open_stream(*state, 0, &pair);
	netlab_start_course(*state, &fault, 0,
			    (const char *[]){"payload", "needle", "delay", "3s", NULL});
	for (unsigned i = 0; i < 64; i++) {
		struct pollfd ends[] = {{.fd = pair.source, .events = POLLOUT},
					{.fd = pair.sink, .events = POLLIN}};
		size_t sent = 0;

		while (sent < sizeof(bulk) || got < sizeof(bulk) * (i + 1)) {
			ends[0].fd = sent < sizeof(bulk) ? pair.source : -1;
			assert_true(poll(ends, 2, 2000) > 0);
			if (ends[0].fd >= 0 && ends[0].revents & POLLOUT) {
				ssize_t size = send(pair.source, bulk + sent, sizeof(bulk) - sent,
						    MSG_DONTWAIT);

				assert_true(size > 0 || errno == EAGAIN);
				sent += size > 0 ? (size_t)size : 0;
			}
			if (ends[1].revents & POLLIN) {
				static char seen[1 << 18];
				ssize_t size = recv(pair.sink, seen, sizeof(seen), 0);

				assert_true(size > 0);
				got += (size_t)size;
			}
		}
	}
	assert_int_equal(netlab_evidence(&fault).hits, 0);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	drop(&pair);
}

static void test_on_the_loopback_interface(void **state)
{
	struct netlab *lab = *state;
	struct sockaddr_storage address;
	socklen_t length = netlab_address("127.0.0.1", PORT, &address);
	struct pair pair = {
		.source = netlab_socket(lab->near_fd, AF_INET, SOCK_DGRAM, 0, NULL, 0),
		.sink = netlab_socket(lab->near_fd, AF_INET, SOCK_DGRAM, 0, "127.0.0.1", PORT)};
	struct netlab_fault fault;

	assert_int_equal(connect(pair.source, (void *)&address, length), 0);
	netlab_start(lab, &fault,
		     (const char *[]){"to", "127.0.0.1:7341", "payload", "DELETE", "delay", "300ms",
				      NULL});
	assert_in_range(PASS(&pair, wanted, WAIT_MS), DELAY_MS - 5, WAIT_MS);
	assert_in_range(PASS(&pair, other, WAIT_MS), 0, DELAY_MS - 50);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	drop(&pair);
}

static void assert_refused(const char *const *settings, const char *words)
{
	struct netlab_fault fault;
	struct error err = ERROR_INIT;

	assert_int_equal(netlab_fault_plan(NULL, &fault, "pppppp", settings, &err), -EINVAL);
	assert_non_null(strstr(err.text, words));
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

static void test_what_does_not_go(void **state)
{
	(void)state;
	assert_refused((const char *[]){"to", "127.0.0.1", "payload", "hex:0", "loss", "1%", NULL},
		       "payload: hex: 0: two digits for each byte");
	assert_refused((const char *[]){"to", "127.0.0.1", "payload", "hex:zz", "loss", "1%", NULL},
		       "'zz' is no byte");
	assert_refused(
		(const char *[]){"to", "127.0.0.1", "payload", "a", "partition", "reset", NULL},
		"does not go with `partition: reject` or reset");
	assert_refused((const char *[]){"to", "127.0.0.1", "payload", "a", "delay", "1s",
					"reset-connections", "true", NULL},
		       "whatever they carry");
}

int main(void)
{
	const struct CMUnitTest line[] = {
		BY_LINES(test_datagrams_with_it_are_lost),
		BY_LINES(test_a_stream_is_late_where_it_stands),
		BY_LINES(test_what_is_cut_is_looked_at_whole),
		BY_LINES(test_much_without_it_passes),
		BY_LINES(test_on_the_loopback_interface),
		cmocka_unit_test(test_what_does_not_go),
	};
	const struct CMUnitTest netem[] = {
		BY_NETEMS(test_datagrams_with_it_are_lost),
		BY_NETEMS(test_a_stream_is_late_where_it_stands),
	};

	return NETLAB_RUN_WAYS(line, netem);
}
