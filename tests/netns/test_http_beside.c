/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The http fault beside what else there is: somebody's own address translation, services on the
 * loopback address, another protocol behind an Upgrade, a server that loses patience, other faults.
 */
#include "tests/netns/http_bench.h"
#include "tests/support/squall_runner.h"

#include <errno.h>
#include <pthread.h>

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

/* As a Service of Kubernetes has it: what is passed on by us is translated by it. */
static void test_somebodys_own_translation_goes_on(void **state)
{
	static const char *const rules[] = {
		"add table ip theirs",
		"add chain ip theirs out {type nat hook output priority -100;}",
		"add rule ip theirs out ip daddr 10.88.7.7 tcp dport 8080 dnat to 10.88.0.2:80",
	};
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char *before;

	for (unsigned i = 0; i < sizeof(rules) / sizeof(*rules); i++)
		netlab_run("ip netns exec %s nft %s", lab->near, rules[i]);
	netlab_run("ip -n %s route add 10.88.7.7 via 10.88.0.2", lab->near);
	before = netlab_dump(lab);
	START(lab, &fault, "to", "10.88.7.7:8080", "path", "/up", "answer", "503");
	assert_curl(lab, "503", "http://10.88.7.7:8080/up");
	assert_bytes(lab, "big", "http://10.88.7.7:8080/big");
	assert_curl(lab, "200", "http://10.88.0.2/up");
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	assert_curl(lab, "200", "http://10.88.7.7:8080/up");
	netlab_same(lab, before);
	netlab_run("ip netns exec %s nft delete table ip theirs", lab->near);
}

/* Firewalls drop by single bits of packets' marks, and write over them: neither is about ours. */
static void test_rules_about_marks_are_not_about_what_is_passed_on(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	netlab_run("ip netns exec %s nft -- add table inet fw; add chain inet fw out { type filter "
		   "hook output priority 0; }; add rule inet fw out meta mark != 0 drop; "
		   "add chain inet fw restore { type route hook output priority -150; }; "
		   "add rule inet fw restore meta mark set ct mark",
		   lab->near);
	START(lab, &fault, "to", "10.88.0.2", "to", "fd88::2", "path", "/up", "answer", "503");
	assert_curl(lab, "503", "http://10.88.0.2/up");
	assert_bytes(lab, "mid", "http://10.88.0.2/mid");
	assert_bytes(lab, "mid", "http://[fd88::2]/mid");
	assert_int_equal(counters_of(&fault).connections, 3);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	netlab_run("ip netns exec %s nft delete table inet fw", lab->near);
}

/* Answers from lo would be in another zone: such connections pass. */
static void test_what_has_a_zone_of_its_own_passes(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	int64_t before_ns = clock_now_ns();

	netlab_run("ip netns exec %s nft -- add table inet fw; add chain inet fw out { type filter "
		   "hook output priority -300; }; add rule inet fw out tcp dport 80 ct zone set 5",
		   lab->near);
	START(lab, &fault, "to", "10.88.0.2", "to", "10.88.0.2:81", "to", "fd88::2", "path", "/up",
	      "answer", "503");
	assert_curl(lab, "200", "http://10.88.0.2/up");
	assert_curl(lab, "200", "http://[fd88::2]/up");
	assert_curl(lab, "503", "http://10.88.0.2:81/up");
	assert_true(clock_now_ns() - before_ns < 10 * NSEC_PER_SEC);
	assert_int_equal(counters_of(&fault).connections, 1);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	netlab_run("ip netns exec %s nft delete table inet fw", lab->near);
}

static void assert_stale(struct netlab_fault *fault, const char *wanted)
{
	struct evidence seen;
	struct error err = ERROR_INIT;

	assert_int_equal(http_fault.evidence(&fault->fault, &seen, &err), -ESTALE);
	assert_string_equal(err.text, wanted);
}

