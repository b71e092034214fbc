/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The launcher with real programs: what they inherit, how they end, and that nothing survives.
 */
#include "injector/base/clock.h"
#include "injector/probes/launcher.h"
#include "tests/support/probe_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct outcome {
	struct launcher_result result;
	unsigned calls;
	int64_t at_ns;
};

struct lab {
	struct loop *loop;
	struct launcher *launcher;
	struct outcome outcomes[128];
	unsigned count, started;
};

static void on_result(void *context, const struct launcher_result *result)
{
	struct outcome *outcome = context;

	outcome->result = *result;
	outcome->calls++;
	outcome->at_ns = clock_now_ns();
}

static struct lab *lab_new_as(uid_t uid, gid_t gid)
{
	struct lab *lab = calloc(1, sizeof(*lab));
	struct error err = ERROR_INIT;

	assert_non_null(lab);
	assert_int_equal(loop_new(&lab->loop, &err), 0);
	if (launcher_new(uid, gid, &lab->launcher, &err) < 0)
		fail_msg("%s", err.text);
	return lab;
}

static struct lab *lab_new(void)
{
	return lab_new_as(getuid(), getgid());
}

static void lab_free(struct lab *lab)
{
	launcher_free(lab->launcher);
	loop_free(lab->loop);
	free(lab);
}

/* A test program is a line of shell: the shell is the test's, not the launcher's. */
static void add(struct lab *lab, const char *script, bool own_environment)
{
	char *copy = strdup(script);
	char *argv[] = {(char[]){"/bin/sh"}, (char[]){"-c"}, copy, NULL};
	struct error err = ERROR_INIT;

	assert_int_equal(launcher_add(lab->launcher, argv, own_environment, NULL, &err),
			 (int)lab->count++);
	free(copy);
}

static void start(struct lab *lab, unsigned number, int64_t timeout_ns)
{
	struct error err = ERROR_INIT;

	if (launcher_run(lab->launcher, (int)number, timeout_ns, on_result, &lab->outcomes[number],
			 &err) < 0)
		fail_msg("%s", err.text);
	lab->started++;
}

static void start_all(struct lab *lab, int64_t timeout_ns)
{
	struct error err = ERROR_INIT;

	assert_int_equal(launcher_seal(lab->launcher, lab->loop, &err), 0);
	for (unsigned i = 0; i < lab->count; i++)
		start(lab, i, timeout_ns);
}

static void turn(struct lab *lab, int64_t for_ns)
{
	struct error err = ERROR_INIT;
	int64_t end = clock_now_ns() + for_ns;

	while (clock_now_ns() < end)
		assert_int_equal(loop_turn(lab->loop, end - clock_now_ns(), &err), 0);
}

static void finish_all(struct lab *lab)
{
	int64_t end = clock_now_ns() + 10 * NSEC_PER_SEC;
	struct error err = ERROR_INIT;
	unsigned done = 0;

	while (done < lab->started && clock_now_ns() < end) {
		loop_turn(lab->loop, 10 * NSEC_PER_MSEC, &err);
		done = 0;
		for (unsigned i = 0; i < lab->count; i++)
			done += lab->outcomes[i].calls;
	}
	assert_int_equal(done, lab->started);
}

/* Runs one script to its end. */
static struct launcher_result run(const char *script, int64_t timeout_ns)
{
	struct lab *lab = lab_new();
	struct launcher_result result;

	add(lab, script, false);
	start_all(lab, timeout_ns);
	finish_all(lab);
	result = lab->outcomes[0].result;
	lab_free(lab);
	return result;
}

