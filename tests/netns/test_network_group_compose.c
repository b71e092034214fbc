/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A fault for some processes alone and others on the same packets: they add up, whichever was
 * injected first, although what a delay line gives back has no socket any more.
 */
#include "tests/support/children.h"
#include "tests/support/netlab.h"
#include "tests/support/squall_runner.h"

#include "faults/network.h"
#include "injector/base/clock.h"
#include "injector/kernel/cgroup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define MS NSEC_PER_MSEC

static const char *const of_ours[] = {"cgroup",	 "/sqnd-ours", "to",   "10.88.0.2", "to",
				      "fd88::2", "delay",      "40ms", NULL};
static const char *const of_theirs[] = {"cgroup",  "/sqnd-theirs", "to",   "10.88.0.2", "to",
					"fd88::2", "delay",	   "40ms", NULL};
static const char *const to_address[] = {"to",	  "10.88.0.2", "to", "fd88::2",
					 "delay", "100ms",     NULL};

static char ours[128], theirs[128], root[300];
static pid_t residents[2];

/* By filters of tc what comes from a delay line belongs to no process any more; `plan` says so. */
static struct netlab *lab_by_table(void **state)
{
	struct netlab *lab = *state;

	if (!netlab_has_egress_hook(lab))
		stage_skip("no nf_tables egress hook, whose mark a delay line hands on");
	return lab;
}

static void enter(const char *group)
{
	group_write(group, "cgroup.procs", "0");
}

static void plan(struct netlab *lab, struct netlab_fault *fault, struct netlab_fault *first,
		 unsigned step, const char *const *settings)
{
	struct error err = ERROR_INIT;
	int result = step ? netlab_fault_plan_step(lab, fault, first, step, settings, &err)
			  : netlab_fault_plan(lab, fault, "qqqqq1", settings, &err);

	if (result < 0)
		fail_msg("%s (%s)", err.text, err.remedy);
}

static void assert_delay(const char *group, const struct netlab *lab, const char *address,
			 int64_t ms)
{
	int64_t took;

	enter(group);
	took = netlab_fastest(lab, address, NETLAB_PORT, 3);
	enter(root);
	if (took < ms * MS || took > (ms + (is_emulated() ? 500 : 35)) * MS)
		fail_msg("%s from %s: %.3f ms, expected %lld", address, group, (double)took / 1e6,
			 (long long)ms);
}

static void assert_sums(const struct netlab *lab, int64_t ours_ms, int64_t others_ms)
{
	assert_delay(ours, lab, "10.88.0.2", ours_ms);
	assert_delay(ours, lab, "fd88::2", ours_ms);
	assert_delay(root, lab, "10.88.0.2", others_ms);
	assert_delay(root, lab, "fd88::2", others_ms);
	assert_delay(ours, lab, "10.88.0.3", 0);
}

static void end_step(struct netlab_fault *fault, enum fault_end how)
{
	netlab_fault_end(fault, how);
	netlab_undo_step(fault->run_id, (int)fault->fault.step);
}

static void leave(struct netlab_fault *fault)
{
	if (fault->fault.step)
		fault->journal = NULL; /* of the first one */
	netlab_fault_finish(fault, FAULT_END_NOW);
}

static void check_pair(struct netlab *lab, const char *const *first_settings,
		       const char *const *second_settings, int64_t first_alone_ms)
{
	struct netlab_fault first, second;
	char *before = netlab_dump(lab);

	plan(lab, &first, NULL, 0, first_settings);
	plan(lab, &second, &first, 1, second_settings);
	assert_null(strstr(second.plan, "belongs to no process"));
	netlab_fault_inject(&first);
	netlab_fault_inject(&second);
	assert_sums(lab, 140, 100);
	end_step(&second, FAULT_END_SOFT);
	assert_delay(ours, lab, "10.88.0.2", first_alone_ms);
	end_step(&first, FAULT_END_SOFT);
	assert_delay(ours, lab, "10.88.0.2", 0);
	netlab_same(lab, before);
	leave(&second);
	leave(&first);
}

static void test_the_group_first_and_then_everybody(void **state)
{
	check_pair(lab_by_table(state), of_ours, to_address, 40);
}

static void test_everybody_first_and_then_the_group(void **state)
{
	check_pair(lab_by_table(state), to_address, of_ours, 100);
}

/* Through two lines, to two groups; each knows its own. */
static void test_two_groups_behind_two_lines(void **state)
{
	static const char *const more[] = {"to",    "10.88.0.2", "to", "fd88::2",
					   "delay", "20ms",	 NULL};
	struct netlab *lab = lab_by_table(state);
	struct netlab_fault faults[4];

	plan(lab, &faults[0], NULL, 0, of_ours);
	plan(lab, &faults[1], &faults[0], 1, of_theirs);
	plan(lab, &faults[2], &faults[0], 2, to_address);
	plan(lab, &faults[3], &faults[0], 3, more);
	for (unsigned i = 0; i < 4; i++)
		netlab_fault_inject(&faults[i]);
	assert_delay(ours, lab, "10.88.0.2", 160);
	assert_delay(theirs, lab, "fd88::2", 160);
	assert_delay(root, lab, "10.88.0.2", 120);
	end_step(&faults[1], FAULT_END_NOW);
	assert_delay(theirs, lab, "10.88.0.2", 120);
	assert_delay(ours, lab, "10.88.0.2", 160);
	for (unsigned i = 0; i < 4; i++)
		if (i != 1)
			end_step(&faults[i], FAULT_END_NOW);
	for (unsigned i = 4; i-- > 0;)
		leave(&faults[i]);
}

/* Large packets, and the bytes in them. */
static void test_a_stream_arrives_whole(void **state)
{
	static const char *const soon[] = {"to", "10.88.0.2", "delay", "5ms", NULL};
	struct netlab *lab = lab_by_table(state);
	struct netlab_fault first, second;

	plan(lab, &first, NULL, 0, of_ours);
	plan(lab, &second, &first, 1, soon);
	netlab_fault_inject(&first);
	netlab_fault_inject(&second);
	enter(ours);
	assert_true(netlab_transfer(lab, "10.88.0.2", NETLAB_PORT, 2000000, 20000) >= 0);
	enter(root);
	assert_true(netlab_transfer(lab, "10.88.0.2", NETLAB_PORT, 2000000, 20000) >= 0);
	end_step(&second, FAULT_END_SOFT);
	end_step(&first, FAULT_END_SOFT);
	leave(&second);
	leave(&first);
}

static int setup(void **state)
{
	struct cgroup_mounts mounts;

	assert_int_equal(cgroup_find_mounts(&mounts, NULL), 0);
	snprintf(root, sizeof(root), "%s", mounts.unified);
	children_init();
	group_make("sqnd-ours", ours);
	group_make("sqnd-theirs", theirs);
	residents[0] = child_start(CHILD_SLEEPS, ours);
	residents[1] = child_start(CHILD_SLEEPS, theirs);
	return netlab_setup(state);
}

static int teardown(void **state)
{
	enter(root);
	child_stop(residents[0]);
	child_stop(residents[1]);
	group_remove(ours);
	group_remove(theirs);
	return netlab_teardown(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_group_first_and_then_everybody),
		cmocka_unit_test(test_everybody_first_and_then_the_group),
		cmocka_unit_test(test_two_groups_behind_two_lines),
		cmocka_unit_test(test_a_stream_arrives_whole),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
