/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `follow: true` of interfaces: all steps of the target follow, whether they are in force, between
 * two pulses, or not yet begun.
 */
#include "tests/netns/follow_bench.h"

/* Both have a place on it; and between two pulses, and before the beginning, it is only noted. */
static void test_all_steps_of_a_target_follow(void **state)
{
	struct stage *stage = *state;
	struct squall *squall;

	stage_write(stage, "two.yaml",
		    "version: 1\ntitle: two\nhypothesis: two\n"
		    "limits: {duration: 10m, targets: 4}\n"
		    "targets:\n  lan: {interface: \"sqv*\", follow: true}\n"
		    "method:\n"
		    "  - {at: 0s, for: 5m, network: {target: lan, delay: %dms}}\n"
		    "  - {at: 1500ms, for: 5m, network: {target: lan, delay: %dms}}\n"
		    "  - {at: 0s, for: 5m, network: {target: lan, loss: 0.0001%%}}\n",
		    DELAY_MS, DELAY_MS);
	squall = squall_start(stage, NULL, "run --json %s", stage_path(stage, "two.yaml"));
	squall_await_nth(squall, "injected", 2);
	add_pair(stage, "sqv2", 2);
	squall_await_followed(squall, 1, true, "sqv2");
	assert_delayed(stage, "10.88.2.2");
	squall_await_nth(squall, "injected", 3);
	assert_delayed_by(stage, "10.88.2.2", 2);
	add_pair(stage, "sqv3", 3);
	squall_await_followed(squall, 2, true, "sqv3");
	assert_delayed_by(stage, "10.88.3.2", 2);
	end(stage, squall);
	delete_link(stage, "sqv2");
	delete_link(stage, "sqv3");
	stage_assert_clean(stage);
}

static void test_pulses_take_what_came_between_them(void **state)
{
	struct stage *stage = *state;
	struct squall *squall;

	stage_write(stage, "pulses.yaml",
		    "version: 1\ntitle: pulses\nhypothesis: pulses\n"
		    "limits: {duration: 10m, targets: 4}\n"
		    "targets:\n  lan: {interface: \"sqv*\", follow: true}\n"
		    "method:\n"
		    "  - {at: 0s, for: 5m, every: 3s, active: 1500ms, network: {target: lan, "
		    "delay: %dms}}\n",
		    DELAY_MS);
	squall = squall_start(stage, NULL, "run --json %s", stage_path(stage, "pulses.yaml"));
	squall_await_injected(squall);
	add_pair(stage, "sqv3", 3);
	squall_await_followed(squall, 1, true, "sqv3");
	squall_await_nth(squall, "ended", 1);
	add_pair(stage, "sqv2", 2);
	delete_link(stage, "sqv3");
	squall_await_nth(squall, "injected", 2);
	await_delayed(stage, "10.88.2.2", 3 * SOON_MS);
	end(stage, squall);
	delete_link(stage, "sqv2");
	stage_assert_clean(stage);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_all_steps_of_a_target_follow),
		TEST(test_pulses_take_what_came_between_them),
	};

	return STAGE_RUN(tests);
}
