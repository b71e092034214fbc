/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the network fault tells to type where something is left, typed: whatever names others have
 * given to interfaces and namespaces. Needs root.
 */
#include "faults/network.h"
#include "injector/kernel/link.h"
#include "injector/kernel/namespace.h"
#include "injector/kernel/netlink.h"
#include "tests/support/children.h"
#include "tests/support/netlab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A clsact that is left on an interface of that name, of a target with that namespace; the sentence
 * in `left`. */
static void leave_clsact(struct netlab *lab, const char *namespace, const char *name, char *left,
			 size_t size)
{
	struct journal_record record = {.type = NETWORK_RECORD_CLSACT};
	struct network_record what = {.table = "sqtable"};
	struct netlink *netlink;
	struct link link;
	bool is_gone = true;

	netlab_run("ip -n %s link add %s type veth peer name sqpeer", lab->near, name);
	netlab_run("tc -n %s qdisc add dev %s clsact", lab->near, name);
	assert_int_equal(netlink_open(lab->near_fd, &netlink, NULL), 0);
	assert_int_equal(link_find(netlink, name, &link, NULL), 0);
	snprintf(what.namespace_name, sizeof(what.namespace_name), "%s", namespace);
	snprintf(what.link, sizeof(what.link), "%s", name);
	what.index = link.index;
	assert_int_equal(namespace_identify(lab->near_fd, &what.namespace_id, NULL), 0);
	what.namespace_cookie = netlink_namespace_cookie(netlink);
	memcpy(record.payload, &what, sizeof(what));
	assert_int_equal(network_verify(&record, &is_gone, left, size, NULL), 0);
	assert_false(is_gone);
	netlink_close(netlink);
}

/* Who may make interfaces is not root everywhere, and what is told is typed by root. */
static void test_a_name_of_an_interface_is_no_command(void **state)
{
	static const char name[] = "sq;$(x)'";
	struct netlab *lab = *state;
	char left[1024];

	leave_clsact(lab, lab->near, name, left, sizeof(left));
	print_message("%s\n", left);
	assert_non_null(strstr(left, ": ip netns exec "));
	assert_int_equal(system(strstr(left, ": ip netns exec ") + 2), 0);
	assert_int_not_equal(netlab_try("tc -n %s qdisc delete dev %s clsact", lab->near, name), 0);
	netlab_run("ip -n %s link delete %s", lab->near, name);
	/* changed on its way to a terminal: told by its bytes */
	leave_clsact(lab, lab->near, "sq\xc3\xa9", left, sizeof(left));
	print_message("%s\n", left);
	assert_non_null(strstr(left, "\"$(printf 'sq\\303\\251')\""));
	assert_int_equal(system(strstr(left, ": ip netns exec ") + 2), 0);
	assert_int_not_equal(netlab_try("tc -n %s qdisc delete dev sq\xc3\xa9 clsact", lab->near),
			     0);
}

static int start_sleeper(void *context, struct error *err)
{
	(void)context, (void)err;
	return child_start(CHILD_SLEEPS, NULL);
}

/* By a process that is in it now, whichever the target meant. */
static void test_a_namespace_without_a_name_can_be_typed(void **state)
{
	static const char *const names[] = {"target:shop", "pid:999999"};
	struct netlab *lab = *state;

	children_init();
	for (unsigned i = 0; i < 2; i++) {
		pid_t inside = namespace_run(lab->near_fd, start_sleeper, NULL, NULL);
		char left[1024], *typed;

		leave_clsact(lab, names[i], "sqtyped", left, sizeof(left));
		print_message("%s\n", left);
		typed = strstr(left, ": nsenter --net=/proc/");
		assert_non_null(typed);
		assert_int_equal(system(typed + 2), 0);
		assert_int_not_equal(
			netlab_try("tc -n %s qdisc delete dev sqtyped clsact", lab->near), 0);
		netlab_run("ip -n %s link delete sqtyped", lab->near);
		child_stop(inside);
	}
}

/* Those of a step with two paths. Without netem no sweep comes to them. */
static void test_interfaces_that_are_left_are_deleted_as_told(void **state)
{
	struct journal_record record = {.type = NETWORK_RECORD_LINK};
	struct network_record what = {.table = "sqtable", .link = "sqtold", .group = 4711};
	struct netlab *lab = *state;
	bool is_gone = true;
	char left[1024];

	netlab_run("ip -n %s link add sqtold group 4711 type ifb", lab->near);
	netlab_run("ip -n %s link add sqtoldq1 group 4711 type ifb", lab->near);
	snprintf(what.namespace_name, sizeof(what.namespace_name), "%s", lab->near);
	assert_int_equal(namespace_identify(lab->near_fd, &what.namespace_id, NULL), 0);
	memcpy(record.payload, &what, sizeof(what));
	assert_int_equal(network_verify(&record, &is_gone, left, sizeof(left), NULL), 0);
	assert_false(is_gone);
	print_message("%s\n", left);
	assert_non_null(strstr(left, ": ip netns exec "));
	assert_int_equal(system(strstr(left, ": ip netns exec ") + 2), 0);
	assert_int_not_equal(netlab_try("ip -n %s link show sqtold", lab->near), 0);
	assert_int_not_equal(netlab_try("ip -n %s link show sqtoldq1", lab->near), 0);
	assert_int_equal(network_verify(&record, &is_gone, left, sizeof(left), NULL), 0);
	assert_true(is_gone);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, netlab_setup, netlab_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_namespace_without_a_name_can_be_typed),
		TEST(test_a_name_of_an_interface_is_no_command),
		TEST(test_interfaces_that_are_left_are_deleted_as_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
