/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A probe's command that means harm: as the user who called sudo it tries whatever could reach the
 * processes of its run, the conversation between them, their journal and their audit. This program
 * is the command, too: `test_breakout inside FOLDER` writes what was possible to FOLDER/possible.
 */
#include "tests/support/squall_runner.h"

#include "injector/base/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define DESCRIPTORS 64 /* of a process, looked for one by one */

/* ---- Inside ---- */

static FILE *findings;
static unsigned tried;

/* It must not have worked. */
static void attempt(bool has_worked, const char *what, const char *whose)
{
	tried++;
	if (has_worked)
		fprintf(findings, "%s of %s\n", what, whose);
}

static bool can_open(int flags, const char *format, pid_t pid)
{
	char path[64];
	cleanup_fd int fd = -1;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(path, sizeof(path), format, pid);
#pragma GCC diagnostic pop
	fd = open(path, flags | O_CLOEXEC);
	/* some can be opened by anybody, and say nothing when they are read */
	return fd >= 0 && (flags != O_RDONLY || read(fd, path, 1) > 0);
}

static bool can_trace(pid_t pid, enum __ptrace_request how)
{
	if (ptrace(how, pid, NULL, NULL) < 0)
		return false;
	kill(pid, SIGSTOP);
	waitpid(pid, NULL, __WALL);
	ptrace(PTRACE_DETACH, pid, NULL, NULL);
	return true;
}

static bool can_take_a_descriptor(pid_t pid)
{
	cleanup_fd int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

	for (int i = 0; pidfd >= 0 && i < DESCRIPTORS; i++) {
		cleanup_fd int taken = (int)syscall(SYS_pidfd_getfd, pidfd, i, 0);

		if (taken >= 0)
			return true;
	}
	return false;
}

static bool can_list(const char *format, pid_t pid)
{
	char path[64];
	cleanup_dir DIR *dir = NULL;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, format);
	dir = opendir(path);
	return dir != NULL;
}

/* What would read its secrets, speak in its name or change what it does. */
static void attack(pid_t pid, const char *whose)
{
	char byte;
	struct iovec here = {&byte, 1}, there = {(void *)(uintptr_t)&attack, 1};

	attempt(can_trace(pid, PTRACE_ATTACH), "attach", whose);
	attempt(can_trace(pid, PTRACE_SEIZE), "seize", whose);
	attempt(process_vm_readv(pid, &here, 1, &there, 1, 0) > 0, "memory", whose);
	attempt(can_open(O_RDWR, "/proc/%d/mem", pid), "mem", whose);
	attempt(can_open(O_RDONLY, "/proc/%d/environ", pid), "environ", whose);
	attempt(can_open(O_RDONLY, "/proc/%d/maps", pid), "maps", whose);
	attempt(can_list("fd", pid), "fd", whose);
	attempt(can_list("map_files", pid), "map_files", whose);
	attempt(can_take_a_descriptor(pid), "pidfd_getfd", whose);
}

/* These belong to root. (A user may starve or end his own conductor and launcher.) */
static void attack_root(pid_t pid, const char *whose)
{
	struct rlimit limit = {0, 0};

	attack(pid, whose);
	attempt(prlimit(pid, RLIMIT_NOFILE, &limit, NULL) == 0, "prlimit", whose);
	attempt(kill(pid, 0) == 0, "signal", whose);
	attempt(setpriority(PRIO_PROCESS, (id_t)pid, 19) == 0, "priority", whose);
	attempt(can_open(O_WRONLY, "/proc/%d/oom_score_adj", pid), "oom_score_adj", whose);
}

static void attack_files(const char *run_id)
{
	char path[128];

	snprintf(path, sizeof(path), "/run/squall/%s", run_id);
	attempt(access(path, W_OK) == 0, "write access to the folder", "the run");
	attempt(mkdir("/run/squall/20260101-000000-abcd", 0755) == 0, "a new run", "/run/squall");
	snprintf(path, sizeof(path), "/run/squall/%s/journal", run_id);
	attempt(can_open(O_WRONLY, path, 0), "journal to write", "the run");
	attempt(unlink(path) == 0, "journal to remove", "the run");
	attempt(can_open(O_WRONLY, "/var/lib/squall/audit.log", 0), "writing", "the audit");
	attempt(unlink("/var/lib/squall/audit.log") == 0, "removing", "the audit");
	attempt(symlink("/etc/passwd", "/run/squall/halt") == 0, "the lever", "/run/squall");
}

