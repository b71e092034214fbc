/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Losses that are counted: of numbered datagrams exactly those are missing that were asked for,
 * whatever the stack hands down as one, beside every other effect and beside another such fault, of
 * each direction by itself, by the table and by tc filters, and also where there is netem. Of TCP
 * packets of the wire are counted.
 */
#include "tests/support/netlab_ways.h"
#include "tests/support/squall_runner.h"

#include "faults/network.h"
#include "injector/base/quantity.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT	 10000
#define FLOW	 .count = COUNT, .size = 200, .at_once = 20, .pause_us = 1000, .quiet_ms = QUIET_MS
#define QUIET_MS (is_emulated() ? 1500 : 400)
#define BULK	 (8U << 20)

/* How often each of them must arrive. */
static unsigned wanted[COUNT];

static uint64_t fingerprint_of_wanted(void)
{
	uint64_t fingerprint = 0;

	for (unsigned i = 0; i < COUNT; i++)
		fingerprint = fingerprint * 1099511628211ULL + wanted[i]; /* as netlab_flow.c */
	return fingerprint;
}

static void want_all(unsigned times)
{
	for (unsigned i = 0; i < COUNT; i++)
		wanted[i] = times;
}

/* One fault more: of those that still arrive. Returns how many it loses. */
static unsigned want_without(unsigned every, unsigned first)
{
	unsigned number = 0, lost = 0;

	for (unsigned i = 0; i < COUNT; i++)
		if (wanted[i] && number++ % every == first - 1) {
			wanted[i] = 0;
			lost++;
		}
	return lost;
}

static void assert_exactly(struct netlab_seen *seen, unsigned lost, unsigned twice)
{
	print_message("  %u of %u arrived, %u twice, %u overtaken; %s\n", seen->arrived, COUNT,
		      seen->duplicated, seen->overtaken, seen->told.detail);
	assert_int_equal(seen->arrived, COUNT - lost);
	assert_int_equal(seen->duplicated, twice);
	assert_true(seen->fingerprint == fingerprint_of_wanted());
	free(seen->delays_ns);
}

static void add_evidence(struct netlab_fault *fault, struct netlab_seen *seen)
{
	struct error err = ERROR_INIT;

	if (network_fault.evidence(&fault->fault, &seen->told, &err) < 0)
		fail_msg("%s", err.text);
}

static struct netlab_seen see(struct netlab *lab, const struct netlab_flow *flow,
			      const char *const *settings)
{
	struct netlab_fault fault;
	struct netlab_seen seen;
	char *before;

	netlab_need_way();
	before = netlab_dump(lab);
	netlab_start(lab, &fault, settings);
	assert_non_null(strstr(fault.plan, "delay line"));
	assert_int_equal(strstr(fault.plan, "netem can only draw") != NULL, netlab_has_netem());
	netlab_flow_run(lab, flow, &seen);
	add_evidence(&fault, &seen);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	netlab_same(lab, before);
	return seen;
}

#define SEE(flow, ...) see(*state, flow, (const char *[]){__VA_ARGS__, NULL})

static void test_exactly_each_tenth_that_leaves(void **state)
{
	const struct netlab_flow flow = {FLOW};
	struct netlab_seen seen = SEE(&flow, "to", "10.88.0.2", "loss-every", "10");

	want_all(1);
	want_without(10, 10);
	assert_int_equal(seen.told.hits, COUNT);
	assert_int_equal(seen.told.dropped, COUNT / 10);
	assert_int_equal(seen.told.passed, COUNT - COUNT / 10);
	assert_non_null(strstr(seen.told.detail, "9000 packets passed, 1000 of 10000 dropped"));
	assert_exactly(&seen, COUNT / 10, 0);
}

static void test_from_the_third_of_seven_that_arrive_by_ipv6(void **state)
{
	const struct netlab_flow flow = {FLOW, .course = NETLAB_BACK, .is_six = true};
	struct netlab_seen seen = SEE(&flow, "to", "fd88::2", "direction", "ingress", "loss-every",
				      "7", "loss-every-first", "3");

	want_all(1);
	assert_exactly(&seen, want_without(7, 3), 0);
}

