/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The rules, asked one by one. Pure questions: nothing here changes anything.
 */
#include "injector/policy/policy.h"

#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/base/quantity.h"
#include "injector/policy/policy_ask.h"

#include <errno.h>
#include <fnmatch.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_GROUPS 4096

const struct params *policy_section(const struct policy *policy, enum policy_section at)
{
	return &policy->sections[at];
}

int policy_refuse(const struct policy *policy, const struct params *params, unsigned index,
		  struct error *err, const char *what)
{
	const struct param_value *value = params_value(params, index, 0);

	error_set(err, EPERM, "%s: refused by the site policy (%s:%d:%d, %s)", what, policy->path,
		  value->line, value->column, params->table[index].name);
	return error_remedy(err, "change the experiment, or ask who owns %s", policy->path);
}

bool policy_matches(const struct params *params, unsigned index, const char *name)
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
	const struct params *allow = policy ? policy_section(policy, POLICY_ALLOW) : NULL;
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
	return policy_refuse(policy, allow, POLICY_ALLOW_USERS, err, what);
}

/* Is a moment of the run on one of the days, as they are counted in that zone? */
static bool meets(const struct calendar_dates *dates, const char *zone, int64_t from_ns,
		  int64_t to_ns)
{
	return calendar_day(to_ns, zone) >= dates->first &&
	       calendar_day(from_ns, zone) <= dates->last;
}

/* Days of no zone of their own are those of the windows: of each of them, to be on the safe side;
 * without windows those of this machine. */
static bool is_dark(const struct policy *policy, const struct calendar_dates *dates,
		    int64_t from_ns, int64_t to_ns)
{
	unsigned windows = params_count(&policy->root, POLICY_WINDOWS);

	if (dates->zone[0] || !windows)
		return meets(dates, dates->zone, from_ns, to_ns);
	for (unsigned i = 0; i < windows; i++)
		if (meets(dates, policy->windows[i].zone, from_ns, to_ns))
			return true;
	return false;
}

static int check_blackout(const struct policy *policy, int64_t from_ns, int64_t to_ns,
			  struct error *err)
{
	unsigned count = params_count(&policy->root, POLICY_BLACKOUT);

	for (unsigned i = 0; i < count; i++) {
		const struct param_value *value = params_value(&policy->root, POLICY_BLACKOUT, i);

		if (is_dark(policy, &policy->blackout[i], from_ns, to_ns))
			return error_set(err, EPERM,
					 "there are no experiments on %s: refused by the site "
					 "policy (%s:%d:%d, blackout)",
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
		policy_refuse(policy, &policy->root, POLICY_WINDOWS, err,
			      "the run would not be over when the window closes");
		return error_remedy(err, "it closes at %s, and limits.duration is %s", when,
				    needed);
	}
	policy_refuse(policy, &policy->root, POLICY_WINDOWS, err, "now is outside the windows");
	if (opens_ns == INT64_MAX)
		return error_remedy(err, "none opens within a month");
	calendar_format(opens_ns, policy->windows[next].zone, when);
	return error_remedy(err, "the next one opens at %s", when);
}

int policy_check_fault(const struct policy *policy, const char *fault, struct error *err)
{
	const struct params *allow = policy ? policy_section(policy, POLICY_ALLOW) : NULL;
	char what[80];

	if (!allow || !params_count(allow, POLICY_ALLOW_FAULTS) ||
	    policy_matches(allow, POLICY_ALLOW_FAULTS, fault))
		return 0;
	snprintf(what, sizeof(what), "fault '%.40s'", fault);
	return policy_refuse(policy, allow, POLICY_ALLOW_FAULTS, err, what);
}

int policy_check_command(const struct policy *policy, const char *program, struct error *err)
{
	const struct params *allow = policy ? policy_section(policy, POLICY_ALLOW) : NULL;
	char what[400];

	/* a path begins with a slash: `none` is the path of no program */
	if (!allow || !params_count(allow, POLICY_ALLOW_COMMANDS) ||
	    policy_matches(allow, POLICY_ALLOW_COMMANDS, program))
		return 0;
	snprintf(what, sizeof(what), "reload-command %.300s", program);
	return policy_refuse(policy, allow, POLICY_ALLOW_COMMANDS, err, what);
}

int policy_check_limits(const struct policy *policy, int64_t duration_ns, struct error *err)
{
	const struct params *limits = policy ? policy_section(policy, POLICY_LIMITS) : NULL;
	char what[160], asked[QUANTITY_TEXT_SIZE], most[QUANTITY_TEXT_SIZE];

	if (!limits || !params_is_set(limits, POLICY_LIMITS_DURATION) ||
	    duration_ns <= params_number(limits, POLICY_LIMITS_DURATION, 0))
		return 0;
	snprintf(what, sizeof(what), "limits.duration is %s, at most %s is allowed",
		 quantity_format_duration(duration_ns, asked),
		 quantity_format_duration(params_number(limits, POLICY_LIMITS_DURATION, 0), most));
	return policy_refuse(policy, limits, POLICY_LIMITS_DURATION, err, what);
}

unsigned policy_most_targets(const struct policy *policy)
{
	const struct params *limits = policy ? policy_section(policy, POLICY_LIMITS) : NULL;

	return limits ? (unsigned)params_number(limits, POLICY_LIMITS_TARGETS, UINT_MAX) : UINT_MAX;
}

int policy_check_reach(const struct policy *policy, unsigned targets, struct error *err)
{
	const unsigned most = policy_most_targets(policy);
	char what[120];

	if (targets <= most)
		return 0;
	snprintf(what, sizeof(what), "%u targets are selected, at most %u are allowed", targets,
		 most);
	return policy_refuse(policy, policy_section(policy, POLICY_LIMITS), POLICY_LIMITS_TARGETS,
			     err, what);
}

static int check_traffic(const struct policy *policy, const struct target *target,
			 struct error *err)
{
	int result = policy_check_owners(policy, target, err);

	for (unsigned i = 0; result == 0 && i < target->interface_count; i++)
		result = policy_check_interface(policy, target->interfaces[i].name, err);
	return result < 0 ? result : policy_check_endpoints(policy, target, err);
}

/* The fault takes plain paths alone, and follows no link: the name is the file. */
static int check_file(const struct policy *policy, const struct target *target, struct error *err)
{
	const struct params *allow = policy_section(policy, POLICY_ALLOW);
	const struct params *protect = policy_section(policy, POLICY_PROTECT);
	const char *path = params_text(&target->params, FILE_PATH);
	char what[400];

	if (policy_matches(protect, POLICY_PROTECT_FILES, path)) {
		snprintf(what, sizeof(what), "file %.300s is protected", path);
		return policy_refuse(policy, protect, POLICY_PROTECT_FILES, err, what);
	}
	if (!params_count(allow, POLICY_ALLOW_FILES) ||
	    policy_matches(allow, POLICY_ALLOW_FILES, path))
		return target->namespace_fd < 0
			       ? 0
			       : policy_check_mounts(policy, target->namespace_fd, err);
	snprintf(what, sizeof(what), "file %.300s", path);
	return policy_refuse(policy, allow, POLICY_ALLOW_FILES, err, what);
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
		result = policy_check_process(policy, &target->processes[i], err);
	if (result == 0 && target->kind == TARGET_PROCESS)
		result = policy_check_share(policy, target, err);
	return result;
}
