/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Finds runs whose worker is dead and finishes them. A live run is never touched; a guardian at
 * work is given its time; a journal that cannot be read is never guessed at, only reported.
 */
#include "injector/restore/restore.h"

#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/base/log.h"
#include "injector/journal/audit.h"
#include "injector/journal/directory.h"
#include "injector/kernel/proc.h"
#include "injector/restore/guardian_cgroup.h"
#include "injector/restore/report_lines.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#define GUARDIAN_PATIENCE_NS (2 * NSEC_PER_SEC)
#define DYING_PATIENCE_MS    2000

int restore_run_state(const struct journal_record *records, unsigned count, enum run_state *out,
		      struct error *err)
{
	const struct journal_header *header = journal_header(records, count);
	char boot_id[40];
	int result;

	if (!header)
		return error_set(err, EBADMSG, "the journal has no header");
	result = journal_boot_id(boot_id, err);
	if (result < 0)
		return result;
	if (strcmp(boot_id, header->boot_id) != 0) {
		*out = RUN_FOREIGN_BOOT;
		return 0;
	}
	result = header->worker.pid > 0 ? proc_is_same(&header->worker) : 0;
	if (result > 0) {
		*out = RUN_LIVE;
		return 0;
	}
	if (result == 0) {
		result = header->guardian.pid > 0 ? proc_is_same(&header->guardian) : 0;
		*out = result > 0 ? RUN_GUARDED : RUN_DEAD;
	}
	if (result >= 0)
		return 0;
	error_errno(err, -result, "cannot tell whether run %s is still alive", header->run_id);
	error_remedy(err, "run it as root, with /proc mounted without hidepid");
	return result;
}

int restore_look(const char *run_id, enum run_state *out, struct journal_header *out_header,
		 struct error *err)
{
	cleanup_free struct journal_record *records = NULL;
	struct journal *journal;
	unsigned count;
	int result = journal_open(run_id, &journal, err);

	if (result < 0)
		return result;
	result = journal_read(journal, &records, &count, err);
	journal_close(journal);
	if (result < 0)
		return result;
	if (out_header)
		*out_header = *journal_header(records, count);
	return restore_run_state(records, count, out, err);
}

/* For people, when the journal cannot tell. */
static const char *where_to_look(const char *run_id)
{
	static char text[200];

	snprintf(text, sizeof(text),
		 "what bears the name %s (nft list tables; ip -brief link%s%s%s)", run_id,
		 journal_is_kept(run_id) ? "; find / -name '.*.squall-" : "",
		 journal_is_kept(run_id) ? run_id : "", journal_is_kept(run_id) ? "-*'" : "");
	return text;
}

static void say_unreadable(const char *run_id, const struct error *why,
			   struct restore_report *report)
{
	report->failed++;
	report_left(report,
		    "run %s: %s: nothing of it was touched; look for %s, undo it, then: rm -r "
		    "%s/%s",
		    run_id, why->text, where_to_look(run_id), journal_root_of(run_id), run_id);
}

/* Each step by itself, then all of it; from the sentences of the report that came since. */
static void tell_audit(const char *run_id, bool is_guardian, const struct restore_report *report,
		       const struct restore_report *before)
{
	const char *who = is_guardian ? "by the guardian: " : "";

	for (unsigned at = before->did_count; at < report->did_count; at++)
		audit_write(NULL, "restored", run_id, "%s%s", who, report->did[at]);
	for (unsigned at = before->left_count; at < report->left_count; at++)
		audit_write(NULL, "left", run_id, "%s%s", who, report->left[at]);
	audit_write(NULL, "undone", run_id,
		    is_guardian ? "by the guardian, the worker is dead: %u changes undone, %u left"
				: "a run that was dead: %u changes undone, %u left",
		    report->undone - before->undone, report->failed - before->failed);
}

/* No signal reaches it. What it is at may still be done when it goes, and what it holds it holds
 * until then. */
static void say_hanging(const char *run_id, pid_t worker, struct restore_report *report)
{
	report->failed++;
	report_left(report,
		    "run %s: its worker, process %d, was killed, but hangs in the kernel; when it "
		    "has gone, run: squall restore",
		    run_id, (int)worker);
}

/* `header`: NULL: of another boot. */
static int undo_run(const char *run_id, const struct journal_header *header,
		    struct restore_report *report, struct error *err)
{
	const struct restore_report before = *report; /* its counts alone */
	const bool is_guardian = header && header->guardian.pid == getpid();
	unsigned damaged;
	struct journal *journal;
	int result = journal_open(run_id, &journal, err);

