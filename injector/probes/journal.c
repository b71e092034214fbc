/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Probe `journal`: messages of a unit in systemd's journal, from the beginning of the run on. Each
 * attempt has journalctl(1) show the newest ones that match, newest first, and counts those that
 * the attempts before have not seen. What the launcher keeps of the output (3 KiB, some 20
 * messages) is the most that one attempt counts.
 */
#include "injector/probes/tool.h"

#include "injector/base/clock.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { JOURNAL_PATTERN, JOURNAL_PRIORITY };
enum { EXPECT_COUNT };

static const char *const levels[] = {"emerg",  "alert", "crit",	 "err", "warning",
				     "notice", "info",	"debug", NULL};

static const struct param journal_params[] = {
	[JOURNAL_PATTERN] = {"pattern", PARAM_TEXT, PARAM_REQUIRED,
			     .doc = "regular expression (PCRE) of the messages that are counted; "
				    "all small letters: case does not matter"},
	[JOURNAL_PRIORITY] = {"priority", PARAM_WORD, .words = levels,
			      .doc = "only messages at least so urgent"},
	{0},
};
static const struct param journal_expect[] = {
	[EXPECT_COUNT] = {"count", PARAM_COMPARE_NUMBER, .fallback = "0",
			  .doc = "messages that match, since the attempt before"},
	{0},
};

struct journal_state {
	struct tool tool;
	double seen_s; /* time of the newest message that was counted, or the beginning */
};

static int journal_check(const struct probe_spec *spec, struct error *err)
{
	const char *name = spec->subject[0];

	if (name[0] == '-' || strpbrk(name, " /") || strlen(name) > 255)
		return error_set(err, EINVAL,
				 "'%.60s' is not the name of a unit, like nginx.service", name);
	return 0;
}

/* A line of --output=short-unix: "1700000000.123456 host program[12]: message". False: the rest of
 * a message of several lines. */
static bool read_line(const char *line, size_t length, double *out_time_s, char *example,
		      size_t size)
{
	char *end;
	const char *message;

	*out_time_s = strtod(line, &end);
	if (end == line || *end != ' ' || line[0] < '0' || line[0] > '9')
		return false;
	message = memmem(line, length, ": ", 2);
	message = message ? message + 2 : line;
	probe_excerpt(message, (size_t)(line + length - message), example, size);
	return true;
}

static void judge(struct tool *tool, const char *output)
{
	struct journal_state *journal = (struct journal_state *)tool; /* its first member */
	struct probe *probe = tool->probe;
	const struct params *expect = &probe->spec->expect;
	char example[80] = "", newest[80] = "";
	double time_s, last_s = journal->seen_s;
	struct compare limit;
	unsigned count = 0;

	for (const char *line = output; *line;) {
		size_t length = strcspn(line, "\n");

		/* cut off at the end of what is kept: not a whole line */
		if (line[length] == '\n' &&
		    read_line(line, length, &time_s, example, sizeof(example)) &&
		    time_s > journal->seen_s) {
			if (count++ == 0)
				memcpy(newest, example, sizeof(newest));
			last_s = time_s > last_s ? time_s : last_s;
		}
		line += length + (line[length] == '\n');
	}
	journal->seen_s = last_s;
	probe_compare(expect, EXPECT_COUNT, &limit);
	if (compare_holds(&limit, count))
		probe_finish(probe, PROBE_PASS, count, "%u new messages match", count);
	else
		probe_finish(probe, PROBE_FAIL, count, "%u new messages match, expected %s%s%s",
			     count, params_text(expect, EXPECT_COUNT), *newest ? ": " : "", newest);
}

static int journal_open_probe(struct probe *probe, struct error *err)
{
	const struct probe_spec *spec = probe->spec;
	struct journal_state *journal = probe->state = calloc(1, sizeof(*journal));
	const char *priority = params_text(&spec->params, JOURNAL_PRIORITY);
	char unit[300], grep[PARAM_TEXT_MAX + 16], since[48], level[32];
	char *argv[] = {(char[]){"journalctl"},
			(char[]){"--quiet"},
			(char[]){"--no-pager"},
			(char[]){"--no-hostname"},
			(char[]){"--reverse"},
			(char[]){"--output=short-unix"},
			(char[]){"--lines=100"},
			since,
			unit,
			grep,
			priority ? level : NULL,
			NULL};

	if (!journal)
		return error_errno(err, ENOMEM, "cannot prepare the probe");
	/* bounds what it searches; two intervals, should one attempt be late */
	snprintf(since, sizeof(since), "--since=-%llds",
		 (long long)((2 * spec->every_ns + spec->timeout_ns) / NSEC_PER_SEC + 30));
	snprintf(unit, sizeof(unit), "--unit=%s", spec->subject[0]);
	snprintf(grep, sizeof(grep), "--grep=%s", params_text(&spec->params, JOURNAL_PATTERN));
	snprintf(level, sizeof(level), "--priority=%s", priority ? priority : "");
	journal->tool.judge = judge;
	journal->tool.nothing = 1; /* with --grep, as grep itself */
	journal->seen_s = (double)clock_wall_ns() / 1e9;
	return tool_open(&journal->tool, probe, argv, err);
}

static void journal_close_probe(struct probe *probe)
{
	free(probe->state);
	probe->state = NULL;
}

const struct probe_ops journal_probe = {
	.name = "journal",
	.summary = "no (or so many) new messages of a unit in systemd's journal match a pattern",
	.subject_doc = "name of the unit, as nginx.service",
	.params = journal_params,
	.expect = journal_expect,
	.check = journal_check,
	.open = journal_open_probe,
	.start = tool_start,
	.cancel = tool_cancel,
	.close = journal_close_probe,
};
