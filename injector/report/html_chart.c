/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The charts: one lane a fault, then one panel a probe, all over the same time, with what was in
 * force shaded behind. */
#include "injector/report/html_chart.h"

#include "injector/base/clock.h"
#include "injector/base/printable.h"
#include "injector/base/quantity.h"
#include "injector/report/stored.h"

#include <math.h>
#include <string.h>

#define LANE_HEIGHT 31.0
#define MOST_LANES  32
#define MOST_PANELS 24

double chart_x_of(const struct html *html, double ns)
{
	double x = CHART_LEFT + ns / (double)html->span_ns * CHART_PLOT;

	return x < CHART_LEFT		       ? CHART_LEFT
	       : x > CHART_WIDTH - CHART_RIGHT ? CHART_WIDTH - CHART_RIGHT
					       : x;
}

double chart_nice_step(double span, double most)
{
	double raw = span / most, power = 1, digit;

	if (!(raw > 0) || !isfinite(raw))
		return 1;
	while (power > raw)
		power /= 10;
	while (power * 10 <= raw)
		power *= 10;
	digit = raw / power;
	return power * (digit <= 1 ? 1 : digit <= 2 ? 2 : digit <= 5 ? 5 : 10);
}

/* Of time: also parts of minutes, hours and days. */
static double nice_time_step(double span_ns)
{
	static const double seconds[] = {10,   15,   30,   60,	  120,	 300,	600,   900,
					 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800};
	double raw = span_ns / 9 / NSEC_PER_SEC;

	if (raw <= 5)
		return chart_nice_step(span_ns, 9);
	for (unsigned i = 0; i < sizeof(seconds) / sizeof(*seconds); i++)
		if (seconds[i] >= raw)
			return seconds[i] * NSEC_PER_SEC;
	return chart_nice_step(span_ns, 9);
}

void chart_time_axis(struct html *html, double top, double bottom)
{
	double step = nice_time_step((double)html->span_ns);
	char text[QUANTITY_TEXT_SIZE];

	for (double at = 0; at <= (double)html->span_ns; at += step) {
		double x = chart_x_of(html, at);

		markup_put(&html->page,
			   "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>",
			   x, x, top, bottom);
		markup_put(&html->page,
			   "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>\n", x,
			   bottom + 13, quantity_format_duration((int64_t)at, text));
	}
}

static void put_line(struct html *html, const char *class, int64_t at_ns, double top, double bottom)
{
	double x = chart_x_of(html, (double)at_ns);

	markup_put(&html->page,
		   "<line class=\"%s\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>\n", class,
		   x, x, top, bottom);
}

/* When everybody was well again; -1: never, or not asked for. */
static int64_t recovered_ns(const json_t *root)
{
	int64_t took_ns = stored_number(json_object_get(root, "recovery"), "took_ns");
	int64_t end_ns = stored_number(root, "method_ended_after_ns");

	return took_ns >= 0 && end_ns >= 0 ? end_ns + took_ns : -1;
}

static int64_t stopped_ns(const json_t *root)
{
	const json_t *entry;
	size_t i;

	json_array_foreach (json_object_get(root, "log"), i, entry)
		if (strcmp(stored_text(entry, "event"), "stopping") == 0)
			return stored_number(entry, "after_ns");
	return -1;
}

void chart_moments(struct html *html, double top, double bottom)
{
	int64_t recovered = recovered_ns(html->root), stopped = stopped_ns(html->root);

	if (stopped >= 0)
		put_line(html, "stopped", stopped, top, bottom);
	if (recovered >= 0)
		put_line(html, "recovered", recovered, top, bottom);
}

static void put_span(struct html *html, const char *class, const json_t *window, double y,
		     double height)
{
	int64_t to_ns = stored_number(window, "to_ns");
	double from = chart_x_of(html, (double)stored_number(window, "from_ns"));
	double to = chart_x_of(html, (double)(to_ns < 0 ? html->span_ns : to_ns));

	markup_put(&html->page,
		   "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>",
		   class, from, y, to - from < 1.5 ? 1.5 : to - from, height);
}

void chart_shades(struct html *html, double top, double height)
{
	const json_t *step, *window;
	size_t i, j;

	json_array_foreach (json_object_get(html->root, "steps"), i, step) {
		json_array_foreach (json_object_get(step, "windows"), j, window)
			put_span(html, "shade", window, top, height);
		if (stored_is(step, "injected") && !stored_lasts(step))
			put_line(html, "moment", stored_number(step, "injected_after_ns"), top,
				 top + height);
	}
	markup_put(&html->page, "\n");
}

/* The phases of the run, as a strip. */
static void put_phases(struct html *html, double y)
{
	const json_t *log = json_object_get(html->root, "log"), *entry;
	const char *name = NULL;
	int64_t from = 0;
	unsigned shown = 0;
	size_t i, count = json_array_size(log);

	for (i = 0; i <= count; i++) {
		bool is_last = i == count;
		int64_t at = html->span_ns;
		double x, width;

		entry = is_last ? NULL : json_array_get(log, i);
		if (!is_last && strcmp(stored_text(entry, "event"), "phase") != 0)
			continue;
		if (!is_last)
			at = stored_number(entry, "after_ns");
		x = chart_x_of(html, (double)from);
		width = chart_x_of(html, (double)at) - x;
		if (name && width > 0.5) {
			markup_put(&html->page,
				   "<rect class=\"phase%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" "
				   "height=\"16\"/>",
				   shown++ % 2 ? " alt" : "", x, y, width);
			if (width > 7.0 * (double)strlen(name))
				markup_put(&html->page,
					   "<text class=\"ink\" x=\"%.1f\" y=\"%.1f\" "
					   "text-anchor=\"middle\">%s</text>\n",
					   x + width / 2, y + 12, name);
		}
		name = is_last ? NULL : stored_text(entry, "phase");
		from = at;
	}
}

