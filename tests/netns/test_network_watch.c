/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Somebody takes away what a network fault hangs on while it is in force. That is told by the
 * kernel, without anybody looking now and then, in the words of what is gone; and the run ends
 * restored. What cannot be taken away is not.
 */
#include "tests/support/netlab.h"
#include "tests/support/squall_runner.h"

#include "faults/network.h"
#include "faults/network_gate.h"
#include "injector/base/clock.h"
#include "injector/kernel/namespace.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define DELAY_NS (60 * NSEC_PER_MSEC)
#define TOLD_NS	 (10 * NSEC_PER_SEC) /* for what takes a millisecond on a machine that has time */

static const char *const both[] = {"to", "10.88.0.2", "delay", "60ms", "direction", "both", NULL};

/* A fault in force, and what was told of it. */
struct watched {
	struct netlab_fault fault;
	int fd;
	unsigned times; /* somebody looked */
	struct error why;
};

static void start(struct netlab *lab, struct watched *watched, const char *run,
		  const char *const *settings)
{
	struct error err = ERROR_INIT;

	*watched = (struct watched){.why = ERROR_INIT};
	if (netlab_fault_plan(lab, &watched->fault, run, settings, &err) < 0 ||
	    network_fault.inject(&watched->fault.fault, &err) < 0)
		fail_msg("%s (%s)", err.text, err.remedy);
	watched->fd = network_fault.listen(&watched->fault.fault, &err);
	if (watched->fd < 0)
		fail_msg("%s", err.text);
}

static void look(void *context, struct fault *fault)
{
	struct watched *watched = context;
	struct evidence evidence;

	assert_ptr_equal(fault, &watched->fault.fault);
	watched->times++;
	if (network_fault.evidence(fault, &evidence, &watched->why) == -ESTALE)
		watched->fd = -1;
}

/* No timer here: only what the kernel tells wakes. */
static void hear(struct watched *watched, int64_t for_ns)
{
	int64_t until_ns = clock_now_ns() + for_ns;

	while (watched->fd >= 0 && clock_now_ns() < until_ns) {
		struct pollfd ready = {.fd = watched->fd, .events = POLLIN};

		if (poll(&ready, 1, (int)((until_ns - clock_now_ns()) / NSEC_PER_MSEC) + 1) > 0)
			network_fault.hear(look, watched);
	}
}

static void assert_told(struct watched *watched, const char *words)
{
	hear(watched, TOLD_NS);
	if (watched->fd >= 0)
		fail_msg("nobody told: '%s'", words);
	if (!strstr(watched->why.text, words))
		fail_msg("'%s' does not say '%s'", watched->why.text, words);
}

static void assert_in_force(struct watched *watched)
{
	hear(watched, 50 * NSEC_PER_MSEC);
	if (watched->fd < 0)
		fail_msg("%s", watched->why.text);
}

static void test_interface_that_goes(void **state)
{
	struct netlab *lab = *state;
	struct watched watched;

	start(lab, &watched, "wwwwa1", both);
	netlab_run("ip -n %s link delete sqv0", lab->near);
	assert_told(&watched, "interface sqv0 is gone");
	netlab_fault_finish(&watched.fault, FAULT_END_NOW);
}

static void test_interface_that_moves_away(void **state)
{
	struct netlab *lab = *state;
	struct watched watched;

	start(lab, &watched, "wwwwa2", both);
	netlab_run("ip -n %s link set sqv0 netns %s", lab->near, lab->far);
	assert_told(&watched, "interface sqv0 is gone");
	netlab_fault_finish(&watched.fault, FAULT_END_NOW);
}

static void test_interface_renamed(void **state)
{
	struct netlab *lab = *state;
	struct watched watched;

	start(lab, &watched, "wwwwa3", both);
	netlab_run("ip -n %s link set sqv0 down", lab->near);
	netlab_run("ip -n %s link set sqv0 name sqvx", lab->near);
	assert_told(&watched, "interface sqv0 was renamed to sqvx");
	netlab_fault_finish(&watched.fault, FAULT_END_NOW);
	netlab_run("ip -n %s link set sqvx up", lab->near);
	assert_in_range(netlab_fastest(lab, "10.88.0.2", NETLAB_PORT, 3), 0, DELAY_NS - 1);
}

/* The name of the ifb, or of the first tap. */
static const char *own_device(const char *run)
{
	static char name[16];

	snprintf(name, sizeof(name), netlab_has_netem() ? "sq%s-0" : "sq%s-0t0", run);
	return name;
}

static void check_own_device(struct netlab *lab, const char *run, const char *command)
{
	char *before = netlab_dump(lab);
	struct watched watched;

	start(lab, &watched, run, both);
	netlab_run("ip -n %s link %s %s", lab->near, command, own_device(run));
	assert_int_equal(netlab_round_trip(lab, "10.88.0.2", NETLAB_PORT, 300), -1);
	assert_told(&watched, own_device(run));
	netlab_fault_end(&watched.fault, FAULT_END_NOW);
	assert_in_range(netlab_fastest(lab, "10.88.0.2", NETLAB_PORT, 3), 0, DELAY_NS - 1);
	netlab_fault_finish(&watched.fault, FAULT_END_NOW);
	netlab_same(lab, before);
}

