/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * When steps begin and end, their pulses and ramps: read from files, computed, and in words.
 */
#include "injector/base/clock.h"
#include "injector/base/quantity.h"
#include "injector/experiment/yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/support/bad_files.h"

#define DELAY "network: {target: store, delay: 1s}}\n"
#define PAUSE "process: {target: orders, action: pause}}\n"
#define KILL  "process: {target: orders}}\n"

static const struct bad bad_chains[] = {
	{ON_STEP("{after: x, for: 5s, " DELAY), 7, 13,
	 "there is no step 'x'; a step gets its name by 'name: x'"},
	{ON_STEP("{after: previous, for: 5s, " DELAY), 7, 13,
	 "there is no previous step: this is the first one"},
	{ON_STEP("{name: lost, at: 0s, for: 5s, " DELAY "  - {after: lots, for: 1s, " DELAY), 8, 13,
	 "there is no step 'lots'; did you mean 'lost'?"},
	{ON_STEP("{name: a, after: b, for: 5s, " DELAY "  - {name: b, after: a, for: 1s, " DELAY),
	 7, 22, "'after' leads in a circle: the step waits for itself"},
	{ON_STEP("{name: a, after: a, for: 5s, " DELAY), 7, 22,
	 "'after' leads in a circle: the step waits for itself"},
	{ON_STEP("{name: a, at: 0s, for: 5s, " DELAY "  - {name: a, after: a, for: 1s, " DELAY), 8,
	 12, "the step in line 7 has the name 'a', too"},
	{ON_STEP("{name: previous, at: 0s, for: 5s, " DELAY), 7, 12,
	 "'previous' cannot be the name of a step: it stands for the one before"},
	{ON_STEP("{at: 0s, for: 50s, " DELAY "  - {after: previous, for: 11s, " DELAY), 8, 5,
	 "the step ends after 61s, but 'limits' allows the whole run only 1m"},
	{ON_STEP("{at: 0s, after: [x], for: 5s, " DELAY), 7, 21, "'after' takes one value*"},
	{ON_STEP("{at: 0s, at: 1s, for: 5s, " DELAY), 7, 14, "key 'at' is given twice*"},
};

static const struct bad bad_pulses[] = {
	{ON_STEP("{at: 0s, for: 5s, every: 1s, " DELAY), 7, 23,
	 "'active' is missing: how long each pulse lasts, like active: 2s"},
	{ON_STEP("{at: 0s, for: 5s, active: 1s, " DELAY), 7, 23,
	 "'active' goes with 'every': the time from one pulse to the next"},
	{ON_STEP("{at: 0s, repeat: 3, " DELAY), 7, 14,
	 "'repeat' goes with 'every': the time from one pulse to the next"},
	{ON_STEP("{at: 0s, for: 5s, every: 1s, active: 1s, " DELAY), 7, 34,
	 "'active' (1s) must be shorter than 'every' (1s): there would be no gap between the "
	 "pulses"},
	{ON_STEP("{at: 0s, for: 5s, every: 1s, active: 100ms, repeat: 3, " DELAY), 7, 49,
	 "'repeat' and 'for' both say how long the pulses go on; give one of the two"},
	{ON_STEP("{at: 0s, every: 1s, active: 100ms, " DELAY), 7, 5,
	 "'for' is missing: how long 'network' lasts, like for: 30s"},
	{ON_STEP("{at: 0s, for: 50s, every: 20ms, active: 1ms, " DELAY), 7, 24,
	 "there would be 321 pulses; at most 320 are allowed in all steps together"},
	{ON_STEP("{at: 0s, for: 20s, every: 100ms, active: 1ms, " DELAY
		 "  - {at: 0s, for: 20s, every: 100ms, active: 1ms, " DELAY),
	 8, 5,
	 "with this step there are 400 pulses and faults; at most 320 are allowed in all steps "
	 "together"},
	{ON_STEP("{at: 0s, every: 1ms, for: 1s, active: 1s, " DELAY), 7, 21,
	 "every: '1ms' is out of range: 20ms to 1d is allowed"},
	{ON_STEP("{at: 0s, every: 1, for: 1s, active: 1s, " DELAY), 7, 21,
	 "every: '1' has no unit; *"},
	{ON_STEP("{at: 0s, every: 1s, repeat: 0, active: 10ms, " DELAY), 7, 33,
	 "repeat: '0' is out of range: 1 to 320 is allowed"},
	{ON_STEP("{at: 0s, every: 1s, " KILL), 7, 14,
	 "'repeat' is missing: how often 'process' acts, like repeat: 5"},
	{ON_STEP("{at: 0s, every: 1s, active: 10ms, repeat: 3, " KILL), 7, 25,
	 "the fault acts at once: its pulses have no 'active'"},
	{ON_STEP("{at: 0s, every: 30s, repeat: 4, " KILL), 7, 5,
	 "the step ends after 90s, but 'limits' allows the whole run only 1m"},
};

