/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Variables, settings and included files: what they become, and what is said when they are wrong,
 * at the right place of the right file.
 */
#include "injector/experiment/load.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/support/bad_files.h"

static const struct bad bad_variables[] = {
	{ON_END("hypothesis: ${x}\n"), 7, 13,
	 "there is no variable 'x'; if ${x} itself is meant, write $${x}"},
	{ON_END("hypothesis: ${hots}\nvariables: {host: a}\n"), 7, 13,
	 "there is no variable 'hots'; did you mean 'host'?"},
	{ON_END("hypothesis: \"${host\"\nvariables: {host: a}\n"), 7, 13,
	 "'${' has no '}'; if ${ itself is meant, write $${"},
	{ON_END("variables: {a: {b: c}}\n"), 7, 17,
	 "unknown key 'b' in a variable; allowed: from-env, *"},
	{ON_END("variables: {a: {from-env: X, from-file: y}}\n"), 7, 16,
	 "a variable comes from 'from-env' or 'from-file', not from both"},
	{ON_END("variables: {a: {default: x}}\n"), 7, 16, "say where the variable comes from: *"},
	{ON_END("variables: {a: {from-env: SQUALL_TEST_NOT_THERE}}\n"), 7, 27,
	 "the environment has no SQUALL_TEST_NOT_THERE, and there is no 'default' *"},
	{ON_END("variables: {a: {from-env: PATH, secret: true}}\n"), 7, 16,
	 "a secret comes from a file *"},
	{ON_END("variables: {a: {from-file: x, default: y}}\n"), 7, 16,
	 "'default' goes with 'from-env'"},
	{ON_END("variables: {a: {from-file: x}}\n"), 7, 28, "no file can be read here"},
	{ON_END("variables: {a: }\n"), 7, 16, "a variable has no value; *"},
	{ON_END("variables: {a: []}\n"), 7, 16, "the list is empty"},
	{ON_END("variables: {a: [[x]]}\n"), 7, 17, "a value in the list of a variable must be *"},
	{ON_END("variables: {a b: c}\n"), 7, 13, "'a b' cannot be the name of a variable: *"},
	{ON_END("variables: {a: 1, a: 2}\n"), 7, 19, "key 'a' is given twice*"},
	{ON_END("variables: [a]\n"), 7, 12, "'variables' must be a mapping like *"},
	{ON_END("hypothesis: x ${a}\nvariables: {a: [1, 2]}\n"), 7, 13,
	 "the variable 'a' is a list, which cannot be part of a text"},
	{ON_END("hypothesis: ${a}\nvariables: {a: [1, 2]}\n"), 7, 13,
	 "'hypothesis' takes one value, not a list: text"},
	{ON_END("include: common.yaml\n"), 7, 10, "nothing can be included here"},
	{ON_STEP("{at: 0s, for: \"${time}\", network: {target: store, delay: 1s}}\n"
		 "variables: {time: 5}\n"),
	 7, 19, "for: '5' has no unit; *"},
};

TABLE_TEST(test_mistakes_in_variables, bad_variables)

/* Files by name. */
static const struct {
	const char *path, *text;
} files[] = {
	{"lab/common.yaml", "variables: {host: 10.0.0.9, port: 443}\n"
			    "targets: {store: {to: \"${host}:${port}\"}}\n"
			    "probes:\n  shop: {http: \"http://${host}/\"}\n"},
	{"lab/outer.yaml", "include: [inner/deep.yaml, common.yaml]\n"},
	{"lab/inner/deep.yaml", "targets: {deep: {to: 10.1.1.1}}\n"},
	{"lab/wrong.yaml", "targets:\n  bad: {too: 1.2.3.4}\n"},
	{"lab/syntax.yaml", "targets: {a: {to: 1.2.3.4}\n"},
	{"lab/section.yaml", "targets: {a: {to: 1.2.3.4}}\nmethod: []\n"},
	{"lab/self.yaml", "include: self.yaml\n"},
	{"lab/ring.yaml", "include: ring2.yaml\n"},
	{"lab/ring2.yaml", "include: ring.yaml\n"},
	{"lab/d1.yaml", "include: d2.yaml\n"},
	{"lab/d2.yaml", "include: d3.yaml\n"},
	{"lab/d3.yaml", "include: d4.yaml\n"},
	{"lab/d4.yaml", "include: d5.yaml\n"},
	{"lab/d5.yaml", "targets: {five: {to: 1.2.3.5}}\n"},
	{"lab/token", "s3cr3t-token\n"},
	{"lab/lines", "two\nlines\n"},
};

