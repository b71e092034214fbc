/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/network_measured.h"

#include "faults/network.h"
#include "injector/base/cleanup.h"

#include <stdio.h>
#include <stdlib.h>

static int compare(const void *left, const void *right)
{
	int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;

	return a < b ? -1 : a > b;
}

char *network_measured_span(const struct params *params, char *out, size_t size)
{
	const unsigned count = params_count(params, NETWORK_DISTRIBUTION_SAMPLES);
	cleanup_free int64_t *trips_ns = count ? reallocarray(NULL, count, sizeof(int64_t)) : NULL;
	char least[QUANTITY_TEXT_SIZE], median[QUANTITY_TEXT_SIZE], most[QUANTITY_TEXT_SIZE];

	out[0] = '\0';
	if (!trips_ns)
		return out;
	for (unsigned i = 0; i < count; i++)
		trips_ns[i] = params_value(params, NETWORK_DISTRIBUTION_SAMPLES, i)->number;
	qsort(trips_ns, count, sizeof(*trips_ns), compare);
	snprintf(out, size, "%u%s round trips, %s to %s, median %s", count,
		 count == NETEM_TABLE_SIZE ? " or more" : "",
		 quantity_format_latency(trips_ns[0], least),
		 quantity_format_latency(trips_ns[count - 1], most),
		 quantity_format_latency(trips_ns[count / 2], median));
	return out;
}

char *network_measured_lost(const struct params *params, char *out, size_t size)
{
	static const enum network_param losses[] = {NETWORK_LOSS, NETWORK_GEMODEL_P,
						    NETWORK_STATE_P13, NETWORK_LOSS_EVERY};
	const int64_t lost_ppb = params_number(params, NETWORK_DISTRIBUTION_LOST, 0);
	bool is_any = false;
	char text[QUANTITY_TEXT_SIZE];

	for (unsigned i = 0; i < sizeof(losses) / sizeof(*losses); i++)
		is_any |= params_is_set(params, losses[i]);
	out[0] = '\0';
	if (!lost_ppb || is_any)
		return out;
	quantity_format_share(lost_ppb, text);
	snprintf(out, size,
		 "%s of the recorded round trips were lost; that is not replayed: add loss: %s",
		 text, text);
	return out;
}
