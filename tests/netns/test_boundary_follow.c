/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A conductor under somebody else's control, in a run whose plan says `follow: true`: new addresses
 * are single ones, as many as the limits allow, of names and with ports of the plan, and not
 * without end; and what was left out stays left out. The real worker, and datagrams on lo.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "faults/target.h"
#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "tests/support/hostile_peer.h"

#define PORT	9
#define HEAR_MS 5000
#define SILENCE 300 /* ms */

static bool arrives(const char *address, uint16_t port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
	cleanup_fd int listener = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	cleanup_fd int sender = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct pollfd waiting = {.fd = listener, .events = POLLIN};

	assert_int_equal(inet_pton(AF_INET, address, &to.sin_addr), 1);
	assert_int_equal(bind(listener, (struct sockaddr *)&to, sizeof(to)), 0);
	(void)!sendto(sender, "x", 1, 0, (struct sockaddr *)&to, sizeof(to));
	return poll(&waiting, 1, SILENCE) == 1;
}

static void tell(const struct peer *peer, int64_t host, const char *addresses)
{
	peer_say(peer, REQUEST_ADDRESSES, 0, "", addresses, host, 1);
}

static void define(struct peer *peer, const char *to, const char *except)
{
	peer_start(peer);
	peer_define_limits(peer);
	peer_say(peer, REQUEST_TARGET, 0, "", "", TARGET_TRAFFIC, 0);
	peer_say(peer, REQUEST_TARGET_VALUE, 0, "interface", "lo", 0, 0);
	peer_say(peer, REQUEST_TARGET_VALUE, 0, "follow", "true", 0, 0);
	if (except) {
		peer_say(peer, REQUEST_TARGET_VALUE, 0, "to", to, 0, 0);
		peer_say(peer, REQUEST_TARGET_HOST, 0, "except", "spare.test", 0, 0);
		tell(peer, 0, except);
	} else {
		peer_say(peer, REQUEST_TARGET_HOST, 0, "to", "store.test:9", 0, 0);
		tell(peer, 0, to);
	}
	peer_say(peer, REQUEST_STEP, 0, "network", "", 0, 0);
	peer_say(peer, REQUEST_STEP_VALUE, 0, "loss", "100%", 0, 0);
}

static void start(struct peer *peer, const char *to, const char *except)
{
	define(peer, to, except);
	peer_inject(peer);
}

/* 1: they are in force; 0: the old ones are. */
static void expect_followed(struct peer *peer, bool is_changed, const char *words)
{
	struct reply reply;

	assert_true(peer_await(peer, REPLY_FOLLOWED, HEAR_MS, &reply));
	assert_int_equal(reply.numbers[0], is_changed);
	if (!strstr(reply.text, words))
		fail_msg("'%s' does not say '%s'", reply.text, words);
}

static void test_the_ports_are_those_of_the_plan(void **state)
{
	struct peer peer;

	(void)state;
	start(&peer, "127.0.0.9", NULL);
	assert_false(arrives("127.0.0.9", PORT));
	tell(&peer, 0, "127.0.0.8 127.0.0.7");
	expect_followed(&peer, true, "127.0.0.7, 127.0.0.8 (was 127.0.0.9)");
	assert_false(arrives("127.0.0.8", PORT));
	assert_false(arrives("127.0.0.7", PORT));
	assert_true(arrives("127.0.0.9", PORT));
	assert_true(arrives("127.0.0.8", PORT + 1));
	peer_expect_leaves(&peer);
}

static void test_only_single_addresses_are_taken(void **state)
{
	static const char *const bad[] = {
		"127.0.0.0/8", "0.0.0.0/0",    "*",	      "*:9",	      "127.0.0.8:10",
		"[::1]:9",     "127.0.0.8-10", "store.test",  "::/0",	      "",
		"   ",	       "127.0.0.8 *",  "127.0.0.8,9", "fd88::/64 ::1"};
	struct peer peer;

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		start(&peer, "127.0.0.9", NULL);
		tell(&peer, 0, bad[i]);
		peer_expect_refused(&peer, "");
		define(&peer, bad[i], NULL);
		peer_say(&peer, REQUEST_PLAN, 0, "", "", 0, 0);
		peer_expect_refused(&peer, "");
	}
}

