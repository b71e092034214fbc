/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `follow: true` of dns and http faults, as a user runs them: names move in a real DNS server,
 * interfaces come and go. What the site does not allow leaves the fault where it was.
 */
#include "tests/netns/follow_bench.h"
#include "tests/support/dns_server.h"
#include "tests/support/netlab_dial.h"

#include <poll.h>
#include <sys/mount.h>

#define HERE "10.88.0.2 here.test\n"

static void use_server(const struct stage *stage)
{
	if (mount(stage_path(stage, "resolv.conf"), "/etc/resolv.conf", NULL, MS_BIND, NULL) < 0)
		_exit(126);
}

static const struct squall_how plain = {.prepare = use_server};

/* A stage with a name server; `moves.test` is 10.88.0.2. */
static int setup(void **state)
{
	static char hosts[128];
	struct stage *stage;

	if (stage_setup(state) != 0)
		return -1;
	stage = *state;
	snprintf(hosts, sizeof(hosts), "%s", stage_path(stage, "hosts"));
	stage_write(stage, "resolv.conf", "nameserver 10.88.0.2\noptions timeout:1 attempts:1\n");
	stage_write(stage, "hosts", HERE "10.88.0.2 moves.test\n");
	dns_hosts_start(stage->lab, hosts);
	return 0;
}

static int teardown(void **state)
{
	dns_servers_stop();
	return stage_teardown(state);
}

/* Nobody but the fault says that. */
static bool is_query_met(const struct stage *stage, const char *server)
{
	return DNS_ASK(stage->lab, .server = server, .name = "bad.test", .timeout_ms = 500).rcode ==
	       DNS_SERVFAIL;
}

static void await_query_met(const struct stage *stage, const char *server, bool wanted)
{
	const int64_t until_ns = clock_now_ns() + SOON_MS * NSEC_PER_MSEC;

	while (is_query_met(stage, server) != wanted)
		assert_true(clock_now_ns() < until_ns);
}

static void test_a_dns_fault_moves_with_the_name(void **state)
{
	struct stage *stage = *state;
	struct squall *squall = squall_start(
		stage, &plain,
		"inject --json dns to=moves.test follow=true follow-every=1s name=bad.test "
		"answer=servfail for=60s targets=2");

	squall_await_injected(squall);
	assert_true(is_query_met(stage, "10.88.0.2"));
	assert_false(is_query_met(stage, "10.88.0.3"));
	dns_hosts_write(HERE "10.88.0.3 moves.test\nfd88::3 moves.test\n");
	squall_await_followed(squall, 1, true, "10.88.0.3, fd88::3 (was 10.88.0.2)");
	assert_true(is_query_met(stage, "10.88.0.3"));
	assert_true(is_query_met(stage, "fd88::3"));
	assert_false(is_query_met(stage, "10.88.0.2"));
	/* what cannot be looked up stays */
	dns_hosts_write(HERE);
	squall_await_followed(squall, 2, false, "cannot be looked up");
	assert_true(is_query_met(stage, "10.88.0.3"));
	squall_signal(squall, SIGINT);
	squall_assert_exit(squall, 4);
	assert_int_equal(squall_count_followed(squall), 2);
	stage_assert_clean(stage);
}

/* It is looked up as anybody here does it. */
static void test_a_fault_on_its_own_name_stays_where_it_was(void **state)
{
	struct stage *stage = *state;
	struct squall *squall = squall_start(
		stage, &plain,
		"inject --json dns to=moves.test follow=true follow-every=1s domain=test "
		"answer=servfail for=60s");

	squall_await_injected(squall);
	dns_hosts_write(HERE "10.88.0.3 moves.test\n");
	squall_await_followed(squall, 1, false, "cannot be looked up");
	assert_true(is_query_met(stage, "10.88.0.2"));
	assert_false(is_query_met(stage, "10.88.0.3"));
	squall_signal(squall, SIGINT);
	squall_assert_exit(squall, 4);
	stage_assert_clean(stage);
}

