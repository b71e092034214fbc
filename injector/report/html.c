/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The report as one page that needs nothing else: no script, no font, no address. A browser is told
 * so as well (Content-Security-Policy), should a text ever slip through the escaping. */
#include "injector/report/html.h"

#include "injector/base/clock.h"
#include "injector/base/quantity.h"
#include "injector/report/report.h"
#include "injector/report/stored.h"

#include <string.h>

static const char *tone_of(const char *verdict)
{
	if (strcmp(verdict, "held") == 0 || strcmp(verdict, "done") == 0)
		return "good";
	if (strcmp(verdict, "interrupted") == 0 || strcmp(verdict, "not-steady") == 0)
		return "warn";
	return "bad";
}

static const char *headline_of(const char *verdict)
{
	static const char *const words[][2] = {
		{"held", "Held"},
		{"done", "Done"},
		{"failed", "Failed"},
		{"refused", "Refused"},
		{"aborted", "Aborted"},
		{"interrupted", "Interrupted"},
		{"not-steady", "Not steady"},
		{"not-restored", "Not restored"},
	};

	for (unsigned i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strcmp(verdict, words[i][0]) == 0)
			return words[i][1];
	return verdict;
}

static void put_head(struct html *html)
{
	const json_t *root = html->root;
	const char *verdict = stored_verdict(root);
	struct markup *page = &html->page;
	char started[32], replay[STORED_REPLAY_SIZE];

	markup_put(page,
		   "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
		   "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
		   "style-src 'unsafe-inline'\">\n"
		   "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
		   "<meta name=\"color-scheme\" content=\"light dark\">\n"
		   "<title>%s: %s</title>\n<style>\n",
		   stored_text(root, "title"), headline_of(verdict));
	fputs(html_style, page->out);
	/* "2026-01-31T12:00:00.123Z": to the second is enough here */
	snprintf(started, sizeof(started), "%.19s", stored_text(root, "started"));
	if (strlen(started) == 19)
		started[10] = ' ';
	markup_put(page,
		   "</style>\n</head>\n<body>\n<main>\n"
		   "<p class=\"eyebrow\"><span>Chaos experiment report</span>"
		   "<span>run %s &middot; %s UTC</span></p>\n<h1>%s</h1>\n",
		   stored_text(root, "run"), started, stored_text(root, "title"));
	if (*stored_text(root, "hypothesis"))
		markup_put(page, "<p class=\"hypothesis\">%s</p>\n",
			   stored_text(root, "hypothesis"));
	if (stored_replay(root, replay, sizeof(replay)))
		markup_put(page, "<p class=\"quiet\">A replay, %s.</p>\n", replay);
	markup_put(page, "<div class=\"verdict %s\"><strong>%s</strong><p>%s</p></div>\n",
		   tone_of(verdict), headline_of(verdict), stored_text(root, "why"));
}

static void put_figure(struct html *html, const char *name, const char *tone, const char *value,
		       const char *more)
{
	markup_put(&html->page, "<div><dt>%s</dt><dd class=\"%s\">%s<small>%s</small></dd></div>\n",
		   name, tone, value, more);
}

/* Attempts of the probes that speak for the hypothesis. */
static void put_attempts(struct html *html)
{
	int64_t attempts = 0, bad = 0;
	const json_t *probe;
	char value[32], more[64];
	size_t i;

	json_array_foreach (json_object_get(html->root, "probes"), i, probe) {
		const json_t *during = json_object_get(json_object_get(probe, "windows"), "during");

		if (!stored_is(probe, "required") || stored_number(during, "attempts") <= 0)
			continue;
		attempts += stored_number(during, "attempts");
		bad += stored_number(during, "failed") + stored_number(during, "unknown");
	}
	if (attempts <= 0)
		return;
	snprintf(value, sizeof(value), "%lld", (long long)bad);
	if (bad)
		snprintf(more, sizeof(more), "of %lld during the faults, %.*f %%",
			 (long long)attempts, bad * 10 < attempts ? 1 : 0,
			 100.0 * (double)bad / (double)attempts);
	else
		snprintf(more, sizeof(more), "of %lld during the faults", (long long)attempts);
	put_figure(html, "Attempts not passed", bad ? "bad" : "good", value, more);
}

