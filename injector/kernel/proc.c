/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Readers over /proc and the pidfd calls. Formats: proc(5), and fs/proc/array.c where the manual is
 * silent. Every reader may meet a process that dies under it: ENOENT on open, ESRCH on read.
 */
#include "injector/kernel/proc.h"

#include "injector/base/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* include/linux/sched.h; the flags field of stat shows them */
#define PF_EXITING 0x00000004
#define PF_KTHREAD 0x00200000

static const char *root = "/proc";

void proc_set_root(const char *other)
{
	root = other ? other : "/proc";
}

const char *proc_root(void)
{
	return root;
}

static int vanished(int code)
{
	return code == ENOENT ? -ESRCH : -code;
}

static ssize_t read_all(const char *path, char *out, size_t size)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t used = 0;
	ssize_t got;

	if (fd < 0)
		return vanished(errno);
	while (used < size - 1) {
		got = read(fd, out + used, size - 1 - used);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return vanished(errno);
		if (got == 0)
			break;
		used += (size_t)got;
	}
	out[used] = '\0';
	return (ssize_t)used;
}

ssize_t proc_read_file(pid_t pid, const char *name, char *out, size_t size)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%d/%s", root, pid, name);
	return read_all(path, out, size);
}

/* "4711 (a) b) S 1 ...": the name may hold anything, so it ends at the last parenthesis. */
static int parse_stat(char *text, struct proc_stat *out)
{
	char *open = strchr(text, '('), *close = strrchr(text, ')');
	unsigned flags;
	long threads;
	int read;

	if (!open || !close || close < open)
		return -EPROTO;
	*close = '\0';
	snprintf(out->comm, sizeof(out->comm), "%s", open + 1);
	read = sscanf(
		close + 1,
		" %c %d %*d %d %*d %*d %u %*u %*u %*u %*u %lu %*u %*d %*d %*d %*d %ld %*d %lu",
		&out->state, &out->parent, &out->session, &flags, &out->user_ticks, &threads,
		&out->start_time);
	if (read != 7)
		return -EPROTO;
	out->is_kernel_thread = flags & PF_KTHREAD;
	out->is_exiting = flags & PF_EXITING;
	out->is_dead = (out->state == 'Z' && threads <= 1) || out->state == 'X';
	return 0;
}

static int read_stat_at(const char *path, struct proc_stat *out)
{
	char text[1024];
	struct proc_stat stat = {0};
	ssize_t length = read_all(path, text, sizeof(text));
	int result = length < 0 ? (int)length : parse_stat(text, &stat);

	if (result == 0) {
		stat.pid = atoi(text);
		*out = stat;
	}
	return result;
}

int proc_read_stat(pid_t pid, struct proc_stat *out)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%d/stat", root, pid);
	return read_stat_at(path, out);
}

int proc_read_comm(pid_t pid, char *out, size_t size)
{
	ssize_t length = proc_read_file(pid, "comm", out, size);

	if (length < 0)
		return (int)length;
	if (length > 0 && out[length - 1] == '\n')
		out[length - 1] = '\0';
	return 0;
}

int proc_read_command(pid_t pid, char *out, size_t size)
{
	ssize_t length = proc_read_file(pid, "cmdline", out, size);

	if (length < 0)
		return (int)length;
	while (length > 0 && (out[length - 1] == '\0' || out[length - 1] == ' '))
		out[--length] = '\0';
	for (ssize_t i = 0; i < length; i++)
		if (out[i] == '\0')
			out[i] = ' ';
	return 0;
}

int proc_read_exe(pid_t pid, char *out, size_t size)
{
	static const char deleted[] = " (deleted)";
	char path[PATH_MAX];
	ssize_t length;

	snprintf(path, sizeof(path), "%s/%d/exe", root, pid);
	length = readlink(path, out, size - 1);
	if (length < 0)
		return -errno;
	out[length] = '\0';
	if ((size_t)length >= sizeof(deleted) &&
	    strcmp(out + length - (sizeof(deleted) - 1), deleted) == 0)
		out[length - (ssize_t)(sizeof(deleted) - 1)] = '\0';
	return 0;
}

