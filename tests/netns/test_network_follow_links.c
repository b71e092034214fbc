/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `follow: true` of interfaces: they appear, go, come back and are renamed, by each way to take
 * packets and to delay them. What is not allowed is left alone, and what is the user's stays. When
 * the default route moves: test_network_follow_route.c; faster than anybody looks:
 * test_network_follow_churn.c.
 */
#include "tests/netns/follow_bench.h"

/* On an emulated machine with netem one of them: the others are tried where it is fast. */
static void each_way(struct stage *stage, void (*fn)(struct stage *, const char *const *extra),
		     unsigned emulated_way)
{
	const unsigned count = netlab_has_netem() ? WAYS : 2;

	for (unsigned i = 0; i < count; i++) {
		if (is_emulated() && count > 2 && i != emulated_way)
			continue;
		printf("# %s\n", ways[i][0]);
		fn(stage, ways[i]);
	}
}

static void rename_link(const struct stage *stage, const char *from, const char *to)
{
	netlab_run("ip -n %s link set %s down", stage->lab->near, from);
	netlab_run("ip -n %s link set %s name %s", stage->lab->near, from, to);
	netlab_run("ip -n %s link set %s up", stage->lab->near, to);
}

/* Containers are not there yet, or the tunnel is down. */
static void none_at_first(struct stage *stage, const char *const *extra)
{
	const struct squall_how how = {.extra = extra};
	struct squall *squall = squall_start(
		stage, &how, "inject --json network interface=veq* follow=true delay=%dms for=10m",
		DELAY_MS);

	squall_await_injected(squall);
	assert_undelayed(stage, "10.88.0.2");
	add_pair(stage, "veq2", 2);
	squall_await_followed(squall, 1, true, "affected as well from now on: veq2");
	assert_delayed(stage, "10.88.2.2");
	assert_undelayed(stage, "10.88.0.2");
	end(stage, squall);
	assert_bare(stage, "veq2");
	delete_link(stage, "veq2");
	stage_assert_clean(stage);
}

static void test_a_pattern_of_interfaces_that_are_to_come(void **state)
{
	each_way(*state, none_at_first, 1);
}

/* Of ours: taps and ifbs. */
static unsigned links_made(const struct stage *stage)
{
	cleanup_free char *text =
		netlab_output("ip -n %s -o link show group 29553", stage->lab->near);
	unsigned made = 0;

	for (const char *at = text; (at = strchr(at, '\n')); at++)
		made++;
	return made;
}

static void await_links_made(const struct stage *stage, unsigned wanted)
{
	int64_t until_ns = clock_now_ns() + SOON_MS * NSEC_PER_MSEC;

	while (links_made(stage) != wanted && clock_now_ns() < until_ns)
		pause_ms(20);
	assert_int_equal(links_made(stage), wanted);
}

