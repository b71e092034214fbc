/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Probe `command`: runs a program as the invoking user, through the launcher, and judges its exit
 * code and the start of its output. This file starts nothing itself.
 */
#include "injector/probes/launcher.h"
#include "injector/probes/probe.h"

#include "injector/base/clock.h"
#include "injector/base/quantity.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

/* The launcher kills by itself, should the conductor be stopped just then */
#define LAUNCHER_MARGIN_NS NSEC_PER_SEC

enum { EXPECT_EXIT, EXPECT_OUTPUT, EXPECT_LATENCY };

static const struct param command_params[] = {{0}};
static const struct param command_expect[] = {
	[EXPECT_EXIT] = {"exit", PARAM_COMPARE_NUMBER, .fallback = "0", .doc = "exit code"},
	[EXPECT_OUTPUT] = {"output", PARAM_TEXT,
			   .doc = "what it prints: a comparison (\"< 100\", 200-299) or a regular "
				  "expression; the first 3 KiB count"},
	[EXPECT_LATENCY] = {"latency", PARAM_COMPARE_DURATION, .doc = "how long it runs"},
	{0},
};

struct command {
	struct probe *probe;
	int number; /* of the launcher */
	struct compare exit;
	const char *expected_output; /* NULL: not judged */
	bool is_numeric;
	struct compare number_output;
	bool has_pattern;
	regex_t pattern;
};

/* What `output` means: "< 100", "7" and "1-5" compare a number, everything else is a pattern. */
static int parse_output(const char *text, bool *out_is_numeric, struct compare *out,
			struct error *err)
{
	static const struct param as_number = {.name = "output", .type = PARAM_COMPARE_NUMBER};
	static const struct param as_pattern = {.name = "output", .type = PARAM_PATTERN};
	struct param_value value;
	int result = param_parse(&as_number, text, &value, err);

	*out_is_numeric = result == 0;
	if (result == 0)
		*out = value.compare;
	else if (strchr("<>=!", text[0]))
		return error_prefix(err, "output");
	else
		result = param_parse(&as_pattern, text, &value, err);
	if (result < 0)
		return error_prefix(err, "output");
	param_value_free(&value);
	return 0;
}

static int command_check(const struct probe_spec *spec, struct error *err)
{
	const char *output = params_text(&spec->expect, EXPECT_OUTPUT);
	struct compare compare;
	bool is_numeric;

	if (!spec->subject[0][0])
		return error_set(err, EINVAL, "the program is empty");
	return output ? parse_output(output, &is_numeric, &compare, err) : 0;
}

static void command_close(struct probe *probe)
{
	struct command *command = probe->state;

	if (!command)
		return;
	if (command->has_pattern)
		regfree(&command->pattern);
	free(command);
	probe->state = NULL;
}

static int command_open(struct probe *probe, struct error *err)
{
	const struct params *expect = &probe->spec->expect;
	struct command *command;
	int result = 0;

	if (!probe->launcher)
		return error_set(err, ESRCH, "there is no launcher to start commands");
	command = probe->state = calloc(1, sizeof(*command));
	if (!command)
		return error_errno(err, ENOMEM, "cannot prepare the probe");
	command->probe = probe;
	probe_compare(expect, EXPECT_EXIT, &command->exit);
	command->expected_output = params_text(expect, EXPECT_OUTPUT);
	if (command->expected_output)
		result = parse_output(command->expected_output, &command->is_numeric,
				      &command->number_output, err);
	if (result == 0 && command->expected_output && !command->is_numeric) {
		result = probe_pattern_compile(command->expected_output, &command->pattern, err);
		command->has_pattern = result == 0;
	}
	if (result < 0)
		return result;
	command->number = launcher_add(probe->launcher, probe->spec->subject, false, NULL, err);
	return command->number < 0 ? command->number : 0;
}

/* The whole output, blanks around it aside, as a number. */
static bool read_number(const char *output, double *out)
{
	char *end;

	*out = strtod(output, &end);
	return end != output && end[strspn(end, " \t\r\n")] == '\0' && isfinite(*out);
}

