/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is expected while faults last: read from files, judged from events, and scored.
 */
#include "injector/base/clock.h"
#include "injector/base/quantity.h"
#include "injector/experiment/yaml.h"
#include "injector/run/result.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/support/bad_files.h"

static const struct bad bad_expectations[] = {
	{ON_END("expect: {probe: shop, holds: 99%}\n"), 7, 9, "'expect' must be a list like *"},
	{ON_END("expect: []\n"), 7, 9, "'expect' is empty; *"},
	{ON_END("expect: [{probe: shop}]\n"), 7, 10,
	 "an expectation says one of: holds: 99%, detected-within: 30s, degrades-to: PROBE"},
	{ON_END("expect: [{probe: shop, holds: 99%, detected-within: 3s}]\n"), 7, 10,
	 "an expectation says one of: *"},
	{ON_END("expect: [{holds: 99%}]\n"), 7, 10, "'probe' is missing in an expectation: *"},
	{ON_END("expect: [{probe: shap, holds: 99%}]\n"), 7, 18,
	 "there is no probe 'shap'; did you mean 'shop'?"},
	{ON_END("expect: [{probe: shop, holds: 0.99}]\n"), 7, 31, "holds: '0.99' has no unit; *"},
	{ON_END("expect: [{probe: shop, holds: 0%}]\n"), 7, 31, "holds: '0%' is out of range: *"},
	{ON_END("expect: [{probe: shop, detected-within: 30}]\n"), 7, 41,
	 "detected-within: '30' has no unit; *"},
	{ON_END("expect: [{probe: shop, degrades-to: ap}]\n"), 7, 37,
	 "there is no probe 'ap'; did you mean 'api'?"},
	{ON_END("expect: [{probe: shop, degrades-to: shop}]\n"), 7, 37,
	 "a probe cannot stand in for itself"},
	{ON_END("expect: [{probe: shop, holds: 99%, of: x}]\n"), 7, 40,
	 "there is no step 'x'; a step gets its name by 'name: x'"},
	{ON_END("expect: [{probe: shop, holds: 99%, weight: 0}]\n"), 7, 44,
	 "weight: '0' is out of range: 1 to 1000 is allowed"},
	{ON_END("expect: [{probe: shop, hold: 99%}]\n"), 7, 24,
	 "unknown key 'hold' in an expectation; did you mean 'holds'? (allowed: *"},
	{ON_END("require-before: [backup]\n"), 7, 18, "there is no probe 'backup'; there are: *"},
	{ON_END("require-before: [shop, shop]\n"), 7, 24, "probe 'shop' is required twice"},
	{ON_END("require-before: {probe: shop}\n"), 7, 17, "'require-before' must be: *"},
	{ON_END("require-before: []\n"), 7, 17, "'require-before' is an empty list"},
	{ON_END("steady-state: [{require: [shop], for: 1s}, {require: [shop], for: 2s}]\n"), 7, 44,
	 "probe 'shop' is required twice"},
	{ON_END("steady-state: [{require: [shop], for: 1}]\n"), 7, 39, "for: '1' has no unit; *"},
	{ON_END("recovery: {require: [shop], within: 1s, weight: x}\n"), 7, 49, "weight: 'x' *"},
};

TABLE_TEST(test_mistakes_in_expectations, bad_expectations)

/* A run of two probes, alarm (0) and shop (1), and page (2), with one fault from 10 s to 20 s. */
struct stage {
	struct experiment *experiment;
	struct run_result *result;
	struct event_listener listener;
};

#define FILE_BEGIN                                                                                 \
	"version: 1\ntitle: t\nlimits: {duration: 1m, targets: 9}\n" TARGETS                       \
	"probes: {alarm: {tcp: \"127.0.0.1:1\"}, shop: {tcp: \"127.0.0.1:2\"},\n"                  \
	"         page: {tcp: \"127.0.0.1:3\"}}\n"                                                 \
	"steady-state: {require: [shop], for: 1s}\n"                                               \
	"method: [{name: slow, at: 0s, for: 10s, network: {target: store, delay: 1s}}]\n"