static void test_own_device_deleted(void **state)
{
	check_own_device(*state, "wwwwa4", "delete");
}

static void test_own_device_taken_down(void **state)
{
	check_own_device(*state, "wwwwa5", "set down dev");
}

static void test_own_queue_deleted(void **state)
{
	struct netlab *lab = *state;
	struct watched watched;

	if (!netlab_has_netem())
		stage_skip("no netem here: the test machine has it");
	start(lab, &watched, "wwwwa6", both);
	netlab_run("tc -n %s qdisc delete dev %s root", lab->near, own_device("wwwwa6"));
	assert_told(&watched, "the queue of interface sqwwwwa6-0 was replaced");
	netlab_fault_finish(&watched.fault, FAULT_END_NOW);
}

/* The table has an owner, and nobody else may touch it. */
static void test_table_cannot_be_deleted(void **state)
{
	struct netlab *lab = *state;
	struct watched watched;

	start(lab, &watched, "wwwwa7", both);
	assert_int_not_equal(
		netlab_try("ip netns exec %s nft delete table netdev squall_wwwwa7_0", lab->near),
		0);
	assert_int_not_equal(
		netlab_try("ip netns exec %s nft flush table netdev squall_wwwwa7_0", lab->near),
		0);
	netlab_run("ip netns exec %s nft flush ruleset", lab->near);
	assert_in_force(&watched);
	assert_true(netlab_fastest(lab, "10.88.0.2", NETLAB_PORT, 3) >= 2 * DELAY_NS);
	netlab_fault_finish(&watched.fault, FAULT_END_SOFT);
}

static void test_what_happens_elsewhere_wakes_nobody(void **state)
{
	struct netlab *lab = *state;
	struct watched watched;

	start(lab, &watched, "wwwwa8", both);
	hear(&watched, 50 * NSEC_PER_MSEC);
	watched.times = 0;
	netlab_run("ip -n %s link add sqvz type veth peer name sqvy", lab->near);
	netlab_run("ip -n %s link set sqvz up", lab->near);
	netlab_run("tc -n %s qdisc add dev sqvz root pfifo", lab->near);
	netlab_run("tc -n %s qdisc add dev sqv0 root pfifo", lab->near);
	netlab_run("ip -n %s link delete sqvz", lab->near);
	netlab_run("ip -n %s link delete sqv1", lab->far); /* the other end of sqv0 */
	assert_told(&watched, "interface sqv0 is gone");
	assert_int_equal(watched.times, 1);
	netlab_fault_finish(&watched.fault, FAULT_END_NOW);
}

/* Some kernels announce to everybody what one asks for. */
static void test_own_looks_wake_nobody(void **state)
{
	struct netlab *lab = *state;
	struct watched watched;

	start(lab, &watched, "wwwwb4", both);
	hear(&watched, 50 * NSEC_PER_MSEC);
	watched.times = 0;
	look(&watched, &watched.fault.fault);
	hear(&watched, 300 * NSEC_PER_MSEC);
	assert_int_equal(watched.times, 1);
	netlab_fault_finish(&watched.fault, FAULT_END_NOW);
}

/* tc filters at clsact: anybody may delete them. */
static void check_filters(struct netlab *lab, const char *run, const char *command,
			  const char *const *settings)
{
	char *before = netlab_dump(lab);
	struct watched watched;

	setenv("SQUALL_HOOK", "clsact", 1);
	start(lab, &watched, run, settings);
	netlab_run("tc -n %s %s", lab->near, command);
	assert_told(&watched, "of interface sqv0 is gone");
	netlab_fault_finish(&watched.fault, FAULT_END_NOW);
	unsetenv("SQUALL_HOOK");
	netlab_same(lab, before);
}

static void test_filters_deleted(void **state)
{
	check_filters(*state, "wwwwb1", "filter delete dev sqv0 egress", both);
}

static void test_one_direction_of_a_partition_deleted(void **state)
{
	check_filters(
		*state, "wwwwb2", "filter delete dev sqv0 ingress",
		(const char *[]){"to", "10.88.0.2", "loss", "100%", "direction", "both", NULL});
}

/* Of the two of an interface, what acts, and what brings back: without that all is lost. */
static void delete_one(struct netlab *lab, const char *run, const char *direction, bool way_back)
{
	const char *const settings[] = {"to",	     "10.88.0.2", "delay", "50ms",
					"direction", direction,	  NULL};
	char command[128];

	snprintf(command, sizeof(command), "filter delete dev sqv0 %s pref %u", direction,
		 way_back ? GATE_PRIORITY_BACK : GATE_PRIORITY_DELAY);
	check_filters(lab, run, command, settings);
}

static void test_the_gate_alone_deleted(void **state)
{
	delete_one(*state, "wwwwd1", "egress", false);
	delete_one(*state, "wwwwd2", "ingress", false);
}

static void test_the_way_back_alone_deleted(void **state)
{
	delete_one(*state, "wwwwd3", "egress", true);
	delete_one(*state, "wwwwd4", "ingress", true);
}

