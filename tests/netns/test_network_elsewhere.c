/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Faults in another network namespace than the one squall is called in, named by `ip netns`, by a
 * process, or by the processes of another target: what the network fault does does not depend on
 * where it does it, and nothing happens where squall is.
 */
#include "tests/support/children.h"
#include "tests/support/netlab.h"
#include "tests/support/squall_runner.h"

#include "faults/network.h"
#include "injector/base/cleanup.h"
#include "injector/base/clock.h"

#include <sched.h>
#include <sys/prctl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define DELAY_NS (60 * NSEC_PER_MSEC)

struct far_program {
	int namespace_fd;
	const char *name;
};

static bool enter_far(void *context)
{
	const struct far_program *program = context;

	return setns(program->namespace_fd, CLONE_NEWNET) == 0 &&
	       prctl(PR_SET_NAME, program->name) == 0;
}

/* A process in the far namespace; its program is known by the name of its thread. */
static pid_t start_far(const struct netlab *lab, const char *name)
{
	return child_start_ready(enter_far, &(struct far_program){lab->far_fd, name});
}

/* Seen from near, all at 10.88.0.2 and fd88::2; to what is near all that far sends is. */
struct scenario {
	const char *settings[16];
	int64_t least_ns; /* -1: nothing comes back */
	bool is_four_only;
	const char *says; /* its evidence */
};

static const struct scenario scenarios[] = {
	{{"to", "10.88.0.1", "to", "fd88::1", "delay", "60ms"},
	 DELAY_NS,
	 false,
	 "packets delayed on sqv1 out"},
	{{"to", "10.88.0.1", "to", "fd88::1", "delay", "60ms", "direction", "both"},
	 2 * DELAY_NS,
	 false,
	 "packets delayed on sqv1 out, sqv1 in"},
	{{"to", "10.88.0.1", "delay", "60ms", "loss", "1%", "direction", "ingress"},
	 DELAY_NS,
	 true,
	 "dropped on sqv1 in"},
	{{"interface", "sqv1", "loss", "100%"}, -1, false, "0 packets passed, "},
	{{"interface", "sqv1", "rate", "80kbit"}, 0, false, "packets slowed on sqv1 out"},
	{{"interface", "sqv1", "partition", "reject"}, -1, false, "packets rejected on sqv1 out"},
	{{"interface", "sqv1", "partition", "reset"}, -1, false, "packets re"},
	{{"to", "10.88.0.1", "delay", "60ms", "share", "100%", "except", "10.88.0.9"},
	 DELAY_NS,
	 true,
	 "packets delayed on sqv1 out"},
};

