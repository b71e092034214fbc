/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The conductor's side of the launcher: sends requests, never waits for an answer after the seal.
 * Requests that do not fit into the socket wait in a queue. When the launcher dies, every running
 * command is answered with a reason, and later ones are refused.
 */
#include "injector/probes/launcher_message.h"

#include "injector/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* Longer than the child gives a COMMAND to end, and to reap what it killed */
#define QUIT_WAIT_MS 3000

struct command {
	uint64_t run; /* 0: not running */
	launcher_fn fn;
	void *context;
};

struct launcher {
	int socket, pidfd; /* pidfd -1: it has died and was reaped */
	pid_t pid;
	struct loop *loop; /* NULL before the seal */
	struct command commands[LAUNCHER_COMMANDS_MAX];
	unsigned count;
	uint64_t last_run;
	char *directory; /* owned; NULL: as is */
	char epitaph[96];
	struct launcher_request *queue; /* not yet sent, oldest first */
	unsigned queued, queue_capacity;
};

static void on_socket(void *context, uint32_t events);

/* Why the launcher is gone, in words. Reaps it. */
static void bury(struct launcher *launcher)
{
	siginfo_t info = {0};

	if (launcher->pidfd < 0)
		return;
	if (waitid(P_PIDFD, (id_t)launcher->pidfd, &info, WEXITED | WNOHANG) == 0 && info.si_pid)
		snprintf(launcher->epitaph, sizeof(launcher->epitaph),
			 info.si_code == CLD_EXITED ? "the launcher ended (status %d)"
						    : "the launcher was killed (signal %d)",
			 info.si_status);
	else
		snprintf(launcher->epitaph, sizeof(launcher->epitaph), "the launcher is gone");
	if (launcher->loop) {
		loop_unwatch(launcher->loop, launcher->pidfd);
		loop_unwatch(launcher->loop, launcher->socket);
	}
	close(steal_fd(&launcher->pidfd));
}

static void answer(struct launcher *launcher, unsigned number, const struct launcher_result *result)
{
	struct command *command = &launcher->commands[number];
	launcher_fn fn = command->fn;

	command->run = 0;
	fn(command->context, result);
}

static void answer_all_dead(struct launcher *launcher)
{
	struct launcher_result result = {.status = -1};

	snprintf(result.output, sizeof(result.output), "%s", launcher->epitaph);
	for (unsigned i = 0; i < launcher->count; i++)
		if (launcher->commands[i].run)
			answer(launcher, i, &result);
}

/* Takes all replies there are. False: the other end is gone. */
static bool receive(struct launcher *launcher)
{
	struct launcher_reply reply;

	for (;;) {
		ssize_t length = recv(launcher->socket, &reply, sizeof(reply), MSG_DONTWAIT);

		if (length < 0 && errno == EINTR)
			continue;
		if (length < 0)
			return errno == EAGAIN;
		if (length != (ssize_t)sizeof(reply))
			return false;
		reply.result.output[sizeof(reply.result.output) - 1] = '\0';
		for (unsigned i = 0; reply.run && i < launcher->count; i++)
			if (launcher->commands[i].run == reply.run) {
				answer(launcher, i, &reply.result);
				break;
			}
	}
}

static void on_death(void *context, uint32_t events)
{
	struct launcher *launcher = context;

	(void)events;
	receive(launcher); /* what it said before it died still counts */
	bury(launcher);
	answer_all_dead(launcher);
}

static void flush_queue(struct launcher *launcher)
{
	unsigned sent = 0;

	while (sent < launcher->queued && send(launcher->socket, &launcher->queue[sent],
					       sizeof(*launcher->queue), MSG_NOSIGNAL) >= 0)
		sent++;
	launcher->queued -= sent;
	memmove(launcher->queue, launcher->queue + sent,
		launcher->queued * sizeof(*launcher->queue));
}

static void watch_socket(struct launcher *launcher)
{
	/* cannot fail: it only changes the events of a watched descriptor */
	loop_watch(launcher->loop, launcher->socket,
		   launcher->queued ? EPOLLIN | EPOLLOUT : EPOLLIN, on_socket, launcher, NULL);
}

static void on_socket(void *context, uint32_t events)
{
	struct launcher *launcher = context;

	if (events & EPOLLOUT && launcher->queued) {
		flush_queue(launcher);
		watch_socket(launcher);
	}
	if (receive(launcher))
		return;
	/* Closed, but the pidfd tells the cause, and tells it a moment later. */
	loop_unwatch(launcher->loop, launcher->socket);
}

/* After the seal: never blocks. */
static int post(struct launcher *launcher, const struct launcher_request *request,
		struct error *err)
{
	if (!launcher->queued &&
	    send(launcher->socket, request, sizeof(*request), MSG_NOSIGNAL) >= 0)
		return 0;
	if (!launcher->queued && errno != EAGAIN)
		return error_errno(err, ESRCH, "the launcher does not answer");
	if (launcher->queued == launcher->queue_capacity) {
		unsigned capacity = launcher->queue_capacity ? launcher->queue_capacity * 2 : 64;
		struct launcher_request *queue =
			realloc(launcher->queue, capacity * sizeof(*queue));

		if (!queue)
			return error_errno(err, ENOMEM, "cannot start a command");
		launcher->queue = queue;
		launcher->queue_capacity = capacity;
	}
	launcher->queue[launcher->queued++] = *request;
	watch_socket(launcher);
	return 0;
}

