/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The delay line under load and in trouble: order, TCP, live changes, a full line, the death of the
 * process that holds it, somebody who removes the tap.
 */
#include "injector/base/clock.h"
#include "tests/support/delay_lab.h"

#include <errno.h>
#include <netinet/in.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define DELAY (20 * NSEC_PER_MSEC)
#define LATE  (5 * NSEC_PER_MSEC)
#define MIB   (1UL << 20)
/* Packets, fewer than a processor's backlog takes (net.core.netdev_max_backlog is 1000): a slow
 * machine drops the rest with or without a line. */
#define UNDER_WAY 900

static void sleep_ns(int64_t ns)
{
	struct timespec time = {.tv_sec = ns / NSEC_PER_SEC, .tv_nsec = ns % NSEC_PER_SEC};

	nanosleep(&time, NULL);
}

static bool wait_until_empty(const struct lab *lab, int64_t timeout_ns)
{
	int64_t until_ns = clock_now_ns() + timeout_ns;

	while (!delay_line_is_empty(lab->line)) {
		if (clock_now_ns() > until_ns)
			return false;
		sleep_ns(NSEC_PER_MSEC);
	}
	return true;
}

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
	assert_true(wait_until_empty(lab, NSEC_PER_SEC));
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
		sleep_ns(sender->pause_us * NSEC_PER_USEC);
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
		sleep_ns(120 * NSEC_PER_MSEC);
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
	sleep_ns(100 * NSEC_PER_MSEC);
	delay_line_counters(lab->line, &counters);
	passed = counters.received;
	lab_set(lab, 0, 0);
	assert_true(wait_until_empty(lab, 2 * NSEC_PER_SEC));
	lab_drop_table(lab);
	assert_true(wait_until_empty(lab, 2 * NSEC_PER_SEC));
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
	assert_true(wait_until_empty(lab, NSEC_PER_SEC));
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

/* 250 MiB and more of large datagrams over lo into a line that lets nothing out. */
static void test_full_line_drops_counts_and_gives_memory_back(void **state)
{
	struct lab *lab = *state;
	struct lab_address address = lab_address("::1", 7000);
	int from = lab_socket(lab->near_fd, SOCK_DGRAM, "::1", 0);
	int to = lab_socket(lab->near_fd, SOCK_DGRAM, "::1", 7000);
	struct delay_line_counters counters;
	uint64_t queued;

	lab_start(lab, "lo", false, 60 * NSEC_PER_SEC, 0);
	lab_forward(lab, "lo", false, "::1");
	for (unsigned i = 0; i < 4700; i++) {
		lab_send(from, &address, i, 60000);
		if (i % 20 == 0)
			sleep_ns(200000);
	}
	for (int i = 0; i < 500; i++) {
		delay_line_counters(lab->line, &counters);
		if (counters.received + counters.dropped_device >= 4700)
			break;
		sleep_ns(10 * NSEC_PER_MSEC);
	}
	queued = counters.queued;
	print_message("  %lu waiting, %lu dropped, %lu lost in front of the tap\n", queued,
		      counters.dropped_full, counters.dropped_device);
	assert_int_equal(counters.received + counters.dropped_device, 4700);
	assert_int_equal(counters.received, queued + counters.dropped_full);
	assert_true(counters.dropped_full > 100);
	assert_true(queued * 60000 > DELAY_LINE_BYTES * 9 / 10);
	lab_set(lab, 0, 0);
	assert_true(wait_until_empty(lab, 30 * NSEC_PER_SEC)); /* emulated copies are slow */
	delay_line_counters(lab->line, &counters);
	assert_int_equal(counters.sent, queued);
	sleep_ns(2500 * NSEC_PER_MSEC);
	delay_line_counters(lab->line, &counters);
	assert_int_equal(counters.memory, 0);
	close(from);
	close(to);
}

/* A process that holds line and table until it is killed. */
static pid_t start_holder(struct lab *lab)
{
	int ready[2];
	pid_t child;
	char byte;

	assert_int_equal(pipe(ready), 0);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		lab_start(lab, "sqdla", false, 200 * NSEC_PER_MSEC, 0);
		lab_forward(lab, "sqdla", false, "10.77.0.2");
		if (write(ready[1], "r", 1) == 1)
			pause();
		_exit(1);
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		fail_msg("the holder died");
	close(ready[0]);
	return child;
}

