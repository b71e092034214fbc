/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The rules about processes: by what they run, and by the unit they belong to. That is read from
 * paths of control groups, parts of which unprivileged users choose: those never make a process
 * allowed, and never make it one of a system's unit.
 */
#include "injector/policy/policy_ask.h"

#include "injector/base/cleanup.h"
#include "injector/base/quantity.h"
#include "injector/kernel/mount_namespace.h"
#include "injector/kernel/proc.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where a process lies in the control groups, and the unit of the system's service manager that it
 * belongs to (empty: none). */
struct place {
	char path[1024];
	char unit[NAME_MAX + 1];
	bool is_hidden; /* it cannot be looked at, or is longer than any that systemd makes */
};

/* The next name in a path, at *rest; false: there is none. */
static bool next_name(const char **rest, char out[NAME_MAX + 1])
{
	const char *at = *rest + strspn(*rest, "/");
	const size_t length = strcspn(at, "/");

	snprintf(out, NAME_MAX + 1, "%.*s", (int)length, at);
	*rest = at + length;
	return length > 0;
}

static bool ends_with(const char *text, const char *suffix)
{
	const size_t length = strlen(text), end = strlen(suffix);

	return length >= end && strcmp(text + length - end, suffix) == 0;
}

static bool is_unit(const char *name)
{
	return ends_with(name, ".service") || ends_with(name, ".scope");
}

/* systemd puts an underscore before names that could be files of the kernel (cg_escape()). */
static const char *unescape(const char *name)
{
	return name[0] == '_' ? name + 1 : name;
}

/* The system's units lie in slices alone, and only root makes those. What is deeper (the units of a
 * user's own service manager, what a unit is delegated) or lies elsewhere (the systemd of a
 * container) has names that others choose. */
static void find_unit(struct place *place)
{
	const char *rest = place->path;
	char name[NAME_MAX + 1];

	while (next_name(&rest, name) && ends_with(name, ".slice"))
		;
	if (is_unit(name))
		snprintf(place->unit, sizeof(place->unit), "%s", unescape(name));
}

static void find_place(pid_t pid, struct place *out)
{
	int result = proc_read_cgroup(pid, "", out->path, sizeof(out->path));

	if (result == -ENOENT || (result == 0 && strcmp(out->path, "/") == 0))
		result = proc_read_cgroup(pid, "name=systemd", out->path, sizeof(out->path));
	out->unit[0] = '\0';
	out->is_hidden = result < 0 && result != -ENOENT && result != -ESRCH;
	if (result < 0)
		out->path[0] = '\0';
	find_unit(out);
}

/* Units of whichever manager, at whatever depth: better too many. */
static bool has_protected_unit(const struct params *protect, const struct place *place)
{
	const char *rest = place->path;
	char name[NAME_MAX + 1];

	while (next_name(&rest, name))
		if (is_unit(name) &&
		    (policy_matches(protect, POLICY_PROTECT_UNITS, name) ||
		     policy_matches(protect, POLICY_PROTECT_UNITS, unescape(name))))
			return true;
	return place->is_hidden && params_count(protect, POLICY_PROTECT_UNITS);
}

static bool has_rule_about_paths(const struct params *protect)
{
	for (unsigned i = 0; i < params_count(protect, POLICY_PROTECT_PROCESSES); i++)
		if (strchr(params_value(protect, POLICY_PROTECT_PROCESSES, i)->text, '/'))
			return true;
	return false;
}

bool policy_asks_programs(const struct policy *policy)
{
	return policy && has_rule_about_paths(policy_section(policy, POLICY_PROTECT));
}

/* What cannot be looked at is taken for what is protected. */
static bool is_protected(const struct params *protect, const struct target_process *process,
			 const struct place *place, unsigned *out_rule)
{
	char exe[PATH_MAX] = "";

	int result = proc_read_exe(process->id.pid, exe, sizeof(exe));

	*out_rule = POLICY_PROTECT_PROCESSES;
	if (policy_matches(protect, POLICY_PROTECT_PROCESSES, process->name) ||
	    (result == 0 && policy_matches(protect, POLICY_PROTECT_PROCESSES, exe)) ||
	    ((result == -EACCES || result == -EPERM) && has_rule_about_paths(protect)))
		return true;
	*out_rule = POLICY_PROTECT_UNITS;
	return has_protected_unit(protect, place);
}

int policy_check_process(const struct policy *policy, const struct target_process *process,
			 struct error *err)
{
	const struct params *allow = policy_section(policy, POLICY_ALLOW);
	const struct params *protect = policy_section(policy, POLICY_PROTECT);
	struct place place;
	char what[400];
	unsigned rule;

