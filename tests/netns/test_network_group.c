/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A network fault for some processes alone: what is sent and got from inside of a control group is
 * met, and what is done beside it, in the same namespace, to the same server, is not. This process
 * moves into a group and out again; a socket belongs to the group in which it is made. By both ways
 * of taking packets out of an interface, which must mean the same.
 */
#include "tests/support/children.h"
#include "tests/support/kernel_version.h"
#include "tests/support/netlab.h"
#include "tests/support/squall_runner.h"

#include "faults/network.h"
#include "faults/network_group.h"
#include "injector/base/clock.h"
#include "injector/kernel/bpf.h"
#include "injector/kernel/cgroup.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define LOST_MS	 150
#define FOUND_MS 3000
#define RUN	 "ppppp1"

static const char *const directions[] = {"egress", "ingress", "both"};

static char ours[128], theirs[128], root[300];
static pid_t resident, other_resident;

static void enter(const char *group)
{
	group_write(group, "cgroup.procs", "0");
}

static void leave(void)
{
	enter(root);
}

static void start(struct netlab *lab, struct netlab_fault *fault, const char *const *settings)
{
	netlab_fault_start(lab, fault, RUN, settings);
}

#define START(lab, fault, ...)                                                                     \
	start(lab, fault, (const char *[]){"cgroup", "/sqng-ours", __VA_ARGS__, NULL})

static bool passes(const struct netlab *lab, const char *address, uint16_t port)
{
	return netlab_round_trip(lab, address, port, FOUND_MS) >= 0;
}

static bool is_lost(const struct netlab *lab, const char *address, uint16_t port)
{
	return netlab_round_trip(lab, address, port, LOST_MS) < 0;
}

static void assert_nobody_is_met(const struct netlab *lab)
{
	assert_true(passes(lab, "10.88.0.2", NETLAB_PORT));
	assert_true(passes(lab, "fd88::2", NETLAB_PORT));
	assert_true(netlab_transfer(lab, "10.88.0.2", NETLAB_PORT, 1000, 5000) >= 0);
	assert_true(netlab_transfer(lab, "fd88::2", NETLAB_PORT, 1000, 5000) >= 0);
}

static void assert_met(const struct netlab *lab)
{
	assert_true(is_lost(lab, "10.88.0.2", NETLAB_PORT));
	assert_true(is_lost(lab, "fd88::2", NETLAB_PORT));
	assert_int_equal(netlab_ping(lab, "10.88.0.2", LOST_MS), -1);
	assert_int_equal(netlab_ping(lab, "fd88::2", LOST_MS), -1);
	assert_int_equal(netlab_transfer(lab, "10.88.0.2", NETLAB_PORT, 1000, LOST_MS), -1);
	assert_int_equal(netlab_transfer(lab, "fd88::2", NETLAB_PORT, 1000, LOST_MS), -1);
	/* another server */
	assert_true(passes(lab, "10.88.0.3", NETLAB_PORT));
}

static void test_only_the_group_is_met(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char *before = netlab_dump(lab);

	for (unsigned i = 0; i < sizeof(directions) / sizeof(*directions); i++) {
		START(lab, &fault, "to", "10.88.0.2", "to", "fd88::2", "loss", "100%", "direction",
		      directions[i]);
		assert_non_null(strstr(fault.plan, "only of control group /sqng-ours"));
		assert_nobody_is_met(lab);
		enter(theirs);
		assert_nobody_is_met(lab);
		/* before one from the group, whose number is the same: that of this process */
		assert_true(netlab_ping(lab, "10.88.0.2", FOUND_MS) >= 0);
		assert_true(netlab_ping(lab, "fd88::2", FOUND_MS) >= 0);
		enter(ours);
		assert_met(lab);
		leave();
		assert_nobody_is_met(lab);
		netlab_fault_finish(&fault, FAULT_END_NOW);
		enter(ours);
		assert_nobody_is_met(lab);
		leave();
	}
	netlab_same(lab, before);
}

static void test_a_delay_and_a_group_below(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char below[160];

	snprintf(below, sizeof(below), "%s/below", ours);
	group_make("sqng-ours/below", below);
	START(lab, &fault, "to", "10.88.0.2", "delay", "60ms");
	assert_true(netlab_fastest(lab, "10.88.0.2", NETLAB_PORT, 3) < 40 * NSEC_PER_MSEC);
	enter(below);
	assert_true(netlab_fastest(lab, "10.88.0.2", NETLAB_PORT, 3) >= 60 * NSEC_PER_MSEC);
	leave();
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	group_remove(below);
}

