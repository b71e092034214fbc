/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The launcher with real programs: what they are given, and what they inherit (nothing).
 */
#include "injector/base/clock.h"
#include "injector/probes/launcher_message.h"
#include "tests/support/launcher_workbench.h"
#include "tests/support/probe_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_exit_code_and_output(void **state)
{
	struct launcher_result result = workbench_run("echo one; echo two; exit 7", 0);

	(void)state;
	assert_true(WIFEXITED(result.status));
	assert_int_equal(WEXITSTATUS(result.status), 7);
	assert_string_equal(result.output, "one\ntwo\n");
	assert_false(result.timed_out);
}

static void test_death_by_signal_is_told(void **state)
{
	struct launcher_result result = workbench_run("kill -SEGV $$", 0);

	(void)state;
	assert_true(WIFSIGNALED(result.status));
	assert_int_equal(WTERMSIG(result.status), SIGSEGV);
}

/* As long as it may be, which takes many requests; without one it reads the end of /dev/null. */
static void test_input_reaches_the_run_it_is_for(void **state)
{
	struct workbench *bench = workbench_new();
	struct error err = ERROR_INIT;
	static char input[LAUNCHER_INPUT_MAX + 100];

	(void)state;
	memset(input, 'x', sizeof(input) - 1);
	workbench_add(bench, "wc -c", false);
	workbench_start_all(bench, 0);
	workbench_finish_all(bench);
	assert_string_equal(bench->outcomes[0].result.output, "0\n");
	bench->outcomes[0] = (struct outcome){0};
	assert_int_equal(launcher_run_with(bench->launcher, 0, input, 0, workbench_on_result,
					   &bench->outcomes[0], &err),
			 0);
	workbench_finish_all(bench);
	assert_string_equal(bench->outcomes[0].result.output, "4096\n");
	workbench_free(bench);
}

static void test_environment_is_clean(void **state)
{
	struct launcher_result result;
	char *line, *rest;

	(void)state;
	setenv("SECRET_OF_ROOT", "1", 1);
	result = workbench_run("env", 0);
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

static void test_a_locale_is_a_name(void **state)
{
	static const char *const good[] = {"C", "de_DE.UTF-8", "ca_ES.UTF-8@valencia", "POSIX"};
	static const char *const bad[] = {"",	    "/tmp/locale", "../../tmp", "a b",
					  "x\ny=z", "%n",	   "$(id)",	"de_DE;id"};
	char line[128];

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		setenv("LANG", good[i], 1);
		snprintf(line, sizeof(line), "%s\n", good[i]);
		assert_string_equal(workbench_run("echo \"$LANG\"", 0).output, line);
	}
	for (unsigned i = 0; i < 8; i++) {
		setenv("LANG", bad[i], 1);
		assert_string_equal(workbench_run("echo \"$LANG\"", 0).output, "C.UTF-8\n");
	}
	unsetenv("LANG");
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
	result = workbench_run(
		"ls /proc/self/fd | tr '\\n' ' '; grep -E 'Sig(Blk|Ign|Cgt)' /proc/self/status;"
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
	struct launcher_result result =
		workbench_run("echo $$; cut -d' ' -f5,6 /proc/self/stat", 0);
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
	struct workbench *bench = workbench_new();
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
		assert_true(launcher_add(bench->launcher, (char *[]){program, NULL}, false, in,
					 &err) >= 0);
		bench->count++;
		free(program);
	}
	workbench_start_all(bench, 0);
	workbench_finish_all(bench);
	for (unsigned i = 0; i < bench->count; i++) {
		assert_int_equal(bench->outcomes[i].result.status, -1);
		if (!strstr(bench->outcomes[i].result.output, cases[i].reason))
			fail_msg("%s: %s", cases[i].program, bench->outcomes[i].result.output);
	}
	workbench_free(bench);
	for (unsigned i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, i ? "lost" : "plain");
		unlink(path);
	}
	rmdir(directory);
}

static void test_directory_is_where_it_starts(void **state)
{
	struct workbench *bench = workbench_new();
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(launcher_set_directory(bench->launcher, "/usr/share", &err), 0);
	workbench_add(bench, "pwd", false);
	workbench_start_all(bench, 0);
	workbench_finish_all(bench);
	assert_string_equal(bench->outcomes[0].result.output, "/usr/share\n");
	workbench_free(bench);
}

static void test_huge_output_is_cut_and_does_not_block(void **state)
{
	struct launcher_result result =
		workbench_run("head -c 20000000 /dev/zero | tr '\\0' x; exit 3", 0);

	(void)state;
	assert_int_equal(WEXITSTATUS(result.status), 3);
	assert_int_equal(strlen(result.output), sizeof(result.output) - 1);
}

static void test_a_running_command_is_not_started_twice(void **state)
{
	struct workbench *bench = workbench_new();
	struct error err = ERROR_INIT;

	(void)state;
	workbench_add(bench, "exec sleep 5", false);
	workbench_start_all(bench, 0);
	assert_int_equal(
		launcher_run(bench->launcher, 0, 0, workbench_on_result, &bench->outcomes[1], &err),
		-EBUSY);
	assert_int_equal(
		launcher_run(bench->launcher, 1, 0, workbench_on_result, &bench->outcomes[1], &err),
		-EINVAL);
	workbench_free(bench);
}

