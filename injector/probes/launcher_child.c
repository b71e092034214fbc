/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The launcher process. It has the rights of the invoking user and no others, starts only what was
 * registered before the seal, and outlives nothing: when the conductor is gone (its pidfd, or its
 * end of the socket), everything that runs is killed, and then it ends. No signal stops it but
 * SIGKILL.
 */
#include "injector/probes/launcher_message.h"

#include "injector/base/cleanup.h"
#include "injector/base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define GRACE_NS   NSEC_PER_SEC		  /* COMMAND: from SIGTERM to SIGKILL */
#define GIVE_UP_NS (2500 * NSEC_PER_MSEC) /* at the end: what is stuck in the kernel is left */
#define DRAIN_MAX  (1 << 20) /* of what a daemon may still write into the pipe of an ended command \
			      */
#define SWEEP_WAIT_NS (5 * NSEC_PER_MSEC)

struct run {
	struct run *next;
	struct server *server;
	const struct launcher_command *command;
	pid_t pid;	     /* 0: ended and reaped; the reply waits for room in the socket */
	int output, trouble; /* -1: none */
	size_t used;	     /* of reply.result.output */
	bool is_cancelled;
	struct loop_timer timer; /* time-out, then grace */
	struct launcher_reply reply;
};

struct server {
	struct loop *loop;
	int socket, parent_pidfd, signal_fd;
	struct launcher_user user;
	struct launcher_command *commands;
	unsigned count;
	bool is_sealed, is_ending;
	int64_t give_up_ns; /* once it is ending */
	struct run *runs;
};

static void on_socket(void *context, uint32_t events);

static bool send_reply(struct server *server, const struct launcher_reply *reply)
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
	free(run);
}

static void watch_socket(struct server *server, bool for_room)
{
	if (!server->is_ending)
		loop_watch(server->loop, server->socket, for_room ? EPOLLIN | EPOLLOUT : EPOLLIN,
			   on_socket, server, NULL);
}

/* An ended run: answers and forgets it, or keeps it until there is room. */
static void settle(struct run *run)
{
	if (run->is_cancelled || run->server->is_ending || send_reply(run->server, &run->reply))
		free_run(run);
	else
		watch_socket(run->server, true);
}

static void settle_waiting(struct server *server)
{
	struct run *next;

	watch_socket(server, false);
	for (struct run *run = server->runs; run; run = next) {
		next = run->next;
		if (!run->pid)
			settle(run);
	}
}

/* Reads what there is, keeps the start, drops the rest: a command must never block on a full pipe.
 */
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

	launcher_kill_tree(run->pid, SIGKILL);
}

static void kill_run(struct run *run)
{
	struct server *server = run->server;

	loop_timer_cancel(server->loop, &run->timer);
	if (!run->command->own_environment) {
		/* Before its setsid() the group does not exist yet; not reaped, so the pid is ours.
		 */
		kill(-run->pid, SIGKILL);
		kill(run->pid, SIGKILL);
		return;
	}
	launcher_kill_tree(run->pid, SIGTERM);
	if (loop_timer_set(server->loop, &run->timer, clock_now_ns() + GRACE_NS, on_grace_over,
			   run) < 0)
		launcher_kill_tree(run->pid, SIGKILL);
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
	struct server *server = run->server;
	struct launcher_result *result = &run->reply.result;
	ssize_t length;

	if (!run->command->own_environment)
		kill(-run->pid, SIGKILL); /* what it left in the background */
	waitpid(run->pid, NULL, 0);
	if (run->is_cancelled || result->timed_out)
		launcher_kill_marked(run->reply.run);
	run->pid = 0;
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

static void reap(struct server *server)
{
	for (;;) {
		siginfo_t info = {0};
		struct run *run = server->runs;

		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || !info.si_pid)
			return;
		while (run && run->pid != info.si_pid)
			run = run->next;
		if (run)
			end_run(run, wait_status(&info));
		else
			waitpid(info.si_pid, NULL, WNOHANG); /* an orphan of a command */
	}
}

static void on_signal(void *context, uint32_t events)
{
	struct server *server = context;
	struct signalfd_siginfo info;

	(void)events;
	while (read(server->signal_fd, &info, sizeof(info)) > 0)
		;
	reap(server);
}

