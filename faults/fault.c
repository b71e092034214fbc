/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The list of faults, from faults.def. */
#include "faults/fault.h"

#include "faults/target_follow.h"
#include "faults/target_group.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#define FAULT(name) extern const struct fault_ops name##_fault;
#include "faults/faults.def"
#undef FAULT

static const struct fault_ops *const all[] = {
#define FAULT(name) &name##_fault,
#include "faults/faults.def"
#undef FAULT
	NULL,
};

const struct fault_ops *const *fault_all(void)
{
	return all;
}

const struct fault_ops *fault_find(const char *name)
{
	for (unsigned i = 0; all[i]; i++)
		if (strcmp(all[i]->name, name) == 0)
			return all[i];
	return NULL;
}

bool fault_takes(const struct fault_ops *ops, unsigned key)
{
	if (ops->target_kind == TARGET_PROCESS)
		return key != PROCESS_FOLLOW || ops->follow;
	if (ops->target_kind != TARGET_TRAFFIC)
		return true;
	if (key == TRAFFIC_TCP_FLAGS)
		return ops->sees_packets;
	if (key == TRAFFIC_FOLLOW || key == TRAFFIC_FOLLOW_EVERY)
		return ops->follow;
	return !ops->use || ops->use->takes >> key & 1;
}

int fault_check_follow(const struct fault_ops *ops, const struct params *target, struct error *err)
{
	if (ops->follow || (!target_follows(target) && !target_follows_groups(target)))
		return 0;
	return error_set(
		err, EINVAL, "follow: fault '%s' keeps the %s that it begins with", ops->name,
		ops->target_kind == TARGET_PROCESS ? "processes" : "addresses and interfaces");
}

int fault_check_target(const struct fault_ops *ops, const struct params *params,
		       const struct params *target, const struct param_value **out_blamed,
		       struct error *err)
{
	int result = ops->use ? target_check_use(ops->use, target, out_blamed, err) : 0;

	if (result < 0 || !ops->check_target)
		return result;
	return ops->check_target(params, target, out_blamed, err);
}
