/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The informational commands: faults, check, doctor, and how experiments are read from files. */
#include "injector/base/cleanup.h"
#include "injector/cli/commands.h"
#include "injector/cli/example.h"
#include "injector/cli/problems.h"
#include "injector/experiment/load.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

typedef int (*command_fn)(int argc, char **argv, struct error *err);

/* What a command writes to standard output; *out_code is what it returns. */
static char *run(command_fn command, const char *const *words, int *out_code, struct error *err)
{
	char path[] = "/tmp/squall-test-XXXXXX", *argv[8] = {0}, *text;
	int fd = mkstemp(path), saved, argc = 0;
	struct stat stat;

	assert_true(fd >= 0);
	unlink(path);
	for (; words[argc]; argc++)
		argv[argc] = strdup(words[argc]);
	fflush(stdout);
	saved = dup(STDOUT_FILENO);
	dup2(fd, STDOUT_FILENO);
	*err = (struct error)ERROR_INIT;
	*out_code = command(argc, argv, err);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	fstat(fd, &stat);
	text = calloc(1, (size_t)stat.st_size + 1);
	assert_non_null(text);
	assert_int_equal(pread(fd, text, (size_t)stat.st_size, 0), stat.st_size);
	close(fd);
	for (int i = 0; i < argc; i++)
		free(argv[i]);
	return text;
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

/* Keys of the example bind to the fault or its selector, and every value parses and fits together.
 */
static void test_examples_of_all_faults_are_valid(void **state)
{
	(void)state;
	for (const struct fault_ops *const *at = fault_all(); *at; at++) {
		char path[] = "/tmp/squall-test-XXXXXX", step[1024], text[2048];
		struct yaml_problems problems;
		struct experiment *experiment = NULL;
		struct error err = ERROR_INIT;

		close(mkstemp(path));
		example_step(*at, step, sizeof(step));
		snprintf(text, sizeof(text),
			 "version: 1\ntitle: example\nlimits: {duration: 5m, targets: 3}\nmethod:\n"
			 "  %s\n",
			 step);
		write_file(path, text);
		if (experiment_load(path, &experiment, &problems, &err) < 0)
			fail_msg("%s: %s %s", step, err.text,
				 problems.count ? problems.list[0].text : "");
		yaml_problems_free(&problems);
		experiment_free(experiment);
		free(experiment);
		unlink(path);
	}
}

/* One table says which keys of a target a fault takes: what `squall faults` lists is what check
 * takes. */
static void test_what_a_fault_does_not_take_is_not_listed(void **state)
{
	static const struct {
		const char *fault, *taken, *refused;
	} cases[] = {
		{"dns", "interface", "except"},	    {"dns", "unit", "vlan"},
		{"http", "except", "share"},	    {"http", "follow", "share"},
		{"port", "local-port", "unit"},	    {"port", "to", "tcp-flags"},
		{"network", "vlan", "nothing"},	    {"network", "follow", "nothing"},
		{"connect", "follow", "interface"}, {"process", "cgroup", "follow"},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *const words[] = {"faults", "--json", cases[i].fault, NULL};
		cleanup_free char *text = NULL;
		bool is_taken = false;
		struct error err;
		json_t *root, *one;
		size_t at;
		int code;

		text = run(cli_faults, words, &code, &err);
		root = json_loads(text, 0, NULL);
		json_array_foreach (json_object_get(root, "selectors"), at, one) {
			const char *name = json_string_value(json_object_get(one, "name"));

			is_taken |= strcmp(name, cases[i].taken) == 0;
			assert_string_not_equal(name, cases[i].refused);
		}
		assert_true(is_taken);
		json_decref(root);
	}
}

static void test_faults_lists_all_and_shows_one(void **state)
{
	static const char *const list[] = {"faults", NULL},
				 *const json[] = {"faults", "--json", NULL},
				 *const wrong[] = {"faults", "netwrok", NULL};
	cleanup_free char *text = NULL, *machine = NULL, *nothing = NULL;
	struct error err;
	json_t *root;
	unsigned count = 0;
	int code;

	(void)state;
	text = run(cli_faults, list, &code, &err);
	assert_int_equal(code, 0);
	machine = run(cli_faults, json, &code, &err);
	assert_int_equal(code, 0);
	root = json_loads(machine, 0, NULL);
	for (const struct fault_ops *const *at = fault_all(); *at; at++, count++) {
		const char *const one[] = {"faults", (*at)->name, NULL};
		cleanup_free char *shown = run(cli_faults, one, &code, &err);

		assert_int_equal(code, 0);
		assert_non_null(strstr(text, (*at)->name));
		assert_non_null(strstr(text, (*at)->summary) ? text : strstr(shown, (*at)->name));
		for (const struct param *param = (*at)->params; param->name; param++)
			if (!strstr(shown, param->name))
				fail_msg("%s does not show %s", (*at)->name, param->name);
		assert_string_equal(
			json_string_value(json_object_get(json_array_get(root, count), "name")),
			(*at)->name);
	}
	assert_int_equal(json_array_size(root), count);
	json_decref(root);
	nothing = run(cli_faults, wrong, &code, &err);
	assert_int_equal(code, -EINVAL);
	assert_string_equal(nothing, "");
	assert_non_null(strstr(err.text, "did you mean 'network'?"));
}

static const char good[] = "version: 1\n"
			   "title: good\n"
			   "limits: {duration: 1m, targets: 1}\n"
			   "method:\n"
			   "  - {at: 0s, for: 10s, network: {to: 10.0.0.1, delay: 10ms}}\n";
static const char bad[] = "version: 1\n"
			  "title: bad\n"
			  "limits: {duration: 1m, targets: 1}\n"
			  "method:\n"
			  "  - {at: 0s, for: 10s, network: {to: 10.0.0.1, dely: 10ms}}\n";

static void test_check_tells_position_and_exit_code(void **state)
{
	char good_path[] = "/tmp/squall-good-XXXXXX", bad_path[] = "/tmp/squall-bad-XXXXXX";
	const char *const fine[] = {"check", good_path, NULL};
	const char *const both[] = {"check", good_path, bad_path, NULL};
	const char *const json[] = {"check", "--json", bad_path, NULL};
	cleanup_free char *text = NULL, *mixed = NULL, *machine = NULL;
	char expected[128];
	struct error err;
	json_t *root, *problem;
	int code;

	(void)state;
	close(mkstemp(good_path));
	close(mkstemp(bad_path));
	write_file(good_path, good);
	write_file(bad_path, bad);
	text = run(cli_check, fine, &code, &err);
	assert_int_equal(code, 0);
	assert_int_equal(strncmp(text, "ok  /tmp/squall-good-", 21), 0);
	mixed = run(cli_check, both, &code, &err);
	assert_int_equal(code, 2);
	snprintf(expected, sizeof(expected), "\n%s:5:48: ", bad_path);
	if (!strstr(mixed, expected))
		fail_msg("no '%s' in: %s", expected + 1, mixed);
	assert_null(strchr(mixed, '^')); /* no terminal, no caret */
	machine = run(cli_check, json, &code, &err);
	assert_int_equal(code, 2);
	root = json_loads(machine, 0, NULL);
	problem = json_array_get(json_object_get(json_array_get(root, 0), "problems"), 0);
	assert_int_equal(json_integer_value(json_object_get(problem, "line")), 5);
	json_decref(root);
	unlink(good_path);
	unlink(bad_path);
}

static void test_caret_stands_below_the_problem(void **state)
{
	static const char source[] = "one: 1\n  \xe6\xbc\xa2: b\xc3\xa9 x\n";
	struct yaml_problem problem = {.line = 2, .column = 9, .text = "what\nis x"};
	struct yaml_problems problems = {.list = &problem, .count = 1};
	struct winsize size = {.ws_col = 80, .ws_row = 24};
	char text[1024] = "";
	int master, slave;
	FILE *out;

	(void)state;
	setenv("LC_ALL", "C.UTF-8", 1);
	setenv("NO_COLOR", "1", 1);
	assert_int_equal(openpty(&master, &slave, NULL, NULL, &size), 0);
	out = fdopen(slave, "w");
	problems_write(&problems, "-", source, sizeof(source) - 1, out);
	/* a terminal passes on what is written to it in its own time, line by line */
	for (size_t used = 0; !strchr(text, '^') || text[used - 1] != '\n';) {
		struct pollfd waiting = {.fd = master, .events = POLLIN};

		assert_int_equal(poll(&waiting, 1, 10000), 1);
		used += (size_t)read(master, text + used, sizeof(text) - 1 - used);
		assert_true(used < sizeof(text) - 1);
	}
	/* column 9 is x; the wide character before it takes two columns */
	assert_string_equal(text, "standard input:2:9: what is x\r\n"
				  "      2 |   \xe6\xbc\xa2: b\xc3\xa9 x\r\n"
				  "        |          ^\r\n");
	fclose(out);
	close(master);
}

static void test_load_refuses_what_is_no_file(void **state)
{
	char pipe_path[] = "/tmp/squall-pipe-XXXXXX", big_path[] = "/tmp/squall-big-XXXXXX";
	struct experiment_text text = {0};
	struct error err = ERROR_INIT;
	int fd;

	(void)state;
	assert_int_equal(experiment_read("/tmp", &text, &err), -EINVAL);
	assert_non_null(strstr(err.text, "is a directory"));
	assert_int_equal(experiment_read("/dev/zero", &text, &err), -EINVAL);
	assert_int_equal(experiment_read("/nonexistent", &text, &err), -ENOENT);
	/* a pipe without a writer must not hang */
	close(mkstemp(pipe_path));
	unlink(pipe_path);
	assert_int_equal(mkfifo(pipe_path, 0600), 0);
	assert_int_equal(experiment_read(pipe_path, &text, &err), -EINVAL);
	assert_non_null(strstr(err.text, "named pipe"));
	unlink(pipe_path);
	fd = mkstemp(big_path);
	assert_int_equal(ftruncate(fd, EXPERIMENT_FILE_MAX + 1), 0);
	assert_int_equal(experiment_read(big_path, &text, &err), -EFBIG);
	assert_int_equal(ftruncate(fd, EXPERIMENT_FILE_MAX), 0);
	assert_int_equal(experiment_read(big_path, &text, &err), 0);
	assert_int_equal(text.length, EXPERIMENT_FILE_MAX);
	experiment_text_free(&text);
	close(fd);
	unlink(big_path);
}

static void test_load_limits_standard_input(void **state)
{
	struct experiment_text text = {0};
	struct error err = ERROR_INIT;
	int saved = dup(STDIN_FILENO), zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);

	(void)state;
	dup2(zero, STDIN_FILENO);
	assert_int_equal(experiment_read("-", &text, &err), -EFBIG);
	dup2(saved, STDIN_FILENO);
	close(zero);
	close(saved);
}

