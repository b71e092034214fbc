/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Good files: what the model holds afterwards, steps in words, the examples, and the time it takes.
 */
#include "injector/base/clock.h"
#include "injector/base/quantity.h"
#include "injector/experiment/load.h"
#include "injector/experiment/yaml.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

static struct experiment *parse(const char *text, size_t length, const char *path)
{
	struct experiment *experiment = NULL;
	struct yaml_problems problems;
	struct error err = ERROR_INIT;

	if (yaml_parse_experiment(text, length, path, &experiment, &problems, &err) < 0)
		fail_msg("%s (%u problems)", err.text, problems.count);
	assert_int_equal(problems.count, 0);
	return experiment;
}

/* With the files that it names. */
static struct experiment *load(const char *path)
{
	struct experiment *experiment = NULL;
	struct yaml_problems problems;
	struct error err = ERROR_INIT;

	if (experiment_load(path, &experiment, &problems, &err) < 0)
		fail_msg("%s (%u problems)", err.text, problems.count);
	return experiment;
}

static void discard(struct experiment *experiment)
{
	experiment_free(experiment);
	free(experiment);
}

static const char whole[] =
	"\xef\xbb\xbf# the whole format\r\n"
	"version: 1\r\n"
	"title: \"Object store: slow\"\n"
	"hypothesis: >\n"
	"  Checkout answers within a second\n"
	"  while the store is slow\n"
	"recovery: {require: checkout, within: 15s, hold: 10s}\n"
	"method:\n"
	"  - {at: 90s, for: 1m, network: {to: [1.2.3.4, 1.2.3.5, 1.2.3.6, \"[fd00::1]:80\"],\n"
	"                                 loss: 100%}}\n"
	"  - {at: 60s, process: {target: orders, signal: 9}}\n"
	"  - {at: 0s, for: 3m, network: {target: store, delay: 400ms, jitter: 50ms}}\n"
	"  - {at: 60s, process: {name: nginx, count: 1}}\n"
	"  - {for: 2s, at: 60s, process: {target: orders, action: pause}}\n"
	"abort-when:\n"
	"  - {probe: checkout, fails: 3}\n"
	"  - {probe: backlog, fails: 20%, over: 30s}\n"
	"steady-state: {require: [checkout, backlog], for: 10s, within: 20s}\n"
	"probes:\n"
	"  checkout: {http: \"http://127.0.0.1:8080/x\", every: 500ms, timeout: 5s,\n"
	"             expect: {status: 200, latency: < 1s}}\n"
	"  backlog:  {command: [./backlog.sh, \"two\\nlines\"], expect: {output: \"< 100\"}}\n"
	"  single:   {command: ./one}\n"
	"  workers:  {process: nginx, command: 'nginx: worker', expect: {count: \">= 1\"}}\n"
	"  cpu:      {pressure: cpu, expect: {some-avg10: \"< 60\"}}\n"
	"targets:\n"
	"  store:  {to: [10.0.5.0/24:443, store:443], namespace: \"target:orders\"}\n"
	"  orders: {process: {unit: orders.service}}\n"
	"limits: {targets: 3, duration: 5m}\n"
	"allow-idle: true\n";

static void check_head(const struct experiment *experiment)
{
	assert_string_equal(experiment->path, "whole.yaml");
	assert_string_equal(experiment->title, "Object store: slow");
	assert_string_equal(experiment->hypothesis,
			    "Checkout answers within a second while the store is slow");
	assert_int_equal(experiment->limits.duration_ns, 300 * NSEC_PER_SEC);
	assert_int_equal(experiment->limits.targets, 3);
	assert_true(experiment->allow_idle);
	assert_int_equal(experiment->recovery.count, 1);
	assert_int_equal(experiment->recovery.within_ns, 15 * NSEC_PER_SEC);
	assert_int_equal(experiment->recovery.for_ns, 10 * NSEC_PER_SEC);
	assert_int_equal(experiment->steady_state.count, 2);
	assert_int_equal(experiment->steady_state.probes[1], 1);
	assert_int_equal(experiment->steady_state.for_ns, 10 * NSEC_PER_SEC);
	assert_int_equal(experiment->steady_state.within_ns, 20 * NSEC_PER_SEC);
	assert_int_equal(experiment->abort_count, 2);
	assert_int_equal(experiment->aborts[0].fails, 3);
	assert_int_equal(experiment->aborts[0].share_ppb, 0);
	assert_int_equal(experiment->aborts[1].probe, 1);
	assert_int_equal(experiment->aborts[1].fails, 0);
	assert_int_equal(experiment->aborts[1].share_ppb, SHARE_ONE / 5);
	assert_int_equal(experiment->aborts[1].over_ns, 30 * NSEC_PER_SEC);
}

