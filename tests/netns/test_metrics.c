/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The file for the textfile collector: what it says while a fault is in force and afterwards, and
 * who may have it written where.
 */
#include "tests/support/squall_runner.h"

#include "injector/base/cleanup.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const char *experiment(const struct stage *stage, const char *lasts)
{
	return stage_write(stage, "metrics.yaml",
			   "version: 1\n"
			   "title: \"a \\\"quoted\\\" \\\\ title\"\n"
			   "limits: {duration: 60s, targets: 1}\n"
			   "allow-idle: true\n"
			   "targets: {far: {to: \"10.88.0.2:7001\"}}\n"
			   "probes: {far: {tcp: \"10.88.0.2:7001\", every: 100ms, timeout: 8s}}\n"
			   "method: [{at: 0s, for: %s, network: {target: far, delay: 100ms}}]\n",
			   lasts);
}

static char *read_metrics(const struct stage *stage)
{
	FILE *file = fopen(stage_path(stage, "squall.prom"), "re");
	char *text = calloc(1, 65536);

	assert_non_null(text);
	if (file) {
		text[fread(text, 1, 65535, file)] = '\0';
		fclose(file);
	}
	return text;
}

static void await_line(const struct stage *stage, const char *line)
{
	int64_t until_ns = clock_now_ns() + STAGE_WAIT_MS * NSEC_PER_MSEC;

	for (;;) {
		cleanup_free char *text = read_metrics(stage);

		if (strstr(text, line))
			return;
		if (clock_now_ns() > until_ns)
			fail_msg("'%s' does not come: %s", line, text);
		pause_ms(20);
	}
}

static void test_what_happens_is_in_the_file(void **state)
{
	static const char *const at_the_end[] = {
		"squall_run_info{run=\"",
		"title=\"a \\\"quoted\\\" \\\\ title\"} 1",
		"squall_run_active 0\n",
		"squall_run_exit_code 4\n",
		"squall_fault_active{step=\"1\",fault=\"network\",text=\"delay 100ms",
		"\"} 0\n",
		"squall_restored 1\n",
		"squall_stop_latency_seconds 0.",
		"squall_probe_up{probe=\"far\"} ",
		"squall_probe_attempts_total{probe=\"far\",result=\"pass\"} "};
	struct stage *stage = *state;
	cleanup_free char *text = NULL;
	struct squall *squall =
		squall_start(stage, NULL, "run --json --metrics %s %s",
			     stage_path(stage, "squall.prom"), experiment(stage, "50s"));

	squall_await_injected(squall);
	await_line(stage, "text=\"delay 100ms to 10.88.0.2:7001\"} 1\n");
	await_line(stage, "squall_restored 0\n");
	await_line(stage, "squall_run_active 1\n");
	squall_signal(squall, SIGINT);
	squall_assert_exit(squall, 4);
	text = read_metrics(stage);
	for (unsigned i = 0; i < sizeof(at_the_end) / sizeof(*at_the_end); i++)
		if (!strstr(text, at_the_end[i]))
			fail_msg("'%s' is not in:\n%s", at_the_end[i], text);
	assert_int_not_equal(access(stage_path(stage, ".squall.prom.squall"), F_OK), 0);
	stage_assert_clean(stage);
}

/* sudo for squall is no sudo for writing files. */
static void test_a_folder_that_the_caller_may_not_write(void **state)
{
	static const char *const daemon_user[] = {"SUDO_UID=1", "SUDO_GID=1", NULL};
	static const struct squall_how by_sudo = {.extra = daemon_user};
	struct stage *stage = *state;
	const char *path = experiment(stage, "1s");
	struct squall *squall;

	chmod(stage->folder, 0755);
	squall = squall_start(stage, &by_sudo, "run --json --metrics %s %s",
			      stage_path(stage, "squall.prom"), path);
	squall_assert_exit(squall, 2);
	assert_true(squall_has_said(squall, "cannot write in"));
	squall = squall_start(stage, NULL, "run --metrics squall.prom %s", path);
	squall_assert_exit(squall, 2);
	assert_true(squall_has_said(squall, "absolute path"));
	stage_assert_clean(stage);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_what_happens_is_in_the_file),
		TEST(test_a_folder_that_the_caller_may_not_write),
	};

	return STAGE_RUN(tests);
}
