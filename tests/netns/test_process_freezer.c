/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Pausing whole control groups by the freezer.
 */
#include "tests/netns/process_bench.h"

#include "faults/warden.h"

#include <sys/stat.h>

static void test_freezer_for_a_whole_group(void **state)
{
	char group[128], selector[160];
	pid_t child, other;
	struct bench bench;

	(void)state;
	group_make("sqpr-whole", group);
	child = child_start(CHILD_COUNTS, group);
	other = child_start(CHILD_SLEEPS, group);
	snprintf(selector, sizeof(selector), "cgroup=/sqpr-whole");
	inject(&bench, selector, "action=pause");
	assert_non_null(strstr(plan_text, "cgroup.freeze"));
	assert_int_equal(record_count, 1);
	assert_int_equal(evidence_of(&bench).hits, 2);
	assert_int_equal(group_value(group, "cgroup.freeze"), 1);
	assert_false(child_counts());
	assert_false(all_gone());
	end_fault(&bench);
	assert_true(child_counts());
	undo_all();
	assert_true(all_gone());
	assert_int_equal(group_value(group, "cgroup.freeze"), 0);
	release(&bench);
	/* from the record alone, and twice */
	inject(&bench, selector, "action=pause|pause-by=freezer");
	undo_all();
	undo_all();
	assert_true(all_gone());
	assert_true(child_counts());
	release(&bench);
	child_stop(child);
	child_stop(other);
	group_remove(group);
}

/* As systemd names a unit with a "-" in the name of its device */
static void test_a_group_with_a_backslash_is_thawed_as_told(void **state)
{
	char group[128], left[1024] = "";
	struct error err = ERROR_INIT;
	bool is_gone = true;
	struct bench bench;
	pid_t child;

	(void)state;
	group_make("sqpr-dev\\x2dsda 1", group);
	child = child_start(CHILD_COUNTS, group);
	inject(&bench, "cgroup=/sqpr-dev\\x2dsda 1", "action=pause|pause-by=freezer");
	assert_int_equal(record_count, 1);
	assert_int_equal(process_fault.verify(&records[0], &is_gone, left, sizeof(left), &err), 0);
	print_message("%s\n", left);
	assert_false(is_gone);
	assert_non_null(strstr(left, "; echo 0 > "));
	assert_int_equal(system(strstr(left, "; echo 0 > ") + 2), 0);
	assert_true(child_counts());
	undo_all();
	assert_true(all_gone());
	release(&bench);
	child_stop(child);
	group_remove(group);
}

static void test_unit_is_a_whole_group(void **state)
{
	char slice[128], group[128];
	struct bench bench;
	pid_t child;

	(void)state;
	group_make("sqpr.slice", slice);
	group_make("sqpr.slice/sqprweb.service", group);
	child = child_start(CHILD_COUNTS, group);
	inject(&bench, "unit=sqprweb", "action=pause");
	assert_non_null(strstr(plan_text, "sqpr.slice/sqprweb.service/cgroup.freeze"));
	assert_false(child_counts());
	end_fault(&bench);
	assert_true(child_counts());
	release(&bench);
	child_stop(child);
	group_remove(group);
	group_remove(slice);
}

static void test_group_that_was_frozen_stays_frozen(void **state)
{
	char group[128];
	struct bench bench;
	pid_t child;

	(void)state;
	group_make("sqpr-frozen", group);
	child = child_start(CHILD_SLEEPS, group);
	group_write(group, "cgroup.freeze", "1");
	inject(&bench, "cgroup=/sqpr-frozen", "action=pause");
	assert_int_equal(record_count, 0);
	assert_int_equal(evidence_of(&bench).hits, 0);
	end_fault(&bench);
	undo_all();
	assert_int_equal(group_value(group, "cgroup.freeze"), 1);
	group_write(group, "cgroup.freeze", "0");
	release(&bench);
	child_stop(child);
	group_remove(group);
}

static void test_stopped_member_stays_stopped_through_the_freezer(void **state)
{
	char group[128];
	struct bench bench;
	pid_t child, stopped;

	(void)state;
	group_make("sqpr-mixed", group);
	child = child_start(CHILD_COUNTS, group);
	stopped = child_start(CHILD_SLEEPS, group);
	kill(stopped, SIGSTOP);
	assert_true(child_wait_state(stopped, 'T'));
	inject(&bench, "cgroup=/sqpr-mixed", "action=pause");
	undo_all();
	assert_true(child_counts());
	assert_int_equal(child_state(stopped), 'T');
	release(&bench);
	child_stop(child);
	child_stop(stopped);
	group_remove(group);
}