/* Above the bar, from its start; a text that would not fit there ends with the bar or the chart. */
static void put_lane_text(struct html *html, const json_t *step, double at, double y)
{
	int64_t end_ns = stored_number(step, "ended_after_ns");
	double end = end_ns >= 0 ? chart_x_of(html, (double)end_ns) : at, width;
	char text[256];

	width = 6.3 * printable_fit(stored_text(step, "text"), 100, true, text, sizeof(text));
	if (at + width <= CHART_WIDTH - CHART_RIGHT)
		markup_put(&html->page, "<text class=\"ink\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", at,
			   y, text);
	else
		markup_put(&html->page,
			   "<text class=\"ink\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%s"
			   "</text>\n",
			   end - width > CHART_LEFT ? end : CHART_WIDTH - CHART_RIGHT, y, text);
}

static void put_lane(struct html *html, const json_t *step, size_t index, double y)
{
	double at = chart_x_of(html, (double)stored_number(step, "injected_after_ns"));
	const json_t *window;
	size_t i;

	markup_put(&html->page, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%zu</text>",
		   CHART_LEFT - 8, y + 26, index + 1);
	if (!stored_is(step, "injected")) {
		markup_put(&html->page, "<text x=\"%.1f\" y=\"%.1f\">%s (not injected)</text>\n",
			   CHART_LEFT, y + 26, stored_text(step, "text"));
		return;
	}
	put_lane_text(html, step, at, y + 13);
	json_array_foreach (json_object_get(step, "windows"), i, window)
		put_span(html, "bar", window, y + 18, 9);
	if (!stored_lasts(step))
		markup_put(&html->page,
			   "<path class=\"instant\" d=\"M%.1f %.1fl6 5.5l-6 5.5l-6 -5.5z\"/>\n", at,
			   y + 17);
}

static void put_lanes(struct html *html)
{
	const json_t *steps = json_object_get(html->root, "steps"), *step;
	size_t i, count = json_array_size(steps);
	size_t shown = count < MOST_LANES ? count : MOST_LANES;
	double bottom = 26 + (double)shown * LANE_HEIGHT + 4;

	markup_put(
		&html->page,
		"<figure class=\"chart\"><figcaption><b>Faults</b><span class=\"quiet\">when each "
		"was in force%s</span></figcaption><div class=\"scroll\">"
		"<svg viewBox=\"0 0 960 %.0f\" role=\"img\"><title>When each fault was in "
		"force</title>\n",
		count > shown ? "; the first of them" : "", bottom + 20);
	chart_time_axis(html, 18, bottom);
	put_phases(html, 0);
	json_array_foreach (steps, i, step)
		if (i < shown)
			put_lane(html, step, i, 20 + (double)i * LANE_HEIGHT);
	chart_moments(html, 18, bottom);
	markup_put(&html->page, "</svg></div></figure>\n");
}

static void put_key(struct html *html)
{
	static const struct {
		const char *shape, *class, *text;
	} entries[] = {
		{"<rect class=\"shade\" width=\"26\" height=\"12\"/>", "", "a fault is in force"},
		{"<path class=\"line\" d=\"M1 9L9 4L17 7L25 3\"/>", "", "answered attempts"},
		{"<rect class=\"fail\" x=\"8\" width=\"10\" height=\"12\"/>", "",
		 "attempts that failed, as high as their share"},
		{"<line class=\"limit\" x1=\"0\" x2=\"26\" y1=\"6\" y2=\"6\"/>", "", "expected"},
		{"<line class=\"stopped\" x1=\"13\" x2=\"13\" y1=\"0\" y2=\"12\"/>", "stopped",
		 "stopped"},
		{"<line class=\"recovered\" x1=\"13\" x2=\"13\" y1=\"0\" y2=\"12\"/>", "recovered",
		 "recovered"},
	};

	fputs("<ul class=\"key\">", html->page.out);
	for (unsigned i = 0; i < sizeof(entries) / sizeof(*entries); i++) {
		if ((strcmp(entries[i].class, "stopped") == 0 && stopped_ns(html->root) < 0) ||
		    (strcmp(entries[i].class, "recovered") == 0 && recovered_ns(html->root) < 0))
			continue;
		fprintf(html->page.out,
			"<li><svg viewBox=\"0 0 26 12\" aria-hidden=\"true\">%s</svg>%s</li>",
			entries[i].shape, entries[i].text);
	}
	fputs("</ul>\n", html->page.out);
}

void html_charts(struct html *html)
{
	const json_t *probes = json_object_get(html->root, "probes"), *probe;
	size_t i, count = json_array_size(probes), shown = 0;

	if (!json_array_size(json_object_get(html->root, "steps")) && !count)
		return;
	markup_put(&html->page, "<section><h2>What happened</h2>\n");
	put_lanes(html);
	/* those that speak for the hypothesis first: what does not fit is in the table */
	for (unsigned round = 0; round < 2; round++)
		json_array_foreach (probes, i, probe)
			if (stored_is(probe, "required") == (round == 0) && shown < MOST_PANELS) {
				chart_panel(html, probe);
				shown++;
			}
	if (shown < count)
		markup_put(&html->page,
			   "<p class=\"quiet\">%zu more probes are in the table "
			   "below.</p>\n",
			   count - shown);
	put_key(html);
	markup_put(&html->page, "</section>\n");
}
