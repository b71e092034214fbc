/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What was injected and on what evidence; and the proof that it is gone. */
#include "injector/base/clock.h"
#include "injector/base/quantity.h"
#include "injector/report/html.h"
#include "injector/report/stored.h"

#include <string.h>

#define LINES_MOST 12 /* of a plan, of one kind, for one fault */

static void put_times(struct html *html, const json_t *step)
{
	int64_t from = stored_number(step, "injected_after_ns");
	int64_t to = stored_number(step, "ended_after_ns");
	char took[QUANTITY_TEXT_SIZE];

	markup_put(&html->page, "<dt>When</dt><dd class=\"num\">+%.1fs",
		   (double)from / NSEC_PER_SEC);
	if (stored_lasts(step) && to >= 0)
		markup_put(&html->page, " to +%.1fs", (double)to / NSEC_PER_SEC);
	markup_put(&html->page, ", in force %s after the first system call",
		   quantity_format_latency(stored_number(step, "inject_took_ns"), took));
	markup_put(&html->page, "</dd>\n");
}

/* Lines of the plan of one kind: "interface eth0 egress". */
static void put_lines(struct html *html, size_t index, const char *kind, const char *name)
{
	const json_t *line;
	unsigned told = 0;
	size_t i;

	json_array_foreach (json_object_get(html->root, "plan"), i, line) {
		if (strcmp(stored_text(line, "kind"), kind) != 0 ||
		    stored_number(line, "step") != (int64_t)index)
			continue;
		if (!told)
			markup_put(&html->page, "<dt>%s</dt><dd>", name);
		if (told < LINES_MOST)
			markup_put(&html->page, "%s%s", told ? "; " : "",
				   stored_text(line, "text"));
		told++;
	}
	if (told > LINES_MOST)
		markup_put(&html->page, "; and %u more", told - LINES_MOST);
	if (told)
		markup_put(&html->page, "</dd>\n");
}

static void put_tag(struct html *html, const json_t *step)
{
	const char *tone = "", *text = "was not injected";

	if (*stored_text(step, "failure")) {
		tone = "bad";
		text = "could not be injected";
	} else if (stored_is_unrestored(step)) {
		tone = "bad";
		text = "not verified";
	} else if (stored_lasts(step)) {
		tone = "good";
		text = "\xe2\x9c\x93 restored and verified";
	} else if (stored_is(step, "injected")) {
		text = "acts at once, cannot be undone";
	}
	if (stored_is(step, "idle"))
		markup_put(&html->page, "<span class=\"tag warn\">hit nothing</span> ");
	markup_put(&html->page, "<span class=\"tag %s\">%s</span>", tone, text);
}

static void put_fault(struct html *html, const json_t *step, size_t index)
{
	char evidence[300];

	markup_put(&html->page, "<div class=\"fault\"><header><h3>%zu. %s</h3><span>", index + 1,
		   stored_text(step, "text"));
	put_tag(html, step);
	markup_put(&html->page, "</span></header><dl>\n");
	if (stored_is(step, "injected")) {
		put_times(html, step);
		stored_evidence(step, evidence, sizeof(evidence));
		markup_put(&html->page, "<dt>Evidence</dt><dd>%s</dd>\n", evidence);
	}
	if (*stored_text(step, "failure"))
		markup_put(&html->page, "<dt>Reason</dt><dd class=\"bad\">%s</dd>\n",
			   stored_text(step, "failure"));
	put_lines(html, index, "target", "Touched");
	put_lines(html, index, "way", "How");
	put_lines(html, index, "note", "Note");
	markup_put(&html->page, "</dl></div>\n");
}

void html_faults(struct html *html)
{
	const json_t *steps = json_object_get(html->root, "steps"), *at;
	size_t i;

	if (!json_array_size(steps))
		return;
	markup_put(&html->page, "<section><h2>Injected, and on what evidence</h2>\n");
	json_array_foreach (steps, i, at)
		put_fault(html, at, i);
	json_array_foreach (json_object_get(html->root, "notes"), i, at)
		markup_put(&html->page, "<p class=\"quiet\">Note: %s</p>\n",
			   json_is_string(at) ? json_string_value(at) : "");
	markup_put(&html->page, "</section>\n");
}

static void put_proof(struct html *html, const json_t *step, size_t index)
{
	int64_t took_ns = stored_number(step, "end_took_ns");
	char took[QUANTITY_TEXT_SIZE] = "\xe2\x80\x93";
	const json_t *line;
	unsigned told = 0;
	size_t i;

	if (took_ns >= 0)
		quantity_format_latency(took_ns, took);
	markup_put(&html->page, "<tr><th scope=\"row\">%zu. %s</th><td>", index + 1,
		   stored_text(step, "text"));
	json_array_foreach (json_object_get(html->root, "plan"), i, line) {
		if (strcmp(stored_text(line, "kind"), "change") != 0 ||
		    stored_number(line, "step") != (int64_t)index || told > LINES_MOST)
			continue;
		if (told++)
			markup_put(&html->page, "<br>");
		markup_put(&html->page, "%s",
			   told > LINES_MOST ? "and more" : stored_text(line, "text"));
	}
	markup_put(&html->page, "</td><td class=\"n\">%s</td><td class=\"%s\">%s</td></tr>\n", took,
		   stored_is_unrestored(step) ? "bad" : "good",
		   stored_is_unrestored(step) ? "\xe2\x9c\x97 nobody has verified it"
					      : "\xe2\x9c\x93 gone, read back");
}

static void put_left(struct html *html)
{
	const json_t *left = json_object_get(html->root, "left"), *line;
	int64_t lost = stored_number(html->root, "left_lost");
	size_t i;

	if (!json_array_size(left) && lost <= 0)
		return;
	markup_put(&html->page, "<h3 class=\"bad\">Left on the machine</h3><ul class=\"plain\">\n");
	json_array_foreach (left, i, line)
		markup_put(&html->page, "<li><code>%s</code></li>\n",
			   json_is_string(line) ? json_string_value(line) : "");
	if (lost > 0)
		markup_put(&html->page, "<li>and %lld more: see squall restore</li>\n",
			   (long long)lost);
	markup_put(&html->page, "</ul>\n");
}

void html_restore(struct html *html)
{
	const json_t *steps = json_object_get(html->root, "steps"), *step;
	unsigned lasting = 0;
	size_t i;

	json_array_foreach (steps, i, step)
		lasting += stored_lasts(step);
	markup_put(&html->page, "<section><h2>Restored</h2>\n");
	put_left(html);
	if (lasting) {
		markup_put(&html->page,
			   "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">Fault</th>"
			   "<th scope=\"col\">What it had changed</th>"
			   "<th scope=\"col\" class=\"n\">Ended in</th>"
			   "<th scope=\"col\">Proof</th></tr></thead><tbody>\n");
		json_array_foreach (steps, i, step)
			if (stored_lasts(step))
				put_proof(html, step, i);
		markup_put(&html->page, "</tbody></table></div>\n");
	}
	if (stored_is_restored(html->root))
		markup_put(
			&html->page, "<p class=\"%s\">%s</p>\n", lasting ? "good" : "quiet",
			lasting ? "Everything is undone; each change was read back from the kernel "
				  "and found gone."
				: "Nothing was held, so there was nothing to undo.");
	markup_put(&html->page, "</section>\n");
}
