/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * stop, halt, resume, restore and status against live and dead runs of the fake worker; the halt
 * lever and the journal on full disks. Needs root: mounts in a mount namespace of its own.
 */
#include "injector/base/json.h"
#include "injector/cli/commands.h"
#include "injector/kernel/cgroup.h"
#include "injector/restore/halt.h"
#include "injector/restore/stop.h"
#include "tests/support/fake_worker.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/vfs.h>

static const struct orders obedient = {.deadline_after_ns = 60 * NSEC_PER_SEC, .obeys = true};
static const struct orders deaf = {.deadline_after_ns = 60 * NSEC_PER_SEC, .is_deaf = true};
static char state_directory[100];

/* Runs a command with its standard output caught in `out`. */
static int run_command(int (*command)(int, char **, struct error *), char *const *words, char *out,
		       size_t size, struct error *err)
{
	char path[128], *argv[8];
	int argc = 0, kept, file, result;
	ssize_t got;

	for (; words[argc]; argc++)
		argv[argc] = words[argc];
	argv[argc] = NULL;
	snprintf(path, sizeof(path), "%s/output", base);
	file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	fflush(stdout);
	kept = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	dup2(file, STDOUT_FILENO);
	result = command(argc, argv, err);
	fflush(stdout);
	dup2(kept, STDOUT_FILENO);
	got = pread(file, out, size - 1, 0);
	out[got > 0 ? got : 0] = '\0';
	close(kept);
	close(file);
	return result;
}

