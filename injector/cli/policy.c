/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * squall policy: is the site policy one, and what does it say?
 */
#include "injector/policy/policy.h"

#include "injector/cli/commands.h"
#include "injector/cli/options.h"
#include "injector/cli/problems.h"
#include "injector/experiment/load.h"

#include <stdio.h>

static const char help[] =
	"usage: squall policy [FILE]\n"
	"\n"
	"Checks the site policy (" POLICY_PATH "), or FILE before it becomes one, and says\n"
	"what it rules. Without a policy everything is allowed.\n"
	"\n"
	"  --help  this text\n"
	"\n"
	"Exit code: 0 it is valid, or there is none; 2 it is not: then nothing may be injected.\n";

/* What is not a rule: who wrote the file, and where. Only for the one that counts. */
static int check_trust(bool *out_exists, struct error *err)
{
	struct policy *policy = NULL;
	struct yaml_problems problems = {0};
	int result = policy_load(POLICY_PATH, &policy, &problems, err);

	*out_exists = result < 0 || policy;
	if (result < 0 && problems.count)
		result = 0; /* they are shown with their lines */
	yaml_problems_free(&problems);
	policy_free(policy);
	return result;
}

static int show(const char *path, struct error *err)
{
	struct experiment_text text = {0};
	struct yaml_problems problems = {0};
	struct policy *policy = NULL;
	int result = experiment_read(path, &text, err);

	if (result == 0)
		result = policy_parse(text.bytes, text.length, experiment_file_name(path), &policy,
				      &problems, err);
	if (result == 0) {
		policy_print(policy, stdout);
	} else if (problems.count) {
		problems_print(&problems, path, text.bytes, text.length);
		err->text[0] = '\0'; /* all has been said */
	}
	yaml_problems_free(&problems);
	policy_free(policy);
	experiment_text_free(&text);
	return result;
}

int cli_policy(int argc, char **argv, struct error *err)
{
	struct options options = {.help = help, .max_operands = 1};
	bool exists = true;
	int result = options_parse(&options, argc, argv, err);

	if (result < 0 || options.helped)
		return result;
	if (!options.operand_count)
		result = check_trust(&exists, err);
	if (result == 0 && exists)
		result = show(options.operand_count ? options.operands[0] : POLICY_PATH, err);
	else if (result == 0)
		printf("There is no " POLICY_PATH ": everything is allowed.\n");
	return result < 0 ? result : options_flush(err);
}
