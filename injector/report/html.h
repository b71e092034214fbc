/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The parts of the HTML report. Everything is put by markup_put(), which escapes.
 */
#ifndef SQUALL_REPORT_HTML_H
#define SQUALL_REPORT_HTML_H

#include "injector/report/markup.h"

#include <jansson.h>
#include <stdint.h>

struct html {
	struct markup page;
	const json_t *root;
	int64_t span_ns; /* what the charts show: from the start of the run */
};

extern const char html_style[];

/* html_chart.c: the faults, then each probe, over the same time. */
void html_charts(struct html *html);
/* html_faults.c */
void html_faults(struct html *html);  /* what was injected, on what evidence */
void html_restore(struct html *html); /* the proof, and what is left */
/* html_log.c */
void html_log(struct html *html);

#endif
