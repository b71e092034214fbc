/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/support/children.h"

#include "injector/kernel/cgroup.h"
#include "injector/kernel/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static atomic_uint *counter;

void children_init(void)
{
	counter = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counter == MAP_FAILED)
		abort();
}

static void sleep_us(unsigned us)
{
	struct timespec left = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000L};

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

static void count_signal(int number)
{
	(void)number;
	(*counter)++;
}

static void become_sshd(int number)
{
	(void)number;
	prctl(PR_SET_NAME, "sshd");
}

static void count_on(int number, void (*handler)(int))
{
	struct sigaction action = {.sa_handler = handler};

	sigaction(number, &action, NULL);
}

static void *compute(void *context)
{
	volatile unsigned work = 0;

	for (;;)
		work++;
	return context;
}

static int open_userfault(void *page, size_t size)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register range = {
		.range = {.start = (uintptr_t)page, .len = size},
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) < 0 || ioctl(fd, UFFDIO_REGISTER, &range) < 0) {
		perror("userfaultfd");
		abort();
	}
	return fd;
}

static void serve_fault(int fault, void *page)
{
	struct uffdio_zeropage zero = {.range = {.start = (uintptr_t)page, .len = 4096}};

	sleep_us(1000000);
	ioctl(fault, UFFDIO_ZEROPAGE, &zero);
	_exit(0);
}

/* A system call that reads memory whose pages a user-space pager owes: neither the freezer nor a
 * stop signal reaches it there. The pager is a process of its own, or the stop would reach that
 * one. */
static void hang(bool for_ever)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fault = open_userfault(page, 4096);

	if (!for_ever && fork() == 0)
		serve_fault(fault, page);
	syscall(SYS_mlock, page, 4096UL); /* the sanitizers' mlock() does nothing */
}

/* Each generation forks the next one and exits: at no time is the list of processes complete. */
static void lineage(time_t until)
{
	/* whoever reads the test's output must not wait for us */
	close(STDOUT_FILENO);
	close(STDERR_FILENO);
	while (time(NULL) < until) {
		if (fork() > 0)
			_exit(0);
		(*counter)++;
		sleep_us(300);
	}
	_exit(0);
}

static void fork_forever(void)
{
	time_t until = time(NULL) + 30;

	signal(SIGUSR2, SIG_IGN);
	for (unsigned i = 0; i < 8; i++)
		if (fork() == 0)
			lineage(until);
}

static void count_for_ever(void)
{
	for (;; sleep_us(1000))
		(*counter)++;
}

static void live(enum child_kind kind)
{
	pthread_t thread;

	switch (kind) {
	case CHILD_COUNTS:
		count_for_ever();
		break;
	case CHILD_COMPUTES_IN_THREADS:
		pthread_create(&thread, NULL, compute, NULL);
		compute(NULL);
		break;
	case CHILD_COMPUTES:
		compute(NULL);
		break;
	case CHILD_HANGS:
	case CHILD_HANGS_THEN_COUNTS:
		hang(kind == CHILD_HANGS);
		count_for_ever();
		break;
	case CHILD_FORKS_FOREVER:
		fork_forever();
		break;
	default:
		break;
	}
	for (;;)
		pause();
}