static void check_probes(const struct experiment *experiment)
{
	const struct probe_spec *probes = experiment->probes;

	assert_int_equal(experiment->probe_count, 5);
	assert_string_equal(probes[0].name, "checkout");
	assert_string_equal(probes[0].ops->name, "http");
	assert_string_equal(probes[0].subject[0], "http://127.0.0.1:8080/x");
	assert_null(probes[0].subject[1]);
	assert_int_equal(probes[0].every_ns, 500 * NSEC_PER_MSEC);
	assert_int_equal(probes[0].timeout_ns, 5 * NSEC_PER_SEC);
	assert_int_equal(probes[1].line, 22);
	assert_int_equal(probes[1].column, 3);
	assert_int_equal(probes[1].subject_count, 2);
	assert_string_equal(probes[1].subject[1], "two\nlines");
	assert_null(probes[1].subject[2]);
	assert_int_equal(probes[1].every_ns, NSEC_PER_SEC);
	assert_int_equal(probes[1].timeout_ns, 2 * NSEC_PER_SEC);
	assert_int_equal(probes[2].subject_count, 1);
	/* `command` is a kind, and here a key of another kind */
	assert_string_equal(probes[3].ops->name, "process");
	assert_string_equal(params_text(&probes[3].params,
					(unsigned)params_find(probes[3].ops->params, "command")),
			    "nginx: worker");
}

static void check_steps(const struct experiment *experiment)
{
	static const char *const words[] = {
		"delay 400ms, jitter 50ms to 10.0.5.0/24:443, store:443, namespace target:orders",
		"kill (signal 9) processes with unit orders.service",
		"kill processes with name nginx, count 1",
		"pause processes with unit orders.service",
		"loss 100% to 1.2.3.4, 1.2.3.5, 1.2.3.6 and 1 more",
	};
	static const unsigned targets[] = {0, 1, 3, 1, 2}; /* 2 and 3 have no name */
	static const int seconds[] = {0, 60, 60, 60, 90}, lasts[] = {180, 0, 0, 2, 60};
	char text[256];

	assert_int_equal(experiment->step_count, 5);
	assert_int_equal(experiment->target_count, 4);
	assert_string_equal(experiment->targets[2].name, "");
	assert_int_equal(experiment->targets[3].kind, TARGET_PROCESS);
	for (unsigned i = 0; i < 5; i++) {
		const struct experiment_step *step = &experiment->steps[i];

		experiment_describe_step(experiment, i, text, sizeof(text));
		assert_string_equal(text, words[i]);
		assert_int_equal(step->target, targets[i]);
		assert_int_equal(experiment->targets[step->target].kind, step->ops->target_kind);
		assert_int_equal(step->at_ns, seconds[i] * NSEC_PER_SEC);
		assert_int_equal(step->for_ns, lasts[i] * NSEC_PER_SEC);
	}
	assert_int_equal(experiment_method_ns(experiment), 180 * NSEC_PER_SEC);
	experiment_describe_step(experiment, 0, text, 10); /* cut, not overrun */
	assert_string_equal(text, "delay 400");
}

static void test_the_whole_format_in_any_order(void **state)
{
	struct experiment *experiment = parse(whole, strlen(whole), "whole.yaml");

	(void)state;
	check_head(experiment);
	check_probes(experiment);
	check_steps(experiment);
	discard(experiment);
}

static void test_the_smallest_experiment(void **state)
{
	static const char text[] = "{version: 1, title: t, limits: {duration: 1s, targets: 1},\n"
				   " method: [{for: 1s, network: {to: 10.0.0.1, delay: 1ms}}]}\n";
	struct experiment *experiment = parse(text, strlen(text), "x");

	(void)state;
	assert_null(experiment->hypothesis);
	assert_false(experiment->allow_idle);
	assert_int_equal(experiment->steps[0].at_ns, 0);
	assert_int_equal(experiment->probe_count, 0);
	assert_int_equal(experiment->steady_state.count, 0);
	discard(experiment);
}

static void test_freeing_an_empty_experiment_is_harmless(void **state)
{
	struct experiment empty = {0};

	(void)state;
	experiment_free(NULL);
	experiment_free(&empty);
	experiment_free(&empty);
}

static int parse_quietly(const char *text, size_t length)
{
	struct experiment *experiment = NULL;
	struct yaml_problems problems;
	int result = yaml_parse_experiment(text, length, "x", &experiment, &problems, NULL);

	if (result == 0)
		discard(experiment);
	yaml_problems_free(&problems);
	return result;
}

