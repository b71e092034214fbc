/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The real binary through a day of pulses in seconds: every one of them comes, none is left.
 */
#include "tests/support/squall_runner.h"

#include <setjmp.h>
#include <stdarg.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_day_in_seconds, stage_setup, stage_teardown),
	};

	return STAGE_RUN(tests);
}
