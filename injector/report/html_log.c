/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The incident log: what happened, in the order of time. */
#include "injector/base/clock.h"
#include "injector/report/html.h"
#include "injector/report/stored.h"

#include <string.h>

#define OPEN_MOST 120 /* entries; more are there, but folded */

static const char *tone_of(const json_t *entry)
{
	static const struct {
		const char *event, *tone;
	} tones[] = {
		{"injected", "fault-word"}, {"inject-failed", "bad"}, {"restored", "good"},
		{"breach", "bad"},	    {"stopping", "warn"},     {"left", "bad"},
	};
	const char *event = stored_text(entry, "event");

	if (strcmp(event, "sample") == 0)
		return strcmp(stored_text(entry, "result"), "pass") == 0 ? "good" : "bad";
	if (strcmp(event, "recovered") == 0)
		return strcmp(stored_text(entry, "label"), "slow") == 0 ? "bad" : "good";
	for (unsigned i = 0; i < sizeof(tones) / sizeof(*tones); i++)
		if (strcmp(event, tones[i].event) == 0)
			return tones[i].tone;
	return "";
}

static void put_entry(struct html *html, const json_t *entry)
{
	markup_put(&html->page,
		   "<li><time>+%.2fs</time><b class=\"%s\">%s</b><span class=\"what\">%s</span>"
		   "</li>\n",
		   (double)stored_number(entry, "after_ns") / NSEC_PER_SEC, tone_of(entry),
		   stored_text(entry, "label"), stored_text(entry, "text"));
}

/* A phase is a heading of what follows. */
static void put_mark(struct html *html, const json_t *entry)
{
	markup_put(
		&html->page,
		"<li class=\"mark\"><time>+%.2fs</time><b>phase</b><span class=\"what\">%s</span>"
		"</li>\n",
		(double)stored_number(entry, "after_ns") / NSEC_PER_SEC,
		stored_text(entry, "text"));
}

void html_log(struct html *html)
{
	const json_t *log = json_object_get(html->root, "log"), *entry;
	size_t count = json_array_size(log), i;
	int64_t lost = stored_number(html->root, "log_lost");

	if (!count)
		return;
	markup_put(&html->page, "<section><h2>Incident log</h2>\n");
	if (lost > 0)
		markup_put(&html->page,
			   "<p class=\"quiet\">%lld entries between the beginning and "
			   "the end were not kept.</p>\n",
			   (long long)lost);
	markup_put(&html->page, "<ol class=\"log\">\n");
	json_array_foreach (log, i, entry) {
		if (i == OPEN_MOST && count > OPEN_MOST + 20)
			markup_put(&html->page,
				   "</ol><details><summary>%zu more entries</summary>"
				   "<ol class=\"log\">\n",
				   count - OPEN_MOST);
		if (strcmp(stored_text(entry, "event"), "phase") == 0)
			put_mark(html, entry);
		else
			put_entry(html, entry);
	}
	markup_put(&html->page, "</ol>\n");
	if (count > OPEN_MOST + 20)
		markup_put(&html->page, "</details>\n");
	markup_put(&html->page, "</section>\n");
}