static void test_links_that_go_are_missed(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	netlab_run("ip -n %s link add sqgone type veth peer name sqgone2", lab->near);
	netlab_run("ip -n %s link set sqgone up", lab->near);
	START(lab, &fault, "to", "10.88.0.2", "interface", "sqv0", "interface", "sqgone", "path",
	      "/up", "answer", "503");
	netlab_evidence(&fault);
	netlab_run("ip -n %s link set lo down", lab->near);
	assert_stale(&fault, "lo was taken down, and requests are answered there");
	netlab_run("ip -n %s link set lo up", lab->near);
	assert_curl(lab, "503", "http://10.88.0.2/up");
	netlab_evidence(&fault);
	netlab_run("ip -n %s link del sqgone", lab->near);
	assert_stale(&fault, "interface sqgone is gone");
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

/* Whatever tells ours can be taken off: that is the end, and no storm. */
static void test_what_comes_back_is_seen(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct evidence seen;
	struct error err = ERROR_INIT;

	netlab_run("ip netns exec %s nft -- add table inet fw; add chain inet fw out { type filter "
		   "hook output priority -150; }; add rule inet fw out meta priority set 0",
		   lab->near);
	START(lab, &fault, "to", "10.88.0.2", "to", "fd88::2", "path", "/up", "answer", "503");
	assert_curl(lab, "000", "http://10.88.0.2/mid");
	assert_curl(lab, "000", "http://[fd88::2]/mid");
	assert_in_range(counters_of(&fault).connections, 2, 3);
	assert_int_equal(http_fault.evidence(&fault.fault, &seen, &err), -ESTALE);
	assert_non_null(strstr(err.text, "comes back"));
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	netlab_run("ip netns exec %s nft delete table inet fw", lab->near);
}

/* Who has no other address than a link-local one: it means nothing on lo, so he goes directly. */
static void test_a_link_local_client_is_not_held_up(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	int64_t before_ns;

	netlab_run("ip -n %s addr del fd88::1/64 dev sqv0", lab->near);
	netlab_run("ip -n %s route add fd88::/64 dev sqv0", lab->near);
	/* the kernel's own is not used while it looks for duplicates */
	netlab_run("ip -n %s addr add fe80::88/64 dev sqv0 nodad", lab->near);
	START(lab, &fault, "to", "10.88.0.2", "to", "fd88::2", "path", "/up", "answer", "503");
	before_ns = clock_now_ns();
	assert_curl(lab, "503", "http://10.88.0.2/up");
	assert_curl(lab, "200", "http://[fd88::2]/up");
	assert_true(clock_now_ns() - before_ns < (is_emulated() ? 15 : 3) * NSEC_PER_SEC);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	netlab_run("ip -n %s addr del fe80::88/64 dev sqv0", lab->near);
	netlab_run("ip -n %s route del fd88::/64 dev sqv0", lab->near);
	netlab_run("ip -n %s addr add fd88::1/64 dev sqv0 nodad", lab->near);
}

/* A server of our own in the far namespace, for one connection: switches protocols, then says back
 * what it hears. */
static void *switch_protocols(void *context)
{
	static const char answer[] = "HTTP/1.1 101 Switching\r\nUpgrade: echo\r\n\r\nwelcome";
	int listener = *(int *)context, fd = accept(listener, NULL, NULL);
	char bytes[4096];
	ssize_t size = recv(fd, bytes, sizeof(bytes), 0);

	if (size > 0)
		send(fd, answer, strlen(answer), MSG_NOSIGNAL);
	while ((size = recv(fd, bytes, sizeof(bytes), 0)) > 0)
		send(fd, bytes, (size_t)size, MSG_NOSIGNAL);
	close(fd);
	return NULL;
}

static void test_what_follows_an_upgrade_passes(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct sockaddr_storage address;
	socklen_t size = netlab_socket_address("10.88.0.2", 8090, &address);
	int listener = netlab_own_socket(lab->far_fd, "10.88.0.2", SOCK_STREAM), fd;
	char heard[4096];
	pthread_t thread;

	assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(pthread_create(&thread, NULL, switch_protocols, &listener), 0);
	START(lab, &fault, "to", "10.88.0.2:8090", "path", "/up", "answer", "503");
	fd = netlab_dial(lab->near_fd, "10.88.0.2", 8090);
	assert_true(fd >= 0);
	say(fd, "GET /socket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
	hear(fd, "welcome", heard, sizeof(heard));
	say(fd, GET("/up")); /* no request any more */
	hear(fd, GET("/up"), heard, sizeof(heard));
	assert_int_equal(counters_of(&fault).strange, 1);
	shutdown(fd, SHUT_WR);
	assert_int_equal(recv(fd, heard, 1, 0), 0);
	close(fd);
	pthread_join(thread, NULL);
	close(listener);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

enum { UPLOADS = 300, UPLOADED = 400000 };

/* Another one, which refuses uploads before they are there: what it has not read makes its end a
 * reset. */
static void *refuse_uploads(void *context)
{
	static const char answer[] = "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n"
				     "Connection: close\r\n\r\nbig";
	char bytes[1000];

	for (unsigned i = 0; i < UPLOADS; i++) {
		int fd = accept(*(int *)context, NULL, NULL);

		if (recv(fd, bytes, sizeof(bytes), 0) > 0)
			send(fd, answer, strlen(answer), MSG_NOSIGNAL);
		close(fd);
	}
	return NULL;
}

static void test_a_refusal_is_heard_though_a_reset_follows(void **state)
{
	static const char zeros[UPLOADED];
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct sockaddr_storage address;
	socklen_t size = netlab_socket_address("10.88.0.2", 8091, &address);
	int listener = netlab_own_socket(lab->far_fd, "10.88.0.2", SOCK_STREAM);
	unsigned heard = 0;
	pthread_t thread;

	assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(listener, 10), 0);
	assert_int_equal(pthread_create(&thread, NULL, refuse_uploads, &listener), 0);
	START(lab, &fault, "to", "10.88.0.2:8091", "path", "/up", "answer", "503");
	for (unsigned i = 0; i < UPLOADS; i++) {
		int fd = netlab_dial(lab->near_fd, "10.88.0.2", 8091);
		char bytes[100] = "";

		assert_true(fd >= 0);
		say(fd, "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 400000\r\n\r\n");
		send(fd, zeros, sizeof(zeros), MSG_NOSIGNAL);
		if (recv(fd, bytes, sizeof(bytes) - 1, 0) > 0)
			heard += strncmp(bytes, "HTTP/1.1 413", 12) == 0;
		close(fd);
	}
	assert_int_equal(heard, UPLOADS);
	pthread_join(thread, NULL);
	close(listener);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

/* Clients that have gone, and a server that does not mind: their places are for those who come. */
static void test_whose_client_has_gone_makes_room(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct sockaddr_storage address;
	socklen_t size = netlab_socket_address("10.88.0.2", 8093, &address);
	int listener = netlab_own_socket(lab->far_fd, "10.88.0.2", SOCK_STREAM), first, last;
	struct pollfd polled[2];

	if (http_responder_room() < HTTP_CONNECTIONS_MAX)
		skip();
	assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(listener, 2 * HTTP_CONNECTIONS_MAX), 0); /* and never accepts */
	START(lab, &fault, "to", "10.88.0.2:8093", "path", "/up", "answer", "503");
	first = netlab_dial(lab->near_fd, "10.88.0.2", 8093);
	assert_true(first >= 0);
	for (unsigned i = 1; i < HTTP_CONNECTIONS_MAX; i++) {
		int fd = netlab_dial(lab->near_fd, "10.88.0.2", 8093);

		assert_true(fd >= 0);
		close(fd);
	}
	while (counters_of(&fault).connections < HTTP_CONNECTIONS_MAX)
		poll(NULL, 0, 10);
	poll(NULL, 0, (int)(HTTP_LEFT_NS / NSEC_PER_MSEC) + 500);
	last = netlab_dial(lab->near_fd, "10.88.0.2", 8093);
	assert_true(last >= 0);
	polled[0] = (struct pollfd){.fd = first, .events = POLLIN};
	polled[1] = (struct pollfd){.fd = last, .events = POLLIN};
	assert_int_equal(poll(polled, 2, 500), 0); /* neither is reset */
	assert_int_equal(counters_of(&fault).refused, 0);
	assert_int_equal(counters_of(&fault).left, 1);
	close(first);
	close(last);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	close(listener);
}

static void test_a_server_that_loses_patience_is_asked_anew(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	START(lab, &fault, "to", "10.88.0.2:82", "delay", "2500ms");
	assert_curl(lab, "200", "http://10.88.0.2:82/");
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	START(lab, &fault, "to", "10.88.0.2:82", "delay", "2500ms", "answer", "504");
	assert_curl(lab, "504", "http://10.88.0.2:82/");
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

struct flood {
	int listener;
	struct sockaddr_storage seen; /* who asked */
};

/* A server that sends until nobody takes any more, and then is gone without a word; the next one is
 * answered. */
static void *flood(void *context)
{
	static const char head[] = "HTTP/1.1 200 OK\r\n\r\n", answer[] = GET("/is-no-answer");
	struct flood *server = context;
	int fd = accept(server->listener, NULL, NULL);
	struct pollfd polled = {.fd = fd, .events = POLLOUT};
	socklen_t size = sizeof(server->seen);
	char bytes[4096] = "";

	getpeername(fd, (struct sockaddr *)&server->seen, &size);
	if (recv(fd, bytes, sizeof(bytes), 0) > 0)
		send(fd, head, strlen(head), MSG_NOSIGNAL);
	while (poll(&polled, 1, 500) == 1 &&
	       send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
		;
	netlab_hang_up(fd);
	fd = accept(server->listener, NULL, NULL);
	if (recv(fd, bytes, sizeof(bytes), 0) > 0)
		send(fd, answer, strlen(answer), MSG_NOSIGNAL);
	close(fd);
	return NULL;
}

/* The port of a connection that is over, though its client has not read of that yet, is anybody's:
 * who has it next is not taken for ourselves. */
static void test_who_gets_a_port_of_ours_is_not_us(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct sockaddr_storage address;
	socklen_t size = netlab_socket_address("10.88.0.2", 8098, &address);
	struct flood server = {netlab_own_socket(lab->far_fd, "10.88.0.2", SOCK_STREAM), {0}};
	int silent = netlab_own_socket(lab->near_fd, "10.88.0.1", SOCK_STREAM), next;
	const int little = 2048;
	char heard[4096];
	pthread_t thread;

	assert_int_equal(bind(server.listener, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(server.listener, 2), 0);
	assert_int_equal(pthread_create(&thread, NULL, flood, &server), 0);
	START(lab, &fault, "to", "10.88.0.2:8098", "path", "/up", "answer", "503");
	netlab_run("ip netns exec %s sysctl -qw net.netfilter.nf_conntrack_tcp_timeout_close=1",
		   lab->near);
	setsockopt(silent, SOL_SOCKET, SO_RCVBUF, &little, sizeof(little));
	assert_int_equal(connect(silent, (struct sockaddr *)&address, size), 0);
	say(silent, GET("/a"));
	next = netlab_own_socket(lab->near_fd, "10.88.0.1", SOCK_STREAM);
	for (unsigned i = 0; i < 500; i++) { /* until the server is gone */
		poll(NULL, 0, 20);
		if (server.seen.ss_family && bind(next, (struct sockaddr *)&server.seen, size) == 0)
			break;
	}
	poll(NULL, 0, 1500); /* until connection tracking has forgotten it */
	assert_int_equal(connect(next, (struct sockaddr *)&address, size), 0);
	say(next, GET("/b"));
	hear(next, "is-no-answer", heard, sizeof(heard));
	assert_int_equal(counters_of(&fault).connections, 2);
	netlab_evidence(&fault);
	close(silent);
	close(next);
	pthread_join(thread, NULL);
	close(server.listener);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

/* Each of them meets what it is there for: the name, then the request. */
static void test_beside_a_dns_fault(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault http, dns;
	struct error err = ERROR_INIT;

	START(lab, &http, "to", "10.88.0.2", "path", "/up", "answer", "503");
	if (netlab_fault_plan_step(lab, &dns, &http, 1,
				   (const char *[]){"fault", "dns", "to", "10.88.0.0/24", "name",
						    "*", "answer", "servfail", NULL},
				   &err) < 0 ||
	    dns.fault.ops->inject(&dns.fault, &err) < 0)
		fail_msg("%s", err.text);
	assert_curl(lab, "503", "http://10.88.0.2/up");
	assert_curl(lab, "200", "http://10.88.0.3/up");
	netlab_fault_end(&dns, FAULT_END_SOFT);
	assert_curl(lab, "503", "http://10.88.0.2/up");
	netlab_fault_end(&http, FAULT_END_SOFT);
	assert_curl(lab, "200", "http://10.88.0.2/up");
	dns.journal = NULL; /* the first one's */
	netlab_fault_finish(&dns, FAULT_END_SOFT);
	netlab_fault_finish(&http, FAULT_END_SOFT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_somebodys_own_translation_goes_on),
		cmocka_unit_test(test_what_follows_an_upgrade_passes),
		cmocka_unit_test(test_rules_about_marks_are_not_about_what_is_passed_on),
		cmocka_unit_test(test_a_link_local_client_is_not_held_up),
		cmocka_unit_test(test_what_has_a_zone_of_its_own_passes),
		cmocka_unit_test(test_links_that_go_are_missed),
		cmocka_unit_test(test_what_comes_back_is_seen),
		cmocka_unit_test(test_who_gets_a_port_of_ours_is_not_us),
		cmocka_unit_test(test_a_refusal_is_heard_though_a_reset_follows),
		cmocka_unit_test(test_whose_client_has_gone_makes_room),
		cmocka_unit_test(test_a_server_that_loses_patience_is_asked_anew),
		cmocka_unit_test(test_beside_a_dns_fault),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
