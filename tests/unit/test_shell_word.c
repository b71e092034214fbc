/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A word of a command that is shown is what a shell makes of it; and what can be shown at all.
 */
#include "injector/base/shell_word.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* Within quotes as well, as in kill "$(cat FILE)". */
static void assert_taken(const char *shell, const char *word)
{
	char line[400] = "printf '<%s>' \"$(printf '%s.' ", path[64] = "/tmp/squall-word-XXXXXX";
	char command[128], got[128] = "", expected[128];
	int fd = mkstemp(path);
	FILE *out;

	assert_true(fd >= 0);
	shell_word_add(word, line, sizeof(line));
	strcat(line, ")\" ");
	shell_word_add(word, line, sizeof(line));
	assert_true(shell_word_is_plain(line));
	assert_int_equal(write(fd, line, strlen(line)), strlen(line));
	close(fd);
	snprintf(command, sizeof(command), "%s %s", shell, path);
	out = popen(command, "r");
	assert_non_null(out);
	got[fread(got, 1, sizeof(got) - 1, out)] = '\0';
	assert_int_equal(pclose(out), 0);
	unlink(path);
	snprintf(expected, sizeof(expected), "<%s.><%s>", word, word);
	assert_string_equal(got, expected);
}

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
		"caf\xc3\xa9.conf",
		"-\xc3\xa9",
		"broken\xff"
		"1%s%%\\n'\"!$(touch x)`id`",
		"\xe6\x97\xa5\xe6\x9c\xac 1",
		"two\nlines",
		"\x1b[31m\x7f",
		"'\\\x01",
	};
	static const char *const shells[] = {"sh", "bash", "zsh", "fish"};

	(void)state;
	for (unsigned k = 0; k < sizeof(shells) / sizeof(*shells); k++) {
		char look[64];

		snprintf(look, sizeof(look), "command -v %s >/dev/null", shells[k]);
		if (system(look) != 0) {
			print_message("no %s here\n", shells[k]);
			continue;
		}
		for (unsigned i = 0; i < sizeof(words) / sizeof(*words); i++)
			assert_taken(shells[k], words[i]);
	}
}

/* Where it would be changed it is not shown. */
static void test_a_line_feed_at_the_end_is_not_plain(void **state)
{
	char line[64] = "";

	(void)state;
	shell_word_add("\xc3\xa9\n", line, sizeof(line));
	assert_false(shell_word_is_plain(line));
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
		cmocka_unit_test(test_a_line_feed_at_the_end_is_not_plain),
		cmocka_unit_test(test_what_is_plain_is_left_plain),
		cmocka_unit_test(test_a_word_that_does_not_fit_is_cut_within),
		cmocka_unit_test(test_one_line_of_ascii_is_printed_as_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
