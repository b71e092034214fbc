/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `distribution-file`: measured round trips come back over real packets, with the quantiles that
 * they had in the file, by the delay line and by netem.
 */
#include "tests/support/netlab_ways.h"
#include "tests/support/squall_runner.h"

#include "injector/base/cleanup.h"

#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PACKETS	     4000
#define SAMPLES_MOST 1000
/* Five standard errors of a share of so many packets are 4 % at most. */
#define CHANCE 0.04

/* For what a machine adds to a delay; a few packets may be late besides, none may be early. The
 * table that the kernel is given has steps as well: a few thousandths of the deviation. */
static double late_ns(void)
{
	return (is_emulated() ? 15 : 3) * 1e6;
}
#define EARLY_NS 0.5e6

static const struct netlab_flow flow = {
	.count = PACKETS, .size = 100, .at_once = 4, .pause_us = 1000, .quiet_ms = 600};

struct samples {
	double ns[SAMPLES_MOST]; /* ascending */
	unsigned count;
};

static int compare(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return a < b ? -1 : a > b;
}

static double quantile(const double *ascending, unsigned count, double share)
{
	int at = (int)(share * count);

	return ascending[at < 0 ? 0 : at >= (int)count ? (int)count - 1 : at];
}

static void sort(struct samples *samples)
{
	qsort(samples->ns, samples->count, sizeof(double), compare);
}

/* Each quantile is between those of the file that chance may make of it. */
static void assert_replayed(const struct netlab_seen *seen, const struct samples *samples)
{
	static const double shares[] = {0.02, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9, 0.98};
	unsigned wrong = 0;

	assert_int_equal(seen->arrived, PACKETS);
	for (unsigned i = 0; i < sizeof(shares) / sizeof(*shares); i++) {
		const double least = quantile(samples->ns, samples->count, shares[i] - CHANCE);
		const double most = quantile(samples->ns, samples->count, shares[i] + CHANCE);
		const double is = quantile(seen->delays_ns, seen->arrived, shares[i]);
		const bool is_right = is >= least - EARLY_NS && is <= most + late_ns();

		printf("# %2.0f %%: %7.3f ms, of %.3f to %.3f%s\n", shares[i] * 100, is / 1e6,
		       least / 1e6, most / 1e6, is_right ? "" : ": wrong");
		wrong += !is_right;
	}
	assert_int_equal(wrong, 0);
	/* nothing that was not measured */
	assert_true(seen->least_ns >= samples->ns[0] - EARLY_NS);
}

static void replay(struct stage *stage, const char *path, const struct samples *samples,
		   const char *const *extra)
{
	const struct squall_how how = {.extra = extra};
	struct squall *squall = squall_start(
		stage, &how, "inject --json network to=10.88.0.2 distribution-file=%s for=10m",
		path);
	struct netlab_seen seen;

	squall_await_injected(squall);
	netlab_flow_run(stage->lab, &flow, &seen);
	squall_signal(squall, SIGINT);
	squall_assert_exit(squall, 4);
	assert_replayed(&seen, samples);
	free(seen.delays_ns);
	stage_assert_clean(stage);
}

static const char *const by_line[] = {"SQUALL_NETEM=off", NULL};

/* Most answers come soon, some from farther away, and a few had to wait: no shape with a name. */
static void replay_ping(struct stage *stage, const char *const *environment)
{
	struct samples samples = {.count = 200};
	char text[200 * 80 + 100];
	size_t used = (size_t)snprintf(text, sizeof(text),
				       "PING 10.0.5.7 (10.0.5.7) 56(84) bytes of data.\n");

	for (unsigned i = 0; i < samples.count; i++) {
		const unsigned k = i * 77 % samples.count; /* in no order */
		const double ms = k < 120   ? 20 + 0.1 * k
				  : k < 180 ? 60 + 0.5 * (k - 120)
					    : 150 + 2.5 * (k - 180);

		samples.ns[i] = ms * 1e6;
		used += (size_t)snprintf(text + used, sizeof(text) - used,
					 "64 bytes from 10.0.5.7: icmp_seq=%u ttl=57 time=%.1f "
					 "ms\n",
					 i + 1, ms);
		assert_true(used < sizeof(text));
	}
	sort(&samples);
	replay(stage, stage_write(stage, "ping.txt", "%s", text), &samples, environment);
}

static void test_the_output_of_ping_is_replayed(void **state)
{
	replay_ping(*state, by_line);
}

static void test_the_output_of_ping_is_replayed_by_netem(void **state)
{
	netlab_need_way();
	replay_ping(*state, NULL);
}

/* The example that is there for it, a number of milliseconds a line. */
static void replay_example(struct stage *stage, const char *const *environment)
{
	cleanup_file FILE *in = fopen("experiments/round-trips.txt", "re");
	struct samples samples = {.count = 0};
	char line[128], path[PATH_MAX];

	assert_non_null(in);
	while (fgets(line, sizeof(line), in)) {
		char *end;
		double ms = strtod(line, &end);

		if (end == line || samples.count == SAMPLES_MOST)
			continue;
		samples.ns[samples.count++] = ms * 1e6;
	}
	assert_true(samples.count > 50);
	sort(&samples);
	assert_non_null(realpath("experiments/round-trips.txt", path));
	replay(stage, path, &samples, environment);
}

static void test_the_example_of_round_trips_is_replayed(void **state)
{
	replay_example(*state, by_line);
}

static void test_the_example_of_round_trips_is_replayed_by_netem(void **state)
{
	netlab_need_way();
	replay_example(*state, NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_the_output_of_ping_is_replayed),
		TEST(test_the_output_of_ping_is_replayed_by_netem),
		TEST(test_the_example_of_round_trips_is_replayed),
		TEST(test_the_example_of_round_trips_is_replayed_by_netem),
	};

	return STAGE_RUN(tests);
}