/* The directory always belongs to the effective user, also when the process is not dumpable and all
 * that is in it belongs to root (task_dump_owner() in fs/proc/base.c). */
int proc_read_uid(pid_t pid, uid_t *out)
{
	char path[PATH_MAX];
	struct stat status;

	snprintf(path, sizeof(path), "%s/%d", root, pid);
	if (stat(path, &status) < 0)
		return vanished(errno);
	*out = status.st_uid;
	return 0;
}

/* "cpu,cpuacct" holds "cpu"; the empty list of cgroup v2 holds only "". */
static bool list_has(const char *list, size_t length, const char *word)
{
	size_t wanted = strlen(word);

	if (!wanted)
		return length == 0;
	for (const char *at = list, *end = list + length; at < end;) {
		const char *comma = memchr(at, ',', (size_t)(end - at));
		size_t part = (size_t)((comma ? comma : end) - at);

		if (part == wanted && memcmp(at, word, part) == 0)
			return true;
		at += part + 1;
	}
	return false;
}

int proc_read_cgroup(pid_t pid, const char *controller, char *out, size_t size)
{
	char text[8192], *rest = text, *line, *list, *path;
	ssize_t length = proc_read_file(pid, "cgroup", text, sizeof(text));

	if (length < 0)
		return (int)length;
	/* "4:name=systemd:/user.slice"; a path may hold colons itself */
	while ((line = strsep(&rest, "\n"))) {
		list = strchr(line, ':');
		path = list ? strchr(list + 1, ':') : NULL;
		if (!path || !list_has(list + 1, (size_t)(path - list - 1), controller))
			continue;
		if (strlen(path + 1) >= size)
			return -ENAMETOOLONG;
		memcpy(out, path + 1, strlen(path + 1) + 1);
		return 0;
	}
	return -ENOENT;
}

/* The values of "Key:" lines in the status file; "" for a key that is missing. Line by line: a
 * process with thousands of groups has a status file of any length. */
#define STATUS_VALUE_SIZE 512 /* NSpid: 32 levels at most */
static int read_status(pid_t pid, unsigned count, const char *const *keys,
		       char (*out)[STATUS_VALUE_SIZE])
{
	char path[PATH_MAX];
	cleanup_file FILE *file = NULL;
	cleanup_free char *line = NULL;
	size_t capacity = 0, length;

	snprintf(path, sizeof(path), "%s/%d/status", root, pid);
	file = fopen(path, "re");
	if (!file)
		return vanished(errno);
	for (unsigned i = 0; i < count; i++)
		out[i][0] = '\0';
	for (errno = 0; getline(&line, &capacity, file) > 0; errno = 0)
		for (unsigned i = 0; i < count; i++) {
			length = strlen(keys[i]);
			if (strncmp(line, keys[i], length) == 0 && line[length] == ':')
				snprintf(out[i], sizeof(out[i]), "%s", line + length + 1);
		}
	return errno ? vanished(errno) : 0;
}

int proc_read_inner_pid(pid_t pid, pid_t *out)
{
	static const char *const key[] = {"NSpid"};
	char value[1][STATUS_VALUE_SIZE], *at = value[0], *end;
	long inner = pid, number;
	int result = read_status(pid, 1, key, value);

	if (result < 0)
		return result;
	/* "4711	1": one number for each nested namespace, innermost last */
	for (;; at = end) {
		number = strtol(at, &end, 10);
		if (end == at)
			break;
		inner = number;
	}
	*out = (pid_t)inner;
	return 0;
}

static bool has_bit(const char *mask, int signal)
{
	return strtoull(mask, NULL, 16) & (1ULL << (signal - 1));
}

