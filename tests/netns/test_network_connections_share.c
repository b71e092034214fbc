/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Of a share, those connections are ended whose packets the fault then meets, and no others: what
 * survives still carries data both ways, and who dials anew from an ended one's port gets what the
 * partition gives. Nobody else may draw differently: neither way of taking packets out of an
 * interface, nor a step that only ends connections.
 */
#include "tests/support/netlab_dial.h"
#include "tests/support/squall_runner.h"

#include "faults/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define PORT	    7008
#define CONNECTIONS 200
#define ADDRESSES   20
#define FIRST_HOST  100
#define LOST_MS	    400
#define HEALED_MS   8000 /* a SYN is sent again after 1 and 3 s */

struct pair {
	int client, server;
	struct sockaddr_storage own; /* of the client: who is reset forgets it */
	socklen_t own_size;
	bool is_ended;
};

struct course {
	const char *listens, *dials; /* addresses */
	const char *to;		     /* of the fault */
	bool is_back;		     /* the far side dials, and the near one is the server */
	bool is_lo;		     /* both are near */
	bool is_by_interface;	     /* so `to` is named */
	bool is_several;	     /* `dials` is what the addresses of many hosts begin with */
};

static const struct course out4 = {.listens = "0.0.0.0", .dials = "10.88.0.2", .to = "10.88.0.2"};
static const struct course out6 = {.listens = "::", .dials = "fd88::2", .to = "fd88::2"};
static const struct course mapped = {
	.listens = "0.0.0.0", .dials = "::ffff:10.88.0.2", .to = "10.88.0.2"};
static const struct course back4 = {
	.listens = "0.0.0.0", .dials = "10.88.0.1", .to = "10.88.0.2", .is_back = true};
static const struct course back6 = {
	.listens = "::", .dials = "fd88::1", .to = "fd88::/64", .is_back = true};
static const struct course back_mapped = {
	.listens = "::", .dials = "10.88.0.1", .to = "10.88.0.2", .is_back = true};
static const struct course lo4 = {
	.listens = "0.0.0.0", .dials = "127.0.0.1", .to = "127.0.0.1", .is_lo = true};
static const struct course several4 = {
	.listens = "0.0.0.0", .dials = "10.88.0.", .to = "10.88.0.0/24", .is_several = true};
static const struct course several6 = {
	.listens = "::", .dials = "fd88::", .to = "fd88::/64", .is_several = true};

/* The near side knows a server by an address that nobody has, and goes by one that is not its own.
 */
static const struct course translated = {
	.listens = "0.0.0.0", .dials = "10.88.7.7", .to = "sqv0", .is_by_interface = true};

static int near_end(const struct course *course, const struct pair *pair)
{
	return course->is_back ? pair->server : pair->client;
}

static void write_address(const struct course *course, unsigned at, char out[INET6_ADDRSTRLEN])
{
	if (course->is_several)
		snprintf(out, INET6_ADDRSTRLEN, "%s%u", course->dials, FIRST_HOST + at % ADDRESSES);
	else
		snprintf(out, INET6_ADDRSTRLEN, "%s", course->dials);
}

