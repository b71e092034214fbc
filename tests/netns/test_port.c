/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Ports that are taken: a real nginx that cannot start, or not start again, and can afterwards.
 * Local ports that have run out: towards one far side and nowhere else, without a packet, and there
 * again when it has ended, was killed, or could not begin.
 */
#include "tests/support/netlab.h"
#include "tests/support/netlab_dial.h"
#include "tests/support/squall_runner.h"

#include "faults/port.h"
#include "injector/base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define WEB_PORT   7080
#define PORTS_LEFT 300 /* that connect() chooses from */

static int bind_in(const struct netlab *lab, const char *address, uint16_t port, int type)
{
	struct sockaddr_storage here;
	socklen_t size = netlab_socket_address(address, port, &here);
	int fd = netlab_own_socket(lab->near_fd, address, type), on = 1, result;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	result = bind(fd, (void *)&here, size) < 0 ? errno : 0;
	close(fd);
	return result;
}

static int try_start(struct netlab *lab, struct netlab_fault *fault, const char *const *settings,
		     struct error *err)
{
	int result = netlab_fault_plan(lab, fault, "pppppp", settings, err);

	return result < 0 ? result : port_fault.inject(&fault->fault, err);
}

static void start(struct netlab *lab, struct netlab_fault *fault, const char *const *settings)
{
	struct error err = ERROR_INIT;

	if (try_start(lab, fault, settings, &err) < 0)
		fail_msg("%s; %s", err.text, err.remedy);
}

#define WITH(...)	       ((const char *[]){"fault", "port", __VA_ARGS__, NULL})
#define START(lab, fault, ...) start(lab, fault, WITH(__VA_ARGS__))

static struct evidence evidence_of(struct netlab_fault *fault)
{
	struct evidence seen = {0};
	struct error err = ERROR_INIT;

	if (port_fault.evidence(&fault->fault, &seen, &err) < 0)
		fail_msg("%s", err.text);
	return seen;
}

/* nginx in the near namespace. */

static char home[64];

static void write_config(void)
{
	char path[96];
	FILE *file;

	snprintf(home, sizeof(home), "/tmp/sqpo-XXXXXX");
	assert_non_null(mkdtemp(home));
	snprintf(path, sizeof(path), "%s/nginx.conf", home);
	file = fopen(path, "we");
	assert_non_null(file);
	fprintf(file,
		"user root; worker_processes 1; pid %s/pid; events {} http { access_log off;\n"
		"client_body_temp_path %s/b; proxy_temp_path %s/p; fastcgi_temp_path %s/f;\n"
		"uwsgi_temp_path %s/u; scgi_temp_path %s/s;\n"
		"server { listen 7080; listen [::]:7080; location / { return 200 ok; } } }\n",
		home, home, home, home, home, home);
	fclose(file);
}

static int nginx(const struct netlab *lab, const char *signal)
{
	return netlab_try("ip netns exec %s nginx -p %s -c nginx.conf -e %s/error.log%s", lab->near,
			  home, home, signal);
}

static void stop_nginx(const struct netlab *lab)
{
	assert_int_equal(nginx(lab, " -s stop"), 0);
	for (unsigned i = 0; i < 100 && netlab_try("test ! -e %s/pid", home) != 0; i++)
		pause_ms(20);
}

static bool answers(const struct netlab *lab)
{
	return netlab_try("ip netns exec %s curl -sf -o /dev/null --max-time 5 "
			  "http://127.0.0.1:%d/",
			  lab->near, WEB_PORT) == 0 &&
	       netlab_try("ip netns exec %s curl -sf -o /dev/null --max-time 5 http://[::1]:%d/",
			  lab->near, WEB_PORT) == 0;
}

static void assert_cannot_start(const struct netlab *lab)
{
	char *said;

	assert_int_not_equal(nginx(lab, ""), 0);
	said = netlab_output("tail -n 20 %s/error.log", home);
	if (!strstr(said, "bind() to 0.0.0.0:7080 failed (98: Address already in use)"))
		fail_msg("%s", said);
	free(said);
}