	if (result < 0)
		return result;
	result = restore_records(journal, -1, report, err);
	damaged = journal_damaged(journal);
	journal_close(journal);
	report_name_run(report, run_id, before.left_count, before.did_count);
	if (result < 0)
		return result;
	if (damaged) {
		report->failed += damaged;
		report_left(report,
			    "run %s: %u record%s of its journal %s damaged: what %s would undo is "
			    "unknown; look for %s, then: rm -r %s/%s",
			    run_id, damaged, damaged == 1 ? "" : "s", damaged == 1 ? "is" : "are",
			    damaged == 1 ? "it" : "they", where_to_look(run_id),
			    journal_root_of(run_id), run_id);
	}
	tell_audit(run_id, is_guardian, report, &before);
	if (report->failed > before.failed)
		return 0;
	if (header && header->worker.pid > 0 && proc_is_same(&header->worker) != 0) {
		say_hanging(run_id, header->worker.pid, report);
		return 0; /* the journal is still needed */
	}
	if (header && header->guardian.pid > 0 && !is_guardian)
		guardian_cgroup_remove(&header->guardian);
	return journal_remove(run_id, err);
}

int restore_locked(const char *run_id, struct restore_report *report, struct error *err)
{
	struct error inner = ERROR_INIT;
	struct journal_header header;
	enum run_state state = RUN_DEAD;
	int result = restore_look(run_id, &state, &header, &inner);

	/* It was being made when it was looked at before, and had no header: then there was nobody
	 * to see. Its guardian, and whoever comes when that is dead, may undo it under a worker
	 * that hangs in the kernel. */
	if (result == 0 && state == RUN_LIVE && header.guardian.pid != getpid() &&
	    proc_is_dying(header.worker.pid) <= 0)
		return error_set(err, EBUSY, "run %s has begun meanwhile: it is not touched",
				 run_id);
	/* A journal that was not made to outlive a reboot has nothing that does. */
	if (result == 0 && state == RUN_FOREIGN_BOOT && !journal_is_kept(run_id)) {
		result = journal_remove(run_id, &inner);
		if (result == 0)
			report_did(
				report,
				"run %s: the machine was restarted since; what it had changed in "
				"the kernel is gone, its journal is removed",
				run_id);
	} else if (result == 0) {
		result = undo_run(run_id, state == RUN_FOREIGN_BOOT ? NULL : &header, report,
				  &inner);
	}
	if (result == -ENODATA) {
		result = journal_remove_unborn(run_id, &inner);
		if (result == -EBUSY) /* it was being made just now */
			return 0;
		if (result > 0)
			report_did(report, "run %s: ended before it had done anything; removed",
				   run_id);
	}
	if (result == -EPROTONOSUPPORT || result == -EBADMSG || result == -DIRECTORY_DISTRUSTED ||
	    result == -ELOOP) {
		say_unreadable(run_id, &inner, report);
		return 0;
	}
	if (result >= 0 || result == -ENOENT)
		return 0;
	if (err)
		*err = inner;
	return result;
}

/* Killed a moment ago; or it is alone: then it ends everything, and itself, at once. That it was
 * killed does not show between the signal's arrival and the first step of the exit, which takes as
 * long as the machine is busy. */
static bool is_ending(const struct journal_header *header)
{
	return proc_is_dying(header->worker.pid) > 0 ||
	       (header->guardian.pid > 0 && proc_is_same(&header->guardian) == 0);
}

/* It may still be letting go of what the kernel held for it: then it is as good as dead, and waited
 * for. */
static void wait_for_ending(const struct journal_header *header)
{
	struct pollfd ended = {.events = POLLIN};
	cleanup_fd int pidfd = proc_pidfd_open(header->worker.pid);

	if (pidfd < 0 || proc_is_same(&header->worker) <= 0 || !is_ending(header))
		return;
	ended.fd = pidfd;
	poll(&ended, 1, DYING_PATIENCE_MS);
}

/* Stopped for good, and its guardian is dead: nobody ends what it holds any more, not even at the
 * deadline. It is as good as dead, and made so. */
static void end_abandoned(const struct journal_header *header)
{
	cleanup_fd int pidfd = proc_pidfd_open(header->worker.pid);
	enum proc_stop stop;

	if (pidfd >= 0 && proc_is_same(&header->worker) > 0 &&
	    proc_is_same(&header->guardian) == 0 &&
	    proc_read_stop(header->worker.pid, &stop) == 0 && stop == PROC_STOPPED)
		proc_pidfd_signal(pidfd, SIGKILL);
}

