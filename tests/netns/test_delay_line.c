/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The delay line on real traffic: two namespaces of our own with a veth pair between them, the line
 * on the near end (A), an owner table that forwards to it. One clock, so delays are one-way.
 */
#include "faults/network_delay_line.h"
#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/kernel/namespace.h"
#include "injector/kernel/tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <nftables/libnftables.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cmocka.h>

#define MARK  0x5a5a
#define DELAY (20 * NSEC_PER_MSEC)
/* The machine that runs this may be busy with something else; early is never right. */
#define LATE (15 * NSEC_PER_MSEC)
#define TAP  "sqdltap"

struct lab {
	int near_fd, far_fd; /* namespaces A and B */
	struct delay_line *line;
	struct nft_ctx *table;
};

struct call {
	int (*fn)(void *context);
	void *context;
};

static int call_plain(void *context, struct error *err)
{
	struct call *call = context;

	(void)err;
	return call->fn(call->context);
}

/* Runs fn inside a namespace and returns what it returned. */
static int inside(int namespace_fd, int (*fn)(void *context), void *context)
{
	struct call call = {fn, context};

	return namespace_run(namespace_fd, call_plain, &call, NULL);
}

/* A command in a namespace. Only while no line runs: a child would share its tap for a moment. */
static void command(int namespace_fd, const char *line)
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (!child) {
		if (!setns(namespace_fd, CLONE_NEWNET))
			execl("/bin/sh", "sh", "-ec", line, (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (status)
		fail_msg("failed: %s", line);
}

static int new_namespace(void)
{
	int old = -1, fd = -1;

	assert_int_equal(namespace_open_self(&old, NULL), 0);
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	assert_int_equal(namespace_open_self(&fd, NULL), 0);
	assert_int_equal(setns(old, CLONE_NEWNET), 0);
	close(old);
	return fd;
}

static int lab_setup(void **state)
{
	struct lab *lab = calloc(1, sizeof(*lab));
	char line[256];

	assert_non_null(lab);
	lab->near_fd = new_namespace();
	lab->far_fd = new_namespace();
	snprintf(line, sizeof(line),
		 "ip link add sqdla type veth peer name sqdlb netns /proc/%d/fd/%d", getpid(),
		 lab->far_fd);
	command(lab->near_fd, line);
	command(lab->near_fd, "ip addr add 10.77.0.1/24 dev sqdla;"
			      "ip addr add fd77::1/64 dev sqdla nodad;"
			      "ip link set sqdla up; ip link set lo up;"
			      "sysctl -qw net.ipv4.conf.lo.route_localnet=1"
			      " net.ipv4.conf.lo.accept_local=1");
	command(lab->far_fd, "ip addr add 10.77.0.2/24 dev sqdlb;"
			     "ip addr add 10.77.0.3/24 dev sqdlb;"
			     "ip addr add fd77::2/64 dev sqdlb nodad;"
			     "ip addr add fd77::3/64 dev sqdlb nodad;"
			     "ip link set sqdlb up; ip link set lo up");
	*state = lab;
	return 0;
}

static int drop_table(void *context)
{
	struct lab *lab = context;

	if (lab->table)
		nft_ctx_free(lab->table);
	lab->table = NULL;
	return 0;
}

static int lab_teardown(void **state)
{
	struct lab *lab = *state;

	inside(lab->near_fd, drop_table, lab);
	delay_line_stop(lab->line);
	close(lab->near_fd);
	close(lab->far_fd);
	free(lab);
	return 0;
}

static int index_of(void *name)
{
	return (int)if_nametoindex(name);
}

static void start_line(struct lab *lab, char *device, bool is_ingress, int64_t delay_ns,
		       int64_t jitter_ns)
{
	struct error err = ERROR_INIT;
	struct delay_line_config config = {
		.namespace_fd = lab->near_fd,
		.interface_index = inside(lab->near_fd, index_of, device),
		.is_ingress = is_ingress,
		.is_loopback = !strcmp(device, "lo"),
		.delay_ns = delay_ns,
		.jitter_ns = jitter_ns,
		.mark = MARK,
		.name = TAP,
		.seed = 1,
	};

	if (delay_line_prepare(&config, &lab->line, &err))
		fail_msg("prepare: %s", err.text);
	assert_int_equal(inside(lab->near_fd, index_of, (char *)(uintptr_t)TAP), 0);
	if (delay_line_start(lab->line, &err))
		fail_msg("start: %s", err.text);
	assert_string_equal(delay_line_device(lab->line), TAP);
}

struct rule {
	struct lab *lab;
	const char *text;
};

static int load_table(void *context)
{
	struct rule *rule = context;

	rule->lab->table = nft_ctx_new(NFT_CTX_DEFAULT);
	nft_ctx_buffer_error(rule->lab->table);
	if (nft_run_cmd_from_buffer(rule->lab->table, rule->text))
		fail_msg("nft: %s", nft_ctx_get_error_buffer(rule->lab->table));
	return 0;
}

/* The table as the injector has it: what comes back passes once, what matches goes to the line. */
static void forward(struct lab *lab, const char *device, const char *hook, const char *match)
{
	struct rule rule = {.lab = lab};
	char text[512];

	snprintf(text, sizeof(text),
		 "table netdev sqdl {\n flags owner;\n chain c {\n"
		 " type filter hook %s device \"%s\" priority 2147483647; policy accept;\n"
		 " meta mark 0x%x meta mark set 0 accept\n %s fwd to \"" TAP "\"\n }\n}\n",
		 hook, device, MARK, match);
	rule.text = text;
	inside(lab->near_fd, load_table, &rule);
}

struct address {
	struct sockaddr_storage storage;
	socklen_t length;
};

static struct address address_of(const char *text, uint16_t port)
{
	struct address address = {.length = sizeof(struct sockaddr_in6)};
	struct sockaddr_in6 *v6 = (void *)&address.storage;
	struct sockaddr_in *v4 = (void *)&address.storage;

	if (strchr(text, ':')) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		assert_int_equal(inet_pton(AF_INET6, text, &v6->sin6_addr), 1);
	} else {
		address.length = sizeof(*v4);
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		assert_int_equal(inet_pton(AF_INET, text, &v4->sin_addr), 1);
	}
	return address;
}

struct socket_call {
	struct address address;
	int type;
};

static int open_bound(void *context)
{
	struct socket_call *call = context;
	int on = 1, large = 64 << 20;
	int fd = socket(call->address.storage.ss_family, call->type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (call->type == SOCK_DGRAM) {
		setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &large, sizeof(large));
		setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &large, sizeof(large));
	}
	if (bind(fd, (struct sockaddr *)&call->address.storage, call->address.length))
		fail_msg("bind: %s", strerror(errno));
	return fd;
}

