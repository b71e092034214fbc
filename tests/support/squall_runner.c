/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Starting squall: mounts, user, streams and environment as the test asks for.
 */
#include "tests/support/squall_runner.h"

#include "injector/base/cleanup.h"
#include "injector/kernel/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#define WORDS_MAX 64

/* ---- Starting ---- */

/* BUILD/squall, beside BUILD/tests/netns/test_x: also in the variants. */
static const char *binary(void)
{
	static char path[4096];
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 8);

	assert_true(length > 0);
	path[length] = '\0';
	for (unsigned i = 0; i < 3; i++)
		*strrchr(path, '/') = '\0';
	strcat(path, "/squall");
	return path;
}

static char **make_environment(const struct squall_how *how)
{
	/* looking for leaks takes ptrace, which no sandbox allows: the unit tests do that */
	static char sanitizer[] = "ASAN_OPTIONS=detect_leaks=0";
	static char *list[512] = {sanitizer};
	unsigned count = 1;

	for (char **each = environ; *each && count < 500; each++)
		if (strncmp(*each, "SUDO_", 5) != 0 && strncmp(*each, "SSH_", 4) != 0)
			list[count++] = *each;
	for (const char *const *each = how->extra; each && *each && count < 510; each++)
		list[count++] = strdup(*each);
	list[count] = NULL;
	return list;
}

static void leave_child(const char *what)
{
	dprintf(2, "%s: %s\n", what, strerror(errno));
	_exit(99);
}

static void fill_disk(const char *folder, unsigned kib)
{
	static const char zeros[4096];
	char options[64], path[256];
	int fd;

	snprintf(options, sizeof(options), "size=%uk,mode=755", kib);
	if (mount("squall-test", folder, "tmpfs", 0, options) < 0)
		leave_child("tmpfs");
	snprintf(path, sizeof(path), "%s/squall", folder);
	if (mkdir(path, 0755) < 0)
		leave_child(path);
	snprintf(path, sizeof(path), "%s/filler", folder);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	while (write(fd, zeros, sizeof(zeros)) > 0)
		;
	close(fd);
}

/* /etc itself is not touched: a layer above it holds the file. */
static void write_policy(const char *text)
{
	FILE *file;

	if (mount("squall-test", "/mnt", "tmpfs", 0, "mode=755") < 0 ||
	    mkdir("/mnt/upper", 0755) < 0 || mkdir("/mnt/work", 0755) < 0 ||
	    mount("squall-test", "/etc", "overlay", 0,
		  "lowerdir=/etc,upperdir=/mnt/upper,workdir=/mnt/work") < 0)
		leave_child("a layer above /etc");
	if (mkdir("/etc/squall", 0755) < 0 && errno != EEXIST)
		leave_child("/etc/squall");
	file = fopen("/etc/squall/policy.yaml", "we");
	if (!file || fputs(text, file) < 0 || fclose(file) != 0)
		leave_child("policy.yaml");
}

/* In the child. The journal insists on folders that are root's alone, all the way: /run and
 * /var/lib themselves are replaced, with the namespaces of `ip netns` kept in view. */
static void enter_mounts(const struct stage *stage, const struct squall_how *how)
{
	char path[128];

	if (unshare(CLONE_NEWNS) < 0 || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		leave_child("mount namespace");
	snprintf(path, sizeof(path), "%s/run/netns", stage->folder);
	if (mount("/run/netns", path, NULL, MS_BIND | MS_REC, NULL) < 0)
		leave_child(path);
	snprintf(path, sizeof(path), "%s/lib", stage->folder);
	if (mount(path, "/var/lib", NULL, MS_BIND, NULL) < 0)
		leave_child(path);
	snprintf(path, sizeof(path), "%s/run", stage->folder);
	if (mount(path, "/run", NULL, MS_BIND | MS_REC, NULL) < 0)
		leave_child(path);
	if (how->hidden && mount("squall-test", how->hidden, "tmpfs", 0, "mode=755") < 0)
		leave_child(how->hidden);
	if (how->policy)
		write_policy(how->policy);
	if (how->full_run_kib)
		fill_disk("/run", how->full_run_kib);
	if (how->full_lib_kib)
		fill_disk("/var/lib", how->full_lib_kib);
}

static void become(const struct squall *squall, const struct squall_how *how, char **words)
{
	const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	char **environment;
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	if (setns(squall->stage->lab->near_fd, CLONE_NEWNET) < 0)
		leave_child("network namespace");
	enter_mounts(squall->stage, how);
	if (how->terminal > 0 && ioctl(how->terminal, TIOCSCTTY, 0) < 0)
		leave_child("terminal");
	for (int fd = 0; fd <= 2; fd++) {
		const int streams[] = {null, squall->out, squall->err};

		dup2(how->terminal > 0 ? how->terminal : streams[fd], fd);
	}
	if (how->uid && (setgroups(0, NULL) < 0 || setresgid(how->uid, how->uid, how->uid) < 0 ||
			 setresuid(how->uid, how->uid, how->uid) < 0))
		leave_child("user");
	/* found before: afterwards nothing may be open, readable or allowed any more */
	binary();
	environment = make_environment(how);
	if (how->prepare)
		how->prepare(squall->stage);
	execve(binary(), words, environment);
	leave_child(binary());
}

static int stream(const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_SETFL, O_APPEND) == 0);
	return fd;
}

static struct squall *start(struct stage *stage, const struct squall_how *how, const char *format,
			    va_list args)
{
	static const struct squall_how plainly;
	char line[2048], name[] = "squall", *words[WORDS_MAX + 1] = {name}, *rest;
	struct squall *squall = calloc(1, sizeof(*squall));
	unsigned count = 1, at = 0;

	assert_non_null(squall);
	assert_in_range(vsnprintf(line, sizeof(line), format, args), 1, sizeof(line) - 1);
	for (char *word = strtok_r(line, " ", &rest); word && count < WORDS_MAX;
	     word = strtok_r(NULL, " ", &rest))
		words[count++] = word;
	while (stage->runs[at])
		assert_in_range(++at, 0, STAGE_MEMBERS - 1);
	*squall = (struct squall){.stage = stage,
				  .out = stream("out"),
				  .err = stream("err"),
				  .events = json_array(),
				  .started_ns = clock_now_ns()};
	fflush(NULL);
	squall->pid = fork();
	assert_true(squall->pid >= 0);
	if (squall->pid == 0)
		become(squall, how ? how : &plainly, words);
	stage->runs[at] = squall;
	stage->is_clean = false;
	return squall;
}

struct squall *squall_start(struct stage *stage, const struct squall_how *how, const char *format,
			    ...)
{
	struct squall *squall;
	va_list args;

	va_start(args, format);
	squall = start(stage, how, format, args);
	va_end(args);
	return squall;
}

int squall_call(struct stage *stage, const struct squall_how *how, const char *format, ...)
{
	struct squall *squall;
	va_list args;

	va_start(args, format);
	squall = start(stage, how, format, args);
	va_end(args);
	return squall_await_exit(squall);
}