static int read_file(void *context, const char *path, size_t max, char **out_text,
		     size_t *out_length, struct error *err)
{
	(void)context;
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		if (strcmp(files[i].path, path) == 0) {
			assert_true(strlen(files[i].text) <= max);
			*out_text = strdup(files[i].text);
			*out_length = strlen(files[i].text);
			return 0;
		}
	return error_errno(err, ENOENT, "cannot open %s", path);
}

static struct experiment *parse(const char *text, struct experiment_inputs *inputs,
				struct error *err)
{
	struct experiment *experiment = NULL;
	struct yaml_problems problems;

	inputs->read = read_file;
	*err = (struct error)ERROR_INIT;
	yaml_parse_with(text, strlen(text), "lab/main.yaml", inputs, &experiment, &problems, err);
	yaml_problems_free(&problems);
	return experiment;
}

static void discard(struct experiment *experiment)
{
	experiment_free(experiment);
	free(experiment);
}

static void expect_bad(const char *text, const char *setting, const char *message)
{
	struct experiment_inputs inputs = {.settings = {setting}, .setting_count = setting != NULL};
	struct error err;

	assert_null(parse(text, &inputs, &err));
	if (strncmp(err.text, message, strlen(message)) != 0)
		fail_msg("%s\n     got %s\nexpected %s", text, err.text, message);
	inputs_free(&inputs);
}

static void test_mistakes_in_included_files_name_them(void **state)
{
	(void)state;
	expect_bad(HEAD METHOD TARGETS "include: wrong.yaml\n", NULL,
		   "lab/wrong.yaml:2:9: unknown key 'too' in target 'bad'; did you mean 'to'?");
	expect_bad(HEAD METHOD TARGETS "include: syntax.yaml\n", NULL,
		   "lab/syntax.yaml:2:1: did not find expected ',' or '}'");
	expect_bad(HEAD METHOD TARGETS "include: section.yaml\n", NULL,
		   "lab/section.yaml:2:1: unknown key 'method' in an included file; allowed: "
		   "include, variables, targets, probes");
	expect_bad(HEAD METHOD TARGETS "include: gone.yaml\n", NULL,
		   "lab/main.yaml:6:10: include: cannot open lab/gone.yaml: No such file");
	expect_bad(HEAD METHOD TARGETS "include: [self.yaml]\n", NULL,
		   "lab/self.yaml:1:10: 'lab/self.yaml' includes itself");
	expect_bad(HEAD METHOD TARGETS "include: [ring.yaml]\n", NULL,
		   "lab/ring2.yaml:1:10: 'lab/ring.yaml' includes itself");
	expect_bad(HEAD METHOD TARGETS "include: main.yaml\n", NULL,
		   "lab/main.yaml:6:10: 'lab/main.yaml' includes itself");
	expect_bad(HEAD METHOD TARGETS "include: d1.yaml\n", NULL,
		   "lab/d4.yaml:1:10: included files may include others only 4 deep");
	expect_bad(HEAD METHOD TARGETS "include: [{a: b}]\n", NULL,
		   "lab/main.yaml:6:11: a file to include must be a single value");
	expect_bad(HEAD METHOD TARGETS "include: ${x}.yaml\nvariables: {x: common}\n", NULL,
		   "lab/main.yaml:6:10: the name of an included file cannot be a variable");
	expect_bad(HEAD METHOD TARGETS "include: common.yaml\n", NULL,
		   "lab/main.yaml:5:11: target 'store' is defined in lab/common.yaml:2, too");
	expect_bad(HEAD METHOD PROBES "include: common.yaml\n", NULL,
		   "lab/main.yaml:5:10: probe 'shop' is defined in lab/common.yaml:4, too");
}

