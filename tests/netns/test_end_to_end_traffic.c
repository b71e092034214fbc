/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The real binary: 100 ms on the traffic in scope, and on nothing else; IPv4, IPv6, the loopback
 * interface, both directions, both data paths. What the user has configured on the interface is
 * there, byte for byte, during and after.
 */
#include "tests/support/squall_runner.h"

#include "injector/base/cleanup.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DELAY_MS 100

static const char *const off[] = {"SQUALL_NETEM=off", NULL};
static const struct squall_how without_netem = {.extra = off}, plainly = {0};

static unsigned ways(void)
{
	static unsigned count;

	if (!count)
		count = netlab_has_netem() ? 2 : 1;
	return count;
}

/* Runs `check` during a fault injected with these words: by the delay line, and by netem where the
 * kernel has it. */
static void for_each_way(struct stage *stage, const char *words,
			 void (*check)(const struct stage *stage))
{
	for (unsigned way = 0; way < ways(); way++) {
		struct squall *squall;

		squall = squall_start(stage, way ? &plainly : &without_netem,
				      "inject --json network %s delay=100ms for=30s", words);
		squall_await_injected(squall);
		printf("# %s\n", way ? "netem" : "delay line");
		check(stage);
		squall_signal(squall, SIGTERM);
		squall_assert_exit(squall, 4);
		stage_assert_clean(stage);
	}
}

static void forget_neighbours(const struct stage *stage)
{
	netlab_run("ip -n %s neigh flush dev sqv0", stage->lab->near);
	netlab_run("ip -n %s neigh flush dev sqv1", stage->lab->far);
}

/* The first packet, which waits for the neighbour's address: not 200 ms or more. */
static void assert_first_packet(const struct stage *stage, const char *address, int64_t ms)
{
	int64_t most = ms * NSEC_PER_MSEC + 75 * NSEC_PER_MSEC + 2 * stage->slack_ns, took;

	forget_neighbours(stage);
	took = netlab_round_trip(stage->lab, address, NETLAB_PORT, 3000);
	printf("# %s with the neighbour unknown: %.3f ms\n", address, (double)took / 1e6);
	if (took < ms * NSEC_PER_MSEC || took > most)
		fail_msg("the first packet to %s took %.3f ms, expected %lld", address,
			 (double)took / 1e6, (long long)ms);
}

static void check_four(const struct stage *stage)
{
	stage_assert_delay(stage, "10.88.0.2", NETLAB_PORT, DELAY_MS);
	stage_assert_fast(stage, "10.88.0.2", NETLAB_OTHER_PORT);
	stage_assert_fast(stage, "10.88.0.3", NETLAB_PORT);
	stage_assert_fast(stage, "fd88::2", NETLAB_PORT);
	assert_in_range(netlab_ping(stage->lab, "10.88.0.2", 1000), 0, 45 * NSEC_PER_MSEC);
	assert_first_packet(stage, "10.88.0.3", 0);
	assert_first_packet(stage, "10.88.0.2", DELAY_MS);
}

static void test_one_port_of_one_host_ipv4(void **state)
{
	for_each_way(*state, "to=10.88.0.2:7001", check_four);
}

static void check_six(const struct stage *stage)
{
	stage_assert_delay(stage, "fd88::2", NETLAB_PORT, DELAY_MS);
	stage_assert_fast(stage, "fd88::3", NETLAB_PORT);
	stage_assert_fast(stage, "10.88.0.2", NETLAB_PORT);
	assert_in_range(netlab_ping(stage->lab, "fd88::2", 1000), 0, 45 * NSEC_PER_MSEC);
	assert_first_packet(stage, "fd88::3", 0);
	assert_first_packet(stage, "fd88::2", DELAY_MS);
}

static void test_one_port_of_one_host_ipv6(void **state)
{
	for_each_way(*state, "to=[fd88::2]:7001", check_six);
}

static void check_all(const struct stage *stage)
{
	stage_assert_delay(stage, "10.88.0.2", NETLAB_PORT, DELAY_MS);
	stage_assert_delay(stage, "fd88::3", NETLAB_PORT, DELAY_MS);
	assert_in_range(netlab_ping(stage->lab, "10.88.0.2", 1000), DELAY_MS * NSEC_PER_MSEC,
			800 * NSEC_PER_MSEC);
	stage_assert_fast(stage, "127.0.0.1", NETLAB_PORT);
	/* resolving is not delayed, although everything on the link is in scope */
	assert_first_packet(stage, "10.88.0.2", DELAY_MS);
	assert_first_packet(stage, "fd88::2", DELAY_MS);
}

