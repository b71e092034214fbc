/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * By which interfaces the traffic of an address of this side goes when none is named: those that
 * have it, and those that the routes choose, also by rules that look at the source.
 */
#include "tests/support/netlab_dial.h"
#include "tests/support/netlab_ways.h"
#include "tests/support/squall_runner.h"

#include "faults/network.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* Of this side beside 10.88.0.1 and fd88::1. */
#define CHOSEN	"10.88.0.11"
#define CHOSEN6 "fd88::11"

static int set_up(void **state)
{
	struct netlab *lab;

	if (netlab_setup(state) != 0)
		return -1;
	lab = *state;
	netlab_run("ip -n %s addr add " CHOSEN "/24 dev sqv0", lab->near);
	netlab_run("ip -n %s addr add " CHOSEN6 "/64 dev sqv0 nodad", lab->near);
	return netlab_by_line(state);
}

static int plan(struct netlab *lab, struct netlab_fault *fault, const char *const *settings,
		struct error *err)
{
	int result;

	*err = (struct error)ERROR_INIT;
	result = netlab_fault_plan(lab, fault, "ccccc2", settings, err);
	netlab_fault_finish(fault, FAULT_END_NOW);
	return result;
}

#define PLAN(lab, fault, err, ...)                                                                 \
	plan(lab, fault, (const char *[]){"loss", "1%", __VA_ARGS__, NULL}, err)

static bool goes_by(const struct netlab_fault *fault, const char *interface)
{
	char line[40];

	snprintf(line, sizeof(line), "interface %s ", interface);
	return strstr(fault->plan, line);
}

/* A second uplink, that a rule leads to for what has its address. */
static void add_uplink(const struct netlab *lab)
{
	netlab_run("ip link add squp netns %s type veth peer name squq netns %s", lab->near,
		   lab->far);
	netlab_run("ip -n %s addr add 10.89.0.1/24 dev squp", lab->near);
	netlab_run("ip -n %s addr add fd89::1/64 dev squp nodad", lab->near);
	netlab_run("ip -n %s link set squp up", lab->near);
	netlab_run("ip -n %s link set squq up", lab->far);
	netlab_run("ip -n %s rule add from 10.89.0.1 lookup 89", lab->near);
	netlab_run("ip -n %s route add default via 10.89.0.2 dev squp table 89", lab->near);
	netlab_run("ip -6 -n %s rule add from fd89::1 lookup 89", lab->near);
	netlab_run("ip -6 -n %s route add default via fd89::2 dev squp table 89", lab->near);
}

static void test_interfaces_that_have_the_address(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct error err;

	assert_int_equal(PLAN(lab, &fault, &err, "local-address", CHOSEN), 0);
	assert_true(goes_by(&fault, "sqv0") && !goes_by(&fault, "lo"));
	assert_non_null(strstr(fault.plan, "interfaces are those that have such an address"));
	assert_int_equal(PLAN(lab, &fault, &err, "local-address", CHOSEN6), 0);
	assert_true(goes_by(&fault, "sqv0") && !goes_by(&fault, "lo"));
	assert_int_equal(PLAN(lab, &fault, &err, "local-address", "127.0.0.0/8"), 0);
	assert_true(goes_by(&fault, "lo") && !goes_by(&fault, "sqv0"));
	assert_int_equal(PLAN(lab, &fault, &err, "local-address", "::1"), 0);
	assert_true(goes_by(&fault, "lo") && !goes_by(&fault, "sqv0"));
	assert_int_equal(PLAN(lab, &fault, &err, "local-address", "0.0.0.0/0"), 0);
	assert_true(goes_by(&fault, "sqv0") && !goes_by(&fault, "lo"));
	/* none has it */
	assert_int_equal(PLAN(lab, &fault, &err, "local-address", "10.99.0.7"), -ENODEV);
	assert_non_null(strstr(err.text, "no interface has an address that local-address"));
	assert_non_null(strstr(err.remedy, "interface: eth0"));
	assert_int_equal(PLAN(lab, &fault, &err, "local-address", "10.88.0.8/29",
			      "except-local-address", CHOSEN),
			 -ENODEV);
	assert_int_equal(PLAN(lab, &fault, &err, "local-address", "10.99.0.7", "interface", "sqv0"),
			 0);
	assert_null(strstr(fault.plan, "interfaces are those"));
	assert_int_equal(PLAN(lab, &fault, &err, "local-address", CHOSEN, "to", "fd88::2"),
			 -EINVAL);
	assert_non_null(strstr(err.text, "it has addresses of IPv4 alone, `to` of IPv6"));
}