static void test_nothing_can_be_added_after_the_seal(void **state)
{
	struct workbench *bench = workbench_new();
	struct error err = ERROR_INIT;
	char *argv[] = {(char[]){"true"}, NULL};

	(void)state;
	assert_int_equal(launcher_seal(bench->launcher, bench->loop, &err), 0);
	assert_int_equal(launcher_add(bench->launcher, argv, false, NULL, &err), -EPERM);
	workbench_free(bench);
}

static void tell(int socket, struct launcher_request request)
{
	assert_int_equal(send(socket, &request, sizeof(request), MSG_NOSIGNAL), sizeof(request));
}

/* A conductor under somebody's control, which asks for the same command again and again. */
static void test_a_command_is_no_fork_bomb(void **state)
{
	static const char text[] = "\0sleep\0"
				   "60";
	struct launcher_request add_text = {.op = LAUNCHER_TEXT, .length = sizeof(text)};
	struct launcher_reply reply;
	pid_t self = getpid(), child;
	int pair[2], status;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	child = fork();
	if (child == 0) {
		close(pair[0]);
		_exit(launcher_child_main(pair[1], self, getuid(), getgid()));
	}
	close(pair[1]);
	assert_int_equal(recv(pair[0], &reply, sizeof(reply), 0), sizeof(reply));
	assert_int_equal(reply.result.status, 0);
	memcpy(add_text.data, text, sizeof(text));
	tell(pair[0], (struct launcher_request){.op = LAUNCHER_ADD, .length = sizeof(text)});
	tell(pair[0], add_text);
	tell(pair[0], (struct launcher_request){.op = LAUNCHER_SEAL});
	for (uint64_t run = 1; run <= 100; run++)
		tell(pair[0], (struct launcher_request){.op = LAUNCHER_RUN, .run = run});
	/* all but a few are refused, and the few still run */
	for (unsigned refused = 0; refused < 90; refused++) {
		assert_int_equal(recv(pair[0], &reply, sizeof(reply), 0), sizeof(reply));
		assert_int_equal(reply.result.status, -1);
		assert_non_null(strstr(reply.result.output, "too many"));
	}
	close(pair[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void test_long_arguments_arrive_whole(void **state)
{
	struct workbench *bench = workbench_new();
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
	assert_int_equal(launcher_add(bench->launcher, argv, false, NULL, &err), 0);
	bench->count = 1;
	workbench_start_all(bench, 0);
	workbench_finish_all(bench);
	assert_string_equal(bench->outcomes[0].result.output, "100000 0 2\n");
	free(text);
	workbench_free(bench);
}

/* COMMAND keeps environment, group and standard output. */
static void test_own_environment_stays_with_us(void **state)
{
	struct workbench *bench;
	char path[] = "/tmp/squall-launcher-XXXXXX", script[256], text[128] = "";
	int fd = mkstemp(path), group = 0;
	FILE *file;

	(void)state;
	close(fd);
	setenv("MINE", "kept", 1);
	bench = workbench_new();
	snprintf(script, sizeof(script), "echo $MINE $(cut -d' ' -f5 /proc/self/stat) > %s", path);
	workbench_add(bench, script, true);
	workbench_start_all(bench, 0);
	workbench_finish_all(bench);
	assert_int_equal(bench->outcomes[0].result.status, 0);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_int_equal(fscanf(file, "%127s %d", text, &group), 2);
	fclose(file);
	unlink(path);
	assert_string_equal(text, "kept");
	assert_int_equal(group, getpgrp());
	unsetenv("MINE");
	workbench_free(bench);
}

static void test_user_is_dropped_for_good(void **state)
{
	struct workbench *bench;

	(void)state;
	if (getuid() != 0)
		fixture_skip("only root can give up root");
	bench = workbench_new_as(65534, 65534);
	workbench_add(
		bench,
		"id -u; id -g; id -G; grep -E 'Cap(Prm|Eff)' /proc/self/status; echo $HOME $USER",
		false);
	workbench_add(bench, "id -u", true);
	workbench_start_all(bench, 0);
	workbench_finish_all(bench);
	assert_string_equal(bench->outcomes[0].result.output,
			    "65534\n65534\n65534\nCapPrm:\t0000000000000000\n"
			    "CapEff:\t0000000000000000\n/nonexistent nobody\n");
	workbench_free(bench);
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
		cmocka_unit_test(test_input_reaches_the_run_it_is_for),
		cmocka_unit_test(test_environment_is_clean),
		cmocka_unit_test(test_a_locale_is_a_name),
		cmocka_unit_test(test_nothing_is_inherited),
		cmocka_unit_test(test_runs_in_a_session_of_its_own),
		cmocka_unit_test(test_missing_programs_are_explained),
		cmocka_unit_test(test_directory_is_where_it_starts),
		cmocka_unit_test(test_huge_output_is_cut_and_does_not_block),
		cmocka_unit_test(test_a_running_command_is_not_started_twice),
		cmocka_unit_test(test_nothing_can_be_added_after_the_seal),
		cmocka_unit_test(test_a_command_is_no_fork_bomb),
		cmocka_unit_test(test_long_arguments_arrive_whole),
		cmocka_unit_test(test_own_environment_stays_with_us),
		cmocka_unit_test(test_user_is_dropped_for_good),
		cmocka_unit_test(test_another_user_without_root_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
