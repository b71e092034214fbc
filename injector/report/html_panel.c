/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The chart of one probe. A point of a series that stands for many attempts is drawn as a band from
 * its least to its most; an attempt without an answer breaks the line and is marked below. */
#include "injector/report/html_chart.h"

#include "injector/base/clock.h"
#include "injector/base/params.h"
#include "injector/base/quantity.h"
#include "injector/report/stored.h"

#include <math.h>
#include <string.h>

#define PLOT_HEIGHT 104.0
#define STRIP	    22.0 /* below the plot: what failed */
#define DOTS_UNTIL  80	 /* points: then they would be a caterpillar */

struct panel {
	struct html *html;
	const json_t *probe, *series;
	size_t count;
	bool is_timed;
	double top;   /* of the scale, in nanoseconds or as the value is */
	double limit; /* what is allowed; NAN: nothing that can be drawn */
};

static double value_at(const struct panel *panel, const char *column, size_t at)
{
	const json_t *value = json_array_get(json_object_get(panel->series, column), at);

	return json_is_number(value) ? json_number_value(value) : NAN;
}

static double low_at(const struct panel *panel, size_t at)
{
	return value_at(panel, panel->is_timed ? "min_ns" : "value_min", at);
}

static double high_at(const struct panel *panel, size_t at)
{
	return value_at(panel, panel->is_timed ? "max_ns" : "value_max", at);
}

static double middle_at(const struct panel *panel, size_t at)
{
	return panel->is_timed ? value_at(panel, "mean_ns", at)
			       : (low_at(panel, at) + high_at(panel, at)) / 2;
}

static double centre_at(const struct panel *panel, size_t at)
{
	double middle = (value_at(panel, "from_ns", at) + value_at(panel, "to_ns", at)) / 2;

	return chart_x_of(panel->html, isfinite(middle) ? middle : 0);
}

static double y_of(const struct panel *panel, double value)
{
	double share = value / panel->top;

	return 6 + PLOT_HEIGHT * (1 - (share < 0 ? 0 : share > 1 ? 1 : share));
}

/* The expectation on what the chart shows, when it is one bound. */
static double find_limit(const struct panel *panel)
{
	static const char *const values[] = {"output", "count", "some-avg10"};
	const json_t *expect = json_object_get(panel->probe, "expect");
	struct param param = {.type = panel->is_timed ? PARAM_COMPARE_DURATION
						      : PARAM_COMPARE_NUMBER};
	const char *text = panel->is_timed ? stored_text(expect, "latency") : "";
	struct param_value value;
	double limit = NAN;

	for (unsigned i = 0; !panel->is_timed && !*text && i < sizeof(values) / sizeof(*values);
	     i++)
		text = stored_text(expect, values[i]);
	if (!*text || param_parse(&param, text, &value, NULL) < 0)
		return NAN;
	if (value.compare.op != COMPARE_RANGE)
		limit = value.compare.low;
	param_value_free(&value);
	return limit;
}

static void find_scale(struct panel *panel)
{
	double most = 0;

	for (size_t i = 0; i < panel->count; i++) {
		double high = high_at(panel, i);

		most = isfinite(high) && high > most ? high : most;
	}
	panel->limit = find_limit(panel);
	/* a limit far above everything would only flatten the line */
	if (isfinite(panel->limit) && panel->limit > most && panel->limit < most * 4)
		most = panel->limit;
	panel->top = most > 0 ? most * 1.08 : panel->is_timed ? NSEC_PER_MSEC : 1;
}

static void put_scale(struct panel *panel)
{
	double step = chart_nice_step(panel->top, 4);
	char text[QUANTITY_TEXT_SIZE];

	for (double at = 0; at <= panel->top; at += step) {
		if (panel->is_timed)
			quantity_format_duration((int64_t)(at + 0.5), text);
		else
			snprintf(text, sizeof(text), "%g", at);
		markup_put(&panel->html->page,
			   "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>"
			   "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
			   CHART_LEFT, CHART_WIDTH - CHART_RIGHT, y_of(panel, at), y_of(panel, at),
			   CHART_LEFT - 8, y_of(panel, at) + 4, text);
	}
	if (isfinite(panel->limit) && panel->limit > 0 && panel->limit <= panel->top)
		markup_put(
			&panel->html->page,
			"<line class=\"limit\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>\n",
			CHART_LEFT, CHART_WIDTH - CHART_RIGHT, y_of(panel, panel->limit),
			y_of(panel, panel->limit));
}

/* From the first answered point at or after `at` to the last one in a row: the end, exclusive. */
static size_t find_run(const struct panel *panel, size_t *at)
{
	size_t end;

	while (*at < panel->count && !isfinite(high_at(panel, *at)))
		(*at)++;
	for (end = *at; end < panel->count && isfinite(high_at(panel, end));)
		end++;
	return end;
}

