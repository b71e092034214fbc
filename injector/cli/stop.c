/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * squall stop: ends a live run, restores, and waits until that is done.
 */
#include "injector/restore/stop.h"

#include "injector/base/cleanup.h"
#include "injector/base/json.h"
#include "injector/base/log.h"
#include "injector/base/quantity.h"
#include "injector/cli/commands.h"
#include "injector/cli/options.h"
#include "injector/cli/undone.h"
#include "injector/journal/audit.h"

#include <errno.h>
#include <string.h>

static const char help[] =
	"usage: squall stop [--json] [RUN]\n"
	"\n"
	"Ends a live run at once and waits until everything is restored. RUN can be left out when\n"
	"only one run is live. A run that does not obey within ten seconds is killed: the kernel\n"
	"then takes away what it held, and its guardian undoes the rest.\n"
	"\n"
	"  --json  the outcome as one JSON object\n"
	"  --help  this text\n"
	"\n"
	"Exit code: 0 stopped, nothing is left; 6 something is left, the commands to type are "
	"shown.\n";

/* The only run there is, dead ones included: what is to be stopped should be gone afterwards. */
static int only_run(char *out, struct restore_report *report, struct error *err)
{
	cleanup_free char(*ids)[RUN_ID_SIZE] = NULL;
	unsigned count = 0;
	char list[400] = "";
	int result = journal_list(&ids, &count, err);

	if (result == 0 && count > 1) { /* some may be dead */
		result = undone_finish_dead(report, err);
		free(steal_pointer(&ids));
		if (result == 0)
			result = journal_list(&ids, &count, err);
	}
	if (result < 0)
		return result;
	if (count == 1) {
		memcpy(out, ids[0], RUN_ID_SIZE);
		return 0;
	}
	if (count == 0)
		return error_set(err, ENOENT, "no run is live");
	for (unsigned at = 0; at < count && strlen(list) + RUN_ID_SIZE + 1 < sizeof(list); at++) {
		strcat(list, at ? " " : "");
		strcat(list, ids[at]);
	}
	error_set(err, ENOTUNIQ, "%u runs are live: %s", count, list);
	error_remedy(err, "name one: squall stop %s; or stop all of them: squall halt", ids[0]);
	return -ENOTUNIQ;
}

static int tell_json(const struct stop *stop, const struct restore_report *report,
		     struct error *err)
{
	json_t *root = undone_json(report);

	if (root)
		json_object_update_new(root,
				       json_pack("{s:s, s:b, s:f}", "run", stop->run_id, "killed",
						 (int)stop->was_killed, "took_seconds",
						 (double)stop->took_ns / 1e9));
	return json_print(root, stdout, true, err);
}

static void audit(const struct stop *stop, const struct restore_report *report, int result,
		  const struct error *err)
{
	audit_write(NULL, "stop", stop->run_id, "%s%u left%s%s", stop->was_killed ? "killed, " : "",
		    report->failed, result < 0 ? "; " : "", result < 0 ? err->text : "");
}

static void tell(const struct stop *stop, const struct restore_report *report)
{
	char took[QUANTITY_TEXT_SIZE];

	quantity_format_latency(stop->took_ns, took);
	if (stop->was_killed)
		log_warning("run %s did not obey and was killed", stop->run_id);
	undone_print(report);
	if (!report->failed)
		printf("run %s: stopped, everything restored, after %s\n", stop->run_id, took);
}

int cli_stop(int argc, char **argv, struct error *err)
{
	struct options options = {.help = help, .has_json = true, .max_operands = 1};
	struct restore_report report = {0};
	char run_id[RUN_ID_SIZE] = "";
	struct stop stop;
	int result = options_parse(&options, argc, argv, err);

	if (result < 0 || options.helped)
		return result;
	result = options_need_root("stop", "a run belongs to root", err);
	if (result < 0)
		return result;
	result = options.operand_count ? 0 : only_run(run_id, &report, err);
	if (result < 0)
		return options_refused(result, "stop", NULL, NULL, 0, err);
	result = stop_begin(options.operand_count ? options.operands[0] : run_id, &stop, err);
	if (result == -ENOENT) {
		error_set(err, ENOENT, "there is no run '%.40s'",
			  options.operand_count ? options.operands[0] : run_id);
		error_remedy(err, "to see all: squall status");
	}
	if (result < 0)
		return options_refused(result, "stop", NULL, NULL, 0, err);
	result = stop_finish(&stop, STOP_WAIT_NS, &report, err);
	audit(&stop, &report, result, err);
	if (result == 0 && options.json)
		result = tell_json(&stop, &report, err);
	else if (result == 0)
		tell(&stop, &report);
	/* last: who wants a run to stop does not wait for others */
	if (result == 0)
		result = undone_finish_dead(&report, err);
	if (result == 0)
		result = options_flush(err);
	if (result == 0)
		result = undone_exit_code(&report);
	restore_report_free(&report);
	return result;
}
