/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the bucket of a rate holds passes at the peak rate: no packet of a burst is earlier than
 * those before it let it be, on either way, in either direction, again after a pause; and the tbf
 * of this kernel, which does it where there is netem, understands what it is told.
 */
#include "tests/support/netlab_ways.h"
#include "tests/support/squall_runner.h"

#include "faults/network.h"
#include "injector/base/clock.h"
#include "injector/base/quantity.h"
#include "injector/kernel/link.h"
#include "injector/kernel/qdisc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MSEC	 1e6
#define COUNT	 60 /* handed to the stack as one: sent at one moment */
#define BURST	 .count = COUNT, .size = 958, .segments = COUNT, .quiet_ms = QUIET_MS
#define QUIET_MS (is_emulated() ? 1500 : 500)
#define WIRE	 1000.0 /* bytes of each; by IPv6 20 more */
/* A bucket of one packet is one of the largest: an MTU and its headers. */
#define LARGEST 1564.0

/* Each packet is there after those before it, but for what passes at once: at so many bytes a
 * second (a clock may be corrected a little). And sooner than by `slow` alone, which is far later.
 */
static void assert_pace(const struct netlab_seen *seen, double at_once, double peak, double slow)
{
	assert_int_equal(seen->arrived, COUNT);
	for (unsigned i = 0; i < COUNT; i++) {
		const double least_ns = 0.99 * ((i + 1) * WIRE - at_once) * 1e9 / peak;

		if (seen->delays_ns[i] < least_ns)
			fail_msg("packet %u was there after %.3f ms, not %.3f", i,
				 seen->delays_ns[i] / MSEC, least_ns / MSEC);
	}
	print_message("  the last one after %.0f ms, %.0f at least; %s\n",
		      seen->delays_ns[COUNT - 1] / MSEC, (COUNT * WIRE - at_once) * 1e3 / peak,
		      seen->told.detail);
	assert_true(seen->delays_ns[COUNT - 1] < COUNT * WIRE * 1e9 / slow);
}

