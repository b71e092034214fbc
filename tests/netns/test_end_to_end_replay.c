/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The real binary, again: the same seed makes the same choices, a replay runs what a result was
 * made from, a diff tells them apart; secrets are in none of it, and a window is kept.
 */
#include "tests/support/squall_runner.h"

#include "injector/base/cleanup.h"
#include "tests/support/children.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define CHILDREN 5
#define SECRET	 "hunter2-but-longer"

/* The process that a plan with that seed has chosen. */
static char *choice(struct stage *stage, const char *path, int seed)
{
	struct squall *squall = squall_start(stage, NULL, "plan --json --seed %d %s", seed, path);
	cleanup_free char *said = NULL;
	char *chosen;

	squall_assert_exit(squall, 0);
	said = squall_output(squall);
	chosen = strstr(said, "\"text\":\"process ");
	assert_non_null(chosen);
	return strndup(chosen, strcspn(chosen, "\n"));
}

static void test_the_same_seed_makes_the_same_choice(void **state)
{
	struct stage *stage = *state;
	char pids[128] = "", *first;
	pid_t children[CHILDREN];
	bool any_other = false;
	const char *path;

	for (int i = 0; i < CHILDREN; i++) {
		children[i] = child_start(CHILD_SLEEPS, NULL);
		snprintf(pids + strlen(pids), sizeof(pids) - strlen(pids), "%s%d", i ? ", " : "",
			 (int)children[i]);
	}
	path = stage_write(
		stage, "choice.yaml",
		"version: 1\ntitle: t\nlimits: {duration: 9s, targets: 1}\n"
		"method: [{for: 100ms, process: {pid: [%s], count: 1, action: pause}}]\n",
		pids);
	first = choice(stage, path, 1);
	for (int seed = 1; seed <= 12; seed++) {
		cleanup_free char *once = choice(stage, path, seed);
		cleanup_free char *again = choice(stage, path, seed);

		assert_string_equal(once, again);
		any_other |= strcmp(once, first) != 0;
		if (any_other && seed > 2)
			break;
	}
	assert_true(any_other);
	free(first);
	for (int i = 0; i < CHILDREN; i++)
		child_stop(children[i]);
	stage_assert_clean(stage);
}

static const char *write_files(const struct stage *stage)
{
	stage_write(stage, "token", SECRET "\n");
	stage_write(stage, "shared.yaml",
		    "variables: {port: 7001, token: {from-file: token, secret: true}}\n"
		    "targets: {far: {to: \"10.88.0.2:${port}\"}}\n");
	return stage_write(stage, "again.yaml",
			   "version: 1\n"
			   "title: again\n"
			   "include: shared.yaml\n"
			   "allow-idle: true\n"
			   "limits: {duration: 9s, targets: 1}\n"
			   "method: [{for: 300ms, network: {target: far, loss: 100%%}}]\n");
}

static bool holds(const char *path, const char *text)
{
	cleanup_file FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t size = 0;
	bool found = false;

	while (file && !found && getdelim(&line, &size, '\0', file) > 0)
		found = strstr(line, text) != NULL;
	free(line);
	return found;
}

/* Command lines and environments of all processes, while it runs. */
static bool is_seen_by_others(const char *text)
{
	cleanup_dir DIR *processes = opendir("/proc");
	struct dirent *entry;
	char path[300];

	assert_non_null(processes);
	while ((entry = readdir(processes))) {
		snprintf(path, sizeof(path), "/proc/%s/cmdline", entry->d_name);
		if (holds(path, text))
			return true;
		snprintf(path, sizeof(path), "/proc/%s/environ", entry->d_name);
		if (holds(path, text))
			return true;
	}
	return false;
}

static void test_a_replay_runs_the_same_again(void **state)
{
	struct stage *stage = *state;
	const char *path = write_files(stage);
	struct squall *first = squall_start(stage, NULL, "run --json --seed 77 --set port=7002 %s",
					    path),
		      *second;
	char id[RUN_ID_SIZE];
	json_t *results[2];
	cleanup_free char *said = NULL, *stored = NULL;

	squall_await_injected(first);
	assert_int_equal(netlab_answers(stage->lab, "10.88.0.2", NETLAB_OTHER_PORT, 5), 0);
	assert_false(is_seen_by_others(SECRET));
	squall_assert_exit(first, 0);
	memcpy(id, first->run_id, sizeof(id));
	/* the files may be gone, all but the secret's */
	unlink(path);
	unlink(stage_path(stage, "shared.yaml"));
	second = squall_start(stage, NULL, "replay --json %s", id);
	squall_await_injected(second);
	assert_int_equal(netlab_answers(stage->lab, "10.88.0.2", NETLAB_OTHER_PORT, 5), 0);
	assert_false(is_seen_by_others(SECRET));
	squall_assert_exit(second, 0);
	results[0] = stage_result(stage, id);
	results[1] = stage_result(stage, second->run_id);
	assert_int_equal(member_number(results[0], "seed"), 77);
	assert_int_equal(member_number(results[1], "seed"), 77);
	assert_true(
		json_equal(json_object_get(json_object_get(results[0], "experiment"), "sources"),
			   json_object_get(json_object_get(results[1], "experiment"), "sources")));
	stored = json_dumps(results[1], 0);
	said = squall_output(second);
	assert_null(strstr(stored, SECRET));
	assert_null(strstr(said, SECRET));
	json_decref(results[0]);
	json_decref(results[1]);

	second = squall_start(stage, NULL, "diff %s last", id);
	squall_assert_exit(second, 0);
	assert_true(squall_has_said(second, "variable token"));
	assert_false(squall_has_said(second, SECRET));
	stage_assert_clean(stage);
}

static void test_one_fault_in_words_is_said_again(void **state)
{
	struct stage *stage = *state;
	struct squall *squall;

	assert_int_equal(
		squall_call(stage, NULL, "inject --quiet network to=10.88.0.2 loss=1%% for=100ms"),
		0);
	squall = squall_start(stage, NULL, "replay last");
	squall_assert_exit(squall, 2);
	assert_true(
		squall_has_said(squall, "squall inject network to=10.88.0.2 loss=1% for=100ms"));
	stage_assert_clean(stage);
}

static void test_outside_of_its_window_nothing_runs(void **state)
{
	struct stage *stage = *state;
	time_t later = time(NULL) + 2 * 3600;
	struct tm hour;
	struct squall *squall;
	const char *path;

	gmtime_r(&later, &hour);
	path = stage_write(stage, "window.yaml",
			   "version: 1\ntitle: t\n"
			   "limits: {duration: 9s, targets: 1,"
			   " window: \"%02d:00-%02d:30 UTC\"}\n"
			   "method: [{for: 100ms, network: {to: 10.88.0.2, loss: 1%%}}]\n",
			   hour.tm_hour, hour.tm_hour);
	squall = squall_start(stage, NULL, "run %s", path);
	squall_assert_exit(squall, 2);
	assert_true(squall_has_said(squall, "outside of limits.window"));
	assert_true(squall_has_said(squall, "opens next: "));
	assert_int_equal(squall_call(stage, NULL, "plan %s", path), 0);
	stage_assert_clean(stage);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_the_same_seed_makes_the_same_choice),
		TEST(test_a_replay_runs_the_same_again),
		TEST(test_one_fault_in_words_is_said_again),
		TEST(test_outside_of_its_window_nothing_runs),
	};

	children_init();
	return STAGE_RUN(tests);
}
