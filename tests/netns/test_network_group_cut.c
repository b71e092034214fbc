/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Connections of some processes alone are refused, reset or ended: those that are made, and those
 * that exist, in a control group; others to the same server go on. By both ways of taking packets.
 */
#include "tests/support/children.h"
#include "tests/support/netlab.h"
#include "tests/support/netlab_dial.h"
#include "tests/support/squall_runner.h"

#include "faults/network.h"
#include "injector/kernel/cgroup.h"
#include "injector/kernel/connection.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static char ours[128], root[300];
static pid_t resident;
static bool is_able; /* the kernel can end connections */

static void enter(const char *group)
{
	group_write(group, "cgroup.procs", "0");
}

static int dial_from(const char *group, const struct netlab *lab, const char *address)
{
	int fd;

	enter(group);
	fd = netlab_dial(lab->near_fd, address, NETLAB_PORT);
	enter(root);
	return fd;
}

static void assert_dial(const char *group, const struct netlab *lab, const char *address, int error)
{
	int fd = dial_from(group, lab, address);

	if (fd >= 0)
		netlab_hang_up(fd);
	assert_int_equal(fd < 0 ? -fd : 0, error);
}

static void start(struct netlab *lab, struct netlab_fault *fault, const char *const *settings)
{
	netlab_fault_start(lab, fault, "ggggg1", settings);
}

#define START(lab, fault, ...)                                                                     \
	start(lab, fault, (const char *[]){"cgroup", "/sqnc-ours", __VA_ARGS__, NULL})

/* 0: it is open; or what its owner is told when it sends and listens. */
static int told(int fd)
{
	struct timeval patience = {.tv_usec = 300000};
	char byte;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (send(fd, "x", 1, MSG_NOSIGNAL) < 0 || recv(fd, &byte, 1, 0) < 0)
		return errno == EAGAIN ? 0 : errno;
	return 0;
}

static void test_new_connections_of_the_group_are_refused(void **state)
{
	static const struct {
		const char *partition, *with;
		int error;
	} cases[] = {{"reject", "host-unreachable", EHOSTUNREACH},
		     {"reset", "port-unreachable", ECONNREFUSED}};
	struct netlab *lab = *state;
	char *before = netlab_dump(lab);

	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct netlab_fault fault;

		START(lab, &fault, "to", "10.88.0.2", "to", "fd88::2", "partition",
		      cases[i].partition, "reject-with", cases[i].with);
		assert_dial(ours, lab, "10.88.0.2", cases[i].error);
		assert_dial(ours, lab, "fd88::2", cases[i].error);
		assert_dial(ours, lab, "10.88.0.3", 0);
		assert_dial(root, lab, "10.88.0.2", 0);
		assert_dial(root, lab, "fd88::2", 0);
		netlab_fault_finish(&fault, FAULT_END_NOW);
		assert_dial(ours, lab, "10.88.0.2", 0);
	}
	netlab_same(lab, before);
}

static void test_open_connections_of_the_group_are_reset_when_they_send(void **state)
{
	struct netlab *lab = *state;
	int own = dial_from(ours, lab, "10.88.0.2"), other = dial_from(root, lab, "10.88.0.2");
	struct netlab_fault fault;

	assert_true(own >= 0 && other >= 0);
	START(lab, &fault, "to", "10.88.0.2", "partition", "reset");
	assert_int_equal(told(other), 0);
	assert_int_equal(told(own), ECONNRESET);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	close(own), close(other);
}

static void test_connections_of_the_group_and_below_are_ended(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct evidence seen;
	char below[160];
	int own, lower, other, elsewhere;

	if (!is_able)
		stage_skip("this kernel has no CONFIG_INET_DIAG_DESTROY");
	snprintf(below, sizeof(below), "%s/below", ours);
	group_make("sqnc-ours/below", below);
	own = dial_from(ours, lab, "10.88.0.2");
	lower = dial_from(below, lab, "fd88::2");
	other = dial_from(root, lab, "10.88.0.2");
	elsewhere = dial_from(ours, lab, "10.88.0.3");
	assert_true(own >= 0 && lower >= 0 && other >= 0 && elsewhere >= 0);
	START(lab, &fault, "to", "10.88.0.2", "to", "fd88::2", "reset-connections", "true");
	assert_non_null(strstr(fault.plan, "end TCP connections in scope, 2 now"));
	assert_int_equal(network_fault.evidence(&fault.fault, &seen, NULL), 0);
	assert_int_equal(seen.hits, 2);
	assert_int_equal(send(own, "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, ECONNABORTED);
	assert_int_equal(send(lower, "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(told(other), 0);
	assert_int_equal(told(elsewhere), 0);
	assert_dial(ours, lab, "10.88.0.2", 0);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	close(own), close(lower), close(other), close(elsewhere);
	group_remove(below);
}

static int setup(void **state, const char *hook)
{
	struct netlink *diag = NULL;
	struct cgroup_mounts mounts;

	if (hook)
		setenv("SQUALL_HOOK", hook, 1);
	else
		unsetenv("SQUALL_HOOK");
	is_able =
		netlink_open_diag(-1, &diag, NULL) == 0 && connection_try_destroy(diag, NULL) == 0;
	netlink_close(diag);
	assert_int_equal(cgroup_find_mounts(&mounts, NULL), 0);
	snprintf(root, sizeof(root), "%s", mounts.unified);
	children_init();
	group_make("sqnc-ours", ours);
	resident = child_start(CHILD_SLEEPS, ours);
	return netlab_setup(state);
}

static int setup_table(void **state)
{
	return setup(state, NULL);
}

static int setup_filters(void **state)
{
	return setup(state, "clsact");
}

static int teardown(void **state)
{
	enter(root);
	child_stop(resident);
	group_remove(ours);
	unsetenv("SQUALL_HOOK");
	return netlab_teardown(state);
}

int main(void)
{
	const struct CMUnitTest by_table[] = {
		cmocka_unit_test(test_new_connections_of_the_group_are_refused),
		cmocka_unit_test(test_open_connections_of_the_group_are_reset_when_they_send),
		cmocka_unit_test(test_connections_of_the_group_and_below_are_ended),
	};
	const struct CMUnitTest by_filters[] = {
		cmocka_unit_test(test_new_connections_of_the_group_are_refused),
		cmocka_unit_test(test_open_connections_of_the_group_are_reset_when_they_send),
	};

	return cmocka_run_group_tests_name("by nf_tables", by_table, setup_table, teardown) +
	       cmocka_run_group_tests_name("by filters", by_filters, setup_filters, teardown);
}