/* How many processes have this word as an argument; all get `signal_number` (0: none). */
static unsigned signal_processes(const char *word, int signal_number)
{
	DIR *proc = opendir("/proc");
	const struct dirent *entry;
	unsigned count = 0;

	while ((entry = readdir(proc))) {
		char path[300], text[512];
		int fd;
		ssize_t length;

		snprintf(path, sizeof(path), "/proc/%s/cmdline", entry->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		length = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
		if (fd >= 0)
			close(fd);
		for (ssize_t at = 0; at < length; at += (ssize_t)strlen(text + at) + 1) {
			text[length] = '\0';
			if (strcmp(text + at, word) != 0)
				continue;
			count++;
			if (signal_number)
				kill(atoi(entry->d_name), signal_number);
		}
	}
	closedir(proc);
	return count;
}

static unsigned count_processes(const char *word)
{
	return signal_processes(word, 0);
}

static void end_processes(const char *word)
{
	signal_processes(word, SIGKILL);
}

static void await_processes(const char *word, unsigned wanted)
{
	for (unsigned i = 0; i < 150 && count_processes(word) != wanted; i++)
		usleep(20000);
	assert_int_equal(count_processes(word), wanted);
}

/* A length of sleep that nobody else uses. */
static const char *unique(void)
{
	static char text[32];
	static unsigned serial;

	snprintf(text, sizeof(text), "9%d.%u", getpid(), ++serial);
	return text;
}

static void test_exit_code_and_output(void **state)
{
	struct launcher_result result = run("echo one; echo two; exit 7", 0);

	(void)state;
	assert_true(WIFEXITED(result.status));
	assert_int_equal(WEXITSTATUS(result.status), 7);
	assert_string_equal(result.output, "one\ntwo\n");
	assert_false(result.timed_out);
}

static void test_death_by_signal_is_told(void **state)
{
	struct launcher_result result = run("kill -SEGV $$", 0);

	(void)state;
	assert_true(WIFSIGNALED(result.status));
	assert_int_equal(WTERMSIG(result.status), SIGSEGV);
}

static void test_environment_is_clean(void **state)
{
	struct launcher_result result;
	char *line, *rest;

	(void)state;
	setenv("SECRET_OF_ROOT", "1", 1);
	result = run("env", 0);
	assert_non_null(strstr(result.output, "PATH=/usr/local/sbin:"));
	assert_non_null(strstr(result.output, "HOME="));
	rest = result.output;
	while ((line = strsep(&rest, "\n")))
		if (*line && strncmp(line, "PATH=", 5) != 0 && strncmp(line, "LANG=", 5) != 0 &&
		    strncmp(line, "HOME=", 5) != 0 && strncmp(line, "USER=", 5) != 0 &&
		    strncmp(line, "LOGNAME=", 8) != 0 && strncmp(line, "SQUALL_PROBE_RUN=", 17) &&
		    strncmp(line, "PWD=", 4) != 0 && strncmp(line, "_=", 2) != 0 &&
		    strncmp(line, "SHLVL=", 6) != 0 && strncmp(line, "OLDPWD=", 7) != 0)
			fail_msg("leaked: %s", line);
	unsetenv("SECRET_OF_ROOT");
}

static void test_nothing_is_inherited(void **state)
{
	struct launcher_result result;
	int leak = open("/dev/null", O_RDONLY), high = fcntl(leak, F_DUPFD, 500);
	sigset_t blocked, before;

	(void)state;
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	sigprocmask(SIG_BLOCK, &blocked, &before);
	signal(SIGTERM, SIG_IGN);
	signal(SIGCHLD, SIG_IGN);
	result =
		run("ls /proc/self/fd | tr '\\n' ' '; grep -E 'Sig(Blk|Ign|Cgt)' /proc/self/status;"
		    "readlink /proc/self/fd/0 /proc/self/fd/2; grep files /proc/self/limits",
		    0);
	signal(SIGTERM, SIG_DFL);
	signal(SIGCHLD, SIG_DFL);
	sigprocmask(SIG_SETMASK, &before, NULL);
	close(leak);
	close(high);
	/* 3 is the directory that ls reads */
	assert_int_equal(strncmp(result.output, "0 1 2 3 ", 8), 0);
	assert_int_equal(strncmp(result.output + 8,
				 "SigBlk:\t0000000000000000\n"
				 "SigIgn:\t0000000000000000\n",
				 50),
			 0);
	assert_non_null(strstr(result.output, "/dev/null\n/dev/null\n"));
}

static void test_runs_in_a_session_of_its_own(void **state)
{
	struct launcher_result result = run("echo $$; cut -d' ' -f5,6 /proc/self/stat", 0);
	int pid, group, session;

	(void)state;
	assert_int_equal(sscanf(result.output, "%d %d %d", &pid, &group, &session), 3);
	assert_int_equal(pid, group);
	assert_int_equal(pid, session);
	assert_int_not_equal(session, getsid(0));
}

static void test_missing_programs_are_explained(void **state)
{
	static const struct {
		const char *program, *directory, *reason;
	} cases[] = {
		{"./no-such-probe.sh", NULL,
		 "cannot start './no-such-probe.sh': No such file or directory"},
		{"no-such-probe", NULL, "cannot start 'no-such-probe': no such program in PATH"},
		{"/etc/passwd", NULL, "cannot start '/etc/passwd': Permission denied"},
		{"true", "/no/such/directory",
		 "cannot enter directory '/no/such/directory': No such file or directory"},
		{"./plain", "/tmp",
		 "cannot start './plain': neither a program nor a script with a"},
		{"./lost", "/tmp", "cannot start './lost': its interpreter"},
	};
	char directory[] = "/tmp/squall-launcher-XXXXXX", path[64];
	struct lab *lab = lab_new();
	struct error err = ERROR_INIT;
	FILE *file;

	(void)state;
	assert_non_null(mkdtemp(directory));
	for (unsigned i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, i ? "lost" : "plain");
		file = fopen(path, "w");
		assert_non_null(file);
		fputs(i ? "#!/no/such/interpreter\n" : "echo hello\n", file);
		fchmod(fileno(file), 0755);
		fclose(file);
	}
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char *program = strdup(cases[i].program);
		const char *in = cases[i].directory;

		if (in && strcmp(in, "/tmp") == 0)
			in = directory;
		assert_true(launcher_add(lab->launcher, (char *[]){program, NULL}, false, in,
					 &err) >= 0);
		lab->count++;
		free(program);
	}
	start_all(lab, 0);
	finish_all(lab);
	for (unsigned i = 0; i < lab->count; i++) {
		assert_int_equal(lab->outcomes[i].result.status, -1);
		if (!strstr(lab->outcomes[i].result.output, cases[i].reason))
			fail_msg("%s: %s", cases[i].program, lab->outcomes[i].result.output);
	}
	lab_free(lab);
	for (unsigned i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, i ? "lost" : "plain");
		unlink(path);
	}
	rmdir(directory);
}

