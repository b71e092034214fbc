/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which packets: targets resolved to interfaces, and scopes that hold on real traffic. A partition
 * (loss 100%) shows by what does not come back.
 */
#include "tests/support/children.h"
#include "tests/support/netlab.h"

#include "faults/network.h"
#include "injector/base/clock.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define LOST_MS 150

static void start(struct netlab *lab, struct netlab_fault *fault, const char *const *settings)
{
	netlab_fault_start(lab, fault, "ccccc1", settings);
}

static bool passes(const struct netlab *lab, const char *address, uint16_t port)
{
	return netlab_round_trip(lab, address, port, LOST_MS) >= 0;
}

static void test_port(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	start(lab, &fault, (const char *[]){"to", "10.88.0.2:7001", "loss", "100%", NULL});
	assert_false(passes(lab, "10.88.0.2", NETLAB_PORT));
	assert_true(passes(lab, "10.88.0.2", NETLAB_OTHER_PORT));
	assert_true(passes(lab, "10.88.0.3", NETLAB_PORT));
	assert_true(passes(lab, "fd88::2", NETLAB_PORT));
	assert_true(netlab_ping(lab, "10.88.0.2", 1000) >= 0);
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

static void test_port_on_ingress_is_the_far_one(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	start(lab, &fault,
	      (const char *[]){"to", "10.88.0.2:7001", "loss", "100%", "direction", "ingress",
			       NULL});
	assert_false(passes(lab, "10.88.0.2", NETLAB_PORT));
	assert_true(passes(lab, "10.88.0.2", NETLAB_OTHER_PORT));
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

/* Ranges and networks that overlap in every way are one scope. */
static void test_overlapping_endpoints(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	start(lab, &fault,
	      (const char *[]){"to", "10.88.0.0/24:6000-7001", "to", "10.88.0.2:7000-7001", "to",
			       "10.88.0.2/31:6990-8000", "to", "10.88.0.2:7001", "to",
			       "10.0.0.0/8:80", "to", "[fd88::/64]:7001", "to",
			       "[fd88::2]:7001-7002", "loss", "100%", "interface", "sqv0", NULL});
	assert_false(passes(lab, "10.88.0.2", NETLAB_PORT));
	assert_false(passes(lab, "10.88.0.2", NETLAB_OTHER_PORT));
	assert_false(passes(lab, "10.88.0.3", NETLAB_PORT));
	assert_false(passes(lab, "fd88::2", NETLAB_PORT));
	assert_false(passes(lab, "fd88::3", NETLAB_PORT));
	assert_true(netlab_ping(lab, "10.88.0.2", 1000) >= 0);
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

static void test_networks_and_single_addresses(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	start(lab, &fault,
	      (const char *[]){"to", "10.88.0.2", "to", "10.88.0.2/32", "to", "10.88.0.2/31", "to",
			       "fd88::2/127", "to", "fd88::2", "loss", "100%", NULL});
	assert_false(passes(lab, "10.88.0.2", NETLAB_PORT));
	assert_false(passes(lab, "10.88.0.3", NETLAB_PORT));
	assert_false(passes(lab, "fd88::2", NETLAB_PORT));
	assert_false(passes(lab, "fd88::3", NETLAB_PORT));
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

static void test_every_address_on_a_port(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	start(lab, &fault,
	      (const char *[]){"to", "*:7001", "to", "*:7001-7001", "interface", "sqv0", "loss",
			       "100%", NULL});
	assert_false(passes(lab, "10.88.0.2", NETLAB_PORT));
	assert_false(passes(lab, "fd88::2", NETLAB_PORT));
	assert_true(passes(lab, "10.88.0.2", NETLAB_OTHER_PORT));
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

static void test_a_whole_family(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	start(lab, &fault,
	      (const char *[]){"to", "0.0.0.0/0", "to", "10.88.0.2", "to", "[::/0]:7002",
			       "interface", "sqv0", "loss", "100%", NULL});
	assert_false(passes(lab, "10.88.0.2", NETLAB_PORT));
	assert_false(passes(lab, "10.88.0.3", NETLAB_PORT));
	assert_true(passes(lab, "fd88::2", NETLAB_PORT));
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

static void test_local_port(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	start(lab, &fault,
	      (const char *[]){"to", "10.88.0.0/24", "local-port", "5000-5010", "local-port",
			       "5005-5020", "loss", "100%", NULL});
	assert_true(netlab_round_trip_from(lab, 5015, "10.88.0.2", NETLAB_PORT, LOST_MS) < 0);
	assert_true(netlab_round_trip_from(lab, 5021, "10.88.0.2", NETLAB_PORT, 1000) >= 0);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	start(lab, &fault,
	      (const char *[]){"to", "10.88.0.0/24", "local-port", "5000", "loss", "100%",
			       "direction", "ingress", NULL});
	assert_true(netlab_round_trip_from(lab, 5000, "10.88.0.2", NETLAB_PORT, LOST_MS) < 0);
	assert_true(netlab_round_trip_from(lab, 5001, "10.88.0.2", NETLAB_PORT, 1000) >= 0);
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

/* Of all ports those alone pass. */
static void assert_left_out(struct netlab *lab, const char *address, const char *direction)
{
	struct netlab_fault fault;

	start(lab, &fault,
	      (const char *[]){"to", "10.88.0.0/24", "to", "fd88::/64", "except", "10.88.0.3",
			       "except-local-port", "5000-5010", "except-local-port", "5005-5020",
			       "loss", "100%", "direction", direction, NULL});
	assert_non_null(strstr(fault.plan, "not affected: port 5005-5020 on this side"));
	assert_true(netlab_round_trip_from(lab, 5015, address, NETLAB_PORT, 1000) >= 0);
	assert_true(netlab_round_trip_from(lab, 5021, address, NETLAB_PORT, LOST_MS) < 0);
	assert_true(netlab_round_trip_from(lab, 5021, "10.88.0.3", NETLAB_PORT, 1000) >= 0);
	assert_true(netlab_ping(lab, address, LOST_MS) < 0);
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

static void test_except_local_port(void **state)
{
	static const char *const directions[] = {"egress", "ingress", "both"};

	for (unsigned i = 0; i < 3; i++) {
		assert_left_out(*state, "10.88.0.2", directions[i]);
		assert_left_out(*state, "fd88::2", directions[i]);
	}
}

static void test_except_local_port_by_filters(void **state)
{
	setenv("SQUALL_HOOK", "clsact", 1);
	test_except_local_port(state);
	unsetenv("SQUALL_HOOK");
}

static void test_protocol(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	start(lab, &fault,
	      (const char *[]){"to", "10.88.0.2", "to", "fd88::2", "protocol", "icmp", "loss",
			       "100%", NULL});
	assert_true(netlab_ping(lab, "10.88.0.2", LOST_MS) < 0);
	assert_true(netlab_ping(lab, "fd88::2", LOST_MS) < 0);
	assert_true(passes(lab, "10.88.0.2", NETLAB_PORT));
	netlab_fault_finish(&fault, FAULT_END_NOW);
	start(lab, &fault,
	      (const char *[]){"to", "10.88.0.2:7001", "protocol", "tcp", "loss", "100%", NULL});
	assert_true(passes(lab, "10.88.0.2", NETLAB_PORT));
	assert_true(netlab_transfer(lab, "10.88.0.2", NETLAB_PORT, 1000, 500) < 0);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	assert_true(netlab_transfer(lab, "10.88.0.2", NETLAB_PORT, 1000, 3000) > 0);
}

static void test_many_endpoints(void **state)
{
	enum { COUNT = 900 };
	struct netlab *lab = *state;
	static char texts[COUNT][32];
	static const char *settings[COUNT * 2 + 8];
	struct netlab_fault fault;
	unsigned at = 0;

	for (unsigned i = 0; i < COUNT; i++) {
		snprintf(texts[i], sizeof(texts[i]), "10.%u.%u.0/24:%u", 90 + i / 250, i % 250,
			 1000 + i % 7);
		settings[at++] = "to";
		settings[at++] = texts[i];
	}
	settings[at++] = "to";
	settings[at++] = "10.88.0.2:7001";
	settings[at++] = "interface";
	settings[at++] = "sqv0";
	settings[at++] = "loss";
	settings[at++] = "100%";
	start(lab, &fault, settings);
	assert_false(passes(lab, "10.88.0.2", NETLAB_PORT));
	assert_true(passes(lab, "10.88.0.2", NETLAB_OTHER_PORT));
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

/* Resolving. */

static int resolve(struct netlab *lab, struct netlab_fault *fault, const char *const *settings,
		   struct error *err)
{
	int result;

	*err = (struct error)ERROR_INIT;
	result = netlab_fault_plan(lab, fault, "ccccc2", settings, err);
	netlab_fault_finish(fault, FAULT_END_NOW);
	return result;
}

static void test_resolving(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct error err;

	assert_int_equal(
		resolve(lab, &fault, (const char *[]){"to", "10.88.0.2", "loss", "1%", NULL}, &err),
		0);
	assert_non_null(strstr(fault.plan, "interface sqv0 "));
	/* an address of this side is reached through lo */
	assert_int_equal(
		resolve(lab, &fault, (const char *[]){"to", "10.88.0.1", "loss", "1%", NULL}, &err),
		0);
	assert_non_null(strstr(fault.plan, "interface lo "));
	assert_int_equal(
		resolve(lab, &fault, (const char *[]){"to", "fd88::1", "loss", "1%", NULL}, &err),
		0);
	assert_non_null(strstr(fault.plan, "interface lo "));
	assert_int_equal(resolve(lab, &fault,
				 (const char *[]){"to", "203.0.113.1", "loss", "1%", NULL}, &err),
			 -ENETUNREACH);
	assert_non_null(strstr(err.text, "203.0.113.1"));
	assert_int_equal(resolve(lab, &fault, (const char *[]){"loss", "1%", NULL}, &err),
			 -ENETUNREACH);
	assert_non_null(strstr(err.remedy, "interface"));
	netlab_run("ip -n %s route add default via 10.88.0.2", lab->near);
	assert_int_equal(resolve(lab, &fault, (const char *[]){"loss", "1%", NULL}, &err), 0);
	assert_non_null(strstr(fault.plan, "interface sqv0 "));
	netlab_run("ip -n %s route add unreachable 198.18.0.0/15", lab->near);
	assert_int_equal(resolve(lab, &fault,
				 (const char *[]){"to", "198.18.0.1", "loss", "1%", NULL}, &err),
			 -ENETUNREACH);
	assert_int_equal(resolve(lab, &fault,
				 (const char *[]){"to", "10.88.0.2", "interface", "eth99", "loss",
						  "1%", NULL},
				 &err),
			 -ENODEV);
	assert_non_null(strstr(err.text, "eth99"));
	assert_int_equal(resolve(lab, &fault,
				 (const char *[]){"to", "10.88.0.2:80", "protocol", "icmp", "loss",
						  "1%", NULL},
				 &err),
			 -EINVAL);
}

static void test_multipath_routes_give_all_interfaces(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct error err;

	netlab_run("ip link add sqv2 netns %s type veth peer name sqv3 netns %s", lab->near,
		   lab->far);
	netlab_run("ip -n %s addr add 10.89.0.1/24 dev sqv2", lab->near);
	netlab_run("ip -n %s link set sqv2 up", lab->near);
	netlab_run("ip -n %s link set sqv3 up", lab->far);
	netlab_run("ip -n %s route add 10.90.0.0/24 nexthop via 10.88.0.2 nexthop via 10.89.0.2",
		   lab->near);
	assert_int_equal(
		resolve(lab, &fault, (const char *[]){"to", "10.90.0.7", "loss", "1%", NULL}, &err),
		0);
	assert_non_null(strstr(fault.plan, "interface sqv0 "));
	assert_non_null(strstr(fault.plan, "interface sqv2 "));
}

static bool enter_near(void *context)
{
	return setns(((const struct netlab *)context)->near_fd, CLONE_NEWNET) == 0;
}

static void test_namespace_by_pid_and_name(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct error err;
	char text[32];
	pid_t pid = child_start_ready(enter_near, lab);

	snprintf(text, sizeof(text), "pid:%d", pid);
	assert_int_equal(
		resolve(NULL, &fault,
			(const char *[]){"to", "10.88.0.2", "namespace", text, "loss", "1%", NULL},
			&err),
		0);
	assert_non_null(strstr(fault.plan, text));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(
		resolve(NULL, &fault,
			(const char *[]){"to", "10.88.0.2", "namespace", text, "loss", "1%", NULL},
			&err),
		-ENOENT);
	assert_int_equal(resolve(NULL, &fault,
				 (const char *[]){"to", "10.88.0.2", "namespace", "sqnt-none",
						  "loss", "1%", NULL},
				 &err),
			 -ENOENT);
	assert_non_null(strstr(err.text, "sqnt-none"));
}

static void test_parameters_make_sense(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct error err;

	assert_int_equal(resolve(lab, &fault, (const char *[]){"to", "10.88.0.2", NULL}, &err),
			 -EINVAL);
	assert_int_equal(
		resolve(lab, &fault,
			(const char *[]){"to", "10.88.0.2", "jitter", "5ms", "loss", "1%", NULL},
			&err),
		-EINVAL);
	/* what would leave before it came leaves at once */
	assert_int_equal(
		resolve(lab, &fault,
			(const char *[]){"to", "10.88.0.2", "delay", "5ms", "jitter", "6ms", NULL},
			&err),
		0);
	assert_int_equal(
		resolve(lab, &fault,
			(const char *[]){"to", "10.88.0.2", "delay", "5ms", "jitter", "5ms", NULL},
			&err),
		0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, netlab_setup, netlab_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_port),
		TEST(test_port_on_ingress_is_the_far_one),
		TEST(test_overlapping_endpoints),
		TEST(test_networks_and_single_addresses),
		TEST(test_every_address_on_a_port),
		TEST(test_a_whole_family),
		TEST(test_local_port),
		TEST(test_except_local_port),
		TEST(test_except_local_port_by_filters),
		TEST(test_protocol),
		TEST(test_many_endpoints),
		TEST(test_resolving),
		TEST(test_multipath_routes_give_all_interfaces),
		TEST(test_namespace_by_pid_and_name),
		TEST(test_parameters_make_sense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
