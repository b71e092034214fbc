/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the file fault tells that is left, and what to type: the name at which it lies, never one of
 * somebody else's, and until it is settled. What is told is typed here.
 */
#include "tests/netns/file_bench.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

static pid_t reader;
static char pidfile[96], left[1024];
static char copy[128], kept[136]; /* as with RENAME_EXCHANGE, and without it */

static int set_up_reader(void **state)
{
	char byte;
	int ends[2];

	set_up(state);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	reader = fork();
	if (reader == 0) {
		signal(SIGUSR1, SIG_IGN);
		execlp("sleep", "sleep", "600", NULL);
		_exit(1);
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &byte, 1), 0); /* it runs another program now */
	close(ends[0]);
	snprintf(pidfile, sizeof(pidfile), "%s/state/reader.pid", base);
	snprintf(copy, sizeof(copy), "%s/.app.conf.squall-%.6s-1", base, env.run_id);
	snprintf(kept, sizeof(kept), "%so", copy);
	return 0;
}

static int tear_down_reader(void **state)
{
	kill(reader, SIGKILL);
	waitpid(reader, NULL, 0);
	return tear_down(state);
}

static void make_reader_well(void)
{
	char number[16];

	snprintf(number, sizeof(number), "%d\n", reader);
	write_file(pidfile, number);
}

/* A process that nobody may touch: the reload fails, and what comes after it is not done. */
static void make_reader_ill(void)
{
	write_file(pidfile, "1\n");
}

static void plan_and_inject(void)
{
	char word[128];

	make_reader_well();
	snprintf(word, sizeof(word), "reload-pidfile=%s", pidfile);
	if (PLAN(file, "content=bad", word, "reload-signal=USR1") < 0)
		fail_msg("%s", err.text);
	inject();
	assert_string_equal(read_file(file), "bad\n");
}

static void assert_says(const char *words)
{
	print_message("%s\n", left);
	if (!strstr(left, words))
		fail_msg("it does not say: %s", words);
}

static void assert_left(const char *words)
{
	assert_int_equal(undo_all(left, sizeof(left)), 1);
	assert_says(words);
}

/* Without undoing anything before */
static void assert_still_left(const char *words)
{
	assert_int_equal(verify_all(left, sizeof(left)), 1);
	assert_says(words);
}

/* The reload and `command`; typed, it settles everything. */
static void assert_tidied_by(const char *command)
{
	char typed[600];

	assert_left("is restored, what follows is not: telling who reads it (");
	assert_null(strstr(left, "kill"));
	assert_says("; when that is mended, run: squall restore; or tell it by other means, and "
		    "then: rm -f ");
	assert_string_equal(strstr(left, "rm -f "), command);
	make_reader_well();
	snprintf(typed, sizeof(typed), "kill -USR1 %d && %s", reader, command);
	assert_still_left("is restored, what follows is not: kill ");
	assert_string_equal(strstr(left, ": ") + 2, typed);
	assert_int_equal(system(typed), 0);
	assert_int_equal(count_names(), 1);
	undo_cleanly();
	assert_string_equal(read_file(file), GOOD);
}

static void test_with_exchange_there_is_one_name(void **state)
{
	char command[300];

	(void)state;
	plan_and_inject();
	make_reader_ill();
	snprintf(command, sizeof(command), "rm -f %s", copy);
	assert_tidied_by(command);
}

/* The original is back, and has left the name it was kept by: what lies there is the copy. */
static void test_without_exchange_the_copy_is_named_by_its_own_name(void **state)
{
	char command[300];

	(void)state;
	exchange_fails = EINVAL;
	plan_and_inject();
	assert_int_equal(access(kept, F_OK), 0);
	assert_int_equal(access(copy, F_OK), -1);
	make_reader_ill();
	snprintf(command, sizeof(command), "rm -f %s", copy);
	assert_tidied_by(command);
}

/* Died when the original had its second name already, and the copy was not in its place yet. */
static void test_without_exchange_both_names_are_told_where_both_are_there(void **state)
{
	char command[300];

	(void)state;
	exchange_fails = EINVAL;
	plan_and_inject();
	assert_int_equal(rename(file, copy), 0);
	assert_int_equal(link(kept, file), 0);
	make_reader_ill();
	snprintf(command, sizeof(command), "rm -f %s %s", kept, copy);
	assert_tidied_by(command);
}

