/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/run/streak.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int streak_init(struct streak *streak, const struct experiment_requirement *requirement,
		struct error *err)
{
	streak->requirement = requirement;
	streak->passing_since_ns =
		calloc(requirement->count + 1UL, sizeof(*streak->passing_since_ns));
	return streak->passing_since_ns ? 0 : error_errno(err, ENOMEM, "cannot watch probes");
}

void streak_free(struct streak *streak)
{
	free(streak->passing_since_ns);
	streak->passing_since_ns = NULL;
}

void streak_reset(struct streak *streak)
{
	memset(streak->passing_since_ns, 0,
	       streak->requirement->count * sizeof(*streak->passing_since_ns));
}

static int position(const struct streak *streak, unsigned probe)
{
	for (unsigned i = 0; i < streak->requirement->count; i++)
		if (streak->requirement->probes[i] == probe)
			return (int)i;
	return -1;
}

bool streak_requires(const struct streak *streak, unsigned probe)
{
	return position(streak, probe) >= 0;
}

bool streak_has(const struct streak *streak, unsigned probe)
{
	int at = position(streak, probe);

	return at >= 0 && streak->passing_since_ns[at];
}

void streak_note(struct streak *streak, unsigned probe, const struct probe_sample *sample,
		 int64_t from_ns)
{
	int at = position(streak, probe);

	if (at < 0 || sample->started_ns < from_ns)
		return;
	if (sample->result != PROBE_PASS)
		streak->passing_since_ns[at] = 0;
	else if (!streak->passing_since_ns[at])
		streak->passing_since_ns[at] =
			sample->started_ns + (sample->latency_ns > 0 ? sample->latency_ns : 0);
}

int64_t streak_since_ns(const struct streak *streak)
{
	int64_t latest = 0;

	for (unsigned i = 0; i < streak->requirement->count; i++) {
		if (!streak->passing_since_ns[i])
			return 0;
		if (streak->passing_since_ns[i] > latest)
			latest = streak->passing_since_ns[i];
	}
	return latest;
}

int64_t streak_due_ns(const struct streak *streak)
{
	const struct experiment_requirement *want = streak->requirement;
	int64_t due = 0;

	for (unsigned i = 0; i < want->count; i++) {
		int64_t since = streak->passing_since_ns[i];
		int64_t hold = want->each_ns ? want->each_ns[i] : want->for_ns;

		if (!since)
			return 0;
		if (since + hold > due)
			due = since + hold;
	}
	return due;
}
