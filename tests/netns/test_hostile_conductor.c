/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A conductor under somebody else's control after the plan was approved: it floods the worker, does
 * not read its answers, or stops in the middle of it all. Faults must end in time all the same. The
 * real worker, real faults, in a network namespace of the test's own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faults/target.h"
#include "injector/base/clock.h"
#include "tests/support/hostile_peer.h"

#define STEPS 24
#define MANY  1100 /* more than FD_SETSIZE */

/* Plans and arms `count` steps that lose one percent of what goes to 127.0.0.9, and injects them.
 */
static void inject(const struct peer *peer, unsigned count, int64_t for_ns)
{
	struct reply reply;

	peer_say(peer, REQUEST_LIMITS, 0, "", "", 20 * NSEC_PER_SEC, 4);
	peer_say(peer, REQUEST_TARGET, 0, "t", "", TARGET_TRAFFIC, 0);
	peer_say(peer, REQUEST_TARGET_VALUE, 0, "to", "127.0.0.9:9", 0, 0);
	for (unsigned at = 0; at < count; at++) {
		peer_say(peer, REQUEST_STEP, at, "network", "", 0, for_ns);
		peer_say(peer, REQUEST_STEP_VALUE, at, "loss", "100%", 0, 0);
	}
	peer_say(peer, REQUEST_PLAN, 0, "", "", 0, 0);
	assert_true(peer_await(peer, REPLY_PLANNED, 5000, &reply));
	peer_say(peer, REQUEST_ARM, 0, "", "hostile", 0, 0);
	assert_true(peer_await(peer, REPLY_ARMED, 5000, &reply));
	for (unsigned at = 0; at < count; at++) {
		peer_say(peer, REQUEST_INJECT, at, "", "", 0, 0);
		assert_true(peer_await(peer, REPLY_INJECTED, 5000, &reply));
		peer_say(peer, REQUEST_PING, 0, "", "", 0, 0);
	}
}

static int64_t await_no_faults(int64_t since_ns)
{
	while (peer_faults_in_force() && clock_now_ns() - since_ns < 10 * NSEC_PER_SEC)
		usleep(1000);
	return clock_now_ns() - since_ns;
}

static pid_t flood(const struct peer *peer)
{
	const struct request ping = {.type = REQUEST_PING};
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		for (;;)
			if (send(peer->socket, &ping, sizeof(ping), MSG_NOSIGNAL) < 0)
				_exit(0);
	return pid;
}

static void test_a_flood_of_requests_does_not_prolong_a_fault(void **state)
{
	struct reply reply;
	struct peer peer;
	pid_t floods[2];
	int64_t begin_ns;
	bool has_ended;

	(void)state;
	peer_start(&peer);
	inject(&peer, 1, NSEC_PER_SEC / 2);
	begin_ns = clock_now_ns();
	floods[0] = flood(&peer);
	floods[1] = flood(&peer);
	has_ended = peer_await(&peer, REPLY_ENDED, 4000, &reply);
	for (unsigned i = 0; i < 2; i++) {
		kill(floods[i], SIGKILL);
		waitpid(floods[i], NULL, 0);
	}
	peer_expect_leaves(&peer);
	assert_true(has_ended);
	printf("# ended %lld ms after it began, due at 500 ms\n",
	       (long long)(reply.numbers[0] - begin_ns) / NSEC_PER_MSEC);
	assert_in_range(reply.numbers[0] - begin_ns, 0, 700 * NSEC_PER_MSEC);
}

