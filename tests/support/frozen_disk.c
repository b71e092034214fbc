/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/support/frozen_disk.h"

#include "injector/base/cleanup.h"
#include "injector/kernel/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LONGEST_MS 100000 /* the kernel complains of sleepers after two minutes */
#define PAUSE_MS   10

static pid_t keeper;
static int keeper_end = -1;

static void must(bool is_true, const char *what)
{
	if (is_true)
		return;
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	abort();
}

bool frozen_disk_make(const char *folder, char *why, size_t size)
{
	char command[1024];

	must(mkdir(folder, 0755) == 0, folder);
	snprintf(command, sizeof(command),
		 "truncate -s 8M %s.img && mkfs.ext4 -q -F -m 0 -E nodiscard %s.img", folder,
		 folder);
	if (system(command) != 0) {
		snprintf(why, size, "no mkfs.ext4 (remedy: sudo make setup)");
		return false;
	}
	snprintf(command, sizeof(command), "mount -o loop %s.img %s", folder, folder);
	if (system(command) == 0)
		return true;
	snprintf(why, size, "no loop device, or no ext4");
	return false;
}

/* A process of its own: it sees the end of this one. */
static void keep_frozen(const char *folder, int ready, int end)
{
	cleanup_fd int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct pollfd ended = {.fd = end, .events = POLLIN};

	must(fd >= 0 && ioctl(fd, FIFREEZE, 0) == 0, "FIFREEZE");
	must(write(ready, "x", 1) == 1, "ready");
	poll(&ended, 1, LONGEST_MS);
	must(ioctl(fd, FITHAW, 0) == 0, "FITHAW");
}

void frozen_disk_freeze(const char *folder)
{
	int ready[2], end[2];
	char byte;

	must(pipe2(ready, O_CLOEXEC) == 0 && pipe2(end, O_CLOEXEC) == 0, "pipe");
	fflush(NULL);
	keeper = fork();
	must(keeper >= 0, "fork");
	if (keeper == 0) {
		close(end[1]);
		keep_frozen(folder, ready[1], end[0]);
		_exit(0);
	}
	close(end[0]);
	close(ready[1]);
	must(read(ready[0], &byte, 1) == 1, "the disk is not frozen");
	close(ready[0]);
	keeper_end = end[1];
}

void frozen_disk_thaw(void)
{
	int status;

	if (keeper_end < 0)
		return;
	/* whom this process has forked may hold it, too */
	must(write(keeper_end, "x", 1) == 1, "thaw");
	close(keeper_end);
	keeper_end = -1;
	must(waitpid(keeper, &status, 0) == keeper && status == 0, "the disk is not thawed");
}

bool frozen_disk_await_sleep(pid_t pid)
{
	struct proc_stat stat;

	/* each file system sleeps now and then: so for a while */
	for (unsigned in_row = 0, i = 0; i < LONGEST_MS / PAUSE_MS / 4; i++) {
		in_row = proc_read_stat(pid, &stat) == 0 && stat.state == 'D' ? in_row + 1 : 0;
		if (in_row == 20)
			return true;
		usleep(PAUSE_MS * 1000);
	}
	return false;
}

void frozen_disk_remove(const char *folder)
{
	char image[512];

	frozen_disk_thaw();
	/* whoever was killed may be at his end still */
	for (unsigned i = 0; umount2(folder, 0) < 0 && errno == EBUSY && i < 200; i++)
		usleep(PAUSE_MS * 1000);
	snprintf(image, sizeof(image), "%s.img", folder);
	unlink(image);
	rmdir(folder);
}
