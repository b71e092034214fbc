/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The experiments that are killed at each system call (tests/sweep/experiments) hold everything
 * that leaves something to undo: each fault, each of its actions and effects, and each shape of a
 * step. A new parameter is put into one of them, or named here with the reason why not.
 */
#include "injector/base/cleanup.h"
#include "injector/experiment/load.h"
#include "injector/experiment/model.h"

#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FOLDER	  "tests/sweep/experiments/"
#define FILES_MAX 100

/* FAULT.PARAMETER, or FAULT.PARAMETER=WORD of one that is a choice. */
struct exception {
	const char *name;
};

static const struct exception exceptions[] = {
	/* another number in the queue, netem or table that other parameters have made */
	{"network.delay-correlation"},
	{"network.distribution-file"},
	{"network.distribution-samples"},
	{"network.distribution-lost"},
	{"network.distribution=normal"},
	{"network.distribution=pareto"},
	{"network.distribution=paretonormal"},
	{"network.loss-correlation"},
	{"network.gemodel-p"},
	{"network.gemodel-r"},
	{"network.gemodel-1-h"},
	{"network.gemodel-1-k"},
	{"network.state-p13"},
	{"network.state-p31"},
	{"network.state-p32"},
	{"network.state-p23"},
	{"network.state-p14"},
	{"network.loss-every"},
	{"network.loss-every-first"},
	{"network.ecn"},
	{"network.duplicate-correlation"},
	{"network.corrupt-correlation"},
	{"network.reorder-correlation"},
	{"network.reorder-gap"},
	{"network.peak-rate"},
	{"network.peak-burst"},
	{"network.packet-overhead"},
	{"network.cell-size"},
	{"network.cell-overhead"},
	{"network.slot"},
	{"network.slot-max"},
	{"network.slot-jitter"},
	{"network.slot-distribution=normal"},
	{"network.slot-distribution=pareto"},
	{"network.slot-distribution=paretonormal"},
	{"network.slot-packets"},
	{"network.slot-bytes"},
	{"network.seed"},
	{"network.limit"},
	/* another answer in place of the same packets */
	{"network.reject-with=host-unreachable"},
	{"network.reject-with=net-unreachable"},
	{"network.reject-with=admin-prohibited"},
	/* a permission */
	{"network.allow-bypass"},
	/* what the freezer does is swept by `auto` */
	{"process.pause-by=freezer"},
	/* other names and answers of the same relay */
	{"dns.pattern"},
	{"dns.type=any"},
	{"dns.type=A"},
	{"dns.type=AAAA"},
	{"dns.type=CNAME"},
	{"dns.type=HTTPS"},
	{"dns.type=MX"},
	{"dns.type=NS"},
	{"dns.type=PTR"},
	{"dns.type=SOA"},
	{"dns.type=SRV"},
	{"dns.type=SVCB"},
	{"dns.type=TXT"},
	{"dns.answer=servfail"},
	{"dns.answer=refused"},
	{"dns.answer=empty"},
	{"dns.answer=address"},
	{"dns.answer=random"},
	{"dns.answer=drop"},
	{"dns.address"},
	{"dns.probability"},
	/* other numbers in the same program; `any` is both protocols */
	{"connect.except"},
	{"connect.protocol=udp"},
	{"connect.error=EHOSTUNREACH"},
	{"connect.error=ENETUNREACH"},
	{"connect.error=EPERM"},
	/* the same sockets, beside others or fewer of them */
	{"port.in-use"},
	{"port.leave"},
	/* the same copy with another content */
	{"file.content-from"},
	{"file.corrupt"},
	{"file.seed"},
};
#define EXCEPTIONS (sizeof(exceptions) / sizeof(*exceptions))

struct swept {
	struct experiment *experiments[FILES_MAX];
	size_t count;
};

static void put_name(const char *name, FILE *out)
{
	if (strcmp(name, "GROUP") == 0)
		fputs("/group", out);
	else if (strcmp(name, "FOLDER") == 0)
		fputs("/run/sweep", out);
	else if (strcmp(name, "LATE") == 0)
		fputs("sqv0*", out);
	else
		fputs("1", out);
}

