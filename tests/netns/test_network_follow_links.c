/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `follow: true` of interfaces: they appear, go, come back, are renamed, and the default route
 * moves, by each way to take packets and to delay them. What is not allowed is left alone, what is
 * the user's stays, and whoever dies leaves nothing.
 */
#include "tests/support/squall_runner.h"

#include "injector/base/cleanup.h"

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define DELAY_MS 60
#define SOON_MS	 5000 /* for what takes milliseconds on a machine that has time */

/* By a delay line, by netem where the kernel has it, and both by clsact. */
static const char *const ways[][3] = {
	{"SQUALL_NETEM=off", NULL},
	{"SQUALL_HOOK=clsact", "SQUALL_NETEM=off", NULL},
	{"SQUALL_NETEM=", NULL},
	{"SQUALL_HOOK=clsact", NULL},
};

/* On an emulated machine with netem one of them: the others are tried where it is fast. */
static void each_way(struct stage *stage, void (*fn)(struct stage *, const char *const *extra),
		     unsigned emulated_way)
{
	const unsigned count = netlab_has_netem() ? 4 : 2;

	for (unsigned i = 0; i < count; i++) {
		if (is_emulated() && count > 2 && i != emulated_way)
			continue;
		printf("# %s\n", ways[i][0]);
		fn(stage, ways[i]);
	}
}

/* NAME 10.88.NET.1 in near, its peer 10.88.NET.2 in far. */
static void add_pair(const struct stage *stage, const char *name, unsigned net)
{
	const struct netlab *lab = stage->lab;

	netlab_run("ip -n %s link add %s type veth peer name far%u netns %s", lab->near, name, net,
		   lab->far);
	netlab_run("ip -n %s address add 10.88.%u.1/24 dev %s", lab->near, net, name);
	netlab_run("ip -n %s address add 10.88.%u.2/24 dev far%u", lab->far, net, net);
	netlab_run("ip -n %s link set far%u up", lab->far, net);
	netlab_run("ip -n %s link set %s up", lab->near, name);
}

static void rename_link(const struct stage *stage, const char *from, const char *to)
{
	netlab_run("ip -n %s link set %s down", stage->lab->near, from);
	netlab_run("ip -n %s link set %s name %s", stage->lab->near, from, to);
	netlab_run("ip -n %s link set %s up", stage->lab->near, to);
}

static void delete_link(const struct stage *stage, const char *name)
{
	netlab_run("ip -n %s link delete %s", stage->lab->near, name);
}

/* The fastest of three: before the first one a neighbour may have to be found. */
static int64_t fastest_ping(const struct stage *stage, const char *address)
{
	int64_t fastest = -1;

	for (unsigned i = 0; i < 3; i++) {
		int64_t took = netlab_ping(stage->lab, address, 3000);

		if (took >= 0 && (fastest < 0 || took < fastest))
			fastest = took;
	}
	return fastest;
}

static void assert_delayed(const struct stage *stage, const char *address)
{
	int64_t took = fastest_ping(stage, address);

	printf("# %s: %.3f ms\n", address, (double)took / 1e6);
	assert_in_range(took, DELAY_MS * NSEC_PER_MSEC,
			DELAY_MS * 5 / 2 * NSEC_PER_MSEC + stage->slack_ns);
}

static void assert_undelayed(const struct stage *stage, const char *address)
{
	int64_t took = fastest_ping(stage, address);

	if (took < 0 || took >= DELAY_MS / 2 * NSEC_PER_MSEC)
		fail_msg("%s should not be delayed, but took %.3f ms", address, (double)took / 1e6);
}

/* In one of several pulses. */
static void await_delayed(const struct stage *stage, const char *address)
{
	int64_t until_ns = clock_now_ns() + 3 * SOON_MS * NSEC_PER_MSEC, took;

	do
		took = netlab_ping(stage->lab, address, 3000);
	while (took < DELAY_MS * NSEC_PER_MSEC && clock_now_ns() < until_ns);
	assert_true(took >= DELAY_MS * NSEC_PER_MSEC);
}

