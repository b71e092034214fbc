/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The guardian's life. It holds no descriptor but its own few (a held fault must die with the
 * worker), cannot be ended by a signal, a terminal or the worker's control group, and judges the
 * worker by three things alone: its pidfd, its pings, the deadline. Being suspended counts for the
 * deadline but not for silence.
 */
#include "injector/restore/guardian_process.h"

#include "faults/command.h"
#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/base/log.h"
#include "injector/journal/audit.h"
#include "injector/kernel/descriptors.h"
#include "injector/kernel/inherited.h"
#include "injector/kernel/prefault.h"
#include "injector/kernel/proc.h"
#include "injector/kernel/sandbox.h"
#include "injector/restore/guardian_cgroup.h"
#include "injector/restore/reloader.h"
#include "injector/restore/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <syslog.h>
#include <time.h>

#define LOOK_MS 500 /* before the run: how often is looked whether the worker is stopped */
/* Changing the control group waits for an RCU grace period, in which no thread of this machine's
 * can fork (cgroup_threadgroup_rwsem): tens of milliseconds that a fault must not wait for, and
 * that a run which is over by then is spared. */
#define GROUP_AFTER_NS	   (300 * NSEC_PER_MSEC)
#define FIRST_WORD_WAIT_MS 200
#define DEATH_WAIT_MS	   5000
#define LOCK_WAIT_NS	   (5 * NSEC_PER_SEC)

struct watch {
	int socket, worker, timer; /* socket: -1 after the worker closed its end */
	int reloader;		   /* -1: no fault of the run has a command */
	pid_t worker_pid;	   /* its own as long as the pidfd is not readable */
	char run_id[RUN_ID_SIZE];  /* "": not begun */
	int64_t heard_ns;	   /* CLOCK_MONOTONIC of the last message */
	int64_t judged_ns;	   /* CLOCK_MONOTONIC of the last look at the silence */
	int64_t stopped_ns;	   /* before the run: seen stopped since; 0: not stopped */
	int64_t alone_ns;	   /* before the run: seen without the conductor since; 0: not */
	pid_t conductor;	   /* who has started both */
	int64_t group_due_ns;	   /* CLOCK_MONOTONIC; 0: no group of its own, or already there */
	const char *why;	   /* the worker was killed by us: reason */
	bool has_group;
	bool is_confined, has_ended;
};

/* CLOCK_MONOTONIC stands still while the machine sleeps, as worker and guardian do. */
static int64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NSEC_PER_SEC + now.tv_nsec;
}

static void pause_ms(int ms)
{
	poll(NULL, 0, ms);
}

static int write_text(const char *path, const char *text)
{
	cleanup_fd int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd < 0 || write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

/* Memory that is in use stays in memory. Only without a limit: under one, mlockall's MCL_FUTURE
 * turns every later allocation into a possible failure once CAP_IPC_LOCK is gone. */
static void lock_memory(void)
{
	const struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};

	if (setrlimit(RLIMIT_MEMLOCK, &unlimited) == 0)
		mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
}

/* Not by sigprocmask(3): glibc leaves out 32 and 33, its own, which would still kill. */
static void block_signals(void)
{
	static const uint64_t all = ~0ULL;

	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, sizeof(all));
}

/* Getting ready takes a processor and page faults, which the worker needs for itself until it has
 * read the plan. It says so then, or dies, or is stopped, which somebody must be ready to see;
 * before it is answered it changes nothing. */
static void await_first_word(int socket)
{
	struct pollfd poller = {.fd = socket, .events = POLLIN};

	(void)!poll(&poller, 1, FIRST_WORD_WAIT_MS);
}

static void become_hard_to_kill(void)
{
	struct error err = ERROR_INIT;
	int result;

	if (inherited_leave("squall-guardian", &err) < 0)
		log_debug("the guardian: %s", err.text);
	result = write_text("/proc/self/oom_score_adj", "-1000");
	if (result < 0) /* `squall doctor` tells it, once */
		log_debug("the guardian may be chosen when memory runs out: "
			  "/proc/self/oom_score_adj: %s",
			  strerror(-result));
	lock_memory();
	setpriority(PRIO_PROCESS, 0, -20);
}

static void enter_group(struct watch *watch)
{
	int result = guardian_cgroup_enter();

	watch->group_due_ns = 0;
	watch->has_group = result == 0;
	if (result < 0)
		log_debug("the guardian has no control group of its own: %s", strerror(-result));
}

