/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A target in several network namespaces: one step, a fault in each, which begin, follow names and
 * end as one; containers by a pattern among them. A datagram to the far side and back is delayed
 * twice, once in either namespace.
 */
#include "tests/support/children.h"
#include "tests/support/dns_server.h"
#include "tests/support/squall_runner.h"

#include "injector/base/cleanup.h"
#include "injector/kernel/cgroup.h"

#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#define DELAY_MS 60
#define HERE	 "10.88.0.2 here.test\n"
#define ID(n)	 "d0c5e5" n "012233445566778899aabbccddeeff00112233445566778899aabbcc"

static const char *const line[] = {"SQUALL_NETEM=off", NULL};
static const char *const line_clsact[] = {"SQUALL_NETEM=off", "SQUALL_HOOK=clsact", NULL};
static const char *const netem[] = {"SQUALL_NETEM=", NULL};

/* The near side is what stage_assert_clean() looks at. */
static void assert_far_is_clean(const struct stage *stage)
{
	cleanup_free char *tables =
		netlab_output("ip netns exec %s nft list tables", stage->lab->far);
	cleanup_free char *links = netlab_output("ip -n %s -br link", stage->lab->far);
	cleanup_free char *qdiscs = netlab_output("tc -n %s qdisc show", stage->lab->far);

	assert_null(strstr(tables, "squall"));
	assert_null(strstr(links, "\nsq1"));
	assert_null(strstr(links, "sqtap"));
	assert_null(strstr(qdiscs, "clsact"));
}

static const char *write_two(const struct stage *stage, const char *step)
{
	return stage_write(stage, "two.yaml",
			   "version: 1\n"
			   "title: Both sides\n"
			   "limits: {duration: 1m, targets: 8}\n"
			   "targets:\n"
			   "  both: {to: [\"10.88.0.0/24\", \"fd88::/64\"], namespace: [%s, %s]}\n"
			   "method:\n"
			   "  - {at: 0s, %s}\n",
			   stage->lab->near, stage->lab->far, step);
}

static void slow_both(struct stage *stage, const char *const *extra)
{
	const struct squall_how how = {.extra = extra};
	struct squall *squall =
		squall_start(stage, &how, "run --json %s",
			     write_two(stage, "for: 30s, network: {target: both, delay: 60ms}"));
	char words[160];

	squall_await_injected(squall);
	stage_assert_delay(stage, "10.88.0.2", NETLAB_PORT, 2 * DELAY_MS);
	stage_assert_delay(stage, "fd88::2", NETLAB_PORT, 2 * DELAY_MS);
	squall_signal(squall, SIGTERM);
	squall_assert_exit(squall, 4);
	/* how often it was hit, for each */
	snprintf(words, sizeof(words), "packets: %s ", stage->lab->near);
	assert_true(squall_has_said(squall, words));
	snprintf(words, sizeof(words), ", %s ", stage->lab->far);
	assert_true(squall_has_said(squall, words));
	stage_assert_fast(stage, "10.88.0.2", NETLAB_PORT);
	assert_far_is_clean(stage);
	stage_assert_clean(stage);
}

static void test_a_list_of_namespaces(void **state)
{
	slow_both(*state, line);
	slow_both(*state, line_clsact);
	if (netlab_has_netem())
		slow_both(*state, netem);
}

#define DATAGRAMS 100

/* Which of the datagrams arrive that one side sends. */
static void send_many(const struct stage *stage, bool is_back, bool *out_arrived)
{
	const struct netlab *lab = stage->lab;
	const char *from = is_back ? "10.88.0.2" : "10.88.0.1";
	const char *to = is_back ? "10.88.0.1" : "10.88.0.2";
	struct sockaddr_storage address;
	socklen_t length = netlab_address(to, 7171, &address);
	cleanup_fd int source = netlab_socket(is_back ? lab->far_fd : lab->near_fd, AF_INET,
					      SOCK_DGRAM, 0, from, 0);
	cleanup_fd int sink = netlab_socket(is_back ? lab->near_fd : lab->far_fd, AF_INET,
					    SOCK_DGRAM, 0, to, 7171);
	char byte;

	memset(out_arrived, 0, DATAGRAMS);
	assert_int_equal(connect(source, (void *)&address, length), 0);
	for (char i = 0; i < DATAGRAMS; i++)
		assert_int_equal(send(source, &i, 1, 0), 1);
	pause_ms(300);
	while (recv(sink, &byte, 1, MSG_DONTWAIT) == 1)
		out_arrived[(unsigned)byte] = true;
}

