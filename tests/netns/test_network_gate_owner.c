/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Whose clsact it is that a run has added, when its interface was renamed, got another address, or
 * has gone and another one has its number. One that is somebody else's stays.
 */
#include "tests/netns/gate_bench.h"

/* A run at an interface of its own; its number. */
static int start_at_other(struct netlab *lab, struct netlab_fault *fault, const char *run)
{
	char *text;
	int index;

	netlab_run("ip -n %s link add sqother type veth peer name sqpeer", lab->near);
	netlab_run("ip -n %s link set sqother up", lab->near);
	netlab_fault_start(
		lab, fault, run,
		(const char *[]){"interface", "sqother", "to", "10.99.0.2", "loss", "100%", NULL});
	netlab_fault_end(fault, FAULT_END_NOW);
	text = netlab_output("ip netns exec %s cat /sys/class/net/sqother/ifindex", lab->near);
	index = atoi(text);
	free(text);
	assert_true(has_clsact_at(lab, "sqother"));
	return index;
}

static void test_an_idle_clsact_of_a_later_interface_stays(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char *before = netlab_dump(lab);
	int index = start_at_other(lab, &fault, "ggggb6");

	netlab_run("ip -n %s link delete sqother", lab->near);
	netlab_run("ip -n %s link add sqthird index %d type veth peer name sqpeer", lab->near,
		   index);
	netlab_run("tc -n %s qdisc add dev sqthird clsact", lab->near);
	netlab_undo_all("ggggb6");
	assert_true(has_clsact_at(lab, "sqthird"));
	netlab_run("ip -n %s link delete sqthird", lab->near);
	netlab_same(lab, before);
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

/* Number, kind and name are the same; the address tells. */
static void test_an_idle_clsact_of_a_later_interface_of_that_name_stays(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char *before = netlab_dump(lab);
	int index = start_at_other(lab, &fault, "ggggb9");

	netlab_run("ip -n %s link delete sqother", lab->near);
	netlab_run("ip -n %s link add sqother index %d type veth peer name sqpeer", lab->near,
		   index);
	netlab_run("tc -n %s qdisc add dev sqother clsact", lab->near);
	netlab_undo_all("ggggb9");
	assert_true(has_clsact_at(lab, "sqother"));
	netlab_run("ip -n %s link delete sqother", lab->near);
	netlab_same(lab, before);
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

/* The filters in it tell whose it is. */
static void test_the_clsact_of_an_interface_with_another_address_goes(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char *before = netlab_dump(lab);

	start_at_other(lab, &fault, "ggggc1");
	netlab_run("ip -n %s link set sqother down", lab->near);
	netlab_run("ip -n %s link set sqother name sqthird address 02:00:00:00:99:01", lab->near);
	netlab_undo_all("ggggc1");
	assert_false(has_clsact_at(lab, "sqthird"));
	netlab_run("ip -n %s link delete sqthird", lab->near);
	netlab_same(lab, before);
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

static void test_the_clsact_of_a_renamed_interface_goes(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char *before = netlab_dump(lab);

	start_at_other(lab, &fault, "ggggb7");
	netlab_run("ip -n %s link set sqother down", lab->near);
	netlab_run("ip -n %s link set sqother name sqthird", lab->near);
	assert_refused(&fault, -1, 2, "tc qdisc delete dev sqthird clsact");
	netlab_undo_all("ggggb7");
	assert_false(has_clsact_at(lab, "sqthird"));
	netlab_run("ip -n %s link delete sqthird", lab->near);
	netlab_same(lab, before);
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define IN_LAB(test)                                                                               \
	cmocka_unit_test_setup_teardown(test, netlab_setup_filters, netlab_teardown_ways)
		IN_LAB(test_an_idle_clsact_of_a_later_interface_stays),
		IN_LAB(test_an_idle_clsact_of_a_later_interface_of_that_name_stays),
		IN_LAB(test_the_clsact_of_an_interface_with_another_address_goes),
		IN_LAB(test_the_clsact_of_a_renamed_interface_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