static void leave_group(struct watch *watch)
{
	if (watch->has_group)
		guardian_cgroup_leave();
	watch->has_group = false;
}

static int prepare(struct watch *watch, struct error *err)
{
	int result;

	block_signals();
	/* What the others hold must not live on in here: each knows by that of the others' end. */
	result = descriptors_keep((int *const[]){&watch->socket, &watch->worker}, 2);
	if (result < 0)
		return error_errno(err, -result, "cannot close the worker's descriptors");
	await_first_word(watch->socket);
	prefault_after_fork();
	become_hard_to_kill();
	watch->timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (watch->timer < 0)
		return error_errno(err, errno, "no timer for the deadline");
	return 0;
}

static void answer(struct watch *watch, const struct error *err)
{
	struct guardian_reply reply = {.code = err->code};

	snprintf(reply.text, sizeof(reply.text), "%.500s", err->text);
	if (send(watch->socket, &reply, sizeof(reply), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return; /* the worker is dead: its pidfd tells */
}

/* Without its sandbox it does not stand by, and says why. */
static void confine(struct watch *watch, uint64_t capabilities)
{
	struct error err = ERROR_INIT;

	capabilities |= GUARDIAN_CAPABILITIES;
	if (sandbox_keep_capabilities(capabilities, &err) < 0 ||
	    sandbox_guardian(capabilities, &err) < 0) {
		answer(watch, &err);
		watch->has_ended = true;
	}
	watch->is_confined = true;
}

/* A command that hangs is killed by its reloader, and told of by the worker: it has that time, too.
 * Everything else is out of force by then. */
static int64_t grace_ns(const struct watch *watch)
{
	return GUARDIAN_GRACE_NS + (watch->reloader >= 0 ? FAULT_COMMAND_TIMEOUT_NS : 0);
}

static void begin(struct watch *watch, const struct guardian_message *message)
{
	int64_t due_ns = 0;
	struct itimerspec due = {0};
	struct error err = ERROR_INIT;

	if (__builtin_add_overflow(message->deadline_ns, grace_ns(watch), &due_ns))
		due_ns = INT64_MAX;
	due.it_value.tv_sec = due_ns / NSEC_PER_SEC;
	due.it_value.tv_nsec = due_ns % NSEC_PER_SEC;
	if (!watch->is_confined)
		error_set(&err, EPROTO, "it was not told what to keep");
	else if (message->deadline_ns <= 0)
		error_set(&err, EINVAL, "the run has no deadline");
	else if (!memchr(message->run_id, '\0', RUN_ID_SIZE) || !journal_exists(message->run_id))
		error_set(&err, ENOENT, "there is no journal of the run");
	else if (timerfd_settime(watch->timer, TFD_TIMER_ABSTIME, &due, NULL) < 0)
		error_errno(&err, errno, "cannot set the deadline");
	if (!err.code) {
		memcpy(watch->run_id, message->run_id, RUN_ID_SIZE);
		watch->group_due_ns = monotonic_ns() + GROUP_AFTER_NS;
	}
	answer(watch, &err);
}

/* A descriptor comes with one message alone. */
static void take_reloader(struct watch *watch, const struct guardian_message *message, ssize_t size,
			  int fd)
{
	cleanup_fd int given = fd;

	if (size == (ssize_t)sizeof(*message) && message->kind == GUARDIAN_RELOADER &&
	    watch->reloader < 0)
		watch->reloader = steal_fd(&given);
}

static void drain_socket(struct watch *watch)
{
	struct guardian_message message;
	ssize_t got;
	int fd;

	while (!watch->has_ended &&
	       (got = descriptor_receive(watch->socket, &message, sizeof(message), &fd,
					 MSG_DONTWAIT)) != 0) {
		if (got < 0)
			return;
		take_reloader(watch, &message, got, fd);
		if (got != (ssize_t)sizeof(message))
			continue;
		watch->heard_ns = monotonic_ns();
		if (message.kind == GUARDIAN_CONFINE && !watch->is_confined)
			confine(watch, message.capabilities);
		else if (message.kind == GUARDIAN_BEGIN && !watch->run_id[0])
			begin(watch, &message);
		else if (message.kind == GUARDIAN_END)
			watch->has_ended = true;
	}
	if (!watch->has_ended)
		watch->socket = -1; /* closed: no proof of death, but nothing more to read */
}

static void kill_worker(struct watch *watch, const char *why)
{
	struct pollfd poller = {.fd = watch->worker, .events = POLLIN};

	watch->why = why;
	proc_pidfd_signal(watch->worker, SIGKILL);
	/* One that hangs in the kernel never comes back to user space: undo under it after a while
	 */
	poll(&poller, 1, DEATH_WAIT_MS);
}

/* Milliseconds until silence has lasted too long or the group is due */
static int patience_ms(const struct watch *watch)
{
	int64_t silent = monotonic_ns() - watch->heard_ns;
	int64_t due = watch->heard_ns + GUARDIAN_STOPPED_NS, left;

	if (!watch->run_id[0])
		return LOOK_MS;
	if (silent >= GUARDIAN_STOPPED_NS) /* but not stopped, see judge_silence() */
		due = watch->heard_ns + silent + GUARDIAN_PING_NS;
	if (watch->group_due_ns && watch->group_due_ns < due)
		due = watch->group_due_ns;
	left = due - monotonic_ns();
	return left <= 0 ? 0 : (int)(left / NSEC_PER_MSEC) + 1;
}

/* What runs, but does not answer, may only be short of time. */
static bool is_silent_too_long(const struct watch *watch, int64_t silent_ns)
{
	enum proc_stop stop;

	if (silent_ns >= GUARDIAN_STARVED_NS)
		return true;
	if (proc_read_stop(watch->worker_pid, &stop) < 0)
		return false;
	return stop == PROC_STOPPED || (stop == PROC_TRACED && silent_ns >= GUARDIAN_SILENCE_NS);
}

/* Woken a quarter later than planned: we, too, were stopped (a paused machine). */
static bool was_late(struct watch *watch, int64_t now, int64_t planned_ns)
{
	bool result = now - watch->judged_ns > planned_ns + planned_ns / 4;

	watch->judged_ns = now;
	return result;
}

/* What it plans nobody wants any more, and it may not come to its loop for long. */
static void judge_without_conductor(struct watch *watch, int64_t now)
{
	if (getppid() == watch->conductor)
		watch->alone_ns = 0;
	else if (!watch->alone_ns)
		watch->alone_ns = now;
	else if (now - watch->alone_ns >= GUARDIAN_SILENCE_NS)
		kill_worker(watch, "its conductor was gone before the run began");
}

/* While it plans the worker does not ping, and may take its time; but one that is stopped for good
 * would keep its half-made journal, and the lock on all of them, for ever. A debugger that looks on
 * is no such stop: it halts what runs for a moment, again and again. */
static void judge_before_the_run(struct watch *watch, int64_t now)
{
	enum proc_stop stop;

	if (was_late(watch, now, GUARDIAN_SILENCE_NS) ||
	    proc_read_stop(watch->worker_pid, &stop) < 0 || stop != PROC_STOPPED)
		watch->stopped_ns = 0;
	else if (!watch->stopped_ns)
		watch->stopped_ns = now;
	else if (now - watch->stopped_ns >= GUARDIAN_SILENCE_NS)
		kill_worker(watch, "it was stopped before the run began");
	if (!watch->why)
		judge_without_conductor(watch, now);
}

static void judge_silence(struct watch *watch)
{
	int64_t now = monotonic_ns(), silent = now - watch->heard_ns;

	if (!watch->run_id[0]) {
		judge_before_the_run(watch, now);
		return;
	}
	/* another chance for who was stopped together with us */
	if (was_late(watch, now, GUARDIAN_STOPPED_NS) && silent >= GUARDIAN_STOPPED_NS)
		watch->heard_ns = now;
	else if (silent >= GUARDIAN_STOPPED_NS && is_silent_too_long(watch, silent))
		kill_worker(watch, "it had stopped answering");
}

/* Returns when the worker is dead or has ended the run. */
static void stand_by(struct watch *watch)
{
	while (!watch->has_ended && !watch->why) {
		struct pollfd pollers[3] = {{.fd = watch->worker, .events = POLLIN},
					    {.fd = watch->socket, .events = POLLIN},
					    {.fd = watch->timer, .events = POLLIN}};

		if (poll(pollers, 3, patience_ms(watch)) < 0)
			continue;
		if (pollers[1].revents)
			drain_socket(watch);
		if (pollers[0].revents)
			return;
		if (pollers[2].revents)
			kill_worker(watch, "it overran the deadline");
		else if (!watch->has_ended)
			judge_silence(watch);
		if (!watch->has_ended && watch->group_due_ns &&
		    monotonic_ns() >= watch->group_due_ns)
			enter_group(watch);
	}
}

/* A worker that died between making the journal and telling us: the header names us. */
static void find_own_run(struct watch *watch)
{
	cleanup_free char(*ids)[RUN_ID_SIZE] = NULL;
	struct process_identity self;
	unsigned count = 0;

	if (proc_identity(getpid(), &self) < 0 || journal_list(&ids, &count, NULL) < 0)
		return;
	for (unsigned at = 0; at < count; at++) {
		cleanup_free struct journal_record *records = NULL;
		const struct journal_header *header;
		struct journal *journal;
		unsigned record_count;
		int result;

		if (journal_open(ids[at], &journal, NULL) < 0)
			continue;
		result = journal_read(journal, &records, &record_count, NULL);
		journal_close(journal);
		if (result < 0)
			continue;
		header = journal_header(records, record_count);
		if (header->guardian.pid == self.pid &&
		    header->guardian.start_time == self.start_time)
			memcpy(watch->run_id, ids[at], RUN_ID_SIZE);
	}
}

static void say(const struct watch *watch, const struct restore_report *report,
		const struct error *err)
{
	const char *why = watch->why ? watch->why : "it died";

	openlog("squall", LOG_PID, LOG_DAEMON);
	if (err->code)
		syslog(LOG_ERR, "run %s: the worker is gone (%s) and restoring failed: %s",
		       watch->run_id, why, err->text);
	else if (report->failed)
		syslog(LOG_ERR, "run %s: the worker is gone (%s); %u undone, %u left: %s",
		       watch->run_id, why, report->undone, report->failed,
		       report->left_count ? report->left[0] : "see squall restore");
	else
		syslog(LOG_NOTICE, "run %s: the worker is gone (%s); %u changes undone",
		       watch->run_id, why, report->undone);
}

/* Or it cannot be waited for */
static bool is_worker_gone(const struct watch *watch, int wait_ms)
{
	struct pollfd poller = {.fd = watch->worker, .events = POLLIN};

	return poll(&poller, 1, wait_ms) != 0;
}

/* What fails now may work in a moment (a busy device); what does not is left to `squall restore`.
 */
static void try_to_restore(struct watch *watch)
{
	static const int pauses_ms[] = {0, 100, 400, 1000};
	struct restore_report report = {0};

	for (unsigned at = 0; at < sizeof(pauses_ms) / sizeof(*pauses_ms); at++) {
		struct error err = ERROR_INIT;
		unsigned undone = report.undone;

		pause_ms(pauses_ms[at]);
		restore_report_free(&report);
		restore_locked(watch->run_id, &report, &err);
		report.undone += undone;
		if ((!report.failed && !err.code) ||
		    at + 1 == sizeof(pauses_ms) / sizeof(*pauses_ms)) {
			say(watch, &report, &err);
			break;
		}
	}
	restore_report_free(&report);
}

static void restore_all(struct watch *watch)
{
	cleanup_fd int lock = -1;

	if (!watch->run_id[0])
		find_own_run(watch);
	if (!watch->run_id[0] || journal_lock(watch->run_id, LOCK_WAIT_NS, &lock, NULL) < 0)
		return; /* nothing begun, or somebody else has restored it or is at it */
	if (watch->reloader >= 0)
		reloader_use(watch->reloader, NULL, NULL);
	audit_hold(); /* a disk that hangs holds up no attempt, and nobody who waits for the lock */
	try_to_restore(watch);
	/* under one that hangs in the kernel; what it is at may be done when it goes */
	if (!is_worker_gone(watch, 0) && is_worker_gone(watch, -1))
		try_to_restore(watch);
	close(lock);
	lock = -1;
	audit_release(NULL); /* the system's log knows */
}

void guardian_process(int socket, pid_t worker, int worker_pidfd)
{
	struct watch watch = {.socket = socket,
			      .worker = worker_pidfd,
			      .worker_pid = worker,
			      .conductor = getppid(),
			      .timer = -1,
			      .reloader = -1};
	struct error err = ERROR_INIT;

	if (prepare(&watch, &err) < 0) {
		answer(&watch, &err);
		return;
	}
	stand_by(&watch);
	if (watch.has_ended)
		return; /* the worker sweeps our group: quicker than moving out of it */
	restore_all(&watch);
	leave_group(&watch);
}
