/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the charts of the HTML report share: one time axis, and what is drawn behind the data.
 */
#ifndef SQUALL_REPORT_HTML_CHART_H
#define SQUALL_REPORT_HTML_CHART_H

#include "injector/report/html.h"

/* In units of the viewBox: 0 0 CHART_WIDTH height. */
#define CHART_WIDTH 960.0
#define CHART_LEFT  64.0
#define CHART_RIGHT 14.0
#define CHART_PLOT  (CHART_WIDTH - CHART_LEFT - CHART_RIGHT)

/* Of a time since the start of the run, never outside the plot. */
double chart_x_of(const struct html *html, double ns);
/* A step of 1, 2 or 5 times a power of ten, so that there are at most `most` of them in `span`. */
double chart_nice_step(double span, double most);
void chart_time_axis(struct html *html, double top, double bottom);
/* Where it was stopped, where it was well again. */
void chart_moments(struct html *html, double top, double bottom);
/* When faults were in force. */
void chart_shades(struct html *html, double top, double height);

/* html_panel.c: a figure of its own. */
void chart_panel(struct html *html, const json_t *probe);

#endif
