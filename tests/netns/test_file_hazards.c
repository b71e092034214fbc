/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The file fault among others: what somebody does to the file meanwhile is never overwritten, and
 * neither a failure nor a death at any step loses the original.
 */
#include "tests/netns/file_bench.h"

/* --- others --- */

static void assert_left(const char *words, const char *content)
{
	char left[512], *command;

	assert_int_equal(undo_all(left, sizeof(left)), 1);
	print_message("%s\n", left);
	assert_non_null(strstr(left, words));
	if (content)
		assert_string_equal(read_file(file), content);
	else
		assert_int_equal(access(file, F_OK), -1);
	/* the command that is shown works when typed */
	command = strstr(left, "mv -T ");
	assert_non_null(command);
	assert_int_equal(system(command), 0);
	undo_cleanly();
	assert_string_equal(read_file(file), GOOD);
	assert_int_equal(count_names(), 1);
}

static void test_an_edit_is_not_overwritten(void **state)
{
	struct evidence seen;
	FILE *out;

	(void)state;
	assert_int_equal(PLAN(file, "content=bad"), 0);
	inject();
	assert_int_equal(file_fault.evidence(&fault, &seen, &err), 0);
	out = fopen(file, "ae");
	fputs("edited\n", out);
	fclose(out);
	assert_int_equal(file_fault.evidence(&fault, &seen, &err), -ESTALE);
	assert_non_null(strstr(err.text, "was edited by somebody"));
	assert_left("was edited by somebody", "bad\nedited\n");
}

static void test_a_changed_mode_is_an_edit(void **state)
{
	(void)state;
	assert_int_equal(PLAN(file, "content=bad"), 0);
	inject();
	assert_int_equal(chmod(file, 0600), 0);
	assert_left("was edited by somebody", "bad\n");
}

