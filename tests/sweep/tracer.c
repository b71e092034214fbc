/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Threads are not traced: those of the worker only move packets between a tap and itself. After the
 * hit the others run on at full speed.
 */
#include "tests/sweep/tracee.h"

#include "tests/sweep/repeats.h"

#include "injector/base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/ptrace.h>

#define WATCH_NS (2 * NSEC_PER_MSEC)
#define BEAT_US	 100000

const char *const role_names[ROLE_COUNT] = {"conductor", "worker", "guardian", "launcher"};

static void must(bool is_true, const char *what)
{
	if (is_true)
		return;
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	abort();
}

static void become(const struct trace_plan *plan, int stream)
{
	static char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
	/* looking for leaks takes ptrace, which is ours */
	static char sanitizer[] = "ASAN_OPTIONS=detect_leaks=0";
	char *const environment[] = {path, sanitizer, plan->variable, NULL};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	if (setns(plan->network, CLONE_NEWNET) < 0 || dup2(null, 0) < 0 || dup2(stream, 1) < 0 ||
	    dup2(stream, 2) < 0 || ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
		_exit(98);
	raise(SIGSTOP);
	execve(plan->words[0], plan->words, environment);
	_exit(99);
}

static int find(const struct trace *trace, pid_t pid)
{
	for (unsigned role = 0; role < ROLE_COUNT; role++)
		if (trace->tracees[role].pid == pid)
			return (int)role;
	return -1;
}

/* Two stops for each call are what a run under this tracer costs: only who is looked at pays. */
static bool is_followed(const struct trace *trace, int role)
{
	const struct trace_plan *plan = trace->plan;

	if (trace->result->was_hit && !plan->fail_errno)
		return false;
	return role < 0 || plan->calls[role] || role == (int)plan->counted ||
	       (role == ROLE_CONDUCTOR && (plan->hold_kills || plan->first));
}

static void resume(const struct trace *trace, pid_t pid, int signal)
{
	ptrace(is_followed(trace, find(trace, pid)) ? PTRACE_SYSCALL : PTRACE_CONT, pid, NULL,
	       (void *)(intptr_t)signal);
}

static void signal_all(const struct trace *trace, unsigned roles, int signal)
{
	for (unsigned role = 0; role < ROLE_COUNT; role++)
		if (roles & ROLE_BIT(role) && trace->tracees[role].is_alive)
			kill(trace->tracees[role].pid, signal);
}

/* Nobody acts between the deaths of two: with a stop pending no one comes back from the kernel. */
static void hit(struct trace *trace, unsigned victims, int signal)
{
	if (signal == SIGKILL)
		signal_all(trace, victims, SIGSTOP);
	for (unsigned role = 0; signal == SIGSTOP && role < ROLE_COUNT; role++)
		trace->tracees[role].is_to_stop =
			victims & ROLE_BIT(role) && trace->tracees[role].is_alive;
	signal_all(trace, victims, signal);
}

/* Events come in lines; what is looked for is never cut in two by more than one read. */
static void count_events(struct trace *trace)
{
	static const char wanted[] = "\"event\":\"injected\"";
	char text[65536];
	ssize_t got = pread(trace->stream, text, sizeof(text) - 1, trace->read_up_to);
	char *end;

	if (got <= 0)
		return;
	text[got] = '\0';
	end = strrchr(text, '\n');
	if (!end)
		return;
	*end = '\0';
	trace->read_up_to += end + 1 - text;
	for (const char *at = text; (at = strstr(at, wanted)); at++)
		if (!trace->result->injected++ && trace->plan->first)
			trace->plan->first(trace->plan->of_first);
}

static void check_hold(struct trace *trace)
{
	const struct trace_plan *plan = trace->plan;

	if (trace->result->was_held || !trace->has_written)
		return;
	trace->has_written = false;
	count_events(trace);
	if (!plan->steps || trace->result->injected < plan->steps)
		return;
	trace->result->was_held = true;
	memcpy(trace->result->held_at, trace->result->counts, sizeof(trace->result->counts));
	if (!plan->hold_kills)
		return;
	trace->is_counting = true;
	hit(trace, plan->hold_kills, SIGKILL);
	if (!plan->at) {
		trace->result->was_hit = true;
		trace->result->hit_ns = clock_now_ns();
	}
}

/* With `signal`, or with one that is pending. */
static void stop_for_good(struct tracee *tracee, int signal)
{
	ptrace(PTRACE_DETACH, tracee->pid, NULL, (void *)(intptr_t)signal);
	tracee->is_to_stop = false;
	tracee->is_let_go = true;
}

static bool is_behind(struct trace *trace, int call)
{
	bool is_due = trace->behind_count == trace->plan->at;

	trace->behind_count += call == trace->plan->behind_call;
	return is_due;
}

/* What a recording holds: one that makes a file is no mere openat(2). */
static int recorded_call(const struct tracee *tracee, const struct ptrace_syscall_info *info)
{
	int call = (int)info->entry.nr;
	struct change change;

	if (trace_find_change(tracee, info, &change))
		return CALL_NETLINK_CHANGE;
	return call == SYS_openat && info->entry.args[2] & (O_CREAT | O_TRUNC) ? SYS_creat : call;
}

/* The call fails, or the kernel refuses what it sends. False: it sends nothing of that kind. */
static bool fail(struct trace *trace, struct tracee *tracee, const struct ptrace_syscall_info *info)
{
	struct change change;

	if (!trace->plan->refuses) {
		trace_fail_call(trace, tracee);
		return true;
	}
	if (!trace_find_change(tracee, info, &change))
		return false;
	if (!trace->refused.type)
		trace->refused = change;
	if (change.protocol != trace->refused.protocol || change.type != trace->refused.type)
		return false;
	trace_refuse_change(tracee, &change);
	return true;
}

/* To the standard streams. Who cannot write a file any more must still say so. */
static bool is_speech(const struct ptrace_syscall_info *info)
{
	return info->entry.nr == SYS_write &&
	       (info->entry.args[0] == STDOUT_FILENO || info->entry.args[0] == STDERR_FILENO);
}

static void on_call_after(struct trace *trace, struct tracee *tracee,
			  const struct ptrace_syscall_info *info)
{
	int call = (int)info->entry.nr;

	if (call != trace->failing_call)
		trace->result->acts_after +=
			call_is_telling(call) && call != SYS_write && call != SYS_exit_group;
	else if (trace->plan->fails_always && (trace->is_mute || !is_speech(info)))
		fail(trace, tracee, info);
}

/* At the entry of a call. False: the process is not resumed (it is dead or stopped). */
static bool on_call(struct trace *trace, unsigned role, const struct ptrace_syscall_info *info)
{
	int call = (int)info->entry.nr;
	const struct trace_plan *plan = trace->plan;
	struct trace_result *result = trace->result;
	struct tracee *tracee = &trace->tracees[role];
	unsigned count;

	if (role == ROLE_CONDUCTOR) {
		check_hold(trace);
		trace->has_written |= call == SYS_write;
	}
	if (!tracee->is_alive)
		return false;
	if (result->was_hit) {
		if (plan->fail_errno && role == plan->counted)
			on_call_after(trace, tracee, info);
		return true;
	}
	if (!trace->is_counting)
		return true;
	count = result->counts[role]++;
	if (plan->calls[role] && count < TRACE_CALLS_MAX)
		plan->calls[role][count] = recorded_call(tracee, info);
	if (role != plan->counted)
		return true;
	if (plan->behind_call ? !is_behind(trace, call) : count + 1 != plan->at)
		return true;
	if (plan->fail_errno && (!trace_can_fail(call) || !fail(trace, tracee, info)))
		return true;
	count_events(trace);
	result->was_hit = true;
	result->call = call;
	result->hit_ns = clock_now_ns();
	if (plan->fail_errno) {
		trace->failing_call = call;
		trace->is_mute = is_speech(info);
		return true;
	}
	hit(trace, plan->victims, plan->signal);
	if (!(plan->victims & ROLE_BIT(role)))
		return true;
	if (plan->signal != SIGSTOP)
		return false;
	/* for good: nobody will resume it any more; a pending SIGSTOP lets the call pass, so it is
	 * taken away */
	trace_fail_call(trace, tracee);
	stop_for_good(tracee, 0);
	return false;
}

static void on_fork(struct trace *trace, unsigned parent, pid_t child)
{
	unsigned role = ROLE_LAUNCHER;

	if (parent == ROLE_CONDUCTOR && !trace->tracees[ROLE_WORKER].pid)
		role = ROLE_WORKER;
	else if (parent == ROLE_CONDUCTOR && !trace->tracees[ROLE_GUARDIAN].pid)
		role = ROLE_GUARDIAN;
	if (trace->tracees[role].pid) { /* commands of the launcher: not ours */
		ptrace(PTRACE_DETACH, child, NULL, NULL);
		return;
	}
	trace->tracees[role] = (struct tracee){.pid = child, .is_alive = true};
	trace->result->pids[role] = child;
}

static void on_stop(struct trace *trace, unsigned role, pid_t pid, int status)
{
	int signal = WSTOPSIG(status);
	struct ptrace_syscall_info info;
	struct tracee *tracee = &trace->tracees[role];
	unsigned long message = 0;

	switch (status >> 16) {
	case PTRACE_EVENT_FORK:
	case PTRACE_EVENT_VFORK:
		ptrace(PTRACE_GETEVENTMSG, pid, NULL, &message);
		on_fork(trace, role, (pid_t)message);
		resume(trace, pid, 0);
		return;
	case PTRACE_EVENT_EXEC:
		trace->is_counting = !trace->plan->hold_kills;
		resume(trace, pid, 0);
		return;
	}
	if (signal == SIGSTOP && tracee->is_to_stop) {
		stop_for_good(tracee, SIGSTOP);
		return;
	}
	if (signal != (SIGTRAP | 0x80)) {
		/* the stop with which a child begins is ptrace's own */
		resume(trace, pid, signal == SIGSTOP || signal == SIGTRAP ? 0 : signal);
		return;
	}
	if (tracee->is_in_call && !tracee->is_failing) {
		tracee->is_in_call = false;
		trace_end_of_call(trace, tracee);
		resume(trace, pid, 0);
		return;
	}
	if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) < 0)
		return; /* killed meanwhile */
	tracee->is_in_call = info.op == PTRACE_SYSCALL_INFO_ENTRY;
	if (info.op == PTRACE_SYSCALL_INFO_ENTRY && !on_call(trace, role, &info))
		return;
	if (info.op == PTRACE_SYSCALL_INFO_EXIT && tracee->is_failing)
		trace_answer_call(trace, tracee);
	resume(trace, pid, 0);
}

