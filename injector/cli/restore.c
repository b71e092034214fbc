/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * squall restore: undoes what dead runs have left. Live runs are not touched.
 */
#include "injector/base/cleanup.h"
#include "injector/base/json.h"
#include "injector/base/log.h"
#include "injector/cli/commands.h"
#include "injector/cli/options.h"
#include "injector/cli/undone.h"
#include "injector/journal/journal.h"
#include "injector/restore/guardian_cgroup.h"
#include "injector/restore/stale_metrics.h"
#include "injector/run/result_file.h"

#include <errno.h>

#define METRICS_PATIENCE_MS 1000

static const char help[] =
	"usage: squall restore [--json] [RUN]\n"
	"\n"
	"Undoes what experiments that were killed have left behind: all of them, or one RUN.\n"
	"Works from the journals in " JOURNAL_ROOT " and " JOURNAL_STATE " alone, may be run\n"
	"at any time and any number of times; after a restart of the machine it puts files back.\n"
	"Live runs are not touched (see squall stop). squall run, inject and plan do the same\n"
	"before they begin.\n"
	"\n"
	"  --json  what was undone and what is left, as one JSON object\n"
	"  --help  this text\n"
	"\n"
	"Exit code: 0 nothing is left; 6 something is left, the commands to type are shown.\n";

static unsigned count_live(void)
{
	cleanup_free char(*ids)[RUN_ID_SIZE] = NULL;
	unsigned count = 0, live = 0;

	if (journal_list(&ids, &count, NULL) < 0)
		return 0;
	for (unsigned at = 0; at < count; at++) {
		enum run_state state;

		if (restore_look(ids[at], &state, NULL, NULL) == 0 && state == RUN_LIVE)
			live++;
	}
	return live;
}

static int restore_one(const char *run_id, struct restore_report *report, struct error *err)
{
	if (!journal_exists(run_id)) {
		error_set(err, ENOENT, "there is no run '%.40s'", run_id);
		error_remedy(err, "to see all: squall status");
		return -ENOENT;
	}
	return restore_run(run_id, report, err);
}

static int tell(const struct restore_report *report, bool json, struct error *err)
{
	unsigned live;
	int result;

	if (json) {
		result = json_print(undone_json(report), stdout, true, err);
		return result < 0 ? result : undone_exit_code(report);
	}
	live = count_live();
	result = undone_print(report);
	if (!report->did_count && !report->failed)
		printf("Nothing to restore.\n");
	if (live)
		log_info("%u live run%s left alone (squall status; squall stop)", live,
			 live == 1 ? " is" : "s are");
	if (options_flush(err) < 0)
		return -err->code;
	return result;
}

int cli_restore(int argc, char **argv, struct error *err)
{
	struct options options = {.help = help, .has_json = true, .max_operands = 1};
	struct restore_report report = {0};
	int result = options_parse(&options, argc, argv, err);

	if (result < 0 || options.helped)
		return result;
	result = options_need_root("restore", "undoing changes of the kernel needs root", err);
	if (result < 0)
		return result;
	result = options.operand_count ? restore_one(options.operands[0], &report, err)
				       : restore_dead_runs(&report, err);
	options_refused(result, "restore", NULL, NULL, 0, err);
	guardian_cgroup_sweep(); /* also without a run: one may have died behind its guardian's end
				  */
	stale_metrics_sweep(METRICS_PATIENCE_MS);
	result_files_prune();
	if (result == 0)
		result = tell(&report, options.json, err);
	restore_report_free(&report);
	return result;
}