static void test_a_changed_access_list_is_an_edit(void **state)
{
	struct evidence seen;
	struct stat status;

	(void)state;
	assert_int_equal(chmod(file, 0640), 0);
	assert_int_equal(PLAN(file, "content=bad"), 0);
	inject();
	assert_true(give_access_list(file));
	assert_int_equal(stat(file, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0640); /* nothing else tells */
	assert_int_equal(file_fault.evidence(&fault, &seen, &err), -ESTALE);
	assert_non_null(strstr(err.text, "was edited by somebody"));
	assert_left("was edited by somebody", "bad\n");
}

static void test_a_changed_attribute_is_an_edit(void **state)
{
	(void)state;
	if (setxattr(file, "user.kept", "1", 1, 0) < 0) { /* a tmpfs before Linux 6.6 */
		print_message("skipped: no attributes of users in /tmp: %s\n", strerror(errno));
		skip();
	}
	assert_int_equal(PLAN(file, "content=bad"), 0);
	inject();
	assert_int_equal(setxattr(file, "user.kept", "2", 1, 0), 0);
	assert_left("was edited by somebody", "bad\n");
}

static void test_a_replacement_is_not_overwritten(void **state)
{
	char other[96];

	(void)state;
	assert_int_equal(PLAN(file, "content=bad"), 0);
	inject();
	snprintf(other, sizeof(other), "%s/deployed", base);
	write_file(other, "deployed\n");
	assert_int_equal(rename(other, file), 0);
	assert_left("was replaced by somebody", "deployed\n");
}

static void test_a_removed_file_does_not_come_back_unasked(void **state)
{
	(void)state;
	assert_int_equal(PLAN(file, "content=bad"), 0);
	inject();
	assert_int_equal(unlink(file), 0);
	assert_left("was removed by somebody", NULL);
}

static void test_a_lost_original_is_told(void **state)
{
	char left[512], command[160];

	(void)state;
	assert_int_equal(PLAN(file, "content=bad"), 0);
	inject();
	snprintf(command, sizeof(command), "rm %s/.app.conf.squall-*", base);
	assert_int_equal(system(command), 0);
	assert_int_equal(undo_all(left, sizeof(left)), 1);
	assert_non_null(strstr(left, "the original was removed by somebody"));
	assert_string_equal(read_file(file), "bad\n");
}

/* An editor in place, or a command that brings it back from a backup: nobody but root can tell. */
static void test_an_edit_does_not_hide_that_the_original_is_lost(void **state)
{
	char left[512], command[160], *typed;

	(void)state;
	assert_int_equal(PLAN(file, "content=bad"), 0);
	inject();
	snprintf(command, sizeof(command), "rm %s/.app.conf.squall-*", base);
	assert_int_equal(system(command), 0);
	write_file(file, "from a backup\n");
	assert_int_equal(undo_all(left, sizeof(left)), 1);
	assert_non_null(strstr(left, "the original was removed by somebody"));
	assert_string_equal(read_file(file), "from a backup\n");
	typed = strstr(left, "cp ");
	assert_non_null(typed);
	assert_int_equal(system(typed), 0);
	undo_cleanly();
	assert_string_equal(read_file(file), "from a backup\n");
	assert_int_equal(count_names(), 1);
}

static void edit_now(void)
{
	FILE *out = fopen(file, "ae");

	exchange_meets = NULL;
	fputs("edited\n", out);
	fclose(out);
}

/* Found untouched, then edited, then exchanged: the edit is not thrown away with our copy. */
static void test_an_edit_in_the_moment_of_the_undo_is_kept(void **state)
{
	char left[512], *typed;

	(void)state;
	assert_int_equal(PLAN(file, "content=bad"), 0);
	inject();
	exchange_meets = edit_now;
	assert_int_equal(undo_all(left, sizeof(left)), 1);
	print_message("%s\n", left);
	assert_string_equal(read_file(file), GOOD);
	assert_non_null(strstr(left, "was edited by somebody"));
	/* told until it is settled */
	assert_int_equal(undo_all(left, sizeof(left)), 1);
	typed = strstr(left, "rm -f ");
	assert_non_null(typed);
	assert_string_equal(read_file(typed + strlen("rm -f ")), "bad\nedited\n");
	assert_int_equal(system(typed), 0);
	undo_cleanly();
	assert_string_equal(read_file(file), GOOD);
	assert_int_equal(count_names(), 1);
}

/* What is shown is typed as it stands, or nothing is shown. */
static void leave_in(const char *folder)
{
	char inner[PATH_MAX], left[2048], *typed;

	snprintf(inner, sizeof(inner), "%s/%s", base, folder);
	assert_int_equal(mkdir(inner, 0755), 0);
	snprintf(inner, sizeof(inner), "%s/%s/it's a; $(file)", base, folder);
	write_file(inner, GOOD);
	assert_int_equal(PLAN(inner, "content=bad"), 0);
	inject();
	write_file(inner, "edited\n");
	assert_int_equal(undo_all(left, 400), 1);
	if (strlen(inner) > 200) {
		assert_non_null(strstr(left, "no command is shown"));
		assert_null(strstr(left, "mv -T"));
	}
	assert_int_equal(undo_all(left, sizeof(left)), 1);
	print_message("%s\n", left);
	typed = strstr(left, "mv -T ");
	assert_non_null(typed);
	assert_int_equal(system(typed), 0);
	assert_string_equal(read_file(inner), GOOD);
	undo_cleanly();
}

static void test_a_name_with_quotes_and_spaces_can_be_typed(void **state)
{
	(void)state;
	leave_in("don't `touch x` \"this\"");
}

static void test_a_long_path_can_be_typed(void **state)
{
	char folder[241] = "";

	(void)state;
	memset(folder, 'x', sizeof(folder) - 1);
	leave_in(folder);
}

static void test_a_change_since_the_plan_is_not_overwritten(void **state)
{
	(void)state;
	assert_int_equal(PLAN(file, "content=bad"), 0);
	write_file(file, "deployed since\n");
	assert_int_equal(file_fault.inject(&fault, &err), -ESTALE);
	assert_non_null(strstr(err.text, "since the plan"));
	undo_cleanly();
	assert_string_equal(read_file(file), "deployed since\n");
	assert_int_equal(count_names(), 1);
}

static void test_one_fault_at_a_time_on_a_file(void **state)
{
	struct fault first;
	struct params first_params;

	(void)state;
	assert_int_equal(PLAN(file, "content=bad"), 0);
	inject();
	first = fault;
	first_params = params;
	target_free(&target);
	assert_int_equal(PLAN(file, "content=worse"), -EBUSY);
	assert_non_null(strstr(err.text, "is held by step 1 of run"));
	drop_fault();
	fault = first;
	params = first_params;
	target = (struct target){.namespace_fd = -1};
	undo_cleanly();
}

static void test_an_unmounted_directory_is_not_taken_for_the_right_one(void **state)
{
	char left[512], moved[80];

	(void)state;
	assert_int_equal(PLAN(file, "content=bad"), 0);
	inject();
	snprintf(moved, sizeof(moved), "%s-away", base);
	/* the state goes along: it is kept open */
	assert_int_equal(rename(base, moved), 0);
	assert_int_equal(mkdir(base, 0755), 0);
	write_file(file, "another\n");
	assert_true(undo_all(left, sizeof(left)) > 0);
	assert_non_null(strstr(left, "is another one now"));
	assert_string_equal(read_file(file), "another\n");
	assert_int_equal(unlink(file), 0);
	assert_int_equal(rmdir(base), 0);
	assert_int_equal(rename(moved, base), 0);
	undo_cleanly();
}

/* --- failures and deaths --- */

static void test_a_failed_exchange_leaves_nothing(void **state)
{
	(void)state;
	assert_int_equal(PLAN(file, "content=bad"), 0);
	exchange_fails = EIO;
	assert_int_equal(file_fault.inject(&fault, &err), -EIO);
	assert_string_equal(read_file(file), GOOD);
	exchange_fails = 0;
	undo_cleanly();
	assert_string_equal(read_file(file), GOOD);
	assert_int_equal(count_names(), 1);
}

/* On the way back nothing is lost either, and a later try succeeds. */
static void test_a_failed_undo_can_be_tried_again(void **state)
{
	char left[512];

	(void)state;
	assert_int_equal(PLAN(file, "content=bad"), 0);
	inject();
	exchange_fails = EIO;
	assert_int_equal(undo_all(left, sizeof(left)), 1);
	assert_non_null(strstr(left, "is still the bad version"));
	exchange_fails = 0;
	undo_cleanly();
	assert_string_equal(read_file(file), GOOD);
	assert_int_equal(count_names(), 1);
}

static void test_a_full_disk_leaves_nothing(void **state)
{
	char folder[80], inner[96];

	(void)state;
	snprintf(folder, sizeof(folder), "%s/small", base);
	snprintf(inner, sizeof(inner), "%s/app.conf", folder);
	assert_int_equal(mkdir(folder, 0755), 0);
	assert_int_equal(mount("small", folder, "tmpfs", 0, "size=64k"), 0);
	write_file(inner, GOOD);
	assert_int_equal(PLAN(inner, "oversize=1MiB"), 0);
	assert_int_equal(file_fault.inject(&fault, &err), -ENOSPC);
	undo_cleanly();
	assert_string_equal(read_file(inner), GOOD);
	assert_int_equal(unlink(inner), 0);
	drop_fault();
	assert_int_equal(umount(folder), 0);
	assert_int_equal(rmdir(folder), 0);
}

static void die_injecting(int life)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		exchange_life = life;
		file_fault.inject(&fault, &err);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(WEXITSTATUS(status), 9);
}

