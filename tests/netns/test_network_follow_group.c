/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `follow: true` of some processes' traffic: their control group is removed and made again, as that
 * of a unit that restarts, and interfaces come and go. What is sent beside it is never met.
 */
#include "tests/netns/follow_bench.h"
#include "tests/support/children.h"

#include "injector/kernel/cgroup.h"

#define GROUP "sqfg-ours"

static char ours[128], root[300];
static pid_t resident;

static void start_group(void)
{
	group_make(GROUP, ours);
	resident = child_start(CHILD_SLEEPS, ours);
}

static void stop_group(void)
{
	child_stop(resident);
	group_remove(ours);
}

/* What comes in is known by its flow, and that of an echo is the same inside and outside of the
 * group: by the number of this process. */
static bool is_outside_asked;

/* Of this process, while it is in the group, and beside it. */
static void assert_ours_delayed(const struct stage *stage, const char *address, int steps)
{
	if (is_outside_asked)
		assert_undelayed(stage, address);
	group_write(ours, "cgroup.procs", "0");
	assert_delayed_by(stage, address, steps);
	group_write(root, "cgroup.procs", "0");
	if (is_outside_asked)
		assert_undelayed(stage, address);
}

static void assert_ours_undelayed(const struct stage *stage, const char *address)
{
	group_write(ours, "cgroup.procs", "0");
	assert_undelayed(stage, address);
	group_write(root, "cgroup.procs", "0");
}

static struct squall *start(struct stage *stage, const char *const *extra, const char *more)
{
	const struct squall_how how = {.extra = extra};
	struct squall *squall = squall_start(stage, &how,
					     "inject --json network cgroup=/" GROUP
					     " namespace=%s follow=true delay=%dms for=10m %s",
					     stage->lab->near, DELAY_MS, more);

	squall_await_injected(squall);
	return squall;
}

static void restart(struct stage *stage, const char *const *extra)
{
	struct squall *squall;

	is_outside_asked = true;
	squall = start(stage, extra, "to=10.88.0.2");

	assert_ours_delayed(stage, "10.88.0.2", 1);
	stop_group();
	squall_await_followed(squall, 1, true, "/" GROUP " was removed: it is waited for");
	assert_undelayed(stage, "10.88.0.2");
	pause_ms(700); /* it is looked at again */
	start_group();
	squall_await_followed(squall, 2, true, "/" GROUP " is there again");
	assert_ours_delayed(stage, "10.88.0.2", 1);
	/* faster than anybody looks */
	stop_group();
	start_group();
	do
		squall_await_nth(squall, "followed", squall_count_followed(squall) + 1);
	while (!strstr(
		member_text(squall_await_nth(squall, "followed", squall_count_followed(squall)),
			    "text"),
		"is there again"));
	assert_ours_delayed(stage, "10.88.0.2", 1);
	end(stage, squall);
	assert_ours_undelayed(stage, "10.88.0.2");
	stage_assert_clean(stage);
}

/* On an emulated machine by netem: the others are tried where it is fast. */
static void each_way(struct stage *stage, void (*fn)(struct stage *, const char *const *extra))
{
	for (unsigned i = 0; i < (netlab_has_netem() ? WAYS : 2); i++) {
		if (is_emulated() && netlab_has_netem() && i != 2)
			continue;
		printf("# %s %s\n", ways[i][0], ways[i][1] ? ways[i][1] : "");
		fn(stage, ways[i]);
	}
}

static void test_a_group_that_is_made_again_is_met_again(void **state)
{
	each_way(*state, restart);
}

static void test_without_follow_its_end_is_that_of_the_run(void **state)
{
	struct stage *stage = *state;
	struct squall *squall = squall_start(stage, NULL,
					     "inject --json network cgroup=/" GROUP
					     " namespace=%s to=10.88.0.2 delay=%dms for=10m",
					     stage->lab->near, DELAY_MS);

	squall_await_injected(squall);
	stop_group();
	squall_assert_exit(squall, 4);
	start_group();
	stage_assert_clean(stage);
}