static void test_a_connection_that_is_older_than_the_fault(void **state)
{
	struct netlab *lab = *state;
	struct netlab_stream stream;
	struct netlab_fault fault;
	unsigned answers, reordered;

	enter(ours);
	netlab_stream_open(&stream, lab, "10.88.0.2", NETLAB_PORT);
	leave(); /* the socket stays what it is */
	netlab_stream_send(&stream);
	START(lab, &fault, "to", "10.88.0.2", "loss", "100%");
	poll(NULL, 0, 50);
	for (unsigned i = 0; i < 5; i++)
		netlab_stream_send(&stream);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	netlab_stream_send(&stream);
	netlab_stream_close(&stream, &answers, &reordered);
	assert_int_equal(answers, 2);
}

static void test_with_ports_and_exceptions(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	START(lab, &fault, "to", "10.88.0.0/24:7001-7002", "except", "10.88.0.3", "except",
	      "*:7002", "loss", "100%", "direction", "both");
	enter(ours);
	assert_true(is_lost(lab, "10.88.0.2", NETLAB_PORT));
	assert_true(passes(lab, "10.88.0.2", NETLAB_OTHER_PORT));
	assert_true(passes(lab, "10.88.0.3", NETLAB_PORT));
	assert_true(netlab_ping(lab, "10.88.0.2", FOUND_MS) >= 0);
	leave();
	assert_true(passes(lab, "10.88.0.2", NETLAB_PORT));
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

static void test_with_an_address_of_this_side(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	for (unsigned i = 0; i < 3; i++) {
		START(lab, &fault, "to", "10.88.0.2", "to", "fd88::2", "local-address",
		      "10.88.0.0/28", "loss", "100%", "direction", directions[i]);
		enter(ours);
		assert_true(is_lost(lab, "10.88.0.2", NETLAB_PORT));
		assert_true(passes(lab, "fd88::2", NETLAB_PORT));
		leave();
		assert_true(passes(lab, "10.88.0.2", NETLAB_PORT));
		netlab_fault_finish(&fault, FAULT_END_NOW);
		START(lab, &fault, "to", "10.88.0.2", "to", "fd88::2", "except-local-address",
		      "10.88.0.1", "loss", "100%", "direction", directions[i]);
		enter(ours);
		assert_true(passes(lab, "10.88.0.2", NETLAB_PORT));
		assert_true(is_lost(lab, "fd88::2", NETLAB_PORT));
		leave();
		assert_true(passes(lab, "fd88::2", NETLAB_PORT));
		netlab_fault_finish(&fault, FAULT_END_NOW);
	}
}

static void test_a_share_of_its_flows(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	unsigned passing = 0;

	START(lab, &fault, "to", "10.88.0.2", "share", "50%", "loss", "100%");
	for (uint16_t port = 20000; port < 20024; port++)
		assert_true(netlab_round_trip_from(lab, port, "10.88.0.2", NETLAB_PORT, 1000) >= 0);
	enter(ours);
	for (uint16_t port = 20000; port < 20024; port++)
		passing += netlab_round_trip_from(lab, port, "10.88.0.2", NETLAB_PORT, 30) >= 0;
	leave();
	netlab_fault_finish(&fault, FAULT_END_NOW);
	assert_in_range(passing, 1, 23);
}

/* Two steps, on one interface: each its own group, and its own bit. */
static void test_two_faults_for_two_groups(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault first, second;

	START(lab, &first, "to", "10.88.0.2", "loss", "100%");
	netlab_fault_start_step(
		lab, &second, &first, 1,
		(const char *[]){"cgroup", "/sqng-ours", "to", "10.88.0.3", "loss", "100%", NULL});
	enter(ours);
	assert_true(is_lost(lab, "10.88.0.2", NETLAB_PORT));
	assert_true(is_lost(lab, "10.88.0.3", NETLAB_PORT));
	assert_true(passes(lab, "fd88::2", NETLAB_PORT));
	leave();
	assert_true(passes(lab, "10.88.0.2", NETLAB_PORT));
	assert_true(passes(lab, "10.88.0.3", NETLAB_PORT));
	netlab_fault_end(&second, FAULT_END_NOW);
	enter(ours);
	assert_true(is_lost(lab, "10.88.0.2", NETLAB_PORT));
	assert_true(passes(lab, "10.88.0.3", NETLAB_PORT));
	leave();
	network_fault.release(&second.fault);
	second.journal = NULL; /* of the first one */
	netlab_fault_finish(&second, FAULT_END_NOW);
	netlab_fault_finish(&first, FAULT_END_NOW);
}

static void send_marked(const struct netlab *lab, uint32_t mark)
{
	struct netlab_stream stream;
	unsigned answers, reordered;

	netlab_stream_open(&stream, lab, "10.88.0.3", NETLAB_PORT);
	assert_int_equal(setsockopt(stream.fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)), 0);
	netlab_stream_send(&stream);
	netlab_stream_close(&stream, &answers, &reordered);
	assert_int_equal(answers, 1);
}