static void test_mistakes_in_settings(void **state)
{
	(void)state;
	expect_bad(HEAD METHOD "include: common.yaml\n", "hots=1",
		   "lab/main.yaml: --set hots: the experiment has no variable of that name; did "
		   "you mean 'host'?");
	expect_bad(HEAD METHOD "include: common.yaml\n", "host",
		   "lab/main.yaml: --set host: write it like --set name=value");
	expect_bad(HEAD METHOD "include: common.yaml\n", "host=a\x1b[2J",
		   "lab/main.yaml: --set host: a control character");
	expect_bad(HEAD METHOD "include: common.yaml\n", "port=99999",
		   "lab/common.yaml:2:23: to: '10.0.0.9:99999'");
	expect_bad(HEAD METHOD TARGETS "variables: {t: {from-file: token, secret: true}}\n", "t=x",
		   "lab/main.yaml: --set t: it is a secret, and everybody can see command lines");
}

static void test_included_targets_probes_and_variables(void **state)
{
	struct experiment_inputs inputs = {.settings = {"port=8443"}, .setting_count = 1};
	struct error err;
	struct experiment *experiment =
		parse(HEAD METHOD "include: [outer.yaml, common.yaml]\n"
				  "variables: {host: 10.0.0.7}\n"
				  "steady-state: {require: [shop], for: 1s}\n",
		      &inputs, &err);

	(void)state;
	if (!experiment)
		fail_msg("%s", err.text);
	assert_int_equal(experiment->target_count, 2);
	assert_int_equal(experiment->probe_count, 1);
	/* who includes has the last word, and the command line the very last */
	assert_string_equal(experiment->probes[0].subject[0], "http://10.0.0.7/");
	assert_string_equal(
		params_text(&experiment->targets[experiment->steps[0].target].params, TRAFFIC_TO),
		"10.0.0.7:8443");
	assert_int_equal(experiment->variable_count, 2);
	assert_string_equal(experiment->variables[0].value, "10.0.0.7");
	assert_string_equal(experiment->variables[1].origin, "setting");
	discard(experiment);
	inputs_free(&inputs);
}

static void test_a_variable_keeps_its_type(void **state)
{
	static const char good[] = HEAD
		"variables: {where: [10.0.0.1, 10.0.0.2], time: 5s, idle: true, rest: x}\n"
		"allow-idle: ${idle}\n"
		"hypothesis: a $${where} is ${rest}-${rest}\n"
		"method: [{at: 0s, for: \"${time}\", network: {to: \"${where}\", loss: 1%}}]\n";
	struct experiment_inputs inputs = {0};
	struct error err;
	struct experiment *experiment = parse(good, &inputs, &err);

	(void)state;
	if (!experiment)
		fail_msg("%s", err.text);
	assert_true(experiment->allow_idle);
	assert_string_equal(experiment->hypothesis, "a ${where} is x-x");
	assert_int_equal(experiment->steps[0].for_ns, 5000000000LL);
	assert_int_equal(params_count(&experiment->targets[0].params, TRAFFIC_TO), 2);
	assert_string_equal(experiment->variables[0].value, "10.0.0.1,10.0.0.2");
	discard(experiment);
	inputs_free(&inputs);

	inputs.settings[0] = "where=10.0.0.3,10.0.0.4,10.0.0.5";
	inputs.setting_count = 1;
	experiment = parse(good, &inputs, &err);
	assert_non_null(experiment);
	assert_int_equal(params_count(&experiment->targets[0].params, TRAFFIC_TO), 3);
	discard(experiment);
	inputs_free(&inputs);
}