static void await_undelayed(const struct stage *stage, const char *address)
{
	int64_t until_ns = clock_now_ns() + SOON_MS * NSEC_PER_MSEC, took;

	do
		took = netlab_ping(stage->lab, address, DELAY_MS / 2);
	while (took < 0 && clock_now_ns() < until_ns);
	assert_true(took >= 0);
}

/* Nothing of ours is at it. */
static void assert_bare(const struct stage *stage, const char *name)
{
	cleanup_free char *qdiscs =
		netlab_output("tc -n %s qdisc show dev %s", stage->lab->near, name);
	cleanup_free char *tables =
		netlab_output("ip netns exec %s nft list ruleset", stage->lab->near);

	assert_null(strstr(qdiscs, "clsact"));
	assert_string_equal(tables, "");
}

static void end(struct stage *stage, struct squall *squall)
{
	squall_signal(squall, SIGINT);
	squall_assert_exit(squall, 4);
	stage_assert_fast(stage, "10.88.0.2", NETLAB_PORT);
}

static void come_and_go(struct stage *stage, const char *const *extra)
{
	const struct squall_how how = {.extra = extra};
	struct squall *squall = squall_start(
		stage, &how, "inject --json network interface=sqv* follow=true delay=%dms for=60s",
		DELAY_MS);

	squall_await_injected(squall);
	add_pair(stage, "sqv2", 2);
	squall_await_followed(squall, 1, true, "affected as well from now on: sqv2");
	assert_delayed(stage, "10.88.2.2");
	assert_delayed(stage, "10.88.0.2");
	delete_link(stage, "sqv2");
	squall_await_followed(squall, 2, true, "no longer affected: sqv2 (gone)");
	assert_delayed(stage, "10.88.0.2");
	add_pair(stage, "sqv2", 2);
	add_pair(stage, "other", 3);
	squall_await_followed(squall, 3, true, "sqv2");
	assert_delayed(stage, "10.88.2.2");
	assert_undelayed(stage, "10.88.3.2");
	assert_int_equal(squall_count_followed(squall), 3);
	end(stage, squall);
	assert_undelayed(stage, "10.88.2.2");
	assert_bare(stage, "sqv2");
	delete_link(stage, "sqv2");
	delete_link(stage, "other");
	stage_assert_clean(stage);
}

static void test_what_appears_is_affected_and_what_goes_is_let_go(void **state)
{
	for (unsigned i = 0; i < (netlab_has_netem() ? 4 : 2); i++) {
		printf("# %s\n", ways[i][0]);
		come_and_go(*state, ways[i]);
	}
}

/* The user's own queues, filters and clsact at an interface that is in the pattern for a while. */
static void rename_in_and_out(struct stage *stage, const char *const *extra)
{
	static const char *const commands[] = {
		"tc -n %s qdisc show dev other",	  "tc -n %s class show dev other",
		"tc -n %s filter show dev other",	  "tc -n %s filter show dev other egress",
		"tc -n %s filter show dev other ingress",
	};
	const struct squall_how how = {.extra = extra};
	const char *near = stage->lab->near;
	cleanup_free char *before = NULL, *after = NULL;
	struct squall *squall;

	add_pair(stage, "other", 2);
	netlab_run("tc -n %s qdisc add dev other root handle 1: htb default 1", near);
	netlab_run("tc -n %s class add dev other parent 1: classid 1:1 htb rate 1gbit", near);
	netlab_run("tc -n %s qdisc add dev other clsact", near);
	netlab_run("tc -n %s filter add dev other ingress pref 7 protocol ip u32 match ip src "
		   "10.99.0.0/16 "
		   "classid 1:1",
		   near);
	before = netlab_outputs(near, commands, 5);
	squall = squall_start(stage, &how,
			      "inject --json network interface=sqv* follow=true direction=ingress "
			      "delay=%dms for=60s",
			      DELAY_MS);
	squall_await_injected(squall);
	assert_undelayed(stage, "10.88.2.2");
	rename_link(stage, "other", "sqv2");
	squall_await_followed(squall, 1, true, "from now on: sqv2");
	assert_delayed(stage, "10.88.2.2");
	rename_link(stage, "sqv2", "other");
	squall_await_followed(squall, 2, true, "sqv2 (renamed)");
	await_undelayed(stage, "10.88.2.2");
	assert_undelayed(stage, "10.88.2.2");
	end(stage, squall);
	after = netlab_outputs(near, commands, 5);
	assert_string_equal(before, after);
	delete_link(stage, "other");
	stage_assert_clean(stage);
}

