/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Pausing real processes by SIGSTOP, and exact undo.
 */
#include "tests/netns/process_bench.h"

static void test_pause_by_sigstop_and_exact_undo(void **state)
{
	pid_t child = child_start(CHILD_COUNTS, NULL);
	struct bench bench;

	(void)state;
	inject(&bench, by_pid(child), "action=pause");
	assert_int_equal(record_count, 1);
	assert_int_equal(child_state(child), 'T');
	assert_false(child_counts());
	assert_false(all_gone());
	assert_int_equal(evidence_of(&bench).hits, 1);
	end_fault(&bench);
	assert_true(bench.fault.effect_ended_ns >= bench.fault.effect_started_ns);
	assert_true(child_counts());
	undo_all();
	assert_true(all_gone());
	assert_true(child_counts());
	release(&bench);
	child_stop(child);
}

static void test_undo_alone_ends_the_pause(void **state)
{
	pid_t child = child_start(CHILD_COUNTS_CONT, NULL);
	struct bench bench;

	(void)state;
	inject(&bench, by_pid(child), "action=pause");
	release(&bench);
	undo_all();
	assert_true(all_gone());
	assert_true(child_wait_count(1));
	/* a second and a third time: no signal reaches it */
	undo_all();
	undo_all();
	assert_false(child_wait_count(2));
	child_stop(child);
}

static void test_undo_of_a_pause_that_never_began(void **state)
{
	pid_t child = child_start(CHILD_COUNTS_CONT, NULL);
	struct bench bench;

	(void)state;
	inject(&bench, by_pid(child), "action=pause");
	kill(child, SIGCONT); /* by someone else */
	assert_true(child_wait_count(1));
	end_fault(&bench);
	undo_all();
	assert_true(all_gone());
	assert_false(child_wait_count(2));
	release(&bench);
	child_stop(child);
}

static void test_what_was_stopped_stays_stopped(void **state)
{
	pid_t child = child_start(CHILD_COUNTS, NULL);
	struct bench bench;

	(void)state;
	kill(child, SIGSTOP);
	assert_true(child_wait_state(child, 'T'));
	inject(&bench, by_pid(child), "action=pause");
	assert_int_equal(record_count, 0);
	assert_int_equal(evidence_of(&bench).hits, 0);
	assert_non_null(strstr(evidence_of(&bench).detail, "1 stood still before"));
	end_fault(&bench);
	undo_all();
	assert_int_equal(child_state(child), 'T');
	release(&bench);
	child_stop(child);
}

static void test_undo_after_death_and_after_reuse(void **state)
{
	pid_t child = child_start(CHILD_COUNTS, NULL), other = child_start(CHILD_SLEEPS, NULL);
	struct stopped_record *record = (struct stopped_record *)records[0].payload;
	struct bench bench;

	(void)state;
	inject(&bench, by_pid(child), "action=pause");
	/* the number belongs to another process now, which someone stopped: it stays as it is */
	record->processes[0].start_time--;
	undo_all();
	assert_true(all_gone());
	assert_int_equal(child_state(child), 'T');
	record->processes[0].start_time++;
	/* a zombie */
	kill(child, SIGKILL);
	assert_true(child_wait_state(child, 'Z'));
	undo_all();
	assert_true(all_gone());
	end_fault(&bench);
	/* nothing at all */
	child_stop(child);
	undo_all();
	assert_true(all_gone());
	release(&bench);
	child_stop(other);
}

static void test_many_processes_need_few_records(void **state)
{
	pid_t children[60];
	char selector[1024] = "";
	struct bench bench;

	(void)state;
	for (unsigned i = 0; i < 60; i++) {
		children[i] = child_start(CHILD_SLEEPS, NULL);
		snprintf(selector + strlen(selector), sizeof(selector) - strlen(selector), "|%s",
			 by_pid(children[i]));
	}
	kill(children[7], SIGSTOP);
	assert_true(child_wait_state(children[7], 'T'));
	inject(&bench, selector, "action=pause");
	assert_int_equal(record_count, 3);
	assert_int_equal(evidence_of(&bench).hits, 59);
	for (unsigned i = 0; i < 60; i++)
		assert_int_equal(child_state(children[i]), 'T');
	undo_all();
	assert_true(all_gone());
	for (unsigned i = 0; i < 60; i++)
		assert_true(child_wait_state(children[i], i == 7 ? 'T' : 'S'));
	release(&bench);
	for (unsigned i = 0; i < 60; i++)
		child_stop(children[i]);
}

/* The worker died right after its SIGSTOP: the guardian is there before the signal is obeyed. */
static void test_undo_overtakes_a_stop_under_way(void **state)
{
	pid_t children[4];
	struct bench bench;

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		children[i] = child_start(i % 2 ? CHILD_COMPUTES_IN_THREADS : CHILD_COMPUTES, NULL);
	for (unsigned round = 0; round < 50; round++) {
		pid_t child = children[round % 4];

		inject(&bench, by_pid(child), "action=pause");
		undo_all();
		/* the same record again, this time against a stop that is only just on its way */
		kill(child, SIGSTOP);
		undo_all();
		usleep(2000);
		assert_true(all_gone());
		assert_int_not_equal(child_state(child), 'T');
		release(&bench);
	}
	for (unsigned i = 0; i < 4; i++)
		child_stop(children[i]);
}

/* A process in state D obeys only when it wakes, which may be after the undo. */
static void test_stop_that_is_not_obeyed_yet_is_taken_back(void **state)
{
	pid_t child = child_start(CHILD_HANGS_THEN_COUNTS, NULL);
	struct bench bench;

	(void)state;
	assert_true(child_wait_state(child, 'D'));
	inject(&bench, by_pid(child), "action=pause");
	assert_non_null(strstr(evidence_of(&bench).detail, "1 of them not at once"));
	assert_int_equal(child_state(child), 'D');
	undo_all();
	assert_true(all_gone());
	assert_int_equal(child_state(child), 'D');
	assert_true(child_counts_within(3000)); /* it woke, and was not stopped */
	release(&bench);
	child_stop(child);
}

static int break_down(void)
{
	return -1;
}

static void test_nothing_is_stopped_without_a_record(void **state)
{
	pid_t child = child_start(CHILD_COUNTS, NULL);
	struct bench bench;

	(void)state;
	must(&bench, plan_fault(&bench, by_pid(child), "action=pause"));
	before_journal = break_down;
	assert_int_equal(process_fault.inject(&bench.fault, &bench.err), -EIO);
	before_journal = NULL;
	assert_true(child_counts());
	release(&bench);
	child_stop(child);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pause_by_sigstop_and_exact_undo),
		cmocka_unit_test(test_undo_alone_ends_the_pause),
		cmocka_unit_test(test_undo_of_a_pause_that_never_began),
		cmocka_unit_test(test_what_was_stopped_stays_stopped),
		cmocka_unit_test(test_undo_after_death_and_after_reuse),
		cmocka_unit_test(test_many_processes_need_few_records),
		cmocka_unit_test(test_undo_overtakes_a_stop_under_way),
		cmocka_unit_test(test_stop_that_is_not_obeyed_yet_is_taken_back),
		cmocka_unit_test(test_nothing_is_stopped_without_a_record),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return run_as_root(run);
}
