/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Finer than addresses and ports: protocols, VLANs, shares of flows, neighbours, patterns of
 * interfaces. Each on real traffic, and by both ways of taking packets out of an interface.
 */
#include "tests/support/squall_runner.h"

#include "faults/network.h"
#include "injector/base/cleanup.h"
#include "injector/base/clock.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include <cmocka.h>

#define LOST_MS	   150
#define FLOWS	   32
#define HOSTS	   20
#define FIRST_HOST 100

static void start(struct netlab *lab, struct netlab_fault *fault, const char *const *settings)
{
	netlab_fault_start(lab, fault, "sssss1", settings);
}

static bool passes(const struct netlab *lab, const char *address, uint16_t port)
{
	return netlab_round_trip(lab, address, port, LOST_MS) >= 0;
}

static void test_protocols(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	start(lab, &fault,
	      (const char *[]){"to", "10.88.0.2", "to", "fd88::2", "protocol", "tcp", "protocol",
			       "icmpv6", "loss", "100%", NULL});
	assert_true(passes(lab, "10.88.0.2", NETLAB_PORT));
	assert_true(netlab_ping(lab, "10.88.0.2", 1000) >= 0);
	assert_int_equal(netlab_ping(lab, "fd88::2", LOST_MS), -1);
	assert_int_equal(netlab_transfer(lab, "10.88.0.2", NETLAB_PORT, 100, LOST_MS), -1);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	start(lab, &fault,
	      (const char *[]){"to", "10.88.0.2", "protocol-number", "17", "loss", "100%", NULL});
	assert_false(passes(lab, "10.88.0.2", NETLAB_PORT));
	assert_true(netlab_ping(lab, "10.88.0.2", 1000) >= 0);
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

/* Ports beside a protocol that has none: its packets are not read as if they had. */
static void test_a_port_does_not_read_icmp(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	start(lab, &fault,
	      (const char *[]){"to", "10.88.0.2:1-65535", "protocol", "udp", "protocol", "icmp",
			       "loss", "100%", NULL});
	assert_false(passes(lab, "10.88.0.2", NETLAB_PORT));
	assert_true(netlab_ping(lab, "10.88.0.2", 1000) >= 0);
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

/* A protocol of the test's own (253 is for experiments, RFC 3692): nothing else speaks it. */
static bool arrives(const struct netlab *lab, const char *from, const char *to)
{
	int family = strchr(to, ':') ? AF_INET6 : AF_INET;
	cleanup_fd int source = netlab_socket(lab->near_fd, family, SOCK_RAW, 253, from, 0);
	cleanup_fd int sink = netlab_socket(lab->far_fd, family, SOCK_RAW, 253, to, 0);
	struct pollfd ready = {.fd = sink, .events = POLLIN};
	struct sockaddr_storage address;
	socklen_t length = netlab_address(to, 0, &address);

	assert_int_equal(sendto(source, "hello", 5, 0, (void *)&address, length), 5);
	return poll(&ready, 1, LOST_MS) > 0;
}

static void test_a_protocol_without_a_name(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	for (unsigned i = 0; i < 2; i++) {
		const bool is_other = i == 1;

		start(lab, &fault,
		      (const char *[]){"to", "10.88.0.2", "to", "fd88::2", "protocol-number",
				       is_other ? "254" : "253", "loss", "100%", NULL});
		assert_int_equal(arrives(lab, "10.88.0.1", "10.88.0.2"), is_other);
		assert_int_equal(arrives(lab, "fd88::1", "fd88::2"), is_other);
		assert_true(passes(lab, "10.88.0.2", NETLAB_PORT));
		assert_true(passes(lab, "fd88::2", NETLAB_PORT));
		netlab_fault_finish(&fault, FAULT_END_NOW);
	}
	assert_true(arrives(lab, "10.88.0.1", "10.88.0.2"));
	assert_true(arrives(lab, "fd88::1", "fd88::2"));
}

/* One bit a flow: it passes. */
static uint64_t flows_that_pass(struct netlab *lab, const char *address, const char *direction,
				uint64_t seed)
{
	struct netlab_fault fault;
	uint64_t passing = 0;
	int lost_ms = getenv("SQUALL_IN_VM") ? LOST_MS : 30; /* half of them wait for it */

	netlab_fault_must_plan(lab, &fault, "sssss1",
			       (const char *[]){"to", address, "share", "50%", "loss", "100%",
						"direction", direction, NULL});
	fault.target.seed = seed;
	netlab_fault_inject(&fault);
	for (unsigned i = 0; i < FLOWS; i++)
		for (unsigned again = 0; again < 2 && !(passing & 1ULL << i); again++)
			if (netlab_round_trip_from(lab, (uint16_t)(20000 + i), address, NETLAB_PORT,
						   lost_ms) >= 0)
				passing |= 1ULL << i;
	netlab_fault_finish(&fault, FAULT_END_NOW);
	return passing;
}

static void check_share(struct netlab *lab, const char *address)
{
	uint64_t first = flows_that_pass(lab, address, "egress", 7);
	int count = __builtin_popcountll(first);

	/* five standard deviations */
	if (count < FLOWS / 2 - 14 || count > FLOWS / 2 + 14)
		fail_msg("%d of %d flows pass", count, FLOWS);
	assert_true(flows_that_pass(lab, address, "ingress", 7) == first);
	assert_true(flows_that_pass(lab, address, "egress", 8) != first);
}

/* All flows of an address fare alike. */
static void assert_flows_alike(struct netlab *lab, const char *address, int lost_ms)
{
	unsigned passing = 0;

	for (unsigned flow = 0; flow < 6; flow++)
		for (unsigned again = 0; again < 2 && !(passing & 1U << flow); again++)
			if (netlab_round_trip_from(lab, (uint16_t)(20000 + flow), address,
						   NETLAB_PORT, lost_ms) >= 0)
				passing |= 1U << flow;
	if (passing != 0 && passing != 0x3f)
		fail_msg("%s: some of its flows pass (%x)", address, passing);
}

/* One bit an address: it passes. */
static uint64_t addresses_that_pass(struct netlab *lab, bool is_six, const char *direction,
				    uint64_t seed)
{
	struct netlab_fault fault;
	uint64_t passing = 0;
	int lost_ms = getenv("SQUALL_IN_VM") ? LOST_MS : 60;
	char address[INET6_ADDRSTRLEN];

	netlab_fault_must_plan(lab, &fault, "sssss1",
			       (const char *[]){"to", is_six ? "fd88::/64" : "10.88.0.0/24",
						"share", "50%", "share-of", "addresses", "loss",
						"100%", "direction", direction, NULL});
	assert_non_null(strstr(fault.plan, "of that, 50% of the far addresses"));
	fault.target.seed = seed;
	netlab_fault_inject(&fault);
	for (unsigned i = 0; i < HOSTS; i++) {
		snprintf(address, sizeof(address), "%s%u", is_six ? "fd88::" : "10.88.0.",
			 FIRST_HOST + i);
		for (unsigned again = 0; again < 2 && !(passing & 1ULL << i); again++)
			if (netlab_ping(lab, address, lost_ms) >= 0)
				passing |= 1ULL << i;
	}
	assert_flows_alike(lab, is_six ? "fd88::2" : "10.88.0.2", lost_ms);
	assert_flows_alike(lab, is_six ? "fd88::3" : "10.88.0.3", lost_ms);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	return passing;
}

static void check_share_of_addresses(struct netlab *lab, bool is_six)
{
	uint64_t first;
	int count;

	for (unsigned i = 0; i < HOSTS; i++)
		netlab_run("ip -n %s address add %s%u/%u dev sqv1 %s", lab->far,
			   is_six ? "fd88::" : "10.88.0.", FIRST_HOST + i, is_six ? 64 : 24,
			   is_six ? "nodad" : "");
	first = addresses_that_pass(lab, is_six, "egress", 7);
	count = __builtin_popcountll(first);
	if (count < 3 || count > HOSTS - 3)
		fail_msg("%d of %d addresses pass", count, HOSTS);
	assert_true(addresses_that_pass(lab, is_six, "ingress", 7) == first);
	assert_true(addresses_that_pass(lab, is_six, "egress", 8) != first);
}

static void test_share_of_addresses(void **state)
{
	check_share_of_addresses(*state, false);
}

static void test_share_of_addresses_ipv6(void **state)
{
	check_share_of_addresses(*state, true);
}

static void test_share_of_flows(void **state)
{
	check_share(*state, "10.88.0.2");
}

static void test_share_of_flows_ipv6(void **state)
{
	check_share(*state, "fd88::2");
}

/* One datagram with a tag of that kind comes in: VLAN 5. */
static void send_tagged(const struct netlab *lab, uint16_t kind)
{
	/* to somebody else's address: no stack takes it */
	const uint8_t frame[60] = {
		[0] = 2,   [6] = 2,   [12] = kind >> 8, kind & 0xff, 0,	 5, 8, 0,  0x45,
		[21] = 42, [26] = 64, IPPROTO_UDP,	[30] = 10,   88, 0, 2, 10, 88,
		0,	   1};
	struct ifreq link = {.ifr_name = "sqv1"};
	struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_protocol = htons(kind)};
	cleanup_fd int fd = netlab_socket(lab->far_fd, AF_PACKET, SOCK_RAW, 0, NULL, 0);

	assert_int_equal(ioctl(fd, SIOCGIFINDEX, &link), 0);
	to.sll_ifindex = link.ifr_ifindex;
	assert_int_equal(sendto(fd, frame, sizeof(frame), 0, (void *)&to, sizeof(to)),
			 sizeof(frame));
}

/* The tags of providers (802.1ad) are others, whatever their number. */
static void test_vlan_of_a_provider(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct evidence evidence = {0};

	start(lab, &fault,
	      (const char *[]){"interface", "sqv0", "vlan", "5", "loss", "100%", "direction",
			       "ingress", NULL});
	for (unsigned i = 0; i < 2; i++) {
		send_tagged(lab, i ? ETH_P_8021AD : ETH_P_8021Q);
		pause_ms(LOST_MS);
		assert_int_equal(network_fault.evidence(&fault.fault, &evidence, NULL), 0);
		assert_int_equal(evidence.hits, 1);
	}
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

static void test_vlan(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	if (netlab_try("ip -n %s link add link sqv0 name sqv0.5 type vlan id 5", lab->near)) {
		printf("the kernel has no VLAN devices\n");
		skip();
	}
	netlab_run("ip -n %s link add link sqv1 name sqv1.5 type vlan id 5", lab->far);
	netlab_run("ip -n %s addr add 10.89.0.1/24 dev sqv0.5", lab->near);
	netlab_run("ip -n %s addr add 10.89.0.2/24 dev sqv1.5", lab->far);
	netlab_run("ip -n %s link set sqv0.5 up", lab->near);
	netlab_run("ip -n %s link set sqv1.5 up", lab->far);
	assert_true(netlab_ping(lab, "10.89.0.2", 2000) >= 0);
	for (unsigned i = 0; i < 2; i++) {
		start(lab, &fault,
		      (const char *[]){"interface", "sqv0", "vlan", "5", "loss", "100%",
				       "direction", i ? "ingress" : "egress", NULL});
		assert_int_equal(netlab_ping(lab, "10.89.0.2", LOST_MS), -1);
		assert_true(netlab_ping(lab, "10.88.0.2", 1000) >= 0);
		netlab_fault_finish(&fault, FAULT_END_NOW);
		assert_true(netlab_ping(lab, "10.89.0.2", 1000) >= 0);
	}
	for (unsigned i = 0; i < 4; i++) { /* and with an address of this side */
		start(lab, &fault,
		      (const char *[]){"interface", "sqv0", "vlan", "5", "local-address",
				       i / 2 ? "10.88.0.1" : "10.89.0.1", "loss", "100%",
				       "direction", i % 2 ? "ingress" : "egress", NULL});
		assert_int_equal(netlab_ping(lab, "10.89.0.2", i / 2 ? 1000 : LOST_MS) >= 0, i / 2);
		assert_true(netlab_ping(lab, "10.88.0.2", 1000) >= 0);
		netlab_fault_finish(&fault, FAULT_END_NOW);
	}
}

static bool finds_neighbour(struct netlab *lab)
{
	netlab_run("ip -n %s neigh flush dev sqv0", lab->near);
	return netlab_ping(lab, "10.88.0.2", LOST_MS) >= 0;
}

static void test_the_interface_of_a_vlan_is_asked_for(void **state)
{
	static const char *const note = "vlan: the routes lead by sqv0";
	struct netlab *lab = *state;
	struct netlab_fault fault;

	netlab_fault_must_plan(
		lab, &fault, "sssss1",
		(const char *[]){"to", "10.88.0.2", "vlan", "5", "loss", "1%", NULL});
	assert_non_null(strstr(fault.plan, note));
	netlab_fault_finish(&fault, FAULT_END_NOW);
	netlab_fault_must_plan(lab, &fault, "sssss1",
			       (const char *[]){"to", "10.88.0.2", "vlan", "5", "interface", "sqv0",
						"loss", "1%", NULL});
	assert_null(strstr(fault.plan, note));
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

/* ARP passes unless it is asked for: seen by an answer that only needs ARP to pass. */
static void test_neighbours_only_when_asked(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	start(lab, &fault,
	      (const char *[]){"interface", "sqv0", "protocol", "tcp", "loss", "100%", NULL});
	assert_true(finds_neighbour(lab));
	netlab_fault_finish(&fault, FAULT_END_NOW);
	start(lab, &fault,
	      (const char *[]){"interface", "sqv0", "except", "10.88.0.0/24", "neighbours", "true",
			       "loss", "100%", NULL});
	assert_null(strstr(fault.plan, "not affected: ARP"));
	assert_false(finds_neighbour(lab));
	netlab_fault_finish(&fault, FAULT_END_NOW);
	assert_true(finds_neighbour(lab));
}

/* It has no address, port or flow: who limits the target by one of these does not get it, and is
 * told. */
static void test_neighbours_of_a_narrower_target(void **state)
{
	static const char *const arp = "not affected, for all that neighbours says: ARP";
	static const struct {
		const char *key, *value;
		bool has_discovery;
	} narrower[] = {{"to", "10.88.0.3", false},
			{"to", "10.88.0.0/24", false},
			{"to", "fd88::/64", true},
			{"protocol", "tcp", false},
			{"protocol", "icmpv6", true},
			{"local-port", "1-65535", false},
			{"local-address", "10.88.0.1", false},
			{"share", "99.9%", true},
			{"after-bytes", "1B", true}};
	struct netlab *lab = *state;
	struct netlab_fault fault;
	const char *line;

	for (unsigned i = 0; i < sizeof(narrower) / sizeof(*narrower); i++) {
		start(lab, &fault,
		      (const char *[]){"interface", "sqv0", "neighbours", "true", narrower[i].key,
				       narrower[i].value, "except", "10.88.0.2", "loss", "100%",
				       NULL});
		line = strstr(fault.plan, arp);
		assert_non_null(line);
		assert_int_equal(strncmp(line + strlen(arp), ";", 1) == 0,
				 narrower[i].has_discovery);
		assert_true(finds_neighbour(lab));
		netlab_fault_finish(&fault, FAULT_END_NOW);
	}
}

static void test_an_interface_that_is_down_is_told(void **state)
{
	static const char *const note = "sqv0 is down: nothing passes there until it is up";
	static const char *const settings[] = {"interface", "sqv0", "loss", "1%", NULL};
	struct netlab *lab = *state;
	struct netlab_fault fault;

	netlab_fault_must_plan(lab, &fault, "sssss1", settings);
	assert_null(strstr(fault.plan, note));
	netlab_fault_finish(&fault, FAULT_END_NOW);
	netlab_run("ip -n %s link set sqv0 down", lab->near);
	netlab_fault_must_plan(lab, &fault, "sssss1", settings);
	assert_non_null(strstr(fault.plan, note));
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

static void test_interfaces_by_pattern(void **state)
{
	static const char *const patterns[] = {"sqv*", "sq?0", "all", "default-route"};
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct error err = ERROR_INIT;

	netlab_run("ip -n %s route add default via 10.88.0.2", lab->near);
	for (unsigned i = 0; i < sizeof(patterns) / sizeof(*patterns); i++) {
		start(lab, &fault,
		      (const char *[]){"to", "10.88.0.2", "interface", patterns[i], "loss", "100%",
				       NULL});
		assert_int_equal(fault.target.interface_count, 1);
		assert_false(passes(lab, "10.88.0.2", NETLAB_PORT));
		netlab_fault_finish(&fault, FAULT_END_NOW);
	}
	assert_true(netlab_fault_plan(lab, &fault, "sssss1",
				      (const char *[]){"to", "10.88.0.2", "interface", "wg*",
						       "loss", "100%", NULL},
				      &err) < 0);
	assert_non_null(strstr(err.text, "no interface matches 'wg*'"));
	netlab_fault_finish(&fault, FAULT_END_NOW);
	netlab_run("ip -n %s route delete default", lab->near);
	assert_true(netlab_fault_plan(lab, &fault, "sssss1",
				      (const char *[]){"to", "10.88.0.2", "interface",
						       "default-route", "loss", "100%", NULL},
				      &err) < 0);
	assert_non_null(strstr(err.text, "interface: default-route: there is no default route"));
	netlab_fault_finish(&fault, FAULT_END_NOW);
	/* those that are followed may come, one that is named alone is mistyped */
	if (netlab_fault_plan(lab, &fault, "sssss1",
			      (const char *[]){"to", "10.88.0.2", "interface", "wg*", "follow",
					       "true", "loss", "100%", NULL},
			      &err) < 0)
		fail_msg("%s; %s", err.text, err.remedy);
	assert_non_null(strstr(fault.plan, "no interface now: those that appear are met"));
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BY_TABLE_AND_FILTERS(test_protocols),
		BY_TABLE_AND_FILTERS(test_a_port_does_not_read_icmp),
		BY_TABLE_AND_FILTERS(test_a_protocol_without_a_name),
		BY_TABLE_AND_FILTERS(test_share_of_flows),
		BY_TABLE_AND_FILTERS(test_share_of_flows_ipv6),
		BY_TABLE_AND_FILTERS(test_share_of_addresses),
		BY_TABLE_AND_FILTERS(test_share_of_addresses_ipv6),
		BY_TABLE_AND_FILTERS(test_vlan),
		BY_TABLE_AND_FILTERS(test_vlan_of_a_provider),
		BY_TABLE_AND_FILTERS(test_the_interface_of_a_vlan_is_asked_for),
		BY_TABLE_AND_FILTERS(test_neighbours_only_when_asked),
		BY_TABLE_AND_FILTERS(test_neighbours_of_a_narrower_target),
		BY_TABLE_AND_FILTERS(test_an_interface_that_is_down_is_told),
		BY_TABLE_AND_FILTERS(test_interfaces_by_pattern),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
