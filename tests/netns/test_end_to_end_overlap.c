/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The real binary twice at once on the same interface: overlapping in time and in what they touch,
 * each takes away only its own.
 */
#include "tests/support/squall_runner.h"

#include "injector/base/cleanup.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const off[] = {"SQUALL_NETEM=off", NULL};
static const struct squall_how without_netem = {.extra = off};
static const char *const filters[] = {"SQUALL_NETEM=off", "SQUALL_HOOK=clsact", NULL};
static const struct squall_how by_filters = {.extra = filters};

static struct squall *inject(struct stage *stage, const struct squall_how *how, const char *words)
{
	struct squall *squall = squall_start(stage, how, "inject --json network %s for=30s", words);

	squall_await_injected(squall);
	return squall;
}

static void end(struct squall *squall)
{
	squall_signal(squall, SIGINT);
	squall_assert_exit(squall, 4);
}

/* The wide one delays all of 10.88.0.2 by 60 ms, the narrow one a port of it by 150 ms. A packet of
 * both is delayed by 150 ms at least. */
static void assert_both(const struct stage *stage)
{
	int64_t took = netlab_fastest(stage->lab, "10.88.0.2", NETLAB_PORT, 3);

	printf("# both on one packet: %.3f ms\n", (double)took / 1e6);
	assert_in_range(took, 150 * NSEC_PER_MSEC, 220 * NSEC_PER_MSEC + stage->slack_ns);
	stage_assert_delay(stage, "10.88.0.2", NETLAB_OTHER_PORT, 60);
	stage_assert_fast(stage, "10.88.0.3", NETLAB_PORT);
}

static void overlap(struct stage *stage, const struct squall_how *first_how,
		    const struct squall_how *second_how, bool first_ends_first)
{
	struct squall *wide = inject(stage, first_how, "to=10.88.0.2 delay=60ms");
	struct squall *narrow;

	stage_assert_delay(stage, "10.88.0.2", NETLAB_PORT, 60);
	narrow = inject(stage, second_how, "to=10.88.0.2:7001 delay=150ms");
	assert_both(stage);
	if (first_ends_first) {
		end(wide);
		stage_assert_delay(stage, "10.88.0.2", NETLAB_PORT, 150);
		stage_assert_fast(stage, "10.88.0.2", NETLAB_OTHER_PORT);
		end(narrow);
	} else {
		end(narrow);
		stage_assert_delay(stage, "10.88.0.2", NETLAB_PORT, 60);
		stage_assert_delay(stage, "10.88.0.2", NETLAB_OTHER_PORT, 60);
		end(wide);
	}
	stage_assert_fast(stage, "10.88.0.2", NETLAB_PORT);
	stage_assert_fast(stage, "10.88.0.2", NETLAB_OTHER_PORT);
	stage_assert_clean(stage);
}

static void test_first_ends_first(void **state)
{
	overlap(*state, NULL, NULL, true);
}

static void test_second_ends_first(void **state)
{
	overlap(*state, NULL, NULL, false);
}

static void test_one_by_netem_and_one_without(void **state)
{
	if (!netlab_has_netem())
		stage_skip("this kernel has one way only");
	overlap(*state, NULL, &without_netem, true);
	overlap(*state, &without_netem, NULL, true);
}

/* The delay line needs settings of lo that a second run would find changed: it is refused, and the
 * first one goes on. */
static void assert_second_is_refused(struct stage *stage, const struct squall_how *first_how,
				     const struct squall_how *second_how)
{
	struct squall *first = inject(stage, first_how, "to=127.0.0.1:7001 delay=100ms");
	struct squall *second = squall_start(stage, second_how,
					     "inject network to=127.0.0.1:7009 delay=100ms for=5s");

	squall_assert_exit(second, 2);
	assert_true(squall_has_said(second, "another run affects lo"));
	assert_true(squall_has_said(second, "squall status"));
	stage_assert_delay(stage, "127.0.0.1", NETLAB_PORT, 100);
	end(first);
	stage_assert_fast(stage, "127.0.0.1", NETLAB_PORT);
	stage_assert_clean(stage);
}

static void test_second_delay_line_on_loopback_is_refused(void **state)
{
	assert_second_is_refused(*state, &without_netem, &without_netem);
}

static void test_second_delay_line_on_loopback_is_refused_by_filters(void **state)
{
	assert_second_is_refused(*state, &by_filters, &by_filters);
	assert_second_is_refused(*state, &by_filters, &without_netem);
}

