/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * squall status: runs, what they have in force, the halt lever. Looks only, changes nothing.
 * Anybody may ask; what a run does is told to root alone.
 */
#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/base/json.h"
#include "injector/base/log.h"
#include "injector/base/printable.h"
#include "injector/base/quantity.h"
#include "injector/cli/commands.h"
#include "injector/cli/halted.h"
#include "injector/cli/options.h"
#include "injector/cli/undone.h"
#include "injector/experiment/model.h"
#include "injector/restore/restore.h"

#include <errno.h>
#include <pwd.h>
#include <string.h>

static const char help[] =
	"usage: squall status [--json]\n"
	"\n"
	"Shows the runs on this machine: who started them, when they end, what is in force; and\n"
	"whether experiments are halted. Without root only their names are known.\n"
	"\n"
	"  --json  the same as one JSON object\n"
	"  --help  this text\n";

struct run_view {
	const char *id;
	const char *state;
	char user[64];
	char since[40], until[40];
	int64_t age_ns, left_ns;
	struct journal_header header;
	struct journal_record *records; /* owned */
	unsigned count;
	bool is_readable;
	struct error why_not;
};

static const char *state_name(enum run_state state)
{
	switch (state) {
	case RUN_LIVE:
		return "live";
	case RUN_GUARDED:
		return "restoring"; /* by its guardian */
	case RUN_DEAD:
		return "dead";
	case RUN_FOREIGN_BOOT:
		return "before-reboot";
	}
	return "?";
}

static int read_run(struct run_view *view)
{
	struct journal *journal;
	int result = journal_open(view->id, &journal, &view->why_not);

	if (result < 0)
		return result;
	result = journal_read(journal, &view->records, &view->count, &view->why_not);
	journal_close(journal);
	return result;
}

static void look_at(const char *id, struct run_view *view)
{
	enum run_state state = RUN_DEAD;
	const struct passwd *user;
	int64_t wall = clock_wall_ns(), now = clock_now_ns();

	*view = (struct run_view){.id = id, .state = "unreadable"};
	/* -ENODATA is also what a run looks like that is just being removed */
	if (read_run(view) < 0 && !journal_exists(id))
		view->why_not.code = ENOENT;
	if (view->why_not.code ||
	    restore_run_state(view->records, view->count, &state, &view->why_not) < 0)
		return;
	view->is_readable = true;
	view->state = state_name(state);
	view->header = *journal_header(view->records, view->count);
	printable_clean(view->header.title, printable_has_utf8());
	for (unsigned at = 0; at < view->count; at++)
		if (view->records[at].kind == JOURNAL_STARTED)
			printable_clean((char *)view->records[at].payload, printable_has_utf8());
	view->age_ns = wall - view->header.started_wall_ns;
	view->left_ns = view->header.deadline_ns - now;
	clock_format_wall(view->header.started_wall_ns, view->since, sizeof(view->since));
	clock_format_wall(wall + view->left_ns, view->until, sizeof(view->until));
	user = getpwuid(view->header.invoking_uid);
	if (user)
		snprintf(view->user, sizeof(view->user), "%.60s", user->pw_name);
	else
		snprintf(view->user, sizeof(view->user), "uid %u", view->header.invoking_uid);
}

/* The text of a step that has started and not ended, or NULL. */
static const char *in_force(const struct run_view *view, unsigned at)
{
	const struct journal_record *started = &view->records[at];

	if (started->kind != JOURNAL_STARTED)
		return NULL;
	for (unsigned i = at + 1; i < view->count; i++)
		if ((view->records[i].kind == JOURNAL_ENDED ||
		     view->records[i].kind == JOURNAL_STARTED) &&
		    view->records[i].step == started->step)
			return NULL;
	return (const char *)started->payload;
}

/* "injected network delay=100ms to=10.0.5.7:443 since 10:04:05 CET, expected end 10:06:05 CET" */
static const char *status_line(const struct run_view *view, unsigned at, char *out, size_t size)
{
	const struct journal_record *started = &view->records[at];
	int64_t boot_ns = clock_wall_ns() - clock_now_ns();

	experiment_status_line((const char *)started->payload, boot_ns + started->time_ns,
			       started->until_ns ? boot_ns + started->until_ns : 0, out, size);
	return out;
}

/* Whole seconds are enough for people. */
static const char *seconds(int64_t ns, char *out)
{
	return quantity_format_duration(ns / NSEC_PER_SEC * NSEC_PER_SEC, out);
}

