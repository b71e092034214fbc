/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * squall run, squall plan: both read a file; plan stops before anything is armed.
 */
#include "injector/cli/commands.h"

#include "injector/base/log.h"
#include "injector/cli/options.h"
#include "injector/cli/problems.h"
#include "injector/experiment/load.h"
#include "injector/run/run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char run_help[] =
	"usage: squall run [--json] [--quiet] FILE [-- COMMAND [ARGUMENT...]]\n\n"
	"Runs the experiment in FILE: waits for the steady state, injects the faults of the\n"
	"method, watches the abort conditions, restores everything and says whether the\n"
	"hypothesis held. With COMMAND the faults last while COMMAND runs (at most\n"
	"limits.duration); COMMAND's failure fails the run.\n\n"
	"  --json    one event a line on standard output\n"
	"  --quiet   neither progress nor summary, only the exit code\n"
	"  --help    this text\n\n"
	"Exit codes: 0 the hypothesis held; 1 it failed; 2 invalid or refused, nothing was\n"
	"injected; 3 an abort condition fired; 4 interrupted; 5 not in steady state, nothing\n"
	"was injected; 6 something could not be restored.\n";

static const char plan_help[] =
	"usage: squall plan [--json] FILE\n\n"
	"Shows what 'squall run FILE' would do on this machine now: the targets it finds, each\n"
	"change of the kernel's state in order, and the way chosen. Changes nothing.\n\n"
	"  --json    one event a line\n"
	"  --help    this text\n";

struct file {
	const char *path;
	struct experiment_text text; /* read with the caller's rights, parsed without any */
};

static int load_file(void *context, struct experiment **out, struct error *err)
{
	struct file *file = context;
	struct yaml_problems problems = {0};
	int result = experiment_parse(&file->text, file->path, out, &problems, err);

	if (result < 0 && problems.count) {
		problems_print(&problems, file->path, file->text.bytes, file->text.length);
		err->text[0] = '\0'; /* all has been said */
	}
	yaml_problems_free(&problems);
	return result;
}

static int misused(const char *name, struct error *err, const char *what)
{
	error_set(err, EINVAL, "%s: %s", name, what);
	return error_remedy(err, "squall %s --help", name);
}

/* Index of "--", or argc: getopt permutes and forgets where it was. */
static int find_separator(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--") == 0)
			return i;
	return argc;
}

static int run_or_plan(int argc, char **argv, bool plan_only, struct error *err)
{
	struct options options = {.help = plan_only ? plan_help : run_help,
				  .has_json = true,
				  .has_quiet = !plan_only,
				  .max_operands = 1};
	struct file file = {0};
	struct run_options run = {
		.load = load_file,
		.context = &file,
		.plan_only = plan_only,
		.has_launcher = !plan_only,
	};
	int separator = find_separator(argc, argv);
	int result = options_parse(&options, separator, argv, err);

	if (result < 0 || options.helped)
		return result;
	if (!options.operand_count)
		return misused(argv[0], err, "the FILE is missing");
	if (separator < argc && plan_only)
		return misused(argv[0], err, "a plan takes no COMMAND");
	if (separator + 1 == argc)
		return misused(argv[0], err, "the COMMAND behind '--' is missing");
	if (separator < argc)
		run.command = argv + separator + 1;
	run.is_json = options.json;
	run.is_quiet = options.quiet;
	file.path = options.operands[0];
	result = experiment_read(file.path, &file.text, err);
	if (result == 0)
		result = run_start(&run, err);
	experiment_text_free(&file.text);
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
