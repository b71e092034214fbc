/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Sentences of a restore report: for the files of this directory alone.
 */
#ifndef SQUALL_REPORT_LINES_H
#define SQUALL_REPORT_LINES_H

#include "injector/restore/restore.h"

void report_left(struct restore_report *report, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void report_did(struct restore_report *report, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Puts "run ID: " in front of the sentences from these numbers on. */
void report_name_run(struct restore_report *report, const char *run_id, unsigned left_from,
		     unsigned did_from);

#endif
