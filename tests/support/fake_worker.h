/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A worker with a fake fault, for the tests of guardian, restore and the commands around them. The
 * fault's effect is a file; "undone" means that the file is gone. Everything is static: it brings
 * its own fault_find(), so only a test that wants that may include it.
 */
#ifndef SQUALL_FAKE_WORKER_H
#define SQUALL_FAKE_WORKER_H

#include "faults/fault.h"
#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/kernel/cgroup.h"
#include "injector/kernel/proc.h"
#include "injector/restore/guardian.h"
#include "injector/restore/guardian_cgroup.h"
#include "injector/restore/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#define EFFECTS	       3
#define WORKER_NOTICED 42 /* exit status: the guardian died, the worker has restored */

static char base[64], root[80];
static char run_id[RUN_ID_SIZE];

/* ---- The fault: a file at the path in the record. "PATH.stuck" makes undoing it fail, "slow" in
 * the base directory makes it slow; every undo writes a byte to "count". ---- */

static bool is_marked(const char *path, const char *mark)
{
	char name[512];

	snprintf(name, sizeof(name), "%s%s", path, mark);
	return access(name, F_OK) == 0;
}

static void sleep_ms(int ms)
{
	poll(NULL, 0, ms);
}

static int fake_undo(const struct journal_record *record, struct error *err)
{
	const char *path = (const char *)record->payload;
	cleanup_fd int count = -1;
	char name[200];

	snprintf(name, sizeof(name), "%s/count", base);
	count = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (count < 0 || write(count, "u", 1) != 1)
		return error_errno(err, errno, "cannot count");
	if (is_marked(base, "/slow"))
		sleep_ms(50);
	if (is_marked(path, ".stuck"))
		return error_set(err, EBUSY, "%s is stuck", path);
	if (unlink(path) < 0 && errno != ENOENT)
		return error_errno(err, errno, "cannot remove %s", path);
	return 0;
}

static int fake_verify(const struct journal_record *record, bool *out_gone, char *out_left,
		       size_t left_size, struct error *err)
{
	const char *path = (const char *)record->payload;

	(void)err;
	*out_gone = access(path, F_OK) < 0;
	if (!*out_gone)
		snprintf(out_left, left_size, "%s is still there; by hand: rm %s", path, path);
	return 0;
}

static const struct fault_ops fake_fault = {
	.name = "fake", .undo = fake_undo, .verify = fake_verify};

const struct fault_ops *fault_find(const char *name)
{
	return strcmp(name, "fake") == 0 ? &fake_fault : NULL;
}

static void effect_path(unsigned at, char *out, size_t size)
{
	snprintf(out, size, "%s/effect%u", base, at);
}

static unsigned effects_in_force(void)
{
	unsigned count = 0;
	char path[128];

	for (unsigned at = 0; at < EFFECTS; at++) {
		effect_path(at, path, sizeof(path));
		count += access(path, F_OK) == 0;
	}
	return count;
}

static __attribute__((unused)) void mark(const char *name, bool set)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/%s", base, name);
	if (set)
		close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	else
		unlink(path);
}

static __attribute__((unused)) unsigned undo_calls(void)
{
	struct stat status;
	char path[128];

	snprintf(path, sizeof(path), "%s/count", base);
	return stat(path, &status) < 0 ? 0 : (unsigned)status.st_size;
}

static int inject(struct journal *journal, unsigned at)
{
	struct error err = ERROR_INIT;
	char path[128], text[64];

	effect_path(at, path, sizeof(path));
	if (journal_undo(journal, "fake", at, 1, path, strlen(path) + 1, &err) < 0)
		return -1;
	snprintf(text, sizeof(text), "effect number %u", at);
	if (close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)) < 0)
		return -1;
	return journal_started(journal, at, text, 0, &err);
}

/* ---- The worker ---- */

struct orders {
	int64_t deadline_after_ns;
	bool dies_before_begin;
	bool obeys;	   /* SIGTERM: restores and leaves */
	bool is_deaf;	   /* SIGTERM: ignored */
	const char *makes; /* obeying, it makes that file first */
	bool ends_well;
	bool without_guardian; /* its death is simulated: the header names a pid that never was */
};

