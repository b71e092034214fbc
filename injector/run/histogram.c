/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/run/histogram.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#define UNIT_SHIFT 4 /* 16 ns: nothing that a probe measures is finer */

/* Octave 0 is linear (values below 64 units); octave n > 0 holds [2^(n+5), 2^(n+6)) units in 64
 * steps: the first of them is 1/64 of its value wide, so its middle is at most 0.8 % off. */
static void locate(int64_t value, unsigned *out_octave, unsigned *out_bucket)
{
	uint64_t units = (uint64_t)value >> UNIT_SHIFT;
	unsigned octave = 0;

	if (units >= HISTOGRAM_SUB)
		octave = 63 - (unsigned)__builtin_clzll(units) - 5;
	if (octave >= HISTOGRAM_OCTAVES) {
		*out_octave = HISTOGRAM_OCTAVES - 1;
		*out_bucket = HISTOGRAM_SUB - 1;
		return;
	}
	*out_octave = octave;
	*out_bucket = octave ? (unsigned)(units >> (octave - 1)) - HISTOGRAM_SUB : (unsigned)units;
}

static int64_t middle(unsigned octave, unsigned bucket)
{
	uint64_t low = bucket, width = 1;

	if (octave) {
		low = (uint64_t)(bucket + HISTOGRAM_SUB) << (octave - 1);
		width = 1ULL << (octave - 1);
	}
	return (int64_t)((low << UNIT_SHIFT) + (width << UNIT_SHIFT) / 2);
}

void histogram_add(struct histogram *histogram, int64_t value)
{
	unsigned octave, bucket;

	if (value < 0)
		value = 0;
	locate(value, &octave, &bucket);
	if (!histogram->octaves[octave])
		histogram->octaves[octave] = calloc(HISTOGRAM_SUB, sizeof(uint64_t));
	if (!histogram->octaves[octave]) {
		histogram->lost++;
		return;
	}
	histogram->octaves[octave][bucket]++;
	if (!histogram->count || value < histogram->min)
		histogram->min = value;
	if (!histogram->count || value > histogram->max)
		histogram->max = value;
	histogram->count++;
	histogram->sum += (double)value;
}

int64_t histogram_percentile(const struct histogram *histogram, double p)
{
	uint64_t rank, seen = 0;

	if (!histogram->count)
		return -1;
	rank = (uint64_t)ceil(p * (double)histogram->count);
	/* the ends are known exactly */
	if (rank <= 1)
		return histogram->min;
	if (rank >= histogram->count)
		return histogram->max;
	for (unsigned octave = 0; octave < HISTOGRAM_OCTAVES; octave++)
		for (unsigned i = 0; histogram->octaves[octave] && i < HISTOGRAM_SUB; i++) {
			int64_t value = middle(octave, i);

			seen += histogram->octaves[octave][i];
			if (seen < rank)
				continue;
			/* the middle of the outermost bucket may lie beyond what was measured */
			value = value > histogram->max ? histogram->max : value;
			return value < histogram->min ? histogram->min : value;
		}
	return histogram->max;
}

void histogram_free(struct histogram *histogram)
{
	for (unsigned i = 0; i < HISTOGRAM_OCTAVES; i++)
		free(histogram->octaves[i]);
	*histogram = (struct histogram){0};
}
