/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `follow: true` of a container: it ends, and another one comes by its name, in a control group of
 * its own. In the same network namespace it is met again; when that is another one, the run ends
 * and says why. The state files are written as docker writes them; the rest is real.
 */
#include "tests/support/children.h"
#include "tests/support/dns_server.h"
#include "tests/support/kernel_version.h"
#include "tests/support/netlab_dial.h"
#include "tests/support/squall_runner.h"

#include "injector/kernel/cgroup.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#define ID(n)	"d0c5e5" n "412233445566778899aabbccddeeff00112233445566778899aabbcc"
#define LOST_MS 300

static char root[300];

struct container {
	char group[128];
	pid_t first;
};
static struct container running;

/* As the first process of a container is. */
static pid_t start_first(const char *group, int network)
{
	int ready[2];
	char byte;
	pid_t child;

	assert_int_equal(pipe(ready), 0);
	child = (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		group_write(group, "cgroup.procs", "0");
		if (setns(network, CLONE_NEWNET) < 0 || write(ready[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return child;
}

static void start(const struct stage *stage, const char *id, int network)
{
	char name[120], path[200];

	snprintf(name, sizeof(name), "docker-%s.scope", id);
	group_make(name, running.group);
	running.first = start_first(running.group, network);
	snprintf(path, sizeof(path), "lib/docker/containers/%s", id);
	netlab_run("mkdir -p -m 755 %s", stage_path(stage, path));
	strcat(path, "/config.v2.json");
	stage_write(stage, path,
		    "{\"State\":{\"Running\":true,\"Paused\":false,\"Pid\":%d},\"ID\":\"%s\","
		    "\"Name\":\"/shop\",\"Driver\":\"overlay2\"}",
		    running.first, id);
}

static void stop(const struct stage *stage)
{
	if (!running.first)
		return;
	child_stop(running.first);
	running.first = 0;
	group_remove(running.group);
	netlab_run("rm -rf %s", stage_path(stage, "lib/docker"));
}

static bool is_lost(const struct stage *stage)
{
	return netlab_round_trip(stage->lab, "10.88.0.2", NETLAB_PORT, LOST_MS) < 0;
}

/* Of what is in the container, and of what is beside it. */
static void assert_its_are_lost(const struct stage *stage, bool wanted)
{
	bool is_its_lost;

	group_write(running.group, "cgroup.procs", "0");
	is_its_lost = is_lost(stage);
	group_write(root, "cgroup.procs", "0");
	assert_int_equal(is_its_lost, wanted);
	assert_false(is_lost(stage));
}

static struct squall *begin(struct stage *stage, const char *follow)
{
	const char *const extra[] = {"SQUALL_NETEM=off", NULL};
	const struct squall_how how = {.extra = extra};
	struct squall *squall = squall_start(stage, &how,
					     "inject --json network container=shop to=10.88.0.0/24 "
					     "loss=100%% direction=egress for=60s %s",
					     follow);

	squall_await_injected(squall);
	return squall;
}

static void test_one_that_comes_back_beside_the_others_is_met_again(void **state)
{
	struct stage *stage = *state;
	struct squall *squall;

	start(stage, ID("1"), stage->lab->near_fd);
	squall = begin(stage, "follow=true");
	assert_its_are_lost(stage, true);
	stop(stage);
	squall_await_followed(squall, 1, true, "container shop (control group /docker-d0c5e51");
	pause_ms(1200); /* it is looked for, more than once */
	start(stage, ID("2"), stage->lab->near_fd);
	squall_await_followed(squall, 2, true, "container shop (control group /docker-d0c5e52");
	assert_its_are_lost(stage, true);
	/* the same container, started again */
	stop(stage);
	squall_await_followed(squall, 3, true, "is waited for");
	start(stage, ID("2"), stage->lab->near_fd);
	squall_await_followed(squall, 4, true, "is there again");
	assert_its_are_lost(stage, true);
	squall_signal(squall, SIGINT);
	squall_assert_exit(squall, 4);
	assert_its_are_lost(stage, false);
	stop(stage);
	stage_assert_clean(stage);
}

static int rcode(const struct stage *stage)
{
	return DNS_ASK(stage->lab, .name = "bad.test", .timeout_ms = 2000).rcode;
}

static void test_queries_of_one_that_comes_back_are_met_again(void **state)
{
	struct stage *stage = *state;
	struct squall *squall;

	if (!kernel_is_at_least(5, 12))
		stage_skip("dns needs Linux 5.12");
	dns_servers_start(stage->lab);
	start(stage, ID("1"), stage->lab->near_fd);
	squall = squall_start(stage, NULL,
			      "inject --json dns container=shop to=10.88.0.2 name=bad.test "
			      "answer=servfail for=60s follow=true");
	squall_await_injected(squall);
	stop(stage);
	squall_await_followed(squall, 1, true, "is waited for");
	start(stage, ID("2"), stage->lab->near_fd);
	squall_await_followed(squall, 2, true, "is there again");
	assert_int_equal(rcode(stage), DNS_NOERROR);
	group_write(running.group, "cgroup.procs", "0");
	assert_int_equal(rcode(stage), DNS_SERVFAIL);
	group_write(root, "cgroup.procs", "0");
	squall_signal(squall, SIGINT);
	squall_assert_exit(squall, 4);
	stop(stage);
	dns_servers_stop();
	stage_assert_clean(stage);
}

static int connect_from_it(const struct stage *stage)
{
	int code;

	group_write(running.group, "cgroup.procs", "0");
	code = netlab_dial(stage->lab->near_fd, "10.88.0.2", NETLAB_PORT);
	group_write(root, "cgroup.procs", "0");
	if (code >= 0)
		close(code);
	return code < 0 ? code : 0;
}

/* Its processes are met wherever they are. */
static void test_connect_of_one_that_comes_back_elsewhere_fails_again(void **state)
{
	struct stage *stage = *state;
	struct squall *squall;

	if (!kernel_is_at_least(5, 18))
		stage_skip("errors of connect need Linux 5.18");
	start(stage, ID("1"), stage->lab->near_fd);
	squall = squall_start(stage, NULL,
			      "inject --json connect container=shop to=10.88.0.2 "
			      "error=EHOSTUNREACH for=60s follow=true");
	squall_await_injected(squall);
	assert_int_equal(connect_from_it(stage), -EHOSTUNREACH);
	stop(stage);
	squall_await_followed(squall, 1, true, "is waited for");
	start(stage, ID("2"), stage->lab->far_fd);
	squall_await_followed(squall, 2, true, "container shop (control group /docker-d0c5e52");
	assert_int_equal(connect_from_it(stage), -EHOSTUNREACH);
	assert_int_equal(netlab_round_trip(stage->lab, "10.88.0.2", NETLAB_PORT, 1000) > 0, true);
	squall_signal(squall, SIGINT);
	squall_assert_exit(squall, 4);
	assert_int_equal(connect_from_it(stage), 0);
	stop(stage);
	stage_assert_clean(stage);
}

/* Nobody else is in its network namespace. */
static void test_the_end_of_one_with_a_network_of_its_own_is_that_of_the_run(void **state)
{
	static const char *const follow[] = {"", "follow=true", "follow=true interface=sqv*"};
	struct stage *stage = *state;

	for (unsigned i = 0; i < sizeof(follow) / sizeof(*follow); i++) {
		struct squall *squall;

		start(stage, ID("1"), stage->lab->far_fd);
		squall = begin(stage, follow[i]);
		stop(stage);
		squall_assert_exit(squall, 4);
		assert_true(squall_has_said(
			squall, "container shop has ended, and its network namespace with it; "
				"started again it has another one"));
		assert_int_equal(squall_count_followed(squall), 0);
		stage_assert_clean(stage);
	}
}

static void test_one_that_comes_back_elsewhere_is_the_end_of_the_run(void **state)
{
	struct stage *stage = *state;
	struct squall *squall;

	start(stage, ID("1"), stage->lab->near_fd);
	squall = begin(stage, "follow=true");
	stop(stage);
	squall_await_followed(squall, 1, true, "is waited for");
	start(stage, ID("2"), stage->lab->far_fd);
	squall_assert_exit(squall, 4);
	assert_true(squall_has_said(squall, "container shop was started again in another network "
					    "namespace"));
	stop(stage);
	stage_assert_clean(stage);
}

static void test_the_plan_says_what_is_followed(void **state)
{
	struct stage *stage = *state;
	struct squall *squall;

	start(stage, ID("1"), stage->lab->near_fd);
	stage_write(stage, "shop.yaml",
		    "version: 1\ntitle: t\nlimits: {duration: 1m, targets: 1}\n"
		    "targets: {shop: {container: shop, to: 10.88.0.2, follow: true}}\n"
		    "method: [{at: 0s, for: 1s, network: {target: shop, loss: 1%%}}]\n");
	squall = squall_start(stage, NULL, "plan --json %s", stage_path(stage, "shop.yaml"));
	squall_assert_exit(squall, 0);
	assert_true(squall_has_said(squall, "followed: container shop; when it was restarted in "
					    "the same network namespace"));
	stop(stage);
	stage_assert_clean(stage);
}

static int setup(void **state)
{
	struct cgroup_mounts mounts;

	assert_int_equal(cgroup_find_mounts(&mounts, NULL), 0);
	snprintf(root, sizeof(root), "%s", mounts.unified);
	return stage_setup(state);
}

static int teardown(void **state)
{
	group_write(root, "cgroup.procs", "0");
	stop(*state);
	dns_servers_stop();
	return stage_teardown(state);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_one_that_comes_back_beside_the_others_is_met_again),
		TEST(test_queries_of_one_that_comes_back_are_met_again),
		TEST(test_connect_of_one_that_comes_back_elsewhere_fails_again),
		TEST(test_the_end_of_one_with_a_network_of_its_own_is_that_of_the_run),
		TEST(test_one_that_comes_back_elsewhere_is_the_end_of_the_run),
		TEST(test_the_plan_says_what_is_followed),
	};

	return STAGE_RUN(tests);
}