static void test_two_on_loopback_by_netem(void **state)
{
	struct stage *stage = *state;

	if (!netlab_has_netem())
		stage_skip("this kernel has no netem");
	{
		struct squall *first = inject(stage, NULL, "to=127.0.0.1:7001 delay=100ms");
		struct squall *second = inject(stage, NULL, "to=[::1]:7001 delay=50ms");

		stage_assert_delay(stage, "127.0.0.1", NETLAB_PORT, 100);
		stage_assert_delay(stage, "::1", NETLAB_PORT, 50);
		end(first);
		stage_assert_fast(stage, "127.0.0.1", NETLAB_PORT);
		stage_assert_delay(stage, "::1", NETLAB_PORT, 50);
		end(second);
	}
	stage_assert_fast(stage, "::1", NETLAB_PORT);
	stage_assert_clean(stage);
}

static void test_killed_beside_a_live_one(void **state)
{
	struct stage *stage = *state;
	struct squall *loss = inject(stage, NULL, "to=10.88.0.2:7002 loss=100%");
	struct squall *delay = inject(stage, NULL, "to=10.88.0.2:7001 delay=100ms");

	assert_int_equal(netlab_answers(stage->lab, "10.88.0.2", NETLAB_OTHER_PORT, 10), 0);
	stage_assert_delay(stage, "10.88.0.2", NETLAB_PORT, 100);
	kill(delay->worker, SIGKILL);
	kill(delay->guardian, SIGKILL);
	kill(delay->pid, SIGKILL);
	squall_assert_exit(delay, 128 + SIGKILL);
	assert_true(process_await_gone(delay->worker, STAGE_WAIT_MS));
	assert_true(process_await_gone(delay->guardian, STAGE_WAIT_MS));
	/* the other one is left alone */
	assert_int_equal(squall_call(stage, NULL, "restore"), 0);
	stage_assert_fast(stage, "10.88.0.2", NETLAB_PORT);
	assert_int_equal(netlab_answers(stage->lab, "10.88.0.2", NETLAB_OTHER_PORT, 10), 0);
	assert_int_equal(squall_call(stage, NULL, "stop %s", loss->run_id), 0);
	squall_assert_exit(loss, 4);
	assert_int_equal(netlab_answers(stage->lab, "10.88.0.2", NETLAB_OTHER_PORT, 10), 10);
	stage_assert_clean(stage);
}

/* Without a name `stop` cannot know which; `halt` ends both and lets none begin. */
static void test_stop_and_halt_with_two_runs(void **state)
{
	struct stage *stage = *state;
	struct squall *first = inject(stage, NULL, "to=10.88.0.2:7001 delay=100ms");
	struct squall *second = inject(stage, NULL, "to=10.88.0.2:7002 delay=100ms"), *refused;

	assert_int_equal(squall_call(stage, NULL, "stop"), 2);
	stage_assert_delay(stage, "10.88.0.2", NETLAB_OTHER_PORT, 100);
	assert_int_equal(squall_call(stage, NULL, "halt --reason payday"), 0);
	stage_assert_fast(stage, "10.88.0.2", NETLAB_PORT);
	stage_assert_fast(stage, "10.88.0.2", NETLAB_OTHER_PORT);
	squall_assert_exit(first, 4);
	squall_assert_exit(second, 4);
	refused = squall_start(stage, NULL, "inject network to=10.88.0.2 delay=1ms for=1s");
	squall_assert_exit(refused, 2);
	assert_true(squall_has_said(refused, "payday"));
	assert_true(squall_has_said(refused, "squall resume"));
	assert_int_equal(squall_call(stage, NULL, "resume"), 0);
	assert_int_equal(
		squall_call(stage, NULL, "inject --quiet network to=10.88.0.2 delay=1ms for=100ms"),
		0);
	stage_assert_clean(stage);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_first_ends_first),
		TEST(test_second_ends_first),
		TEST(test_one_by_netem_and_one_without),
		TEST(test_second_delay_line_on_loopback_is_refused),
		TEST(test_second_delay_line_on_loopback_is_refused_by_filters),
		TEST(test_two_on_loopback_by_netem),
		TEST(test_killed_beside_a_live_one),
		TEST(test_stop_and_halt_with_two_runs),
	};

	return STAGE_RUN(tests);
}
