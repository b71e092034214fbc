/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The delay line under load: order, TCP, live changes, a soft end.
 */
#include "injector/base/clock.h"
#include "tests/support/delay_lab.h"

#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#define DELAY (20 * NSEC_PER_MSEC)
#define LATE  (5 * NSEC_PER_MSEC)
#define MIB   (1UL << 20)
/* Packets, fewer than a processor's backlog takes (net.core.netdev_max_backlog is 1000): a slow
 * machine drops the rest with or without a line. */
#define UNDER_WAY 900

/* Lost, or only overtaken? That is the first question then. */
static void fail_out_of_order(int fd, uint64_t number, uint64_t awaited)
{
	uint64_t later;

	for (unsigned between = 0; lab_receive(fd, 2000, &later) >= 0; between++) {
		if (later == awaited)
			fail_msg("packet %lu overtook %lu, %u more came in between", number,
				 awaited, between);
	}
	fail_msg("packet %lu is lost: %lu came in its place", awaited, number);
}

/* Receives `count` numbered datagrams and checks that none is missing or late in the row. */
static void receive_in_order(int fd, uint64_t first, uint64_t count)
{
	for (uint64_t i = first; i < first + count; i++) {
		uint64_t number = 0;

		if (lab_receive(fd, 2000, &number) < 0)
			fail_msg("packet %lu is lost", i);
		if (number != i)
			fail_out_of_order(fd, number, i);
	}
}

static void test_thousands_of_packets_keep_their_order(void **state)
{
	struct lab *lab = *state;
	struct lab_address address = lab_address("10.77.0.2", 7000);
	int from = lab_socket(lab->near_fd, SOCK_DGRAM, "10.77.0.1", 0);
	int to = lab_socket(lab->far_fd, SOCK_DGRAM, "10.77.0.2", 7000);
	struct delay_line_counters counters;
	uint64_t came = 0;

	lab_start(lab, "sqdla", false, DELAY, 0);
	lab_forward(lab, "sqdla", false, "10.77.0.2");
	for (unsigned i = 0; i < 10000; i++) {
		lab_send(from, &address, i, 64 + i % 1400);
		if (i >= UNDER_WAY && i % 50 == 49) {
			receive_in_order(to, came, 50);
			came += 50;
		}
	}
	receive_in_order(to, came, 10000 - came);
	delay_line_counters(lab->line, &counters);
	assert_int_equal(counters.sent, 10000);
	assert_true(lab_wait_until_empty(lab, NSEC_PER_SEC));
	close(from);
	close(to);
}

struct sender {
	struct lab_address address;
	int fd, count, pause_us;
};

static void *send_many(void *context)
{
	struct sender *sender = context;

	for (int i = 0; i < sender->count; i++) {
		lab_send(sender->fd, &sender->address, i, 64);
		lab_sleep(sender->pause_us * NSEC_PER_USEC);
	}
	return NULL;
}

static void test_delay_changes_live_without_loss_or_reordering(void **state)
{
	static const int delays_ms[] = {200, 50, 1, 80, 5, 0};
	struct lab *lab = *state;
	struct sender sender = {lab_address("10.77.0.2", 7000), -1, 5000, 150};
	int to = lab_socket(lab->far_fd, SOCK_DGRAM, "10.77.0.2", 7000);
	int64_t least = INT64_MAX;
	pthread_t thread;

	sender.fd = lab_socket(lab->near_fd, SOCK_DGRAM, "10.77.0.1", 0);
	lab_start(lab, "sqdla", false, 20 * NSEC_PER_MSEC, 0);
	lab_forward(lab, "sqdla", false, "10.77.0.2");
	assert_int_equal(pthread_create(&thread, NULL, send_many, &sender), 0);
	for (unsigned i = 0; i < sizeof(delays_ms) / sizeof(delays_ms[0]); i++) {
		lab_sleep(120 * NSEC_PER_MSEC);
		lab_set(lab, delays_ms[i] * NSEC_PER_MSEC, 0);
	}
	receive_in_order(to, 0, sender.count);
	pthread_join(thread, NULL);
	for (unsigned i = 0; i < 10; i++) {
		int64_t delay;

		lab_send(sender.fd, &sender.address, i, 64);
		delay = lab_receive(to, 1000, NULL);
		assert_true(delay >= 0);
		least = delay < least ? delay : least;
	}
	print_message("  after the change to 0: %.3f ms\n", least / 1e6);
	assert_true(least < LATE);
	close(sender.fd);
	close(to);
}

/* The end as the injector does it. None may be lost, and what was delayed comes first. A packet on
 * its way through the line when the table goes (tens of microseconds, under emulation milliseconds)
 * may be overtaken by one that finds the table gone. */
