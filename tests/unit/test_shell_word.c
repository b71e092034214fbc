/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A word of a command that is shown is what a shell makes of it; and what can be shown at all.
 */
#include "injector/base/shell_word.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_a_shell_takes_each_word_as_it_is(void **state)
{
	static const char *const words[] = {
		"/etc/plain-name_1.conf",
		"",
		"two words",
		"it's",
		"'",
		"a\\x2db",
		"$(touch x)",
		"`id`;&|<>*?[a]#~!{a,b}\"",
		"-n",
		"=a",
		"~root",
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(words) / sizeof(*words); i++) {
		char line[256] = "printf '<%s>' ", got[128], expected[128];
		FILE *shell;

		shell_word_add(words[i], line, sizeof(line));
		shell = popen(line, "r");
		assert_non_null(shell);
		got[fread(got, 1, sizeof(got) - 1, shell)] = '\0';
		assert_int_equal(pclose(shell), 0);
		snprintf(expected, sizeof(expected), "<%s>", words[i]);
		assert_string_equal(got, expected);
	}
}

static void test_what_is_plain_is_left_plain(void **state)
{
	char line[64] = "mv ";

	(void)state;
	shell_word_add("/etc/a.conf", line, sizeof(line));
	assert_string_equal(line, "mv /etc/a.conf");
}

static void test_a_word_that_does_not_fit_is_cut_within(void **state)
{
	char line[8] = "";

	(void)state;
	shell_word_add("''''", line, sizeof(line));
	assert_int_equal(strlen(line), sizeof(line) - 1);
}

static void test_one_line_of_ascii_is_printed_as_it_is(void **state)
{
	(void)state;
	assert_true(shell_word_is_plain(""));
	assert_true(shell_word_is_plain("mv -T 'a b' ~"));
	assert_false(shell_word_is_plain("a\nb"));
	assert_false(shell_word_is_plain("a\x7f"));
	assert_false(shell_word_is_plain("caf\xc3\xa9"));
	assert_false(shell_word_is_plain("\xff"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_shell_takes_each_word_as_it_is),
		cmocka_unit_test(test_what_is_plain_is_left_plain),
		cmocka_unit_test(test_a_word_that_does_not_fit_is_cut_within),
		cmocka_unit_test(test_one_line_of_ascii_is_printed_as_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
