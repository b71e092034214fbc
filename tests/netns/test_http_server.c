/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The http fault where requests arrive (`local-port`), in front of a real nginx: for clients of
 * another machine and of its own, and nothing else; and that it is gone with who held it.
 */
#include "tests/netns/http_bench.h"
#include "tests/netns/redirect_failing.h"

#include "injector/kernel/bpf.h"

#include <errno.h>
#include <sys/wait.h>

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

/* Where the servers are is where the fault acts. */
static struct netlab *at_server(const struct netlab *lab)
{
	static struct netlab turned;

	turned = *lab;
	memcpy(turned.near, lab->far, sizeof(turned.near));
	memcpy(turned.far, lab->near, sizeof(turned.far));
	turned.near_fd = lab->far_fd;
	turned.far_fd = lab->near_fd;
	return &turned;
}

/* Asked from the other machine, and from the servers' own. */
static void assert_both(const struct netlab *lab, const char *wanted, const char *arguments)
{
	assert_curl(lab, wanted, arguments);
	assert_curl(at_server(lab), wanted, arguments);
}

static void start_second(struct netlab *lab, struct netlab_fault *second,
			 const struct netlab_fault *first, const char *const *settings)
{
	struct error err = ERROR_INIT;

	if (netlab_fault_plan_step(at_server(lab), second, first, 1, settings, &err) < 0 ||
	    http_fault.inject(&second->fault, &err) < 0)
		fail_msg("%s", err.text);
}

static void finish_both(struct netlab_fault *first, struct netlab_fault *second)
{
	netlab_fault_end(second, FAULT_END_SOFT);
	second->journal = NULL; /* the first one's */
	netlab_fault_finish(second, FAULT_END_SOFT);
	netlab_fault_finish(first, FAULT_END_SOFT);
}

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

/* Beside others. */

/* Addresses and ports are as they were, so a firewall need not know. */
static void test_a_strict_firewall_is_no_matter(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	netlab_run("ip netns exec %s nft add table inet strict", lab->far);
	netlab_run("ip netns exec %s nft add chain inet strict in {type filter hook input priority "
		   "0;policy drop;}",
		   lab->far);
	netlab_run("ip netns exec %s nft add rule inet strict in icmpv6 type {nd-neighbor-solicit,"
		   "nd-neighbor-advert} accept",
		   lab->far);
	netlab_run("ip netns exec %s nft add rule inet strict in ct state established accept",
		   lab->far);
	netlab_run("ip netns exec %s nft add rule inet strict in ct state new tcp dport 80 accept",
		   lab->far);
	START(at_server(lab), &fault, "local-port", "80", "path", "/up", "answer", "503");
	assert_both(lab, "503", "http://10.88.0.2/up");
	assert_both(lab, "200", "http://10.88.0.2/mid");
	assert_both(lab, "200", "http://[fd88::2]/mid");
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	netlab_run("ip netns exec %s nft delete table inet strict", lab->far);
}

/* Who may bind to any address (HAProxy, keepalived) tells nothing of whose it is. */
static void test_addresses_that_may_be_bound_are_not_ours(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	netlab_run("ip netns exec %s sysctl -qw net.ipv4.ip_nonlocal_bind=1", lab->far);
	netlab_run("ip netns exec %s sysctl -qw net.ipv6.ip_nonlocal_bind=1", lab->far);
	START(at_server(lab), &fault, "local-port", "80", "path", "/up", "answer", "503");
	assert_both(lab, "200", "http://10.88.0.2/mid");
	assert_both(lab, "200", "http://[fd88::2]/mid");
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	netlab_run("ip netns exec %s sysctl -qw net.ipv4.ip_nonlocal_bind=0", lab->far);
	netlab_run("ip netns exec %s sysctl -qw net.ipv6.ip_nonlocal_bind=0", lab->far);
}