static void put_recovery(struct html *html)
{
	const json_t *recovery = json_object_get(html->root, "recovery");
	char value[QUANTITY_TEXT_SIZE], within[QUANTITY_TEXT_SIZE], more[80];

	if (!json_is_object(recovery))
		return;
	snprintf(more, sizeof(more), "after the faults; allowed %s",
		 quantity_format_duration(stored_number(recovery, "within_ns"), within));
	if (stored_number(recovery, "took_ns") >= 0)
		put_figure(html, "Time to recover", "good",
			   quantity_format_latency(stored_number(recovery, "took_ns"), value),
			   more);
	else if (*stored_text(recovery, "text"))
		put_figure(html, "Time to recover", "bad", "not in time", more);
	else
		put_figure(html, "Time to recover", "quiet", "not observed", more);
}

static void put_restored(struct html *html)
{
	unsigned lasting = 0, undone = 0;
	const json_t *step;
	char value[32];
	size_t i;

	json_array_foreach (json_object_get(html->root, "steps"), i, step) {
		lasting += stored_lasts(step);
		undone += stored_lasts(step) && !stored_is_unrestored(step);
	}
	snprintf(value, sizeof(value), "%u of %u", undone, lasting);
	if (!stored_is_restored(html->root))
		put_figure(html, "Restored", "bad", value, "something is left");
	else if (lasting)
		put_figure(html, "Restored", "good", value, "read back from the kernel");
	else
		put_figure(html, "Restored", "quiet", "nothing held", "there was nothing to undo");
}

static void put_figures(struct html *html)
{
	const json_t *root = html->root;
	int64_t from = stored_number(root, "faults_started_after_ns");
	int64_t to = stored_number(root, "faults_ended_after_ns");
	char value[QUANTITY_TEXT_SIZE], more[80];

	markup_put(&html->page, "<dl class=\"figures\">\n");
	if (stored_score(root, more, sizeof(more)) && stored_number(root, "score") >= 0) {
		snprintf(value, sizeof(value), "%lld", (long long)stored_number(root, "score"));
		put_figure(html, "Resilience score", "", value, "of 100; beside the verdict");
	} else if (stored_score(root, more, sizeof(more))) {
		put_figure(html, "Resilience score", "quiet", "none",
			   "the run was stopped before its end");
	}
	put_attempts(html);
	put_recovery(html);
	put_restored(html);
	if (stored_stop_latency(root) >= 0)
		put_figure(html, "Stop latency", "",
			   quantity_format_latency(stored_stop_latency(root), value),
			   "reason seen to faults out of force");
	if (from >= 0 && to >= from) {
		snprintf(more, sizeof(more), "from +%.1fs to +%.1fs", (double)from / NSEC_PER_SEC,
			 (double)to / NSEC_PER_SEC);
		put_figure(html, "Under faults", "", quantity_format_latency(to - from, value),
			   more);
	}
	put_figure(html, "Whole run", "",
		   quantity_format_latency(stored_number(root, "took_ns"), value),
		   "steady state, faults, recovery");
	markup_put(&html->page, "</dl>\n");
}

static void put_expectations(struct html *html)
{
	const json_t *list = json_object_get(html->root, "expectations"), *at;
	size_t i;

	if (!json_array_size(list) || !stored_has_faults(html->root))
		return;
	markup_put(&html->page, "<section><h2>Expected while the faults last</h2><table><tbody>\n");
	json_array_foreach (list, i, at)
		markup_put(&html->page, "<tr><td class=\"%s\">%s</td><td>%s</td></tr>\n",
			   stored_is(at, "met") ? "good" : "bad",
			   stored_is(at, "met") ? "\xe2\x9c\x93 met" : "\xe2\x9c\x97 not met",
			   stored_text(at, "text"));
	markup_put(&html->page, "</tbody></table></section>\n");
}

static void put_cell(struct html *html, const json_t *latency, const char *which)
{
	int64_t ns = stored_number(latency, which);
	char text[QUANTITY_TEXT_SIZE] = "\xe2\x80\x93";

	if (ns >= 0)
		quantity_format_latency(ns, text);
	markup_put(&html->page, "<td class=\"n\">%s</td>", text);
}

static void put_window(struct html *html, const json_t *window, const char *name)
{
	const json_t *latency = json_object_get(window, "latency");
	int64_t attempts = stored_number(window, "attempts");
	int64_t bad = stored_number(window, "failed") + stored_number(window, "unknown");

	markup_put(&html->page, "<td>%s</td><td class=\"n\">%lld</td><td class=\"n %s\">%lld%s",
		   name, (long long)attempts, bad > 0 ? "bad" : "", (long long)bad,
		   bad > 0 ? " \xe2\x9c\x97" : "");
	if (bad > 0)
		markup_put(&html->page, " <span class=\"quiet\">%.0f%%</span>",
			   100.0 * (double)bad / (double)attempts);
	markup_put(&html->page, "</td>");
	put_cell(html, latency, "p50_ns");
	put_cell(html, latency, "p99_ns");
	put_cell(html, latency, "max_ns");
	markup_put(&html->page, "</tr>\n");
}

