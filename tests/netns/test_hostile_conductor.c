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

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "faults/target.h"
#include "injector/base/clock.h"
#include "injector/journal/journal.h"
#include "injector/kernel/netlink.h"
#include "injector/kernel/nft.h"
#include "injector/run/requests.h"
#include "injector/run/worker.h"

#define STEPS 24
#define MANY  1100 /* more than FD_SETSIZE */

struct peer {
	int socket;
	pid_t pid;
};

static void pause_ms(long ms)
{
	const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * NSEC_PER_MSEC};

	nanosleep(&pause, NULL);
}

static void start(struct peer *peer)
{
	pid_t self = getpid();
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	peer->pid = fork();
	assert_true(peer->pid >= 0);
	if (peer->pid == 0) {
		const struct worker_options options = {.socket = pair[1], .conductor = self};

		close(pair[0]);
		_exit(worker_main(&options));
	}
	close(pair[1]);
	peer->socket = pair[0];
}

static void transmit(const struct peer *peer, enum request_type type, unsigned index,
		     const char *name, const char *text, int64_t a, int64_t b)
{
	struct request request = {.type = type, .index = index, .numbers = {a, b}};

	snprintf(request.name, sizeof(request.name), "%s", name);
	snprintf(request.text, sizeof(request.text), "%s", text);
	(void)!send(peer->socket, &request, sizeof(request), MSG_NOSIGNAL);
}

/* Reads until a reply of that type; false when the worker is gone or nothing comes for `ms`. */
static bool await(const struct peer *peer, enum reply_type type, int ms, struct reply *out)
{
	struct pollfd waiting = {.fd = peer->socket, .events = POLLIN};
	int fd;

	while (poll(&waiting, 1, ms) == 1) {
		if (reply_receive(peer->socket, out, &fd, NULL) != 1)
			return false;
		if (fd >= 0)
			close(fd);
		if (out->type == type)
			return true;
		if (out->type == REPLY_REFUSED || out->type == REPLY_INJECT_FAILED)
			fail_msg("%s", out->text);
	}
	return false;
}

/* Plans and arms `count` steps that lose one percent of what goes to 127.0.0.9, and injects them.
 */
static void inject(const struct peer *peer, unsigned count, int64_t for_ns)
{
	struct reply reply;

	transmit(peer, REQUEST_LIMITS, 0, "", "", 20 * NSEC_PER_SEC, 4);
	transmit(peer, REQUEST_TARGET, 0, "t", "", TARGET_TRAFFIC, 0);
	transmit(peer, REQUEST_TARGET_VALUE, 0, "to", "127.0.0.9:9", 0, 0);
	for (unsigned at = 0; at < count; at++) {
		transmit(peer, REQUEST_STEP, at, "network", "", 0, for_ns);
		transmit(peer, REQUEST_STEP_VALUE, at, "loss", "1%", 0, 0);
	}
	transmit(peer, REQUEST_PLAN, 0, "", "", 0, 0);
	assert_true(await(peer, REPLY_PLANNED, 5000, &reply));
	transmit(peer, REQUEST_ARM, 0, "", "hostile", 0, 0);
	assert_true(await(peer, REPLY_ARMED, 5000, &reply));
	for (unsigned at = 0; at < count; at++) {
		transmit(peer, REQUEST_INJECT, at, "", "", 0, 0);
		assert_true(await(peer, REPLY_INJECTED, 5000, &reply));
		transmit(peer, REQUEST_PING, 0, "", "", 0, 0);
	}
}

static void count_hook(void *context, const struct nft_hook *hook)
{
	*(unsigned *)context += strncmp(hook->table, "squall_", 7) == 0;
}

/* As the kernel sees it: whatever anybody says or does not say. */
static unsigned faults_in_force(void)
{
	struct netlink *netlink;
	unsigned count = 0;

	assert_int_equal(netlink_open_netfilter(-1, &netlink, NULL), 0);
	while (nft_hooks(netlink, count_hook, &count, NULL) == -EINTR)
		count = 0;
	netlink_close(netlink);
	return count;
}

static int64_t await_no_faults(int64_t since_ns)
{
	while (faults_in_force() && clock_now_ns() - since_ns < 10 * NSEC_PER_SEC)
		pause_ms(1);
	return clock_now_ns() - since_ns;
}