/* As on two machines: what is drawn in one says nothing of the other. */
static void test_others_are_lost_in_each(void **state)
{
	struct stage *stage = *state;
	const struct squall_how how = {.extra = line};
	struct squall *squall = squall_start(
		stage, &how, "run --json --seed 7 %s",
		write_two(stage, "for: 30s, network: {target: both, loss: 50%, delay: 1ms}"));
	bool arrived[2][DATAGRAMS];
	unsigned alike = 0;

	squall_await_injected(squall);
	for (unsigned i = 0; i < 2; i++)
		send_many(stage, i, arrived[i]);
	for (unsigned i = 0; i < DATAGRAMS; i++)
		alike += arrived[0][i] == arrived[1][i];
	assert_in_range(alike, DATAGRAMS / 4, DATAGRAMS * 3 / 4);
	squall_signal(squall, SIGINT);
	squall_assert_exit(squall, 4);
	stage_assert_clean(stage);
}

static void test_what_is_planned_is_said_for_each(void **state)
{
	struct stage *stage = *state;
	char words[160];
	struct squall *squall =
		squall_start(stage, NULL, "plan %s",
			     write_two(stage, "for: 30s, network: {target: both, loss: 100%}"));

	squall_assert_exit(squall, 0);
	snprintf(words, sizeof(words), "in %s: add ", stage->lab->near);
	assert_true(squall_has_said(squall, words));
	snprintf(words, sizeof(words), "in %s: add ", stage->lab->far);
	assert_true(squall_has_said(squall, words));
	stage_assert_clean(stage);
}

/* All of squall dies: the kernel ends both. */
static void test_killed(void **state)
{
	struct stage *stage = *state;
	const struct squall_how how = {.extra = line};
	struct squall *squall =
		squall_start(stage, &how, "run --json %s",
			     write_two(stage, "for: 30s, network: {target: both, delay: 60ms}"));

	squall_await_injected(squall);
	stage_assert_delay(stage, "10.88.0.2", NETLAB_PORT, 2 * DELAY_MS);
	kill(squall->guardian, SIGKILL);
	kill(squall->worker, SIGKILL);
	squall_signal(squall, SIGKILL);
	squall_await_exit(squall);
	stage_until_fast(stage, "10.88.0.2", NETLAB_PORT, 2000);
	assert_int_equal(squall_call(stage, NULL, "restore"), 0);
	assert_far_is_clean(stage);
	stage_assert_clean(stage);
}

/* On each it begins and ends at the same time, and is told as one. */
static void test_pulses_and_ramp(void **state)
{
	struct stage *stage = *state;
	const struct squall_how how = {.extra = line};
	struct squall *squall = squall_start(
		stage, &how, "run --json %s",
		write_two(stage, "for: 4s, every: 2s, active: 1s, network: {target: both, delay: "
				 "60ms}"));

	squall_await_nth(squall, "injected", 1);
	stage_assert_delay(stage, "10.88.0.2", NETLAB_PORT, 2 * DELAY_MS);
	squall_await_nth(squall, "ended", 1);
	stage_assert_fast(stage, "10.88.0.2", NETLAB_PORT);
	squall_await_nth(squall, "injected", 2);
	stage_assert_delay(stage, "10.88.0.2", NETLAB_PORT, 2 * DELAY_MS);
	squall_assert_exit(squall, 0);
	squall = squall_start(stage, &how, "run --json %s",
			      write_two(stage, "for: 20s, ramp: {from: 10%, to: 100%, over: 1s}, "
					       "network: {target: both, delay: 60ms}"));
	squall_await_nth(squall, "level", 1);
	stage_assert_delay(stage, "10.88.0.2", NETLAB_PORT, 2 * DELAY_MS);
	squall_signal(squall, SIGINT);
	squall_assert_exit(squall, 4);
	assert_far_is_clean(stage);
	stage_assert_clean(stage);
}

/* The second namespace has lost its interface when it is its turn: the first is not left alone in
 * force. */
