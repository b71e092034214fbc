/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The directories of runs: made, listed, locked and removed, by many at once; nothing untrustworthy
 * is read.
 */
#include "tests/support/journal_bench.h"

#include "injector/journal/directory.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void test_remove_is_idempotent_and_takes_the_root_with_it(void **state)
{
	struct error err = ERROR_INIT;
	struct stat status;

	(void)state;
	journal_close(journal_bench_run("abc123"));
	journal_close(journal_bench_run("abc124"));
	assert_int_equal(journal_remove("abc123", &err), 0);
	assert_int_equal(stat(journal_bench.root, &status), 0);
	assert_int_equal(journal_remove("abc123", &err), 0);
	assert_int_equal(journal_remove("abc124", &err), 0);
	assert_int_equal(stat(journal_bench.root, &status), -1);
	assert_int_equal(journal_remove("abc124", &err), 0);
}

static void test_list_knows_only_runs(void **state)
{
	char(*ids)[RUN_ID_SIZE], path[128];
	struct error err = ERROR_INIT;
	unsigned count;

	(void)state;
	assert_int_equal(journal_list(&ids, &count, &err), 0);
	assert_int_equal(count, 0);
	free(ids);
	for (unsigned at = 0; at < 40; at++) {
		char id[RUN_ID_SIZE];

		snprintf(id, sizeof(id), "zz%04u", at);
		journal_close(journal_bench_run(id));
	}
	snprintf(path, sizeof(path), "%s/not-a-run", journal_bench.root);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(journal_list(&ids, &count, &err), 0);
	assert_int_equal(count, 40);
	free(ids);
}

static void test_new_run_ids_differ_and_are_valid(void **state)
{
	char one[RUN_ID_SIZE], other[RUN_ID_SIZE];
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(journal_new_run_id(one, &err), 0);
	assert_int_equal(journal_new_run_id(other, &err), 0);
	assert_string_not_equal(one, other);
	assert_int_equal(strlen(one), 6);
	journal_close(journal_bench_run(one));
}

static void test_a_second_run_of_the_same_name_is_refused(void **state)
{
	struct journal_header header = journal_bench_header("abc123");
	struct journal *journal = journal_bench_run("abc123"), *other;
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(journal_create(&header, &other, &err), -EEXIST);
	assert_true(journal_exists("abc123"));
	assert_true(journal_bench_undo(journal, "network") > 0);
	journal_close(journal);
}

static void test_names_that_leave_the_root_are_refused(void **state)
{
	static const char *const names[] = {"../../", "",	"abc12", "abc1234",
					    "ABC123", "a/b/c1", "......"};
	struct journal *journal;
	struct error err = ERROR_INIT;

	(void)state;
	journal_close(journal_bench_run("abc123"));
	for (unsigned at = 0; at < sizeof(names) / sizeof(*names); at++)
		assert_int_equal(journal_open(names[at], &journal, &err), -EINVAL);
}

static void test_a_begun_run_is_never_removed_as_unborn(void **state)
{
	struct error err = ERROR_INIT;

	(void)state;
	journal_close(journal_bench_run("abc123"));
	assert_int_equal(journal_remove_unborn("abc123", &err), -EBUSY);
	assert_true(journal_exists("abc123"));
}

static void expect_distrust(const char *what)
{
	struct journal *journal;
	struct error err = ERROR_INIT;

	if (journal_open("abc123", &journal, &err) != -DIRECTORY_DISTRUSTED)
		fail_msg("%s: trusted (%s)", what, err.text);
	assert_non_null(strstr(err.text, "not trusted"));
}

