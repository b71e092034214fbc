/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Every effect beside that of netem as the root qdisc, put there by tc: ten thousand packets
 * through each, and what became of them: how many were lost, in how many bursts, doubled, damaged
 * and overtaken, and the distribution of the delay. Delay, jitter and loss together:
 * test_network_side_by_side.c.
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

#define PACKETS	     10000
#define SETTINGS_MAX 16

struct effect {
	const char *tc;			    /* behind "netem" */
	const char *settings[SETTINGS_MAX]; /* of ours */
	bool is_timed;			    /* its delays are compared as well */
	double spread;			    /* what comes in bursts deviates more */
	enum { ARRIVED, BURSTS = 1, DOUBLED = 2, DAMAGED = 4, OVERTAKERS = 8 } counts;
};

static const struct effect effects[] = {
	{"delay 400ms 50ms distribution normal",
	 {"delay", "400ms", "jitter", "50ms", "distribution", "normal"},
	 true,
	 1,
	 ARRIVED},
	{"delay 400ms 50ms distribution pareto",
	 {"delay", "400ms", "jitter", "50ms", "distribution", "pareto"},
	 true,
	 1,
	 ARRIVED},
	{"delay 400ms 50ms distribution paretonormal",
	 {"delay", "400ms", "jitter", "50ms", "distribution", "paretonormal"},
	 true,
	 1,
	 ARRIVED},
	{"loss 10%", {"loss", "10%"}, false, 1, BURSTS},
	/* p / (p + r), whose neighbours are alike (correlation 0.78) */
	{"loss gemodel 2% 20%", {"gemodel-p", "2%", "gemodel-r", "20%"}, false, 3, BURSTS},
	{"loss state 1% 25% 0% 100% 2%",
	 {"state-p13", "1%", "state-p31", "25%", "state-p32", "0%", "state-p23", "100%",
	  "state-p14", "2%"},
	 false,
	 2.5,
	 BURSTS},
	{"duplicate 10%", {"duplicate", "10%"}, false, 1, DOUBLED},
	{"corrupt 10%", {"corrupt", "10%"}, false, 1, DAMAGED},
	{"delay 400ms reorder 25%", {"delay", "400ms", "reorder", "25%"}, true, 1, OVERTAKERS},
};

static double noise_ns(void)
{
	return (is_emulated() ? 8 : 3) * 1e6;
}

static void run_flow(struct netlab *lab, const struct effect *effect, struct netlab_seen *out)
{
	const struct netlab_flow flow = {.count = PACKETS,
					 .size = 200,
					 .at_once = effect->is_timed ? 4 : 20,
					 .pause_us = 1000,
					 .quiet_ms = is_emulated() ? 1500 : 700,
					 /* what is damaged arrives */
					 .has_no_sum = effect->counts & DAMAGED};

	netlab_flow_run(lab, &flow, out);
}

static void run_tc(struct netlab *lab, const struct effect *effect, struct netlab_seen *out)
{
	netlab_run("tc -n %s qdisc add dev sqv0 root netem %s limit 100000", lab->near, effect->tc);
	run_flow(lab, effect, out);
	netlab_run("tc -n %s qdisc delete dev sqv0 root", lab->near);
}