static void test_what_is_renamed_keeps_what_the_user_put_there(void **state)
{
	each_way(*state, rename_in_and_out, 3);
}

/* With the same number and name, but without what was at it. */
static void away_and_back(struct stage *stage, const char *const *extra)
{
	const struct squall_how how = {.extra = extra};
	const struct netlab *lab = stage->lab;
	struct squall *squall;

	add_pair(stage, "sqv2", 2);
	squall = squall_start(stage, &how,
			      "inject --json network interface=sqv* follow=true delay=%dms for=60s",
			      DELAY_MS);
	squall_await_injected(squall);
	assert_delayed(stage, "10.88.2.2");
	netlab_run("ip -n %s link set sqv2 netns %s", lab->near, lab->far);
	netlab_run("ip -n %s link set sqv2 netns %s", lab->far, lab->near);
	netlab_run("ip -n %s address add 10.88.2.1/24 dev sqv2", lab->near);
	netlab_run("ip -n %s link set sqv2 up", lab->near);
	pause_ms(300);
	assert_delayed(stage, "10.88.2.2");
	end(stage, squall);
	delete_link(stage, "sqv2");
	stage_assert_clean(stage);
}

static void test_what_was_away_for_a_moment_is_affected_again(void **state)
{
	each_way(*state, away_and_back, 2);
}

static void test_the_default_route_moves(void **state)
{
	struct stage *stage = *state;
	const char *near = stage->lab->near;
	struct squall *squall;

	add_pair(stage, "other", 2);
	netlab_run("ip -n %s route add default via 10.88.0.2", near);
	squall = squall_start(stage, NULL,
			      "inject --json network interface=default-route follow=true "
			      "delay=%dms for=60s",
			      DELAY_MS);
	squall_await_injected(squall);
	assert_delayed(stage, "10.88.0.2");
	assert_undelayed(stage, "10.88.2.2");
	netlab_run("ip -n %s route replace default via 10.88.2.2", near);
	squall_await_followed(squall, 1, true, "from now on: other");
	squall_await_followed(squall, 2, true, "sqv0 (no default route any more)");
	assert_delayed(stage, "10.88.2.2");
	assert_undelayed(stage, "10.88.0.2");
	/* without one, it stays where the last one was */
	netlab_run("ip -n %s route delete default", near);
	pause_ms(700);
	assert_delayed(stage, "10.88.2.2");
	assert_int_equal(squall_count_followed(squall), 2);
	delete_link(stage, "other");
	squall_await_followed(squall, 3, true, "other (gone)");
	netlab_run("ip -n %s route add default via 10.88.0.2", near);
	squall_await_followed(squall, 4, true, "sqv0");
	assert_delayed(stage, "10.88.0.2");
	end(stage, squall);
	netlab_run("ip -n %s route delete default", near);
	stage_assert_clean(stage);
}

static void test_what_the_site_does_not_allow_is_left_alone(void **state)
{
	const struct squall_how how = {.policy = "version: 1\nallow: {interfaces: [sqv0, sqv3]}\n"};
	struct stage *stage = *state;
	struct squall *squall = squall_start(
		stage, &how, "inject --json network interface=sqv* follow=true delay=%dms for=60s",
		DELAY_MS);

	squall_await_injected(squall);
	add_pair(stage, "sqv2", 2);
	squall_await_followed(squall, 1, false, "sqv2 has appeared and is left alone");
	assert_non_null(
		strstr(member_text(squall_await_nth(squall, "followed", 1), "text"), "policy"));
	add_pair(stage, "sqv3", 3);
	squall_await_followed(squall, 2, true, "sqv3");
	pause_ms(700); /* nobody asks at every look */
	assert_undelayed(stage, "10.88.2.2");
	assert_delayed(stage, "10.88.3.2");
	assert_int_equal(squall_count_followed(squall), 2);
	end(stage, squall);
	delete_link(stage, "sqv2");
	delete_link(stage, "sqv3");
	stage_assert_clean(stage);
}

