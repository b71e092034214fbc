/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The way back from a namespace: it is tried again, needs no more than it must, and who cannot come
 * back does nothing more.
 */
#include "injector/base/cleanup.h"
#include "injector/kernel/mount_namespace.h"
#include "injector/kernel/namespace.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int entries; /* setns(2) so far */
static int fails;   /* so many of those behind the first fail */
static bool directories_fail;

int setns(int fd, int kind)
{
	static int (*real)(int, int);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "setns");
	if (entries++ == 0 || entries - 1 > fails)
		return real(fd, kind);
	errno = EPERM;
	return -1;
}

int fchdir(int fd)
{
	static int (*real)(int);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "fchdir");
	if (!directories_fail)
		return real(fd);
	errno = ENOMEM;
	return -1;
}

static int look(void *context, struct error *err)
{
	(void)err;
	*(bool *)context = true;
	return 0;
}

typedef int (*run_fn)(int fd, int (*fn)(void *context, struct error *err), void *context,
		      struct error *err);

/* A namespace of that kind, which lives by the descriptor. */
static int open_other(int kind, const char *file)
{
	char path[64], word = 0;
	int ready[2], fd;
	pid_t other;

	if (pipe(ready) < 0 || (other = fork()) < 0)
		return -1;
	if (other == 0) {
		if (unshare(kind) < 0 || write(ready[1], &word, 1) != 1)
			_exit(1);
		pause();
		_exit(1);
	}
	close(ready[1]);
	if (read(ready[0], &word, 1) != 1)
		return -1;
	snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)other, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	kill(other, SIGKILL);
	return fd;
}

/* In a child, into a namespace of somebody else: how it ends; 0: it came back. What it says is in
 * `said`. */
static int go(int kind, const char *file, run_fn run, char said[512])
{
	int ends[2], status;
	ssize_t got;
	pid_t child;

	assert_int_equal(pipe(ends), 0);
	child = fork();
	if (child == 0) {
		bool was_inside = false;
		int fd = open_other(kind, file);

		dup2(ends[1], STDERR_FILENO);
		if (fd < 0 || run(fd, look, &was_inside, NULL) < 0 || !was_inside)
			_exit(100);
		_exit(0);
	}
	close(ends[1]);
	got = read(ends[0], said, 511);
	said[got > 0 ? got : 0] = '\0';
	close(ends[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static const struct {
	int kind;
	const char *file, *name;
	run_fn run;
} namespaces[] = {{CLONE_NEWNET, "net", "network", namespace_run},
		  {CLONE_NEWNS, "mnt", "mount", mount_namespace_run}};

static void test_the_way_back_is_tried_again(void **state)
{
	char said[512];

	(void)state;
	fails = 2;
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(
			go(namespaces[i].kind, namespaces[i].file, namespaces[i].run, said), 0);
}

static void test_who_cannot_come_back_ends_and_says_so(void **state)
{
	char said[512];

	(void)state;
	fails = 1000;
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(
			go(namespaces[i].kind, namespaces[i].file, namespaces[i].run, said), 6);
		print_message("%s", said);
		assert_non_null(strstr(said, "left: "));
		assert_non_null(strstr(said, namespaces[i].name));
		assert_non_null(strstr(said, "run: squall restore\n"));
	}
}

static void test_at_home_without_the_directory(void **state)
{
	char said[512];

	(void)state;
	fails = 0;
	directories_fail = true;
	assert_int_equal(go(CLONE_NEWNS, "mnt", mount_namespace_run, said), 0);
	directories_fail = false;
}

/* The same directory by another mount, as in a chroot or a container: what lies below differs. */
static void test_back_to_a_root_of_its_own(void **state)
{
	static char there[] = "/run/squall-root-XXXXXX";
	int status;
	pid_t child;

	(void)state;
	fails = 0;
	assert_non_null(mkdtemp(there));
	child = fork();
	if (child == 0) {
		const unsigned wanted = STATX_INO | STATX_MNT_ID;
		struct statx before, after;
		bool was_inside = false;
		int fd = open_other(CLONE_NEWNS, "mnt");

		if (fd < 0 || unshare(CLONE_NEWNS) < 0 ||
		    mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		    mount("/", there, NULL, MS_BIND | MS_REC, NULL) < 0 || chroot(there) < 0 ||
		    chdir("/") < 0 || statx(AT_FDCWD, "/", 0, wanted, &before) < 0 ||
		    mount_namespace_run(fd, look, &was_inside, NULL) < 0 || !was_inside ||
		    statx(AT_FDCWD, "/", 0, wanted, &after) < 0)
			_exit(100);
		_exit(before.stx_mnt_id == after.stx_mnt_id ? 0 : 101);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(rmdir(there), 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_way_back_is_tried_again),
		cmocka_unit_test(test_who_cannot_come_back_ends_and_says_so),
		cmocka_unit_test(test_at_home_without_the_directory),
		cmocka_unit_test(test_back_to_a_root_of_its_own),
	};

	if (geteuid() != 0) {
		fprintf(stderr, "skipped: needs root\n");
		return getenv("SQUALL_MUST_RUN") ? 1 : 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
