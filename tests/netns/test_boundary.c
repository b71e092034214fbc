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

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faults/target.h"
#include "injector/base/clock.h"
#include "injector/journal/journal.h"
#include "injector/run/requests.h"
#include "injector/run/worker.h"

struct peer {
	int socket;
	pid_t pid;
};

static void start(struct peer *peer)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	peer->pid = fork();
	assert_true(peer->pid >= 0);
	if (peer->pid == 0) {
		const struct worker_options options = {.socket = pair[1], .conductor = getppid()};

		close(pair[0]);
		_exit(worker_main(&options));
	}
	close(pair[1]);
	peer->socket = pair[0];
}

/* Closes the conversation; the worker must leave by itself within five seconds. */
static void expect_leaves(struct peer *peer)
{
	int64_t limit_ns = clock_now_ns() + 5 * NSEC_PER_SEC;
	char(*runs)[RUN_ID_SIZE] = NULL;
	unsigned count = 1;
	int status;

	close(peer->socket);
	while (waitpid(peer->pid, &status, WNOHANG) == 0) {
		if (clock_now_ns() > limit_ns) {
			kill(peer->pid, SIGKILL);
			waitpid(peer->pid, &status, 0);
			fail_msg("the worker did not leave");
		}
		usleep(1000);
	}
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(journal_list(&runs, &count, NULL), 0);
	assert_int_equal(count, 0);
	free(runs);
}

static void transmit(struct peer *peer, enum request_type type, unsigned index, const char *name,
		     const char *text, int64_t a, int64_t b)
{
	struct request request = {.type = type, .index = index, .numbers = {a, b}};

	snprintf(request.name, sizeof(request.name), "%s", name);
	snprintf(request.text, sizeof(request.text), "%s", text);
	(void)!send(peer->socket, &request, sizeof(request), MSG_NOSIGNAL);
}

/* The next reply of a type that decides something; plan lines and evidence are passed over. */
static enum reply_type next_reply(struct peer *peer, struct reply *reply)
{
	struct pollfd waiting = {.fd = peer->socket, .events = POLLIN};
	int fd, result;

	for (;;) {
		assert_int_equal(poll(&waiting, 1, 5000), 1);
		result = reply_receive(peer->socket, reply, &fd, NULL);
		if (fd >= 0)
			close(fd);
		assert_int_equal(result, 1);
		if (reply->type != REPLY_PLAN_LINE && reply->type != REPLY_EVIDENCE)
			return (enum reply_type)reply->type;
	}
}

static void expect_refused(struct peer *peer, const char *why)
{
	struct reply reply;

	assert_int_equal(next_reply(peer, &reply), REPLY_REFUSED);
	if (!strstr(reply.text, why))
		fail_msg("'%s' does not say '%s'", reply.text, why);
	expect_leaves(peer);
}

static void define_limits(struct peer *peer)
{
	transmit(peer, REQUEST_LIMITS, 0, "", "", 10 * NSEC_PER_SEC, 4);
}

static void define_target(struct peer *peer)
{
	define_limits(peer);
	transmit(peer, REQUEST_TARGET, 0, "", "", TARGET_TRAFFIC, 0);
	transmit(peer, REQUEST_TARGET_VALUE, 0, "to", "127.0.0.9:9", 0, 0);
}

static void test_requests_out_of_order_are_refused(void **state)
{
	static const enum request_type early[] = {REQUEST_ARM, REQUEST_INJECT, REQUEST_END,
						  REQUEST_STOP, REQUEST_FINISH};
	struct peer peer;

	(void)state;
	for (unsigned i = 0; i < sizeof(early) / sizeof(*early); i++) {
		start(&peer);
		transmit(&peer, early[i], 0, "", "", 0, 0);
		expect_refused(&peer, "not allowed at this point");
	}
}

static void test_unknown_requests_are_refused(void **state)
{
	struct peer peer;

	(void)state;
	start(&peer);
	transmit(&peer, (enum request_type)77, 0, "", "", 0, 0);
	expect_refused(&peer, "not known");
}

static void test_texts_without_an_end_are_refused(void **state)
{
	struct request request = {.type = REQUEST_TARGET};
	struct peer peer;

	(void)state;
	memset(request.name, 'x', sizeof(request.name));
	start(&peer);
	assert_true(send(peer.socket, &request, sizeof(request), MSG_NOSIGNAL) > 0);
	expect_refused(&peer, "malformed");
}

static void test_control_characters_are_refused(void **state)
{
	struct peer peer;

	(void)state;
	start(&peer);
	define_target(&peer);
	transmit(&peer, REQUEST_TARGET_VALUE, 0, "interface", "lo\"\n}; flush ruleset", 0, 0);
	expect_refused(&peer, "malformed");
}

