/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Shared between target_group_resolve.c and target_group_containers.c.
 */
#ifndef SQUALL_TARGET_GROUP_RESOLVE_H
#define SQUALL_TARGET_GROUP_RESOLVE_H

#include "faults/target_group.h"
#include "injector/kernel/cgroup.h"

#define TARGET_GROUP_REMEDY                                                                        \
	"boot with systemd.unified_cgroup_hierarchy=1, or start them in a group of cgroup v2"

/* Where they live. */
struct target_group_place {
	bool is_given;		   /* by the target: it is not looked for */
	int fd;			   /* of the network namespace, or -1 */
	pid_t pid;		   /* a process of it */
	struct target_places *all; /* they are only looked for, each one; else NULL */
};

/* The namespace of a process joins that of the others. */
int target_group_add_namespace(pid_t pid, struct target_group_place *place, struct error *err);
/* Where cgroup v2 is to be found, also if its mounts are hidden. */
int target_group_find_mounts(struct cgroup_mounts *out, struct error *err);
/* How far below the root of cgroup v2 it is. */
unsigned target_group_level(const char *path);
/* Unless one that is there already contains it. */
int target_group_add(struct target *target, const struct cgroup *cgroup, struct error *err);
/* target_group_containers.c */
int target_group_find_containers(struct target *target, struct target_group_place *place,
				 struct error *err);

#endif