static void run_squall(struct netlab *lab, const struct effect *effect, struct netlab_seen *out)
{
	const char *settings[SETTINGS_MAX + 2] = {"to", "10.88.0.2"};
	static unsigned runs;
	struct netlab_fault fault;
	char run[RUN_ID_SIZE];

	for (unsigned i = 0; i < SETTINGS_MAX && effect->settings[i]; i++)
		settings[i + 2] = effect->settings[i];
	snprintf(run, sizeof(run), "sse%03u", ++runs % 1000);
	lab->seed = runs; /* each draws others */
	netlab_fault_start(lab, &fault, run, settings);
	run_flow(lab, effect, out);
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

static void print(const char *way, const struct netlab_seen *seen)
{
	printf("#   %-10s %u arrived, %u bursts, %u twice, %u damaged, %u overtook; mean %.3f ms, "
	       "deviation %.3f, median %.3f\n",
	       way, seen->arrived, seen->bursts, seen->duplicated, seen->damaged, seen->overtakers,
	       seen->mean_ns / 1e6, seen->deviation_ns / 1e6,
	       seen->arrived ? seen->delays_ns[seen->arrived / 2] / 1e6 : 0);
}

/* Two draws of one share: five standard errors of their difference, and some of chance. */
static bool are_alike(unsigned one, unsigned other, double spread)
{
	const double p = (double)(one + other) / (2 * PACKETS);

	return fabs((double)one - other) <=
	       5 * spread * sqrt(2 * p * (1 - p) * PACKETS) + 0.001 * PACKETS;
}

/* How much more of `early` than of `late` has come by any time, those of `early` being late by the
 * noise. */
static double lead(const struct netlab_seen *early, const struct netlab_seen *late)
{
	double most = 0;
	unsigned come = 0;

	for (unsigned i = 0; i < early->arrived; i++) {
		double ahead;

		while (come < late->arrived &&
		       late->delays_ns[come] <= early->delays_ns[i] + noise_ns())
			come++;
		ahead = (i + 1.0) / early->arrived - (double)come / late->arrived;
		most = ahead > most ? ahead : most;
	}
	return most;
}

/* In what they differ; NULL: in nothing but chance. */
static const char *difference(const struct effect *effect, const struct netlab_seen *theirs,
			      const struct netlab_seen *ours)
{
	/* Kolmogorov and Smirnov: one pair in a thousand; on a machine that is slow the last ones
	 * are later */
	const double apart = 1.95 * sqrt(2.0 / PACKETS) + (is_emulated() ? 0.03 : 0.01);

	if (!are_alike(theirs->arrived, ours->arrived, effect->spread))
		return "what arrived";
	if ((effect->counts & BURSTS) && !are_alike(theirs->bursts, ours->bursts, 1))
		return "bursts";
	if ((effect->counts & DOUBLED) && !are_alike(theirs->duplicated, ours->duplicated, 1))
		return "copies";
	if ((effect->counts & DAMAGED) && !are_alike(theirs->damaged, ours->damaged, 1))
		return "damage";
	if ((effect->counts & OVERTAKERS) && !are_alike(theirs->overtakers, ours->overtakers, 1))
		return "overtaking";
	if (effect->is_timed && (lead(theirs, ours) > apart || lead(ours, theirs) > apart))
		return "delays";
	return NULL;
}

static bool is_as_theirs(const struct effect *effect, const struct netlab_seen *theirs,
			 const struct netlab_seen *ours)
{
	const char *what = difference(effect, theirs, ours);

	if (what)
		printf("#   they differ in: %s\n", what);
	return !what;
}

static bool compare(struct netlab *lab, const struct effect *effect)
{
	struct netlab_seen theirs, netem, line;
	bool is_alike;

	printf("# %s\n", effect->tc);
	run_tc(lab, effect, &theirs);
	print("tc", &theirs);
	run_squall(lab, effect, &netem);
	print("netem", &netem);
	setenv("SQUALL_NETEM", "off", 1);
	run_squall(lab, effect, &line);
	unsetenv("SQUALL_NETEM");
	print("delay line", &line);
	is_alike = is_as_theirs(effect, &theirs, &netem);
	is_alike &= is_as_theirs(effect, &theirs, &line);
	free(theirs.delays_ns);
	free(netem.delays_ns);
	free(line.delays_ns);
	return is_alike;
}

static void compare_some(struct netlab *lab, bool is_timed)
{
	unsigned different = 0;

	if (!netlab_has_netem())
		stage_skip("no netem here: the test machine has it");
	for (unsigned i = 0; i < sizeof(effects) / sizeof(*effects); i++)
		if (effects[i].is_timed == is_timed)
			different += !compare(lab, &effects[i]);
	assert_int_equal(different, 0);
}

static void test_delays_are_those_of_netem_on_the_root(void **state)
{
	compare_some(*state, true);
}

static void test_fates_are_those_of_netem_on_the_root(void **state)
{
	compare_some(*state, false);
}

/* The comparison can fail: others than those that were asked for are told apart. Of the delay line,
 * which is the same where a machine is emulated, and slow. */
static void test_others_are_told_apart(void **state)
{
	static const struct effect others[] = {
		{"delay 400ms 50ms distribution normal",
		 {"delay", "400ms", "jitter", "50ms", "distribution", "pareto"},
		 true,
		 1,
		 ARRIVED},
		{"loss 10%", {"loss", "15%"}, false, 1, BURSTS},
		{"duplicate 10%", {"duplicate", "15%"}, false, 1, DOUBLED},
		{"corrupt 10%", {"corrupt", "15%"}, false, 1, DAMAGED},
		{"delay 400ms reorder 25%",
		 {"delay", "400ms", "reorder", "32%"},
		 true,
		 1,
		 OVERTAKERS},
	};
	struct netlab *lab = *state;

	if (is_emulated())
		return;
	setenv("SQUALL_NETEM", "off", 1);
	for (unsigned i = 0; i < sizeof(others) / sizeof(*others); i++) {
		const struct effect *asked = effects;
		struct netlab_seen one, same, other;

		while (strcmp(asked->tc, others[i].tc) != 0)
			asked++;
		run_squall(lab, asked, &one);
		run_squall(lab, asked, &same);
		run_squall(lab, &others[i], &other);
		if (difference(asked, &one, &same))
			fail_msg("%s and the same are told apart", asked->tc);
		if (!difference(asked, &one, &other))
			fail_msg("%s and something else are taken for the same", asked->tc);
		free(one.delays_ns);
		free(same.delays_ns);
		free(other.delays_ns);
	}
	unsetenv("SQUALL_NETEM");
}

#define ON_LAB(test) cmocka_unit_test_setup_teardown(test, netlab_setup, netlab_teardown_ways)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_LAB(test_delays_are_those_of_netem_on_the_root),
		ON_LAB(test_fates_are_those_of_netem_on_the_root),
		ON_LAB(test_others_are_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