static void test_only_names_of_the_plan_are_followed(void **state)
{
	static const int64_t hosts[] = {1, -1, 63, 1LL << 32, INT64_MIN};
	struct peer peer;

	(void)state;
	for (unsigned i = 0; i < sizeof(hosts) / sizeof(*hosts); i++) {
		start(&peer, "127.0.0.9", NULL);
		tell(&peer, hosts[i], "127.0.0.8");
		peer_expect_refused(&peer, "no such host");
	}
	/* a target that says nothing of following */
	peer_start(&peer);
	peer_define_target(&peer);
	peer_say(&peer, REQUEST_TARGET_HOST, 0, "to", "store.test:9", 0, 0);
	peer_expect_refused(&peer, "not one that is followed");
	/* and one that says it, but has no name, and its interface has one */
	peer_start(&peer);
	peer_define_loss(&peer, 0);
	peer_say(&peer, REQUEST_TARGET_VALUE, 0, "interface", "lo", 0, 0);
	peer_say(&peer, REQUEST_TARGET_VALUE, 0, "follow", "true", 0, 0);
	peer_say(&peer, REQUEST_PLAN, 0, "", "", 0, 0);
	peer_expect_refused(&peer, "no host name");
	/* without addresses it would select everything */
	peer_start(&peer);
	peer_define_limits(&peer);
	peer_say(&peer, REQUEST_TARGET, 0, "", "", TARGET_TRAFFIC, 0);
	peer_say(&peer, REQUEST_TARGET_VALUE, 0, "follow", "true", 0, 0);
	peer_say(&peer, REQUEST_TARGET_HOST, 0, "to", "store.test:9", 0, 0);
	peer_say(&peer, REQUEST_STEP, 0, "network", "", 0, 0);
	peer_say(&peer, REQUEST_STEP_VALUE, 0, "loss", "100%", 0, 0);
	peer_say(&peer, REQUEST_PLAN, 0, "", "", 0, 0);
	peer_expect_refused(&peer, "no address");
}

static void test_the_limits_hold_for_new_addresses(void **state)
{
	struct peer peer;

	(void)state;
	start(&peer, "127.0.0.9", NULL);
	tell(&peer, 0, "127.0.0.1 127.0.0.2 127.0.0.3 127.0.0.4 127.0.0.5");
	expect_followed(&peer, false, "limits.targets");
	assert_true(arrives("127.0.0.5", PORT));
	assert_false(arrives("127.0.0.9", PORT));
	/* the address that is left out of every fault */
	tell(&peer, 0, "127.0.0.8 169.254.169.254");
	expect_followed(&peer, false, "metadata");
	assert_true(arrives("127.0.0.8", PORT));
	assert_false(arrives("127.0.0.9", PORT));
	/* more than a name can have */
	for (unsigned i = 0; i < 20; i++)
		peer_say(&peer, REQUEST_ADDRESSES, 0, "",
			 "127.0.0.1 127.0.0.2 127.0.0.3 127.0.0.4 127.0.0.5 127.0.0.6 127.0.0.7 "
			 "127.0.1.1 127.0.1.2 127.0.1.3 127.0.1.4 127.0.1.5 127.0.1.6 127.0.1.7",
			 0, 0);
	peer_expect_refused(&peer, "more than");
}

static void test_what_is_left_out_stays_left_out(void **state)
{
	struct peer peer;

	(void)state;
	start(&peer, "127.0.0.0/24:9", "127.0.0.7");
	assert_true(arrives("127.0.0.7", PORT));
	tell(&peer, 0, "127.0.0.6");
	expect_followed(&peer, true, "127.0.0.6, 127.0.0.7");
	assert_true(arrives("127.0.0.6", PORT));
	assert_true(arrives("127.0.0.7", PORT));
	assert_false(arrives("127.0.0.8", PORT));
	peer_expect_leaves(&peer);
}

static void test_addresses_do_not_come_without_end(void **state)
{
	struct peer peer;

	(void)state;
	start(&peer, "127.0.0.9", NULL);
	for (unsigned i = 0; i < 100; i++)
		tell(&peer, 0, i % 2 ? "127.0.0.9" : "127.0.0.8");
	peer_expect_refused(&peer, "too often");
}

