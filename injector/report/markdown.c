/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The report for a wiki, an issue or a post-mortem: CommonMark with tables. */
#include "injector/report/report.h"

#include "injector/base/clock.h"
#include "injector/base/quantity.h"
#include "injector/report/markup.h"
#include "injector/report/stored.h"

#include <string.h>

#define LOG_MOST 200 /* a page for people; the JSON has all of it */

static void put_head(struct markup *page, const json_t *root)
{
	char took[QUANTITY_TEXT_SIZE], replay[STORED_REPLAY_SIZE];

	markup_put(page, "# %s\n\n", stored_text(root, "title"));
	if (*stored_text(root, "hypothesis"))
		markup_put(page, "> %s\n\n", stored_text(root, "hypothesis"));
	if (stored_replay(root, replay, sizeof(replay)))
		markup_put(page, "A replay, %s.\n\n", replay);
	markup_put(page, "**%s**: %s\n\n", stored_verdict(root), stored_text(root, "why"));
	markup_put(page, "Run %s, %s, took %s, exit code %lld, squall %s.\n\n",
		   stored_text(root, "run"), stored_text(root, "started"),
		   quantity_format_latency(stored_number(root, "took_ns"), took),
		   (long long)stored_number(root, "exit_code"),
		   stored_text(root, "squall_version"));
}

static void put_figures(struct markup *page, const json_t *root)
{
	const json_t *recovery = json_object_get(root, "recovery"),
		     *stop = json_object_get(root, "stop");
	const json_t *expected = json_object_get(root, "expectations"), *at;
	char a[QUANTITY_TEXT_SIZE], b[QUANTITY_TEXT_SIZE], score[64];
	size_t i;

	json_array_foreach (stored_has_faults(root) ? expected : NULL, i, at)
		markup_put(page,
			   stored_is(at, "met") ? "- expected, and met: %s\n"
						: "- expected, and **not met**: %s\n",
			   stored_text(at, "text"));
	if (stored_score(root, score, sizeof(score)))
		markup_put(page, "- score: %s\n", score);
	if (stored_has(root, "stop"))
		markup_put(page, "- stopped: %s\n",
			   *stored_text(stop, "reason") ? stored_text(stop, "reason")
							: stored_text(stop, "cause"));
	if (stored_stop_latency(root) >= 0)
		markup_put(page, "- all faults were out of force %s after the reason was seen\n",
			   quantity_format_latency(stored_stop_latency(root), a));
	if (stored_number(recovery, "took_ns") >= 0)
		markup_put(page, "- recovered in %s (allowed: %s)\n",
			   quantity_format_latency(stored_number(recovery, "took_ns"), a),
			   quantity_format_duration(stored_number(recovery, "within_ns"), b));
	else if (json_is_object(recovery))
		markup_put(page, "- not recovered: %s\n", stored_text(recovery, "text"));
	if (stored_number(root, "command_status") >= 0)
		markup_put(page, "- command: %s\n", stored_text(root, "command_end"));
	markup_put(page, stored_is_restored(root) ? "- everything is restored and verified\n"
						  : "- **not everything is restored**\n");
}

static void put_cell(struct markup *page, int64_t ns)
{
	char text[QUANTITY_TEXT_SIZE] = "-";

	if (ns >= 0)
		quantity_format_latency(ns, text);
	markup_put(page, " %s |", text);
}

static void put_probes(struct markup *page, const json_t *root)
{
	const json_t *probes = json_object_get(root, "probes"), *probe;
	size_t i;

	if (!json_array_size(probes))
		return;
	markup_put(page,
		   "\n## Probes\n\n| probe | when | attempts | not passed | p50 | p99 | max |\n"
		   "|---|---|--:|--:|--:|--:|--:|\n");
	json_array_foreach (probes, i, probe)
		for (unsigned w = 0; w < WINDOW_COUNT; w++) {
			const json_t *window =
				json_object_get(json_object_get(probe, "windows"), window_names[w]);
			const json_t *latency = json_object_get(window, "latency");
			int64_t attempts = stored_number(window, "attempts");

			if (attempts <= 0)
				continue;
			markup_put(page, "| %s | %s | %lld | %lld |", stored_text(probe, "name"),
				   window_names[w], (long long)attempts,
				   (long long)(stored_number(window, "failed") +
					       stored_number(window, "unknown")));
			put_cell(page, stored_number(latency, "p50_ns"));
			put_cell(page, stored_number(latency, "p99_ns"));
			put_cell(page, stored_number(latency, "max_ns"));
			markup_put(page, "\n");
		}
	json_array_foreach (probes, i, probe)
		if (*stored_text(probe, "last_failure"))
			markup_put(page, "\nLast failure of %s: %s\n", stored_text(probe, "name"),
				   stored_text(probe, "last_failure"));
}