static void set_up_listener(const struct netlab *lab, const struct course *course, int *out)
{
	const int namespace_fd = course->is_back || course->is_lo ? lab->near_fd : lab->far_fd;
	struct sockaddr_storage here;
	socklen_t size = netlab_socket_address(course->listens, PORT, &here);
	const int on = 1;

	*out = netlab_own_socket(namespace_fd, course->listens, SOCK_STREAM);
	setsockopt(*out, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	assert_int_equal(bind(*out, (void *)&here, size), 0);
	assert_int_equal(listen(*out, CONNECTIONS), 0);
}

static void dial_all(const struct netlab *lab, const struct course *course, int listener,
		     struct pair pairs[CONNECTIONS])
{
	char address[INET6_ADDRSTRLEN];
	const int on = 1;

	for (unsigned i = 0; i < CONNECTIONS; i++) {
		write_address(course, i, address);
		pairs[i].client =
			netlab_dial(course->is_back ? lab->far_fd : lab->near_fd, address, PORT);
		assert_true(pairs[i].client >= 0);
		/* another one may have its port, with another far side */
		setsockopt(pairs[i].client, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		pairs[i].own_size = sizeof(pairs[i].own);
		assert_int_equal(
			getsockname(pairs[i].client, (void *)&pairs[i].own, &pairs[i].own_size), 0);
		pairs[i].server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		assert_true(pairs[i].server >= 0);
	}
}

static bool is_carried(int from, int to)
{
	struct pollfd ready = {.fd = to, .events = POLLIN};
	char byte = 'x';

	return send(from, &byte, 1, MSG_NOSIGNAL) == 1 && poll(&ready, 1, 5000) == 1 &&
	       recv(to, &byte, 1, MSG_DONTWAIT) == 1;
}

static unsigned assert_survivors_carry(const struct course *course, struct pair pairs[CONNECTIONS])
{
	unsigned ended = 0;

	for (unsigned i = 0; i < CONNECTIONS; i++) {
		pairs[i].is_ended = netlab_told(near_end(course, &pairs[i])) != 0;
		ended += pairs[i].is_ended;
		if (!pairs[i].is_ended && (!is_carried(pairs[i].client, pairs[i].server) ||
					   !is_carried(pairs[i].server, pairs[i].client)))
			fail_msg("connection %u was not ended, but is met", i);
	}
	return ended;
}

/* Nonblocking, from the port and to the address of one that was ended. */
static int dial_again(const struct netlab *lab, const struct course *course, unsigned at,
		      struct pair *old)
{
	struct sockaddr_storage there;
	char address[INET6_ADDRSTRLEN];
	socklen_t size;
	const int on = 1;
	int fd;

	write_address(course, at, address);
	size = netlab_socket_address(address, PORT, &there);
	fd = netlab_own_socket(course->is_back ? lab->far_fd : lab->near_fd, address, SOCK_STREAM);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	assert_int_equal(bind(fd, (void *)&old->own, old->own_size), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(connect(fd, (void *)&there, size), -1);
	assert_int_equal(errno, EINPROGRESS);
	return fd;
}

static int outcome(int fd, int timeout_ms)
{
	struct pollfd ready = {.fd = fd, .events = POLLOUT};
	socklen_t size = sizeof(int);
	int error = 0;

	if (poll(&ready, 1, timeout_ms) == 0)
		return EINPROGRESS;
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size), 0);
	return error;
}

static void redial_ended(const struct netlab *lab, const struct course *course,
			 struct pair pairs[CONNECTIONS], int expected)
{
	for (unsigned i = 0; i < CONNECTIONS; i++)
		if (pairs[i].is_ended) {
			close(pairs[i].client);
			pairs[i].client = dial_again(lab, course, i, &pairs[i]);
		}
	pause_ms(LOST_MS);
	for (unsigned i = 0; i < CONNECTIONS; i++)
		if (pairs[i].is_ended)
			assert_int_equal(outcome(pairs[i].client, 0), expected);
}

static void hang_up_all(struct pair pairs[CONNECTIONS], int listener, int told)
{
	for (unsigned i = 0; i < CONNECTIONS; i++) {
		if (pairs[i].is_ended && told == EINPROGRESS) /* when it was dialled anew */
			assert_int_equal(outcome(pairs[i].client, HEALED_MS), 0);
		netlab_hang_up(pairs[i].client);
		netlab_hang_up(pairs[i].server);
	}
	close(listener);
}

struct expectation {
	const char *share, *of, *partition;
	bool is_apart; /* they are ended by one step, and packets lost by the next */
	int told;      /* to who dials anew */
	unsigned ended;
};

/* Behind `first`: the step that loses packets. */
static void start(struct netlab *lab, struct netlab_fault *fault, const struct course *course,
		  const struct expectation *expected, const struct netlab_fault *first)
{
	const bool ends = !first, cuts = first || !expected->is_apart;
	const char *settings[20] = {course->is_by_interface ? "interface" : "to",
				    course->to,
				    "share",
				    expected->share,
				    "share-of",
				    expected->of};
	unsigned count = 6;

	if (ends) {
		settings[count++] = "reset-connections";
		settings[count++] = "true";
	}
	if (cuts) {
		settings[count++] = "partition";
		settings[count++] = expected->partition;
		settings[count++] = "direction";
		settings[count++] = "both";
	}
	if (first)
		netlab_fault_start_step(lab, fault, first, 1, settings);
	else
		netlab_fault_start(lab, fault, "ccccc1", settings);
}

/* What the plan foresees, what was done and what is said of it agree. */
static void assert_ended(const struct course *course, struct netlab_fault *fault, unsigned ended,
			 unsigned expected)
{
	char words[80];
	struct evidence seen;

	/* between four and five standard deviations */
	if (ended < expected / 2 || ended > expected * 3 / 2)
		fail_msg("%u of %d were ended, not about %u", ended, CONNECTIONS, expected);
	snprintf(words, sizeof(words), "end TCP connections in scope, %u now", ended);
	if (!course->is_lo && !strstr(fault->plan, words)) /* there it sees both ends */
		fail_msg("not \"%s\" in:\n%s", words, fault->plan);
	assert_int_equal(network_fault.evidence(&fault->fault, &seen, NULL), 0);
	assert_true(seen.hits > 0);
	snprintf(words, sizeof(words), "%u connections ended", ended);
	assert_non_null(strstr(seen.detail, words));
}

static void check(struct netlab *lab, const struct course *course,
		  const struct expectation *expected)
{
	static struct pair pairs[CONNECTIONS];
	struct netlab_fault ending, cutting;
	int listener;
	unsigned ended;

	memset(pairs, 0, sizeof(pairs));
	if (!netlab_can_end_connections(lab))
		stage_skip("this kernel has no CONFIG_INET_DIAG_DESTROY");
	set_up_listener(lab, course, &listener);
	dial_all(lab, course, listener, pairs);
	start(lab, &ending, course, expected, NULL);
	if (expected->is_apart)
		start(lab, &cutting, course, expected, &ending);
	ended = assert_survivors_carry(course, pairs);
	assert_ended(course, &ending, ended, expected->ended);
	redial_ended(lab, course, pairs, expected->told);
	if (expected->is_apart) {
		cutting.journal = NULL; /* the first one's */
		netlab_fault_finish(&cutting, FAULT_END_NOW);
	}
	netlab_fault_finish(&ending, FAULT_END_NOW);
	hang_up_all(pairs, listener, expected->told);
}

static const struct expectation lost = {"30%", "flows", "drop", false, EINPROGRESS, 60};

static void test_of_flows(void **state)
{
	check(*state, &out4, &lost);
}

static void test_of_flows_ipv6(void **state)
{
	check(*state, &out6, &lost);
}

static void test_of_flows_of_a_mapped_socket(void **state)
{
	check(*state, &mapped, &lost);
}

static void test_of_flows_of_a_server(void **state)
{
	check(*state, &back4, &lost);
}

static void test_of_flows_of_a_server_ipv6(void **state)
{
	check(*state, &back6, &lost);
}

static void test_of_flows_of_a_server_that_is_mapped(void **state)
{
	check(*state, &back_mapped, &lost);
}

/* There what one end sends is drawn apart from what the other does: 51 % have one that is met. */
static void test_of_flows_on_lo(void **state)
{
	const struct expectation both = {"30%", "flows", "drop", false, EINPROGRESS, 102};

	check(*state, &lo4, &both);
}

static void test_by_a_step_before(void **state)
{
	const struct expectation apart = {"30%", "flows", "drop", true, EINPROGRESS, 60};

	check(*state, &out4, &apart);
}

static void test_with_partition_reset(void **state)
{
	const struct expectation refused = {"30%", "flows", "reset", false, ECONNREFUSED, 60};

	if (access("/dev/net/tun", R_OK | W_OK) < 0)
		stage_skip("no /dev/net/tun");
	check(*state, &out4, &refused);
}

/* By what the socket knows another share would be drawn: packets have neither of its addresses. */
static void test_of_flows_that_are_translated(void **state)
{
	static const char *const rules[] = {
		"add table ip theirs",
		"add chain ip theirs out { type nat hook output priority -100; }",
		"add rule ip theirs out ip daddr 10.88.7.7 dnat to 10.88.0.2",
		"add chain ip theirs post { type nat hook postrouting priority 100; }",
		"add rule ip theirs post oif sqv0 snat to 10.88.0.77"};
	struct netlab *lab = *state;

	netlab_run("ip -n %s address add 10.88.0.77/24 dev sqv0", lab->near);
	netlab_run("ip -n %s route add 10.88.7.7 dev sqv0", lab->near);
	for (unsigned i = 0; i < sizeof(rules) / sizeof(*rules); i++)
		netlab_run("ip netns exec %s nft %s", lab->near, rules[i]);
	check(lab, &translated, &lost);
}

static void add_hosts(const struct netlab *lab, bool is_six)
{
	for (unsigned i = 0; i < ADDRESSES; i++)
		netlab_run("ip -n %s address add %s%u/%u dev sqv1 %s", lab->far,
			   is_six ? "fd88::" : "10.88.0.", FIRST_HOST + i, is_six ? 64 : 24,
			   is_six ? "nodad" : "");
}

static void test_of_addresses(void **state)
{
	const struct expectation half = {"50%", "addresses", "drop", false, EINPROGRESS, 100};

	add_hosts(*state, false);
	check(*state, &several4, &half);
}

static void test_of_addresses_ipv6(void **state)
{
	const struct expectation half = {"50%", "addresses", "drop", false, EINPROGRESS, 100};

	add_hosts(*state, true);
	check(*state, &several6, &half);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BY_TABLE_AND_FILTERS(test_of_flows),
		BY_TABLE_AND_FILTERS(test_of_flows_ipv6),
		BY_TABLE_AND_FILTERS(test_of_flows_of_a_mapped_socket),
		BY_TABLE_AND_FILTERS(test_of_flows_of_a_server),
		BY_TABLE_AND_FILTERS(test_of_flows_of_a_server_ipv6),
		BY_TABLE_AND_FILTERS(test_of_flows_of_a_server_that_is_mapped),
		BY_TABLE_AND_FILTERS(test_of_flows_on_lo),
		BY_TABLE_AND_FILTERS(test_of_flows_that_are_translated),
		BY_TABLE_AND_FILTERS(test_by_a_step_before),
		BY_TABLE_AND_FILTERS(test_with_partition_reset),
		BY_TABLE_AND_FILTERS(test_of_addresses),
		BY_TABLE_AND_FILTERS(test_of_addresses_ipv6),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
