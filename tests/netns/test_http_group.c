/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Requests of one control group are answered; those of the others, in the same namespace, to the
 * same real server, are not.
 */
#include "tests/netns/http_bench.h"

#include "tests/support/children.h"

#include "injector/kernel/cgroup.h"

static char ours[128], root[300];
static pid_t resident;

static void test_only_the_requests_of_the_group(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char *before = netlab_dump(lab);

	START(lab, &fault, "cgroup", "/sqhg-ours", "to", "10.88.0.2", "to", "fd88::2", "path",
	      "/up", "answer", "503");
	assert_non_null(strstr(fault.plan, "only of control group /sqhg-ours"));
	assert_curl(lab, "200", "http://10.88.0.2/up");
	group_write(ours, "cgroup.procs", "0");
	assert_curl(lab, "503", "http://10.88.0.2/up");
	assert_curl(lab, "503", "http://[fd88::2]/up");
	assert_curl(lab, "200", "http://10.88.0.2/mid");
	group_write(root, "cgroup.procs", "0");
	assert_curl(lab, "200", "http://[fd88::2]/up");
	assert_int_equal(counters_of(&fault).connections, 3);
	assert_int_equal(evidence_of(&fault).hits, 2);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	group_write(ours, "cgroup.procs", "0");
	assert_curl(lab, "200", "http://10.88.0.2/up");
	group_write(root, "cgroup.procs", "0");
	netlab_same(lab, before);
}

static int make_group(void **state)
{
	struct cgroup_mounts mounts;

	assert_int_equal(cgroup_find_mounts(&mounts, NULL), 0);
	snprintf(root, sizeof(root), "%s", mounts.unified);
	children_init();
	group_make("sqhg-ours", ours);
	resident = child_start(CHILD_SLEEPS, ours);
	return set_up(state);
}

static int remove_group(void **state)
{
	group_write(root, "cgroup.procs", "0");
	child_stop(resident);
	group_remove(ours);
	return tear_down(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_only_the_requests_of_the_group, make_group,
						remove_group),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
