/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The rules, asked one by one. Pure questions: nothing here changes anything.
 */
#include "injector/policy/policy.h"

#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/base/quantity.h"
#include "injector/kernel/proc.h"
#include "injector/policy/policy_format.h"

#include <errno.h>
#include <fnmatch.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define MAX_GROUPS 4096

static const struct params *section(const struct policy *policy, enum policy_section at)
{
	return &policy->sections[at];
}

/* "...: the site policy does not allow it (/etc/squall/policy.yaml:4:12, allow.faults)". */
static int refuse(const struct policy *policy, const struct params *params, unsigned index,
		  struct error *err, const char *what)
{
	const struct param_value *value = params_value(params, index, 0);

	error_set(err, EPERM, "%s: refused by the site policy (%s:%d:%d, %s)", what, policy->path,
		  value->line, value->column, params->table[index].name);
	return error_remedy(err, "change the experiment, or ask who owns %s", policy->path);
}

static bool matches(const struct params *params, unsigned index, const char *name)
{
	for (unsigned i = 0; i < params_count(params, index); i++)
		if (fnmatch(params_value(params, index, i)->text, name, 0) == 0)
			return true;
	return false;
}

static bool is_in_group(const struct passwd *user, const char *name)
{
	cleanup_free gid_t *groups = calloc(MAX_GROUPS, sizeof(*groups));
	const struct group *group = getgrnam(name);
	int count = MAX_GROUPS;
	gid_t wanted;

	if (!group || !groups)
		return false;
	wanted = group->gr_gid;
	if (getgrouplist(user->pw_name, user->pw_gid, groups, &count) < 0)
		return false;
	for (int i = 0; i < count; i++)
		if (groups[i] == wanted)
			return true;
	return false;
}

int policy_check_user(const struct policy *policy, uid_t uid, struct error *err)
{
	const struct params *allow = policy ? section(policy, POLICY_ALLOW) : NULL;
	const struct passwd *user;
	char what[128];

	if (!allow || !params_count(allow, POLICY_ALLOW_USERS))
		return 0;
	user = getpwuid(uid);
	for (unsigned i = 0; user && i < params_count(allow, POLICY_ALLOW_USERS); i++) {
		const char *name = params_value(allow, POLICY_ALLOW_USERS, i)->text;

		if (name[0] == '%' ? is_in_group(user, name + 1) : strcmp(name, user->pw_name) == 0)
			return 0;
	}
	snprintf(what, sizeof(what), "user %.60s (uid %u)", user ? user->pw_name : "?", uid);
	return refuse(policy, allow, POLICY_ALLOW_USERS, err, what);
}

static int check_blackout(const struct policy *policy, int64_t from_ns, int64_t to_ns,
			  struct error *err)
{
	unsigned count = params_count(&policy->root, POLICY_BLACKOUT);
	const char *zone =
		params_count(&policy->root, POLICY_WINDOWS) ? policy->windows[0].zone : "";

	for (unsigned i = 0; i < count; i++) {
		const struct calendar_dates *dates = &policy->blackout[i];
		const struct param_value *value = params_value(&policy->root, POLICY_BLACKOUT, i);

		if (calendar_day(to_ns, zone) < dates->first ||
		    calendar_day(from_ns, zone) > dates->last)
			continue;
		return error_set(err, EPERM,
				 "there are no experiments on %s: refused by the site policy "
				 "(%s:%d:%d, blackout)",
				 value->text, policy->path, value->line, value->column);
	}
	return 0;
}

int policy_check_time(const struct policy *policy, int64_t wall_ns, int64_t duration_ns,
		      struct error *err)
{
	unsigned count = policy ? params_count(&policy->root, POLICY_WINDOWS) : 0;
	int64_t opens_ns = INT64_MAX, closes_ns = 0, change_ns;
	unsigned next = 0;
	char when[CALENDAR_TEXT_SIZE], needed[QUANTITY_TEXT_SIZE];
	int result = policy ? check_blackout(policy, wall_ns, wall_ns + duration_ns, err) : 0;