static void test_directory_is_where_it_starts(void **state)
{
	struct lab *lab = lab_new();
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(launcher_set_directory(lab->launcher, "/usr/share", &err), 0);
	add(lab, "pwd", false);
	start_all(lab, 0);
	finish_all(lab);
	assert_string_equal(lab->outcomes[0].result.output, "/usr/share\n");
	lab_free(lab);
}

static void test_huge_output_is_cut_and_does_not_block(void **state)
{
	struct launcher_result result = run("head -c 20000000 /dev/zero | tr '\\0' x; exit 3", 0);

	(void)state;
	assert_int_equal(WEXITSTATUS(result.status), 3);
	assert_int_equal(strlen(result.output), sizeof(result.output) - 1);
}

static void test_time_out_kills_the_group_even_if_it_ignores_sigterm(void **state)
{
	const char *mark = unique();
	char script[128];
	int64_t before = clock_now_ns();
	struct launcher_result result;

	(void)state;
	snprintf(script, sizeof(script), "trap '' TERM; sleep %s & sleep %s; sleep 1", mark, mark);
	result = run(script, 300 * NSEC_PER_MSEC);
	assert_true(result.timed_out);
	assert_true(clock_now_ns() - before < 3 * NSEC_PER_SEC);
	await_processes(mark, 0);
}