static void test_thaw_of_a_group_that_was_made_again(void **state)
{
	char group[128];
	struct bench bench;
	pid_t child;

	(void)state;
	group_make("sqpr-again", group);
	child = child_start(CHILD_SLEEPS, group);
	inject(&bench, "cgroup=/sqpr-again", "action=pause");
	child_stop(child);
	group_remove(group);
	undo_all();
	assert_true(all_gone());
	/* another group has the name, and someone froze that one */
	group_make("sqpr-again", group);
	group_write(group, "cgroup.freeze", "1");
	undo_all();
	assert_true(all_gone());
	assert_int_equal(group_value(group, "cgroup.freeze"), 1);
	end_fault(&bench);
	assert_int_equal(group_value(group, "cgroup.freeze"), 1);
	release(&bench);
	group_remove(group);
}

static void test_narrower_targets_are_stopped_one_by_one(void **state)
{
	char group[128], foreign[128], path[160];
	struct bench bench;
	pid_t child, other;

	(void)state;
	group_make("sqpr-part", group);
	child = child_start(CHILD_COUNTS, group);
	other = child_start(CHILD_SLEEPS, group);
	inject(&bench, "cgroup=/sqpr-part|count=1", "action=pause");
	assert_int_equal(group_value(group, "cgroup.freeze"), 0);
	assert_int_equal(evidence_of(&bench).hits, 1);
	undo_all();
	assert_true(all_gone());
	release(&bench);
	assert_int_equal(
		plan_fault(&bench, "cgroup=/sqpr-part|count=1", "action=pause|pause-by=freezer"),
		-EINVAL);
	assert_non_null(strstr(bench.err.remedy, "sigstop"));
	release(&bench);
	child_stop(child);
	child_stop(other);
	group_remove(group);
	/* a group of another user could not be thawed with CAP_KILL alone */
	group_make("sqpr-foreign", foreign);
	snprintf(path, sizeof(path), "%s/cgroup.freeze", foreign);
	assert_int_equal(chown(path, 65534, 65534), 0);
	child = child_start(CHILD_COUNTS, foreign);
	inject(&bench, "cgroup=/sqpr-foreign", "action=pause");
	assert_non_null(strstr(plan_text, "belongs to user 65534"));
	assert_int_equal(child_state(child), 'T');
	undo_all();
	assert_true(child_counts());
	release(&bench);
	child_stop(child);
	group_remove(foreign);
}

static void test_group_with_a_protected_process_is_not_frozen(void **state)
{
	char group[128];
	struct bench bench;
	pid_t child, critical;

	(void)state;
	group_make("sqpr-guarded", group);
	child = child_start(CHILD_COUNTS, group);
	critical = child_start(CHILD_BECOMES_SSHD, group);
	must(&bench, plan_fault(&bench, "cgroup=/sqpr-guarded", "action=pause|pause-by=freezer"));
	/* it becomes an sshd between plan and inject */
	kill(critical, SIGUSR1);
	assert_true(child_wait_name(critical, "sshd"));
	assert_int_equal(process_fault.inject(&bench.fault, &bench.err), -EPERM);
	assert_non_null(strstr(bench.err.text, "way into this machine"));
	assert_int_equal(group_value(group, "cgroup.freeze"), 0);
	assert_int_equal(record_count, 0);
	release(&bench);
	/* now that it is known, only the other one is stopped */
	inject(&bench, "cgroup=/sqpr-guarded", "action=pause");
	assert_non_null(strstr(plan_text, "way into this machine"));
	assert_int_equal(bench.target.process_count, 1);
	assert_int_equal(child_state(child), 'T');
	assert_int_not_equal(child_state(critical), 'T');
	undo_all();
	release(&bench);
	inject(&bench, "cgroup=/sqpr-guarded|allow-critical=true", "action=pause");
	assert_int_equal(group_value(group, "cgroup.freeze"), 1);
	undo_all();
	assert_int_equal(group_value(group, "cgroup.freeze"), 0);
	release(&bench);
	child_stop(child);
	child_stop(critical);
	group_remove(group);
}

static pid_t spared;

static int refuse_spared(pid_t pid, struct error *err)
{
	return pid == spared ? error_set(err, EPERM, "process %d is protected", pid) : 0;
}

