/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The way for kernels without the nf_tables egress hook, on whatever kernel this is: tc filters
 * behind a gate that shuts by itself when its process dies. What the user has in his clsact stays,
 * and what was added goes.
 */
#include "tests/support/netlab.h"

#include "faults/network.h"
#include "injector/base/clock.h"
#include "injector/restore/restore.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define DELAY_NS (60 * NSEC_PER_MSEC)
#define FAST_NS	 (40 * NSEC_PER_MSEC)

static bool filters_stay; /* the kernel refuses to delete any */

ssize_t send(int fd, const void *data, size_t size, int flags)
{
	static ssize_t (*real)(int, const void *, size_t, int);
	const struct nlmsghdr *header = data;

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "send");
	if (!filters_stay || size < sizeof(*header) || header->nlmsg_type != RTM_DELTFILTER)
		return real(fd, data, size, flags);
	errno = EPERM;
	return -1;
}

static int setup(void **state)
{
	setenv("SQUALL_HOOK", "clsact", 1);
	return netlab_setup(state);
}

static int teardown(void **state)
{
	unsetenv("SQUALL_HOOK");
	return netlab_teardown(state);
}

static void start(struct netlab *lab, struct netlab_fault *fault, const char *run,
		  const char *const *settings)
{
	struct error err = ERROR_INIT;

	if (netlab_fault_plan(lab, fault, run, settings, &err) < 0 ||
	    network_fault.inject(&fault->fault, &err) < 0)
		fail_msg("%s (%s)", err.text, err.remedy);
}

static bool is_slow(const struct netlab *lab, const char *address, uint16_t port)
{
	return netlab_fastest(lab, address, port, 2) >= DELAY_NS;
}

static bool is_fast(const struct netlab *lab, const char *address, uint16_t port)
{
	int64_t took_ns = netlab_fastest(lab, address, port, 3);

	return took_ns >= 0 && took_ns < FAST_NS;
}

static bool has_clsact(const struct netlab *lab)
{
	char *qdiscs = netlab_output("tc -n %s qdisc show dev sqv0", lab->near);
	bool is_there = strstr(qdiscs, "clsact") != NULL;

	free(qdiscs);
	return is_there;
}

static void test_plan_says_that_clsact_is_added(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char *before = netlab_dump(lab);

	start(lab, &fault, "gggga1",
	      (const char *[]){"to", "10.88.0.2", "to", "fd88::2", "delay", "60ms", NULL});
	assert_non_null(strstr(fault.plan, "add clsact to sqv0"));
	assert_non_null(strstr(fault.plan, "SQUALL_HOOK=clsact"));
	assert_null(strstr(fault.plan, "add table"));
	assert_true(has_clsact(lab));
	assert_true(is_slow(lab, "10.88.0.2", NETLAB_PORT));
	assert_true(is_slow(lab, "fd88::2", NETLAB_PORT));
	assert_true(is_fast(lab, "10.88.0.3", NETLAB_PORT));
	assert_true(is_fast(lab, "fd88::3", NETLAB_PORT));
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	assert_false(has_clsact(lab));
	netlab_same(lab, before);
}

static void test_a_clsact_of_the_user_is_used_and_stays(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char *before;

	netlab_run("tc -n %s qdisc add dev sqv0 clsact", lab->near);
	netlab_run("tc -n %s filter add dev sqv0 egress prio 5 protocol ip u32 match ip dport 9 "
		   "0xffff flowid 1:1",
		   lab->near);
	before = netlab_dump(lab);
	start(lab, &fault, "gggga2",
	      (const char *[]){"to", "10.88.0.2", "loss", "100%", "direction", "both", NULL});
	assert_non_null(strstr(fault.plan, "sqv0 has a clsact, which is used and stays"));
	assert_int_equal(netlab_answers(lab, "10.88.0.2", NETLAB_PORT, 3), 0);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	netlab_same(lab, before);
}

/* The first run adds it, the second finds it: whoever ends last takes it away. */
static void test_the_last_of_two_runs_removes_what_was_added(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault first, second;
	char *before = netlab_dump(lab);

	start(lab, &first, "gggga3", (const char *[]){"to", "10.88.0.2", "loss", "100%", NULL});
	start(lab, &second, "gggga4", (const char *[]){"to", "10.88.0.3", "delay", "60ms", NULL});
	netlab_fault_finish(&first, FAULT_END_NOW);
	assert_true(has_clsact(lab));
	assert_true(is_fast(lab, "10.88.0.2", NETLAB_PORT));
	assert_true(is_slow(lab, "10.88.0.3", NETLAB_PORT));
	netlab_fault_finish(&second, FAULT_END_NOW);
	netlab_same(lab, before);
}

