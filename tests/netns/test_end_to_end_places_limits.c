/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A target in several network namespaces: that each is the one that is meant, and how many of them,
 * and of what is selected in them, there may be.
 */
#include "tests/support/children.h"
#include "tests/support/squall_runner.h"

#include "faults/target_parts.h"
#include "injector/base/cleanup.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cmocka.h>

/* What it begins with is the name of another one. */
static void test_a_long_name_is_not_cut(void **state)
{
	struct stage *stage = *state;
	char meant[90], other[64];

	memset(meant, 'n', sizeof(meant));
	meant[sizeof(meant) - 1] = '\0';
	memcpy(meant, stage->lab->near, strlen(stage->lab->near));
	snprintf(other, sizeof(other), "%.63s", meant);
	netlab_run("ip netns add %s", meant);
	netlab_run("ip netns add %s", other);
	netlab_run("ip -n %s link add sqlong type veth peer name sqpeer netns %s", meant,
		   stage->lab->near);
	netlab_run("ip -n %s link set sqlong up", meant);
	netlab_run("ip -n %s link set sqpeer up", stage->lab->near);
	squall_assert_exit(
		squall_start(stage, NULL, "plan %s",
			     stage_write(stage, "long.yaml",
					 "version: 1\ntitle: Long\n"
					 "limits: {duration: 1m, targets: 8}\n"
					 "targets: {both: {interface: [\"sq[lp]*\"], namespace: "
					 "[%s, %s]}}\n"
					 "method: [{at: 0s, for: 1s, network: {target: both, "
					 "loss: 1%%}}]\n",
					 stage->lab->near, meant)),
		0);
	netlab_run("ip netns delete %s", other);
	netlab_run("ip -n %s link delete sqpeer", stage->lab->near);
	netlab_run("ip netns delete %s", meant);
	stage_assert_clean(stage);
}

/* There is no room for each: how many are left out is said. */
static void test_many_are_counted(void **state)
{
	enum { COUNT = 4 };
	static char names[COUNT][50];
	struct stage *stage = *state;
	struct squall *squall;
	char words[160];

	for (unsigned i = 0; i < COUNT; i++) {
		memset(names[i], 'a' + (int)i, sizeof(names[i]) - 1);
		memcpy(names[i], stage->lab->near, strlen(stage->lab->near));
		netlab_run("ip netns add %s", names[i]);
	}
	squall = squall_start(stage, NULL,
			      "inject --json port action=occupy local-port=80 protocol=tcp for=1s "
			      "namespace=%s namespace=%s namespace=%s namespace=%s",
			      names[0], names[1], names[2], names[3]);
	squall_assert_exit(squall, 0);
	snprintf(words, sizeof(words), "8 ports: %.48s 2, %.48s 2, and 2 more", names[0], names[1]);
	assert_true(squall_has_said(squall, words));
	for (unsigned i = 0; i < COUNT; i++)
		netlab_run("ip netns delete %s", names[i]);
	stage_assert_clean(stage);
}

/* A process that moves when it is told to. */
static pid_t start_mover(const struct stage *stage, int *out_tell, int *out_told)
{
	int tell[2], told[2];
	char byte;
	pid_t child;

	assert_int_equal(pipe(tell), 0);
	assert_int_equal(pipe(told), 0);
	child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (unsigned i = 0; i < 2; i++)
			if (setns(i ? stage->lab->far_fd : stage->lab->near_fd, CLONE_NEWNET) < 0 ||
			    write(told[1], "x", 1) != 1 || read(tell[0], &byte, 1) != 1)
				_exit(1);
		_exit(0);
	}
	assert_int_equal(read(told[0], &byte, 1), 1);
	close(tell[0]);
	close(told[1]);
	*out_tell = tell[1];
	*out_told = told[0];
	return child;
}

