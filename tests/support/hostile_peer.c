/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/support/hostile_peer.h"

#include "faults/target.h"
#include "injector/base/clock.h"
#include "injector/journal/journal.h"
#include "injector/kernel/netlink.h"
#include "injector/kernel/nft.h"
#include "injector/run/worker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define LEAVE_NS (20 * NSEC_PER_SEC)
#define HEAR_MS	 5000

void peer_start(struct peer *peer)
{
	const struct worker_options options = {.conductor = getpid()};
	struct worker_family family;
	struct error err = ERROR_INIT;

	if (worker_start(&options, &family, &err) < 0)
		fail_msg("%s", err.text);
	*peer = (struct peer){family.socket, family.worker, family.guardian};
}

void peer_send(const struct peer *peer, const struct request *request)
{
	(void)!send(peer->socket, request, sizeof(*request), MSG_NOSIGNAL);
}

void peer_say(const struct peer *peer, enum request_type type, unsigned index, const char *name,
	      const char *text, int64_t a, int64_t b)
{
	struct request request = {.type = type, .index = index, .numbers = {a, b}};

	snprintf(request.name, sizeof(request.name), "%s", name);
	snprintf(request.text, sizeof(request.text), "%s", text);
	peer_send(peer, &request);
}

void peer_define_limits(const struct peer *peer)
{
	peer_say(peer, REQUEST_LIMITS, 0, "", "", 10 * NSEC_PER_SEC, 4);
}

void peer_define_target(const struct peer *peer)
{
	peer_define_limits(peer);
	peer_say(peer, REQUEST_TARGET, 0, "", "", TARGET_TRAFFIC, 0);
	peer_say(peer, REQUEST_TARGET_VALUE, 0, "to", "127.0.0.9:9", 0, 0);
}

void peer_define_loss(const struct peer *peer, int64_t for_ns)
{
	peer_define_target(peer);
	peer_say(peer, REQUEST_STEP, 0, "network", "", 0, for_ns);
	peer_say(peer, REQUEST_STEP_VALUE, 0, "loss", "1%", 0, 0);
}

void peer_inject(const struct peer *peer)
{
	struct reply reply;

	peer_say(peer, REQUEST_PLAN, 0, "", "", 0, 0);
	assert_true(peer_await(peer, REPLY_PLANNED, HEAR_MS, &reply));
	peer_say(peer, REQUEST_ARM, 0, "", "hostile", 0, 0);
	assert_true(peer_await(peer, REPLY_ARMED, HEAR_MS, &reply));
	peer_say(peer, REQUEST_INJECT, 0, "", "", 0, 0);
	assert_true(peer_await(peer, REPLY_INJECTED, HEAR_MS, &reply));
}

/* False: nothing came for so long, or the worker is gone. */
static bool hear_one(const struct peer *peer, int ms, struct reply *out)
{
	struct pollfd waiting = {.fd = peer->socket, .events = POLLIN};
	int fd = -1, result;

	if (poll(&waiting, 1, ms) != 1)
		return false;
	result = reply_receive(peer->socket, out, &fd, NULL);
	if (fd >= 0)
		close(fd);
	return result == 1;
}

enum reply_type peer_hear(const struct peer *peer, struct reply *out)
{
	do
		assert_true(hear_one(peer, HEAR_MS, out));
	while (out->type == REPLY_PLAN_LINE || out->type == REPLY_EVIDENCE);
	return (enum reply_type)out->type;
}

bool peer_await(const struct peer *peer, enum reply_type type, int ms, struct reply *out)
{
	while (hear_one(peer, ms, out)) {
		if (out->type == type)
			return true;
		if (out->type == REPLY_REFUSED || out->type == REPLY_INJECT_FAILED)
			fail_msg("%s", out->text);
	}
	return false;
}

void peer_expect_refused(struct peer *peer, const char *why)
{
	struct reply reply;

	while (peer_hear(peer, &reply) != REPLY_REFUSED)
		;
	if (!strstr(reply.text, why))
		fail_msg("'%s' does not say '%s'", reply.text, why);
	peer_expect_leaves(peer);
}

void peer_expect_leaves(struct peer *peer)
{
	close(peer->socket);
	peer_expect_exit(peer);
}

void peer_expect_exit(struct peer *peer)
{
	int64_t limit_ns = clock_now_ns() + LEAVE_NS;
	char(*runs)[RUN_ID_SIZE] = NULL;
	unsigned count = 1;
	int status;

	while (waitpid(peer->pid, &status, WNOHANG) == 0) {
		if (clock_now_ns() > limit_ns) {
			kill(peer->pid, SIGKILL);
			waitpid(peer->pid, &status, 0);
			fail_msg("the worker did not leave");
		}
		usleep(1000);
	}
	waitpid(peer->guardian, NULL, 0);
	if (WIFSIGNALED(status))
		fail_msg("the worker was killed by signal %d", WTERMSIG(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(journal_list(&runs, &count, NULL), 0);
	assert_int_equal(count, 0);
	free(runs);
	assert_int_equal(peer_faults_in_force(), 0);
}

static void count_hook(void *context, const struct nft_hook *hook)
{
	*(unsigned *)context += strncmp(hook->table, "squall_", 7) == 0;
}

unsigned peer_faults_in_force(void)
{
	struct netlink *netlink;
	unsigned count = 0;

	assert_int_equal(netlink_open_netfilter(-1, &netlink, NULL), 0);
	while (nft_hooks(netlink, count_hook, &count, NULL) == -EINTR)
		count = 0;
	netlink_close(netlink);
	return count;
}

int peer_group_setup(void **state)
{
	static char root[] = "/run/squall-hostile-XXXXXX";

	(void)state;
	if (unshare(CLONE_NEWNET) < 0 || !mkdtemp(root))
		return -1;
	journal_set_root(root);
	return system("ip link set lo up");
}

int peer_group_teardown(void **state)
{
	(void)state;
	rmdir(journal_root()); /* gone already when the last run left */
	return 0;
}
