/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * squall resume: releases the halt lever.
 */
#include "injector/cli/commands.h"
#include "injector/cli/options.h"
#include "injector/cli/undone.h"
#include "injector/journal/audit.h"
#include "injector/restore/halt.h"

#include <stdio.h>

static const char help[] = "usage: squall resume\n"
			   "\n"
			   "Lets experiments run again after 'squall halt'.\n"
			   "\n"
			   "  --help  this text\n";

int cli_resume(int argc, char **argv, struct error *err)
{
	struct options options = {.help = help};
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
		return result;
	audit_write(NULL, "resume", "", "%s", was_pulled ? halt.reason : "was not halted");
	if (was_pulled)
		printf("Experiments may run again. They were halted by %s since %s: %s\n",
		       halt.by[0] ? halt.by : "?", halt.at[0] ? halt.at : "?",
		       halt.reason[0] ? halt.reason : "no reason was recorded");
	else
		printf("Experiments were not halted.\n");
	result = options_flush(err);
	if (result == 0)
		result = undone_finish_dead(&report, err);
	return result < 0 ? result : undone_exit_code(&report);
}
