/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A control group with somebody in it, which the test program enters and leaves. To be included by
 * one test program each.
 */
#ifndef SQUALL_TESTS_GROUP_BENCH_H
#define SQUALL_TESTS_GROUP_BENCH_H

#include "tests/support/children.h"

#include "injector/kernel/cgroup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static char group_ours[128], group_root[300];
static pid_t group_resident;

static inline void group_bench_begin(const char *name)
{
	struct cgroup_mounts mounts;

	assert_int_equal(cgroup_find_mounts(&mounts, NULL), 0);
	snprintf(group_root, sizeof(group_root), "%s", mounts.unified);
	children_init();
	group_make(name, group_ours);
	group_resident = child_start(CHILD_SLEEPS, group_ours);
}

static inline void group_enter(void)
{
	group_write(group_ours, "cgroup.procs", "0");
}

static inline void group_leave(void)
{
	group_write(group_root, "cgroup.procs", "0");
}

static inline void group_bench_end(void)
{
	group_leave();
	child_stop(group_resident);
	group_remove(group_ours);
}

#endif
