/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The real binary: what is undone first. A process that is held still runs again, and every file is
 * as it was, before anybody waits for a command that reads a file again, whoever restores.
 */
#include "tests/support/children.h"
#include "tests/support/squall_runner.h"

#include "injector/base/cleanup.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Each of the two commands takes that long; what waits for none of them must be well before. */
#define TELLING_S   "4"
#define SOON_MS	    (is_emulated() ? 3500 : 1500)
#define PATIENCE_MS (is_emulated() ? 60000 : 20000)

static char files[2][160];

static bool are_files_good(void)
{
	for (unsigned i = 0; i < 2; i++) {
		cleanup_free char *text = netlab_output("cat %s", files[i]);

		if (strcmp(text, "good\n") != 0)
			return false;
	}
	return true;
}

/* Older: the process. Newer: two files, whose commands take their time. */
static struct squall *start_run(struct stage *stage)
{
	pid_t child = stage_child(stage);
	struct squall *squall;
	const char *path;

	for (unsigned i = 0; i < 2; i++) {
		char name[16];

		snprintf(name, sizeof(name), "file-%u", i);
		snprintf(files[i], sizeof(files[i]), "%s", stage_write(stage, name, "good\n"));
	}
	path = stage_write(stage, "order.yaml",
			   "version: 1\n"
			   "title: what is undone first\n"
			   "limits: {duration: 60s, targets: 3}\n"
			   "targets:\n"
			   "  child: {process: {pid: %d}}\n"
			   "  one: {file: {path: %s}}\n"
			   "  other: {file: {path: %s}}\n"
			   "method:\n"
			   "  - {at: 0s, for: 50s, process: {target: child, action: pause}}\n"
			   "  - {at: 0s, for: 50s, file: {target: one, content: bad,\n"
			   "     reload-command: [/bin/sleep, \"" TELLING_S "\"]}}\n"
			   "  - {at: 0s, for: 50s, file: {target: other, content: bad,\n"
			   "     reload-command: [/bin/sleep, \"" TELLING_S "\"]}}\n",
			   child, files[0], files[1]);
	squall = squall_start(stage, NULL, "run --json %s", path);
	squall_await_nth(squall, "injected", 3);
	squall_await_armed(squall);
	assert_false(child_counts());
	assert_false(are_files_good());
	return squall;
}

static void assert_soon(const char *who)
{
	int64_t start_ns = clock_now_ns(), until_ns = start_ns + SOON_MS * NSEC_PER_MSEC;
	bool runs = false, good = false;

	while ((!runs || !good) && clock_now_ns() < until_ns) {
		runs = runs || child_counts();
		good = are_files_good();
	}
	printf("# %s: %lld ms\n", who, (long long)((clock_now_ns() - start_ns) / NSEC_PER_MSEC));
	if (!runs)
		fail_msg("%s: the process is still held after %d ms", who, SOON_MS);
	if (!good)
		fail_msg("%s: a file is still bad after %d ms", who, SOON_MS);
}

static void test_by_the_worker(void **state)
{
	struct squall *squall = start_run(*state);

	squall_signal(squall, SIGINT);
	assert_soon("the worker");
	squall_assert_exit(squall, 4);
	stage_assert_clean(*state);
}

static void test_by_the_guardian(void **state)
{
	struct squall *squall = start_run(*state);

	assert_int_equal(kill(squall->worker, SIGKILL), 0);
	assert_soon("the guardian");
	squall_await_exit(squall);
	assert_true(process_await_gone(squall->guardian, PATIENCE_MS));
	stage_assert_clean(*state);
}

static void test_by_the_next_command(void **state)
{
	struct squall *squall = start_run(*state), *restore;

	assert_int_equal(kill(squall->guardian, SIGSTOP), 0);
	assert_int_equal(kill(squall->worker, SIGSTOP), 0);
	assert_int_equal(kill(squall->guardian, SIGKILL), 0);
	assert_int_equal(kill(squall->worker, SIGKILL), 0);
	squall_await_exit(squall);
	assert_false(child_counts());
	restore = squall_start(*state, NULL, "restore");
	assert_soon("squall restore");
	squall_assert_exit(restore, 0);
	stage_assert_clean(*state);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_by_the_worker),
		TEST(test_by_the_guardian),
		TEST(test_by_the_next_command),
	};

	if (geteuid() != 0) {
		fprintf(stderr, "skipped: needs root\n");
		return getenv("SQUALL_MUST_RUN") ? 1 : 77;
	}
	return STAGE_RUN(tests);
}
