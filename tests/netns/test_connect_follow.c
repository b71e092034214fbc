/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `follow: true` of processes whose connect() fails: their control group is made again, as that of
 * a unit that restarts, and who is in it fails again. Who is beside it never does.
 */
#include "tests/support/callers.h"
#include "tests/support/children.h"
#include "tests/support/netlab.h"
#include "tests/support/squall_runner.h"

#include "faults/connect.h"
#include "faults/target_group.h"
#include "injector/kernel/bpf.h"
#include "injector/kernel/cgroup.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define GROUP "sqcf-web"

static char group[128];
static struct caller inside;

static void start(struct netlab *lab)
{
	group_make(GROUP, group);
	inside = caller_in(lab, group);
}

static void stop(void)
{
	if (!inside.pid)
		return;
	caller_hang_up(&inside);
	inside = (struct caller){0};
	group_remove(group);
}

static int told(struct caller *caller)
{
	return caller_try(caller, "10.88.0.2", NETLAB_PORT);
}

static void test_a_group_that_is_made_again_is_met_again(void **state)
{
	struct stage *stage = *state;
	struct netlab *lab = stage->lab;
	struct caller beside = caller_in(lab, NULL);
	struct squall *squall;
	json_t *result;
	int64_t hits;

	start(lab);
	squall = squall_start(stage, NULL,
			      "inject --json connect cgroup=/" GROUP
			      " follow=true to=10.88.0.2 error=ECONNREFUSED for=60s");
	squall_await_injected(squall);
	assert_int_equal(told(&inside), ECONNREFUSED);
	stop();
	squall_await_followed(squall, 1, true, "/" GROUP " was removed: it is waited for");
	pause_ms(1200); /* it is looked at again */
	start(lab);
	squall_await_followed(squall, 2, true, "/" GROUP " is there again");
	assert_int_equal(told(&inside), ECONNREFUSED);
	assert_int_equal(caller_try(&inside, "10.88.0.3", NETLAB_PORT), 0);
	assert_int_equal(told(&beside), 0);
	/* faster than anybody looks */
	stop();
	start(lab);
	while (told(&inside) != ECONNREFUSED)
		pause_ms(20);
	assert_int_equal(told(&beside), 0);
	squall_signal(squall, SIGINT);
	squall_assert_exit(squall, 4);
	/* it went on counting */
	result = stage_result(stage, squall->run_id);
	hits = member_number(
		json_object_get(json_array_get(json_object_get(result, "steps"), 0), "evidence"),
		"hits");
	json_decref(result);
	assert_int_equal(hits, 3);
	assert_int_equal(told(&inside), 0);
	stop();
	caller_hang_up(&beside);
	stage_assert_clean(stage);
}

static void test_without_follow_its_end_is_that_of_the_run(void **state)
{
	struct stage *stage = *state;
	struct squall *squall;

	start(stage->lab);
	squall = squall_start(stage, NULL,
			      "inject --json connect cgroup=/" GROUP
			      " to=10.88.0.2 error=ECONNREFUSED for=60s");
	squall_await_injected(squall);
	stop();
	squall_assert_exit(squall, 4);
	stage_assert_clean(stage);
}

/* Away when a pulse begins. */
static void test_a_pulse_begins_without_its_group(void **state)
{
	struct stage *stage = *state;
	struct squall *squall;

	start(stage->lab);
	stage_write(stage, "pulses.yaml",
		    "version: 1\ntitle: pulses\nlimits: {duration: 10m, targets: 4}\n"
		    "targets: {web: {process: {cgroup: /" GROUP ", follow: true}}}\n"
		    "method:\n"
		    "  - {at: 0s, for: 5m, every: 2s, active: 1s, connect: {target: web, "
		    "error: ECONNREFUSED}}\n");
	squall = squall_start(stage, NULL, "run --json %s", stage_path(stage, "pulses.yaml"));
	squall_await_nth(squall, "ended", 1);
	stop();
	squall_await_nth(squall, "injected", 2);
	start(stage->lab);
	squall_await_nth(squall, "injected", 3);
	assert_int_equal(told(&inside), ECONNREFUSED);
	squall_signal(squall, SIGINT);
	squall_assert_exit(squall, 4);
	stop();
	stage_assert_clean(stage);
}

