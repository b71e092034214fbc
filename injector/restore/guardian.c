/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The worker's side of the guardian: fork it, tell it the run, ping it, let it go. Nothing here
 * blocks longer than it says; a guardian that does not answer is an error for the worker, which
 * then ends the run itself.
 */
#include "injector/restore/guardian.h"

#include "injector/base/cleanup.h"
#include "injector/kernel/proc.h"
#include "injector/restore/guardian_cgroup.h"
#include "injector/restore/guardian_process.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define BEGIN_WAIT_MS 3000
#define END_WAIT_MS   2000

static int start_failed(int code, struct error *err)
{
	error_errno(err, code, "cannot start the guardian");
	return -code;
}

int guardian_start(struct guardian *out, struct error *err)
{
	cleanup_fd int near = -1, far = -1, worker = -1;
	pid_t parent = getpid(), child;
	int sockets[2], child_fd;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
		return start_failed(errno, err);
	near = sockets[0];
	far = sockets[1];
	/* Our own, made before the fork: the child could not tell our number from a later one's. */
	worker = proc_pidfd_open(parent);
	if (worker < 0)
		return start_failed(-worker, err);
	child = fork();
	if (child < 0)
		return start_failed(errno, err);
	if (child == 0) {
		guardian_process(far, worker);
		_exit(0);
	}
	child_fd = proc_pidfd_open(child);
	if (child_fd < 0) {
		kill(child, SIGKILL); /* not reaped yet: the number is still its own */
		waitpid(child, NULL, 0);
		return start_failed(-child_fd, err);
	}
	*out = (struct guardian){.pid = child, .pidfd = child_fd, .socket = steal_fd(&near)};
	return 0;
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

int guardian_begin(struct guardian *guardian, const char *run_id, int64_t deadline_ns,
		   struct error *err)
{
	struct guardian_message message = {.kind = GUARDIAN_BEGIN, .deadline_ns = deadline_ns};
	struct guardian_reply reply;
	ssize_t got;
	int result;

	snprintf(message.run_id, sizeof(message.run_id), "%s", run_id);
	result = send_message(guardian, &message);
	if (result == 0)
		result = wait_readable(guardian->socket, BEGIN_WAIT_MS);
	/* It may have said why it failed and died before it could be asked. */
	got = recv(guardian->socket, &reply, sizeof(reply), MSG_DONTWAIT);
	if (got == (ssize_t)sizeof(reply)) {
		reply.text[sizeof(reply.text) - 1] = '\0';
		if (reply.code == 0)
			return 0;
		return error_set(err, reply.code, "the guardian cannot stand by: %s", reply.text);
	}
	if (result == -ETIMEDOUT)
		return error_set(err, ETIMEDOUT, "the guardian (process %d) does not answer",
				 (int)guardian->pid);
	return error_set(err, EPIPE, "the guardian (process %d) died before the run began",
			 (int)guardian->pid);
}

void guardian_ping(struct guardian *guardian)
{
	struct guardian_message message = {.kind = GUARDIAN_PING};

	send_message(guardian, &message); /* a dead guardian shows on its pidfd */
}

void guardian_end(struct guardian *guardian)
{
	struct guardian_message message = {.kind = GUARDIAN_END};

	if (guardian->pid <= 0)
		return;
	if (send_message(guardian, &message) < 0 || wait_readable(guardian->pidfd, END_WAIT_MS) < 0)
		proc_pidfd_signal(guardian->pidfd, SIGKILL);
	while (waitpid(guardian->pid, NULL, 0) < 0 && errno == EINTR)
		;
	guardian_cgroup_sweep(); /* its group, and those of guardians killed in the last moment */
	close(guardian->pidfd);
	close(guardian->socket);
	*guardian = (struct guardian){.pidfd = -1, .socket = -1};
}