static void test_killed_holder_leaves_nothing_within_a_second(void **state)
{
	struct lab *lab = *state;
	struct lab_address address = lab_address("10.77.0.2", 7000);
	int from = lab_socket(lab->near_fd, SOCK_DGRAM, "10.77.0.1", 0);
	int to = lab_socket(lab->far_fd, SOCK_DGRAM, "10.77.0.2", 7000);
	int64_t killed_ns, back_ns = 0, gone_ns = 0, delay = -1;
	uint64_t number = 0, first = 0;
	pid_t holder = start_holder(lab);

	lab_send(from, &address, 0, 64);
	assert_true(lab_receive(to, 2000, NULL) >= 200 * NSEC_PER_MSEC);
	assert_true(lab_index(lab->near_fd, LAB_TAP) > 0);
	killed_ns = clock_now_ns();
	assert_int_equal(kill(holder, SIGKILL), 0);
	for (unsigned i = 1; i < 5000 && !(back_ns && gone_ns); i++) {
		lab_send(from, &address, i, 64);
		delay = lab_receive(to, 1, &number);
		if (delay >= 0 && !back_ns) {
			back_ns = clock_now_ns() - killed_ns;
			first = number;
		}
		if (!gone_ns && !lab_index(lab->near_fd, LAB_TAP))
			gone_ns = clock_now_ns() - killed_ns;
	}
	assert_int_equal(waitpid(holder, NULL, 0), holder);
	print_message("  after SIGKILL: traffic back in %.2f ms (%lu probes lost), tap gone in "
		      "%.2f ms\n",
		      back_ns / 1e6, first ? first - 1 : 0, gone_ns / 1e6);
	assert_true(back_ns > 0 && back_ns < NSEC_PER_SEC);
	/* idle; the kernel clears it away, which takes an emulated machine its time */
	assert_true(gone_ns > 0 && gone_ns < (getenv("SQUALL_IN_VM") ? 10 : 1) * NSEC_PER_SEC);
	close(from);
	close(to);
}

static int delete_tap(void *context)
{
	(void)context;
	return system("ip link del " LAB_TAP); /* a child of a line that is about to break */
}

static void test_removed_tap_is_noticed_and_never_spins(void **state)
{
	struct lab *lab = *state;
	struct delay_line_counters before, after;

	lab_start(lab, "sqdla", false, DELAY, 0);
	assert_false(delay_line_is_broken(lab->line));
	assert_int_equal(lab_inside(lab->near_fd, delete_tap, NULL), 0);
	for (int i = 0; i < 200 && !delay_line_is_broken(lab->line); i++)
		sleep_ns(5 * NSEC_PER_MSEC);
	assert_true(delay_line_is_broken(lab->line));
	delay_line_counters(lab->line, &before);
	sleep_ns(50 * NSEC_PER_MSEC);
	delay_line_counters(lab->line, &after);
	assert_true(after.processor_ns - before.processor_ns < NSEC_PER_MSEC);
	assert_true(delay_line_is_empty(lab->line));
}

/* Somebody's DHCP client takes the tap for a network card: nothing of that may reach the network.
 */
static int send_own_frame(void *context)
{
	struct sockaddr_ll address = {.sll_family = AF_PACKET,
				      .sll_ifindex = (int)if_nametoindex(LAB_TAP)};
	unsigned char frame[64] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, [12] = 0x88, 0xb5};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	struct ifreq request = {.ifr_name = LAB_TAP};

	(void)context;
	assert_int_equal(ioctl(fd, SIOCGIFHWADDR, &request), 0);
	memcpy(frame + 6, request.ifr_hwaddr.sa_data, 6);
	assert_int_equal(
		sendto(fd, frame, sizeof(frame), 0, (struct sockaddr *)&address, sizeof(address)),
		sizeof(frame));
	close(fd);
	return 0;
}

static void test_own_words_of_the_tap_are_not_passed_on(void **state)
{
	struct lab *lab = *state;
	struct delay_line_counters counters = {0};

	lab_start(lab, "sqdla", false, 0, 0);
	lab_inside(lab->near_fd, send_own_frame, NULL);
	for (int i = 0; i < 200 && !counters.foreign; i++) {
		sleep_ns(5 * NSEC_PER_MSEC);
		delay_line_counters(lab->line, &counters);
	}
	assert_int_equal(counters.foreign, 1);
	assert_int_equal(counters.sent, 0);
}

int main(void)
{
#define LAB(test) cmocka_unit_test_setup_teardown(test, lab_setup, lab_teardown)
#define HOLD(test)                                                                                 \
	{                                                                                          \
#test "_kept_by_the_kernel", test, lab_setup_hold, lab_teardown, NULL              \
	}
	const struct CMUnitTest tests[] = {
		LAB(test_thousands_of_packets_keep_their_order),
		LAB(test_delay_changes_live_without_loss_or_reordering),
		LAB(test_soft_end_loses_nothing),
		LAB(test_shrink_releases_what_waits_at_once),
		LAB(test_jitter_reorders_and_stays_in_its_range),
		LAB(test_tcp_over_ipv4_is_intact_and_stays_segmented_late),
		LAB(test_tcp_over_ipv6_is_intact_and_stays_segmented_late),
		LAB(test_tcp_with_delayed_answers_is_intact),
		LAB(test_full_line_drops_counts_and_gives_memory_back),
		LAB(test_killed_holder_leaves_nothing_within_a_second),
		LAB(test_removed_tap_is_noticed_and_never_spins),
		LAB(test_own_words_of_the_tap_are_not_passed_on),
		HOLD(test_tcp_over_ipv4_is_intact_and_stays_segmented_late),
		HOLD(test_tcp_over_ipv6_is_intact_and_stays_segmented_late),
		HOLD(test_own_words_of_the_tap_are_not_passed_on),
		HOLD(test_thousands_of_packets_keep_their_order),
		HOLD(test_killed_holder_leaves_nothing_within_a_second),
	};

	return cmocka_run_group_tests_name("delay line: traffic", tests, NULL, NULL);
}
