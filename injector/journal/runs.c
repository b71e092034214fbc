/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One directory a run below a root, of which there are two: one for what a reboot ends, one for
 * what it does not. A run lives in one of them. Making a run and removing an unborn one exclude
 * each other by a lock on the root directory, so that a run that is just being made is never
 * mistaken for the remains of a dead one. An empty root is removed, too: nothing stays behind.
 */
#include "injector/journal/runs.h"

#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/journal/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

/* A holder makes or removes a folder, which takes no time; a stopped one is killed by its guardian
 * after some seconds. */
#define ROOT_WAIT_NS (8 * NSEC_PER_SEC)

static const char *roots[RUNS_ROOTS] = {JOURNAL_ROOT, JOURNAL_STATE};

void journal_set_root(const char *root)
{
	roots[RUNS_BOOT] = root;
	roots[RUNS_KEPT] = NULL;
}

void journal_set_kept_root(const char *root)
{
	roots[RUNS_KEPT] = root;
}

const char *journal_root(void)
{
	return roots[RUNS_BOOT];
}

const char *runs_root(enum runs_root which)
{
	return roots[which];
}

bool runs_is_id(const char *text)
{
	return strlen(text) == RUN_ID_LENGTH &&
	       strspn(text, "0123456789abcdefghijklmnopqrstuvwxyz") == RUN_ID_LENGTH;
}

static int open_in(const char *root_path, const char *run_id, struct error *err)
{
	cleanup_fd int root = directory_open(root_path, 0, err);
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", root_path, run_id);
	return root < 0 ? root : directory_open_at(root, run_id, 0, path, err);
}

/* Also in a root that is not to be trusted: then there is a run that cannot be, and none where
 * there is none. */
static bool is_there(const char *root_path, const char *run_id)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", root_path, run_id);
	return access(path, F_OK) == 0 || errno != ENOENT;
}

int runs_open(const char *run_id, enum runs_root *out_root, struct error *err)
{
	struct error inner = ERROR_INIT;
	int fd = -ENOENT;

	if (!runs_is_id(run_id)) {
		error_set(err, EINVAL, "'%.40s' is not the name of a run", run_id);
		error_remedy(err, "squall status shows the runs");
		return -EINVAL;
	}
	for (enum runs_root at = RUNS_BOOT; fd == -ENOENT && at < RUNS_ROOTS; at++) {
		if (!roots[at] || (at != RUNS_BOOT && !is_there(roots[at], run_id)))
			continue;
		inner = (struct error)ERROR_INIT;
		fd = open_in(roots[at], run_id, &inner);
		if (fd != -ENOENT && out_root)
			*out_root = at;
	}
	if (fd == -ENOENT)
		return error_set(err, ENOENT, "there is no run '%s'", run_id);
	if (fd < 0 && err)
		*err = inner;
	return fd;
}

static void pause_ns(int64_t ns)
{
	struct timespec pause = {.tv_nsec = ns};

	nanosleep(&pause, NULL);
}

/* Polled: flock(2) has no time-out, and an alarm would belong to the whole process. */
static int lock_fd(int fd, int64_t wait_ns)
{
	int64_t until = clock_now_ns() + wait_ns;

	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		if (clock_now_ns() >= until)
			return -EBUSY;
		pause_ns(NSEC_PER_MSEC / 2);
	}
	return 0;
}

static int tell_root_is_busy(const char *root_path, struct error *err)
{
	error_set(err, EBUSY, "another squall process holds %s and does not let go: is it stopped?",
		  root_path);
	error_remedy(err, "To see which: fuser -v %s. To end it: kill -9 PID", root_path);
	return -EBUSY;
}

const char *journal_root_of(const char *run_id)
{
	enum runs_root root = RUNS_BOOT;
	int fd = runs_open(run_id, &root, NULL);

	if (fd >= 0)
		close(fd);
	return roots[root];
}

bool journal_is_kept(const char *run_id)
{
	enum runs_root root = RUNS_BOOT;
	int fd = runs_open(run_id, &root, NULL);

	if (fd >= 0)
		close(fd);
	return root == RUNS_KEPT;
}

