/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A worker with a fake fault, and everything that can happen to it: killed, stopped, overrunning,
 * its guardian killed, both killed, an undo that fails, two restores at once. The fault's effect is
 * a file; "undone" means that the file is gone, and so is every trace of the run. Needs root.
 */
#include "tests/support/fake_worker.h"

#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>

static void test_killed_worker_is_undone_by_the_guardian(void **state)
{
	struct running running = start(&ordinary);

	(void)state;
	assert_int_equal(effects_in_force(), EFFECTS);
	print_message("worker killed: %u changes undone, run removed after %.2f ms\n", EFFECTS,
		      hit(running.worker, SIGKILL, 2000));
	reap(&running);
	assert_int_equal(undo_calls(), EFFECTS);
}

static void test_stopped_worker_is_killed_and_undone(void **state)
{
	struct running running = start(&ordinary);
	double took;
	int status;

	(void)state;
	took = hit(running.worker, SIGSTOP, getenv("SQUALL_IN_VM") ? 6000 : 1000);
	print_message("worker stopped: undone after %.0f ms\n", took);
	assert_true(took > (double)(GUARDIAN_STOPPED_NS - GUARDIAN_PING_NS) / NSEC_PER_MSEC - 100);
	status = reap(&running);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* A debugger that attaches, looks and goes; and who only stops it for a moment. */
static void test_worker_that_goes_on_is_left_alone(void **state)
{
	struct running running = start(&ordinary);
	int status;

	(void)state;
	kill(running.worker, SIGSTOP);
	sleep_ms(50);
	kill(running.worker, SIGCONT);
	sleep_ms(300);
	assert_int_equal(ptrace(PTRACE_SEIZE, running.worker, NULL, NULL), 0);
	assert_int_equal(ptrace(PTRACE_INTERRUPT, running.worker, NULL, NULL), 0);
	assert_int_equal(waitpid(running.worker, &status, __WALL), running.worker);
	assert_true(WIFSTOPPED(status));
	sleep_ms(2 * GUARDIAN_STOPPED_NS / NSEC_PER_MSEC);
	assert_int_equal(ptrace(PTRACE_DETACH, running.worker, NULL, NULL), 0);
	sleep_ms(700);
	assert_int_equal(effects_in_force(), EFFECTS);
	assert_false(proc_pidfd_has_exited(running.death));
	hit(running.worker, SIGKILL, 2000);
	reap(&running);
}

static void test_pinging_worker_is_left_alone(void **state)
{
	struct running running = start(&ordinary);

	(void)state;
	sleep_ms((int)(GUARDIAN_SILENCE_NS / NSEC_PER_MSEC) + 600);
	assert_int_equal(effects_in_force(), EFFECTS);
	assert_false(proc_pidfd_has_exited(running.death));
	hit(running.worker, SIGKILL, 2000);
	reap(&running);
}

/* Stopped together for longer than the silence (a paused machine): no reason to kill anybody. */
static void test_pause_of_both_is_forgiven(void **state)
{
	struct running running = start(&ordinary);

	(void)state;
	kill(running.worker, SIGSTOP);
	kill(running.guardian, SIGSTOP);
	sleep_ms((int)(GUARDIAN_SILENCE_NS / NSEC_PER_MSEC) + 1000);
	kill(running.guardian, SIGCONT);
	sleep_ms(100);
	kill(running.worker, SIGCONT);
	sleep_ms(700);
	assert_int_equal(effects_in_force(), EFFECTS);
	assert_false(proc_pidfd_has_exited(running.death));
	hit(running.worker, SIGKILL, 2000);
	reap(&running);
}

static void test_overrun_deadline_ends_the_worker(void **state)
{
	const struct orders orders = {.deadline_after_ns = 200 * NSEC_PER_MSEC};
	struct running running = start(&orders);
	double took;
	int status;

	(void)state;
	took = hit(0, 0, 4000);
	print_message("deadline of 200 ms overrun: undone after %.0f ms\n", took);
	assert_true(took > (double)GUARDIAN_GRACE_NS / NSEC_PER_MSEC);
	status = reap(&running);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void test_killed_guardian_is_noticed_by_the_worker(void **state)
{
	struct running running = start(&ordinary);

	(void)state;
	print_message("guardian killed: worker has restored after %.2f ms\n",
		      hit(running.guardian, SIGKILL, 2000));
	assert_int_equal(WEXITSTATUS(reap(&running)), WORKER_NOTICED);
}

static void test_end_leaves_nothing(void **state)
{
	const struct orders orders = {.deadline_after_ns = 60 * NSEC_PER_SEC, .ends_well = true};
	struct running running = start(&orders);

	(void)state;
	assert_int_equal(reap(&running), 0);
	assert_int_equal(effects_in_force(), 0);
	assert_int_equal(access(root, F_OK), -1);
	assert_int_equal(undo_calls(), EFFECTS);
}

static void test_worker_killed_before_the_run_began(void **state)
{
	const struct orders orders = {.deadline_after_ns = 60 * NSEC_PER_SEC,
				      .dies_before_begin = true};
	struct running running = start(&orders);

	(void)state;
	assert_true(journal_exists(run_id));
	hit(running.worker, SIGKILL, 2000);
	reap(&running);
	assert_int_equal(access(root, F_OK), -1);
}

static void test_both_killed_is_undone_by_the_next_command(void **state)
{
	struct running running = start(&ordinary);
	struct restore_report report;
	int64_t from;

	(void)state;
	kill_both(&running);
	assert_int_equal(effects_in_force(), EFFECTS);
	assert_true(journal_exists(run_id));
	from = clock_now_ns();
	report = restore_dead();
	print_message("both killed: restored in %.2f ms\n",
		      (double)(clock_now_ns() - from) / NSEC_PER_MSEC);
	assert_int_equal(report.undone, EFFECTS);
	assert_int_equal(report.failed, 0);
	assert_int_equal(report.did_count, EFFECTS);
	assert_non_null(strstr(report.did[0], "effect number 0"));
	assert_non_null(strstr(report.did[0], run_id));
	restore_report_free(&report);
	assert_int_equal(effects_in_force(), 0);
	assert_int_equal(access(root, F_OK), -1);
	assert_false(has_cgroup(&running));
}

static void test_live_run_is_left_alone(void **state)
{
	struct running running = start(&ordinary);
	struct restore_report report = restore_dead();
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(report.undone + report.failed + report.did_count, 0);
	assert_int_equal(restore_run(run_id, &report, &err), -EBUSY);
	assert_non_null(strstr(err.remedy, "squall stop"));
	assert_int_equal(effects_in_force(), EFFECTS);
	hit(running.worker, SIGKILL, 2000);
	reap(&running);
}

static void test_failed_undo_keeps_the_journal_and_says_what_to_type(void **state)
{
	struct running running = start(&ordinary);
	struct restore_report report;
	char hand[200];

	(void)state;
	mark("effect1.stuck", true);
	kill(running.worker, SIGKILL);
	reap(&running);
	assert_int_equal(effects_in_force(), 1); /* the others are undone all the same */
	assert_true(journal_exists(run_id));

	report = restore_dead();
	assert_int_equal(report.undone, 0);
	assert_int_equal(report.failed, 1);
	assert_int_equal(report.left_count, 1);
	snprintf(hand, sizeof(hand), "rm %s/effect1", base);
	assert_non_null(strstr(report.left[0], hand));
	assert_non_null(strstr(report.left[0], "is stuck"));
	restore_report_free(&report);
	assert_true(journal_exists(run_id));

	mark("effect1.stuck", false);
	report = restore_dead();
	assert_int_equal(report.undone, 1);
	assert_int_equal(report.failed, 0);
	restore_report_free(&report);
	assert_int_equal(effects_in_force(), 0);
	assert_false(journal_exists(run_id));
}

static void test_guardian_tries_again_what_failed_for_a_moment(void **state)
{
	struct running running = start(&ordinary);

	(void)state;
	mark("effect1.stuck", true);
	kill(running.worker, SIGKILL);
	for (unsigned i = 0; i < 500 && effects_in_force() != 1; i++)
		sleep_ms(10);
	sleep_ms(60);
	assert_int_equal(effects_in_force(), 1);
	mark("effect1.stuck", false);
	hit(0, 0, 2000);
	reap(&running);
}

static void test_command_waits_for_a_guardian_at_work(void **state)
{
	struct running running = start(&ordinary);
	struct restore_report report;

	(void)state;
	mark("slow", true);
	kill(running.worker, SIGKILL);
	waitpid(running.worker, NULL, 0);
	report = restore_dead();
	assert_int_equal(report.failed, 0);
	assert_int_equal(effects_in_force(), 0);
	assert_false(journal_exists(run_id));
	assert_int_equal(undo_calls(), EFFECTS);
	restore_report_free(&report);
	waitpid(running.guardian, NULL, 0);
	close(running.death);
	close(running.guardian_death);
}

/* A guardian that was stopped while its worker died: after two seconds the command does it. */
static void test_stopped_guardian_is_passed_by(void **state)
{
	struct running running = start(&ordinary);
	struct restore_report report;

	(void)state;
	kill(running.guardian, SIGSTOP);
	kill(running.worker, SIGKILL);
	waitpid(running.worker, NULL, 0);
	report = restore_dead();
	assert_int_equal(report.undone, EFFECTS);
	assert_int_equal(report.failed, 0);
	restore_report_free(&report);
	assert_int_equal(effects_in_force(), 0);
	kill(running.guardian, SIGCONT);
	waitpid(running.guardian, NULL, 0);
	assert_false(has_cgroup(&running));
	assert_int_equal(undo_calls(), EFFECTS);
	close(running.death);
	close(running.guardian_death);
}

static void test_two_restores_at_once_undo_once(void **state)
{
	struct running running = start(&ordinary);
	pid_t restorers[4];

	(void)state;
	kill_both(&running);
	mark("slow", true);
	for (unsigned at = 0; at < 4; at++) {
		restorers[at] = fork();
		if (restorers[at] == 0) {
			struct restore_report report = {0};
			struct error err = ERROR_INIT;

			restore_run(run_id, &report, &err);
			_exit(err.code || report.failed ? 255 : (int)report.undone);
		}
	}
	for (unsigned at = 0, undone = 0; at < 4; at++) {
		int status;

		assert_int_equal(waitpid(restorers[at], &status, 0), restorers[at]);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) != 255);
		undone += (unsigned)WEXITSTATUS(status);
		if (at == 3)
			assert_int_equal(undone, EFFECTS);
	}
	assert_int_equal(undo_calls(), EFFECTS);
	assert_false(journal_exists(run_id));
	assert_int_equal(restore_dead().failed, 0);
}

