/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The real worker with a fault made for this test, whose undo is slow: when a run of several faults
 * is stopped, the last effect must have ended before the first undo begins.
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
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "faults/fault.h"
#include "injector/base/clock.h"
#include "injector/journal/journal.h"
#include "injector/run/requests.h"
#include "injector/restore/guardian.h"
#include "injector/run/worker.h"

#define STEPS	5
#define SLOW_MS 150
#define STUCK	3 /* the step whose end() fails: its undo ends it, and comes before the others */

/* Seen by the test and the worker. */
static struct seen {
	int64_t ended_ns[STEPS], undone_ns[STEPS];
	struct rlimit descriptors, size;
	pid_t broken_process; /* in which undo() fails */
} * seen;

static const struct param slow_params[] = {
	{.name = "target", .type = PARAM_TARGET, .doc = "the traffic"}, {.name = NULL}};

static int slow_plan(struct fault *fault, struct plan *plan, struct error *err)
{
	(void)fault, (void)plan, (void)err;
	return 0;
}

static int slow_inject(struct fault *fault, struct error *err)
{
	int result = journal_undo(fault->env->journal, "slow", fault->step, 1, &fault->step,
				  sizeof(fault->step), err);

	getrlimit(RLIMIT_NOFILE, &seen->descriptors);
	getrlimit(RLIMIT_FSIZE, &seen->size);
	return result < 0 ? result : 0;
}

static int slow_end(struct fault *fault, enum fault_end how, int64_t *out_again_ns,
		    struct error *err)
{
	(void)how;
	*out_again_ns = 0;
	if (fault->step == STUCK)
		return error_set(err, EIO, "stuck");
	fault->effect_ended_ns = seen->ended_ns[fault->step] = clock_now_ns();
	return 0;
}

static int slow_undo(const struct journal_record *record, struct error *err)
{
	const struct timespec pause = {.tv_nsec = SLOW_MS * NSEC_PER_MSEC};
	unsigned step;

	memcpy(&step, record->payload, sizeof(step));
	seen->undone_ns[step] = clock_now_ns();
	if (seen->broken_process == getpid())
		return error_set(err, EIO, "this process cannot");
	nanosleep(&pause, NULL);
	return 0;
}

static const struct fault_ops slow_fault = {
	.name = "slow",
	.summary = "slow to undo",
	.params = slow_params,
	.target_kind = TARGET_TRAFFIC,
	.plan = slow_plan,
	.inject = slow_inject,
	.end = slow_end,
	.undo = slow_undo,
};

const struct fault_ops *const *fault_all(void)
{
	static const struct fault_ops *const all[] = {&slow_fault, NULL};

	return all;
}

const struct fault_ops *fault_find(const char *name)
{
	return strcmp(name, "slow") == 0 ? &slow_fault : NULL;
}

struct peer {
	int socket;
	pid_t pid, guardian;
};

