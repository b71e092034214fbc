/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The summary at the end of a run, for people: verdict first, then the proof. */
#include "injector/report/report.h"

#include "injector/base/clock.h"
#include "injector/base/page.h"
#include "injector/base/printable.h"
#include "injector/base/quantity.h"
#include "injector/report/stored.h"

#include <ctype.h>
#include <string.h>

#define LABEL 12 /* columns of the labels on the left */

static void put_title(struct page *page, const json_t *root)
{
	char run[32], title[2048], replay[STORED_REPLAY_SIZE], took[QUANTITY_TEXT_SIZE];
	unsigned room;

	snprintf(run, sizeof(run), "run %.20s", stored_text(root, "run"));
	room = page->width > strlen(run) + 2 ? page->width - (unsigned)strlen(run) - 2
					     : page->width;
	page_line(page);
	printable_fit(stored_text(root, "title"), room, page->utf8, title, sizeof(title));
	page_put(page, TONE_TITLE, "%s", title);
	page_put_right(page, TONE_QUIET, page->width, run);
	page_line(page);
	if (*stored_text(root, "hypothesis"))
		page_wrap(page, TONE_NORMAL, 0, "%s", stored_text(root, "hypothesis"));
	if (stored_replay(root, replay, sizeof(replay)))
		page_wrap(page, TONE_QUIET, 0, "%s", replay);
	page_wrap(page, TONE_QUIET, 0, "%s, took %s", stored_text(root, "started"),
		  quantity_format_latency(stored_number(root, "took_ns"), took));
	page_line(page);
}

static void put_verdict(struct page *page, const json_t *root)
{
	static const struct {
		const char *name;
		enum tone tone;
	} tones[] = {
		{"held", TONE_GOOD},
		{"done", TONE_GOOD},
		{"interrupted", TONE_WARNING},
		{"not-steady", TONE_WARNING},
	};
	const char *verdict = stored_verdict(root);
	enum tone tone = TONE_BAD;
	char word[32];
	size_t length = 0;

	for (unsigned i = 0; i < sizeof(tones) / sizeof(*tones); i++)
		if (strcmp(verdict, tones[i].name) == 0)
			tone = tones[i].tone;
	for (; verdict[length] && length + 1 < sizeof(word); length++)
		word[length] = verdict[length] == '-'
				       ? ' '
				       : (char)toupper((unsigned char)verdict[length]);
	word[length] = '\0';
	page_put(page, tone, "%s", word);
	page_put(page, TONE_NORMAL, "  ");
	page_wrap(page, TONE_NORMAL, page->column, "%s", stored_text(root, "why"));
}

static void put_latency(struct page *page, const json_t *window, const char *which, unsigned column)
{
	int64_t value = stored_number(json_object_get(window, "latency"), which);
	char text[QUANTITY_TEXT_SIZE] = "-";

	if (value >= 0)
		quantity_format_latency(value, text);
	page_put_right(page, TONE_NORMAL, column, text);
}

static int64_t count_of(const json_t *at, const char *key)
{
	int64_t count = stored_number(at, key);

	return count > 0 ? count : 0;
}

static void put_window(struct page *page, const json_t *window, const char *name, unsigned names)
{
	int64_t bad = count_of(window, "failed") + count_of(window, "unknown");
	int64_t attempts = count_of(window, "attempts");
	enum tone worse = strcmp(name, "during") == 0 ? TONE_BAD : TONE_WARNING;
	char text[64];

	page_tab(page, names);
	page_put(page, TONE_QUIET, "%s", name);
	put_latency(page, window, "p50_ns", names + 16);
	put_latency(page, window, "p99_ns", names + 26);
	snprintf(text, sizeof(text), "%lld/%lld", (long long)bad, (long long)attempts);
	page_put_right(page, bad ? worse : TONE_NORMAL, names + 42, text);
	if (bad && page->width >= names + 50) {
		snprintf(text, sizeof(text), "%.*f%%", bad * 10 < attempts ? 1 : 0,
			 100.0 * (double)bad / (double)attempts);
		page_put_right(page, TONE_QUIET, names + 49, text);
	}
	page_line(page);
}

static void put_probe(struct page *page, const json_t *probe, unsigned names)
{
	const json_t *windows = json_object_get(probe, "windows");
	const char *failure = stored_text(probe, "last_failure");
	bool first = true;

	for (unsigned w = 0; w < WINDOW_COUNT; w++) {
		const json_t *window = json_object_get(windows, window_names[w]);

		if (!count_of(window, "attempts"))
			continue;
		if (first) {
			char name[256];

			printable_fit(stored_text(probe, "name"), names - 2, page->utf8, name,
				      sizeof(name));
			page_put(page, TONE_NORMAL, "%s", name);
		}
		first = false;
		put_window(page, window, window_names[w], names);
	}
	if (first)
		page_wrap(page, TONE_WARNING, names, "%s: no attempt was made",
			  stored_text(probe, "name"));
	if (*failure) {
		page_tab(page, names);
		page_wrap(page, TONE_QUIET, names + 2, "last failure: %s", failure);
	}
}

