/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/cli/results.h"

#include "injector/base/cleanup.h"
#include "injector/journal/journal.h"
#include "injector/journal/runs.h"
#include "injector/kernel/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RESULTS JOURNAL_STATE "/results"

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), end_length = strlen(end);

	return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

/* The name of the newest result that has an end. */
static int find_last(char *out, size_t size, struct error *err)
{
	cleanup_dir DIR *directory = opendir(RESULTS);
	struct timespec newest = {0};
	const struct dirent *entry;
	bool is_found = false;

	if (!directory && errno != ENOENT)
		return error_errno(err, errno, "cannot look into %s", RESULTS);
	while (directory && (entry = readdir(directory))) {
		struct stat status;

		if (!ends_with(entry->d_name, ".json") ||
		    fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISREG(status.st_mode) || !status.st_size)
			continue;
		if (is_found && (status.st_mtim.tv_sec < newest.tv_sec ||
				 (status.st_mtim.tv_sec == newest.tv_sec &&
				  status.st_mtim.tv_nsec <= newest.tv_nsec)))
			continue;
		newest = status.st_mtim;
		is_found = true;
		snprintf(out, size, RESULTS "/%s", entry->d_name);
	}
	if (is_found)
		return 0;
	error_set(err, ENOENT, "report: no run has a result yet in %s", RESULTS);
	error_remedy(err, "sudo squall run FILE makes one");
	return -ENOENT;
}

FILE *results_open(const char *what, char *path, size_t size, struct error *err)
{
	FILE *file;
	int fd;

	if (strcmp(what, "-") == 0) {
		snprintf(path, size, "standard input");
		return stdin;
	}
	if (strcmp(what, "last") == 0) {
		if (find_last(path, size, err) < 0)
			return NULL;
	} else if (runs_is_id(what)) {
		snprintf(path, size, RESULTS "/%s.json", what);
	} else {
		snprintf(path, size, "%s", what);
	}
	fd = sandbox_open_as_caller(path, O_RDONLY | O_CLOEXEC | O_NOCTTY, err);
	if (fd < 0 && -fd == ENOENT && runs_is_id(what))
		error_remedy(err,
			     "no run of that name has a result here; they are kept in " RESULTS);
	if (fd < 0)
		return NULL;
	file = fdopen(fd, "r");
	if (!file) {
		error_errno(err, errno, "cannot read %s", path);
		close(fd);
	}
	return file;
}

int results_give_up_rights(struct error *err)
{
	struct invoking_user user;
	int result;

	if (geteuid() != 0)
		return 0;
	result = sandbox_invoking_user(&user, err);
	if (result < 0)
		return result;
	user = sandbox_conductor_user(&user);
	return sandbox_drop_user(user.uid, user.gid, err);
}