/* See tests/sweep/scene.h: @NAME@ stands for what is there when it runs. */
static char *read_text(const char *path, size_t *out_length)
{
	cleanup_file FILE *in = fopen(path, "re");
	char *text = NULL, name[32];
	FILE *out = open_memstream(&text, out_length);
	int c;

	assert_non_null(in);
	assert_non_null(out);
	while ((c = fgetc(in)) != EOF) {
		if (c == '@' && fscanf(in, "%31[A-Z]@", name) == 1)
			put_name(name, out);
		else
			fputc(c, out);
	}
	fclose(out);
	return text;
}

/* What the scene has there, in its form. */
static int read_pem(void *context, const char *path, size_t max, char **out_text,
		    size_t *out_length, struct error *err)
{
	static const char pem[] = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
				  "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";

	(void)context, (void)path, (void)max, (void)err;
	*out_text = strdup(pem);
	*out_length = strlen(pem);
	return 0;
}

static struct experiment *parse(const char *path)
{
	struct experiment_text text = {.inputs = {.read = read_pem}};
	struct experiment *experiment = NULL;
	struct yaml_problems problems = {0};
	struct error err = ERROR_INIT;

	text.bytes = read_text(path, &text.length);
	if (experiment_parse(&text, path, &experiment, &problems, &err) < 0)
		fail_msg("%s: %s", path, problems.count ? problems.list[0].text : err.text);
	yaml_problems_free(&problems);
	experiment_text_free(&text);
	return experiment;
}

static int read_all(void **state)
{
	static struct swept swept;
	glob_t found;

	assert_int_equal(glob(FOLDER "*.yaml", 0, NULL, &found), 0);
	assert_in_range(found.gl_pathc, 1, FILES_MAX);
	for (size_t i = 0; i < found.gl_pathc; i++)
		swept.experiments[swept.count++] = parse(found.gl_pathv[i]);
	globfree(&found);
	*state = &swept;
	return 0;
}

static int free_all(void **state)
{
	struct swept *swept = *state;

	for (size_t i = 0; i < swept->count; i++) {
		experiment_free(swept->experiments[i]);
		free(swept->experiments[i]);
	}
	return 0;
}

typedef bool step_check(const struct experiment *experiment, const struct experiment_step *step,
			const void *context);

/* Is there a step for which it is true? */
static bool has_step(const struct swept *swept, step_check *is_it, const void *context)
{
	for (size_t i = 0; i < swept->count; i++)
		for (unsigned k = 0; k < swept->experiments[i]->step_count; k++)
			if (is_it(swept->experiments[i], &swept->experiments[i]->steps[k], context))
				return true;
	return false;
}

struct wanted {
	const struct fault_ops *ops;
	unsigned param;
	const char *word; /* NULL: any value */
};

static bool has_parameter(const struct experiment *experiment, const struct experiment_step *step,
			  const void *context)
{
	const struct wanted *wanted = context;
	const struct param *param = &wanted->ops->params[wanted->param];
	const struct param_setting *setting = &step->params.settings[wanted->param];

	(void)experiment;
	if (step->ops != wanted->ops)
		return false;
	if (!wanted->word)
		return setting->count > 0;
	if (!setting->count)
		return param->fallback && strcmp(param->fallback, wanted->word) == 0;
	for (unsigned i = 0; i < setting->count; i++)
		if (strcmp(setting->values[i].text, wanted->word) == 0)
			return true;
	return false;
}

static size_t find_exception(const char *name)
{
	size_t at = 0;

	while (at < EXCEPTIONS && strcmp(exceptions[at].name, name) != 0)
		at++;
	return at;
}

/* Swept or excepted, and not both. */
static unsigned check_one(const struct swept *swept, const struct wanted *wanted,
			  bool is_met[EXCEPTIONS])
{
	bool is_swept = has_step(swept, has_parameter, wanted);
	char name[128];
	size_t at;

	snprintf(name, sizeof(name), "%s.%s%s%s", wanted->ops->name,
		 wanted->ops->params[wanted->param].name, wanted->word ? "=" : "",
		 wanted->word ? wanted->word : "");
	at = find_exception(name);
	if (at < EXCEPTIONS)
		is_met[at] = true;
	if (is_swept == (at == EXCEPTIONS))
		return 0;
	print_error("%s is %s\n", name,
		    is_swept ? "swept, and no exception" : "in no experiment of " FOLDER);
	return 1;
}