static void check_one(struct netlab *lab, const char *name, const struct scenario *scenario,
		      unsigned number)
{
	const char *settings[20] = {"namespace", name};
	struct netlab_fault fault;
	struct evidence evidence;
	struct error err = ERROR_INIT;
	char run[8];

	memcpy(settings + 2, scenario->settings, sizeof(scenario->settings));
	snprintf(run, sizeof(run), "eeeex%u", number);
	if (netlab_fault_plan(NULL, &fault, run, settings, &err) < 0 ||
	    network_fault.inject(&fault.fault, &err) < 0)
		fail_msg("%s: %s (%s)", name, err.text, err.remedy);
	if (scenario->least_ns < 0) {
		assert_int_equal(netlab_answers(lab, "10.88.0.2", NETLAB_PORT, 3), 0);
		assert_int_equal(netlab_answers(lab, "fd88::2", NETLAB_PORT, 3), 0);
	} else {
		assert_true(netlab_fastest(lab, "10.88.0.2", NETLAB_PORT, 2) >= scenario->least_ns);
		if (!scenario->is_four_only)
			assert_true(netlab_fastest(lab, "fd88::2", NETLAB_PORT, 2) >=
				    scenario->least_ns);
	}
	if (network_fault.evidence(&fault.fault, &evidence, &err) < 0)
		fail_msg("%s", err.text);
	assert_true(evidence.hits > 0);
	if (scenario->least_ns < 0)
		assert_int_equal(evidence.dropped, evidence.hits);
	if (!strstr(evidence.detail, scenario->says))
		fail_msg("'%s' does not say '%s'", evidence.detail, scenario->says);
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

static char *dump_far(const struct netlab *lab)
{
	static const char *const commands[] = {
		"ip -n %s -d link", "tc -n %s qdisc", "tc -n %s filter show dev sqv1 egress",
		"tc -n %s filter show dev sqv1 ingress", "ip netns exec %s nft -s list ruleset"};

	return netlab_outputs(lab->far, commands, sizeof(commands) / sizeof(*commands));
}

static void check_all(struct netlab *lab, const char *name)
{
	cleanup_free char *far = dump_far(lab), *after = NULL;
	char *near = netlab_dump(lab);

	for (unsigned i = 0; i < sizeof(scenarios) / sizeof(*scenarios); i++)
		check_one(lab, name, &scenarios[i], i);
	assert_true(netlab_fastest(lab, "10.88.0.2", NETLAB_PORT, 3) < DELAY_NS);
	netlab_same(lab, near);
	after = dump_far(lab);
	assert_string_equal(after, far);
}

static void test_by_name(void **state)
{
	struct netlab *lab = *state;

	check_all(lab, lab->far);
}

static void test_by_process(void **state)
{
	struct netlab *lab = *state;
	const pid_t pid = start_far(lab, "sqfar");
	char name[24];

	snprintf(name, sizeof(name), "pid:%d", (int)pid);
	check_all(lab, name);
	netlab_kill(pid);
}

static void test_by_name_and_clsact(void **state)
{
	struct netlab *lab = *state;

	setenv("SQUALL_HOOK", "clsact", 1);
	check_all(lab, lab->far);
	unsetenv("SQUALL_HOOK");
}

/* On lo of the other namespace; ours is not met. */
static void test_loopback_of_another_namespace(void **state)
{
	struct netlab *lab = *state;
	struct netlab turned = *lab;
	struct netlab_fault fault;

	turned.near_fd = lab->far_fd;
	netlab_run("ip -n %s link set lo up", lab->far);
	netlab_fault_start(
		NULL, &fault, "eeeey1",
		(const char *[]){"namespace", lab->far, "to", "127.0.0.1", "delay", "60ms", NULL});
	assert_true(netlab_ping(&turned, "127.0.0.1", 3000) >= 2 * DELAY_NS);
	assert_in_range(netlab_ping(lab, "127.0.0.1", 3000), 0, DELAY_NS - 1);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	assert_in_range(netlab_ping(&turned, "127.0.0.1", 3000), 0, DELAY_NS - 1);
}

/* The whole program, called in near, for what a process in far sends and hears. */
static void test_by_the_processes_of_a_target(void **state)
{
	struct stage *stage = *state;
	const pid_t pid = start_far(stage->lab, "sqfar");
	const char *file =
		stage_write(stage, "elsewhere.yaml",
			    "version: 1\n"
			    "title: Elsewhere\n"
			    "hypothesis: None\n"
			    "limits: {duration: 60s, targets: 8}\n"
			    "targets:\n"
			    "  app: {process: {name: sqfar}}\n"
			    "  near: {namespace: \"target:app\", to: [10.88.0.1]}\n"
			    "method:\n"
			    "  - {at: 0s, for: 30s, network: {target: near, delay: 100ms}}\n");
	struct squall *squall = squall_start(stage, NULL, "run --json %s", file);

	squall_await_injected(squall);
	stage_assert_delay(stage, "10.88.0.2", NETLAB_PORT, 100);
	squall_signal(squall, SIGINT);
	squall_assert_exit(squall, 4);
	stage_assert_fast(stage, "10.88.0.2", NETLAB_PORT);
	stage_await_finished(stage);
	netlab_kill(pid);
	stage_assert_clean(stage);
}

#define ON_LAB(test)   cmocka_unit_test_setup_teardown(test, netlab_setup, netlab_teardown_ways)
#define ON_STAGE(test) cmocka_unit_test_setup_teardown(test, stage_setup, stage_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_LAB(test_by_name),
		ON_LAB(test_by_process),
		ON_LAB(test_by_name_and_clsact),
		ON_LAB(test_loopback_of_another_namespace),
		ON_STAGE(test_by_the_processes_of_a_target),
	};

	return STAGE_RUN(tests);
}
