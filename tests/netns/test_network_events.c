/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The network fault when something happens around it: interfaces that change in its course, two
 * faults on one packet, packets that are for somebody else. What ends it: test_network_watch.c.
 */
#include "tests/support/netlab.h"
#include "tests/support/squall_runner.h"

#include "faults/network.h"
#include "injector/base/clock.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DELAY_NS (60 * NSEC_PER_MSEC)

static void assert_in_force(struct netlab_fault *fault)
{
	struct error err = ERROR_INIT;
	struct evidence evidence;

	if (network_fault.evidence(&fault->fault, &evidence, &err) < 0)
		fail_msg("%s", err.text);
}

static const char *const both[] = {"to", "10.88.0.2", "delay", "60ms", "direction", "both", NULL};

static void test_link_down_and_up_is_no_loss(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	netlab_fault_start(lab, &fault, "eeeee1", both);
	netlab_run("ip -n %s link set sqv0 down", lab->near);
	assert_in_force(&fault);
	netlab_run("ip -n %s link set sqv0 up", lab->near);
	assert_in_force(&fault);
	assert_true(netlab_fastest(lab, "10.88.0.2", NETLAB_PORT, 3) >= 2 * DELAY_NS);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

/* It meets both, each once: a packet must not go from line to line for ever. */
static void check_two(struct netlab *lab, const char *direction, const char *first_run,
		      const char *second_run)
{
	struct netlab_fault first, second;
	struct evidence evidence;
	int64_t took_ns;

	netlab_fault_start(
		lab, &first, first_run,
		(const char *[]){"to", "10.88.0.2", "delay", "60ms", "direction", direction, NULL});
	netlab_fault_start(lab, &second, second_run,
			   (const char *[]){"to", "10.88.0.0/24", "delay", "150ms", "direction",
					    direction, NULL});
	assert_non_null(strstr(second.plan, "what both match meets both"));
	took_ns = netlab_fastest(lab, "10.88.0.2", NETLAB_PORT, 3);
	assert_in_range(took_ns, 210 * NSEC_PER_MSEC, 265 * NSEC_PER_MSEC);
	assert_int_equal(network_fault.evidence(&first.fault, &evidence, NULL), 0);
	assert_int_equal(evidence.hits, 3);
	assert_int_equal(network_fault.evidence(&second.fault, &evidence, NULL), 0);
	assert_int_equal(evidence.hits, 3);
	netlab_fault_finish(&second, FAULT_END_SOFT);
	took_ns = netlab_fastest(lab, "10.88.0.2", NETLAB_PORT, 3);
	assert_in_range(took_ns, DELAY_NS, DELAY_NS + 55 * NSEC_PER_MSEC);
	netlab_fault_finish(&first, FAULT_END_SOFT);
}

static void test_two_delays_leaving(void **state)
{
	check_two(*state, "egress", "eeeee6", "eeeee7");
}

static void test_two_delays_arriving(void **state)
{
	check_two(*state, "ingress", "eeeee8", "eeeee9");
}

/* Behind the delay packets meet the ingress hook again: they must not be lost a second time. */
static void test_loss_beside_delay_arriving(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault delay, loss;

	netlab_fault_start(
		lab, &delay, "eeeeea",
		(const char *[]){"to", "10.88.0.2", "delay", "60ms", "direction", "ingress", NULL});
	netlab_fault_start(
		lab, &loss, "eeeeeb",
		(const char *[]){"to", "10.88.0.2", "loss", "50%", "direction", "ingress", NULL});
	/* 50 % of 400, five standard deviations */
	assert_in_range(netlab_answers(lab, "10.88.0.2", NETLAB_PORT, 400), 150, 250);
	netlab_fault_finish(&delay, FAULT_END_NOW);
	netlab_fault_finish(&loss, FAULT_END_NOW);
}

/* A frame for another MAC, as a bridge floods them: it is not for this host, delayed or not. */
static void test_what_is_for_another_host_stays_so(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	netlab_fault_start(lab, &fault, "eeeeec", both);
	netlab_run("ip -n %s neigh replace 10.88.0.1 lladdr 02:00:00:00:00:77 dev sqv1", lab->far);
	assert_int_equal(netlab_round_trip(lab, "10.88.0.2", NETLAB_PORT, 400), -1);
	netlab_run("ip -n %s neigh delete 10.88.0.1 dev sqv1", lab->far);
	assert_true(netlab_fastest(lab, "10.88.0.2", NETLAB_PORT, 3) >= 2 * DELAY_NS);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

static void test_plan_tells_of_stacked_interfaces(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	netlab_run("ip -n %s link add br0 type bridge", lab->near);
	netlab_run("ip -n %s link set sqv0 master br0", lab->near);
	netlab_fault_start(
		lab, &fault, "eeeeeg",
		(const char *[]){"interface", "br0", "interface", "sqv0", "delay", "60ms", NULL});
	assert_non_null(strstr(fault.plan, "br0 egress: is on top of sqv0"));
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	netlab_fault_start(lab, &fault, "eeeeeh",
			   (const char *[]){"interface", "sqv0", "delay", "60ms", NULL});
	assert_null(strstr(fault.plan, "on top of"));
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

/* On lo what leaves arrives with what it has: also a mark that would be ours. */
static void test_no_mark_is_left_on_packets(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char *rules;

	netlab_run("ip netns exec %s nft add table inet sqtest", lab->near);
	netlab_run("ip netns exec %s nft add chain inet sqtest in { type filter hook input "
		   "priority 0 ; }",
		   lab->near);
	netlab_run("ip netns exec %s nft add rule inet sqtest in meta mark != 0 counter",
		   lab->near);
	netlab_fault_start(lab, &fault, "eeeeed",
			   (const char *[]){"to", "127.0.0.1", "to", "10.88.0.2", "delay", "60ms",
					    "direction", "both", NULL});
	assert_true(netlab_fastest(lab, "127.0.0.1", NETLAB_PORT, 2) >= DELAY_NS);
	assert_true(netlab_fastest(lab, "10.88.0.2", NETLAB_PORT, 2) >= 2 * DELAY_NS);
	rules = netlab_output("ip netns exec %s nft list table inet sqtest", lab->near);
	if (!strstr(rules, "packets 0 bytes 0"))
		fail_msg("%s", rules);
	free(rules);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

/* tbf, which cuts before netem, must not throw away what the new MTU allows. */
static void test_mtu_may_grow(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	netlab_fault_start(
		lab, &fault, "eeeeee",
		(const char *[]){"to", "10.88.0.2", "delay", "1ms", "loss", "0.0001%", NULL});
	netlab_run("ip -n %s link set sqv0 mtu 9000", lab->near);
	netlab_run("ip -n %s link set sqv1 mtu 9000", lab->far);
	assert_in_force(&fault);
	netlab_run("ip netns exec %s ping -q -M do -s 8000 -c 3 -i 0.2 -W 2 10.88.0.2", lab->near);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

/* What waits longer than an abort does is lost, and counted. */
static void test_what_is_abandoned_is_counted(void **state)
{
	struct netlab *lab = *state;
	struct netlab_stream stream;
	struct netlab_fault fault;
	struct evidence evidence;
	unsigned answers, reordered;

	netlab_fault_start(lab, &fault, "eeeeef",
			   (const char *[]){"to", "10.88.0.2", "delay", "8s", NULL});
	netlab_stream_open(&stream, lab, "10.88.0.2", NETLAB_PORT);
	for (unsigned i = 0; i < 50; i++)
		netlab_stream_send(&stream);
	netlab_fault_end(&fault, FAULT_END_NOW);
	assert_int_equal(network_fault.evidence(&fault.fault, &evidence, NULL), 0);
	netlab_stream_close(&stream, &answers, &reordered);
	assert_int_equal(evidence.hits, 50);
	assert_int_equal(answers + evidence.dropped, 50);
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

#define ON_LAB(test) cmocka_unit_test_setup_teardown(test, netlab_setup, netlab_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_LAB(test_link_down_and_up_is_no_loss),
		ON_LAB(test_two_delays_leaving),
		ON_LAB(test_two_delays_arriving),
		ON_LAB(test_loss_beside_delay_arriving),
		ON_LAB(test_what_is_for_another_host_stays_so),
		ON_LAB(test_plan_tells_of_stacked_interfaces),
		ON_LAB(test_no_mark_is_left_on_packets),
		ON_LAB(test_mtu_may_grow),
		ON_LAB(test_what_is_abandoned_is_counted),
	};

	return STAGE_RUN(tests);
}
