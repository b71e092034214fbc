/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What was done goes to standard output, what is left to standard error: it must be seen even where
 * results are piped away.
 */
#include "injector/cli/undone.h"

#include "injector/base/json.h"
#include "injector/base/log.h"
#include "injector/restore/guardian_cgroup.h"
#include "injector/restore/stale_metrics.h"

#include <stdio.h>

int undone_exit_code(const struct restore_report *report)
{
	return report->failed ? EXIT_NOT_RESTORED : 0;
}

int undone_print(const struct restore_report *report)
{
	for (unsigned at = 0; at < report->did_count; at++)
		printf("%s\n", report->did[at]);
	fflush(stdout);
	for (unsigned at = 0; at < report->left_count; at++)
		log_error("left: %s", report->left[at]);
	if (report->failed > report->left_count)
		log_error("left: %u more, not listed for want of memory",
			  report->failed - report->left_count);
	return undone_exit_code(report);
}

int undone_finish_dead(struct restore_report *report, struct error *err)
{
	struct restore_report dead = {0};
	int result = restore_dead_runs(&dead, err);

	if (dead.undone)
		log_info("finished the restore of an earlier run: %u changes undone", dead.undone);
	for (unsigned at = 0; at < dead.left_count; at++)
		log_error("left: %s", dead.left[at]);
	report->failed += dead.failed;
	restore_report_free(&dead);
	guardian_cgroup_sweep(); /* also without a run: one may have died behind its guardian's end
				  */
	stale_metrics_sweep(0);
	return result;
}

static json_t *strings(char (*lines)[RESTORE_LINE], unsigned count)
{
	json_t *array = json_array();

	for (unsigned at = 0; at < count; at++)
		json_array_append_new(array, json_text(lines[at]));
	return array;
}

json_t *undone_json(const struct restore_report *report)
{
	return json_pack("{s:i, s:i, s:o, s:o}", "undone", (int)report->undone, "failed",
			 (int)report->failed, "did", strings(report->did, report->did_count),
			 "left", strings(report->left, report->left_count));
}
