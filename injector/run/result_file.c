/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/run/result_file.h"

#include "injector/base/cleanup.h"
#include "injector/journal/directory.h"
#include "injector/journal/journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define RESULTS JOURNAL_STATE "/results"
#define SUFFIX	".json"
#define ROOM	(128 * 1024) /* a dozen probes and steps need some 20 KiB */
#define FULL_REMEDY                                                                                \
	"free some space below " JOURNAL_STATE "; results of earlier runs are in " RESULTS

/* Root's own all the way, as where journals are: root makes files there and gives them away.
 * Mode 0: only if it is there. */
static int open_results(mode_t mode, struct error *err)
{
	cleanup_fd int state = directory_open(JOURNAL_STATE, mode, err);

	return state < 0 ? state : directory_open_at(state, "results", mode, RESULTS, err);
}

static int add_remedy(int code, struct error *err)
{
	if (code == ENOSPC || code == EDQUOT)
		return error_remedy(err, FULL_REMEDY);
	if (code == EROFS)
		return error_remedy(err,
				    "mount a file system that can be written on " JOURNAL_STATE);
	return -code;
}

static int failed(int code, const char *what, const char *name, struct error *err)
{
	error_errno(err, code, "cannot %s the result " RESULTS "/%s", what, name);
	return add_remedy(code, err);
}

static void name_of(const char *run_id, char out[40])
{
	snprintf(out, 40, "%s" SUFFIX, run_id);
}

/* Locked before anything else is done with it, for as long as somebody holds it open, who may still
 * write it: see remove_dead(). Whoever makes room may have come in between, and removed it; on a
 * file system without locks all stay. */
static int create(int folder, const char *name)
{
	for (unsigned tries = 0; tries < 100; tries++) {
		cleanup_fd int fd = openat(
			folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		struct stat about;

		if (fd < 0)
			return -errno;
		while (flock(fd, LOCK_EX) < 0 && errno == EINTR)
			;
		if (fstat(fd, &about) < 0 || about.st_nlink > 0)
			return steal_fd(&fd);
	}
	return -EBUSY;
}

int result_file_open(const char *run_id, uid_t reader, struct error *err)
{
	char name[40];
	cleanup_fd int folder = open_results(0755, err), fd = -1;
	int code;

	if (folder < 0) {
		add_remedy(-folder, err);
		return folder;
	}
	name_of(run_id, name);
	fd = create(folder, name);
	if (fd < 0)
		return failed(-fd, "create", name, err);
	/* behind the end of the file; its writer cuts off what it does not use */
	if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, ROOM) < 0 && errno != EOPNOTSUPP) {
		code = errno;
		unlinkat(folder, name, 0);
		return failed(code, "reserve room for", name, err);
	}
	/* The user who ran it may read it, and nobody else: it holds the experiment, which may be
	 * readable by nobody else either. A failure only means that root must. */
	(void)!fchown(fd, reader, (gid_t)-1);
	return steal_fd(&fd);
}

void result_file_remove(const char *run_id)
{
	cleanup_fd int folder = open_results(0, NULL);
	char name[40];

	name_of(run_id, name);
	if (folder >= 0)
		unlinkat(folder, name, 0);
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

/* If its room is reserved, and whoever would fill it was killed. Behind the lock, where it may have
 * been written in between, and under it: see create(). */
static void remove_dead(int folder, const char *name)
{
	cleanup_fd int fd =
		openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat about;

	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &about) == 0 &&
	    about.st_size == 0)
		unlinkat(folder, name, 0);
}

void result_files_prune(void)
{
	int folder = open_results(0, NULL);
	cleanup_dir DIR *dir = folder < 0 ? NULL : fdopendir(folder);
	cleanup_free struct old_result *found = NULL;
	unsigned count = 0, capacity = 0;
	struct dirent *entry;

	if (!dir && folder >= 0)
		close(folder);
	while (dir && (entry = readdir(dir))) {
		struct stat about;

		if (!is_result(entry->d_name) ||
		    fstatat(dirfd(dir), entry->d_name, &about, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISREG(about.st_mode))
			continue;
		if (about.st_size == 0) { /* still to be written, however long ago it began */
			remove_dead(dirfd(dir), entry->d_name);
			continue;
		}
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