static void test_values_are_parsed_again(void **state)
{
	struct peer peer;

	(void)state;
	start(&peer);
	define_target(&peer);
	transmit(&peer, REQUEST_TARGET_VALUE, 0, "namespace", "lo\" }; flush ruleset", 0, 0);
	expect_refused(&peer, "not a name");
	start(&peer);
	define_target(&peer);
	transmit(&peer, REQUEST_TARGET_VALUE, 0, "to", "10.0.0.1 10.0.0.0/8:443 10.0.0.1/24", 0, 0);
	expect_refused(&peer, "to: ");
	start(&peer);
	define_target(&peer);
	transmit(&peer, REQUEST_STEP, 0, "network", "", 0, NSEC_PER_SEC);
	transmit(&peer, REQUEST_STEP_VALUE, 0, "delay", "100000h", 0, 0);
	expect_refused(&peer, "out of range");
}

static void test_limits_hold(void **state)
{
	struct peer peer;

	(void)state;
	start(&peer);
	define_limits(&peer);
	define_limits(&peer);
	expect_refused(&peer, "twice");
	start(&peer);
	define_target(&peer);
	transmit(&peer, REQUEST_STEP, 0, "network", "", 0, 11 * NSEC_PER_SEC);
	expect_refused(&peer, "longer than the limits");
	start(&peer);
	define_limits(&peer);
	transmit(&peer, REQUEST_TARGET, 0, "", "", TARGET_TRAFFIC, 0);
	for (int i = 1; i <= 5; i++) {
		char address[32];

		snprintf(address, sizeof(address), "127.0.0.%d", i);
		transmit(&peer, REQUEST_TARGET_VALUE, 0, "to", address, 0, 0);
	}
	transmit(&peer, REQUEST_STEP, 0, "network", "", 0, NSEC_PER_SEC);
	transmit(&peer, REQUEST_STEP_VALUE, 0, "loss", "1%", 0, 0);
	transmit(&peer, REQUEST_PLAN, 0, "", "", 0, 0);
	expect_refused(&peer, "limit");
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
		start(&peer);
		define_target(&peer);
		transmit(&peer, REQUEST_STEP, 0, "network", "", 0, 5 * NSEC_PER_SEC);
		shape(&peer, REQUEST_STEP_PULSES, bad[i].every_ns, bad[i].active_ns, bad[i].count);
		expect_refused(&peer, i == 7 ? "more pulses" : "");
	}
	start(&peer);
	define_target(&peer);
	shape(&peer, REQUEST_STEP_PULSES, NSEC_PER_SEC, 1, 1);
	expect_refused(&peer, "not defined");
	start(&peer);
	define_target(&peer);
	transmit(&peer, REQUEST_STEP, 0, "network", "", 0, 5 * NSEC_PER_SEC);
	shape(&peer, REQUEST_STEP_PULSES, NSEC_PER_SEC, 1, 1);
	shape(&peer, REQUEST_STEP_PULSES, NSEC_PER_SEC, 1, 1);
	expect_refused(&peer, "twice");
}

static void test_memory_is_not_for_the_taking(void **state)
{
	char name[PARAM_TEXT_MAX + 1];
	struct peer peer;

	(void)state;
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	start(&peer);
	define_target(&peer);
	for (int i = 0; i < 6000; i++)
		transmit(&peer, REQUEST_TARGET_VALUE, 0, "interface", name, 0, 0);
	expect_refused(&peer, "more values");
}

static void test_a_step_needs_a_target_of_its_kind(void **state)
{
	struct peer peer;

	(void)state;
	start(&peer);
	define_target(&peer);
	transmit(&peer, REQUEST_STEP, 0, "process", "", 0, 0);
	expect_refused(&peer, "no target of its kind");
}

static void test_noise_is_survived(void **state)
{
	struct request request;
	unsigned char small[16] = {1};
	struct peer peer;

	(void)state;
	srandom(20170228);
	for (int round = 0; round < 40; round++) {
		start(&peer);
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
		expect_leaves(&peer);
	}
}

/* Journals of our own: other runs of this machine are none of ours. */
static int enter(void **state)
{
	static char root[] = "/run/squall-boundary-XXXXXX";

	(void)state;
	if (!mkdtemp(root))
		return -1;
	journal_set_root(root);
	return 0;
}

static int leave(void **state)
{
	(void)state;
	rmdir(journal_root()); /* gone already when the last run left */
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests_out_of_order_are_refused),
		cmocka_unit_test(test_unknown_requests_are_refused),
		cmocka_unit_test(test_texts_without_an_end_are_refused),
		cmocka_unit_test(test_control_characters_are_refused),
		cmocka_unit_test(test_values_are_parsed_again),
		cmocka_unit_test(test_limits_hold),
		cmocka_unit_test(test_pulses_hold_the_limits),
		cmocka_unit_test(test_memory_is_not_for_the_taking),
		cmocka_unit_test(test_a_step_needs_a_target_of_its_kind),
		cmocka_unit_test(test_noise_is_survived),
	};

	return cmocka_run_group_tests(tests, enter, leave);
}