/* Before the seal: waits until the launcher has taken it. */
static int tell(struct launcher *launcher, const struct launcher_request *request,
		struct error *err)
{
	while (send(launcher->socket, request, sizeof(*request), MSG_NOSIGNAL) < 0)
		if (errno != EINTR)
			return error_errno(err, errno, "cannot talk to the launcher");
	return 0;
}

static int await_ready(struct launcher *launcher, struct error *err)
{
	struct launcher_reply reply;
	ssize_t length;

	do
		length = recv(launcher->socket, &reply, sizeof(reply), 0);
	while (length < 0 && errno == EINTR);
	if (length != (ssize_t)sizeof(reply))
		return error_set(err, EIO, "the launcher ended before it began");
	reply.result.output[sizeof(reply.result.output) - 1] = '\0';
	if (reply.result.status != 0)
		return error_set(err, EPERM, "cannot prepare to start commands: %.900s",
				 reply.result.output);
	return 0;
}

static int create(uid_t uid, gid_t gid, bool is_apart, struct launcher **out, struct error *err)
{
	struct launcher *launcher = calloc(1, sizeof(*launcher));
	cleanup_fd int ours = -1, theirs = -1;
	pid_t parent = getpid(), pid;
	int pair[2], result;

	if (!launcher)
		return error_errno(err, ENOMEM, "cannot prepare to start commands");
	launcher->socket = launcher->pidfd = -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		result = error_errno(err, errno, "cannot prepare to start commands");
		launcher_free(launcher);
		return result;
	}
	ours = pair[0];
	theirs = pair[1];
	pid = fork();
	if (pid == 0) {
		close(ours);
		_exit(launcher_child_main(theirs, is_apart ? 0 : parent, uid, gid));
	}
	launcher->pid = pid;
	if (pid > 0)
		launcher->pidfd = pidfd_open(pid, 0);
	if (pid < 0 || launcher->pidfd < 0) {
		result = error_errno(err, errno, "cannot start the launcher of commands");
	} else {
		close(steal_fd(&theirs)); /* so that its end is seen */
		launcher->socket = steal_fd(&ours);
		result = await_ready(launcher, err);
	}
	if (result < 0)
		launcher_free(launcher);
	else
		*out = launcher;
	return result;
}

int launcher_new(uid_t uid, gid_t gid, struct launcher **out, struct error *err)
{
	return create(uid, gid, false, out, err);
}

int launcher_new_apart(uid_t uid, gid_t gid, struct launcher **out, struct error *err)
{
	return create(uid, gid, true, out, err);
}

int launcher_socket(const struct launcher *launcher)
{
	return launcher->socket;
}

void launcher_leave(struct launcher *launcher)
{
	close(launcher->socket);
	close(launcher->pidfd);
	free(launcher);
}

pid_t launcher_pid(const struct launcher *launcher)
{
	return launcher->pid;
}

int launcher_set_directory(struct launcher *launcher, const char *directory, struct error *err)
{
	char *copy = strdup(directory);

	if (!copy)
		return error_errno(err, ENOMEM, "cannot keep a directory");
	free(launcher->directory);
	launcher->directory = copy;
	return 0;
}

/* Directory and arguments, NUL after each, in one block. */
static char *pack(const char *directory, char *const argv[], size_t *out_length)
{
	size_t length = strlen(directory) + 1;
	char *text, *at;

	for (unsigned i = 0; argv[i]; i++)
		length += strlen(argv[i]) + 1;
	text = malloc(length);
	if (!text)
		return NULL;
	at = stpcpy(text, directory) + 1;
	for (unsigned i = 0; argv[i]; i++)
		at = stpcpy(at, argv[i]) + 1;
	*out_length = length;
	return text;
}

static int add(struct launcher *launcher, char *const argv[], uint32_t flags, const char *directory,
	       struct error *err)
{
	struct launcher_request request = {.op = LAUNCHER_ADD, .flags = flags};
	cleanup_free char *text = NULL;
	size_t length = 0;
	int result;

	if (launcher->loop || launcher->count == LAUNCHER_COMMANDS_MAX)
		return error_set(err, EPERM, "no more commands can be registered");
	if (!argv[0] || !argv[0][0])
		return error_set(err, EINVAL, "the command has no program");
	if (!directory && !(flags & LAUNCHER_OWN_ENVIRONMENT))
		directory = launcher->directory;
	text = pack(directory ? directory : "", argv, &length);
	if (!text)
		return error_errno(err, ENOMEM, "cannot register '%s'", argv[0]);
	if (length > LAUNCHER_TEXT_MAX)
		return error_errno(err, E2BIG, "cannot register '%s'", argv[0]);
	request.length = (uint32_t)length;
	result = tell(launcher, &request, err);
	for (size_t at = 0; result == 0 && at < length; at += request.length) {
		request = (struct launcher_request){.op = LAUNCHER_TEXT};
		request.length =
			(uint32_t)(length - at < sizeof(request.data) ? length - at
								      : sizeof(request.data));
		memcpy(request.data, text + at, request.length);
		result = tell(launcher, &request, err);
	}
	return result < 0 ? result : (int)launcher->count++;
}

