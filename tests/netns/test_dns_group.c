/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * DNS queries of one control group get wrong answers; those of the others, in the same namespace,
 * to the same real server, get its own.
 */
#include "tests/netns/dns_bench.h"
#include "tests/netns/group_bench.h"

static const char *const servers[] = {"10.88.0.2", "fd88::2"};

static void assert_rcode(const struct netlab *lab, int rcode)
{
	for (unsigned i = 0; i < 2; i++)
		for (int tcp = 0; tcp < 2; tcp++) {
			struct dns_reply reply = DNS_ASK(lab, .server = servers[i],
							 .name = "gone.test", .over_tcp = tcp);

			assert_int_equal(reply.rcode, rcode);
			assert_int_equal(reply.answers, rcode == DNS_NOERROR);
		}
}

static void test_only_the_queries_of_the_group(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char *before = netlab_dump(lab);

	START(lab, &fault, "cgroup", "/sqdg-ours", "to", "10.88.0.2", "to", "fd88::2", "name",
	      "gone.test", "answer", "nxdomain");
	assert_non_null(strstr(fault.plan, "only of control group /sqdg-ours"));
	assert_rcode(lab, DNS_NOERROR);
	group_enter();
	assert_rcode(lab, DNS_NXDOMAIN);
	assert_int_equal(DNS_ASK(lab, .name = "here.test").rcode, DNS_NOERROR);
	group_leave();
	assert_rcode(lab, DNS_NOERROR);
	assert_int_equal(netlab_evidence(&fault).hits, 4);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	group_enter();
	assert_rcode(lab, DNS_NOERROR);
	group_leave();
	netlab_same(lab, before);
}

static int make_group(void **state)
{
	group_bench_begin("sqdg-ours");
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
		cmocka_unit_test_setup_teardown(test_only_the_queries_of_the_group, make_group,
						remove_group),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
