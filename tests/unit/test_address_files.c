/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Addresses from files (`to-file`): what is in them becomes the target's, mistakes are named by
 * file, line and column, and a hundred thousand are no trouble.
 */
#include "faults/target.h"
#include "injector/experiment/load.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define EXPERIMENT(selector)                                                                       \
	"version: 1\ntitle: t\nlimits: {duration: 1m, targets: 100000}\n"                          \
	"targets: {many: {" selector "}}\n"                                                        \
	"method: [{at: 0s, for: 5s, network: {target: many, loss: 100%}}]\n"

struct beside {
	const char *path, *text;
};

static int read_file(void *context, const char *path, size_t max, char **out_text,
		     size_t *out_length, struct error *err)
{
	const struct beside *files = context;

	for (; files->path; files++)
		if (strcmp(files->path, path) == 0) {
			assert_true(strlen(files->text) <= max);
			*out_text = strdup(files->text);
			*out_length = strlen(files->text);
			return 0;
		}
	return error_errno(err, ENOENT, "cannot open %s", path);
}

static struct experiment *parse(const char *text, const struct beside *files, char *out_said,
				size_t size)
{
	struct experiment_inputs inputs = {.read = read_file, .context = (void *)(uintptr_t)files};
	struct yaml_problems problems = {0};
	struct experiment *experiment = NULL;
	struct error err = ERROR_INIT;
	size_t used = 0;

	*out_said = '\0';
	yaml_parse_with(text, strlen(text), "lab/main.yaml", &inputs, &experiment, &problems, &err);
	for (unsigned i = 0; i < problems.count && used < size; i++)
		used += (size_t)snprintf(
			out_said + used, size - used, "%s:%d:%d: %s\n",
			problems.list[i].file ? problems.files[problems.list[i].file].path : "main",
			problems.list[i].line, problems.list[i].column, problems.list[i].text);
	yaml_problems_free(&problems);
	inputs_free(&inputs);
	return experiment;
}

static void discard(struct experiment *experiment)
{
	experiment_free(experiment);
	free(experiment);
}

static const struct endpoint *endpoint_of(const struct experiment *experiment, unsigned list,
					  unsigned at)
{
	const struct param_value *value = params_value(&experiment->targets[0].params, list, at);

	assert_non_null(value);
	return &value->endpoint;
}

static void test_a_file_is_beside_the_experiment(void **state)
{
	static const struct beside files[] = {
		{"lab/a.txt", "\xef\xbb\xbf# ours\r\n10.0.0.0/8   # all\r\n\r\n\t[fd00::/8]:443\n"
			      "10.1.1.1:80-90"},
		{"lab/b.txt", "10.2.0.0/16\n"},
		{NULL, NULL}};
	char said[2000], text[ENDPOINT_TEXT_SIZE];
	struct experiment *experiment =
		parse(EXPERIMENT("to: 192.0.2.1, to-file: a.txt, except-file: b.txt"), files, said,
		      sizeof(said));

	(void)state;
	assert_string_equal(said, "");
	assert_non_null(experiment);
	assert_int_equal(params_count(&experiment->targets[0].params, TRAFFIC_TO), 4);
	assert_int_equal(params_count(&experiment->targets[0].params, TRAFFIC_EXCEPT), 1);
	assert_string_equal(endpoint_format(endpoint_of(experiment, TRAFFIC_TO, 1), text),
			    "10.0.0.0/8");
	assert_string_equal(endpoint_format(endpoint_of(experiment, TRAFFIC_TO, 2), text),
			    "[fd00::/8]:443");
	assert_string_equal(endpoint_format(endpoint_of(experiment, TRAFFIC_TO, 3), text),
			    "10.1.1.1:80-90");
	assert_string_equal(endpoint_format(endpoint_of(experiment, TRAFFIC_EXCEPT, 0), text),
			    "10.2.0.0/16");
	discard(experiment);
}

