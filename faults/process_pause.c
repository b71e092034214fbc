/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Begins pauses. The freezer is preferred where the target is a whole group: it takes processes
 * that are forked meanwhile, no parent notices, and a frozen process can still be killed. It is not
 * used when the group belongs to another user: thawing it would need CAP_DAC_OVERRIDE, and CAP_KILL
 * is enough for everything else here.
 */
#include "faults/process_pause.h"

#include "faults/process_group.h"
#include "faults/process_match.h"
#include "faults/process_record.h"
#include "injector/base/clock.h"
#include "injector/kernel/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define FREEZE_NS (1 * NSEC_PER_SEC)	/* a group that is not frozen by then is given back */
#define STOP_NS	  (200 * NSEC_PER_MSEC) /* who has not stopped by then waits in the kernel */

static int open_group(struct pause *pause, struct error *err)
{
	const char *directory = pause->cgroup.directory;
	struct stat status;

	if (strlen(directory) >= FROZEN_RECORD_PATH)
		return error_set(err, ENAMETOOLONG, "the path of %s is too long", directory);
	pause->directory = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (pause->directory < 0)
		return error_errno(err, errno, "cannot open %s", directory);
	if (fstatat(pause->directory, "cgroup.freeze", &status, 0) < 0)
		return error_errno(err, errno, "%s has no freezer (Linux 5.2)", directory);
	if (status.st_uid != 0)
		return error_set(err, EPERM, "%s belongs to user %u, not to root", directory,
				 status.st_uid);
	return 0;
}

/* 0, or why the freezer cannot be used. */
static int choose_freezer(struct pause *pause, const struct fault *fault, struct error *err)
{
	const struct params *params = &fault->target->params;
	int result;

	result = process_match_one_group(params, &pause->cgroup, err);
	if (result < 0)
		return result;
	if (!pause->cgroup.is_unified)
		return error_set(err, EOPNOTSUPP, "%s is not in cgroup v2",
				 pause->cgroup.directory);
	result = open_group(pause, err);
	if (result == 0)
		result = process_group_check(&pause->cgroup, fault, err);
	return result < 0 ? result : 0;
}

static int plan_freezer(const struct pause *pause, struct plan *plan)
{
	int result = plan_add(plan, PLAN_CHANGE, "write 1 to %s/cgroup.freeze (undo: 0)",
			      pause->cgroup.directory);

	if (result == 0)
		result =
			plan_add(plan, PLAN_NOTE,
				 "freezer: processes that start in the group meanwhile pause, too");
	return result;
}

static int plan_stop(const struct fault *fault, const struct error *why, struct plan *plan)
{
	int result = plan_add(plan, PLAN_CHANGE,
			      "SIGSTOP to each process that runs (undo: SIGCONT to those)");

	if (result == 0)
		result = plan_add(plan, PLAN_NOTE, "SIGSTOP, not the freezer: %s",
				  why->code ? why->text : "as the experiment says");
	if (result == 0)
		result = plan_add(plan, PLAN_NOTE,
				  "parents are told that their children stop (SIGCHLD); processes "
				  "forked meanwhile run");
	(void)fault;
	return result;
}

int pause_plan(struct pause *pause, const struct fault *fault, enum pause_way way,
	       struct plan *plan, struct error *err)
{
	struct error why = ERROR_INIT;
	int result = way == PAUSE_SIGSTOP ? -EINVAL : choose_freezer(pause, fault, &why);

	pause->by_freezer = result == 0;
	if (way == PAUSE_FREEZER && result < 0) {
		if (err)
			*err = why;
		error_prefix(err, "the freezer cannot be used");
		return error_remedy(err, "pause-by: sigstop");
	}
	result = pause_check_others(pause, fault, err);
	if (result < 0)
		return result;
	pause->is_stopped = calloc(fault->target->process_count, sizeof(*pause->is_stopped));
	if (!pause->is_stopped)
		return error_errno(err, ENOMEM, "cannot plan a pause");
	result = pause->by_freezer ? plan_freezer(pause, plan) : plan_stop(fault, &why, plan);
	if (result == 0)
		result = plan_add(plan, PLAN_NOTE,
				  "clocks go on: timers may expire at once afterwards, and waiting "
				  "calls such as epoll_wait may return EINTR");
	return result < 0 ? error_errno(err, -result, "cannot write the plan") : 0;
}