/* Its socket full of answers that nobody reads, the worker has to end two dozen faults. */
static void test_answers_that_nobody_reads_do_not_delay_an_abort(void **state)
{
	struct peer peer;
	int64_t asked_ns, took_ns;

	(void)state;
	peer_start(&peer);
	inject(&peer, STEPS, 0);
	assert_int_equal(peer_faults_in_force(), STEPS);
	for (int i = 0; i < 15; i++) { /* evidence, twice a second for each step */
		usleep(200000);
		peer_say(&peer, REQUEST_PING, 0, "", "", 0, 0);
	}
	asked_ns = clock_now_ns();
	peer_say(&peer, REQUEST_STOP, 0, "", "enough", 0, 0);
	took_ns = await_no_faults(asked_ns);
	printf("# %d faults ended %lld ms after the stop\n", STEPS,
	       (long long)took_ns / NSEC_PER_MSEC);
	peer_expect_exit(&peer);
	close(peer.socket);
	assert_in_range(took_ns, 0,
			4 * NSEC_PER_SEC); /* 0.2 s on an idle machine; waiting: 24 * 0.2 */
}

static void name_and_wait(int alive)
{
	char byte;

	prctl(PR_SET_NAME, "squall-many");
	(void)!read(alive, &byte, 1); /* until the test is over, whatever way */
	_exit(0);
}

/* Not descendants of the test, which poses as the conductor: those are never hit. */
static void start_many(unsigned count, int alive[2])
{
	int status;
	pid_t pid;

	assert_int_equal(pipe2(alive, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(alive[1]);
		setsid();
		for (unsigned at = 0; at < count; at++) {
			pid = fork();
			if (pid < 0)
				_exit(1);
			if (pid == 0)
				name_and_wait(alive[0]);
		}
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(alive[0]);
}

/* Descriptors above 1023, which select(2) could not wait for. */
static void test_a_thousand_targets_beside_a_network_fault(void **state)
{
	struct reply reply;
	struct peer peer;
	int alive[2];

	(void)state;
	start_many(MANY, alive);
	peer_start(&peer);
	peer_say(&peer, REQUEST_LIMITS, 0, "", "", 20 * NSEC_PER_SEC, 2L * MANY);
	peer_say(&peer, REQUEST_TARGET, 0, "many", "", TARGET_PROCESS, 0);
	peer_say(&peer, REQUEST_TARGET_VALUE, 0, "name", "squall-many", 0, 0);
	peer_say(&peer, REQUEST_TARGET, 1, "t", "", TARGET_TRAFFIC, 0);
	peer_say(&peer, REQUEST_TARGET_VALUE, 1, "to", "127.0.0.9:9", 0, 0);
	peer_say(&peer, REQUEST_STEP, 0, "process", "", 0, 0);
	peer_say(&peer, REQUEST_STEP_VALUE, 0, "action", "pause", 0, 0);
	peer_say(&peer, REQUEST_STEP, 1, "network", "", 1, 0);
	peer_say(&peer, REQUEST_STEP_VALUE, 1, "loss", "100%", 0, 0);
	peer_say(&peer, REQUEST_PLAN, 0, "", "", 0, 0);
	assert_true(peer_await(&peer, REPLY_PLANNED, 20000, &reply));
	peer_say(&peer, REQUEST_ARM, 0, "", "many", 0, 0);
	assert_true(peer_await(&peer, REPLY_ARMED, 5000, &reply));
	peer_say(&peer, REQUEST_INJECT, 0, "", "", 0, 0);
	peer_say(&peer, REQUEST_INJECT, 1, "", "", 0, 0);
	assert_true(peer_await(&peer, REPLY_INJECTED, 5000, &reply));
	assert_true(peer_await(&peer, REPLY_INJECTED, 5000, &reply));
	assert_int_equal(peer_faults_in_force(), 1);
	peer_say(&peer, REQUEST_FINISH, 0, "", "", 0, 0);
	assert_true(peer_await(&peer, REPLY_FINISHED, 5000, &reply));
	close(alive[1]);
	peer_expect_exit(&peer);
	close(peer.socket);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_flood_of_requests_does_not_prolong_a_fault),
		cmocka_unit_test(test_answers_that_nobody_reads_do_not_delay_an_abort),
		cmocka_unit_test(test_a_thousand_targets_beside_a_network_fault),
	};

	return cmocka_run_group_tests(tests, peer_group_setup, peer_group_teardown);
}