/* Twenty packets of the wire each. */
static void test_of_what_is_handed_down_as_one(void **state)
{
	const struct netlab_flow out = {FLOW, .segments = 20};
	const struct netlab_flow back = {FLOW, .segments = 20, .course = NETLAB_BACK};
	struct netlab_seen seen = SEE(&out, "to", "10.88.0.2", "loss-every", "7");
	unsigned lost;

	want_all(1);
	lost = want_without(7, 7);
	assert_int_equal(seen.told.dropped, lost);
	assert_int_equal(seen.told.hits, COUNT);
	assert_exactly(&seen, lost, 0);
	seen = SEE(&back, "to", "10.88.0.2", "direction", "ingress", "loss-every", "7");
	assert_exactly(&seen, lost, 0);
}

static void test_on_lo(void **state)
{
	const struct netlab_flow flow = {FLOW, .course = NETLAB_LO};
	struct netlab_seen seen = SEE(&flow, "to", "127.0.0.1", "loss-every", "2");

	want_all(1);
	assert_exactly(&seen, want_without(2, 2), 0);
}

/* Seven thirds do not fit into 10,000: a count that both shared would lose others of the second. */
static void test_each_direction_counts_by_itself(void **state)
{
	const struct netlab_flow out = {FLOW}, back = {FLOW, .course = NETLAB_BACK};
	struct netlab_fault fault;
	struct netlab_seen seen[2];
	unsigned lost;

	netlab_start(
		*state, &fault,
		(const char *[]){"to", "10.88.0.2", "direction", "both", "loss-every", "7", NULL});
	netlab_flow_run(*state, &out, &seen[0]);
	netlab_flow_run(*state, &back, &seen[1]);
	add_evidence(&fault, &seen[0]);
	seen[1].told = seen[0].told;
	netlab_fault_finish(&fault, FAULT_END_NOW);
	want_all(1);
	lost = want_without(7, 7);
	assert_int_equal(seen[0].told.dropped, 2 * lost);
	assert_exactly(&seen[0], lost, 0);
	assert_exactly(&seen[1], lost, 0);
}

/* Copies share the fate of what they are copies of, and are not counted. */
static void test_beside_other_effects(void **state)
{
	const struct netlab_flow flow = {FLOW};
	struct netlab_seen seen =
		SEE(&flow, "to", "10.88.0.2", "loss-every", "10", "duplicate", "100%", "delay",
		    "5ms", "rate", "1gbit", "limit", "100000", "seed", "3");

	want_all(2);
	want_without(10, 10);
	assert_true(seen.least_ns >= 5e6);
	assert_exactly(&seen, COUNT / 10, COUNT - COUNT / 10);
}

static void test_beside_a_loss_by_chance(void **state)
{
	const struct netlab_flow flow = {FLOW};
	struct netlab_seen seen = SEE(&flow, "to", "10.88.0.2", "loss-every", "2", "loss", "10%");

	print_message("  %u arrived\n", seen.arrived);
	netlab_assert_share(COUNT / 2 - seen.arrived, COUNT / 2, 0.1, 1);
	assert_int_equal(seen.told.dropped, COUNT - seen.arrived);
	free(seen.delays_ns);
}

static void test_marks_in_place_of_losing(void **state)
{
	const struct netlab_flow flow = {FLOW, .tos = 2};
	struct netlab_seen seen = SEE(&flow, "to", "10.88.0.2", "loss-every", "10", "ecn", "true");

	want_all(1);
	assert_int_equal(seen.marked, COUNT / 10);
	assert_non_null(strstr(seen.told.detail, "1000 marked"));
	assert_exactly(&seen, 0, 0);
}

static void end(struct netlab_fault *fault)
{
	netlab_fault_end(fault, FAULT_END_NOW);
	netlab_undo_step(fault->run_id, (int)fault->fault.step);
}