/* Behind it the kernel puts a queue that drops everything. */
static void test_own_queue_below_another_deleted(void **state)
{
	static const struct {
		const char *run, *parent, *settings[9];
	} cases[] = {
		{"wwwwd5", "1:1", {"to", "10.88.0.2", "delay", "50ms", "loss", "1%", NULL}},
		{"wwwwd6",
		 "3:1",
		 {"to", "10.88.0.2", "delay", "50ms", "rate", "8mbit", "burst", "20kB", NULL}},
	};
	struct netlab *lab = *state;

	if (!netlab_has_netem())
		stage_skip("no netem here: the test machine has it");
	for (unsigned i = 0; i < 2; i++) {
		struct watched watched;
		char words[80];

		start(lab, &watched, cases[i].run, cases[i].settings);
		netlab_run("tc -n %s qdisc delete dev %s parent %s", lab->near,
			   own_device(cases[i].run), cases[i].parent);
		snprintf(words, sizeof(words), "the queue of interface sq%s-0 was replaced",
			 cases[i].run);
		assert_told(&watched, words);
		netlab_fault_finish(&watched.fault, FAULT_END_NOW);
	}
}

/* What sends on what has waited: without it all is lost. */
static void test_filter_of_the_tap_deleted(void **state)
{
	struct netlab *lab = *state;
	struct watched watched;

	setenv("SQUALL_NETEM", "off", 1);
	start(lab, &watched, "wwwwd7", both);
	netlab_run("tc -n %s filter delete dev sqwwwwd7-0t0 ingress", lab->near);
	assert_told(&watched, "a filter of interface sqwwwwd7-0t0 is gone");
	netlab_fault_finish(&watched.fault, FAULT_END_NOW);
	unsetenv("SQUALL_NETEM");
}

static void test_clsact_deleted(void **state)
{
	check_filters(*state, "wwwwb3", "qdisc delete dev sqv0 clsact", both);
}

/* Nobody but us holds the namespace: it would live on for our sockets alone. */
static void test_namespace_deleted(void **state)
{
	struct netlab *lab = *state;
	struct watched watched;
	char words[64];

	start(lab, &watched, "wwwwc1", both);
	netlab_run("ip netns delete %s", lab->near);
	snprintf(words, sizeof(words), "network namespace %s was deleted", lab->near);
	assert_told(&watched, words);
	netlab_fault_finish(&watched.fault, FAULT_END_NOW);
}

/* A process in a network namespace of its own, with lo up. */
static pid_t start_in_namespace(void)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	fflush(stdout);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (unshare(CLONE_NEWNET) < 0 || write(ready[1], "r", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
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

static void end_process(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_last_process_of_a_namespace_ends(void **state)
{
	const pid_t first = start_in_namespace();
	struct watched watched;
	char name[24];
	pid_t second;
	int fd;

	(void)state;
	assert_int_equal(namespace_open_pid(first, &fd, NULL), 0);
	second = join_namespace(fd);
	snprintf(name, sizeof(name), "pid:%d", (int)first);
	start(NULL, &watched, "wwwwc2",
	      (const char *[]){"namespace", name, "to", "127.0.0.1", "delay", "60ms", NULL});
	end_process(first);
	assert_in_force(&watched); /* the other one still meets it */
	assert_true(watched.times > 0);
	end_process(second);
	assert_told(&watched, "no process is in it");
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
		DELAY_IN_EXTRA, IN_EXTRA("port local-port=7100 interface=sqvz action=occupy"),
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
	end_process(pid);
	stage_assert_clean(stage);
}

#define ON_LAB(test)   cmocka_unit_test_setup_teardown(test, netlab_setup, netlab_teardown_ways)
#define ON_STAGE(test) cmocka_unit_test_setup_teardown(test, stage_setup, teardown_extra)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_LAB(test_interface_that_goes),
		ON_LAB(test_interface_that_moves_away),
		ON_LAB(test_interface_renamed),
		ON_LAB(test_own_device_deleted),
		ON_LAB(test_own_device_taken_down),
		ON_LAB(test_own_queue_deleted),
		ON_LAB(test_table_cannot_be_deleted),
		ON_LAB(test_what_happens_elsewhere_wakes_nobody),
		ON_LAB(test_own_looks_wake_nobody),
		ON_LAB(test_filters_deleted),
		ON_LAB(test_one_direction_of_a_partition_deleted),
		ON_LAB(test_the_gate_alone_deleted),
		ON_LAB(test_the_way_back_alone_deleted),
		ON_LAB(test_own_queue_below_another_deleted),
		ON_LAB(test_filter_of_the_tap_deleted),
		ON_LAB(test_clsact_deleted),
		ON_LAB(test_namespace_deleted),
		ON_LAB(test_last_process_of_a_namespace_ends),
		ON_STAGE(test_run_ends_when_its_interface_goes),
		ON_STAGE(test_run_ends_when_its_namespace_is_deleted),
		ON_STAGE(test_namespace_deleted_under_its_processes),
	};

	return STAGE_RUN(tests);
}
