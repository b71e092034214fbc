/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * squall halt: the emergency brake. Every run is asked to stop, all of them before the first is
 * waited for; then the lever, so that nothing new begins, and who came in between is asked as well.
 * Nothing here waits for a disk before everything is out of force. Where only the disk takes the
 * lever, all are asked once more when it has.
 */
#include "injector/restore/halt.h"

#include "injector/base/cleanup.h"
#include "injector/base/json.h"
#include "injector/base/log.h"
#include "injector/cli/commands.h"
#include "injector/cli/options.h"
#include "injector/cli/undone.h"
#include "injector/journal/audit.h"
#include "injector/restore/guardian_cgroup.h"
#include "injector/restore/stop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEEP_WAIT_NS 5000000000LL /* for a disk, when everything is over */

static const char help[] =
	"usage: squall halt [--json] [--reason TEXT]\n"
	"\n"
	"Stops every run on this machine and lets none begin until 'squall resume'. Everything is\n"
	"restored when it returns. A disk that is full, or hangs, does not hold it up; then it "
	"says\n"
	"that it lasts until the next restart of the machine alone.\n"
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

struct brake {
	struct stop *stops; /* owned */
	unsigned count, finished;
	struct restore_report report;
};

static bool was_asked(const struct brake *brake, const char *run_id)
{
	for (unsigned at = 0; at < brake->count; at++)
		if (strcmp(brake->stops[at].run_id, run_id) == 0)
			return true;
	return false;
}

/* Those that were not asked before. `is_last`: what cannot be asked is told, once.
 *
 * No run slips past a lever that was pulled before this is called. A worker writes the header of
 * its journal and then looks at the lever, before it may inject (arm() in run/worker.c); here the
 * lever came first, then the look for headers. So of a run without one (-ENODATA) the worker has
 * yet to look, and finds the lever; or it has died, or is through and its journal is removed.
 */
static int ask_everybody(struct brake *brake, bool is_last, struct error *err)
{
	cleanup_free char(*ids)[RUN_ID_SIZE] = NULL;
	unsigned count = 0;
	struct stop *stops;
	int result = journal_list(&ids, &count, err);

	if (result < 0)
		return result;
	stops = reallocarray(brake->stops, brake->count + count + 1, sizeof(*stops));
	if (!stops)
		return error_errno(err, ENOMEM, "cannot stop the runs");
	brake->stops = stops;
	for (unsigned at = 0; at < count; at++) {
		struct error why = ERROR_INIT;

		if (was_asked(brake, ids[at]))
			continue;
		result = stop_begin(ids[at], &brake->stops[brake->count], &why);
		if (result == 0)
			brake->count++;
		else if (result != -ENOENT && result != -ENODATA && is_last)
			say_failed(ids[at], &why, &brake->report);
	}
	return 0;
}

/* Those that were asked. What became of each is added to `runs`, for --json, or said in words. */
static void finish_all(struct brake *brake, json_t *runs, bool json)
{
	struct restore_report *report = &brake->report;

	while (brake->finished < brake->count) {
		struct stop *stop = &brake->stops[brake->finished++];
		struct error why = ERROR_INIT;
		unsigned failed = report->failed;

		if (stop_finish(stop, STOP_WAIT_NS, report, &why) < 0)
			say_failed(stop->run_id, &why, report);
		if (stop->was_killed)
			log_warning("run %s did not obey and was killed", stop->run_id);
		if (report->failed == failed && !json)
			printf("run %s: stopped, everything restored\n", stop->run_id);
		json_array_append_new(runs, json_pack("{s:s, s:b, s:b}", "run", stop->run_id,
						      "killed", (int)stop->was_killed, "restored",
						      (int)(report->failed == failed)));
	}
}

/* Takes over `runs`. */
static int tell(const struct halt_lever *lever, json_t *runs, const struct restore_report *report,
		bool json, struct error *err)
{
	json_t *root;

	if (!json) {
		json_decref(runs);
		undone_print(report);
		return options_flush(err);
	}
	root = json_pack("{s:b, s:o, s:b, s:o}", "halted", (int)lever->is_pulled, "file",
			 json_text(lever->path), "outlives_reboot", (int)lever->is_kept, "runs",
			 runs);
	json_object_update_missing_new(root, undone_json(report));
	return json_print(root, stdout, true, err);
}

