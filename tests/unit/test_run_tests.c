/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * scripts/run-tests, with a test program that says one thing at first and another one when it is
 * run again: what was slow has a second chance, what was left behind has none.
 */
#include "injector/base/cleanup.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Programs without a source of that name are old, and not run: it has ours. */
#define PROGRAM "tests/unit/test_run_tests"

struct folder {
	char path[64];
	const char *only; /* TEST_ONLY */
};

static void write_file(const struct folder *folder, const char *name, int mode, const char *text)
{
	char path[256];
	cleanup_fd int fd = -1;

	snprintf(path, sizeof(path), "%s/%s", folder->path, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static int make_folder(void **state)
{
	/* the file "ran" beside it says that it has run */
	static const char program[] = "#!/bin/sh\n"
				      "cd \"${0%/*}\" || exit 99\n"
				      "test -e ran && exec cat second\n"
				      ": >ran\n"
				      "cat first\n"
				      "exit 1\n";
	static struct folder folder;
	char path[128];

	folder.only = NULL;
	snprintf(folder.path, sizeof(folder.path), "/tmp/squall-run-tests-XXXXXX");
	assert_non_null(mkdtemp(folder.path));
	snprintf(path, sizeof(path), "%s/tests", folder.path);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/tests/unit", folder.path);
	assert_int_equal(mkdir(path, 0700), 0);
	write_file(&folder, PROGRAM, 0700, program);
	*state = &folder;
	return 0;
}

static int remove_folder(void **state)
{
	const struct folder *folder = *state;
	pid_t pid = fork();

	if (pid == 0) {
		execlp("rm", "rm", "-r", folder->path, NULL);
		_exit(99);
	}
	return waitpid(pid, NULL, 0) == pid ? 0 : -1;
}

/* Its exit code; what it said in `out`. */
static int twice(const struct folder *folder, const char *first, const char *second, char *out,
		 size_t size)
{
	size_t used = 0;
	int ends[2], status;
	ssize_t got;
	pid_t pid;

	write_file(folder, "tests/unit/first", 0600, first);
	write_file(folder, "tests/unit/second", 0600, second);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		dup2(ends[1], STDOUT_FILENO);
		setenv("BUILD", folder->path, 1);
		unsetenv("TEST_ONLY");
		if (folder->only)
			setenv("TEST_ONLY", folder->only, 1);
		unsetenv("TEST_SECONDS");
		unsetenv("SQUALL_MUST_RUN");
		execl("scripts/run-tests", "run-tests", "unit", NULL);
		_exit(99);
	}
	close(ends[1]);
	while (used < size - 1 && (got = read(ends[0], out + used, size - 1 - used)) > 0)
		used += (size_t)got;
	out[used] = '\0';
	close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_who_fails_once_has_a_second_chance(void **state)
{
	char out[4096];

	assert_int_equal(twice(*state, "1..1\nnot ok 1 - in_time\n", "1..1\nok 1 - in_time\n", out,
			       sizeof(out)),
			 0);
	assert_non_null(strstr(out, "again"));
	assert_non_null(strstr(out, "1 passed, 0 failed, 0 skipped"));
}

static void test_a_residue_stays_a_failure(void **state)
{
	char out[4096];

	assert_int_equal(twice(*state,
			       "1..1\n# RESIDUE a point of death: left behind\nnot ok 1 - all\n",
			       "1..1\nok 1 - all\n", out, sizeof(out)),
			 1);
	assert_null(strstr(out, "again"));
	assert_non_null(strstr(out, "# RESIDUE a point of death"));
	assert_non_null(strstr(out, "0 passed, 1 failed, 0 skipped"));
}

static void test_who_fails_twice_has_failed(void **state)
{
	char out[4096];

	assert_int_equal(twice(*state, "1..1\nnot ok 1 - in_time\n", "1..1\nnot ok 1 - in_time\n",
			       out, sizeof(out)),
			 1);
	assert_non_null(strstr(out, "0 passed, 1 failed, 0 skipped"));
}

static void test_words_choose_programs(void **state)
{
	struct folder *folder = *state;
	char out[4096];

	folder->only = "run_tests";
	assert_int_equal(
		twice(folder, "1..1\nnot ok 1 - a\n", "1..1\nok 1 - a\n", out, sizeof(out)), 0);
	folder->only = "nobody run_te nothing";
	assert_int_equal(twice(folder, "", "1..1\nok 1 - a\n", out, sizeof(out)), 0);
	assert_non_null(strstr(out, "1 passed, 0 failed, 0 skipped"));
	folder->only = "nobody nothing";
	assert_int_equal(twice(folder, "", "1..1\nok 1 - a\n", out, sizeof(out)), 1);
	assert_non_null(strstr(out, "no test program found"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_who_fails_once_has_a_second_chance,
						make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(test_a_residue_stays_a_failure, make_folder,
						remove_folder),
		cmocka_unit_test_setup_teardown(test_who_fails_twice_has_failed, make_folder,
						remove_folder),
		cmocka_unit_test_setup_teardown(test_words_choose_programs, make_folder,
						remove_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
