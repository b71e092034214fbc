/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Ends pauses from their journal records alone, in the worker, the guardian or `squall restore`,
 * any number of times. A process is continued only if it is the recorded one and stopped, a group
 * is thawed only if it is the recorded one and asked to freeze. What is gone needs nothing.
 */
#include "faults/process_pause.h"
#include "faults/process_record.h"
#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/base/shell_word.h"
#include "injector/kernel/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define UNCLEAR_NS (50 * NSEC_PER_MSEC)

/* One recorded process, held while it is dealt with. */
struct held {
	const struct process_identity *id;
	int pidfd; /* -1: gone, or nothing left to do */
	uint64_t user_ticks;
};

static int hold(struct held *held, const struct process_identity *id, struct error *err)
{
	struct proc_stat stat;
	int pidfd, result = proc_pin(id->pid, &stat, &pidfd);

	*held = (struct held){.id = id, .pidfd = -1};
	if (result == -ESRCH)
		return 0;
	if (result < 0)
		return error_errno(err, -result, "cannot look at process %d", id->pid);
	if (stat.start_time != id->start_time) {
		close(pidfd); /* the number belongs to another process now */
		return 0;
	}
	held->pidfd = pidfd;
	held->user_ticks = stat.user_ticks;
	return 0;
}

static void let_go(struct held *held)
{
	if (held->pidfd >= 0)
		close(held->pidfd);
	held->pidfd = -1;
}

static int send_continue(struct held *held, struct error *err)
{
	int result = proc_pidfd_signal(held->pidfd, SIGCONT);

	let_go(held);
	if (result == 0 || result == -ESRCH)
		return 0;
	error_errno(err, -result, "cannot continue process %d", held->id->pid);
	return error_remedy(err, "kill -CONT %d", held->id->pid);
}

/* One look. Whoever is still held afterwards is in state R or D: it runs, or it is on its way into
 * a stop that the worker asked for just before it died. */
static int resume_if_clear(struct held *held, struct error *err)
{
	struct proc_stat stat;
	enum proc_stop stop;
	int result = proc_read_stop(held->id->pid, &stop);

	if (result == -ESRCH) {
		let_go(held);
		return 0;
	}
	if (result < 0)
		return error_errno(err, -result, "cannot look at process %d", held->id->pid);
	switch (stop) {
	case PROC_STOPPED:
	case PROC_STOPPING:
	case PROC_TRACED: /* under a debugger a stop does not show; SIGCONT cancels it all the same
			   */
		return send_continue(held, err);
	case PROC_RUNNING:
		let_go(held);
		return 0;
	case PROC_UNCLEAR:
		break;
	}
	/* who has computed since the first look runs: the way into a stop leads through the kernel
	 * only */
	if (proc_read_stat(held->id->pid, &stat) == 0 && stat.user_ticks != held->user_ticks)
		let_go(held);
	return 0;
}

/* Several looks at those who are unclear. In the end they get the signal: one too many does nothing
 * to a process that runs, one too few leaves it stopped for ever. */
static int resume_unclear(struct held *held, unsigned count, struct error *err)
{
	const struct timespec pause = {.tv_nsec = NSEC_PER_MSEC};
	int64_t due_ns = clock_now_ns() + UNCLEAR_NS;
	unsigned left = 1;
	int result, worst = 0;

	while (left && clock_now_ns() < due_ns) {
		left = 0;
		for (unsigned i = 0; i < count; i++) {
			result = held[i].pidfd < 0 ? 0 : resume_if_clear(&held[i], err);
			worst = worst ? worst : result;
			left += held[i].pidfd >= 0;
		}
		if (left)
			nanosleep(&pause, NULL);
	}
	for (unsigned i = 0; i < count; i++)
		if (held[i].pidfd >= 0) {
			result = send_continue(&held[i], err);
			worst = worst ? worst : result;
		}
	return worst;
}

static int undo_stopped(const struct stopped_record *record, struct error *err)
{
	struct held held[STOPPED_RECORD_MAX];
	unsigned count = record->count;
	int result, worst = 0;

	if (count > STOPPED_RECORD_MAX)
		return error_set(err, EPROTO, "the record of a pause names %u processes", count);
	for (unsigned i = 0; i < count; i++) {
		result = hold(&held[i], &record->processes[i], err);
		if (result == 0 && held[i].pidfd >= 0)
			result = resume_if_clear(&held[i], err);
		worst = worst ? worst : result;
	}
	result = resume_unclear(held, count, err);
	return worst ? worst : result;
}

