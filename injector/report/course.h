/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The course of a run as JSON: parts of what report_build() makes.
 */
#ifndef SQUALL_REPORT_COURSE_H
#define SQUALL_REPORT_COURSE_H

#include "injector/run/result.h"

#include <jansson.h>

/* Columns of equal length, one entry a point; times count from the start of the run. */
json_t *course_series(const struct run_result *result, unsigned probe);
/* [{"from_ns", "to_ns"}]: when a step was in force; [] for an instant one. */
json_t *course_windows(const struct run_result *result, unsigned step);
/* The incident log, in the order of time. */
json_t *course_log(const struct run_result *result);
/* Kernel, machine, host, distribution: as this process sees them now. */
json_t *course_environment(void);

#endif
