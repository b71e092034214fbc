/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A delay line with much to carry lets the kernel keep the packets (faults/delay_hold.h): when that
 * comes about, what it does to the traffic, who may take it away, and that nothing of it is left.
 */
#include "tests/support/kernel_version.h"
#include "tests/support/netlab.h"
#include "tests/support/squall_runner.h"

#include "faults/network.h"
#include "faults/network_delay_line.h"
#include "injector/base/clock.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define DELAY_NS (20 * NSEC_PER_MSEC)
#define MUCH	 (192UL << 20)
#define GONE_NS	 NSEC_PER_SEC

static const char *const far_away[] = {"to", "10.88.0.2", "delay", "20ms", NULL};
static const char *const both[] = {"to",   "10.88.0.2", "to",	"fd88::2", "delay",
				   "20ms", "direction", "both", NULL};

static unsigned count_holds(const struct netlab *lab)
{
	char *links = netlab_output("ip -n %s -br link show type veth", lab->near);
	unsigned count = 0;

	for (char *save = NULL, *line = strtok_r(links, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save))
		count += strchr(line, '-') && strncmp(line, "sqhhhh", 6) == 0;
	free(links);
	return count;
}

static int setup(void **state)
{
	setenv("SQUALL_NETEM", "off", 1);
	return netlab_setup(state);
}

static int setup_hold(void **state)
{
	setenv("SQUALL_LINE", "hold", 1);
	return setup(state);
}

static int teardown(void **state)
{
	unsetenv("SQUALL_LINE");
	return netlab_teardown_ways(state);
}

/* How long a TCP connection takes to come about: one way of it is delayed. -1: it does not. */
static int64_t connect_once(const struct netlab *lab, const char *address)
{
	struct sockaddr_storage to;
	const socklen_t size = netlab_address(address, NETLAB_PORT, &to);
	const struct timeval patience = {.tv_sec = 2};
	int fd = netlab_socket(lab->near_fd, to.ss_family, SOCK_STREAM, 0, NULL, 0);
	int64_t started_ns = clock_now_ns();

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)), 0);
	if (connect(fd, (struct sockaddr *)&to, size) < 0)
		started_ns = INT64_MAX;
	close(fd);
	return started_ns == INT64_MAX ? -1 : clock_now_ns() - started_ns;
}

static int64_t fastest_connect(const struct netlab *lab, const char *address)
{
	int64_t least = INT64_MAX;

	for (unsigned i = 0; i < 5; i++) {
		int64_t took_ns = connect_once(lab, address);

		assert_true(took_ns >= 0);
		least = took_ns < least ? took_ns : least;
	}
	return least;
}

static void look(struct netlab_fault *fault)
{
	struct evidence evidence;
	struct error err = ERROR_INIT;

	if (network_fault.evidence(&fault->fault, &evidence, &err) < 0)
		fail_msg("%s", err.text);
}

/* Somebody looks now and then, as the worker does. */
struct looker {
	struct netlab_fault *fault;
	pthread_t thread;
	_Atomic bool is_over;
};

static void *look_on(void *context)
{
	struct looker *looker = context;

	while (!looker->is_over) {
		look(looker->fault);
		poll(NULL, 0, 100);
	}
	return NULL;
}

static void test_it_comes_about_with_much_traffic_only(void **state)
{
	struct netlab *lab = *state;
	char *before = netlab_dump(lab);
	struct netlab_fault fault;
	struct looker looker = {&fault, 0, false};
	int64_t took_ns;

	netlab_fault_start(lab, &fault, "hhhha1", far_away);
	look(&fault);
	assert_in_range(fastest_connect(lab, "10.88.0.2"), DELAY_NS, 3 * DELAY_NS);
	poll(NULL, 0, 100);
	look(&fault);
	assert_int_equal(count_holds(lab), 0);
	assert_int_equal(pthread_create(&looker.thread, NULL, look_on, &looker), 0);
	took_ns = netlab_transfer(lab, "10.88.0.2", NETLAB_PORT, MUCH, 120000);
	assert_true(took_ns > 0);
	looker.is_over = true;
	pthread_join(looker.thread, NULL);
	/* an emulated machine may not be fast enough for it */
	if ((double)MUCH * NSEC_PER_SEC / (double)took_ns > 1.5 * DELAY_LINE_HOLD_BYTES)
		assert_int_equal(count_holds(lab), 1);
	assert_in_range(fastest_connect(lab, "10.88.0.2"), DELAY_NS, 3 * DELAY_NS);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	netlab_same(lab, before);
}