static void test_without_exchange_a_second_name_of_the_original_alone_is_told(void **state)
{
	char command[300];

	(void)state;
	exchange_fails = EINVAL;
	plan_and_inject();
	assert_int_equal(unlink(file), 0);
	assert_int_equal(link(kept, file), 0);
	make_reader_ill();
	snprintf(command, sizeof(command), "rm -f %s", kept);
	assert_tidied_by(command);
}

/* --- who is not told --- */

/* -1 is everybody. */
static void test_whom_squall_would_not_tell_nobody_is_told_to_tell(void **state)
{
	static const char *const ill[] = {"-1\n", "1\n", "0\n", "x; reboot\n"};

	(void)state;
	plan_and_inject();
	write_file(file, "edited\n");
	for (unsigned i = 0; i < sizeof(ill) / sizeof(*ill); i++) {
		write_file(pidfile, ill[i]);
		assert_left("was edited by somebody meanwhile and is left alone; the original, to "
			    "put it back (who reads it is then to be told by other means: "
			    "reload: ");
		assert_null(strstr(left, "kill"));
		assert_non_null(strstr(left, "): mv -T "));
		assert_null(strstr(left, "&&"));
	}
	make_reader_well();
	assert_left(" && kill -USR1 ");
	assert_int_equal(atoi(strstr(left, "kill -USR1 ") + strlen("kill -USR1 ")), reader);
	/* who does not run reads the file when it starts */
	assert_int_equal(unlink(pidfile), 0);
	assert_left("the original, to put it back: mv -T ");
	assert_null(strstr(left, "&&"));
	assert_int_equal(system(strstr(left, "mv -T ")), 0);
	undo_cleanly();
}

/* --- what is not ours --- */

/* Made before what it replaces is gone: a file system gives the number of its inode again. */
static void put_theirs(const char *path)
{
	char theirs[96];

	snprintf(theirs, sizeof(theirs), "%s/theirs", base);
	write_file(theirs, "theirs\n");
	assert_int_equal(rename(theirs, path), 0);
}

/* Instead of what is there, with the number of its inode if the file system gives it again. */
static void put_theirs_with_its_number(const char *path)
{
	struct stat before, after = {0};
	char folder[96], made[128] = "", command[128];

	snprintf(folder, sizeof(folder), "%s/state/many", base);
	assert_int_equal(mkdir(folder, 0755), 0);
	assert_int_equal(stat(path, &before), 0);
	assert_int_equal(unlink(path), 0);
	for (unsigned i = 0; i < 300 && after.st_ino != before.st_ino; i++) {
		snprintf(made, sizeof(made), "%s/%u", folder, i);
		write_file(made, "theirs\n");
		assert_int_equal(stat(made, &after), 0);
	}
	if (after.st_ino != before.st_ino)
		print_message("this file system gave no number again\n");
	assert_int_equal(rename(made, path), 0);
	snprintf(command, sizeof(command), "exec rm -r %s", folder);
	assert_int_equal(system(command), 0);
}

static void assert_foreign(const char *path)
{
	char moved[300];

	assert_left("is restored: .app.conf.squall-");
	assert_non_null(strstr(left, "is not squall's and is left alone"));
	assert_null(strstr(left, "rm "));
	assert_string_equal(read_file(path), "theirs\n");
	assert_string_equal(read_file(file), GOOD);
	snprintf(moved, sizeof(moved), "%s/theirs", base);
	assert_int_equal(rename(path, moved), 0);
	undo_cleanly();
	assert_int_equal(count_names(), 2);
}

static void test_a_foreign_file_by_our_name_is_not_to_be_removed(void **state)
{
	(void)state;
	plan_and_inject();
	make_reader_ill();
	assert_left("rm -f ");
	put_theirs(copy);
	make_reader_well();
	assert_foreign(copy);
}

static void test_without_exchange_a_foreign_file_is_not_to_be_removed_either(void **state)
{
	(void)state;
	exchange_fails = EINVAL;
	plan_and_inject();
	make_reader_ill();
	assert_left("rm -f ");
	write_file(kept, "theirs\n");
	assert_left("and then: rm -f "); /* the copy is still there, and alone is told */
	assert_null(strstr(left, kept));
	make_reader_well();
	assert_foreign(kept);
}