static void test_soft_end_loses_nothing(void **state)
{
	struct lab *lab = *state;
	struct sender sender = {lab_address("10.77.0.2", 7000), -1, 4000, 50};
	int to = lab_socket(lab->far_fd, SOCK_DGRAM, "10.77.0.2", 7000), overtaken = 0;
	uint64_t number, highest = 0, passed;
	struct delay_line_counters counters;
	pthread_t thread;

	sender.fd = lab_socket(lab->near_fd, SOCK_DGRAM, "10.77.0.1", 0);
	lab_start(lab, "sqdla", false, DELAY, 0);
	lab_forward(lab, "sqdla", false, "10.77.0.2");
	assert_int_equal(pthread_create(&thread, NULL, send_many, &sender), 0);
	lab_sleep(100 * NSEC_PER_MSEC);
	delay_line_counters(lab->line, &counters);
	passed = counters.received;
	lab_set(lab, 0, 0);
	assert_true(lab_wait_until_empty(lab, 2 * NSEC_PER_SEC));
	lab_drop_table(lab);
	assert_true(lab_wait_until_empty(lab, 2 * NSEC_PER_SEC));
	delay_line_stop(lab->line);
	lab->line = NULL;
	for (int i = 0; i < sender.count; i++) {
		if (lab_receive(to, 2000, &number) < 0)
			fail_msg("only %d of %d came", i, sender.count);
		if (number < highest && number < passed)
			fail_msg("%lu came after %lu, though it was sent before the end", number,
				 highest);
		overtaken += number < highest;
		highest = number > highest ? number : highest;
	}
	pthread_join(thread, NULL);
	print_message("  %d of %d overtaken\n", overtaken, sender.count);
	close(sender.fd);
	close(to);
}

static void test_shrink_releases_what_waits_at_once(void **state)
{
	struct lab *lab = *state;
	struct lab_address address = lab_address("10.77.0.2", 7000);
	int from = lab_socket(lab->near_fd, SOCK_DGRAM, "10.77.0.1", 0);
	int to = lab_socket(lab->far_fd, SOCK_DGRAM, "10.77.0.2", 7000);

	lab_start(lab, "sqdla", false, 30 * NSEC_PER_SEC, 0);
	lab_forward(lab, "sqdla", false, "10.77.0.2");
	for (unsigned i = 0; i < 500; i++)
		lab_send(from, &address, i, 64);
	assert_int_equal(lab_receive(to, 100, NULL), -1);
	assert_false(delay_line_is_empty(lab->line));
	lab_set(lab, 0, 0);
	receive_in_order(to, 0, 500);
	assert_true(lab_wait_until_empty(lab, NSEC_PER_SEC));
	close(from);
	close(to);
}

static void test_jitter_reorders_and_stays_in_its_range(void **state)
{
	struct lab *lab = *state;
	struct sender sender = {lab_address("10.77.0.2", 7000), -1, 2000, 100};
	int to = lab_socket(lab->far_fd, SOCK_DGRAM, "10.77.0.2", 7000);
	uint64_t number = 0, highest = 0, overtaken = 0;
	int64_t least = INT64_MAX;
	pthread_t thread;
	double sum = 0;

	sender.fd = lab_socket(lab->near_fd, SOCK_DGRAM, "10.77.0.1", 0);
	lab_start(lab, "sqdla", false, 20 * NSEC_PER_MSEC, 10 * NSEC_PER_MSEC);
	lab_forward(lab, "sqdla", false, "10.77.0.2");
	assert_int_equal(pthread_create(&thread, NULL, send_many, &sender), 0);
	for (int i = 0; i < sender.count; i++) {
		int64_t delay = lab_receive(to, 2000, &number);

		assert_true(delay >= 0);
		overtaken += number < highest;
		highest = number > highest ? number : highest;
		least = delay < least ? delay : least;
		sum += delay;
	}
	pthread_join(thread, NULL);
	print_message("  20 +- 10 ms: mean %.2f ms, least %.2f ms, %lu of %d overtaken\n",
		      sum / sender.count / 1e6, least / 1e6, overtaken, sender.count);
	assert_true(least >= 10 * NSEC_PER_MSEC && least < 20 * NSEC_PER_MSEC);
	assert_true(sum / sender.count > 19.0 * NSEC_PER_MSEC);
	/* a busy or emulated machine adds to each; none may be early */
	assert_true(sum / sender.count < 60.0 * NSEC_PER_MSEC);
	assert_true(overtaken > 100);
	close(sender.fd);
	close(to);
}