static void test_every_packet_is_counted_and_none_lost(void **state)
{
	struct netlab *lab = *state;
	char *before = netlab_dump(lab);
	struct netlab_stream stream;
	struct netlab_fault fault;
	struct evidence before_stream, evidence;
	unsigned answers, reordered;

	netlab_fault_start(lab, &fault, "hhhha2", both);
	assert_int_equal(count_holds(lab), 1); /* what arrives goes through its tap */
	assert_true(netlab_fastest(lab, "10.88.0.2", NETLAB_PORT, 3) >= 2 * DELAY_NS);
	assert_true(netlab_fastest(lab, "fd88::2", NETLAB_PORT, 3) >= 2 * DELAY_NS);
	assert_true(netlab_fastest(lab, "10.88.0.3", NETLAB_PORT, 3) < DELAY_NS);
	assert_in_range(fastest_connect(lab, "10.88.0.2"), 2 * DELAY_NS, 5 * DELAY_NS);
	assert_in_range(fastest_connect(lab, "fd88::2"), 2 * DELAY_NS, 5 * DELAY_NS);
	assert_true(fastest_connect(lab, "10.88.0.3") < DELAY_NS);
	assert_int_equal(network_fault.evidence(&fault.fault, &before_stream, NULL), 0);
	netlab_stream_open(&stream, lab, "10.88.0.2", NETLAB_PORT);
	for (unsigned i = 0; i < 500; i++)
		netlab_stream_send(&stream);
	netlab_stream_close(&stream, &answers, &reordered);
	assert_int_equal(answers, 500);
	assert_int_equal(reordered, 0);
	assert_int_equal(network_fault.evidence(&fault.fault, &evidence, NULL), 0);
	assert_true(evidence.hits - before_stream.hits >= 2 * 500);
	assert_int_equal(evidence.delayed, evidence.hits);
	assert_int_equal(evidence.dropped, 0);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	netlab_same(lab, before);
}

static void test_by_clsact_as_well(void **state)
{
	struct netlab *lab = *state;
	char *before = netlab_dump(lab);
	struct netlab_fault fault;

	setenv("SQUALL_HOOK", "clsact", 1);
	netlab_fault_start(lab, &fault, "hhhha3", both);
	assert_int_equal(count_holds(lab), 1);
	assert_in_range(fastest_connect(lab, "10.88.0.2"), 2 * DELAY_NS, 5 * DELAY_NS);
	assert_true(netlab_transfer(lab, "10.88.0.2", NETLAB_PORT, 8UL << 20, 60000) > 0);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	netlab_same(lab, before);
}

static void test_two_on_one_interface_add_up(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault first, second;

	netlab_fault_start(lab, &first, "hhhha4", far_away);
	netlab_fault_start(lab, &second, "hhhha5", far_away);
	assert_in_range(fastest_connect(lab, "10.88.0.2"), 2 * DELAY_NS, 5 * DELAY_NS);
	netlab_fault_finish(&first, FAULT_END_SOFT);
	assert_in_range(fastest_connect(lab, "10.88.0.2"), DELAY_NS, 2 * DELAY_NS - 1);
	netlab_fault_finish(&second, FAULT_END_NOW);
	assert_in_range(fastest_connect(lab, "10.88.0.2"), 0, DELAY_NS - 1);
}

static void test_what_cannot_be_kept_is_not(void **state)
{
	static const char *const settings[][8] = {
		{"to", "10.88.0.2", "delay", "20ms", "jitter", "5ms", NULL},
		{"to", "10.88.0.2", "delay", "20ms", "duplicate", "1%", NULL},
		{"to", "10.88.0.2", "delay", "20ms", "rate", "100mbit", NULL},
		{"to", "127.0.0.1", "interface", "lo", "delay", "20ms", NULL},
	};
	struct netlab *lab = *state;

	for (unsigned i = 0; i < 4; i++) {
		struct netlab_fault fault;

		netlab_fault_start(lab, &fault, "hhhha6", settings[i]);
		assert_int_equal(count_holds(lab), 0);
		netlab_fault_finish(&fault, FAULT_END_NOW);
	}
}

