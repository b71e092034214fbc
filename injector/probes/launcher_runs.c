/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The commands that run, in the launcher process. The pid of a command names it, and its process
 * group, until it is reaped; so its group is killed first and it is reaped last. A daemon that
 * keeps the pipe open after that is not waited for.
 */
#include "injector/probes/launcher_message.h"

#include "injector/base/cleanup.h"
#include "injector/base/clock.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#define RUNS_OF_A_COMMAND 8
#define GRACE_NS	  NSEC_PER_SEC /* COMMAND: from SIGTERM to SIGKILL */
#define SUPERSEDE_MS	  500	       /* one that hangs in the kernel does not go at once */
#define DRAIN_MAX	  (1 << 20)    /* of what is in the pipe, or still written, after the end */

struct run {
	struct run *next;
	struct launcher_server *server;
	const struct launcher_command *command;
	pid_t pid;	     /* 0: ended and reaped; only the reply is left to do */
	int output, trouble; /* -1: none */
	size_t used;	     /* of reply.result.output */
	bool is_cancelled;
	struct loop_timer timer;   /* time-out, then grace */
	bool is_dying;		   /* a COMMAND between SIGTERM and SIGKILL */
	struct launcher_tree tree; /* its descendants */
	struct launcher_reply reply;
};

static bool send_reply(struct launcher_server *server, const struct launcher_reply *reply)
{
	return send(server->socket, reply, sizeof(*reply), MSG_NOSIGNAL) >= 0 || errno != EAGAIN;
}

static void free_run(struct run *run)
{
	struct run **at = &run->server->runs;

	while (*at != run)
		at = &(*at)->next;
	*at = run->next;
	loop_timer_cancel(run->server->loop, &run->timer);
	launcher_tree_clear(&run->tree);
	free(run);
}

/* An ended run: answers and forgets it, or keeps it until its descendants have ended, too, or until
 * there is room. */
static void settle(struct run *run)
{
	if (run->is_dying && !launcher_tree_has_ended(&run->tree))
		return;
	if (run->is_cancelled || run->server->is_ending || send_reply(run->server, &run->reply))
		free_run(run);
	else
		launcher_child_watch(run->server, true);
}

void launcher_runs_settle(struct launcher_server *server)
{
	struct run *next;

	launcher_child_watch(server, false);
	for (struct run *run = server->runs; run; run = next) {
		next = run->next;
		if (!run->pid)
			settle(run);
	}
}

/* Keeps the start, drops the rest: a command must never block on a full pipe. */
static void drain(struct run *run, size_t limit)
{
	char *kept = run->reply.result.output;
	size_t room = sizeof(run->reply.result.output) - 1;
	char buffer[16384];
	ssize_t length;

	for (size_t total = 0; run->output >= 0 && total < limit; total += (size_t)length) {
		length = read(run->output, buffer, sizeof(buffer));
		if (length < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (length <= 0) {
			loop_unwatch(run->server->loop, run->output);
			close(steal_fd(&run->output));
			return;
		}
		if (run->used < room) {
			size_t take = room - run->used;

			take = take < (size_t)length ? take : (size_t)length;
			memcpy(kept + run->used, buffer, take);
			run->used += take;
		}
	}
}

static void on_output(void *context, uint32_t events)
{
	(void)events;
	/* bounded: a command that writes without end must not keep us from the others */
	drain(context, 65536);
}

static void on_grace_over(void *context)
{
	struct run *run = context;

	launcher_tree_kill(&run->tree);
	run->is_dying = false;
	if (!run->pid)
		settle(run);
}

static void kill_run(struct run *run)
{
	struct launcher_server *server = run->server;

	if (run->is_dying)
		return;
	loop_timer_cancel(server->loop, &run->timer);
	if (!run->command->own_environment) {
		/* Before its setsid() the group does not exist yet. Not reaped: the pid is ours. */
		kill(-run->pid, SIGKILL);
		kill(run->pid, SIGKILL);
		return;
	}
	launcher_tree_terminate(&run->tree, run->pid);
	run->is_dying = loop_timer_set(server->loop, &run->timer, clock_now_ns() + GRACE_NS,
				       on_grace_over, run) == 0;
	if (!run->is_dying)
		launcher_kill_tree(run->pid);
}

static void on_timeout(void *context)
{
	struct run *run = context;

	run->reply.result.timed_out = true;
	kill_run(run);
}

/* Its main process has ended but is not reaped: its pid still names its process group. */
static void end_run(struct run *run, int status)
{
	struct launcher_server *server = run->server;
	struct launcher_result *result = &run->reply.result;
	ssize_t length;

	if (!run->command->own_environment)
		kill(-run->pid, SIGKILL); /* what it left in the background */
	waitpid(run->pid, NULL, 0);
	if (run->is_cancelled || result->timed_out)
		launcher_kill_marked(run->reply.run);
	run->pid = 0;
	if (!run->is_dying)
		loop_timer_cancel(server->loop, &run->timer);
	drain(run, DRAIN_MAX);
	if (run->output >= 0) { /* a daemon holds the other end: no matter */
		loop_unwatch(server->loop, run->output);
		close(steal_fd(&run->output));
	}
	result->status = status;
	length = read(run->trouble, result->output, sizeof(result->output) - 1);
	close(steal_fd(&run->trouble));
	if (length > 0) {
		result->status = -1;
		run->used = (size_t)length;
	}
	result->output[run->used] = '\0';
	settle(run);
}

static int wait_status(const siginfo_t *info)
{
	if (info->si_code == CLD_EXITED)
		return W_EXITCODE(info->si_status, 0);
	return W_EXITCODE(0, info->si_status) | (info->si_code == CLD_DUMPED ? WCOREFLAG : 0);
}

void launcher_runs_reap(struct launcher_server *server)
{
	for (;;) {
		siginfo_t info = {0};
		struct run *run = server->runs;

		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || !info.si_pid)
			break;
		while (run && run->pid != info.si_pid)
			run = run->next;
		if (run)
			end_run(run, wait_status(&info));
		else
			waitpid(info.si_pid, NULL, WNOHANG); /* an orphan of a command */
	}
	for (struct run *run = server->runs, *next; run; run = next) {
		next = run->next;
		if (!run->pid && run->is_dying)
			settle(run); /* an orphan may have been its last descendant */
	}
}

