/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The schema of the experiment file, in a validator that is not ours: it accepts every experiment
 * that we have and refuses the usual slips. */
#include "injector/base/cleanup.h"
#include "injector/base/json.h"
#include "injector/experiment/format.h"
#include "injector/experiment/model.h"
#include "injector/experiment/schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* Reads the schema from its first argument; exit code 1 when a file does not follow it. Good files
 * come first, then "--" and bad documents, as text. */
static const char validate[] =
	"import json, sys, yaml, jsonschema\n"
	"schema = json.load(open(sys.argv[1]))\n"
	"jsonschema.Draft202012Validator.check_schema(schema)\n"
	"validator = jsonschema.Draft202012Validator(schema)\n"
	"at, bad = sys.argv.index('--'), 0\n"
	"for name in sys.argv[2:at]:\n"
	"    for error in validator.iter_errors(yaml.safe_load(open(name))):\n"
	"        print(name, 'is refused:', list(error.absolute_path), error.message[:300])\n"
	"        bad = 1\n"
	"for text in sys.argv[at + 1:]:\n"
	"    if validator.is_valid(yaml.safe_load(text)):\n"
	"        print('accepted:', text)\n"
	"        bad = 1\n"
	"sys.exit(bad)\n";

#define HEAD   "version: 1\ntitle: x\nlimits: {duration: 1m, targets: 1}\n"
#define METHOD "method: [{at: 0s, for: 5s, network: {to: \"10.0.0.1:80\", delay: 10ms}}]\n"

static const char *const bad[] = {
	"[]",
	"title: x",
	HEAD,
	HEAD METHOD "recovry: {}\n",
	HEAD METHOD "version: 2\n",
	HEAD METHOD "probes: {p: {htp: \"http://x/\"}}\n",
	HEAD METHOD "probes: {p: {http: \"http://x/\", evry: 1s}}\n",
	HEAD METHOD "probes: {p: {http: \"http://x/\", every: 1}}\n",
	HEAD METHOD "probes: {p: {http: \"http://x/\", expect: {latency: 5}}}\n",
	HEAD METHOD "abort-when: [{probe: p}]\n",
	HEAD METHOD "steady-state: {require: []}\n",
	HEAD METHOD "targets: {t: {prcess: {name: x}}}\n",
	HEAD METHOD "allow-idle: perhaps\n",
	HEAD "method: [{at: 0s, for: 5s, netwrk: {to: \"10.0.0.1:80\", delay: 10ms}}]\n",
	HEAD "method: [{at: 0s, for: 5s, network: {to: \"10.0.0.1:80\", dely: 10ms}}]\n",
	HEAD "method: [{at: 0s, for: 5s, network: {to: \"10.0.0.1:80\", delay: 10}}]\n",
	HEAD "method: [{at: 0s, for: 5s, network: {to: \"10.0.0.1:80\", delay: 10 parsecs}}]\n",
	HEAD "method: [{at: 0s, for: 5s, network: {to: \"10.0.0.1:80\", direction: up}}]\n",
	HEAD "method: [{at: 0s, for: 5s}]\n",
	"version: 1\ntitle: x\nlimits: {duration: 1m, targets: 0}\n" METHOD,
};

static void test_a_validator_knows_good_from_bad(void **state)
{
	char schema[] = "/tmp/squall-schema-XXXXXX";
	cleanup_free char *line = NULL;
	cleanup_file FILE *out = NULL;
	int fd = mkstemp(schema);
	size_t size = 0;
	FILE *words = open_memstream(&line, &size);
	FILE *pipe;
	int status;

	(void)state;
	assert_true(fd >= 0);
	out = fdopen(fd, "w");
	assert_int_equal(json_print(schema_of_experiment(), out, false, NULL), 0);
	fprintf(words, "exec /usr/bin/python3 - %s experiments/*.yaml --", schema);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		fprintf(words, " '%s'", bad[i]);
	fclose(words);
	pipe = popen(line, "w");
	assert_non_null(pipe);
	fputs(validate, pipe);
	status = pclose(pipe);
	unlink(schema);
	assert_int_equal(status, 0);
}

static json_t *properties(const json_t *root, const char *name)
{
	return json_object_get(json_object_get(root, "properties"), name);
}

static void test_every_table_is_in_it(void **state)
{
	json_t *root = schema_of_experiment();
	json_t *shapes, *shape;
	size_t i = 0;

	(void)state;
	for (unsigned at = 0; at < SECTION_COUNT; at++) {
		json_t *section = properties(root, format_sections[at].name);

		/* a section that only has its description is one that nobody has described */
		if (json_object_size(section) < 2)
			fail_msg("'%s' has no schema", format_sections[at].name);
	}
	shapes = json_object_get(json_object_get(properties(root, "method"), "items"), "anyOf");
	for (const struct fault_ops *const *each = fault_all(); *each; each++, i++) {
		shape = properties(json_array_get(shapes, i), (*each)->name);
		for (const struct param *param = (*each)->params; param->name; param++)
			assert_non_null(properties(shape, param->name));
	}
	assert_int_equal(json_array_size(shapes), i);
	json_decref(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_validator_knows_good_from_bad),
		cmocka_unit_test(test_every_table_is_in_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