/* The bytes of a transfer are those of a generator, so both ends know them. */
#define TRANSFER (64 * MIB)

static uint64_t next_word(uint64_t *at)
{
	*at = *at * 6364136223846793005ULL + 1442695040888963407ULL;
	return *at;
}

static void *send_stream(void *context)
{
	static uint64_t words[8192];
	uint64_t at = 1;
	int fd = *(int *)context;

	for (size_t done = 0; done < TRANSFER; done += sizeof(words)) {
		for (unsigned i = 0; i < 8192; i++)
			words[i] = next_word(&at);
		assert_int_equal(send(fd, words, sizeof(words), MSG_NOSIGNAL), sizeof(words));
	}
	close(fd);
	return NULL;
}

static void run_transfer(struct lab *lab, const char *from, const char *to)
{
	struct lab_address address = lab_address(to, 7001);
	int listener = lab_socket(lab->far_fd, SOCK_STREAM, to, 7001);
	int client = lab_socket(lab->near_fd, SOCK_STREAM, from, 0), server;
	static uint64_t words[8192];
	int64_t started_ns;
	pthread_t thread;
	uint64_t at = 1;

	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(connect(client, (struct sockaddr *)&address.storage, address.length), 0);
	server = accept(listener, NULL, NULL);
	assert_true(server >= 0);
	started_ns = clock_now_ns();
	assert_int_equal(pthread_create(&thread, NULL, send_stream, &client), 0);
	for (size_t done = 0; done < TRANSFER; done += sizeof(words)) {
		if (recv(server, words, sizeof(words), MSG_WAITALL) != sizeof(words))
			fail_msg("the stream ends after %zu bytes", done);
		for (unsigned i = 0; i < 8192; i++) {
			if (words[i] != next_word(&at))
				fail_msg("damaged at byte %zu", done + i * 8);
		}
	}
	assert_int_equal(recv(server, words, 1, 0), 0);
	pthread_join(thread, NULL);
	print_message("  %lu MiB in %.2f s\n", TRANSFER / MIB, (clock_now_ns() - started_ns) / 1e9);
	close(server);
	close(listener);
}

static void check_transfer(struct lab *lab, bool is_ingress, const char *from, const char *to)
{
	struct delay_line_counters counters;

	lab_start(lab, "sqdla", is_ingress, 2 * NSEC_PER_MSEC, 0);
	lab_forward_protocol(lab, "sqdla", is_ingress, IPPROTO_TCP);
	run_transfer(lab, from, to);
	delay_line_counters(lab->line, &counters);
	print_message("  %lu packets, %lu bytes each, %lu not taken back, %.2f s of processor\n",
		      counters.received, TRANSFER / counters.received, counters.dropped_error,
		      counters.processor_ns / 1e9);
	assert_int_equal(counters.dropped_full + counters.dropped_error, 0);
	if (!is_ingress) /* segmentation is left to the device: packets stay large */
		assert_true(counters.received < TRANSFER / 10000);
	if (delay_line_has_hold(lab->line)) /* but for who opens the connection */
		assert_true(counters.kept >= counters.received - 2);
	else
		assert_int_equal(counters.kept, 0);
}

static void test_tcp_over_ipv4_is_intact_and_stays_segmented_late(void **state)
{
	check_transfer(*state, false, "10.77.0.1", "10.77.0.2");
}

static void test_tcp_over_ipv6_is_intact_and_stays_segmented_late(void **state)
{
	check_transfer(*state, false, "fd77::1", "fd77::2");
}

static void test_tcp_with_delayed_answers_is_intact(void **state)
{
	check_transfer(*state, true, "10.77.0.1", "10.77.0.2");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_LAB(test_thousands_of_packets_keep_their_order),
		IN_LAB(test_delay_changes_live_without_loss_or_reordering),
		IN_LAB(test_soft_end_loses_nothing),
		IN_LAB(test_shrink_releases_what_waits_at_once),
		IN_LAB(test_jitter_reorders_and_stays_in_its_range),
		IN_LAB(test_tcp_over_ipv4_is_intact_and_stays_segmented_late),
		IN_LAB(test_tcp_over_ipv6_is_intact_and_stays_segmented_late),
		IN_LAB(test_tcp_with_delayed_answers_is_intact),
		IN_LAB_WITH_HOLD(test_tcp_over_ipv4_is_intact_and_stays_segmented_late),
		IN_LAB_WITH_HOLD(test_tcp_over_ipv6_is_intact_and_stays_segmented_late),
		IN_LAB_WITH_HOLD(test_thousands_of_packets_keep_their_order),
	};

	return cmocka_run_group_tests_name("delay line: traffic", tests, NULL, NULL);
}
