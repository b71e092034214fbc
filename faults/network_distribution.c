/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The shapes of a jitter as netem takes them: the inverse distribution function at equal steps. The
 * known ones by their formulas (those of tc, so that the same names mean the same), so that nothing
 * depends on the files of iproute2; one from measured delays.
 */
#include "faults/network_effect.h"

#include "injector/base/cleanup.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define PARETO_SHAPE 3.0
#define JITTER_MAX   2000000000LL /* netem computes with 2 * jitter in 32 bits */

static int16_t clamp(double jitters)
{
	double scaled = rint(jitters * NETEM_DIST_SCALE);

	return (int16_t)(scaled > INT16_MAX ? INT16_MAX : scaled < INT16_MIN ? INT16_MIN : scaled);
}

/* Share of the steps below entry `at`, and half of its own. */
static double position(unsigned at)
{
	return (at + 0.5) / NETEM_TABLE_SIZE;
}

/* The x for which the normal distribution function is u, by Newton's method from the last one: the
 * steps are small and the function is smooth. */
static double normal_quantile(double u, double start)
{
	double x = start;

	for (unsigned i = 0; i < 50; i++) {
		double density = exp(-x * x / 2) / sqrt(2 * M_PI);
		double step = (erfc(-x / M_SQRT2) / 2 - u) / density;

		x -= step;
		if (fabs(step) < 1e-9)
			break;
	}
	return x;
}

/* Of shape 3: mean 1.5; tc stretches it by 4/3. */
static double pareto_quantile(double u)
{
	return (1 / pow(1 - u, 1 / PARETO_SHAPE) - 1.5) * 4 / 3;
}

static struct netem_table tables[NETWORK_PARETONORMAL + 1];

static void make_tables(void)
{
	double x = 0;

	for (unsigned i = 0; i < NETEM_TABLE_SIZE / 2; i++) {
		unsigned high = NETEM_TABLE_SIZE / 2 + i, low = NETEM_TABLE_SIZE / 2 - 1 - i;

		x = normal_quantile(position(high), x);
		tables[NETWORK_NORMAL].values[high] = clamp(x);
		tables[NETWORK_NORMAL].values[low] = clamp(-x);
	}
	for (unsigned i = 0; i < NETEM_TABLE_SIZE; i++) {
		double pareto = clamp(pareto_quantile(position(i)));

		tables[NETWORK_PARETO].values[i] = (int16_t)pareto;
		tables[NETWORK_PARETONORMAL].values[i] =
			(int16_t)((tables[NETWORK_NORMAL].values[i] + 3 * pareto) / 4);
	}
}

const struct netem_table *network_distribution(enum network_distribution which)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	if (which == NETWORK_UNIFORM)
		return NULL;
	pthread_once(&once, make_tables);
	return &tables[which];
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
		quantiles[i] = quantile(sorted, count, position(i));
		mean += quantiles[i] / NETEM_TABLE_SIZE;
	}
	for (unsigned i = 0; i < NETEM_TABLE_SIZE; i++)
		reach = fmax(reach, fabs(quantiles[i] - mean));
	/* Not the deviation but as much as the farthest needs: nothing is cut off. */
	jitter = ceil(reach * NETEM_DIST_SCALE / INT16_MAX);
	if (jitter < 1)
		return error_set(err, EINVAL, "the measured delays are all the same");
	if (jitter > JITTER_MAX)
		return error_set(err, ERANGE,
				 "the measured delays reach %.1f s from their mean; netem can do 8",
				 reach / 1e9);
	for (unsigned i = 0; i < NETEM_TABLE_SIZE; i++)
		out->values[i] = clamp((quantiles[i] - mean) / jitter);
	*out_delay_ns = (int64_t)mean;
	*out_jitter_ns = (int64_t)jitter;
	return 0;
}
