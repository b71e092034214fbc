/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A traffic target in several network namespaces (containers that match a pattern, a service whose
 * processes have networks of their own, a list of namespaces) is as many targets, one in each: a
 * fault acts in one.
 */
#ifndef SQUALL_TARGET_PARTS_H
#define SQUALL_TARGET_PARTS_H

#include "faults/target.h"
#include "injector/kernel/namespace.h"

#define TARGET_PARTS_MAX 64

/* What the copies that are made of targets may still take. */
struct target_room {
	size_t values, bytes;
};
/* Looks where it is. 0 parts: in one namespace, and it is to be resolved as it is. Else each is to
 * be resolved by itself, in place of the whole, and no host name is looked up anew; the caller
 * frees the array, and each of them with target_free(). -E2BIG: more than TARGET_PARTS_MAX, or
 * more than there is room for. */
int target_split(const struct target *whole, const struct target_guard *guard,
		 struct target_room *inout_room, struct target **out_parts, unsigned *out_count,
		 struct error *err);
/* When a part is resolved: -EAGAIN, it is not where it was found any more. */
int target_check_part(const struct target *part, struct error *err);

/* Where the processes of a target live; filled by target_group_find_places(). */
struct target_places {
	struct target_place {
		struct namespace_id id;
		char name[256];		/* as `namespace` names it; a file has no longer one */
		char (*containers)[80]; /* their numbers, if it is theirs; owned */
		unsigned container_count;
		char text[80]; /* for people: "web-1, web-2", if it is containers' */
	} list[TARGET_PARTS_MAX];
	unsigned count;
};
/* The namespace of a process that is still there. `container`: number and name of the one that it
 * is of; NULL: it is of none. */
int target_places_add(struct target_places *places, pid_t pid, const char *container,
		      const char *container_name, struct error *err);

#endif
