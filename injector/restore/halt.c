/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Three lines of text in a file. Written beside its place and renamed, so that it is never read
 * half; where there is no room for the lines an empty file does: its being there is what counts.
 * It lies in two places: in /run/squall, where no disk is waited for, and in /var/lib/squall, to
 * outlive a reboot, by a process of its own, since a disk may hang.
 */
#include "injector/restore/halt.h"

#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/journal/directory.h"
#include "injector/journal/journal.h"
#include "injector/kernel/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HALT_FILE     "halt"
#define HALT_FILE_NEW ".halt.new"
#define PULL_ATTEMPTS 100

static const char *state_directory = JOURNAL_STATE;

void halt_set_state_directory(const char *path)
{
	state_directory = path;
}

static void copy_line(const char *text, const char *key, char *out, size_t size)
{
	const char *at = strstr(text, key);

	if (at)
		snprintf(out, size, "%.*s", (int)strcspn(at + strlen(key), "\n"), at + strlen(key));
}

/* True when a lever is there, or may be: what cannot be examined counts. */
static bool look_in(const char *directory, struct halt *out)
{
	cleanup_fd int fd = -1;
	char text[1024] = "\n";
	ssize_t got;

	snprintf(out->path, sizeof(out->path), "%s/%s", directory, HALT_FILE);
	fd = open(out->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return false;
	got = fd < 0 ? -1 : read(fd, text + 1, sizeof(text) - 2);
	if (got < 0) {
		snprintf(out->reason, sizeof(out->reason), "it cannot be read: %s",
			 strerror(errno));
		return true;
	}
	text[1 + got] = '\0';
	copy_line(text, "\nby: ", out->by, sizeof(out->by));
	copy_line(text, "\nat: ", out->at, sizeof(out->at));
	copy_line(text, "\nreason: ", out->reason, sizeof(out->reason));
	return true;
}

void halt_look(struct halt *out)
{
	*out = (struct halt){0};
	out->is_pulled = look_in(journal_root(), out) || look_in(state_directory, out);
}

int halt_check(struct error *err)
{
	struct halt halt;

	halt_look(&halt);
	if (!halt.is_pulled)
		return 0;
	error_set(err, EPERM, "experiments are halted on this machine%s%s%s%s: %s",
		  halt.by[0] ? " by " : "", halt.by, halt.at[0] ? " since " : "", halt.at,
		  halt.reason[0] ? halt.reason : "no reason was recorded");
	error_remedy(err, "when the reason is gone: squall resume");
	return -EPERM;
}

static void describe_caller(char *out, size_t size)
{
	struct invoking_user user = {.uid = getuid()};
	const struct passwd *entry;

	if (sandbox_invoking_user(&user, NULL) < 0)
		user.uid = getuid();
	entry = getpwuid(user.uid);
	snprintf(out, size, "%.60s (uid %u)", entry ? entry->pw_name : "?", user.uid);
}

static void describe(const char *reason, char *out, size_t size)
{
	char by[96], at[40], line[400];

	describe_caller(by, sizeof(by));
	clock_format_wall(clock_wall_ns(), at, sizeof(at));
	snprintf(line, sizeof(line), "%s", reason);
	for (char *byte = line; *byte; byte++)
		if ((unsigned char)*byte < ' ' || *byte == 0x7f)
			*byte = '?'; /* one line, and nothing for a terminal to obey */
	snprintf(out, size, "by: %s\nat: %s\nreason: %s\n", by, at, line);
}

static int write_new(int directory, const char *text, size_t size, bool is_lasting)
{
	cleanup_fd int fd = openat(directory, HALT_FILE_NEW,
				   O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	ssize_t written;

	if (fd < 0 || fchmod(fd, 0644) < 0)
		return -errno;
	written = write(fd, text, size);
	if (written < 0)
		return -errno;
	if ((size_t)written != size)
		return -ENOSPC;
	return is_lasting && fsync(fd) < 0 ? -errno : 0;
}

static int pull_once(const char *path, const char *text, bool is_lasting, struct error *err)
{
	cleanup_fd int directory = directory_open(path, 0755, err);
	int result;

	if (directory < 0)
		return directory;
	result = write_new(directory, text, strlen(text), is_lasting);
	/* On a full disk the name, possibly without its text, is still worth having. */
	if (result == 0 || result == -ENOSPC || result == -EDQUOT)
		result = renameat(directory, HALT_FILE_NEW, directory, HALT_FILE) < 0 ? -errno : 0;
	if (result < 0) {
		unlinkat(directory, HALT_FILE_NEW, 0);
		return error_errno(err, -result, "cannot write %s/%s", path, HALT_FILE);
	}
	if (is_lasting)
		fsync(directory);
	return 0;
}

/* Whoever ends the last run removes an empty directory (runs_tidy_root()): under our feet, too. */
static int pull_in(const char *path, const char *text, bool is_lasting, struct error *err)
{
	struct error why = ERROR_INIT;
	int result = -ENOENT;

	for (unsigned attempt = 0; result == -ENOENT && attempt < PULL_ATTEMPTS; attempt++) {
		why = (struct error)ERROR_INIT;
		result = pull_once(path, text, is_lasting, &why);
	}
	if (result < 0 && err)
		*err = why;
	return result;
}

/* Of a session of its own: who interrupts the command does not interrupt this. */
static pid_t fork_keeper(const char *text)
{
	pid_t keeper;
	int result;

	signal(SIGCHLD, SIG_DFL); /* an ignored one would reap it behind our back */
	keeper = fork();
	if (keeper != 0)
		return keeper;
	setsid();
	result = pull_in(state_directory, text, true, NULL);
	_exit(-result); /* an errno fits */
}

void halt_pull(const char *reason, struct halt_lever *out)
{
	char text[1024];

	*out = (struct halt_lever){0};
	describe(reason, text, sizeof(text));
	out->is_pulled = pull_in(journal_root(), text, false, &out->why) == 0;
	if (out->is_pulled)
		snprintf(out->path, sizeof(out->path), "%s/%s", journal_root(), HALT_FILE);
	out->keeper = fork_keeper(text);
}

/* Until it has ended, `wait_ns` long; then it is ended, so that it does not come later, when the
 * lever is released again. 0, or the errno with which it failed. */
static int await_keeper(pid_t keeper, int64_t wait_ns)
{
	const struct timespec pause = {.tv_nsec = 2 * NSEC_PER_MSEC};
	const int64_t until = clock_now_ns() + wait_ns;
	pid_t ended;
	int status;

	while ((ended = waitpid(keeper, &status, WNOHANG)) == 0 && clock_now_ns() < until)
		nanosleep(&pause, NULL);
	if (ended == keeper)
		return WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
	if (ended < 0)
		return EIO;
	kill(keeper, SIGKILL); /* not reaped: the number is still its own */
	return ETIMEDOUT;
}

int halt_keep(struct halt_lever *lever, int64_t wait_ns, struct error *err)
{
	int code = lever->keeper < 0 ? EAGAIN : await_keeper(lever->keeper, wait_ns);

	if (code == 0) {
		lever->is_pulled = lever->is_kept = true;
		snprintf(lever->path, sizeof(lever->path), "%s/%s", state_directory, HALT_FILE);
		return 0;
	}
	error_errno(err, code, "cannot write %s/%s", state_directory, HALT_FILE);
	return error_remedy(err, "when the disk works again: squall halt");
}

static int release_in(const char *path, bool *out_was_pulled, struct error *err)
{
	struct stat status;
	char file[512];

	snprintf(file, sizeof(file), "%s/%s", path, HALT_FILE);
	/* Asked first: on a read-only file system unlink(2) fails for what is not there, too. */
	if (lstat(file, &status) < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (unlink(file) == 0)
		*out_was_pulled = true;
	else if (errno != ENOENT)
		return error_errno(err, errno, "cannot remove %s", file);
	return 0;
}

int halt_release(bool *out_was_pulled, struct error *err)
{
	bool was_pulled = false;
	int result = release_in(state_directory, &was_pulled, err);

	if (result == 0)
		result = release_in(journal_root(), &was_pulled, err);
	if (result < 0)
		return result;
	rmdir(journal_root()); /* stays, as it should, while a run is in it */
	*out_was_pulled = was_pulled;
	return 0;
}
