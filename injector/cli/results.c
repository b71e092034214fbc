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

struct kept {
	struct timespec ended;
	char run[16];
};

static bool is_newer(const struct kept *a, const struct kept *b)
{
	return a->ended.tv_sec != b->ended.tv_sec ? a->ended.tv_sec > b->ended.tv_sec
						  : a->ended.tv_nsec > b->ended.tv_nsec;
}

/* The newest results that have an end, the newest first, at most `size` of them. Their number, or
 * -errno. */
static int find_newest(struct kept *kept, unsigned size, struct error *err)
{
	cleanup_dir DIR *directory = opendir(RESULTS);
	const struct dirent *entry;
	unsigned count = 0;

	if (!directory && errno != ENOENT)
		return error_errno(err, errno, "cannot look into %s", RESULTS);
	while (directory && (entry = readdir(directory))) {
		struct kept one;
		struct stat status;
		unsigned at;

		if (!ends_with(entry->d_name, ".json") ||
		    fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISREG(status.st_mode) || !status.st_size)
			continue;
		snprintf(one.run, sizeof(one.run), "%.*s", (int)strlen(entry->d_name) - 5,
			 entry->d_name);
		if (!runs_is_id(one.run))
			continue;
		one.ended = status.st_mtim;
		for (at = count; at > 0 && is_newer(&one, &kept[at - 1]); at--)
			if (at < size)
				kept[at] = kept[at - 1];
		if (at < size)
			kept[at] = one;
		count += count < size;
	}
	return (int)count;
}

static int find_last(char *out, size_t size, struct error *err)
{
	struct kept last;
	int count = find_newest(&last, 1, err);

	if (count > 0)
		snprintf(out, size, RESULTS "/%s.json", last.run);
	if (count != 0)
		return count < 0 ? count : 0;
	error_set(err, ENOENT, "no run has a result yet in %s", RESULTS);
	return error_remedy(err, "sudo squall run FILE makes one");
}

/* Neither a run nor a file: which runs there are. */
static void say_which_there_are(const char *what, struct error *err)
{
	struct kept kept[3];
	int count = find_newest(kept, 3, NULL);

	error_set(err, ENOENT, "there is neither a run nor a file '%.80s'", what);
	if (count <= 0)
		error_remedy(err, "no run has a result yet in %s; sudo squall run FILE makes one",
			     RESULTS);
	else
		error_remedy(err, "the newest run%s here: %s%s%s%s%s (or 'last'); all are in %s",
			     count > 1 ? "s" : "", kept[0].run, count > 1 ? ", " : "",
			     count > 1 ? kept[1].run : "", count > 2 ? ", " : "",
			     count > 2 ? kept[2].run : "", RESULTS);
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
	if (fd == -ENOENT && !strchr(what, '/'))
		say_which_there_are(what, err);
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
