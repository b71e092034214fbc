/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * From `cgroup`, `unit` and `container` of a process target to control groups. Several values of a
 * key are met all, several keys narrow each other down.
 */
#include "faults/process_match.h"

#include "faults/target.h"
#include "faults/target_group.h"
#include "injector/base/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const unsigned keys[] = {PROCESS_CGROUP, PROCESS_UNIT, PROCESS_CONTAINER};
#define KEY_COUNT (sizeof(keys) / sizeof(*keys))

struct groups {
	struct cgroup *list; /* owned */
	unsigned count;
};

bool process_match_has_groups(const struct params *params)
{
	for (unsigned i = 0; i < KEY_COUNT; i++)
		if (params_is_set(params, keys[i]))
			return true;
	return false;
}

bool process_match_is_whole_groups(const struct params *params)
{
	for (unsigned i = PROCESS_PID; i < PROCESS_ALLOW_CRITICAL; i++) {
		bool is_key = false;

		for (unsigned k = 0; k < KEY_COUNT; k++)
			is_key |= keys[k] == i;
		if (!is_key && params_is_set(params, i))
			return false;
	}
	return process_match_has_groups(params);
}

static bool is_within(const struct cgroup *inner, const struct cgroup *outer)
{
	return inner->is_unified == outer->is_unified && cgroup_contains(outer, cgroup_path(inner));
}

static int add(struct groups *groups, const struct cgroup *group, struct error *err)
{
	unsigned kept = 0;
	struct cgroup *grown;

	for (unsigned i = 0; i < groups->count; i++)
		if (is_within(group, &groups->list[i]))
			return 0;
	for (unsigned i = 0; i < groups->count; i++)
		if (!is_within(&groups->list[i], group))
			groups->list[kept++] = groups->list[i];
	groups->count = kept;
	grown = reallocarray(groups->list, groups->count + 1, sizeof(*grown));
	if (!grown)
		return error_errno(err, ENOMEM, "control group %s", cgroup_path(group));
	groups->list = grown;
	groups->list[groups->count++] = *group;
	return 0;
}

static int add_units(struct groups *groups, const struct cgroup_mounts *mounts, const char *unit,
		     struct error *err)
{
	cleanup_free struct cgroup *found = NULL;
	unsigned count = 0;
	int result = cgroup_find_units(mounts, unit, &found, &count, err);

	for (unsigned i = 0; result == 0 && i < count; i++)
		result = add(groups, &found[i], err);
	return result;
}

static int add_container(struct groups *groups, const struct cgroup_mounts *mounts,
			 const struct target_container *container, struct error *err)
{
	struct cgroup_mounts of_v1 = *mounts;
	bool is_v2 = container->group[0] && *mounts->unified;
	struct cgroup group;
	int result;

	of_v1.unified[0] = '\0';
	if (!is_v2 && (!container->group_v1[0] || !*mounts->systemd_v1))
		return error_set(err, EOPNOTSUPP,
				 "container '%s': its control group is not mounted here",
				 container->name);
	result = cgroup_open_path(is_v2 ? mounts : &of_v1,
				  is_v2 ? container->group : container->group_v1, &group, err);
	return result < 0 ? error_prefix(err, "container '%s'", container->name)
			  : add(groups, &group, err);
}

static int add_containers(struct groups *groups, const struct cgroup_mounts *mounts,
			  const char *name, struct error *err)
{
	cleanup_free struct target_container *found = NULL;
	unsigned count = 0;
	int result = target_containers_find(name, &found, &count, err);

	for (unsigned i = 0; result == 0 && i < count; i++)
		result = add_container(groups, mounts, &found[i], err);
	return result;
}

static int add_value(struct groups *groups, const struct cgroup_mounts *mounts, unsigned key,
		     const char *text, struct error *err)
{
	struct cgroup group;
	int result;

	if (key == PROCESS_UNIT)
		return add_units(groups, mounts, text, err);
	if (key == PROCESS_CONTAINER)
		return add_containers(groups, mounts, text, err);
	result = cgroup_open_path(mounts, text, &group, err);
	return result < 0 ? result : add(groups, &group, err);
}

/* What is in both: the narrower of each two of which one is in the other. */
static int intersect(struct groups *groups, const struct groups *others, struct error *err)
{
	struct groups common = {0};
	int result = 0;

	for (unsigned i = 0; i < groups->count; i++)
		for (unsigned k = 0; result == 0 && k < others->count; k++) {
			const struct cgroup *one = &groups->list[i], *other = &others->list[k];

			if (is_within(one, other))
				result = add(&common, one, err);
			else if (is_within(other, one))
				result = add(&common, other, err);
		}
	free(groups->list);
	*groups = common;
	return result;
}

static int refuse_nothing_in_common(const struct params *params, struct error *err)
{
	char words[400];

	process_match_describe(params, words, sizeof(words));
	return error_set(err, ENOENT, "the control groups of %s have no process in common", words);
}

int process_match_groups(const struct params *params, struct cgroup **out, unsigned *out_count,
			 struct error *err)
{
	struct cgroup_mounts mounts;
	struct groups groups = {0}, more = {0};
	bool is_first = true;
	int result = cgroup_find_mounts(&mounts, err);

	for (unsigned k = 0; result == 0 && k < KEY_COUNT; k++) {
		if (!params_is_set(params, keys[k]))
			continue;
		for (unsigned i = 0; result == 0 && i < params_count(params, keys[k]); i++)
			result = add_value(&more, &mounts, keys[k],
					   params_value(params, keys[k], i)->text, err);
		if (result == 0 && !is_first)
			result = intersect(&groups, &more, err);
		else if (result == 0)
			groups = more;
		if (result < 0 || !is_first)
			free(more.list);
		more = (struct groups){0};
		is_first = false;
	}
	if (result == 0 && !groups.count)
		result = refuse_nothing_in_common(params, err);
	if (result < 0) {
		free(groups.list);
		return result;
	}
	*out = groups.list;
	*out_count = groups.count;
	return 0;
}

int process_match_one_group(const struct params *params, struct cgroup *out, struct error *err)
{
	cleanup_free struct cgroup *groups = NULL;
	unsigned count = 0;
	int result;

	if (!process_match_is_whole_groups(params))
		return error_set(err, EINVAL,
				 "the target is not a whole control group, selected by `unit`, "
				 "`cgroup` or `container` alone");
	result = process_match_groups(params, &groups, &count, err);
	if (result < 0)
		return result;
	if (count > 1)
		return error_set(err, EINVAL, "the target is %u control groups, not one", count);
	*out = groups[0];
	return 0;
}