static void begin(struct stage *stage, const char *text)
{
	struct yaml_problems problems;
	struct error err = ERROR_INIT;

	if (yaml_parse_experiment(text, strlen(text), "x", &stage->experiment, &problems, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(result_new(stage->experiment, "abc", &stage->result, &err), 0);
	stage->listener = result_listener(stage->result);
}

static void tell(struct stage *stage, enum event_kind kind, enum run_phase phase, double seconds)
{
	const struct event event = {
		.kind = kind, .phase = phase, .time_ns = (int64_t)(seconds * 1e9)};

	stage->listener.fn(stage->listener.context, &event);
}

static void sample(struct stage *stage, unsigned probe, double seconds, enum probe_result result)
{
	const struct probe_sample sample = {.result = result,
					    .started_ns = (int64_t)(seconds * 1e9),
					    .latency_ns = NSEC_PER_SEC / 10,
					    .known_ns =
						    (int64_t)(seconds * 1e9) + NSEC_PER_SEC / 10,
					    .value = NAN};
	const struct event event = {.kind = EVENT_SAMPLE,
				    .phase = PHASE_METHOD,
				    .time_ns = sample.started_ns,
				    .probe = probe,
				    .sample = &sample};

	stage->listener.fn(stage->listener.context, &event);
}

static void inject(struct stage *stage)
{
	tell(stage, EVENT_PHASE, PHASE_METHOD, 10);
	tell(stage, EVENT_INJECTED, PHASE_METHOD, 10);
}

static void end(struct stage *stage)
{
	const struct evidence evidence = {.hits = 1, .unit = "packets"};
	struct event event = {.kind = EVENT_EVIDENCE, .evidence = &evidence};

	stage->listener.fn(stage->listener.context, &event);
	tell(stage, EVENT_ENDED, PHASE_METHOD, 20);
	tell(stage, EVENT_RESTORED, PHASE_METHOD, 20);
	tell(stage, EVENT_PHASE, PHASE_RESTORE, 20);
	sample(stage, 0, 21, PROBE_FAIL);
	sample(stage, 1, 21, PROBE_FAIL); /* not any more during the faults */
	result_finish(stage->result);
}

static void clear(struct stage *stage)
{
	result_free(stage->result);
	experiment_free(stage->experiment);
	free(stage->experiment);
}

static void test_what_is_detected_in_time(void **state)
{
	static const struct {
		double failed_at;
		enum probe_result result;
		int verdict, score;
		const char *text;
	} cases[] = {
		{12, PROBE_FAIL, VERDICT_HELD, 100, "alarm saw it after 2.10s, within 5s"},
		{17, PROBE_FAIL, VERDICT_FAILED, 50, "alarm saw it after 7.10s, not within 5s"},
		/* who cannot ask has seen nothing; what failed before saw something else */
		{12, PROBE_UNKNOWN, VERDICT_FAILED, 50, "alarm saw it after 11.1s, not within 5s"},
		{9, PROBE_FAIL, VERDICT_FAILED, 50, "alarm saw it after 11.1s, not within 5s"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct stage stage;

		begin(&stage, FILE_BEGIN "expect: [{probe: alarm, detected-within: 5s}]\n");
		sample(&stage, 1, 8, PROBE_PASS);
		if (cases[i].failed_at < 10)
			sample(&stage, 0, cases[i].failed_at, cases[i].result);
		assert_int_equal(expectation_pending_ns(stage.result), 0);
		inject(&stage);
		assert_int_equal(expectation_pending_ns(stage.result), 15 * NSEC_PER_SEC);
		sample(&stage, 0, 11, PROBE_PASS);
		sample(&stage, 1, 11, PROBE_PASS);
		if (cases[i].failed_at > 10)
			sample(&stage, 0, cases[i].failed_at, cases[i].result);
		end(&stage);
		assert_string_equal(stage.result->expectations[0].text, cases[i].text);
		assert_int_equal(stage.result->verdict, cases[i].verdict);
		assert_int_equal(stage.result->score, cases[i].score);
		clear(&stage);
	}
}

/* Monitoring that waits for four seconds has seen nothing until then. */
static void test_a_time_out_is_seen_when_it_is_over(void **state)
{
	struct stage stage;
	const struct probe_sample sample = {.result = PROBE_FAIL,
					    .started_ns = 12 * NSEC_PER_SEC,
					    .latency_ns = -1,
					    .known_ns = 16 * NSEC_PER_SEC,
					    .value = NAN};
	const struct event event = {.kind = EVENT_SAMPLE,
				    .phase = PHASE_METHOD,
				    .time_ns = sample.started_ns,
				    .sample = &sample};

	(void)state;
	begin(&stage, FILE_BEGIN "expect: [{probe: alarm, detected-within: 5s}]\n");
	inject(&stage);
	stage.listener.fn(stage.listener.context, &event);
	end(&stage);
	assert_string_equal(stage.result->expectations[0].text,
			    "alarm saw it after 6.00s, not within 5s");
	assert_int_equal(stage.result->verdict, VERDICT_FAILED);
	clear(&stage);
}

static void test_what_failed_all_the_time_detects_nothing(void **state)
{
	struct stage stage;

	(void)state;
	begin(&stage, FILE_BEGIN "expect: [{probe: alarm, detected-within: 5s}]\n");
	sample(&stage, 0, 8, PROBE_FAIL);
	sample(&stage, 0, 9, PROBE_UNKNOWN);
	inject(&stage);
	sample(&stage, 0, 11, PROBE_FAIL);
	end(&stage);
	assert_string_equal(stage.result->expectations[0].text,
			    "alarm did not see it within 5s: it failed already before");
	assert_int_equal(stage.result->verdict, VERDICT_FAILED);
	clear(&stage);
}

static void test_what_holds_by_a_share(void **state)
{
	struct stage stage;

	(void)state;
	begin(&stage, FILE_BEGIN "expect: [{probe: shop, holds: 75%, of: slow, weight: 3}]\n");
	sample(&stage, 1, 8, PROBE_FAIL); /* before */
	inject(&stage);
	for (int i = 0; i < 3; i++)
		sample(&stage, 1, 11 + i, PROBE_PASS);
	sample(&stage, 1, 15, PROBE_FAIL);
	end(&stage);
	assert_string_equal(stage.result->expectations[0].text,
			    "shop passed 3 of 4 attempts, expected 75%");
	assert_int_equal(stage.result->verdict, VERDICT_HELD);
	assert_int_equal(stage.result->score, 100);
	clear(&stage);

	begin(&stage, FILE_BEGIN "expect: [{probe: shop, holds: 75%, weight: 3}]\n");
	inject(&stage);
	sample(&stage, 1, 11, PROBE_PASS);
	sample(&stage, 1, 12, PROBE_UNKNOWN);
	end(&stage);
	assert_int_equal(stage.result->verdict, VERDICT_FAILED);
	assert_string_equal(stage.result->why, "shop passed 1 of 2 attempts, expected 75%");
	assert_int_equal(stage.result->score, 50);
	clear(&stage);
}

static void test_what_degrades_to_something_else(void **state)
{
	struct stage stage;

	(void)state;
	begin(&stage, FILE_BEGIN "expect: [{probe: shop, degrades-to: page}]\n");
	inject(&stage);
	sample(&stage, 1, 11, PROBE_FAIL);
	sample(&stage, 2, 11, PROBE_PASS);
	end(&stage);
	assert_int_equal(stage.result->verdict, VERDICT_HELD);
	clear(&stage);

	begin(&stage, FILE_BEGIN "expect: [{probe: shop, degrades-to: page}]\n");
	inject(&stage);
	sample(&stage, 2, 11, PROBE_FAIL);
	end(&stage);
	assert_int_equal(stage.result->verdict, VERDICT_FAILED);
	assert_string_equal(stage.result->why,
			    "page instead of shop passed 0 of 1 attempts, expected 100%");
	clear(&stage);
}

/* Silence is no proof. */
static void test_nothing_asked_is_not_met(void **state)
{
	struct stage stage;

	(void)state;
	begin(&stage, FILE_BEGIN "expect: [{probe: page, holds: 1%}]\n");
	inject(&stage);
	sample(&stage, 1, 11, PROBE_PASS);
	end(&stage);
	assert_int_equal(stage.result->verdict, VERDICT_FAILED);
	assert_string_equal(stage.result->why, "page made no attempt meanwhile");
	assert_int_equal(stage.result->score, 50);
	clear(&stage);
}

static void test_a_score_never_replaces_the_verdict(void **state)
{
	struct stage stage;

	(void)state;
	begin(&stage, FILE_BEGIN "expect: [{probe: page, holds: 100%, weight: 1000}]\n");
	inject(&stage);
	sample(&stage, 2, 11, PROBE_PASS);
	sample(&stage, 1, 11, PROBE_FAIL);
	end(&stage);
	assert_int_equal(stage.result->score, 99);
	assert_int_equal(stage.result->verdict, VERDICT_FAILED);
	clear(&stage);
}

/* It would be 100: nothing was missed until then. */
static void test_who_was_stopped_early_has_no_score(void **state)
{
	static const struct {
		enum stop_cause cause;
		enum verdict verdict;
	} cases[] = {{STOP_BREACH, VERDICT_ABORTED}, {STOP_SIGNAL, VERDICT_INTERRUPTED}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct event stopping = {.kind = EVENT_STOPPING,
					       .phase = PHASE_METHOD,
					       .time_ns = 15 * NSEC_PER_SEC,
					       .number = cases[i].cause};
		struct stage stage;

		begin(&stage, FILE_BEGIN "expect: [{probe: page, holds: 100%}]\n");
		inject(&stage);
		sample(&stage, 2, 11, PROBE_PASS);
		sample(&stage, 1, 11, PROBE_PASS);
		stage.listener.fn(stage.listener.context, &stopping);
		end(&stage);
		assert_int_equal(stage.result->verdict, cases[i].verdict);
		assert_true(stage.result->expectations[0].is_met);
		assert_int_equal(stage.result->score, -1);
		clear(&stage);
	}
}

static void test_every_steady_state_has_its_own_time(void **state)
{
	struct stage stage;
	const struct experiment_requirement *steady;

	(void)state;
	begin(&stage, HEAD TARGETS METHOD PROBES "steady-state:\n  - {require: [shop], for: 2s}\n"
						 "  - {require: [api], for: 10s, within: 30s}\n"
						 "require-before: shop\n");
	steady = &stage.experiment->steady_state;
	assert_int_equal(steady->count, 2);
	assert_int_equal(steady->each_ns[0], 2 * NSEC_PER_SEC);
	assert_int_equal(steady->each_ns[1], 10 * NSEC_PER_SEC);
	assert_int_equal(steady->for_ns, 10 * NSEC_PER_SEC);
	assert_int_equal(steady->within_ns, 30 * NSEC_PER_SEC);
	assert_int_equal(stage.experiment->require_before.count, 1);
	clear(&stage);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mistakes_in_expectations),
		cmocka_unit_test(test_what_is_detected_in_time),
		cmocka_unit_test(test_a_time_out_is_seen_when_it_is_over),
		cmocka_unit_test(test_what_failed_all_the_time_detects_nothing),
		cmocka_unit_test(test_what_holds_by_a_share),
		cmocka_unit_test(test_what_degrades_to_something_else),
		cmocka_unit_test(test_nothing_asked_is_not_met),
		cmocka_unit_test(test_a_score_never_replaces_the_verdict),
		cmocka_unit_test(test_who_was_stopped_early_has_no_score),
		cmocka_unit_test(test_every_steady_state_has_its_own_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