static void on_news(struct trace *trace, pid_t pid, int status)
{
	int role = find(trace, pid);

	if (!WIFSTOPPED(status)) {
		if (role >= 0)
			trace->tracees[role].is_alive = false;
		if (role == ROLE_CONDUCTOR)
			trace->result->status = status;
	} else if (role < 0) { /* a fork's child may speak before its parent's event */
		ptrace(PTRACE_SYSCALL, pid, NULL, NULL);
	} else {
		on_stop(trace, (unsigned)role, pid, status);
	}
}

static bool has_to_look_elsewhere(const struct trace *trace)
{
	return trace->result->was_hit && (trace->plan->watch || !trace->plan->fail_errno);
}

/* Everybody who has something to tell. As long as there is nothing else to look at this waits for
 * the next one, up to a beat: a call more for each stop is what a sweep takes twice as long for. */
static void listen(struct trace *trace)
{
	int status;
	pid_t pid;

	for (;;) {
		pid = waitpid(-1, &status, __WALL | (has_to_look_elsewhere(trace) ? WNOHANG : 0));
		if (pid <= 0)
			return;
		on_news(trace, pid, status);
	}
}

/* Who was let go is reaped by its own parent. */
static bool is_anybody_alive(struct trace *trace)
{
	for (unsigned role = 0; role < ROLE_COUNT; role++) {
		struct tracee *tracee = &trace->tracees[role];

		if (tracee->is_let_go && kill(tracee->pid, 0) < 0)
			tracee->is_alive = false;
		if (tracee->is_alive)
			return true;
	}
	return false;
}

