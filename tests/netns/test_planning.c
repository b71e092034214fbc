/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The real binary, and a plan that would take hours: a pattern whose search is quadratic, over one
 * long line. It is refused, and whoever does not want to wait is not kept.
 */
#include "tests/support/squall_runner.h"

#include "injector/base/cleanup.h"
#include "injector/kernel/proc.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LINE_BYTES (8 << 20)

static const char *write_plan(struct stage *stage)
{
	char *line = malloc(LINE_BYTES + 1), path[160];
	FILE *file;

	memset(line, 'a', LINE_BYTES);
	snprintf(path, sizeof(path), "%s", stage_write(stage, "long", "\n"));
	file = fopen(path, "we");
	assert_true(line && file && fwrite(line, 1, LINE_BYTES, file) == LINE_BYTES);
	fclose(file);
	free(line);
	return stage_write(
		stage, "long.yaml",
		"version: 1\n"
		"title: a plan without end\n"
		"limits: {duration: 60s, targets: 1}\n"
		"targets: {long: {file: {path: %s}}}\n"
		"method:\n"
		"  - {at: 0s, for: 1s, file: {target: long, pattern: \"a.*b\", with: c}}\n",
		path);
}

static pid_t find_worker(const struct squall *squall)
{
	for (unsigned tries = 0; tries < 200; tries++) {
		cleanup_free char *found =
			netlab_output("pgrep -P %d -x squall-worker", squall->pid);

		if (atoi(found) > 0)
			return atoi(found);
		pause_ms(20);
	}
	fail_msg("there is no worker");
	return 0;
}

/* It looks for the pattern: an ordinary process by then, that uses the processor. */
static void await_search(pid_t worker)
{
	struct proc_stat stat;

	for (unsigned tries = 0; tries < 400; tries++) {
		cleanup_free char *policy = netlab_output("chrt -p %d", worker);

		if (proc_read_stat(worker, &stat) == 0 && stat.state == 'R' &&
		    strstr(policy, "SCHED_OTHER"))
			return;
		pause_ms(20);
	}
	fail_msg("the worker does not search as an ordinary process");
}

static void test_it_has_an_end(void **state)
{
	struct stage *stage = *state;
	struct squall *squall = squall_start(stage, NULL, "run %s", write_plan(stage));
	pid_t worker = find_worker(squall);

	await_search(worker);
	/* the time of the processor counts: others may use most of it */
	for (unsigned i = 0; i < 10 && !process_await_gone(worker, 10000); i++)
		;
	squall_assert_refused(squall, "planning took more than 15 s of processor time");
	stage_assert_clean(stage);
}

static void test_an_interrupted_one_ends(void **state)
{
	struct stage *stage = *state;
	struct squall *squall = squall_start(stage, NULL, "plan %s", write_plan(stage));
	pid_t worker = find_worker(squall);

	await_search(worker);
	squall_signal(squall, SIGINT);
	squall_assert_refused(squall, "before anything was injected");
	/* by its guardian, which looks twice a second and has two seconds of patience */
	assert_true(process_await_gone(worker, is_emulated() ? 15000 : 4500));
	stage_assert_clean(stage);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_it_has_an_end),
		TEST(test_an_interrupted_one_ends),
	};

	if (geteuid() != 0) {
		fprintf(stderr, "skipped: needs root\n");
		return getenv("SQUALL_MUST_RUN") ? 1 : 77;
	}
	return STAGE_RUN(tests);
}
