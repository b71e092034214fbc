/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * openat + O_NOFOLLOW, one component at a time: what was checked is what is used. A path checked as
 * a whole and opened afterwards could be swapped in between.
 */
#include "injector/journal/directory.h"

#include "injector/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OPEN_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

static int check_trust(int fd, bool is_last, const char *path, struct error *err)
{
	struct stat status;

	if (fstat(fd, &status) < 0)
		return error_errno(err, errno, "cannot examine %s", path);
	if (status.st_uid != 0 && status.st_uid != geteuid()) {
		error_set(err, DIRECTORY_DISTRUSTED,
			  "%s belongs to user %u, not to root: it is not trusted", path,
			  status.st_uid);
		return error_remedy(err, "find out who made it, then: chown root:root %s", path);
	}
	if ((status.st_mode & (S_IWGRP | S_IWOTH)) && (is_last || !(status.st_mode & S_ISVTX))) {
		error_set(err, DIRECTORY_DISTRUSTED,
			  "%s can be written by others (mode %04o): it is not trusted", path,
			  status.st_mode & 07777);
		return error_remedy(err, "chmod go-w %s", path);
	}
	return 0;
}

static int open_failed(int code, const char *path, struct error *err)
{
	/* O_NOFOLLOW with O_DIRECTORY says ENOTDIR for a symbolic link as well (open(2)). */
	if (code == ELOOP || code == ENOTDIR) {
		error_set(err, DIRECTORY_DISTRUSTED,
			  "%s is a symbolic link or not a directory: it is not trusted", path);
		return error_remedy(err, "find out who made it, then: rm %s", path);
	}
	return error_errno(err, code, "cannot open directory %s", path);
}

static int open_component(int parent, const char *name, mode_t mode, bool is_last, const char *path,
			  struct error *err)
{
	cleanup_fd int fd = -1;
	bool is_new = false;
	int result;

	if (mode && mkdirat(parent, name, mode) == 0)
		is_new = true;
	else if (mode && errno != EEXIST)
		return error_errno(err, errno, "cannot make directory %s", path);
	fd = openat(parent, name, OPEN_FLAGS);
	if (fd < 0)
		return open_failed(errno, path, err);
	/* mkdir's mode is cut by the umask of whoever called us */
	if (is_new && fchmod(fd, mode) < 0)
		return error_errno(err, errno, "cannot set the mode of %s", path);
	result = check_trust(fd, is_last, path, err);
	return result < 0 ? result : steal_fd(&fd);
}

int directory_open_at(int parent, const char *name, mode_t mode, const char *path,
		      struct error *err)
{
	return open_component(parent, name, mode, true, path, err);
}

int directory_open(const char *path, mode_t mode, struct error *err)
{
	cleanup_fd int fd = open("/", OPEN_FLAGS);
	char done[4096], *next;
	size_t length = strlen(path);

	if (fd < 0)
		return open_failed(errno, "/", err);
	if (path[0] != '/' || length >= sizeof(done))
		return error_set(err, EINVAL, "'%s' is not an absolute path", path);
	memcpy(done, path, length + 1);
	for (char *at = done + 1; at && *at; at = next) {
		bool is_last;
		int child;

		next = strchr(at, '/');
		if (next)
			*next = '\0';
		is_last = !next || !next[1];
		child = open_component(fd, at, is_last ? mode : 0, is_last, done, err);
		if (child < 0)
			return child;
		close(fd);
		fd = child;
		if (next)
			*next++ = '/';
	}
	return steal_fd(&fd);
}

/* Every folder on the way and the file itself belong to root, and only root may write them. */
static int open_trusted(const char *path, struct error *err)
{
	const char *slash = strrchr(path, '/');
	char folder[256];
	cleanup_fd int directory = -1, fd = -1;
	struct stat status;

	snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path);
	directory = directory_open(folder, 0, err);
	if (directory < 0)
		return directory;
	fd = openat(directory, slash + 1, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, errno, "cannot open %s", path);
	if (fstat(fd, &status) < 0)
		return error_errno(err, errno, "cannot examine %s", path);
	if (!S_ISREG(status.st_mode) || (status.st_uid != 0 && status.st_uid != geteuid()) ||
	    (status.st_mode & (S_IWGRP | S_IWOTH))) {
		error_set(err, DIRECTORY_DISTRUSTED,
			  "%s is not a file that only root can have written", path);
		return error_remedy(err, "chown root %s; chmod 644 %s", path, path);
	}
	return steal_fd(&fd);
}

static int read_all(int fd, const char *path, size_t max, char **out, size_t *out_length,
		    struct error *err)
{
	cleanup_free char *text = malloc(max + 1);
	size_t length = 0;

	if (!text)
		return error_errno(err, ENOMEM, "cannot read %s", path);
	for (;;) {
		ssize_t got = read(fd, text + length, max + 1 - length);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return error_errno(err, errno, "cannot read %s", path);
		if (got == 0)
			break;
		length += (size_t)got;
		if (length > max)
			return error_set(err, EFBIG, "%s is larger than %zu KiB", path, max >> 10);
	}
	text[length] = '\0';
	*out = steal_pointer(&text);
	*out_length = length;
	return 0;
}

int directory_read_file(const char *path, size_t max, char **out, size_t *out_length,
			struct error *err)
{
	struct error why = ERROR_INIT;
	cleanup_fd int fd = open_trusted(path, &why);

	if (fd >= 0)
		return read_all(fd, path, max, out, out_length, err);
	if (fd != -ENOENT && err)
		*err = why;
	return fd;
}