static void test_everything_on_a_link_but_its_neighbour_discovery(void **state)
{
	for_each_way(*state, "to=* interface=sqv0", check_all);
}

static void check_twice(const struct stage *stage)
{
	stage_assert_delay(stage, "10.88.0.2", NETLAB_PORT, 2 * DELAY_MS);
	stage_assert_fast(stage, "10.88.0.2", NETLAB_OTHER_PORT);
	stage_assert_fast(stage, "10.88.0.3", NETLAB_PORT);
}

static void test_ingress_and_both_directions(void **state)
{
	for_each_way(*state, "to=10.88.0.2:7001 direction=ingress", check_four);
	for_each_way(*state, "to=10.88.0.2:7001 direction=both", check_twice);
}

static void check_loopback_four(const struct stage *stage)
{
	stage_assert_delay(stage, "127.0.0.1", NETLAB_PORT, DELAY_MS);
	stage_assert_fast(stage, "::1", NETLAB_PORT);
	stage_assert_fast(stage, "10.88.0.2", NETLAB_PORT);
	assert_in_range(netlab_ping(stage->lab, "127.0.0.1", 1000), 0, 45 * NSEC_PER_MSEC);
}

static void check_loopback_six(const struct stage *stage)
{
	stage_assert_delay(stage, "::1", NETLAB_PORT, DELAY_MS);
	stage_assert_fast(stage, "127.0.0.1", NETLAB_PORT);
	assert_in_range(netlab_ping(stage->lab, "::1", 1000), 0, 45 * NSEC_PER_MSEC);
}

static void check_loopback_next_port(const struct stage *stage)
{
	stage_assert_fast(stage, "127.0.0.1", NETLAB_PORT);
	stage_assert_fast(stage, "::1", NETLAB_PORT);
}

static void test_loopback_interface(void **state)
{
	for_each_way(*state, "to=127.0.0.1:7001", check_loopback_four);
	for_each_way(*state, "to=[::1]:7001", check_loopback_six);
	for_each_way(*state, "to=127.0.0.1:7001 direction=ingress", check_loopback_four);
	for_each_way(*state, "to=127.0.0.1:7002 to=[::1]:7000", check_loopback_next_port);
}

/* ---- What the user has configured ---- */

static void configure(const struct stage *stage)
{
	const char *near = stage->lab->near;
	/* "pass", as tc takes classic BPF: bpf(8) */
	const char *program = stage_write(stage, "pass.bpf", "1,6 0 0 4294967295,\n");
	const char *rules = stage_write(stage, "user.nft",
					"table inet user {\n"
					"	chain mine {\n"
					"		type filter hook output priority 0;\n"
					"		tcp dport 7009 counter drop\n"
					"	}\n"
					"}\n"
					"table netdev user {\n"
					"	chain mine {\n"
					"		type filter hook %s device sqv0 "
					"priority 10;\n"
					"		udp dport 7009 drop\n"
					"	}\n"
					"}\n",
					netlab_has_egress_hook(stage->lab) ? "egress" : "ingress");

	netlab_run("tc -n %s qdisc add dev sqv0 root handle 1: htb default 20", near);
	netlab_run("tc -n %s class add dev sqv0 parent 1: classid 1:1 htb rate 1gbit", near);
	netlab_run("tc -n %s class add dev sqv0 parent 1:1 classid 1:10 htb rate 200mbit ceil "
		   "900mbit",
		   near);
	netlab_run("tc -n %s class add dev sqv0 parent 1:1 classid 1:20 htb rate 500mbit", near);
	netlab_run("tc -n %s filter add dev sqv0 parent 1: protocol ip prio 1 u32 match ip dport "
		   "7001 0xffff flowid 1:10",
		   near);
	netlab_run("tc -n %s qdisc add dev sqv0 clsact", near);
	/* Before a fault that is a filter as well, what it accepts would not meet that (plan says
	 * so): as a program that decides by itself, it says "go on" (-1). */
	netlab_run(
		"tc -n %s filter add dev sqv0 egress prio 5 protocol all bpf %s bytecode-file %s "
		"flowid 1:1",
		near, netlab_by_filters(stage->lab) ? "da" : "", program);
	netlab_run("tc -n %s filter add dev sqv0 ingress prio 7 protocol ip u32 match ip sport "
		   "7009 0xffff flowid 1:20",
		   near);
	netlab_run("ip netns exec %s nft -f %s", near, rules);
}

