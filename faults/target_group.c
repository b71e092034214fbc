/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The control groups of a traffic target while it is in use: whether they are there, and what is
 * said of them. How they are found: target_group_resolve.c.
 */
#include "faults/target_group.h"

#include "faults/target_follow.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

bool target_follows_groups(const struct params *params)
{
	return target_follows(params) &&
	       (params_is_set(params, TRAFFIC_CGROUP) || params_is_set(params, TRAFFIC_UNIT));
}

/* Its files cannot be opened any more. */
bool target_group_is_removed(const struct target_group *group)
{
	return faccessat(group->fd, "cgroup.procs", F_OK, 0) < 0 &&
	       (errno == ENOENT || errno == ENODEV);
}

/* The one that has its name now. */
static bool take_again(struct target_group *group)
{
	int fd = open(group->cgroup.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
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
	return true;
}

bool target_group_look_again(struct target *target, char *out, size_t size)
{
	size_t used = 0;

	out[0] = '\0';
	for (unsigned i = 0; i < target->group_count; i++) {
		struct target_group *group = &target->groups[i];
		const bool is_back = target_group_is_removed(group) && take_again(group);
		const bool is_away = !is_back && target_group_is_removed(group);

		if (!is_back && is_away == group->is_away)
			continue;
		group->is_away = is_away;
		if (used < size)
			used += (size_t)snprintf(
				out + used, size - used, "%scontrol group %s %s", used ? "; " : "",
				cgroup_path(&group->cgroup),
				is_away ? "was removed: it is waited for"
					: "is there again, and is affected from now on");
	}
	return used > 0;
}

int target_group_check(const struct target *target, struct error *err)
{
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
				  "followed: %s; when it was restarted, it is affected again",
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
