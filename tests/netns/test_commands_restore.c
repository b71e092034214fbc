/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * squall restore and status, and what every command does about a run of the fake worker that is
 * dead.
 */
#include "tests/netns/command_bench.h"

#include "injector/kernel/cgroup.h"

static void test_status_tells_what_is_in_force(void **state)
{
	struct running running = start(&ordinary);
	struct error err = ERROR_INIT;
	char out[4096];
	json_t *root_json, *run;
	pid_t child;
	int exit_status;

	(void)state;
	assert_int_equal(COMMAND(cli_status), 0);
	assert_non_null(strstr(out, run_id));
	assert_non_null(strstr(out, "live"));
	assert_non_null(strstr(out, "a fake run"));
	assert_non_null(strstr(out, "in force  step 1: injected effect number 0 since "));
	assert_non_null(strstr(out, "step 3: injected effect number 2 since "));

	assert_int_equal(COMMAND(cli_status, WORD("--json")), 0);
	root_json = json_loads(out, 0, NULL);
	run = json_array_get(json_object_get(root_json, "runs"), 0);
	assert_string_equal(json_string_value(json_object_get(run, "id")), run_id);
	assert_string_equal(json_string_value(json_object_get(run, "state")), "live");
	assert_int_equal(json_array_size(json_object_get(run, "in_force")), EFFECTS);
	assert_true(json_is_null(json_object_get(root_json, "halt")));
	json_decref(root_json);

	/* Not root: the names and a word why there is no more */
	assert_int_equal(chmod(base, 0755), 0);
	child = fork();
	if (child == 0) {
		if (setgid(65534) < 0 || setuid(65534) < 0)
			_exit(9);
		if (!journal_exists(run_id) || journal_exists("zzzzzz"))
			_exit(7);
		_exit(cli_status(1, (char *[]){WORD("status"), NULL}, &err) == 0 ? 0 : 8);
	}
	assert_int_equal(waitpid(child, &exit_status, 0), child);
	assert_int_equal(exit_status, 0);

	hit(running.worker, SIGKILL, 2000);
	reap(&running);
	assert_int_equal(COMMAND(cli_status), 0);
	assert_string_equal(out, "No experiment is running.\n");
}

static void test_restore_command_says_six_until_nothing_is_left(void **state)
{
	struct running running = start(&ordinary);
	struct error err = ERROR_INIT;
	char out[4096];
	json_t *root_json;

	(void)state;
	kill_both(&running);
	mark("effect1.stuck", true);
	assert_int_equal(COMMAND(cli_restore), 6);
	assert_non_null(strstr(out, "effect number 0: undone (1 change)"));
	assert_int_equal(COMMAND(cli_restore, WORD("--json")), 6);
	root_json = json_loads(out, 0, NULL);
	assert_int_equal(json_integer_value(json_object_get(root_json, "failed")), 1);
	assert_int_equal(json_array_size(json_object_get(root_json, "left")), 1);
	json_decref(root_json);
	mark("effect1.stuck", false);
	assert_int_equal(COMMAND(cli_restore, run_id), 0);
	assert_non_null(strstr(out, "effect number 1: undone (1 change)"));
	assert_int_equal(COMMAND(cli_restore, run_id), -ENOENT);
	assert_int_equal(COMMAND(cli_restore), 0);
	assert_string_equal(out, "Nothing to restore.\n");
}

/* Nobody has to know of `squall restore`. */
static void test_every_command_finishes_what_a_dead_run_left(void **state)
{
	static int (*const commands[])(int, char **, struct error *) = {cli_status, cli_doctor,
									cli_resume, cli_halt};
	struct error err = ERROR_INIT;
	char out[16384];

	(void)state;
	for (unsigned i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		struct running running = start(&ordinary);

		kill_both(&running);
		assert_true(journal_exists(run_id));
		assert_true(COMMAND(commands[i]) >= 0);
		if (journal_exists(run_id))
			fail_msg("command %u has left the run", i);
	}
	assert_int_equal(COMMAND(cli_resume), 0);
}

/* A guardian that was killed when its run was finished already leaves an empty group, and no run.
 */
static void test_every_command_sweeps_the_group_of_a_dead_guardian(void **state)
{
	static int (*const commands[])(int, char **, struct error *) = {
		cli_status, cli_doctor, cli_halt, cli_resume, cli_restore};
	struct error err = ERROR_INIT;
	struct cgroup_mounts mounts;
	char out[16384], group[CGROUP_PATH_SIZE];

	(void)state;
	if (cgroup_find_mounts(&mounts, &err) < 0 || !mounts.unified[0]) {
		printf("no cgroup v2 here: guardians have no groups\n");
		skip();
	}
	snprintf(group, sizeof(group), "%s/squall-guardian-4190001", mounts.unified);
	for (unsigned i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		assert_int_equal(mkdir(group, 0755), 0);
		assert_true(COMMAND(commands[i]) >= 0);
		if (rmdir(group) == 0)
			fail_msg("command %u has left the group", i);
	}
}

/* What is left is seen in the exit code of a command that promises a machine without it. */
static void test_resume_says_six_when_a_dead_run_cannot_be_finished(void **state)
{
	struct running running = start(&ordinary);
	struct error err = ERROR_INIT;
	char out[4096];

	(void)state;
	kill_both(&running);
	mark("effect1.stuck", true);
	assert_int_equal(COMMAND(cli_resume), 6);
	assert_int_equal(COMMAND(cli_status), 0);
	assert_non_null(strstr(out, run_id));
	mark("effect1.stuck", false);
	assert_int_equal(COMMAND(cli_resume), 0);
	assert_false(journal_exists(run_id));
}

static void test_wrong_options_are_refused(void **state)
{
	struct error err = ERROR_INIT;
	char out[4096];

	(void)state;
	assert_int_equal(COMMAND(cli_restore, WORD("--frobnicate")), -EINVAL);
	assert_non_null(strstr(err.text, "--frobnicate"));
	assert_int_equal(COMMAND(cli_restore, WORD("-x")), -EINVAL);
	assert_non_null(strstr(err.text, "-x"));
	assert_int_equal(COMMAND(cli_restore, WORD("a"), WORD("b")), -EINVAL);
	assert_non_null(strstr(err.text, "'b'"));
	assert_int_equal(COMMAND(cli_halt, WORD("--reason")), -EINVAL);
	assert_non_null(strstr(err.text, "needs a value"));
	assert_int_equal(COMMAND(cli_resume, WORD("--quiet")), -EINVAL);
	assert_int_equal(COMMAND(cli_status, WORD("--help")), 0);
	assert_non_null(strstr(out, "usage: squall status"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_status_tells_what_is_in_force),
		TEST(test_restore_command_says_six_until_nothing_is_left),
		TEST(test_every_command_finishes_what_a_dead_run_left),
		TEST(test_every_command_sweeps_the_group_of_a_dead_guardian),
		TEST(test_resume_says_six_when_a_dead_run_cannot_be_finished),
		TEST(test_wrong_options_are_refused),
	};

	return RUN_AS_ROOT(tests);
}