static void test_the_newer_one_passes_to_the_older(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault first, second;

	START(at_server(lab), &first, "local-port", "80", "except", "10.88.0.1", "answer", "500");
	start_second(lab, &second, &first,
		     SETTINGS("local-port", "80-81", "path", "/mid", "answer", "502"));
	assert_both(lab, "502", "http://10.88.0.2/mid");
	assert_both(lab, "502", "http://10.88.0.2:81/mid");
	assert_both(lab, "200", "http://10.88.0.2:81/up");
	assert_both(lab, "500", "http://[fd88::2]/up");
	/* the older one knows whose it is */
	assert_curl(at_server(lab), "500", "http://10.88.0.2/up");
	assert_curl(lab, "200", "http://10.88.0.2/up");
	netlab_fault_end(&first, FAULT_END_SOFT);
	assert_both(lab, "200", "http://[fd88::2]/up");
	assert_both(lab, "502", "http://[fd88::2]/mid");
	finish_both(&first, &second);
}

/* Sent and served on this machine: what is sent is met first, whichever is newer. */
static void test_beside_one_where_requests_are_sent(void **state)
{
	static const char *const here[] = {"fault", "http",   "local-port", "1-65535", "path",
					   "/mid",  "answer", "502",	    NULL};
	static const char *const there[] = {"fault", "http",   "to",  "10.88.0.2", "path",
					    "/up",   "answer", "500", NULL};
	struct netlab *lab = *state;

	for (unsigned i = 0; i < 2; i++) {
		struct netlab_fault first, second;

		start(at_server(lab), &first, i ? here : there);
		start_second(lab, &second, &first, i ? there : here);
		assert_curl(at_server(lab), "500", "http://10.88.0.2/up");
		assert_curl(at_server(lab), "502", "http://10.88.0.2/mid");
		assert_curl(at_server(lab), "200", "http://10.88.0.2/index.html");
		assert_curl(lab, "200", "http://10.88.0.2/up");
		assert_curl(lab, "502", "http://10.88.0.2/mid");
		finish_both(&first, &second);
	}
}