/* The command is over, and somebody stopped for good stands there alone. */
static bool is_over_but_for_the_stopped(const struct trace *trace)
{
	for (unsigned role = 0; role < ROLE_COUNT; role++)
		if (trace->tracees[role].is_alive &&
		    (role == ROLE_CONDUCTOR || !trace->tracees[role].is_let_go))
			return false;
	return true;
}

static void wait_for_news(int64_t ns)
{
	struct timespec most = {.tv_nsec = (long)ns};
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigtimedwait(&child, NULL, &most);
}

static void on_beat(int signal)
{
	(void)signal; /* waitpid() comes back: that is all */
}

static void set_beat(suseconds_t us)
{
	struct itimerval timer = {.it_interval.tv_usec = us, .it_value.tv_usec = us};

	setitimer(ITIMER_REAL, &timer, NULL);
}

static void loop(struct trace *trace)
{
	const struct trace_plan *plan = trace->plan;
	int64_t until_ns = clock_now_ns() + plan->patience_ns, watch_ns = 0;
	bool is_watching = plan->watch != NULL;

	while (listen(trace), is_anybody_alive(trace)) {
		int64_t now_ns = clock_now_ns();

		set_beat(has_to_look_elsewhere(trace) ? 0 : BEAT_US);
		if (is_over_but_for_the_stopped(trace))
			return;
		if (now_ns > until_ns) {
			trace->result->is_stuck = true;
			trace_let_go(trace);
			return;
		}
		if (trace->result->was_hit && is_watching && now_ns >= watch_ns) {
			is_watching = plan->watch(plan->context);
			watch_ns = clock_now_ns() + WATCH_NS;
			continue;
		}
		if (has_to_look_elsewhere(trace))
			wait_for_news(WATCH_NS);
	}
}