	if (result < 0 || !count)
		return result;
	for (unsigned i = 0; i < count; i++) {
		bool is_open = calendar_is_open(&policy->windows[i], wall_ns, &change_ns);

		if (is_open && (change_ns == INT64_MAX || wall_ns + duration_ns <= change_ns))
			return 0;
		if (is_open && change_ns > closes_ns) {
			closes_ns = change_ns;
			next = i;
		} else if (!is_open && !closes_ns && change_ns < opens_ns) {
			opens_ns = change_ns;
			next = i;
		}
	}
	if (closes_ns) {
		calendar_format(closes_ns, policy->windows[next].zone, when);
		quantity_format_duration(duration_ns, needed);
		refuse(policy, &policy->root, POLICY_WINDOWS, err,
		       "the run would not be over when the window closes");
		return error_remedy(err, "it closes at %s, and limits.duration is %s", when,
				    needed);
	}
	refuse(policy, &policy->root, POLICY_WINDOWS, err, "now is outside the windows");
	if (opens_ns == INT64_MAX)
		return error_remedy(err, "none opens within a month");
	calendar_format(opens_ns, policy->windows[next].zone, when);
	return error_remedy(err, "the next one opens at %s", when);
}

int policy_check_fault(const struct policy *policy, const char *fault, struct error *err)
{
	const struct params *allow = policy ? section(policy, POLICY_ALLOW) : NULL;
	char what[80];

	if (!allow || !params_count(allow, POLICY_ALLOW_FAULTS) ||
	    matches(allow, POLICY_ALLOW_FAULTS, fault))
		return 0;
	snprintf(what, sizeof(what), "fault '%.40s'", fault);
	return refuse(policy, allow, POLICY_ALLOW_FAULTS, err, what);
}

int policy_check_command(const struct policy *policy, const char *program, struct error *err)
{
	const struct params *allow = policy ? section(policy, POLICY_ALLOW) : NULL;
	char what[400];

	/* a path begins with a slash: `none` is the path of no program */
	if (!allow || !params_count(allow, POLICY_ALLOW_COMMANDS) ||
	    matches(allow, POLICY_ALLOW_COMMANDS, program))
		return 0;
	snprintf(what, sizeof(what), "reload-command %.300s", program);
	return refuse(policy, allow, POLICY_ALLOW_COMMANDS, err, what);
}

int policy_check_limits(const struct policy *policy, int64_t duration_ns, struct error *err)
{
	const struct params *limits = policy ? section(policy, POLICY_LIMITS) : NULL;
	char what[160], asked[QUANTITY_TEXT_SIZE], most[QUANTITY_TEXT_SIZE];

	if (!limits || !params_is_set(limits, POLICY_LIMITS_DURATION) ||
	    duration_ns <= params_number(limits, POLICY_LIMITS_DURATION, 0))
		return 0;
	snprintf(what, sizeof(what), "limits.duration is %s, at most %s is allowed",
		 quantity_format_duration(duration_ns, asked),
		 quantity_format_duration(params_number(limits, POLICY_LIMITS_DURATION, 0), most));
	return refuse(policy, limits, POLICY_LIMITS_DURATION, err, what);
}

int policy_check_reach(const struct policy *policy, unsigned targets, struct error *err)
{
	const struct params *limits = policy ? section(policy, POLICY_LIMITS) : NULL;
	char what[120];

	if (!limits || !params_is_set(limits, POLICY_LIMITS_TARGETS) ||
	    targets <= params_number(limits, POLICY_LIMITS_TARGETS, 0))
		return 0;
	snprintf(what, sizeof(what), "%u targets are selected, at most %lld are allowed", targets,
		 (long long)params_number(limits, POLICY_LIMITS_TARGETS, 0));
	return refuse(policy, limits, POLICY_LIMITS_TARGETS, err, what);
}