static void print_run(const struct run_view *view)
{
	char age[QUANTITY_TEXT_SIZE], left[QUANTITY_TEXT_SIZE], line[JOURNAL_PAYLOAD + 128];
	bool any = false;

	printf("run %s  %s\n", view->id, view->state);
	if (!view->is_readable) {
		printf("  %s\n", view->why_not.text);
		return;
	}
	printf("  title     %s\n", view->header.title);
	printf("  by        %s\n", view->user);
	printf("  since     %s (%s ago)\n", view->since, seconds(view->age_ns, age));
	if (view->left_ns > 0)
		printf("  ends by   %s (in %s)\n", view->until, seconds(view->left_ns, left));
	else
		printf("  ends by   %s (over)\n", view->until);
	for (unsigned at = 0; at < view->count; at++) {
		if (!in_force(view, at))
			continue;
		printf("  %-9s step %u: %s\n", any ? "" : "in force", view->records[at].step + 1,
		       status_line(view, at, line, sizeof(line)));
		any = true;
	}
	if (!any)
		printf("  in force  nothing\n");
	if (strcmp(view->state, "dead") == 0)
		printf("  its processes are dead: squall restore undoes what they left\n");
}

static json_t *steps_json(const struct run_view *view)
{
	json_t *steps = json_array();
	char line[JOURNAL_PAYLOAD + 128];

	for (unsigned at = 0; at < view->count; at++) {
		const char *text = in_force(view, at);

		if (text)
			json_array_append_new(steps,
					      json_pack("{s:i, s:o, s:s}", "step",
							(int)view->records[at].step + 1, "text",
							json_text(text), "line",
							status_line(view, at, line, sizeof(line))));
	}
	return steps;
}

static json_t *run_json(const struct run_view *view)
{
	json_t *run = json_pack("{s:s, s:s}", "id", view->id, "state", view->state);

	if (!view->is_readable) {
		json_object_set_new(run, "reason", json_text(view->why_not.text));
		return run;
	}
	json_object_set_new(run, "title", json_text(view->header.title));
	json_object_set_new(run, "user", json_text(view->user));
	json_object_set_new(run, "uid", json_integer(view->header.invoking_uid));
	json_object_set_new(run, "since", json_text(view->since));
	json_object_set_new(run, "ends_by", json_text(view->until));
	json_object_set_new(run, "seconds_left", json_real((double)view->left_ns / 1e9));
	json_object_set_new(run, "in_force", steps_json(view));
	return run;
}

static int tell_json(char (*ids)[RUN_ID_SIZE], unsigned count, bool is_root,
		     const struct halt *halt, struct error *err)
{
	json_t *runs = json_array();

	for (unsigned at = 0; at < count; at++) {
		struct run_view view = {.id = ids[at], .state = "unknown"};

		if (!is_root) {
			error_set(&view.why_not, EPERM, "only root may see it");
		} else {
			look_at(ids[at], &view);
			if (view.why_not.code == ENOENT)
				continue; /* ended while we looked */
		}
		json_array_append_new(runs, run_json(&view));
		free(view.records);
	}
	return json_print(json_pack("{s:b, s:o, s:o}", "complete", (int)is_root, "halt",
				    halted_json(halt), "runs", runs),
			  stdout, true, err);
}

static int tell(char (*ids)[RUN_ID_SIZE], unsigned count, bool is_root, const struct halt *halt,
		struct error *err)
{
	if (halt->is_pulled)
		halted_print("Experiments are", halt);
	if (!count)
		printf("No experiment is running.\n");
	for (unsigned at = 0; at < count; at++) {
		struct run_view view;

		if (!is_root) {
			printf("run %s\n", ids[at]);
			continue;
		}
		look_at(ids[at], &view);
		if (view.why_not.code != ENOENT)
			print_run(&view);
		free(view.records);
	}
	if (options_flush(err) < 0)
		return -err->code;
	if (!is_root && count)
		log_info("only root may see what a run does: sudo squall status");
	return 0;
}

int cli_status(int argc, char **argv, struct error *err)
{
	struct options options = {.help = help, .has_json = true};
	cleanup_free char(*ids)[RUN_ID_SIZE] = NULL;
	bool is_root = geteuid() == 0;
	struct restore_report report = {0};
	unsigned count = 0;
	struct halt halt;
	int result = options_parse(&options, argc, argv, err);

	if (result < 0 || options.helped)
		return result;
	if (is_root) /* what cannot be finished is shown below */
		undone_finish_dead(&report, NULL);
	result = journal_list(&ids, &count, err);
	if (result < 0)
		return result;
	halt_look(&halt);
	return options.json ? tell_json(ids, count, is_root, &halt, err)
			    : tell(ids, count, is_root, &halt, err);
}
