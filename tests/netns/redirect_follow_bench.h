/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `follow: true` of a fault that redirects: its target's name gets other addresses, once or as fast
 * as rules can be replaced, and its control group goes and comes back. To be included behind a
 * bench of that fault by one test program each.
 */
#ifndef SQUALL_TESTS_REDIRECT_FOLLOW_BENCH_H
#define SQUALL_TESTS_REDIRECT_FOLLOW_BENCH_H

#include "tests/netns/group_bench.h"

#include "faults/target_follow.h"
#include "faults/target_group.h"

#include <pthread.h>
#include <stdatomic.h>

/* As the worker does it. */
static inline int try_move(struct netlab_fault *fault, unsigned host, const char *addresses,
			   struct error *err)
{
	struct target *target = fault->fault.target;
	bool is_changed = false;
	char note[160] = "";
	int result = target_tell_addresses(target, host, addresses, err);

	if (result == 0)
		result = target_end_addresses(target, host, &is_changed, err);
	if (result == 0 && is_changed) {
		result = fault->fault.ops->follow(&fault->fault, note, sizeof(note), err);
		if (result < 0)
			target_swap_addresses(target, host, NULL);
	}
	target_drop_addresses(target, host);
	return result;
}

static inline void move(struct netlab_fault *fault, const char *addresses)
{
	struct error err = ERROR_INIT;

	if (try_move(fault, 0, addresses, &err) < 0)
		fail_msg("%s", err.text);
}

/* Its group is otherwise, which is said in these words. */
static inline void follow_group(struct netlab_fault *fault, const char *words)
{
	struct error err = ERROR_INIT;
	char said[300], note[160];

	assert_true(target_group_look_again(fault->fault.target, said, sizeof(said)));
	assert_non_null(strstr(said, words));
	if (fault->fault.ops->follow(&fault->fault, note, sizeof(note), &err) < 0)
		fail_msg("%s", err.text);
}

static inline void group_stop(void)
{
	child_stop(group_resident);
	group_resident = 0;
	group_remove(group_ours);
}

/* Without anybody in it: a child of this process would hold the fault's table, too. */
static inline void group_start(const char *name)
{
	group_make(name, group_ours);
}

static inline void group_end(void)
{
	group_leave();
	if (group_resident)
		child_stop(group_resident);
	group_remove(group_ours);
}

/* 10.88.0.2 is among them all the time. */
struct changing {
	struct netlab_fault *fault;
	pthread_t thread;
	atomic_bool is_over;
	atomic_uint changes;
	struct error err;
};

static inline void *keep_changing(void *context)
{
	static const char *const addresses[] = {"10.88.0.2", "10.88.0.2 10.88.0.3 fd88::3",
						"fd88::2 10.88.0.2"};
	struct changing *changing = context;

	while (!changing->is_over && !changing->err.code)
		try_move(changing->fault, 0, addresses[++changing->changes % 3], &changing->err);
	return NULL;
}

static inline void begin_changing(struct changing *changing, struct netlab_fault *fault)
{
	*changing = (struct changing){.fault = fault};
	assert_int_equal(pthread_create(&changing->thread, NULL, keep_changing, changing), 0);
}

static inline void end_changing(struct changing *changing, unsigned at_least)
{
	changing->is_over = true;
	pthread_join(changing->thread, NULL);
	if (changing->err.code)
		fail_msg("%s", changing->err.text);
	printf("# %u changes\n", changing->changes);
	assert_true(changing->changes >= at_least);
}

/* A worker that has followed, and is killed: what is written down says how to undo it. */
static inline void kill_after_move(struct netlab *lab, const char *const *settings,
				   const char *addresses)
{
	struct netlab_fault fault;
	struct error err = ERROR_INIT;
	int ends[2];
	pid_t child;
	char byte;

	assert_int_equal(pipe(ends), 0);
	child = fork();
	if (child == 0) {
		if (netlab_fault_plan(lab, &fault, "fo110w", settings, &err) < 0 ||
		    fault.fault.ops->inject(&fault.fault, &err) < 0 ||
		    try_move(&fault, 0, addresses, &err) < 0)
			_exit(1);
		if (write(ends[1], "r", 1) == 1)
			pause();
		_exit(2);
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &byte, 1), 1);
	close(ends[0]);
	netlab_kill(child);
	netlab_undo_all("fo110w");
}

#endif
