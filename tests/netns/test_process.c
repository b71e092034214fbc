/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The process fault on real processes: children of the test, each in its own session, some in
 * control groups of their own. The journal is an array here, so that a record can be altered and
 * undone again.
 */
#include "faults/fault.h"
#include "faults/process_pause.h"
#include "faults/process_record.h"
#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/kernel/cgroup.h"
#include "injector/kernel/proc.h"
#include "tests/support/children.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

extern const struct fault_ops process_fault;

/* --- stand-ins for what carries records and plans --- */

static struct journal_record records[64];
static unsigned record_count;
static int (*before_journal)(void);
static char plan_text[16384];

int journal_undo(struct journal *journal, const char *owner, uint32_t step, uint32_t type,
		 const void *payload, size_t payload_size, struct error *err)
{
	struct journal_record *record = &records[record_count];

	(void)journal;
	if (before_journal && before_journal() < 0)
		return error_set(err, EIO, "the journal is broken");
	assert_string_equal(owner, "process");
	assert_in_range(payload_size, 1, JOURNAL_PAYLOAD);
	assert_true(record_count < 64);
	*record = (struct journal_record){.kind = JOURNAL_UNDO, .step = step, .type = type};
	memcpy(record->payload, payload, payload_size);
	return (int)++record_count;
}

int plan_add(struct plan *plan, enum plan_kind kind, const char *format, ...)
{
	size_t used = strlen(plan_text);
	va_list args;

	(void)plan;
	va_start(args, format);
	used += (size_t)snprintf(plan_text + used, sizeof(plan_text) - used, "%d ", (int)kind);
	vsnprintf(plan_text + used, sizeof(plan_text) - used, format, args);
	va_end(args);
	strncat(plan_text, "\n", sizeof(plan_text) - strlen(plan_text) - 1);
	return 0;
}

/* --- one fault from selector to release --- */

struct bench {
	struct fault_env env;
	struct target target;
	struct params params;
	struct fault fault;
	struct error err;
};

static void set_params(struct params *params, const struct param *table, const char *text)
{
	cleanup_free char *words = strdup(text);
	char *rest = words, *word, *value;
	struct error why = ERROR_INIT;

	assert_int_equal(params_init(params, table, NULL), 0);
	while ((word = strsep(&rest, "|"))) {
		value = strchr(word, '=');
		if (!value)
			continue;
		*value++ = '\0';
		if (params_add(params, (unsigned)params_find(table, word), value, 0, 0, &why) < 0)
			fail_msg("%s", why.text);
	}
}

static int select_processes(struct bench *bench, const char *selector)
{
	const struct target_guard guard = {0};

	*bench = (struct bench){.target.kind = TARGET_PROCESS};
	set_params(&bench->target.params, process_params, selector);
	return target_process_resolve(&bench->target, &guard, &bench->err);
}

static int plan_fault(struct bench *bench, const char *selector, const char *params)
{
	int result = select_processes(bench, selector);

	if (result < 0)
		fail_msg("%s: %s", selector, bench->err.text);
	set_params(&bench->params, process_fault.params, params);
	result = process_fault.check(&bench->params, &bench->err);
	if (result < 0)
		return result;
	record_count = 0;
	plan_text[0] = '\0';
	bench->fault = (struct fault){.ops = &process_fault,
				      .params = &bench->params,
				      .target = &bench->target,
				      .env = &bench->env};
	return process_fault.plan(&bench->fault, NULL, &bench->err);
}

static void must(struct bench *bench, int result)
{
	if (result < 0)
		fail_msg("%s", bench->err.text);
}

static void inject(struct bench *bench, const char *selector, const char *params)
{
	must(bench, plan_fault(bench, selector, params));
	must(bench, process_fault.inject(&bench->fault, &bench->err));
	assert_true(bench->fault.effect_started_ns > 0);
}

static void end_fault(struct bench *bench)
{
	int64_t again_ns = -1;

	must(bench, process_fault.end(&bench->fault, FAULT_END_NOW, &again_ns, &bench->err));
	assert_int_equal(again_ns, 0);
}

static void undo_all(void)
{
	struct error err = ERROR_INIT;

	for (unsigned i = record_count; i-- > 0;)
		if (process_fault.undo(&records[i], &err) < 0)
			fail_msg("%s", err.text);
}

static bool all_gone(void)
{
	struct error err = ERROR_INIT;
	char left[512];
	bool gone, all = true;

	for (unsigned i = 0; i < record_count; i++) {
		if (process_fault.verify(&records[i], &gone, left, sizeof(left), &err) < 0)
			fail_msg("%s", err.text);
		all = all && gone;
	}
	return all;
}

static struct evidence evidence_of(struct bench *bench)
{
	struct evidence evidence;

	must(bench, process_fault.evidence(&bench->fault, &evidence, &bench->err));
	return evidence;
}