static void test_interfaces_that_the_address_leaves_by(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct error err;

	add_uplink(lab);
	netlab_run("ip -n %s route add default via 10.88.0.2", lab->near);
	netlab_run("ip -6 -n %s route add default via fd88::2", lab->near);
	assert_int_equal(PLAN(lab, &fault, &err, "local-address", CHOSEN), 0);
	assert_true(goes_by(&fault, "sqv0") && !goes_by(&fault, "squp"));
	assert_int_equal(PLAN(lab, &fault, &err, "local-address", "10.89.0.1"), 0);
	assert_true(goes_by(&fault, "squp") && !goes_by(&fault, "sqv0"));
	assert_int_equal(PLAN(lab, &fault, &err, "local-address", "fd89::1"), 0);
	assert_true(goes_by(&fault, "squp") && !goes_by(&fault, "sqv0"));
	/* towards somebody */
	assert_int_equal(PLAN(lab, &fault, &err, "to", "192.0.2.7", "to", "2001:db8::7"), 0);
	assert_true(goes_by(&fault, "sqv0") && !goes_by(&fault, "squp"));
	assert_int_equal(PLAN(lab, &fault, &err, "to", "192.0.2.7", "to", "2001:db8::7",
			      "local-address", "10.89.0.0/24"),
			 0);
	assert_true(goes_by(&fault, "squp") && !goes_by(&fault, "sqv0"));
	assert_int_equal(PLAN(lab, &fault, &err, "to", "2001:db8::7", "local-address", "fd89::1",
			      "local-address", CHOSEN6),
			 0);
	assert_true(goes_by(&fault, "squp") && goes_by(&fault, "sqv0"));
	assert_int_equal(
		PLAN(lab, &fault, &err, "local-address", "10.89.0.1", "interface", "default-route"),
		0);
	assert_true(goes_by(&fault, "squp") && !goes_by(&fault, "sqv0"));
	/* what is forwarded: as for any other */
	assert_int_equal(PLAN(lab, &fault, &err, "to", "192.0.2.7", "local-address", "10.99.0.7"),
			 0);
	assert_true(goes_by(&fault, "sqv0") && !goes_by(&fault, "squp"));
	/* an address on lo, as routers and balanced services have it, leaves by the routes */
	netlab_run("ip -n %s addr add 10.77.0.1/32 dev lo", lab->near);
	assert_int_equal(PLAN(lab, &fault, &err, "local-address", "10.77.0.1"), 0);
	assert_true(goes_by(&fault, "sqv0") && !goes_by(&fault, "lo"));
	netlab_run("ip -n %s addr delete 10.77.0.1/32 dev lo", lab->near);
	netlab_run("ip -n %s link delete squp", lab->near);
	netlab_run("ip -n %s rule delete from 10.89.0.1 lookup 89", lab->near);
	netlab_run("ip -6 -n %s rule delete from fd89::1 lookup 89", lab->near);
	netlab_run("ip -n %s route delete default", lab->near);
	netlab_run("ip -6 -n %s route delete default", lab->near);
}

/* By the rule of its source it goes where others to the same address do not. */
static void test_connections_by_the_interface_of_their_address(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	int there;

	if (!netlab_can_end_connections(lab))
		stage_skip("this kernel has no CONFIG_INET_DIAG_DESTROY");
	add_uplink(lab);
	netlab_run("ip -n %s addr add 10.89.0.2/24 dev squq", lab->far);
	netlab_run("ip -n %s route add 10.88.0.2 via 10.89.0.2 dev squp table 89", lab->near);
	there = netlab_dial_from(lab->near_fd, "10.89.0.1", "10.88.0.2", NETLAB_PORT);
	assert_true(there >= 0);
	netlab_start(lab, &fault,
		     (const char *[]){"local-address", "10.89.0.1", "interface", "squp",
				      "reset-connections", "true", NULL});
	assert_int_equal(netlab_told(there), ECONNABORTED);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	close(there);
	netlab_run("ip -n %s link delete squp", lab->near);
	netlab_run("ip -n %s rule delete from 10.89.0.1 lookup 89", lab->near);
	netlab_run("ip -6 -n %s rule delete from fd89::1 lookup 89", lab->near);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_interfaces_that_have_the_address),
		cmocka_unit_test(test_interfaces_that_the_address_leaves_by),
		cmocka_unit_test(test_connections_by_the_interface_of_their_address),
	};

	return cmocka_run_group_tests(tests, set_up, netlab_teardown_ways);
}
