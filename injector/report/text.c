/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The summary at the end of a run, for people: verdict first, then the proof. */
#include "injector/report/report.h"

#include "injector/base/clock.h"
#include "injector/base/page.h"
#include "injector/base/printable.h"
#include "injector/base/quantity.h"
#include "injector/view/words.h"

#include <string.h>

#define LABEL 12 /* columns of the labels on the left */

static void put_title(struct page *page, const struct run_result *result)
{
	const struct experiment *experiment = result->experiment;
	char run[32], started[40], took[QUANTITY_TEXT_SIZE];
	unsigned room;

	snprintf(run, sizeof(run), "run %s", result->run_id);
	room = page->width > strlen(run) + 2 ? page->width - (unsigned)strlen(run) - 2
					     : page->width;
	page_line(page);
	{
		char title[2048];

		printable_fit(experiment->title ? experiment->title : "", room, page->utf8, title,
			      sizeof(title));
		page_put(page, TONE_TITLE, "%s", title);
	}
	page_put_right(page, TONE_QUIET, page->width, run);
	page_line(page);
	if (experiment->hypothesis)
		page_wrap(page, TONE_NORMAL, 0, "%s", experiment->hypothesis);
	clock_format_wall(result->started_wall_ns, started, sizeof(started));
	page_wrap(page, TONE_QUIET, 0, "%s, took %s", started,
		  quantity_format_latency(result->finished_ns - result->started_ns, took));
	page_line(page);
}

static void put_verdict(struct page *page, const struct run_result *result)
{
	static const struct {
		const char *word;
		enum tone tone;
	} words[] = {
		[VERDICT_HELD] = {"HELD", TONE_GOOD},
		[VERDICT_FAILED] = {"FAILED", TONE_BAD},
		[VERDICT_REFUSED] = {"REFUSED", TONE_BAD},
		[VERDICT_ABORTED] = {"ABORTED", TONE_BAD},
		[VERDICT_INTERRUPTED] = {"INTERRUPTED", TONE_WARNING},
		[VERDICT_NOT_STEADY] = {"NOT STEADY", TONE_WARNING},
		[VERDICT_NOT_RESTORED] = {"NOT RESTORED", TONE_BAD},
	};

	/* without a probe nothing was there that could hold */
	page_put(page, words[result->verdict].tone, "%s",
		 result->verdict == VERDICT_HELD && !result->experiment->probe_count
			 ? "DONE"
			 : words[result->verdict].word);
	page_put(page, TONE_NORMAL, "  ");
	page_wrap(page, TONE_NORMAL, page->column, "%s", result->why);
}

static void put_latency(struct page *page, const struct probe_window *window, double p,
			unsigned column)
{
	int64_t value = result_percentile(window, p);
	char text[QUANTITY_TEXT_SIZE] = "-";

	if (value >= 0)
		quantity_format_latency(value, text);
	page_put_right(page, TONE_NORMAL, column, text);
}

static void put_window(struct page *page, const struct probe_window *window, enum window which,
		       unsigned names)
{
	unsigned bad = window->failed + window->unknown;
	char text[48];

	page_tab(page, names);
	page_put(page, TONE_QUIET, "%s", window_names[which]);
	put_latency(page, window, 0.5, names + 16);
	put_latency(page, window, 0.99, names + 26);
	snprintf(text, sizeof(text), "%u/%u", bad, window->attempts);
	page_put_right(page, bad ? which == WINDOW_DURING ? TONE_BAD : TONE_WARNING : TONE_NORMAL,
		       names + 42, text);
	if (bad && page->width >= names + 50) {
		snprintf(text, sizeof(text), "%.*f%%", bad * 10 < window->attempts ? 1 : 0,
			 100.0 * bad / window->attempts);
		page_put_right(page, TONE_QUIET, names + 49, text);
	}
	page_line(page);
}

