/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The file for the textfile collector: what it says while a fault is in force and afterwards, and
 * who may have it written where.
 */
#include "tests/support/squall_runner.h"

#include "injector/base/cleanup.h"

#include <dirent.h>
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

static struct squall *start_held(struct stage *stage)
{
	struct squall *squall =
		squall_start(stage, NULL, "run --json --metrics %s %s",
			     stage_path(stage, "squall.prom"), experiment(stage, "50s"));

	squall_await_injected(squall);
	await_line(stage, "text=\"delay 100ms to 10.88.0.2:7001\"} 1\n");
	return squall;
}

/* What is said of a run that could not say it itself; what it has said of probes stays. */
static void assert_set_right(const struct stage *stage)
{
	static const char *const lines[] = {
		"\nsquall_run_active 0\n",
		"\nsquall_run_died 1\n",
		"text=\"delay 100ms to 10.88.0.2:7001\"} 0\n",
		"\nsquall_restored 1\n",
		"squall_run_phase{phase=\"method\"} 0\n",
		"\nsquall_fault_injections_total{step=\"1\",fault=\"network\",text=\"delay 100ms "
		"to "
		"10.88.0.2:7001\"} 1\n",
		"squall_probe_attempts_total{probe=\"far\",result=\"fail\"} "};
	cleanup_free char *text = NULL;

	await_line(stage, lines[0]);
	text = read_metrics(stage);
	for (unsigned i = 0; i < sizeof(lines) / sizeof(*lines); i++)
		if (!strstr(text, lines[i]))
			fail_msg("'%s' is not in:\n%s", lines[i], text);
	assert_int_not_equal(access(stage_path(stage, ".squall.prom.squall"), F_OK), 0);
}

/* The writer is none of those that hold the fault: it sees the end of the run, and says so. */
static void test_a_killed_conductor(void **state)
{
	struct stage *stage = *state;
	struct squall *squall = start_held(stage);

	squall_signal(squall, SIGKILL);
	squall_assert_exit(squall, 128 + SIGKILL);
	assert_set_right(stage);
	stage_assert_clean(stage);
}

/* All processes of the run: it leads a group, its worker and its guardian have sessions. */
static void kill_all(struct squall *squall)
{
	pid_t all[] = {-squall->pid, squall->guardian, squall->worker};

	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(kill(all[i], SIGSTOP), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(kill(all[i], SIGKILL), 0);
	squall_assert_exit(squall, 128 + SIGKILL);
	assert_true(process_await_gone(squall->worker, STAGE_WAIT_MS));
	assert_true(process_await_gone(squall->guardian, STAGE_WAIT_MS));
}

static unsigned count_notes(const struct stage *stage)
{
	cleanup_dir DIR *dir = opendir(stage_path(stage, "lib/squall/metrics"));
	const struct dirent *entry;
	unsigned count = 0;

	while (dir && (entry = readdir(dir)))
		count += entry->d_name[0] != '.';
	return count;
}

static void test_all_are_killed_then_restore(void **state)
{
	struct stage *stage = *state;
	cleanup_free char *after = NULL;

	kill_all(start_held(stage));
	after = read_metrics(stage);
	assert_non_null(strstr(after, "\nsquall_run_active 1\n"));
	assert_int_equal(count_notes(stage), 1);
	assert_int_equal(squall_call(stage, NULL, "restore"), 0);
	assert_set_right(stage);
	assert_int_equal(count_notes(stage), 0);
	stage_assert_clean(stage);
}

/* Whoever may write in the folder must not have root write elsewhere. */
static void test_a_link_in_its_place_is_not_followed(void **state)
{
	static const char content[] = "#\nsquall_run_info{run=\"abc\"} 1\nsquall_run_active 1\n";
	struct stage *stage = *state;
	cleanup_free char *path = strdup(stage_path(stage, "squall.prom")), *text = NULL;
	struct stat about;

	assert_non_null(path);
	kill_all(start_held(stage));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink(stage_write(stage, "victim", "%s", content), path), 0);
	assert_int_equal(squall_call(stage, NULL, "restore"), 0);
	assert_true(lstat(path, &about) == 0 && S_ISLNK(about.st_mode));
	text = read_metrics(stage);
	assert_string_equal(text, content);
	stage_assert_clean(stage);
}

/* Nobody waits for it there, and nobody has to. */
static void test_all_are_killed_then_the_next_run(void **state)
{
	struct stage *stage = *state;

	kill_all(start_held(stage));
	assert_int_equal(
		squall_call(stage, NULL,
			    "inject --quiet network to=10.88.0.3:7001 delay=1ms for=100ms"),
		0);
	assert_set_right(stage);
	stage_assert_clean(stage);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_what_happens_is_in_the_file),
		TEST(test_a_folder_that_the_caller_may_not_write),
		TEST(test_a_killed_conductor),
		TEST(test_all_are_killed_then_restore),
		TEST(test_all_are_killed_then_the_next_run),
		TEST(test_a_link_in_its_place_is_not_followed),
	};

	return STAGE_RUN(tests);
}
