/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Latencies in buckets about 1.5 % wide: percentiles within 1 %, whatever the number of samples, in
 * memory that does not grow with the length of a run. From 16 ns to a day; what is outside goes to
 * the outermost bucket (smallest and largest value are kept exactly). Memory comes in octaves, when
 * first used.
 */
#ifndef SQUALL_RUN_HISTOGRAM_H
#define SQUALL_RUN_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_SUB	  64 /* buckets an octave */
#define HISTOGRAM_OCTAVES 38

struct histogram {	      /* all zero: empty */
	uint64_t count, lost; /* lost: no memory for their octave */
	int64_t min, max;
	double sum;
	uint64_t *octaves[HISTOGRAM_OCTAVES]; /* HISTOGRAM_SUB counts each, owned; NULL: empty */
};

/* Never fails: a sample that finds no memory is counted in `lost`. Negative values are 0. */
void histogram_add(struct histogram *histogram, int64_t value);
/* Nearest rank; p in 0..1. -1 when empty. */
int64_t histogram_percentile(const struct histogram *histogram, double p);
void histogram_free(struct histogram *histogram);

#endif
