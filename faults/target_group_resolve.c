/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Control groups are read by name and then held by the descriptor of their directory. Of cgroup v2
 * alone: a packet knows the group of its socket only there.
 *
 * Nobody else's traffic is met by accident: processes that share their group with others are
 * refused, and the remedy says how to select or to separate them.
 */
#include "faults/target_group_resolve.h"

#include "faults/process_match.h"
#include "faults/target_parts.h"
#include "injector/base/cleanup.h"
#include "injector/kernel/cgroup.h"
#include "injector/kernel/namespace.h"
#include "injector/kernel/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GROUPS_MAX 32 /* of one target */

static const unsigned ways[] = {TRAFFIC_CGROUP, TRAFFIC_UNIT, TRAFFIC_CONTAINER, TRAFFIC_OF};

bool target_group_is_asked(const struct params *params)
{
	for (unsigned i = 0; i < sizeof(ways) / sizeof(*ways); i++)
		if (params_is_set(params, ways[i]))
			return true;
	return false;
}

/* `ip netns exec` hides the mounts: then by a mount of our own that nobody sees, kept for the life
 * of this process, because that is how a run finds its groups. */
int target_group_find_mounts(struct cgroup_mounts *out, struct error *err)
{
	static int root = -1;
	struct cgroup_mounts mounts = {0};
	int result = cgroup_find_mounts(&mounts, NULL);

	if (!*mounts.unified) {
		if (root < 0 && cgroup_open_root(&root, NULL) < 0 && result < 0)
			return cgroup_find_mounts(&mounts, err);
		if (root >= 0)
			snprintf(mounts.unified, sizeof(mounts.unified), "/proc/self/fd/%d", root);
	}
	*out = mounts;
	return 0;
}

unsigned target_group_level(const char *path)
{
	unsigned level = 0;

	for (const char *c = path; *c; c++)
		level += c[0] == '/' && c[1] && c[1] != '/';
	return level;
}

/* A group that one of the others contains adds nothing. */
static bool is_covered(const struct target *target, const struct cgroup *cgroup)
{
	for (unsigned i = 0; i < target->group_count; i++)
		if (cgroup_contains(&target->groups[i].cgroup, cgroup_path(cgroup)))
			return true;
	return false;
}

