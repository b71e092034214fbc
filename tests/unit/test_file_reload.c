/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Reload by command: what may be asked for, that the journal's record holds it, and the process
 * that starts it.
 */
#include "faults/file.h"
#include "injector/journal/crc32.h"
#include "injector/restore/reloader.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* "NAME=a,b;NAME=c" */
static void make_params(struct params *params, const char *text)
{
	char copy[8192], *save = NULL, *rest = NULL;
	struct error err = ERROR_INIT;

	assert_int_equal(params_init(params, file_fault_params, &err), 0);
	snprintf(copy, sizeof(copy), "%s", text);
	for (char *word = strtok_r(copy, ";", &save); word; word = strtok_r(NULL, ";", &save)) {
		char *name = strtok_r(word, "=", &rest);
		int index = params_find(file_fault_params, name);

		assert_true(index >= 0);
		for (char *value; (value = strtok_r(NULL, ",", &rest));)
			if (params_add(params, (unsigned)index, value, 0, 0, &err) < 0)
				fail_msg("%s", err.text);
	}
}

static void test_what_makes_no_sense_is_refused_with_the_reason(void **state)
{
	static const struct {
		const char *text, *expected; /* NULL: it is fine */
	} cases[] = {
		{"reload-command=/usr/sbin/nginx,-s,reload", NULL},
		{"reload-command=nginx,-s,reload", "'nginx' is not the whole path of a program"},
		{"reload-command=/usr/../tmp/x", "is not the whole path of a program"},
		{"reload-command=/usr//sbin/x", "is not the whole path of a program"},
		{"reload-command=/usr/sbin/nginx -s reload", "is one word: there is no shell"},
		{"reload-command=/bin/true;reload-unit=nginx", "give one"},
		{"reload-command=/bin/true;reload-pidfile=/run/x", "give one"},
		{"reload-command=/bin/true;reload-signal=HUP", "needs `reload-pidfile`"},
		{"reload-command=/bin/true,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,"
		 "a,a,a,a",
		 "more than 32 words"},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct params params;
		struct error err = ERROR_INIT;
		int result;

		make_params(&params, cases[i].text);
		result = file_reload_check(&params, &err);
		if (cases[i].expected ? !strstr(err.text, cases[i].expected) : result != 0)
			fail_msg("%s: '%s'", cases[i].text, err.text);
		params_free(&params);
	}
}