/* The conductor starts a command once at a time; those it gave up may still be dying. More of them
 * are the work of somebody else, who gets no fork bomb out of a registered command. */
static bool has_too_many(const struct launcher_server *server, unsigned number)
{
	unsigned count = 0;

	for (const struct run *run = server->runs; run; run = run->next)
		count += run->command == &server->commands[number];
	return count >= RUNS_OF_A_COMMAND;
}

static bool has_ended(const struct run *run)
{
	siginfo_t info = {0};

	return waitid(P_PID, (id_t)run->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid;
}

/* What reads a file again must not do so twice at once: of who died in between a run may be under
 * way that has read the bad version, and end last, or be ended in its midst with us. */
static void supersede(struct launcher_server *server, const struct launcher_command *command)
{
	const struct timespec pause = {.tv_nsec = NSEC_PER_MSEC};

	for (struct run *run = server->runs; run; run = run->next) {
		if (run->command != command || !run->pid)
			continue;
		kill_run(run);
		for (unsigned ms = 0; ms < SUPERSEDE_MS && !has_ended(run); ms++)
			nanosleep(&pause, NULL);
	}
}

void launcher_runs_start(struct launcher_server *server, const struct launcher_request *request)
{
	struct launcher_reply failed = {.run = request->run, .result = {.status = -1}};
	struct run *run = calloc(1, sizeof(*run));
	struct error err = ERROR_INIT;
	int result = -ENOMEM;

	if (server->is_apart)
		supersede(server, &server->commands[request->number]);
	if (has_too_many(server, request->number)) {
		free(run);
		run = NULL;
		error_set(&err, EAGAIN, "too many runs of '%s' have not ended yet",
			  server->commands[request->number].argv[0]);
	} else if (run) {
		run->server = server;
		run->command = &server->commands[request->number];
		run->reply.run = request->run;
		run->output = run->trouble = -1;
		result = launcher_spawn(run->command, &server->user, request->run, &server->input,
					&run->pid, &run->output, &run->trouble, &err);
	} else {
		error_errno(&err, ENOMEM, "cannot start a command");
	}
	if (result < 0) {
		snprintf(failed.result.output, sizeof(failed.result.output), "%s", err.text);
		if (!run) {
			send_reply(server, &failed);
			return;
		}
		run->reply = failed;
	}
	run->next = server->runs;
	server->runs = run;
	if (result < 0) {
		settle(run);
		return;
	}
	if (run->output >= 0)
		result = loop_watch(server->loop, run->output, EPOLLIN, on_output, run, &err);
	if (result == 0 && request->timeout_ns > 0)
		result = loop_timer_set(server->loop, &run->timer,
					clock_now_ns() + request->timeout_ns, on_timeout, run);
	if (result < 0) /* no memory to supervise it: it must not run */
		kill_run(run);
}

void launcher_runs_cancel(struct launcher_server *server, uint64_t id)
{
	for (struct run *run = server->runs; run; run = run->next)
		if (run->reply.run == id && !run->is_cancelled) {
			run->is_cancelled = true;
			if (run->pid)
				kill_run(run);
			return;
		}
}

void launcher_runs_kill_all(struct launcher_server *server)
{
	struct run *next;

	for (struct run *run = server->runs; run; run = next) {
		next = run->next;
		if (run->pid)
			kill_run(run);
		else if (!run->is_dying)
			free_run(run);
	}
}
