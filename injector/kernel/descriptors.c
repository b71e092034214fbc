/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/kernel/descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define KEPT_MAX 8

union control {
	char space[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

int descriptor_send(int socket, const void *bytes, size_t size, int fd, int flags)
{
	struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
	union control control = {0};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	struct cmsghdr *header;

	if (fd >= 0) {
		message.msg_control = control.space;
		message.msg_controllen = sizeof(control.space);
		header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(header), &fd, sizeof(int));
	}
	return sendmsg(socket, &message, flags) < 0 ? -errno : 0;
}

ssize_t descriptor_receive(int socket, void *bytes, size_t size, int *out_fd, int flags)
{
	struct iovec part = {.iov_base = bytes, .iov_len = size};
	union control control = {0};
	struct msghdr message = {.msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = control.space,
				 .msg_controllen = sizeof(control.space)};
	const struct cmsghdr *header;
	ssize_t got = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);

	*out_fd = -1;
	if (got < 0)
		return -errno;
	header = CMSG_FIRSTHDR(&message);
	if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
	    header->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(out_fd, CMSG_DATA(header), sizeof(int));
	return got;
}

static int compare_numbers(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static bool is_kept_stream(int fd)
{
#ifdef __SANITIZE_ADDRESS__
	return fd == STDERR_FILENO; /* where it reports what it found */
#else
	(void)fd;
	return false;
#endif
}

/* Started with closed standard streams, `null` may be one of them: then it is in its place. */
static int silence_streams(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return -errno;
	for (int fd = 0; fd <= 2; fd++)
		if (fd != null && !is_kept_stream(fd) && dup2(null, fd) < 0)
			return -errno;
	return 0; /* and closed with everything else */
}

int descriptors_keep(int *const ours[], unsigned count)
{
	int keep[KEPT_MAX], low = 3, result;

	if (count > KEPT_MAX)
		return -E2BIG;
	/* ours may be among 0, 1, 2 for the same reason: copies above them */
	for (unsigned i = 0; i < count; i++) {
		keep[i] = *ours[i] > 2 ? *ours[i] : fcntl(*ours[i], F_DUPFD_CLOEXEC, 3);
		if (keep[i] < 0)
			return -errno;
		*ours[i] = keep[i];
	}
	result = silence_streams();
	if (result < 0)
		return result;
	qsort(keep, count, sizeof(*keep), compare_numbers);
	for (unsigned i = 0; i < count; i++) {
		if (keep[i] > low && close_range((unsigned)low, (unsigned)keep[i] - 1, 0) < 0)
			return -errno;
		low = keep[i] + 1;
	}
	return close_range((unsigned)low, ~0U, 0) < 0 ? -errno : 0;
}

void descriptors_leave_callers(void)
{
	close_range(3, ~0U, 0); /* Linux 5.9 */
}

int descriptor_raise(int fd, int *out_fd)
{
	/* below the usual limits of 524288, 1024 (getrlimit(2), RLIMIT_NOFILE) and lower ones */
	static const int above[] = {3840, 896, 192};

	for (unsigned i = 0; i < sizeof(above) / sizeof(*above); i++) {
		int copy = fcntl(fd, F_DUPFD_CLOEXEC, above[i]);

		if (copy >= 0) {
			*out_fd = copy;
			return 0;
		}
		if (errno != EINVAL && errno != EMFILE)
			break;
	}
	return -errno;
}
