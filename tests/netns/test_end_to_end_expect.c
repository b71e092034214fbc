/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The real binary with expectations about the time of the faults, and with preconditions: what is
 * seen on real traffic decides.
 */
#include "tests/support/squall_runner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Port 7001 is delayed beyond what `slow` allows; what asks 7002 is well. */
static struct squall *run(struct stage *stage, const char *rest)
{
	const char *path = stage_write(
		stage, "expect.yaml",
		"version: 1\n"
		"title: expectations\n"
		"limits: {duration: 50s, targets: 1}\n"
		"targets: {far: {to: \"10.88.0.2:7001\"}}\n"
		"probes:\n"
		"  slow: {tcp: \"10.88.0.2:7001\", every: 50ms, timeout: 8s,"
		" expect: {latency: \"< 900ms\"}}\n"
		"  well: {tcp: \"10.88.0.2:7002\", every: 50ms, timeout: 8s}\n"
		"  gone: {command: [/usr/bin/test, -e, %s], every: 10s, timeout: 8s}\n"
		"method: [{name: delay, at: 0s, for: 2s, network: {target: far, delay: 1s}}]\n"
		"steady-state: [{require: [slow], for: 200ms}, {require: [well], for: 300ms}]\n"
		"%s",
		stage_path(stage, "flag"), rest);

	return squall_start(stage, NULL, "run --json %s", path);
}

static json_t *finish(struct stage *stage, struct squall *squall, int code)
{
	json_t *result;

	squall_assert_exit(squall, code);
	result = stage_result(stage, member_text(squall_event(squall, "armed"), "run"));
	printf("# %s: %s\n", member_text(result, "verdict"), member_text(result, "why"));
	stage_assert_fast(stage, "10.88.0.2", NETLAB_PORT);
	stage_assert_clean(stage);
	return result;
}

static void test_monitoring_sees_it_and_the_rest_holds(void **state)
{
	struct stage *stage = *state;
	struct squall *squall = run(stage, "expect:\n"
					   "  - {probe: slow, detected-within: 3s, of: delay}\n"
					   "  - {probe: well, holds: 100%, weight: 2}\n"
					   "  - {probe: slow, degrades-to: well}\n");
	json_t *result = finish(stage, squall, 0);
	const json_t *seen = json_array_get(json_object_get(result, "expectations"), 0);

	assert_true(json_is_true(json_object_get(seen, "met")));
	assert_in_range(member_number(seen, "detected_ns"), 900 * NSEC_PER_MSEC, 3 * NSEC_PER_SEC);
	assert_int_equal(member_number(result, "score"), 100);
	json_decref(result);
}

static void test_what_nobody_sees_fails_the_run(void **state)
{
	struct stage *stage = *state;
	struct squall *squall = run(
		stage, "expect: [{probe: slow, holds: 1%}, {probe: well, detected-within: 4s}]\n");
	json_t *result = finish(stage, squall, 1);

	assert_non_null(strstr(member_text(result, "why"), "well did not see it within 4s"));
	/* it was waited for, also when the fault had ended */
	assert_true(member_number(result, "took_ns") > 4 * NSEC_PER_SEC);
	json_decref(result);
}

static void test_without_its_precondition_nothing_is_injected(void **state)
{
	struct stage *stage = *state;
	struct squall *squall = run(stage, "require-before: [gone]\n");
	json_t *result = finish(stage, squall, 2);

	assert_string_equal(member_text(result, "verdict"), "refused");
	assert_non_null(strstr(member_text(result, "why"), "require-before: gone"));
	assert_null(squall_event(squall, "injected"));
	json_decref(result);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_monitoring_sees_it_and_the_rest_holds),
		TEST(test_what_nobody_sees_fails_the_run),
		TEST(test_without_its_precondition_nothing_is_injected),
	};

	return STAGE_RUN(tests);
}