/* Both have a place on it; and between two pulses, and before the beginning, it is only noted. */
static void test_all_steps_of_a_target_follow(void **state)
{
	struct stage *stage = *state;
	struct squall *squall;

	stage_write(stage, "two.yaml",
		    "version: 1\ntitle: two\nhypothesis: two\n"
		    "limits: {duration: 60s, targets: 4}\n"
		    "targets:\n  lan: {interface: \"sqv*\", follow: true}\n"
		    "method:\n"
		    "  - {at: 0s, for: 30s, network: {target: lan, delay: %dms}}\n"
		    "  - {at: 1500ms, for: 30s, network: {target: lan, delay: %dms}}\n"
		    "  - {at: 0s, for: 30s, network: {target: lan, loss: 0.0001%%}}\n",
		    DELAY_MS, DELAY_MS);
	squall = squall_start(stage, NULL, "run --json %s", stage_path(stage, "two.yaml"));
	squall_await_nth(squall, "injected", 2);
	add_pair(stage, "sqv2", 2);
	squall_await_followed(squall, 1, true, "sqv2");
	assert_delayed(stage, "10.88.2.2");
	squall_await_nth(squall, "injected", 3);
	assert_in_range(fastest_ping(stage, "10.88.2.2"), 2 * DELAY_MS * NSEC_PER_MSEC,
			10 * DELAY_MS * NSEC_PER_MSEC);
	add_pair(stage, "sqv3", 3);
	squall_await_followed(squall, 2, true, "sqv3");
	assert_in_range(fastest_ping(stage, "10.88.3.2"), 2 * DELAY_MS * NSEC_PER_MSEC,
			10 * DELAY_MS * NSEC_PER_MSEC);
	end(stage, squall);
	delete_link(stage, "sqv2");
	delete_link(stage, "sqv3");
	stage_assert_clean(stage);
}

static void test_pulses_take_what_came_between_them(void **state)
{
	struct stage *stage = *state;
	struct squall *squall;

	stage_write(stage, "pulses.yaml",
		    "version: 1\ntitle: pulses\nhypothesis: pulses\n"
		    "limits: {duration: 60s, targets: 4}\n"
		    "targets:\n  lan: {interface: \"sqv*\", follow: true}\n"
		    "method:\n"
		    "  - {at: 0s, for: 40s, every: 3s, active: 1500ms, network: {target: lan, "
		    "delay: %dms}}\n",
		    DELAY_MS);
	squall = squall_start(stage, NULL, "run --json %s", stage_path(stage, "pulses.yaml"));
	squall_await_injected(squall);
	add_pair(stage, "sqv3", 3);
	squall_await_followed(squall, 1, true, "sqv3");
	squall_await_nth(squall, "ended", 1);
	add_pair(stage, "sqv2", 2);
	delete_link(stage, "sqv3");
	squall_await_nth(squall, "injected", 2);
	await_delayed(stage, "10.88.2.2");
	end(stage, squall);
	delete_link(stage, "sqv2");
	stage_assert_clean(stage);
}

static void test_what_squall_makes_is_not_followed(void **state)
{
	static const char *const line[] = {"SQUALL_NETEM=off", NULL};
	const struct squall_how by_line = {.extra = line};
	struct stage *stage = *state;
	struct squall *squall =
		squall_start(stage, NULL,
			     "inject --json network interface=* follow=true loss=100%% for=60s "
			     "to=10.88.9.9");
	struct squall *other;

	squall_await_injected(squall);
	other = squall_start(
		stage, &by_line,
		"inject --json network to=10.88.0.2 interface=sqv0 delay=%dms for=300ms", DELAY_MS);
	squall_assert_exit(other, 0);
	other = squall_start(
		stage, NULL,
		"inject --json network to=10.88.0.2 interface=sqv0 delay=%dms for=300ms", DELAY_MS);
	squall_assert_exit(other, 0);
	add_pair(stage, "sqv2", 2);
	squall_await_followed(squall, 1, true, "from now on: sqv2");
	assert_int_equal(squall_count_followed(squall), 1);
	end(stage, squall);
	delete_link(stage, "sqv2");
	stage_assert_clean(stage);
}