#define COMMAND(command, ...)                                                                      \
	run_command(command, (char *[]){(char[]){#command}, __VA_ARGS__ __VA_OPT__(, ) NULL}, out, \
		    sizeof(out), &err)
#define WORD(text) ((char[]){text})

static void test_stop_ends_the_only_run(void **state)
{
	struct running running = start(&obedient);
	struct error err = ERROR_INIT;
	char out[4096];

	(void)state;
	assert_int_equal(COMMAND(cli_stop), 0);
	assert_non_null(strstr(out, "stopped, everything restored"));
	assert_int_equal(effects_in_force(), 0);
	assert_false(journal_exists(run_id));
	assert_int_equal(reap(&running), 0); /* it left by itself */
}

static void test_stop_of_a_worker_without_manners(void **state)
{
	struct running running = start(&ordinary); /* dies of SIGTERM */
	struct error err = ERROR_INIT;
	char out[4096];

	(void)state;
	assert_int_equal(COMMAND(cli_stop, run_id), 0);
	assert_int_equal(effects_in_force(), 0);
	reap(&running);
}

static void test_stop_kills_what_does_not_obey(void **state)
{
	struct running running = start(&deaf);
	struct restore_report report = {0};
	struct error err = ERROR_INIT;
	struct stop stop;
	int status;

	(void)state;
	assert_int_equal(stop_begin(run_id, &stop, &err), 0);
	assert_int_equal(stop_finish(&stop, 300 * NSEC_PER_MSEC, &report, &err), 0);
	assert_true(stop.was_killed);
	assert_true(stop.took_ns >= 300 * NSEC_PER_MSEC);
	assert_int_equal(report.failed, 0);
	assert_int_equal(effects_in_force(), 0);
	assert_false(journal_exists(run_id));
	status = reap(&running);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void test_stop_names_the_runs_when_there_are_several(void **state)
{
	struct error err = ERROR_INIT;
	struct running one, other;
	char first[RUN_ID_SIZE], out[4096];

	(void)state;
	assert_int_equal(COMMAND(cli_stop), -ENOENT);
	one = start(&obedient);
	memcpy(first, run_id, sizeof(first));
	other = start(&obedient);
	assert_int_equal(COMMAND(cli_stop), -ENOTUNIQ);
	assert_non_null(strstr(err.text, first));
	assert_non_null(strstr(err.text, run_id));
	assert_int_equal(COMMAND(cli_stop, first), 0);
	assert_true(journal_exists(run_id)); /* each removes only its own */
	assert_int_equal(COMMAND(cli_stop, run_id), 0);
	assert_int_equal(COMMAND(cli_stop, WORD("zzzzzz")), -ENOENT);
	assert_int_equal(COMMAND(cli_stop, WORD("../etc")), -EINVAL);
	reap(&one);
	reap(&other);
}

/* The number in the header belongs to another process by now: it must not be touched. */
static void test_stop_never_signals_a_stranger(void **state)
{
	struct journal_header header = {.deadline_ns = INT64_MAX};
	struct error err = ERROR_INIT;
	struct journal *journal;
	pid_t stranger = fork();
	char out[4096];

	(void)state;
	if (stranger == 0)
		for (;;)
			pause();
	assert_int_equal(journal_new_run_id(run_id, &err), 0);
	fill_header(&header, 0, INT64_MAX);
	assert_int_equal(proc_identity(stranger, &header.worker), 0);
	header.worker.start_time--;
	assert_int_equal(journal_create(&header, &journal, &err), 0);
	assert_int_equal(inject(journal, 0), 0);
	journal_close(journal);
	assert_int_equal(COMMAND(cli_stop, run_id), 0);
	assert_int_equal(effects_in_force(), 0); /* a dead run is finished all the same */
	assert_int_equal(waitpid(stranger, NULL, WNOHANG), 0);
	kill(stranger, SIGKILL);
	waitpid(stranger, NULL, 0);
}

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

static void mount_at(const char *path, const char *type, const char *options)
{
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(mount("squall-test", path, type, 0, options), 0);
}

static void fill_up(const char *directory)
{
	static const char zeros[4096];
	char path[200];
	int fd;

	snprintf(path, sizeof(path), "%s/filler", directory);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	while (write(fd, zeros, sizeof(zeros)) > 0)
		;
	assert_int_equal(errno, ENOSPC);
	close(fd);
}

static void test_halt_on_full_disks(void **state)
{
	struct error err = ERROR_INIT;
	struct halt_lever lever;
	bool was_pulled;

	(void)state;
	/* no space: the name alone still does */
	mount_at(state_directory, "tmpfs", "size=64k,mode=755");
	fill_up(state_directory);
	halt_pull("full", &lever);
	assert_int_equal(halt_keep(&lever, 10 * NSEC_PER_SEC, &err), 0);
	assert_true(lever.is_pulled && lever.is_kept);
	assert_non_null(strstr(lever.path, state_directory));
	assert_int_equal(halt_check(&err), -EPERM);
	assert_int_equal(halt_release(&was_pulled, &err), 0);
	assert_int_equal(umount(state_directory), 0);
	/* not even a name: the other place */
	assert_int_equal(mount("squall-test", state_directory, "tmpfs", MS_RDONLY, "mode=755"), 0);
	halt_pull("read-only", &lever);
	assert_true(halt_keep(&lever, 10 * NSEC_PER_SEC, &err) < 0);
	assert_true(lever.is_pulled && !lever.is_kept);
	assert_non_null(strstr(lever.path, root));
	assert_non_null(strstr(err.text, "Read-only file system"));
	assert_int_equal(halt_check(&err), -EPERM);
	assert_non_null(strstr(err.text, "read-only"));
	assert_int_equal(halt_release(&was_pulled, &err), 0);
	assert_int_equal(halt_check(&err), 0);
	assert_int_equal(umount(state_directory), 0);
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
	assert_non_null(strstr(err.text, "needs a text"));
	assert_int_equal(COMMAND(cli_resume, WORD("--quiet")), -EINVAL);
	assert_int_equal(COMMAND(cli_status, WORD("--help")), 0);
	assert_non_null(strstr(out, "usage: squall status"));
}

/* ---- The journal on a full disk ---- */

static struct journal_header plain_header(void)
{
	struct journal_header header = {0};
	struct error err = ERROR_INIT;

	assert_int_equal(journal_new_run_id(run_id, &err), 0);
	fill_header(&header, 0, INT64_MAX);
	return header;
}

static void test_full_disk_refuses_the_run_and_leaves_nothing(void **state)
{
	struct error err = ERROR_INIT;
	struct journal_header header;
	struct journal *journal;
	struct statfs before, after;
	char disk[120], path[128];

	(void)state;
	snprintf(disk, sizeof(disk), "%s/disk", base);
	snprintf(path, sizeof(path), "%s/squall", disk);
	mount_at(disk, "tmpfs", "size=1m,mode=755");
	assert_int_equal(statfs(disk, &before), 0);
	journal_set_root(path);
	header = plain_header();
	assert_int_equal(journal_create(&header, &journal, &err), -ENOSPC);
	assert_non_null(strstr(err.remedy, "free 2048 KiB"));
	assert_int_equal(statfs(disk, &after), 0);
	assert_int_equal(before.f_bfree, after.f_bfree);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(umount(disk), 0);
}

static void test_disk_that_fills_up_later_stops_no_record(void **state)
{
	struct error err = ERROR_INIT;
	struct journal_header header;
	struct journal *journal;
	char disk[120], path[128];
	int sequence = 0;

	(void)state;
	snprintf(disk, sizeof(disk), "%s/disk", base);
	snprintf(path, sizeof(path), "%s/squall", disk);
	mount_at(disk, "tmpfs", "size=3m,mode=755");
	journal_set_root(path);
	header = plain_header();
	assert_int_equal(journal_create(&header, &journal, &err), 0);
	fill_up(disk);
	for (unsigned at = 0; at < JOURNAL_CAPACITY / 2 - 1; at++) {
		sequence = journal_undo(journal, "fake", 0, 1, "/x", 3, &err);
		if (sequence < 0)
			fail_msg("record %u: %s", at, err.text);
	}
	for (; sequence > 1; sequence--)
		assert_int_equal(journal_done(journal, (uint32_t)sequence, &err), 0);
	journal_close(journal);
	assert_int_equal(journal_remove(run_id, &err), 0);
	assert_int_equal(umount(disk), 0);
}

/* ramfs has no fallocate: the space lies beside the journal, and goes with it. */
static void test_file_system_without_fallocate(void **state)
{
	struct error err = ERROR_INIT;
	struct journal_header header;
	struct journal *journal;
	struct stat status;
	char disk[120], path[128], reserve[200];

	(void)state;
	snprintf(disk, sizeof(disk), "%s/disk", base);
	snprintf(path, sizeof(path), "%s/squall", disk);
	mount_at(disk, "ramfs", "mode=755");
	journal_set_root(path);
	header = plain_header();
	assert_int_equal(journal_create(&header, &journal, &err), 0);
	snprintf(reserve, sizeof(reserve), "%s/%s/reserve", path, run_id);
	assert_int_equal(stat(reserve, &status), 0);
	assert_int_equal(status.st_size, JOURNAL_CAPACITY * 512);
	assert_true(journal_undo(journal, "fake", 0, 1, "/x", 3, &err) > 0);
	journal_close(journal);
	assert_int_equal(journal_remove(run_id, &err), 0);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(umount(disk), 0);
}

static int set_up_all(void **state)
{
	int result = set_up(state);

	snprintf(state_directory, sizeof(state_directory), "%s/state", base);
	halt_set_state_directory(state_directory);
	return result;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_all, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_stop_ends_the_only_run),
		TEST(test_stop_of_a_worker_without_manners),
		TEST(test_stop_kills_what_does_not_obey),
		TEST(test_stop_names_the_runs_when_there_are_several),
		TEST(test_stop_never_signals_a_stranger),
		TEST(test_status_tells_what_is_in_force),
		TEST(test_halt_stops_all_and_lets_none_begin),
		TEST(test_halt_and_resume_answer_in_json),
		TEST(test_halt_into_a_closed_pipe),
		TEST(test_a_lever_without_text_is_pulled_all_the_same),
		TEST(test_halt_on_full_disks),
		TEST(test_restore_command_says_six_until_nothing_is_left),
		TEST(test_every_command_finishes_what_a_dead_run_left),
		TEST(test_every_command_sweeps_the_group_of_a_dead_guardian),
		TEST(test_resume_says_six_when_a_dead_run_cannot_be_finished),
		TEST(test_wrong_options_are_refused),
		TEST(test_full_disk_refuses_the_run_and_leaves_nothing),
		TEST(test_disk_that_fills_up_later_stops_no_record),
		TEST(test_file_system_without_fallocate),
	};

	if (geteuid() != 0) {
		fprintf(stderr, "skipped: these commands need root\n");
		return getenv("SQUALL_MUST_RUN") ? 1 : 0;
	}
	if (unshare(CLONE_NEWNS) < 0 || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		fprintf(stderr, "no mount namespace of one's own: %s\n", strerror(errno));
		return 1;
	}
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
