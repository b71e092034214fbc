/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Asking a launcher that lives apart, without a loop and without knowing more of it than its
 * socket. Several processes may hold that: each takes answers to the others' runs as well, so that
 * only one of them may ask at a time (the guardian begins when the worker is dead).
 */
#include "injector/probes/launcher_message.h"

#include "injector/base/clock.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

static int put(int socket, const struct launcher_request *request)
{
	ssize_t sent;

	do
		sent = send(socket, request, sizeof(*request), MSG_DONTWAIT | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

int launcher_post(int socket, uint32_t number, uint64_t run, int64_t timeout_ns, struct error *err)
{
	const struct launcher_request request = {
		.op = LAUNCHER_RUN, .number = number, .run = run, .timeout_ns = timeout_ns};
	int result = put(socket, &request);

	return result < 0 ? error_errno(err, -result, "cannot ask for a command") : 0;
}

void launcher_withdraw(int socket, uint64_t run)
{
	const struct launcher_request request = {.op = LAUNCHER_CANCEL, .run = run};

	put(socket, &request); /* else its time limit ends it */
}

int launcher_hear(int socket, int64_t until_ns, uint64_t *out_run, struct launcher_result *out)
{
	struct pollfd poller = {.fd = socket, .events = POLLIN};
	struct launcher_reply reply;
	ssize_t got;

	for (;;) {
		int64_t left_ns = until_ns ? until_ns - clock_now_ns() : 0;

		got = recv(socket, &reply, sizeof(reply), MSG_DONTWAIT);
		if (got >= 0 || (errno != EAGAIN && errno != EINTR))
			break;
		if (left_ns <= 0)
			return 0;
		poll(&poller, 1, (int)(left_ns / NSEC_PER_MSEC) + 1);
	}
	if (got != (ssize_t)sizeof(reply))
		return -ESRCH;
	reply.result.output[sizeof(reply.result.output) - 1] = '\0';
	*out_run = reply.run;
	*out = reply.result;
	return 1;
}