static void put_faults(struct markup *page, const json_t *root)
{
	const json_t *step;
	char evidence[300];
	size_t i;

	markup_put(page, "\n## Faults\n\n| | fault | from | to | what it hit | afterwards |\n"
			 "|--:|---|--:|--:|---|---|\n");
	json_array_foreach (json_object_get(root, "steps"), i, step) {
		int64_t from = stored_number(step, "injected_after_ns");
		int64_t to = stored_number(step, "ended_after_ns");

		stored_evidence(step, evidence, sizeof(evidence));
		markup_put(page, "| %zu | %s |", i + 1, stored_text(step, "text"));
		if (!stored_is(step, "injected")) {
			markup_put(page, " | | was not injected%s%s | |\n",
				   *stored_text(step, "failure") ? ": " : "",
				   stored_text(step, "failure"));
			continue;
		}
		markup_put(page, " +%.1fs |", (double)from / NSEC_PER_SEC);
		if (stored_lasts(step) && to >= 0)
			markup_put(page, " +%.1fs |", (double)to / NSEC_PER_SEC);
		else
			markup_put(page, " |");
		markup_put(page, " %s | %s |\n", evidence,
			   stored_is_unrestored(step) ? "**not verified**"
			   : stored_lasts(step)	      ? "restored, verified"
						      : "cannot be undone");
	}
}

static void put_log(struct markup *page, const json_t *root)
{
	const json_t *log = json_object_get(root, "log"), *entry;
	size_t count = json_array_size(log), i;

	if (!count)
		return;
	markup_put(page, "\n## Log\n\n| time | | what |\n|--:|---|---|\n");
	json_array_foreach (log, i, entry) {
		if (count > LOG_MOST && i == LOG_MOST / 2)
			markup_put(page, "| | | %zu entries are left out here |\n",
				   count - LOG_MOST);
		if (count > LOG_MOST && i >= LOG_MOST / 2 && i < count - LOG_MOST / 2)
			continue;
		markup_put(page, "| +%.3fs | %s | %s |\n",
			   (double)stored_number(entry, "after_ns") / NSEC_PER_SEC,
			   stored_text(entry, "label"), stored_text(entry, "text"));
	}
}

static void put_left(struct markup *page, const json_t *root)
{
	const json_t *left = json_object_get(root, "left"), *line;
	size_t i;

	if (!json_array_size(left))
		return;
	markup_put(page, "\n## Left on the machine\n\n");
	json_array_foreach (left, i, line)
		markup_put(page, "- %s\n", json_is_string(line) ? json_string_value(line) : "");
}

void report_markdown(const json_t *root, FILE *out)
{
	struct markup page = {.out = out, .kind = MARKUP_MARKDOWN};
	const json_t *environment = json_object_get(root, "environment"), *note;
	size_t i;

	put_head(&page, root);
	put_figures(&page, root);
	put_left(&page, root);
	put_probes(&page, root);
	if (json_array_size(json_object_get(root, "steps")))
		put_faults(&page, root);
	json_array_foreach (json_object_get(root, "notes"), i, note)
		markup_put(&page, "\nNote: %s\n",
			   json_is_string(note) ? json_string_value(note) : "");
	put_log(&page, root);
	markup_put(&page, "\n## Environment\n\nHost %s, %s, Linux %s on %s; file %s\n",
		   stored_text(environment, "host"), stored_text(environment, "distribution"),
		   stored_text(environment, "kernel"), stored_text(environment, "machine"),
		   stored_text(root, "file"));
}
