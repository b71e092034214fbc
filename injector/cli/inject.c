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

static const char help_before[] =
	"usage: squall inject [--json] [--quiet] FAULT key=value...\n\n"
	"Injects one fault, holds it, restores. Keys are the parameters of the fault and of its\n"
	"target ('squall faults FAULT' lists them), and:\n\n";
static const char help_behind[] =
	"\nExamples:\n"
	"  squall inject network to=10.0.5.7:443 delay=100ms for=30s\n"
	"  squall inject network to=10.0.5.7:443 loss=100% every=10s active=2s for=1m\n"
	"  squall inject process name=nginx count=1 signal=KILL\n\n"
	"  --json    one event a line on standard output\n"
	"  --quiet   neither progress nor summary, only the exit code\n"
	"  --help    this text\n";

/* The keys by their table. */
static const char *write_help(char *out, size_t size)
{
	struct param own[INLINE_COUNT + 1];
	char key[40];
	size_t used = (size_t)snprintf(out, size, "%s", help_before);

	inline_params(own);
	for (const struct param *at = own; at->name && used < size; at++) {
		snprintf(key, sizeof(key), "%s=%s", at->name,
			 at->type == PARAM_DURATION ? "30s" : "N");
		used += (size_t)snprintf(out + used, size - used, "  %-12s %s%s%s%s\n", key,
					 at->doc, at->fallback ? " (default " : "",
					 at->fallback ? at->fallback : "", at->fallback ? ")" : "");
	}
	if (used < size)
		snprintf(out + used, size - used, "%s", help_behind);
	return out;
}

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
	char help[3000];
	struct options options = {.help = write_help(help, sizeof(help)),
				  .has_json = true,
				  .has_quiet = true,
				  .max_operands = -1};
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