/* The recorded group, or -ENODEV when it is gone (even if another one has its name now). */
static int open_frozen(const struct frozen_record *record, int *out, struct error *err)
{
	cleanup_fd int fd = -1;
	struct stat status;

	if (!memchr(record->directory, '\0', sizeof(record->directory)))
		return error_set(err, EPROTO, "the record of a pause holds no path");
	fd = open(record->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return -ENODEV;
	if (fd < 0 || fstat(fd, &status) < 0)
		return error_errno(err, errno, "cannot open %s", record->directory);
	if (status.st_dev != record->device || status.st_ino != record->inode)
		return -ENODEV;
	*out = steal_fd(&fd);
	return 0;
}

/* systemd writes "\x2d" into names of groups, which a shell would take for "x2d". */
static void say_thaw(const struct frozen_record *record, char *out, size_t size)
{
	char path[FROZEN_RECORD_PATH + 32], word[4 * sizeof(path) + SHELL_WORD_MORE] = "";

	snprintf(path, sizeof(path), "%s/cgroup.freeze", record->directory);
	shell_word_add(path, word, sizeof(word));
	if (shell_word_is_plain(word) && strlen(word) + 16 < size)
		snprintf(out, size, "echo 0 > %s", word);
	else
		snprintf(out, size, "run: squall restore");
}

static int undo_frozen(const struct frozen_record *record, struct error *err)
{
	char thaw[sizeof(((struct error *)NULL)->remedy)];
	cleanup_fd int directory = -1;
	int result = open_frozen(record, &directory, err);

	if (result == -ENODEV)
		return 0;
	if (result < 0)
		return result;
	result = cgroup_read_freeze(directory);
	if (result == 1)
		result = cgroup_write_freeze(directory, false);
	if (result >= 0 || result == -ENODEV)
		return 0;
	say_thaw(record, thaw, sizeof(thaw));
	error_errno(err, -result, "cannot thaw %s", record->directory);
	return error_remedy(err, "%s", thaw);
}

int pause_undo(const struct journal_record *record, struct error *err)
{
	struct stopped_record stopped;
	struct frozen_record frozen;

	switch (record->type) {
	case PAUSE_RECORD_STOPPED:
		memcpy(&stopped, record->payload, sizeof(stopped));
		return undo_stopped(&stopped, err);
	case PAUSE_RECORD_FROZEN:
		memcpy(&frozen, record->payload, sizeof(frozen));
		return undo_frozen(&frozen, err);
	}
	return error_set(err, EPROTO, "unknown record type %u of the process fault", record->type);
}

/* 1: it is the recorded process and still stopped. */
static int is_left(const struct process_identity *id, struct error *err)
{
	enum proc_stop stop = PROC_RUNNING;
	int result = proc_is_same(id);

	if (result == 1)
		result = proc_read_stop(id->pid, &stop);
	else if (result == 0)
		return 0;
	if (result == -ESRCH)
		return 0;
	if (result < 0)
		return error_errno(err, -result, "cannot look at process %d", id->pid);
	return stop == PROC_STOPPED || stop == PROC_STOPPING;
}

static int verify_stopped(const struct stopped_record *record, bool *out_gone, char *out_left,
			  size_t left_size, struct error *err)
{
	char numbers[STOPPED_RECORD_MAX * 12] = "";
	int result, failure = 0;
	unsigned left = 0;
	size_t used = 0;

	if (record->count > STOPPED_RECORD_MAX)
		return error_set(err, EPROTO, "the record of a pause names %u processes",
				 record->count);
	for (unsigned i = 0; i < record->count; i++) {
		result = is_left(&record->processes[i], err);
		if (result < 0) /* it may be stopped */
			failure = result;
		if (!result)
			continue;
		used += (size_t)snprintf(numbers + used, sizeof(numbers) - used, " %d",
					 record->processes[i].pid);
		left++;
	}
	if (left)
		snprintf(out_left, left_size, "processes %s stopped; kill -CONT%s",
			 failure ? "may still be" : "are still", numbers);
	*out_gone = left == 0;
	return failure;
}

static int verify_frozen(const struct frozen_record *record, bool *out_gone, char *out_left,
			 size_t left_size, struct error *err)
{
	cleanup_fd int directory = -1;
	size_t used;
	int result = open_frozen(record, &directory, err);

	if (result == 0) {
		result = cgroup_read_freeze(directory);
		if (result < 0 && result != -ENODEV)
			return error_errno(err, -result, "cannot read %s/cgroup.freeze",
					   record->directory);
	}
	if (result < 0 && result != -ENODEV)
		return result;
	*out_gone = result != 1;
	if (*out_gone)
		return 0;
	used = (size_t)snprintf(out_left, left_size, "%s is still frozen; ", record->directory);
	if (used < left_size)
		say_thaw(record, out_left + used, left_size - used);
	return 0;
}

int pause_verify(const struct journal_record *record, bool *out_gone, char *out_left,
		 size_t left_size, struct error *err)
{
	struct stopped_record stopped;
	struct frozen_record frozen;

	switch (record->type) {
	case PAUSE_RECORD_STOPPED:
		memcpy(&stopped, record->payload, sizeof(stopped));
		return verify_stopped(&stopped, out_gone, out_left, left_size, err);
	case PAUSE_RECORD_FROZEN:
		memcpy(&frozen, record->payload, sizeof(frozen));
		return verify_frozen(&frozen, out_gone, out_left, left_size, err);
	}
	return error_set(err, EPROTO, "unknown record type %u of the process fault", record->type);
}
