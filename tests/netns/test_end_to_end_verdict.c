/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The real binary from its plan to its verdict: held, failed for each reason, not steady; and the
 * result that it stores for the user who called it.
 */
#include "tests/support/squall_runner.h"

#include "injector/base/cleanup.h"
#include "injector/run/result_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const char *const daemon_user[] = {"SUDO_UID=1", "SUDO_GID=1", NULL};
static const struct squall_how by_sudo = {.extra = daemon_user};

/* One delay of 100 ms for 600 ms. */
static struct squall *run(struct stage *stage, const struct squall_how *how, const char *to,
			  const char *rest)
{
	const char *path =
		stage_write(stage, "verdict.yaml",
			    "version: 1\n"
			    "title: \"a verdict, \\\"quoted\\\" & more\"\n"
			    "hypothesis: it holds\n"
			    "limits: {duration: 20s, targets: 1}\n"
			    "targets: {far: {to: \"%s\"}}\n"
			    "method: [{at: 0s, for: 600ms, network: {target: far, delay: 100ms}}]\n"
			    "%s",
			    to, rest);

	return squall_start(stage, how, "run --json %s", path);
}

static json_t *result_of(struct squall *squall)
{
	return stage_result(squall->stage, member_text(squall_event(squall, "armed"), "run"));
}

static void assert_verdict(struct squall *squall, int code, const char *verdict, const char *why)
{
	json_t *result;

	squall_assert_exit(squall, code);
	result = result_of(squall);
	printf("# %s: %s\n", member_text(result, "verdict"), member_text(result, "why"));
	assert_string_equal(member_text(result, "verdict"), verdict);
	assert_int_equal(member_number(result, "exit_code"), code);
	if (!strstr(member_text(result, "why"), why))
		fail_msg("'%s' is not said by: %s", why, member_text(result, "why"));
	json_decref(result);
	if (code != 5) /* else there was nothing to restore */
		stage_assert_reports(squall->stage, verdict, why);
	stage_assert_fast(squall->stage, "10.88.0.2", NETLAB_PORT);
	stage_assert_clean(squall->stage);
}

#define TCP_PROBE(latency)                                                                         \
	"probes:\n  far: {tcp: \"10.88.0.2:7001\", every: 50ms, timeout: 8s, expect: {latency: "   \
	"\"< " latency "\"}}\n"

static void test_held(void **state)
{
	struct stage *stage = *state;
	struct squall *squall = run(stage, &by_sudo, "10.88.0.2:7001",
				    TCP_PROBE("5s") "steady-state: {require: [far], for: 200ms}\n"
						    "recovery: {require: [far], within: 5s}\n");

	assert_verdict(squall, 0, "held", "every attempt passed");
}

static void test_deviation(void **state)
{
	struct stage *stage = *state;
	struct squall *squall = run(stage, NULL, "10.88.0.2:7001", TCP_PROBE("70ms"));

	assert_verdict(squall, 1, "failed", "probe far failed");
}

static void test_fault_that_hits_nothing(void **state)
{
	struct stage *stage = *state;
	struct squall *squall = run(stage, NULL, "10.88.0.2:7009", TCP_PROBE("5s"));

	assert_verdict(squall, 1, "failed", "did not bite");
	squall = run(stage, NULL, "10.88.0.2:7009", TCP_PROBE("5s") "allow-idle: true\n");
	assert_verdict(squall, 0, "held", "every attempt passed");
}

/* A probe that passes while the file is there. */
static const char *file_probe(const struct stage *stage, const char *within)
{
	static char text[512];

	snprintf(text, sizeof(text),
		 "allow-idle: true\n"
		 "probes:\n"
		 "  well: {command: [/usr/bin/test, -e, %s], every: 100ms, timeout: 8s}\n"
		 "steady-state: {require: [well], for: 200ms}\n"
		 "recovery: {require: [well], within: %s, hold: 100ms}\n",
		 stage_path(stage, "well"), within);
	return text;
}

