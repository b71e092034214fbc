/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The result recorder: histogram, windows, stop latency, and the order of verdicts. */
#include "injector/run/histogram.h"
#include "injector/run/result.h"
#include "injector/run/verdict.h"
#include "tests/support/fake_run.h"
#include "tests/support/stand_ins.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS	    1000000LL
#define COUNT(list) (sizeof(list) / sizeof(*(list)))

static int compare_int64(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void test_percentiles_are_within_one_percent(void **state)
{
	static const double shares[] = {0.01, 0.1, 0.5, 0.9, 0.99, 0.999};
	enum { SAMPLES = 20000 };
	int64_t *values = calloc(SAMPLES, sizeof(*values));
	struct histogram histogram = {0};
	uint64_t seed = 88172645463325252ULL;

	(void)state;
	assert_non_null(values);
	/* from 2 us to 20 s, evenly over the orders of magnitude */
	for (unsigned i = 0; i < SAMPLES; i++) {
		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		values[i] = (int64_t)(2000 * pow(10, (double)(seed % 1000000) / 1000000 * 7));
		histogram_add(&histogram, values[i]);
	}
	qsort(values, SAMPLES, sizeof(*values), compare_int64);
	for (unsigned i = 0; i < COUNT(shares); i++) {
		unsigned rank = (unsigned)ceil(shares[i] * SAMPLES);
		double exact = (double)values[rank - 1];
		double found = (double)histogram_percentile(&histogram, shares[i]);

		if (fabs(found - exact) > exact * 0.01)
			fail_msg("p%g: %g is not within 1 %% of %g", shares[i] * 100, found, exact);
	}
	assert_int_equal(histogram_percentile(&histogram, 0), values[0]);
	assert_int_equal(histogram_percentile(&histogram, 1), values[SAMPLES - 1]);
	histogram_free(&histogram);
	free(values);
}

static void test_histogram_takes_every_value(void **state)
{
	static const int64_t odd[] = {INT64_MIN, -1, 0, 1, 15, 16, 1023, 1024, INT64_MAX};
	struct histogram histogram = {0};

	(void)state;
	assert_int_equal(histogram_percentile(&histogram, 0.5), -1);
	for (unsigned i = 0; i < COUNT(odd); i++)
		histogram_add(&histogram, odd[i]);
	assert_int_equal(histogram.count, COUNT(odd));
	assert_int_equal(histogram.min, 0);
	assert_true(histogram.max == INT64_MAX);
	/* a single value is given back exactly, not as the middle of a bucket */
	histogram_free(&histogram);
	histogram_add(&histogram, 123456789);
	assert_int_equal(histogram_percentile(&histogram, 0.5), 123456789);
	histogram_free(&histogram);
}

static struct run_result *play(struct fake_run *run)
{
	struct run_result *result = NULL;

	assert_int_equal(result_new(&run->experiment, "k3f9a2", &result, NULL), 0);
	fake_run_listen(run, result_listener(result));
	fake_run_play(run, FAKE_RUN_ENDS_NS);
	result_finish(result);
	return result;
}

static void test_windows_follow_the_faults(void **state)
{
	struct fake_run run;
	struct run_result *result;
	const struct probe_window *windows;

	(void)state;
	fake_run_init(&run, 1000 * MS);
	result = play(&run);
	windows = result->probes[0];
	/* every 100 ms from 100 ms on; faults from 2003 ms to 8001 ms */
	assert_int_equal(windows[WINDOW_BEFORE].attempts, 20);
	assert_int_equal(windows[WINDOW_DURING].attempts, 60);
	assert_int_equal(windows[WINDOW_AFTER].attempts, 13);
	assert_int_equal(windows[WINDOW_BEFORE].failed, 0);
	assert_int_equal(windows[WINDOW_DURING].failed, 30);
	assert_true(result_percentile(&windows[WINDOW_BEFORE], 0.99) < 50 * MS);
	assert_true(result_percentile(&windows[WINDOW_DURING], 0.5) > 400 * MS);
	assert_int_equal(result->faults_started_ns - result->started_ns, 2003 * MS);
	assert_int_equal(result->faults_ended_ns - result->started_ns, 8001 * MS);
	assert_int_equal(result->recovery_ns, 1200 * MS);
	assert_int_equal(result->line_count, 6);
	assert_string_equal(result->last_reasons[0], "no answer within 2s");
	result_free(result);
}

static void test_attempt_across_the_end_belongs_to_the_faults(void **state)
{
	struct fake_run run;
	struct run_result *result;
	struct probe_sample slow = {.result = PROBE_PASS, .latency_ns = 1500 * MS, .value = NAN};

	(void)state;
	fake_run_init(&run, 1000 * MS);
	result = play(&run);
	slow.started_ns = 1000 * MS + 8000 * MS; /* 1 ms before the last fault ended */
	fake_run_tell(&run, 9500 * MS, (struct event){.kind = EVENT_SAMPLE, .sample = &slow});
	assert_int_equal(result->probes[0][WINDOW_DURING].attempts, 61);
	slow.started_ns = 1000 * MS + 8002 * MS;
	fake_run_tell(&run, 9502 * MS, (struct event){.kind = EVENT_SAMPLE, .sample = &slow});
	assert_int_equal(result->probes[0][WINDOW_DURING].attempts, 61);
	assert_int_equal(result->probes[0][WINDOW_AFTER].attempts, 14);
	result_free(result);
}

static void test_gaps_between_faults_are_during(void **state)
{
	struct fake_run run;
	struct run_result *result;
	struct probe_sample sample = {.result = PROBE_PASS, .latency_ns = MS, .value = NAN};

	(void)state;
	fake_run_init(&run, 1000 * MS);
	assert_int_equal(result_new(&run.experiment, "k3f9a2", &result, NULL), 0);
	fake_run_listen(&run, result_listener(result));
	run.phase = PHASE_METHOD;
	/* in the method, but before its first fault: the base line */
	fake_run_tell(&run, 10 * MS, (struct event){.kind = EVENT_SAMPLE, .sample = &sample});
	fake_run_tell(&run, 20 * MS, (struct event){.kind = EVENT_INJECTED, .step = 0});
	fake_run_tell(&run, 30 * MS, (struct event){.kind = EVENT_ENDED, .step = 0});
	fake_run_tell(&run, 40 * MS, (struct event){.kind = EVENT_SAMPLE, .sample = &sample});
	assert_int_equal(result->probes[0][WINDOW_BEFORE].attempts, 1);
	assert_int_equal(result->probes[0][WINDOW_DURING].attempts, 1);
	assert_int_equal(result->faults_ended_ns, 0);
	result_free(result);
}

static void test_stop_latency_and_first_cause_are_kept(void **state)
{
	struct fake_run run;
	struct run_result *result;

	(void)state;
	fake_run_init(&run, 1000 * MS);
	assert_int_equal(result_new(&run.experiment, "k3f9a2", &result, NULL), 0);
	fake_run_listen(&run, result_listener(result));
	fake_run_play(&run, 3000 * MS);
	fake_run_tell(
		&run, 3001 * MS,
		(struct event){.kind = EVENT_STOPPING, .number = STOP_SIGNAL, .text = "Ctrl-C"});
	fake_run_tell(
		&run, 3002 * MS,
		(struct event){.kind = EVENT_STOPPING, .number = STOP_DEADLINE, .text = "late"});
	fake_run_tell(&run, 3013 * MS,
		      (struct event){.kind = EVENT_STOPPED, .duration_ns = 12 * MS});
	fake_run_tell(&run, 3020 * MS, (struct event){.kind = EVENT_RESTORED, .step = 0});
	result_finish(result);
	assert_int_equal(result->stop_cause, STOP_SIGNAL);
	assert_string_equal(result->stop_reason, "Ctrl-C");
	assert_int_equal(result->stop_latency_ns, 12 * MS);
	assert_int_equal(result->verdict, VERDICT_INTERRUPTED);
	result_free(result);
}

static void test_memory_is_bounded(void **state)
{
	struct fake_run run;
	struct run_result *result;
	unsigned many = RESULT_MAX_LEFT * 3;

	(void)state;
	fake_run_init(&run, 1000 * MS);
	result = play(&run);
	for (unsigned i = 0; i < many; i++) {
		fake_run_tell(&run, 9500 * MS, (struct event){.kind = EVENT_NOTE, .text = "note"});
		fake_run_tell(&run, 9500 * MS, (struct event){.kind = EVENT_PLAN, .text = "line"});
		fake_run_tell(&run, 9500 * MS, (struct event){.kind = EVENT_LEFT, .text = "left"});
	}
	assert_int_equal(result->note_count + result->notes_lost, many);
	assert_int_equal(result->note_count, RESULT_MAX_NOTES);
	assert_int_equal(result->line_count, RESULT_MAX_LINES);
	assert_int_equal(result->left_count, RESULT_MAX_LEFT);
	assert_int_equal(result->left_lost, many - RESULT_MAX_LEFT);
	result_free(result);
}

/* One way for a run to go wrong; each applies to a result that would have held. */
struct flaw {
	const char *name;
	enum verdict alone;
	void (*apply)(struct run_result *result);
};

static void leave_something(struct run_result *result)
{
	result->left_lost = 1;
}

static void forget_restore(struct run_result *result)
{
	result->steps[0].is_restored = false;
}

static void refuse(struct run_result *result)
{
	result->stop_cause = STOP_REFUSED;
}

static void breach(struct run_result *result)
{
	strcpy(result->breach, "checkout: 3 failures in a row");
	if (result->stop_cause == STOP_NONE)
		result->stop_cause = STOP_BREACH;
}

static void interrupt(struct run_result *result)
{
	if (result->stop_cause == STOP_NONE)
		result->stop_cause = STOP_SIGNAL;
}

static void be_unsteady(struct run_result *result)
{
	if (result->stop_cause == STOP_NONE)
		result->stop_cause = STOP_NOT_STEADY;
}

static void deviate(struct run_result *result)
{
	result->probes[0][WINDOW_DURING].failed = 1;
}

static void be_unknown(struct run_result *result)
{
	result->probes[0][WINDOW_DURING].unknown = 1;
}

static void be_idle(struct run_result *result)
{
	result->steps[2].evidence.hits = 0;
}

static void recover_late(struct run_result *result)
{
	result->is_recovered = false;
}

static void fail_command(struct run_result *result)
{
	result->command_status = 1;
}

static void never_ask(struct run_result *result)
{
	result->probes[0][WINDOW_DURING].attempts = 0;
}

/* Worst first: the order of verdict.c. */
static const struct flaw flaws[] = {
	{"left", VERDICT_NOT_RESTORED, leave_something},
	{"unverified", VERDICT_NOT_RESTORED, forget_restore},
	{"refused", VERDICT_REFUSED, refuse},
	{"breach", VERDICT_ABORTED, breach},
	{"signal", VERDICT_INTERRUPTED, interrupt},
	{"unsteady", VERDICT_NOT_STEADY, be_unsteady},
	{"deviation", VERDICT_FAILED, deviate},
	{"unknown", VERDICT_FAILED, be_unknown},
	{"slow", VERDICT_FAILED, recover_late},
	{"command", VERDICT_FAILED, fail_command},
	{"idle", VERDICT_FAILED, be_idle},
	{"unasked", VERDICT_FAILED, never_ask},
};

static void test_worst_verdict_applies(void **state)
{
	(void)state;
	for (unsigned i = 0; i < COUNT(flaws); i++)
		for (unsigned j = i; j < COUNT(flaws); j++) {
			struct fake_run run;
			struct run_result *result;

			fake_run_init(&run, 1000 * MS);
			run.is_healthy = true;
			result = play(&run);
			assert_int_equal(result->verdict, VERDICT_HELD);
			flaws[i].apply(result);
			flaws[j].apply(result);
			result_finish(result);
			if (result->verdict != flaws[i].alone)
				fail_msg("%s and %s: %s (%s)", flaws[i].name, flaws[j].name,
					 verdict_names[result->verdict], result->why);
			if (!result->why[0] || strchr(result->why, '\n'))
				fail_msg("%s: no sentence", flaws[i].name);
			result_free(result);
		}
}

static void test_breach_after_a_signal_is_an_abort(void **state)
{
	struct fake_run run;
	struct run_result *result;

	(void)state;
	fake_run_init(&run, 1000 * MS);
	run.is_healthy = true;
	result = play(&run);
	interrupt(result);
	breach(result);
	result_finish(result);
	assert_int_equal(result->verdict, VERDICT_ABORTED);
	result_free(result);
}

static void test_idle_is_allowed_when_the_file_says_so(void **state)
{
	struct fake_run run;
	struct run_result *result;

	(void)state;
	fake_run_init(&run, 1000 * MS);
	run.is_healthy = run.is_idle = true;
	result = play(&run);
	assert_true(result->was_idle);
	assert_int_equal(result->verdict, VERDICT_FAILED);
	assert_non_null(strstr(result->why, "loss 100%"));
	run.experiment.allow_idle = true;
	result_finish(result);
	assert_true(result->was_idle);
	assert_int_equal(result->verdict, VERDICT_HELD);
	result_free(result);
}

static void test_failed_injection(void **state)
{
	struct event failure = {
		.kind = EVENT_INJECT_FAILED, .step = 2, .text = "cannot add a qdisc to eth0"};
	struct event stop = {.kind = EVENT_STOPPING,
			     .number = STOP_INJECT_FAILED,
			     .text = "loss could not be injected"};

	(void)state;
	for (unsigned injected = 0; injected < 2; injected++) {
		struct fake_run run;
		struct run_result *result;

		fake_run_init(&run, 1000 * MS);
		assert_int_equal(result_new(&run.experiment, "k3f9a2", &result, NULL), 0);
		fake_run_listen(&run, result_listener(result));
		fake_run_play(&run, injected ? 3000 * MS : 1000 * MS);
		fake_run_tell(&run, 3001 * MS, failure);
		fake_run_tell(&run, 3002 * MS, stop);
		fake_run_tell(&run, 3003 * MS, (struct event){.kind = EVENT_RESTORED, .step = 0});
		result_finish(result);
		assert_int_equal(result->verdict, injected ? VERDICT_INTERRUPTED : VERDICT_REFUSED);
		assert_string_equal(result->steps[2].failure, "cannot add a qdisc to eth0");
		result_free(result);
	}
}

static void test_only_required_probes_decide(void **state)
{
	struct fake_run run;
	struct run_result *result;

	(void)state;
	fake_run_init(&run, 1000 * MS);
	run.is_healthy = true;
	result = play(&run);
	result->probes[2][WINDOW_DURING].failed = 5;
	result_finish(result);
	assert_int_equal(result->verdict, VERDICT_HELD);
	/* without a steady state all of them speak for the hypothesis */
	run.experiment.steady_state.count = 0;
	result_finish(result);
	assert_int_equal(result->verdict, VERDICT_FAILED);
	assert_non_null(strstr(result->why, "search"));
	result_free(result);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_percentiles_are_within_one_percent),
		cmocka_unit_test(test_histogram_takes_every_value),
		cmocka_unit_test(test_windows_follow_the_faults),
		cmocka_unit_test(test_attempt_across_the_end_belongs_to_the_faults),
		cmocka_unit_test(test_gaps_between_faults_are_during),
		cmocka_unit_test(test_stop_latency_and_first_cause_are_kept),
		cmocka_unit_test(test_memory_is_bounded),
		cmocka_unit_test(test_worst_verdict_applies),
		cmocka_unit_test(test_breach_after_a_signal_is_an_abort),
		cmocka_unit_test(test_idle_is_allowed_when_the_file_says_so),
		cmocka_unit_test(test_failed_injection),
		cmocka_unit_test(test_only_required_probes_decide),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
