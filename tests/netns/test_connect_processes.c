/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The connect fault on processes: whom it meets, and whom not, whoever has got his number or has
 * joined his group meanwhile.
 */
#include "tests/support/callers.h"
#include "tests/support/children.h"
#include "tests/support/netlab.h"
#include "tests/support/squall_runner.h"

#include "faults/connect.h"
#include "faults/warden.h"
#include "injector/kernel/cgroup.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static void test_one_process_and_not_the_next(void **state)
{
	struct netlab *lab = *state;
	struct caller one = caller_in(lab, NULL), next = caller_in(lab, NULL);
	struct netlab_fault fault;

	if (!connect_tells_processes(lab))
		stage_skip("processes of a pid namespace cannot be told apart before Linux 6.10");
	CONNECT_START(lab, &fault, "pid", one.text, "error", "ETIMEDOUT");
	assert_int_equal(caller_try(&one, "10.88.0.2", NETLAB_PORT), ETIMEDOUT);
	assert_int_equal(caller_try(&one, "fd88::2", NETLAB_PORT), ETIMEDOUT);
	assert_int_equal(caller_try(&next, "10.88.0.2", NETLAB_PORT), 0);
	assert_int_equal(caller_try(&next, "fd88::2", NETLAB_PORT), 0);
	assert_int_equal(connect_evidence(&fault).hits, 2);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	assert_int_equal(caller_try(&one, "10.88.0.2", NETLAB_PORT), 0);
	caller_hang_up(&one);
	caller_hang_up(&next);
}

static void ignore(void *context, struct fault *fault)
{
	(void)context;
	(void)fault;
}

/* What the worker's loop does when it is told. */
static void listen_for_a_second(struct netlab_fault *fault)
{
	struct pollfd told = {.fd = connect_fault.listen(&fault->fault, NULL), .events = POLLIN};

	assert_true(told.fd >= 0);
	assert_int_equal(poll(&told, 1, 1000), 1);
	connect_fault.hear(ignore, NULL);
	assert_int_equal(poll(&told, 1, 0), 0);
}

static void test_who_gets_the_number_of_an_ended_process_is_not_met(void **state)
{
	struct netlab *lab = *state;
	struct caller one = caller_in(lab, NULL), other = caller_in(lab, NULL), heir;
	struct netlab_fault fault, second;

	if (!connect_tells_processes(lab))
		stage_skip("processes of a pid namespace cannot be told apart before Linux 6.10");
	for (unsigned way = 0; way < 2; way++) {
		CONNECT_START(lab, &fault, "pid", one.text, "pid", other.text, "error",
			      "ECONNREFUSED");
		/* the same process twice: each of them lets it go */
		connect_start_run(lab, &second, "dddddd",
				  (const char *[]){"fault", "connect", "pid", one.text, "error",
						   "ETIMEDOUT", NULL});
		caller_hang_up(&one);
		if (way == 0) {
			listen_for_a_second(&fault);
			connect_fault.evidence(&second.fault, &(struct evidence){0}, NULL);
		} else { /* nobody listens */
			connect_evidence(&fault);
			connect_evidence(&second);
		}
		heir = caller_as(lab, NULL, one.pid);
		assert_int_equal(heir.pid, one.pid);
		assert_int_equal(caller_try(&heir, "10.88.0.2", NETLAB_PORT), 0);
		assert_int_equal(caller_try(&other, "10.88.0.2", NETLAB_PORT), ECONNREFUSED);
		assert_non_null(
			strstr(connect_evidence(&fault).detail, "1 of 2 processes have ended"));
		netlab_fault_finish(&second, FAULT_END_SOFT);
		netlab_fault_finish(&fault, FAULT_END_SOFT);
		one = heir;
	}
	caller_hang_up(&one);
	caller_hang_up(&other);
}

static void test_who_ended_before_it_begins_is_not_met(void **state)
{
	struct netlab *lab = *state;
	struct caller one = caller_in(lab, NULL), heir;
	struct netlab_fault fault;
	struct error err = ERROR_INIT;

	if (!connect_tells_processes(lab))
		stage_skip("processes of a pid namespace cannot be told apart before Linux 6.10");
	if (netlab_fault_plan(lab, &fault, connect_run_id,
			      (const char *[]){"fault", "connect", "pid", one.text, "error",
					       "ETIMEDOUT", NULL},
			      &err) < 0)
		fail_msg("%s", err.text);
	caller_hang_up(&one);
	heir = caller_as(lab, NULL, one.pid);
	for (unsigned pulse = 0; pulse < 2; pulse++) {
		if (connect_fault.inject(&fault.fault, &err) < 0)
			fail_msg("%s", err.text);
		assert_int_equal(caller_try(&heir, "10.88.0.2", NETLAB_PORT), 0);
		assert_non_null(
			strstr(connect_evidence(&fault).detail, "1 of 1 processes have ended"));
		netlab_fault_end(&fault, FAULT_END_SOFT);
	}
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	caller_hang_up(&heir);
}