static void test_what_others_may_write_is_not_trusted(void **state)
{
	char run[128], file[128], other[160], link_path[160];

	(void)state;
	journal_close(journal_bench_run("abc123"));
	snprintf(run, sizeof(run), "%s/abc123", journal_bench.root);
	journal_bench_path("abc123", file, sizeof(file));
	snprintf(other, sizeof(other), "%s/elsewhere", journal_bench.base);
	snprintf(link_path, sizeof(link_path), "%s/second-name", journal_bench.base);

	assert_int_equal(chmod(journal_bench.root, 0775), 0);
	expect_distrust("root writable by its group");
	assert_int_equal(chmod(journal_bench.root, 01777), 0);
	expect_distrust("root sticky, but writable by all");
	assert_int_equal(chmod(journal_bench.root, 0755), 0);
	assert_int_equal(chmod(run, 0702), 0);
	expect_distrust("run writable by all");
	assert_int_equal(chmod(run, 0700), 0);
	assert_int_equal(chmod(file, 0660), 0);
	expect_distrust("journal writable by its group");
	assert_int_equal(chmod(file, 0600), 0);
	assert_int_equal(link(file, link_path), 0);
	expect_distrust("journal with a second name");
	assert_int_equal(unlink(link_path), 0);

	assert_int_equal(rename(run, other), 0);
	assert_int_equal(symlink(other, run), 0);
	expect_distrust("run is a symbolic link");
	assert_int_equal(unlink(run), 0);
	assert_int_equal(rename(other, run), 0);

	assert_int_equal(rename(journal_bench.root, other), 0);
	assert_int_equal(symlink(other, journal_bench.root), 0);
	expect_distrust("root is a symbolic link");
	assert_int_equal(unlink(journal_bench.root), 0);
	assert_int_equal(rename(other, journal_bench.root), 0);
}

static void test_a_symbolic_link_in_place_of_the_journal_is_refused(void **state)
{
	char file[128], other[160];
	struct journal *journal;
	struct error err = ERROR_INIT;

	(void)state;
	journal_close(journal_bench_run("abc123"));
	journal_bench_path("abc123", file, sizeof(file));
	snprintf(other, sizeof(other), "%s/elsewhere", journal_bench.base);
	assert_int_equal(rename(file, other), 0);
	assert_int_equal(symlink(other, file), 0);
	assert_int_equal(journal_open("abc123", &journal, &err), -ELOOP);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(mkfifo(file, 0600), 0);
	assert_int_equal(journal_open("abc123", &journal, &err), -DIRECTORY_DISTRUSTED);
}

static void test_only_one_at_a_time_holds_the_lock(void **state)
{
	struct error err = ERROR_INIT;
	int one, other;

	(void)state;
	journal_close(journal_bench_run("abc123"));
	assert_int_equal(journal_lock("abc123", 0, &one, &err), 0);
	assert_int_equal(journal_lock("abc123", 20000000, &other, &err), -EBUSY);
	close(one);
	assert_int_equal(journal_lock("abc123", 0, &other, &err), 0);
	close(other);
	assert_int_equal(journal_remove("abc123", &err), 0);
	assert_int_equal(journal_lock("abc123", 0, &other, &err), -ENOENT);
}

/* Runs made and ended by many at once: the root comes and goes, nobody fails. */
static void test_runs_made_and_removed_at_once(void **state)
{
	pid_t children[4];

	(void)state;
	for (unsigned at = 0; at < 4; at++) {
		children[at] = fork();
		if (children[at] == 0) {
			struct error err = ERROR_INIT;
			struct journal_header header;
			struct journal *journal;
			char id[RUN_ID_SIZE];
			int bad = 0;

			for (unsigned round = 0; round < 100 && !bad; round++) {
				snprintf(id, sizeof(id), "r%u%04u", at, round);
				header = journal_bench_header(id);
				bad = journal_create(&header, &journal, &err) < 0;
				if (bad)
					break;
				journal_close(journal);
				bad = journal_remove(id, &err) < 0;
			}
			if (bad)
				fprintf(stderr, "%s\n", err.text);
			_exit(bad);
		}
	}
	for (unsigned at = 0; at < 4; at++) {
		int status;

		assert_int_equal(waitpid(children[at], &status, 0), children[at]);
		assert_int_equal(status, 0);
	}
	assert_int_equal(access(journal_bench.root, F_OK), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name)                                                                                 \
	cmocka_unit_test_setup_teardown(name, journal_bench_set_up, journal_bench_tear_down)
		TEST(test_remove_is_idempotent_and_takes_the_root_with_it),
		TEST(test_list_knows_only_runs),
		TEST(test_new_run_ids_differ_and_are_valid),
		TEST(test_a_second_run_of_the_same_name_is_refused),
		TEST(test_names_that_leave_the_root_are_refused),
		TEST(test_a_begun_run_is_never_removed_as_unborn),
		TEST(test_what_others_may_write_is_not_trusted),
		TEST(test_a_symbolic_link_in_place_of_the_journal_is_refused),
		TEST(test_only_one_at_a_time_holds_the_lock),
		TEST(test_runs_made_and_removed_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
