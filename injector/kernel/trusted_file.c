/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The owner counts and not only the mode: who owns a file can always make it writable. A sticky
 * directory is no danger, for nobody replaces there what is not his.
 */
#include "injector/kernel/trusted_file.h"

#include "injector/kernel/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_trusted_owner(uid_t owner, uid_t caller)
{
	struct stat program;

	return owner == 0 || owner == caller ||
	       (stat("/proc/self/exe", &program) == 0 && program.st_uid == owner);
}

/* Where each user has a group of his own name, a umask of 002 is usual and lets nobody in. */
static bool is_private_group(gid_t gid, uid_t owner)
{
	const struct passwd *user = getpwuid(owner);
	const struct group *group = user && user->pw_gid == gid ? getgrgid(gid) : NULL;

	return group && strcmp(group->gr_name, user->pw_name) == 0 &&
	       (!group->gr_mem[0] ||
		(strcmp(group->gr_mem[0], user->pw_name) == 0 && !group->gr_mem[1]));
}

static int check(const struct stat *status, const char *path, uid_t caller, struct error *err)
{
	bool is_directory = S_ISDIR(status->st_mode);
	const char *consequence =
		is_directory ? "who can replace files in it" : "who can change it";

	if (!is_trusted_owner(status->st_uid, caller)) {
		error_set(err, EPERM,
			  "%s belongs to user %u, %s: it is not trusted to say what root does",
			  path, status->st_uid, consequence);
		return error_remedy(err, "when you have read it: %s",
				    is_directory ? "copy it to a directory of your own"
						 : "copy it, or give it to squall as -");
	}
	if (is_directory && status->st_mode & S_ISVTX)
		return 0;
	if (!(status->st_mode & S_IWOTH) &&
	    (!(status->st_mode & S_IWGRP) || is_private_group(status->st_gid, status->st_uid)))
		return 0;
	error_set(
		err, EPERM,
		"%s can be written by others (mode %04o): it is not trusted to say what root does",
		path, status->st_mode & 07777);
	return error_remedy(err, "when you have read it: chmod go-w '%s'", path);
}

int trusted_file_check_for(int fd, const char *path, uid_t caller, struct error *err)
{
	char link[40], real[PATH_MAX];
	struct stat status;
	ssize_t length;
	int result;

	if (fstat(fd, &status) < 0)
		return error_errno(err, errno, "cannot examine %s", path);
	result = check(&status, path, caller, err);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = readlink(link, real, sizeof(real) - 1);
	if (result == 0 && (length < 0 || real[0] != '/'))
		return error_errno(err, length < 0 ? errno : ENOENT, "cannot tell where %s is",
				   path);
	for (char *slash; result == 0 && length > 1; length = slash - real) {
		real[length] = '\0';
		slash = strrchr(real, '/');
		*(slash == real ? slash + 1 : slash) = '\0';
		if (stat(real, &status) < 0)
			return error_errno(err, errno, "cannot examine %s", real);
		result = check(&status, real, caller, err);
	}
	return result;
}

int trusted_file_check(int fd, const char *path, struct error *err)
{
	struct invoking_user user = {.uid = geteuid()};
	int result = geteuid() == 0 ? sandbox_invoking_user(&user, err) : 0;

	return result < 0 ? result : trusted_file_check_for(fd, path, user.uid, err);
}
