/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/process_group.h"

#include "faults/protect.h"
#include "faults/warden.h"
#include "injector/base/cleanup.h"
#include "injector/kernel/proc.h"

#include <errno.h>

static int check_count(const struct cgroup *group, const struct fault *fault, unsigned count,
		       struct error *err)
{
	struct target *target = fault->target;
	const unsigned planned = target->process_count, more = fault->env->targets_more;
	const unsigned joined = count > planned ? count - planned : 0;

	if (joined > target->joined_count && joined - target->joined_count > more) {
		error_set(err, E2BIG,
			  "%s holds %u processes by now, planned were %u, and the limits allow %u "
			  "more targets",
			  group->directory, count, planned, more);
		return error_remedy(err, "raise limits.targets if that reach is meant");
	}
	target->joined_count = joined;
	return 0;
}

static int check_member(const struct protection *protection, const struct cgroup *group, pid_t pid,
			struct error *err)
{
	struct proc_stat stat;
	char why[160];

	if (proc_read_stat(pid, &stat) < 0)
		return 0; /* gone */
	if (protect_check(protection, &stat, why, sizeof(why)) != PROTECT_NONE) {
		proc_make_printable(stat.comm);
		return error_set(err, EPERM, "%s holds process %d (%s), which %s", group->directory,
				 pid, stat.comm, why);
	}
	return fault_warden_process(pid, err) < 0 ? error_prefix(err, "%s", group->directory) : 0;
}

int process_group_check(const struct cgroup *group, const struct fault *fault, struct error *err)
{
	const struct target_guard guard = {.conductor = fault->env->conductor,
					   .worker = fault->env->worker,
					   .guardian = fault->env->guardian};
	cleanup_free pid_t *pids = NULL;
	struct protection protection;
	unsigned count, hidden;
	int result = cgroup_members(group, &pids, &count, &hidden, err);

	if (result < 0)
		return result;
	if (hidden)
		return error_set(err, EPERM,
				 "%s holds %u processes of another pid namespace, which cannot be "
				 "looked at",
				 group->directory, hidden);
	protect_init(&protection, &guard,
		     params_number(&fault->target->params, PROCESS_ALLOW_CRITICAL, 0));
	protection.means_containers = params_is_set(&fault->target->params, PROCESS_CONTAINER);
	for (unsigned i = 0; result == 0 && i < count; i++)
		result = check_member(&protection, group, pids[i], err);
	if (result == 0)
		result = check_count(group, fault, count, err);
	return result < 0 ? result : (int)count;
}
