/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is too long for a record: small files beside the journal. They go with the run's directory.
 */
#include "injector/journal/journal.h"

#include "injector/base/cleanup.h"
#include "injector/journal/runs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static bool is_name(const char *name)
{
	return *name && strcmp(name, JOURNAL_FILE) != 0 && strcmp(name, RESERVE_FILE) != 0 &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(name);
}

int journal_keep(struct journal *journal, const char *name, const void *bytes, size_t size,
		 struct error *err)
{
	const char *run_id = journal_run_id(journal);
	enum runs_root which = RUNS_BOOT;
	cleanup_fd int directory = runs_open(run_id, &which, err);
	cleanup_fd int fd = -1;
	ssize_t written = -1;

	if (directory < 0)
		return directory;
	if (!is_name(name))
		return error_set(err, EINVAL, "'%.40s' cannot be kept beside a journal", name);
	fd = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_errno(err, errno, "cannot keep %s beside the journal of run %s", name,
				   run_id);
	do
		written = write(fd, bytes, size);
	while (written < 0 && errno == EINTR);
	if (written < 0 || (size_t)written != size ||
	    (which == RUNS_KEPT && (fsync(fd) < 0 || fsync(directory) < 0))) {
		int code = written >= 0 && (size_t)written != size ? ENOSPC : errno;

		unlinkat(directory, name, 0);
		return error_errno(err, code, "cannot keep %s beside the journal of run %s", name,
				   run_id);
	}
	return 0;
}

ssize_t journal_kept(const char *run_id, const char *name, void *out, size_t size,
		     struct error *err)
{
	cleanup_fd int directory = runs_open(run_id, NULL, err);
	cleanup_fd int fd = -1;
	struct stat status;
	ssize_t got;

	if (directory < 0)
		return directory;
	fd = is_name(name) ? openat(directory, name,
				    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
			   : -1;
	if (fd < 0 || fstat(fd, &status) < 0)
		return error_errno(err, errno, "%s, kept beside the journal of run %s", name,
				   run_id);
	if (!S_ISREG(status.st_mode) || status.st_size > (off_t)size)
		return error_set(err, EFBIG, "%s beside the journal of run %s is no file of ours",
				 name, run_id);
	do
		got = read(fd, out, size);
	while (got < 0 && errno == EINTR);
	return got < 0 ? error_errno(err, errno, "%s, kept beside the journal of run %s", name,
				     run_id)
		       : got;
}