static void test_all_or_none(void **state)
{
	struct stage *stage = *state;
	const struct squall_how how = {.extra = line};
	struct squall *squall;
	char words[80];

	for (unsigned i = 0; i < 2; i++) {
		const char *name = i ? stage->lab->far : stage->lab->near;

		netlab_run("ip -n %s link add sqother type veth peer name sqpeer", name);
		netlab_run("ip -n %s link set sqother up", name);
		netlab_run("ip -n %s link set sqpeer up", name);
	}
	squall = squall_start(
		stage, &how, "run --json %s",
		stage_write(stage, "none.yaml",
			    "version: 1\ntitle: None\nlimits: {duration: 1m, targets: 8}\n"
			    "targets: {both: {interface: [sqother], namespace: [%s, %s]}}\n"
			    "method: [{at: 2s, for: 9s, network: {target: both, delay: 1s}}]\n",
			    stage->lab->near, stage->lab->far));
	squall_await_armed(squall);
	netlab_run("ip -n %s link delete sqother", stage->lab->far);
	assert_int_not_equal(squall_await_exit(squall), 0);
	assert_null(squall_event(squall, "injected"));
	snprintf(words, sizeof(words), "in %s: interface sqother", stage->lab->far);
	assert_true(squall_has_said(squall, words));
	assert_far_is_clean(stage);
	netlab_run("ip -n %s link delete sqother", stage->lab->near);
	stage_assert_clean(stage);
}

static void use_server(const struct stage *stage)
{
	if (mount(stage_path(stage, "resolv.conf"), "/etc/resolv.conf", NULL, MS_BIND, NULL) < 0)
		_exit(126);
}

static void test_a_name_is_followed_in_each(void **state)
{
	struct stage *stage = *state;
	const struct squall_how how = {.extra = line, .prepare = use_server};
	static char hosts[128];
	struct squall *squall;

	snprintf(hosts, sizeof(hosts), "%s", stage_path(stage, "hosts"));
	stage_write(stage, "resolv.conf", "nameserver 10.88.0.2\noptions timeout:1 attempts:1\n");
	stage_write(stage, "hosts", HERE "10.88.0.2 store.test\n10.88.0.1 store.test\n");
	dns_hosts_start(stage->lab, hosts);
	squall = squall_start(
		stage, &how, "run --json %s",
		stage_write(stage, "name.yaml",
			    "version: 1\ntitle: Name\nlimits: {duration: 1m, targets: 8}\n"
			    "targets: {both: {to: \"store.test\", protocol: udp, except: "
			    "\"*:53\", namespace: [%s, %s], interface: [\"sqv*\"], follow: true, "
			    "follow-every: 1s}}\n"
			    "method: [{at: 0s, for: 40s, network: {target: both, delay: 60ms}}]\n",
			    stage->lab->near, stage->lab->far));
	squall_await_injected(squall);
	stage_assert_delay(stage, "10.88.0.2", NETLAB_PORT, 2 * DELAY_MS);
	stage_assert_delay(stage, "10.88.0.3", NETLAB_PORT, DELAY_MS); /* on the way back */
	dns_hosts_write(HERE "10.88.0.3 store.test\n10.88.0.1 store.test\n");
	squall_await_followed(squall, 1, true, "store.test is now at");
	stage_assert_delay(stage, "10.88.0.3", NETLAB_PORT, 2 * DELAY_MS);
	stage_assert_delay(stage, "10.88.0.2", NETLAB_PORT, DELAY_MS);
	dns_hosts_write(HERE "10.88.0.3 store.test\n");
	squall_await_followed(squall, 2, true, "store.test is now at");
	stage_assert_delay(stage, "10.88.0.3", NETLAB_PORT, DELAY_MS);
	squall_signal(squall, SIGINT);
	squall_assert_exit(squall, 4);
	dns_servers_stop();
	assert_far_is_clean(stage);
	stage_assert_clean(stage);
}

