/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A worker that hangs in the kernel, where not even SIGKILL reaches it: its disk hangs. Whoever
 * waits for it says so after a few seconds, with the right exit code, and leaves the rest to those
 * who come when the disk works again.
 */
#include "tests/support/frozen_disk.h"
#include "tests/support/squall_runner.h"

#include "injector/base/cleanup.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The guardian's eight seconds of silence, five for a death, some for the undo */
#define TOLD_MS	    (is_emulated() ? 90000 : 40000)
#define PATIENCE_MS (is_emulated() ? 60000 : 20000)

static char disk[96], file[128];

static int tear_down(void **state)
{
	frozen_disk_remove(disk);
	return stage_teardown(state);
}

static void make_disk(struct stage *stage)
{
	char why[160];

	snprintf(disk, sizeof(disk), "%s", stage_path(stage, "disk"));
	if (!frozen_disk_make(disk, why, sizeof(why)))
		stage_skip(why);
	snprintf(file, sizeof(file), "%s", stage_write(stage, "disk/app.conf", "good\n"));
}

static bool is_file(const char *content)
{
	cleanup_free char *text = netlab_output("cat %s", file);

	return strcmp(text, content) == 0;
}

/* The worker is about to put the file back, and comes to a disk that hangs. */
static struct squall *run_to_the_frozen_disk(struct stage *stage)
{
	struct squall *squall;

	make_disk(stage);
	squall = squall_start(stage, NULL, "inject file path=%s content=bad for=1s --json", file);
	squall_await_injected(squall);
	assert_true(is_file("bad\n"));
	frozen_disk_freeze(disk);
	assert_true(frozen_disk_await_sleep(squall->worker));
	return squall;
}

static void assert_told(struct squall *squall, const char *words)
{
	const int64_t until_ns = clock_now_ns() + TOLD_MS * NSEC_PER_MSEC;

	while (!squall_event(squall, "result") && clock_now_ns() < until_ns)
		pause_ms(50);
	squall_assert_exit(squall, 6);
	assert_true(squall_has_said(squall, "hangs in the kernel"));
	assert_true(squall_has_said(squall, words));
}

static void assert_restored(struct stage *stage, const struct squall *squall)
{
	assert_true(process_await_gone(squall->worker, PATIENCE_MS));
	assert_true(process_await_gone(squall->guardian, PATIENCE_MS));
	assert_int_equal(squall_call(stage, NULL, "restore"), 0);
	assert_true(is_file("good\n"));
	stage_assert_clean(stage);
}

/* It is killed by its guardian, who then hangs at the same disk. */
static void test_who_waits_for_a_killed_worker_gives_up(void **state)
{
	struct squall *squall = run_to_the_frozen_disk(*state), *restore, *next;

	assert_told(squall, "when it has gone, run: squall restore");
	restore = squall_start(*state, NULL, "restore");
	squall_assert_exit(restore, 6);
	assert_true(squall_has_said(restore, "was killed, but hangs in the kernel; when it has "
					     "gone, run: squall restore"));
	next = squall_start(*state, NULL, "inject network to=10.88.0.2:7001 delay=100ms for=1s");
	squall_assert_refused(next, "an earlier run has left something");
	frozen_disk_thaw();
	assert_restored(*state, squall);
}

/* Nobody is left who would kill it. It ends what it has begun when the disk lets it go. */
static void test_who_waits_for_a_worker_without_a_guardian_gives_up(void **state)
{
	struct squall *squall = run_to_the_frozen_disk(*state);

	assert_int_equal(kill(squall->guardian, SIGKILL), 0);
	assert_told(squall, "run: squall restore");
	frozen_disk_thaw();
	assert_restored(*state, squall);
}

/* It does not obey, and is killed; its guardian is at it. */
static void test_a_halt_does_not_wait_for_ever(void **state)
{
	struct squall *squall = run_to_the_frozen_disk(*state), *halt;

	halt = squall_start(*state, NULL, "halt --reason disk");
	squall_assert_exit(halt, 6);
	assert_true(squall_has_said(halt, "hangs in the kernel"));
	assert_told(squall, "run: squall restore");
	frozen_disk_thaw();
	assert_int_equal(squall_call(*state, NULL, "resume"), 0);
	assert_restored(*state, squall);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_who_waits_for_a_killed_worker_gives_up),
		TEST(test_who_waits_for_a_worker_without_a_guardian_gives_up),
		TEST(test_a_halt_does_not_wait_for_ever),
	};

	return STAGE_RUN(tests);
}
