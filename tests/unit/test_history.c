/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The course of a run in bounded memory: what is merged loses no failure and no extreme. */
#include "injector/run/history.h"
#include "tests/support/fake_run.h"
#include "tests/support/stand_ins.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS 1000000LL

static struct probe_sample sample_at(int64_t at_ns, enum probe_result result, int64_t latency_ns)
{
	return (struct probe_sample){.result = result,
				     .started_ns = at_ns,
				     .latency_ns = latency_ns,
				     .known_ns = at_ns + (latency_ns > 0 ? latency_ns : 0),
				     .value = NAN};
}

static void test_few_attempts_are_kept_one_by_one(void **state)
{
	struct series series;

	(void)state;
	series_init(&series, 8);
	for (int i = 0; i < 8; i++) {
		struct probe_sample sample = sample_at(i * MS, PROBE_PASS, i);

		series_add(&series, &sample);
	}
	assert_int_equal(series.count, 8);
	assert_int_equal(series.each, 1);
	assert_int_equal(series.points[7].first_ns, 7 * MS);
	assert_int_equal(series.points[7].max_ns, 7);
	series_free(&series);
}

static void test_many_attempts_are_merged_and_nothing_is_lost(void **state)
{
	const int attempts = 100000;
	unsigned seen = 0, failed = 0, unknown = 0, answered = 0;
	int64_t most = 0, before = -1;
	struct series series;

	(void)state;
	series_init(&series, 64);
	for (int i = 0; i < attempts; i++) {
		bool fails = i == 77777, is_slow = i == 33333, is_odd = i == 99;
		struct probe_sample sample = sample_at(i * MS,
						       fails	? PROBE_FAIL
						       : is_odd ? PROBE_UNKNOWN
								: PROBE_PASS,
						       fails || is_odd ? -1
						       : is_slow       ? 9000 * MS
								       : MS);

		sample.value = i == 5 ? -3 : 7;
		series_add(&series, &sample);
	}
	assert_in_range(series.count, 32, 64);
	for (unsigned i = 0; i < series.count; i++) {
		const struct series_point *at = &series.points[i];

		assert_true(at->first_ns > before);
		assert_true(at->last_ns >= at->first_ns);
		before = at->last_ns;
		seen += at->attempts;
		failed += at->failed;
		unknown += at->unknown;
		answered += at->answered;
		most = at->max_ns > most ? at->max_ns : most;
		if (at->failed)
			assert_true(at->first_ns <= 77777 * MS && at->last_ns >= 77777 * MS);
	}
	assert_int_equal(seen, attempts);
	assert_int_equal(failed, 1);
	assert_int_equal(unknown, 1);
	assert_int_equal(answered, attempts - 2);
	assert_int_equal(most, 9000 * MS);
	assert_true(series.points[0].value_min == -3 && series.points[0].value_max == 7);
	series_free(&series);
}

static void play(struct fake_run *run, struct history *history)
{
	fake_run_init(run, 1000 * MS);
	assert_int_equal(history_init(history, &run->experiment, NULL), 0);
}

static void test_windows_follow_every_injection(void **state)
{
	struct history history;
	struct fake_run run;

	(void)state;
	play(&run, &history);
	for (int i = 0; i < HISTORY_WINDOWS + 10; i++) {
		struct event injected = {.kind = EVENT_INJECTED, .time_ns = i * 10 * MS + 1};
		struct event ended = {.kind = EVENT_ENDED, .time_ns = i * 10 * MS + 5 * MS};

		history_event(&history, &injected);
		history_event(&history, &ended);
		/* says the same again: nothing new */
		ended.kind = EVENT_RESTORED;
		ended.time_ns += MS;
		history_event(&history, &ended);
	}
	assert_int_equal(history.steps[0].count, HISTORY_WINDOWS);
	assert_int_equal(history.steps[0].windows[1].from_ns, 10 * MS + 1);
	assert_int_equal(history.steps[0].windows[1].to_ns, 15 * MS);
	/* the last one spans what did not fit */
	assert_int_equal(history.steps[0].merged, 10);
	assert_int_equal(history.steps[0].windows[HISTORY_WINDOWS - 1].to_ns,
			 (HISTORY_WINDOWS + 9) * 10 * MS + 5 * MS);
	history_free(&history);
}

static void test_the_log_keeps_beginning_and_end(void **state)
{
	const unsigned told = HISTORY_HEAD + HISTORY_TAIL + 500;
	struct history history;
	struct fake_run run;
	char text[32];

	(void)state;
	play(&run, &history);
	for (unsigned i = 0; i < told; i++) {
		struct event note = {.kind = EVENT_NOTE, .time_ns = (int64_t)i, .text = text};

		snprintf(text, sizeof(text), "note %u", i);
		history_event(&history, &note);
	}
	assert_int_equal(history_count(&history), HISTORY_HEAD + HISTORY_TAIL);
	assert_int_equal(history_lost(&history), 500);
	assert_string_equal(history_at(&history, 0)->text, "note 0");
	assert_int_equal(history_at(&history, HISTORY_HEAD - 1)->time_ns, HISTORY_HEAD - 1);
	assert_int_equal(history_at(&history, HISTORY_HEAD)->time_ns, HISTORY_HEAD + 500);
	snprintf(text, sizeof(text), "note %u", told - 1);
	assert_string_equal(history_at(&history, history_count(&history) - 1)->text, text);
	history_free(&history);
}

static void test_a_flapping_probe_does_not_fill_the_log(void **state)
{
	struct history history;
	struct fake_run run;

	(void)state;
	play(&run, &history);
	for (int i = 0; i < 1000; i++) {
		struct probe_sample sample =
			sample_at(i * 10 * MS, i % 2 ? PROBE_FAIL : PROBE_PASS, MS);
		struct event event = {
			.kind = EVENT_SAMPLE, .time_ns = i * 10 * MS, .sample = &sample};

		history_event(&history, &event);
	}
	/* ten seconds, one line a second at most */
	assert_in_range(history_count(&history), 5, 11);
	assert_int_equal(history.probes[0].series.count, 1000);
	history_free(&history);
}

static void test_a_time_out_is_in_the_log_when_it_is_over(void **state)
{
	struct probe_sample sample = sample_at(10 * MS, PROBE_FAIL, -1);
	struct event event = {.kind = EVENT_SAMPLE, .time_ns = 10 * MS, .sample = &sample};
	struct event ended = {.kind = EVENT_ENDED, .time_ns = 1000 * MS};
	struct history history;
	struct fake_run run;

	(void)state;
	sample.known_ns = 2010 * MS;
	play(&run, &history);
	history_event(&history, &ended);
	history_event(&history, &event);
	assert_int_equal(history_count(&history), 2);
	assert_int_equal(history_at(&history, 0)->time_ns, 1000 * MS);
	assert_int_equal(history_at(&history, 1)->time_ns, 2010 * MS);
	history_free(&history);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_few_attempts_are_kept_one_by_one),
		cmocka_unit_test(test_many_attempts_are_merged_and_nothing_is_lost),
		cmocka_unit_test(test_windows_follow_every_injection),
		cmocka_unit_test(test_the_log_keeps_beginning_and_end),
		cmocka_unit_test(test_a_flapping_probe_does_not_fill_the_log),
		cmocka_unit_test(test_a_time_out_is_in_the_log_when_it_is_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