struct look {
	enum run_state state;
	struct journal_header header;
	bool is_hanging; /* its worker was killed, and does not go */
};

/* As restore_look(), but a worker on its way out is not taken for a live one. */
static int look_again(const char *run_id, struct look *out, struct error *err)
{
	struct look look = {.state = RUN_DEAD};
	int result = restore_look(run_id, &look.state, &look.header, err);

	if (result == 0 && look.state == RUN_LIVE) {
		end_abandoned(&look.header);
		wait_for_ending(&look.header);
		result = restore_look(run_id, &look.state, &look.header, err);
	}
	look.is_hanging =
		result == 0 && look.state == RUN_LIVE && proc_is_dying(look.header.worker.pid) > 0;
	*out = look;
	return result;
}

bool restore_is_abandoned(enum run_state state, const struct journal_header *header)
{
	enum proc_stop stop;

	return state == RUN_DEAD || state == RUN_FOREIGN_BOOT ||
	       (state == RUN_GUARDED && proc_read_stop(header->guardian.pid, &stop) == 0 &&
		stop == PROC_STOPPED);
}

/* Until the guardian has removed the run, died or is stopped, or had time enough. */
static void wait_for_guardian(const char *run_id)
{
	int64_t until = clock_now_ns() + GUARDIAN_PATIENCE_NS;
	struct timespec pause = {.tv_nsec = 5 * NSEC_PER_MSEC};
	enum run_state state = RUN_GUARDED;
	struct journal_header header;

	while (clock_now_ns() < until && restore_look(run_id, &state, &header, NULL) == 0 &&
	       state == RUN_GUARDED && !restore_is_abandoned(state, &header))
		nanosleep(&pause, NULL);
}

/* `result`: of the look. */
static int restore_seen(const char *run_id, const struct look *look, int result,
			struct restore_report *report, struct error *err)
{
	struct error inner = ERROR_INIT;
	cleanup_fd int lock = -1;

	if (look->is_hanging && proc_is_same(&look->header.guardian) != 0) {
		say_hanging(run_id, look->header.worker.pid, report); /* its guardian is at it */
		return 0;
	}
	if (result == 0 && look->state == RUN_LIVE && !look->is_hanging) {
		error_set(err, EBUSY, "run %s is live: it is not touched", run_id);
		error_remedy(err, "to end it: squall stop %s", run_id);
		return -EBUSY;
	}
	if (result == 0 && look->state == RUN_GUARDED)
		wait_for_guardian(run_id);
	/* A guardian that hangs without the lock is passed by; with it, it is at work. */
	result = journal_lock(run_id, GUARDIAN_PATIENCE_NS, &lock, &inner);
	if (result == -ENOENT)
		return 0;
	if (result == -DIRECTORY_DISTRUSTED) {
		say_unreadable(run_id, &inner, report);
		return 0;
	}
	if (result < 0) {
		if (err)
			*err = inner;
		return result;
	}
	return restore_locked(run_id, report, err);
}

int restore_run(const char *run_id, struct restore_report *report, struct error *err)
{
	struct look look;
	int result = look_again(run_id, &look, NULL);

	return restore_seen(run_id, &look, result, report, err);
}

static bool is_live(const char *run_id, struct look *out, int *out_result)
{
	*out_result = look_again(run_id, out, NULL);
	return *out_result == 0 && out->state == RUN_LIVE && !out->is_hanging;
}

int restore_dead_runs(struct restore_report *report, struct error *err)
{
	cleanup_free char(*ids)[RUN_ID_SIZE] = NULL;
	struct error why = ERROR_INIT;
	unsigned count = 0;
	int result = journal_list(&ids, &count, err);

	if (result < 0)
		return result;
	audit_hold(); /* a disk that hangs must not keep the next one waiting */
	for (unsigned at = 0; at < count; at++) {
		struct error inner = ERROR_INIT;
		struct look look;

		if (is_live(ids[at], &look, &result))
			continue;
		if (restore_seen(ids[at], &look, result, report, &inner) == 0)
			continue;
		/* it was being made just now */
		if (inner.code == EBUSY && is_live(ids[at], &look, &result))
			continue;
		report->failed++;
		report_left(report, "run %s: %s; %s", ids[at], inner.text,
			    inner.remedy[0] ? inner.remedy : "run: squall restore");
	}
	if (audit_release(&why) < 0)
		log_warning("%s; the system's log has what was done", why.text);
	if (count) /* else a run's end does it: this is on the way to every injection */
		guardian_cgroup_sweep();
	return 0;
}