/* The one who would be hit is the one who looks on: the run ends, and nobody is. */
static void test_who_must_not_be_hit_is_not_found_again(void **state)
{
	struct stage *stage = *state;
	struct cgroup_mounts mounts;
	struct squall *squall;

	start(stage->lab);
	squall = squall_start(stage, NULL,
			      "inject --json connect cgroup=/" GROUP
			      " follow=true error=ECONNREFUSED for=60s");
	squall_await_injected(squall);
	stop();
	group_make(GROUP, group);
	group_write(group, "cgroup.procs", "0"); /* from whom squall comes */
	squall_assert_exit(squall, 4);
	assert_true(squall_has_said(squall, "holds process"));
	assert_int_equal(cgroup_find_mounts(&mounts, NULL), 0);
	group_write(mounts.unified, "cgroup.procs", "0");
	group_remove(group);
	stage_assert_clean(stage);
}

/* Killed behind a restart: what was written before says how to find the programs. */
static void test_killed_after_it_has_followed_nothing_is_left(void **state)
{
	struct stage *stage = *state;
	struct squall *squall;

	start(stage->lab);
	squall = squall_start(stage, NULL,
			      "inject --json connect cgroup=/" GROUP
			      " follow=true error=ECONNREFUSED for=60s");
	squall_await_injected(squall);
	stop();
	start(stage->lab);
	squall_await_followed(squall, 1, true, "");
	while (told(&inside) != ECONNREFUSED)
		pause_ms(20);
	kill(squall->guardian, SIGKILL);
	kill(squall->worker, SIGKILL);
	squall_signal(squall, SIGKILL);
	squall_await_exit(squall);
	assert_int_equal(squall_call(stage, NULL, "restore"), 0);
	assert_int_equal(told(&inside), 0);
	stop();
	stage_assert_clean(stage);
}

static void test_what_cannot_be_followed_is_said_before(void **state)
{
	struct stage *stage = *state;
	struct squall *squall;

	squall = squall_start(stage, NULL, "inject connect pid=%d follow=true error=EPERM for=1s",
			      getpid());
	squall_assert_refused(squall, "there is nothing to follow: processes are found again by");
	squall = squall_start(stage, NULL,
			      "inject process cgroup=/" GROUP " follow=true action=kill for=1s");
	squall_assert_exit(squall, 2);
	assert_true(squall_has_said(squall, "follow: fault 'process' keeps the processes that"));
	stage_write(stage, "no.yaml",
		    "version: 1\ntitle: t\nhypothesis: h\nlimits: {duration: 1m, targets: 1}\n"
		    "targets:\n  web: {process: {name: nginx, follow: true}}\n"
		    "method:\n  - {at: 0s, for: 1s, connect: {target: web, error: EPERM}}\n");
	squall = squall_start(stage, NULL, "check %s", stage_path(stage, "no.yaml"));
	squall_assert_exit(squall, 2);
	assert_true(squall_has_said(squall, "no.yaml:6:40: follow: there is nothing to follow"));
	stage_assert_clean(stage);
}

static int setup(void **state)
{
	children_init();
	return stage_setup(state);
}

static int teardown(void **state)
{
	stop();
	return stage_teardown(state);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_group_that_is_made_again_is_met_again),
		TEST(test_without_follow_its_end_is_that_of_the_run),
		TEST(test_a_pulse_begins_without_its_group),
		TEST(test_who_must_not_be_hit_is_not_found_again),
		TEST(test_killed_after_it_has_followed_nothing_is_left),
		TEST(test_what_cannot_be_followed_is_said_before),
	};

	return STAGE_RUN(tests);
}
