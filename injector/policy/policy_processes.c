/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The rules about processes: by what they run, and by the unit they belong to.
 */
#include "injector/policy/policy_ask.h"

#include "injector/base/cleanup.h"
#include "injector/base/quantity.h"
#include "injector/kernel/proc.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

/* The innermost unit that a process belongs to: the last part of its path that is one. */
static void find_unit(pid_t pid, char *out, size_t size)
{
	char path[1024], *part, *save = NULL;

	out[0] = '\0';
	if (proc_read_cgroup(pid, "", path, sizeof(path)) < 0 || strcmp(path, "/") == 0)
		if (proc_read_cgroup(pid, "name=systemd", path, sizeof(path)) < 0)
			return;
	for (part = strtok_r(path, "/", &save); part; part = strtok_r(NULL, "/", &save)) {
		const char *suffix = strrchr(part, '.');

		if (suffix && (strcmp(suffix, ".service") == 0 || strcmp(suffix, ".scope") == 0))
			snprintf(out, size, "%s", part);
	}
}

static bool is_protected(const struct params *protect, const struct target_process *process,
			 const char *unit, unsigned *out_rule)
{
	char exe[PATH_MAX] = "";

	(void)!proc_read_exe(process->id.pid, exe, sizeof(exe));
	*out_rule = POLICY_PROTECT_PROCESSES;
	if (policy_matches(protect, POLICY_PROTECT_PROCESSES, process->name) ||
	    (exe[0] && policy_matches(protect, POLICY_PROTECT_PROCESSES, exe)))
		return true;
	*out_rule = POLICY_PROTECT_UNITS;
	return unit[0] && policy_matches(protect, POLICY_PROTECT_UNITS, unit);
}

int policy_check_process(const struct policy *policy, const struct target_process *process,
			 struct error *err)
{
	const struct params *allow = policy_section(policy, POLICY_ALLOW);
	const struct params *protect = policy_section(policy, POLICY_PROTECT);
	char unit[256], what[400];
	unsigned rule;

	find_unit(process->id.pid, unit, sizeof(unit));
	if (is_protected(protect, process, unit, &rule)) {
		snprintf(what, sizeof(what), "process %d (%s) is protected", process->id.pid,
			 process->name);
		return policy_refuse(policy, protect, rule, err, what);
	}
	if (!params_count(allow, POLICY_ALLOW_UNITS) ||
	    (unit[0] && policy_matches(allow, POLICY_ALLOW_UNITS, unit)))
		return 0;
	snprintf(what, sizeof(what), "process %d (%s) of %s%s", process->id.pid, process->name,
		 unit[0] ? "unit " : "no unit", unit);
	return policy_refuse(policy, allow, POLICY_ALLOW_UNITS, err, what);
}

/* Whose traffic it is is touched like the processes themselves. */
static int check_pid(const struct policy *policy, pid_t pid, struct error *err)
{
	struct target_process process = {.id.pid = pid};
	char name[PROC_COMM_SIZE];

	if (proc_read_comm(pid, name, sizeof(name)) < 0)
		return 0; /* gone */
	proc_make_printable(name);
	snprintf(process.name, sizeof(process.name), "%.15s", name);
	return policy_check_process(policy, &process, err);
}

int policy_check_owners(const struct policy *policy, const struct target *target, struct error *err)
{
	int result = target->container_pid ? check_pid(policy, target->container_pid, err) : 0;

	for (unsigned i = 0; result == 0 && i < target->group_count; i++) {
		cleanup_free pid_t *pids = NULL;
		unsigned count = 0;

		result = cgroup_members(&target->groups[i].cgroup, &pids, &count, NULL, err);
		for (unsigned p = 0; result == 0 && p < count; p++)
			result = check_pid(policy, pids[p], err);
	}
	return result;
}

int policy_check_share(const struct policy *policy, const struct target *target, struct error *err)
{
	const struct params *limits = policy_section(policy, POLICY_LIMITS);
	int64_t share = params_number(limits, POLICY_LIMITS_SHARE, SHARE_ONE);
	char what[160], most[QUANTITY_TEXT_SIZE];

	if ((int64_t)target->process_count * SHARE_ONE <= (int64_t)target->match_count * share)
		return 0;
	snprintf(what, sizeof(what),
		 "%u of %u processes that match are chosen, at most %s are "
		 "allowed",
		 target->process_count, target->match_count, quantity_format_share(share, most));
	return policy_refuse(policy, limits, POLICY_LIMITS_SHARE, err, what);
}
