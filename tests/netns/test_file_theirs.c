/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is not the original and not the untouched copy belongs to somebody: it is neither removed
 * nor overwritten, nor told to be. What is told is typed here.
 */
#include "tests/netns/file_left_bench.h"

#include <poll.h>

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

static unsigned tellings;

static int start(const struct fault_command *command, struct error *error)
{
	(void)command;
	(void)error;
	return 0;
}

static bool is_over(const struct fault_command *command)
{
	(void)command;
	return true;
}

static int finish(const struct fault_command *command, struct error *error)
{
	(void)command;
	(void)error;
	tellings++;
	return 0;
}

/* restore undoes once more what is still left */
static void test_beside_a_foreign_file_who_reads_it_is_told_once(void **state)
{
	const struct fault_commander commander = {start, is_over, finish};

	(void)state;
	fault_command_use(&commander);
	if (PLAN(file, "content=bad", "reload-command=/bin/true") < 0)
		fail_msg("%s", err.text);
	inject();
	put_theirs(file); /* the names change places: what is ours is kept */
	assert_int_equal(renameat2(AT_FDCWD, file, AT_FDCWD, copy, RENAME_EXCHANGE), 0);
	tellings = 0;
	for (unsigned i = 0; i < 3; i++)
		assert_left("is restored: .app.conf.squall-");
	assert_int_equal(tellings, 1);
	assert_int_equal(unlink(copy), 0);
	undo_cleanly();
	assert_int_equal(tellings, 1);
	fault_command_use(NULL);
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
	assert_says(", but what lies there now was put there by somebody");
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

/* As large and as old as before. Not in the tick of the kernel's clock in which the names were
 * exchanged. */
static void edit_in_secret(const char *path)
{
	struct stat before;
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	poll(NULL, 0, 20);
	assert_true(fd >= 0 && fstat(fd, &before) == 0);
	assert_int_equal(pwrite(fd, "B", 1, 0), 1);
	assert_int_equal(futimens(fd, (struct timespec[]){before.st_atim, before.st_mtim}), 0);
	close(fd);
}

static void assert_secret_is_kept(void)
{
	plan_and_inject();
	edit_in_secret(file);
	assert_left("was edited by somebody meanwhile and is left alone");
	assert_string_equal(read_file(file), "Bad\n");
	assert_int_equal(system(strstr(left, "mv -T ")), 0);
	undo_cleanly();
	assert_string_equal(read_file(file), GOOD);
}

static void test_an_edit_whose_size_and_time_were_set_back_is_kept(void **state)
{
	(void)state;
	assert_secret_is_kept();
}

static void test_such_an_edit_is_kept_without_exchange(void **state)
{
	(void)state;
	exchange_fails = EINVAL;
	assert_secret_is_kept();
}

/* A backup makes a second name for it, somebody gives it another mode for a moment. */
static void test_what_only_looks_like_an_edit_is_none(void **state)
{
	struct evidence before, after;
	char link_name[96];

	(void)state;
	snprintf(link_name, sizeof(link_name), "%s/state/backup", base);
	plan_and_inject();
	assert_int_equal(link(file, link_name), 0);
	assert_int_equal(chmod(file, 0600), 0);
	assert_int_equal(chmod(file, 0644), 0);
	assert_int_equal(file_fault.evidence(&fault, &before, &err), 0);
	assert_int_equal(file_fault.end(&fault, FAULT_END_SOFT, &(int64_t){0}, &err), 0);
	/* that we have looked into it is nobody's opening it */
	assert_int_equal(file_fault.evidence(&fault, &after, &err), 0);
	assert_int_equal(after.hits, before.hits);
	undo_cleanly();
	assert_string_equal(read_file(file), GOOD);
	assert_int_equal(count_names(), 1);
}

/* The original is back, and who reads it could not be told yet. */
static void test_such_an_edit_of_the_copy_beside_the_file_is_kept(void **state)
{
	(void)state;
	plan_and_inject();
	make_reader_ill();
	assert_left("what follows is not");
	edit_in_secret(copy);
	make_reader_well();
	assert_left("the edit is kept beside it");
	assert_string_equal(read_file(file), GOOD);
	assert_int_equal(system(strstr(left, "rm -f ")), 0);
	undo_cleanly();
	assert_int_equal(count_names(), 1);
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
	assert_null(strstr(left, "cp "));
	assert_int_equal(unlink(copy), 0);
	assert_left("when it is right as it is now: cp ");
	assert_int_equal(system(strstr(left, "cp ")), 0);
	undo_cleanly();
	assert_string_equal(read_file(file), "bad\nedited\n");
	assert_int_equal(count_names(), 1);
}

/* Whoever may write in the directory lays a link under the hidden name before that is typed. */
static void test_nothing_is_written_through_a_link_that_was_laid(void **state)
{
	char victim[96], folder[96];

	(void)state;
	snprintf(victim, sizeof(victim), "%s/state/victim", base);
	snprintf(folder, sizeof(folder), "%s/state/folder", base);
	write_file(victim, "theirs\n");
	assert_int_equal(mkdir(folder, 0755), 0);
	for (unsigned i = 0; i < 2; i++) {
		struct stat before, after;

		plan_and_inject();
		assert_int_equal(unlink(copy), 0);
		edit_now();
		assert_int_equal(chmod(file, 0640), 0);
		assert_left("when it is right as it is now: cp ");
		assert_int_equal(symlink(i ? folder : victim, copy), 0);
		assert_int_equal(stat(file, &before), 0);
		assert_int_equal(system(strstr(left, "cp ")), 0);
		assert_string_equal(read_file(victim), "theirs\n");
		assert_int_equal(rmdir(folder), 0);
		assert_int_equal(mkdir(folder, 0755), 0);
		assert_int_equal(lstat(file, &after), 0);
		assert_int_equal(after.st_mode, before.st_mode);
		assert_int_equal(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
		next_run();
		assert_string_equal(read_file(file), "bad\nedited\n");
		assert_int_equal(count_names(), 1);
		write_file(file, GOOD);
		snprintf(copy, sizeof(copy), "%s/.app.conf.squall-%.6s-1", base, env.run_id);
	}
	assert_int_equal(PLAN(file, "content=bad"), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_reader, tear_down_reader)
	const struct CMUnitTest tests[] = {
		TEST(test_a_foreign_file_by_our_name_is_not_to_be_removed),
		TEST(test_beside_a_foreign_file_who_reads_it_is_told_once),
		TEST(test_without_exchange_a_foreign_file_is_not_to_be_removed_either),
		TEST(test_a_file_with_the_inode_of_the_copy_is_not_ours),
		TEST(test_a_file_with_the_inode_of_the_original_is_not_put_in_its_place),
		TEST(test_an_original_that_was_edited_meanwhile_comes_back),
		TEST(test_without_exchange_a_foreign_file_in_the_way_is_not_removed),
		TEST(test_a_foreign_file_that_was_there_before_is_not_taken_for_ours),
		TEST(test_an_edit_whose_size_and_time_were_set_back_is_kept),
		TEST(test_such_an_edit_is_kept_without_exchange),
		TEST(test_what_only_looks_like_an_edit_is_none),
		TEST(test_such_an_edit_of_the_copy_beside_the_file_is_kept),
		TEST(test_an_edit_is_told_also_when_the_file_was_replaced_since),
		TEST(test_an_edit_that_was_not_kept_yet_outlives_a_replacement),
		TEST(test_an_edit_is_never_kept_over_a_foreign_file),
		TEST(test_a_copy_beside_a_replaced_file_goes),
		TEST(test_an_edited_copy_is_not_copied_over_a_foreign_file),
		TEST(test_nothing_is_written_through_a_link_that_was_laid),
	};

	return RUN_AS_ROOT(tests);
}