static void test_a_file_with_the_inode_of_the_copy_is_not_ours(void **state)
{
	(void)state;
	plan_and_inject();
	make_reader_ill();
	assert_left("rm -f ");
	put_theirs_with_its_number(copy);
	make_reader_well();
	assert_foreign(copy);
}

static void test_a_file_with_the_inode_of_the_original_is_not_put_in_its_place(void **state)
{
	(void)state;
	plan_and_inject();
	put_theirs_with_its_number(copy);
	assert_left("the original was removed by somebody");
	assert_string_equal(read_file(file), "bad\n");
	assert_string_equal(read_file(copy), "theirs\n");
}

/* Through another name, or by who has it open: it is the original all the same. */
static void test_an_original_that_was_edited_meanwhile_comes_back(void **state)
{
	char other[96];

	(void)state;
	snprintf(other, sizeof(other), "%s/other-name", base);
	assert_int_equal(link(file, other), 0);
	plan_and_inject();
	write_file(other, "edited by its other name\n");
	undo_cleanly();
	assert_string_equal(read_file(file), "edited by its other name\n");
	assert_int_equal(count_names(), 2);
}

/* The way back needs that name; by hand it does not. */
static void test_without_exchange_a_foreign_file_in_the_way_is_not_removed(void **state)
{
	(void)state;
	exchange_fails = EINVAL;
	plan_and_inject();
	write_file(copy, "theirs\n");
	for (unsigned i = 0; i < 2; i++)
		assert_left("is still the bad version; the original, to put it back: mv -T ");
	assert_string_equal(read_file(copy), "theirs\n");
	assert_int_equal(system(strstr(left, "mv -T ")), 0);
	assert_foreign(copy);
}

/* What lay there before is found before anything is done. */
static void test_a_foreign_file_that_was_there_before_is_not_taken_for_ours(void **state)
{
	const char *names[] = {copy, kept};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(PLAN(file, "content=bad"), 0);
		write_file(names[i], "theirs\n");
		assert_int_equal(file_fault.inject(&fault, &err), -EEXIST);
		assert_non_null(strstr(err.text, "is somebody else's"));
		undo_cleanly();
		assert_string_equal(read_file(names[i]), "theirs\n");
		assert_string_equal(read_file(file), GOOD);
		assert_int_equal(unlink(names[i]), 0);
		drop_fault();
	}
	assert_int_equal(PLAN(file, "content=bad"), 0);
}

/* --- what was edited --- */

static void edit_now(void)
{
	FILE *out = fopen(file, "ae");

	exchange_meets = NULL;
	fputs("edited\n", out);
	fclose(out);
}

static void replace_file(void)
{
	char other[96];

	snprintf(other, sizeof(other), "%s/deployed", base);
	write_file(other, "deployed\n");
	assert_int_equal(rename(other, file), 0);
}

static void assert_edit_is_told(void)
{
	char *typed;

	assert_left("the edit is kept beside it");
	typed = strstr(left, "rm -f ");
	assert_non_null(typed);
	assert_string_equal(read_file(typed + strlen("rm -f ")), "bad\nedited\n");
}

static void test_an_edit_is_told_also_when_the_file_was_replaced_since(void **state)
{
	(void)state;
	plan_and_inject();
	exchange_meets = edit_now;
	assert_edit_is_told();
	replace_file();
	assert_edit_is_told();
	assert_int_equal(unlink(file), 0);
	assert_edit_is_told();
	assert_int_equal(system(strstr(left, "rm -f ")), 0);
	undo_cleanly();
	assert_int_equal(count_names(), 0);
}

static void test_an_edit_that_was_not_kept_yet_outlives_a_replacement(void **state)
{
	(void)state;
	plan_and_inject();
	make_reader_ill();
	exchange_meets = edit_now;
	assert_left("what follows is not done yet: telling who reads it (");
	assert_says(", and then: mv -T ");
	make_reader_well();
	assert_still_left("what follows is not done yet: kill -USR1 ");
	assert_says(" && mv -T ");
	replace_file();
	assert_edit_is_told();
	assert_string_equal(read_file(file), "deployed\n");
	assert_int_equal(system(strstr(left, "rm -f ")), 0);
	undo_cleanly();
	assert_int_equal(count_names(), 1);
}