/* What arrives may be summed by the hardware, packet by packet; large ones cannot be wrapped. */
static void test_large_packets_are_not(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	netlab_run("ip -n %s link set sqv0 mtu 60000", lab->near);
	netlab_run("ip -n %s link set sqv1 mtu 60000", lab->far);
	netlab_fault_start(lab, &fault, "hhhhb3", far_away);
	assert_int_equal(count_holds(lab), 0);
	assert_true(netlab_transfer(lab, "10.88.0.2", NETLAB_PORT, 4UL << 20, 60000) > 0);
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

/* Strength changes, and the end, while a transfer goes on. */
struct transfer {
	struct netlab *lab;
	int64_t took_ns;
};

static void *transfer_much(void *context)
{
	struct transfer *transfer = context;

	transfer->took_ns = netlab_transfer(transfer->lab, "10.88.0.2", NETLAB_PORT, MUCH, 60000);
	return NULL;
}

static void test_it_changes_and_ends_under_a_transfer(void **state)
{
	struct netlab *lab = *state;
	struct transfer transfer = {lab, -1};
	struct netlab_fault fault;
	unsigned retransmitted = netlab_counter(lab->near, "TcpExtTCPTimeouts");
	struct error err = ERROR_INIT;
	pthread_t thread;

	netlab_fault_start(lab, &fault, "hhhhb4", far_away);
	assert_int_equal(pthread_create(&thread, NULL, transfer_much, &transfer), 0);
	for (unsigned i = 1; i <= 10; i++) {
		fault.fault.level_ppb = (int64_t)SHARE_ONE / 10 * (i % 4 + 1);
		assert_int_equal(network_fault.set_level(&fault.fault, &err), 0);
		poll(NULL, 0, 30);
	}
	netlab_fault_end(&fault, FAULT_END_SOFT);
	pthread_join(thread, NULL);
	assert_true(transfer.took_ns > 0);
	assert_int_equal(netlab_counter(lab->near, "TcpExtTCPTimeouts"), retransmitted);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

struct stream {
	int fd, listener;
	size_t bytes;
};

static void *receive_all(void *context)
{
	struct stream *stream = context;
	static char chunk[65536];
	int fd = accept(stream->listener, NULL, NULL);
	ssize_t size;

	while (fd >= 0 && (size = recv(fd, chunk, sizeof(chunk), 0)) > 0)
		stream->bytes += (size_t)size;
	close(fd);
	return NULL;
}

static void send_over(struct netlab *lab, const char *address, uint16_t port, size_t bytes)
{
	struct stream stream = {
		.listener = netlab_socket(lab->far_fd, AF_INET, SOCK_STREAM, 0, address, port),
		.fd = netlab_socket(lab->near_fd, AF_INET, SOCK_STREAM, 0, NULL, 0)};
	static const char chunk[65536];
	struct sockaddr_storage to;
	socklen_t size = netlab_address(address, port, &to);
	pthread_t thread;

	assert_int_equal(listen(stream.listener, 1), 0);
	assert_int_equal(pthread_create(&thread, NULL, receive_all, &stream), 0);
	assert_int_equal(connect(stream.fd, (struct sockaddr *)&to, size), 0);
	for (size_t done = 0; done < bytes; done += sizeof(chunk))
		assert_int_equal(send(stream.fd, chunk, sizeof(chunk), MSG_NOSIGNAL),
				 sizeof(chunk));
	close(stream.fd);
	pthread_join(thread, NULL);
	close(stream.listener);
	assert_int_equal(stream.bytes, bytes);
}

/* Packets of a tunnel come with segmentation offload and without. Both go through the tap, so that
 * none overtakes another. */
static void test_a_tunnel_keeps_its_order(void **state)
{
	static const char *const tunnel[] = {"to", "10.88.0.2", "delay", "20ms", NULL};
	struct netlab *lab = *state;
	struct netlab_fault fault;
	unsigned before;

	netlab_run("ip -n %s link add vx type vxlan id 7 remote 10.88.0.2 dstport 4789 dev sqv0",
		   lab->near);
	netlab_run("ip -n %s link add vx type vxlan id 7 remote 10.88.0.1 dstport 4789 dev sqv1",
		   lab->far);
	netlab_run("ip -n %s addr add 10.89.0.1/24 dev vx", lab->near);
	netlab_run("ip -n %s addr add 10.89.0.2/24 dev vx", lab->far);
	netlab_run("ip -n %s link set vx up", lab->near);
	netlab_run("ip -n %s link set vx up", lab->far);
	netlab_fault_start(lab, &fault, "hhhhb5", tunnel);
	assert_int_equal(count_holds(lab), 1);
	before = netlab_counter(lab->far, "TcpExtTCPOFOQueue");
	send_over(lab, "10.89.0.2", 7009, 64UL << 20);
	/* a thread that changes its processor can let one pass another; mixed ways did a thousand
	 */
	assert_in_range(netlab_counter(lab->far, "TcpExtTCPOFOQueue") - before, 0, 20);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

/* Somebody takes it away: that is told by the kernel, and everybody's traffic flows again. */
static void check_taken_away(struct netlab *lab, const char *run, const char *tool,
			     const char *command, const char *after)
{
	char words[32];
	char *before = netlab_dump(lab);
	struct error err = ERROR_INIT;
	struct netlab_fault fault;
	struct evidence evidence;
	struct pollfd ready = {.events = POLLIN};

	snprintf(words, sizeof(words), "interface sq%s-0h0", run);
	netlab_fault_start(lab, &fault, run, far_away);
	ready.fd = network_fault.listen(&fault.fault, &err);
	if (ready.fd < 0)
		fail_msg("%s", err.text);
	netlab_run("%s -n %s %s dev sq%s-0h0 %s", tool, lab->near, command, run, after);
	assert_int_equal(poll(&ready, 1, 5000), 1);
	assert_int_equal(network_fault.evidence(&fault.fault, &evidence, &err), -ESTALE);
	if (!strstr(err.text, words))
		fail_msg("'%s' does not say '%s'", err.text, words);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	assert_in_range(fastest_connect(lab, "10.88.0.2"), 0, DELAY_NS - 1);
	netlab_same(lab, before);
}

static void test_its_interface_deleted(void **state)
{
	check_taken_away(*state, "hhhha7", "ip", "link delete", "");
}

static void test_its_interface_taken_down(void **state)
{
	check_taken_away(*state, "hhhha8", "ip", "link set", "down");
}

static void test_its_filter_deleted(void **state)
{
	check_taken_away(*state, "hhhha9", "tc", "filter delete", "ingress");
}

/* SIGKILL; what the guardian then does of its record is done here. */
static void test_death_leaves_nothing(void **state)
{
	struct netlab *lab = *state;
	char *before = netlab_dump(lab);
	pid_t child = netlab_fault_start_apart(lab, "hhhhb1", both);
	int64_t killed_ns;
	int status;

	assert_int_equal(count_holds(lab), 1);
	assert_true(fastest_connect(lab, "10.88.0.2") >= 2 * DELAY_NS);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, &status, 0), child);
	killed_ns = clock_now_ns();
	assert_in_range(fastest_connect(lab, "10.88.0.2"), 0, DELAY_NS - 1);
	while (count_holds(lab) && clock_now_ns() - killed_ns < GONE_NS)
		poll(NULL, 0, 5);
	netlab_same(lab, before);
}

/* A kernel that cannot: the line goes on as it is. */
static void test_the_tap_stays_where_the_kernel_cannot(void **state)
{
	struct netlab *lab = *state;
	char *before = netlab_dump(lab);
	struct netlab_fault fault;

	netlab_fault_start(lab, &fault, "hhhhb2", both);
	assert_int_equal(count_holds(lab), 0);
	assert_true(fastest_connect(lab, "10.88.0.2") >= 2 * DELAY_NS);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	netlab_same(lab, before);
}

int main(void)
{
#define LAB(test)  cmocka_unit_test_setup_teardown(test, setup, teardown)
#define HOLD(test) cmocka_unit_test_setup_teardown(test, setup_hold, teardown)
	const struct CMUnitTest tests[] = {
		LAB(test_it_comes_about_with_much_traffic_only),
		HOLD(test_every_packet_is_counted_and_none_lost),
		HOLD(test_by_clsact_as_well),
		HOLD(test_two_on_one_interface_add_up),
		HOLD(test_what_cannot_be_kept_is_not),
		HOLD(test_large_packets_are_not),
		HOLD(test_it_changes_and_ends_under_a_transfer),
		HOLD(test_a_tunnel_keeps_its_order),
		HOLD(test_its_interface_deleted),
		HOLD(test_its_interface_taken_down),
		HOLD(test_its_filter_deleted),
		HOLD(test_death_leaves_nothing),
	};
	const struct CMUnitTest without[] = {HOLD(test_the_tap_stays_where_the_kernel_cannot)};

	if (!KERNEL_CAN_HOLD)
		return cmocka_run_group_tests_name("network: a kernel that keeps none", without,
						   NULL, NULL);

	return cmocka_run_group_tests_name("network: packets that the kernel keeps", tests, NULL,
					   NULL);
}
