/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The http fault where requests arrive (`local-port`), in front of a real nginx: for clients of
 * another machine and of its own, and nothing else.
 */
#define BENCH_RUNS "ssss"
#include "tests/netns/http_server_bench.h"

#include <errno.h>

/* What is met. */

static void test_requests_that_come_to_a_port_are_answered(void **state)
{
	struct netlab *lab = *state;
	char *before = netlab_dump(at_server(lab));
	struct netlab_fault fault;

	START(at_server(lab), &fault, "local-port", "80", "path", "/u*", "answer", "503");
	assert_both(lab, "503", "http://10.88.0.2/up");
	assert_both(lab, "503", "http://10.88.0.3/up");
	assert_both(lab, "503", "http://[fd88::2]/up");
	assert_curl(at_server(lab), "503", "http://127.0.0.1/up");
	assert_curl(at_server(lab), "503", "http://[::1]/up");
	/* another path, another port */
	assert_both(lab, "200", "http://10.88.0.2/mid");
	assert_both(lab, "200", "http://[fd88::2]/mid");
	assert_both(lab, "200", "http://10.88.0.2:81/up");
	assert_string_equal(netlab_evidence(&fault).detail, "8 of 12 requests met, 8 answered");
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	assert_both(lab, "200", "http://10.88.0.2/up");
	netlab_same(at_server(lab), before);
}

