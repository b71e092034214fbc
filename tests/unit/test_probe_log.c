/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Probe `log` on real files: what is new, what is half written, what is rotated or cut.
 */
#include "injector/base/clock.h"
#include "tests/support/probe_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/squall-log-XXXXXX";
static char path[64], old[64];

static void append(const char *text)
{
	FILE *file = fopen(path, "a");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static struct fixture *begin(const char *expected)
{
	struct fixture *fixture = fixture_new();
	struct error err = ERROR_INIT;

	if (fixture_add(fixture, "log", path, &err, "pattern=^ERROR", expected, NULL) < 0)
		fail_msg("%s", err.text);
	fixture_open(fixture);
	return fixture;
}

/* One more attempt: what it counts. */
static double next(struct fixture *fixture)
{
	return fixture_once(fixture)->value;
}

static const struct probe_sample *last(const struct fixture *fixture)
{
	return &fixture->samples[fixture->sample_count - 1].sample;
}

static void test_only_new_lines_count(void **state)
{
	struct fixture *fixture;

	(void)state;
	append("ERROR of yesterday\n");
	fixture = begin("expect.count=0");
	assert_true(next(fixture) == 0);
	append("fine\nERROR one\n not an ERROR\nERROR two\n");
	assert_true(next(fixture) == 2);
	assert_int_equal(last(fixture)->result, PROBE_FAIL);
	assert_non_null(strstr(last(fixture)->reason, "expected 0: ERROR two"));
	assert_true(next(fixture) == 0);
	assert_int_equal(last(fixture)->result, PROBE_PASS);
	/* a line counts when it is whole */
	append("ERR");
	assert_true(next(fixture) == 0);
	append("OR three\n");
	assert_true(next(fixture) == 1);
	fixture_free(fixture);
}

static void test_a_rotated_file_is_read_to_its_end(void **state)
{
	struct fixture *fixture;

	(void)state;
	append("");
	fixture = begin("expect.count=>= 1");
	assert_true(next(fixture) == 0);
	append("ERROR before\n");
	assert_int_equal(rename(path, old), 0);
	append("ERROR behind\nERROR again\n");
	assert_true(next(fixture) == 3);
	append("ERROR more\n");
	assert_true(next(fixture) == 1);
	/* copied and cut short, as others rotate; smaller than it was */
	assert_int_equal(truncate(path, 0), 0);
	append("ERROR new\n");
	assert_true(next(fixture) == 1);
	/* gone for a moment */
	unlink(path);
	assert_true(next(fixture) == 0);
	append("ERROR back\n");
	assert_true(next(fixture) == 1);
	fixture_free(fixture);
}

static void test_long_lines_and_large_files_are_bounded(void **state)
{
	struct fixture *fixture;
	FILE *file;

	(void)state;
	append("");
	fixture = begin("expect.count=1");
	assert_true(next(fixture) == 0);
	file = fopen(path, "a");
	assert_non_null(file);
	fputs("ERROR ", file);
	for (int i = 0; i < 3 << 20; i++)
		fputc('x', file);
	fputs("\nERROR short\n", file);
	fclose(file);
	assert_true(next(fixture) == 0); /* a mebibyte at a time */
	assert_true(next(fixture) == 0);
	assert_true(next(fixture) == 0);
	assert_true(next(fixture) == 2);
	fixture_free(fixture);
}

static void test_what_is_no_file_is_unknown(void **state)
{
	(void)state;
	expect_sample("log", "/nonexistent/log", KEYS("pattern=x"), PROBE_UNKNOWN, "No such file");
	expect_sample("log", "/dev/zero", KEYS("pattern=x"), PROBE_UNKNOWN, "no regular file");
	expect_checked("log", "log", KEYS("pattern=x"), "must be an absolute path");
	expect_checked("log", "/log", KEYS("pattern=x"), NULL);
}

static int enter(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/log", folder);
	snprintf(old, sizeof(old), "%s/log.1", folder);
	return 0;
}

static int clear(void **state)
{
	(void)state;
	unlink(path);
	unlink(old);
	return 0;
}

static int leave(void **state)
{
	(void)state;
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_only_new_lines_count, clear),
		cmocka_unit_test_teardown(test_a_rotated_file_is_read_to_its_end, clear),
		cmocka_unit_test_teardown(test_long_lines_and_large_files_are_bounded, clear),
		cmocka_unit_test(test_what_is_no_file_is_unknown),
	};

	return cmocka_run_group_tests(tests, enter, leave);
}
