/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A connect fault whose control group was made again: the unit was restarted. The programs, with
 * all that they have counted, are attached to the new one before the old links are closed; their
 * name stays, by which they are found when it is undone.
 */
#include "faults/connect.h"

#include "faults/process_group.h"
#include "faults/target_group.h"
#include "injector/base/cleanup.h"
#include "injector/kernel/bpf.h"

#include <errno.h>
#include <fcntl.h>

bool connect_is_waiting(const struct fault *fault)
{
	const struct target *target = fault->target;

	return target_follows_groups(&target->params) && target->group_count &&
	       (target->groups[0].is_away || target_group_is_removed(&target->groups[0]));
}

int connect_link(struct connect_state *state, const struct fault *fault, const int programs[2],
		 struct error *err)
{
	static const enum bpf_attach_type places[] = {BPF_CGROUP_INET4_CONNECT,
						      BPF_CGROUP_INET6_CONNECT};
	int links[2] = {-1, -1};
	int result = 0;

	if (connect_is_waiting(fault))
		return 0;
	for (unsigned i = 0; result == 0 && i < 2; i++)
		result = bpf_link_cgroup(programs[i], state->group_fd, places[i], &links[i], err);
	for (unsigned i = 0; result == 0 && i < 2; i++) {
		cleanup_fd_at(&state->links[i]);
		state->links[i] = steal_fd(&links[i]);
	}
	connect_close_pair(links);
	if (result < 0 && connect_is_waiting(fault))
		return 0; /* just now: the next look tells */
	return result < 0 ? error_prefix(err, "%s", state->group.directory) : 0;
}

int connect_follow(struct fault *fault, char *out_note, size_t size, struct error *err)
{
	struct connect_state *state = fault->state;
	const struct target_group *group = fault->target->groups;
	int fd, result;

	(void)out_note;
	(void)size;
	if (connect_is_waiting(fault) || group->id == state->group_id)
		return 0;
	result = process_group_check(&group->cgroup, fault, err);
	if (result < 0)
		return connect_is_waiting(fault) ? 0 : result;
	fd = fcntl(group->fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return error_errno(err, errno, "%s", group->cgroup.directory);
	cleanup_fd_at(&state->group_fd);
	state->group_fd = fd;
	state->group = group->cgroup;
	state->group_id = group->id;
	return state->is_on ? connect_link(state, fault, state->programs, err) : 0;
}
