/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the file fault tells that is left, and what to type: the name at which it lies, until it is
 * settled, and to whom nobody is told to send a signal. What is told is typed here.
 */
#include "tests/netns/file_left_bench.h"

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

/* --- what is printed --- */

/* A terminal gets other characters than these, and another name would be typed: the command names
 * them by their bytes. */
static void test_what_is_not_printed_as_it_is_can_be_typed(void **state)
{
	static const char *const names[] = {"caf\xc3\xa9.conf", "broken\xff.conf",
					    "100% 'b' \xc3\xa9.conf"};
	char path[128];

	(void)state;
	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++) {
		snprintf(path, sizeof(path), "%s/%s", base, names[i]);
		write_file(path, GOOD);
		assert_int_equal(PLAN(path, "content=bad"), 0);
		inject();
		write_file(path, "edited\n");
		assert_left(": mv -T \"$(printf '");
		for (const char *at = strstr(left, "mv -T"); *at; at++)
			assert_in_range(*at, ' ', '~');
		assert_int_equal(system(strstr(left, "mv -T")), 0);
		assert_string_equal(read_file(path), GOOD);
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
		TEST(test_what_is_not_printed_as_it_is_can_be_typed),
	};

	return RUN_AS_ROOT(tests);
}
