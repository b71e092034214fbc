/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which process a number means, and keeping hold of it. A pid is only a number: it is reused. A
 * pidfd is the process itself, but nothing can be read through it; so what /proc says is believed
 * only between opening the pidfd and a signal 0 that still finds its process.
 */
#include "injector/base/cleanup.h"
#include "injector/kernel/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A tree made by a test: its numbers mean nothing to the kernel. */
static bool is_fake(void)
{
	return strcmp(proc_root(), "/proc") != 0;
}

int proc_identity(pid_t pid, struct process_identity *out)
{
	struct proc_stat stat;
	int result = proc_read_stat(pid, &stat);

	if (result == 0)
		*out = (struct process_identity){.pid = pid, .start_time = stat.start_time};
	return result;
}

int proc_is_same(const struct process_identity *identity)
{
	cleanup_fd int pidfd = -1;
	struct proc_stat stat;
	int result = proc_pin(identity->pid, &stat, &pidfd);

	if (result == -ESRCH)
		return 0;
	if (result < 0)
		return result;
	return stat.start_time == identity->start_time && !stat.is_dead;
}

int proc_pidfd_open(pid_t pid)
{
	char path[PATH_MAX];
	int fd;

	if (is_fake()) {
		snprintf(path, sizeof(path), "%s/%d", proc_root(), pid);
		fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		return fd < 0 ? -ESRCH : fd;
	}
	fd = (int)syscall(SYS_pidfd_open, pid, 0U);
	/* the number of a thread: EINVAL, since 6.9 ENOENT */
	if (fd < 0)
		return errno == EINVAL || errno == ENOENT ? -ESRCH : -errno;
	return fd;
}

int proc_pidfd_signal(int pidfd, int signal)
{
	struct stat status;

	if (is_fake())
		return signal ? -EPERM : fstat(pidfd, &status) == 0 && status.st_nlink ? 0 : -ESRCH;
	return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0U) < 0 ? -errno : 0;
}

bool proc_pidfd_has_exited(int pidfd)
{
	struct pollfd watched = {.fd = pidfd, .events = POLLIN};

	return poll(&watched, 1, 0) == 1 && watched.revents & (POLLIN | POLLHUP);
}

int proc_pin(pid_t pid, struct proc_stat *out, int *out_pidfd)
{
	cleanup_fd int pidfd = proc_pidfd_open(pid);
	struct proc_stat stat;
	int result;

	if (pidfd < 0)
		return pidfd;
	result = proc_read_stat(pid, &stat);
	/* It is there, yet not for us: /proc is mounted with hidepid. That is not "gone". */
	if (result == -ESRCH && proc_pidfd_signal(pidfd, 0) != -ESRCH &&
	    !proc_pidfd_has_exited(pidfd))
		return -EACCES;
	if (result == 0 && proc_pidfd_signal(pidfd, 0) == -ESRCH)
		result = -ESRCH;
	if (result < 0)
		return result;
	*out = stat;
	*out_pidfd = steal_fd(&pidfd);
	return 0;
}