static void test_nginx_cannot_start_and_then_can(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	write_config();
	START(lab, &fault, "local-port", "7080", "action", "occupy");
	assert_int_equal(evidence_of(&fault).hits, 2);
	assert_cannot_start(lab);
	assert_int_equal(netlab_dial(lab->near_fd, "127.0.0.1", WEB_PORT), -ECONNREFUSED);
	assert_int_equal(bind_in(lab, "::", WEB_PORT, SOCK_STREAM), EADDRINUSE);
	assert_int_equal(bind_in(lab, "0.0.0.0", WEB_PORT + 1, SOCK_STREAM), 0);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	assert_int_equal(nginx(lab, ""), 0);
	assert_true(answers(lab));
	stop_nginx(lab);
	netlab_run("rm -r %s", home);
}

static void test_nginx_goes_on_and_cannot_start_again(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct error err = ERROR_INIT;

	write_config();
	assert_int_equal(nginx(lab, ""), 0);
	assert_true(answers(lab));
	/* without a word it is refused */
	assert_int_equal(
		try_start(lab, &fault, WITH("local-port", "7080", "action", "occupy"), &err),
		-EADDRINUSE);
	assert_non_null(strstr(err.text, "7080"));
	assert_non_null(strstr(err.remedy, "in-use"));
	netlab_fault_finish(&fault, FAULT_END_NOW);

	START(lab, &fault, "local-port", "7080", "action", "occupy", "in-use", "true");
	assert_non_null(strstr(fault.plan, "port 7080 is in use"));
	assert_true(answers(lab));
	assert_int_equal(nginx(lab, " -s reload"), 0);
	assert_true(answers(lab));
	stop_nginx(lab);
	assert_cannot_start(lab);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	/* its last connections are still remembered, which must not keep us from it either */
	START(lab, &fault, "local-port", "7080", "action", "occupy");
	assert_cannot_start(lab);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	assert_int_equal(nginx(lab, ""), 0);
	assert_true(answers(lab));
	stop_nginx(lab);
	netlab_run("rm -r %s", home);
}

static void test_ranges_and_datagrams(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	START(lab, &fault, "local-port", "7100-7102", "action", "occupy", "protocol", "udp");
	assert_int_equal(bind_in(lab, "0.0.0.0", 7101, SOCK_DGRAM), EADDRINUSE);
	assert_int_equal(bind_in(lab, "::1", 7102, SOCK_DGRAM), EADDRINUSE);
	assert_int_equal(bind_in(lab, "0.0.0.0", 7103, SOCK_DGRAM), 0);
	assert_int_equal(bind_in(lab, "0.0.0.0", 7101, SOCK_STREAM), 0);
	assert_int_equal(evidence_of(&fault).hits, 6);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	assert_int_equal(bind_in(lab, "0.0.0.0", 7101, SOCK_DGRAM), 0);
}

/* Exhausting. */

static void narrow(const struct netlab *lab)
{
	netlab_run("ip netns exec %s sysctl -qw net.ipv4.ip_local_port_range=40000\t%d", lab->near,
		   40000 + PORTS_LEFT - 1);
}

static unsigned packets_seen(const struct netlab *lab)
{
	char *counted = netlab_output("ip netns exec %s nft list chain inet sqseen in", lab->far);
	const char *at = strstr(counted, "packets ");
	unsigned packets = at ? (unsigned)atoi(at + 8) : 0;

	assert_non_null(at);
	free(counted);
	return packets;
}

