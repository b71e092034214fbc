/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/run/requests.h"

#include "injector/kernel/descriptors.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

static bool is_clean(const char *text, size_t size)
{
	size_t length = strnlen(text, size);

	if (length == size)
		return false;
	for (size_t i = 0; i < length; i++)
		if (iscntrl((unsigned char)text[i]) && text[i] != '\t')
			return false;
	return true;
}

int request_check(const struct request_rule *rules, const struct request *request,
		  enum worker_state state, struct error *err)
{
	const struct request_rule *rule;

	if (request->type >= REQUEST_COUNT || !rules[request->type].handle)
		return error_set(err, EPROTO, "request %u is not known to the worker",
				 request->type);
	rule = &rules[request->type];
	if (!(rule->states & state))
		return error_set(err, EPROTO, "request '%s' is not allowed at this point",
				 rule->name);
	if (!is_clean(request->name, sizeof(request->name)) ||
	    !is_clean(request->text, sizeof(request->text)))
		return error_set(err, EPROTO, "request '%s' carries a malformed text", rule->name);
	return 0;
}

int request_send(int socket, const struct request *request, struct error *err)
{
	ssize_t sent;

	do
		sent = send(socket, request, sizeof(*request), MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent != sizeof(*request))
		return error_errno(err, sent < 0 ? errno : EPIPE, "cannot reach the worker");
	return 0;
}

int reply_send(int socket, const struct reply *reply, int fd, int patience_ms)
{
	for (;;) {
		struct pollfd room = {.fd = socket, .events = POLLOUT};
		int result = descriptor_send(socket, reply, sizeof(*reply), fd,
					     MSG_NOSIGNAL | MSG_DONTWAIT);

		if (result != -EAGAIN)
			return result;
		if (patience_ms <= 0 || poll(&room, 1, patience_ms) <= 0)
			return -EAGAIN;
		patience_ms = 0;
	}
}

int request_receive(int socket, struct request *out, struct error *err)
{
	ssize_t size = recv(socket, out, sizeof(*out), MSG_DONTWAIT | MSG_TRUNC);

	if (size == 0 || (size < 0 && errno == ECONNRESET))
		return 0;
	if (size < 0)
		return errno == EAGAIN || errno == EINTR
			       ? -EAGAIN
			       : error_errno(err, errno, "cannot read from the conductor");
	if (size != sizeof(*out))
		return error_set(err, EPROTO, "a request of %zd bytes instead of %zu", size,
				 sizeof(*out));
	return 1;
}

int reply_receive(int socket, struct reply *out, int *out_fd, struct error *err)
{
	ssize_t size = descriptor_receive(socket, out, sizeof(*out), out_fd, MSG_DONTWAIT);

	/* The worker left with a request of ours unread (net/unix/af_unix.c, unix_release_sock):
	 * that is told once, before what it had said last. */
	if (size == -ECONNRESET)
		size = descriptor_receive(socket, out, sizeof(*out), out_fd, MSG_DONTWAIT);
	if (size == 0 || size == -ECONNRESET)
		return 0;
	if (size < 0)
		return size == -EAGAIN || size == -EINTR
			       ? -EAGAIN
			       : error_errno(err, (int)-size, "cannot read from the worker");
	if (size != sizeof(*out) || out->type >= REPLY_COUNT)
		return error_set(err, EPROTO, "the worker sent a malformed message");
	out->name[sizeof(out->name) - 1] = '\0';
	out->text[sizeof(out->text) - 1] = '\0';
	out->remedy[sizeof(out->remedy) - 1] = '\0';
	return 1;
}
