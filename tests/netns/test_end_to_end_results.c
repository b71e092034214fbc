/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is known afterwards, when keeping it is made hard: the disk for results fills up in the
 * middle of a run, and the terminal goes away. The verdict and the restore do not depend on it.
 */
#include "tests/support/squall_runner.h"

#include "injector/base/cleanup.h"

#include <dirent.h>
#include <fcntl.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cmocka.h>

#define LIB_KIB 512

/* Its /var/lib becomes a disk of its own, for as long as the test lasts. */
static int mount_lib(void **state)
{
	char options[32];
	struct stage *stage;

	if (stage_setup(state) < 0)
		return -1;
	stage = *state;
	snprintf(options, sizeof(options), "mode=755,size=%dk", LIB_KIB);
	return mount("lib", stage_path(stage, "lib"), "tmpfs", 0, options);
}

static int unmount_lib(void **state)
{
	const struct stage *stage = *state;
	int result = umount2(stage_path(stage, "lib"), MNT_DETACH);

	return stage_teardown(state) < 0 ? -1 : result;
}

static void fill_lib(const struct stage *stage)
{
	static const char block[4096];
	cleanup_fd int fd =
		open(stage_path(stage, "lib/full"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	while (write(fd, block, sizeof(block)) > 0)
		;
}

/* One delay for a second, and so many probes, the first of which speaks for the hypothesis. */
static struct squall *start(struct stage *stage, unsigned probes)
{
	cleanup_free char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	fputs("version: 1\n"
	      "title: kept\n"
	      "limits: {duration: 60s, targets: 1}\n"
	      "allow-idle: true\n"
	      "targets: {far: {to: \"10.88.0.2:7001\"}}\n"
	      "method: [{at: 0s, for: 1s, network: {target: far, delay: 100ms}}]\n"
	      "probes:\n",
	      out);
	for (unsigned i = 0; i < probes; i++)
		fprintf(out, "  p%u: {tcp: \"10.88.0.2:7001\", every: %s, timeout: 50s}\n", i,
			i ? "2s" : "100ms");
	fputs("steady-state: {require: [p0], for: 100ms}\n", out);
	assert_int_equal(fclose(out), 0);
	return squall_start(stage, NULL, "run --json %s",
			    stage_write(stage, "kept.yaml", "%s", text));
}

/* Its room was reserved before anything was injected. */
static void test_disk_that_fills_up_during_the_run(void **state)
{
	struct stage *stage = *state;
	struct squall *squall = start(stage, 2);
	json_t *result;

	squall_await_injected(squall);
	fill_lib(stage);
	squall_assert_exit(squall, 0);
	result = stage_result(stage, squall->run_id);
	assert_string_equal(member_text(result, "verdict"), "held");
	json_decref(result);
	stage_assert_fast(stage, "10.88.0.2", NETLAB_PORT);
	stage_assert_reports(stage, "held", "every attempt passed");
	assert_int_equal(unlink(stage_path(stage, "lib/full")), 0);
	stage_assert_clean(stage);
}

/* Six hundred probes are more than was reserved: it is said that this result is not kept, and the
 * exit code tells the verdict all the same. */
static void test_result_that_finds_no_room(void **state)
{
	struct stage *stage = *state;
	struct squall *squall = start(stage, 600);

	squall_await_injected(squall);
	fill_lib(stage);
	squall_assert_exit(squall, 0);
	assert_true(squall_has_said(squall, "the result could not be stored in"));
	assert_true(squall_has_said(squall, "No space left on device"));
	assert_string_equal(member_text(squall_event(squall, "result"), "verdict"), "held");
	stage_assert_fast(stage, "10.88.0.2", NETLAB_PORT);
	assert_int_equal(unlink(stage_path(stage, "lib/full")), 0);
	stage_assert_clean(stage);
}

/* The only one there is. */
static json_t *the_result(const struct stage *stage)
{
	cleanup_dir DIR *dir = opendir(stage_path(stage, "lib/squall/results"));
	const struct dirent *entry;
	char id[RUN_ID_SIZE];

	assert_non_null(dir);
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.') {
			snprintf(id, sizeof(id), "%.6s", entry->d_name);
			return stage_result(stage, id);
		}
	fail_msg("there is no result");
	return NULL;
}

/* Nobody sees the summary: what it would have said is kept. */
static void test_terminal_that_went_away_is_in_the_result(void **state)
{
	struct stage *stage = *state;
	struct squall_how how = {0};
	struct squall *squall;
	json_t *result;
	int master;

	assert_int_equal(openpty(&master, &how.terminal, NULL, NULL, NULL), 0);
	fcntl(master, F_SETFD, FD_CLOEXEC);
	squall = squall_start(stage, &how, "inject network to=10.88.0.2:7001 delay=100ms for=30s");
	close(how.terminal);
	/* again and again: a slow machine may hold a packet once */
	for (unsigned tries = 0, in_row = 0; in_row < 4; tries++) {
		int64_t took_ns = netlab_round_trip(stage->lab, "10.88.0.2", NETLAB_PORT, 1000);

		in_row = took_ns < 100 * NSEC_PER_MSEC ? 0 : in_row + 1;
		assert_true(tries < 100000);
	}
	close(master);
	squall_assert_exit(squall, 4);
	result = the_result(stage);
	assert_string_equal(member_text(result, "verdict"), "interrupted");
	if (!strstr(member_text(result, "why"), "SIGHUP"))
		fail_msg("'%s' does not say why", member_text(result, "why"));
	json_decref(result);
	stage_assert_reports(stage, "interrupted", "SIGHUP");
	stage_assert_clean(stage);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, mount_lib, unmount_lib)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_disk_that_fills_up_during_the_run),
		TEST(test_result_that_finds_no_room),
		TEST(test_terminal_that_went_away_is_in_the_result),
	};

	return STAGE_RUN(tests);
}
