/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * TEST_NAMES="name name": of a test program only these tests run, as scripts/run-tests asks for in
 * the test machine. The linker puts this before cmocka's own runner (--wrap, see the Makefile), so
 * that each program has it; its cmocka_set_test_filter() takes one pattern only.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The names are the linker's. */
int __real__cmocka_run_group_tests(const char *name, const struct CMUnitTest *tests, size_t count,
				   CMFixtureFunction setup, CMFixtureFunction teardown);
int __wrap__cmocka_run_group_tests(const char *name, const struct CMUnitTest *tests, size_t count,
				   CMFixtureFunction setup, CMFixtureFunction teardown);

static bool is_named(const char *names, const char *test)
{
	size_t length = strlen(test);
	const char *at = names;

	while ((at = strstr(at, test)) != NULL) {
		if ((at == names || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0'))
			return true;
		at += length;
	}
	return false;
}

/* The fixtures of a group with no such test do not run either. Returns the number of failures. */
int __wrap__cmocka_run_group_tests(const char *name, const struct CMUnitTest *tests, size_t count,
				   CMFixtureFunction setup, CMFixtureFunction teardown)
{
	const char *names = getenv("TEST_NAMES");
	struct CMUnitTest *chosen;
	size_t number = 0;
	int failed = 0;

	if (names == NULL)
		return __real__cmocka_run_group_tests(name, tests, count, setup, teardown);
	chosen = calloc(count, sizeof(*chosen));
	if (chosen == NULL)
		return 1;
	for (size_t i = 0; i < count; i++)
		if (is_named(names, tests[i].name))
			chosen[number++] = tests[i];
	if (number != 0)
		failed = __real__cmocka_run_group_tests(name, chosen, number, setup, teardown);
	free(chosen);
	return failed;
}
