/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Several network faults on one interface: what two of them match meets both, delays add up, and a
 * packet that only one of them matches knows nothing of the other. Of one run and of two, whichever
 * was injected first and whichever ends first.
 */
#include "tests/support/squall_runner.h"

#include "faults/network.h"
#include "injector/base/clock.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS NSEC_PER_MSEC

/* 100 ms to one address, 50 ms to one port: they meet at that port of that address. */
static const char *const to_address[] = {"to", "10.88.0.2", "delay", "100ms", NULL};
static const char *const to_port[] = {
	"to", "10.88.0.0/24:7001", "to", "[fd88::/64]:7001", "delay", "50ms", NULL};

static void plan_step(struct netlab *lab, struct netlab_fault *fault,
		      const struct netlab_fault *first, unsigned step, const char *const *settings)
{
	struct error err = ERROR_INIT;

	if (netlab_fault_plan_step(lab, fault, first, step, settings, &err) < 0)
		fail_msg("%s (%s)", err.text, err.remedy);
}

/* At least so long, and less than the next longer sum (an emulated machine is slow). */
static void assert_took(const char *address, uint16_t port, int64_t took, int64_t ms)
{
	if (took < ms * MS || took > (ms + (is_emulated() ? 500 : 45)) * MS)
		fail_msg("%s port %u: %.3f ms, expected %lld", address, port, (double)took / 1e6,
			 (long long)ms);
}

/* Of the fastest of several. */
static void assert_delay(const struct netlab *lab, const char *address, uint16_t port, int64_t ms)
{
	assert_took(address, port, netlab_fastest(lab, address, port, 4), ms);
}

static void assert_sums(const struct netlab *lab, int64_t address_ms, int64_t port_ms)
{
	assert_delay(lab, "10.88.0.2", NETLAB_PORT, address_ms + port_ms);
	assert_delay(lab, "10.88.0.2", NETLAB_OTHER_PORT, address_ms);
	assert_delay(lab, "10.88.0.3", NETLAB_PORT, port_ms);
	assert_delay(lab, "fd88::3", NETLAB_PORT, port_ms);
}

/* Of one step: the others stay. */
static void end(struct netlab_fault *fault, enum fault_end how)
{
	netlab_fault_end(fault, how);
	netlab_undo_step(fault->run_id, (int)fault->fault.step);
}

/* A step that has ended; the first one holds the journal and comes last. */
static void leave(struct netlab_fault *fault)
{
	if (fault->fault.step)
		fault->journal = NULL;
	netlab_fault_finish(fault, FAULT_END_NOW);
}

static unsigned hits(struct netlab_fault *fault)
{
	struct evidence evidence = {0};
	struct error err = ERROR_INIT;

	if (network_fault.evidence(&fault->fault, &evidence, &err) < 0)
		fail_msg("%s", err.text);
	return (unsigned)evidence.hits;
}

static void test_delays_add_up(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault first, second;
	char *before = netlab_dump(lab);

	netlab_fault_must_plan(lab, &first, "aaaaa1", to_address);
	plan_step(lab, &second, &first, 1, to_port);
	assert_non_null(strstr(second.plan, "what both match meets both"));
	netlab_fault_inject(&first);
	assert_sums(lab, 100, 0);
	netlab_fault_inject(&second);
	assert_sums(lab, 100, 50);
	/* each packet is counted once by each */
	assert_true(hits(&first) > 0);
	assert_true(hits(&second) > 0);
	end(&second, FAULT_END_SOFT);
	assert_sums(lab, 100, 0);
	end(&first, FAULT_END_SOFT);
	assert_sums(lab, 0, 0);
	netlab_same(lab, before);
	leave(&second);
	leave(&first);
}

static void test_the_first_may_end_first(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault first, second;
	char *before = netlab_dump(lab);

	netlab_fault_must_plan(lab, &first, "aaaaa2", to_port);
	plan_step(lab, &second, &first, 1, to_address);
	netlab_fault_inject(&first);
	netlab_fault_inject(&second);
	assert_sums(lab, 100, 50);
	end(&first, FAULT_END_NOW);
	assert_sums(lab, 100, 0);
	/* and again, now behind the other */
	netlab_fault_inject(&first);
	assert_sums(lab, 100, 50);
	end(&second, FAULT_END_NOW);
	assert_sums(lab, 0, 50);
	end(&first, FAULT_END_NOW);
	netlab_same(lab, before);
	leave(&second);
	leave(&first);
}