/* Two of different processes would pass it to each other for ever. */
static void test_a_second_run_is_refused(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct error err = ERROR_INIT;
	pid_t child = start_elsewhere(at_server(lab), "kkkkk4",
				      SETTINGS("local-port", "81", "answer", "503"));

	assert_int_equal(netlab_fault_plan(at_server(lab), &fault, "kkkkk5",
					   SETTINGS("local-port", "80", "answer", "503"), &err),
			 -EBUSY);
	assert_non_null(strstr(err.text, "another run"));
	assert_non_null(strstr(err.text, "sq_kkkkk4_0"));
	netlab_fault_finish(&fault, FAULT_END_NOW);
	/* in another network namespace it is none of its business */
	START(lab, &fault, "local-port", "80", "answer", "503");
	netlab_fault_finish(&fault, FAULT_END_NOW);
	netlab_kill(child);
	netlab_undo_all("kkkkk4");
	START(at_server(lab), &fault, "local-port", "80", "answer", "503");
	assert_both(lab, "503", "http://10.88.0.2/up");
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

/* Gives what comes to port 80 to a socket of its own, as a service manager may; the link. */
static int choose_sockets(const struct netlab *lab, int listener, struct redirect_pass *none)
{
	const struct bpf_map_shape passes = {"none", BPF_MAP_TYPE_HASH,
					     sizeof(struct redirect_pass_key),
					     sizeof(struct redirect_pass_value), 1};
	const struct bpf_map_shape sockets = {"theirs", BPF_MAP_TYPE_SOCKMAP, 4, 4, 2};
	struct target port = {.kind = TARGET_TRAFFIC};
	struct redirect_lookup_scope scope = {.target = &port, .pass = none};
	const uint32_t key = 0, value = (uint32_t)listener;
	struct error err = ERROR_INIT;
	int program, link;

	assert_int_equal(params_init(&port.params, traffic_params, &err), 0);
	assert_int_equal(params_add(&port.params, TRAFFIC_LOCAL_PORT, "80", 0, 0, &err), 0);
	assert_int_equal(bpf_map_new(&passes, &none->map, &err), 0);
	assert_int_equal(bpf_map_new(&sockets, &scope.sockets, &err), 0);
	assert_int_equal(bpf_map_set(scope.sockets, &key, &value, &err), 0);
	assert_int_equal(redirect_lookup_program_load(&scope, "theirs", &program, &err), 0);
	assert_int_equal(bpf_link_lookup(program, lab->far_fd, &link, &err), 0);
	close(program);
	close(scope.sockets);
	params_free(&port.params);
	return link;
}

static void test_behind_a_program_of_somebody(void **state)
{
	struct netlab *lab = *state;
	int listener = netlab_socket(lab->far_fd, AF_INET, SOCK_STREAM, 0, "127.0.0.1", 7006);
	struct redirect_pass none = {.map = -1};
	struct netlab_fault fault;
	char heard[4096];
	int link, fds[2];

	assert_int_equal(listen(listener, 5), 0);
	link = choose_sockets(lab, listener, &none);
	START(at_server(lab), &fault, "local-port", "80", "path", "/up", "answer", "503");
	assert_non_null(strstr(fault.plan, "somebody's program theirs chooses sockets here"));
	assert_both(lab, "503", "http://10.88.0.2/up");
	/* what is passed on goes where it went before */
	fds[0] = dial(lab, "10.88.0.2");
	say(fds[0], GET("/mid"));
	for (unsigned i = 0; i < 3; i++) { /* those of the two above, which were not asked */
		fds[1] = accept(listener, NULL, NULL);
		if (i == 2)
			hear(fds[1], "GET /mid", heard, sizeof(heard));
		close(fds[1]);
	}
	close(fds[0]);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	close(link);
	close(none.map);
	close(listener);
	assert_both(lab, "200", "http://10.88.0.2/up");
}

/* Who finds its port is no client. */
static void test_the_responder_serves_nobody_directly(void **state)
{
	static const char *const addresses[] = {"127.0.0.1", "::1"};
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char byte;

	START(at_server(lab), &fault, "local-port", "1-65535", "path", "/up", "answer", "503");
	for (unsigned i = 0; i < 2; i++) {
		const struct http_state *http = fault.fault.state;
		int fd = netlab_dial(lab->far_fd, addresses[i], http->redirect.responder->port);

		assert_true(fd >= 0);
		assert_int_equal(recv(fd, &byte, 1, 0), -1);
		assert_int_equal(errno, ECONNRESET);
		close(fd);
	}
	assert_false(((struct http_state *)fault.fault.state)->redirect.responder->is_looping);
	assert_both(lab, "503", "http://10.88.0.2/up");
	assert_both(lab, "200", "http://10.88.0.2:81/mid");
	/* a port at which nobody is */
	assert_both(lab, "000", "http://10.88.0.2:83/mid");
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

/* A rule for everything that leaves gives what we pass on the address of a client. */
static void test_what_comes_back_is_seen(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct evidence seen;
	struct error err = ERROR_INIT;

	netlab_run("ip netns exec %s nft add table ip theirs", lab->far);
	netlab_run("ip netns exec %s nft add chain ip theirs out {type nat hook postrouting "
		   "priority 100;}",
		   lab->far);
	netlab_run("ip netns exec %s nft add rule ip theirs out oif lo snat to 10.88.0.3",
		   lab->far);
	START(at_server(lab), &fault, "local-port", "80", "path", "/none", "answer", "503");
	assert_curl(lab, "000", "http://10.88.0.2/up");
	assert_true(counters_of(&fault).connections < 10);
	assert_int_equal(http_fault.evidence(&fault.fault, &seen, &err), -ESTALE);
	assert_non_null(strstr(err.text, "rewrites the source"));
	netlab_fault_finish(&fault, FAULT_END_NOW);
	netlab_run("ip netns exec %s nft delete table ip theirs", lab->far);
	assert_both(lab, "200", "http://10.88.0.2/up");
}

/* Ending. */

static void test_new_connections_go_to_the_server_at_once(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	int64_t again_ns = 0;
	char heard[4096];
	int idle, held;

	START(at_server(lab), &fault, "local-port", "80", "path", "/up", "delay", "30s");
	idle = dial(lab, "10.88.0.2");
	say(idle, GET("/empty"));
	hear(idle, "204 No Content", heard, sizeof(heard));
	held = dial(lab, "fd88::2");
	say(held, GET("/up"));
	while (counters_of(&fault).requests < 2)
		poll(NULL, 0, 10);
	assert_int_equal(http_fault.end(&fault.fault, FAULT_END_SOFT, &again_ns, NULL), 0);
	assert_true(again_ns > 0);
	assert_both(lab, "200", "http://10.88.0.2/up"); /* without the delay */
	assert_int_equal(recv(idle, heard, 1, 0), 0);
	hear(held, "\r\n\r\nup", heard, sizeof(heard));
	assert_int_equal(recv(held, heard, 1, 0), 0);
	close(idle);
	close(held);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

/* Its last packet is on its way when new ones are not met any more. */
static void test_a_handshake_across_the_end_is_served(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	int64_t again_ns = 0;
	char heard[4096];
	int fd;

	START(at_server(lab), &fault, "local-port", "80", "path", "/none", "answer", "503");
	netlab_run("ip netns exec %s nft add table ip theirs", lab->far);
	netlab_run("ip netns exec %s nft add chain ip theirs in {type filter hook input priority "
		   "0;}",
		   lab->far);
	netlab_run("ip netns exec %s nft add rule ip theirs in tcp dport 80 tcp flags ack drop",
		   lab->far);
	fd = dial(lab, "10.88.0.2");
	say(fd, GET("/up"));
	assert_int_equal(http_fault.end(&fault.fault, FAULT_END_SOFT, &again_ns, NULL), 0);
	assert_true(again_ns > 0);
	netlab_run("ip netns exec %s nft delete table ip theirs", lab->far);
	netlab_fault_end(&fault, FAULT_END_SOFT);
	hear(fd, "\r\n\r\nup", heard, sizeof(heard));
	close(fd);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

static unsigned count_waiting(const struct netlab *lab)
{
	cleanup_free char *text =
		netlab_output("ip netns exec %s ss -Htan state time-wait", lab->far);
	unsigned count = 0;

	for (const char *at = text; (at = strchr(at, '\n')); at++)
		count++;
	return count;
}

/* What comes from everywhere is passed on from one address: its ports are not to run out. The
 * server is told the end all the same. */
static void test_clients_that_hang_up_leave_no_ports_behind(void **state)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
	struct netlab *lab = *state;
	int listener = netlab_socket(lab->far_fd, AF_INET, SOCK_STREAM, 0, "10.88.0.3", 7005);
	unsigned before = count_waiting(lab);
	struct netlab_fault fault;
	char heard[4096];

	assert_int_equal(listen(listener, 5), 0);
	START(at_server(lab), &fault, "local-port", "7005", "path", "/none", "answer", "503");
	for (unsigned i = 0; i < 20; i++) {
		int client = netlab_dial(lab->near_fd, "10.88.0.3", 7005), server;

		say(client, GET("/"));
		server = accept(listener, NULL, NULL);
		hear(server, "\r\n\r\n", heard, sizeof(heard));
		say(server, answer);
		hear(client, "\r\n\r\n", heard, sizeof(heard));
		close(client);
		poll(NULL, 0, 20);				/* a real one is later */
		assert_int_equal(recv(server, heard, 1, 0), 0); /* no reset */
		close(server);
	}
	assert_int_equal(count_waiting(lab), before);
	close(listener);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

static void test_an_abort_resets(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	int64_t before_ns = clock_now_ns();
	char heard[4096];
	ssize_t size;
	int fd;

	START(at_server(lab), &fault, "local-port", "80", "path", "/none", "answer", "503");
	fd = dial(lab, "10.88.0.2");
	say(fd, GET("/slow/big"));
	hear(fd, "200 OK", heard, sizeof(heard));
	netlab_fault_end(&fault, FAULT_END_NOW);
	while ((size = recv(fd, heard, sizeof(heard), 0)) > 0)
		;
	assert_int_equal(size, -1);
	assert_int_equal(errno, ECONNRESET);
	assert_true(clock_now_ns() - before_ns < 2 * NSEC_PER_SEC);
	close(fd);
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

static void test_injected_again_after_its_end(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct error err = ERROR_INIT;

	START(at_server(lab), &fault, "local-port", "80", "answer", "503");
	for (unsigned i = 0; i < 3; i++) {
		assert_both(lab, "503", "http://10.88.0.2/up");
		netlab_fault_end(&fault, i % 2 ? FAULT_END_NOW : FAULT_END_SOFT);
		netlab_undo_all(fault.run_id);
		netlab_undo_all(fault.run_id); /* twice: nothing more happens */
		assert_both(lab, "200", "http://10.88.0.2/up");
		if (http_fault.inject(&fault.fault, &err) < 0)
			fail_msg("%s", err.text);
	}
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

static void test_killed_and_then_restored(void **state)
{
	struct netlab *lab = *state;
	char *before = netlab_dump(at_server(lab)), heard[4096];
	pid_t child = start_elsewhere(at_server(lab), "kkkkk6",
				      SETTINGS("local-port", "80", "path", "/up", "answer", "503"));
	ssize_t size;
	int fd;

	assert_both(lab, "503", "http://10.88.0.2/up");
	fd = dial(lab, "10.88.0.2");
	say(fd, GET("/slow/big"));
	hear(fd, "200 OK", heard, sizeof(heard));
	netlab_kill(child);
	while ((size = recv(fd, heard, sizeof(heard), 0)) > 0)
		;
	assert_int_equal(size, -1); /* cut, and not ended */
	assert_int_equal(errno, ECONNRESET);
	close(fd);
	assert_both(lab, "200", "http://10.88.0.2/up");
	assert_both(lab, "200", "http://[fd88::2]/up");
	assert_int_equal(bpf_links_end("sq_kkkkk6_0", true, NULL), 0);
	netlab_same(at_server(lab), before);
	netlab_undo_all("kkkkk6");
	netlab_undo_all("kkkkk6");
}

/* Of one that is stopped the guardian ends it, from the record. */
static void test_undone_while_its_process_is_there(void **state)
{
	struct netlab *lab = *state;
	pid_t child = start_elsewhere(at_server(lab), "kkkkk7",
				      SETTINGS("local-port", "80", "path", "/up", "answer", "503"));

	assert_both(lab, "503", "http://10.88.0.2/up");
	assert_int_equal(kill(child, SIGSTOP), 0);
	netlab_undo_all("kkkkk7");
	assert_both(lab, "200", "http://10.88.0.2/up");
	netlab_kill(child);
}

static void test_somebody_detaches_the_program(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct evidence seen;
	struct error err = ERROR_INIT;
	char name[32];

	START(at_server(lab), &fault, "local-port", "80", "answer", "503");
	snprintf(name, sizeof(name), "sq_%s_0", fault.run_id);
	assert_int_equal(bpf_links_end(name, false, &err), 1);
	assert_int_equal(http_fault.evidence(&fault.fault, &seen, &err), -ESTALE);
	assert_non_null(strstr(err.text, "was detached"));
	assert_both(lab, "200", "http://10.88.0.2/up");
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

static void assert_away(const struct netlab *lab)
{
	assert_curl(lab, "200", "http://10.88.0.2/up");
}

static void test_a_failure_at_each_step_leaves_nothing(void **state)
{
	fail_at_each_step(at_server(*state), SETTINGS("local-port", "80", "answer", "503"),
			  assert_away);
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

/* Requests are passed on over lo. */
static int set_up_server(void **state)
{
	int result = set_up(state);

	netlab_run("ip -n %s link set lo up", ((struct netlab *)*state)->far);
	return result;
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
		cmocka_unit_test(test_a_strict_firewall_is_no_matter),
		cmocka_unit_test(test_addresses_that_may_be_bound_are_not_ours),
		cmocka_unit_test(test_the_newer_one_passes_to_the_older),
		cmocka_unit_test(test_beside_one_where_requests_are_sent),
		cmocka_unit_test(test_a_second_run_is_refused),
		cmocka_unit_test(test_behind_a_program_of_somebody),
		cmocka_unit_test(test_the_responder_serves_nobody_directly),
		cmocka_unit_test(test_what_comes_back_is_seen),
		cmocka_unit_test(test_new_connections_go_to_the_server_at_once),
		cmocka_unit_test(test_a_handshake_across_the_end_is_served),
		cmocka_unit_test(test_clients_that_hang_up_leave_no_ports_behind),
		cmocka_unit_test(test_an_abort_resets),
		cmocka_unit_test(test_injected_again_after_its_end),
		cmocka_unit_test(test_killed_and_then_restored),
		cmocka_unit_test(test_undone_while_its_process_is_there),
		cmocka_unit_test(test_somebody_detaches_the_program),
		cmocka_unit_test(test_a_failure_at_each_step_leaves_nothing),
		cmocka_unit_test(test_a_container_among_others_is_refused),
		cmocka_unit_test(test_the_plan_says_what_servers_see),
	};

	return cmocka_run_group_tests(tests, set_up_server, tear_down);
}