int runs_lock_root(enum runs_root which, bool may_make, struct error *err)
{
	const char *root_path = roots[which];

	for (int attempt = 0; attempt < 100; attempt++) {
		struct error inner = ERROR_INIT;
		cleanup_fd int root = directory_open(root_path, may_make ? 0755 : 0, &inner);
		struct stat status;
		int result;

		/* Made by us and removed by another before it could be opened */
		if (root == -ENOENT && may_make)
			continue;
		if (root < 0) {
			if (err)
				*err = inner;
			return root;
		}
		result = lock_fd(root, ROOT_WAIT_NS);
		if (result == -EBUSY)
			return tell_root_is_busy(root_path, err);
		if (result < 0)
			return error_errno(err, -result, "cannot lock %s", root_path);
		/* Who ends the last run removes the root: then this lock is on nothing. */
		if (fstat(root, &status) == 0 && status.st_nlink > 0)
			return steal_fd(&root);
	}
	return error_set(err, EBUSY, "%s is removed again and again by somebody else", root_path);
}

void runs_tidy_root(enum runs_root which)
{
	if (which == RUNS_BOOT)	     /* the other one holds results as well */
		rmdir(roots[which]); /* fails, as it should, while anything is in it */
}

static int unlink_all_but_journal(int directory)
{
	int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_dir DIR *stream = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *entry;

	if (!stream) {
		if (copy >= 0)
			close(copy);
		return -errno;
	}
	for (errno = 0; (entry = readdir(stream)); errno = 0)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
		    strcmp(entry->d_name, JOURNAL_FILE) != 0 &&
		    unlinkat(directory, entry->d_name, 0) < 0 && errno != ENOENT)
			return -errno;
	return -errno;
}

int runs_remove(enum runs_root which, int root, int directory, const char *run_id,
		struct error *err)
{
	int result = unlink_all_but_journal(directory);

	if (result == 0 && unlinkat(directory, JOURNAL_FILE, 0) < 0 && errno != ENOENT)
		result = -errno;
	if (result == 0 && unlinkat(root, run_id, AT_REMOVEDIR) < 0 && errno != ENOENT)
		result = -errno;
	if (result == 0 && which == RUNS_KEPT && fsync(root) < 0)
		result = -errno; /* else it may be back after a loss of power */
	if (result == 0)
		return 0;
	error_errno(err, -result, "cannot remove the directory of run %s", run_id);
	error_remedy(err, "rm -r %s/%s", roots[which], run_id);
	return result;
}

int journal_remove(const char *run_id, struct error *err)
{
	cleanup_fd int root = -1, directory = -1;
	struct error inner = ERROR_INIT;
	enum runs_root which = RUNS_BOOT;
	int result;

	directory = runs_open(run_id, &which, &inner);
	if (directory >= 0)
		root = runs_lock_root(which, false, &inner);
	if (root == -ENOENT || directory == -ENOENT)
		return 0;
	if (root < 0 || directory < 0) {
		if (err)
			*err = inner;
		return -inner.code;
	}
	result = runs_remove(which, root, directory, run_id, err);
	if (result == 0)
		runs_tidy_root(which);
	return result;
}

int journal_remove_unborn(const char *run_id, struct error *err)
{
	enum runs_root which = journal_is_kept(run_id) ? RUNS_KEPT : RUNS_BOOT;
	cleanup_fd int root = runs_lock_root(which, false, err);
	cleanup_fd int directory = -1;
	struct error inner = ERROR_INIT;
	struct journal *journal;
	int result;

	if (root < 0)
		return root == -ENOENT ? 0 : root;
	/* Whoever makes a run holds the root's lock until its header is written: look again. */
	result = journal_open(run_id, &journal, &inner);
	if (result == 0) {
		journal_close(journal);
		return error_set(err, EBUSY, "run %s has begun meanwhile", run_id);
	}
	if (result == -ENODATA) {
		directory = runs_open(run_id, NULL, &inner);
		result = directory < 0 ? directory
				       : runs_remove(which, root, directory, run_id, &inner);
		if (result == 0) {
			runs_tidy_root(which);
			return 1;
		}
	}
	if (result == -ENOENT)
		return 0;
	if (err)
		*err = inner;
	return result;
}