/* The one that was injected last is met first. */
static void test_two_faults_count_one_behind_the_other(void **state)
{
	const struct netlab_flow flow = {FLOW};
	struct netlab_fault first, second;
	struct netlab_seen seen;
	unsigned lost[2];
	char *before;

	netlab_need_way();
	before = netlab_dump(*state);
	netlab_start(*state, &first, (const char *[]){"to", "10.88.0.2", "loss-every", "10", NULL});
	netlab_fault_start_step(*state, &second, &first, 1,
				(const char *[]){"to", "10.88.0.2", "loss-every", "7", NULL});
	netlab_flow_run(*state, &flow, &seen);
	want_all(1);
	lost[1] = want_without(7, 7);
	lost[0] = want_without(10, 10);
	add_evidence(&first, &seen);
	assert_int_equal(seen.told.hits, COUNT - lost[1]);
	assert_int_equal(seen.told.dropped, lost[0]);
	add_evidence(&second, &seen);
	assert_int_equal(seen.told.hits, COUNT);
	assert_int_equal(seen.told.dropped, lost[1]);
	end(&second);
	end(&first);
	netlab_same(*state, before);
	second.journal = NULL; /* it is the first one's */
	netlab_fault_finish(&second, FAULT_END_NOW);
	netlab_fault_finish(&first, FAULT_END_NOW);
	assert_exactly(&seen, lost[0] + lost[1], 0);
}

/* Half of it is one in twice as many; of nothing is lost nothing. */
static void test_at_half_the_strength(void **state)
{
	const struct netlab_flow flow = {FLOW};
	struct netlab_fault fault;
	struct netlab_seen seen;

	netlab_start(*state, &fault, (const char *[]){"to", "10.88.0.2", "loss-every", "10", NULL});
	fault.fault.level_ppb = SHARE_ONE / 2;
	assert_int_equal(network_fault.set_level(&fault.fault, NULL), 0);
	netlab_flow_run(*state, &flow, &seen);
	add_evidence(&fault, &seen);
	want_all(1);
	assert_exactly(&seen, want_without(20, 20), 0);
	fault.fault.level_ppb = 0;
	assert_int_equal(network_fault.set_level(&fault.fault, NULL), 0);
	netlab_flow_run(*state, &flow, &seen);
	add_evidence(&fault, &seen);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	want_all(1);
	assert_exactly(&seen, 0, 0);
}

/* What comes through is counted by the far side, packet by packet. */
static void test_tcp_is_counted_as_on_the_wire(void **state)
{
	const struct netlab *lab = *state;
	struct netlab_fault fault;
	struct netlab_seen seen;
	unsigned arrived;

	netlab_start(*state, &fault,
		     (const char *[]){"to", "10.88.0.2", "loss-every", "100", NULL});
	arrived = netlab_counter(lab->far, "IpInReceives");
	assert_true(netlab_transfer(lab, "10.88.0.2", NETLAB_PORT, BULK, 60000) > 0);
	arrived = netlab_counter(lab->far, "IpInReceives") - arrived;
	add_evidence(&fault, &seen);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	print_message("  %u packets arrived; %s\n", arrived, seen.told.detail);
	assert_true(seen.told.hits > BULK / 1500);
	assert_int_equal(seen.told.dropped, seen.told.hits / 100);
	assert_in_range(arrived, seen.told.passed, seen.told.passed + 10);
}

static void test_also_where_there_is_netem(void **state)
{
	test_exactly_each_tenth_that_leaves(state);
	test_from_the_third_of_seven_that_arrive_by_ipv6(state);
	test_of_what_is_handed_down_as_one(state);
	test_two_faults_count_one_behind_the_other(state);
}

/* Packets of one flow that two processors hand on at once come in any order. */
static void stay_on_one_processor(void)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	sched_setaffinity(0, sizeof(one), &one);
}

int main(void)
{
	const struct CMUnitTest line[] = {
		BY_LINES(test_exactly_each_tenth_that_leaves),
		BY_LINES(test_from_the_third_of_seven_that_arrive_by_ipv6),
		BY_LINES(test_of_what_is_handed_down_as_one),
		BY_LINE(test_on_lo),
		BY_LINES(test_each_direction_counts_by_itself),
		BY_LINES(test_beside_other_effects),
		BY_LINE(test_beside_a_loss_by_chance),
		BY_LINE(test_marks_in_place_of_losing),
		BY_LINES(test_two_faults_count_one_behind_the_other),
		BY_LINE(test_at_half_the_strength),
		BY_LINES(test_tcp_is_counted_as_on_the_wire),
	};
	const struct CMUnitTest netem[] = {BY_NETEMS(test_also_where_there_is_netem)};

	stay_on_one_processor();
	return NETLAB_RUN_WAYS(line, netem);
}