/* Fills `reason` and returns false when the output is not as expected. */
static bool judge_output(const struct command *command, const char *output, double *out_value,
			 char *reason, size_t size)
{
	char excerpt[64];

	probe_excerpt(output, strlen(output), excerpt, sizeof(excerpt));
	if (command->is_numeric) {
		if (!read_number(output, out_value)) {
			*out_value = NAN;
			snprintf(reason, size, "output '%s' is not a number, expected %s", excerpt,
				 command->expected_output);
			return false;
		}
		snprintf(reason, size, "output %s, expected %s", excerpt, command->expected_output);
		return compare_holds(&command->number_output, *out_value);
	}
	snprintf(reason, size, "output '%s' does not match '%s'", excerpt,
		 command->expected_output);
	return probe_pattern_matches(&command->pattern, output, strlen(output));
}

static void judge_exited(struct command *command, const struct launcher_result *result)
{
	struct probe *probe = command->probe;
	int64_t latency = probe_take_latency(probe);
	int code = WEXITSTATUS(result->status);
	char reason[200], excerpt[64], took[QUANTITY_TEXT_SIZE];
	double value = code;

	probe_excerpt(result->output, strlen(result->output), excerpt, sizeof(excerpt));
	if (!compare_holds(&command->exit, code))
		probe_finish(probe, PROBE_FAIL, value, "exit code %d, expected %s%s%s", code,
			     params_text(&probe->spec->expect, EXPECT_EXIT), *excerpt ? ": " : "",
			     excerpt);
	else if (command->expected_output &&
		 !judge_output(command, result->output, &value, reason, sizeof(reason)))
		probe_finish(probe, PROBE_FAIL, value, "%s", reason);
	else if (!probe_latency_holds(probe, EXPECT_LATENCY, latency, reason, sizeof(reason)))
		probe_finish(probe, PROBE_FAIL, value, "%s", reason);
	else
		probe_finish(probe, PROBE_PASS, value, "exit code %d%s%s in %s", code,
			     *excerpt ? ", output " : "", excerpt,
			     quantity_format_latency(latency, took));
}

static void on_result(void *context, const struct launcher_result *result)
{
	struct command *command = context;
	struct probe *probe = command->probe;
	char after[QUANTITY_TEXT_SIZE], excerpt[150];
	const char *name;

	if (result->status < 0) {
		probe_excerpt(result->output, strlen(result->output), excerpt, sizeof(excerpt));
		probe_finish(probe, PROBE_UNKNOWN, NAN, "%s", excerpt);
	} else if (result->timed_out) {
		probe->latency_ns = -1;
		probe_finish(probe, PROBE_FAIL, NAN, "timed out after %s",
			     quantity_format_duration(probe->spec->timeout_ns, after));
	} else if (WIFSIGNALED(result->status)) {
		name = signal_name(WTERMSIG(result->status));
		probe_finish(probe, PROBE_FAIL, NAN, "killed by signal %d%s%s",
			     WTERMSIG(result->status), name ? " " : "", name ? name : "");
	} else {
		judge_exited(command, result);
	}
}

static int command_start(struct probe *probe, struct error *err)
{
	struct command *command = probe->state;

	return launcher_run(probe->launcher, command->number,
			    probe->spec->timeout_ns + LAUNCHER_MARGIN_NS, on_result, command, err);
}

static void command_cancel(struct probe *probe)
{
	const struct command *command = probe->state;

	launcher_cancel(probe->launcher, command->number);
}

const struct probe_ops command_probe = {
	.name = "command",
	.summary = "a program exits as expected, and prints what is expected",
	.subject_doc = "[PROGRAM, ARGUMENT...]",
	.subject_is_list = true,
	.params = command_params,
	.expect = command_expect,
	.check = command_check,
	.open = command_open,
	.start = command_start,
	.cancel = command_cancel,
	.close = command_close,
};
