/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The delay line in trouble: it is full, the process that holds it dies, somebody removes its tap
 * or speaks on it.
 */
#include "injector/base/clock.h"
#include "tests/support/children.h"
#include "tests/support/delay_lab.h"

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define DELAY (20 * NSEC_PER_MSEC)

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
			lab_sleep(200000);
	}
	for (int i = 0; i < 500; i++) {
		delay_line_counters(lab->line, &counters);
		if (counters.received + counters.dropped_device >= 4700)
			break;
		lab_sleep(10 * NSEC_PER_MSEC);
	}
	queued = counters.queued;
	print_message("  %lu waiting, %lu dropped, %lu lost in front of the tap\n", queued,
		      counters.dropped_full, counters.dropped_device);
	assert_int_equal(counters.received + counters.dropped_device, 4700);
	assert_int_equal(counters.received, queued + counters.dropped_full);
	assert_true(counters.dropped_full > 100);
	assert_true(queued * 60000 > DELAY_LINE_BYTES * 9 / 10);
	lab_set(lab, 0, 0);
	assert_true(lab_wait_until_empty(lab, 30 * NSEC_PER_SEC)); /* emulated copies are slow */
	delay_line_counters(lab->line, &counters);
	assert_int_equal(counters.sent, queued);
	lab_sleep(2500 * NSEC_PER_MSEC);
	delay_line_counters(lab->line, &counters);
	assert_int_equal(counters.memory, 0);
	close(from);
	close(to);
}

/* A process that holds line and table until it is killed. */
static bool hold(void *context)
{
	struct lab *lab = context;

	lab_start(lab, "sqdla", false, 200 * NSEC_PER_MSEC, 0);
	lab_forward(lab, "sqdla", false, "10.77.0.2");
	return true;
}

static void test_killed_holder_leaves_nothing_within_a_second(void **state)
{
	struct lab *lab = *state;
	struct lab_address address = lab_address("10.77.0.2", 7000);
	int from = lab_socket(lab->near_fd, SOCK_DGRAM, "10.77.0.1", 0);
	int to = lab_socket(lab->far_fd, SOCK_DGRAM, "10.77.0.2", 7000);
	int64_t killed_ns, back_ns = 0, gone_ns = 0, delay = -1;
	uint64_t number = 0, first = 0;
	pid_t holder = child_start_ready(hold, lab);

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
		lab_sleep(5 * NSEC_PER_MSEC);
	assert_true(delay_line_is_broken(lab->line));
	delay_line_counters(lab->line, &before);
	lab_sleep(50 * NSEC_PER_MSEC);
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
		lab_sleep(5 * NSEC_PER_MSEC);
		delay_line_counters(lab->line, &counters);
	}
	assert_int_equal(counters.foreign, 1);
	assert_int_equal(counters.sent, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_LAB(test_full_line_drops_counts_and_gives_memory_back),
		IN_LAB(test_killed_holder_leaves_nothing_within_a_second),
		IN_LAB(test_removed_tap_is_noticed_and_never_spins),
		IN_LAB(test_own_words_of_the_tap_are_not_passed_on),
		IN_LAB_WITH_HOLD(test_own_words_of_the_tap_are_not_passed_on),
		IN_LAB_WITH_HOLD(test_killed_holder_leaves_nothing_within_a_second),
	};

	return cmocka_run_group_tests_name("delay line: trouble", tests, NULL, NULL);
}
