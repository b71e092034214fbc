/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The real binary through a day with an outage in it, and through an outage of six hours as it was,
 * in seconds: everything comes when it should, is reported, and nothing is left.
 */
#include "tests/support/squall_runner.h"

#include "injector/base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* When something of the timeline came or went. */
static void assert_about(int64_t took_ns, int minutes, unsigned scale)
{
	int64_t expected_ns = minutes * 60 * NSEC_PER_SEC / scale;

	if (llabs(took_ns - expected_ns) > NSEC_PER_SEC)
		fail_msg("minute %d has come after %lld ms, not after %lld", minutes,
			 (long long)(took_ns / NSEC_PER_MSEC),
			 (long long)(expected_ns / NSEC_PER_MSEC));
}

/* Minutes from the first failure; in the order in which they began. */
struct moment {
	int began_min, ended_min, injections;
};

static void assert_timeline(const json_t *result, const struct moment *moments, size_t count,
			    unsigned scale)
{
	int64_t first_ns = 0;

	assert_int_equal(json_array_size(json_object_get(result, "steps")), count);
	for (size_t i = 0; i < count; i++) {
		const json_t *step = json_array_get(json_object_get(result, "steps"), i);
		int64_t began_ns = member_number(step, "injected_after_ns");

		if (i == 0)
			first_ns = began_ns;
		assert_int_equal(member_number(step, "injections"), moments[i].injections);
		assert_about(began_ns - first_ns, moments[i].began_min, scale);
		assert_about(member_number(step, "ended_after_ns") - first_ns, moments[i].ended_min,
			     scale);
		assert_true(json_is_true(json_object_get(step, "restored")));
	}
	assert_true(
		json_is_true(json_object_get(json_object_get(result, "recovery"), "recovered")));
	assert_int_equal(member_number(result, "score"), 100);
}

/* Twenty-four hours with an outage in them: all is lost, comes back late, is lost once more;
 * flapping from the first hour to the last, and a slow neighbour half of the time. */
static const char day[] =
	"version: 1\n"
	"title: a day\n"
	"source: https://example.org/a-day\n"
	"limits: {duration: 3m, targets: 2}\n"
	"time-scale: %u\n"
	"targets: {far: {to: \"10.88.0.2:7001\"}, near: {to: \"10.88.0.3:7001\"}}\n"
	"probes:\n"
	"  other: {tcp: \"10.88.0.2:7002\", every: 100ms, timeout: 20s}\n"
	"  far: {tcp: \"10.88.0.2:7001\", every: 50ms, timeout: 100ms}\n"
	"  near: {tcp: \"10.88.0.3:7001\", every: 100ms, timeout: 20s}\n"
	"expect:\n"
	"  - {probe: other, holds: 100%%, weight: 2}\n"
	"  - {probe: near, holds: 100%%}\n"
	"  - {probe: far, detected-within: 20s, of: flapping}\n"
	"recovery: {require: [far, other, near], within: 20s}\n"
	"method:\n"
	"  - {name: flapping, at: 0h, for: 24h, every: 1h, active: 20m,"
	" network: {target: far, loss: 100%%}}\n"
	"  - {name: lost, at: 2h, for: 157m, network: {target: far, loss: 100%%}}\n"
	"  - {name: late, after: lost, for: 685m, network: {target: far, delay: 40ms}}\n"
	"  - {after: late, for: 2h, network: {target: far, loss: 100%%}}\n"
	"  - {at: 6h, for: 12h, network: {target: near, delay: 20ms}}\n";

static void test_a_day_in_seconds(void **state)
{
	static const struct moment moments[] = {
		{0, 1440, 24}, {120, 277, 1}, {277, 962, 1}, {360, 1080, 1}, {962, 1082, 1}};
	struct stage *stage = *state;
	unsigned scale = 8640; /* 10 s */
	struct squall *squall = squall_start(stage, NULL, "run --json %s",
					     stage_write(stage, "day.yaml", day, scale));
	json_t *result;

	squall_assert_exit(squall, 0);
	result = stage_result(stage, member_text(squall_event(squall, "armed"), "run"));
	assert_timeline(result, moments, sizeof(moments) / sizeof(*moments), scale);
	json_decref(result);
	stage_assert_reports(stage, "held", "example.org/a-day, an hour of it in ");
	stage_assert_fast(stage, "10.88.0.2", NETLAB_PORT);
	stage_assert_clean(stage);
}

#define OUTAGE "experiments/outage-flapping-2025.yaml"

/* A copy of `text` in which each `from` is `to`; it must be there. */
static char *with(const char *text, const char *from, const char *to)
{
	char *copy = NULL;
	size_t size;
	FILE *out = open_memstream(&copy, &size);
	const char *at = text, *next = strstr(text, from);

	if (!next)
		fail_msg(OUTAGE " has no '%s' any more", from);
	for (; next; at = next + strlen(from), next = strstr(at, from))
		fprintf(out, "%.*s%s", (int)(next - at), at, to);
	fputs(at, out);
	assert_int_equal(fclose(out), 0);
	return copy;
}

/* As it is in experiments/, timeline and all, but for whom its probes ask: there is no web server
 * here. Where it is in the stage. */
static const char *write_outage(const struct stage *stage)
{
	static const char *const words[][2] = {
		{"http: \"http://10.99.0.3/\"", "tcp: \"10.88.0.3:7001\""},
		{"http: \"http://10.99.0.2/\"", "tcp: \"10.88.0.2:7001\""},
		{", expect: {status: 200}", ""},
	};
	cleanup_file FILE *file = fopen(OUTAGE, "re");
	char *text = calloc(1, 16384);

	assert_non_null(file);
	assert_non_null(text);
	assert_in_range(fread(text, 1, 16383, file), 1, 16382);
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		char *changed = with(text, words[i][0], words[i][1]);

		free(text);
		text = changed;
	}
	stage_write(stage, "outage.yaml", "%s", text);
	free(text);
	return stage_path(stage, "outage.yaml");
}

/* 2025-11-18, from 11:20 to 17:06: minutes from the first failure, as the report tells them. */
static void test_an_outage_in_its_own_length(void **state)
{
	static const struct moment moments[] = {{0, 105, 11}, {105, 190, 1}, {190, 346, 1}};
	struct stage *stage = *state;
	const char *path = write_outage(stage);
	struct squall *squall =
		squall_start(stage, NULL, "run --json --set edge=10.88.0.2:7001 %s", path);
	json_t *result;

	squall_assert_exit(squall, 0);
	result = stage_result(stage, member_text(squall_event(squall, "armed"), "run"));
	assert_timeline(result, moments, sizeof(moments) / sizeof(*moments), 2400);
	json_decref(result);
	stage_assert_reports(stage, "held", "18-november-2025-outage/, an hour of it in 1.50s");
	stage_assert_fast(stage, "10.88.0.2", NETLAB_PORT);
	stage_assert_clean(stage);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_day_in_seconds, stage_setup, stage_teardown),
		cmocka_unit_test_setup_teardown(test_an_outage_in_its_own_length, stage_setup,
						stage_teardown),
	};

	return STAGE_RUN(tests);
}
