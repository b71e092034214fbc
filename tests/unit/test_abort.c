/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Abort conditions and streaks over scripted samples; no clock, no processes. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "injector/base/clock.h"
#include "injector/base/quantity.h"
#include "injector/run/abort.h"
#include "injector/run/streak.h"

#define SECOND NSEC_PER_SEC

static char probe_name[] = "checkout";
static struct probe_spec probes[] = {{.name = probe_name, .every_ns = SECOND},
				     {.name = probe_name, .every_ns = SECOND}};

static struct probe_sample sample_at(int64_t at_ns, enum probe_result result)
{
	struct probe_sample sample = {
		.result = result, .started_ns = at_ns, .latency_ns = 1000, .value = NAN};

	strcpy(sample.reason, "status 503");
	return sample;
}

static bool note(struct abort_watch *watch, unsigned probe, int64_t at_ns, enum probe_result result)
{
	struct probe_sample sample = sample_at(at_ns, result);
	char why[256] = "";
	bool breached = abort_note(watch, probe, &sample, why, sizeof(why));

	if (breached)
		assert_non_null(strstr(why, "status 503"));
	return breached;
}

static struct abort_watch *watch_one(struct experiment *experiment, struct experiment_abort *spec)
{
	struct abort_watch *watch = NULL;

	*experiment = (struct experiment){
		.probes = probes, .probe_count = 2, .aborts = spec, .abort_count = 1};
	assert_int_equal(abort_new(experiment, &watch, NULL), 0);
	return watch;
}

static void test_fails_in_a_row_needs_them_in_a_row(void **state)
{
	struct experiment_abort spec = {.probe = 0, .fails = 3};
	struct experiment experiment;
	struct abort_watch *watch = watch_one(&experiment, &spec);

	(void)state;
	assert_false(note(watch, 0, 1 * SECOND, PROBE_FAIL));
	assert_false(note(watch, 0, 2 * SECOND, PROBE_FAIL));
	assert_false(note(watch, 0, 3 * SECOND, PROBE_PASS));
	assert_false(note(watch, 0, 4 * SECOND, PROBE_FAIL));
	assert_false(note(watch, 0, 5 * SECOND, PROBE_FAIL));
	assert_true(note(watch, 0, 6 * SECOND, PROBE_FAIL));
	abort_free(watch);
}

static void test_unknown_counts_as_a_failure(void **state)
{
	struct experiment_abort spec = {.probe = 0, .fails = 2};
	struct experiment experiment;
	struct abort_watch *watch = watch_one(&experiment, &spec);

	(void)state;
	assert_false(note(watch, 0, 1 * SECOND, PROBE_UNKNOWN));
	assert_true(note(watch, 0, 2 * SECOND, PROBE_FAIL));
	abort_free(watch);
}

static void test_another_probe_does_not_count(void **state)
{
	struct experiment_abort spec = {.probe = 0, .fails = 1};
	struct experiment experiment;
	struct abort_watch *watch = watch_one(&experiment, &spec);

	(void)state;
	assert_false(note(watch, 1, 1 * SECOND, PROBE_FAIL));
	assert_true(note(watch, 0, 2 * SECOND, PROBE_FAIL));
	abort_free(watch);
}

static void test_share_waits_for_enough_failures(void **state)
{
	/* 20% over 10s at one attempt a second: the second failure within the window is a breach */
	struct experiment_abort spec = {
		.probe = 0, .share_ppb = SHARE_ONE / 5, .over_ns = 10 * SECOND};
	struct experiment experiment;
	struct abort_watch *watch = watch_one(&experiment, &spec);

	(void)state;
	assert_false(note(watch, 0, 1 * SECOND, PROBE_FAIL));
	for (int i = 2; i < 9; i++)
		assert_false(note(watch, 0, i * SECOND, PROBE_PASS));
	assert_true(note(watch, 0, 9 * SECOND, PROBE_FAIL));
	abort_free(watch);
}