static void put_probes(struct page *page, const json_t *root)
{
	const json_t *probes = json_object_get(root, "probes"), *probe;
	unsigned names = LABEL;
	size_t i;

	if (!json_array_size(probes))
		return;
	json_array_foreach (probes, i, probe) {
		unsigned width = printable_width(stored_text(probe, "name")) + 2;

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
	json_array_foreach (probes, i, probe)
		put_probe(page, probe, names);
}

static char *format_since(int64_t ns, char *out, size_t size)
{
	snprintf(out, size, "+%.1fs", (double)ns / NSEC_PER_SEC);
	return out;
}

static void put_times(struct page *page, const json_t *step)
{
	int64_t ended_ns = stored_number(step, "ended_after_ns");
	int64_t end_took_ns = stored_number(step, "end_took_ns");
	char from[32], to[32], took[QUANTITY_TEXT_SIZE];

	page_tab(page, 4);
	format_since(stored_number(step, "injected_after_ns"), from, sizeof(from));
	quantity_format_latency(count_of(step, "inject_took_ns"), took);
	if (!stored_lasts(step) || ended_ns < 0) {
		page_wrap(page, TONE_QUIET, 4, "%s, injected in %s", from, took);
		return;
	}
	page_put(page, TONE_QUIET, "%s to %s, injected in %s", from,
		 format_since(ended_ns, to, sizeof(to)), took);
	if (end_took_ns > 0)
		page_put(page, TONE_QUIET, ", ended in %s",
			 quantity_format_latency(end_took_ns, took));
	page_line(page);
}

static void put_fault(struct page *page, const json_t *step, unsigned index)
{
	const char *failure = stored_text(step, "failure");
	char evidence[300];

	page_put(page, TONE_NORMAL, "%3u ", index + 1);
	page_wrap(page, TONE_NORMAL, 4, "%s", stored_text(step, "text"));
	if (*failure) {
		page_tab(page, 4);
		page_wrap(page, TONE_BAD, 4, "could not be injected: %s", failure);
	}
	if (!stored_is(step, "injected")) {
		if (!*failure) {
			page_tab(page, 4);
			page_wrap(page, TONE_QUIET, 4, "was not injected");
		}
		return;
	}
	put_times(page, step);
	page_tab(page, 4);
	stored_evidence(step, evidence, sizeof(evidence));
	page_wrap(page, stored_is(step, "idle") ? TONE_WARNING : TONE_NORMAL, 4, "%s", evidence);
	if (stored_is_unrestored(step)) {
		page_tab(page, 4);
		page_wrap(page, TONE_BAD, 4, "nobody has verified that it is undone");
	} else if (stored_lasts(step)) {
		page_tab(page, 4);
		page_wrap(page, TONE_GOOD, 4, "restored and verified");
	}
}

static void put_label(struct page *page, enum tone tone, const char *label)
{
	page_put(page, tone, "%s", label);
	page_tab(page, LABEL);
}

static void put_stop(struct page *page, const json_t *root)
{
	const json_t *stop = json_object_get(root, "stop");
	int64_t latency_ns = stored_stop_latency(root);
	const char *cause = stored_text(stop, "cause"), *reason = stored_text(stop, "reason");
	char took[QUANTITY_TEXT_SIZE];

	put_label(page, TONE_TITLE, "Stopped");
	page_wrap(page, TONE_NORMAL, LABEL, "%s%s%s",
		  strcmp(cause, "breach") == 0 ? "by the abort condition"
		  : *reason		       ? reason
					       : cause,
		  latency_ns >= 0 ? "; all faults out of force after " : "",
		  latency_ns >= 0 ? quantity_format_latency(latency_ns, took) : "");
}

/* What was expected meanwhile, and what was seen of it; the score stands beside, never instead. */
static void put_expectations(struct page *page, const json_t *root)
{
	const json_t *list = json_object_get(root, "expectations"), *at;
	char score[64];
	size_t i;

	json_array_foreach (list, i, at) {
		if (!stored_has_faults(root))
			break;
		put_label(page, TONE_TITLE, i ? "" : "Expected");
		page_wrap(page, stored_is(at, "met") ? TONE_NORMAL : TONE_BAD, LABEL + 2, "%s%s",
			  stored_is(at, "met") ? "" : "not met: ", stored_text(at, "text"));
	}
	if (stored_score(root, score, sizeof(score))) {
		put_label(page, TONE_TITLE, "Score");
		page_wrap(page, TONE_NORMAL, LABEL, "%s", score);
	}
}

static void put_outcome(struct page *page, const json_t *root)
{
	const json_t *recovery = json_object_get(root, "recovery");
	char took[QUANTITY_TEXT_SIZE], within[QUANTITY_TEXT_SIZE];
	int64_t status = stored_number(root, "command_status");

	if (stored_has(root, "stop"))
		put_stop(page, root);
	if (stored_is(recovery, "recovered") && stored_number(recovery, "took_ns") >= 0) {
		put_label(page, TONE_TITLE, "Recovered");
		page_wrap(page, TONE_NORMAL, LABEL, "%s after the faults (allowed: %s)",
			  quantity_format_latency(stored_number(recovery, "took_ns"), took),
			  quantity_format_duration(stored_number(recovery, "within_ns"), within));
	} else if (*stored_text(recovery, "text")) {
		put_label(page, TONE_TITLE, "Recovered");
		page_wrap(page, TONE_BAD, LABEL, "not within %s: %s",
			  quantity_format_duration(stored_number(recovery, "within_ns"), within),
			  stored_text(recovery, "text"));
	}
	if (status >= 0) {
		put_label(page, TONE_TITLE, "Command");
		page_wrap(page, status ? TONE_BAD : TONE_NORMAL, LABEL, "%s",
			  stored_text(root, "command_end"));
	}
}

/* What was planned for a step that never came was not changed. */
static bool is_changed(const json_t *root, const json_t *line)
{
	const json_t *steps = json_object_get(root, "steps");
	int64_t step = stored_number(line, "step");

	return strcmp(stored_text(line, "kind"), "change") == 0 && step >= 0 &&
	       stored_is(json_array_get(steps, (size_t)step), "injected");
}

static void put_changes(struct page *page, const json_t *root)
{
	bool restored = stored_is_restored(root);
	unsigned injected = 0, told = 0, lasting = 0;
	const json_t *at;
	size_t i;

	json_array_foreach (json_object_get(root, "steps"), i, at) {
		injected += stored_is(at, "injected");
		lasting += stored_lasts(at);
	}
	if (!injected && restored) {
		put_label(page, TONE_TITLE, "Changed");
		page_wrap(page, TONE_NORMAL, LABEL, "nothing");
		return;
	}
	json_array_foreach (json_object_get(root, "plan"), i, at) {
		if (!is_changed(root, at))
			continue;
		if (!told++)
			put_label(page, TONE_TITLE, "Changed");
		page_tab(page, LABEL);
		page_wrap(page, TONE_NORMAL, LABEL + 2, "%s", stored_text(at, "text"));
	}
	if (restored) {
		put_label(page, TONE_TITLE, told ? "" : "Changes");
		page_wrap(page, TONE_GOOD, LABEL, "%s",
			  lasting ? "everything is restored and verified"
				  : "nothing of this can be undone, and nothing is held");
	}
}

static void put_left(struct page *page, const json_t *root)
{
	const json_t *left = json_object_get(root, "left"), *at;
	int64_t lost = count_of(root, "left_lost");
	size_t i;

	if (!json_array_size(left) && !lost)
		return;
	page_line(page);
	page_wrap(page, TONE_BAD, 0, "Left on this machine");
	json_array_foreach (left, i, at) {
		page_put(page, TONE_NORMAL, "  - ");
		page_uncut(page, TONE_NORMAL, json_is_string(at) ? json_string_value(at) : "");
	}
	if (lost)
		page_wrap(page, TONE_NORMAL, 4, "  - and %lld more; see 'squall restore'",
			  (long long)lost);
}

void report_text(const json_t *root, FILE *out, bool coloured, unsigned width)
{
	const json_t *steps = json_object_get(root, "steps"), *at;
	struct page page;
	size_t i;

	page_init(&page, out, coloured, width);
	put_title(&page, root);
	put_verdict(&page, root);
	put_probes(&page, root);
	if (json_array_size(steps)) {
		page_line(&page);
		page_wrap(&page, TONE_TITLE, 0, "Faults");
		json_array_foreach (steps, i, at)
			put_fault(&page, at, (unsigned)i);
	}
	page_line(&page);
	put_expectations(&page, root);
	put_outcome(&page, root);
	put_changes(&page, root);
	json_array_foreach (json_object_get(root, "notes"), i, at) {
		put_label(&page, TONE_TITLE, "Note");
		page_wrap(&page, TONE_NORMAL, LABEL, "%s",
			  json_is_string(at) ? json_string_value(at) : "");
	}
	put_left(&page, root);
	fflush(out);
}