static void test_no_port_is_left_towards_one_far_side(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	int kept;

	narrow(lab);
	netlab_run("ip netns exec %s nft add table inet sqseen", lab->far);
	netlab_run(
		"ip netns exec %s nft add chain inet sqseen in { type filter hook input priority "
		"0 ; }",
		lab->far);
	netlab_run("ip netns exec %s nft add rule inet sqseen in tcp dport 7001 counter", lab->far);
	START(lab, &fault, "to", "10.88.0.2:7001", "to", "[fd88::2]:7001", "action", "exhaust");
	assert_int_equal(evidence_of(&fault).hits, 2 * PORTS_LEFT);
	assert_int_equal(netlab_dial(lab->near_fd, "10.88.0.2", NETLAB_PORT), -EADDRNOTAVAIL);
	assert_int_equal(netlab_dial(lab->near_fd, "fd88::2", NETLAB_PORT), -EADDRNOTAVAIL);
	assert_int_equal(packets_seen(lab), 0);
	netlab_hang_up(netlab_dial(lab->near_fd, "10.88.0.2", NETLAB_OTHER_PORT));
	netlab_hang_up(netlab_dial(lab->near_fd, "10.88.0.3", NETLAB_PORT));
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	kept = netlab_dial(lab->near_fd, "10.88.0.2", NETLAB_PORT);
	netlab_hang_up(netlab_dial(lab->near_fd, "fd88::2", NETLAB_PORT));

	/* with a connection that exists: it works on, and its port is taken when it ends */
	START(lab, &fault, "to", "10.88.0.2:7001", "action", "exhaust");
	assert_int_equal(evidence_of(&fault).hits, PORTS_LEFT - 1);
	assert_int_equal(send(kept, "hello", 5, 0), 5);
	assert_int_equal(netlab_dial(lab->near_fd, "10.88.0.2", NETLAB_PORT), -EADDRNOTAVAIL);
	netlab_hang_up(kept);
	for (unsigned i = 0; i < 100 && evidence_of(&fault).hits < PORTS_LEFT; i++)
		pause_ms(50);
	assert_int_equal(netlab_dial(lab->near_fd, "10.88.0.2", NETLAB_PORT), -EADDRNOTAVAIL);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	netlab_hang_up(netlab_dial(lab->near_fd, "10.88.0.2", NETLAB_PORT));
	netlab_run("ip netns exec %s nft delete table inet sqseen", lab->far);
}

static void test_some_are_left(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	int kept[5];

	narrow(lab);
	START(lab, &fault, "to", "10.88.0.2:7001", "action", "exhaust", "leave", "5");
	for (unsigned i = 0; i < 5; i++) {
		kept[i] = netlab_dial(lab->near_fd, "10.88.0.2", NETLAB_PORT);
		assert_true(kept[i] >= 0);
	}
	assert_int_equal(netlab_dial(lab->near_fd, "10.88.0.2", NETLAB_PORT), -EADDRNOTAVAIL);
	for (unsigned i = 0; i < 5; i++)
		netlab_hang_up(kept[i]);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

/* Those of several faults, in one namespace or in several, are descriptors of one process. */
static void test_all_have_descriptors(void **state)
{
	const unsigned spare = 256;
	struct rlimit before, after;
	struct netlab *lab = *state;
	struct netlab_fault faults[2];

	narrow(lab);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	after = (struct rlimit){PORTS_LEFT + spare, before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &after), 0);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(
			netlab_fault_plan(lab, &faults[i], i ? "pppppq" : "pppppp",
					  WITH("to", "10.88.0.2:7001", "action", "exhaust"), NULL),
			0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &after), 0);
	assert_true(after.rlim_cur >= 2 * PORTS_LEFT + spare);
	for (unsigned i = 0; i < 2; i++)
		netlab_fault_finish(&faults[i], FAULT_END_NOW);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void test_targets_that_make_no_sense_are_refused(void **state)
{
	static const char *const cases[][8] = {
		{"needs a target with `local-port`", "action", "occupy", "to", "10.88.0.2"},
		{"needs a target with `to`", "action", "exhaust"},
		{"not one address with one port", "action", "exhaust", "to", "10.88.0.2"},
		{"not one address with one port", "action", "exhaust", "to", "10.88.0.0/30:80"},
		{"`in-use` belongs to", "action", "exhaust", "to", "10.88.0.2:80", "in-use",
		 "true"},
		{"`leave` belongs to", "action", "occupy", "local-port", "80", "leave", "5"},
		{"tcp and udp", "action", "occupy", "local-port", "80", "protocol", "sctp"},
		{"local-address: ports are taken at every address", "action", "occupy",
		 "local-port", "80", "local-address", "10.88.0.1"},
		{"except-local-address: ports are taken at every", "action", "exhaust", "to",
		 "10.88.0.2:80", "except-local-address", "10.88.0.1"},
		{"interface: ports are taken", "action", "occupy", "local-port", "80", "interface",
		 "sqv0"},
		{"to: a port is taken whoever", "action", "occupy", "local-port", "80", "to",
		 "10.88.0.2"},
		{"local-port: `action: exhaust`", "action", "exhaust", "to", "10.88.0.2:80",
		 "local-port", "80"},
		{"more than 1000 ports", "action", "occupy", "local-port", "1-2000"},
	};
	struct netlab *lab = *state;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *settings[12] = {"fault", "port"};
		struct netlab_fault fault;
		struct error err = ERROR_INIT;

		memcpy(settings + 2, cases[i] + 1, 7 * sizeof(*settings));
		assert_true(try_start(lab, &fault, settings, &err) < 0);
		if (!strstr(err.text, cases[i][0]))
			fail_msg("%s", err.text);
		netlab_fault_finish(&fault, FAULT_END_NOW);
	}
}