static void test_background_children_end_with_the_command(void **state)
{
	const char *mark = unique();
	char script[128];
	struct lab *lab = lab_new();

	(void)state;
	snprintf(script, sizeof(script), "sleep %s & echo started", mark);
	add(lab, script, false);
	start_all(lab, 0);
	finish_all(lab);
	assert_string_equal(lab->outcomes[0].result.output, "started\n");
	await_processes(mark, 0);
	lab_free(lab);
}

/* The daemon leaves the group (the 0.3 s are for that) and keeps standard output: the result does
 * not wait for it. It ends with the launcher. */
static void test_daemon_holds_nothing_up_and_ends_with_the_launcher(void **state)
{
	const char *mark = unique();
	char script[128];
	struct lab *lab = lab_new();
	int64_t before = clock_now_ns();

	(void)state;
	snprintf(script, sizeof(script), "setsid -f sleep %s; sleep 0.3; echo up", mark);
	add(lab, script, false);
	start_all(lab, 5 * NSEC_PER_SEC);
	finish_all(lab);
	assert_true(clock_now_ns() - before < 2 * NSEC_PER_SEC);
	assert_false(lab->outcomes[0].result.timed_out);
	assert_string_equal(lab->outcomes[0].result.output, "up\n");
	await_processes(mark, 1);
	lab_free(lab);
	assert_int_equal(count_processes(mark), 0);
}

static void test_cancel_kills_and_is_silent(void **state)
{
	const char *mark = unique();
	char script[128];
	struct lab *lab = lab_new();

	(void)state;
	snprintf(script, sizeof(script), "setsid -f sleep %s; exec sleep %s", mark, mark);
	add(lab, script, false);
	start_all(lab, 0);
	await_processes(mark, 2);
	launcher_cancel(lab->launcher, 0);
	turn(lab, 200 * NSEC_PER_MSEC);
	await_processes(mark, 0);
	assert_int_equal(lab->outcomes[0].calls, 0);
	/* and the command can be started again at once */
	start(lab, 0, 300 * NSEC_PER_MSEC);
	launcher_cancel(lab->launcher, 0);
	start(lab, 0, 300 * NSEC_PER_MSEC);
	lab->started = 1;
	finish_all(lab);
	assert_true(lab->outcomes[0].result.timed_out);
	lab_free(lab);
	await_processes(mark, 0);
}

static void test_a_running_command_is_not_started_twice(void **state)
{
	struct lab *lab = lab_new();
	struct error err = ERROR_INIT;

	(void)state;
	add(lab, "exec sleep 5", false);
	start_all(lab, 0);
	assert_int_equal(launcher_run(lab->launcher, 0, 0, on_result, &lab->outcomes[1], &err),
			 -EBUSY);
	assert_int_equal(launcher_run(lab->launcher, 1, 0, on_result, &lab->outcomes[1], &err),
			 -EINVAL);
	lab_free(lab);
}

static void test_nothing_can_be_added_after_the_seal(void **state)
{
	struct lab *lab = lab_new();
	struct error err = ERROR_INIT;
	char *argv[] = {(char[]){"true"}, NULL};

	(void)state;
	assert_int_equal(launcher_seal(lab->launcher, lab->loop, &err), 0);
	assert_int_equal(launcher_add(lab->launcher, argv, false, NULL, &err), -EPERM);
	lab_free(lab);
}

static void test_hundred_commands_at_once(void **state)
{
	struct lab *lab = lab_new();
	int64_t before = clock_now_ns();
	char script[64];

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		snprintf(script, sizeof(script), "sleep 0.3; echo %u; exit %u", i, i);
		add(lab, script, false);
	}
	start_all(lab, 10 * NSEC_PER_SEC);
	finish_all(lab);
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(lab->outcomes[i].calls, 1);
		assert_int_equal(WEXITSTATUS(lab->outcomes[i].result.status), i);
		assert_int_equal(atoi(lab->outcomes[i].result.output), i);
	}
	/* one after the other would take 30 s */
	assert_true(clock_now_ns() - before < 8 * NSEC_PER_SEC);
	lab_free(lab);
}