/* Nothing that squall has is handed down. */
static void look_at_ourselves(char **environment)
{
	cleanup_dir DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		int fd = atoi(entry->d_name);

		attempt(entry->d_name[0] != '.' && fd > 2 && fd != dirfd(dir) &&
				fd != fileno(findings),
			"an inherited descriptor", entry->d_name);
	}
	for (; *environment; environment++)
		attempt(strncmp(*environment, "PATH=", 5) != 0 &&
				strncmp(*environment, "LANG=", 5) != 0 &&
				strncmp(*environment, "HOME=", 5) != 0 &&
				strncmp(*environment, "USER=", 5) != 0 &&
				strncmp(*environment, "LOGNAME=", 8) != 0 &&
				strncmp(*environment, "SQUALL_PROBE_RUN=", 17) != 0,
			"a variable", *environment);
	attempt(getuid() == 0 || geteuid() == 0 || getgid() == 0, "identity", "root");
	attempt(setuid(0) == 0, "setuid(0)", "root");
	attempt(setgid(0) == 0, "setgid(0)", "root");
	attempt(socket(AF_INET, SOCK_RAW, 1) >= 0, "a raw socket", "the network");
	attempt(socket(AF_PACKET, SOCK_RAW, 0) >= 0, "a packet socket", "the network");
}

/* No name leads to a socket of ours. */
static void look_at_sockets(void)
{
	cleanup_file FILE *file = fopen("/proc/net/unix", "re");
	char line[512];

	while (file && fgets(line, sizeof(line), file))
		attempt(strstr(line, "squall") != NULL, "a socket with a name", line);
}

static int inside(const char *folder, char **environment)
{
	pid_t conductor, worker, guardian;
	cleanup_file FILE *pids = NULL;
	char run_id[64] = "";

	if (chdir(folder) < 0)
		return 1;
	findings = fopen("possible", "we");
	if (!findings)
		return 2;
	look_at_ourselves(environment);
	for (unsigned i = 0; i < 1000 && access("pids", R_OK) < 0; i++)
		usleep(10000);
	pids = fopen("pids", "re");
	if (!pids || fscanf(pids, "%d %d %d %63s", &conductor, &worker, &guardian, run_id) != 4)
		return 2;
	attack_root(worker, "the worker");
	attack_root(guardian, "the guardian");
	attack(conductor, "the conductor");
	attack(getppid(), "the launcher");
	attack_files(run_id);
	look_at_sockets();
	fprintf(findings, "tried %u\n", tried);
	fclose(findings);
	return rename("possible", "findings") < 0;
}

/* ---- Outside ---- */

static void install_ourselves(const struct stage *stage)
{
	char self[4096] = "";

	assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	netlab_run("cp %s %s/inside", self, stage->folder);
}

static struct squall *start(struct stage *stage, const struct squall_how *how)
{
	const char *path = stage_write(
		stage, "breakout.yaml",
		"version: 1\n"
		"title: hostile command\n"
		"limits: {duration: 60s, targets: 1}\n"
		"targets: {far: {to: \"10.88.0.2:7001\"}}\n"
		"probes:\n"
		"  evil: {command: [./inside, inside, %s/out], every: 30s, timeout: 20s}\n"
		"method: [{at: 0s, for: 50s, network: {target: far, delay: 100ms}}]\n",
		stage->folder);

	install_ourselves(stage);
	netlab_run("mkdir -m 777 %s/out", stage->folder);
	return squall_start(stage, how, "run --json %s", path);
}

static char *await_findings(const struct stage *stage)
{
	int64_t until_ns = clock_now_ns() + STAGE_WAIT_MS * NSEC_PER_MSEC;

	while (access(stage_path(stage, "out/findings"), F_OK) < 0) {
		if (clock_now_ns() > until_ns)
			fail_msg("the command said nothing");
		pause_ms(5);
	}
	return netlab_output("cat %s", stage_path(stage, "out/findings"));
}

static void test_a_command_reaches_nothing_of_its_run(void **state)
{
	static const char *const by_daemon[] = {"SUDO_UID=1", "SUDO_GID=1", "LD_X=1", NULL};
	static const struct squall_how how = {.extra = by_daemon};
	struct stage *stage = *state;
	struct squall *squall = start(stage, &how);
	cleanup_free char *found = NULL;
	unsigned count = 0;

	squall_await_injected(squall);
	stage_write(stage, "out/pids.new", "%d %d %d %s\n", squall->pid, squall->worker,
		    squall->guardian, squall->run_id);
	netlab_run("mv %s/out/pids.new %s/out/pids", stage->folder, stage->folder);
	found = await_findings(stage);
	if (sscanf(found, "tried %u", &count) != 1)
		fail_msg("possible: %s", found);
	printf("# %u attempts, all refused\n", count);
	assert_in_range(count, 50, 100000);
	/* and nobody was impressed */
	stage_assert_delay(stage, "10.88.0.2", NETLAB_PORT, 100);
	squall_signal(squall, SIGINT);
	squall_assert_exit(squall, 4);
	stage_assert_fast(stage, "10.88.0.2", NETLAB_PORT);
	stage_assert_clean(stage);
}

int main(int argc, char **argv, char **environment)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_command_reaches_nothing_of_its_run,
						stage_setup, stage_teardown),
	};

	if (argc == 3 && strcmp(argv[1], "inside") == 0)
		return inside(argv[2], environment);
	return STAGE_RUN(tests);
}
