/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Requests of one control group are answered; those of the others, in the same namespace, to the
 * same real server, are not.
 */
#include "tests/netns/group_bench.h"
#include "tests/netns/http_bench.h"

static void test_only_the_requests_of_the_group(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char *before = netlab_dump(lab);

	START(lab, &fault, "cgroup", "/sqhg-ours", "to", "10.88.0.2", "to", "fd88::2", "path",
	      "/up", "answer", "503");
	assert_non_null(strstr(fault.plan, "only of control group /sqhg-ours"));
	assert_curl(lab, "200", "http://10.88.0.2/up");
	group_enter();
	assert_curl(lab, "503", "http://10.88.0.2/up");
	assert_curl(lab, "503", "http://[fd88::2]/up");
	assert_curl(lab, "200", "http://10.88.0.2/mid");
	group_leave();
	assert_curl(lab, "200", "http://[fd88::2]/up");
	assert_int_equal(counters_of(&fault).connections, 3);
	assert_int_equal(netlab_evidence(&fault).hits, 2);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	group_enter();
	assert_curl(lab, "200", "http://10.88.0.2/up");
	group_leave();
	netlab_same(lab, before);
}

static int make_group(void **state)
{
	group_bench_begin("sqhg-ours");
	return set_up(state);
}

static int remove_group(void **state)
{
	group_bench_end();
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
