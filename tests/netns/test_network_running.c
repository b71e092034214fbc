/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A delay that comes and goes in the middle of running traffic: nothing is lost, nothing doubled,
 * and nothing overtakes. When it comes, packets behind it are later than those before; when it
 * ends as planned, what still waits is let out first. So order is kept; only the time changes.
 * Where tc filters take packets out, the user has a clsact already: one that squall must add costs
 * what the interface sends at that moment, as the plan says.
 */
#include "tests/support/netlab_dial.h"
#include "tests/support/netlab_ways.h"
#include "tests/support/squall_runner.h"

#include "faults/network.h"
#include "injector/base/clock.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define DELAY_MS 60
#define MSEC	 1e6
#define TIMES	 2 /* it comes and goes */
#define PIECE	 1000

/* Two emulated processors hand on packets of one flow at once: netem alone lets some overtake. */
static unsigned overtaken_at_most(unsigned count)
{
	return is_emulated() ? count / 100 : 0;
}

static struct netlab_flow steady_flow(unsigned count, bool is_back)
{
	return (struct netlab_flow){.course = is_back ? NETLAB_BACK : NETLAB_OUT,
				    .is_six = is_back,
				    .count = count,
				    .size = 200,
				    .at_once = 4,
				    .pause_us = 1000,
				    .quiet_ms = is_emulated() ? 1000 : 250};
}

static void assert_only_delayed(struct netlab_seen *seen, const struct netlab_flow *flow)
{
	print_message("  %u of %u arrived, %u twice, %u overtaken, %.0f %% of them late\n",
		      seen->arrived, flow->count, seen->duplicated, seen->overtaken,
		      100 - 100 * netlab_seen_below(seen, DELAY_MS * MSEC));
	assert_int_equal(seen->arrived, flow->count);
	assert_int_equal(seen->duplicated, 0);
	assert_true(seen->overtaken <= overtaken_at_most(flow->count));
	/* some before, some in it, some after */
	assert_true(seen->least_ns < DELAY_MS * MSEC / 2);
	assert_true(netlab_seen_below(seen, DELAY_MS * MSEC / 2) > 0.1);
	assert_true(netlab_seen_below(seen, DELAY_MS * MSEC) < 0.9);
	free(seen->delays_ns);
	seen->delays_ns = NULL;
}

struct coming {
	struct netlab *lab;
	const char *direction;
	unsigned times;
};

static void *come_and_go(void *context)
{
	const struct coming *coming = context;

	for (unsigned i = 0; i < coming->times; i++) {
		struct netlab_fault fault;

		pause_ms(100);
		netlab_start(coming->lab, &fault,
			     (const char *[]){"interface", "sqv0", "direction", coming->direction,
					      "delay", "60ms", NULL});
		pause_ms(is_emulated() ? 400 : 150);
		netlab_fault_finish(&fault, FAULT_END_SOFT);
	}
	return NULL;
}

static void start_coming(pthread_t *thread, struct coming *coming)
{
	if (!getenv("SQUALL_NETEM") && !netlab_has_netem()) /* not in the thread */
		stage_skip("no netem here: the test machine has it");
	if (!getenv("SQUALL_HOOK") && !netlab_has_egress_hook(coming->lab))
		stage_skip("no nf_tables egress hook: a clsact is added");
	assert_int_equal(pthread_create(thread, NULL, come_and_go, coming), 0);
}

static void see_datagrams(struct netlab *lab, bool is_back)
{
	const struct netlab_flow flow = steady_flow(is_emulated() ? 2400 : 1900, is_back);
	struct coming coming = {lab, is_back ? "ingress" : "egress", TIMES};
	struct netlab_seen seen;
	pthread_t thread;

	start_coming(&thread, &coming);
	netlab_flow_run(lab, &flow, &seen);
	pthread_join(thread, NULL);
	assert_only_delayed(&seen, &flow);
}

static void test_datagrams_are_only_delayed(void **state)
{
	see_datagrams(*state, false);
	see_datagrams(*state, true);
}

/* What the far side put into its queue of segments that came before others. */
static unsigned count_early(const struct netlab *lab)
{
	return netlab_counter(lab->far, "TcpExtTCPOFOQueue");
}

static void test_a_connection_is_only_delayed(void **state)
{
	struct netlab *lab = *state;
	const int64_t until_ns = clock_now_ns() + (is_emulated() ? 2000 : 600) * NSEC_PER_MSEC;
	struct coming coming = {lab, "both", TIMES};
	const unsigned before = count_early(lab);
	int fd;
	char piece[PIECE] = "";
	uint64_t sent = 0, counted = 0;
	pthread_t thread;

	start_coming(&thread, &coming);
	fd = netlab_dial(lab->near_fd, "10.88.0.2", NETLAB_PORT);
	assert_true(fd >= 0);
	while (clock_now_ns() < until_ns) {
		assert_int_equal(send(fd, piece, PIECE, MSG_NOSIGNAL), PIECE);
		sent += PIECE;
		usleep(500);
	}
	pthread_join(thread, NULL);
	shutdown(fd, SHUT_WR);
	assert_int_equal(recv(fd, &counted, sizeof(counted), MSG_WAITALL), sizeof(counted));
	close(fd);
	print_message("  %u bytes, %u segments came early\n", (unsigned)sent,
		      count_early(lab) - before);
	assert_int_equal(counted, sent);
	/* a lost or overtaken segment leaves a gap, before which others wait */
	assert_true(count_early(lab) - before <= overtaken_at_most((unsigned)(sent / PIECE)));
}

/* With a clsact and a filter of the user. */
static int setup_clsact(void **state, int (*way)(void **state))
{
	struct netlab *lab = *state;

	netlab_run("tc -n %s qdisc add dev sqv0 clsact", lab->near);
	netlab_run("tc -n %s filter add dev sqv0 egress prio 5 protocol ip u32 match ip dport 9 "
		   "0xffff flowid 1:1",
		   lab->near);
	return way(state);
}

static int table_beside_clsact(void **state)
{
	return setup_clsact(state, netlab_by_line);
}

static int filters_beside_clsact(void **state)
{
	return setup_clsact(state, netlab_by_line_and_filters);
}

static int netem_beside_clsact(void **state)
{
	return setup_clsact(state, netlab_by_netem);
}

static int netem_filters_beside_clsact(void **state)
{
	return setup_clsact(state, netlab_by_netem_and_filters);
}

static int remove_clsact(void **state)
{
	struct netlab *lab = *state;

	return netlab_try("tc -n %s qdisc delete dev sqv0 clsact", lab->near);
}

#define BESIDE(test, how)                                                                          \
	{                                                                                          \
#test "_" #how, test, how, remove_clsact, NULL                                     \
	}

int main(void)
{
	const struct CMUnitTest line[] = {
		BY_LINE(test_datagrams_are_only_delayed),
		BY_LINE(test_a_connection_is_only_delayed),
		BESIDE(test_datagrams_are_only_delayed, table_beside_clsact),
		BESIDE(test_datagrams_are_only_delayed, filters_beside_clsact),
		BESIDE(test_a_connection_is_only_delayed, filters_beside_clsact),
	};
	const struct CMUnitTest netem[] = {
		BY_NETEM(test_datagrams_are_only_delayed),
		BY_NETEM(test_a_connection_is_only_delayed),
		BESIDE(test_datagrams_are_only_delayed, netem_beside_clsact),
		BESIDE(test_datagrams_are_only_delayed, netem_filters_beside_clsact),
		BESIDE(test_a_connection_is_only_delayed, netem_filters_beside_clsact),
	};

	return NETLAB_RUN_WAYS(line, netem);
}