static int journal_frozen(const struct pause *pause, const struct fault *fault, struct error *err)
{
	struct frozen_record record = {0};
	struct stat status;
	int result;

	if (fstat(pause->directory, &status) < 0)
		return error_errno(err, errno, "%s", pause->cgroup.directory);
	record.device = status.st_dev;
	record.inode = status.st_ino;
	/* open_group() has checked that it fits */
	memcpy(record.directory, pause->cgroup.directory, strlen(pause->cgroup.directory) + 1);
	result = journal_undo(fault->env->journal, PROCESS_FAULT_NAME, fault->step,
			      PAUSE_RECORD_FROZEN, &record, sizeof(record), err);
	return result < 0 ? result : 0;
}

/* Waits until it is frozen, and looks again who is inside; on failure gives it back at once. */
static int settle_frozen(struct pause *pause, const struct fault *fault, struct error *err)
{
	int result = cgroup_wait_frozen(pause->directory, true, FREEZE_NS);

	if (result == -ETIMEDOUT) {
		error_set(err, ETIMEDOUT,
			  "%s does not freeze: a process in it waits uninterruptibly (state D)",
			  pause->cgroup.directory);
		error_remedy(err, "pause-by: sigstop");
	} else if (result < 0) {
		error_errno(err, -result, "cannot wait for %s to freeze", pause->cgroup.directory);
	} else {
		result = process_group_check(&pause->cgroup, fault, err);
	}
	if (result < 0) {
		cgroup_write_freeze(pause->directory, false);
		pause->is_frozen = false;
		return result;
	}
	pause->paused = (unsigned)result;
	return 0;
}

static int inject_freezer(struct pause *pause, struct fault *fault, struct error *err)
{
	int result = process_group_check(&pause->cgroup, fault, err), was_frozen;

	if (result < 0)
		return result;
	was_frozen = cgroup_read_frozen(pause->directory);
	if (cgroup_read_freeze(pause->directory) == 1 || was_frozen == 1) {
		/* by its own file or by one above it: nothing runs here, and nothing will be woken
		 */
		pause->already = (unsigned)result;
		return 0;
	}
	if (was_frozen == -ENODEV) {
		pause->gone = fault->target->process_count;
		return 0;
	}
	result = journal_frozen(pause, fault, err);
	if (result < 0)
		return result;
	result = cgroup_write_freeze(pause->directory, true);
	if (result < 0)
		return error_errno(err, -result, "cannot freeze %s", pause->cgroup.directory);
	pause->is_frozen = true;
	return settle_frozen(pause, fault, err);
}

/* Fills a record with up to STOPPED_RECORD_MAX processes that run; *at goes on behind the last one.
 */
static int collect(struct pause *pause, const struct fault *fault, unsigned *at,
		   struct stopped_record *record, unsigned *out_indexes, struct error *err)
{
	const struct target *target = fault->target;
	enum proc_stop stop = PROC_RUNNING;
	struct error why;
	int result;

	record->count = 0;
	for (; *at < target->process_count && record->count < STOPPED_RECORD_MAX; ++*at) {
		const struct target_process *process = &target->processes[*at];

		result = target_process_recheck(process, target, &why);
		if (result == 0) {
			result = proc_read_stop(process->id.pid, &stop);
			if (result < 0)
				error_errno(&why, -result, "process %d", process->id.pid);
		}
		if (result == -ESRCH) {
			pause->gone++;
			continue;
		}
		if (result < 0) {
			if (err)
				*err = why;
			return result;
		}
		if (stop == PROC_STOPPED || stop == PROC_STOPPING || stop == PROC_TRACED) {
			pause->already++;
			continue;
		}
		out_indexes[record->count] = *at;
		record->processes[record->count++] = process->id;
	}
	return 0;
}

static int stop_batch(struct pause *pause, const struct fault *fault,
		      const struct stopped_record *record, const unsigned *indexes,
		      struct error *err)
{
	int result = journal_undo(fault->env->journal, PROCESS_FAULT_NAME, fault->step,
				  PAUSE_RECORD_STOPPED, record, sizeof(*record), err);

