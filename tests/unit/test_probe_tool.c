/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The probes `unit` and `journal` with a systemctl and a journalctl that say what the test wants;
 * with the real ones they are tried in the test machine.
 */
#include "tests/support/probe_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FOLDER "/usr/local/sbin" /* the first one that is looked into */

static void write_tool(const char *name, const char *script)
{
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), FOLDER "/%s", name);
	file = fopen(path, "we");
	assert_non_null(file);
	fprintf(file, "#!/bin/sh\n%s\n", script);
	fclose(file);
	assert_int_equal(chmod(path, 0755), 0);
}

static int make_tools(void **state)
{
	(void)state;
	if (geteuid() != 0)
		return 0;
	return unshare(CLONE_NEWNS) < 0 || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	       mount("test", FOLDER, "tmpfs", 0, "mode=755") < 0;
}

static void need_root(void)
{
	if (geteuid() != 0)
		fixture_skip("only root can put another systemctl in the way of this one");
}

#define SHOW(load, active, sub, restarts)                                                          \
	"printf '%s\\n' NRestarts=" #restarts " LoadState=" load " ActiveState=" active            \
	" SubState=" sub

static void test_unit_states(void **state)
{
	(void)state;
	need_root();
	write_tool("systemctl", SHOW("loaded", "active", "running", 7));
	expect_sample("unit", "nginx.service", KEYS(NULL), PROBE_PASS, "active (running)");
	expect_sample("unit", "nginx.service", KEYS("expect.state=inactive"), PROBE_FAIL,
		      "it is active (running)");
	/* what was restarted before the run is none of its business */
	expect_sample("unit", "nginx.service", KEYS("expect.restarts=0"), PROBE_PASS, "active");
	write_tool("systemctl", SHOW("loaded", "failed", "failed", 0));
	expect_sample("unit", "nginx.service", KEYS(NULL), PROBE_FAIL, "it is failed (failed)");
	expect_sample("unit", "nginx.service", KEYS("expect.state=failed"), PROBE_PASS, "failed");
	write_tool("systemctl", SHOW("not-found", "inactive", "dead", 0));
	expect_sample("unit", "nginx.service", KEYS(NULL), PROBE_UNKNOWN, "the unit is not-found");
	write_tool("systemctl", "echo Failed to connect to bus; exit 1");
	expect_sample("unit", "nginx.service", KEYS(NULL), PROBE_UNKNOWN,
		      "systemctl ended with exit code 1: Failed to connect to bus");
	write_tool("systemctl", "printf 'garbage\\n\\001='");
	expect_sample("unit", "nginx.service", KEYS(NULL), PROBE_UNKNOWN, "not known");
}

static void test_restarts_are_counted_from_the_first_attempt(void **state)
{
	struct fixture *fixture;
	struct error err = ERROR_INIT;
	char script[300];

	(void)state;
	need_root();
	snprintf(script, sizeof(script),
		 "echo x >>" FOLDER "/count\n"
		 "printf '%%s\\n' LoadState=loaded ActiveState=active SubState=running "
		 "NRestarts=$((4 + $(wc -l <" FOLDER "/count)))");
	write_tool("systemctl", script);
	fixture = fixture_new();
	assert_int_equal(fixture_add(fixture, "unit", "a.service", &err, "every=50ms",
				     "expect.restarts=< 2", NULL),
			 0);
	fixture_open(fixture);
	fixture_run(fixture, 3, 20000000000LL);
	assert_int_equal(fixture->sample_count, 3);
	assert_int_equal(fixture->samples[0].sample.result, PROBE_PASS);
	assert_int_equal(fixture->samples[1].sample.result, PROBE_PASS);
	assert_int_equal(fixture->samples[2].sample.result, PROBE_FAIL);
	assert_string_equal(fixture->samples[2].sample.reason, "restarted 2 times, expected < 2");
	fixture_free(fixture);
}

static void test_a_name_is_one_unit(void **state)
{
	(void)state;
	expect_checked("unit", "nginx.service", KEYS(NULL), NULL);
	expect_checked("unit", "--host=example.org", KEYS(NULL), "not the name of one unit");
	expect_checked("unit", "*.service", KEYS(NULL), "not the name of one unit");
	expect_checked("journal", "-f", KEYS("pattern=x"), "not the name of a unit");
}

/* Nothing new at first; then two messages, one of two lines; then the same ones again. */
static void test_messages_are_counted_once(void **state)
{
	struct fixture *fixture;
	struct error err = ERROR_INIT;
	char script[600];
	long now = time(NULL);

	(void)state;
	need_root();
	snprintf(script, sizeof(script),
		 "echo x >>" FOLDER "/asked\n"
		 "[ $(wc -l <" FOLDER "/asked) = 1 ] || printf '%%s\\n' "
		 "'%ld.5 nginx[12]: error: late' '%ld.25 nginx[12]: error: two' ' lines'\n"
		 "printf '%%s\\n%%s' '%ld.000001 nginx[12]: error: before' '%ld.0 no end'",
		 now + 9, now + 9, now - 100, now + 8);
	write_tool("journalctl", script);
	fixture = fixture_new();
	assert_int_equal(fixture_add(fixture, "journal", "nginx.service", &err, "every=50ms",
				     "pattern=error", "expect.count=< 2", NULL),
			 0);
	fixture_open(fixture);
	fixture_run(fixture, 3, 20000000000LL);
	assert_int_equal(fixture->sample_count, 3);
	assert_int_equal((int)fixture->samples[0].sample.value, 0);
	assert_int_equal((int)fixture->samples[1].sample.value, 2);
	assert_string_equal(fixture->samples[1].sample.reason,
			    "2 new messages match, expected < 2: error: late");
	assert_int_equal((int)fixture->samples[2].sample.value, 0);
	fixture_free(fixture);
}

/* journalctl --grep ends with 1 when nothing matches, and with 1 and a message when it fails. */
static void test_no_match_is_an_answer(void **state)
{
	struct fixture *fixture;
	struct error err = ERROR_INIT;

	(void)state;
	need_root();
	write_tool("journalctl", "echo x >>" FOLDER "/matched\n"
				 "[ $(wc -l <" FOLDER "/matched) = 1 ] || echo 'No access' >&2\n"
				 "exit 1\n");
	fixture = fixture_new();
	assert_int_equal(fixture_add(fixture, "journal", "nginx.service", &err, "every=50ms",
				     "pattern=error", NULL),
			 0);
	fixture_open(fixture);
	fixture_run(fixture, 2, 20000000000LL);
	assert_int_equal(fixture->sample_count, 2);
	assert_int_equal(fixture->samples[0].sample.result, PROBE_PASS);
	assert_int_equal(fixture->samples[1].sample.result, PROBE_UNKNOWN);
	assert_string_equal(fixture->samples[1].sample.reason,
			    "journalctl ended with exit code 1: No access");
	fixture_free(fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unit_states),
		cmocka_unit_test(test_restarts_are_counted_from_the_first_attempt),
		cmocka_unit_test(test_a_name_is_one_unit),
		cmocka_unit_test(test_messages_are_counted_once),
		cmocka_unit_test(test_no_match_is_an_answer),
	};

	return cmocka_run_group_tests(tests, make_tools, NULL);
}