static void come_and_go(struct stage *stage, const char *const *extra)
{
	const struct squall_how how = {.extra = extra};
	struct squall *squall = squall_start(
		stage, &how, "inject --json network interface=sqv* follow=true delay=%dms for=10m",
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
	for (unsigned i = 0; i < (netlab_has_netem() ? WAYS : 2); i++) {
		printf("# %s\n", ways[i][0]);
		come_and_go(*state, ways[i]);
	}
}

/* What depends on other packets has a queue for each interface; by netem that is an ifb. */
static void come_and_go_with_queues(struct stage *stage, const char *const *extra)
{
	const struct squall_how how = {.extra = extra};
	const bool is_netem = strcmp(extra[0], ways[0][0]) != 0 && !extra[1];
	struct squall *squall =
		squall_start(stage, &how,
			     "inject --json network interface=sqv* follow=true delay=%dms "
			     "rate=1gbit direction=both for=10m",
			     DELAY_MS);

	squall_await_injected(squall);
	if (is_netem)
		assert_int_equal(links_made(stage), 2);
	add_pair(stage, "sqv2", 2);
	squall_await_followed(squall, 1, true, "affected as well from now on: sqv2");
	if (is_netem)
		assert_int_equal(links_made(stage), 4);
	assert_delayed_by(stage, "10.88.2.2", 2);
	rename_link(stage, "sqv2", "other");
	squall_await_followed(squall, 2, true, "sqv2 (renamed)");
	await_undelayed(stage, "10.88.2.2");
	if (is_netem)
		await_links_made(stage, 2);
	rename_link(stage, "other", "sqv2");
	squall_await_followed(squall, 3, true, "sqv2");
	assert_delayed_by(stage, "10.88.2.2", 2);
	delete_link(stage, "sqv2");
	squall_await_followed(squall, 4, true, "no longer affected: sqv2 (gone)");
	if (is_netem)
		await_links_made(stage, 2);
	assert_delayed_by(stage, "10.88.0.2", 2);
	end(stage, squall);
	stage_assert_clean(stage);
}

static void test_each_that_appears_has_queues_of_its_own(void **state)
{
	each_way(*state, come_and_go_with_queues, 2);
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
			      "delay=%dms for=10m",
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
			      "inject --json network interface=sqv* follow=true delay=%dms for=10m",
			      DELAY_MS);
	squall_await_injected(squall);
	assert_delayed(stage, "10.88.2.2");
	netlab_run("ip -n %s link set sqv2 netns %s", lab->near, lab->far);
	netlab_run("ip -n %s link set sqv2 netns %s", lab->far, lab->near);
	netlab_run("ip -n %s address add 10.88.2.1/24 dev sqv2", lab->near);
	netlab_run("ip -n %s link set sqv2 up", lab->near);
	await_delayed(stage, "10.88.2.2", is_emulated() ? SOON_MS : 300);
	end(stage, squall);
	delete_link(stage, "sqv2");
	stage_assert_clean(stage);
}

static void test_what_was_away_for_a_moment_is_affected_again(void **state)
{
	each_way(*state, away_and_back, 2);
}

static void test_what_the_site_does_not_allow_is_left_alone(void **state)
{
	const struct squall_how how = {.policy = "version: 1\nallow: {interfaces: [sqv0, sqv3]}\n"};
	struct stage *stage = *state;
	struct squall *squall = squall_start(
		stage, &how, "inject --json network interface=sqv* follow=true delay=%dms for=10m",
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

static void test_what_squall_makes_is_not_followed(void **state)
{
	static const char *const line[] = {"SQUALL_NETEM=off", NULL};
	const struct squall_how by_line = {.extra = line};
	struct stage *stage = *state;
	struct squall *squall =
		squall_start(stage, NULL,
			     "inject --json network interface=* follow=true loss=100%% for=10m "
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

static void test_what_cannot_be_followed_is_said_before(void **state)
{
	struct stage *stage = *state;
	struct squall *squall;

	squall = squall_start(stage, NULL,
			      "inject network interface=sqv0 follow=true loss=1%% for=1s");
	squall_assert_exit(squall, 2);
	assert_true(squall_has_said(squall, "there is nothing to follow"));
	squall = squall_start(stage, NULL,
			      "inject port action=exhaust to=10.88.0.2:80 follow=true for=1s");
	squall_assert_exit(squall, 2);
	assert_true(squall_has_said(squall, "keeps the addresses and interfaces that it begins"));
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
		TEST(test_a_pattern_of_interfaces_that_are_to_come),
		TEST(test_each_that_appears_has_queues_of_its_own),
		TEST(test_what_is_renamed_keeps_what_the_user_put_there),
		TEST(test_what_was_away_for_a_moment_is_affected_again),
		TEST(test_what_the_site_does_not_allow_is_left_alone),
		TEST(test_what_squall_makes_is_not_followed),
		TEST(test_what_cannot_be_followed_is_said_before),
	};

	return STAGE_RUN(tests);
}