static void test_killed_and_then_restored(void **state)
{
	struct netlab *lab = *state;
	int64_t killed_ns;
	pid_t child;
	int fd;

	narrow(lab);
	child = netlab_fault_start_apart(lab, "pppppp",
					 WITH("to", "10.88.0.2:7001", "action", "exhaust"));
	assert_int_equal(netlab_dial(lab->near_fd, "10.88.0.2", NETLAB_PORT), -EADDRNOTAVAIL);
	kill(child, SIGKILL);
	killed_ns = clock_now_ns();
	while ((fd = netlab_dial(lab->near_fd, "10.88.0.2", NETLAB_PORT)) < 0)
		assert_true(clock_now_ns() < killed_ns + 2 * NSEC_PER_SEC);
	netlab_hang_up(fd);
	assert_int_equal(waitpid(child, NULL, 0), child);
	netlab_undo_all("pppppp");
	netlab_undo_all("pppppp");
	netlab_run("rm -r %s/pppppp", lab->root);
}

static void test_a_failure_at_each_step_leaves_nothing(void **state)
{
	const char *const *const what[] = {WITH("local-port", "7100-7102", "action", "occupy"),
					   WITH("to", "10.88.0.2:7001", "action", "exhaust")};
	struct netlab *lab = *state;

	narrow(lab);
	for (unsigned i = 0; i < 2; i++) {
		struct netlab_fault fault;
		struct error why = ERROR_INIT;
		unsigned failed = 0;

		if (netlab_fault_plan(lab, &fault, "pppppp", what[i], &why) < 0)
			fail_msg("%s", why.text);
		for (unsigned count = 0, is_injected = false; !is_injected;
		     count += count < 8 ? 1 : 30) {
			struct error err = ERROR_INIT;

			netlab_allow_descriptors(count);
			is_injected = port_fault.inject(&fault.fault, &err) == 0;
			netlab_allow_descriptors(UINT_MAX);
			failed += !is_injected;
			assert_true(is_injected || err.text[0]);
			if (!is_injected) {
				netlab_hang_up(netlab_dial(lab->near_fd, "10.88.0.2", NETLAB_PORT));
				assert_int_equal(bind_in(lab, "0.0.0.0", 7100, SOCK_STREAM), 0);
			}
		}
		assert_true(failed >= 6);
		netlab_fault_finish(&fault, FAULT_END_NOW);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nginx_cannot_start_and_then_can),
		cmocka_unit_test(test_nginx_goes_on_and_cannot_start_again),
		cmocka_unit_test(test_ranges_and_datagrams),
		cmocka_unit_test(test_no_port_is_left_towards_one_far_side),
		cmocka_unit_test(test_some_are_left),
		cmocka_unit_test(test_all_have_descriptors),
		cmocka_unit_test(test_targets_that_make_no_sense_are_refused),
		cmocka_unit_test(test_killed_and_then_restored),
		cmocka_unit_test(test_a_failure_at_each_step_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, netlab_setup, netlab_teardown);
}