static void put_probe(struct html *html, const json_t *probe)
{
	static const char *const names[] = {"before", "during", "after"};
	const json_t *windows = json_object_get(probe, "windows");
	unsigned rows = 0;

	for (unsigned i = 0; i < 3; i++)
		rows += stored_number(json_object_get(windows, names[i]), "attempts") > 0;
	markup_put(&html->page, "<tbody><tr><th scope=\"rowgroup\" rowspan=\"%u\">%s",
		   rows ? rows : 1, stored_text(probe, "name"));
	if (*stored_text(probe, "last_failure"))
		markup_put(&html->page, "<br><small class=\"quiet\">last failure: %s</small>",
			   stored_text(probe, "last_failure"));
	markup_put(&html->page, "</th>");
	if (!rows)
		markup_put(&html->page, "<td colspan=\"6\" class=\"warn\">no attempt was made</td>"
					"</tr>\n");
	for (unsigned i = 0, told = 0; i < 3; i++) {
		const json_t *window = json_object_get(windows, names[i]);

		if (stored_number(window, "attempts") <= 0)
			continue;
		if (told++)
			markup_put(&html->page, "<tr>");
		put_window(html, window, names[i]);
	}
	markup_put(&html->page, "</tbody>\n");
}

static void put_probes(struct html *html)
{
	const json_t *probes = json_object_get(html->root, "probes"), *probe;
	size_t i;

	if (!json_array_size(probes))
		return;
	markup_put(
		&html->page,
		"<section><h2>Probes</h2><div class=\"scroll\"><table class=\"groups\"><thead><tr>"
		"<th scope=\"col\">Probe</th><th scope=\"col\">When</th>"
		"<th scope=\"col\" class=\"n\">Attempts</th>"
		"<th scope=\"col\" class=\"n\">Not passed</th>"
		"<th scope=\"col\" class=\"n\">p50</th><th scope=\"col\" class=\"n\">p99</th>"
		"<th scope=\"col\" class=\"n\">Max</th></tr></thead>\n");
	json_array_foreach (probes, i, probe)
		put_probe(html, probe);
	markup_put(&html->page, "</table></div></section>\n");
}

static void put_fact(struct html *html, const char *name, const char *value)
{
	if (*value)
		markup_put(&html->page, "<dt>%s</dt><dd>%s</dd>\n", name, value);
}

static void put_environment(struct html *html)
{
	const json_t *root = html->root, *at = json_object_get(root, "environment");
	char text[32];

	markup_put(&html->page, "<section><h2>Environment</h2><dl class=\"facts\">\n");
	put_fact(html, "Host", stored_text(at, "host"));
	put_fact(html, "System", stored_text(at, "distribution"));
	put_fact(html, "Kernel", stored_text(at, "kernel"));
	put_fact(html, "Build", stored_text(at, "kernel_version"));
	put_fact(html, "Machine", stored_text(at, "machine"));
	put_fact(html, "squall", stored_text(root, "squall_version"));
	put_fact(html, "Experiment", stored_text(root, "file"));
	snprintf(text, sizeof(text), "%lld", (long long)stored_number(root, "exit_code"));
	put_fact(html, "Exit code", text);
	put_fact(html, "Started", stored_text(root, "started"));
	put_fact(html, "Command", stored_text(root, "command_end"));
	markup_put(&html->page, "</dl></section>\n");
}

/* The latest time that anything is known of. */
static int64_t find_span(const json_t *root)
{
	int64_t span_ns = stored_number(root, "took_ns");
	const json_t *probe;
	size_t i;

	json_array_foreach (json_object_get(root, "probes"), i, probe) {
		const json_t *to = json_object_get(json_object_get(probe, "series"), "to_ns");
		const json_t *last = json_array_get(to, json_array_size(to) - 1);

		if (json_is_integer(last) && json_integer_value(last) > span_ns)
			span_ns = json_integer_value(last);
	}
	return span_ns > 0 ? span_ns : 1;
}

void report_html(const json_t *root, FILE *out)
{
	struct html html = {.page = {.out = out}, .root = root, .span_ns = find_span(root)};

	put_head(&html);
	put_figures(&html);
	html_charts(&html);
	put_expectations(&html);
	put_probes(&html);
	html_faults(&html);
	html_restore(&html);
	html_log(&html);
	put_environment(&html);
	markup_put(&html.page,
		   "<footer>Made by squall %s from the stored result of run %s.</footer>\n"
		   "</main>\n</body>\n</html>\n",
		   stored_text(root, "squall_version"), stored_text(root, "run"));
}