/* The end is the worker's own, whatever is told it. */
static void test_following_prolongs_nothing(void **state)
{
	struct reply reply;
	struct peer peer;

	(void)state;
	define(&peer, "127.0.0.9", NULL);
	peer_inject(&peer);
	peer_say(&peer, REQUEST_END, 0, "", "", 0, 0);
	tell(&peer, 0, "127.0.0.8");
	assert_true(peer_await(&peer, REPLY_RESTORED, HEAR_MS, &reply));
	assert_int_equal(peer_faults_in_force(), 0);
	assert_true(arrives("127.0.0.8", PORT));
	peer_say(&peer, REQUEST_STOP, 0, "", "enough", 0, 0);
	tell(&peer, 0, "127.0.0.7");
	peer_expect_leaves(&peer);
}

/* Whatever the conductor has let pass. */
static void test_the_worker_asks_about_flags_and_streams_itself(void **state)
{
	struct peer peer;

	(void)state;
	peer_start(&peer);
	peer_define_loss(&peer, 0);
	peer_say(&peer, REQUEST_TARGET_VALUE, 0, "tcp-flags", "fin", 0, 0);
	peer_say(&peer, REQUEST_TARGET_VALUE, 0, "protocol", "udp", 0, 0);
	peer_say(&peer, REQUEST_PLAN, 0, "", "", 0, 0);
	peer_expect_refused(&peer, "protocol names udp");
	peer_start(&peer);
	peer_define_loss(&peer, 0);
	peer_say(&peer, REQUEST_STEP_VALUE, 0, "after-bytes", "1MB", 0, 0);
	peer_say(&peer, REQUEST_STEP_VALUE, 0, "reset-connections", "true", 0, 0);
	peer_say(&peer, REQUEST_PLAN, 0, "", "", 0, 0);
	peer_expect_refused(&peer, "give one, or partition: reset with after-bytes");
	peer_start(&peer);
	peer_define_limits(&peer);
	peer_say(&peer, REQUEST_TARGET, 0, "", "", TARGET_TRAFFIC, 0);
	peer_say(&peer, REQUEST_TARGET_VALUE, 0, "to", "127.0.0.9", 0, 0);
	peer_say(&peer, REQUEST_STEP, 0, "network", "", 0, 0);
	peer_say(&peer, REQUEST_STEP_VALUE, 0, "partition", "reset", 0, 0);
	peer_say(&peer, REQUEST_STEP_VALUE, 0, "segment", "100B", 0, 0);
	peer_say(&peer, REQUEST_PLAN, 0, "", "", 0, 0);
	peer_expect_refused(&peer, "segment does not go with it");
	peer_start(&peer);
	peer_define_loss(&peer, 0);
	peer_say(&peer, REQUEST_STEP_VALUE, 0, "segment", "64KiB", 0, 0);
	peer_expect_refused(&peer, "segment: '64KiB' is out of range");
	peer_start(&peer);
	peer_define_limits(&peer);
	peer_say(&peer, REQUEST_TARGET, 0, "", "", TARGET_TRAFFIC, 0);
	peer_say(&peer, REQUEST_TARGET_VALUE, 0, "to", "127.0.0.9", 0, 0);
	peer_say(&peer, REQUEST_TARGET_VALUE, 0, "tcp-flags", "fin", 0, 0);
	peer_say(&peer, REQUEST_STEP, 0, "dns", "", 0, 0);
	peer_say(&peer, REQUEST_STEP_VALUE, 0, "name", "x", 0, 0);
	peer_say(&peer, REQUEST_STEP_VALUE, 0, "answer", "drop", 0, 0);
	peer_say(&peer, REQUEST_PLAN, 0, "", "", 0, 0);
	peer_expect_refused(&peer, "which 'dns' does not see");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_ports_are_those_of_the_plan),
		cmocka_unit_test(test_only_single_addresses_are_taken),
		cmocka_unit_test(test_only_names_of_the_plan_are_followed),
		cmocka_unit_test(test_the_worker_asks_about_flags_and_streams_itself),
		cmocka_unit_test(test_the_limits_hold_for_new_addresses),
		cmocka_unit_test(test_what_is_left_out_stays_left_out),
		cmocka_unit_test(test_addresses_do_not_come_without_end),
		cmocka_unit_test(test_following_prolongs_nothing),
	};

	return cmocka_run_group_tests(tests, peer_group_setup, peer_group_teardown);
}
