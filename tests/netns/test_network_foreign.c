/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Filters of the user's on the interface that a fault acts on: BPF, flower and police of tc, chains
 * of nf_tables, in front of ours and behind. They keep acting while the fault does, and are to the
 * letter as they were, in its course and afterwards.
 */
#include "tests/support/netlab.h"
#include "tests/support/squall_runner.h"

#include "faults/network.h"
#include "injector/base/cleanup.h"
#include "injector/base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DELAY_NS (60 * NSEC_PER_MSEC)

static const char *write_file(const struct netlab *lab, const char *name, const char *text)
{
	static char path[128];
	FILE *out;

	snprintf(path, sizeof(path), "%s/%s", lab->root, name);
	out = fopen(path, "we");
	assert_non_null(out);
	fputs(text, out);
	assert_int_equal(fclose(out), 0);
	return path;
}

/* Without our own, and without counters. */
static char *dump_filters(const struct netlab *lab)
{
	static const char *const commands[] = {"tc -n %s qdisc show dev sqv0",
					       "tc -n %s class show dev sqv0",
					       "tc -n %s filter show dev sqv0",
					       "tc -n %s filter show dev sqv0 egress",
					       "tc -n %s filter show dev sqv0 ingress",
					       "ip netns exec %s nft -s list table netdev user",
					       "ip -n %s -d link show dev sqv0"};

	return netlab_outputs(lab->near, commands, sizeof(commands) / sizeof(*commands));
}

/* What is for 10.88.0.3 is dropped by a program, what is for fd88::3 by a chain in front of ours,
 * what comes from 10.88.0.2 port 7002 by one where it arrives. */
static void add_filters(struct netlab *lab, bool goes_on)
{
	/* Classic BPF: at egress a packet begins with its MAC addresses; 2 drops, 0 lets pass, -1
	 * lets the next filter decide */
	const char *program =
		write_file(lab, "drop.bpf",
			   goes_on ? "4,32 0 0 30,21 0 1 173539331,6 0 0 2,6 0 0 4294967295\n"
				   : "4,32 0 0 30,21 0 1 173539331,6 0 0 2,6 0 0 0\n");

	if (!netlab_has_egress_hook(lab))
		stage_skip("no nf_tables egress hook, in which the user's chain would be");
	netlab_run("tc -n %s qdisc add dev sqv0 clsact", lab->near);
	netlab_run("tc -n %s filter add dev sqv0 egress prio 7 protocol ip bpf da bytecode-file %s",
		   lab->near, program);
	netlab_run("ip netns exec %s nft -f %s", lab->near,
		   write_file(lab, "user.nft",
			      "table netdev user {\n"
			      "	chain early {\n"
			      "		type filter hook egress device sqv0 priority 0;\n"
			      "		ip6 daddr fd88::3 counter drop\n"
			      "	}\n"
			      "	chain late {\n"
			      "		type filter hook egress device sqv0 priority "
			      "2147483647;\n"
			      "		ip saddr 192.0.2.1 counter drop\n"
			      "	}\n"
			      "	chain arriving {\n"
			      "		type filter hook ingress device sqv0 priority 0;\n"
			      "		udp sport 7002 counter drop\n"
			      "	}\n"
			      "}\n"));
}

static void assert_filtered(struct netlab *lab)
{
	assert_int_equal(netlab_answers(lab, "10.88.0.3", NETLAB_PORT, 3), 0);
	assert_int_equal(netlab_answers(lab, "fd88::3", NETLAB_PORT, 3), 0);
	assert_int_equal(netlab_answers(lab, "10.88.0.2", NETLAB_OTHER_PORT, 3), 0);
}

