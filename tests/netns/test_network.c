/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The network fault on real traffic: what is in scope is delayed or lost, what is not is
 * undisturbed, and afterwards the namespace is as it was. Delays go the way that the kernel has:
 * netem or the delay line; SQUALL_NETEM=off makes it the latter.
 */
#include "tests/support/netlab.h"

#include "faults/network.h"
#include "injector/base/clock.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DELAY_NS (60 * NSEC_PER_MSEC)
#define FAST_NS	 (40 * NSEC_PER_MSEC) /* far below the delay, also in a slow emulated machine */

static void plan(struct netlab *lab, struct netlab_fault *fault, const char *run,
		 const char *const *settings)
{
	struct error err = ERROR_INIT;

	if (netlab_fault_plan(lab, fault, run, settings, &err) < 0)
		fail_msg("plan: %s (%s)", err.text, err.remedy);
}

static void inject(struct netlab_fault *fault)
{
	struct error err = ERROR_INIT;

	if (network_fault.inject(&fault->fault, &err) < 0)
		fail_msg("inject: %s (%s)", err.text, err.remedy);
	assert_true(fault->fault.effect_started_ns > 0);
}

static void start(struct netlab *lab, struct netlab_fault *fault, const char *run,
		  const char *const *settings)
{
	plan(lab, fault, run, settings);
	inject(fault);
}

#define assert_slow(ns)                                                                            \
	do {                                                                                       \
		int64_t took_ns = (ns);                                                            \
		if (took_ns < DELAY_NS || took_ns > 3 * DELAY_NS)                                  \
			fail_msg("took %lld us", (long long)took_ns / 1000);                       \
	} while (0)
#define assert_fast(ns)                                                                            \
	do {                                                                                       \
		int64_t took_ns = (ns);                                                            \
		if (took_ns < 0 || took_ns > FAST_NS)                                              \
			fail_msg("took %lld us", (long long)took_ns / 1000);                       \
	} while (0)

/* Loss as a share of `count` datagrams, in per cent. */
static double loss_of(const struct netlab *lab, const char *address, uint16_t port, unsigned count)
{
	return 100.0 * (count - netlab_answers(lab, address, port, count)) / count;
}

static void check_delay(struct netlab *lab, const char *direction)
{
	struct netlab_fault fault;
	char *before = netlab_dump(lab);
	struct evidence evidence;

	start(lab, &fault, "aaaaa1",
	      (const char *[]){"to", "10.88.0.2", "to", "fd88::2", "delay", "60ms", "direction",
			       direction, NULL});
	assert_slow(netlab_fastest(lab, "10.88.0.2", NETLAB_PORT, 3));
	assert_slow(netlab_fastest(lab, "fd88::2", NETLAB_PORT, 3));
	assert_slow(netlab_ping(lab, "10.88.0.2", 1000));
	assert_slow(netlab_ping(lab, "fd88::2", 1000));
	assert_fast(netlab_fastest(lab, "10.88.0.3", NETLAB_PORT, 3));
	assert_fast(netlab_fastest(lab, "fd88::3", NETLAB_PORT, 3));
	evidence = netlab_evidence(&fault);
	assert_int_equal(evidence.hits, 8);
	assert_int_equal(evidence.dropped, 0);
	assert_int_equal(evidence.passed, 8);
	assert_int_equal(evidence.delayed, 8);
	netlab_fault_end(&fault, FAULT_END_SOFT);
	assert_true(fault.fault.effect_ended_ns > fault.fault.effect_started_ns);
	assert_int_equal(netlab_evidence(&fault).hits, 8);
	assert_fast(netlab_fastest(lab, "10.88.0.2", NETLAB_PORT, 3));
	netlab_fault_finish(&fault, FAULT_END_NOW);
	netlab_same(lab, before);
}

