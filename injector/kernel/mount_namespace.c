/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/kernel/mount_namespace.h"

#include "injector/base/cleanup.h"
#include "injector/kernel/stranded.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define WAYS_BACK 3 /* what fails now may work in a moment */

#define SELF "/proc/thread-self/ns/mnt"

static int open_path(const char *path, int *out_fd)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	*out_fd = fd;
	return 0;
}

int mount_namespace_open_pid(pid_t pid, int *out_fd, struct error *err)
{
	char path[64];
	int result;

	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)pid);
	result = open_path(path, out_fd);
	if (result == -ENOENT)
		return error_set(err, ENOENT, "there is no process %d", (int)pid);
	return result < 0 ? error_errno(err, -result, "cannot open %s", path) : 0;
}

int mount_namespace_identify(int fd, struct namespace_id *out, struct error *err)
{
	struct stat about;

	if ((fd < 0 ? stat(SELF, &about) : fstat(fd, &about)) < 0)
		return error_errno(err, errno, "cannot identify a mount namespace");
	*out = (struct namespace_id){.device = about.st_dev, .inode = about.st_ino};
	return 0;
}

/* 1: it is that one, and open; 0: another one, or nobody is there; -errno: it cannot be told. */
static int open_if(const char *path, uint64_t inode, int *out_fd)
{
	struct namespace_id id;
	cleanup_fd int fd = -1;
	int result = open_path(path, &fd);

	if (result < 0)
		return result == -ENOENT || result == -ESRCH ? 0 : result;
	result = mount_namespace_identify(fd, &id, NULL);
	if (result < 0 || id.inode != inode)
		return result;
	*out_fd = steal_fd(&fd);
	return 1;
}

/* A process whose first thread has ended shows no namespace of its own, but its other threads live
 * in one: the number of one of those, which /proc knows as well. */
static pid_t living_thread(const char *name)
{
	char path[300];
	cleanup_dir DIR *threads = NULL;
	const struct dirent *entry;
	struct stat about;

	snprintf(path, sizeof(path), "/proc/%s/ns/mnt", name);
	if (stat(path, &about) == 0 || (errno != ENOENT && errno != ESRCH))
		return (pid_t)strtol(name, NULL, 10);
	snprintf(path, sizeof(path), "/proc/%s/task", name);
	threads = opendir(path);
	while (threads && (entry = readdir(threads))) {
		snprintf(path, sizeof(path), "/proc/%.20s/ns/mnt", entry->d_name);
		if (isdigit((unsigned char)entry->d_name[0]) && stat(path, &about) == 0)
			return (pid_t)strtol(entry->d_name, NULL, 10);
	}
	return (pid_t)strtol(name, NULL, 10);
}

/* What cannot be told must not pass for gone: nobody would unmount anything there any more. What
 * the process of another user hides (EACCES) is none of ours; but where all are hidden, and we see
 * ourselves alone, nothing is told by that. */
int mount_namespace_find(uint64_t inode, int *out_fd, pid_t *out_pid, struct error *err)
{
	cleanup_dir DIR *processes = opendir("/proc");
	struct dirent *entry;
	bool sees_others = false;
	int unclear = 0, hidden = 0;

	if (!processes)
		return error_errno(err, errno, "cannot look for a mount namespace");
	for (errno = 0; (entry = readdir(processes)); errno = 0) {
		char path[64];
		pid_t pid;
		int result;

		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		pid = living_thread(entry->d_name);
		snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)pid);
		result = open_if(path, inode, out_fd);
		if (result == 1) {
			*out_pid = pid;
			return 0;
		}
		if (result == -EACCES)
			hidden = result;
		else if (result < 0)
			unclear = result;
		else
			sees_others |= pid != getpid();
	}
	if (!unclear && !sees_others)
		unclear = hidden;
	if (errno || unclear)
		return error_errno(err, errno ? errno : -unclear,
				   "cannot look for a mount namespace in /proc");
	return error_set(err, ENOENT, "the mount namespace %llu is gone",
			 (unsigned long long)inode);
}

struct seen {
	uint64_t *inodes;
	unsigned count, capacity;
};

