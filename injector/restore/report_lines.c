/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The report grows a sentence at a time. Out of memory loses the sentence and goes on: restoring is
 * worth more than telling about it.
 */
#include "injector/restore/report_lines.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add(char (**lines)[RESTORE_LINE], unsigned *count, const char *format, va_list args)
{
	void *bigger = reallocarray(*lines, *count + 1, RESTORE_LINE);

	if (!bigger)
		return;
	*lines = bigger;
	vsnprintf((*lines)[(*count)++], RESTORE_LINE, format, args);
}

void report_left(struct restore_report *report, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add(&report->left, &report->left_count, format, args);
	va_end(args);
}

void report_did(struct restore_report *report, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add(&report->did, &report->did_count, format, args);
	va_end(args);
}

static void name_line(char *line, const char *run_id)
{
	char old[RESTORE_LINE];

	memcpy(old, line, RESTORE_LINE);
	snprintf(line, RESTORE_LINE, "run %s: ", run_id);
	strncat(line, old, RESTORE_LINE - 1 - strlen(line));
}

void report_name_run(struct restore_report *report, const char *run_id, unsigned left_from,
		     unsigned did_from)
{
	for (unsigned at = left_from; at < report->left_count; at++)
		name_line(report->left[at], run_id);
	for (unsigned at = did_from; at < report->did_count; at++)
		name_line(report->did[at], run_id);
}

void restore_report_free(struct restore_report *report)
{
	free(report->left);
	free(report->did);
	*report = (struct restore_report){0};
}