static void put_band(struct panel *panel, size_t from, size_t to)
{
	struct markup *page = &panel->html->page;

	markup_put(page, "<path class=\"band\" d=\"");
	for (size_t i = from; i < to; i++)
		markup_put(page, "%s%.1f %.1f", i == from ? "M" : "L", centre_at(panel, i),
			   y_of(panel, high_at(panel, i)));
	for (size_t i = to; i-- > from;)
		markup_put(page, "L%.1f %.1f", centre_at(panel, i), y_of(panel, low_at(panel, i)));
	markup_put(page, "z\"/>");
}

static void put_data(struct panel *panel)
{
	struct markup *page = &panel->html->page;
	bool is_merged = stored_number(panel->series, "attempts_a_point") > 1;

	for (size_t from = 0, to; (to = find_run(panel, &from)) > from; from = to) {
		if (is_merged)
			put_band(panel, from, to);
		markup_put(page, "<path class=\"line\" d=\"");
		for (size_t i = from; i < to; i++)
			markup_put(page, "%s%.1f %.1f", i == from ? "M" : "L", centre_at(panel, i),
				   y_of(panel, middle_at(panel, i)));
		markup_put(page, "\"/>\n");
		/* one alone is no line */
		for (size_t i = from; i < to && (panel->count <= DOTS_UNTIL || to - from == 1); i++)
			markup_put(page, "<circle class=\"dot\" cx=\"%.1f\" cy=\"%.1f\" r=\"2\"/>",
				   centre_at(panel, i), y_of(panel, middle_at(panel, i)));
	}
}

/* Below the plot: where attempts did not pass, as high as their share. */
static void put_failures(struct panel *panel, double bottom)
{
	static const char *const kinds[] = {"failed", "unknown"};

	for (size_t i = 0; i < panel->count; i++)
		for (unsigned kind = 0; kind < 2; kind++) {
			double bad = value_at(panel, kinds[kind], i);
			double attempts = value_at(panel, "attempts", i);
			double from = chart_x_of(panel->html, value_at(panel, "from_ns", i));
			double to = chart_x_of(panel->html, value_at(panel, "to_ns", i));
			double height;

			if (!(bad > 0) || !(attempts > 0) || !(to >= from))
				continue;
			height = 3 + 12 * (bad < attempts ? bad / attempts : 1);
			markup_put(&panel->html->page,
				   "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" "
				   "height=\"%.1f\"/>",
				   kind ? "unknown" : "fail", from - 1.25, bottom - height,
				   to - from + 2.5, height);
		}
	markup_put(&panel->html->page, "\n");
}

static void put_caption(struct panel *panel)
{
	const json_t *expect = json_object_get(panel->probe, "expect"), *value;
	struct markup *page = &panel->html->page;
	int64_t each = stored_number(panel->series, "attempts_a_point");
	const char *key;
	unsigned told = 0;

	markup_put(page,
		   "<figure class=\"chart\"><figcaption><b>%s</b><span class=\"quiet\">%s, %s%s",
		   stored_text(panel->probe, "name"), stored_text(panel->probe, "kind"),
		   panel->is_timed ? "time to answer" : "value",
		   stored_is(panel->probe, "required") ? "" : "; watched only");
	json_object_foreach ((json_t *)(uintptr_t)expect, key, value)
		markup_put(page, "%s%s %s", told++ ? ", " : "; expects ", key,
			   json_is_string(value) ? json_string_value(value) : "");
	if (each > 1)
		markup_put(page, "; %lld attempts a point, from least to most", (long long)each);
	markup_put(page, "</span></figcaption>");
}

void chart_panel(struct html *html, const json_t *probe)
{
	struct panel panel = {
		.html = html,
		.probe = probe,
		.series = json_object_get(probe, "series"),
		.is_timed = strcmp(stored_text(probe, "measures"), "value") != 0,
	};
	double bottom = 6 + PLOT_HEIGHT;

	panel.count = json_array_size(json_object_get(panel.series, "from_ns"));
	find_scale(&panel);
	put_caption(&panel);
	markup_put(&html->page,
		   "<div class=\"scroll\"><svg viewBox=\"0 0 960 %.0f\" role=\"img\">"
		   "<title>%s of probe %s over the run</title>\n"
		   "<rect class=\"frame\" x=\"%.1f\" y=\"6\" width=\"%.1f\" height=\"%.1f\"/>",
		   bottom + STRIP + 18, panel.is_timed ? "Latency" : "Value",
		   stored_text(probe, "name"), CHART_LEFT, CHART_PLOT, PLOT_HEIGHT);
	chart_shades(html, 6, PLOT_HEIGHT + STRIP);
	chart_time_axis(html, 6, bottom + STRIP);
	put_scale(&panel);
	put_data(&panel);
	markup_put(&html->page, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">failed</text>",
		   CHART_LEFT - 8, bottom + STRIP - 1);
	put_failures(&panel, bottom + STRIP - 1);
	chart_moments(html, 6, bottom + STRIP);
	markup_put(&html->page, "</svg></div></figure>\n");
}
