/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * squall beside what everybody knows: netem as the root qdisc, put there by tc. The same
 * parameters, ten thousand packets through each, and the same statistics: share lost, mean,
 * deviation and distribution of the delay. Both ways of squall that delay stand beside it, by one
 * body.
 */
#include "tests/support/netlab.h"
#include "tests/support/netlab_flow.h"
#include "tests/support/squall_runner.h"

#include "faults/network.h"
#include "injector/base/clock.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define PACKETS 10000

static void run_flow(struct netlab *lab, struct netlab_seen *out)
{
	const struct netlab_flow flow = {.count = PACKETS,
					 .size = 64,
					 .at_once = 4,
					 .pause_us = 2000, /* two thousand a second, at most */
					 .quiet_ms = is_emulated() ? 1500 : 500};

	netlab_flow_run(lab, &flow, out);
}

/* The largest distance of the two distributions (Kolmogorov and Smirnov). */
static double distance(const struct netlab_seen *a, const struct netlab_seen *b)
{
	double most = 0;

	for (unsigned i = 0, k = 0; i < a->arrived && k < b->arrived;) {
		double apart;

		if (a->delays_ns[i] <= b->delays_ns[k])
			i++;
		else
			k++;
		apart = fabs((double)i / a->arrived - (double)k / b->arrived);
		most = apart > most ? apart : most;
	}
	return most;
}

static void print(const char *name, const struct netlab_seen *seen)
{
	printf("# %-10s %u of %u, mean %.3f ms, deviation %.3f ms, least %.3f, median %.3f, 99%% "
	       "%.3f ms\n",
	       name, seen->arrived, PACKETS, seen->mean_ns / 1e6, seen->deviation_ns / 1e6,
	       seen->least_ns / 1e6, seen->arrived ? seen->delays_ns[seen->arrived / 2] / 1e6 : 0,
	       seen->arrived ? seen->delays_ns[seen->arrived * 99ULL / 100] / 1e6 : 0);
}

/* Of the nine tenths that came first: whoever gets no processor for a moment makes the rest late,
 * and how late says nothing about either. */
static void trim(const struct netlab_seen *seen, double *out_mean, double *out_deviation)
{
	const unsigned count = seen->arrived * 9U / 10;
	double sum = 0, squares = 0;

	for (unsigned i = 0; i < count; i++)
		sum += seen->delays_ns[i];
	*out_mean = sum / count;
	for (unsigned i = 0; i < count; i++)
		squares += pow(seen->delays_ns[i] - *out_mean, 2);
	*out_deviation = sqrt(squares / count);
}

/* Two draws of 10,000 with 10 %: their difference deviates by 0.42 %; five times that. What the
 * machine adds to a delay, to each in its own way, is some milliseconds when it is emulated. */
static void compare(const struct netlab_seen *theirs, const struct netlab_seen *ours)
{
	const double noise_ns = (is_emulated() ? 4 : 1.5) * 1e6;
	const double lost = 1 - (double)theirs->arrived / PACKETS;
	const double spread = 5 * sqrt(2 * lost * (1 - lost) / PACKETS) + 0.0005;
	double their_mean, their_deviation, our_mean, our_deviation;

	trim(theirs, &their_mean, &their_deviation);
	trim(ours, &our_mean, &our_deviation);
	printf("# nine tenths: mean %.3f and %.3f ms, deviation %.3f and %.3f ms; distance %.4f\n",
	       their_mean / 1e6, our_mean / 1e6, their_deviation / 1e6, our_deviation / 1e6,
	       distance(theirs, ours));
	assert_true(fabs(lost - (1 - (double)ours->arrived / PACKETS)) < spread);
	assert_true(fabs(their_mean - our_mean) < noise_ns);
	assert_true(fabs(their_deviation - our_deviation) < noise_ns);
	/* 1.95 sqrt(2 / n) is reached by one pair in a thousand that is of one distribution; and a
	 * shift by the noise moves it by its share of the jitter's width (20 ms, from -10 to 10) */
	assert_true(distance(theirs, ours) < 1.95 * sqrt(2.0 / theirs->arrived) + noise_ns / 20e6);
}

static void run_squall(struct netlab *lab, const char *run, const char *way,
		       struct netlab_seen *out)
{
	struct netlab_fault fault;
	struct error err = ERROR_INIT;

	if (netlab_fault_plan(lab, &fault, run,
			      (const char *[]){"to", "10.88.0.2", "delay", "40ms", "jitter", "10ms",
					       "distribution", "uniform", "loss", "10%", NULL},
			      &err) < 0 ||
	    network_fault.inject(&fault.fault, &err) < 0)
		fail_msg("%s (%s)", err.text, err.remedy);
	run_flow(lab, out);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	print(way, out);
}

static void test_same_as_netem_on_the_root(void **state)
{
	struct netlab *lab = *state;
	struct netlab_seen tc, netem, line;

	if (!netlab_has_netem())
		stage_skip("no netem here: the test machine has it");
	netlab_run("tc -n %s qdisc add dev sqv0 root netem delay 40ms 10ms loss 10%% limit 100000",
		   lab->near);
	run_flow(lab, &tc);
	netlab_run("tc -n %s qdisc delete dev sqv0 root", lab->near);
	print("tc", &tc);
	run_squall(lab, "sssss1", "netem", &netem);
	setenv("SQUALL_NETEM", "off", 1);
	run_squall(lab, "sssss2", "delay line", &line);
	unsetenv("SQUALL_NETEM");
	compare(&tc, &netem);
	compare(&tc, &line);
	free(tc.delays_ns);
	free(netem.delays_ns);
	free(line.delays_ns);
}

/* Where there is no netem: what it would give, by its definition. */
static void test_delay_line_is_what_netem_would_be(void **state)
{
	struct netlab *lab = *state;
	struct netlab_seen ideal = {.arrived = PACKETS * 9 / 10}, line;

	if (netlab_has_netem())
		return; /* compared with netem itself above */
	setenv("SQUALL_NETEM", "off", 1);
	run_squall(lab, "sssss3", "delay line", &line);
	unsetenv("SQUALL_NETEM");
	ideal.delays_ns = calloc(ideal.arrived, sizeof(double));
	assert_non_null(ideal.delays_ns);
	for (unsigned i = 0; i < ideal.arrived; i++)
		ideal.delays_ns[i] = 30e6 + 20e6 * (i + 0.5) / ideal.arrived;
	compare(&ideal, &line);
	free(ideal.delays_ns);
	free(line.delays_ns);
}

#define ON_LAB(test) cmocka_unit_test_setup_teardown(test, netlab_setup, netlab_teardown_ways)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_LAB(test_same_as_netem_on_the_root),
		ON_LAB(test_delay_line_is_what_netem_would_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