static void test_a_file_is_beside_the_included_one_that_names_it(void **state)
{
	static const struct beside files[] = {
		{"lab/inner/common.yaml", "targets: {many: {to-file: list.txt}}\n"},
		{"lab/inner/list.txt", "10.0.0.1\n10.0.0.2/8\n"},
		{NULL, NULL}};
	char said[2000];

	(void)state;
	assert_null(parse("version: 1\ntitle: t\nlimits: {duration: 1m, targets: 9}\n"
			  "include: inner/common.yaml\n"
			  "method: [{at: 0s, for: 5s, network: {target: many, loss: 100%}}]\n",
			  files, said, sizeof(said)));
	assert_string_equal(said, "lab/inner/list.txt:2:1: to: '10.0.0.2/8' has bits set behind "
				  "its prefix; the network is 10.0.0.0/8\n");
}

static void test_every_mistake_of_a_file_in_one_go(void **state)
{
	static const struct beside files[] = {{"lab/a.txt",
					       "10.0.0.0/33\n# no\n  store.internal:443 # a name\n"
					       "10.0.0.1 10.0.0.2\n*\n10.0.0.1:99999\n"},
					      {NULL, NULL}};
	char said[2000];

	(void)state;
	assert_null(parse(EXPERIMENT("to-file: a.txt"), files, said, sizeof(said)));
	assert_string_equal(
		said,
		"lab/a.txt:1:1: to: '10.0.0.0/33': the prefix length must be 0 to 32\n"
		"lab/a.txt:3:3: 'store.internal:443' is neither an address nor a network; a file "
		"holds those alone\n"
		"lab/a.txt:4:10: one address or network a line: something follows it\n"
		"lab/a.txt:5:1: '*' is neither an address nor a network; a file holds those alone\n"
		"lab/a.txt:6:1: to: '10.0.0.1:99999': '99999' is not a port; write 443 or "
		"8000-8010, within 1-65535\n");
}

static void test_a_file_that_is_not_there_or_empty(void **state)
{
	static const struct beside files[] = {{"lab/empty.txt", "\n# nothing\n"}, {NULL, NULL}};
	char said[2000];

	(void)state;
	assert_null(parse(EXPERIMENT("to-file: a.txt"), files, said, sizeof(said)));
	assert_string_equal(said, "main:4:27: to-file: cannot open lab/a.txt: No such file or "
				  "directory\n");
	assert_null(parse(EXPERIMENT("to-file: empty.txt"), files, said, sizeof(said)));
	assert_string_equal(said, "lab/empty.txt:2:1: there is no address and no network in it\n");
}

/* Anything quadratic would take minutes; the test runner has a limit. */
static void test_a_hundred_thousand_networks_and_not_one_more(void **state)
{
	size_t size = 100001 * 20, used = 0;
	char *text = malloc(size), said[2000];
	struct beside files[] = {{"lab/a.txt", text}, {NULL, NULL}};
	struct experiment *experiment;

	(void)state;
	assert_non_null(text);
	for (unsigned i = 0; i < 100000; i++)
		used += (size_t)snprintf(text + used, size - used, "10.%u.%u.%u/31\n", i >> 15,
					 i >> 7 & 255, i << 1 & 255);
	experiment = parse(EXPERIMENT("to-file: a.txt"), files, said, sizeof(said));
	assert_string_equal(said, "");
	assert_int_equal(params_count(&experiment->targets[0].params, TRAFFIC_TO), 100000);
	discard(experiment);
	snprintf(text + used, size - used, "10.255.0.1\n");
	assert_null(parse(EXPERIMENT("to-file: a.txt"), files, said, sizeof(said)));
	assert_string_equal(
		said, "lab/a.txt:100001:1: there are more than 100000 addresses and networks\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_file_is_beside_the_experiment),
		cmocka_unit_test(test_a_file_is_beside_the_included_one_that_names_it),
		cmocka_unit_test(test_every_mistake_of_a_file_in_one_go),
		cmocka_unit_test(test_a_file_that_is_not_there_or_empty),
		cmocka_unit_test(test_a_hundred_thousand_networks_and_not_one_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
