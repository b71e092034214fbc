/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A conductor under somebody else's control: whatever it sends, the worker does nothing beyond an
 * approved plan, and leaves in order with nothing behind. Runs the real worker against hand-made
 * requests.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>
#include <sys/socket.h>

#include "faults/target.h"
#include "injector/base/clock.h"
#include "tests/support/hostile_peer.h"

static void test_texts_without_an_end_are_refused(void **state)
{
	struct request request = {.type = REQUEST_TARGET};
	struct peer peer;

	(void)state;
	memset(request.name, 'x', sizeof(request.name));
	peer_start(&peer);
	assert_true(send(peer.socket, &request, sizeof(request), MSG_NOSIGNAL) > 0);
	peer_expect_refused(&peer, "malformed");
}

static void test_control_characters_are_refused(void **state)
{
	struct peer peer;

	(void)state;
	peer_start(&peer);
	peer_define_target(&peer);
	peer_say(&peer, REQUEST_TARGET_VALUE, 0, "interface", "lo\"\n}; flush ruleset", 0, 0);
	peer_expect_refused(&peer, "malformed");
}

static void test_values_are_parsed_again(void **state)
{
	struct peer peer;

	(void)state;
	peer_start(&peer);
	peer_define_target(&peer);
	peer_say(&peer, REQUEST_TARGET_VALUE, 0, "namespace", "lo\" }; flush ruleset", 0, 0);
	peer_expect_refused(&peer, "not a name");
	peer_start(&peer);
	peer_define_target(&peer);
	peer_say(&peer, REQUEST_TARGET_VALUE, 0, "to", "10.0.0.1 10.0.0.0/8:443 10.0.0.1/24", 0, 0);
	peer_expect_refused(&peer, "to: ");
	peer_start(&peer);
	peer_define_target(&peer);
	/* one value is one endpoint, however much it could stand for in a file */
	peer_say(&peer, REQUEST_TARGET_VALUE, 0, "to", "10.0.0.1-10.255.255.254", 0, 0);
	peer_expect_refused(&peer, "a value of 'to' stands for several");
	peer_start(&peer);
	peer_define_target(&peer);
	peer_say(&peer, REQUEST_TARGET_VALUE, 0, "local-address", "10.0.0.1 fd00::/8 10.0.0.1:80",
		 0, 0);
	peer_expect_refused(&peer, "local-address: '10.0.0.1:80' has a port");
	peer_start(&peer);
	peer_define_target(&peer);
	peer_say(&peer, REQUEST_TARGET_VALUE, 0, "except-local-address", "store.test", 0, 0);
	peer_expect_refused(&peer, "neither an address nor a network");
	peer_start(&peer);
	peer_define_target(&peer);
	peer_say(&peer, REQUEST_STEP, 0, "network", "", 0, NSEC_PER_SEC);
	peer_say(&peer, REQUEST_STEP_VALUE, 0, "delay", "100000h", 0, 0);
	peer_expect_refused(&peer, "out of range");
}

static void test_limits_hold(void **state)
{
	struct peer peer;

	(void)state;
	peer_start(&peer);
	peer_define_limits(&peer);
	peer_define_limits(&peer);
	peer_expect_refused(&peer, "twice");
	peer_start(&peer);
	peer_define_target(&peer);
	peer_say(&peer, REQUEST_STEP, 0, "network", "", 0, 11 * NSEC_PER_SEC);
	peer_expect_refused(&peer, "longer than the limits");
	peer_start(&peer);
	peer_define_limits(&peer);
	peer_say(&peer, REQUEST_TARGET, 0, "", "", TARGET_TRAFFIC, 0);
	for (int i = 1; i <= 5; i++) {
		char address[32];

		snprintf(address, sizeof(address), "127.0.0.%d", i);
		peer_say(&peer, REQUEST_TARGET_VALUE, 0, "to", address, 0, 0);
	}
	peer_say(&peer, REQUEST_STEP, 0, "network", "", 0, NSEC_PER_SEC);
	peer_say(&peer, REQUEST_STEP_VALUE, 0, "loss", "1%", 0, 0);
	peer_say(&peer, REQUEST_PLAN, 0, "", "", 0, 0);
	peer_expect_refused(&peer, "limit");
}

