/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Lines of the audit with what others wrote in them: each goes out, as one line of JSON.
 */
#include "injector/journal/audit.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define LONG	       4000
#define LINE_MAX_BYTES 4096 /* what a reader of lines, and a logger, takes */

static char folder[64], path[128];

static int set_up(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/squall-audit.XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/" AUDIT_FILE, folder);
	audit_set_directory(folder);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(folder);
}

static const char *fill(const char *unit)
{
	static char text[LONG + 8];

	text[0] = '\0';
	for (size_t used = 0; used < LONG; used += strlen(unit))
		strcpy(text + used, unit);
	return text;
}

/* The one line that is there; it is taken away. */
static json_t *take_line(void)
{
	char line[2 * LINE_MAX_BYTES];
	FILE *file = fopen(path, "re");
	json_t *entry;

	assert_non_null(file);
	assert_non_null(fgets(line, sizeof(line), file));
	assert_true(strlen(line) <= LINE_MAX_BYTES);
	assert_int_equal(line[strlen(line) - 1], '\n');
	assert_int_equal(fgetc(file), EOF);
	fclose(file);
	assert_int_equal(unlink(path), 0);
	entry = json_loads(line, 0, NULL);
	assert_non_null(entry);
	return entry;
}

static const char *member(const json_t *entry, const char *name)
{
	const char *text = json_string_value(json_object_get(entry, name));

	assert_non_null(text);
	return text;
}

/* Each byte of these takes up to six in the line. */
static void test_a_line_with_hostile_texts_is_cut_and_never_lost(void **state)
{
	static const char *const units[] = {
		"a",	  "\x01",     "\xff",	      "\x80",
		"\"\\\n", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80",
		"\x1b["};

	(void)state;
	for (unsigned i = 0; i < sizeof(units) / sizeof(*units); i++) {
		struct error err = ERROR_INIT;
		json_t *entry;

		audit_caller("run", 0, fill(units[i]), NULL, 0);
		if (audit_write(&err, "refused", "RUN", "%s", fill(units[i])) < 0)
			fail_msg("unit %u: %s", i, err.text);
		entry = take_line();
		assert_string_equal(member(entry, "event"), "refused");
		assert_string_equal(member(entry, "user"), "root");
		assert_string_equal(member(entry, "run"), "RUN");
		assert_non_null(strstr(member(entry, "text"), "... (cut)"));
		assert_non_null(strstr(member(entry, "file"), "... (cut)"));
		/* whole characters, where they were whole */
		if (strlen(units[i]) > 1)
			assert_null(strstr(member(entry, "text"), "\xef\xbf\xbd"));
		json_decref(entry);
	}
}

static void test_what_fits_is_whole(void **state)
{
	char text[601];
	json_t *entry;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	audit_caller("run", 0, "/srv/experiments/slow.yaml", NULL, 0);
	assert_int_equal(audit_write(NULL, "begin", "", "%s", text), 0);
	entry = take_line();
	assert_string_equal(member(entry, "text"), text);
	assert_string_equal(member(entry, "file"), "/srv/experiments/slow.yaml");
	json_decref(entry);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_line_with_hostile_texts_is_cut_and_never_lost),
		TEST(test_what_fits_is_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
