/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The freezer of cgroup v2 (Documentation/admin-guide/cgroup-v2.rst): cgroup.freeze is the wish,
 * "frozen" in cgroup.events the fact. Frozen processes show state S in /proc, can be killed, and a
 * stopped one among them stays stopped afterwards.
 */
#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/kernel/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

/* The group was removed: ENOENT on open, ENODEV on a file opened before. One code for both. */
static int gone(int code)
{
	return code == ENOENT ? -ENODEV : -code;
}

int cgroup_read_freeze(int directory)
{
	cleanup_fd int fd = openat(directory, "cgroup.freeze", O_RDONLY | O_CLOEXEC);
	char value;
	ssize_t got = fd < 0 ? -1 : read(fd, &value, 1);

	if (got < 0)
		return gone(errno);
	return got == 1 ? value == '1' : -EIO;
}

int cgroup_write_freeze(int directory, bool freeze)
{
	cleanup_fd int fd = openat(directory, "cgroup.freeze", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, freeze ? "1" : "0", 1) != 1)
		return gone(errno);
	return 0;
}

static int read_events(int fd)
{
	char text[256];
	const char *at;
	ssize_t got = pread(fd, text, sizeof(text) - 1, 0);

	if (got < 0)
		return gone(errno);
	text[got] = '\0';
	at = strstr(text, "frozen ");
	return at ? at[7] == '1' : -EOPNOTSUPP; /* before Linux 5.2 */
}

int cgroup_read_frozen(int directory)
{
	cleanup_fd int fd = openat(directory, "cgroup.events", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? gone(errno) : read_events(fd);
}

int cgroup_wait_frozen(int directory, bool wanted, int64_t timeout_ns)
{
	cleanup_fd int fd = openat(directory, "cgroup.events", O_RDONLY | O_CLOEXEC);
	int64_t due_ns = clock_now_ns() + timeout_ns, left_ns;
	struct pollfd watched = {.fd = fd, .events = POLLPRI};
	int frozen;

	if (fd < 0)
		return gone(errno);
	/* a read arms the notification, so: read, then poll (kernfs_fop_poll) */
	while ((frozen = read_events(fd)) != wanted) {
		if (frozen < 0)
			return frozen;
		left_ns = due_ns - clock_now_ns();
		if (left_ns <= 0)
			return -ETIMEDOUT;
		if (poll(&watched, 1, (int)(left_ns / NSEC_PER_MSEC) + 1) < 0 && errno != EINTR)
			return -errno;
	}
	return 0;
}