static void test_recovery_that_comes_too_late(void **state)
{
	struct stage *stage = *state;
	struct squall *squall;
	json_t *result;

	stage_write(stage, "well", "yes");
	squall = run(stage, NULL, "10.88.0.2:7001", file_probe(stage, "1s"));
	squall_await_injected(squall);
	netlab_run("rm %s", stage_path(stage, "well"));
	squall_assert_exit(squall, 1);
	result = result_of(squall);
	assert_false(
		json_is_true(json_object_get(json_object_get(result, "recovery"), "recovered")));
	/* the sentence of the verdict names the deviation, which comes first */
	assert_string_equal(member_text(json_object_get(result, "recovery"), "text"),
			    "well does not pass (exit code 1, expected 0)");
	json_decref(result);
	stage_assert_clean(stage);
}

static void test_recovery_in_time_is_measured(void **state)
{
	struct stage *stage = *state;
	struct squall *squall;
	json_t *result, *recovery;

	stage_write(stage, "well", "yes");
	squall = run(stage, NULL, "10.88.0.2:7001", file_probe(stage, "5s"));
	squall_await_injected(squall);
	netlab_run("rm %s", stage_path(stage, "well"));
	squall_await(squall, "ended");
	pause_ms(400);
	stage_write(stage, "well", "yes");
	/* a probe deviated, but the recovery is told */
	squall_assert_exit(squall, 1);
	result = result_of(squall);
	recovery = json_object_get(result, "recovery");
	assert_true(json_is_true(json_object_get(recovery, "recovered")));
	assert_in_range(member_number(recovery, "took_ns"), 300 * NSEC_PER_MSEC, 5 * NSEC_PER_SEC);
	json_decref(result);
	stage_assert_clean(stage);
}

static void test_not_steady(void **state)
{
	struct stage *stage = *state;
	struct squall *squall = run(stage, NULL, "10.88.0.2:7001", file_probe(stage, "1s"));

	squall_await_exit(squall);
	assert_null(squall_event(squall, "injected"));
	assert_verdict(squall, 5, "not-steady", "nothing was injected");
}

/* ---- The stored result ---- */

/* All that a reader may rely on, with its type. */
static void assert_complete(const json_t *result)
{
	static const struct {
		const char *name;
		json_type type;
	} members[] = {
		{"schema_version", JSON_INTEGER},
		{"squall_version", JSON_STRING},
		{"run", JSON_STRING},
		{"file", JSON_STRING},
		{"title", JSON_STRING},
		{"hypothesis", JSON_STRING},
		{"verdict", JSON_STRING},
		{"exit_code", JSON_INTEGER},
		{"why", JSON_STRING},
		{"started", JSON_STRING},
		{"took_ns", JSON_INTEGER},
		{"method_started_after_ns", JSON_INTEGER},
		{"faults_started_after_ns", JSON_INTEGER},
		{"faults_ended_after_ns", JSON_INTEGER},
		{"probes", JSON_ARRAY},
		{"steps", JSON_ARRAY},
		{"plan", JSON_ARRAY},
		{"notes", JSON_ARRAY},
		{"left", JSON_ARRAY},
		{"recovery", JSON_OBJECT},
	};

	for (unsigned i = 0; i < sizeof(members) / sizeof(*members); i++) {
		const json_t *member = json_object_get(result, members[i].name);

		if (!member || json_typeof(member) != members[i].type)
			fail_msg("'%s' is missing or of another type", members[i].name);
	}
}

