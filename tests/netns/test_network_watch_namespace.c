/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A network namespace, or what is in it, is taken away while a fault is in force there: the kernel
 * tells of that, the run ends restored, and our own sockets do not keep the namespace alive.
 */
#include "tests/support/children.h"
#include "tests/support/netlab_watch.h"
#include "tests/support/squall_runner.h"

#include "injector/kernel/namespace.h"

#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char *const both[] = {"to", "10.88.0.2", "delay", "60ms", "direction", "both", NULL};

/* Nobody but us holds the namespace: it would live on for our sockets alone. */
static void test_namespace_deleted(void **state)
{
	struct netlab *lab = *state;
	struct netlab_watch watched;
	char words[64];

	netlab_watch_start(lab, &watched, "wwwwc1", both);
	netlab_run("ip netns delete %s", lab->near);
	snprintf(words, sizeof(words), "network namespace %s was deleted", lab->near);
	netlab_watch_assert_told(&watched, words);
	netlab_fault_finish(&watched.fault, FAULT_END_NOW);
}

static bool leave_namespace(void *context)
{
	(void)context;
	return unshare(CLONE_NEWNET) == 0;
}

/* A process in a network namespace of its own, with lo up. */
static pid_t start_in_namespace(void)
{
	pid_t pid = child_start_ready(leave_namespace, NULL);

	netlab_run("nsenter --net=/proc/%d/ns/net ip link set lo up", (int)pid);
	return pid;
}

/* A process that has joined it; closes `wanted_fd`. */
static pid_t join_namespace(int wanted_fd)
{
	struct namespace_id now, wanted;
	bool is_there = false;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (setns(wanted_fd, CLONE_NEWNET) < 0)
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(namespace_identify(wanted_fd, &wanted, NULL), 0);
	close(wanted_fd);
	while (!is_there) {
		int fd;

		assert_int_equal(namespace_open_pid(pid, &fd, NULL), 0);
		is_there =
			namespace_identify(fd, &now, NULL) == 0 && namespace_is_same(&now, &wanted);
		close(fd);
		if (!is_there)
			usleep(1000);
	}
	return pid;
}

static void test_last_process_of_a_namespace_ends(void **state)
{
	const pid_t first = start_in_namespace();
	struct netlab_watch watched;
	char name[24];
	pid_t second;
	int fd;

	(void)state;
	assert_int_equal(namespace_open_pid(first, &fd, NULL), 0);
	second = join_namespace(fd);
	snprintf(name, sizeof(name), "pid:%d", (int)first);
	netlab_watch_start(
		NULL, &watched, "wwwwc2",
		(const char *[]){"namespace", name, "to", "127.0.0.1", "delay", "60ms", NULL});
	netlab_kill(first);
	netlab_watch_assert_in_force(&watched); /* the other one still meets it */
	assert_true(watched.times > 0);
	netlab_kill(second);
	netlab_watch_assert_told(&watched, "no process is in it");
	netlab_fault_finish(&watched.fault, FAULT_END_NOW);
}

/* ---- The whole program ---- */

static void assert_ends_lost(struct stage *stage, struct squall *squall, const char *words)
{
	squall_assert_exit(squall, 4);
	assert_string_equal(member_text(squall_event(squall, "stopping"), "cause"), "fault-lost");
	assert_non_null(squall_event(squall, "restored"));
	assert_true(squall_has_said(squall, "went out of force"));
	if (!squall_has_said(squall, words)) {
		char *messages = squall_messages(squall);

		fail_msg("'%s' is not in: %s", words, messages);
	}
	stage_await_finished(stage);
}

#define EXTRA "sqnt-watch" /* a namespace that a test may take away */

#define IN_EXTRA(fault) "inject --json " fault " for=60s namespace=" EXTRA
#define DELAY_IN_EXTRA	IN_EXTRA("network interface=sqvz delay=100ms")

static struct squall *start_in_extra(struct stage *stage, const char *command)
{
	struct squall *squall;

	netlab_run("ip netns add " EXTRA);
	netlab_run("ip -n " EXTRA " link set lo up");
	netlab_run("ip -n " EXTRA " link add sqvz type veth peer name sqvy");
	netlab_run("ip -n " EXTRA " link set sqvz up");
	squall = squall_start(stage, NULL, "%s", command);
	squall_await_injected(squall);
	return squall;
}

static int teardown_extra(void **state)
{
	netlab_try("ip netns delete " EXTRA);
	return stage_teardown(state);
}

static void test_run_ends_when_its_interface_goes(void **state)
{
	struct stage *stage = *state;
	struct squall *squall = start_in_extra(stage, DELAY_IN_EXTRA);

	netlab_run("ip -n " EXTRA " link delete sqvz");
	assert_ends_lost(stage, squall, "interface sqvz is gone");
	netlab_run("ip netns delete " EXTRA);
	stage_assert_clean(stage);
}

/* What holds sockets there keeps it alive, whatever the fault. */
static void test_run_ends_when_its_namespace_is_deleted(void **state)
{
	static const char *const commands[] = {
		DELAY_IN_EXTRA, IN_EXTRA("port local-port=7100 action=occupy"),
		/* not before Linux 5.12 */
		IN_EXTRA("dns to=192.0.2.53 interface=sqvz name=a.test answer=nxdomain"),
		IN_EXTRA("http to=192.0.2.53 interface=sqvz answer=503")};
	struct stage *stage = *state;
	unsigned count = sizeof(commands) / sizeof(*commands);

	for (unsigned i = 0; i < count - 2 * !netlab_has_egress_hook(stage->lab); i++) {
		struct squall *squall = start_in_extra(stage, commands[i]);

		netlab_run("ip netns delete " EXTRA);
		assert_ends_lost(stage, squall, "network namespace " EXTRA " was deleted");
		stage_assert_clean(stage);
	}
}

/* The namespace lives on with what is in it: it is restored as well. */
static void test_namespace_deleted_under_its_processes(void **state)
{
	struct stage *stage = *state;
	struct squall *squall = start_in_extra(stage, DELAY_IN_EXTRA);
	char *links;
	int fd;
	pid_t pid;

	assert_int_equal(namespace_open_name(EXTRA, &fd, NULL), 0);
	pid = join_namespace(fd);
	netlab_run("ip netns delete " EXTRA);
	assert_ends_lost(stage, squall, "network namespace " EXTRA " was deleted");
	links = netlab_output("nsenter --net=/proc/%d/ns/net ip link", (int)pid);
	if (!strstr(links, "sqvz") || strstr(links, squall->run_id))
		fail_msg("%s", links);
	free(links);
	netlab_kill(pid);
	stage_assert_clean(stage);
}

#define ON_LAB(test)   cmocka_unit_test_setup_teardown(test, netlab_setup, netlab_teardown_ways)
#define ON_STAGE(test) cmocka_unit_test_setup_teardown(test, stage_setup, teardown_extra)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_LAB(test_namespace_deleted),
		ON_LAB(test_last_process_of_a_namespace_ends),
		ON_STAGE(test_run_ends_when_its_interface_goes),
		ON_STAGE(test_run_ends_when_its_namespace_is_deleted),
		ON_STAGE(test_namespace_deleted_under_its_processes),
	};

	return STAGE_RUN(tests);
}
