/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * squall run, squall plan: both read a file; plan stops before anything is armed.
 */
#include "injector/cli/commands.h"

#include "injector/base/cleanup.h"
#include "injector/base/log.h"
#include "injector/cli/options.h"
#include "injector/cli/problems.h"
#include "injector/experiment/load.h"
#include "injector/kernel/file_reader.h"
#include "injector/kernel/sandbox.h"
#include "injector/run/run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char run_help[] =
	"usage: squall run [--json] [--quiet] [--set NAME=VALUE]... FILE [-- COMMAND "
	"[ARGUMENT...]]\n\n"
	"Runs the experiment in FILE: waits for the steady state, injects the faults of the\n"
	"method, watches the abort conditions, restores everything and says whether the\n"
	"hypothesis held. With COMMAND the faults last while COMMAND runs (at most\n"
	"limits.duration); COMMAND's failure fails the run.\n\n"
	"  --set     gives a variable of the file another value\n"
	"  --json    one event a line on standard output\n"
	"  --quiet   neither progress nor summary, only the exit code\n"
	"  --help    this text\n\n"
	"Exit codes: 0 the hypothesis held; 1 it failed; 2 invalid or refused, nothing was\n"
	"injected; 3 an abort condition fired; 4 interrupted; 5 not in steady state, nothing\n"
	"was injected; 6 something could not be restored.\n";

static const char plan_help[] =
	"usage: squall plan [--json] [--set NAME=VALUE]... FILE\n\n"
	"Shows what 'squall run FILE' would do on this machine now: the targets it finds, each\n"
	"change of the kernel's state in order, and the way chosen. Changes nothing.\n\n"
	"  --set     gives a variable of the file another value\n"
	"  --json    one event a line\n"
	"  --help    this text\n";

static const char too_many[] = "there are too many --set";

struct file {
	const char *path;
	struct file_reader reader;   /* of root's own files, for a conductor that is not root */
	struct experiment_text text; /* read with the caller's rights, parsed without any */
};

static int load_file(void *context, struct experiment **out, struct error *err)
{
	struct file *file = context;
	struct yaml_problems problems = {0};
	int result = experiment_parse(&file->text, file->path, out, &problems, err);

	file_reader_stop(&file->reader);

	if (result < 0 && problems.count) {
		problems_print(&problems, file->path, file->text.bytes, file->text.length);
		err->text[0] = '\0'; /* all has been said */
	}
	yaml_problems_free(&problems);
	return result;
}

static int read_by_reader(void *context, const char *path, size_t max, char **out_text,
			  size_t *out_length, struct error *err)
{
	const struct file *file = context;
	cleanup_fd int fd = file_reader_open(&file->reader, path, err);

	return fd < 0 ? fd : experiment_read_input(fd, path, max, out_text, out_length, err);
}

/* Only where it is needed: the user who called sudo can read for himself. */
static int start_reader(struct file *file, struct error *err)
{
	struct invoking_user user;
	int result;

	if (geteuid() != 0 ||
	    (!strstr(file->text.bytes, "include") && !strstr(file->text.bytes, "from-file")))
		return 0;
	result = sandbox_invoking_user(&user, err);
	if (result < 0 || user.uid != 0)
		return result;
	result = file_reader_start(&file->reader, err);
	file->text.inputs.read = read_by_reader;
	file->text.inputs.context = file;
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
	struct file file = {0};
	struct option_text texts[] = {
		{.name = "set", .list = file.text.inputs.settings, .capacity = INPUTS_MAX_SETTING},
		{.name = NULL}};
	struct options options = {.help = plan_only ? plan_help : run_help,
				  .texts = texts,
				  .has_json = true,
				  .has_quiet = !plan_only,
				  .max_operands = 1};
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
	if (texts[0].count > INPUTS_MAX_SETTING)
		return misused(argv[0], err, too_many);
	run.is_json = options.json;
	run.is_quiet = options.quiet;
	file.path = options.operands[0];
	file.text.inputs.setting_count = texts[0].count;
	result = experiment_read(file.path, &file.text, err);
	if (result == 0)
		result = start_reader(&file, err);
	run.name = argv[0];
	run.file = file.path;
	run.content = file.text.bytes;
	run.length = file.text.length;
	if (result == 0)
		result = run_start(&run, err);
	file_reader_stop(&file.reader);
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