static void test_the_record_holds_the_command(void **state)
{
	static struct file_swap swap, read;
	const struct fault_env env = {.invoking_uid = 1000, .invoking_gid = 100};
	struct journal_record record = {0};
	char typed[FILE_RELOAD_TYPED], long_word[FILE_RELOAD_TYPED] = "";
	char program[] = "/bin/sh", no_program[] = "/etc/passwd";
	struct params params;
	const struct fault fault = {.params = &params, .env = &env, .command = 7};
	struct error err = ERROR_INIT;

	(void)state;
	make_params(&params, "reload-command=/usr/sbin/nginx,-s,it's load");
	assert_int_equal(file_reload_fill(&fault, "/etc/nginx/nginx.conf", &swap, &err), 0);
	params_free(&params);
	snprintf(swap.record.run_id, sizeof(swap.record.run_id), "abcdef");
	swap.record.text_crc = crc32_of(swap.text, swap.record.text_size);
	memcpy(swap.record.text, swap.text, swap.record.text_size);
	memcpy(record.payload, &swap.record, sizeof(swap.record));
	if (file_record_read(&record, &read, &err) < 0)
		fail_msg("%s", err.text);
	assert_string_equal(read.path, "/etc/nginx/nginx.conf");
	assert_int_equal(read.command.number, 7);
	assert_int_equal(read.command.uid, 1000);
	assert_int_equal(read.command.gid, 100);
	assert_string_equal(read.command.argv[0], "/usr/sbin/nginx");
	assert_string_equal(read.command.argv[2], "it's load");
	assert_null(read.command.argv[3]);
	read.command.argv[0] = program;
	/* which boot it was could not be told: it may have been this one */
	assert_int_equal(file_reload_command(&read, typed, &err), FILE_TYPE_COMMAND);
	read.record.boot_crc = file_boot_crc();
	assert_int_equal(file_reload_command(&read, typed, &err), FILE_TYPE_COMMAND);
	assert_string_equal(typed, "setpriv --reuid=1000 --regid=100 --clear-groups "
				   "/bin/sh -s 'it'\\''s load'");
	read.command.uid = 0;
	assert_int_equal(file_reload_command(&read, typed, &err), FILE_TYPE_COMMAND);
	assert_string_equal(typed, "/bin/sh -s 'it'\\''s load'");
	/* nobody could run it */
	read.command.argv[0] = no_program;
	assert_int_equal(file_reload_command(&read, typed, &err), FILE_TYPE_NEVER);
	assert_non_null(strstr(err.text, "/etc/passwd is not a program"));
	assert_string_equal(typed, "");
	read.command.argv[0] = program;
	/* who has started with this boot has read the good version */
	read.record.boot_crc++;
	assert_int_equal(file_reload_command(&read, typed, &err), FILE_TYPE_NOTHING);
	read.record.boot_crc--;
	/* in part it would be another command */
	memset(long_word, 'x', sizeof(long_word) - 1);
	read.command.argv[2] = long_word;
	assert_int_equal(file_reload_command(&read, typed, &err), FILE_TYPE_TOO_LONG);
	assert_string_equal(typed, "");
	/* a number that nobody has */
	swap.record.reload_number = FAULT_COMMANDS_MAX;
	memcpy(record.payload, &swap.record, sizeof(swap.record));
	assert_int_equal(file_record_read(&record, &read, &err), -EBADMSG);
}

/* --- the process --- */

static struct fault_command make_command(uint32_t number, char *script)
{
	static char shell[] = "/bin/sh", option[] = "-c";

	return (struct fault_command){.number = number,
				      .uid = getuid(),
				      .gid = getgid(),
				      .argv = {shell, option, script}};
}

static struct launcher *start_two(struct fault_command commands[2], char *first, char *second)
{
	struct launcher *launcher = NULL;
	struct error err = ERROR_INIT;

	commands[0] = make_command(0, first);
	commands[1] = make_command(1, second);
	if (reloader_start(commands, 2, &launcher, &err) < 0)
		fail_msg("%s", err.text);
	reloader_use(launcher_socket(launcher), NULL, NULL);
	return launcher;
}

static void end(struct launcher *launcher)
{
	reloader_use(-1, NULL, NULL);
	launcher_free(launcher);
}

static void test_answers_are_told_apart(void **state)
{
	static char well[] = "sleep 0.2", badly[] = "echo no; exit 4";
	struct fault_command commands[2];
	struct launcher *launcher = start_two(commands, well, badly);
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(fault_command_start(&commands[0], &err), 0);
	assert_int_equal(fault_command_start(&commands[1], &err), 0);
	assert_false(fault_command_is_over(&commands[0]));
	assert_int_equal(fault_command_finish(&commands[0], &err), 0);
	assert_int_equal(fault_command_finish(&commands[1], &err), -EREMOTEIO);
	assert_string_equal(err.text, "/bin/sh exited with status 4: no");
	end(launcher);
}

static void read_lines(const char *path, char *out, size_t size)
{
	FILE *file = fopen(path, "re");

	assert_non_null(file);
	out[fread(out, 1, size - 1, file)] = '\0';
	fclose(file);
}