/* Of the lab itself: what waits until there is no delay any more would be misled. */
static void test_an_answer_that_comes_late_is_not_the_next_ones(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	start(lab, &fault, "aaaaa5",
	      (const char *[]){"to", "10.88.0.2", "to", "fd88::2", "delay", "600ms", NULL});
	assert_int_equal(netlab_ping(lab, "10.88.0.2", 400), -1);
	assert_int_equal(netlab_ping(lab, "10.88.0.2", 400), -1);
	assert_int_equal(netlab_ping(lab, "fd88::2", 400), -1);
	assert_int_equal(netlab_ping(lab, "fd88::2", 400), -1);
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

static void test_delay_on_egress(void **state)
{
	check_delay(*state, "egress");
}

static void test_delay_on_ingress(void **state)
{
	check_delay(*state, "ingress");
}

static void test_delay_both_ways_is_met_twice(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char *before = netlab_dump(lab);
	int64_t took;

	start(lab, &fault, "aaaaa2",
	      (const char *[]){"to", "10.88.0.2", "delay", "60ms", "direction", "both", NULL});
	took = netlab_fastest(lab, "10.88.0.2", NETLAB_PORT, 3);
	assert_true(took >= 2 * DELAY_NS && took < 4 * DELAY_NS);
	assert_fast(netlab_fastest(lab, "10.88.0.3", NETLAB_PORT, 3));
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	netlab_same(lab, before);
}

static void test_delay_on_loopback(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char *before = netlab_dump(lab);

	start(lab, &fault, "aaaaa3",
	      (const char *[]){"to", "127.0.0.1:7001", "to", "[::1]:7001", "delay", "60ms",
			       "direction", "both", NULL});
	assert_non_null(strstr(fault.plan, "loopback"));
	assert_slow(netlab_fastest(lab, "127.0.0.1", NETLAB_PORT, 3));
	assert_slow(netlab_fastest(lab, "::1", NETLAB_PORT, 3));
	netlab_fault_end(&fault, FAULT_END_SOFT);
	assert_fast(netlab_fastest(lab, "127.0.0.1", NETLAB_PORT, 3));
	netlab_fault_finish(&fault, FAULT_END_NOW);
	netlab_same(lab, before);
}

static void test_jitter_varies_both_ways(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	int64_t lowest_ns = INT64_MAX, highest_ns = 0;

	start(lab, &fault, "aaaac2",
	      (const char *[]){"to", "10.88.0.2", "delay", "60ms", "jitter", "40ms", NULL});
	for (unsigned i = 0; i < 40; i++) {
		int64_t took_ns = netlab_round_trip(lab, "10.88.0.2", NETLAB_PORT, 1000);

		assert_true(took_ns >= 20 * NSEC_PER_MSEC);
		lowest_ns = took_ns < lowest_ns ? took_ns : lowest_ns;
		highest_ns = took_ns > highest_ns ? took_ns : highest_ns;
	}
	assert_true(lowest_ns < 45 * NSEC_PER_MSEC);
	assert_true(highest_ns > 75 * NSEC_PER_MSEC);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	assert_fast(netlab_fastest(lab, "10.88.0.2", NETLAB_PORT, 3));
}

static void check_loss(struct netlab *lab, const char *direction)
{
	struct netlab_fault fault;
	char *before = netlab_dump(lab);
	struct evidence evidence;
	double loss;

	start(lab, &fault, "aaaaa4",
	      (const char *[]){"to", "10.88.0.2", "loss", "20%", "direction", direction, NULL});
	loss = loss_of(lab, "10.88.0.2", NETLAB_PORT, 2000);
	assert_true(loss > 15 && loss < 25); /* sd 0.9 */
	assert_true(loss_of(lab, "10.88.0.3", NETLAB_PORT, 200) == 0);
	evidence = netlab_evidence(&fault);
	assert_int_equal(evidence.hits, 2000);
	assert_int_equal(evidence.passed + evidence.dropped, 2000);
	assert_int_equal(evidence.dropped, (uint64_t)(loss * 20 + 0.5));
	netlab_fault_end(&fault, FAULT_END_SOFT);
	assert_true(loss_of(lab, "10.88.0.2", NETLAB_PORT, 200) == 0);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	netlab_same(lab, before);
}

static void test_loss_on_egress(void **state)
{
	check_loss(*state, "egress");
}

static void test_loss_on_ingress(void **state)
{
	check_loss(*state, "ingress");
}

static void test_delay_and_loss_together(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	double loss;

	start(lab, &fault, "aaaaa5",
	      (const char *[]){"to", "10.88.0.2", "delay", "60ms", "loss", "30%", NULL});
	loss = loss_of(lab, "10.88.0.2", NETLAB_PORT, 1000);
	assert_true(loss > 22 && loss < 38);
	assert_slow(netlab_fastest(lab, "10.88.0.2", NETLAB_PORT, 10));
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	assert_fast(netlab_fastest(lab, "10.88.0.2", NETLAB_PORT, 3));
}

/* The entries are learnt again in the middle of it: ARP and discovery get through. */
static void cut_off(struct netlab *lab, struct netlab_fault *fault, const char *run,
		    const char *const *words)
{
	static const char *const far[] = {"10.88.0.2", "fd88::2"};

	start(lab, fault, run, words);
	for (unsigned again = 0; again < 2; again++) {
		for (unsigned i = 0; i < 2; i++)
			assert_true(netlab_round_trip(lab, far[i], NETLAB_PORT, 200) < 0);
		netlab_run("ip -n %s neigh flush dev sqv0", lab->near);
	}
	for (unsigned i = 0; i < 2; i++) {
		char *neighbours;

		netlab_round_trip(lab, far[i], NETLAB_PORT, 200);
		neighbours = netlab_output("ip -n %s neigh show %s", lab->near, far[i]);
		assert_non_null(strstr(neighbours, "lladdr"));
		free(neighbours);
	}
	netlab_fault_end(fault, FAULT_END_NOW);
	for (unsigned i = 0; i < 2; i++)
		assert_fast(netlab_fastest(lab, far[i], NETLAB_PORT, 3));
	netlab_fault_finish(fault, FAULT_END_NOW);
}

static void test_partition_keeps_neighbours(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char *before = netlab_dump(lab);

	cut_off(lab, &fault, "aaaaa6",
		(const char *[]){"interface", "sqv0", "loss", "100%", "direction", "both", NULL});
	/* discovery goes to the far side's own address as well, and from there */
	cut_off(lab, &fault, "aaaab6",
		(const char *[]){"to", "10.88.0.0/24", "to", "fd88::/16", "loss", "100%",
				 "direction", "both", NULL});
	netlab_same(lab, before);
}

/* What is lost on the wire nobody is told of, not even a sender that asks for errors. */
static void test_sender_sees_no_error(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	start(lab, &fault, "aaaac1", (const char *[]){"to", "10.88.0.2", "loss", "100%", NULL});
	assert_int_equal(netlab_send_error(lab, "10.88.0.2", NETLAB_PORT), 0);
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

static void test_tcp_under_loss_arrives_whole(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	start(lab, &fault, "aaaaa7", (const char *[]){"to", "10.88.0.2", "loss", "5%", NULL});
	assert_true(netlab_transfer(lab, "10.88.0.2", NETLAB_PORT, 8 << 20, 30000) > 0);
	assert_true(netlab_evidence(&fault).dropped > 0);
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

static void test_loss_counts_wire_packets(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct evidence evidence;
	const unsigned wire_packets = (16 << 20) / 1448;

	start(lab, &fault, "aaaab1", (const char *[]){"to", "10.88.0.2", "loss", "1%", NULL});
	assert_true(netlab_transfer(lab, "10.88.0.2", NETLAB_PORT, 16 << 20, 60000) > 0);
	evidence = netlab_evidence(&fault);
	/* about 116 of 11585; as segmentation units there are only some hundred packets in all */
	assert_in_range(evidence.dropped, wire_packets / 200, wire_packets / 50);
	/* and so are those that they are a part of */
	assert_in_range(evidence.hits, wire_packets, 2 * wire_packets);
	assert_int_equal(evidence.passed + evidence.dropped, evidence.hits);
	assert_int_equal(evidence.delayed, 0);
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

/* Numbered datagrams, one way, while the fault ends. */
static void count_through_end(struct netlab *lab, enum fault_end how, unsigned *out_answers,
			      unsigned *out_reordered);

static void test_inject_again_after_end(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char *before = netlab_dump(lab);

	plan(lab, &fault, "aaaaa8", (const char *[]){"to", "10.88.0.2", "delay", "60ms", NULL});
	for (unsigned pulse = 0; pulse < 3; pulse++) {
		inject(&fault);
		assert_slow(netlab_fastest(lab, "10.88.0.2", NETLAB_PORT, 2));
		assert_int_equal(netlab_evidence(&fault).hits, 2);
		netlab_fault_end(&fault, pulse % 2 ? FAULT_END_NOW : FAULT_END_SOFT);
		netlab_undo_all("aaaaa8");
		assert_fast(netlab_fastest(lab, "10.88.0.2", NETLAB_PORT, 2));
	}
	netlab_fault_finish(&fault, FAULT_END_NOW);
	netlab_same(lab, before);
}

static void test_end_now_ends_at_once(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	int64_t again_ns, start_ns;
	struct error err = ERROR_INIT;

	start(lab, &fault, "aaaaa9", (const char *[]){"to", "10.88.0.2", "delay", "500ms", NULL});
	assert_true(netlab_round_trip(lab, "10.88.0.2", NETLAB_PORT, 100) < 0);
	start_ns = clock_now_ns();
	assert_int_equal(network_fault.end(&fault.fault, FAULT_END_NOW, &again_ns, &err), 0);
	printf("ended %lld us after the call\n",
	       (long long)(fault.fault.effect_ended_ns - start_ns) / 1000);
	assert_true(fault.fault.effect_ended_ns - start_ns < 100 * NSEC_PER_MSEC);
	assert_fast(netlab_round_trip(lab, "10.88.0.2", NETLAB_PORT, 1000));
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

static void test_soft_end_loses_and_reorders_nothing(void **state)
{
	unsigned answers, reordered;

	count_through_end(*state, FAULT_END_SOFT, &answers, &reordered);
	assert_int_equal(answers, 400);
	assert_int_equal(reordered, 0);
}

static void test_abrupt_end_loses_nothing(void **state)
{
	unsigned answers, reordered;

	count_through_end(*state, FAULT_END_NOW, &answers, &reordered);
	assert_int_equal(answers, 400);
}

static void count_through_end(struct netlab *lab, enum fault_end how, unsigned *out_answers,
			      unsigned *out_reordered)
{
	struct netlab_fault fault;
	struct netlab_stream stream;
	struct error err = ERROR_INIT;
	int64_t again_ns = 1, due_ns = 0;

	start(lab, &fault, "aaaab2", (const char *[]){"to", "10.88.0.2", "delay", "60ms", NULL});
	netlab_stream_open(&stream, lab, "10.88.0.2", NETLAB_PORT);
	for (unsigned i = 0; i < 400; i++) {
		netlab_stream_send(&stream);
		if (i >= 200 && again_ns && clock_now_ns() >= due_ns) {
			assert_int_equal(network_fault.end(&fault.fault, how, &again_ns, &err), 0);
			due_ns = clock_now_ns() + again_ns;
		}
		poll(NULL, 0, 1);
	}
	netlab_stream_close(&stream, out_answers, out_reordered);
	netlab_fault_finish(&fault, how);
}

static void test_inject_is_quick(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	int64_t best_inject = INT64_MAX, best_end = INT64_MAX;

	plan(lab, &fault, "aaaab3", (const char *[]){"to", "10.88.0.2", "loss", "5%", NULL});
	for (unsigned i = 0; i < 5; i++) {
		int64_t begin_ns = clock_now_ns(), took_ns;

		inject(&fault);
		took_ns = fault.fault.effect_started_ns - begin_ns;
		if (took_ns < best_inject)
			best_inject = took_ns;
		begin_ns = clock_now_ns();
		netlab_fault_end(&fault, FAULT_END_NOW);
		took_ns = fault.fault.effect_ended_ns - begin_ns;
		if (took_ns < best_end)
			best_end = took_ns;
		netlab_undo_all("aaaab3");
	}
	printf("inject %lld us, end %lld us\n", (long long)best_inject / 1000,
	       (long long)best_end / 1000);
	assert_true(best_inject < 200 * NSEC_PER_MSEC); /* an emulated machine has its time */
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, netlab_setup, netlab_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_an_answer_that_comes_late_is_not_the_next_ones),
		TEST(test_delay_on_egress),
		TEST(test_delay_on_ingress),
		TEST(test_delay_both_ways_is_met_twice),
		TEST(test_delay_on_loopback),
		TEST(test_jitter_varies_both_ways),
		TEST(test_loss_on_egress),
		TEST(test_loss_on_ingress),
		TEST(test_delay_and_loss_together),
		TEST(test_partition_keeps_neighbours),
		TEST(test_sender_sees_no_error),
		TEST(test_tcp_under_loss_arrives_whole),
		TEST(test_loss_counts_wire_packets),
		TEST(test_inject_again_after_end),
		TEST(test_end_now_ends_at_once),
		TEST(test_soft_end_loses_and_reorders_nothing),
		TEST(test_abrupt_end_loses_nothing),
		TEST(test_inject_is_quick),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