static void test_each_parameter_is_swept_or_excepted(void **state)
{
	bool is_met[EXCEPTIONS] = {false};
	unsigned wrong = 0;

	for (const struct fault_ops *const *ops = fault_all(); *ops; ops++)
		for (unsigned i = 0; (*ops)->params[i].name; i++) {
			const struct param *param = &(*ops)->params[i];
			struct wanted wanted = {*ops, i, NULL};

			if (param->type == PARAM_TARGET)
				continue;
			if (param->type != PARAM_WORD)
				wrong += check_one(*state, &wanted, is_met);
			for (unsigned k = 0; param->type == PARAM_WORD && param->words[k]; k++) {
				wanted.word = param->words[k];
				wrong += check_one(*state, &wanted, is_met);
			}
		}
	for (size_t i = 0; i < EXCEPTIONS; i++)
		if (!is_met[i]) {
			print_error("%s: there is no such parameter\n", exceptions[i].name);
			wrong++;
		}
	assert_int_equal(wrong, 0);
}

static bool is_of_fault(const struct experiment *experiment, const struct experiment_step *step,
			const void *context)
{
	(void)experiment;
	return step->ops == context;
}

static void test_each_fault_is_swept(void **state)
{
	for (const struct fault_ops *const *ops = fault_all(); *ops; ops++)
		if (!has_step(*state, is_of_fault, *ops))
			fail_msg("%s is in no experiment of " FOLDER, (*ops)->name);
}

static bool has_ramp(const struct experiment *experiment, const struct experiment_step *step,
		     const void *context)
{
	(void)experiment;
	return step->ops == context && step->shape.over_ns;
}

static bool has_pulses(const struct experiment *experiment, const struct experiment_step *step,
		       const void *context)
{
	(void)experiment;
	return step->ops == context && step->shape.every_ns && step->shape.count > 1;
}

static void test_each_shape_is_swept(void **state)
{
	static const char *const pulsed[] = {"network", "process", "file"};

	for (const struct fault_ops *const *ops = fault_all(); *ops; ops++)
		if ((*ops)->set_level && !has_step(*state, has_ramp, *ops))
			fail_msg("a ramp of %s is in no experiment of " FOLDER, (*ops)->name);
	/* a journal record for each pulse; of the others only descriptors come and go */
	for (unsigned i = 0; i < sizeof(pulsed) / sizeof(*pulsed); i++)
		if (!has_step(*state, has_pulses, fault_find(pulsed[i])))
			fail_msg("pulses of %s are in no experiment of " FOLDER, pulsed[i]);
}

struct wanted_target {
	const char *fault, *param;
};

static bool has_target(const struct experiment *experiment, const struct experiment_step *step,
		       const void *context)
{
	const struct wanted_target *wanted = context;
	const struct params *params = &experiment->targets[step->target].params;
	int at = params_find(params->table, wanted->param);

	return strcmp(step->ops->name, wanted->fault) == 0 && at >= 0 &&
	       params->settings[at].count > 0;
}

/* Where it is done is a record of another kind, or a way of its own to find it again. */
static void test_each_kind_of_target_is_swept(void **state)
{
	static const struct wanted_target wanted[] = {
		{"network", "follow"},
		{"network", "interface"},
		{"network", "of"},
		{"process", "pid"},
		{"process", "cgroup"},
		{"connect", "pid"},
		{"connect", "cgroup"},
		{"file", "path"},
		{"file", "namespace"},
		{"network", "local-address"},
		{"network", "except-local-address"},
		{"port", "to"},
		{"port", "local-port"},
	};

	for (unsigned i = 0; i < sizeof(wanted) / sizeof(*wanted); i++)
		if (!has_step(*state, has_target, &wanted[i]))
			fail_msg("%s with %s is in no experiment of " FOLDER, wanted[i].fault,
				 wanted[i].param);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_fault_is_swept),
		cmocka_unit_test(test_each_parameter_is_swept_or_excepted),
		cmocka_unit_test(test_each_shape_is_swept),
		cmocka_unit_test(test_each_kind_of_target_is_swept),
	};

	return cmocka_run_group_tests(tests, read_all, free_all);
}