static void prepare(enum child_kind kind, const char *group)
{
	setsid();
	if (group)
		group_write(group, "cgroup.procs", "0");
	if (kind == CHILD_COUNTS_USR1)
		count_on(SIGUSR1, count_signal);
	else if (kind == CHILD_COUNTS_CONT)
		count_on(SIGCONT, count_signal);
	else if (kind == CHILD_BECOMES_SSHD)
		count_on(SIGUSR1, become_sshd);
	if (kind == CHILD_SLEEPS_AS_NOBODY &&
	    (setgroups(0, NULL) < 0 || setresgid(65534, 65534, 65534) < 0 ||
	     setresuid(65534, 65534, 65534) < 0))
		_exit(1);
	if (kind == CHILD_SLEEPS_APART &&
	    (unshare(CLONE_NEWNS) < 0 || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0))
		_exit(1);
	/* after the ids: they clear it */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* It says that it is up, or does so by going. */
static pid_t start(child_fn fn, void *context, void (*live_on)(void *context), bool is_told)
{
	int ready[2];
	pid_t child;
	char byte;

	if (pipe2(ready, O_CLOEXEC) < 0)
		abort();
	fflush(stdout);
	child = fork();
	if (child < 0)
		abort();
	if (child == 0) {
		close(ready[0]);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (!fn(context) || write(ready[1], "x", 1) != 1)
			_exit(1);
		close(ready[1]);
		live_on(context);
		_exit(0);
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != is_told)
		fail_msg("the child did not become what it should be");
	close(ready[0]);
	return child;
}

static void wait_for_ever(void *context)
{
	(void)context;
	for (;;)
		pause();
}

pid_t child_start_ready(child_fn fn, void *context)
{
	return start(fn, context, wait_for_ever, true);
}

pid_t child_start_program(child_fn fn, void *context)
{
	return start(fn, context, wait_for_ever, false);
}

struct birth {
	enum child_kind kind;
	const char *group;
};

static bool prepare_kind(void *context)
{
	const struct birth *birth = context;

	prepare(birth->kind, birth->group);
	return true;
}

static void live_as_kind(void *context)
{
	live(((const struct birth *)context)->kind);
}

pid_t child_start(enum child_kind kind, const char *group)
{
	struct birth birth = {kind, group};

	*counter = 0;
	return start(prepare_kind, &birth, live_as_kind, true);
}

pid_t child_start_with_number(pid_t number)
{
	struct clone_args args = {
		.exit_signal = SIGCHLD, .set_tid = (uint64_t)(uintptr_t)&number, .set_tid_size = 1};
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

	if (pid == 0) {
		for (;;)
			pause();
	}
	return pid;
}

void child_stop(pid_t child)
{
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

char child_state(pid_t child)
{
	struct proc_stat stat;

	return proc_read_stat(child, &stat) < 0 ? '-' : stat.state;
}

bool child_wait_state(pid_t child, char state)
{
	for (unsigned i = 0; i < 1000 && child_state(child) != state; i++)
		sleep_us(1000);
	return child_state(child) == state;
}

bool child_wait_exit(pid_t child)
{
	return child_wait_state(child, 'Z');
}

bool child_wait_name(pid_t child, const char *name)
{
	char comm[PROC_COMM_SIZE] = "";

	for (unsigned i = 0; i < 1000 && strcmp(comm, name) != 0; i++) {
		proc_read_comm(child, comm, sizeof(comm));
		sleep_us(1000);
	}
	return strcmp(comm, name) == 0;
}

bool child_wait_count(unsigned count)
{
	for (unsigned i = 0; i < 700 && *counter < count; i++)
		sleep_us(1000);
	return *counter >= count;
}

bool child_counts_within(unsigned ms)
{
	unsigned before;

	sleep_us(5000); /* what was under way when it stopped */
	before = *counter;
	for (unsigned i = 0; i < ms && *counter == before; i++)
		sleep_us(1000);
	return *counter != before;
}

bool child_counts(void)
{
	return child_counts_within(100);
}

void group_make(const char *name, char *out)
{
	struct cgroup_mounts mounts;

	if (cgroup_find_mounts(&mounts, NULL) < 0 || !*mounts.unified) {
		fprintf(stderr, "no cgroup v2 here\n");
		abort();
	}
	snprintf(out, 128, "%.40s/%.86s", mounts.unified, name);
	if (mkdir(out, 0755) == 0)
		return;
	if (errno != EEXIST) {
		perror(out);
		abort();
	}
	/* left behind by a test that was killed */
	group_kill(out);
	group_write(out, "cgroup.freeze", "0");
}

void group_write(const char *group, const char *file, const char *value)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", group, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, value, strlen(value)) < 0) {
		perror(path);
		abort();
	}
	close(fd);
}

int group_value(const char *group, const char *file)
{
	char path[256];
	int value = -1;
	FILE *stream;

	snprintf(path, sizeof(path), "%s/%s", group, file);
	stream = fopen(path, "re");
	if (stream) {
		if (fscanf(stream, "%d", &value) != 1)
			value = -1;
		fclose(stream);
	}
	return value;
}

void group_kill(const char *group)
{
	char path[256];
	FILE *stream;
	int pid;

	snprintf(path, sizeof(path), "%s/cgroup.kill", group);
	if (access(path, F_OK) == 0) {
		group_write(group, "cgroup.kill", "1");
		return;
	}
	/* before Linux 5.14: who is frozen does not fork */
	group_write(group, "cgroup.freeze", "1");
	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	stream = fopen(path, "re");
	while (stream && fscanf(stream, "%d", &pid) == 1)
		kill(pid, SIGKILL);
	if (stream)
		fclose(stream);
	group_write(group, "cgroup.freeze", "0");
}

void group_remove(const char *group)
{
	/* the last process leaves a moment after it has exited */
	for (unsigned i = 0; i < 1000 && rmdir(group) < 0 && errno == EBUSY; i++)
		sleep_us(1000);
}