/* As a guardian does that does not know of the run of its worker, which has died */
static void test_another_run_of_a_command_ends_the_one_before(void **state)
{
	static char slow[200], idle[] = "exit 0";
	char path[] = "/tmp/squall-reload-XXXXXX", lines[64] = "";
	struct fault_command commands[2];
	struct launcher *launcher;
	struct error err = ERROR_INIT;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	snprintf(slow, sizeof(slow), "echo begun >>%s; sleep 0.4; echo ended >>%s", path, path);
	launcher = start_two(commands, slow, idle);
	assert_int_equal(
		launcher_post(launcher_socket(launcher), 0, 77, FAULT_COMMAND_TIMEOUT_NS, &err), 0);
	for (unsigned tries = 0; tries < 100 && !*lines; tries++) {
		usleep(20000);
		read_lines(path, lines, sizeof(lines));
	}
	assert_string_equal(lines, "begun\n");
	assert_int_equal(fault_command_finish(&commands[0], &err), 0);
	usleep(500000);
	read_lines(path, lines, sizeof(lines));
	assert_string_equal(lines, "begun\nbegun\nended\n");
	end(launcher);
	unlink(path);
}

static void test_a_failure_is_told_again_until_it_is_started_again(void **state)
{
	static char once[200], idle[] = "exit 0";
	struct fault_command commands[2];
	struct launcher *launcher;
	struct error err = ERROR_INIT;
	char path[] = "/tmp/squall-reload-XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	snprintf(once, sizeof(once), "rm %s", path); /* works once */
	launcher = start_two(commands, once, idle);
	assert_int_equal(fault_command_finish(&commands[0], &err), 0);
	assert_int_not_equal(access(path, F_OK), 0);
	assert_int_equal(fault_command_finish(&commands[0], &err), -EREMOTEIO);
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_int_equal(fault_command_finish(&commands[0], &err), -EREMOTEIO);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(fault_command_start(&commands[0], &err), 0);
	assert_int_equal(fault_command_finish(&commands[0], &err), 0);
	assert_int_not_equal(access(path, F_OK), 0);
	end(launcher);
}

static void test_what_is_started_again_ends_the_run_before(void **state)
{
	static char slow[200], idle[] = "exit 0";
	struct fault_command commands[2];
	struct launcher *launcher;
	struct error err = ERROR_INIT;
	char path[] = "/tmp/squall-reload-XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	close(fd);
	/* the first run waits, the second does not */
	snprintf(slow, sizeof(slow), "mv %s %s.seen && exec sleep 60; rm %s.seen", path, path,
		 path);
	launcher = start_two(commands, slow, idle);
	assert_int_equal(fault_command_start(&commands[0], &err), 0);
	while (access(path, F_OK) == 0)
		usleep(1000);
	assert_int_equal(fault_command_start(&commands[0], &err), 0);
	assert_int_equal(fault_command_finish(&commands[0], &err), 0);
	end(launcher);
}

static void test_without_it_nobody_waits_for_an_answer(void **state)
{
	static char idle[] = "exit 0", other[] = "exit 0";
	struct fault_command commands[2];
	struct launcher *launcher = start_two(commands, idle, other);
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(kill(launcher_pid(launcher), SIGKILL), 0);
	assert_true(fault_command_finish(&commands[0], &err) < 0);
	assert_non_null(strstr(err.text, "the process that starts it"));
	end(launcher);
}

static void test_nobody_left_to_ask(void **state)
{
	static char well[] = "exit 0", badly[] = "exit 5";
	const struct fault_command good = make_command(200, well), bad = make_command(201, badly);
	struct error err = ERROR_INIT;

	(void)state;
	reloader_use(-1, NULL, NULL);
	reloader_use_own();
	assert_int_equal(fault_command_finish(&good, &err), 0);
	assert_int_equal(fault_command_finish(&bad, &err), -EREMOTEIO);
	assert_string_equal(err.text, "/bin/sh exited with status 5");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_makes_no_sense_is_refused_with_the_reason),
		cmocka_unit_test(test_the_record_holds_the_command),
		cmocka_unit_test(test_answers_are_told_apart),
		cmocka_unit_test(test_another_run_of_a_command_ends_the_one_before),
		cmocka_unit_test(test_a_failure_is_told_again_until_it_is_started_again),
		cmocka_unit_test(test_what_is_started_again_ends_the_run_before),
		cmocka_unit_test(test_without_it_nobody_waits_for_an_answer),
		cmocka_unit_test(test_nobody_left_to_ask),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
