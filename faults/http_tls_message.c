/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/http_tls_message.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
	char space[CMSG_SPACE(sizeof(int) * HTTP_TLS_FDS_MAX)];
	struct cmsghdr align;
};

int http_tls_send(int socket, const void *bytes, size_t size, const int *fds, unsigned count)
{
	struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
	union control control = {0};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	struct cmsghdr *header;
	ssize_t sent;

	if (count) {
		message.msg_control = control.space;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
		header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int) * count);
		memcpy(CMSG_DATA(header), fds, sizeof(int) * count);
	}
	do
		sent = sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

int http_tls_receive(int socket, void *bytes, size_t size, int fds[HTTP_TLS_FDS_MAX])
{
	struct iovec part = {.iov_base = bytes, .iov_len = size};
	union control control = {0};
	struct msghdr message = {.msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = fds ? control.space : NULL,
				 .msg_controllen = fds ? sizeof(control.space) : 0};
	const struct cmsghdr *header;
	ssize_t got;

	for (unsigned i = 0; fds && i < HTTP_TLS_FDS_MAX; i++)
		fds[i] = -1;
	do
		got = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return errno == EAGAIN ? -EAGAIN : 0;
	header = fds ? CMSG_FIRSTHDR(&message) : NULL;
	if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
		memcpy(fds, CMSG_DATA(header), header->cmsg_len - CMSG_LEN(0));
	return got == (ssize_t)size && !(message.msg_flags & MSG_TRUNC);
}