/* The filters of a fault, where it has some: GATE_PRIORITY_DELAY and GATE_PRIORITY_BACK */
static void drop_our_filters(char *text)
{
	char *to = text;

	for (char *line = text, *next; *line; line = next) {
		const char *ours = strstr(line, " pref 6553");

		next = strchrnul(line, '\n');
		next += *next == '\n';
		if (ours && ours < next)
			continue;
		memmove(to, line, (size_t)(next - line));
		to += next - line;
	}
	*to = '\0';
}

/* All that is the user's, without what squall has added meanwhile. */
static char *dump_user(const struct stage *stage)
{
	static const char *const commands[] = {
		"ip -n %s -d link show dev sqv0",
		"tc -n %s qdisc show dev sqv0",
		"tc -n %s class show dev sqv0",
		"tc -n %s filter show dev sqv0",
		"tc -n %s filter show dev sqv0 egress",
		"tc -n %s filter show dev sqv0 ingress",
		"ip netns exec %s nft -s list table inet user",
		"ip netns exec %s nft -s list table netdev user",
	};
	char *all = NULL;
	size_t size;
	FILE *out = open_memstream(&all, &size);

	for (unsigned i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		const char *hole = strstr(commands[i], "%s");
		cleanup_free char *text = netlab_output("%.*s%s%s", (int)(hole - commands[i]),
							commands[i], stage->lab->near, hole + 2);

		if (!*text)
			fail_msg("nothing printed by: %s", commands[i]);
		fputs(text, out);
	}
	fclose(out);
	stage_drop_flows(all);
	drop_our_filters(all);
	return all;
}

static void check_user_configuration(struct stage *stage)
{
	cleanup_free char *before = dump_user(stage), *during = NULL, *after = NULL;

	free(stage->before);
	stage->before = stage_state(stage, false);
	stage->is_spent = true;
	for (unsigned way = 0; way < ways(); way++) {
		struct squall *squall;

		squall = squall_start(
			stage, way ? &plainly : &without_netem,
			"inject --json network to=10.88.0.2:7001 direction=both delay=100ms "
			"for=30s");
		squall_await_injected(squall);
		stage_assert_delay(stage, "10.88.0.2", NETLAB_PORT, 2 * DELAY_MS);
		stage_assert_fast(stage, "10.88.0.2", NETLAB_OTHER_PORT);
		during = dump_user(stage);
		assert_string_equal(during, before);
		squall_signal(squall, SIGINT);
		squall_assert_exit(squall, 4);
		after = dump_user(stage);
		assert_string_equal(after, before);
		stage_assert_clean(stage);
		free(steal_pointer(&during));
		free(steal_pointer(&after));
	}
}

static void test_shaping_and_filters_of_the_user_stay(void **state)
{
	configure(*state);
	check_user_configuration(*state);
}

static void test_tuned_fq_codel_of_the_user_stays(void **state)
{
	struct stage *stage = *state;

	configure(stage);
	if (netlab_try("tc -n %s qdisc add dev sqv0 parent 1:10 handle 110: fq_codel limit 777 "
		       "target 7ms interval 70ms flows 64 quantum 999 noecn",
		       stage->lab->near) != 0)
		stage_skip("this kernel has no fq_codel");
	netlab_run("tc -n %s qdisc add dev sqv0 parent 1:20 handle 120: fq_codel target 3ms",
		   stage->lab->near);
	check_user_configuration(stage);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_one_port_of_one_host_ipv4),
		TEST(test_one_port_of_one_host_ipv6),
		TEST(test_everything_on_a_link_but_its_neighbour_discovery),
		TEST(test_ingress_and_both_directions),
		TEST(test_loopback_interface),
		TEST(test_shaping_and_filters_of_the_user_stay),
		TEST(test_tuned_fq_codel_of_the_user_stays),
	};

	return STAGE_RUN(tests);
}