static char *read_stream(int fd)
{
	struct stat status;
	char *text;
	ssize_t got;

	must(fstat(fd, &status) == 0, "stream");
	text = malloc((size_t)status.st_size + 1);
	must(text != NULL, "stream");
	got = pread(fd, text, (size_t)status.st_size, 0);
	text[got > 0 ? got : 0] = '\0';
	return text;
}

void trace_run(const struct trace_plan *plan, struct trace_result *out)
{
	const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
			     PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
	const struct sigaction beat = {.sa_handler = on_beat};
	struct trace trace = {.plan = plan, .result = out};
	int status;
	pid_t pid;

	*out = (struct trace_result){.status = -1};
	trace.stream = memfd_create("sweep", MFD_CLOEXEC);
	must(trace.stream >= 0, "memfd");
	fflush(stdout);
	pid = fork();
	must(pid >= 0, "fork");
	if (pid == 0)
		become(plan, trace.stream);
	must(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status), "the traced process");
	must(ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)options) == 0, "ptrace");
	trace.tracees[ROLE_CONDUCTOR] = (struct tracee){.pid = pid, .is_alive = true};
	out->pids[ROLE_CONDUCTOR] = pid;
	ptrace(PTRACE_SYSCALL, pid, NULL, NULL);
	sigaction(SIGALRM, &beat, NULL);
	set_beat(BEAT_US);
	loop(&trace);
	set_beat(0);
	trace_let_unknown_go();
	if (!out->was_hit)
		count_events(&trace);
	out->out = read_stream(trace.stream);
	close(trace.stream);
}