static void test_who_joins_after_the_plan_counts(void **state)
{
	static const struct fault_warden warden = {.process = refuse_spared};
	pid_t child, joined[2];
	char group[128];
	struct bench bench;

	(void)state;
	group_make("sqpr-joined", group);
	child = child_start(CHILD_SLEEPS, group);
	must(&bench, plan_fault(&bench, "cgroup=/sqpr-joined", "action=pause"));
	joined[0] = child_start(CHILD_SLEEPS, group);
	joined[1] = child_start(CHILD_SLEEPS, group);
	bench.env.targets_more = 1;
	assert_int_equal(process_fault.inject(&bench.fault, &bench.err), -E2BIG);
	assert_int_equal(group_value(group, "cgroup.freeze"), 0);
	assert_int_equal(target_size(&bench.target), 1);
	bench.env.targets_more = 2;
	fault_warden_use(&warden);
	spared = joined[1];
	assert_int_equal(process_fault.inject(&bench.fault, &bench.err), -EPERM);
	assert_non_null(strstr(bench.err.text, "sqpr-joined"));
	assert_int_equal(group_value(group, "cgroup.freeze"), 0);
	assert_int_equal(record_count, 0);
	spared = 0;
	must(&bench, process_fault.inject(&bench.fault, &bench.err));
	assert_int_equal(target_size(&bench.target), 3);
	undo_all();
	end_fault(&bench);
	/* they are among the target's now, for the next pulse */
	bench.env.targets_more = 0;
	must(&bench, process_fault.inject(&bench.fault, &bench.err));
	assert_int_equal(evidence_of(&bench).hits, 3);
	undo_all();
	release(&bench);
	fault_warden_use(NULL);
	for (unsigned i = 0; i < 2; i++)
		child_stop(joined[i]);
	child_stop(child);
	group_remove(group);
}

static void test_group_that_does_not_freeze_is_given_back(void **state)
{
	char group[128];
	struct bench bench;
	pid_t child, other;

	(void)state;
	group_make("sqpr-hard", group);
	other = child_start(CHILD_COUNTS, group);
	child = child_start(CHILD_HANGS, group);
	assert_true(child_wait_state(child, 'D'));
	must(&bench, plan_fault(&bench, "cgroup=/sqpr-hard", "action=pause"));
	assert_int_equal(process_fault.inject(&bench.fault, &bench.err), -ETIMEDOUT);
	assert_non_null(strstr(bench.err.text, "does not freeze"));
	assert_int_equal(group_value(group, "cgroup.freeze"), 0);
	assert_true(child_wait_state(other, 'S'));
	undo_all();
	assert_true(all_gone());
	release(&bench);
	child_stop(child);
	child_stop(other);
	group_remove(group);
}

/* A tree that forks all the time. */
static void test_fork_storm(void **state)
{
	char group[128];
	struct evidence evidence;
	struct bench bench;
	pid_t child;

	(void)state;
	group_make("sqpr-storm", group);
	child = child_start(CHILD_FORKS_FOREVER, group);
	/* the freezer takes all of it, whoever was listed before */
	for (unsigned i = 0; i < 5; i++) {
		inject(&bench, "cgroup=/sqpr-storm", "action=pause");
		assert_int_equal(group_value(group, "cgroup.freeze"), 1);
		assert_false(child_counts());
		undo_all();
		assert_true(all_gone());
		assert_true(child_counts());
		release(&bench);
	}
	/* a kill hits those that were pinned and no others, and says how many were gone */
	inject(&bench, "cgroup=/sqpr-storm|command=.", "signal=USR2");
	evidence = evidence_of(&bench);
	assert_in_range(evidence.hits, 1, bench.target.process_count);
	release(&bench);
	group_kill(group);
	child_stop(child);
	group_remove(group);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_freezer_for_a_whole_group),
		cmocka_unit_test(test_a_group_with_a_backslash_is_thawed_as_told),
		cmocka_unit_test(test_unit_is_a_whole_group),
		cmocka_unit_test(test_group_that_was_frozen_stays_frozen),
		cmocka_unit_test(test_stopped_member_stays_stopped_through_the_freezer),
		cmocka_unit_test(test_thaw_of_a_group_that_was_made_again),
		cmocka_unit_test(test_narrower_targets_are_stopped_one_by_one),
		cmocka_unit_test(test_group_with_a_protected_process_is_not_frozen),
		cmocka_unit_test(test_who_joins_after_the_plan_counts),
		cmocka_unit_test(test_group_that_does_not_freeze_is_given_back),
		cmocka_unit_test(test_fork_storm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return run_as_root(run);
}
