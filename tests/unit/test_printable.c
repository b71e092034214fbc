/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Text of unknown origin on its way to a terminal. */
#include "injector/base/printable.h"

#include "injector/base/cleanup.h"
#include "injector/base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_fit_cuts_at_columns_and_bytes(void **state)
{
	static const struct {
		const char *text;
		unsigned columns;
		const char *expected;
		unsigned width;
	} cases[] = {
		{"delay", 5, "delay", 5},
		{"delay", 4, "del\xe2\x80\xa6", 4},
		{"delay", 1, "\xe2\x80\xa6", 1},
		{"delay", 0, "", 0},
		{"", 5, "", 0},
		/* two columns each */
		{"\xe6\xbc\xa2\xe5\xad\x97", 4, "\xe6\xbc\xa2\xe5\xad\x97", 4},
		{"\xe6\xbc\xa2\xe5\xad\x97", 3, "\xe6\xbc\xa2\xe2\x80\xa6", 3},
		{"\xe6\xbc\xa2\xe5\xad\x97", 2, "\xe2\x80\xa6", 1},
		/* combining marks are dropped, so that widths are certain */
		{"e\xcc\x81t", 5, "et", 2},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char out[64];
		unsigned width =
			printable_fit(cases[i].text, cases[i].columns, true, out, sizeof(out));

		assert_string_equal(out, cases[i].expected);
		assert_int_equal(width, cases[i].width);
	}
	for (unsigned size = 1; size < 12; size++) {
		char out[12];

		memset(out, 'x', sizeof(out));
		printable_fit("\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2", 80, true, out, size);
		assert_true(strlen(out) < size);
		printable_clean(out, true);
		assert_null(strchr(out, '?')); /* no character was cut in half */
	}
}

static void test_clean_leaves_nothing_that_commands(void **state)
{
	static const struct {
		const char *text, *utf8, *ascii;
	} cases[] = {
		{"a\033[2Jb", "a [2Jb", "a [2Jb"},
		{"a\r\n\tb\x7f", "a   b ", "a   b "},
		{"\xc2\x9b"
		 "31m",
		 "31m", "?31m"}, /* CSI as one character */
		{"\x9b"
		 "31m",
		 "?31m", "?31m"}, /* and as one byte */
		{"\xe2\x80\xae"
		 "abc",
		 "abc", "?abc"}, /* right-to-left override */
		{"a\xe2\x80\xa8"
		 "b",
		 "a b", "a?b"},				    /* line separator */
		{"\xc0\xaf\xed\xa0\x80", "?????", "?????"}, /* overlong, surrogate */
		{"\xf4\x90\x80\x80", "????", "????"},	    /* beyond Unicode */
		{"\xe2\x82", "??", "??"},		    /* cut off */
		{"caf\xc3\xa9", "caf\xc3\xa9", "caf?"},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char text[64];

		strcpy(text, cases[i].text);
		printable_clean(text, true);
		assert_string_equal(text, cases[i].utf8);
		strcpy(text, cases[i].text);
		printable_clean(text, false);
		assert_string_equal(text, cases[i].ascii);
	}
}

/* Every byte string of two and many of three bytes: never longer, never a control character. */
static void test_clean_survives_every_byte(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 1U << 24; i += i < 1U << 16 ? 1 : 251) {
		char text[4] = {(char)i, (char)(i >> 8), (char)(i >> 16), '\0'};
		size_t length = strlen(text);

		printable_clean(text, i & 1);
		assert_true(strlen(text) <= length);
		for (const char *at = text; *at; at++)
			assert_true((unsigned char)*at >= 0x20 && *at != 0x7f);
	}
}

static void test_lines_break_at_words(void **state)
{
	static const struct {
		const char *text;
		unsigned columns;
		size_t bytes, next;
	} cases[] = {
		{"one two three", 80, 13, 13},
		{"one two three", 8, 7, 8},
		{"one two three", 7, 7, 8},
		{"one two three", 6, 3, 4},
		{"onetwothree", 4, 4, 4},
		{"a  b", 2, 1, 3},
		{"", 5, 0, 0},
		{"abc", 1, 1, 1},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		size_t next = 99;

		assert_int_equal(printable_break(cases[i].text, cases[i].columns, &next),
				 cases[i].bytes);
		assert_int_equal(next, cases[i].next);
	}
}

static void test_locale_decides_about_utf8(void **state)
{
	(void)state;
	setenv("LANG", "C.UTF-8", 1);
	unsetenv("LC_ALL");
	unsetenv("LC_CTYPE");
	assert_true(printable_has_utf8());
	setenv("LC_CTYPE", "POSIX", 1);
	assert_false(printable_has_utf8());
	setenv("LC_ALL", "en_US.utf8", 1);
	assert_true(printable_has_utf8());
	setenv("LC_ALL", "", 1); /* as if it were not set */
	assert_false(printable_has_utf8());
	unsetenv("LANG");
	unsetenv("LC_CTYPE");
	unsetenv("LC_ALL");
	assert_false(printable_has_utf8());
}

static void test_json_text_is_valid_whatever_comes(void **state)
{
	json_t *text = json_text("a\xff"
				 "b\xc3\xa9");

	(void)state;
	assert_string_equal(json_string_value(text), "a\xef\xbf\xbd"
						     "b\xc3\xa9");
	json_decref(text);
	text = json_text("");
	assert_true(json_is_null(text));
	json_decref(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fit_cuts_at_columns_and_bytes),
		cmocka_unit_test(test_clean_leaves_nothing_that_commands),
		cmocka_unit_test(test_clean_survives_every_byte),
		cmocka_unit_test(test_lines_break_at_words),
		cmocka_unit_test(test_locale_decides_about_utf8),
		cmocka_unit_test(test_json_text_is_valid_whatever_comes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
