/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/run/abort.h"

#include "injector/base/quantity.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_WINDOW 65536 /* attempts remembered for a share; older ones leave early */

struct attempt {
	int64_t at_ns;
	bool failed;
};

struct condition {
	const struct experiment_abort *spec;
	unsigned in_row;
	/* a share over a window: ring of the attempts in it */
	struct attempt *ring;
	unsigned capacity, first, count, failed;
	unsigned expected; /* attempts that a full window holds, when none of them is slow */
	int64_t began_ns;  /* the first attempt */
};

struct abort_watch {
	const struct experiment *experiment;
	struct condition *conditions;
	unsigned count;
};

int abort_new(const struct experiment *experiment, struct abort_watch **out, struct error *err)
{
	struct abort_watch *watch = calloc(1, sizeof(*watch));

	if (watch)
		watch->conditions =
			calloc(experiment->abort_count + 1UL, sizeof(*watch->conditions));
	if (!watch || !watch->conditions) {
		free(watch);
		return error_errno(err, ENOMEM, "cannot watch the abort conditions");
	}
	watch->experiment = experiment;
	watch->count = experiment->abort_count;
	for (unsigned i = 0; i < watch->count; i++) {
		struct condition *condition = &watch->conditions[i];
		int64_t every_ns = experiment->probes[experiment->aborts[i].probe].every_ns;

		condition->spec = &experiment->aborts[i];
		if (condition->spec->fails)
			continue;
		condition->expected = (unsigned)(condition->spec->over_ns / every_ns);
		if (condition->expected < 1)
			condition->expected = 1;
		if (condition->expected > MAX_WINDOW - 2)
			condition->expected = MAX_WINDOW - 2;
		condition->capacity = condition->expected + 2;
		condition->ring = calloc(condition->capacity, sizeof(*condition->ring));
		if (!condition->ring) {
			abort_free(watch);
			return error_errno(err, ENOMEM, "cannot watch the abort conditions");
		}
	}
	*out = watch;
	return 0;
}

void abort_free(struct abort_watch *watch)
{
	if (!watch)
		return;
	for (unsigned i = 0; i < watch->count; i++)
		free(watch->conditions[i].ring);
	free(watch->conditions);
	free(watch);
}

static void drop_oldest(struct condition *condition)
{
	condition->failed -= condition->ring[condition->first].failed;
	condition->first = (condition->first + 1) % condition->capacity;
	condition->count--;
}

/* The part of a window that has not passed yet counts as full of passes: one early failure is no
 * 100 %. Afterwards the attempts that were made count, and nothing else: they are fewer than
 * expected just when the system is slow. */
static unsigned share_base(struct condition *condition, int64_t at_ns)
{
	int64_t over_ns = condition->spec->over_ns, left_ns;

	if (!condition->began_ns)
		condition->began_ns = at_ns;
	left_ns = condition->began_ns + over_ns - at_ns;
	if (left_ns <= 0)
		return condition->count;
	/* rounded up, without the attempt at hand */
	return condition->count - 1 +
	       (unsigned)(((__int128)condition->expected * left_ns + over_ns - 1) / over_ns);
}

static bool note_share(struct condition *condition, int64_t at_ns, bool failed)
{
	unsigned base;

	while (condition->count &&
	       (condition->count == condition->capacity ||
		at_ns - condition->ring[condition->first].at_ns > condition->spec->over_ns))
		drop_oldest(condition);
	condition->ring[(condition->first + condition->count) % condition->capacity] =
		(struct attempt){at_ns, failed};
	condition->count++;
	condition->failed += failed;
	base = share_base(condition, at_ns);
	return condition->failed && (__int128)condition->failed * SHARE_ONE >=
					    (__int128)condition->spec->share_ppb * base;
}

bool abort_note(struct abort_watch *watch, unsigned probe, const struct probe_sample *sample,
		char *out_why, size_t size)
{
	bool failed = sample->result != PROBE_PASS, breached = false;
	const char *name = watch->experiment->probes[probe].name;
	char over[QUANTITY_TEXT_SIZE];

	for (unsigned i = 0; i < watch->count; i++) {
		struct condition *condition = &watch->conditions[i];

		if (condition->spec->probe != probe)
			continue;
		if (condition->spec->fails) {
			condition->in_row = failed ? condition->in_row + 1 : 0;
			if (condition->in_row < condition->spec->fails || breached)
				continue;
			snprintf(out_why, size, "%s failed %u times in a row: %s", name,
				 condition->in_row, sample->reason);
			breached = true;
		} else if (note_share(condition, sample->started_ns, failed) && !breached) {
			snprintf(out_why, size, "%s failed %u of %u times within %s: %s", name,
				 condition->failed, condition->count,
				 quantity_format_duration(condition->spec->over_ns, over),
				 sample->reason);
			breached = true;
		}
	}
	return breached;
}