	if (result < 0)
		return result;
	for (unsigned i = 0; i < record->count; i++) {
		const struct target_process *process = &fault->target->processes[indexes[i]];

		result = proc_pidfd_signal(process->pidfd, SIGSTOP);
		if (result == -ESRCH) {
			pause->gone++;
			continue;
		}
		if (result < 0)
			return error_errno(err, -result, "cannot stop process %d (%s)",
					   process->id.pid, process->name);
		pause->is_stopped[indexes[i]] = true;
		pause->paused++;
	}
	return 0;
}

/* SIGSTOP is obeyed at the next return to user mode: at once, unless a process waits
 * uninterruptibly. */
static void settle_stopped(struct pause *pause, const struct target *target)
{
	const struct timespec nap = {.tv_nsec = NSEC_PER_MSEC / 5};
	int64_t due_ns = clock_now_ns() + STOP_NS;
	enum proc_stop stop;
	unsigned next = 0;

	/* those that have obeyed stay stopped, so each is waited for once */
	while (next < target->process_count) {
		if (!pause->is_stopped[next] ||
		    proc_read_stop(target->processes[next].id.pid, &stop) < 0 ||
		    stop == PROC_STOPPED || stop == PROC_TRACED) {
			next++;
		} else if (clock_now_ns() >= due_ns) {
			pause->slow++;
			next++;
		} else {
			nanosleep(&nap, NULL);
		}
	}
}

static int inject_stop(struct pause *pause, struct fault *fault, struct error *err)
{
	struct stopped_record record = {0};
	unsigned indexes[STOPPED_RECORD_MAX], at = 0;
	int result = 0;

	while (result == 0 && at < fault->target->process_count) {
		result = collect(pause, fault, &at, &record, indexes, err);
		if (result == 0 && record.count)
			result = stop_batch(pause, fault, &record, indexes, err);
	}
	if (result < 0) {
		/* the journal would do it as well; nobody should wait for that */
		pause_end(pause, fault, NULL);
		return result;
	}
	settle_stopped(pause, fault->target);
	return 0;
}

int pause_inject(struct pause *pause, struct fault *fault, struct error *err)
{
	pause->paused = pause->gone = pause->already = pause->slow = 0;
	return pause->by_freezer ? inject_freezer(pause, fault, err)
				 : inject_stop(pause, fault, err);
}

static int end_stop(struct pause *pause, const struct target *target, struct error *err)
{
	enum proc_stop stop;
	int result, worst = 0;

	for (unsigned i = 0; i < target->process_count; i++) {
		if (!pause->is_stopped[i])
			continue;
		/* undo looks again, longer, at those that are not stopped yet */
		if (proc_read_stop(target->processes[i].id.pid, &stop) < 0 ||
		    stop == PROC_RUNNING || stop == PROC_UNCLEAR)
			continue;
		result = proc_pidfd_signal(target->processes[i].pidfd, SIGCONT);
		if (result == 0 || result == -ESRCH)
			pause->is_stopped[i] = false;
		else
			worst = error_errno(err, -result, "cannot continue process %d (%s)",
					    target->processes[i].id.pid, target->processes[i].name);
	}
	return worst;
}

int pause_end(struct pause *pause, const struct fault *fault, struct error *err)
{
	int result;

	if (!pause->by_freezer)
		return end_stop(pause, fault->target, err);
	if (!pause->is_frozen)
		return 0;
	result = cgroup_write_freeze(pause->directory, false);
	if (result < 0 && result != -ENODEV)
		return error_errno(err, -result, "cannot thaw %s", pause->cgroup.directory);
	pause->is_frozen = false;
	return 0;
}

void pause_describe(const struct pause *pause, char *out, size_t size)
{
	int used = snprintf(out, size, "%u %s %s", pause->paused,
			    pause->paused == 1 ? "process" : "processes",
			    pause->by_freezer ? "frozen" : "stopped by SIGSTOP");

	if (pause->slow && used > 0 && (size_t)used < size)
		used += snprintf(out + used, size - (size_t)used, ", %u of them not at once",
				 pause->slow);
	if (pause->already && used > 0 && (size_t)used < size)
		used += snprintf(out + used, size - (size_t)used, ", %u stood still before",
				 pause->already);
	if (pause->gone && used > 0 && (size_t)used < size)
		snprintf(out + used, size - (size_t)used, ", %u gone before", pause->gone);
}

void pause_release(struct pause *pause)
{
	if (pause->directory >= 0)
		close(pause->directory);
	free(pause->is_stopped);
}
