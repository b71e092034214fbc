/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Attempts are counted, not clocked, into points: a probe that hangs gets points that span more
 * time, and none is empty. */
#include "injector/run/series.h"

#include <math.h>
#include <stdlib.h>

void series_init(struct series *series, unsigned limit)
{
	*series = (struct series){.limit = limit < 2 ? 2 : limit & ~1U, .each = 1};
}

void series_free(struct series *series)
{
	free(series->points);
	*series = (struct series){0};
}

static struct series_point point_of(const struct probe_sample *sample)
{
	struct series_point point = {
		.first_ns = sample->started_ns,
		.last_ns = sample->started_ns,
		.attempts = 1,
		.failed = sample->result == PROBE_FAIL,
		.unknown = sample->result == PROBE_UNKNOWN,
	};

	if (sample->latency_ns >= 0) {
		point.answered = 1;
		point.min_ns = point.max_ns = sample->latency_ns;
		point.sum_ns = (double)sample->latency_ns;
	}
	if (isfinite(sample->value)) {
		point.valued = 1;
		point.value_min = point.value_max = sample->value;
	}
	return point;
}

static void merge(struct series_point *into, const struct series_point *other)
{
	if (other->answered) {
		if (!into->answered || other->min_ns < into->min_ns)
			into->min_ns = other->min_ns;
		if (!into->answered || other->max_ns > into->max_ns)
			into->max_ns = other->max_ns;
	}
	if (other->valued) {
		if (!into->valued || other->value_min < into->value_min)
			into->value_min = other->value_min;
		if (!into->valued || other->value_max > into->value_max)
			into->value_max = other->value_max;
	}
	if (other->first_ns < into->first_ns)
		into->first_ns = other->first_ns;
	if (other->last_ns > into->last_ns)
		into->last_ns = other->last_ns;
	into->attempts += other->attempts;
	into->failed += other->failed;
	into->unknown += other->unknown;
	into->answered += other->answered;
	into->valued += other->valued;
	into->sum_ns += other->sum_ns;
}

static void halve(struct series *series)
{
	for (unsigned i = 0; i < series->count / 2; i++) {
		series->points[i] = series->points[2 * i];
		merge(&series->points[i], &series->points[2 * i + 1]);
	}
	series->count /= 2;
	series->each *= 2;
}

static bool has_room(struct series *series)
{
	unsigned wanted = series->capacity ? series->capacity * 2 : 32;
	struct series_point *grown;

	if (series->count < series->capacity)
		return true;
	if (wanted > series->limit)
		wanted = series->limit;
	grown = realloc(series->points, wanted * sizeof(*grown));
	if (!grown)
		return false;
	series->points = grown;
	series->capacity = wanted;
	return true;
}

void series_add(struct series *series, const struct probe_sample *sample)
{
	struct series_point point = point_of(sample);
	struct series_point *last = series->count ? &series->points[series->count - 1] : NULL;

	if (last && last->attempts < series->each) {
		merge(last, &point);
		return;
	}
	if (series->count == series->limit)
		halve(series);
	if (!has_room(series)) {
		series->lost++;
		return;
	}
	series->points[series->count++] = point;
}
