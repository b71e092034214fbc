/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Somebody takes away what a network fault hangs on while it is in force. That is told by the
 * kernel, without anybody looking now and then, in the words of what is gone. What cannot be taken
 * away is not. Where it is the whole namespace: test_network_watch_namespace.c.
 */
#include "tests/support/netlab_watch.h"
#include "tests/support/squall_runner.h"

#include "faults/network_gate.h"
#include "injector/base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define DELAY_NS (60 * NSEC_PER_MSEC)

static const char *const both[] = {"to", "10.88.0.2", "delay", "60ms", "direction", "both", NULL};

static void test_interface_that_goes(void **state)
{
	struct netlab *lab = *state;
	struct netlab_watch watched;

	netlab_watch_start(lab, &watched, "wwwwa1", both);
	netlab_run("ip -n %s link delete sqv0", lab->near);
	netlab_watch_assert_told(&watched, "interface sqv0 is gone");
	netlab_fault_finish(&watched.fault, FAULT_END_NOW);
}

static void test_interface_that_moves_away(void **state)
{
	struct netlab *lab = *state;
	struct netlab_watch watched;

	netlab_watch_start(lab, &watched, "wwwwa2", both);
	netlab_run("ip -n %s link set sqv0 netns %s", lab->near, lab->far);
	netlab_watch_assert_told(&watched, "interface sqv0 is gone");
	netlab_fault_finish(&watched.fault, FAULT_END_NOW);
}

static void test_interface_renamed(void **state)
{
	struct netlab *lab = *state;
	struct netlab_watch watched;

	netlab_watch_start(lab, &watched, "wwwwa3", both);
	netlab_run("ip -n %s link set sqv0 down", lab->near);
	netlab_run("ip -n %s link set sqv0 name sqvx", lab->near);
	netlab_watch_assert_told(&watched, "interface sqv0 was renamed to sqvx");
	netlab_fault_finish(&watched.fault, FAULT_END_NOW);
	netlab_run("ip -n %s link set sqvx up", lab->near);
	assert_in_range(netlab_fastest(lab, "10.88.0.2", NETLAB_PORT, 3), 0, DELAY_NS - 1);
}

/* The name of the ifb, or of the first tap. */
static const char *own_device(const char *run)
{
	static char name[16];

	snprintf(name, sizeof(name), netlab_has_netem() ? "sq%s-0" : "sq%s-0t0", run);
	return name;
}

static void check_own_device(struct netlab *lab, const char *run, const char *command)
{
	char *before = netlab_dump(lab);
	struct netlab_watch watched;

	netlab_watch_start(lab, &watched, run, both);
	netlab_run("ip -n %s link %s %s", lab->near, command, own_device(run));
	assert_int_equal(netlab_round_trip(lab, "10.88.0.2", NETLAB_PORT, 300), -1);
	netlab_watch_assert_told(&watched, own_device(run));
	netlab_fault_end(&watched.fault, FAULT_END_NOW);
	assert_in_range(netlab_fastest(lab, "10.88.0.2", NETLAB_PORT, 3), 0, DELAY_NS - 1);
	netlab_fault_finish(&watched.fault, FAULT_END_NOW);
	netlab_same(lab, before);
}

static void test_own_device_deleted(void **state)
{
	check_own_device(*state, "wwwwa4", "delete");
}

static void test_own_device_taken_down(void **state)
{
	check_own_device(*state, "wwwwa5", "set down dev");
}

static void test_own_queue_deleted(void **state)
{
	struct netlab *lab = *state;
	struct netlab_watch watched;

	if (!netlab_has_netem())
		stage_skip("no netem here: the test machine has it");
	netlab_watch_start(lab, &watched, "wwwwa6", both);
	netlab_run("tc -n %s qdisc delete dev %s root", lab->near, own_device("wwwwa6"));
	netlab_watch_assert_told(&watched, "the queue of interface sqwwwwa6-0 was replaced");
	netlab_fault_finish(&watched.fault, FAULT_END_NOW);
}

/* The table has an owner, and nobody else may touch it. */
static void test_table_cannot_be_deleted(void **state)
{
	struct netlab *lab = *state;
	struct netlab_watch watched;

	netlab_watch_start(lab, &watched, "wwwwa7", both);
	assert_int_not_equal(
		netlab_try("ip netns exec %s nft delete table netdev squall_wwwwa7_0", lab->near),
		0);
	assert_int_not_equal(
		netlab_try("ip netns exec %s nft flush table netdev squall_wwwwa7_0", lab->near),
		0);
	netlab_run("ip netns exec %s nft flush ruleset", lab->near);
	netlab_watch_assert_in_force(&watched);
	assert_true(netlab_fastest(lab, "10.88.0.2", NETLAB_PORT, 3) >= 2 * DELAY_NS);
	netlab_fault_finish(&watched.fault, FAULT_END_SOFT);
}

static void test_what_happens_elsewhere_wakes_nobody(void **state)
{
	struct netlab *lab = *state;
	struct netlab_watch watched;

	netlab_watch_start(lab, &watched, "wwwwa8", both);
	netlab_watch_hear(&watched, 50 * NSEC_PER_MSEC);
	watched.times = 0;
	netlab_run("ip -n %s link add sqvz type veth peer name sqvy", lab->near);
	netlab_run("ip -n %s link set sqvz up", lab->near);
	netlab_run("tc -n %s qdisc add dev sqvz root pfifo", lab->near);
	netlab_run("tc -n %s qdisc add dev sqv0 root pfifo", lab->near);
	netlab_run("ip -n %s link delete sqvz", lab->near);
	netlab_run("ip -n %s link delete sqv1", lab->far); /* the other end of sqv0 */
	netlab_watch_assert_told(&watched, "interface sqv0 is gone");
	assert_int_equal(watched.times, 1);
	netlab_fault_finish(&watched.fault, FAULT_END_NOW);
}