static void test_what_arrives(void **state)
{
	static const char *const slow[] = {"to",    "10.88.0.2", "direction", "ingress",
					   "delay", "100ms",	 NULL};
	static const char *const port[] = {
		"to", "10.88.0.0/24:7001", "direction", "both", "delay", "25ms", NULL};
	struct netlab *lab = *state;
	struct netlab_fault first, second;
	char *before = netlab_dump(lab);

	netlab_fault_must_plan(lab, &first, "aaaaa3", slow);
	plan_step(lab, &second, &first, 1, port);
	netlab_fault_inject(&first);
	netlab_fault_inject(&second);
	assert_delay(lab, "10.88.0.2", NETLAB_PORT, 150);
	assert_delay(lab, "10.88.0.2", NETLAB_OTHER_PORT, 100);
	assert_delay(lab, "10.88.0.3", NETLAB_PORT, 50);
	end(&second, FAULT_END_SOFT);
	assert_delay(lab, "10.88.0.2", NETLAB_PORT, 100);
	end(&first, FAULT_END_SOFT);
	netlab_same(lab, before);
	leave(&second);
	leave(&first);
}

static void test_three_on_one_packet(void **state)
{
	static const char *const all[] = {"to", "10.88.0.0/24", "delay", "40ms", NULL};
	struct netlab *lab = *state;
	struct netlab_fault first, second, third;
	char *before = netlab_dump(lab);

	netlab_fault_must_plan(lab, &first, "aaaaa4", to_address);
	plan_step(lab, &second, &first, 1, to_port);
	plan_step(lab, &third, &first, 2, all);
	netlab_fault_inject(&first);
	netlab_fault_inject(&second);
	netlab_fault_inject(&third);
	assert_delay(lab, "10.88.0.2", NETLAB_PORT, 190);
	assert_delay(lab, "10.88.0.2", NETLAB_OTHER_PORT, 140);
	assert_delay(lab, "10.88.0.3", NETLAB_PORT, 90);
	end(&third, FAULT_END_NOW);
	end(&second, FAULT_END_NOW);
	end(&first, FAULT_END_NOW);
	netlab_same(lab, before);
	leave(&third);
	leave(&second);
	leave(&first);
}

static void assert_once(const char *text, const char *words)
{
	const char *at = strstr(text, words);

	if (!at || strstr(at + 1, words))
		fail_msg("'%s' %s in\n%s", words, at ? "more than once" : "is not", text);
}

static void test_two_runs(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault first, second;
	char *before = netlab_dump(lab);

	netlab_fault_must_plan(lab, &first, "aaaaa5", to_address);
	netlab_fault_inject(&first);
	/* not a live state of the same worker: it is found by what is on the interface */
	network_unregister(first.fault.state);
	netlab_fault_must_plan(lab, &second, "aaaaa6", to_port);
	assert_once(second.plan, "a network fault of another run (squall_aaaaa5_0)");
	assert_once(second.plan, "what both match meets both");
	assert_null(strstr(second.plan, "does not meet"));
	netlab_fault_inject(&second);
	assert_sums(lab, 100, 50);
	network_register(first.fault.state);
	end(&first, FAULT_END_SOFT);
	assert_sums(lab, 0, 50);
	end(&second, FAULT_END_SOFT);
	netlab_same(lab, before);
	leave(&second);
	leave(&first);
}

static void test_two_runs_by_filters(void **state)
{
	setenv("SQUALL_HOOK", "clsact", 1);
	test_two_runs(state);
	unsetenv("SQUALL_HOOK");
}

/* What a partition of another run takes comes to no delay, whichever is injected last. */
static void test_a_partition_of_another_run(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault first, second;

	netlab_fault_must_plan(lab, &first, "aaaab1",
			       (const char *[]){"to", "10.88.0.3", "loss", "100%", NULL});
	netlab_fault_inject(&first);
	network_unregister(first.fault.state);
	netlab_fault_must_plan(lab, &second, "aaaab2",
			       (const char *[]){"to", "10.88.0.0/24", "delay", "50ms", NULL});
	assert_once(second.plan, "another run (squall_aaaab1_0): what both match is first lost");
	netlab_fault_inject(&second);
	assert_delay(lab, "10.88.0.2", NETLAB_PORT, 50);
	assert_true(netlab_round_trip(lab, "10.88.0.3", NETLAB_PORT, 200) < 0);
	network_register(first.fault.state);
	end(&first, FAULT_END_SOFT);
	assert_delay(lab, "10.88.0.3", NETLAB_PORT, 50);
	end(&second, FAULT_END_SOFT);
	leave(&second);
	leave(&first);
}

/* Also beside another step a lost packet is one of the wire, and the seed of the run draws. */
static void test_loss_beside_a_delay_counts_wire_packets(void **state)
{
	const unsigned wire_packets = (16 << 20) / 1448;
	struct netlab *lab = *state;
	struct netlab_fault loss, slow;
	struct evidence evidence = {0};

	netlab_fault_must_plan(lab, &loss, "aaaab3",
			       (const char *[]){"to", "10.88.0.2", "loss", "1%", NULL});
	plan_step(lab, &slow, &loss, 1,
		  (const char *[]){"to", "10.88.0.0/24", "delay", "1ms", NULL});
	assert_non_null(strstr(slow.plan, "what both match meets both"));
	netlab_fault_inject(&loss);
	netlab_fault_inject(&slow);
	assert_true(netlab_transfer(lab, "10.88.0.2", NETLAB_PORT, 16 << 20, 60000) > 0);
	assert_int_equal(network_fault.evidence(&loss.fault, &evidence, NULL), 0);
	/* 116 of 11585; of what the stack hands down it would be some of some hundred */
	assert_in_range(evidence.hits, wire_packets, 2 * wire_packets);
	assert_in_range(evidence.dropped, wire_packets / 200, wire_packets / 50);
	end(&slow, FAULT_END_SOFT);
	end(&loss, FAULT_END_SOFT);
	leave(&slow);
	leave(&loss);
}