/* `prepare` runs in the worker's process first: what it inherits from its caller. */
static void start(struct peer *peer, void (*prepare)(void))
{
	struct error err = ERROR_INIT;
	pid_t self = getpid();
	int pair[2], ends[2];

	memset(seen, 0, sizeof(*seen));
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(guardian_sockets(ends, &err), 0);
	peer->pid = fork();
	assert_true(peer->pid >= 0);
	if (peer->pid == 0) {
		const struct worker_options options = {
			.socket = pair[1], .guardian_socket = ends[0], .conductor = self};

		close(pair[0]);
		if (prepare)
			prepare();
		_exit(worker_main(&options));
	}
	close(ends[0]);
	assert_int_equal(guardian_fork(peer->pid, ends[1], &peer->guardian, &err), 0);
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

static void await(const struct peer *peer, enum reply_type type)
{
	struct pollfd waiting = {.fd = peer->socket, .events = POLLIN};
	struct reply reply;
	int fd;

	do {
		assert_int_equal(poll(&waiting, 1, 5000), 1);
		assert_int_equal(reply_receive(peer->socket, &reply, &fd, NULL), 1);
		if (fd >= 0)
			close(fd);
		if (reply.type == REPLY_REFUSED)
			fail_msg("%s", reply.text);
	} while (reply.type != type);
}

static void inject(const struct peer *peer)
{
	transmit(peer, REQUEST_LIMITS, 0, "", "", 20 * NSEC_PER_SEC, 4);
	transmit(peer, REQUEST_TARGET, 0, "t", "", TARGET_TRAFFIC, 0);
	transmit(peer, REQUEST_TARGET_VALUE, 0, "to", "127.0.0.1:9", 0, 0);
	for (unsigned at = 0; at < STEPS; at++)
		transmit(peer, REQUEST_STEP, at, "slow", "", 0, 0);
	transmit(peer, REQUEST_PLAN, 0, "", "", 0, 0);
	await(peer, REPLY_PLANNED);
	transmit(peer, REQUEST_ARM, 0, "", "order", 0, 0);
	await(peer, REPLY_ARMED);
	for (unsigned at = 0; at < STEPS; at++) {
		transmit(peer, REQUEST_INJECT, at, "", "", 0, 0);
		await(peer, REPLY_INJECTED);
	}
}

static void expect_leaves(const struct peer *peer)
{
	int status;

	await(peer, REPLY_FINISHED);
	close(peer->socket);
	assert_int_equal(waitpid(peer->pid, &status, 0), peer->pid);
	waitpid(peer->guardian, NULL, 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_all_effects_end_before_the_first_undo(void **state)
{
	struct peer peer;
	int64_t last_end_ns = 0;

	(void)state;
	start(&peer, NULL);
	inject(&peer);
	transmit(&peer, REQUEST_STOP, 0, "", "enough", 0, 0);
	expect_leaves(&peer);
	for (unsigned at = 0; at < STEPS; at++)
		if (seen->ended_ns[at] > last_end_ns)
			last_end_ns = seen->ended_ns[at];
	for (unsigned at = 0; at < STEPS; at++) {
		assert_true(at == STUCK || seen->ended_ns[at] > 0);
		assert_true(seen->undone_ns[at] > last_end_ns);
		assert_true(at == STUCK || seen->undone_ns[at] > seen->undone_ns[STUCK]);
	}
}

/* What the worker cannot undo, for reasons of its own, the guardian can. */
static void test_the_guardian_tries_what_the_worker_could_not(void **state)
{
	int64_t limit_ns = clock_now_ns() + 5 * NSEC_PER_SEC;
	const struct timespec pause = {.tv_nsec = NSEC_PER_MSEC};
	char(*runs)[RUN_ID_SIZE] = NULL;
	unsigned count = 0;
	struct peer peer;
	int status;

	(void)state;
	start(&peer, NULL);
	inject(&peer);
	seen->broken_process = peer.pid;
	transmit(&peer, REQUEST_STOP, 0, "", "enough", 0, 0);
	await(&peer, REPLY_LEFT);
	await(&peer, REPLY_FINISHED);
	close(peer.socket);
	assert_int_equal(waitpid(peer.pid, &status, 0), peer.pid);
	waitpid(peer.guardian, NULL, 0);
	assert_int_equal(WEXITSTATUS(status), 6);
	do {
		free(runs);
		nanosleep(&pause, NULL);
		assert_int_equal(journal_list(&runs, &count, NULL), 0);
	} while (count && clock_now_ns() < limit_ns);
	free(runs);
	assert_int_equal(count, 0);
}

static void limit_everything(void)
{
	const struct rlimit descriptors = {20, 4096}, size = {65536, RLIM_INFINITY};

	setrlimit(RLIMIT_NOFILE, &descriptors);
	setrlimit(RLIMIT_FSIZE, &size);
	signal(SIGCHLD, SIG_IGN);
}

static void test_limits_of_the_caller_are_not_the_workers(void **state)
{
	struct peer peer;

	(void)state;
	start(&peer, limit_everything);
	inject(&peer);
	transmit(&peer, REQUEST_FINISH, 0, "", "", 0, 0);
	expect_leaves(&peer);
	assert_true(seen->descriptors.rlim_cur >= 4096);
	assert_true(seen->size.rlim_cur == RLIM_INFINITY);
}

static int inherited_write_end;

static void open_more(void)
{
	/* as of a shell: without O_CLOEXEC, in the place of standard error and elsewhere */
	dup2(inherited_write_end, STDERR_FILENO);
	dup2(inherited_write_end, 77);
}

/* A pipe whose reader waits for its end: neither worker nor guardian may hold it open. */
static void test_descriptors_of_the_caller_are_not_the_workers(void **state)
{
	struct pollfd end;
	struct peer peer;
	int ends[2];

	(void)state;
#ifdef __SANITIZE_ADDRESS__
	printf("with the address sanitizer the worker keeps its standard error\n");
	skip();
#endif
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	inherited_write_end = ends[1];
	start(&peer, open_more);
	close(ends[1]);
	inject(&peer);
	end = (struct pollfd){.fd = ends[0], .events = POLLIN};
	assert_int_equal(poll(&end, 1, 2000), 1);
	assert_true(end.revents & POLLHUP);
	close(ends[0]);
	transmit(&peer, REQUEST_FINISH, 0, "", "", 0, 0);
	expect_leaves(&peer);
}

/* Journals of our own: other tests may run at the same time. */
static int enter(void **state)
{
	static char root[] = "/run/squall-order-XXXXXX";

	(void)state;
	seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (seen == MAP_FAILED || !mkdtemp(root))
		return -1;
	journal_set_root(root);
	return 0;
}

static int leave(void **state)
{
	(void)state;
	rmdir(journal_root()); /* gone already when the last run left */
	return munmap(seen, sizeof(*seen));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_effects_end_before_the_first_undo),
		cmocka_unit_test(test_the_guardian_tries_what_the_worker_could_not),
		cmocka_unit_test(test_limits_of_the_caller_are_not_the_workers),
		cmocka_unit_test(test_descriptors_of_the_caller_are_not_the_workers),
	};

	return cmocka_run_group_tests(tests, enter, leave);
}