static void test_the_environment_is_read_where_it_is_declared(void **state)
{
	struct experiment_inputs inputs = {0};
	struct error err;
	struct experiment *experiment;

	(void)state;
	setenv("SQUALL_TEST_TITLE", "from outside ${x}", 1);
	experiment = parse(
		"version: 1\ntitle: \"${a}, ${b}\"\nlimits: {duration: 1m, targets: 9}\n"
		"variables: {a: {from-env: SQUALL_TEST_TITLE},\n"
		"            b: {from-env: SQUALL_TEST_NOT_THERE, default: else}}\n" TARGETS METHOD,
		&inputs, &err);
	if (!experiment)
		fail_msg("%s", err.text);
	/* a value is not looked through again */
	assert_string_equal(experiment->title, "from outside ${x}, else");
	discard(experiment);
	inputs_free(&inputs);
	unsetenv("SQUALL_TEST_TITLE");
}

/* Wherever something could be shown it is refused, and the message does not show it either. */
static void test_a_secret_goes_nowhere_where_it_is_shown(void **state)
{
	static const char *const places[] = {
		HEAD TARGETS METHOD "hypothesis: ${t}\n",
		HEAD TARGETS METHOD "hypothesis: a ${t} b\n",
		HEAD METHOD "targets: {store: {to: \"${t}\"}}\n",
		HEAD TARGETS METHOD "probes: {p: {http: \"http://x/${t}\"}}\n",
		HEAD TARGETS METHOD "probes: {p: {command: [echo, \"${t}\"]}}\n",
		HEAD TARGETS
		"method: [{at: 0s, for: \"${t}\", network: {target: store, loss: 1%}}]\n",
		HEAD TARGETS METHOD
		"probes: {p: {http: \"http://x/\", expect: {body: \"${t}\"}}}\n",
	};
	char text[1024];

	(void)state;
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		struct experiment_inputs inputs = {0};
		struct error err;

		snprintf(text, sizeof(text), "%svariables: {t: {from-file: token, secret: true}}\n",
			 places[i]);
		assert_null(parse(text, &inputs, &err));
		assert_non_null(strstr(err.text, "a secret cannot be used in"));
		assert_null(strstr(err.text, "s3cr3t"));
		inputs_free(&inputs);
	}
}

static void test_values_from_files(void **state)
{
	struct experiment_inputs inputs = {0};
	struct error err;
	struct experiment *experiment =
		parse(HEAD TARGETS METHOD "hypothesis: ${t}\nvariables: {t: {from-file: token}}\n",
		      &inputs, &err);

	(void)state;
	if (!experiment)
		fail_msg("%s", err.text);
	assert_string_equal(experiment->hypothesis,
			    "s3cr3t-token"); /* the line end is none of it */
	discard(experiment);
	inputs_free(&inputs);
	expect_bad(HEAD TARGETS METHOD "variables: {t: {from-file: lines, secret: true}}\n", NULL,
		   "lab/main.yaml:6:28: from-file: lab/lines must hold one line without control");
	expect_bad(HEAD TARGETS METHOD "variables: {t: {from-file: gone, secret: true}}\n", NULL,
		   "lab/main.yaml:6:28: from-file: cannot open lab/gone: No such file");
}

/* The files themselves: what is no regular file or too large is not read. */
static void test_only_regular_files_are_included(void **state)
{
	static const char text[] = HEAD TARGETS METHOD "include: /dev/zero\n";
	struct experiment_text loaded = {0};
	struct experiment *experiment = NULL;
	struct yaml_problems problems = {0};
	struct error err = ERROR_INIT;
	char path[] = "/tmp/squall-test-XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	assert_int_equal(experiment_read(path, &loaded, &err), 0);
	assert_int_equal(experiment_parse(&loaded, path, &experiment, &problems, &err), -EINVAL);
	assert_non_null(strstr(err.text, "/dev/zero is a device, not a file"));
	yaml_problems_free(&problems);
	experiment_text_free(&loaded);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mistakes_in_variables),
		cmocka_unit_test(test_mistakes_in_included_files_name_them),
		cmocka_unit_test(test_mistakes_in_settings),
		cmocka_unit_test(test_included_targets_probes_and_variables),
		cmocka_unit_test(test_a_variable_keeps_its_type),
		cmocka_unit_test(test_the_environment_is_read_where_it_is_declared),
		cmocka_unit_test(test_a_secret_goes_nowhere_where_it_is_shown),
		cmocka_unit_test(test_values_from_files),
		cmocka_unit_test(test_only_regular_files_are_included),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