/* Away between two pulses, and when one begins. */
static void test_a_pulse_begins_without_its_group(void **state)
{
	struct stage *stage = *state;
	struct squall *squall;

	stage_write(stage, "pulses.yaml",
		    "version: 1\ntitle: pulses\nhypothesis: pulses\n"
		    "limits: {duration: 10m, targets: 4}\n"
		    "targets:\n"
		    "  ours: {cgroup: /" GROUP ", namespace: %s, to: 10.88.0.2, follow: true}\n"
		    "method:\n"
		    "  - {at: 0s, for: 5m, every: 3s, active: 1500ms, network: {target: ours, "
		    "delay: %dms}}\n",
		    stage->lab->near, DELAY_MS);
	squall = squall_start(stage, NULL, "run --json %s", stage_path(stage, "pulses.yaml"));
	squall_await_nth(squall, "ended", 1);
	stop_group();
	squall_await_nth(squall, "injected", 2);
	start_group();
	squall_await_nth(squall, "injected", 3);
	group_write(ours, "cgroup.procs", "0");
	await_delayed(stage, "10.88.0.2", 3 * SOON_MS);
	group_write(root, "cgroup.procs", "0");
	end(stage, squall);
	stage_assert_clean(stage);
}

static void come_and_go(struct stage *stage, const char *const *extra)
{
	static const char *const directions[] = {"egress", "ingress", "both"};

	for (unsigned i = is_emulated() ? 2 : 0; i < 3; i++) {
		const int steps = i == 2 ? 2 : 1;
		char more[64];
		struct squall *squall;

		is_outside_asked = i == 0;
		snprintf(more, sizeof(more), "interface=sqv* direction=%s", directions[i]);
		squall = start(stage, extra, more);
		add_pair(stage, "sqv2", 2);
		squall_await_followed(squall, 1, true, "affected as well from now on: sqv2");
		assert_ours_delayed(stage, "10.88.2.2", steps);
		assert_ours_delayed(stage, "10.88.0.2", steps);
		netlab_run("ip -n %s link set sqv2 down", stage->lab->near);
		netlab_run("ip -n %s link set sqv2 name other", stage->lab->near);
		netlab_run("ip -n %s link set other up", stage->lab->near);
		squall_await_followed(squall, 2, true, "sqv2 (renamed)");
		await_undelayed(stage, "10.88.2.2");
		assert_ours_undelayed(stage, "10.88.2.2");
		add_pair(stage, "sqv3", 3);
		squall_await_followed(squall, 3, true, "sqv3");
		assert_ours_delayed(stage, "10.88.3.2", steps);
		delete_link(stage, "sqv3");
		squall_await_followed(squall, 4, true, "sqv3 (gone)");
		assert_ours_delayed(stage, "10.88.0.2", steps);
		end(stage, squall);
		assert_bare(stage, "other");
		delete_link(stage, "other");
		stage_assert_clean(stage);
	}
}

static void test_its_traffic_is_met_on_interfaces_that_come(void **state)
{
	each_way(*state, come_and_go);
}

static int setup(void **state)
{
	struct cgroup_mounts mounts;

	assert_int_equal(cgroup_find_mounts(&mounts, NULL), 0);
	snprintf(root, sizeof(root), "%s", mounts.unified);
	children_init();
	start_group();
	return stage_setup(state);
}

static int teardown(void **state)
{
	group_write(root, "cgroup.procs", "0");
	stop_group();
	return stage_teardown(state);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_group_that_is_made_again_is_met_again),
		TEST(test_without_follow_its_end_is_that_of_the_run),
		TEST(test_a_pulse_begins_without_its_group),
		TEST(test_its_traffic_is_met_on_interfaces_that_come),
	};

	return STAGE_RUN(tests);
}
