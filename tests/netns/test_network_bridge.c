/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A host of containers: two namespaces behind a bridge, masqueraded to the far side. The fault acts
 * on the bridge, on one port of it, on the uplink; on a VLAN and on a bond where the kernel has
 * them.
 */
#include "tests/support/netlab.h"
#include "tests/support/squall_runner.h"

#include "faults/network.h"
#include "injector/base/clock.h"
#include "injector/kernel/namespace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define DELAY_NS (60 * NSEC_PER_MSEC)

/* near is the host:
 *   one (10.77.0.2 fd77::2) -- sqp1 \
 *                                    sqbr (10.77.0.1 fd77::1) == sqv0 -- far
 *   two (10.77.0.3 fd77::3) -- sqp2 /
 */
struct host {
	struct netlab *lab;
	char names[2][32];
	struct netlab containers[2]; /* to measure from */
};

static void add_container(struct host *host, unsigned at)
{
	const char *near = host->lab->near, *name = host->names[at];
	struct netlab *view = &host->containers[at];

	snprintf(host->names[at], sizeof(host->names[at]), "%s-%u", near, at + 1);
	netlab_run("ip netns add %s", name);
	netlab_run("ip link add sqp%u netns %s type veth peer name eth0 netns %s", at + 1, near,
		   name);
	netlab_run("ip -n %s link set sqp%u master sqbr up", near, at + 1);
	netlab_run("ip -n %s addr add 10.77.0.%u/24 dev eth0", name, at + 2);
	netlab_run("ip -n %s addr add fd77::%u/64 dev eth0 nodad", name, at + 2);
	netlab_run("ip -n %s link set eth0 up", name);
	netlab_run("ip -n %s route add default via 10.77.0.1", name);
	netlab_run("ip -n %s -6 route add default via fd77::1", name);
	*view = *host->lab;
	assert_int_equal(namespace_open_name(name, &view->near_fd, NULL), 0);
}

static int setup(void **state)
{
	struct host *host = calloc(1, sizeof(*host));
	const char *near;

	assert_non_null(host);
	if (netlab_setup((void **)&host->lab) != 0)
		return -1;
	near = host->lab->near;
	netlab_run("ip -n %s link add sqbr type bridge forward_delay 0", near);
	netlab_run("ip -n %s addr add 10.77.0.1/24 dev sqbr", near);
	netlab_run("ip -n %s addr add fd77::1/64 dev sqbr nodad", near);
	netlab_run("ip -n %s link set sqbr up", near);
	for (unsigned i = 0; i < 2; i++)
		add_container(host, i);
	netlab_run("ip netns exec %s sysctl -qw net.ipv4.ip_forward=1", near);
	netlab_run("ip netns exec %s sysctl -qw net.ipv6.conf.all.forwarding=1", near);
	netlab_run("ip netns exec %s nft add table inet nat", near);
	netlab_run("ip netns exec %s nft add chain inet nat post { type nat hook postrouting "
		   "priority 100 ; }",
		   near);
	netlab_run("ip netns exec %s nft add rule inet nat post oifname sqv0 masquerade", near);
	for (unsigned i = 0; i < 2; i++) { /* neighbours known */
		assert_true(netlab_fastest(&host->containers[i], "10.88.0.2", NETLAB_PORT, 3) > 0);
		assert_true(netlab_fastest(&host->containers[i], "fd88::2", NETLAB_PORT, 3) > 0);
	}
	*state = host;
	return 0;
}

static int teardown(void **state)
{
	struct host *host = *state;

	for (unsigned i = 0; i < 2; i++) {
		close(host->containers[i].near_fd);
		netlab_try("ip netns delete %s", host->names[i]);
	}
	netlab_teardown_ways((void **)&host->lab);
	free(host);
	return 0;
}

static void assert_slow(int64_t took_ns)
{
	assert_true(took_ns >= DELAY_NS);
}

static void assert_fast(int64_t took_ns)
{
	assert_in_range(took_ns, 0, DELAY_NS - 1);
}

/* From a container out to the far side. */
static int64_t out(const struct host *host, unsigned from, const char *address)
{
	return netlab_fastest(&host->containers[from], address, NETLAB_PORT, 3);
}

/* From one to the other, across the bridge alone. */
static int64_t across(const struct host *host, const char *address)
{
	int64_t best_ns = -1;

	for (unsigned i = 0; i < 3; i++) {
		int64_t took_ns = netlab_ping(&host->containers[1], address, 3000);

		if (took_ns >= 0 && (best_ns < 0 || took_ns < best_ns))
			best_ns = took_ns;
	}
	return best_ns;
}

/* What the bridge forwards between its ports does not come through the bridge's own device. */
static void test_on_the_bridge(void **state)
{
	struct host *host = *state;
	char *before = netlab_dump(host->lab);
	struct netlab_fault fault;

	netlab_fault_start(host->lab, &fault, "bbbbb1",
			   (const char *[]){"interface", "sqbr", "to", "10.77.0.2", "to", "fd77::2",
					    "delay", "60ms", NULL});
	assert_slow(out(host, 0, "10.88.0.2"));
	assert_slow(out(host, 0, "fd88::2"));
	assert_fast(out(host, 1, "10.88.0.2"));
	assert_fast(out(host, 1, "fd88::2"));
	assert_fast(across(host, "10.77.0.2"));
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	assert_fast(out(host, 0, "10.88.0.2"));
	netlab_same(host->lab, before);
}

