/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A finished run, written out: the summary for people and the JSON that is kept.
 */
#ifndef SQUALL_REPORT_H
#define SQUALL_REPORT_H

#include "injector/run/result.h"

#include <stdio.h>

/* Hypothesis, verdict, each probe before/during/after (p50, p99, failures), time to recover, what
 * was changed and that it is restored. `coloured`: escape sequences allowed. `width`: columns. */
void report_text(const struct run_result *result, FILE *out, bool coloured, unsigned width);
/* The whole result as one JSON object (indented). 0 or -errno (a full disk is reported). */
int report_json(const struct run_result *result, FILE *out, struct error *err);

#endif