/* "HTTP/1.1 503 ...": who listens there never says that. */
static bool is_request_met(const struct stage *stage, const char *address)
{
	const char request[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
	const int fd = netlab_dial(stage->lab->near_fd, address, NETLAB_PORT);
	struct pollfd polled = {.events = POLLIN};
	char got[64] = "";

	if (fd < 0)
		return false;
	polled.fd = fd;
	if (send(fd, request, strlen(request), MSG_NOSIGNAL) > 0 && poll(&polled, 1, 500) == 1)
		(void)!recv(fd, got, sizeof(got) - 1, 0);
	close(fd);
	return strncmp(got, "HTTP/1.1 503", 12) == 0;
}

static void test_an_http_fault_moves_with_the_name_between_two_pulses(void **state)
{
	struct stage *stage = *state;
	struct squall *squall;

	stage_write(stage, "pulses.yaml",
		    "version: 1\ntitle: pulses\nhypothesis: pulses\n"
		    "limits: {duration: 10m, targets: 4}\n"
		    "targets:\n"
		    "  store: {to: \"moves.test:7001\", follow: true, follow-every: 1s}\n"
		    "method:\n"
		    "  - {at: 0s, for: 5m, every: 6s, active: 3s, http: {target: store, "
		    "answer: 503}}\n");
	squall = squall_start(stage, &plain, "run --json %s", stage_path(stage, "pulses.yaml"));
	squall_await_injected(squall);
	assert_true(is_request_met(stage, "10.88.0.2"));
	squall_await_nth(squall, "ended", 1);
	dns_hosts_write(HERE "10.88.0.3 moves.test\n");
	squall_await_followed(squall, 1, true, "10.88.0.3 (was 10.88.0.2)");
	assert_false(is_request_met(stage, "10.88.0.3"));
	squall_await_nth(squall, "injected", 2);
	assert_true(is_request_met(stage, "10.88.0.3"));
	assert_false(is_request_met(stage, "10.88.0.2"));
	squall_signal(squall, SIGINT);
	squall_assert_exit(squall, 4);
	stage_assert_clean(stage);
}

static void test_connections_to_an_address_that_comes_are_ended(void **state)
{
	struct stage *stage = *state;
	struct squall *squall;
	struct pollfd polled = {.events = POLLIN};
	char byte;

	if (!netlab_can_end_connections(stage->lab))
		skip();
	polled.fd = netlab_dial(stage->lab->near_fd, "10.88.0.3", NETLAB_PORT);
	squall = squall_start(stage, &plain,
			      "inject --json http to=moves.test:7001 follow=true follow-every=1s "
			      "answer=503 reset-connections=true for=60s");
	squall_await_injected(squall);
	assert_int_equal(poll(&polled, 1, 100), 0);
	dns_hosts_write(HERE "10.88.0.3 moves.test\n");
	squall_await_followed(squall, 1, true, "10.88.0.3 (was 10.88.0.2)");
	assert_int_equal(poll(&polled, 1, SOON_MS), 1);
	assert_true(recv(polled.fd, &byte, 1, 0) < 0);
	close(polled.fd);
	assert_true(is_request_met(stage, "10.88.0.3"));
	squall_signal(squall, SIGINT);
	squall_assert_exit(squall, 4);
	stage_assert_clean(stage);
}

/* It is met wherever the routes lead, so where they lead is asked of the site each time. */
static void test_an_address_by_an_interface_that_is_not_allowed_is_not_followed(void **state)
{
	const struct squall_how how = {.prepare = use_server,
				       .policy = "version: 1\nallow: {interfaces: [sqv0]}\n"};
	struct stage *stage = *state;
	struct squall *squall;

	add_pair(stage, "other", 2);
	squall = squall_start(stage, &how,
			      "inject --json http to=moves.test:7001 follow=true follow-every=1s "
			      "answer=503 for=60s");
	squall_await_injected(squall);
	dns_hosts_write(HERE "10.88.2.2 moves.test\n");
	squall_await_followed(squall, 1, false, "interface other");
	assert_false(is_request_met(stage, "10.88.2.2"));
	assert_true(is_request_met(stage, "10.88.0.2"));
	dns_hosts_write(HERE "10.88.0.3 moves.test\n");
	squall_await_followed(squall, 2, true, "10.88.0.3");
	assert_true(is_request_met(stage, "10.88.0.3"));
	squall_signal(squall, SIGINT);
	squall_assert_exit(squall, 4);
	delete_link(stage, "other");
	stage_assert_clean(stage);
}

static void test_queries_are_met_on_interfaces_that_come(void **state)
{
	struct stage *stage = *state;
	struct squall *squall = squall_start(
		stage, NULL,
		"inject --json dns interface=sqv* follow=true name=bad.test answer=servfail "
		"for=60s");

	squall_await_injected(squall);
	assert_true(is_query_met(stage, "10.88.0.2"));
	add_pair(stage, "sqv2", 2);
	squall_await_followed(squall, 1, true, "affected as well from now on: sqv2");
	assert_true(is_query_met(stage, "10.88.2.2"));
	add_pair(stage, "other", 3);
	assert_false(is_query_met(stage, "10.88.3.2"));
	delete_link(stage, "sqv2");
	squall_await_followed(squall, 2, true, "sqv2 (gone)");
	assert_true(is_query_met(stage, "10.88.0.2"));
	/* renamed into the pattern, and out of it */
	netlab_run("ip -n %s link set other down", stage->lab->near);
	netlab_run("ip -n %s link set other name sqv3", stage->lab->near);
	netlab_run("ip -n %s link set sqv3 up", stage->lab->near);
	squall_await_followed(squall, 3, true, "affected as well from now on: sqv3");
	await_query_met(stage, "10.88.3.2", true);
	netlab_run("ip -n %s link set sqv3 down", stage->lab->near);
	netlab_run("ip -n %s link set sqv3 name other", stage->lab->near);
	netlab_run("ip -n %s link set other up", stage->lab->near);
	squall_await_followed(squall, 4, true, "sqv3 (renamed)");
	await_query_met(stage, "10.88.3.2", false);
	squall_signal(squall, SIGINT);
	squall_assert_exit(squall, 4);
	delete_link(stage, "other");
	stage_assert_clean(stage);
}

/* The routes are not followed by what does not care for them: nothing is told of them. */
static void test_routes_that_move_are_not_told(void **state)
{
	struct stage *stage = *state;
	struct squall *squall = squall_start(
		stage, NULL,
		"inject --json dns to=10.88.0.3 follow=true name=bad.test answer=servfail for=60s");

	squall_await_injected(squall);
	add_pair(stage, "other", 2);
	netlab_run("ip -n %s route add 10.88.0.3/32 dev other", stage->lab->near);
	assert_true(is_query_met(stage, "10.88.0.3"));
	pause_ms(1500); /* it is looked at twice */
	assert_true(is_query_met(stage, "10.88.0.3"));
	assert_int_equal(squall_count_followed(squall), 0);
	squall_signal(squall, SIGINT);
	squall_assert_exit(squall, 4);
	assert_int_equal(squall_count_followed(squall), 0);
	delete_link(stage, "other");
	stage_assert_clean(stage);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_dns_fault_moves_with_the_name),
		TEST(test_a_fault_on_its_own_name_stays_where_it_was),
		TEST(test_an_http_fault_moves_with_the_name_between_two_pulses),
		TEST(test_connections_to_an_address_that_comes_are_ended),
		TEST(test_an_address_by_an_interface_that_is_not_allowed_is_not_followed),
		TEST(test_queries_are_met_on_interfaces_that_come),
		TEST(test_routes_that_move_are_not_told),
	};

	return STAGE_RUN(tests);
}
