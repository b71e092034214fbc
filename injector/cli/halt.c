/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * squall halt: the emergency brake. First the lever, so that nothing new begins; then every run is
 * asked to stop, all of them before the first is waited for.
 */
#include "injector/restore/halt.h"

#include "injector/base/cleanup.h"
#include "injector/base/json.h"
#include "injector/base/log.h"
#include "injector/cli/commands.h"
#include "injector/cli/options.h"
#include "injector/cli/undone.h"
#include "injector/journal/audit.h"
#include "injector/restore/stop.h"

#include <errno.h>

static const char help[] =
	"usage: squall halt [--json] [--reason TEXT]\n"
	"\n"
	"Stops every run on this machine and lets none begin until 'squall resume'. Everything is\n"
	"restored when it returns.\n"
	"\n"
	"  --reason TEXT  shown to whoever wants to run an experiment meanwhile\n"
	"  --json         the outcome as one JSON object, at the end\n"
	"  --help         this text\n"
	"\n"
	"Exit code: 0 halted, nothing is left; 6 something is left, the commands to type are "
	"shown.\n";

static void say_failed(const char *run_id, const struct error *why, struct restore_report *report)
{
	report->failed++;
	log_error("left: run %s: %s", run_id, why->text);
	if (why->remedy[0])
		log_info("%s", why->remedy);
}

static unsigned ask_all(char (*ids)[RUN_ID_SIZE], unsigned count, struct stop *stops,
			struct restore_report *report)
{
	unsigned asked = 0;

	for (unsigned at = 0; at < count; at++) {
		struct error why = ERROR_INIT;
		int result = stop_begin(ids[at], &stops[asked], &why);

		if (result == 0)
			asked++;
		else if (result != -ENOENT)
			say_failed(ids[at], &why, report);
	}
	return asked;
}

/* The runs that were asked; *out is the caller's to free. */
static int ask_everybody(struct stop **out, unsigned *out_count, struct restore_report *report,
			 struct error *err)
{
	cleanup_free char(*ids)[RUN_ID_SIZE] = NULL;
	unsigned count = 0;
	int result = journal_list(&ids, &count, err);

	if (result < 0)
		return result;
	*out = calloc(count + 1, sizeof(**out));
	if (!*out)
		return error_errno(err, ENOMEM, "cannot stop the runs");
	*out_count = ask_all(ids, count, *out, report);
	return 0;
}

/* Returns what became of each, for --json; on the way it is said in words, unless `json`. */
static json_t *finish_all(struct stop *stops, unsigned count, bool json,
			  struct restore_report *report)
{
	json_t *runs = json_array();

	for (unsigned at = 0; at < count; at++) {
		struct error why = ERROR_INIT;
		unsigned failed = report->failed;

		if (stop_finish(&stops[at], STOP_WAIT_NS, report, &why) < 0)
			say_failed(stops[at].run_id, &why, report);
		if (stops[at].was_killed)
			log_warning("run %s did not obey and was killed", stops[at].run_id);
		if (report->failed == failed && !json)
			printf("run %s: stopped, everything restored\n", stops[at].run_id);
		json_array_append_new(runs, json_pack("{s:s, s:b, s:b}", "run", stops[at].run_id,
						      "killed", (int)stops[at].was_killed,
						      "restored", (int)(report->failed == failed)));
	}
	return runs;
}

/* `path`: of the lever; NULL when it could not be pulled. Takes over `runs`. */
static int tell(const char *path, json_t *runs, const struct restore_report *report, bool json,
		struct error *err)
{
	json_t *root;

	if (!json) {
		json_decref(runs);
		undone_print(report);
		return options_flush(err);
	}
	root = json_pack("{s:b, s:o, s:o}", "halted", (int)(path != NULL), "file", json_text(path),
			 "runs", runs);
	json_object_update_missing_new(root, undone_json(report));
	return json_print(root, stdout, true, err);
}

int cli_halt(int argc, char **argv, struct error *err)
{
	struct option_text texts[] = {{.name = "reason"}, {0}};
	struct options options = {.help = help, .has_json = true, .texts = texts};
	struct restore_report report = {0};
	cleanup_free struct stop *stops = NULL;
	struct error pull_err = ERROR_INIT;
	char path[512] = "";
	unsigned count = 0;
	json_t *runs;
	int pulled, told, result = options_parse(&options, argc, argv, err);

	if (result < 0 || options.helped)
		return result;
	result =
		options_need_root("halt", "halting concerns the whole machine and needs root", err);
	if (result < 0)
		return result;
	pulled = halt_pull(texts[0].text ? texts[0].text : "no reason given", path, &pull_err);
	/* Nothing is printed before: a pipe that nobody reads must not hold the brake. */
	result = ask_everybody(&stops, &count, &report, err);
	if (pulled < 0) /* not even that: the runs are stopped all the same */
		log_failure(&pull_err);
	else if (!options.json)
		printf("Halted (%s): no experiment begins until 'squall resume'.\n", path);
	fflush(stdout);
	runs = finish_all(stops, count, options.json, &report);
	/* last: a disk that hangs must not hold the brake */
	audit_write(NULL, "halt", "", "%s; %u runs asked to stop, %u left",
		    texts[0].text ? texts[0].text : "no reason given", count, report.failed);
	if (pulled < 0 && result == 0)
		result = pulled; /* and said why already */
	told = tell(pulled == 0 ? path : NULL, runs, &report, options.json,
		    result == 0 ? err : NULL);
	if (result == 0)
		result = told;
	if (result == 0)
		result = undone_exit_code(&report);
	restore_report_free(&report);
	return result;
}
