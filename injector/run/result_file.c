/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/run/result_file.h"

#include "injector/base/cleanup.h"
#include "injector/journal/journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define RESULTS JOURNAL_STATE "/results"
#define SUFFIX	".json"
#define ROOM	(128 * 1024) /* a dozen probes and steps need some 20 KiB */
#define FULL_REMEDY                                                                                \
	"free some space below " JOURNAL_STATE "; results of earlier runs are in " RESULTS

static void path_of(const char *run_id, char out[96])
{
	snprintf(out, 96, RESULTS "/%s" SUFFIX, run_id);
}

static int failed(int code, const char *what, const char *path, struct error *err)
{
	error_errno(err, code, "cannot %s the result %s", what, path);
	if (code == ENOSPC || code == EDQUOT)
		return error_remedy(err, FULL_REMEDY);
	if (code == EROFS)
		return error_remedy(err,
				    "mount a file system that can be written on " JOURNAL_STATE);
	return -code;
}

int result_file_open(const char *run_id, uid_t reader, struct error *err)
{
	char path[96];
	cleanup_fd int fd = -1;
	int code;

	path_of(run_id, path);
	if ((mkdir(JOURNAL_STATE, 0755) < 0 && errno != EEXIST) ||
	    (mkdir(RESULTS, 0755) < 0 && errno != EEXIST))
		return failed(errno, "make a directory for", path, err);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return failed(errno, "create", path, err);
	/* behind the end of the file; its writer cuts off what it does not use */
	if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, ROOM) < 0 && errno != EOPNOTSUPP) {
		code = errno;
		unlink(path);
		return failed(code, "reserve room for", path, err);
	}
	/* The user who ran it may read it, and nobody else: it holds the experiment, which may be
	 * readable by nobody else either. A failure only means that root must. */
	(void)!fchown(fd, reader, (gid_t)-1);
	return steal_fd(&fd);
}

void result_file_remove(const char *run_id)
{
	char path[96];

	path_of(run_id, path);
	unlink(path);
}

struct old_result {
	char name[64];
	struct timespec changed;
};

static int newest_first(const void *left, const void *right)
{
	const struct old_result *a = left, *b = right;

	if (a->changed.tv_sec != b->changed.tv_sec)
		return a->changed.tv_sec < b->changed.tv_sec ? 1 : -1;
	return (a->changed.tv_nsec < b->changed.tv_nsec) -
	       (a->changed.tv_nsec > b->changed.tv_nsec);
}

static bool is_result(const char *name)
{
	size_t length = strlen(name), suffix = strlen(SUFFIX);

	return length > suffix && length < sizeof(((struct old_result *)0)->name) &&
	       name[0] != '.' && strcmp(name + length - suffix, SUFFIX) == 0;
}

void result_files_prune(void)
{
	cleanup_dir DIR *dir = opendir(RESULTS);
	cleanup_free struct old_result *found = NULL;
	unsigned count = 0, capacity = 0;
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		struct stat about;

		if (!is_result(entry->d_name) ||
		    fstatat(dirfd(dir), entry->d_name, &about, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISREG(about.st_mode))
			continue;
		if (count == capacity) {
			struct old_result *grown =
				reallocarray(found, capacity + 1024, sizeof(*grown));

			if (!grown)
				return;
			found = grown;
			capacity += 1024;
		}
		snprintf(found[count].name, sizeof(found[count].name), "%.63s", entry->d_name);
		found[count++].changed = about.st_mtim;
	}
	if (count <= RESULT_FILES_KEPT)
		return;
	qsort(found, count, sizeof(*found), newest_first);
	for (unsigned at = RESULT_FILES_KEPT; at < count; at++)
		unlinkat(dirfd(dir), found[at].name, 0);
}
