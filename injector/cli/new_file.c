/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/cli/new_file.h"

#include "injector/base/clock.h"
#include "injector/base/quantity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AROUND_NS (60 * NSEC_PER_SEC) /* steady state, restore, recovery and some air */

bool new_is_process(enum new_what what)
{
	return what == NEW_KILLED || what == NEW_PAUSED;
}

/* A text of YAML in double quotes. */
static void put_quoted(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', out);
		/* no variable of the file: a dollar is a dollar */
		if (text[0] == '$' && text[1] == '{')
			fputc('$', out);
		fputc(*text, out);
	}
	fputc('"', out);
}

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), end_length = strlen(end);

	return length > end_length && strcmp(text + length - end_length, end) == 0;
}

static void put_target(FILE *out, const struct new_answers *answers)
{
	fputs("# What may be touched. Look before you run: sudo squall plan FILE\ntargets:\n", out);
	if (!new_is_process(answers->what))
		fputs("  victim: {to: [", out);
	else
		fprintf(out, "  victim: {process: {%s: ",
			ends_with(answers->where, ".service") ? "unit" : "name");
	put_quoted(out, answers->where);
	fputs(new_is_process(answers->what) ? "}}\n\n" : "]}\n\n", out);
}

static void put_probe(FILE *out, const struct new_answers *answers)
{
	const char *probe = answers->probe;
	char timeout[QUANTITY_TEXT_SIZE];
	int64_t within_ns = 0;
	bool is_command =
		strchr(probe, ' ') || (!strchr(probe, ':') && strncmp(probe, "http", 4) != 0);

	(void)quantity_parse_duration(answers->within, &within_ns, NULL);
	quantity_format_duration(within_ns > NSEC_PER_SEC / 2 ? 2 * within_ns : NSEC_PER_SEC,
				 timeout);
	fputs("# What tells whether the system is well: asked all the time, never delayed by "
	      "squall\n"
	      "probes:\n",
	      out);
	if (strncmp(probe, "http://", 7) == 0 || strncmp(probe, "https://", 8) == 0) {
		fputs("  service: {http: ", out);
		put_quoted(out, probe);
		fprintf(out,
			", every: 500ms, timeout: %s,\n            expect: {status: 200-399, "
			"latency: ",
			timeout);
	} else if (!is_command) {
		fputs("  service: {tcp: ", out);
		put_quoted(out, probe);
		fprintf(out,
			", every: 500ms, timeout: %s,\n            expect: {latency: ", timeout);
	} else {
		char *words = strdup(probe), *rest = words, *word;
		unsigned told = 0;

		fputs("  # no shell is there: a list of words\n  service: {command: [", out);
		while (words && (word = strsep(&rest, " ")))
			if (*word) {
				fputs(told++ ? ", " : "", out);
				put_quoted(out, word);
			}
		free(words);
		fprintf(out, "], every: 1s, timeout: %s,\n            expect: {latency: ", timeout);
	}
	fprintf(out, "\"< %s\"}}\n\n", answers->within);
}

static void put_method(FILE *out, const struct new_answers *answers)
{
	fputs("# The faults and their times; `squall faults` lists what there is\nmethod:\n"
	      "  - {at: 0s, ",
	      out);
	if (answers->lasts)
		fprintf(out, "for: %s, ", answers->lasts);
	switch (answers->what) {
	case NEW_SLOW:
		fprintf(out, "network: {target: victim, delay: %s}}\n\n", answers->how_bad);
		break;
	case NEW_LOSSY:
		fprintf(out, "network: {target: victim, loss: %s}}\n\n", answers->how_bad);
		break;
	case NEW_CUT:
		fputs("network: {target: victim, loss: 100%}}\n\n", out);
		break;
	case NEW_KILLED:
		fprintf(out, "process: {target: victim, signal: %s}}\n\n", answers->how_bad);
		break;
	case NEW_PAUSED:
		fputs("process: {target: victim, action: pause}}\n\n", out);
		break;
	}
}

static const char *happening(enum new_what what)
{
	static const char *const words[] = {
		[NEW_SLOW] = "is slow",		 [NEW_LOSSY] = "loses packets",
		[NEW_CUT] = "cannot be reached", [NEW_KILLED] = "is killed",
		[NEW_PAUSED] = "stands still",
	};

	return words[what];
}

char *new_file(const struct new_answers *answers)
{
	char hypothesis[512], limit[QUANTITY_TEXT_SIZE], *text = NULL;
	int64_t lasts_ns = 0;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	if (answers->lasts)
		(void)quantity_parse_duration(answers->lasts, &lasts_ns, NULL);
	snprintf(hypothesis, sizeof(hypothesis), "The service answers within %s while %.300s %s",
		 answers->within, answers->where, happening(answers->what));
	fputs("# squall explain FILE says in plain English what this does, sudo squall run FILE\n"
	      "# does it.\nversion: 1\ntitle: ",
	      out);
	put_quoted(out, answers->title);
	fputs("\n# What you expect to stay true: a probe that fails meanwhile fails the run\n"
	      "hypothesis: ",
	      out);
	put_quoted(out, hypothesis);
	fprintf(out,
		"\n\n# The hard end of the run, and the most that may be touched\n"
		"limits: {duration: %s, targets: %d}\n\n",
		quantity_format_duration(lasts_ns + AROUND_NS, limit),
		new_is_process(answers->what) ? 16 : 8);
	put_target(out, answers);
	put_probe(out, answers);
	fputs("# It must be well before, or nothing is injected\n"
	      "steady-state: {require: [service], for: 5s}\n\n"
	      "# Stop and restore at once when it is worse than you are ready for\n",
	      out);
	/* also attempts that hang until they are given up get there in some seconds; what is
	 * killed has the time to be started again */
	fprintf(out, "abort-when:\n  - {probe: service, fails: %d} # in a row\n\n",
		answers->what == NEW_KILLED ? 10 : 5);
	put_method(out, answers);
	fputs("# How soon it must be well again, and for how long\n"
	      "recovery: {require: [service], within: 15s, hold: 3s}\n",
	      out);
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}
