/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * squall run, squall plan: both read a file; plan stops before anything is armed.
 */
#include "injector/cli/commands.h"

#include "injector/cli/options.h"
#include "injector/cli/source.h"
#include "injector/kernel/descriptors.h"
#include "injector/probes/launcher.h"
#include "injector/run/run.h"

#include <errno.h>
#include <string.h>

static const char run_help[] =
	"usage: squall run [--json] [--quiet] [--metrics FILE] [--seed N] [--set NAME=VALUE]... "
	"FILE "
	"[-- COMMAND [ARGUMENT...]]\n\n"
	"Runs the experiment in FILE: waits for the steady state, injects the faults of the\n"
	"method, watches the abort conditions, restores everything and says whether the\n"
	"hypothesis held. With COMMAND the faults last while COMMAND runs (at most\n"
	"limits.duration); COMMAND's failure fails the run. The result is stored in\n"
	"/var/lib/squall/results; the newest 500 are kept.\n\n"
	"  --set     gives a variable of the file another value\n"
	"  --seed    makes the random choices of the run that had this one\n"
	"  --metrics writes them there for the textfile collector of Prometheus' node exporter\n"
	"  --json    one event a line on standard output\n"
	"  --quiet   neither progress nor summary, only the exit code\n"
	"  --help    this text\n\n"
	"Keys while it is shown on a terminal: q or s stops it, n ends the fault that would end\n"
	"next, or begins the next one when none is in force.\n\n"
	"Exit codes: 0 the hypothesis held; 1 it failed; 2 invalid or refused, nothing was\n"
	"injected; 3 an abort condition fired; 4 interrupted; 5 not in steady state, nothing\n"
	"was injected; 6 something could not be restored.\n";

static const char plan_help[] =
	"usage: squall plan [--json] [--seed N] [--set NAME=VALUE]... FILE\n\n"
	"Shows what 'squall run FILE' would do on this machine now: the targets it finds, each\n"
	"change of the kernel's state in order, and the way chosen. Changes nothing.\n\n"
	"  --set     gives a variable of the file another value\n"
	"  --seed    makes the random choices of the run that had this one\n"
	"  --json    one event a line\n"
	"  --help    this text\n";

static const char too_many[] = "there are too many --set";

static int misused(const char *name, struct error *err, const char *what)
{
	error_set(err, EINVAL, "%s: %s", name, what);
	return error_remedy(err, "squall %s --help", name);
}

/* What was typed, and the file: all that needs the rights of who called. */
static int take(int argc, char **argv, struct options *options, struct source *source,
		struct run_options *run, struct error *err)
{
	const struct option_text *texts = options->texts;
	int separator = options_separator(argc, argv);
	int result = options_parse(options, separator, argv, err);

	if (result < 0 || options->helped)
		return result;
	if (!options->operand_count)
		return misused(argv[0], err, "the FILE is missing");
	source->path = options->operands[0];
	run->file = source->path;
	if (separator < argc && run->plan_only)
		return misused(argv[0], err, "a plan takes no COMMAND");
	if (separator + 1 == argc)
		return misused(argv[0], err, "the COMMAND behind '--' is missing");
	if (separator < argc)
		run->command = argv + separator + 1;
	if (texts[0].count > INPUTS_MAX_SETTING)
		return misused(argv[0], err, too_many);
	if (texts[2].text && texts[2].text[0] != '/')
		return misused(argv[0], err, "--metrics takes an absolute path");
	run->metrics = texts[2].text;
	run->is_json = options->json;
	run->is_quiet = options->quiet;
	source->text.inputs.read = experiment_read_to_run;
	source->text.inputs.setting_count = texts[0].count;
	/* before anything begins: a run without its command would break things for nothing */
	result = run->command ? launcher_find_program(run->command[0], err) : 0;
	if (result == 0)
		result = source_take_seed(texts[1].text, run, err);
	if (result == 0)
		result = experiment_read(source->path, &source->text, err);
	descriptors_leave_callers(); /* now: FILE may be one of them, /dev/fd/63 */
	if (result == 0)
		result = source_prepare(source, err);
	run->content = source->text.bytes;
	run->length = source->text.length;
	return result;
}

static int run_or_plan(int argc, char **argv, bool plan_only, struct error *err)
{
	struct source source = {0};
	struct option_text texts[] = {{.name = "set",
				       .list = source.text.inputs.settings,
				       .capacity = INPUTS_MAX_SETTING},
				      {.name = "seed"},
				      {.name = plan_only ? NULL : "metrics"},
				      {.name = NULL}};
	struct options options = {.help = plan_only ? plan_help : run_help,
				  .texts = texts,
				  .has_json = true,
				  .has_quiet = !plan_only,
				  .max_operands = 1};
	struct run_options run = {
		.load = source_load,
		.context = &source,
		.name = argv[0],
		.plan_only = plan_only,
		.has_launcher = !plan_only,
	};
	int result = take(argc, argv, &options, &source, &run, err);

	if (result < 0)
		options_refused(result, argv[0], run.file, run.content, run.length, err);
	else if (!options.helped)
		result = run_start(&run, err);
	source_free(&source);
	return result;
}

int cli_run(int argc, char **argv, struct error *err)
{
	return run_or_plan(argc, argv, false, err);
}

int cli_plan(int argc, char **argv, struct error *err)
{
	return run_or_plan(argc, argv, true, err);
}