static void release(struct bench *bench)
{
	if (bench->fault.ops)
		process_fault.release(&bench->fault);
	for (unsigned i = 0; i < bench->target.process_count; i++)
		close(bench->target.processes[i].pidfd);
	free(bench->target.processes);
	params_free(&bench->target.params);
	params_free(&bench->params);
}

static char *by_pid(pid_t pid)
{
	static char text[32];

	snprintf(text, sizeof(text), "pid=%d", pid);
	return text;
}

/* --- kill --- */

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
	assert_non_null(strstr(evidence.detail, "1 got SIGKILL, 1 exited within"));
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
	assert_non_null(strstr(evidence_of(&bench).detail, "1 got SIGUSR1, 0 exited"));
	release(&bench);
	inject(&bench, by_pid(child), "signal=TERM");
	assert_true(child_wait_exit(child));
	assert_non_null(strstr(evidence_of(&bench).detail, "1 got SIGTERM, 1 exited"));
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

/* --- pause by SIGSTOP --- */

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

/* A parent in vfork waits uninterruptibly: it would obey only after the undo. */
static void test_stop_that_is_not_obeyed_yet_is_taken_back(void **state)
{
	pid_t child = child_start(CHILD_VFORKS, NULL);
	struct bench bench;

	(void)state;
	assert_true(child_wait_state(child, 'D'));
	inject(&bench, by_pid(child), "action=pause");
	assert_non_null(strstr(evidence_of(&bench).detail, "1 of them not at once"));
	assert_int_equal(child_state(child), 'D');
	undo_all();
	assert_true(all_gone());
	assert_true(child_wait_count(1)); /* it came out of vfork, and runs */
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

/* --- pause by freezer --- */

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

static void test_group_that_does_not_freeze_is_given_back(void **state)
{
	char group[128];
	struct bench bench;
	pid_t child;

	(void)state;
	group_make("sqpr-hard", group);
	child = child_start(CHILD_VFORKS_LONG, group);
	assert_true(child_wait_state(child, 'D'));
	must(&bench, plan_fault(&bench, "cgroup=/sqpr-hard", "action=pause"));
	/* the vfork child is in the group as well; it freezes, its parent cannot */
	if (process_fault.inject(&bench.fault, &bench.err) == 0) {
		print_message("this kernel freezes the parent of a vfork\n");
	} else {
		assert_int_equal(bench.err.code, ETIMEDOUT);
		assert_non_null(strstr(bench.err.text, "does not freeze"));
		assert_int_equal(group_value(group, "cgroup.freeze"), 0);
	}
	undo_all();
	assert_int_equal(group_value(group, "cgroup.freeze"), 0);
	release(&bench);
	child_stop(child);
	group_kill(group);
	group_remove(group);
}

/* --- a tree that forks all the time --- */

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

/* --- with nothing but CAP_KILL --- */

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kill_hits_and_sees_the_exit),
		cmocka_unit_test(test_any_signal),
		cmocka_unit_test(test_stop_signals_are_refused),
		cmocka_unit_test(test_kill_of_what_died_meanwhile_is_idle),
		cmocka_unit_test(test_kill_spares_what_became_critical),
		cmocka_unit_test(test_pause_by_sigstop_and_exact_undo),
		cmocka_unit_test(test_undo_alone_ends_the_pause),
		cmocka_unit_test(test_undo_of_a_pause_that_never_began),
		cmocka_unit_test(test_what_was_stopped_stays_stopped),
		cmocka_unit_test(test_undo_after_death_and_after_reuse),
		cmocka_unit_test(test_many_processes_need_few_records),
		cmocka_unit_test(test_undo_overtakes_a_stop_under_way),
		cmocka_unit_test(test_stop_that_is_not_obeyed_yet_is_taken_back),
		cmocka_unit_test(test_nothing_is_stopped_without_a_record),
		cmocka_unit_test(test_freezer_for_a_whole_group),
		cmocka_unit_test(test_unit_is_a_whole_group),
		cmocka_unit_test(test_group_that_was_frozen_stays_frozen),
		cmocka_unit_test(test_stopped_member_stays_stopped_through_the_freezer),
		cmocka_unit_test(test_thaw_of_a_group_that_was_made_again),
		cmocka_unit_test(test_narrower_targets_are_stopped_one_by_one),
		cmocka_unit_test(test_group_with_a_protected_process_is_not_frozen),
		cmocka_unit_test(test_group_that_does_not_freeze_is_given_back),
		cmocka_unit_test(test_fork_storm),
		cmocka_unit_test(test_cap_kill_is_enough),
		cmocka_unit_test(test_probe_names_the_ways),
	};

	if (geteuid() != 0) {
		fprintf(stderr, "skipped: needs root\n");
		return getenv("SQUALL_MUST_RUN") ? 1 : 77;
	}
	children_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
