/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/experiment/shape.h"

#include "injector/base/quantity.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int check_pulses(const struct shape *shape, bool is_instant, enum shape_key *out_key,
			struct error *err)
{
	char every[QUANTITY_TEXT_SIZE], active[QUANTITY_TEXT_SIZE];

	if (is_instant != (shape->active_ns == 0)) {
		*out_key = SHAPE_ACTIVE;
		return is_instant
			       ? error_set(err, EINVAL,
					   "the fault acts at once: its pulses have no 'active'")
			       : error_set(err, EINVAL,
					   "'active' is missing: how long each pulse lasts, like "
					   "active: 2s");
	}
	if (shape->active_ns >= shape->every_ns) {
		*out_key = SHAPE_ACTIVE;
		return error_set(err, EINVAL,
				 "'active' (%s) must be shorter than 'every' (%s): there would be "
				 "no gap between the pulses",
				 quantity_format_duration(shape->active_ns, active),
				 quantity_format_duration(shape->every_ns, every));
	}
	if (shape->count < 1 || shape->count > SHAPE_MAX_INJECTIONS) {
		*out_key = SHAPE_EVERY;
		return error_set(err, ERANGE,
				 "there would be %u pulses; at most %d are allowed in all steps "
				 "together",
				 shape->count, SHAPE_MAX_INJECTIONS);
	}
	return 0;
}

static int check_ramp(const struct shape *shape, int64_t for_ns, struct error *err)
{
	char over[QUANTITY_TEXT_SIZE], lasts[QUANTITY_TEXT_SIZE];

	if (shape->from_ppb < 0 || shape->from_ppb > SHARE_ONE || shape->to_ppb < 0 ||
	    shape->to_ppb > SHARE_ONE)
		return error_set(err, ERANGE, "a ramp goes from 0%% to 100%% at most");
	if (shape->from_ppb == shape->to_ppb)
		return error_set(err, EINVAL, "the ramp begins and ends at the same strength");
	if (shape->stairs == 1 || shape->stairs > SHAPE_MAX_STAIRS)
		return error_set(err, ERANGE, "a ramp has 2 to %d steps", SHAPE_MAX_STAIRS);
	if (for_ns && shape->over_ns > for_ns)
		return error_set(err, EINVAL,
				 "the ramp takes %s, but the step ends after %s: it would never "
				 "arrive",
				 quantity_format_duration(shape->over_ns, over),
				 quantity_format_duration(for_ns, lasts));
	return 0;
}

int shape_check(const struct shape *shape, int64_t for_ns, bool is_instant, enum shape_key *out_key,
		struct error *err)
{
	*out_key = SHAPE_RAMP;
	if (shape->over_ns && is_instant)
		return error_set(
			err, EINVAL,
			"the fault acts at once: there is nothing that a ramp could raise");
	if (shape->over_ns && check_ramp(shape, for_ns, err) < 0)
		return -EINVAL;
	return shape->every_ns ? check_pulses(shape, is_instant, out_key, err) : 0;
}

int64_t shape_pulses_within(const struct shape *shape, int64_t for_ns)
{
	return for_ns <= 0 ? 1 : (for_ns + shape->every_ns - 1) / shape->every_ns;
}

int64_t shape_lasts_ns(const struct shape *shape, int64_t for_ns)
{
	if (for_ns || !shape->every_ns || !shape->count)
		return for_ns;
	return (int64_t)(shape->count - 1) * shape->every_ns + shape->active_ns;
}

unsigned shape_injections(const struct shape *shape)
{
	return shape->every_ns ? shape->count : 1;
}

int64_t shape_level_ppb(const struct shape *shape, int64_t since_ns)
{
	int64_t done_ns = since_ns > 0 ? since_ns : 0;
	__int128 way = shape->to_ppb - shape->from_ppb;

	if (!shape->over_ns)
		return SHARE_ONE;
	if (done_ns >= shape->over_ns)
		return shape->to_ppb;
	if (shape->stairs) {
		__int128 stair = (__int128)done_ns * shape->stairs / shape->over_ns;

		return shape->from_ppb + (int64_t)(way * stair / shape->stairs);
	}
	return shape->from_ppb + (int64_t)(way * done_ns / shape->over_ns);
}

int64_t shape_next_level_ns(const struct shape *shape, int64_t since_ns)
{
	__int128 stair;

	if (!shape->over_ns || since_ns >= shape->over_ns)
		return -1;
	if (!shape->stairs)
		return since_ns + SHAPE_RAMP_EVERY_NS < shape->over_ns
			       ? since_ns + SHAPE_RAMP_EVERY_NS
			       : shape->over_ns;
	stair = (__int128)since_ns * shape->stairs / shape->over_ns + 1;
	/* rounded up: a moment too early would find the stair before */
	return (int64_t)((stair * shape->over_ns + shape->stairs - 1) / shape->stairs);
}

bool shape_is_active_within(const struct shape *shape, int64_t from_ns, int64_t to_ns)
{
	int64_t pulse;

	if (!shape->every_ns)
		return true;
	pulse = from_ns > 0 ? from_ns / shape->every_ns : 0;
	/* the one that is going on, or has just ended, and the next one */
	for (unsigned i = 0; i < 2 && pulse < shape->count; i++, pulse++)
		if (pulse * shape->every_ns < to_ns &&
		    pulse * shape->every_ns + (shape->active_ns ? shape->active_ns : 1) > from_ns)
			return true;
	return false;
}

void shape_describe(const struct shape *shape, char *out, size_t size)
{
	char a[QUANTITY_TEXT_SIZE], b[QUANTITY_TEXT_SIZE], c[QUANTITY_TEXT_SIZE], stairs[32] = "";
	size_t used = 0;

	if (size)
		out[0] = '\0';
	if (shape->every_ns && shape->active_ns)
		used = (size_t)snprintf(out, size, ", for %s every %s",
					quantity_format_duration(shape->active_ns, a),
					quantity_format_duration(shape->every_ns, b));
	else if (shape->every_ns)
		used = (size_t)snprintf(out, size, ", %u times, every %s", shape->count,
					quantity_format_duration(shape->every_ns, b));
	if (!shape->over_ns || used >= size)
		return;
	if (shape->stairs)
		snprintf(stairs, sizeof(stairs), " in %u steps", shape->stairs);
	snprintf(out + used, size - used, ", from %s to %s%s over %s",
		 quantity_format_share(shape->from_ppb, a), quantity_format_share(shape->to_ppb, b),
		 stairs, quantity_format_duration(shape->over_ns, c));
}
