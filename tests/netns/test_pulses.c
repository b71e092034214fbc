/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Faults in pulses, with the real binary on real traffic and real processes: there, gone, there
 * again, and never again once the run is stopped.
 */
#include "tests/support/squall_runner.h"

#include "tests/support/children.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Times that this machine can keep: the files below are written for the slowest. */
static unsigned scale(void)
{
	return is_emulated() ? 1 : 8;
}

static struct squall *run(struct stage *stage, const char *step)
{
	const char *path = stage_write(stage, "pulses.yaml",
				       "version: 1\n"
				       "title: pulses\n"
				       "limits: {duration: 1m, targets: 2}\n"
				       "time-scale: %u\n"
				       "method: [%s]\n",
				       scale(), step);

	return squall_start(stage, NULL, "run --json %s", path);
}

/* Half of the time, three times. */
static struct squall *run_loss(struct stage *stage)
{
	return run(stage, "{at: 0s, repeat: 3, every: 4s, active: 2s,"
			  " network: {to: \"10.88.0.2:7001\", loss: 100%}}");
}

static void assert_lost(const struct stage *stage)
{
	assert_int_equal(netlab_round_trip(stage->lab, "10.88.0.2", NETLAB_PORT, 50), -1);
}

static void test_traffic_is_lost_in_pulses_and_passes_between(void **state)
{
	struct stage *stage = *state;
	struct squall *squall = run_loss(stage);
	json_t *result;

	for (unsigned pulse = 1; pulse <= 3; pulse++) {
		squall_await_nth(squall, "injected", pulse);
		assert_lost(stage);
		squall_await_nth(squall, "ended", pulse);
		/* no long wait for one that a clsact takes along when it is removed: the next pulse
		 * comes */
		stage_until_fast(stage, "10.88.0.2", NETLAB_PORT, 1000 / scale());
	}
	squall_assert_exit(squall, 0);
	result = stage_result(stage, member_text(squall_event(squall, "armed"), "run"));
	{
		const json_t *step = json_array_get(json_object_get(result, "steps"), 0);
		const json_t *evidence = json_object_get(step, "evidence");

		/* of all pulses together, not of the last one */
		assert_int_equal(member_number(step, "injections"), 3);
		assert_true(member_number(evidence, "hits") >= 3);
		assert_non_null(strstr(member_text(evidence, "detail"), "in 3 pulses"));
	}
	json_decref(result);
	stage_assert_clean(stage);
}

static void test_pulses_keep_to_their_grid(void **state)
{
	struct stage *stage = *state;
	struct squall *squall = run_loss(stage);
	int64_t every_ns = 4 * NSEC_PER_SEC / scale(), at_ns[3];

	squall_assert_exit(squall, 1); /* nothing was sent: it did not bite */
	for (unsigned pulse = 0; pulse < 3; pulse++)
		at_ns[pulse] = member_number(squall_await_nth(squall, "injected", pulse + 1),
					     "elapsed_ns");
	/* never early; late as far as the machine is busy, but the lateness does not add up */
	assert_true(at_ns[1] - at_ns[0] > every_ns - 5 * NSEC_PER_MSEC);
	assert_true(at_ns[2] - at_ns[0] > 2 * every_ns - 5 * NSEC_PER_MSEC);
	assert_true(at_ns[2] - at_ns[0] < 2 * every_ns + every_ns / 2);
	stage_assert_clean(stage);
}

static void test_stopped_between_two_pulses_no_other_comes(void **state)
{
	struct stage *stage = *state;
	struct squall *squall = run_loss(stage);

	squall_await_nth(squall, "restored", 1);
	squall_signal(squall, SIGINT);
	squall_assert_exit(squall, 4);
	stage_assert_fast(stage, "10.88.0.2", NETLAB_PORT);
	pause_ms(4500 / scale());
	stage_assert_fast(stage, "10.88.0.2", NETLAB_PORT);
	stage_assert_clean(stage);
}

static void test_killed_in_a_pulse_no_other_comes(void **state)
{
	struct stage *stage = *state;
	struct squall *squall = run_loss(stage);

	squall_await_armed(squall);
	squall_await_nth(squall, "injected", 2);
	squall_signal(squall, SIGKILL);
	squall_assert_exit(squall, 128 + SIGKILL);
	assert_true(process_await_gone(squall->worker, STAGE_WAIT_MS));
	stage_assert_fast(stage, "10.88.0.2", NETLAB_PORT);
	pause_ms(4500 / scale());
	stage_assert_fast(stage, "10.88.0.2", NETLAB_PORT);
	stage_assert_clean(stage);
}

static void test_a_process_is_paused_in_pulses(void **state)
{
	struct stage *stage = *state;
	pid_t child = stage_child(stage);
	char step[160];
	struct squall *squall;

	snprintf(step, sizeof(step),
		 "{at: 0s, repeat: 2, every: 4s, active: 2s, process: {pid: %d, action: pause}}",
		 (int)child);
	squall = run(stage, step);
	for (unsigned pulse = 1; pulse <= 2; pulse++) {
		squall_await_nth(squall, "injected", pulse);
		assert_false(child_counts());
		squall_await_nth(squall, "ended", pulse);
		assert_true(child_counts_within(2000));
	}
	squall_assert_exit(squall, 0);
	assert_true(child_counts_within(2000));
	stage_assert_clean(stage);
}

static void test_a_signal_is_sent_again_and_again(void **state)
{
	struct stage *stage = *state;
	pid_t child = child_start(CHILD_COUNTS_USR1, NULL);
	char step[160];
	struct squall *squall;

	snprintf(step, sizeof(step),
		 "{at: 0s, repeat: 3, every: 2s, process: {pid: %d, signal: USR1}}", (int)child);
	squall = run(stage, step);
	squall_assert_exit(squall, 0);
	assert_true(child_wait_count(3));
	assert_false(child_wait_count(4));
	child_stop(child);
	stage_assert_clean(stage);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_traffic_is_lost_in_pulses_and_passes_between),
		TEST(test_pulses_keep_to_their_grid),
		TEST(test_stopped_between_two_pulses_no_other_comes),
		TEST(test_killed_in_a_pulse_no_other_comes),
		TEST(test_a_process_is_paused_in_pulses),
		TEST(test_a_signal_is_sent_again_and_again),
	};

	return STAGE_RUN(tests);
}