/* Some kernels announce to everybody what one asks for. */
static void test_own_looks_wake_nobody(void **state)
{
	struct netlab *lab = *state;
	struct netlab_watch watched;

	netlab_watch_start(lab, &watched, "wwwwb4", both);
	netlab_watch_hear(&watched, 50 * NSEC_PER_MSEC);
	watched.times = 0;
	netlab_watch_look(&watched, &watched.fault.fault);
	netlab_watch_hear(&watched, 300 * NSEC_PER_MSEC);
	assert_int_equal(watched.times, 1);
	netlab_fault_finish(&watched.fault, FAULT_END_NOW);
}

/* tc filters at clsact: anybody may delete them. */
static void check_filters(struct netlab *lab, const char *run, const char *command,
			  const char *const *settings)
{
	char *before = netlab_dump(lab);
	struct netlab_watch watched;

	setenv("SQUALL_HOOK", "clsact", 1);
	netlab_watch_start(lab, &watched, run, settings);
	netlab_run("tc -n %s %s", lab->near, command);
	netlab_watch_assert_told(&watched, "of interface sqv0 is gone");
	netlab_fault_finish(&watched.fault, FAULT_END_NOW);
	unsetenv("SQUALL_HOOK");
	netlab_same(lab, before);
}

static void test_filters_deleted(void **state)
{
	check_filters(*state, "wwwwb1", "filter delete dev sqv0 egress", both);
}

static void test_one_direction_of_a_partition_deleted(void **state)
{
	check_filters(
		*state, "wwwwb2", "filter delete dev sqv0 ingress",
		(const char *[]){"to", "10.88.0.2", "loss", "100%", "direction", "both", NULL});
}

/* Of the two of an interface, what acts, and what brings back: without that all is lost. */
static void delete_one(struct netlab *lab, const char *run, const char *direction, bool way_back)
{
	const char *const settings[] = {"to",	     "10.88.0.2", "delay", "50ms",
					"direction", direction,	  NULL};
	char command[128];

	snprintf(command, sizeof(command), "filter delete dev sqv0 %s pref %u", direction,
		 way_back ? GATE_PRIORITY_BACK : GATE_PRIORITY_DELAY);
	check_filters(lab, run, command, settings);
}

static void test_the_gate_alone_deleted(void **state)
{
	delete_one(*state, "wwwwd1", "egress", false);
	delete_one(*state, "wwwwd2", "ingress", false);
}

static void test_the_way_back_alone_deleted(void **state)
{
	delete_one(*state, "wwwwd3", "egress", true);
	delete_one(*state, "wwwwd4", "ingress", true);
}

/* Behind it the kernel puts a queue that drops everything. */
static void test_own_queue_below_another_deleted(void **state)
{
	static const struct {
		const char *run, *parent, *settings[9];
	} cases[] = {
		{"wwwwd5", "1:1", {"to", "10.88.0.2", "delay", "50ms", "loss", "1%", NULL}},
		{"wwwwd6",
		 "3:1",
		 {"to", "10.88.0.2", "delay", "50ms", "rate", "8mbit", "burst", "20kB", NULL}},
	};
	struct netlab *lab = *state;

	if (!netlab_has_netem())
		stage_skip("no netem here: the test machine has it");
	for (unsigned i = 0; i < 2; i++) {
		struct netlab_watch watched;
		char words[80];

		netlab_watch_start(lab, &watched, cases[i].run, cases[i].settings);
		netlab_run("tc -n %s qdisc delete dev %s parent %s", lab->near,
			   own_device(cases[i].run), cases[i].parent);
		snprintf(words, sizeof(words), "the queue of interface sq%s-0 was replaced",
			 cases[i].run);
		netlab_watch_assert_told(&watched, words);
		netlab_fault_finish(&watched.fault, FAULT_END_NOW);
	}
}

/* What sends on what has waited: without it all is lost. */
static void test_filter_of_the_tap_deleted(void **state)
{
	struct netlab *lab = *state;
	struct netlab_watch watched;

	setenv("SQUALL_NETEM", "off", 1);
	netlab_watch_start(lab, &watched, "wwwwd7", both);
	netlab_run("tc -n %s filter delete dev sqwwwwd7-0t0 ingress", lab->near);
	netlab_watch_assert_told(&watched, "a filter of interface sqwwwwd7-0t0 is gone");
	netlab_fault_finish(&watched.fault, FAULT_END_NOW);
	unsetenv("SQUALL_NETEM");
}

static void test_clsact_deleted(void **state)
{
	check_filters(*state, "wwwwb3", "qdisc delete dev sqv0 clsact", both);
}

#define ON_LAB(test) cmocka_unit_test_setup_teardown(test, netlab_setup, netlab_teardown_ways)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_LAB(test_interface_that_goes),
		ON_LAB(test_interface_that_moves_away),
		ON_LAB(test_interface_renamed),
		ON_LAB(test_own_device_deleted),
		ON_LAB(test_own_device_taken_down),
		ON_LAB(test_own_queue_deleted),
		ON_LAB(test_table_cannot_be_deleted),
		ON_LAB(test_what_happens_elsewhere_wakes_nobody),
		ON_LAB(test_own_looks_wake_nobody),
		ON_LAB(test_filters_deleted),
		ON_LAB(test_one_direction_of_a_partition_deleted),
		ON_LAB(test_the_gate_alone_deleted),
		ON_LAB(test_the_way_back_alone_deleted),
		ON_LAB(test_own_queue_below_another_deleted),
		ON_LAB(test_filter_of_the_tap_deleted),
		ON_LAB(test_clsact_deleted),
	};

	return STAGE_RUN(tests);
}