static void shape(struct peer *peer, enum request_type type, int64_t a, int64_t b, int64_t c)
{
	struct request request = {.type = type, .numbers = {a, b, c}};

	(void)!send(peer->socket, &request, sizeof(request), MSG_NOSIGNAL);
}

static void test_pulses_hold_the_limits(void **state)
{
	static const struct {
		int64_t every_ns, active_ns, count;
	} bad[] = {
		{0, 0, 1},
		{-1, -2, 1},
		{NSEC_PER_SEC, NSEC_PER_SEC, 1},
		{NSEC_PER_SEC, -1, 1},
		{NSEC_PER_SEC, 1, 0},
		{NSEC_PER_SEC, 1, 100}, /* beyond limits.duration */
		{11 * NSEC_PER_SEC, 1, 1},
		{NSEC_PER_MSEC, 1, 5000}, /* beyond the journal */
		{1, 0, INT64_MAX},
	};
	struct peer peer;

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		peer_start(&peer);
		peer_define_target(&peer);
		peer_say(&peer, REQUEST_STEP, 0, "network", "", 0, 5 * NSEC_PER_SEC);
		shape(&peer, REQUEST_STEP_PULSES, bad[i].every_ns, bad[i].active_ns, bad[i].count);
		peer_expect_refused(&peer, i == 7 ? "more pulses" : "");
	}
	peer_start(&peer);
	peer_define_target(&peer);
	shape(&peer, REQUEST_STEP_PULSES, NSEC_PER_SEC, 1, 1);
	peer_expect_refused(&peer, "not defined");
	peer_start(&peer);
	peer_define_target(&peer);
	peer_say(&peer, REQUEST_STEP, 0, "network", "", 0, 5 * NSEC_PER_SEC);
	shape(&peer, REQUEST_STEP_PULSES, NSEC_PER_SEC, 1, 1);
	shape(&peer, REQUEST_STEP_PULSES, NSEC_PER_SEC, 1, 1);
	peer_expect_refused(&peer, "twice");
}

static void test_memory_is_not_for_the_taking(void **state)
{
	char name[PARAM_TEXT_MAX + 1];
	struct peer peer;

	(void)state;
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	peer_start(&peer);
	peer_define_target(&peer);
	/* 12 MiB are taken, for a hundred thousand addresses */
	for (size_t sent = 0; sent < 13 << 20; sent += sizeof(name) - 1)
		peer_say(&peer, REQUEST_TARGET_VALUE, 0, "interface", name, 0, 0);
	peer_expect_refused(&peer, "more values");
}

static void test_a_step_needs_a_target_of_its_kind(void **state)
{
	struct peer peer;

	(void)state;
	peer_start(&peer);
	peer_define_target(&peer);
	peer_say(&peer, REQUEST_STEP, 0, "process", "", 0, 0);
	peer_expect_refused(&peer, "no target of its kind");
}

static void test_noise_is_survived(void **state)
{
	struct request request;
	unsigned char small[16] = {1};
	struct peer peer;

	(void)state;
	srandom(20170228);
	for (int round = 0; round < 40; round++) {
		peer_start(&peer);
		for (int i = 0; i < 20; i++) {
			for (size_t at = 0; at < sizeof(request); at++)
				((unsigned char *)&request)[at] = (unsigned char)random();
			request.type = (uint32_t)random() % (REQUEST_COUNT + 1);
			request.index %= 3;
			if (random() % 2)
				memset(request.name, 0,
				       sizeof(request.name) + sizeof(request.text));
			(void)!send(peer.socket, &request, sizeof(request),
				    MSG_NOSIGNAL | MSG_DONTWAIT);
		}
		(void)!send(peer.socket, small, sizeof(small), MSG_NOSIGNAL | MSG_DONTWAIT);
		peer_expect_leaves(&peer);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts_without_an_end_are_refused),
		cmocka_unit_test(test_control_characters_are_refused),
		cmocka_unit_test(test_values_are_parsed_again),
		cmocka_unit_test(test_limits_hold),
		cmocka_unit_test(test_pulses_hold_the_limits),
		cmocka_unit_test(test_memory_is_not_for_the_taking),
		cmocka_unit_test(test_a_step_needs_a_target_of_its_kind),
		cmocka_unit_test(test_noise_is_survived),
	};

	return cmocka_run_group_tests(tests, peer_group_setup, peer_group_teardown);
}
