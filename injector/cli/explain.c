/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * squall explain: an experiment in plain English. Touches nothing and needs no privileges.
 */
#include "injector/cli/commands.h"

#include "injector/base/log.h"
#include "injector/cli/options.h"
#include "injector/cli/problems.h"
#include "injector/experiment/load.h"
#include "injector/report/explain.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static const char help[] =
	"usage: squall explain [--set NAME=VALUE]... FILE\n"
	"\n"
	"Tells in plain English what 'squall run FILE' would do: to whom and when, what a request\n"
	"would meet, what tells whether the system is well, what stops it, and how it ends.\n"
	"Touches nothing and needs no privileges. FILE may be - for standard input.\n"
	"\n"
	"  --set NAME=VALUE  a value for a variable of the file\n"
	"  --help            this text\n";

int cli_explain(int argc, char **argv, struct error *err)
{
	struct experiment_text text = {0};
	struct option_text texts[] = {
		{.name = "set", .list = text.inputs.settings, .capacity = INPUTS_MAX_SETTING},
		{.name = NULL}};
	struct options options = {.help = help, .texts = texts, .max_operands = 1};
	struct yaml_problems problems = {0};
	struct experiment *experiment = NULL;
	struct page page;
	int result = options_parse(&options, argc, argv, err);

	if (result < 0 || options.helped)
		return result;
	if (!options.operand_count) {
		error_set(err, EINVAL, "explain: the FILE is missing");
		return error_remedy(err, "squall explain --help");
	}
	if (texts[0].count > INPUTS_MAX_SETTING)
		return error_set(err, E2BIG, "explain: more than %d --set", INPUTS_MAX_SETTING);
	text.inputs.setting_count = texts[0].count;
	result = experiment_read(options.operands[0], &text, err);
	if (result == 0)
		result = experiment_parse(&text, options.operands[0], &experiment, &problems, err);
	if (result == 0) {
		page_init(&page, stdout, log_has_colour(STDOUT_FILENO), 0);
		explain_experiment(experiment, &page);
		result = options_flush(err);
	} else if (problems.count) {
		problems_print(&problems, options.operands[0], text.bytes, text.length);
		err->text[0] = '\0'; /* all has been said */
	}
	yaml_problems_free(&problems);
	experiment_text_free(&text);
	experiment_free(experiment);
	free(experiment);
	return result;
}