static void check_filters(struct netlab *lab, const char *run, bool is_gate)
{
	char *before = dump_filters(lab), *after, *whole = netlab_dump(lab);
	struct netlab_fault fault;

	assert_filtered(lab);
	netlab_fault_start(
		lab, &fault, run,
		(const char *[]){"interface", "sqv0", "delay", "60ms", "direction", "both", NULL});
	assert_true(netlab_fastest(lab, "10.88.0.2", NETLAB_PORT, 2) >= 2 * DELAY_NS);
	assert_true(netlab_fastest(lab, "fd88::2", NETLAB_PORT, 2) >= 2 * DELAY_NS);
	assert_filtered(lab);
	if (is_gate) {
		assert_non_null(strstr(fault.plan, "sqv0 egress: 1 tc filter acts before"));
	} else {
		char *during = dump_filters(lab);

		assert_string_equal(during, before);
		free(during);
		assert_non_null(strstr(fault.plan, "chain early of table user (priority 0) acts "
						   "before this fault"));
		assert_non_null(strstr(fault.plan, "chain late of table user (priority "
						   "2147483647) is after this fault"));
	}
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	assert_filtered(lab);
	assert_true(netlab_fastest(lab, "10.88.0.2", NETLAB_PORT, 3) < DELAY_NS);
	after = dump_filters(lab);
	assert_string_equal(after, before);
	free(before);
	free(after);
	netlab_same(lab, whole);
}

static void test_programs_and_chains_keep_acting(void **state)
{
	add_filters(*state, false);
	check_filters(*state, "fffff1", false);
	if (netlab_has_netem()) {
		setenv("SQUALL_NETEM", "off", 1);
		check_filters(*state, "fffff2", false);
		unsetenv("SQUALL_NETEM");
	}
}

static void test_programs_and_chains_keep_acting_beside_a_gate(void **state)
{
	setenv("SQUALL_HOOK", "clsact", 1);
	add_filters(*state, true); /* what it accepts would not come to us: the plan says so */
	check_filters(*state, "fffff3", true);
	unsetenv("SQUALL_HOOK");
}

static unsigned long counted(const struct netlab *lab, const char *name)
{
	char *text =
		netlab_output("ip netns exec %s nft list counter netdev user %s", lab->near, name);
	const char *at = strstr(text, "packets ");
	unsigned long packets;

	assert_non_null(at);
	packets = strtoul(at + strlen("packets "), NULL, 10);
	free(text);
	return packets;
}

/* A chain behind all of ours: what is not in scope meets it, and what is delayed does not, as the
 * plan says. */
static void check_later_chain(struct netlab *lab, const char *run)
{
	char *before = dump_filters(lab), *during;
	unsigned long dropped = counted(lab, "dropped"), seen = counted(lab, "seen");
	struct netlab_fault fault;

	netlab_fault_start(lab, &fault, run,
			   (const char *[]){"to", "10.88.0.3", "delay", "60ms", NULL});
	assert_non_null(strstr(fault.plan, "chain late of table user (priority 2147483647) is "
					   "after this fault: what is delayed or lost does not "
					   "meet it"));
	assert_int_equal(netlab_answers(lab, "10.88.0.2", NETLAB_OTHER_PORT, 3), 0);
	assert_int_equal(netlab_answers(lab, "10.88.0.2", NETLAB_PORT, 5), 5);
	assert_true(netlab_fastest(lab, "10.88.0.3", NETLAB_PORT, 2) >= DELAY_NS);
	assert_int_equal(counted(lab, "dropped"), dropped + 3);
	assert_int_equal(counted(lab, "seen"), seen + 5);
	during = dump_filters(lab);
	assert_string_equal(during, before);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	assert_int_equal(netlab_answers(lab, "10.88.0.2", NETLAB_OTHER_PORT, 2), 0);
	assert_int_equal(netlab_answers(lab, "10.88.0.3", NETLAB_PORT, 4), 4);
	assert_int_equal(counted(lab, "dropped"), dropped + 5);
	assert_int_equal(counted(lab, "seen"), seen + 9);
	free(during);
	during = dump_filters(lab);
	assert_string_equal(during, before);
	free(before);
	free(during);
}