static int bound(int namespace_fd, int type, const char *address, uint16_t port)
{
	struct socket_call call = {address_of(address, port), type};

	return inside(namespace_fd, open_bound, &call);
}

struct probe {
	uint64_t number;
	int64_t sent_ns;
};

static void send_probe(int fd, const struct address *to, uint64_t number)
{
	struct probe probe = {number, clock_now_ns()};

	assert_int_equal(sendto(fd, &probe, sizeof(probe), 0,
				(const struct sockaddr *)&to->storage, to->length),
			 sizeof(probe));
}

/* One-way delay of the next probe, or -1 if none comes within the timeout. */
static int64_t receive_probe(int fd, int timeout_ms, uint64_t *out_number)
{
	struct pollfd polled = {.fd = fd, .events = POLLIN};
	struct probe probe;

	if (poll(&polled, 1, timeout_ms) <= 0)
		return -1;
	assert_int_equal(recv(fd, &probe, sizeof(probe), 0), sizeof(probe));
	if (out_number)
		*out_number = probe.number;
	return clock_now_ns() - probe.sent_ns;
}

struct path {
	int from_fd, to_fd; /* namespaces */
	const char *from, *to;
};

/* Ten probes; every one must take `expected`, or nearly nothing when that is 0. */
static void check_path(const struct path *path, int64_t expected_ns, const char *what)
{
	int from = bound(path->from_fd, SOCK_DGRAM, path->from, 0);
	int to = bound(path->to_fd, SOCK_DGRAM, path->to, 7000);
	struct address address = address_of(path->to, 7000);
	int64_t least = INT64_MAX, most = 0;

	send_probe(from, &address, 0); /* finds the neighbour */
	assert_true(receive_probe(to, 3000, NULL) >= 0);
	for (unsigned i = 1; i <= 10; i++) {
		uint64_t number = 0;
		int64_t delay;

		send_probe(from, &address, i);
		delay = receive_probe(to, 2000, &number);
		assert_int_equal(number, i);
		least = delay < least ? delay : least;
		most = delay > most ? delay : most;
	}
	print_message("  %-28s %.3f .. %.3f ms\n", what, least / 1e6, most / 1e6);
	assert_true(least >= expected_ns);
	assert_true(most < expected_ns + LATE);
	close(from);
	close(to);
}