static void put_probes(struct page *page, const struct run_result *result)
{
	const struct experiment *experiment = result->experiment;
	unsigned names = LABEL;

	if (!experiment->probe_count)
		return;
	for (unsigned i = 0; i < experiment->probe_count; i++) {
		unsigned width = printable_width(experiment->probes[i].name) + 2;

		names = width > names ? width : names;
	}
	if (names + 44 > page->width)
		names = page->width > 52 ? page->width - 44 : 8;
	page_line(page);
	page_put(page, TONE_TITLE, "Probes");
	page_put_right(page, TONE_QUIET, names + 16, "p50");
	page_put_right(page, TONE_QUIET, names + 26, "p99");
	page_put_right(page, TONE_QUIET, names + 42, "failed");
	page_line(page);
	for (unsigned i = 0; i < experiment->probe_count; i++) {
		bool first = true;

		for (unsigned w = 0; w < WINDOW_COUNT; w++) {
			if (!result->probes[i][w].attempts)
				continue;
			if (first) {
				char name[256];

				printable_fit(experiment->probes[i].name, names - 2, page->utf8,
					      name, sizeof(name));
				page_put(page, TONE_NORMAL, "%s", name);
			}
			first = false;
			put_window(page, &result->probes[i][w], (enum window)w, names);
		}
		if (first)
			page_wrap(page, TONE_WARNING, names, "%s: no attempt was made",
				  experiment->probes[i].name);
		if (result->last_reasons[i][0]) {
			page_tab(page, names);
			page_wrap(page, TONE_QUIET, names + 2, "last failure: %s",
				  result->last_reasons[i]);
		}
	}
}

static char *format_since(int64_t ns, char *out, size_t size)
{
	snprintf(out, size, "+%.1fs", (double)ns / NSEC_PER_SEC);
	return out;
}

static void put_times(struct page *page, const struct run_result *result, unsigned index)
{
	const struct step_result *step = &result->steps[index];
	char from[32], to[32], took[QUANTITY_TEXT_SIZE];

	page_tab(page, 4);
	format_since(step->injected_ns - result->started_ns, from, sizeof(from));
	quantity_format_latency(step->inject_took_ns, took);
	if (run_is_instant(result->experiment, index) || !step->ended_ns) {
		page_wrap(page, TONE_QUIET, 4, "%s, injected in %s", from, took);
		return;
	}
	page_put(page, TONE_QUIET, "%s to %s, injected in %s", from,
		 format_since(step->ended_ns - result->started_ns, to, sizeof(to)), took);
	if (step->end_took_ns)
		page_put(page, TONE_QUIET, ", ended in %s",
			 quantity_format_latency(step->end_took_ns, took));
	page_line(page);
}

static void put_fault(struct page *page, const struct run_result *result, unsigned index)
{
	const struct step_result *step = &result->steps[index];
	bool instant = run_is_instant(result->experiment, index);
	char evidence[300];

	page_put(page, TONE_NORMAL, "%3u ", index + 1);
	page_wrap(page, TONE_NORMAL, 4, "%s", step->text);
	if (step->failure[0]) {
		page_tab(page, 4);
		page_wrap(page, TONE_BAD, 4, "could not be injected: %s", step->failure);
	}
	if (!step->was_injected) {
		if (!step->failure[0]) {
			page_tab(page, 4);
			page_wrap(page, TONE_QUIET, 4, "was not injected");
		}
		return;
	}
	put_times(page, result, index);
	page_tab(page, 4);
	if (step->has_evidence)
		words_of_evidence(&step->evidence, evidence, sizeof(evidence));
	page_wrap(page, result_is_idle(result, index) ? TONE_WARNING : TONE_NORMAL, 4, "%s",
		  step->has_evidence ? evidence : "no evidence of what it hit");
	if (result_is_unrestored(result, index)) {
		page_tab(page, 4);
		page_wrap(page, TONE_BAD, 4, "nobody has verified that it is undone");
	} else if (!instant) {
		page_tab(page, 4);
		page_wrap(page, TONE_GOOD, 4, "restored and verified");
	}
}

static void put_label(struct page *page, enum tone tone, const char *label)
{
	page_put(page, tone, "%s", label);
	page_tab(page, LABEL);
}

