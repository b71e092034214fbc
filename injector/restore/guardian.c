/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The guardian from outside: fork it, meet it, tell it the run, ping it, let it go. Nothing here
 * blocks longer than it says; a guardian that does not answer is an error for the worker, which
 * then ends the run itself.
 */
#include "injector/restore/guardian.h"

#include "injector/base/cleanup.h"
#include "injector/kernel/descriptors.h"
#include "injector/kernel/proc.h"
#include "injector/restore/guardian_cgroup.h"
#include "injector/restore/guardian_process.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define ANSWER_WAIT_MS 3000
#define END_WAIT_MS    2000

static int start_failed(int code, struct error *err)
{
	error_errno(err, code, "cannot start the guardian");
	return -code;
}

int guardian_sockets(int out[2], struct error *err)
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, out) < 0
		       ? start_failed(errno, err)
		       : 0;
}

/* The worker learns from here whom it is talking to: a number could be another's by then. */
static int introduce(int far, pid_t child)
{
	const struct guardian_hello hello = {.pid = child};
	cleanup_fd int child_fd = proc_pidfd_open(child);

	return child_fd < 0 ? child_fd
			    : descriptor_send(far, &hello, sizeof(hello), child_fd,
					      MSG_DONTWAIT | MSG_NOSIGNAL);
}

int guardian_fork(pid_t worker, int socket, pid_t *out, struct error *err)
{
	cleanup_fd int far = socket, worker_fd = proc_pidfd_open(worker);
	pid_t child;
	int result;

	if (worker_fd < 0)
		return start_failed(-worker_fd, err);
	child = fork();
	if (child < 0)
		return start_failed(errno, err);
	if (child == 0) {
		guardian_process(far, worker, worker_fd);
		_exit(0);
	}
	result = introduce(far, child);
	if (result < 0) {
		kill(child, SIGKILL); /* not reaped yet: the number is still its own */
		waitpid(child, NULL, 0);
		return start_failed(-result, err);
	}
	*out = child;
	return 0;
}

void guardian_await(struct guardian *out, int socket)
{
	*out = (struct guardian){.pidfd = -1, .socket = socket};
}

static int send_message(const struct guardian *guardian, const struct guardian_message *message)
{
	ssize_t sent;

	do
		sent = send(guardian->socket, message, sizeof(*message),
			    MSG_DONTWAIT | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

static int wait_readable(int fd, int timeout_ms)
{
	struct pollfd poller = {.fd = fd, .events = POLLIN};
	int ready;

	do
		ready = poll(&poller, 1, timeout_ms);
	while (ready < 0 && errno == EINTR);
	if (ready < 0)
		return -errno;
	return ready ? 0 : -ETIMEDOUT;
}

int guardian_confine(struct guardian *guardian, uint64_t capabilities, struct error *err)
{
	struct guardian_message message = {.kind = GUARDIAN_CONFINE, .capabilities = capabilities};
	int result = send_message(guardian, &message);

	return result < 0 ? start_failed(-result, err) : 0;
}

int guardian_give_reloader(struct guardian *guardian, int socket, struct error *err)
{
	const struct guardian_message message = {.kind = GUARDIAN_RELOADER};
	int result = descriptor_send(guardian->socket, &message, sizeof(message), socket,
				     MSG_DONTWAIT | MSG_NOSIGNAL);

	return result < 0 ? start_failed(-result, err) : 0;
}

/* Its next message, or what it says is wrong. `reply` is written in full or not at all. */
static int hear(struct guardian *guardian, int wait_ms, void *message, size_t size, int *out_fd,
		struct error *err)
{
	union {
		struct guardian_hello hello;
		struct guardian_reply reply;
	} heard;
	int result = wait_readable(guardian->socket, wait_ms);
	/* It may have said why it failed and died before it could be asked. */
	ssize_t got =
		descriptor_receive(guardian->socket, &heard, sizeof(heard), out_fd, MSG_DONTWAIT);

	if (got == (ssize_t)sizeof(heard.reply) && heard.reply.code) {
		heard.reply.text[sizeof(heard.reply.text) - 1] = '\0';
		return error_set(err, heard.reply.code, "the guardian cannot stand by: %s",
				 heard.reply.text);
	}
	if (got == (ssize_t)size) {
		memcpy(message, &heard, size);
		return 0;
	}
	if (result == -ETIMEDOUT)
		return error_set(err, ETIMEDOUT, "the guardian (process %d) does not answer",
				 (int)guardian->pid);
	return error_set(err, EPIPE, "the guardian (process %d) died before the run began",
			 (int)guardian->pid);
}

static int meet(struct guardian *guardian, int wait_ms, struct error *err)
{
	struct guardian_hello hello;
	int pidfd = -1, result = 0;

	if (guardian->pid)
		return 0;
	result = hear(guardian, wait_ms, &hello, sizeof(hello), &pidfd, err);
	if (result == 0 && (pidfd < 0 || hello.pid <= 0))
		result = start_failed(EPROTO, err);
	if (result < 0) {
		cleanup_fd_at(&pidfd);
		return result;
	}
	guardian->pid = hello.pid;
	guardian->pidfd = pidfd;
	return 0;
}

int guardian_meet(struct guardian *guardian, struct error *err)
{
	return meet(guardian, ANSWER_WAIT_MS, err);
}

int guardian_begin(struct guardian *guardian, const char *run_id, int64_t deadline_ns,
		   struct error *err)
{
	struct guardian_message message = {.kind = GUARDIAN_BEGIN, .deadline_ns = deadline_ns};
	int result;

	snprintf(message.run_id, sizeof(message.run_id), "%s", run_id);
	result = send_message(guardian, &message);
	return result < 0 ? start_failed(-result, err) : 0;
}

int guardian_ready(struct guardian *guardian, struct error *err)
{
	struct guardian_reply reply;
	int fd, result = hear(guardian, ANSWER_WAIT_MS, &reply, sizeof(reply), &fd, err);

	cleanup_fd_at(&fd);
	return result;
}

void guardian_ping(struct guardian *guardian)
{
	struct guardian_message message = {.kind = GUARDIAN_PING};

	send_message(guardian, &message); /* a dead guardian shows on its pidfd */
}

void guardian_end(struct guardian *guardian)
{
	struct guardian_message message = {.kind = GUARDIAN_END};

	if (guardian->socket < 0)
		return;
	/* One that has not been introduced by now has nothing to do, and leaves when we do. */
	if (meet(guardian, 0, NULL) == 0 && (send_message(guardian, &message) < 0 ||
					     wait_readable(guardian->pidfd, END_WAIT_MS) < 0)) {
		proc_pidfd_signal(guardian->pidfd, SIGKILL);
		wait_readable(guardian->pidfd, END_WAIT_MS);
	}
	/* its group, and those of guardians killed in the last moment; a failure may be one of the
	 * moment, and what stays is empty and swept by the next command */
	if (!guardian_cgroup_sweep())
		guardian_cgroup_sweep();
	cleanup_fd_at(&guardian->pidfd);
	close(guardian->socket);
	*guardian = (struct guardian){.pidfd = -1, .socket = -1};
}