static void test_result_is_complete_and_the_users(void **state)
{
	struct stage *stage = *state;
	struct squall *squall = run(stage, &by_sudo, "10.88.0.2:7001",
				    TCP_PROBE("5s") "recovery: {require: [far], within: 5s}\n");
	json_t *result, *step;
	struct stat status;
	char path[64];

	squall_assert_exit(squall, 0);
	result = result_of(squall);
	assert_complete(result);
	assert_string_equal(member_text(result, "title"), "a verdict, \"quoted\" & more");
	assert_int_equal(json_array_size(json_object_get(result, "probes")), 1);
	assert_int_equal(json_array_size(json_object_get(result, "left")), 0);
	assert_int_equal(json_array_size(json_object_get(result, "steps")), 1);
	step = json_array_get(json_object_get(result, "steps"), 0);
	assert_true(json_is_true(json_object_get(step, "restored")));
	assert_true(member_number(json_object_get(step, "evidence"), "hits") > 0);
	assert_in_range(member_number(step, "ended_after_ns") -
				member_number(step, "injected_after_ns"),
			590 * NSEC_PER_MSEC, (is_emulated() ? 2000 : 700) * NSEC_PER_MSEC);
	snprintf(path, sizeof(path), "lib/squall/results/%s.json", member_text(result, "run"));
	assert_int_equal(stat(stage_path(stage, path), &status), 0);
	assert_int_equal(status.st_uid, 1);
	assert_int_equal(status.st_mode & 0777, 0600);
	json_decref(result);
}

static unsigned count_results(const struct stage *stage)
{
	DIR *dir = opendir(stage_path(stage, "lib/squall/results"));
	struct dirent *entry;
	unsigned count = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)))
		count += strstr(entry->d_name, ".json") != NULL;
	closedir(dir);
	return count;
}

/* A machine that rehearses every hour for years keeps the newest; notes of people stay. The worker
 * makes room, and the conductor's own result may not be written by then. */
static void test_oldest_results_are_removed(void **state)
{
	struct stage *stage = *state;
	const struct timespec long_ago[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
	char path[96];
	struct stat status;

	squall_assert_exit(run(stage, NULL, "10.88.0.2:7001", TCP_PROBE("5s")), 0);
	for (unsigned i = 0; i < RESULT_FILES_KEPT + 2; i++) {
		snprintf(path, sizeof(path), "lib/squall/results/%s%03u.%s", i ? "old" : "notes", i,
			 i ? "json" : "txt");
		int fd = open(stage_path(stage, path), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

		assert_true(fd >= 0);
		assert_int_equal(write(fd, "{", 1), 1);
		assert_int_equal(futimens(fd, long_ago), 0);
		close(fd);
	}
	squall_assert_exit(run(stage, NULL, "10.88.0.2:7001", TCP_PROBE("5s")), 0);
	assert_in_range(count_results(stage), RESULT_FILES_KEPT, RESULT_FILES_KEPT + 1);
	assert_int_equal(squall_call(stage, NULL, "restore"), 0);
	assert_int_equal(count_results(stage), RESULT_FILES_KEPT);
	assert_int_equal(stat(stage_path(stage, "lib/squall/results/notes000.txt"), &status), 0);
}

static void test_plan_changes_nothing(void **state)
{
	struct stage *stage = *state;
	struct squall *squall;
	const char *path;

	squall_assert_exit(run(stage, NULL, "10.88.0.2:7001", TCP_PROBE("5s")), 0);
	path = stage_path(stage, "verdict.yaml");
	squall = squall_start(stage, NULL, "plan %s", path);
	squall_assert_exit(squall, 0);
	assert_true(squall_has_said(squall, "sqv0"));
	stage_assert_fast(stage, "10.88.0.2", NETLAB_PORT);
	stage_assert_clean(stage);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_held),
		TEST(test_deviation),
		TEST(test_fault_that_hits_nothing),
		TEST(test_recovery_that_comes_too_late),
		TEST(test_recovery_in_time_is_measured),
		TEST(test_not_steady),
		TEST(test_result_is_complete_and_the_users),
		TEST(test_oldest_results_are_removed),
		TEST(test_plan_changes_nothing),
	};

	return STAGE_RUN(tests);
}