static void put_outcome(struct page *page, const struct run_result *result)
{
	char took[QUANTITY_TEXT_SIZE], within[QUANTITY_TEXT_SIZE];

	if (result->stop_cause != STOP_NONE) {
		put_label(page, TONE_TITLE, "Stopped");
		page_wrap(page, TONE_NORMAL, LABEL, "%s%s%s",
			  result->stop_cause == STOP_BREACH ? "by the abort condition"
			  : result->stop_reason[0]	    ? result->stop_reason
							    : stop_cause_names[result->stop_cause],
			  result->stop_latency_ns >= 0 ? "; all faults out of force after " : "",
			  result->stop_latency_ns >= 0
				  ? quantity_format_latency(result->stop_latency_ns, took)
				  : "");
	}
	if (result->is_recovered && result->recovery_ns >= 0) {
		put_label(page, TONE_TITLE, "Recovered");
		page_wrap(page, TONE_NORMAL, LABEL, "%s after the faults (allowed: %s)",
			  quantity_format_latency(result->recovery_ns, took),
			  quantity_format_duration(result->experiment->recovery.within_ns, within));
	}
	if (result->command_status >= 0) {
		put_label(page, TONE_TITLE, "Command");
		page_wrap(page, result->command_status ? TONE_BAD : TONE_NORMAL, LABEL, "%s",
			  result->command_end);
	}
}

static void put_changes(struct page *page, const struct run_result *result)
{
	unsigned injected = 0, unrestored = 0, told = 0, lasting = 0;

	for (unsigned i = 0; i < result->experiment->step_count; i++) {
		injected += result->steps[i].was_injected;
		unrestored += result_is_unrestored(result, i);
		lasting += result->steps[i].was_injected && !run_is_instant(result->experiment, i);
	}
	if (!injected && !result->left_count && !result->left_lost) {
		put_label(page, TONE_TITLE, "Changed");
		page_wrap(page, TONE_NORMAL, LABEL, "nothing");
		return;
	}
	for (unsigned i = 0; i < result->line_count; i++) {
		const struct result_line *line = &result->lines[i];

		/* what was planned for a step that never came was not changed */
		if (line->kind != PLAN_CHANGE || line->step >= result->experiment->step_count ||
		    !result->steps[line->step].was_injected)
			continue;
		if (!told++)
			put_label(page, TONE_TITLE, "Changed");
		page_tab(page, LABEL);
		page_wrap(page, TONE_NORMAL, LABEL + 2, "%s", line->text);
	}
	if (!result->left_count && !result->left_lost && !unrestored) {
		put_label(page, TONE_TITLE, told ? "" : "Changes");
		page_wrap(page, TONE_GOOD, LABEL, "%s",
			  lasting ? "everything is restored and verified"
				  : "nothing of this can be undone, and nothing is held");
	}
}

static void put_left(struct page *page, const struct run_result *result)
{
	if (!result->left_count && !result->left_lost)
		return;
	page_line(page);
	page_wrap(page, TONE_BAD, 0, "Left on this machine");
	for (unsigned i = 0; i < result->left_count; i++) {
		page_put(page, TONE_NORMAL, "  - ");
		page_uncut(page, TONE_NORMAL, result->left[i]);
	}
	if (result->left_lost)
		page_wrap(page, TONE_NORMAL, 4, "  - and %u more; see 'squall restore'",
			  result->left_lost);
}

void report_text(const struct run_result *result, FILE *out, bool coloured, unsigned width)
{
	struct page page;

	page_init(&page, out, coloured, width);
	put_title(&page, result);
	put_verdict(&page, result);
	put_probes(&page, result);
	if (result->experiment->step_count) {
		page_line(&page);
		page_wrap(&page, TONE_TITLE, 0, "Faults");
		for (unsigned i = 0; i < result->experiment->step_count; i++)
			put_fault(&page, result, i);
	}
	page_line(&page);
	put_outcome(&page, result);
	put_changes(&page, result);
	for (unsigned i = 0; i < result->note_count; i++) {
		put_label(&page, TONE_TITLE, "Note");
		page_wrap(&page, TONE_NORMAL, LABEL, "%s", result->notes[i].text);
	}
	put_left(&page, result);
	fflush(out);
}