static const struct bad bad_ramps[] = {
	{ON_STEP("{at: 0s, for: 5s, ramp: 2s, " PAUSE), 7, 23,
	 "'process' is either there or not: it has no strength that a ramp could change"},
	{ON_STEP("{at: 0s, ramp: 2s, " KILL), 7, 14,
	 "the fault acts at once: there is nothing that a ramp could raise"},
	{ON_STEP("{at: 0s, for: 5s, ramp: 6s, " DELAY), 7, 23,
	 "the ramp takes 6s, but the step ends after 5s: it would never arrive"},
	{ON_STEP("{at: 0s, for: 5s, ramp: {from: 10%}, " DELAY), 7, 29,
	 "'over' is missing in 'ramp': how long the way takes (duration, 1ms to 7d)"},
	{ON_STEP("{at: 0s, for: 5s, ramp: {from: 0.1, over: 1s}, " DELAY), 7, 36,
	 "from: '0.1' has no unit; *"},
	{ON_STEP("{at: 0s, for: 5s, ramp: {from: 100%, over: 1s}, " DELAY), 7, 23,
	 "the ramp begins and ends at the same strength"},
	{ON_STEP("{at: 0s, for: 5s, ramp: {too: 50%, over: 1s}, " DELAY), 7, 30,
	 "unknown key 'too' in 'ramp'; did you mean 'to'? (allowed: from, to, over, steps, of)"},
	{ON_STEP("{at: 0s, for: 5s, ramp: {to: 150%, over: 1s}, " DELAY), 7, 34,
	 "to: '150%' is out of range: *"},
	{ON_STEP("{at: 0s, for: 5s, ramp: {steps: 1, over: 1s}, " DELAY), 7, 37,
	 "steps: '1' is out of range: 2 to 100 is allowed"},
	{ON_STEP("{at: 0s, for: 5s, ramp: {from: 2ms, to: 9h, over: 1s}, " DELAY), 7, 23,
	 "'to' in 'ramp': '9h' is out of range: *"},
	{ON_STEP("{at: 0s, for: 5s, ramp: {to: 9s, over: 1s}, " DELAY), 7, 23,
	 "'to' in 'ramp' (9s) is stronger than what the fault says (delay: *"},
	{ON_STEP("{at: 0s, for: 5s, ramp: {to: 9mbit, over: 1s}, " DELAY), 7, 23,
	 "'9mbit' in 'ramp': the fault has no such strength; it has delay *"},
	{ON_STEP("{at: 0s, for: 5s, ramp: {to: 9%, of: loss, over: 1s}, " DELAY), 7, 23,
	 "'loss' in 'ramp': the fault has no such strength; it has delay *"},
	{ON_STEP("{at: 0s, for: 5s, ramp: {to: 9%, of: delay, over: 1s}, " DELAY), 7, 23,
	 "'to' in 'ramp': '9%' has an unknown unit *"},
	{ON_STEP("{at: 0s, for: 5s, ramp: {to: 1ms, over: 1s}, network: {target: store, delay: "
		 "50ms, slot: 5ms}}\n"),
	 7, 23, "'1ms' may be a value of delay or of slot; say which with 'of'"},
	{ON_STEP("{at: 0s, for: 5s, ramp: [1s], " DELAY), 7, 29, "'ramp' takes one value*"},
	{ON_STEP("{at: 0s, for: 5s, ramp: {}, " DELAY), 7, 29, "'ramp' is empty; write it like *"},
};

