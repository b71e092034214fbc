/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The control groups of a traffic target while it is in use: whether they are there, and what is
 * said of them. How they are found: target_group_resolve.c.
 */
#include "faults/target_group.h"

#include "faults/target_follow.h"
#include "faults/target_group_resolve.h"
#include "faults/target_namespace.h"
#include "injector/base/cleanup.h"
#include "injector/base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOK_NS	   (400 * NSEC_PER_MSEC) /* from one look for a container to the next, at least */
#define LOOK_PAUSE 20			 /* and so many times as long as it took */

bool target_follows_groups(const struct params *params)
{
	if (params->table == process_params && params->settings)
		return params_number(params, PROCESS_FOLLOW, 0);
	return target_follows(params) &&
	       (params_is_set(params, TRAFFIC_CGROUP) || params_is_set(params, TRAFFIC_UNIT) ||
		params_is_set(params, TRAFFIC_CONTAINER));
}

/* Its files cannot be opened any more. */
bool target_group_is_removed(const struct target_group *group)
{
	return faccessat(group->fd, "cgroup.procs", F_OK, 0) < 0 &&
	       (errno == ENOENT || errno == ENODEV);
}

/* The one that has its name now. */
static bool take_again(struct target_group *group, const struct cgroup *cgroup)
{
	int fd = open(cgroup->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat about;

	if (fd < 0)
		return false;
	if (fstat(fd, &about) < 0) {
		close(fd);
		return false;
	}
	close(group->fd);
	group->fd = fd;
	group->id = about.st_ino;
	group->cgroup = *cgroup;
	group->level = target_group_level(cgroup_path(cgroup));
	return true;
}

static int compare_namespace(const struct target *target, pid_t pid, bool *out_is_same)
{
	struct namespace_id wanted = {0}, its = {0};
	cleanup_fd int fd = -1;
	int result = namespace_open_pid(pid, &fd, NULL);

	if (result == 0)
		result = namespace_identify(target->namespace_fd, &wanted, NULL);
	if (result == 0)
		result = namespace_identify(fd, &its, NULL);
	*out_is_same = result == 0 && namespace_is_same(&wanted, &its);
	return result;
}

/* It may have another number now, and another group. */
static bool find_container(const struct target *target, const struct target_group *group,
			   bool *out_is_elsewhere, struct cgroup *out)
{
	struct target_container found;
	struct cgroup_mounts mounts;
	bool is_same = true; /* processes are met wherever they are */

	if (target_container_find(group->container, &found, NULL) < 0 || !found.group[0] ||
	    (target->kind == TARGET_TRAFFIC && compare_namespace(target, found.pid, &is_same) < 0))
		return false;
	*out_is_elsewhere = !is_same;
	return is_same && target_group_find_mounts(&mounts, NULL) == 0 &&
	       cgroup_open_path(&mounts, found.group, out, NULL) == 0;
}

static bool is_there_again(const struct target *target, struct target_group *group)
{
	const int64_t began_ns = clock_now_ns();
	struct cgroup cgroup = group->cgroup;
	int64_t pause_ns;
	bool is_found;

	if (!group->container[0])
		return take_again(group, &cgroup);
	if (began_ns < group->look_ns)
		return false;
	is_found = find_container(target, group, &group->is_elsewhere, &cgroup);
	pause_ns = (clock_now_ns() - began_ns) * LOOK_PAUSE;
	group->look_ns = clock_now_ns() + (pause_ns > LOOK_NS ? pause_ns : LOOK_NS);
	return is_found && take_again(group, &cgroup);
}

/* That of a container, where nobody else is: nothing can come back into it. */
static bool has_lost_namespace(const struct target *target)
{
	struct namespace_id id;
	pid_t pid;

	return target->kind == TARGET_TRAFFIC &&
	       params_is_set(&target->params, TRAFFIC_CONTAINER) && target->namespace_fd >= 0 &&
	       target_namespace_is_of_process(target->namespace_name) &&
	       namespace_identify(target->namespace_fd, &id, NULL) == 0 &&
	       namespace_find_process(&id, &pid, NULL) == -ENOENT;
}

static size_t say_change(const struct target_group *group, char *out, size_t size)
{
	const char *path = cgroup_path(&group->cgroup);
	const char *what = group->is_away ? "was removed: it is waited for"
					  : "is there again, and is affected from now on";

	if (group->container[0])
		return (size_t)snprintf(out, size, "container %s (control group %s) %s",
					group->container, path, what);
	return (size_t)snprintf(out, size, "control group %s %s", path, what);
}

bool target_group_look_again(struct target *target, char *out, size_t size)
{
	size_t used = 0;

	out[0] = '\0';
	for (unsigned i = 0; i < target->group_count; i++) {
		struct target_group *group = &target->groups[i];
		const bool is_back =
			target_group_is_removed(group) && is_there_again(target, group);
		const bool is_away = !is_back && target_group_is_removed(group);

		if (!is_back && is_away == group->is_away)
			continue;
		if (is_away && has_lost_namespace(target))
			continue; /* the fault finds that out, and its end is told */
		group->is_away = is_away;
		if (used && used < size)
			used += (size_t)snprintf(out + used, size - used, "; ");
		if (used < size)
			used += say_change(group, out + used, size - used);
	}
	return used > 0;
}

void target_group_say_ended(const struct target *target, struct error *inout)
{
	if (inout && inout->code == ESTALE && has_lost_namespace(target))
		error_set(inout, ESTALE,
			  "%s has ended, and its network namespace with it; started again it has "
			  "another one, for which the experiment is to be run again",
			  target->owner_text);
}

int target_group_check(const struct target *target, struct error *err)
{
	for (unsigned i = 0; i < target->group_count; i++)
		if (target->groups[i].is_elsewhere)
			return error_set(err, ESTALE,
					 "container %s was started again in another network "
					 "namespace, for which the experiment is to be run again",
					 target->groups[i].container);
	if (target_follows_groups(&target->params))
		return 0;
	for (unsigned i = 0; i < target->group_count; i++)
		if (target_group_is_removed(&target->groups[i]))
			return error_set(err, ESTALE, "control group %s was removed",
					 cgroup_path(&target->groups[i].cgroup));
	return 0;
}

int target_group_list(const struct target *target, struct plan *plan)
{
	int result = 0;

	if (!target->group_count && target->owner_text[0])
		return plan_add(plan, PLAN_TARGET,
				"of %s: everything in its network namespace, which is all that "
				"tells it from others here (no cgroup v2)",
				target->owner_text);
	for (unsigned i = 0; result == 0 && i < target->group_count; i++)
		result = plan_add(plan, PLAN_TARGET, "only of control group %s (%s)",
				  cgroup_path(&target->groups[i].cgroup), target->owner_text);
	if (result == 0 && target->group_count && target_follows_groups(&target->params))
		result = plan_add(plan, PLAN_TARGET,
				  params_is_set(&target->params, TRAFFIC_CONTAINER)
					  ? "followed: %s; when it was restarted in the same "
					    "network namespace, it is affected again; in another "
					    "one, the run ends"
					  : "followed: %s; when it was restarted, it is affected "
					    "again",
				  target->owner_text);
	if (result == 0 && target->group_count)
		result = plan_add(plan, PLAN_NOTE,
				  "sockets belong to the control group they were made in: those "
				  "that systemd passes on (socket activation) are its own");
	if (result == 0 && target->group_count)
		result = plan_add(plan, PLAN_NOTE,
				  "what the kernel says by itself is nobody's and not affected: "
				  "answers to ping, resets");
	return result;
}

void target_group_free(struct target *target)
{
	for (unsigned i = 0; i < target->group_count; i++)
		close(target->groups[i].fd);
	free(target->groups);
	target->groups = NULL;
	target->group_count = 0;
	free(target->container_pids);
	target->container_pids = NULL;
	target->container_count = 0;
}