static void add_evidence(struct netlab_fault *fault, struct netlab_seen *seen)
{
	struct error err = ERROR_INIT;

	if (network_fault.evidence(&fault->fault, &seen->told, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(seen->told.dropped, 0);
}

/* 500 kB a second while it lasts, then 50. */
#define SLOW  50e3
#define PEAK  500e3
#define RATES "rate", "400kbit", "burst", "60kB", "peak-rate", "4mbit"

static void run_again_after_a_pause(struct netlab *lab, const struct netlab_flow *flow,
				    struct netlab_fault *fault)
{
	for (unsigned i = 0; i < 2; i++) {
		struct netlab_seen seen;

		netlab_flow_run(lab, flow, &seen);
		add_evidence(fault, &seen);
		assert_int_equal(seen.told.delayed, (i + 1) * COUNT);
		assert_pace(&seen, LARGEST, PEAK, SLOW);
		free(seen.delays_ns);
		if (i == 0)
			pause_ms(1300); /* it is full again */
	}
}

static void see(struct netlab *lab, const struct netlab_flow *flow, const char *const *settings)
{
	const bool is_line = getenv("SQUALL_NETEM");
	struct netlab_fault fault;
	char *before;

	netlab_need_way();
	before = netlab_dump(lab);
	netlab_start(lab, &fault, settings);
	assert_non_null(strstr(fault.plan, is_line ? "delay line"
						   : "tbf that limits the rate and "
						     "its peak"));
	assert_non_null(strstr(fault.plan, "peakrate 4000000bit"));
	run_again_after_a_pause(lab, flow, &fault);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	netlab_same(lab, before);
}

static void test_a_burst_passes_at_the_peak_rate(void **state)
{
	const struct netlab_flow flow = {BURST};

	see(*state, &flow, (const char *[]){"to", "10.88.0.2", RATES, NULL});
}

static void test_what_arrives_by_ipv6(void **state)
{
	const struct netlab_flow flow = {BURST, .course = NETLAB_BACK, .is_six = true};

	see(*state, &flow, (const char *[]){"to", "fd88::2", "direction", "ingress", RATES, NULL});
}

/* A burst for what passes by lo is no smaller than a packet there, and nothing is lost. */
static void test_packets_that_are_larger_than_the_burst(void **state)
{
	const struct netlab_flow flow = {
		.course = NETLAB_LO, .count = 20, .size = 9000, .quiet_ms = QUIET_MS};
	struct netlab_seen seen =
		netlab_see(*state, &flow,
			   (const char *[]){"rate", "8mbit", "burst", "1700B", "peak-rate",
					    "16mbit", "peak-burst", "1600B", NULL});

	assert_int_equal(seen.arrived, flow.count);
	free(seen.delays_ns);
	seen = netlab_see(*state, &flow, (const char *[]){"rate", "8mbit", "burst", "1700B", NULL});
	assert_int_equal(seen.arrived, flow.count);
	free(seen.delays_ns);
}

/* What is more than the burst waits for the rate. */
static void test_then_the_rate_holds(void **state)
{
	struct netlab_flow flow = {BURST};
	struct netlab_seen seen;

	flow.count = 2 * COUNT;
	seen = netlab_see(*state, &flow, (const char *[]){RATES, NULL});
	assert_int_equal(seen.arrived, flow.count);
	assert_true(seen.delays_ns[flow.count - 1] >=
		    (flow.count * WIRE - 60e3) * 1e9 / SLOW - 10 * MSEC);
	free(seen.delays_ns);
}

static void test_some_of_it_may_pass_at_once(void **state)
{
	const struct netlab_flow flow = {BURST};
	struct netlab_seen seen =
		netlab_see(*state, &flow,
			   (const char *[]){"rate", "80kbit", "burst", "60kB", "peak-rate",
					    "200kbit", "peak-burst", "20kB", NULL});

	assert_pace(&seen, 20e3, 25e3, 10e3);
	/* by the peak rate 720 ms */
	assert_true(seen.delays_ns[18] < 600 * MSEC);
	free(seen.delays_ns);
}

static void test_half_the_strength_is_twice_as_fast(void **state)
{
	const struct netlab_flow flow = {BURST};
	struct netlab_fault fault;
	struct netlab_seen seen;
	char *before;

	netlab_need_way();
	before = netlab_dump(*state);
	netlab_start(*state, &fault, (const char *[]){"to", "10.88.0.2", RATES, NULL});
	fault.fault.level_ppb = SHARE_ONE / 2;
	assert_int_equal(network_fault.set_level(&fault.fault, NULL), 0);
	netlab_flow_run(*state, &flow, &seen);
	add_evidence(&fault, &seen);
	assert_pace(&seen, LARGEST, 2 * PEAK, SLOW);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	netlab_same(*state, before);
	free(seen.delays_ns);
}

/* In packets of the wire, however large the pieces are that TCP hands down. */
static void test_tcp(void **state)
{
	const size_t bytes = 300000;
	struct netlab_fault fault;
	int64_t took_ns;

	netlab_start(*state, &fault,
		     (const char *[]){"to", "10.88.0.2", "rate", "8mbit", "burst", "400kB",
				      "peak-rate", "16mbit", NULL});
	took_ns = netlab_transfer(*state, "10.88.0.2", NETLAB_PORT, bytes, 30000);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	print_message("  %.0f ms\n", (double)took_ns / MSEC);
	assert_true((double)took_ns >= ((double)bytes - LARGEST) * 1e9 / 2e6);
}

static void assert_tbf(const struct netlab *lab, const char *words, bool is_there)
{
	char *text = netlab_output("ip netns exec %s tc qdisc show dev sqv0", lab->near);

	if (!strstr(text, words) == is_there)
		fail_msg("'%s' does%s say '%s'", text, is_there ? " not" : "", words);
	free(text);
}

static void test_tbf_of_this_kernel(void **state)
{
	const struct netlab_flow flow = {BURST};
	const uint32_t handle = QDISC_HANDLE(7);
	const struct qdisc_rate peaked = {.bytes = 50000,
					  .burst = 60000,
					  .limit = 1 << 20,
					  .peak_bytes = 500000,
					  .peak_burst = 1564};
	const struct qdisc_rate fast = {.bytes = 5000000000,
					.burst = 6000000,
					.peak_bytes = 10000000000,
					.peak_burst = 30000};
	const struct qdisc_rate none = {.burst = 60000, .peak_bytes = 500000, .peak_burst = 1564};
	struct netlab *lab = *state;
	struct netlink *netlink;
	struct netlab_seen seen;
	struct error err = ERROR_INIT;
	struct link link;

	if (netlink_open(lab->near_fd, &netlink, &err) < 0 ||
	    link_find(netlink, "sqv0", &link, &err) < 0 ||
	    qdisc_add_rate(netlink, link.index, TC_H_ROOT, handle, &peaked, &err) < 0)
		fail_msg("%s", err.text);
	assert_tbf(lab, "peakrate 4Mbit minburst 1564b", true);
	netlab_flow_run(lab, &flow, &seen);
	seen.told.detail[0] = '\0';
	assert_pace(&seen, LARGEST, PEAK, SLOW);
	free(seen.delays_ns);
	assert_int_equal(qdisc_change_rate(netlink, link.index, TC_H_ROOT, handle, &fast, &err), 0);
	assert_tbf(lab, "rate 40Gbit", true);
	assert_tbf(lab, "peakrate 80Gbit", true);
	assert_int_equal(qdisc_change_rate(netlink, link.index, TC_H_ROOT, handle, &none, &err), 0);
	assert_tbf(lab, "peakrate", false);
	netlink_close(netlink);
	netlab_run("ip netns exec %s tc qdisc del dev sqv0 root", lab->near);
}

int main(void)
{
	const struct CMUnitTest line[] = {
		cmocka_unit_test(test_tbf_of_this_kernel),
		BY_LINES(test_a_burst_passes_at_the_peak_rate),
		BY_LINES(test_what_arrives_by_ipv6),
		BY_LINE(test_packets_that_are_larger_than_the_burst),
		BY_LINE(test_then_the_rate_holds),
		BY_LINE(test_some_of_it_may_pass_at_once),
		BY_LINE(test_half_the_strength_is_twice_as_fast),
		BY_LINES(test_tcp),
	};
	const struct CMUnitTest netem[] = {
		cmocka_unit_test(test_tbf_of_this_kernel),
		BY_NETEMS(test_a_burst_passes_at_the_peak_rate),
		BY_NETEMS(test_what_arrives_by_ipv6),
		BY_NETEM(test_packets_that_are_larger_than_the_burst),
		BY_NETEM(test_then_the_rate_holds),
		BY_NETEM(test_some_of_it_may_pass_at_once),
		BY_NETEM(test_half_the_strength_is_twice_as_fast),
		BY_NETEMS(test_tcp),
	};

	return NETLAB_RUN_WAYS(line, netem);
}
