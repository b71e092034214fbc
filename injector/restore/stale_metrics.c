/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/restore/stale_metrics.h"

#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/journal/directory.h"
#include "injector/journal/journal.h"
#include "injector/kernel/file_writer.h"
#include "injector/kernel/proc.h"
#include "injector/kernel/realtime.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NOTES	    JOURNAL_STATE "/metrics"
#define KEPT_S	    (7 * 24 * 3600) /* a note whose file cannot be set right, as it is not mounted */
#define PATIENCE_NS (10 * NSEC_PER_SEC)

struct note {
	struct process_identity conductor;
	char boot_id[40];
	uid_t uid;
	gid_t gid;
	char path[PATH_MAX];
};

static int open_notes(mode_t mode, struct error *err)
{
	cleanup_fd int state = directory_open(JOURNAL_STATE, mode ? 0755 : 0, err);

	return state < 0 ? state : directory_open_at(state, "metrics", mode, NOTES, err);
}

int stale_metrics_note(const char *path, uid_t uid, gid_t gid, unsigned at, struct error *err)
{
	cleanup_fd int folder = open_notes(0700, err), fd = -1;
	struct process_identity self;
	char boot_id[40], name[64], text[PATH_MAX + 160];
	int length, result = folder < 0 ? folder : journal_boot_id(boot_id, err);

	if (result < 0)
		return result;
	result = proc_identity(getpid(), &self);
	if (result < 0)
		return error_errno(err, -result, "cannot identify this process");
	snprintf(name, sizeof(name), "%d-%llu-%u", self.pid, (unsigned long long)self.start_time,
		 at);
	length = snprintf(text, sizeof(text), "%s %d %llu %u %u %s\n", boot_id, self.pid,
			  (unsigned long long)self.start_time, uid, gid, path);
	unlinkat(folder, name, 0); /* of another boot */
	fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, text, (size_t)length) != length) {
		result = error_errno(err, errno ? errno : EIO, "cannot write " NOTES "/%s", name);
		unlinkat(folder, name, 0);
	}
	return result;
}

static bool read_note(int folder, const char *name, struct note *out)
{
	char text[PATH_MAX + 160];
	cleanup_fd int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	unsigned long long start_time;
	int path = 0;

	if (length <= 0 || text[length - 1] != '\n')
		return false;
	text[length - 1] = '\0';
	*out = (struct note){0};
	if (sscanf(text, "%39s %d %llu %u %u %n", out->boot_id, &out->conductor.pid, &start_time,
		   &out->uid, &out->gid, &path) != 5 ||
	    !path || text[path] != '/')
		return false;
	out->conductor.start_time = start_time;
	snprintf(out->path, sizeof(out->path), "%s", text + path);
	return true;
}

static bool is_of_this_boot(const struct note *note)
{
	char boot_id[40];

	return journal_boot_id(boot_id, NULL) < 0 || strcmp(boot_id, note->boot_id) == 0;
}

/* Also when it cannot be told. */
static bool is_live(const struct note *note)
{
	return is_of_this_boot(note) && proc_is_same(&note->conductor) != 0;
}

static bool is_old(int folder, const char *name)
{
	struct stat about;

	return fstatat(folder, name, &about, AT_SYMLINK_NOFOLLOW) == 0 &&
	       clock_wall_ns() / NSEC_PER_SEC - about.st_mtim.tv_sec > KEPT_S;
}

/* The name of the next note whose run is dead, or which is none; NULL: there is no more. */
static const char *next_stale(DIR *dir, struct note *out)
{
	const struct dirent *entry;

	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.' &&
		    (!read_note(dirfd(dir), entry->d_name, out) || !is_live(out)))
			return entry->d_name;
	return NULL;
}

/* True: there is nothing more to be done about it. A file that is missing after a restart of the
 * machine may lie where nothing is mounted yet. */
static bool set_right(const struct note *note)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		int result =
			file_writer_change(note->path, note->uid, note->gid, stale_metrics_over);

		_exit(result == 0 || (result == -ENOENT && is_of_this_boot(note)) ? 0 : 1);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