/* The worker itself must have left in order: killed by its guardian is not. */
static void expect_leaves(const struct peer *peer)
{
	int64_t limit_ns = clock_now_ns() + 20 * NSEC_PER_SEC;
	char(*runs)[RUN_ID_SIZE] = NULL;
	unsigned count = 1;
	int status;

	while (waitpid(peer->pid, &status, WNOHANG) == 0) {
		if (clock_now_ns() > limit_ns) {
			kill(peer->pid, SIGKILL);
			waitpid(peer->pid, &status, 0);
			fail_msg("the worker did not leave");
		}
		pause_ms(1);
	}
	if (WIFSIGNALED(status))
		fail_msg("the worker was killed by signal %d", WTERMSIG(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(journal_list(&runs, &count, NULL), 0);
	assert_int_equal(count, 0);
	free(runs);
	assert_int_equal(faults_in_force(), 0);
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
	start(&peer);
	inject(&peer, 1, NSEC_PER_SEC / 2);
	begin_ns = clock_now_ns();
	floods[0] = flood(&peer);
	floods[1] = flood(&peer);
	has_ended = await(&peer, REPLY_ENDED, 4000, &reply);
	for (unsigned i = 0; i < 2; i++) {
		kill(floods[i], SIGKILL);
		waitpid(floods[i], NULL, 0);
	}
	close(peer.socket);
	expect_leaves(&peer);
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
	start(&peer);
	inject(&peer, STEPS, 0);
	assert_int_equal(faults_in_force(), STEPS);
	for (int i = 0; i < 15; i++) { /* evidence, twice a second for each step */
		pause_ms(200);
		transmit(&peer, REQUEST_PING, 0, "", "", 0, 0);
	}
	asked_ns = clock_now_ns();
	transmit(&peer, REQUEST_STOP, 0, "", "enough", 0, 0);
	took_ns = await_no_faults(asked_ns);
	printf("# %d faults ended %lld ms after the stop\n", STEPS,
	       (long long)took_ns / NSEC_PER_MSEC);
	expect_leaves(&peer);
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
	start(&peer);
	transmit(&peer, REQUEST_LIMITS, 0, "", "", 20 * NSEC_PER_SEC, 2L * MANY);
	transmit(&peer, REQUEST_TARGET, 0, "many", "", TARGET_PROCESS, 0);
	transmit(&peer, REQUEST_TARGET_VALUE, 0, "name", "squall-many", 0, 0);
	transmit(&peer, REQUEST_TARGET, 1, "t", "", TARGET_TRAFFIC, 0);
	transmit(&peer, REQUEST_TARGET_VALUE, 1, "to", "127.0.0.9:9", 0, 0);
	transmit(&peer, REQUEST_STEP, 0, "process", "", 0, 0);
	transmit(&peer, REQUEST_STEP_VALUE, 0, "action", "pause", 0, 0);
	transmit(&peer, REQUEST_STEP, 1, "network", "", 1, 0);
	transmit(&peer, REQUEST_STEP_VALUE, 1, "loss", "1%", 0, 0);
	transmit(&peer, REQUEST_PLAN, 0, "", "", 0, 0);
	assert_true(await(&peer, REPLY_PLANNED, 20000, &reply));
	transmit(&peer, REQUEST_ARM, 0, "", "many", 0, 0);
	assert_true(await(&peer, REPLY_ARMED, 5000, &reply));
	transmit(&peer, REQUEST_INJECT, 0, "", "", 0, 0);
	transmit(&peer, REQUEST_INJECT, 1, "", "", 0, 0);
	assert_true(await(&peer, REPLY_INJECTED, 5000, &reply));
	assert_true(await(&peer, REPLY_INJECTED, 5000, &reply));
	assert_int_equal(faults_in_force(), 1);
	transmit(&peer, REQUEST_FINISH, 0, "", "", 0, 0);
	assert_true(await(&peer, REPLY_FINISHED, 5000, &reply));
	close(alive[1]);
	expect_leaves(&peer);
	close(peer.socket);
}

/* A network and journals of our own: other tests may run at the same time. */
static int enter(void **state)
{
	static char root[] = "/run/squall-hostile-XXXXXX";

	(void)state;
	if (unshare(CLONE_NEWNET) < 0 || !mkdtemp(root))
		return -1;
	journal_set_root(root);
	return system("ip link set lo up");
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
		cmocka_unit_test(test_a_flood_of_requests_does_not_prolong_a_fault),
		cmocka_unit_test(test_answers_that_nobody_reads_do_not_delay_an_abort),
		cmocka_unit_test(test_a_thousand_targets_beside_a_network_fault),
	};

	return cmocka_run_group_tests(tests, enter, leave);
}
