/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Killing real processes, and with how few rights.
 */
#include "tests/netns/process_bench.h"

#include <linux/capability.h>
#include <sys/capability.h>
#include <sys/wait.h>

static void test_kill_hits_and_sees_the_exit(void **state)
{
	pid_t child = child_start(CHILD_SLEEPS, NULL);
	struct evidence evidence;
	struct bench bench;
	int status;

	(void)state;
	inject(&bench, by_pid(child), "");
	evidence = evidence_of(&bench);
	assert_int_equal(evidence.hits, 1);
	assert_non_null(strstr(evidence.detail, "1 process got SIGKILL, 1 exited within"));
	assert_int_equal(record_count, 0);
	assert_non_null(strstr(plan_text, "cannot be undone"));
	assert_true(process_fault.is_instant(&bench.params));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	release(&bench);
}

static void test_any_signal(void **state)
{
	pid_t child = child_start(CHILD_COUNTS_USR1, NULL);
	struct bench bench;

	(void)state;
	inject(&bench, by_pid(child), "signal=USR1");
	assert_true(child_wait_count(1));
	assert_non_null(
		strstr(evidence_of(&bench).detail, "1 process got SIGUSR1, 0 exited so far"));
	release(&bench);
	inject(&bench, by_pid(child), "signal=TERM");
	assert_true(child_wait_exit(child));
	assert_non_null(strstr(evidence_of(&bench).detail, "1 process got SIGTERM, 1 exited"));
	release(&bench);
	child_stop(child);
}

static void test_stop_signals_are_refused(void **state)
{
	static const char *const signals[] = {"STOP", "TSTP", "TTIN", "22", NULL};
	struct error err = ERROR_INIT;
	struct params params;
	char text[32];

	(void)state;
	for (unsigned i = 0; signals[i]; i++) {
		snprintf(text, sizeof(text), "signal=%s", signals[i]);
		set_params(&params, process_fault.params, text);
		assert_int_equal(process_fault.check(&params, &err), -EINVAL);
		assert_non_null(strstr(err.remedy, "pause"));
		params_free(&params);
	}
	set_params(&params, process_fault.params, "signal=CONT");
	assert_int_equal(process_fault.check(&params, &err), 0);
	params_free(&params);
	set_params(&params, process_fault.params, "action=pause|signal=TERM");
	assert_int_equal(process_fault.check(&params, &err), -EINVAL);
	params_free(&params);
	set_params(&params, process_fault.params, "pause-by=freezer");
	assert_int_equal(process_fault.check(&params, &err), -EINVAL);
	params_free(&params);
	set_params(&params, process_fault.params, "action=pause");
	assert_int_equal(process_fault.check(&params, &err), 0);
	assert_false(process_fault.is_instant(&params));
	params_free(&params);
}

static void test_kill_of_what_died_meanwhile_is_idle(void **state)
{
	pid_t child = child_start(CHILD_SLEEPS, NULL);
	struct bench bench;

	(void)state;
	must(&bench, plan_fault(&bench, by_pid(child), ""));
	child_stop(child);
	must(&bench, process_fault.inject(&bench.fault, &bench.err));
	assert_int_equal(evidence_of(&bench).hits, 0);
	assert_non_null(strstr(evidence_of(&bench).detail, "1 gone before"));
	release(&bench);
}

static void test_kill_spares_what_became_critical(void **state)
{
	pid_t child = child_start(CHILD_BECOMES_SSHD, NULL);
	struct bench bench;

	(void)state;
	must(&bench, plan_fault(&bench, by_pid(child), ""));
	kill(child, SIGUSR1);
	assert_true(child_wait_name(child, "sshd"));
	assert_int_equal(process_fault.inject(&bench.fault, &bench.err), -EPERM);
	assert_non_null(strstr(bench.err.text, "sshd"));
	assert_int_equal(kill(child, 0), 0);
	release(&bench);
	child_stop(child);
}

static int keep_capabilities(const cap_value_t *kept, int count)
{
	cap_t capabilities = cap_init();
	int result;

	if (count) {
		cap_set_flag(capabilities, CAP_PERMITTED, count, kept, CAP_SET);
		cap_set_flag(capabilities, CAP_EFFECTIVE, count, kept, CAP_SET);
	}
	result = cap_set_proc(capabilities);
	cap_free(capabilities);
	return result;
}

/* The number of the step that failed; 0: none. In a process of its own: no asserts here. */
static int work_with_cap_kill(struct bench *stop, struct bench *freeze, struct bench *end,
			      pid_t stopped, const char *group)
{
	static const cap_value_t cap_kill[] = {CAP_KILL};

	if (keep_capabilities(cap_kill, 1) < 0)
		return 1;
	if (process_fault.inject(&stop->fault, NULL) < 0 || child_state(stopped) != 'T')
		return 2;
	if (process_fault.inject(&freeze->fault, NULL) < 0 ||
	    group_value(group, "cgroup.freeze") != 1)
		return 3;
	if (process_fault.inject(&end->fault, NULL) < 0 || evidence_of(end).hits != 1)
		return 4;
	if (record_count != 2 || all_gone())
		return 5;
	undo_all();
	if (!all_gone() || !child_wait_state(stopped, 'S'))
		return 6;
	if (group_value(group, "cgroup.freeze") != 0)
		return 7;
	/* and without it, it would not have been */
	if (keep_capabilities(NULL, 0) < 0 ||
	    proc_pidfd_signal(stop->target.processes[0].pidfd, SIGSTOP) != -EPERM)
		return 8;
	return 0;
}

static void test_cap_kill_is_enough(void **state)
{
	char group[128];
	struct bench stop, freeze, end;
	pid_t one = child_start(CHILD_SLEEPS_AS_NOBODY, NULL), two, three;
	pid_t worker;
	int status;

	(void)state;
	assert_int_equal(process_fault.capabilities, 1ULL << CAP_KILL);
	group_make("sqpr-cap", group);
	two = child_start(CHILD_SLEEPS_AS_NOBODY, group);
	three = child_start(CHILD_SLEEPS_AS_NOBODY, NULL);
	/* selection and plan come before the rights are dropped */
	must(&stop, plan_fault(&stop, by_pid(one), "action=pause"));
	must(&freeze, plan_fault(&freeze, "cgroup=/sqpr-cap", "action=pause"));
	must(&end, plan_fault(&end, by_pid(three), ""));
	worker = fork();
	if (worker == 0)
		_exit(work_with_cap_kill(&stop, &freeze, &end, one, group));
	assert_int_equal(waitpid(worker, &status, 0), worker);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fail_msg("step %d failed", WEXITSTATUS(status));
	release(&stop);
	release(&freeze);
	release(&end);
	child_stop(one);
	child_stop(two);
	child_stop(three);
	group_remove(group);
}

static void test_probe_names_the_ways(void **state)
{
	struct fault_support support = {0};

	(void)state;
	assert_int_equal(process_fault.probe(&support, NULL), 0);
	print_message("%s\n", support.way);
	assert_true(support.usable);
	assert_non_null(strstr(support.way, "pidfd"));
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kill_hits_and_sees_the_exit),
		cmocka_unit_test(test_any_signal),
		cmocka_unit_test(test_stop_signals_are_refused),
		cmocka_unit_test(test_kill_of_what_died_meanwhile_is_idle),
		cmocka_unit_test(test_kill_spares_what_became_critical),
		cmocka_unit_test(test_cap_kill_is_enough),
		cmocka_unit_test(test_probe_names_the_ways),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return run_as_root(run);
}