/* Attempts that time out come more rarely than announced: all of them fail, which is 100%. */
static void test_share_of_slow_attempts_counts_those_made(void **state)
{
	struct experiment_abort spec = {
		.probe = 0, .share_ppb = SHARE_ONE / 10 * 9, .over_ns = 10 * SECOND};
	struct experiment experiment;
	struct abort_watch *watch = watch_one(&experiment, &spec);

	(void)state;
	for (int i = 1; i < 10; i += 3)
		assert_false(note(watch, 0, i * SECOND, PROBE_FAIL));
	assert_true(note(watch, 0, 10 * SECOND, PROBE_FAIL));
	assert_true(note(watch, 0, 13 * SECOND, PROBE_FAIL));
	abort_free(watch);
}

static void test_share_forgets_what_left_the_window(void **state)
{
	struct experiment_abort spec = {
		.probe = 0, .share_ppb = SHARE_ONE / 5, .over_ns = 10 * SECOND};
	struct experiment experiment;
	struct abort_watch *watch = watch_one(&experiment, &spec);

	(void)state;
	for (int i = 1; i < 200; i++) /* one in eleven: 9% */
		assert_false(note(watch, 0, i * SECOND, i % 11 == 0 ? PROBE_FAIL : PROBE_PASS));
	abort_free(watch);
}

static void test_share_survives_a_faster_probe_than_announced(void **state)
{
	struct experiment_abort spec = {
		.probe = 0, .share_ppb = SHARE_ONE / 2, .over_ns = 3 * SECOND};
	struct experiment experiment;
	struct abort_watch *watch = watch_one(&experiment, &spec);

	(void)state;
	for (int i = 1; i < 1000; i++)
		assert_false(note(watch, 0, i * SECOND / 100, PROBE_PASS));
	abort_free(watch);
}

static void streak_sample(struct streak *streak, unsigned probe, int64_t at_ns,
			  enum probe_result result)
{
	struct probe_sample sample = sample_at(at_ns, result);

	sample.latency_ns = 0;
	streak_note(streak, probe, &sample, 5 * SECOND);
}

static void test_streak_begins_with_the_last_probe_to_pass(void **state)
{
	unsigned both[] = {0, 1};
	const struct experiment_requirement requirement = {.probes = both, .count = 2};
	struct streak streak;

	(void)state;
	assert_int_equal(streak_init(&streak, &requirement, NULL), 0);
	streak_sample(&streak, 0, 6 * SECOND, PROBE_PASS);
	assert_int_equal(streak_since_ns(&streak), 0);
	streak_sample(&streak, 1, 8 * SECOND, PROBE_PASS);
	streak_sample(&streak, 0, 9 * SECOND, PROBE_PASS);
	assert_int_equal(streak_since_ns(&streak), 8 * SECOND);
	streak_sample(&streak, 0, 10 * SECOND, PROBE_FAIL);
	assert_int_equal(streak_since_ns(&streak), 0);
	streak_sample(&streak, 0, 11 * SECOND, PROBE_PASS);
	assert_int_equal(streak_since_ns(&streak), 11 * SECOND);
	streak_free(&streak);
}

static void test_streak_ignores_attempts_from_before(void **state)
{
	unsigned one[] = {0};
	const struct experiment_requirement requirement = {.probes = one, .count = 1};
	struct streak streak;

	(void)state;
	assert_int_equal(streak_init(&streak, &requirement, NULL), 0);
	streak_sample(&streak, 0, 4 * SECOND, PROBE_PASS);
	assert_int_equal(streak_since_ns(&streak), 0);
	assert_false(streak_requires(&streak, 1));
	streak_free(&streak);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fails_in_a_row_needs_them_in_a_row),
		cmocka_unit_test(test_unknown_counts_as_a_failure),
		cmocka_unit_test(test_another_probe_does_not_count),
		cmocka_unit_test(test_share_waits_for_enough_failures),
		cmocka_unit_test(test_share_of_slow_attempts_counts_those_made),
		cmocka_unit_test(test_share_forgets_what_left_the_window),
		cmocka_unit_test(test_share_survives_a_faster_probe_than_announced),
		cmocka_unit_test(test_streak_begins_with_the_last_probe_to_pass),
		cmocka_unit_test(test_streak_ignores_attempts_from_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
