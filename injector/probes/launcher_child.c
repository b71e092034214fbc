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
#include "injector/kernel/inherited.h"
#include "injector/kernel/realtime.h"

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

#define GIVE_UP_NS    (2500 * NSEC_PER_MSEC) /* at the end: what is stuck in the kernel is left */
#define SWEEP_WAIT_NS (5 * NSEC_PER_MSEC)

static void on_socket(void *context, uint32_t events);

void launcher_child_watch(struct launcher_server *server, bool for_room)
{
	if (!server->is_ending)
		loop_watch(server->loop, server->socket, for_room ? EPOLLIN | EPOLLOUT : EPOLLIN,
			   on_socket, server, NULL);
}

static void on_signal(void *context, uint32_t events)
{
	struct launcher_server *server = context;
	struct signalfd_siginfo info;

	(void)events;
	while (read(server->signal_fd, &info, sizeof(info)) > 0)
		;
	launcher_runs_reap(server);
}

static bool begin_command(struct launcher_server *server, const struct launcher_request *request)
{
	struct launcher_command *command = &server->commands[server->count];

	if (server->count == LAUNCHER_COMMANDS_MAX || request->length > LAUNCHER_TEXT_MAX ||
	    (server->count && !command[-1].argv))
		return false;
	command->text = malloc(request->length);
	command->length = request->length;
	command->own_environment = request->flags & LAUNCHER_OWN_ENVIRONMENT;
	command->has_joined_errors = request->flags & LAUNCHER_JOINED_ERRORS;
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

static bool add_text(struct launcher_server *server, const struct launcher_request *request)
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

static bool add_input(struct launcher_input *input, const struct launcher_request *request)
{
	if (request->length > sizeof(request->data) ||
	    request->length > sizeof(input->bytes) - input->length)
		return false;
	memcpy(input->bytes + input->length, request->data, request->length);
	input->length += request->length;
	return true;
}

/* False: not a request that may be made now. */
static bool serve(struct launcher_server *server, const struct launcher_request *request)
{
	switch (request->op) {
	case LAUNCHER_ADD:
		return !server->is_sealed && begin_command(server, request);
	case LAUNCHER_TEXT:
		return !server->is_sealed && add_text(server, request);
	case LAUNCHER_SEAL:
		server->is_sealed = true;
		return true;
	case LAUNCHER_INPUT:
		return server->is_sealed && add_input(&server->input, request);
	case LAUNCHER_RUN:
		if (!server->is_sealed || request->number >= server->count || !request->run ||
		    !server->commands[request->number].argv)
			return false;
		launcher_runs_start(server, request);
		server->input.length = 0;
		return true;
	case LAUNCHER_CANCEL:
		launcher_runs_cancel(server, request->run);
		return true;
	default:
		return false;
	}
}

static void end(struct launcher_server *server)
{
	if (server->is_ending)
		return;
	server->is_ending = true;
	loop_unwatch(server->loop, server->socket);
	if (!server->is_apart)
		loop_unwatch(server->loop, server->parent_pidfd);
	server->give_up_ns = clock_now_ns() + GIVE_UP_NS;
	launcher_runs_kill_all(server);
}

static void on_parent_gone(void *context, uint32_t events)
{
	(void)events;
	end(context);
}

static void on_socket(void *context, uint32_t events)
{
	struct launcher_server *server = context;
	struct launcher_request request;

	if (events & EPOLLOUT)
		launcher_runs_settle(server);
	while (!server->is_ending) {
		ssize_t length = recv(server->socket, &request, sizeof(request), MSG_DONTWAIT);

		if (length < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		/* Whoever sends nonsense is not the conductor we know: end, do not guess. */
		if (length != (ssize_t)sizeof(request) || !serve(server, &request))
			end(server);
	}
}

static int prepare(struct launcher_server *server, pid_t parent, uid_t uid, gid_t gid,
		   struct error *err)
{
	struct rlimit descriptors;
	sigset_t signals;
	int result;

	prctl(PR_SET_NAME, server->is_apart ? "squall-reloader" : "squall-launcher");
	realtime_end(); /* no command goes before everybody else */
	inherited_limits_back();
	if (close_range(STDERR_FILENO + 1, (unsigned)server->socket - 1, 0) < 0 ||
	    close_range((unsigned)server->socket + 1, ~0U, 0) < 0)
		return error_errno(err, errno, "cannot close inherited descriptors");
	if (!server->is_apart)
		server->parent_pidfd = pidfd_open(parent, 0);
	if (!server->is_apart && (server->parent_pidfd < 0 || getppid() != parent))
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
	if (result == 0 && !server->is_apart)
		result = loop_watch(server->loop, server->parent_pidfd, EPOLLIN, on_parent_gone,
				    server, err);
	if (result == 0)
		result = loop_watch(server->loop, server->signal_fd, EPOLLIN, on_signal, server,
				    err);
	return result;
}

/* Until every command has ended, and every daemon that probe commands left behind. (What reloads a
 * service may have put a new one in its place.) */
static bool is_work_left(struct launcher_server *server)
{
	return !server->is_ending || server->runs || (!server->is_apart && launcher_kill_marked(0));
}

int launcher_child_main(int socket, pid_t parent, uid_t uid, gid_t gid)
{
	struct launcher_server server = {
		.socket = socket, .parent_pidfd = -1, .signal_fd = -1, .is_apart = !parent};
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
