/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Measured round trips from a file (network_recording.h). Read where the experiment is read, with
 * the rights of who wrote it; what goes on to the worker are durations, which it checks like any
 * others.
 */
#include "faults/network.h"
#include "faults/network_recording.h"

#include "injector/base/cleanup.h"
#include "injector/base/quantity.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX (4 << 20)
/* More say no more: a table has as many entries. */
#define SAMPLES_MAX NETEM_TABLE_SIZE

static int compare(const void *left, const void *right)
{
	int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;

	return a < b ? -1 : a > b;
}

/* The share that never came back, for people: three digits. */
static int give_lost(const struct recording *recording, struct params *params, struct error *err)
{
	const double share =
		(double)recording->lost / ((double)recording->lost + (double)recording->count);
	int64_t step = SHARE_ONE / 1000, ppb;
	char text[QUANTITY_TEXT_SIZE];

	while (share * SHARE_ONE < 10.0 * (double)step && step > 1)
		step /= 10;
	ppb = (int64_t)(share * SHARE_ONE / (double)step + 0.5) * step;
	if (!recording->lost || !ppb)
		return 0;
	return params_add(params, NETWORK_DISTRIBUTION_LOST, quantity_format_share(ppb, text), 0, 0,
			  err);
}

/* All of them, or, of many, as many at equal steps of their order. */
static int give(struct recording *recording, struct params *params, struct error *err)
{
	size_t total = recording->count, count = total < SAMPLES_MAX ? total : SAMPLES_MAX;
	int result = give_lost(recording, params, err);

	qsort(recording->trips_ns, total, sizeof(*recording->trips_ns), compare);
	for (size_t i = 0; i < count && result == 0; i++) {
		char text[QUANTITY_TEXT_SIZE];

		quantity_format_duration(recording->trips_ns[(2 * i + 1) * total / (2 * count)],
					 text);
		result = params_add(params, NETWORK_DISTRIBUTION_SAMPLES, text, 0, 0, err);
	}
	return result;
}

static int refuse_few(const struct recording *recording, const char *name, struct error *err)
{
	const char *held = recording->count ? "one round trip" : "no round trips";

	if (!recording->lost)
		return error_set(err, EINVAL, "%s holds %s: a distribution needs two at least",
				 name, held);
	return error_set(err, EINVAL,
			 "%s holds %s, and %" PRIu64 " that were lost: a distribution needs two "
			 "at least (what loses them is `loss` or `partition`)",
			 name, held, recording->lost);
}

int network_load(struct params *params, const struct fault_files *files, struct error *err)
{
	const char *name = params_text(params, NETWORK_DISTRIBUTION_FILE);
	struct recording recording = {0};
	cleanup_free char *text = NULL;
	size_t length = 0;
	int result;

	if (!name)
		return 0;
	if (params_count(params, NETWORK_DISTRIBUTION_SAMPLES) ||
	    params_is_set(params, NETWORK_DISTRIBUTION_LOST))
		return error_set(err, EINVAL, "give distribution-file or distribution-%s, not both",
				 params_count(params, NETWORK_DISTRIBUTION_SAMPLES) ? "samples"
										    : "lost");
	result = files->read(files->context, name, FILE_MAX, &text, &length, err);
	if (result < 0) {
		error_prefix(err, "distribution-file");
		return result;
	}
	result = recording_read(text, length, name, &recording, err);
	if (result == 0 && recording.count < 2)
		result = refuse_few(&recording, name, err);
	if (result == 0)
		result = give(&recording, params, err);
	recording_free(&recording);
	return result;
}
