/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A delay line with much to carry lets the kernel keep the packets (faults/delay_hold.h): when that
 * comes about, what it does to the traffic, who may take it away, and that nothing of it is left.
 */
#include "tests/support/kernel_version.h"
#include "tests/support/netlab.h"
#include "tests/support/squall_runner.h"

#include "faults/network.h"
#include "injector/base/clock.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define DELAY_NS (20 * NSEC_PER_MSEC)
#define MUCH	 (192UL << 20)
#define GONE_NS	 NSEC_PER_SEC

static const char *const far_away[] = {"to", "10.88.0.2", "delay", "20ms", NULL};
static const char *const both[] = {"to",   "10.88.0.2", "to",	"fd88::2", "delay",
				   "20ms", "direction", "both", NULL};

static void inject(struct netlab *lab, struct netlab_fault *fault, const char *run,
		   const char *const *settings)
{
	struct error err = ERROR_INIT;

	if (netlab_fault_plan(lab, fault, run, settings, &err) < 0 ||
	    network_fault.inject(&fault->fault, &err) < 0)
		fail_msg("%s (%s)", err.text, err.remedy);
}

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

	inject(lab, &fault, "hhhha1", far_away);
	look(&fault);
	assert_in_range(netlab_fastest(lab, "10.88.0.2", NETLAB_PORT, 5), DELAY_NS, 3 * DELAY_NS);
	poll(NULL, 0, 100);
	look(&fault);
	assert_int_equal(count_holds(lab), 0);
	assert_int_equal(pthread_create(&looker.thread, NULL, look_on, &looker), 0);
	assert_true(netlab_transfer(lab, "10.88.0.2", NETLAB_PORT, MUCH, 60000) > 0);
	looker.is_over = true;
	pthread_join(looker.thread, NULL);
	assert_int_equal(count_holds(lab), 1);
	assert_in_range(netlab_fastest(lab, "10.88.0.2", NETLAB_PORT, 5), DELAY_NS, 3 * DELAY_NS);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	netlab_same(lab, before);
}

static void test_every_packet_is_counted_and_none_lost(void **state)
{
	struct netlab *lab = *state;
	char *before = netlab_dump(lab);
	struct netlab_stream stream;
	struct netlab_fault fault;
	struct evidence evidence;
	unsigned answers, reordered;

	inject(lab, &fault, "hhhha2", both);
	assert_int_equal(count_holds(lab), 2);
	assert_true(netlab_fastest(lab, "10.88.0.2", NETLAB_PORT, 3) >= 2 * DELAY_NS);
	assert_true(netlab_fastest(lab, "fd88::2", NETLAB_PORT, 3) >= 2 * DELAY_NS);
	assert_true(netlab_fastest(lab, "10.88.0.3", NETLAB_PORT, 3) < DELAY_NS);
	netlab_stream_open(&stream, lab, "10.88.0.2", NETLAB_PORT);
	for (unsigned i = 0; i < 500; i++)
		netlab_stream_send(&stream);
	netlab_stream_close(&stream, &answers, &reordered);
	assert_int_equal(answers, 500);
	assert_int_equal(reordered, 0);
	assert_int_equal(network_fault.evidence(&fault.fault, &evidence, NULL), 0);
	assert_int_equal(evidence.hits, 2 * (500 + 6));
	assert_int_equal(evidence.delayed, 2 * (500 + 6));
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
	inject(lab, &fault, "hhhha3", both);
	assert_int_equal(count_holds(lab), 2);
	assert_in_range(netlab_fastest(lab, "10.88.0.2", NETLAB_PORT, 5), 2 * DELAY_NS,
			5 * DELAY_NS);
	assert_true(netlab_transfer(lab, "10.88.0.2", NETLAB_PORT, 8UL << 20, 60000) > 0);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	netlab_same(lab, before);
}

static void test_two_on_one_interface_add_up(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault first, second;

	inject(lab, &first, "hhhha4", far_away);
	inject(lab, &second, "hhhha5", far_away);
	assert_in_range(netlab_fastest(lab, "10.88.0.2", NETLAB_PORT, 5), 2 * DELAY_NS,
			5 * DELAY_NS);
	netlab_fault_finish(&first, FAULT_END_SOFT);
	assert_in_range(netlab_fastest(lab, "10.88.0.2", NETLAB_PORT, 5), DELAY_NS,
			2 * DELAY_NS - 1);
	netlab_fault_finish(&second, FAULT_END_NOW);
	assert_in_range(netlab_fastest(lab, "10.88.0.2", NETLAB_PORT, 5), 0, DELAY_NS - 1);
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

		inject(lab, &fault, "hhhha6", settings[i]);
		assert_int_equal(count_holds(lab), 0);
		netlab_fault_finish(&fault, FAULT_END_NOW);
	}
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
	inject(lab, &fault, run, far_away);
	ready.fd = network_fault.listen(&fault.fault, &err);
	if (ready.fd < 0)
		fail_msg("%s", err.text);
	netlab_run("%s -n %s %s dev sq%s-0h0 %s", tool, lab->near, command, run, after);
	assert_int_equal(poll(&ready, 1, 5000), 1);
	assert_int_equal(network_fault.evidence(&fault.fault, &evidence, &err), -ESTALE);
	if (!strstr(err.text, words))
		fail_msg("'%s' does not say '%s'", err.text, words);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	assert_in_range(netlab_fastest(lab, "10.88.0.2", NETLAB_PORT, 3), 0, DELAY_NS - 1);
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
	struct netlab_fault fault;
	int64_t killed_ns;
	int ready[2], status;
	char byte;
	pid_t child;

	assert_int_equal(pipe(ready), 0);
	child = fork();
	if (child == 0) {
		inject(lab, &fault, "hhhhb1", both);
		if (count_holds(lab) == 2 && write(ready[1], "r", 1) == 1)
			pause();
		_exit(1);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_true(netlab_fastest(lab, "10.88.0.2", NETLAB_PORT, 3) >= 2 * DELAY_NS);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, &status, 0), child);
	killed_ns = clock_now_ns();
	assert_in_range(netlab_fastest(lab, "10.88.0.2", NETLAB_PORT, 3), 0, DELAY_NS - 1);
	while (count_holds(lab) && clock_now_ns() - killed_ns < GONE_NS)
		poll(NULL, 0, 5);
	netlab_same(lab, before);
	close(ready[0]);
}

/* A kernel that cannot: the line goes on as it is. */
static void test_the_tap_stays_where_the_kernel_cannot(void **state)
{
	struct netlab *lab = *state;
	char *before = netlab_dump(lab);
	struct netlab_fault fault;

	inject(lab, &fault, "hhhhb2", both);
	assert_int_equal(count_holds(lab), 0);
	assert_true(netlab_fastest(lab, "10.88.0.2", NETLAB_PORT, 5) >= 2 * DELAY_NS);
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