struct running {
	pid_t worker, guardian;
	int death; /* pidfd of the worker */
	int guardian_death;
	struct process_identity guardian_self;
};

static void fill_header(struct journal_header *header, pid_t guardian, int64_t deadline_ns)
{
	memcpy(header->run_id, run_id, sizeof(run_id));
	header->deadline_ns = deadline_ns;
	snprintf(header->title, sizeof(header->title), "a fake run");
	if (proc_identity(getpid(), &header->worker) < 0 ||
	    (guardian && proc_identity(guardian, &header->guardian) < 0))
		_exit(91);
}

static void restore_and_leave(struct journal *journal, struct guardian *guardian, int status)
{
	struct restore_report report = {0};
	struct error err = ERROR_INIT;

	restore_records(journal, -1, &report, &err);
	journal_close(journal);
	if (!report.failed)
		journal_remove(run_id, &err);
	guardian_end(guardian);
	_exit(report.failed || err.code ? 92 : status);
}

static volatile sig_atomic_t asked_to_stop;

static void note_signal(int signal)
{
	(void)signal;
	asked_to_stop = 1;
}

static void worker(const struct orders *orders, int ready, int guardian_socket)
{
	struct journal_header header = {0};
	struct guardian guardian = {.pidfd = -1, .socket = -1};
	struct error err = ERROR_INIT;
	struct journal *journal;

	if (!orders->without_guardian) {
		guardian_await(&guardian, guardian_socket);
		if (guardian_meet(&guardian, &err) < 0 ||
		    guardian_confine(&guardian, 1ULL << CAP_NET_ADMIN, &err) < 0)
			_exit(93);
	}
	fill_header(&header, guardian.pid, clock_now_ns() + orders->deadline_after_ns);
	if (journal_create(&header, &journal, &err) < 0)
		_exit(94);
	if (orders->dies_before_begin) {
		if (write(ready, &guardian.pid, sizeof(pid_t)) < 0)
			_exit(95);
		for (;;)
			pause();
	}
	if (!orders->without_guardian &&
	    (guardian_begin(&guardian, run_id, header.deadline_ns, &err) < 0 ||
	     guardian_ready(&guardian, &err) < 0)) {
		dprintf(STDERR_FILENO, "%s\n", err.text);
		_exit(96);
	}
	if (orders->obeys)
		signal(SIGTERM, note_signal);
	if (orders->is_deaf)
		signal(SIGTERM, SIG_IGN);
	for (unsigned at = 0; at < EFFECTS; at++)
		if (inject(journal, at) < 0)
			_exit(97);
	if (write(ready, &guardian.pid, sizeof(pid_t)) < 0)
		_exit(95);
	if (orders->ends_well)
		restore_and_leave(journal, &guardian, 0);
	for (;;) {
		struct pollfd poller = {.fd = guardian.pidfd, .events = POLLIN};

		if (poll(&poller, 1, GUARDIAN_PING_NS / NSEC_PER_MSEC) > 0)
			restore_and_leave(journal, &guardian, WORKER_NOTICED);
		if (asked_to_stop && orders->makes)
			close(open(orders->makes, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
		if (asked_to_stop)
			restore_and_leave(journal, &guardian, 0);
		if (!orders->without_guardian)
			guardian_ping(&guardian);
	}
}

static __attribute__((unused)) struct running start(const struct orders *orders)
{
	struct running running = {0};
	struct error err = ERROR_INIT;
	int pipes[2], ends[2];
	pid_t guardian;

	assert_int_equal(journal_new_run_id(run_id, &err), 0);
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	assert_int_equal(guardian_sockets(ends, &err), 0);
	running.worker = fork();
	if (running.worker == 0) {
		close(pipes[0]);
		close(ends[1]);
		worker(orders, pipes[1], ends[0]);
	}
	close(pipes[1]);
	close(ends[0]);
	if (orders->without_guardian)
		close(ends[1]);
	else
		assert_int_equal(guardian_fork(running.worker, ends[1], &guardian, &err), 0);
	running.death = proc_pidfd_open(running.worker);
	assert_int_equal(read(pipes[0], &running.guardian, sizeof(pid_t)), sizeof(pid_t));
	close(pipes[0]);
	if (running.guardian)
		assert_int_equal(proc_identity(running.guardian, &running.guardian_self), 0);
	running.guardian_death = running.guardian ? proc_pidfd_open(running.guardian) : -1;
	return running;
}

static __attribute__((unused))
const struct orders ordinary = {.deadline_after_ns = 60 * NSEC_PER_SEC};

/* Sends a signal; then milliseconds until no effect and no run is left. Fails after `limit_ms`. */
static __attribute__((unused)) double hit(pid_t victim, int signal, int limit_ms)
{
	int64_t from = clock_now_ns();
	struct timespec pause = {.tv_nsec = 20000};

	if (victim > 0)
		kill(victim, signal);
	while (effects_in_force() || journal_exists(run_id)) {
		if (clock_now_ns() - from > (int64_t)limit_ms * NSEC_PER_MSEC)
			fail_msg("not restored after %d ms: %u effects, run %s", limit_ms,
				 effects_in_force(), journal_exists(run_id) ? "there" : "gone");
		nanosleep(&pause, NULL);
	}
	return (double)(clock_now_ns() - from) / NSEC_PER_MSEC;
}

static __attribute__((unused)) bool has_cgroup(const struct running *running)
{
	struct cgroup_mounts mounts;
	char path[400], name[64];

	if (cgroup_find_mounts(&mounts, NULL) < 0 || !mounts.unified[0])
		return false;
	guardian_cgroup_name(&running->guardian_self, name);
	snprintf(path, sizeof(path), "%s/%s", mounts.unified, name);
	return access(path, F_OK) == 0;
}

/* Reaps worker and guardian (we are the subreaper) and sees that nothing of them stays. */
static __attribute__((unused)) int reap(struct running *running)
{
	struct pollfd poller = {.fd = running->guardian_death, .events = POLLIN};
	int status = -1;

	assert_int_equal(waitpid(running->worker, &status, 0), running->worker);
	if (running->guardian) {
		assert_int_equal(poll(&poller, 1, 10000), 1);
		waitpid(running->guardian, NULL, 0);
		assert_false(has_cgroup(running));
		close(running->guardian_death);
	}
	close(running->death);
	return status;
}

static __attribute__((unused)) void kill_both(struct running *running)
{
	kill(running->guardian, SIGSTOP); /* so that it cannot be quicker than the second kill */
	kill(running->worker, SIGKILL);
	kill(running->guardian, SIGKILL);
	waitpid(running->worker, NULL, 0);
	waitpid(running->guardian, NULL, 0);
	close(running->death);
	close(running->guardian_death);
}

static int set_up(void **state)
{
	(void)state;
	snprintf(base, sizeof(base), "/tmp/squall-guardian-XXXXXX");
	if (!mkdtemp(base))
		return -1;
	snprintf(root, sizeof(root), "%s/root", base);
	journal_set_root(root);
	return 0;
}

static int remove_tree(const char *path)
{
	cleanup_dir DIR *stream = opendir(path);
	const struct dirent *entry;
	char child[400];

	while (stream && (entry = readdir(stream))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		snprintf(child, sizeof(child), "%s/%s", path, entry->d_name);
		if (unlink(child) < 0)
			remove_tree(child);
	}
	return rmdir(path);
}

static int tear_down(void **state)
{
	(void)state;
	return remove_tree(base);
}

static __attribute__((unused)) struct restore_report restore_dead(void)
{
	struct restore_report report = {0};
	struct error err = ERROR_INIT;

	if (restore_dead_runs(&report, &err) < 0)
		fail_msg("%s", err.text);
	return report;
}

/* Guardians of killed workers come to us. */
#define RUN_AS_ROOT(tests)                                                                         \
	(is_root() && prctl(PR_SET_CHILD_SUBREAPER, 1) == 0                                        \
		 ? cmocka_run_group_tests(tests, NULL, NULL)                                       \
		 : getenv("SQUALL_MUST_RUN") != NULL)

static __attribute__((unused)) bool is_root(void)
{
	if (geteuid() != 0)
		fprintf(stderr, "skipped: who restores needs root\n");
	return geteuid() == 0;
}

#endif