/* Between the look where it is and the other one there, where another part may be by then. */
static void test_a_part_that_moves_is_refused(void **state)
{
	struct target whole = {.kind = TARGET_TRAFFIC, .may_lack_interfaces = true}, *parts;
	struct target_room room = {100, 1000};
	struct stage *stage = *state;
	struct error err = ERROR_INIT;
	unsigned count;
	char name[32], byte;
	int tell, told;
	pid_t mover = start_mover(stage, &tell, &told);

	snprintf(name, sizeof(name), "pid:%d", mover);
	assert_int_equal(params_init(&whole.params, traffic_params, &err), 0);
	assert_int_equal(params_add(&whole.params, TRAFFIC_NAMESPACE, name, 0, 0, &err), 0);
	assert_int_equal(params_add(&whole.params, TRAFFIC_NAMESPACE, stage->lab->far, 0, 0, &err),
			 0);
	assert_int_equal(target_split(&whole, NULL, &room, &parts, &count, &err), 0);
	assert_int_equal(count, 2);
	assert_int_equal(write(tell, "x", 1), 1);
	assert_int_equal(read(told, &byte, 1), 1);
	assert_int_equal(target_resolve(&parts[0], 10, NULL, &err), -EAGAIN);
	assert_non_null(strstr(err.text, "has just moved to another network namespace"));
	assert_int_equal(target_resolve(&parts[1], 10, NULL, &err), 0);
	for (unsigned i = 0; i < count; i++)
		target_free(&parts[i]);
	free(parts);
	target_free(&whole);
	close(tell);
	close(told);
	child_stop(mover);
}

/* Each namespace would have a copy of them. */
static void test_more_than_can_be_kept_is_refused(void **state)
{
	enum { COUNT = 11, ADDRESSES = 100000 };
	struct stage *stage = *state;
	cleanup_free char *list = malloc(ADDRESSES * 20);
	char names[COUNT * 40] = "";
	size_t used = 0;

	assert_non_null(list);
	for (unsigned i = 0; i < ADDRESSES; i++)
		used += (size_t)sprintf(list + used, "10.%u.%u.%u\n", i >> 16 & 255, i >> 8 & 255,
					i & 255);
	stage_write(stage, "list.txt", "%s", list);
	for (unsigned i = 0; i < COUNT; i++) {
		netlab_run("ip netns add %s-%u", stage->lab->near, i);
		snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s-%u",
			 i ? ", " : "", stage->lab->near, i);
	}
	squall_assert_refused(
		squall_start(stage, NULL, "plan %s",
			     stage_write(stage, "much.yaml",
					 "version: 1\ntitle: Much\n"
					 "limits: {duration: 1m, targets: 80}\n"
					 "targets: {all: {to: 10.9.9.9, except-file: list.txt, "
					 "namespace: [%s]}}\n"
					 "method: [{at: 0s, for: 1s, network: {target: all, "
					 "loss: 1%%}}]\n",
					 names)),
		"values in each of 11 network namespaces are more than can be kept");
	for (unsigned i = 0; i < COUNT; i++)
		netlab_run("ip netns delete %s-%u", stage->lab->near, i);
	stage_assert_clean(stage);
}

/* Two networks in either of them are four. */
static void test_the_limit_counts_each(void **state)
{
	struct stage *stage = *state;
	struct squall *squall = squall_start(
		stage, NULL, "run %s",
		stage_write(stage, "limit.yaml",
			    "version: 1\ntitle: Limit\n"
			    "limits: {duration: 1m, targets: 3}\n"
			    "targets: {both: {to: [\"10.88.0.0/24\", \"fd88::/64\"], namespace: "
			    "[%s, %s]}}\n"
			    "method: [{at: 0s, for: 1s, network: {target: both, loss: 1%%}}]\n",
			    stage->lab->near, stage->lab->far));

	squall_assert_refused(squall, "would touch 4 targets");
	stage_assert_clean(stage);
}

#define STAGED(test) cmocka_unit_test_setup_teardown(test, stage_setup, stage_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STAGED(test_a_long_name_is_not_cut),
		STAGED(test_many_are_counted),
		STAGED(test_a_part_that_moves_is_refused),
		STAGED(test_more_than_can_be_kept_is_refused),
		STAGED(test_the_limit_counts_each),
	};

	return STAGE_RUN(tests);
}
