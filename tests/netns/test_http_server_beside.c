/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The http fault where requests arrive beside others: firewalls and translations, faults of the
 * same kind and of the other, other runs, other programs that choose sockets.
 */
#define BENCH_RUNS "tttt"
#include "tests/netns/http_server_bench.h"

#include "injector/kernel/bpf.h"

#include <errno.h>

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
	pid_t child = netlab_fault_start_apart(at_server(lab), "kkkkk4",
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_strict_firewall_is_no_matter),
		cmocka_unit_test(test_addresses_that_may_be_bound_are_not_ours),
		cmocka_unit_test(test_the_newer_one_passes_to_the_older),
		cmocka_unit_test(test_beside_one_where_requests_are_sent),
		cmocka_unit_test(test_a_second_run_is_refused),
		cmocka_unit_test(test_behind_a_program_of_somebody),
		cmocka_unit_test(test_the_responder_serves_nobody_directly),
		cmocka_unit_test(test_what_comes_back_is_seen),
	};

	return cmocka_run_group_tests(tests, set_up_server, tear_down);
}