int launcher_add(struct launcher *launcher, char *const argv[], bool own_environment,
		 const char *directory, struct error *err)
{
	return add(launcher, argv, own_environment ? LAUNCHER_OWN_ENVIRONMENT : 0, directory, err);
}

int launcher_add_tool(struct launcher *launcher, char *const argv[], struct error *err)
{
	return add(launcher, argv, LAUNCHER_JOINED_ERRORS, "/", err);
}

int launcher_seal(struct launcher *launcher, struct loop *loop, struct error *err)
{
	struct launcher_request request = {.op = LAUNCHER_SEAL};
	int result = tell(launcher, &request, err);

	if (!loop)
		return result;
	if (result == 0 && fcntl(launcher->socket, F_SETFL, O_NONBLOCK) < 0)
		result = error_errno(err, errno, "cannot talk to the launcher");
	if (result == 0)
		result = loop_watch(loop, launcher->socket, EPOLLIN, on_socket, launcher, err);
	if (result == 0)
		result = loop_watch(loop, launcher->pidfd, EPOLLIN, on_death, launcher, err);
	if (result == 0)
		launcher->loop = loop;
	else
		loop_unwatch(loop, launcher->socket);
	return result;
}

static int post_input(struct launcher *launcher, const char *input, struct error *err)
{
	struct launcher_request request = {.op = LAUNCHER_INPUT};
	size_t length = strnlen(input, LAUNCHER_INPUT_MAX);
	int result = 0;

	for (size_t at = 0; result == 0 && at < length; at += request.length) {
		request.length =
			(uint32_t)(length - at < sizeof(request.data) ? length - at
								      : sizeof(request.data));
		memcpy(request.data, input + at, request.length);
		result = post(launcher, &request, err);
	}
	return result;
}

int launcher_run(struct launcher *launcher, int number, int64_t timeout_ns, launcher_fn fn,
		 void *context, struct error *err)
{
	return launcher_run_with(launcher, number, "", timeout_ns, fn, context, err);
}

int launcher_run_with(struct launcher *launcher, int number, const char *input, int64_t timeout_ns,
		      launcher_fn fn, void *context, struct error *err)
{
	struct launcher_request request = {
		.op = LAUNCHER_RUN,
		.number = (uint32_t)number,
		.timeout_ns = timeout_ns,
	};
	struct command *command;
	int result;

	if (!launcher->loop || number < 0 || (unsigned)number >= launcher->count)
		return error_set(err, EINVAL, "there is no command %d", number);
	if (launcher->pidfd < 0)
		return error_set(err, ESRCH, "%s", launcher->epitaph);
	command = &launcher->commands[number];
	if (command->run)
		return error_set(err, EBUSY, "the command is still running");
	request.run = ++launcher->last_run;
	result = post_input(launcher, input, err);
	if (result == 0)
		result = post(launcher, &request, err);
	if (result == 0)
		*command = (struct command){.run = request.run, .fn = fn, .context = context};
	return result;
}

void launcher_cancel(struct launcher *launcher, int number)
{
	struct launcher_request request = {.op = LAUNCHER_CANCEL};
	struct command *command;

	if (number < 0 || (unsigned)number >= launcher->count)
		return;
	command = &launcher->commands[number];
	request.run = command->run;
	if (!command->run)
		return;
	command->run = 0;
	/* Without memory for the queue the launcher's own time-out ends it. */
	if (launcher->pidfd >= 0)
		post(launcher, &request, NULL);
}

void launcher_free(struct launcher *launcher)
{
	struct pollfd ended;

	if (!launcher)
		return;
	if (launcher->loop) {
		loop_unwatch(launcher->loop, launcher->socket);
		loop_unwatch(launcher->loop, launcher->pidfd);
	}
	if (launcher->socket >= 0) {
		/* Acts on the socket, whoever else holds a copy of the descriptor. */
		shutdown(launcher->socket, SHUT_RDWR);
		close(launcher->socket);
	}
	if (launcher->pidfd >= 0) {
		ended = (struct pollfd){.fd = launcher->pidfd, .events = POLLIN};
		while (poll(&ended, 1, QUIT_WAIT_MS) < 0 && errno == EINTR)
			;
		/* It also watches our pidfd: should this not be allowed, it ends when we do. */
		if (!ended.revents && pidfd_send_signal(launcher->pidfd, SIGKILL, NULL, 0) == 0)
			while (poll(&ended, 1, 100) < 0 && errno == EINTR)
				;
		launcher->loop = NULL;
		bury(launcher);
	}
	free(launcher->directory);
	free(launcher->queue);
	free(launcher);
}