static void test_restore_of_one_step_leaves_the_others(void **state)
{
	const struct orders orders = {.deadline_after_ns = 60 * NSEC_PER_SEC,
				      .without_guardian = true};
	struct running running = start(&orders);
	struct restore_report report = {0};
	struct error err = ERROR_INIT;
	struct journal *journal;

	(void)state;
	kill(running.worker, SIGKILL);
	reap(&running);
	assert_int_equal(journal_open(run_id, &journal, &err), 0);
	assert_int_equal(restore_records(journal, 1, &report, &err), 0);
	assert_int_equal(report.undone, 1);
	assert_int_equal(effects_in_force(), EFFECTS - 1);
	assert_int_equal(restore_records(journal, 1, &report, &err), 0); /* twice is a no-op */
	assert_int_equal(report.undone, 1);
	journal_close(journal);
	restore_report_free(&report);
	report = restore_dead();
	assert_int_equal(report.undone, EFFECTS - 1);
	restore_report_free(&report);
}

/* What the guardian is: hard to kill, confined, holding nothing of the worker's. */
static void test_guardian_holds_nothing_and_is_confined(void **state)
{
	int held[2], null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct cgroup_mounts mounts;
	struct running running;
	char text[4096], path[64], wanted[64];
	unsigned descriptors = 0;
	struct pollfd poller;
	DIR *stream;

	(void)state;
	assert_int_equal(pipe2(held, O_CLOEXEC), 0);
	running = start(&ordinary);
	close(held[1]); /* the worker holds the other copy, the guardian must not */

	assert_true(proc_read_file(running.guardian, "status", text, sizeof(text)) > 0);
	assert_non_null(strstr(text, "Name:\tsquall-guardian"));
	assert_non_null(strstr(text, "Seccomp:\t2"));
	assert_non_null(strstr(text, "NoNewPrivs:\t1"));
	snprintf(wanted, sizeof(wanted), "CapEff:\t%016llx",
		 1ULL << CAP_NET_ADMIN | GUARDIAN_CAPABILITIES);
	assert_non_null(strstr(text, wanted));
	memcpy(wanted, "CapBnd", 6);
	assert_non_null(strstr(text, wanted));
	assert_true(proc_read_file(running.guardian, "oom_score_adj", text, sizeof(text)) > 0);
	if (prctl(PR_CAPBSET_READ, CAP_SYS_RESOURCE, 0, 0, 0) == 1)
		assert_string_equal(text, "-1000\n");
	else
		print_message("skipped: oom_score_adj, CAP_SYS_RESOURCE is missing here\n");
	snprintf(path, sizeof(path), "/proc/%d/fd", (int)running.guardian);
	stream = opendir(path);
	while (stream && readdir(stream))
		descriptors++;
	closedir(stream);
	assert_int_equal(descriptors - 2, 6); /* 0 1 2, socket, pidfd, timer */
	assert_false(has_cgroup(&running));   /* a fault does not wait for that ... */
	for (int tries = 0; tries < 20 && !has_cgroup(&running); tries++)
		sleep_ms(50);
	if (cgroup_find_mounts(&mounts, NULL) == 0 && access(mounts.unified, W_OK) == 0)
		assert_true(has_cgroup(&running)); /* ... but it comes */
	else
		print_message("skipped: control group, no writable cgroup v2 here\n");

	for (int signal = 1; signal < SIGRTMAX; signal++)
		if (signal != SIGKILL && signal != SIGSTOP)
			kill(running.guardian, signal);
	sleep_ms(50);
	assert_false(proc_pidfd_has_exited(running.guardian_death));

	kill(running.guardian, SIGSTOP); /* it lives on, and still the worker's end is closed */
	kill(running.worker, SIGKILL);
	poller = (struct pollfd){.fd = held[0], .events = POLLIN};
	assert_int_equal(poll(&poller, 1, 1000), 1);
	assert_true(poller.revents & POLLHUP);
	kill(running.guardian, SIGCONT);
	hit(0, 0, 2000);
	reap(&running);
	close(held[0]);
	close(null);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_killed_worker_is_undone_by_the_guardian),
		TEST(test_stopped_worker_is_killed_and_undone),
		TEST(test_worker_that_goes_on_is_left_alone),
		TEST(test_pinging_worker_is_left_alone),
		TEST(test_pause_of_both_is_forgiven),
		TEST(test_overrun_deadline_ends_the_worker),
		TEST(test_killed_guardian_is_noticed_by_the_worker),
		TEST(test_end_leaves_nothing),
		TEST(test_worker_killed_before_the_run_began),
		TEST(test_both_killed_is_undone_by_the_next_command),
		TEST(test_live_run_is_left_alone),
		TEST(test_failed_undo_keeps_the_journal_and_says_what_to_type),
		TEST(test_guardian_tries_again_what_failed_for_a_moment),
		TEST(test_command_waits_for_a_guardian_at_work),
		TEST(test_stopped_guardian_is_passed_by),
		TEST(test_two_restores_at_once_undo_once),
		TEST(test_restore_of_one_step_leaves_the_others),
		TEST(test_guardian_holds_nothing_and_is_confined),
	};

	return RUN_AS_ROOT(tests);
}
