/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A finished run, written out. report_build() makes the stored form of a result; everything else
 * reads that form (see stored.h) and escapes every text on its way out.
 */
#ifndef SQUALL_REPORT_H
#define SQUALL_REPORT_H

#include "injector/run/result.h"

#include <jansson.h>
#include <stdio.h>

/* The whole result as one JSON object, the caller's; NULL: no memory. */
json_t *report_build(const struct run_result *result);

/* For the terminal: hypothesis, verdict, each probe before/during/after (p50, p99, failures), time
 * to recover, what was changed and that it is restored. `coloured`: escape sequences allowed.
 * `width`: columns. Write errors of all of them show in ferror(out). */
void report_text(const json_t *root, FILE *out, bool coloured, unsigned width);
/* For a wiki or an issue. */
void report_markdown(const json_t *root, FILE *out);
/* One page with charts and everything it needs, for people and for print. */
void report_html(const json_t *root, FILE *out);
/* What CI servers read: one test case for the hypothesis, each required probe, each fault, recovery
 * and restore. */
void report_junit(const json_t *root, FILE *out);

#endif