/* Do the first `bits` of two addresses agree? */
static bool has_prefix(const uint8_t *one, const uint8_t *other, unsigned bits)
{
	unsigned bytes = bits / 8, rest = bits % 8;

	return memcmp(one, other, bytes) == 0 &&
	       (!rest || !((one[bytes] ^ other[bytes]) >> (8 - rest)));
}

/* Is all of `inner` in the range? Ports of an allowed range: all of them, unless it names some. */
static bool contains(const struct endpoint *range, const struct endpoint *inner)
{
	bool has_ports = range->port_first || range->port_last;

	if (range->family != AF_UNSPEC &&
	    (inner->family != range->family || inner->prefix < range->prefix ||
	     !has_prefix(range->address, inner->address, range->prefix)))
		return false;
	return !has_ports || (inner->port_first >= range->port_first && inner->port_last &&
			      inner->port_last <= range->port_last);
}

/* Can a packet be in both? */
static bool overlaps(const struct endpoint *one, const struct endpoint *other)
{
	unsigned bits = one->prefix < other->prefix ? one->prefix : other->prefix;

	if (one->family != AF_UNSPEC && other->family != AF_UNSPEC &&
	    (one->family != other->family || !has_prefix(one->address, other->address, bits)))
		return false;
	if (!(one->port_first || one->port_last) || !(other->port_first || other->port_last))
		return true;
	return one->port_first <= other->port_last && other->port_first <= one->port_last;
}

static int check_endpoint(const struct policy *policy, const struct endpoint *endpoint,
			  struct error *err)
{
	const struct params *allow = section(policy, POLICY_ALLOW);
	const struct params *protect = section(policy, POLICY_PROTECT);
	unsigned allowed = params_count(allow, POLICY_ALLOW_NETWORKS);
	char text[ENDPOINT_TEXT_SIZE], what[ENDPOINT_TEXT_SIZE * 2 + 40];
	bool is_allowed = !allowed;

	endpoint_format(endpoint, text);
	for (unsigned i = 0; !is_allowed && i < allowed; i++)
		is_allowed = contains(&params_value(allow, POLICY_ALLOW_NETWORKS, i)->endpoint,
				      endpoint);
	if (!is_allowed) {
		snprintf(what, sizeof(what), "traffic with %s", text);
		return refuse(policy, allow, POLICY_ALLOW_NETWORKS, err, what);
	}
	for (unsigned i = 0; i < params_count(protect, POLICY_PROTECT_ADDRESSES); i++) {
		const struct param_value *value =
			params_value(protect, POLICY_PROTECT_ADDRESSES, i);

		if (!overlaps(endpoint, &value->endpoint))
			continue;
		snprintf(what, sizeof(what), "traffic with %s includes %.80s, which is protected",
			 text, value->text);
		return refuse(policy, protect, POLICY_PROTECT_ADDRESSES, err, what);
	}
	return 0;
}

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
	if (matches(protect, POLICY_PROTECT_PROCESSES, process->name) ||
	    (exe[0] && matches(protect, POLICY_PROTECT_PROCESSES, exe)))
		return true;
	*out_rule = POLICY_PROTECT_UNITS;
	return unit[0] && matches(protect, POLICY_PROTECT_UNITS, unit);
}

static int check_process(const struct policy *policy, const struct target_process *process,
			 struct error *err)
{
	const struct params *allow = section(policy, POLICY_ALLOW);
	const struct params *protect = section(policy, POLICY_PROTECT);
	char unit[256], what[400];
	unsigned rule;

	find_unit(process->id.pid, unit, sizeof(unit));
	if (is_protected(protect, process, unit, &rule)) {
		snprintf(what, sizeof(what), "process %d (%s) is protected", process->id.pid,
			 process->name);
		return refuse(policy, protect, rule, err, what);
	}
	if (!params_count(allow, POLICY_ALLOW_UNITS) ||
	    (unit[0] && matches(allow, POLICY_ALLOW_UNITS, unit)))
		return 0;
	snprintf(what, sizeof(what), "process %d (%s) of %s%s", process->id.pid, process->name,
		 unit[0] ? "unit " : "no unit", unit);
	return refuse(policy, allow, POLICY_ALLOW_UNITS, err, what);
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
	return check_process(policy, &process, err);
}