/* A loss beside a delay is drawn once, whatever way the packet takes. */
static void test_loss_is_drawn_once(void **state)
{
	static const char *const lossy[] = {"to", "10.88.0.0/24", "loss", "30%", "seed", "1", NULL};
	enum { PACKETS = 400 };
	struct netlab *lab = *state;
	struct netlab_fault loss, slow, more;
	char *before = netlab_dump(lab);
	int64_t took = -1;
	unsigned answers;

	netlab_fault_must_plan(lab, &loss, "aaaaa7", lossy);
	plan_step(lab, &slow, &loss, 1, (const char *[]){"to", "10.88.0.2", "delay", "20ms", NULL});
	plan_step(lab, &more, &loss, 2,
		  (const char *[]){"to", "10.88.0.2:7001", "delay", "10ms", NULL});
	netlab_fault_inject(&slow);
	netlab_fault_inject(&more);
	netlab_fault_inject(&loss);
	answers = netlab_answers(lab, "10.88.0.2", NETLAB_PORT, PACKETS);
	/* 280; five standard deviations (9.2) around; drawn twice it would be 196 */
	assert_in_range(answers, 234, 326);
	/* all of them lost: once in 10^10 */
	for (unsigned tries = 0; tries < 20 && took < 0; tries++)
		took = netlab_round_trip(lab, "10.88.0.2", NETLAB_PORT, 1000);
	assert_took("10.88.0.2", NETLAB_PORT, took, 30);
	end(&slow, FAULT_END_SOFT);
	end(&more, FAULT_END_SOFT);
	end(&loss, FAULT_END_SOFT);
	netlab_same(lab, before);
	leave(&more);
	leave(&slow);
	leave(&loss);
}

/* What a soft end lets pass finds its way through the fault that stays. */
static void test_nothing_is_lost_when_one_ends(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault first, second;
	struct netlab_stream stream;
	unsigned answers, reordered;
	int64_t until;

	netlab_fault_must_plan(lab, &first, "aaaaa8", to_address);
	plan_step(lab, &second, &first, 1, to_port);
	netlab_stream_open(&stream, lab, "10.88.0.2", NETLAB_PORT);
	netlab_fault_inject(&first);
	netlab_fault_inject(&second);
	/* what waits is let go at once: no more of it than a socket's buffer holds */
	until = clock_now_ns() + 250 * MS;
	while (clock_now_ns() < until) {
		netlab_stream_send(&stream);
		pause_ms(2);
	}
	end(&second, FAULT_END_SOFT);
	netlab_stream_send(&stream);
	end(&first, FAULT_END_SOFT);
	leave(&second);
	leave(&first);
	netlab_stream_close(&stream, &answers, &reordered);
	assert_int_equal(answers, stream.sent);
	assert_int_equal(reordered, 0);
}

static void test_loopback(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault first, second;
	char *before = netlab_dump(lab);

	netlab_fault_must_plan(lab, &first, "aaaaa9",
			       (const char *[]){"to", "127.0.0.1", "delay", "40ms", NULL});
	plan_step(lab, &second, &first, 1,
		  (const char *[]){"to", "127.0.0.1:7001", "delay", "100ms", NULL});
	netlab_fault_inject(&first);
	netlab_fault_inject(&second);
	/* the answer meets the first alone: its port is not the far one */
	assert_delay(lab, "127.0.0.1", NETLAB_PORT, 180);
	end(&second, FAULT_END_SOFT);
	assert_delay(lab, "127.0.0.1", NETLAB_PORT, 80);
	end(&first, FAULT_END_SOFT);
	netlab_same(lab, before);
	leave(&second);
	leave(&first);
}

#define LAB_TEST(test) cmocka_unit_test_setup_teardown(test, netlab_setup, netlab_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LAB_TEST(test_delays_add_up),
		LAB_TEST(test_the_first_may_end_first),
		LAB_TEST(test_what_arrives),
		LAB_TEST(test_three_on_one_packet),
		LAB_TEST(test_two_runs),
		LAB_TEST(test_two_runs_by_filters),
		LAB_TEST(test_a_partition_of_another_run),
		LAB_TEST(test_loss_beside_a_delay_counts_wire_packets),
		LAB_TEST(test_loss_is_drawn_once),
		LAB_TEST(test_nothing_is_lost_when_one_ends),
		LAB_TEST(test_loopback),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
