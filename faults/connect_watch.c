/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The programs of a connect fault know processes by their numbers, which the kernel gives away
 * again once a process has ended and its parent knows. A pidfd tells of the end before that, and
 * the number leaves the map. Between the two lies the time until this process is woken: who has its
 * number within it would have to be the one of the next millions that are started.
 */
#include "faults/connect.h"

#include "injector/base/cleanup.h"
#include "injector/kernel/bpf.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#define SEEN_AT_ONCE 64

/* Of all connect faults of this process, for its life: somebody's loop watches it. */
static int together = -1;

static uint64_t pack(const struct target_process *process)
{
	return (uint64_t)(uint32_t)process->id.pid << 32 | (uint32_t)process->pidfd;
}

int connect_watch(struct connect_state *state, const struct target *target, struct error *err)
{
	state->watch = epoll_create1(EPOLL_CLOEXEC);
	if (state->watch < 0)
		return error_errno(err, errno, "cannot watch processes");
	for (unsigned i = 0; i < target->process_count; i++) {
		const struct target_process *process = &target->processes[i];
		struct epoll_event event = {.events = EPOLLIN, .data.u64 = pack(process)};
		const uint32_t pid = (uint32_t)process->id.pid;
		uint32_t there;

		if (bpf_map_get(state->process_map, &pid, &there, NULL) < 0)
			continue; /* had ended before */
		if (epoll_ctl(state->watch, EPOLL_CTL_ADD, process->pidfd, &event) < 0)
			return error_errno(err, errno, "cannot watch process %d", process->id.pid);
	}
	connect_drop_ended(state);
	return 0;
}

void connect_drop_ended(struct connect_state *state)
{
	struct epoll_event events[SEEN_AT_ONCE];
	int count;

	if (state->watch < 0)
		return;
	while ((count = epoll_wait(state->watch, events, SEEN_AT_ONCE, 0)) > 0)
		for (int i = 0; i < count; i++) {
			const uint32_t pid = (uint32_t)(events[i].data.u64 >> 32);

			bpf_map_remove(state->process_map, &pid, NULL);
			epoll_ctl(state->watch, EPOLL_CTL_DEL, (int)(uint32_t)events[i].data.u64,
				  NULL);
			state->gone++;
		}
}

void connect_watch_end(struct connect_state *state)
{
	if (state->watch < 0)
		return;
	if (together >= 0)
		epoll_ctl(together, EPOLL_CTL_DEL, state->watch, NULL);
	cleanup_fd_at(&state->watch);
	state->watch = -1;
}

int connect_listen(struct fault *fault, struct error *err)
{
	struct connect_state *state = fault->state;
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = state};

	if (state->watch < 0)
		return error_set(err, ENOENT, "a whole control group has no numbers");
	if (together < 0)
		together = epoll_create1(EPOLL_CLOEXEC);
	if (together < 0 ||
	    (epoll_ctl(together, EPOLL_CTL_ADD, state->watch, &event) < 0 && errno != EEXIST))
		return error_errno(err, errno, "cannot watch processes");
	return together;
}

/* None is out of force by that: the others of it are still met. */
void connect_hear(void (*concerned)(void *context, struct fault *fault), void *context)
{
	struct epoll_event events[SEEN_AT_ONCE];
	int count = together < 0 ? 0 : epoll_wait(together, events, SEEN_AT_ONCE, 0);

	(void)concerned;
	(void)context;
	for (int i = 0; i < count; i++)
		connect_drop_ended(events[i].data.ptr);
}
