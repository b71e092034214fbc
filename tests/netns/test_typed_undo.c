/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the sweep says of commands that it types: of a line of several, each must be there.
 */
#include "tests/sweep/typed_undo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct scene scene;

static int set_up(void **state)
{
	(void)state;
	return netlab_setup((void **)&scene.lab);
}

static int tear_down(void **state)
{
	(void)state;
	return netlab_teardown((void **)&scene.lab);
}

/* `expected`: a part of what is wrong; NULL: nothing is. */
static void assert_wrong(const char *lines, bool is_all, unsigned typed, const char *expected)
{
	char text[1024], wrong[512];
	unsigned count = 0;

	snprintf(text, sizeof(text), "%s", lines);
	assert_int_equal(typed_undo(&scene, text, &count, wrong, sizeof(wrong)), is_all);
	if (expected ? !strstr(wrong, expected) : wrong[0] != '\0')
		fail_msg("%s: wrong: '%s'", lines, wrong);
	assert_int_equal(count, typed);
}

static void test_what_is_there_is_typed(void **state)
{
	(void)state;
	assert_wrong("all is well\n", false, 0, NULL);
	assert_wrong("left: a: echo 0 > /run/made\nleft: b: mv -T /run/made /run/moved && rm -f "
		     "/run/none; undoing it failed: nope\n",
		     true, 2, NULL);
	assert_int_equal(access("/run/made", F_OK), -1);
	assert_int_equal(unlink("/run/moved"), 0);
	/* it has failed, and is there */
	assert_wrong("left: a: mv -T /run/none /run/other && rm -f /run/x\n", true, 1, NULL);
	assert_wrong("left: a: umount -i -l -N 1 /run/none\n", true, 1, NULL);
	assert_wrong("left: a: echo\nleft: b: cannot lock run abcdef: I/O error; run: squall "
		     "restore\n",
		     false, 1, NULL);
	/* it is written nowhere why that should be all */
	assert_wrong("left: b: I/O error; run: squall restore\n", false, 0, "I/O error");
}

static void test_each_part_that_is_not_there_is_told(void **state)
{
	static const char *const cases[] = {
		"left: a: rm -f /run/x; nopecmd 1; echo\n",
		"left: a: kill -0 1 && nopecmd 1\n",
		/* the one before fails: it is not run, and looked for */
		"left: a: rm /run/none && nopecmd 1\n",
		"left: a: kill -0 \"$(nopecmd 1)\"; echo\n",
		"left: a: setpriv --clear-groups nopecmd; echo\n",
		"left: a: nsenter --net=/proc/1/ns/net nopecmd; echo\n",
		/* the shell is told nothing else than 1 */
		"left: a: ip netns exec @NEAR@ nopecmd; echo\n",
		"left: a: echo 'nopecmd\n",
		"left: a: nopecmd 1\n",
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *name = strstr(cases[i], "@NEAR@");
		char line[256];

		snprintf(line, sizeof(line), "%s", cases[i]);
		if (name)
			snprintf(line, sizeof(line), "%.*s%s%s", (int)(name - cases[i]), cases[i],
				 scene.lab->near, name + strlen("@NEAR@"));
		assert_wrong(line, strstr(line, ": nopecmd") == NULL,
			     strstr(line, ": nopecmd") == NULL, "nopecmd");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_there_is_typed),
		cmocka_unit_test(test_each_part_that_is_not_there_is_told),
	};

	if (geteuid() != 0) {
		fprintf(stderr, "skipped: needs root\n");
		return getenv("SQUALL_MUST_RUN") ? 1 : 77;
	}
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