static const struct bad bad_scale[] = {
	{ON_END("time-scale: 0\n"), 7, 13,
	 "time-scale: '0' is out of range: 1 to 100000 is allowed"},
	{ON_END("time-scale: 60s\n"), 7, 13, "time-scale: '60s' *"},
	{ON_END("time-scale: 60\ntime-scale: 60\n"), 8, 1, "key 'time-scale' is given twice*"},
	{ON_END("time-scale: [60]\n"), 7, 13, "'time-scale' takes one value*"},
	{ON_END("source: a colleague\n"), 7, 9,
	 "source: 'a colleague' is no address; write it like https://example.org/report"},
	{ON_STEP("{at: 0s, for: 5s, " DELAY "time-scale: 10000\n"), 7, 14,
	 "'for' (5s) is less than 1ms when it is divided by time-scale (10000)"},
};

TABLE_TEST(test_mistakes_in_chains, bad_chains)
TABLE_TEST(test_mistakes_in_pulses, bad_pulses)

/* Whether a fault has a strength is up to the fault. */
static void test_mistakes_in_ramps(void **state)
{
	bool rises = fault_find("network")->set_level != NULL;

	(void)state;
	bad_files_check(bad_ramps, rises ? sizeof(bad_ramps) / sizeof(*bad_ramps) : 2);
}

TABLE_TEST(test_mistakes_in_scales, bad_scale)

static struct experiment *parse(const char *text)
{
	struct experiment *experiment = NULL;
	struct yaml_problems problems;
	struct error err = ERROR_INIT;

	if (yaml_parse_experiment(text, strlen(text), "x", &experiment, &problems, &err) < 0)
		fail_msg("%s", err.text);
	return experiment;
}

static void discard(struct experiment *experiment)
{
	experiment_free(experiment);
	free(experiment);
}

/* Written in any order, bound to each other by name. */
static void test_steps_follow_one_another(void **state)
{
	static const int begins[] = {0, 2, 7, 9}, ends[] = {2, 7, 7, 12};
	struct experiment *experiment =
		parse(HEAD TARGETS "method:\n"
				   "  - {after: kill, at: 2s, for: 3s, " DELAY
				   "  - {name: lost, after: slow, for: 5s, " DELAY
				   "  - {name: slow, at: 0s, for: 2s, " DELAY
				   "  - {name: kill, after: lost, " KILL);

	(void)state;
	assert_int_equal(experiment->step_count, 4);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(experiment->steps[i].at_ns, begins[i] * NSEC_PER_SEC);
		assert_int_equal(experiment_step_end_ns(&experiment->steps[i]),
				 ends[i] * NSEC_PER_SEC);
	}
	assert_string_equal(experiment->steps[1].name, "lost");
	assert_null(experiment->steps[3].name);
	discard(experiment);
}

static void test_a_long_chain_is_bound_from_its_far_end(void **state)
{
	char text[32768] = HEAD TARGETS "method:\n";
	size_t used = strlen(text);
	struct experiment *experiment;

	(void)state;
	for (int i = 0; i < 255; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used,
					 "  - {name: s%d, after: s%d, for: 10ms, "
					 "network: {target: store, loss: 1%%}}\n",
					 i, i + 1);
	snprintf(text + used, sizeof(text) - used,
		 "  - {name: s255, at: 0s, for: 10ms, network: {target: store, loss: 1%%}}\n");
	experiment = parse(text);
	assert_int_equal(experiment->step_count, 256);
	assert_int_equal(experiment_method_ns(experiment), 2560 * NSEC_PER_MSEC);
	discard(experiment);
}

static void test_pulses_by_time_and_by_number(void **state)
{
	struct experiment *experiment =
		parse(HEAD TARGETS "method:\n"
				   "  - {at: 0s, for: 21s, every: 10s, active: 2s, " DELAY
				   "  - {at: 1s, repeat: 3, every: 10s, active: 2s, " DELAY
				   "  - {at: 2s, repeat: 3, every: 10s, " KILL
				   "  - {after: previous, for: 1s, " DELAY);
	char text[200];

	(void)state;
	assert_int_equal(experiment->steps[0].shape.count, 3);
	assert_int_equal(experiment_step_end_ns(&experiment->steps[0]), 21 * NSEC_PER_SEC);
	assert_int_equal(experiment->steps[1].for_ns, 22 * NSEC_PER_SEC);
	assert_int_equal(experiment->steps[2].for_ns, 0);
	assert_int_equal(experiment->steps[3].at_ns, 22 * NSEC_PER_SEC);
	experiment_describe_step(experiment, 0, text, sizeof(text));
	assert_string_equal(text, "delay 1s to 10.0.5.0/24:443, for 2s every 10s");
	experiment_describe_step(experiment, 2, text, sizeof(text));
	assert_string_equal(text, "kill processes with unit orders.service, 3 times, every 10s");
	discard(experiment);
}

