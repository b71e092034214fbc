/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Control groups: where they are mounted, which processes are in one, and the freezer of cgroup v2.
 * A machine has cgroup v2 alone, v1 alone, or both (hybrid: v2 without controllers, yet with a
 * freezer, at /sys/fs/cgroup/unified). The v1 freezer is only found, never used: what it froze
 * cannot even be killed.
 */
#ifndef SQUALL_KERNEL_CGROUP_H
#define SQUALL_KERNEL_CGROUP_H

#include "injector/base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define CGROUP_PATH_SIZE 768 /* mount point and path together */

struct cgroup_mounts { /* "" for what is not mounted */
	char unified[256];
	char systemd_v1[256]; /* name=systemd: where systemd keeps units without cgroup v2 */
	char freezer_v1[256];
};

/* One group, by name. */
struct cgroup {
	bool is_unified; /* in cgroup v2; else in name=systemd */
	unsigned mount_length;
	char directory[CGROUP_PATH_SIZE];
};

/* Its path below the mount, as in /proc/PID/cgroup. */
static inline const char *cgroup_path(const struct cgroup *cgroup)
{
	return cgroup->directory + cgroup->mount_length;
}

/* From /proc/self/mountinfo (below proc_root()). -ENOENT with a remedy when there is none at all.
 */
int cgroup_find_mounts(struct cgroup_mounts *out, struct error *err);

/* The root of cgroup v2 as a directory's descriptor, whether it is mounted here or not (`ip netns
 * exec` hides it). Nothing is mounted: what is made lives as long as the descriptor. -ENODEV: the
 * kernel has none. */
int cgroup_open_root(int *out_fd, struct error *err);

/* A path below the mount, or with the mount point in front. The group exists in cgroup v2 or, on a
 * machine without it, in name=systemd. The root group is -EINVAL: it is the whole machine. */
int cgroup_open_path(const struct cgroup_mounts *mounts, const char *path, struct cgroup *out,
		     struct error *err);
/* A unit of the system's manager ("nginx" means nginx.service), else of the only user manager that
 * has it: -ENOTUNIQ with the candidates named. Or all units of the system's manager whose name
 * matches a pattern (fnmatch; "web-*" means "web-*.service"), else those of the user managers. At
 * least one, newly allocated, or -ENOENT. Asks the kernel, not the manager. */
int cgroup_find_units(const struct cgroup_mounts *mounts, const char *unit, struct cgroup **out,
		      unsigned *out_count, struct error *err);

/* All processes in it and below, sorted, newly allocated (the caller frees; NULL for none).
 * out_hidden (may be NULL): how many are invisible from our pid namespace. A group that is gone has
 * no members. */
int cgroup_members(const struct cgroup *cgroup, pid_t **out, unsigned *out_count,
		   unsigned *out_hidden, struct error *err);
/* The numbers of it and of the groups below, as the kernel knows them; allocated as above. */
int cgroup_ids(const struct cgroup *cgroup, uint64_t **out, unsigned *out_count, struct error *err);
/* Is a path as in /proc/PID/cgroup in it or below? */
bool cgroup_contains(const struct cgroup *cgroup, const char *path);

/* The freezer, through a descriptor of the group's directory. */
/* What was asked for: the value of cgroup.freeze, 0 or 1; -errno (-ENODEV, -ENOENT: the group is
 * gone). */
int cgroup_read_freeze(int directory);
/* What is: 1 when every process in it is frozen, for whatever reason (an ancestor counts). */
int cgroup_read_frozen(int directory);
int cgroup_write_freeze(int directory, bool freeze);
/* Waits for cgroup_read_frozen() to be `wanted`; -ETIMEDOUT after timeout_ns. */
int cgroup_wait_frozen(int directory, bool wanted, int64_t timeout_ns);

#endif