int target_group_add(struct target *target, const struct cgroup *cgroup, struct error *err)
{
	struct target_group group = {.cgroup = *cgroup,
				     .level = target_group_level(cgroup_path(cgroup))};
	struct target_group *grown;
	struct stat about;

	if (!cgroup->is_unified) {
		error_set(
			err, EOPNOTSUPP,
			"control group %s is one of cgroup v1: the kernel tells whose a packet is "
			"by groups of cgroup v2 only",
			cgroup_path(cgroup));
		return error_remedy(err, "%s", TARGET_GROUP_REMEDY);
	}
	if (is_covered(target, cgroup))
		return 0;
	if (target->group_count == GROUPS_MAX)
		return error_set(err, E2BIG, "more than %d control groups", GROUPS_MAX);
	grown = reallocarray(target->groups, target->group_count + 1, sizeof(*grown));
	if (!grown)
		return error_errno(err, ENOMEM, "control group %s", cgroup_path(cgroup));
	target->groups = grown;
	group.fd = open(cgroup->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (group.fd < 0 || fstat(group.fd, &about) < 0) {
		int code = errno;

		if (group.fd >= 0)
			close(group.fd);
		return error_errno(err, code, "%s", cgroup->directory);
	}
	group.id = about.st_ino; /* kernfs: the number by which bpf and nf_tables know it */
	target->groups[target->group_count++] = group;
	return 0;
}

int target_group_pin(struct target *target, const struct cgroup *cgroup, struct error *err)
{
	int result = target_group_add(target, cgroup, err);

	if (result == 0 && params_is_set(&target->params, PROCESS_CONTAINER))
		snprintf(target->groups[0].container, sizeof(target->groups[0].container), "%s",
			 params_text(&target->params, PROCESS_CONTAINER));
	return result;
}

/* The namespace of a process joins that of the others. */
int target_group_add_namespace(pid_t pid, struct target_group_place *place, struct error *err)
{
	struct namespace_id first = {0}, id = {0};
	cleanup_fd int found = -1;
	struct error why = ERROR_INIT;
	int result;

	if (place->all)
		return target_places_add(place->all, pid, NULL, NULL, err);
	result = place->is_given ? -ENOENT : namespace_open_pid(pid, &found, &why);
	if (result == -ENOENT) /* or it has ended meanwhile */
		return 0;
	if (result < 0) {
		if (err)
			*err = why;
		return result;
	}
	if (place->fd < 0) {
		place->fd = steal_fd(&found);
		place->pid = pid;
		return 0;
	}
	result = namespace_identify(place->fd, &first, err);
	if (result == 0)
		result = namespace_identify(found, &id, err);
	if (result < 0 || namespace_is_same(&first, &id))
		return result;
	error_set(err, EINVAL, "its processes live in different network namespaces");
	return error_remedy(err, "say which is meant: namespace: pid:N");
}

/* Those of a group and the groups below. */
static int look_at_members(const struct cgroup *cgroup, struct target_group_place *place,
			   struct error *err)
{
	cleanup_free pid_t *pids = NULL;
	unsigned count = 0, hidden = 0;
	int result = cgroup_members(cgroup, &pids, &count, &hidden, err);

	if (result < 0)
		return result;
	if (count == 0 && hidden == 0) {
		error_set(err, ENOENT, "control group %s has no process", cgroup_path(cgroup));
		return error_remedy(err, "start what is meant before");
	}
	for (unsigned i = 0; result == 0 && i < count; i++)
		result = target_group_add_namespace(pids[i], place, err);
	return result;
}

static int add_found(struct target *target, const struct cgroup *found, unsigned count,
		     struct target_group_place *place, struct error *err)
{
	int result = 0;

	for (unsigned i = 0; result == 0 && i < count; i++) {
		result = target_group_add(target, &found[i], err);
		if (result == 0)
			result = look_at_members(&found[i], place, err);
	}
	return result;
}

static int find_units(struct target *target, const struct cgroup_mounts *mounts, const char *unit,
		      struct target_group_place *place, struct error *err)
{
	cleanup_free struct cgroup *found = NULL;
	unsigned count = 0;
	int result = cgroup_find_units(mounts, unit, &found, &count, err);

	return result < 0 ? result : add_found(target, found, count, place, err);
}

static int find_by_path(struct target *target, struct target_group_place *place, struct error *err)
{
	const bool is_unit = params_is_set(&target->params, TRAFFIC_UNIT);
	const unsigned key = is_unit ? TRAFFIC_UNIT : TRAFFIC_CGROUP;
	struct cgroup_mounts mounts;
	struct cgroup cgroup;
	int result = target_group_find_mounts(&mounts, err);

	for (unsigned i = 0; result == 0 && i < params_count(&target->params, key); i++) {
		const char *name = params_value(&target->params, key, i)->text;

		if (is_unit) {
			result = find_units(target, &mounts, name, place, err);
			continue;
		}
		result = cgroup_open_path(&mounts, name, &cgroup, err);
		if (result == 0)
			result = add_found(target, &cgroup, 1, place, err);
	}
	return result;
}

/* The group of cgroup v2 that a process is in; -ENOENT without words: only in the root, which is
 * everybody who is in no other. */
static int group_of(pid_t pid, struct cgroup *out, struct error *err)
{
	struct cgroup_mounts mounts = {0};
	char path[CGROUP_PATH_SIZE];
	int result = proc_read_cgroup(pid, "", path, sizeof(path));

	if (result < 0 || strcmp(path, "/") == 0 || strncmp(path, "/..", 3) == 0)
		return -ENOENT;
	result = target_group_find_mounts(&mounts, err);
	if (result < 0 || !*mounts.unified)
		return -ENOENT;
	return cgroup_open_path(&mounts, path, out, err);
}

static bool has_process(const struct target *target, pid_t pid)
{
	for (unsigned i = 0; i < target->process_count; i++)
		if (target->processes[i].id.pid == pid)
			return true;
	return false;
}

/* Everybody in the group must be meant. */
static int refuse_strangers(const struct cgroup *cgroup, const struct target *processes,
			    struct error *err)
{
	cleanup_free pid_t *pids = NULL;
	unsigned count = 0, hidden = 0, strangers = 0;
	char name[PROC_COMM_SIZE] = "";
	pid_t first = 0;
	int result = cgroup_members(cgroup, &pids, &count, &hidden, err);

	for (unsigned i = 0; result == 0 && i < count; i++)
		if (!has_process(processes, pids[i]) && strangers++ == 0)
			first = pids[i];
	if (result < 0 || strangers + hidden == 0)
		return result;
	if (first && proc_read_comm(first, name, sizeof(name)) >= 0)
		proc_make_printable(name);
	error_set(err, EINVAL,
		  "of '%s': its processes share control group %s with %u other%s (process %d %s), "
		  "whose traffic cannot be told from theirs",
		  processes->name, cgroup_path(cgroup), strangers + hidden,
		  strangers + hidden == 1 ? "" : "s", first, name);
	return error_remedy(err,
			    "if all of them are meant: cgroup: %s; else give what is meant a group "
			    "of its own: systemd-run --scope COMMAND",
			    cgroup_path(cgroup));
}

static int add_process(struct target *target, const struct target *processes, pid_t pid,
		       struct error *err)
{
	struct cgroup cgroup;
	int result = group_of(pid, &cgroup, err);

	if (result == -ENOENT) {
		error_set(
			err, EOPNOTSUPP,
			"of '%s': process %d is in no control group of cgroup v2 but the root, as "
			"everybody else",
			processes->name, pid);
		return error_remedy(err, "%s", TARGET_GROUP_REMEDY);
	}
	if (result < 0 || is_covered(target, &cgroup))
		return result;
	result = refuse_strangers(&cgroup, processes, err);
	return result < 0 ? result : target_group_add(target, &cgroup, err);
}

static int find_by_processes(struct target *target, const struct target_guard *guard,
			     struct target_group_place *place, struct error *err)
{
	const char *name = params_text(&target->params, TRAFFIC_OF);
	const struct target *found =
		guard && guard->find ? guard->find(guard->context, name) : NULL;
	cleanup_free struct cgroup *groups = NULL;
	unsigned count = 0;
	int result = 0;

	if (!found || found->kind != TARGET_PROCESS || !found->is_resolved)
		return error_set(err, EINVAL, "of: '%s' is no process target of this experiment",
				 name);
	/* whole groups, with what starts in them later */
	if (process_match_is_whole_groups(&found->params)) {
		result = process_match_groups(&found->params, &groups, &count, err);
		return result < 0 ? result : add_found(target, groups, count, place, err);
	}
	for (unsigned i = 0; result == 0 && i < found->process_count; i++) {
		result = add_process(target, found, found->processes[i].id.pid, err);
		if (result == 0)
			result = target_group_add_namespace(found->processes[i].id.pid, place, err);
	}
	return result;
}

static int check_ways(const struct target *target, const char **out_name, struct error *err)
{
	const struct params *params = &target->params;

	*out_name = NULL;
	for (unsigned i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		const char *name = params->table[ways[i]].name;

		if (!params_is_set(params, ways[i]))
			continue;
		if (*out_name)
			return error_set(err, EINVAL, "%s and %s: give one of them", *out_name,
					 name);
		*out_name = name;
	}
	if (*out_name && params_number(params, TRAFFIC_NEIGHBOURS, 0))
		return error_set(
			err, EINVAL,
			"neighbours: ARP and neighbour discovery are the kernel's own, not "
			"of any %s",
			*out_name);
	return 0;
}

/* Unless it is ours. */
static int take_namespace(struct target *target, struct target_group_place *place,
			  struct error *err)
{
	struct namespace_id own = {0}, its = {0};
	int result = namespace_identify(-1, &own, err);

	if (result == 0)
		result = namespace_identify(place->fd, &its, err);
	if (result < 0 || namespace_is_same(&own, &its))
		return result;
	snprintf(target->namespace_name, sizeof(target->namespace_name), "pid:%d", place->pid);
	target->namespace_fd = steal_fd(&place->fd);
	return 0;
}

/* "unit nginx", "container web-1, web-2" */
static void say_owner(struct target *target, unsigned way)
{
	const struct params *params = &target->params;
	const size_t size = sizeof(target->owner_text);
	size_t used = (size_t)snprintf(target->owner_text, size, "%s",
				       way == TRAFFIC_OF ? "target" : params->table[way].name);

	if (way == TRAFFIC_CONTAINER && target->part_text[0]) {
		snprintf(target->owner_text + used, size - used, " %s", target->part_text);
		return;
	}
	for (unsigned i = 0; used < size && i < params_count(params, way); i++)
		used += (size_t)snprintf(target->owner_text + used, size - used, "%s %.140s",
					 i ? "," : "", params_value(params, way, i)->text);
}

static int find(struct target *target, const struct target_guard *guard,
		struct target_group_place *place, struct error *err)
{
	const struct params *params = &target->params;

	if (params_is_set(params, TRAFFIC_CGROUP) || params_is_set(params, TRAFFIC_UNIT))
		return find_by_path(target, place, err);
	if (params_is_set(params, TRAFFIC_CONTAINER))
		return target_group_find_containers(target, place, err);
	return find_by_processes(target, guard, place, err);
}

int target_group_find_places(const struct target *whole, const struct target_guard *guard,
			     struct target_places *out, struct error *err)
{
	struct target_group_place place = {.fd = -1, .all = out};
	/* of which nothing but the groups is made here */
	struct target scratch = {.kind = whole->kind, .params = whole->params, .seed = whole->seed};
	const char *way;
	int result = check_ways(whole, &way, err);

	if (result == 0 && way)
		result = find(&scratch, guard, &place, err);
	target_group_free(&scratch);
	return result;
}

int target_group_resolve(struct target *target, const struct target_guard *guard, struct error *err)
{
	const struct params *params = &target->params;
	struct target_group_place place = {.is_given = params_is_set(params, TRAFFIC_NAMESPACE),
					   .fd = -1};
	const char *way;
	int result = check_ways(target, &way, err);

	if (result < 0 || !way)
		return result;
	result = find(target, guard, &place, err);
	if (result == 0 && place.fd >= 0)
		result = take_namespace(target, &place, err);
	if (place.fd >= 0)
		close(place.fd);
	say_owner(target, (unsigned)params_find(params->table, way));
	return result;
}