/* The user's own mark is what it was, in his rules of the IP layer and at the interface. */
static void test_the_users_marks_stay(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char *seen;

	if (!netlab_has_egress_hook(lab))
		stage_skip("no nf_tables egress hook, in which it would be looked at");
	netlab_run("ip netns exec %s nft add table inet user", lab->near);
	netlab_run("ip netns exec %s nft add chain inet user out "
		   "{type filter hook postrouting priority 300;}",
		   lab->near);
	netlab_run("ip netns exec %s nft add rule inet user out meta mark 0x1234 counter",
		   lab->near);
	netlab_run("ip netns exec %s nft add table netdev user", lab->near);
	netlab_run("ip netns exec %s nft add chain netdev user out "
		   "{type filter hook egress device sqv0 priority 2147483647;}",
		   lab->near);
	netlab_run("ip netns exec %s nft add rule netdev user out meta mark 0x1234 counter",
		   lab->near);
	START(lab, &fault, "to", "10.88.0.2", "loss", "100%");
	enter(ours);
	send_marked(lab, 0x1234);
	send_marked(lab, 0x1234);
	leave();
	seen = netlab_output("ip netns exec %s nft list chain inet user out", lab->near);
	assert_non_null(strstr(seen, "counter packets 2 "));
	free(seen);
	seen = netlab_output("ip netns exec %s nft list chain netdev user out", lab->near);
	if (!strstr(seen, "counter packets 2 "))
		fail_msg("%s", seen);
	free(seen);
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

/* Nobody there would take it off again: the interface has the number of the one that is met. */
static void test_nothing_is_marked_in_another_namespace(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct sockaddr_storage address;
	socklen_t length = netlab_address("127.0.0.1", 7172, &address);
	char *seen, byte;
	int source, sink;

	if (!kernel_is_at_least(6, 16))
		stage_skip("before Linux 6.16 a program at a control group cannot tell");
	netlab_run("ip -n %s link set lo up", lab->far);
	netlab_run("ip netns exec %s nft add table inet user", lab->far);
	netlab_run("ip netns exec %s nft add chain inet user in {type filter hook input priority "
		   "0;}",
		   lab->far);
	netlab_run("ip netns exec %s nft add rule inet user in meta mark != 0 counter", lab->far);
	START(lab, &fault, "to", "127.0.0.1", "loss", "100%");
	enter(ours);
	source = netlab_socket(lab->far_fd, AF_INET, SOCK_DGRAM, 0, NULL, 0);
	sink = netlab_socket(lab->far_fd, AF_INET, SOCK_DGRAM, 0, "127.0.0.1", 7172);
	assert_int_equal(connect(source, (void *)&address, length), 0);
	assert_int_equal(send(source, "x", 1, 0), 1);
	assert_int_equal(recv(sink, &byte, 1, 0), 1);
	leave();
	close(source);
	close(sink);
	seen = netlab_output("ip netns exec %s nft list chain inet user in", lab->far);
	if (!strstr(seen, "counter packets 0 "))
		fail_msg("%s", seen);
	free(seen);
	netlab_run("ip netns exec %s nft delete table inet user", lab->far);
	netlab_run("ip -n %s link set lo down", lab->far);
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

static unsigned count_programs(void)
{
	unsigned count = 0;
	char name[32];

	for (char letter = 'a'; letter < 'n'; letter++) {
		struct error err = ERROR_INIT;
		int found;

		snprintf(name, sizeof(name), "sqm%c_" RUN "_0", letter);
		found = bpf_links_end(name, true, &err);
		if (found < 0)
			fail_msg("%s", err.text);
		count += (unsigned)found;
	}
	return count;
}

static void test_killed_and_then_restored(void **state)
{
	struct netlab *lab = *state;
	char *before = netlab_dump(lab);
	pid_t child = netlab_fault_start_apart(
		lab, RUN,
		(const char *[]){"cgroup", "/sqng-ours", "to", "10.88.0.2", "to", "fd88::2", "loss",
				 "100%", "direction", "both", NULL});

	enter(ours);
	assert_met(lab);
	assert_int_equal(count_programs(), 1);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
	for (unsigned i = 0; i < 20 && is_lost(lab, "10.88.0.2", NETLAB_PORT); i++)
		;
	assert_nobody_is_met(lab);
	leave();
	netlab_undo_all(RUN);
	netlab_undo_all(RUN);
	assert_int_equal(count_programs(), 0);
	netlab_same(lab, before);
}

static void test_a_group_that_is_removed_ends_the_fault(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct error err = ERROR_INIT;
	struct evidence seen;

	start(lab, &fault,
	      (const char *[]){"cgroup", "/sqng-theirs", "to", "10.88.0.2", "loss", "100%", NULL});
	assert_int_equal(network_fault.evidence(&fault.fault, &seen, &err), 0);
	child_stop(other_resident);
	other_resident = 0;
	group_remove(theirs);
	assert_int_equal(network_fault.evidence(&fault.fault, &seen, &err), -ESTALE);
	assert_non_null(strstr(err.text, "/sqng-theirs was removed"));
	netlab_fault_finish(&fault, FAULT_END_NOW);
	group_make("sqng-theirs", theirs);
	other_resident = child_start(CHILD_SLEEPS, theirs);
}

static void assert_refused(struct netlab *lab, const char *words, const char *const *settings)
{
	struct netlab_fault fault;
	struct error err = ERROR_INIT;

	if (netlab_fault_plan(lab, &fault, RUN, settings, &err) == 0)
		fail_msg("'%s' was expected", words);
	if (!strstr(err.text, words))
		fail_msg("'%s' instead of '%s'", err.text, words);
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

#define ASSERT_REFUSED(lab, words, ...)                                                            \
	assert_refused(lab, words, (const char *[]){__VA_ARGS__, "loss", "100%", NULL})

static void test_refusals(void **state)
{
	struct netlab *lab = *state;
	char empty[128];

	group_make("sqng-empty", empty);
	ASSERT_REFUSED(lab, "has no process", "cgroup", "/sqng-empty", "to", "10.88.0.2");
	group_remove(empty);
	ASSERT_REFUSED(lab, "does not exist", "cgroup", "/sqng-none", "to", "10.88.0.2");
	ASSERT_REFUSED(lab, "does not run here", "unit", "sqng-none", "to", "10.88.0.2");
	ASSERT_REFUSED(lab, "whole machine", "cgroup", "/", "to", "10.88.0.2");
	ASSERT_REFUSED(lab, "give one of them", "cgroup", "/sqng-ours", "unit", "x", "to",
		       "10.88.0.2");
	ASSERT_REFUSED(lab, "neighbours", "cgroup", "/sqng-ours", "interface", "sqv0", "neighbours",
		       "true");
	ASSERT_REFUSED(lab, "no process target", "of", "nobody", "to", "10.88.0.2");
}

static void make_groups(void)
{
	struct cgroup_mounts mounts;

	assert_int_equal(cgroup_find_mounts(&mounts, NULL), 0);
	snprintf(root, sizeof(root), "%s", mounts.unified);
	children_init();
	group_make("sqng-ours", ours);
	group_make("sqng-theirs", theirs);
	resident = child_start(CHILD_SLEEPS, ours);
	other_resident = child_start(CHILD_SLEEPS, theirs);
}

static int setup_table(void **state)
{
	make_groups();
	return netlab_setup_table(state);
}

static int setup_filters(void **state)
{
	make_groups();
	return netlab_setup_filters(state);
}

static int teardown(void **state)
{
	leave();
	child_stop(resident);
	child_stop(other_resident);
	group_remove(ours);
	group_remove(theirs);
	return netlab_teardown_ways(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define BOTH(test)                                                                                 \
	{#test, test, setup_table, teardown, NULL},                                                \
		{#test "_by_filters", test, setup_filters, teardown, NULL}
		BOTH(test_only_the_group_is_met),
		BOTH(test_a_delay_and_a_group_below),
		BOTH(test_a_connection_that_is_older_than_the_fault),
		BOTH(test_with_ports_and_exceptions),
		BOTH(test_with_an_address_of_this_side),
		BOTH(test_a_share_of_its_flows),
		BOTH(test_two_faults_for_two_groups),
		{"test_the_users_marks_stay", test_the_users_marks_stay, setup_table, teardown,
		 NULL},
		{"test_nothing_is_marked_in_another_namespace",
		 test_nothing_is_marked_in_another_namespace, setup_table, teardown, NULL},
		BOTH(test_killed_and_then_restored),
		BOTH(test_a_group_that_is_removed_ends_the_fault),
		{"test_refusals", test_refusals, setup_table, teardown, NULL},
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
