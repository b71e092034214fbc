/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/kernel/namespace.h"

#include "injector/base/cleanup.h"
#include "injector/kernel/stranded.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define WAYS_BACK 3 /* what fails now may work in a moment */
#define NAMES_DIR NAMESPACE_NAMES
#define SELF	  "/proc/thread-self/ns/net"

static int open_path(const char *path, int *out_fd, struct error *err)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	int type;

	if (fd < 0)
		return error_errno(err, errno, "%s", path);
	type = ioctl(fd, NS_GET_NSTYPE);
	if (type < 0 && errno != ENOTTY)
		return error_errno(err, errno, "cannot tell what %s is", path);
	if (type != CLONE_NEWNET)
		return error_set(err, EINVAL, "%s is not a network namespace", path);
	*out_fd = steal_fd(&fd);
	return 0;
}

int namespace_open_name(const char *name, int *out_fd, struct error *err)
{
	char path[sizeof(NAMES_DIR) + 256];
	int result;

	if (!*name || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
	    strlen(name) > 255)
		return error_set(err, EINVAL, "'%s' is not the name of a network namespace", name);
	snprintf(path, sizeof(path), NAMES_DIR "/%s", name);
	result = open_path(path, out_fd, err);
	if (result == -ENOENT) {
		error_set(err, ENOENT, "there is no network namespace '%s'", name);
		return error_remedy(err, "`ip netns list` shows the names; a process' namespace is "
					 "written pid:N");
	}
	return result;
}

int namespace_open_pid(pid_t pid, int *out_fd, struct error *err)
{
	char path[64];
	int result;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	result = open_path(path, out_fd, err);
	if (result == -ENOENT)
		return error_set(err, ENOENT, "there is no process %d", (int)pid);
	return result;
}

int namespace_open_self(int *out_fd, struct error *err)
{
	return open_path(SELF, out_fd, err);
}

int namespace_identify(int fd, struct namespace_id *out, struct error *err)
{
	struct stat about;

	if ((fd < 0 ? stat(SELF, &about) : fstat(fd, &about)) < 0)
		return error_errno(err, errno, "cannot identify a network namespace");
	*out = (struct namespace_id){.device = about.st_dev, .inode = about.st_ino};
	return 0;
}

bool namespace_is_same(const struct namespace_id *a, const struct namespace_id *b)
{
	return a->device == b->device && a->inode == b->inode;
}

/* 1: it is that one. 0: it is another, or gone. -EACCES: another user's process hides it. */
static int is_at(const char *path, const struct namespace_id *id)
{
	struct stat about;

	if (stat(path, &about) < 0)
		return errno == ENOENT || errno == ESRCH ? 0 : -errno;
	return about.st_dev == id->device && about.st_ino == id->inode;
}

/* The same, and opens it. */
static int open_if(const char *path, const struct namespace_id *id, int *out_fd)
{
	struct namespace_id found = {0};
	int fd = -1, result = is_at(path, id);

	if (result != 1)
		return result;
	result = open_path(path, &fd, NULL);
	if (result < 0)
		return result == -ENOENT || result == -ESRCH ? 0 : result;
	result = namespace_identify(fd, &found, NULL);
	if (result == 0 && namespace_is_same(&found, id)) {
		*out_fd = fd;
		return 1;
	}
	close(fd);
	return result;
}

/* 1: found, and opened (out_fd may be NULL); its name there. -errno: it cannot be told, and must
 * not pass for gone. What the processes of other users hide is none of ours; but where all others
 * are hidden, nothing is told by that. */
static int find_below(const char *directory, const char *suffix, bool numbers_only,
		      const struct namespace_id *id, int *out_fd, char out_name[256])
{
	cleanup_dir DIR *dir = opendir(directory);
	struct dirent *entry;
	int result, unclear = 0, hidden = 0;
	bool sees_others = false;

	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	for (errno = 0; (entry = readdir(dir)); errno = 0) {
		char path[512];

		if (entry->d_name[0] == '.' ||
		    (numbers_only && !isdigit((unsigned char)entry->d_name[0])))
			continue;
		snprintf(path, sizeof(path), "%s/%s%s", directory, entry->d_name, suffix);
		result = out_fd ? open_if(path, id, out_fd) : is_at(path, id);
		if (result == 1) {
			snprintf(out_name, 256, "%s", entry->d_name);
			return 1;
		}
		if (result == -EACCES)
			hidden = result;
		else if (result < 0)
			unclear = result;
		else
			sees_others |= strtol(entry->d_name, NULL, 10) != getpid();
	}
	if (!unclear && !sees_others)
		unclear = hidden;
	return errno ? -errno : unclear;
}