static void test_what_passes_is_the_same_to_the_byte(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	START(at_server(lab), &fault, "local-port", "80", "path", "/up", "answer", "503");
	assert_bytes(lab, "big", "http://10.88.0.2/big");
	assert_bytes(at_server(lab), "big", "http://[fd88::2]/big");
	assert_bytes(lab, "mid", "--compressed http://10.88.0.3/mid");
	/* TLS passes as it is */
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	START(at_server(lab), &fault, "local-port", "443", "answer", "503");
	assert_both(lab, "200", "-k https://10.88.0.2/up");
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

static void test_delayed_aborted_changed(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	int64_t before_ns;
	char byte;
	int fd;

	START(at_server(lab), &fault, "local-port", "80-81", "delay", "400ms");
	before_ns = clock_now_ns();
	assert_both(lab, "200", "http://10.88.0.2/up");
	assert_true(clock_now_ns() - before_ns > 800 * NSEC_PER_MSEC);
	netlab_fault_finish(&fault, FAULT_END_SOFT);

	START(at_server(lab), &fault, "local-port", "80", "abort", "true");
	fd = dial(lab, "10.88.0.2");
	say(fd, GET("/up"));
	assert_int_equal(recv(fd, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	close(fd);
	assert_both(lab, "000", "http://[fd88::2]/up");
	netlab_fault_finish(&fault, FAULT_END_SOFT);

	START(at_server(lab), &fault, "local-port", "80", "set-path", "/empty", "set-status",
	      "500");
	assert_both(lab, "500", "http://10.88.0.2/none");
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

/* For whom. */

static void test_clients_are_chosen_by_address(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	START(at_server(lab), &fault, "local-port", "80", "to", "10.88.0.1", "to", "fd88::1",
	      "answer", "503");
	assert_curl(lab, "503", "http://10.88.0.2/up");
	assert_curl(lab, "503", "http://[fd88::2]/up");
	assert_curl(at_server(lab), "200", "http://10.88.0.2/up");
	assert_curl(at_server(lab), "200", "http://[fd88::2]/up");
	netlab_fault_finish(&fault, FAULT_END_SOFT);

	START(at_server(lab), &fault, "local-port", "80", "except", "10.88.0.0/31", "except",
	      "fd88::/127", "answer", "503");
	assert_curl(lab, "200", "http://10.88.0.2/up");
	assert_curl(lab, "200", "http://[fd88::2]/up");
	assert_curl(at_server(lab), "503", "http://10.88.0.2/up");
	assert_curl(at_server(lab), "503", "http://[fd88::2]/up");
	netlab_fault_finish(&fault, FAULT_END_SOFT);

	/* a port of theirs; all of IPv6 is nothing of IPv4 */
	START(at_server(lab), &fault, "local-port", "80", "to", "*:50100-50110", "except", "::/0",
	      "answer", "503");
	assert_curl(lab, "503", "--local-port 50100-50110 http://10.88.0.2/up");
	assert_curl(lab, "200", "--local-port 50111-50120 http://10.88.0.2/up");
	assert_curl(lab, "200", "--local-port 50100-50110 http://[fd88::2]/up");
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

static void test_servers_are_chosen_by_address_and_port(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	START(at_server(lab), &fault, "local-port", "80-81", "except-local-port", "81",
	      "local-address", "10.88.0.0/24", "local-address", "fd88::2", "except-local-address",
	      "10.88.0.3", "answer", "503");
	assert_both(lab, "503", "http://10.88.0.2/up");
	assert_both(lab, "503", "http://[fd88::2]/up");
	assert_both(lab, "200", "http://10.88.0.2:81/up");
	assert_both(lab, "200", "http://10.88.0.3/up");
	assert_curl(at_server(lab), "200", "http://127.0.0.1/up");
	assert_curl(at_server(lab), "200", "http://[::1]/up");
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

/* The program is as long as it can be, and the last of each list counts. */
static void test_as_much_as_may_be_given(void **state)
{
	static const char *const formats[][2] = {
		{"local-port", "%u"},
		{"except-local-port", "%u"},
		{"to", "[fd99:1:2:3:4:5:6:%x]:1-65534"},
		{"except", "[fd99:1:2:3:5:5:6:%x]:1-65534"},
		{"local-address", "fd99:1:2:3:6:5:6:%x/127"},
		{"except-local-address", "fd99:1:2:3:7:5:6:%x/127"}};
	static const char *const last[] = {"80",	  "81",	     "fd88::1",
					   "10.88.0.254", "fd88::2", "fd88::3"};
	static char texts[6 * REDIRECT_LOOKUP_VALUES][48];
	const char *settings[4 + 12 * REDIRECT_LOOKUP_VALUES + 1] = {"fault", "http", "answer",
								     "503"};
	struct netlab *lab = *state;
	struct netlab_fault fault;
	unsigned count = 4;

	for (unsigned i = 0; i < 6 * REDIRECT_LOOKUP_VALUES; i++) {
		unsigned at = i / REDIRECT_LOOKUP_VALUES, number = i % REDIRECT_LOOKUP_VALUES;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(texts[i], sizeof(texts[i]), formats[at][1], 2 * number + 1000 * (at + 1));
#pragma GCC diagnostic pop
		settings[count++] = formats[at][0];
		settings[count++] = number + 1 < REDIRECT_LOOKUP_VALUES ? texts[i] : last[at];
	}
	start(at_server(lab), &fault, settings);
	assert_curl(lab, "503", "http://[fd88::2]/up");
	assert_curl(lab, "200", "http://[fd88::3]/up");
	assert_curl(at_server(lab), "200", "http://[fd88::2]/up");
	assert_curl(lab, "200", "http://10.88.0.2/up");
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

/* Credentials of a cloud, which something on this machine hands out. */
static void test_metadata_is_not_met(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	netlab_run("ip -n %s address add 169.254.169.254/32 dev lo", lab->far);
	netlab_run("ip -n %s route add 169.254.169.254 via 10.88.0.2", lab->near);
	START(at_server(lab), &fault, "local-port", "80", "answer", "503");
	assert_both(lab, "200", "http://169.254.169.254/up");
	assert_both(lab, "503", "http://10.88.0.2/up");
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	netlab_run("ip -n %s address del 169.254.169.254/32 dev lo", lab->far);
	netlab_run("ip -n %s route del 169.254.169.254", lab->near);
}

/* A server that answers 127.0.0.1 alone shall not see others come from there. */
static void test_nobody_seems_to_come_from_loopback(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	netlab_run("ip netns exec %s sysctl -qw net.ipv4.conf.sqv1.route_localnet=1", lab->far);
	netlab_run("ip netns exec %s nft add table ip theirs", lab->far);
	netlab_run("ip netns exec %s nft add chain ip theirs in {type nat hook prerouting priority "
		   "-100;}",
		   lab->far);
	netlab_run("ip netns exec %s nft add rule ip theirs in tcp dport 8088 dnat to 127.0.0.1:80",
		   lab->far);
	START(at_server(lab), &fault, "local-port", "80", "answer", "503");
	assert_curl(lab, "200", "http://10.88.0.2:8088/up");
	assert_curl(at_server(lab), "200", "--interface 10.88.0.2 http://127.0.0.1/up");
	assert_curl(at_server(lab), "503", "--interface 127.0.0.2 http://127.0.0.1/up");
	assert_curl(at_server(lab), "503", "http://[::1]/up");
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	netlab_run("ip netns exec %s nft delete table ip theirs", lab->far);
	netlab_run("ip netns exec %s sysctl -qw net.ipv4.conf.sqv1.route_localnet=0", lab->far);
}

static void test_connections_that_exist_are_ended_when_asked_for(void **state)
{
	static const char *const servers[] = {"10.88.0.2", "fd88::2"};
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char heard[4096];
	int fds[3];

	fds[0] = dial(lab, servers[0]);
	fds[1] = dial(at_server(lab), servers[1]);
	fds[2] = netlab_dial(lab->near_fd, servers[0], 81);
	for (unsigned i = 0; i < 3; i++) {
		say(fds[i], GET("/up"));
		hear(fds[i], "\r\n\r\nup", heard, sizeof(heard));
	}
	/* what exists is not met */
	START(at_server(lab), &fault, "local-port", "80", "answer", "503");
	say(fds[0], GET("/up"));
	hear(fds[0], "\r\n\r\nup", heard, sizeof(heard));
	netlab_fault_finish(&fault, FAULT_END_SOFT);

	START(at_server(lab), &fault, "local-port", "80", "answer", "503", "reset-connections",
	      "true");
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(recv(fds[i], heard, 1, 0), -1);
		assert_int_equal(errno, ECONNRESET);
		close(fds[i]);
	}
	say(fds[2], GET("/up"));
	hear(fds[2], "\r\n\r\nup", heard, sizeof(heard));
	close(fds[2]);
	assert_int_equal(netlab_evidence(&fault).hits, 2);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

/* With ports that clients have as well: what goes out is nothing that has come to a server. */
static void test_what_goes_out_is_not_ended(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char heard[4096];
	int fd = netlab_dial_from(lab->far_fd, "10.88.0.2", "10.88.0.3", 80);

	say(fd, GET("/up"));
	hear(fd, "\r\n\r\nup", heard, sizeof(heard));
	START(at_server(lab), &fault, "local-port", "1024-65535", "answer", "503",
	      "reset-connections", "true");
	assert_string_equal(netlab_evidence(&fault).detail, "0 of 0 requests met");
	say(fd, GET("/up"));
	hear(fd, "\r\n\r\nup", heard, sizeof(heard));
	close(fd);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

/* What is told. */

static void test_a_container_among_others_is_refused(void **state)
{
	struct target target = {
		.container_count = 1, .namespace_fd = -1, .owner_text = "container a"};
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(http_check_container(&target, &err), -EINVAL);
	assert_non_null(strstr(err.text, "container a has no network namespace of its own"));
	target.namespace_fd = 0;
	assert_int_equal(http_check_container(&target, &err), 0);
}

static void test_the_plan_says_what_servers_see(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	static const char *const wanted[] = {
		"requests that come to port 80, 8000-8010 here, network namespace ",
		"not of clients 10.88.0.9",
		"BPF at the socket lookup of the network namespace",
		"attach program sq_pppppp_0 (vanishes with its process)",
		"what they allow, limit or log by address is the machine's own",
		"TPROXY",
	};

	netlab_fault_must_plan(at_server(lab), &fault, "pppppp",
			       SETTINGS("local-port", "80", "local-port", "8000-8010", "except",
					"10.88.0.9", "answer", "503"));
	for (unsigned i = 0; i < sizeof(wanted) / sizeof(*wanted); i++)
		if (!strstr(fault.plan, wanted[i]))
			fail_msg("'%s' is not in: %s", wanted[i], fault.plan);
	assert_null(strstr(fault.plan, "somebody's"));
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests_that_come_to_a_port_are_answered),
		cmocka_unit_test(test_what_passes_is_the_same_to_the_byte),
		cmocka_unit_test(test_delayed_aborted_changed),
		cmocka_unit_test(test_clients_are_chosen_by_address),
		cmocka_unit_test(test_servers_are_chosen_by_address_and_port),
		cmocka_unit_test(test_as_much_as_may_be_given),
		cmocka_unit_test(test_metadata_is_not_met),
		cmocka_unit_test(test_nobody_seems_to_come_from_loopback),
		cmocka_unit_test(test_connections_that_exist_are_ended_when_asked_for),
		cmocka_unit_test(test_what_goes_out_is_not_ended),
		cmocka_unit_test(test_a_container_among_others_is_refused),
		cmocka_unit_test(test_the_plan_says_what_servers_see),
	};

	return cmocka_run_group_tests(tests, set_up_server, tear_down);
}
