/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The control groups of containers (target_container.c finds those), and which of them are drawn.
 */
#include "faults/target_group_resolve.h"

#include "faults/target_parts.h"
#include "injector/base/cleanup.h"
#include "injector/base/random.h"
#include "injector/kernel/namespace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int note_container(struct target *target, pid_t pid, struct error *err)
{
	pid_t *grown =
		reallocarray(target->container_pids, target->container_count + 1, sizeof(*grown));

	if (!grown)
		return error_errno(err, ENOMEM, "containers");
	target->container_pids = grown;
	grown[target->container_count++] = pid;
	return 0;
}

static int refuse_groupless(const struct target_container *container, struct error *err)
{
	error_set(err, EOPNOTSUPP,
		  "container '%s' has neither a network namespace nor a control group of cgroup v2 "
		  "of its own: its packets cannot be told from others'",
		  container->name);
	return error_remedy(err, "%s", TARGET_GROUP_REMEDY);
}

/* *inout_is_nameless: its namespace alone tells it from others. */
static int take_container(struct target *target, const struct target_container *container,
			  struct target_group_place *place, bool *inout_is_nameless,
			  struct error *err)
{
	const unsigned count = target->group_count;
	struct namespace_id own = {0}, its = {0};
	struct cgroup_mounts mounts;
	struct cgroup cgroup;
	int result;

	if (place->all)
		return target_places_add(place->all, container->pid, container->id, container->name,
					 err);
	result = note_container(target, container->pid, err);
	if (result == 0)
		result = target_group_add_namespace(container->pid, place, err);
	if (result == 0)
		result = namespace_identify(-1, &own, err);
	if (result == 0 && place->fd >= 0)
		result = namespace_identify(place->fd, &its, err);
	if (result < 0)
		return result;
	if (container->group[0]) {
		result = target_group_find_mounts(&mounts, err);
		if (result == 0)
			result = cgroup_open_path(&mounts, container->group, &cgroup, err);
		if (result == 0)
			result = target_group_add(target, &cgroup, err);
		if (target->group_count > count)
			snprintf(target->groups[count].container,
				 sizeof(target->groups[count].container), "%s", container->name);
		return result;
	}
	if (place->fd < 0 || namespace_is_same(&own, &its))
		return refuse_groupless(container, err);
	*inout_is_nameless = true; /* everything in its namespace is its, and its pod's */
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	const struct target_container *one = a, *other = b;
	int result = strverscmp(one->name, other->name);

	return result ? result : strcmp(one->id, other->id);
}

/* The same ones with the same seed and names; how many. */
static unsigned draw(struct target_container *found, unsigned count, const struct target *target)
{
	const unsigned most = (unsigned)params_number(&target->params, TRAFFIC_CONTAINER_COUNT,
						      TARGET_CONTAINERS_MAX);
	uint64_t seed = target->seed;

	if (count <= most)
		return count;
	qsort(found, count, sizeof(*found), compare_names);
	for (unsigned i = 0; i < most; i++) {
		const unsigned other = i + (unsigned)(random_next(&seed) % (count - i));
		struct target_container swap = found[i];

		found[i] = found[other];
		found[other] = swap;
	}
	return most;
}

static void say_drawn(struct target *target, const struct target_container *found, unsigned count)
{
	size_t used = 0;

	for (unsigned i = 0; i < count && used < sizeof(target->part_text); i++)
		used += (size_t)snprintf(target->part_text + used, sizeof(target->part_text) - used,
					 "%s%s", i ? ", " : "", found[i].name);
}

int target_group_find_containers(struct target *target, struct target_group_place *place,
				 struct error *err)
{
	cleanup_free struct target_container *found = NULL;
	bool is_nameless = false;
	unsigned count = 0, drawn;
	int result = 0;

	for (unsigned i = 0; result == 0 && i < params_count(&target->params, TRAFFIC_CONTAINER);
	     i++)
		result = target_containers_find(
			params_value(&target->params, TRAFFIC_CONTAINER, i)->text, &found, &count,
			err);
	drawn = result == 0 ? draw(found, count, target) : 0;
	if (drawn < count)
		say_drawn(target, found, drawn);
	count = drawn;
	for (unsigned i = 0; result == 0 && i < count; i++)
		result = take_container(target, &found[i], place, &is_nameless, err);
	if (result == 0 && is_nameless && target->group_count)
		return error_set(err, EOPNOTSUPP,
				 "some of the containers have control groups of cgroup v2, others "
				 "have not: give each a target of its own");
	return result;
}
