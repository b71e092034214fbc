/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * squall inject: one fault from the command line, with the same checks as a file.
 */
#include "injector/cli/commands.h"

#include "injector/cli/options.h"
#include "injector/experiment/inline.h"
#include "injector/kernel/descriptors.h"
#include "injector/run/run.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char help[] =
	"usage: squall inject [--json] [--quiet] FAULT key=value...\n\n"
	"Injects one fault, holds it, restores. Keys are the parameters of the fault and of its\n"
	"target ('squall faults FAULT' lists them), and:\n\n"
	"  for=30s      how long it lasts (needed unless the fault is instant)\n"
	"  targets=N    most things it may touch (default 16)\n\n"
	"Examples:\n"
	"  squall inject network to=10.0.5.7:443 delay=100ms for=30s\n"
	"  squall inject process name=nginx count=1 signal=KILL\n\n"
	"  --json    one event a line on standard output\n"
	"  --quiet   neither progress nor summary, only the exit code\n"
	"  --help    this text\n";

struct words {
	const char *fault;
	char **list;
	unsigned count;
};

static int load_words(void *context, struct experiment **out, struct error *err)
{
	const struct words *words = context;

	return inline_experiment(words->fault, words->list, words->count, out, err);
}

/* As it was typed, for the audit; what does not fit is cut. */
static const char *join(char *const *list, unsigned count, char *out, size_t size)
{
	size_t used = 0;

	out[0] = '\0';
	for (unsigned i = 0; i < count && used < size; i++)
		used += (size_t)snprintf(out + used, size - used, "%s%s", i ? " " : "", list[i]);
	return out;
}

int cli_inject(int argc, char **argv, struct error *err)
{
	struct options options = {
		.help = help, .has_json = true, .has_quiet = true, .max_operands = -1};
	struct words words;
	char text[1024];
	struct run_options run = {.load = load_words, .context = &words, .is_one_fault = true};
	int result = options_parse(&options, argc, argv, err);

	if (options.helped)
		return result;
	if (result == 0 && !options.operand_count) {
		error_set(err, EINVAL, "inject: the FAULT is missing");
		result = error_remedy(err, "squall faults lists them.");
	}
	if (result < 0)
		return options_refused(result, argv[0], NULL, NULL, 0, err);
	words.fault = options.operands[0];
	words.list = options.operands + 1;
	words.count = (unsigned)options.operand_count - 1;
	descriptors_leave_callers();
	run.name = "inject";
	run.words = join(words.list - 1, words.count + 1, text, sizeof(text));
	run.is_json = options.json;
	run.is_quiet = options.quiet;
	return run_start(&run, err);
}