static void test_on_a_port(void **state)
{
	struct host *host = *state;
	char *before = netlab_dump(host->lab);
	struct netlab_fault fault;

	netlab_fault_start(host->lab, &fault, "bbbbb2",
			   (const char *[]){"interface", "sqp1", "delay", "60ms", NULL});
	assert_slow(out(host, 0, "10.88.0.2"));
	assert_slow(out(host, 0, "fd88::2"));
	assert_slow(across(host, "10.77.0.2"));
	assert_slow(across(host, "fd77::2"));
	assert_fast(out(host, 1, "10.88.0.2"));
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	/* and what it sends, also to the other one */
	netlab_fault_start(host->lab, &fault, "bbbbb3",
			   (const char *[]){"interface", "sqp1", "delay", "60ms", "direction",
					    "ingress", NULL});
	assert_slow(out(host, 0, "10.88.0.2"));
	assert_slow(out(host, 0, "fd88::2"));
	assert_slow(across(host, "10.77.0.2"));
	assert_fast(out(host, 1, "fd88::2"));
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	netlab_same(host->lab, before);
}

static void check_uplink(struct host *host, const char *run, const char *direction)
{
	char *before = netlab_dump(host->lab);
	struct netlab_fault fault;

	netlab_fault_start(host->lab, &fault, run,
			   (const char *[]){"interface", "sqv0", "to", "10.88.0.2", "to", "fd88::2",
					    "delay", "60ms", "direction", direction, NULL});
	for (unsigned i = 0; i < 2; i++) {
		assert_slow(out(host, i, "10.88.0.2"));
		assert_slow(out(host, i, "fd88::2"));
		assert_fast(out(host, i, "10.88.0.3"));
	}
	assert_slow(netlab_fastest(host->lab, "10.88.0.2", NETLAB_PORT, 2));
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	assert_fast(out(host, 0, "10.88.0.2"));
	netlab_same(host->lab, before);
}

/* Behind the masquerade: the far address is what it was. */
static void test_on_the_uplink(void **state)
{
	check_uplink(*state, "bbbbb4", "egress");
	check_uplink(*state, "bbbbb5", "ingress");
	setenv("SQUALL_HOOK", "clsact", 1);
	check_uplink(*state, "bbbbb6", "egress");
	unsetenv("SQUALL_HOOK");
}

static void test_partition_of_one_container(void **state)
{
	struct host *host = *state;
	struct netlab_fault fault;

	netlab_fault_start(
		host->lab, &fault, "bbbbb7",
		(const char *[]){"interface", "sqp1", "loss", "100%", "direction", "both", NULL});
	assert_int_equal(netlab_answers(&host->containers[0], "10.88.0.2", NETLAB_PORT, 3), 0);
	assert_int_equal(netlab_answers(&host->containers[0], "fd88::2", NETLAB_PORT, 3), 0);
	assert_fast(out(host, 1, "10.88.0.2"));
	netlab_fault_finish(&fault, FAULT_END_NOW);
	assert_fast(out(host, 0, "10.88.0.2"));
}

static void test_on_a_vlan(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	if (netlab_try("ip -n %s link add link sqv0 name sqv0.7 type vlan id 7", lab->near) != 0)
		stage_skip("no VLANs here: the test machine has them");
	netlab_run("ip -n %s addr add 10.66.0.1/24 dev sqv0.7", lab->near);
	netlab_run("ip -n %s link set sqv0.7 up", lab->near);
	netlab_run("ip -n %s link add link sqv1 name sqv1.7 type vlan id 7", lab->far);
	netlab_run("ip -n %s addr add 10.66.0.2/24 dev sqv1.7", lab->far);
	netlab_run("ip -n %s link set sqv1.7 up", lab->far);
	assert_fast(netlab_ping(lab, "10.66.0.2", 3000));
	netlab_fault_start(lab, &fault, "bbbbb8",
			   (const char *[]){"interface", "sqv0.7", "delay", "60ms", NULL});
	assert_slow(netlab_ping(lab, "10.66.0.2", 3000));
	assert_fast(netlab_fastest(lab, "10.88.0.2", NETLAB_PORT, 3));
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	assert_fast(netlab_ping(lab, "10.66.0.2", 3000));
}

static void test_on_a_bond(void **state)
{
	struct netlab *lab = *state;
	static const char *const where[] = {"sqbond", "sqv0"};

	if (netlab_try("ip -n %s link add sqbond type bond mode active-backup", lab->near) != 0)
		stage_skip("no bonds here: the test machine has them");
	netlab_run("ip -n %s addr flush dev sqv0", lab->near);
	netlab_run("ip -n %s link set sqv0 down", lab->near);
	netlab_run("ip -n %s link set sqv0 master sqbond", lab->near);
	netlab_run("ip -n %s addr add 10.88.0.1/24 dev sqbond", lab->near);
	netlab_run("ip -n %s link set sqbond up", lab->near);
	assert_true(netlab_fastest(lab, "10.88.0.2", NETLAB_PORT, 3) >= 0);
	for (unsigned i = 0; i < 2; i++) {
		struct netlab_fault fault;

		netlab_fault_start(lab, &fault, i ? "bbbbb9" : "bbbbba",
				   (const char *[]){"interface", where[i], "to", "10.88.0.2",
						    "delay", "60ms", "direction", "both", NULL});
		assert_true(netlab_fastest(lab, "10.88.0.2", NETLAB_PORT, 3) >= 2 * DELAY_NS);
		assert_fast(netlab_fastest(lab, "10.88.0.3", NETLAB_PORT, 3));
		netlab_fault_finish(&fault, FAULT_END_SOFT);
	}
}

#define ON_HOST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
#define ON_LAB(test)  cmocka_unit_test_setup_teardown(test, netlab_setup, netlab_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_HOST(test_on_the_bridge), ON_HOST(test_on_a_port),
		ON_HOST(test_on_the_uplink), ON_HOST(test_partition_of_one_container),
		ON_LAB(test_on_a_vlan),	     ON_LAB(test_on_a_bond),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
