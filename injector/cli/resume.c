/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * squall resume: releases the halt lever.
 */
#include "injector/base/json.h"
#include "injector/cli/commands.h"
#include "injector/cli/halted.h"
#include "injector/cli/options.h"
#include "injector/cli/undone.h"
#include "injector/journal/audit.h"

#include <stdio.h>

static const char help[] =
	"usage: squall resume [--json]\n"
	"\n"
	"Lets experiments run again after 'squall halt'.\n"
	"\n"
	"  --json  whether, by whom and why they were halted, as one JSON object\n"
	"  --help  this text\n"
	"\n"
	"Exit code: 0; 6 something of a dead run is left, the commands to type are "
	"shown.\n";

static int tell(bool was_pulled, const struct halt *halt, bool json, struct error *err)
{
	if (json)
		return json_print(json_pack("{s:b, s:o}", "was_halted", (int)was_pulled, "halt",
					    halted_json(halt)),
				  stdout, true, err);
	if (was_pulled)
		halted_print("Experiments may run again. They were", halt);
	else
		printf("Experiments were not halted.\n");
	return options_flush(err);
}

int cli_resume(int argc, char **argv, struct error *err)
{
	struct options options = {.help = help, .has_json = true};
	bool was_pulled = false;
	struct restore_report report = {0};
	struct halt halt;
	int result = options_parse(&options, argc, argv, err);

	if (result < 0 || options.helped)
		return result;
	result = options_need_root(
		"resume", "allowing experiments again concerns the whole machine and needs root",
		err);
	if (result < 0)
		return result;
	halt_look(&halt);
	result = halt_release(&was_pulled, err);
	if (result < 0)
		return options_refused(result, "resume", NULL, NULL, 0, err);
	audit_write(NULL, "resume", "", "%s", was_pulled ? halt.reason : "was not halted");
	result = tell(was_pulled, &halt, options.json, err);
	if (result == 0)
		result = undone_finish_dead(&report, err);
	return result < 0 ? result : undone_exit_code(&report);
}
