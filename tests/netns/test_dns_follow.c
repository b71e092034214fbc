/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `follow: true` of a dns fault: the name of its server gets other addresses, its control group is
 * made again. No query to a server that stays in scope passes meanwhile.
 */
#include "tests/netns/dns_bench.h"

#include "tests/netns/redirect_follow_bench.h"

#include "injector/base/cleanup.h"

#include <errno.h>
#include <stdlib.h>

#define GROUP "sqdf-ours"

static void assert_rcode(const struct netlab *lab, const char *server, int rcode)
{
	for (int tcp = 0; tcp < 2; tcp++) {
		struct dns_reply reply =
			DNS_ASK(lab, .server = server, .name = "gone.test", .over_tcp = tcp);

		if (reply.rcode != rcode)
			fail_msg("%s%s: rcode %d instead of %d", server, tcp ? " (tcp)" : "",
				 reply.rcode, rcode);
	}
}

static void test_the_fault_moves_with_the_name_of_its_server(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char *before = netlab_dump(lab);

	START(lab, &fault, "follow", "true", "host", "ns.test 10.88.0.2", "name", "gone.test",
	      "answer", "nxdomain");
	assert_non_null(strstr(fault.plan, "followed: ns.test (now 10.88.0.2), every 5s"));
	assert_null(strstr(fault.plan, "route"));
	assert_rcode(lab, "10.88.0.2", DNS_NXDOMAIN);
	assert_rcode(lab, "10.88.0.3", DNS_NOERROR);
	move(&fault, "10.88.0.3 fd88::3");
	assert_rcode(lab, "10.88.0.3", DNS_NXDOMAIN);
	assert_rcode(lab, "fd88::3", DNS_NXDOMAIN);
	assert_rcode(lab, "10.88.0.2", DNS_NOERROR);
	assert_rcode(lab, "fd88::2", DNS_NOERROR);
	move(&fault, "10.88.0.2");
	assert_rcode(lab, "10.88.0.2", DNS_NXDOMAIN);
	assert_rcode(lab, "10.88.0.3", DNS_NOERROR);
	assert_int_equal(netlab_evidence(&fault).hits, 8);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	assert_rcode(lab, "10.88.0.2", DNS_NOERROR);
	netlab_same(lab, before);
}

/* A socket that has asked already goes on, and is met or not by where it asks. */
static void test_a_socket_that_is_used_again_is_met_while_in_scope(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	const int stays = dns_socket(lab, "10.88.0.2", 53, SOCK_DGRAM);
	const int leaves = dns_socket(lab, "10.88.0.3", 53, SOCK_DGRAM);

	START(lab, &fault, "follow", "true", "host", "ns.test 10.88.0.2 10.88.0.3", "name",
	      "gone.test", "answer", "nxdomain");
	for (unsigned round = 0; round < 3; round++) {
		const bool is_in = round != 1;

		move(&fault, is_in ? "10.88.0.3 10.88.0.2" : "10.88.0.2");
		assert_int_equal(DNS_ASK(lab, .name = "gone.test", .fd = stays).rcode,
				 DNS_NXDOMAIN);
		assert_int_equal(DNS_ASK(lab, .name = "gone.test", .fd = leaves).rcode,
				 is_in ? DNS_NXDOMAIN : DNS_NOERROR);
	}
	netlab_fault_finish(&fault, FAULT_END_NOW);
	close(stays);
	close(leaves);
}

