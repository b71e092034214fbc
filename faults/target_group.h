/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Whose traffic: from `cgroup`, `unit`, `container` or `of` of a traffic target to control groups
 * (cgroup v2), and to the network namespace that their processes live in. A socket belongs to the
 * group it was made in, for ever; what is in a group below belongs to it, too.
 */
#ifndef SQUALL_TARGET_GROUP_H
#define SQUALL_TARGET_GROUP_H

#include "faults/fault.h"

/* target_group_resolve.c: fills target->groups (none: everybody's traffic) and, unless `namespace`
 * is given, the network namespace (-1: our own). */
int target_group_resolve(struct target *target, const struct target_guard *guard,
			 struct error *err);
/* Only where its processes live, each namespace once. */
struct target_places;
int target_group_find_places(const struct target *whole, const struct target_guard *guard,
			     struct target_places *out, struct error *err);
/* Of a process target whose control group is followed: that one. */
int target_group_pin(struct target *target, const struct cgroup *cgroup, struct error *err);
/* It selects by whose traffic it is, whether that takes groups or only a namespace. */
bool target_group_is_asked(const struct params *params);
/* -ESTALE: a group was removed: a unit that was stopped. Where they are followed it may come back;
 * then: a container that has come back in another network namespace. */
int target_group_check(const struct target *target, struct error *err);
bool target_group_is_removed(const struct target_group *group);
/* `follow: true`: by its name a unit, control group or container is found again when it was
 * restarted. Of processes it is not known who they are. */
bool target_follows_groups(const struct params *params);
/* Looks whether one has gone or come back under its name, and says so in `out`; true: something is
 * otherwise. */
bool target_group_look_again(struct target *target, char *out, size_t size);
/* Why a fault went out of force is said in other words, if it was for the end of a container. */
void target_group_say_ended(const struct target *target, struct error *inout);
/* The groups, for a plan; or that there are none but a namespace. */
int target_group_list(const struct target *target, struct plan *plan);
void target_group_free(struct target *target);

/* target_container.c: a running container of docker, podman, containerd or CRI-O, by its name or
 * the beginning of its number. */
struct target_container {
	char id[80];
	char name[128];		      /* as the runtime says, or its number */
	pid_t pid;		      /* of its first process, checked to be in its control group */
	char group[CGROUP_PATH_SIZE]; /* of cgroup v2; "": it has none of its own */
	char group_v1[CGROUP_PATH_SIZE]; /* of name=systemd; "": as above */
};
int target_container_find(const char *name, struct target_container *out, struct error *err);
/* Adds to a list those that run and match a pattern ("web-*"), at least one; or the one of
 * that name. None is there twice. The caller frees. */
#define TARGET_CONTAINERS_MAX 256
int target_containers_find(const char *name, struct target_container **inout, unsigned *inout_count,
			   struct error *err);
/* For tests: another root directory than "/" for the state files. NULL: "/" again. */
void target_container_set_root(const char *root);

#endif