static void test_time_scale_divides_the_method_alone(void **state)
{
	struct experiment *experiment =
		parse(HEAD TARGETS PROBES "time-scale: 60\nsource: https://example.org/report\n"
					  "steady-state: {require: [shop], for: 6s}\n"
					  "recovery: {require: [shop], within: 6s}\n"
					  "method:\n"
					  "  - {at: 6m, for: 30m, every: 10m, active: 1m, " DELAY
					  "  - {after: previous, at: 5m, " KILL);

	(void)state;
	assert_int_equal(experiment->steps[0].at_ns, 6 * NSEC_PER_SEC);
	assert_int_equal(experiment->steps[0].for_ns, 30 * NSEC_PER_SEC);
	assert_int_equal(experiment->steps[0].shape.every_ns, 10 * NSEC_PER_SEC);
	assert_int_equal(experiment->steps[0].shape.active_ns, NSEC_PER_SEC);
	assert_int_equal(experiment->steps[1].at_ns, 41 * NSEC_PER_SEC);
	assert_int_equal(experiment->limits.duration_ns, 60 * NSEC_PER_SEC);
	assert_int_equal(experiment->steady_state.for_ns, 6 * NSEC_PER_SEC);
	assert_int_equal(experiment->recovery.within_ns, 6 * NSEC_PER_SEC);
	assert_int_equal(experiment->probes[0].every_ns, NSEC_PER_SEC);
	assert_string_equal(experiment->source, "https://example.org/report");
	discard(experiment);
}

/* 24 h / 8640 is 10 s, and 1 h / 8640 a bit less than its 24th part. */
static void test_divided_pulses_are_as_many_as_before(void **state)
{
	struct experiment *experiment =
		parse(HEAD TARGETS "time-scale: 8640\nmethod:\n"
				   "  - {at: 0h, for: 24h, every: 1h, active: 20m, " DELAY);

	(void)state;
	assert_int_equal(experiment->steps[0].shape.count, 24);
	assert_int_equal(experiment->steps[0].shape.every_ns, 417 * NSEC_PER_MSEC);
	assert_int_equal(experiment->steps[0].for_ns, 10 * NSEC_PER_SEC);
	discard(experiment);
}

static void test_a_ramp_goes_evenly_or_in_steps(void **state)
{
	const struct shape even = {
		.over_ns = 10 * NSEC_PER_SEC, .from_ppb = SHARE_ONE / 10, .to_ppb = SHARE_ONE};
	const struct shape down = {.over_ns = NSEC_PER_SEC, .from_ppb = SHARE_ONE, .stairs = 4};
	int64_t at_ns = 0;
	unsigned steps = 0;
	char text[128];

	(void)state;
	assert_int_equal(shape_level_ppb(&even, -5), SHARE_ONE / 10);
	assert_int_equal(shape_level_ppb(&even, 5 * NSEC_PER_SEC), SHARE_ONE / 100 * 55);
	assert_int_equal(shape_level_ppb(&even, 10 * NSEC_PER_SEC), SHARE_ONE);
	assert_int_equal(shape_next_level_ns(&even, 0), 100 * NSEC_PER_MSEC);
	assert_int_equal(shape_next_level_ns(&even, 9950 * NSEC_PER_MSEC), 10 * NSEC_PER_SEC);
	assert_int_equal(shape_next_level_ns(&even, 10 * NSEC_PER_SEC), -1);
	assert_int_equal(shape_level_ppb(&down, 249 * NSEC_PER_MSEC), SHARE_ONE);
	for (; at_ns >= 0; at_ns = shape_next_level_ns(&down, at_ns), steps++)
		assert_int_equal(shape_level_ppb(&down, at_ns), SHARE_ONE - steps * SHARE_ONE / 4);
	assert_int_equal(steps, 5);
	shape_describe(&even, text, sizeof(text));
	assert_string_equal(text, ", from 10% to 100% over 10s");
	shape_describe(&down, text, sizeof(text));
	assert_string_equal(text, ", from 100% to 0% in 4 steps over 1s");
}