static void test_egress_ipv4_and_its_neighbour(void **state)
{
	struct lab *lab = *state;
	struct path in_scope = {lab->near_fd, lab->far_fd, "10.77.0.1", "10.77.0.2"};
	struct path beside = {lab->near_fd, lab->far_fd, "10.77.0.1", "10.77.0.3"};
	struct delay_line_counters counters;

	start_line(lab, (char[]){"sqdla"}, false, DELAY, 0);
	check_path(&in_scope, 0, "IPv4, no table yet");
	forward(lab, "sqdla", "egress", "ip daddr 10.77.0.2");
	check_path(&in_scope, DELAY, "IPv4 egress");
	check_path(&beside, 0, "IPv4 neighbour");
	delay_line_counters(lab->line, &counters);
	assert_int_equal(counters.received, 11);
	assert_int_equal(counters.sent, 11);
	assert_true(counters.processor_ns > 0);
	assert_true(delay_line_is_empty(lab->line));
	inside(lab->near_fd, drop_table, lab);
	check_path(&in_scope, 0, "IPv4, table gone");
}

static void test_ingress_ipv4(void **state)
{
	struct lab *lab = *state;
	struct path in_scope = {lab->far_fd, lab->near_fd, "10.77.0.2", "10.77.0.1"};
	struct path beside = {lab->far_fd, lab->near_fd, "10.77.0.3", "10.77.0.1"};

	start_line(lab, (char[]){"sqdla"}, true, DELAY, 0);
	forward(lab, "sqdla", "ingress", "ip saddr 10.77.0.2");
	check_path(&in_scope, DELAY, "IPv4 ingress");
	check_path(&beside, 0, "IPv4 ingress neighbour");
}

static void test_egress_ipv6(void **state)
{
	struct lab *lab = *state;
	struct path in_scope = {lab->near_fd, lab->far_fd, "fd77::1", "fd77::2"};
	struct path beside = {lab->near_fd, lab->far_fd, "fd77::1", "fd77::3"};

	start_line(lab, (char[]){"sqdla"}, false, DELAY, 0);
	forward(lab, "sqdla", "egress", "ip6 daddr fd77::2");
	check_path(&in_scope, DELAY, "IPv6 egress");
	check_path(&beside, 0, "IPv6 neighbour");
}

static void test_ingress_ipv6(void **state)
{
	struct lab *lab = *state;
	struct path in_scope = {lab->far_fd, lab->near_fd, "fd77::2", "fd77::1"};

	start_line(lab, (char[]){"sqdla"}, true, DELAY, 0);
	forward(lab, "sqdla", "ingress", "ip6 saddr fd77::2");
	check_path(&in_scope, DELAY, "IPv6 ingress");
}

static void test_loopback_ipv4(void **state)
{
	struct lab *lab = *state;
	struct path loopback = {lab->near_fd, lab->near_fd, "127.0.0.1", "127.0.0.1"};
	struct path own = {lab->near_fd, lab->near_fd, "10.77.0.1", "10.77.0.1"};

	start_line(lab, (char[]){"lo"}, false, DELAY, 0);
	forward(lab, "lo", "egress", "ip protocol udp");
	check_path(&loopback, DELAY, "127.0.0.1");
	check_path(&own, DELAY, "own address over lo");
}

static void test_loopback_ipv6(void **state)
{
	struct lab *lab = *state;
	struct path loopback = {lab->near_fd, lab->near_fd, "::1", "::1"};

	start_line(lab, (char[]){"lo"}, false, DELAY, 0);
	forward(lab, "lo", "egress", "ip6 daddr ::1");
	check_path(&loopback, DELAY, "::1");
}

int main(void)
{
#define LAB(test) cmocka_unit_test_setup_teardown(test, lab_setup, lab_teardown)
	const struct CMUnitTest tests[] = {
		LAB(test_egress_ipv4_and_its_neighbour),
		LAB(test_ingress_ipv4),
		LAB(test_egress_ipv6),
		LAB(test_ingress_ipv6),
		LAB(test_loopback_ipv4),
		LAB(test_loopback_ipv6),
	};

	return cmocka_run_group_tests_name("delay line", tests, NULL, NULL);
}
