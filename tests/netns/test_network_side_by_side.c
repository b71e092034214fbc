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
#include <string.h>

#include <cmocka.h>

#define PACKETS 10000
/* Large beside what the machine adds to a delay, to each in its own way: some milliseconds when it
 * is emulated. */
#define DELAY_MS  400
#define JITTER_MS 100
#define TEXT(ms)  #ms "ms"
#define MS(ms)	  TEXT(ms)

static void run_flow(struct netlab *lab, struct netlab_seen *out)
{
	const struct netlab_flow flow = {.count = PACKETS,
					 .size = 64,
					 .at_once = 4,
					 .pause_us = 2000, /* two thousand a second, at most */
					 .quiet_ms = is_emulated() ? 1500 : 600};

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

static double noise_ns(void)
{
	return (is_emulated() ? 4 : 1.5) * 1e6;
}

/* In what they differ more than two draws of one distribution do; NULL: in nothing. */
static const char *difference(const struct netlab_seen *theirs, const struct netlab_seen *ours)
{
	const double lost = 1 - (double)theirs->arrived / PACKETS;
	/* two draws of 10,000 with 10 %: their difference deviates by 0.42 %; five times that */
	const double spread = 5 * sqrt(2 * lost * (1 - lost) / PACKETS) + 0.0005;
	/* 1.95 sqrt(2 / n) is reached by one pair in a thousand that is of one distribution; and a
	 * shift by the noise moves it by its share of the jitter's width */
	const double apart =
		1.95 * sqrt(2.0 / theirs->arrived) + noise_ns() / (2 * JITTER_MS * 1e6);
	double their_mean, their_deviation, our_mean, our_deviation;

	trim(theirs, &their_mean, &their_deviation);
	trim(ours, &our_mean, &our_deviation);
	printf("# nine tenths: mean %.3f and %.3f ms, deviation %.3f and %.3f ms; distance %.4f of "
	       "%.4f\n",
	       their_mean / 1e6, our_mean / 1e6, their_deviation / 1e6, our_deviation / 1e6,
	       distance(theirs, ours), apart);
	if (fabs(lost - (1 - (double)ours->arrived / PACKETS)) > spread)
		return "loss";
	if (fabs(their_mean - our_mean) > noise_ns())
		return "mean";
	if (fabs(their_deviation - our_deviation) > noise_ns())
		return "deviation";
	return distance(theirs, ours) > apart ? "distribution" : NULL;
}

static void compare(const struct netlab_seen *theirs, const struct netlab_seen *ours)
{
	const char *what = difference(theirs, ours);

	if (what)
		fail_msg("they differ in their %s", what);
}

static void run_squall(struct netlab *lab, const char *run, const char *way,
		       struct netlab_seen *out)
{
	struct netlab_fault fault;

	netlab_fault_start(lab, &fault, run,
			   (const char *[]){"to", "10.88.0.2", "delay", MS(DELAY_MS), "jitter",
					    MS(JITTER_MS), "distribution", "uniform", "loss", "10%",
					    NULL});
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
	netlab_run("tc -n %s qdisc add dev sqv0 root netem delay %dms %dms loss 10%% limit 100000",
		   lab->near, DELAY_MS, JITTER_MS);
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

/* Quantiles of the distributions: of the standard normal one, and even from -1 to 1. */
static double normal(double share)
{
	double low = -8, high = 8;

	while (high - low > 1e-6) {
		double middle = (low + high) / 2;

		if ((1 + erf(middle / sqrt(2))) / 2 < share)
			low = middle;
		else
			high = middle;
	}
	return low;
}

static double uniform(double share)
{
	return 2 * share - 1;
}

/* What netem would give, by its definition. Caller: free(delays_ns). */
static struct netlab_seen ideal(double delay_ms, double jitter_ms, double (*quantile)(double share),
				double lost)
{
	struct netlab_seen seen = {.arrived = (unsigned)(PACKETS * (1 - lost))};

	seen.delays_ns = calloc(seen.arrived, sizeof(double));
	assert_non_null(seen.delays_ns);
	for (unsigned i = 0; i < seen.arrived; i++)
		seen.delays_ns[i] =
			1e6 * (delay_ms + jitter_ms * quantile((i + 0.5) / seen.arrived));
	return seen;
}

/* Where there is no netem. */
static void test_delay_line_is_what_netem_would_be(void **state)
{
	struct netlab *lab = *state;
	struct netlab_seen wanted = ideal(DELAY_MS, JITTER_MS, uniform, 0.1), line;

	if (!netlab_has_netem()) { /* else compared with netem itself above */
		setenv("SQUALL_NETEM", "off", 1);
		run_squall(lab, "sssss3", "delay line", &line);
		unsetenv("SQUALL_NETEM");
		compare(&wanted, &line);
		free(line.delays_ns);
	}
	free(wanted.delays_ns);
}

static const char *difference_of(struct netlab_seen other)
{
	struct netlab_seen wanted = ideal(DELAY_MS, JITTER_MS, uniform, 0.1);
	const char *what = difference(&wanted, &other);

	free(wanted.delays_ns);
	free(other.delays_ns);
	return what;
}

/* The comparison above can fail: each of these is farther away than the machine may be. */
static void test_others_are_told_apart(void **state)
{
	(void)state;
	assert_null(difference_of(ideal(DELAY_MS, JITTER_MS, uniform, 0.1)));
	assert_null(difference_of(ideal(DELAY_MS + 1, JITTER_MS, uniform, 0.1)));
	assert_string_equal(difference_of(ideal(DELAY_MS, JITTER_MS, uniform, 0.13)), "loss");
	assert_string_equal(difference_of(ideal(DELAY_MS + 10, JITTER_MS, uniform, 0.1)), "mean");
	assert_non_null(difference_of(ideal(DELAY_MS, JITTER_MS * 0.85, uniform, 0.1)));
	assert_non_null(difference_of(ideal(DELAY_MS, JITTER_MS, normal, 0.1)));
	/* of the same mean and deviation */
	assert_non_null(difference_of(ideal(DELAY_MS, JITTER_MS / sqrt(3), normal, 0.1)));
}

#define ON_LAB(test) cmocka_unit_test_setup_teardown(test, netlab_setup, netlab_teardown_ways)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_LAB(test_same_as_netem_on_the_root),
		ON_LAB(test_delay_line_is_what_netem_would_be),
		cmocka_unit_test(test_others_are_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
