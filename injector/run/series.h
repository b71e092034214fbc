/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a probe has seen, over time, in bounded memory. A point is one attempt until there are too
 * many; then neighbours are merged, so that a long run gets coarser, but no failure and no extreme
 * is ever smoothed away.
 */
#ifndef SQUALL_RUN_SERIES_H
#define SQUALL_RUN_SERIES_H

#include "injector/probes/probe.h"

#include <stdint.h>

struct series_point {
	int64_t first_ns, last_ns; /* when its first and last attempt began, CLOCK_BOOTTIME */
	unsigned attempts, failed, unknown, answered;
	int64_t min_ns, max_ns; /* latency of the answered ones */
	double sum_ns;
	unsigned valued; /* attempts that had a value */
	double value_min, value_max;
};

struct series {
	struct series_point *points; /* owned */
	unsigned count, capacity;
	unsigned limit; /* points at most; even */
	unsigned each;	/* attempts a point */
	unsigned lost;	/* attempts that found no memory */
};

void series_init(struct series *series, unsigned limit);
void series_add(struct series *series, const struct probe_sample *sample);
void series_free(struct series *series);

#endif