int proc_is_dying(pid_t pid)
{
	static const char *const key[] = {"SigPnd"};
	char pending[1][STATUS_VALUE_SIZE];
	struct proc_stat stat = {0};
	/* pending first: what has been taken in between shows as exiting */
	int result = read_status(pid, 1, key, pending);

	if (result == 0)
		result = proc_read_stat(pid, &stat);
	if (result < 0)
		return result;
	/* SIGKILL is put before each thread (complete_signal(), kernel/signal.c) */
	return has_bit(pending[0], SIGKILL) || stat.is_exiting || stat.is_dead;
}

/* SIGSTOP is taken by one thread, which asks the others to stop (do_signal_stop(),
 * kernel/signal.c). One that waits uninterruptibly obeys when it wakes: the leader alone may show D
 * while the stop is already decided and no longer pending. So every thread is looked at. A thread
 * in S has nothing to obey: it would have been woken. */
struct thread_states {
	unsigned stopped, traced, unclear, asleep;
};

static int read_threads(pid_t pid, struct thread_states *out)
{
	char path[PATH_MAX];
	struct proc_stat stat;
	struct dirent *entry;
	cleanup_dir DIR *dir = NULL;

	snprintf(path, sizeof(path), "%s/%d/task", root, pid);
	dir = opendir(path);
	if (!dir)
		return vanished(errno);
	/* What cannot be read must not pass for a thread that runs. */
	for (errno = 0; (entry = readdir(dir)); errno = 0) {
		int result;

		if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "%s/%d/task/%.20s/stat", root, pid, entry->d_name);
		result = read_stat_at(path, &stat);
		if (result < 0 && result != -ESRCH)
			return result;
		if (result < 0 || stat.state == 'Z' || stat.state == 'X')
			continue;
		if (stat.state == 'T')
			out->stopped++;
		else if (stat.state == 't')
			out->traced++;
		else if (stat.state == 'R' || stat.state == 'D')
			out->unclear++;
		else
			out->asleep++;
	}
	if (errno)
		return vanished(errno);
	return out->stopped + out->traced + out->unclear + out->asleep ? 0 : -ESRCH;
}

int proc_read_stop(pid_t pid, enum proc_stop *out)
{
	static const char *const keys[] = {"SigPnd", "ShdPnd"};
	char pending[2][STATUS_VALUE_SIZE];
	struct thread_states threads = {0};
	/* pending first: what has been taken in between is seen as a state */
	int result = read_status(pid, 2, keys, pending);

	if (result == 0)
		result = read_threads(pid, &threads);
	if (result < 0)
		return result;
	if (threads.stopped && !threads.unclear && !threads.asleep)
		*out = PROC_STOPPED;
	else if (threads.stopped || has_bit(pending[0], SIGSTOP) || has_bit(pending[1], SIGSTOP))
		*out = PROC_STOPPING;
	else if (threads.traced)
		*out = PROC_TRACED;
	else
		*out = threads.unclear ? PROC_UNCLEAR : PROC_RUNNING;
	return 0;
}

int proc_each(int (*fn)(pid_t pid, void *context), void *context)
{
	cleanup_dir DIR *dir = opendir(root);
	struct dirent *entry;
	int result;

	if (!dir)
		return -errno;
	for (errno = 0; (entry = readdir(dir)); errno = 0) {
		if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
			continue;
		result = fn((pid_t)atoi(entry->d_name), context);
		if (result)
			return result;
	}
	return -errno;
}

unsigned proc_ancestors(pid_t pid, pid_t *out, unsigned capacity)
{
	struct proc_stat stat;
	unsigned count = 0;

	while (count < capacity && proc_read_stat(pid, &stat) == 0 && stat.parent > 0) {
		out[count++] = stat.parent;
		pid = stat.parent;
	}
	return count;
}

void proc_make_printable(char *text)
{
	for (; *text; text++)
		if (*text < 0x20 || *text > 0x7e)
			*text = '?';
}
