/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What of a traffic target a fault has no use for, told before anything is looked at.
 */
#include "faults/target.h"

#include "injector/base/prose.h"

#include <errno.h>
#include <string.h>

static bool is_spoken(const struct target_use *use, uint8_t number)
{
	for (unsigned i = 0; i < TARGET_USE_PROTOCOLS; i++)
		if (use->protocols[i] == number)
			return true;
	return false;
}

static int check_protocols(const struct target_use *use, const struct params *target,
			   const struct param_value **out_blamed, struct error *err)
{
	const struct param_value *word = params_value(target, TRAFFIC_PROTOCOL, 0);
	uint8_t numbers[TRAFFIC_PROTOCOLS_MAX];
	unsigned count = use->spoken ? target_protocols(target, numbers) : 0;

	for (unsigned i = 0; i < count; i++) {
		if (is_spoken(use, numbers[i]))
			continue;
		*out_blamed = word ? word : params_value(target, TRAFFIC_PROTOCOL_NUMBER, 0);
		error_set(err, EINVAL, "%s: %s", word ? "protocol" : "protocol-number",
			  use->spoken);
		return error_remedy(err, "leave it out");
	}
	return 0;
}

static bool is_told_elsewhere(unsigned key)
{
	return key == TRAFFIC_TCP_FLAGS || key == TRAFFIC_FOLLOW || key == TRAFFIC_FOLLOW_EVERY;
}

/* `neighbours: false` is what it is anyhow. */
static bool is_asked_for(const struct params *target, unsigned key)
{
	return params_is_set(target, key) &&
	       (traffic_params[key].type != PARAM_BOOL || params_number(target, key, 0));
}

static int refuse(const struct target_use *use, unsigned key, struct error *err)
{
	struct prose prose;
	char keys[300];

	prose_begin(&prose, keys, sizeof(keys));
	for (unsigned i = 0; traffic_params[i].name; i++)
		if (use->takes >> i & 1)
			prose_say(&prose, "%s%s", prose.used ? ", " : "", traffic_params[i].name);
	error_set(err, EINVAL, "%s: %s, and this cannot be given", traffic_params[key].name,
		  use->chosen);
	return error_remedy(err, "leave it out; what can be given: %s", keys);
}

int target_check_use(const struct target_use *use, const struct params *target,
		     const struct param_value **out_blamed, struct error *err)
{
	for (unsigned key = 0; traffic_params[key].name; key++) {
		if (use->takes >> key & 1 || is_told_elsewhere(key) || !is_asked_for(target, key))
			continue;
		*out_blamed = params_value(target, key, 0);
		return refuse(use, key, err);
	}
	if (use->endpoints_max &&
	    params_count(target, TRAFFIC_TO) + params_count(target, TRAFFIC_EXCEPT) >
		    use->endpoints_max) {
		*out_blamed = params_value(target, TRAFFIC_TO, 0);
		error_set(err, E2BIG, "to: more than %u servers", use->endpoints_max);
		return error_remedy(err, "name networks instead");
	}
	return check_protocols(use, target, out_blamed, err);
}
