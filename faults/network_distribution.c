/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The shapes of a jitter as netem takes them: the inverse distribution function at equal steps. The
 * known ones by their formulas (those of tc, so that the same names mean the same), so that nothing
 * depends on the files of iproute2; one from measured delays.
 */
#include "faults/network_effect.h"
#include "faults/network_quantile.h"

#include "injector/base/cleanup.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "faults/network_distributions.h" /* made by faults/generate/distributions.c */

const struct netem_table *network_distribution(enum network_distribution which)
{
	return which == NETWORK_UNIFORM ? NULL : &known_distributions[which];
}

double network_distribution_below(const struct netem_table *table, double jitters)
{
	unsigned count = 0;

	if (!table)
		return jitters <= -1 ? 0 : jitters >= 1 ? 1 : (jitters + 1) / 2;
	for (unsigned i = 0; i < NETEM_TABLE_SIZE; i++)
		count += table->values[i] < jitters * NETEM_DIST_SCALE;
	return (double)count / NETEM_TABLE_SIZE;
}

static int compare(const void *left, const void *right)
{
	int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;

	return a < b ? -1 : a > b;
}

/* Between two samples: a straight line. */
static double quantile(const int64_t *sorted, unsigned count, double u)
{
	double at = u * count - 0.5;
	unsigned below;

	if (at <= 0)
		return (double)sorted[0];
	if (at >= count - 1)
		return (double)sorted[count - 1];
	below = (unsigned)at;
	return (double)sorted[below] + (at - below) * (double)(sorted[below + 1] - sorted[below]);
}

int network_distribution_measured(const int64_t *delays_ns, unsigned count, struct netem_table *out,
				  int64_t *out_delay_ns, int64_t *out_jitter_ns, struct error *err)
{
	cleanup_free int64_t *sorted = reallocarray(NULL, count, sizeof(*sorted));
	cleanup_free double *quantiles = reallocarray(NULL, NETEM_TABLE_SIZE, sizeof(double));
	double mean = 0, reach = 0, jitter;

	if (!sorted || !quantiles)
		return error_errno(err, ENOMEM, "cannot hold the measured delays");
	memcpy(sorted, delays_ns, count * sizeof(*sorted));
	qsort(sorted, count, sizeof(*sorted), compare);
	for (unsigned i = 0; i < NETEM_TABLE_SIZE; i++) {
		quantiles[i] = quantile(sorted, count, netem_position(i));
		mean += quantiles[i] / NETEM_TABLE_SIZE;
	}
	for (unsigned i = 0; i < NETEM_TABLE_SIZE; i++)
		if (fabs(quantiles[i] - mean) > reach)
			reach = fabs(quantiles[i] - mean);
	/* Not the deviation but as much as the farthest needs: nothing is cut off. */
	jitter = ceil(reach * NETEM_DIST_SCALE / INT16_MAX);
	if (jitter < 1)
		return error_set(err, EINVAL, "the measured delays are all the same");
	for (unsigned i = 0; i < NETEM_TABLE_SIZE; i++)
		out->values[i] = netem_scaled((quantiles[i] - mean) / jitter);
	*out_delay_ns = (int64_t)mean;
	*out_jitter_ns = (int64_t)jitter;
	return 0;
}