int namespace_is_named(const char *name, const struct namespace_id *id)
{
	char path[sizeof(NAMES_DIR) + 256];

	snprintf(path, sizeof(path), NAMES_DIR "/%s", name);
	return is_at(path, id);
}

int namespace_is_of(pid_t pid, const struct namespace_id *id)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	return is_at(path, id);
}

int namespace_find_process(const struct namespace_id *id, pid_t *out_pid, struct error *err)
{
	char name[256];
	int result = find_below("/proc", "/ns/net", true, id, NULL, name);

	if (result < 0)
		return error_errno(err, -result, "cannot look for processes in a namespace");
	if (result == 0)
		return error_set(err, ENOENT, "no process is in the network namespace %llu",
				 (unsigned long long)id->inode);
	*out_pid = (pid_t)strtol(name, NULL, 10);
	return 0;
}

int namespace_find(const struct namespace_id *id, int *out_fd, struct error *err)
{
	int own = open_if(SELF, id, out_fd), named = 0, used = 0;
	char name[256];

	if (own != 1)
		named = find_below(NAMES_DIR, "", false, id, out_fd, name);
	if (own != 1 && named != 1)
		used = find_below("/proc", "/ns/net", true, id, out_fd, name);
	if (own == 1 || named == 1 || used == 1)
		return 0;
	if (own < 0 || named < 0 || used < 0)
		return error_errno(err,
				   own < 0     ? -own
				   : named < 0 ? -named
					       : -used,
				   "cannot look for the network namespace %llu",
				   (unsigned long long)id->inode);
	return error_set(err, ENOENT, "the network namespace %llu is gone",
			 (unsigned long long)id->inode);
}

static bool comes_back(int back, const struct namespace_id *here)
{
	struct namespace_id now = {0};

	if (setns(back, CLONE_NEWNET) < 0 || namespace_identify(-1, &now, NULL) < 0)
		return false;
	errno = EXDEV;
	return namespace_is_same(&now, here);
}

static void come_back(int back, const struct namespace_id *here)
{
	for (unsigned tries = 1; !comes_back(back, here); tries++)
		if (tries == WAYS_BACK)
			stranded_end("network", errno);
}

int namespace_run(int fd, int (*fn)(void *context, struct error *err), void *context,
		  struct error *err)
{
	struct namespace_id here = {0}, there = {0}, now = {0};
	cleanup_fd int back = -1;
	int result;

	if (fd < 0)
		return fn(context, err);
	result = namespace_identify(-1, &here, err);
	if (result == 0)
		result = namespace_identify(fd, &there, err);
	if (result < 0)
		return result;
	if (namespace_is_same(&here, &there))
		return fn(context, err);
	result = namespace_open_self(&back, err);
	if (result < 0)
		return result;
	if (setns(fd, CLONE_NEWNET) < 0)
		return error_errno(err, errno, "cannot enter the network namespace");
	result = namespace_identify(-1, &now, err);
	if (result == 0 && !namespace_is_same(&now, &there))
		result = error_set(err, EIO, "entering the network namespace had no effect");
	if (result == 0)
		result = fn(context, err);
	come_back(back, &here);
	return result;
}

int namespace_run_new(int (*fn)(void *context, struct error *err), void *context, struct error *err)
{
	struct namespace_id here = {0};
	cleanup_fd int back = -1;
	int result = namespace_identify(-1, &here, err);

	if (result == 0)
		result = namespace_open_self(&back, err);
	if (result < 0)
		return result;
	if (unshare(CLONE_NEWNET) < 0)
		return error_errno(err, errno, "cannot make a network namespace");
	result = fn(context, err);
	come_back(back, &here);
	return result;
}