/* A connection to a server that stays, through many changes. */
static void test_a_connection_goes_on_while_other_addresses_change(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct changing changing;
	unsigned passed = 0;
	int fd;

	START(lab, &fault, "follow", "true", "host", "ns.test 10.88.0.2", "name", "gone.test",
	      "answer", "nxdomain");
	fd = dns_socket(lab, "10.88.0.2", 53, SOCK_STREAM);
	begin_changing(&changing, &fault);
	for (unsigned i = 0; !passed && (i < 200 || changing.changes < 20); i++)
		passed += DNS_ASK(lab, .name = "gone.test", .fd = fd, .over_tcp = true).rcode !=
			  DNS_NXDOMAIN;
	end_changing(&changing, 20);
	assert_int_equal(passed, 0);
	close(fd);
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

static void test_no_query_passes_while_addresses_change(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct changing changing;
	unsigned passed = 0;

	START(lab, &fault, "follow", "true", "host", "ns.test 10.88.0.2", "name", "gone.test",
	      "answer", "nxdomain");
	begin_changing(&changing, &fault);
	for (unsigned i = 0; !passed && (i < 1000 || changing.changes < 20); i++)
		passed +=
			DNS_ASK(lab, .name = "gone.test", .over_tcp = i % 2).rcode != DNS_NXDOMAIN;
	end_changing(&changing, 20);
	assert_int_equal(passed, 0);
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

static void test_what_is_not_in_force_gets_ready(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct error err = ERROR_INIT;

	netlab_fault_must_plan(lab, &fault, "fo110w",
			       SETTINGS("follow", "true", "host", "ns.test 10.88.0.2", "name",
					"gone.test", "answer", "nxdomain"));
	move(&fault, "10.88.0.3");
	assert_rcode(lab, "10.88.0.3", DNS_NOERROR);
	assert_int_equal(fault.fault.ops->inject(&fault.fault, &err), 0);
	assert_rcode(lab, "10.88.0.3", DNS_NXDOMAIN);
	assert_rcode(lab, "10.88.0.2", DNS_NOERROR);
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

/* One thousand and no more: what a plan refuses is not followed. */
static void test_too_many_addresses_leave_it_where_it_was(void **state)
{
	const unsigned per_name = 250;
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct error err = ERROR_INIT;

	START(lab, &fault, "follow", "true", "host", "ns.test 10.88.0.2", "host", "a.test 10.9.0.1",
	      "host", "b.test 10.9.0.2", "host", "c.test 10.9.0.3", "host", "d.test 10.9.0.4",
	      "name", "gone.test", "answer", "nxdomain");
	for (unsigned host = 1; host <= 4; host++) {
		char text[4096];
		size_t used = 0;

		for (unsigned i = 0; i < per_name; i++)
			used += (size_t)snprintf(text + used, sizeof(text) - used, "10.%u.7.%u ",
						 host, i + 1);
		/* in pieces, as the worker is told */
		for (char *at = text, *end; *at; at = end + 1) {
			end = strlen(at) > 200 ? strchr(at + 200, ' ') : at + strlen(at) - 1;
			*end = '\0';
			assert_int_equal(target_tell_addresses(&fault.target, host, at, &err), 0);
		}
		err = (struct error)ERROR_INIT;
		assert_int_equal(try_move(&fault, host, "", &err), host < 4 ? 0 : -E2BIG);
	}
	assert_string_equal(err.text, "more than 1000 servers");
	assert_rcode(lab, "10.88.0.2", DNS_NXDOMAIN);
	move(&fault, "10.88.0.3");
	assert_rcode(lab, "10.88.0.3", DNS_NXDOMAIN);
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

/* Whoever makes interfaces does not keep the worker busy with rules. */
static void test_an_interface_that_is_too_many_is_not_taken(void **state)
{
	enum { SERVERS = 900, KEYS = 10 };
	static const char *words[2 * SERVERS + KEYS + 1] = {
		"fault", "dns",	 "follow",    "true",	"interface",
		"sqd*",	 "name", "gone.test", "answer", "nxdomain"};
	static char addresses[SERVERS][24];
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct target_look look;
	struct error err = ERROR_INIT;
	int index = 0;

	for (unsigned i = 0; i < SERVERS; i++) {
		snprintf(addresses[i], sizeof(addresses[i]), "10.7.%u.%u", i / 200, i % 200 + 1);
		words[KEYS + 2 * i] = "to";
		words[KEYS + 2 * i + 1] = addresses[i];
	}
	for (unsigned i = 0; i < 2; i++)
		netlab_run("ip -n %s link add sqd%u type veth peer name sqd%u", lab->near, i,
			   i + 2);
	start(lab, &fault, words);
	netlab_run("ip -n %s link add sqd4 type veth peer name peer4", lab->near);
	assert_int_equal(target_look_again(&fault.target, &look, &err), 0);
	assert_int_equal(look.appeared_count, 1);
	assert_int_equal(target_take_interface(&fault.target, &look.appeared[0], &err), 0);
	assert_int_equal(fault.fault.ops->follow_interfaces(&fault.fault, INT64_MAX, &index, &err),
			 -E2BIG);
	assert_int_equal(index, look.appeared[0].index);
	assert_non_null(strstr(err.text, "900 servers by 5 interfaces"));
	target_forget_look(&look);
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

static void test_killed_after_it_has_followed_nothing_is_left(void **state)
{
	struct netlab *lab = *state;
	char *before = netlab_dump(lab);

	kill_after_move(lab,
			SETTINGS("follow", "true", "host", "ns.test 10.88.0.2", "name", "gone.test",
				 "answer", "nxdomain"),
			"10.88.0.3 fd88::3");
	assert_rcode(lab, "10.88.0.3", DNS_NOERROR);
	netlab_same(lab, before);
}

static void test_a_group_that_is_made_again_is_met_again(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char *before = netlab_dump(lab);

	START(lab, &fault, "cgroup", "/" GROUP, "follow", "true", "to", "10.88.0.2", "name",
	      "gone.test", "answer", "nxdomain");
	assert_non_null(strstr(fault.plan, "followed: cgroup /" GROUP));
	group_enter();
	assert_rcode(lab, "10.88.0.2", DNS_NXDOMAIN);
	group_leave();
	group_stop();
	follow_group(&fault, "was removed: it is waited for");
	assert_int_equal(fault.fault.ops->evidence(&fault.fault, &(struct evidence){0}, NULL), 0);
	assert_rcode(lab, "10.88.0.2", DNS_NOERROR);
	group_start(GROUP);
	follow_group(&fault, "is there again");
	assert_rcode(lab, "10.88.0.2", DNS_NOERROR);
	group_enter();
	assert_rcode(lab, "10.88.0.2", DNS_NXDOMAIN);
	group_leave();
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	netlab_same(lab, before);
}

static int set_up_group(void **state)
{
	group_bench_begin(GROUP);
	return set_up(state);
}

static int tear_down_group(void **state)
{
	group_end();
	return tear_down(state);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_the_fault_moves_with_the_name_of_its_server),
		TEST(test_a_socket_that_is_used_again_is_met_while_in_scope),
		TEST(test_a_connection_goes_on_while_other_addresses_change),
		TEST(test_no_query_passes_while_addresses_change),
		TEST(test_what_is_not_in_force_gets_ready),
		TEST(test_too_many_addresses_leave_it_where_it_was),
		TEST(test_an_interface_that_is_too_many_is_not_taken),
		TEST(test_killed_after_it_has_followed_nothing_is_left),
		cmocka_unit_test_setup_teardown(test_a_group_that_is_made_again_is_met_again,
						set_up_group, tear_down_group),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