/* Everything is out of force by now. Not even that is an error: nothing new would be refused. */
static int keep(struct halt_lever *lever)
{
	struct error err = ERROR_INIT;

	if (halt_keep(lever, KEEP_WAIT_NS, &err) == 0)
		return 0;
	if (!lever->is_pulled) {
		log_failure(&lever->why);
		log_failure(&err);
		return -err.code;
	}
	log_warning("%s: experiments are halted until this machine restarts, and no longer; %s",
		    err.text, err.remedy);
	return 0;
}

static void say_halted(const struct halt_lever *lever, bool json)
{
	if (lever->is_pulled && !json)
		printf("Halted: no experiment begins until 'squall resume'.\n");
	fflush(stdout);
}

/* The lever could not be pulled at once: until the disk had taken it, runs have begun. */
static int ask_once_more(struct brake *brake, const struct halt_lever *lever, json_t *runs,
			 bool json, struct error *err)
{
	int result = ask_everybody(brake, true, err);

	say_halted(lever, json);
	finish_all(brake, runs, json);
	return result;
}

/* Who pulls the lever is written down whatever becomes of this command; by a process of its own,
 * since a disk may hang. */
static pid_t write_beginning(const char *reason)
{
	pid_t writer = fork();

	if (writer > 0)
		return writer;
	if (writer == 0) {
		setsid();
		audit_write(NULL, "halting", "", "%s", reason);
		_exit(audit_release(NULL) < 0);
	}
	audit_write(NULL, "halting", "", "%s", reason);
	return 0;
}

static int stop_everybody(const char *reason, bool json, pid_t *out_writer, struct error *err)
{
	struct brake brake = {0};
	json_t *runs = json_array();
	struct halt_lever lever;
	bool was_at_once;
	int result, told;

	/* Nothing is printed before: a pipe that nobody reads must not hold the brake. */
	(void)!ask_everybody(&brake, false, NULL);
	halt_pull(reason, &lever);
	*out_writer = write_beginning(reason);
	was_at_once = lever.is_pulled;
	result = ask_everybody(&brake, was_at_once, err);
	if (was_at_once)
		say_halted(&lever, json);
	finish_all(&brake, runs, json);
	if (keep(&lever) < 0 && result == 0)
		result = -EIO; /* and said why already */
	if (!was_at_once) {
		told = ask_once_more(&brake, &lever, runs, json, result == 0 ? err : NULL);
		result = result == 0 ? told : result;
	}
	told = tell(&lever, runs, &brake.report, json, result == 0 ? err : NULL);
	audit_write(NULL, "halt", "", "%s; %u runs asked to stop, %u left%s", reason, brake.count,
		    brake.report.failed, lever.is_kept ? "" : "; until the next boot");
	if (result == 0)
		result = told;
	if (result == 0)
		result = undone_exit_code(&brake.report);
	restore_report_free(&brake.report);
	free(brake.stops);
	return result;
}

int cli_halt(int argc, char **argv, struct error *err)
{
	struct option_text texts[] = {{.name = "reason"}, {0}};
	struct options options = {.help = help, .has_json = true, .texts = texts};
	struct error why = ERROR_INIT;
	pid_t writer = 0;
	int result = options_parse(&options, argc, argv, err);

	if (result < 0 || options.helped)
		return result;
	result =
		options_need_root("halt", "halting concerns the whole machine and needs root", err);
	if (result < 0)
		return result;
	audit_hold(); /* a disk that hangs must not hold the brake */
	result = stop_everybody(texts[0].text ? texts[0].text : "no reason given", options.json,
				&writer, err);
	guardian_cgroup_sweep(); /* of one that died behind its run's end */
	if (writer > 0)		 /* the line of the beginning comes first */
		waitpid(writer, NULL, 0);
	if (audit_release(&why) < 0)
		log_warning("%s", why.text);
	return result;
}