static void test_long_arguments_arrive_whole(void **state)
{
	struct lab *lab = lab_new();
	struct error err = ERROR_INIT;
	char *text = malloc(100001);
	char *argv[] = {(char[]){"sh"},
			(char[]){"-c"},
			(char[]){"echo ${#1} ${#2} $#"},
			(char[]){"x"},
			text,
			(char[]){""},
			NULL};

	(void)state;
	memset(text, 'a', 100000);
	text[100000] = '\0';
	assert_int_equal(launcher_add(lab->launcher, argv, false, NULL, &err), 0);
	lab->count = 1;
	start_all(lab, 0);
	finish_all(lab);
	assert_string_equal(lab->outcomes[0].result.output, "100000 0 2\n");
	free(text);
	lab_free(lab);
}

/* COMMAND keeps environment, group and standard output. */
static void test_own_environment_stays_with_us(void **state)
{
	struct lab *lab;
	char path[] = "/tmp/squall-launcher-XXXXXX", script[256], text[128] = "";
	int fd = mkstemp(path), group = 0;
	FILE *file;

	(void)state;
	close(fd);
	setenv("MINE", "kept", 1);
	lab = lab_new();
	snprintf(script, sizeof(script), "echo $MINE $(cut -d' ' -f5 /proc/self/stat) > %s", path);
	add(lab, script, true);
	start_all(lab, 0);
	finish_all(lab);
	assert_int_equal(lab->outcomes[0].result.status, 0);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_int_equal(fscanf(file, "%127s %d", text, &group), 2);
	fclose(file);
	unlink(path);
	assert_string_equal(text, "kept");
	assert_int_equal(group, getpgrp());
	unsetenv("MINE");
	lab_free(lab);
}

/* It shares our process group: the test itself must survive. */
static void test_own_environment_is_ended_as_a_tree(void **state)
{
	const char *mark = unique();
	struct lab *lab = lab_new();
	char script[160];

	(void)state;
	snprintf(script, sizeof(script),
		 "(setsid sh -c \"trap '' TERM; sleep %s; :\" & wait)& sleep %s", mark, mark);
	add(lab, script, true);
	start_all(lab, 0);
	await_processes(mark, 2);
	lab_free(lab);
	await_processes(mark, 0);
}

static void test_what_an_ended_command_left_is_left_alone(void **state)
{
	const char *mark = unique();
	struct lab *lab = lab_new();
	char script[128];

	(void)state;
	snprintf(script, sizeof(script), "setsid -f sleep %s", mark);
	add(lab, script, true);
	start_all(lab, 0);
	finish_all(lab);
	lab_free(lab);
	await_processes(mark, 1);
	end_processes(mark);
}

static void test_death_of_the_conductor_ends_everything(void **state)
{
	const char *mark = unique();
	char script[128];
	pid_t conductor;

	(void)state;
	snprintf(script, sizeof(script), "sleep %s & setsid -f sleep %s; sleep %s", mark, mark,
		 mark);
	conductor = fork();
	if (conductor == 0) {
		struct lab *lab = lab_new();

		add(lab, script, false);
		add(lab, script, true);
		start_all(lab, 0);
		pause();
	}
	await_processes(mark, 6);
	/* another holder of the socket would hide the end of file: the pidfd does not care */
	end_process(conductor);
	await_processes(mark, 1); /* the daemon of COMMAND has left its tree */
	end_processes(mark);
}

static pid_t find_launcher(void)
{
	char path[64], text[256] = "";
	int fd, pid = 0;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	assert_int_equal(sscanf(text, "%d", &pid), 1);
	return pid;
}

