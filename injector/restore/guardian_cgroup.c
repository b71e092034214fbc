/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A group directly below the root of cgroup v2: outside of every service's subtree, and with no
 * controllers, so that the limits of the worker's group do not bind the guardian either.
 */
#include "injector/restore/guardian_cgroup.h"

#include "injector/base/cleanup.h"
#include "injector/kernel/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GROUP_PREFIX "squall-guardian-"

static int open_root(void)
{
	struct cgroup_mounts mounts;
	int result = cgroup_find_mounts(&mounts, NULL);

	if (result < 0)
		return result;
	if (!mounts.unified[0])
		return -ENOENT;
	result = open(mounts.unified, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return result < 0 ? -errno : result;
}

static int move_into(int directory)
{
	cleanup_fd int fd = openat(directory, "cgroup.procs", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "0", 1) < 0) /* 0: the writer itself (cgroup-v2.rst) */
		return -errno;
	return 0;
}

void guardian_cgroup_name(const struct process_identity *guardian, char out[64])
{
	snprintf(out, 64, GROUP_PREFIX "%d-%" PRIu64, (int)guardian->pid, guardian->start_time);
}

/* A process that has ended is in its group until it is reaped. */
static void remove_group(int root, const char *name)
{
	for (int ms = 0; unlinkat(root, name, AT_REMOVEDIR) < 0 && errno == EBUSY && ms < 4; ms++)
		poll(NULL, 0, ms);
}

static int own_name(char out[64])
{
	struct process_identity self;
	int result = proc_identity(getpid(), &self);

	if (result == 0)
		guardian_cgroup_name(&self, out);
	return result;
}

int guardian_cgroup_enter(void)
{
	cleanup_fd int root = open_root();
	cleanup_fd int group = -1;
	char name[64];
	int result;

	if (root < 0)
		return root;
	result = own_name(name);
	if (result < 0)
		return result;
	if (mkdirat(root, name, 0755) < 0 && errno != EEXIST)
		return -errno;
	group = openat(root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	result = group < 0 ? -errno : move_into(group);
	if (result < 0)
		unlinkat(root, name, AT_REMOVEDIR);
	return result;
}

void guardian_cgroup_leave(void)
{
	cleanup_fd int root = open_root();
	char name[64];

	if (root < 0 || own_name(name) < 0 || faccessat(root, name, F_OK, 0) < 0)
		return;
	/* In a cgroup namespace the root may refuse processes; then the next one sweeps the group.
	 */
	if (move_into(root) == 0)
		remove_group(root, name);
}

void guardian_cgroup_remove(const struct process_identity *guardian)
{
	cleanup_fd int root = open_root();
	char name[64];

	guardian_cgroup_name(guardian, name);
	if (root >= 0)
		remove_group(root, name);
}

/* No living process is in it (cgroup-v2.rst, cgroup.events). */
static bool is_empty(int root, const char *name)
{
	char path[300], text[128];
	cleanup_fd int fd = -1;
	ssize_t size;

	snprintf(path, sizeof(path), "%s/cgroup.events", name);
	fd = openat(root, path, O_RDONLY | O_CLOEXEC);
	size = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (size < 0)
		return false;
	text[size] = '\0';
	return strstr(text, "populated 0") != NULL;
}

bool guardian_cgroup_sweep(void)
{
	int root = open_root();
	cleanup_dir DIR *stream = root < 0 ? NULL : fdopendir(root);
	const struct dirent *entry;
	bool is_done = stream != NULL;

	if (!stream && root >= 0)
		close(root);
	while (stream && (errno = 0, entry = readdir(stream))) {
		if (strncmp(entry->d_name, GROUP_PREFIX, strlen(GROUP_PREFIX)) != 0 ||
		    unlinkat(dirfd(stream), entry->d_name, AT_REMOVEDIR) == 0 || errno == ENOENT)
			continue;
		if (errno != EBUSY)
			is_done = false;
		else if (is_empty(dirfd(stream), entry->d_name)) /* busy for the moment only */
			remove_group(dirfd(stream), entry->d_name);
	}
	return is_done && errno == 0; /* of the last readdir() */
}