static void test_an_edit_is_never_kept_over_a_foreign_file(void **state)
{
	char aside[200], moved[200];

	(void)state;
	plan_and_inject();
	snprintf(aside, sizeof(aside), "%s.edited", copy);
	snprintf(moved, sizeof(moved), "%s/theirs", base);
	write_file(aside, "theirs\n");
	exchange_meets = edit_now;
	assert_left("is not squall's and is left alone");
	assert_null(strstr(left, "mv -T "));
	assert_string_equal(read_file(copy), "bad\nedited\n");
	assert_string_equal(read_file(aside), "theirs\n");
	assert_int_equal(rename(aside, moved), 0);
	assert_edit_is_told();
	assert_int_equal(system(strstr(left, "rm -f ")), 0);
	undo_cleanly();
}

/* The reload failed, and then something was deployed: the copy does not stay for ever. */
static void test_a_copy_beside_a_replaced_file_goes(void **state)
{
	(void)state;
	plan_and_inject();
	make_reader_ill();
	assert_left("what follows is not");
	replace_file();
	undo_cleanly();
	assert_string_equal(read_file(file), "deployed\n");
	assert_int_equal(count_names(), 1);
}

/* The original is gone, and its name is taken: what is right now is not copied over that. */
static void test_an_edited_copy_is_not_copied_over_a_foreign_file(void **state)
{
	(void)state;
	plan_and_inject();
	put_theirs(copy);
	edit_now();
	assert_left("is not squall's and is left alone");
	assert_null(strstr(left, "cp -p "));
	assert_int_equal(unlink(copy), 0);
	assert_left("when it is right as it is now: cp -p ");
	assert_int_equal(system(strstr(left, "cp -p ")), 0);
	undo_cleanly();
	assert_string_equal(read_file(file), "bad\nedited\n");
	assert_int_equal(count_names(), 1);
}

/* --- what is printed --- */

/* A terminal gets other characters than these, and another name would be typed. */
static void test_what_is_not_printed_as_it_is_is_not_to_be_typed(void **state)
{
	static const char *const names[] = {"caf\xc3\xa9.conf", "broken\xff.conf"};
	char path[128];

	(void)state;
	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++) {
		snprintf(path, sizeof(path), "%s/%s", base, names[i]);
		write_file(path, GOOD);
		assert_int_equal(PLAN(path, "content=bad"), 0);
		inject();
		write_file(path, "edited\n");
		assert_left("no command is shown");
		assert_null(strstr(left, "mv -T"));
		write_file(path, "");
		assert_int_equal(unlink(path), 0);
		assert_left("no command is shown");
		snprintf(path, sizeof(path), "exec rm %s/.*.squall-*", base);
		assert_int_equal(system(path), 0);
		next_run();
	}
	assert_int_equal(PLAN(file, "content=bad"), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_reader, tear_down_reader)
	const struct CMUnitTest tests[] = {
		TEST(test_with_exchange_there_is_one_name),
		TEST(test_without_exchange_the_copy_is_named_by_its_own_name),
		TEST(test_without_exchange_both_names_are_told_where_both_are_there),
		TEST(test_without_exchange_a_second_name_of_the_original_alone_is_told),
		TEST(test_whom_squall_would_not_tell_nobody_is_told_to_tell),
		TEST(test_a_foreign_file_by_our_name_is_not_to_be_removed),
		TEST(test_without_exchange_a_foreign_file_is_not_to_be_removed_either),
		TEST(test_a_file_with_the_inode_of_the_copy_is_not_ours),
		TEST(test_a_file_with_the_inode_of_the_original_is_not_put_in_its_place),
		TEST(test_an_original_that_was_edited_meanwhile_comes_back),
		TEST(test_without_exchange_a_foreign_file_in_the_way_is_not_removed),
		TEST(test_a_foreign_file_that_was_there_before_is_not_taken_for_ours),
		TEST(test_an_edit_is_told_also_when_the_file_was_replaced_since),
		TEST(test_an_edit_that_was_not_kept_yet_outlives_a_replacement),
		TEST(test_an_edit_is_never_kept_over_a_foreign_file),
		TEST(test_a_copy_beside_a_replaced_file_goes),
		TEST(test_an_edited_copy_is_not_copied_over_a_foreign_file),
		TEST(test_what_is_not_printed_as_it_is_is_not_to_be_typed),
	};

	return RUN_AS_ROOT(tests);
}