/* The highest descriptor of a process whose link has the word in it. */
static int highest_descriptor(pid_t pid, const char *word)
{
	char path[64];
	cleanup_dir DIR *dir = NULL;
	struct dirent *entry;
	int highest = -1;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		char link[128];
		ssize_t length = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link) - 1);

		if (length <= 0)
			continue;
		link[length] = '\0';
		if (strstr(link, word) && atoi(entry->d_name) > highest)
			highest = atoi(entry->d_name);
	}
	return highest;
}

static void kill_and_look(struct stage *stage, const char *const *extra, bool is_everybody)
{
	const struct squall_how how = {.extra = extra};
	struct squall *squall = squall_start(
		stage, &how,
		"inject --json network interface=sqv* follow=true direction=both delay=%dms "
		"for=60s",
		DELAY_MS / 2);
	int tap, owner;

	squall_await_injected(squall);
	add_pair(stage, "sqv2", 2);
	squall_await_followed(squall, 1, true, "sqv2");
	assert_delayed(stage, "10.88.2.2");
	/* the kernel lets go of the highest first: not of what packets still come to */
	tap = highest_descriptor(squall->worker, "/dev/net/tun");
	owner = highest_descriptor(squall->worker, extra[1] ? "bpf-map" : "socket:");
	printf("# taps up to %d, their owner %d\n", tap, owner);
	assert_true(owner > tap);
	if (is_everybody) {
		kill(squall->guardian, SIGSTOP);
		kill(squall->worker, SIGSTOP);
		kill(squall->pid, SIGSTOP);
		kill(squall->guardian, SIGKILL);
		kill(squall->pid, SIGKILL);
	}
	kill(squall->worker, SIGKILL);
	await_undelayed(stage, "10.88.2.2");
	assert_undelayed(stage, "10.88.2.2");
	squall_assert_exit(squall, is_everybody ? 128 + SIGKILL : 4);
	assert_true(process_await_gone(squall->worker, SOON_MS));
	assert_true(process_await_gone(squall->guardian, SOON_MS));
	if (is_everybody)
		assert_int_equal(squall_call(stage, NULL, "restore"), 0);
	stage_await_finished(stage);
	assert_bare(stage, "sqv2");
	delete_link(stage, "sqv2");
	stage_assert_clean(stage);
}

static void test_whoever_dies_leaves_nothing(void **state)
{
	kill_and_look(*state, ways[0], false);
	kill_and_look(*state, ways[1], true);
}

static void test_what_cannot_be_followed_is_said_before(void **state)
{
	struct stage *stage = *state;
	struct squall *squall;

	squall = squall_start(stage, NULL,
			      "inject network interface=sqv0 follow=true loss=1%% for=1s");
	squall_assert_exit(squall, 2);
	assert_true(squall_has_said(squall, "there is nothing to follow"));
	squall = squall_start(
		stage, NULL, "inject network interface=sqv* unit=cron follow=true loss=1%% for=1s");
	squall_assert_exit(squall, 2);
	assert_true(squall_has_said(squall, "not followed for some processes alone"));
	stage_write(stage, "no.yaml",
		    "version: 1\ntitle: t\nhypothesis: h\nlimits: {duration: 1m, targets: 1}\n"
		    "targets:\n  lan: {interface: eth0, follow: true}\n"
		    "method:\n  - {at: 0s, for: 1s, network: {target: lan, loss: 1%%}}\n");
	squall = squall_start(stage, NULL, "check %s", stage_path(stage, "no.yaml"));
	squall_assert_exit(squall, 2);
	assert_true(squall_has_said(squall, "no.yaml:6:34: follow: there is nothing to follow"));
	stage_assert_clean(stage);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_what_appears_is_affected_and_what_goes_is_let_go),
		TEST(test_what_is_renamed_keeps_what_the_user_put_there),
		TEST(test_what_was_away_for_a_moment_is_affected_again),
		TEST(test_the_default_route_moves),
		TEST(test_what_the_site_does_not_allow_is_left_alone),
		TEST(test_all_steps_of_a_target_follow),
		TEST(test_pulses_take_what_came_between_them),
		TEST(test_what_squall_makes_is_not_followed),
		TEST(test_whoever_dies_leaves_nothing),
		TEST(test_what_cannot_be_followed_is_said_before),
	};

	return STAGE_RUN(tests);
}