static int check_owners(const struct policy *policy, const struct target *target, struct error *err)
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

int policy_check_endpoints(const struct policy *policy, const struct target *target,
			   struct error *err)
{
	static const struct endpoint everything = {.family = AF_UNSPEC};
	unsigned count = params_count(&target->params, TRAFFIC_TO);
	int result = 0;

	if (!policy)
		return 0;
	if (!count)
		return check_endpoint(policy, &everything, err);
	for (unsigned i = 0; result == 0 && i < count; i++)
		result = check_endpoint(
			policy, &params_value(&target->params, TRAFFIC_TO, i)->endpoint, err);
	return result;
}

int policy_check_interface(const struct policy *policy, const char *name, struct error *err)
{
	const struct params *allow = policy ? section(policy, POLICY_ALLOW) : NULL;
	char what[80];

	if (!allow || !params_count(allow, POLICY_ALLOW_INTERFACES) ||
	    matches(allow, POLICY_ALLOW_INTERFACES, name))
		return 0;
	snprintf(what, sizeof(what), "interface %.40s", name);
	return refuse(policy, allow, POLICY_ALLOW_INTERFACES, err, what);
}

static int check_traffic(const struct policy *policy, const struct target *target,
			 struct error *err)
{
	int result = check_owners(policy, target, err);

	for (unsigned i = 0; result == 0 && i < target->interface_count; i++)
		result = policy_check_interface(policy, target->interfaces[i].name, err);
	return result < 0 ? result : policy_check_endpoints(policy, target, err);
}

static int check_share(const struct policy *policy, const struct target *target, struct error *err)
{
	const struct params *limits = section(policy, POLICY_LIMITS);
	int64_t share = params_number(limits, POLICY_LIMITS_SHARE, SHARE_ONE);
	char what[160], most[QUANTITY_TEXT_SIZE];

	if ((int64_t)target->process_count * SHARE_ONE <= (int64_t)target->match_count * share)
		return 0;
	snprintf(what, sizeof(what),
		 "%u of %u processes that match are chosen, at most %s are "
		 "allowed",
		 target->process_count, target->match_count, quantity_format_share(share, most));
	return refuse(policy, limits, POLICY_LIMITS_SHARE, err, what);
}

/* The fault takes plain paths alone, and follows no link: the name is the file. */
static int check_file(const struct policy *policy, const struct target *target, struct error *err)
{
	const struct params *allow = section(policy, POLICY_ALLOW);
	const struct params *protect = section(policy, POLICY_PROTECT);
	const char *path = params_text(&target->params, FILE_PATH);
	char what[400];

	if (matches(protect, POLICY_PROTECT_FILES, path)) {
		snprintf(what, sizeof(what), "file %.300s is protected", path);
		return refuse(policy, protect, POLICY_PROTECT_FILES, err, what);
	}
	if (!params_count(allow, POLICY_ALLOW_FILES) || matches(allow, POLICY_ALLOW_FILES, path))
		return 0;
	snprintf(what, sizeof(what), "file %.300s", path);
	return refuse(policy, allow, POLICY_ALLOW_FILES, err, what);
}

int policy_check_target(const struct policy *policy, const struct target *target, struct error *err)
{
	int result = 0;

	if (!policy)
		return 0;
	if (target->kind == TARGET_TRAFFIC)
		return check_traffic(policy, target, err);
	if (target->kind == TARGET_FILE)
		return check_file(policy, target, err);
	for (unsigned i = 0; result == 0 && i < target->process_count; i++)
		result = check_process(policy, &target->processes[i], err);
	if (result == 0 && target->kind == TARGET_PROCESS)
		result = check_share(policy, target, err);
	return result;
}