/* 1: it is new, and noted; 0: it was there; -ENOMEM */
static int note(struct seen *seen, uint64_t inode)
{
	for (unsigned i = 0; i < seen->count; i++)
		if (seen->inodes[i] == inode)
			return 0;
	if (seen->count == seen->capacity) {
		uint64_t *grown = reallocarray(seen->inodes, seen->capacity + 64, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		seen->inodes = grown;
		seen->capacity += 64;
	}
	seen->inodes[seen->count++] = inode;
	return 1;
}

static int visit_of(pid_t pid, struct seen *seen,
		    int (*visit)(void *context, pid_t pid, uint64_t inode, struct error *err),
		    void *context, struct error *err)
{
	char path[64];
	struct stat about;
	int result;

	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)pid);
	if (stat(path, &about) < 0)
		return errno == ENOENT || errno == ESRCH || errno == EACCES
			       ? 0
			       : error_errno(err, errno, "cannot look at %s", path);
	result = note(seen, about.st_ino);
	if (result < 0)
		error_errno(err, -result, "cannot note mount namespaces");
	return result <= 0 ? result : visit(context, pid, about.st_ino, err);
}

int mount_namespace_each(int (*visit)(void *context, pid_t pid, uint64_t inode, struct error *err),
			 void *context, struct error *err)
{
	cleanup_dir DIR *processes = opendir("/proc");
	struct seen seen = {0};
	struct dirent *entry;
	int first = 0;

	if (!processes)
		return error_errno(err, errno, "cannot look for mount namespaces");
	for (errno = 0; (entry = readdir(processes)); errno = 0) {
		int result = 0;

		if (isdigit((unsigned char)entry->d_name[0]))
			result = visit_of(living_thread(entry->d_name), &seen, visit, context,
					  first ? NULL : err);
		first = first ? first : result;
	}
	free(seen.inodes);
	if (first == 0 && errno)
		return error_errno(err, errno, "cannot look for mount namespaces");
	return first;
}

/* The same directory may be there by two mounts, with others below it. */
static bool is_same_place(int directory, const char *path)
{
	const unsigned wanted = STATX_INO | STATX_MNT_ID;
	struct statx one, other;

	return statx(directory, "", AT_EMPTY_PATH, wanted, &one) == 0 &&
	       statx(AT_FDCWD, path, 0, wanted, &other) == 0 && one.stx_ino == other.stx_ino &&
	       one.stx_dev_major == other.stx_dev_major &&
	       one.stx_dev_minor == other.stx_dev_minor && one.stx_mnt_id == other.stx_mnt_id;
}

/* setns(2) puts root and directory of the thread to the root of the namespace. Nearly always that
 * was our root before; and there we are at home without the directory, too. */
static bool comes_back(int namespace, int root, int directory, const struct namespace_id *here)
{
	struct namespace_id now = {0};

	if (setns(namespace, CLONE_NEWNS) < 0 || mount_namespace_identify(-1, &now, NULL) < 0)
		return false;
	if (!namespace_is_same(&now, here)) {
		errno = EXDEV;
		return false;
	}
	if (!is_same_place(root, "/") && (fchdir(root) < 0 || chroot(".") < 0))
		return false;
	return fchdir(directory) == 0 || is_same_place(root, ".");
}

int mount_namespace_run(int fd, int (*fn)(void *context, struct error *err), void *context,
			struct error *err)
{
	struct namespace_id here = {0};
	cleanup_fd int back = -1, root = -1, directory = -1;
	int result = mount_namespace_identify(-1, &here, err);

	if (result == 0)
		result = open_path(SELF, &back);
	root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	directory = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (result < 0 || root < 0 || directory < 0)
		return error_errno(err, errno, "cannot remember this mount namespace");
	/* Threads share root and directory; then the kernel refuses (mntns_install()). */
	if (unshare(CLONE_FS) < 0 || setns(fd, CLONE_NEWNS) < 0)
		return error_errno(err, errno, "cannot enter the mount namespace");
	result = fn(context, err);
	for (unsigned tries = 1; !comes_back(back, root, directory, &here); tries++)
		if (tries == WAYS_BACK)
			stranded_end("mount", errno);
	return result;
}