static void test_a_chain_behind_ours_acts_on_what_is_not_in_scope(void **state)
{
	struct netlab *lab = *state;

	if (!netlab_has_egress_hook(lab))
		stage_skip("no nf_tables egress hook, in which the user's chain would be");
	netlab_run("ip netns exec %s nft -f %s", lab->near,
		   write_file(lab, "late.nft",
			      "table netdev user {\n"
			      "	counter dropped { }\n"
			      "	counter seen { }\n"
			      "	chain late {\n"
			      "		type filter hook egress device sqv0 priority "
			      "2147483647;\n"
			      "		udp dport 7002 counter name dropped drop\n"
			      "		udp dport 7001 counter name seen\n"
			      "	}\n"
			      "}\n"));
	if (netlab_has_netem())
		check_later_chain(lab, "fffffc");
	setenv("SQUALL_NETEM", "off", 1);
	check_later_chain(lab, "fffffd");
	unsetenv("SQUALL_NETEM");
}

/* Filters that decide by actions, which packets from an ifb skip. */
static void add_actions(struct netlab *lab)
{
	if (netlab_try("tc -n %s qdisc add dev sqv0 clsact", lab->near) != 0 ||
	    netlab_try("tc -n %s filter add dev sqv0 egress prio 3 protocol ip flower dst_ip "
		       "10.88.0.3 action drop",
		       lab->near) != 0)
		stage_skip("no flower here: the test machine has it");
	netlab_run("tc -n %s filter add dev sqv0 egress prio 4 protocol ipv6 flower dst_ip fd88::3 "
		   "action police rate 8kbit burst 100 conform-exceed drop/ok",
		   lab->near);
	netlab_run("tc -n %s filter add dev sqv0 ingress prio 5 protocol ip flower src_ip "
		   "10.88.0.2 ip_proto udp src_port 7002 action drop",
		   lab->near);
}

static void assert_acted(struct netlab *lab)
{
	assert_int_equal(netlab_answers(lab, "10.88.0.3", NETLAB_PORT, 3), 0);
	/* 8 kbit/s: one packet of a hundred bytes each 0.1 s */
	assert_in_range(netlab_answers(lab, "fd88::3", NETLAB_PORT, 60), 0, 20);
	assert_int_equal(netlab_answers(lab, "10.88.0.2", NETLAB_OTHER_PORT, 3), 0);
}

static void check_actions(struct netlab *lab, const char *run, const char *says)
{
	char *before = netlab_dump(lab);
	struct netlab_fault fault;

	netlab_fault_start(
		lab, &fault, run,
		(const char *[]){"interface", "sqv0", "delay", "60ms", "direction", "both", NULL});
	if (!strstr(fault.plan, says))
		fail_msg("'%s' is not in: %s", says, fault.plan);
	assert_true(netlab_fastest(lab, "10.88.0.2", NETLAB_PORT, 2) >= 2 * DELAY_NS);
	assert_acted(lab);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	netlab_same(lab, before);
}

static void test_actions_keep_acting(void **state)
{
	struct netlab *lab = *state;

	add_actions(lab);
	assert_acted(lab);
	if (netlab_has_egress_hook(lab)) /* else they are in front of ours, as below */
		check_actions(lab, "fffff4",
			      "2 tc filters with actions at egress (flower), which packets from "
			      "an ifb would bypass: netem is not used");
	setenv("SQUALL_HOOK", "clsact", 1);
	check_actions(lab, "fffff5", "sqv0 egress: 2 tc filters act before this fault");
	unsetenv("SQUALL_HOOK");
}

/* What arrives meets them before ours: netem need not be avoided. */
static void test_actions_act_before_netem_where_packets_arrive(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char *before;

	if (netlab_try("tc -n %s qdisc add dev sqv0 clsact", lab->near) != 0 ||
	    netlab_try("tc -n %s filter add dev sqv0 ingress prio 5 protocol ip flower src_ip "
		       "10.88.0.2 ip_proto udp src_port 7002 action drop",
		       lab->near) != 0)
		stage_skip("no flower here: the test machine has it");
	netlab_run("tc -n %s filter add dev sqv0 ingress prio 6 protocol ip flower src_ip "
		   "10.88.0.3 action police rate 8kbit burst 100 conform-exceed drop/ok",
		   lab->near);
	before = netlab_dump(lab);
	netlab_fault_start(lab, &fault, "fffffe",
			   (const char *[]){"interface", "sqv0", "delay", "60ms", "direction",
					    "ingress", NULL});
	if (netlab_has_netem())
		assert_non_null(strstr(fault.plan, "forwards to an ifb with netem"));
	assert_true(netlab_fastest(lab, "10.88.0.2", NETLAB_PORT, 2) >= DELAY_NS);
	assert_int_equal(netlab_answers(lab, "10.88.0.2", NETLAB_OTHER_PORT, 3), 0);
	assert_in_range(netlab_answers(lab, "10.88.0.3", NETLAB_PORT, 60), 0, 20);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	assert_int_equal(netlab_answers(lab, "10.88.0.2", NETLAB_OTHER_PORT, 3), 0);
	assert_in_range(netlab_answers(lab, "10.88.0.3", NETLAB_PORT, 60), 0, 20);
	netlab_same(lab, before);
}