static void start_run(struct server *server, const struct launcher_request *request)
{
	struct launcher_reply failed = {.run = request->run, .result = {.status = -1}};
	struct run *run = calloc(1, sizeof(*run));
	struct error err = ERROR_INIT;
	int result = -ENOMEM;

	if (run) {
		run->server = server;
		run->command = &server->commands[request->number];
		run->reply.run = request->run;
		run->output = run->trouble = -1;
		result = launcher_spawn(run->command, &server->user, request->run, &run->pid,
					&run->output, &run->trouble, &err);
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

static void cancel_run(struct server *server, uint64_t id)
{
	for (struct run *run = server->runs; run; run = run->next)
		if (run->reply.run == id && !run->is_cancelled) {
			run->is_cancelled = true;
			if (run->pid)
				kill_run(run);
			return;
		}
}

static bool begin_command(struct server *server, const struct launcher_request *request)
{
	struct launcher_command *command = &server->commands[server->count];

	if (server->count == LAUNCHER_COMMANDS_MAX || request->length > LAUNCHER_TEXT_MAX ||
	    (server->count && !command[-1].argv))
		return false;
	command->text = malloc(request->length);
	command->length = request->length;
	command->own_environment = request->flags & LAUNCHER_OWN_ENVIRONMENT;
	server->count += command->text != NULL;
	return command->text != NULL;
}

/* All text is there: argv points into it, behind the directory. */
static bool complete_command(struct launcher_command *command)
{
	unsigned count = 0;
	char *at = command->text, *end = command->text + command->length;

	if (!command->length || end[-1])
		return false;
	for (; at < end; at += strlen(at) + 1)
		count++;
	command->argv = calloc(count, sizeof(*command->argv)); /* one for the directory: for NULL */
	if (!command->argv || count < 2)
		return false;
	at = command->text + strlen(command->text) + 1;
	for (unsigned i = 0; at < end; at += strlen(at) + 1)
		command->argv[i++] = at;
	return true;
}

static bool add_text(struct server *server, const struct launcher_request *request)
{
	struct launcher_command *command;

	if (!server->count)
		return false;
	command = &server->commands[server->count - 1];
	if (command->argv || request->length > sizeof(request->data) ||
	    request->length > command->length - command->filled)
		return false;
	memcpy(command->text + command->filled, request->data, request->length);
	command->filled += request->length;
	return command->filled < command->length || complete_command(command);
}

/* False: not a request that may be made now. */
static bool serve(struct server *server, const struct launcher_request *request)
{
	switch (request->op) {
	case LAUNCHER_ADD:
		return !server->is_sealed && begin_command(server, request);
	case LAUNCHER_TEXT:
		return !server->is_sealed && add_text(server, request);
	case LAUNCHER_SEAL:
		server->is_sealed = true;
		return true;
	case LAUNCHER_RUN:
		if (!server->is_sealed || request->number >= server->count || !request->run ||
		    !server->commands[request->number].argv)
			return false;
		start_run(server, request);
		return true;
	case LAUNCHER_CANCEL:
		cancel_run(server, request->run);
		return true;
	default:
		return false;
	}
}

static void end(struct server *server)
{
	struct run *next;

	if (server->is_ending)
		return;
	server->is_ending = true;
	loop_unwatch(server->loop, server->socket);
	loop_unwatch(server->loop, server->parent_pidfd);
	server->give_up_ns = clock_now_ns() + GIVE_UP_NS;
	for (struct run *run = server->runs; run; run = next) {
		next = run->next;
		if (run->pid)
			kill_run(run);
		else
			free_run(run);
	}
}

static void on_parent_gone(void *context, uint32_t events)
{
	(void)events;
	end(context);
}

static void on_socket(void *context, uint32_t events)
{
	struct server *server = context;
	struct launcher_request request;

	if (events & EPOLLOUT)
		settle_waiting(server);
	while (!server->is_ending) {
		ssize_t length = recv(server->socket, &request, sizeof(request), MSG_DONTWAIT);

		if (length < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		/* Whoever sends nonsense is not the conductor we know: end, do not guess. */
		if (length != (ssize_t)sizeof(request) || !serve(server, &request))
			end(server);
	}
}

static int prepare(struct server *server, pid_t parent, uid_t uid, gid_t gid, struct error *err)
{
	struct rlimit descriptors;
	sigset_t signals;
	int result;

	prctl(PR_SET_NAME, "squall-launcher");
	if (close_range(STDERR_FILENO + 1, (unsigned)server->socket - 1, 0) < 0 ||
	    close_range((unsigned)server->socket + 1, ~0U, 0) < 0)
		return error_errno(err, errno, "cannot close inherited descriptors");
	server->parent_pidfd = pidfd_open(parent, 0);
	if (server->parent_pidfd < 0 || getppid() != parent)
		return error_set(err, ESRCH, "the process that started the launcher is gone");
	sigfillset(&signals);
	sigprocmask(SIG_SETMASK, &signals, NULL);
	signal(SIGCHLD, SIG_DFL); /* ignored, it would reap by itself */
	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	server->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (server->signal_fd < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return error_errno(err, errno, "cannot watch commands");
	result = launcher_become(uid, gid, &server->user, err);
	if (result < 0)
		return result;
	getrlimit(RLIMIT_NOFILE, &descriptors);
	server->user.descriptors = descriptors;
	descriptors.rlim_cur = descriptors.rlim_max; /* two a running command */
	setrlimit(RLIMIT_NOFILE, &descriptors);
	server->commands = calloc(LAUNCHER_COMMANDS_MAX, sizeof(*server->commands));
	if (!server->commands)
		return error_errno(err, ENOMEM, "cannot keep commands");
	result = loop_new(&server->loop, err);
	if (result == 0)
		result = loop_watch(server->loop, server->socket, EPOLLIN, on_socket, server, err);
	if (result == 0)
		result = loop_watch(server->loop, server->parent_pidfd, EPOLLIN, on_parent_gone,
				    server, err);
	if (result == 0)
		result = loop_watch(server->loop, server->signal_fd, EPOLLIN, on_signal, server,
				    err);
	return result;
}

/* Until every command has ended, and every daemon that probe commands left behind. */
static bool is_work_left(struct server *server)
{
	return !server->is_ending || server->runs || launcher_kill_marked(0);
}

int launcher_child_main(int socket, pid_t parent, uid_t uid, gid_t gid)
{
	struct server server = {.socket = socket, .parent_pidfd = -1, .signal_fd = -1};
	struct launcher_reply ready = {0};
	struct error err = ERROR_INIT;
	int result = prepare(&server, parent, uid, gid, &err);

	if (result < 0) {
		ready.result.status = -1;
		snprintf(ready.result.output, sizeof(ready.result.output), "%s", err.text);
	}
	if (send(socket, &ready, sizeof(ready), MSG_NOSIGNAL) < 0 || result < 0)
		return 1;
	while (result == 0 && is_work_left(&server)) {
		if (server.is_ending && clock_now_ns() >= server.give_up_ns)
			break;
		result = loop_turn(server.loop, server.is_ending ? SWEEP_WAIT_NS : -1, &err);
	}
	return result < 0;
}