static void test_an_interface_is_followed_in_one(void **state)
{
	struct stage *stage = *state;
	const struct squall_how how = {.extra = line};
	struct squall *squall = squall_start(
		stage, &how, "run --json %s",
		stage_write(stage, "links.yaml",
			    "version: 1\ntitle: Links\nlimits: {duration: 1m, targets: 8}\n"
			    "targets: {both: {namespace: [%s, %s], interface: [\"sqv*\"], "
			    "follow: true}}\n"
			    "method: [{at: 0s, for: 40s, network: {target: both, delay: 60ms}}]\n",
			    stage->lab->near, stage->lab->far));
	char words[80];

	squall_await_injected(squall);
	netlab_run("ip -n %s link add sqv7 type veth peer name sqother", stage->lab->far);
	netlab_run("ip -n %s link set sqv7 up", stage->lab->far);
	snprintf(words, sizeof(words), "in %s: affected as well from now on: sqv7",
		 stage->lab->far);
	squall_await_followed(squall, 1, true, words);
	netlab_run("ip -n %s link delete sqv7", stage->lab->far);
	snprintf(words, sizeof(words), "in %s: no longer affected: sqv7", stage->lab->far);
	squall_await_followed(squall, 2, true, words);
	squall_signal(squall, SIGINT);
	squall_assert_exit(squall, 4);
	assert_far_is_clean(stage);
	stage_assert_clean(stage);
}

/* Containers. */

static char groups[2][128], root[300];
static pid_t firsts[2];

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

static void write_container(const struct stage *stage, const char *id, const char *name, pid_t pid)
{
	char path[200];

	snprintf(path, sizeof(path), "lib/docker/containers/%s", id);
	netlab_run("mkdir -p -m 755 %s", stage_path(stage, path));
	strcat(path, "/config.v2.json");
	stage_write(stage, path,
		    "{\"State\":{\"Running\":true,\"Paused\":false,\"Pid\":%d},\"ID\":\"%s\","
		    "\"Name\":\"/%s\",\"Driver\":\"overlay2\"}",
		    pid, id, name);
}

static void test_containers_by_a_pattern(void **state)
{
	static const char *const ids[] = {ID("1"), ID("2")};
	struct stage *stage = *state;
	const struct squall_how how = {.extra = line};
	struct squall *squall;

	for (unsigned i = 0; i < 2; i++) {
		char name[16];

		firsts[i] = start_first(groups[i], i ? stage->lab->far_fd : stage->lab->near_fd);
		snprintf(name, sizeof(name), "web-%u", i + 1);
		write_container(stage, ids[i], name, firsts[i]);
	}
	squall = squall_start(stage, &how,
			      "inject --json network container=web-* to=10.88.0.0/24 loss=100%% "
			      "for=30s");
	squall_await_injected(squall);
	stage_assert_fast(stage, "10.88.0.2", NETLAB_PORT); /* of nobody's container */
	for (unsigned i = 0; i < 2; i++) {
		group_write(groups[i], "cgroup.procs", "0");
		assert_int_not_equal(netlab_try("ip netns exec %s ping -c 1 -W 1 10.88.0.%u",
						i ? stage->lab->far : stage->lab->near, 2 - i),
				     0);
		group_write(root, "cgroup.procs", "0");
	}
	squall_signal(squall, SIGINT);
	squall_assert_exit(squall, 4);
	assert_true(squall_has_said(squall, "packets, 2 dropped: web-1 1, web-2 1"));
	netlab_run("rm -r %s", stage_path(stage, "lib/docker"));
	assert_far_is_clean(stage);
	stage_assert_clean(stage);
}

static int setup_containers(void **state)
{
	struct cgroup_mounts mounts;

	assert_int_equal(cgroup_find_mounts(&mounts, NULL), 0);
	snprintf(root, sizeof(root), "%s", mounts.unified);
	group_make("docker-" ID("1") ".scope", groups[0]);
	group_make("docker-" ID("2") ".scope", groups[1]);
	return stage_setup(state);
}

static int teardown_containers(void **state)
{
	group_write(root, "cgroup.procs", "0");
	for (unsigned i = 0; i < 2; i++) {
		if (firsts[i])
			child_stop(firsts[i]);
		group_remove(groups[i]);
	}
	return stage_teardown(state);
}

#define STAGED(test) cmocka_unit_test_setup_teardown(test, stage_setup, stage_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STAGED(test_a_list_of_namespaces),
		STAGED(test_others_are_lost_in_each),
		STAGED(test_what_is_planned_is_said_for_each),
		STAGED(test_killed),
		STAGED(test_pulses_and_ramp),
		STAGED(test_all_or_none),
		STAGED(test_a_name_is_followed_in_each),
		STAGED(test_an_interface_is_followed_in_one),
		cmocka_unit_test_setup_teardown(test_containers_by_a_pattern, setup_containers,
						teardown_containers),
	};

	return STAGE_RUN(tests);
}