/* One at a time: it may hang. The lock goes with the last that has the folder open. */
static void sweep(DIR *dir)
{
	static struct note note;
	const char *name;

	if (flock(dirfd(dir), LOCK_EX | LOCK_NB) < 0)
		return;
	while ((name = next_stale(dir, &note)))
		if (!note.path[0] || set_right(&note) || is_old(dirfd(dir), name))
			unlinkat(dirfd(dir), name, 0);
}

void stale_metrics_sweep(int wait_ms)
{
	static struct note note;
	int folder = open_notes(0, NULL);
	cleanup_dir DIR *dir = folder < 0 ? NULL : fdopendir(folder);
	struct pollfd ended = {.events = POLLIN};
	pid_t pid;

	if (!dir && folder >= 0)
		close(folder);
	if (!dir || !next_stale(dir, &note))
		return;
	rewinddir(dir);
	pid = fork();
	if (pid == 0) {
		realtime_end();
		/* whoever reads what we print must not wait for this one */
		close_range(0, (unsigned)folder - 1, 0);
		close_range((unsigned)folder + 1, ~0U, 0);
		sweep(dir);
		_exit(0);
	}
	ended.fd = pid > 0 ? proc_pidfd_open(pid) : -1;
	if (ended.fd < 0)
		return;
	poll(&ended, 1, wait_ms);
	close(ended.fd);
	waitpid(pid, NULL, WNOHANG);
}

/* The run that the text is about, and that it says it lasts. */
static bool read_run(const char *text, char out[RUN_ID_SIZE])
{
	static const char info[] = "\nsquall_run_info{run=\"";
	const char *id = strstr(text, info);
	size_t length;

	if (!id || !strstr(text, "\nsquall_run_active 1\n"))
		return false;
	id += strlen(info);
	length = strcspn(id, "\"");
	if (length >= RUN_ID_SIZE)
		return false;
	snprintf(out, RUN_ID_SIZE, "%.*s", (int)length, id);
	return true;
}

static bool is_of(const char *line, const char *name)
{
	size_t length = strlen(name);

	return strncmp(line, name, length) == 0 && (line[length] == ' ' || line[length] == '{');
}

static void put_line(FILE *out, const char *line, size_t length)
{
	static const struct {
		const char *name, *value;
	} changed[] = {{"squall_run_active", "0"},
		       {"squall_run_phase", "0"},
		       {"squall_run_died", "1"},
		       {"squall_fault_active", "0"},
		       {"squall_restored", "1"}};
	const char *value = memrchr(line, ' ', length);

	for (size_t i = 0; value && i < sizeof(changed) / sizeof(*changed); i++)
		if (is_of(line, changed[i].name)) {
			fprintf(out, "%.*s %s\n", (int)(value - line), line, changed[i].value);
			return;
		}
	if (is_of(line, "squall_last_update_time_seconds"))
		fprintf(out, "squall_last_update_time_seconds %.3f\n",
			(double)clock_wall_ns() / (double)NSEC_PER_SEC);
	else
		fprintf(out, "%.*s\n", (int)length, line);
}

static int rewrite(const char *text, char **out, size_t *out_length)
{
	char *changed = NULL;
	FILE *file = open_memstream(&changed, out_length);

	if (!file)
		return -ENOMEM;
	while (*text) {
		size_t length = strcspn(text, "\n");

		put_line(file, text, length);
		text += length + (text[length] == '\n');
	}
	if (fclose(file) != 0) {
		free(changed);
		return -ENOMEM;
	}
	*out = changed;
	return 0;
}

static int over(const char *text, size_t length, int64_t patience_ns, char **out,
		size_t *out_length)
{
	const int64_t until_ns = clock_now_ns() + patience_ns;
	const struct timespec pause = {.tv_nsec = 20 * NSEC_PER_MSEC};
	cleanup_free char *copy = strndup(text, length);
	char run_id[RUN_ID_SIZE];

	if (!copy)
		return -ENOMEM;
	if (!read_run(copy, run_id))
		return 0;
	while (journal_exists(run_id)) {
		if (clock_now_ns() >= until_ns)
			return -EBUSY;
		nanosleep(&pause, NULL);
	}
	return rewrite(copy, out, out_length);
}

int stale_metrics_over(const char *text, size_t length, char **out, size_t *out_length)
{
	return over(text, length, 0, out, out_length);
}

int stale_metrics_await(const char *text, size_t length, char **out, size_t *out_length)
{
	return over(text, length, PATIENCE_NS, out, out_length);
}