static void test_an_empty_clsact_of_the_user_survives_two_runs(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault first, second;
	char *before;

	netlab_run("tc -n %s qdisc add dev sqv0 clsact", lab->near);
	before = netlab_dump(lab);
	start(lab, &first, "gggga5", (const char *[]){"to", "10.88.0.2", "loss", "100%", NULL});
	start(lab, &second, "gggga6", (const char *[]){"to", "10.88.0.3", "delay", "60ms", NULL});
	netlab_fault_finish(&first, FAULT_END_NOW);
	netlab_fault_finish(&second, FAULT_END_NOW);
	netlab_same(lab, before);
}

/* A worker of its own, killed in the middle: what is left is inert, without anybody's help. */
static void check_killed(struct netlab *lab, const char *const *settings)
{
	struct netlab_fault fault;
	char *before = netlab_dump(lab);
	int64_t killed_ns;
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	fflush(stdout);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		start(lab, &fault, "gggga7", settings);
		if (write(ready[1], "r", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	assert_false(is_fast(lab, "10.88.0.2", NETLAB_PORT));
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	killed_ns = clock_now_ns();
	while (!is_fast(lab, "10.88.0.2", NETLAB_PORT))
		assert_true(clock_now_ns() - killed_ns < 5 * NSEC_PER_SEC);
	assert_true(has_clsact(lab)); /* nobody has tidied up yet */
	netlab_undo_all("gggga7");
	netlab_undo_all("gggga7");
	netlab_same(lab, before);
}

static void test_killed_while_delaying(void **state)
{
	check_killed(*state, (const char *[]){"to", "10.88.0.2", "delay", "60ms", "loss", "1%",
					      "direction", "both", NULL});
}

static void test_killed_while_losing(void **state)
{
	check_killed(*state, (const char *[]){"to", "10.88.0.2", "loss", "100%", NULL});
}

/* A longer prefix keeps what the shorter ones around it have, and adds its own ports. */
static void test_nested_networks_add_up(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	start(lab, &fault, "gggga8",
	      (const char *[]){"to", "10.88.0.0/24:7000-7001", "to", "10.88.0.2:7002", "to",
			       "10.88.0.3:1-99", "delay", "60ms", NULL});
	assert_true(is_slow(lab, "10.88.0.2", NETLAB_PORT));
	assert_true(is_slow(lab, "10.88.0.2", NETLAB_OTHER_PORT));
	assert_true(is_slow(lab, "10.88.0.3", NETLAB_PORT));
	assert_true(is_fast(lab, "fd88::3", NETLAB_PORT));
	assert_true(netlab_ping(lab, "10.88.0.2", 1000) < FAST_NS); /* it has no port */
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

static void test_somebody_removes_the_filter(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct evidence evidence;
	struct error err = ERROR_INIT;
	char *before = netlab_dump(lab);

	start(lab, &fault, "gggga9", (const char *[]){"to", "10.88.0.2", "delay", "60ms", NULL});
	assert_int_equal(network_fault.evidence(&fault.fault, &evidence, &err), 0);
	netlab_run("tc -n %s filter delete dev sqv0 egress", lab->near);
	assert_int_equal(network_fault.evidence(&fault.fault, &evidence, &err), -ESTALE);
	assert_non_null(strstr(err.text, "filter"));
	netlab_fault_finish(&fault, FAULT_END_NOW);
	netlab_same(lab, before);
}

/* Nor is what holds it: with its record gone, it would stay for good behind them. */
static void test_a_filter_that_cannot_be_removed_is_not_gone(void **state)
{
	struct restore_report refused = {0}, allowed = {0};
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct error err = ERROR_INIT;
	char *before = netlab_dump(lab);
	bool is_told = false;

	start(lab, &fault, "ggggb1", (const char *[]){"to", "10.88.0.2", "loss", "100%", NULL});
	filters_stay = true;
	assert_int_equal(restore_records(fault.journal, -1, &refused, &err), 0);
	filters_stay = false;
	for (unsigned i = 0; i < refused.left_count; i++) {
		print_message("%s\n", refused.left[i]);
		is_told |= strstr(refused.left[i], "qdisc delete dev sqv0 clsact") != NULL;
	}
	assert_int_equal(refused.failed, 2);
	assert_true(is_told);
	assert_int_equal(restore_records(fault.journal, -1, &allowed, &err), 0);
	assert_int_equal(allowed.failed, 0);
	assert_false(has_clsact(lab));
	restore_report_free(&refused);
	restore_report_free(&allowed);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	netlab_same(lab, before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define IN_LAB(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
		IN_LAB(test_plan_says_that_clsact_is_added),
		IN_LAB(test_a_clsact_of_the_user_is_used_and_stays),
		IN_LAB(test_the_last_of_two_runs_removes_what_was_added),
		IN_LAB(test_an_empty_clsact_of_the_user_survives_two_runs),
		IN_LAB(test_killed_while_delaying),
		IN_LAB(test_killed_while_losing),
		IN_LAB(test_nested_networks_add_up),
		IN_LAB(test_somebody_removes_the_filter),
		IN_LAB(test_a_filter_that_cannot_be_removed_is_not_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