/* Every beginning of a file, and the file with each byte spoiled: no crash, no leak. */
static void test_spoiled_files_do_no_harm(void **state)
{
	char *text = malloc(sizeof(whole));

	(void)state;
	assert_non_null(text);
	memcpy(text, whole, sizeof(whole));
	for (size_t length = 0; length < strlen(whole); length++) {
		static const char spoilers[] = "[{:\"-\n\x80";

		parse_quietly(whole, length);
		text[length] = spoilers[length % (sizeof(spoilers) - 1)];
		parse_quietly(text, strlen(whole));
		text[length] = whole[length];
	}
	assert_int_equal(parse_quietly(text, strlen(whole)), 0);
	free(text);
}

static double seconds_for(const char *text, size_t length, int expected)
{
	clock_t start = clock();

	assert_int_equal(parse_quietly(text, length), expected);
	return (double)(clock() - start) / CLOCKS_PER_SEC;
}

/* As many as a file holds. Anything quadratic takes minutes here; the bound leaves room for
 * sanitizers and slow machines. */
static void test_large_lists_and_mappings_take_linear_time(void **state)
{
	static char text[EXPERIMENT_FILE_MAX];
	size_t used;

	(void)state;
	used = (size_t)snprintf(
		text, sizeof(text),
		"{version: 1, title: t, limits: {duration: 1s, targets: 1}, method: "
		"[{for: 1s, network: {delay: 1ms, to: [1.2.3.4");
	for (unsigned i = 0; i < 100000; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, ",1.2.3.%u", i % 256);
	used += (size_t)snprintf(text + used, sizeof(text) - used, "]}}]}");
	assert_true(seconds_for(text, used, 0) < 5);

	used = 0;
	for (unsigned i = 0; i < 100000; i++) /* unknown keys, all different */
		used += (size_t)snprintf(text + used, sizeof(text) - used, "k%u: 1\n", i);
	assert_true(seconds_for(text, used, -EINVAL) < 5);

	used = 0;
	for (unsigned i = 0; i < 150000; i++) /* all the same */
		used += (size_t)snprintf(text + used, sizeof(text) - used, "k: 1\n");
	assert_true(seconds_for(text, used, -EINVAL) < 5);

	memset(text, '[', sizeof(text));
	assert_true(seconds_for(text, sizeof(text), -EINVAL) < 5);
}

static size_t read_file(const char *path, char *out, size_t size)
{
	FILE *file = fopen(path, "re");
	size_t length;

	if (!file)
		fail_msg("cannot open %s: %s (the tests run from the top of the repository)", path,
			 strerror(errno));
	length = fread(out, 1, size, file);
	fclose(file);
	return length;
}

static void test_every_example_is_valid_and_short(void **state)
{
	static char text[EXPERIMENT_FILE_MAX];
	DIR *directory = opendir("experiments");
	struct dirent *entry;
	unsigned count = 0;
	char path[300];

	(void)state;
	if (!directory) {
		fail_msg("no directory experiments (the tests run from the top of the repository)");
		return;
	}
	while ((entry = readdir(directory))) {
		struct experiment *experiment;
		size_t length;

		if (!strstr(entry->d_name, ".yaml"))
			continue;
		snprintf(path, sizeof(path), "experiments/%s", entry->d_name);
		length = read_file(path, text, sizeof(text) - 1);
		text[length] = '\0';
		if (text[0] != '#')
			fail_msg("%s does not begin with a comment that explains it", path);
		experiment = load(path);
		/* one that is to be aborted ends long before its method */
		if (!strstr(text, "# lab-exit: 3") &&
		    experiment_method_ns(experiment) + experiment->steady_state.for_ns +
				    experiment->recovery.for_ns >
			    12 * NSEC_PER_SEC)
			fail_msg("%s takes more than 12 s", path);
		if (!experiment->hypothesis || !experiment->probe_count ||
		    !experiment->abort_count || !experiment->recovery.count)
			fail_msg("%s is no good example: something is missing", path);
		discard(experiment);
		count++;
	}
	closedir(directory);
	assert_true(count >= 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_whole_format_in_any_order),
		cmocka_unit_test(test_the_smallest_experiment),
		cmocka_unit_test(test_freeing_an_empty_experiment_is_harmless),
		cmocka_unit_test(test_spoiled_files_do_no_harm),
		cmocka_unit_test(test_large_lists_and_mappings_take_linear_time),
		cmocka_unit_test(test_every_example_is_valid_and_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