static void test_a_bypass_has_to_be_allowed(void **state)
{
	struct netlab *lab = *state;
	char *before;
	struct netlab_fault fault;

	if (!netlab_has_egress_hook(lab))
		stage_skip("no nf_tables egress hook, behind which they would be bypassed");
	add_actions(lab);
	before = netlab_dump(lab);
	netlab_fault_start(lab, &fault, "fffff6",
			   (const char *[]){"interface", "sqv0", "delay", "60ms", "allow-bypass",
					    "true", NULL});
	assert_non_null(strstr(fault.plan, "from an ifb bypass (allow-bypass)"));
	assert_non_null(strstr(fault.plan, "forwards to an ifb with netem"));
	assert_true(netlab_fastest(lab, "10.88.0.3", NETLAB_PORT, 2) >= DELAY_NS);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	assert_int_equal(netlab_answers(lab, "10.88.0.3", NETLAB_PORT, 3), 0);
	netlab_same(lab, before);
}

/* In the classes of a shaper the kernel skips them as well. Those without actions only choose. */
static void check_shaper(struct netlab *lab, const char *hook)
{
	struct netlab_fault fault;

	if (hook)
		setenv("SQUALL_HOOK", hook, 1);
	if (netlab_try("tc -n %s qdisc add dev sqv0 root handle 1: prio", lab->near) != 0 ||
	    netlab_try("tc -n %s filter add dev sqv0 parent 1: prio 1 protocol ip u32 match ip "
		       "dport 7002 0xffff flowid 1:1",
		       lab->near) != 0)
		stage_skip("no prio or u32 here: the test machine has them");
	netlab_fault_start(lab, &fault, hook ? "fffffa" : "fffff7",
			   (const char *[]){"interface", "sqv0", "delay", "60ms", NULL});
	assert_null(strstr(fault.plan, "with actions"));
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	if (netlab_try("tc -n %s filter add dev sqv0 parent 1: prio 2 protocol ip u32 match ip "
		       "dst 10.88.0.3 police rate 8kbit burst 100 drop flowid 1:1",
		       lab->near) != 0)
		stage_skip("no police here: the test machine has it");
	netlab_fault_start(lab, &fault, hook ? "fffffb" : "fffff8",
			   (const char *[]){"interface", "sqv0", "delay", "60ms", NULL});
	if (netlab_has_netem())
		assert_non_null(strstr(fault.plan, "1 tc filter with actions at egress (u32)"));
	assert_in_range(netlab_answers(lab, "10.88.0.3", NETLAB_PORT, 60), 0, 20);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	netlab_run("tc -n %s qdisc del dev sqv0 root", lab->near);
}

static void test_actions_of_a_shaper_count_as_well(void **state)
{
	check_shaper(*state, NULL);
	check_shaper(*state, "clsact");
}

#define ON_LAB(test) cmocka_unit_test_setup_teardown(test, netlab_setup, netlab_teardown_ways)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_LAB(test_programs_and_chains_keep_acting),
		ON_LAB(test_programs_and_chains_keep_acting_beside_a_gate),
		ON_LAB(test_a_chain_behind_ours_acts_on_what_is_not_in_scope),
		ON_LAB(test_actions_keep_acting),
		ON_LAB(test_actions_act_before_netem_where_packets_arrive),
		ON_LAB(test_a_bypass_has_to_be_allowed),
		ON_LAB(test_actions_of_a_shaper_count_as_well),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
