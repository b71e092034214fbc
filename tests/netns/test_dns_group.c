/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * DNS queries of one control group get wrong answers; those of the others, in the same namespace,
 * to the same real server, get its own.
 */
#include "tests/support/children.h"
#include "tests/support/dns_server.h"

#include "faults/dns.h"
#include "injector/kernel/cgroup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const servers[] = {"10.88.0.2", "fd88::2"};
static char ours[128], root[300];
static pid_t resident;

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
	struct evidence seen;
	struct error err = ERROR_INIT;
	char *before = netlab_dump(lab);

	if (netlab_fault_plan(lab, &fault, "dgdgd1",
			      (const char *[]){"fault", "dns", "cgroup", "/sqdg-ours", "to",
					       "10.88.0.2", "to", "fd88::2", "name", "gone.test",
					       "answer", "nxdomain", NULL},
			      &err) < 0 ||
	    dns_fault.inject(&fault.fault, &err) < 0)
		fail_msg("%s (%s)", err.text, err.remedy);
	assert_non_null(strstr(fault.plan, "only of control group /sqdg-ours"));
	assert_rcode(lab, DNS_NOERROR);
	group_write(ours, "cgroup.procs", "0");
	assert_rcode(lab, DNS_NXDOMAIN);
	assert_int_equal(DNS_ASK(lab, .name = "here.test").rcode, DNS_NOERROR);
	group_write(root, "cgroup.procs", "0");
	assert_rcode(lab, DNS_NOERROR);
	assert_int_equal(dns_fault.evidence(&fault.fault, &seen, &err), 0);
	assert_int_equal(seen.hits, 4);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	group_write(ours, "cgroup.procs", "0");
	assert_rcode(lab, DNS_NOERROR);
	group_write(root, "cgroup.procs", "0");
	netlab_same(lab, before);
}

static int setup(void **state)
{
	struct cgroup_mounts mounts;

	assert_int_equal(cgroup_find_mounts(&mounts, NULL), 0);
	snprintf(root, sizeof(root), "%s", mounts.unified);
	children_init();
	group_make("sqdg-ours", ours);
	resident = child_start(CHILD_SLEEPS, ours);
	netlab_setup(state);
	dns_servers_start(*state);
	return 0;
}

static int teardown(void **state)
{
	group_write(root, "cgroup.procs", "0");
	child_stop(resident);
	group_remove(ours);
	dns_servers_stop();
	return netlab_teardown(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_only_the_queries_of_the_group, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