static void test_death_before_and_after_the_exchange(void **state)
{
	char before[2048], after[2048];

	(void)state;
	describe(file, before, sizeof(before));
	for (int life = DIE_BEFORE; life <= DIE_AFTER; life++) {
		assert_int_equal(PLAN(file, "content=bad"), 0);
		/* the plan has read it, which may show in its access time */
		describe(file, before, sizeof(before));
		die_injecting(life);
		assert_int_equal(count_names(), 2);
		undo_cleanly();
		describe(file, after, sizeof(after));
		assert_string_equal(after, before);
		assert_int_equal(count_names(), 1);
		next_run();
	}
	assert_int_equal(PLAN(file, "content=bad"), 0);
}

/* File systems without RENAME_EXCHANGE, such as 9p and NFS */
static void test_without_exchange_a_link_keeps_the_original(void **state)
{
	char before[2048], after[2048];

	(void)state;
	dress(file);
	assert_int_equal(PLAN(file, "content=bad"), 0);
	describe(file, before, sizeof(before));
	exchange_fails = EINVAL;
	inject();
	assert_string_equal(read_file(file), "bad\n");
	undo_cleanly();
	describe(file, after, sizeof(after));
	assert_string_equal(after, before);
	assert_int_equal(count_names(), 1);
}

static void test_without_exchange_an_edit_is_kept_too(void **state)
{
	(void)state;
	assert_int_equal(PLAN(file, "content=bad"), 0);
	exchange_fails = EINVAL;
	inject();
	write_file(file, "fixed\n");
	assert_left("was edited by somebody", "fixed\n");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_an_edit_is_not_overwritten),
		TEST(test_a_changed_mode_is_an_edit),
		TEST(test_a_changed_access_list_is_an_edit),
		TEST(test_a_changed_attribute_is_an_edit),
		TEST(test_a_replacement_is_not_overwritten),
		TEST(test_a_removed_file_does_not_come_back_unasked),
		TEST(test_a_lost_original_is_told),
		TEST(test_an_edit_does_not_hide_that_the_original_is_lost),
		TEST(test_an_edit_in_the_moment_of_the_undo_is_kept),
		TEST(test_a_name_with_quotes_and_spaces_can_be_typed),
		TEST(test_a_long_path_can_be_typed),
		TEST(test_a_change_since_the_plan_is_not_overwritten),
		TEST(test_one_fault_at_a_time_on_a_file),
		TEST(test_an_unmounted_directory_is_not_taken_for_the_right_one),
		TEST(test_a_failed_exchange_leaves_nothing),
		TEST(test_a_failed_undo_can_be_tried_again),
		TEST(test_a_full_disk_leaves_nothing),
		TEST(test_death_before_and_after_the_exchange),
		TEST(test_without_exchange_a_link_keeps_the_original),
		TEST(test_without_exchange_an_edit_is_kept_too),
	};

	return RUN_AS_ROOT(tests);
}