	find_place(process->id.pid, &place);
	if (is_protected(protect, process, &place, &rule)) {
		snprintf(what, sizeof(what), "process %d (%s) is protected", process->id.pid,
			 process->name);
		return policy_refuse(policy, protect, rule, err, what);
	}
	if (!params_count(allow, POLICY_ALLOW_UNITS) ||
	    (place.unit[0] && policy_matches(allow, POLICY_ALLOW_UNITS, place.unit)))
		return 0;
	snprintf(what, sizeof(what), "process %d (%s) of %s%s", process->id.pid, process->name,
		 place.unit[0] ? "unit " : "no unit", place.unit);
	return policy_refuse(policy, allow, POLICY_ALLOW_UNITS, err, what);
}

int policy_check_pid(const struct policy *policy, pid_t pid, struct error *err)
{
	struct target_process process = {.id.pid = pid};
	char name[PROC_COMM_SIZE];

	if (!policy || proc_read_comm(pid, name, sizeof(name)) < 0)
		return 0; /* gone */
	proc_make_printable(name);
	snprintf(process.name, sizeof(process.name), "%.15s", name);
	return policy_check_process(policy, &process, err);
}

/* Of many processes each. */
struct each {
	const struct policy *policy;
	const char *unit;	    /* those of it, or */
	struct namespace_id mounts; /* those with these mounts */
	struct error *err;
};

static int check_if_of_unit(pid_t pid, void *context)
{
	const struct each *each = context;
	struct place place;

	find_place(pid, &place);
	return strcmp(place.unit, each->unit) == 0 ? policy_check_pid(each->policy, pid, each->err)
						   : 0;
}

static int check_if_mounted_there(pid_t pid, void *context)
{
	const struct each *each = context;
	struct namespace_id id;
	cleanup_fd int fd = -1;

	if (mount_namespace_open_pid(pid, &fd, NULL) < 0 ||
	    mount_namespace_identify(fd, &id, NULL) < 0 || !namespace_is_same(&id, &each->mounts))
		return 0;
	return policy_check_pid(each->policy, pid, each->err);
}

int policy_check_unit(const struct policy *policy, const char *asked, const char *unit,
		      struct error *err)
{
	const struct params *allow = policy ? policy_section(policy, POLICY_ALLOW) : NULL;
	const struct params *protect = policy ? policy_section(policy, POLICY_PROTECT) : NULL;
	struct each each = {.policy = policy, .unit = unit, .err = err};
	char what[400];

	if (!policy)
		return 0;
	if (policy_matches(protect, POLICY_PROTECT_UNITS, unit) ||
	    policy_matches(protect, POLICY_PROTECT_UNITS, asked)) {
		snprintf(what, sizeof(what), "unit %.180s is protected", unit);
		return policy_refuse(policy, protect, POLICY_PROTECT_UNITS, err, what);
	}
	if (params_count(allow, POLICY_ALLOW_UNITS) &&
	    !policy_matches(allow, POLICY_ALLOW_UNITS, unit)) {
		snprintf(what, sizeof(what), "unit %.180s", unit);
		return policy_refuse(policy, allow, POLICY_ALLOW_UNITS, err, what);
	}
	return proc_each(check_if_of_unit, &each);
}

/* A bad version for some processes alone is about these, whatever the file is. */
int policy_check_mounts(const struct policy *policy, int namespace_fd, struct error *err)
{
	struct each each = {.policy = policy, .err = err};
	int result = mount_namespace_identify(namespace_fd, &each.mounts, err);

	return result < 0 ? result : proc_each(check_if_mounted_there, &each);
}

/* The process that a namespace was named by. */
static pid_t namer(const struct target *target)
{
	const char *name = params_text(&target->params, TRAFFIC_NAMESPACE);

	return name && strncmp(name, "pid:", 4) == 0 ? (pid_t)strtol(name + 4, NULL, 10) : 0;
}

/* Whose traffic it is is touched like the processes themselves. */
int policy_check_owners(const struct policy *policy, const struct target *target, struct error *err)
{
	pid_t named = namer(target);
	int result = 0;

	for (unsigned i = 0; result == 0 && i < target->container_count; i++)
		result = policy_check_pid(policy, target->container_pids[i], err);
	if (result == 0 && named)
		result = policy_check_pid(policy, named, err);
	for (unsigned i = 0; result == 0 && i < target->group_count; i++) {
		cleanup_free pid_t *pids = NULL;
		unsigned count = 0;

		result = cgroup_members(&target->groups[i].cgroup, &pids, &count, NULL, err);
		for (unsigned p = 0; result == 0 && p < count; p++)
			result = policy_check_pid(policy, pids[p], err);
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