static pid_t spared;

static int refuse_spared(pid_t pid, struct error *err)
{
	return pid == spared ? error_set(err, EPERM, "process %d is protected", pid) : 0;
}

static const struct fault_warden warden = {.process = refuse_spared};

/* It may have become another program since the plan. */
static void test_the_site_is_asked_again_each_time(void **state)
{
	struct netlab *lab = *state;
	struct caller one = caller_in(lab, NULL);
	struct netlab_fault fault;
	struct error err = ERROR_INIT;

	if (!connect_tells_processes(lab))
		stage_skip("processes of a pid namespace cannot be told apart before Linux 6.10");
	CONNECT_START(lab, &fault, "pid", one.text, "error", "ETIMEDOUT");
	netlab_fault_end(&fault, FAULT_END_SOFT);
	fault_warden_use(&warden);
	spared = one.pid;
	assert_int_equal(connect_fault.inject(&fault.fault, &err), -EPERM);
	assert_non_null(strstr(err.text, "is protected"));
	assert_int_equal(caller_try(&one, "10.88.0.2", NETLAB_PORT), 0);
	fault_warden_use(NULL);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	caller_hang_up(&one);
}

static void leave_group(void)
{
	struct cgroup_mounts mounts;

	assert_int_equal(cgroup_find_mounts(&mounts, NULL), 0);
	group_write(mounts.unified, "cgroup.procs", "0");
}

static void test_a_group_with_a_protected_process_is_not_met_as_a_whole(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct error err = ERROR_INIT;
	struct caller one, other;
	char group[128];

	group_make("sqcp-web", group);
	one = caller_in(lab, group);
	CONNECT_START(lab, &fault, "cgroup", "/sqcp-web", "error", "ETIMEDOUT");
	netlab_fault_end(&fault, FAULT_END_SOFT);
	other = caller_in(lab, group);
	/* one more than the limits allow */
	fault.env.targets_more = 0;
	assert_int_equal(connect_fault.inject(&fault.fault, &err), -E2BIG);
	assert_int_equal(caller_try(&one, "10.88.0.2", NETLAB_PORT), 0);
	fault.env.targets_more = 1;
	fault_warden_use(&warden);
	spared = other.pid;
	assert_int_equal(connect_fault.inject(&fault.fault, &err), -EPERM);
	assert_int_equal(caller_try(&other, "10.88.0.2", NETLAB_PORT), 0);
	spared = 0;
	assert_int_equal(connect_fault.inject(&fault.fault, &err), 0);
	assert_int_equal(caller_try(&other, "10.88.0.2", NETLAB_PORT), ETIMEDOUT);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	fault_warden_use(NULL);
	caller_hang_up(&other);
	/* squall's own kind is never met, nor a way into the machine: the others alone are */
	other = caller_in(lab, group);
	group_write(group, "cgroup.procs", "0");
	if (connect_tells_processes(lab)) {
		CONNECT_START(lab, &fault, "cgroup", "/sqcp-web", "error", "ETIMEDOUT");
		assert_non_null(strstr(fault.plan, "not the whole group"));
		assert_int_equal(caller_connect("127.0.0.1", 1, SOCK_STREAM), ECONNREFUSED);
		assert_int_equal(caller_try(&one, "10.88.0.2", NETLAB_PORT), ETIMEDOUT);
		netlab_fault_finish(&fault, FAULT_END_SOFT);
	}
	leave_group();
	caller_hang_up(&other);
	caller_hang_up(&one);
	group_remove(group);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_process_and_not_the_next),
		cmocka_unit_test(test_who_gets_the_number_of_an_ended_process_is_not_met),
		cmocka_unit_test(test_who_ended_before_it_begins_is_not_met),
		cmocka_unit_test(test_the_site_is_asked_again_each_time),
		cmocka_unit_test(test_a_group_with_a_protected_process_is_not_met_as_a_whole),
	};

	connect_run_id = "cpcpcp";
	return cmocka_run_group_tests(tests, netlab_setup, netlab_teardown);
}