static void test_doctor_answers_for_every_fault(void **state)
{
	static const char *const words[] = {"doctor", "--json", NULL};
	cleanup_free char *text = NULL;
	unsigned usable = 0, count = 0;
	struct error err;
	json_t *root, *faults, *fault;
	size_t at;
	int code;

	(void)state;
	text = run(cli_doctor, words, &code, &err);
	root = json_loads(text, 0, NULL);
	assert_non_null(root);
	faults = json_object_get(root, "faults");
	json_array_foreach (faults, at, fault) {
		assert_string_equal(json_string_value(json_object_get(fault, "name")),
				    fault_all()[at]->name);
		usable += json_is_true(json_object_get(fault, "usable"));
		count++;
		/* who cannot is told why */
		if (!json_is_true(json_object_get(fault, "usable")))
			assert_true(json_is_string(json_object_get(fault, "reason")) ||
				    json_is_string(json_object_get(fault, "remedy")));
	}
	assert_int_equal(code, usable == count ? 0 : 1);
	json_decref(root);
}

static void test_help_and_wrong_options(void **state)
{
	static const struct {
		const char *name;
		command_fn command;
	} commands[] = {{"faults", cli_faults}, {"check", cli_check}, {"doctor", cli_doctor}};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		const char *const help[] = {commands[i].name, "--help", NULL};
		const char *const wrong[] = {commands[i].name, "--jsno", NULL};
		struct error err;
		int code;
		cleanup_free char *text = run(commands[i].command, help, &code, &err);
		cleanup_free char *nothing = NULL;

		assert_int_equal(code, 0);
		assert_non_null(strstr(text, commands[i].name));
		nothing = run(commands[i].command, wrong, &code, &err);
		assert_int_equal(code, -EINVAL);
		assert_non_null(strstr(err.text, "--jsno"));
		assert_string_equal(nothing, "");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_examples_of_all_faults_are_valid),
		cmocka_unit_test(test_what_a_fault_does_not_take_is_not_listed),
		cmocka_unit_test(test_faults_lists_all_and_shows_one),
		cmocka_unit_test(test_check_tells_position_and_exit_code),
		cmocka_unit_test(test_caret_stands_below_the_problem),
		cmocka_unit_test(test_load_refuses_what_is_no_file),
		cmocka_unit_test(test_load_limits_standard_input),
		cmocka_unit_test(test_doctor_answers_for_every_fault),
		cmocka_unit_test(test_help_and_wrong_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