static void test_death_of_the_launcher_is_an_answer(void **state)
{
	struct lab *lab = lab_new();
	struct error err = ERROR_INIT;

	(void)state;
	add(lab, "exec sleep 2", false);
	add(lab, "exec sleep 2", false);
	start_all(lab, 0);
	turn(lab, 100 * NSEC_PER_MSEC);
	kill(find_launcher(), SIGKILL);
	finish_all(lab);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(lab->outcomes[i].result.status, -1);
		assert_string_equal(lab->outcomes[i].result.output,
				    "the launcher was killed (signal 9)");
	}
	assert_int_equal(launcher_run(lab->launcher, 0, 0, on_result, &lab->outcomes[0], &err),
			 -ESRCH);
	assert_string_equal(err.text, "the launcher was killed (signal 9)");
	lab_free(lab);
}

static void test_signals_do_not_stop_the_launcher(void **state)
{
	struct lab *lab = lab_new();

	(void)state;
	add(lab, "sleep 0.3; echo done", false);
	start_all(lab, 0);
	for (unsigned i = 0; i < 3; i++)
		kill(find_launcher(), (int[]){SIGTERM, SIGINT, SIGHUP}[i]);
	finish_all(lab);
	assert_string_equal(lab->outcomes[0].result.output, "done\n");
	lab_free(lab);
}

static void test_user_is_dropped_for_good(void **state)
{
	struct lab *lab;

	(void)state;
	if (getuid() != 0)
		fixture_skip("only root can give up root");
	lab = lab_new_as(65534, 65534);
	add(lab, "id -u; id -g; id -G; grep -E 'Cap(Prm|Eff)' /proc/self/status; echo $HOME $USER",
	    false);
	add(lab, "id -u", true);
	start_all(lab, 0);
	finish_all(lab);
	assert_string_equal(lab->outcomes[0].result.output,
			    "65534\n65534\n65534\nCapPrm:\t0000000000000000\n"
			    "CapEff:\t0000000000000000\n/nonexistent nobody\n");
	lab_free(lab);
}

static void test_another_user_without_root_is_refused(void **state)
{
	struct launcher *launcher = NULL;
	struct error err = ERROR_INIT;
	int status;
	pid_t child;

	(void)state;
	child = fork();
	if (child == 0) {
		if (getuid() == 0 && setuid(65534) < 0)
			_exit(2);
		_exit(launcher_new(getuid() + 1, getgid(), &launcher, &err) == -EPERM ? 0 : 1);
	}
	waitpid(child, &status, 0);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exit_code_and_output),
		cmocka_unit_test(test_death_by_signal_is_told),
		cmocka_unit_test(test_environment_is_clean),
		cmocka_unit_test(test_nothing_is_inherited),
		cmocka_unit_test(test_runs_in_a_session_of_its_own),
		cmocka_unit_test(test_missing_programs_are_explained),
		cmocka_unit_test(test_directory_is_where_it_starts),
		cmocka_unit_test(test_huge_output_is_cut_and_does_not_block),
		cmocka_unit_test(test_time_out_kills_the_group_even_if_it_ignores_sigterm),
		cmocka_unit_test(test_background_children_end_with_the_command),
		cmocka_unit_test(test_daemon_holds_nothing_up_and_ends_with_the_launcher),
		cmocka_unit_test(test_cancel_kills_and_is_silent),
		cmocka_unit_test(test_a_running_command_is_not_started_twice),
		cmocka_unit_test(test_nothing_can_be_added_after_the_seal),
		cmocka_unit_test(test_hundred_commands_at_once),
		cmocka_unit_test(test_long_arguments_arrive_whole),
		cmocka_unit_test(test_own_environment_stays_with_us),
		cmocka_unit_test(test_own_environment_is_ended_as_a_tree),
		cmocka_unit_test(test_what_an_ended_command_left_is_left_alone),
		cmocka_unit_test(test_death_of_the_conductor_ends_everything),
		cmocka_unit_test(test_death_of_the_launcher_is_an_answer),
		cmocka_unit_test(test_signals_do_not_stop_the_launcher),
		cmocka_unit_test(test_user_is_dropped_for_good),
		cmocka_unit_test(test_another_user_without_root_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
