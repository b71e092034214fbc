/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * squall halt and resume against live runs of the fake worker. On full disks: test_full_disks.c;
 * with everything else against them: test_halt.c.
 */
#include "tests/netns/command_bench.h"

static void test_halt_stops_all_and_lets_none_begin(void **state)
{
	struct running one = start(&obedient), other = start(&obedient);
	struct error err = ERROR_INIT;
	struct halt halt;
	char out[4096];

	(void)state;
	assert_int_equal(halt_check(&err), 0);
	assert_int_equal(COMMAND(cli_halt, WORD("--reason"), WORD("payday\nby: x")), 0);
	assert_int_equal(effects_in_force(), 0);
	reap(&one);
	reap(&other);
	assert_int_equal(halt_check(&err), -EPERM);
	assert_non_null(strstr(err.text, "payday?by: x")); /* one line, whatever it held */
	assert_non_null(strstr(err.remedy, "squall resume"));
	halt_look(&halt);
	assert_non_null(strstr(halt.by, "uid"));
	assert_int_equal(strlen(halt.at), strlen("2026-01-31T12:00:00.123Z"));
	assert_int_equal(COMMAND(cli_status), 0);
	assert_non_null(strstr(out, "halted by"));
	assert_int_equal(COMMAND(cli_resume), 0);
	assert_non_null(strstr(out, "payday"));
	assert_int_equal(halt_check(&err), 0);
	assert_int_equal(COMMAND(cli_resume), 0);
	assert_string_equal(out, "Experiments were not halted.\n");
	assert_int_equal(access(root, F_OK), -1);
}

/* What a program asks: one object each, nothing beside it. */
static void test_halt_and_resume_answer_in_json(void **state)
{
	struct running one = start(&obedient);
	struct error err = ERROR_INIT;
	json_t *answer, *run;
	char out[4096];

	(void)state;
	assert_int_equal(COMMAND(cli_halt, WORD("--json"), WORD("--reason"), WORD("payday")), 0);
	answer = json_loads(out, 0, NULL);
	assert_non_null(answer);
	assert_true(json_is_true(json_object_get(answer, "halted")));
	assert_non_null(strstr(json_string_value(json_object_get(answer, "file")), "/halt"));
	assert_int_equal(json_integer_value(json_object_get(answer, "failed")), 0);
	assert_int_equal(json_array_size(json_object_get(answer, "runs")), 1);
	run = json_array_get(json_object_get(answer, "runs"), 0);
	assert_string_equal(json_string_value(json_object_get(run, "run")), run_id);
	assert_true(json_is_true(json_object_get(run, "restored")));
	assert_true(json_is_false(json_object_get(run, "killed")));
	json_decref(answer);
	reap(&one);

	assert_int_equal(COMMAND(cli_resume, WORD("--json")), 0);
	answer = json_loads(out, 0, NULL);
	assert_non_null(answer);
	assert_true(json_is_true(json_object_get(answer, "was_halted")));
	run = json_object_get(answer, "halt");
	assert_string_equal(json_string_value(json_object_get(run, "reason")), "payday");
	json_decref(answer);

	assert_int_equal(COMMAND(cli_resume, WORD("--json")), 0);
	answer = json_loads(out, 0, NULL);
	assert_true(json_is_false(json_object_get(answer, "was_halted")));
	assert_true(json_is_null(json_object_get(answer, "halt")));
	json_decref(answer);
}

/* `squall halt | true`: the brake works although nobody reads what it says. */
static void test_halt_into_a_closed_pipe(void **state)
{
	struct running one = start(&obedient), other = start(&obedient);
	char *words[] = {WORD("halt"), NULL};
	struct error err = ERROR_INIT;
	bool was_pulled;
	int ends[2], status;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	close(ends[0]);
	pid = fork();
	if (pid == 0) {
		signal(SIGPIPE, SIG_DFL);
		dup2(ends[1], STDOUT_FILENO);
		dup2(ends[1], STDERR_FILENO);
		_exit(cli_halt(1, words, &err) == 0 ? 0 : 1);
	}
	close(ends[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(effects_in_force(), 0);
	reap(&one);
	reap(&other);
	assert_int_equal(halt_release(&was_pulled, &err), 0);
	assert_true(was_pulled);
}

static void test_a_lever_without_text_is_pulled_all_the_same(void **state)
{
	struct error err = ERROR_INIT;
	char path[160];
	bool was_pulled;

	(void)state;
	assert_int_equal(mkdir(state_directory, 0755), 0);
	snprintf(path, sizeof(path), "%s/halt", state_directory);
	close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	assert_int_equal(halt_check(&err), -EPERM);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/dev/null", path), 0);
	assert_int_equal(halt_check(&err), -EPERM);
	assert_int_equal(halt_release(&was_pulled, &err), 0);
	assert_int_equal(halt_check(&err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_halt_stops_all_and_lets_none_begin),
		TEST(test_halt_and_resume_answer_in_json),
		TEST(test_halt_into_a_closed_pipe),
		TEST(test_a_lever_without_text_is_pulled_all_the_same),
	};

	return RUN_AS_ROOT(tests);
}
