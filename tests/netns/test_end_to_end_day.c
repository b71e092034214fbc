/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The real binary through a day of pulses, and through an outage of six hours as it was, in
 * seconds: everything comes when it should, nothing is left.
 */
#include "tests/support/squall_runner.h"

#include "injector/base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_a_day_in_seconds(void **state)
{
	struct stage *stage = *state;
	unsigned scale = is_emulated() ? 2880 : 8640; /* 30 s, 10 s */
	const char *path =
		stage_write(stage, "day.yaml",
			    "version: 1\n"
			    "title: a day\n"
			    "allow-idle: true\n"
			    "limits: {duration: 2m, targets: 1}\n"
			    "time-scale: %u\n"
			    "probes: {far: {tcp: \"10.88.0.2:7002\", every: 20ms, timeout: 8s}}\n"
			    "method:\n"
			    "  - {at: 0h, for: 24h, every: 1h, active: 20m,"
			    " network: {to: \"10.88.0.2:7001\", loss: 100%%}}\n",
			    scale);
	struct squall *squall = squall_start(stage, NULL, "run --json %s", path);
	int64_t day_ns = 24 * 3600 * NSEC_PER_SEC / scale, took_ns;
	json_t *result;
	const json_t *step;

	squall_assert_exit(squall, 0);
	result = stage_result(stage, member_text(squall_event(squall, "armed"), "run"));
	step = json_array_get(json_object_get(result, "steps"), 0);
	assert_int_equal(member_number(step, "injections"), 24);
	assert_true(json_is_true(json_object_get(step, "restored")));
	/* from the first to the last, on one grid: no delay of a pulse has moved the next ones */
	took_ns = member_number(step, "ended_after_ns") - member_number(step, "injected_after_ns");
	assert_in_range(took_ns, day_ns / 24 * 23, day_ns + day_ns / 4);
	json_decref(result);
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

static void assert_about(int64_t took_ns, int minutes)
{
	int64_t expected_ns = minutes * 60 * NSEC_PER_SEC / 2400;

	if (llabs(took_ns - expected_ns) > NSEC_PER_SEC)
		fail_msg("minute %d has come after %lld ms, not after %lld", minutes,
			 (long long)(took_ns / NSEC_PER_MSEC),
			 (long long)(expected_ns / NSEC_PER_MSEC));
}

/* 2025-11-18, from 11:20 to 17:06: minutes from the first failure, as the report tells them. */
static void test_an_outage_in_its_own_length(void **state)
{
	static const struct {
		int began_min, ended_min, injections;
	} steps[] = {{0, 105, 11}, {105, 190, 1}, {190, 346, 1}};
	struct stage *stage = *state;
	const char *path = write_outage(stage);
	struct squall *squall =
		squall_start(stage, NULL, "run --json --set edge=10.88.0.2:7001 %s", path);
	int64_t first_ns = 0;
	json_t *result;

	squall_assert_exit(squall, 0);
	result = stage_result(stage, member_text(squall_event(squall, "armed"), "run"));
	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		const json_t *step = json_array_get(json_object_get(result, "steps"), i);
		int64_t began_ns = member_number(step, "injected_after_ns");
		int64_t ended_ns = member_number(step, "ended_after_ns");

		if (i == 0)
			first_ns = began_ns;
		assert_int_equal(member_number(step, "injections"), steps[i].injections);
		assert_about(began_ns - first_ns, steps[i].began_min);
		assert_about(ended_ns - first_ns, steps[i].ended_min);
		assert_true(json_is_true(json_object_get(step, "restored")));
	}
	assert_true(
		json_is_true(json_object_get(json_object_get(result, "recovery"), "recovered")));
	assert_int_equal(member_number(result, "score"), 100);
	json_decref(result);
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