/* For 24 hours, at every moment that a timer could come: it arrives, and never beyond its ends. */
static void assert_ends(const char *ramp, const char *effects, int64_t from_ppb, int64_t to_ppb)
{
	char text[2000];
	struct experiment *experiment;

	snprintf(text, sizeof(text),
		 HEAD TARGETS "method:\n  - {at: 0s, for: 21s, ramp: {%s, over: 2s}, network: "
			      "{target: store, %s}}\n",
		 ramp, effects);
	experiment = parse(text);
	assert_int_equal(experiment->steps[0].shape.from_ppb, from_ppb);
	assert_int_equal(experiment->steps[0].shape.to_ppb, to_ppb);
	discard(experiment);
}

static void test_a_ramp_in_values_of_the_fault(void **state)
{
	(void)state;
	assert_ends("from: 20ms, to: 200ms", "delay: 200ms, loss: 5%", SHARE_ONE / 10, SHARE_ONE);
	assert_ends("from: 20ms, of: delay", "delay: 200ms, slot: 50ms", SHARE_ONE / 10, SHARE_ONE);
	assert_ends("from: 20ms, to: 50%", "delay: 200ms", SHARE_ONE / 10, SHARE_ONE / 2);
	assert_ends("from: 0, to: 100ms", "delay: 200ms", 0, SHARE_ONE / 2);
	assert_ends("from: 20ms", "delay: 200ms, jitter: 50ms", SHARE_ONE / 10, SHARE_ONE);
	/* ten times as fast is a tenth of the strength */
	assert_ends("from: 100mbit, to: 10mbit", "rate: 10mbit", SHARE_ONE / 10, SHARE_ONE);
	assert_ends("from: 1%, to: 5%, of: loss", "loss: 10%, delay: 1ms", SHARE_ONE / 10,
		    SHARE_ONE / 2);
	assert_ends("from: 1%, to: 5%", "loss: 10%", SHARE_ONE / 100, SHARE_ONE / 20);
}

static void test_a_long_ramp_never_leaves_its_way(void **state)
{
	const struct shape shape = {
		.over_ns = 7LL * 86400 * NSEC_PER_SEC, .to_ppb = SHARE_ONE, .stairs = 100};
	int64_t before = 0;

	(void)state;
	for (int64_t at_ns = 0; at_ns >= 0; at_ns = shape_next_level_ns(&shape, at_ns)) {
		int64_t level = shape_level_ppb(&shape, at_ns);

		assert_in_range(level, before, SHARE_ONE);
		before = level;
	}
	assert_int_equal(before, SHARE_ONE);
}

static void test_where_pulses_are(void **state)
{
	const struct shape shape = {.every_ns = 100, .active_ns = 20, .count = 3};

	(void)state;
	assert_true(shape_is_active_within(&shape, 0, 1));
	assert_true(shape_is_active_within(&shape, 19, 20));
	assert_false(shape_is_active_within(&shape, 20, 100));
	assert_true(shape_is_active_within(&shape, 20, 101));
	assert_true(shape_is_active_within(&shape, 200, 201));
	assert_false(shape_is_active_within(&shape, 220, 100000));
	assert_false(shape_is_active_within(&shape, -50, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mistakes_in_chains),
		cmocka_unit_test(test_mistakes_in_pulses),
		cmocka_unit_test(test_mistakes_in_ramps),
		cmocka_unit_test(test_mistakes_in_scales),
		cmocka_unit_test(test_steps_follow_one_another),
		cmocka_unit_test(test_a_long_chain_is_bound_from_its_far_end),
		cmocka_unit_test(test_pulses_by_time_and_by_number),
		cmocka_unit_test(test_time_scale_divides_the_method_alone),
		cmocka_unit_test(test_divided_pulses_are_as_many_as_before),
		cmocka_unit_test(test_a_ramp_goes_evenly_or_in_steps),
		cmocka_unit_test(test_a_ramp_in_values_of_the_fault),
		cmocka_unit_test(test_a_long_ramp_never_leaves_its_way),
		cmocka_unit_test(test_where_pulses_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
