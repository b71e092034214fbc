/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * squall halt: the emergency brake. First the lever, so that nothing new begins; then every run is
 * asked to stop, all of them before the first is waited for.
 */
#include "injector/restore/halt.h"

#include "injector/base/cleanup.h"
#include "injector/base/log.h"
#include "injector/cli/commands.h"
#include "injector/cli/options.h"
#include "injector/cli/undone.h"
#include "injector/journal/audit.h"
#include "injector/restore/stop.h"

#include <errno.h>

static const char help[] =
	"usage: squall halt [--reason TEXT]\n"
	"\n"
	"Stops every run on this machine and lets none begin until 'squall resume'. Everything is\n"
	"restored when it returns.\n"
	"\n"
	"  --reason TEXT  shown to whoever wants to run an experiment meanwhile\n"
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

static void finish_all(struct stop *stops, unsigned count, struct restore_report *report)
{
	for (unsigned at = 0; at < count; at++) {
		struct error why = ERROR_INIT;
		unsigned failed = report->failed;

		if (stop_finish(&stops[at], STOP_WAIT_NS, report, &why) < 0)
			say_failed(stops[at].run_id, &why, report);
		if (stops[at].was_killed)
			log_warning("run %s did not obey and was killed", stops[at].run_id);
		if (report->failed == failed)
			printf("run %s: stopped, everything restored\n", stops[at].run_id);
	}
}

int cli_halt(int argc, char **argv, struct error *err)
{
	struct option_text texts[] = {{.name = "reason"}, {0}};
	struct options options = {.help = help, .texts = texts};
	struct restore_report report = {0};
	cleanup_free struct stop *stops = NULL;
	struct error pull_err = ERROR_INIT;
	char path[512] = "";
	unsigned count = 0;
	int pulled, result = options_parse(&options, argc, argv, err);

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
	else
		printf("Halted (%s): no experiment begins until 'squall resume'.\n", path);
	fflush(stdout);
	finish_all(stops, count, &report);
	/* last: a disk that hangs must not hold the brake */
	audit_write(NULL, "halt", "", "%s; %u runs asked to stop, %u left",
		    texts[0].text ? texts[0].text : "no reason given", count, report.failed);
	if (pulled < 0 && result == 0)
		result = pulled; /* and said why already */
	undone_print(&report);
	if (result == 0)
		result = options_flush(err);
	if (result == 0)
		result = undone_exit_code(&report);
	restore_report_free(&report);
	return result;
}