bool journal_exists(const char *run_id)
{
	int directory = runs_open(run_id, NULL, NULL);

	if (directory >= 0)
		close(directory);
	return directory != -ENOENT && directory != -EINVAL;
}

int journal_lock(const char *run_id, int64_t wait_ns, int *out_fd, struct error *err)
{
	cleanup_fd int directory = runs_open(run_id, NULL, err);
	struct stat status;
	int result;

	if (directory < 0)
		return directory;
	result = lock_fd(directory, wait_ns);
	if (result == -EBUSY)
		return error_set(err, EBUSY, "another process is restoring run %s", run_id);
	if (result < 0)
		return error_errno(err, -result, "cannot lock run %s", run_id);
	if (fstat(directory, &status) < 0) /* not the same: it may be there */
		return error_errno(err, errno, "cannot examine run %s", run_id);
	if (status.st_nlink == 0)
		return error_set(err, ENOENT, "run %s is gone", run_id);
	*out_fd = steal_fd(&directory);
	return 0;
}

struct id_list {
	char (*ids)[RUN_ID_SIZE];
	unsigned count, capacity;
};

static int list_root(const char *root_path, struct id_list *list, struct error *err)
{
	cleanup_dir DIR *stream = NULL;
	struct error inner = ERROR_INIT;
	const struct dirent *entry;
	/* The second root is of use to few: distrust of it is kept for the runs found in it. */
	int root = root_path == roots[RUNS_BOOT]
			   ? directory_open(root_path, 0, &inner)
			   : open(root_path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (root < 0 && root_path != roots[RUNS_BOOT])
		root = errno == ENOENT ? -ENOENT : directory_open(root_path, 0, &inner);
	if (root < 0 && root != -ENOENT) {
		if (err)
			*err = inner;
		return root;
	}
	if (root >= 0 && !(stream = fdopendir(root))) {
		close(root);
		return error_errno(err, ENOMEM, "cannot list %s", root_path);
	}
	for (errno = 0; stream && (entry = readdir(stream)); errno = 0) {
		if (!runs_is_id(entry->d_name))
			continue;
		if (list->count == list->capacity) {
			void *bigger =
				reallocarray(list->ids, list->capacity + 16, sizeof(*list->ids));

			if (!bigger)
				return error_errno(err, ENOMEM, "cannot list %s", root_path);
			list->ids = bigger;
			list->capacity += 16;
		}
		memcpy(list->ids[list->count++], entry->d_name, RUN_ID_LENGTH + 1);
	}
	if (stream && errno) /* a run that is not seen must not pass for none */
		return error_errno(err, errno, "cannot list %s", root_path);
	return 0;
}

int journal_list(char (**out)[RUN_ID_SIZE], unsigned *out_count, struct error *err)
{
	struct id_list list = {0};
	int result = 0;

	for (enum runs_root at = RUNS_BOOT; result == 0 && at < RUNS_ROOTS; at++)
		if (roots[at])
			result = list_root(roots[at], &list, err);
	if (result < 0) {
		free(list.ids);
		return result;
	}
	*out = list.ids;
	*out_count = list.count;
	return 0;
}

int journal_new_run_id(char *out, struct error *err)
{
	static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
	char path[4096], id[RUN_ID_SIZE] = "";
	uint8_t random[RUN_ID_LENGTH];

	for (int attempt = 0; attempt < 100; attempt++) {
		bool is_taken = false;

		if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
			return error_errno(err, errno, "no random numbers for a run's name");
		for (unsigned at = 0; at < RUN_ID_LENGTH; at++)
			id[at] = digits[random[at] % 36];

		for (enum runs_root at = RUNS_BOOT; at < RUNS_ROOTS; at++) {
			if (!roots[at])
				continue;
			snprintf(path, sizeof(path), "%s/%s", roots[at], id);
			is_taken |= access(path, F_OK) == 0;
		}
		if (is_taken)
			continue;
		memcpy(out, id, sizeof(id));
		return 0;
	}
	return error_set(err, EEXIST, "no free name for a run in %s", journal_root());
}
