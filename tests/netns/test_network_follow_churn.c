/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `follow: true` of interfaces that come and go faster than anybody looks: while a fault is being
 * injected, many at once, and after so many announcements that the kernel has dropped some.
 */
#include "tests/netns/follow_bench.h"

#define PAIRS 100
#define LINES 20
#define FLOOD 1500 /* announcements; a socket holds about a hundred */

static const char *const line[] = {"SQUALL_NETEM=off", NULL};
static const char *const gate[] = {"SQUALL_HOOK=clsact", "SQUALL_NETEM=off", NULL};

/* `ip` with that many copies of a text, each # in it being the number of the copy. */
static void run_many(const struct stage *stage, const char *text, unsigned count)
{
	const char *path = stage_write(stage, "batch", "%s", "");
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	for (unsigned i = 0; i < count; i++)
		for (const char *c = text; *c; c++)
			if (*c == '#')
				fprintf(file, "%u", i);
			else
				fputc(*c, file);
	assert_int_equal(fclose(file), 0);
	netlab_run("ip -n %s -batch %s", stage->lab->near, path);
}

static void churn_through_pulses(struct stage *stage, const char *const *extra)
{
	const struct squall_how how = {.extra = extra};
	struct squall *squall;

	stage_write(stage, "pulses.yaml",
		    "version: 1\ntitle: pulses\nhypothesis: pulses\nallow-idle: true\n"
		    "limits: {duration: 60s, targets: 4}\n"
		    "targets:\n  lan: {interface: \"sqv*\", follow: true}\n"
		    "method:\n"
		    "  - {at: 0s, for: 3s, every: 60ms, active: 20ms, network: {target: lan, "
		    "delay: 2ms}}\n");
	squall = squall_start(stage, &how, "run --json %s", stage_path(stage, "pulses.yaml"));
	squall_await_injected(squall);
	while (!squall_event(squall, "result")) {
		run_many(stage,
			 "link add sqv2 type veth peer name other\n"
			 "link delete sqv2\n",
			 10);
		netlab_ping(stage->lab, "10.88.0.2", 3000);
	}
	assert_null(squall_event(squall, "inject-failed"));
	squall_assert_exit(squall, 0);
	stage_assert_clean(stage);
}

static void test_what_goes_while_a_fault_is_injected_is_let_go(void **state)
{
	churn_through_pulses(*state, line);
	churn_through_pulses(*state, gate);
}

/* Of two hundred that the site refuses a few are told, and how many more there were. */
static void test_many_that_come_at_once_are_counted(void **state)
{
	const struct squall_how how = {.policy = "version: 1\nallow: {interfaces: [sqv0]}\n"};
	struct stage *stage = *state;
	struct squall *squall = squall_start(
		stage, &how, "inject --json network interface=sqv* follow=true delay=%dms for=60s",
		DELAY_MS);
	bool is_counted = false;

	squall_await_injected(squall);
	run_many(stage, "link add sqva# group 77 type veth peer name sqvb# group 77\n", PAIRS);
	for (unsigned nth = 1; !is_counted; nth++) {
		json_t *event = squall_await_nth(squall, "followed", nth);

		assert_true(json_is_false(json_object_get(event, "changed")));
		assert_true(nth < PAIRS);
		is_counted = strstr(member_text(event, "text"), "too many to tell each") != NULL;
		if (is_counted)
			printf("# %s\n", member_text(event, "text"));
	}
	stage_assert_delay(stage, "10.88.0.2", NETLAB_PORT, DELAY_MS);
	squall_signal(squall, SIGINT);
	squall_assert_exit(squall, 4);
	printf("# %u told\n", squall_count_followed(squall));
	netlab_run("ip -n %s link delete group 77", stage->lab->near);
	stage_assert_clean(stage);
}

static unsigned count_taps(const struct stage *stage)
{
	cleanup_free char *list = netlab_output("ip -n %s -o link show type tun", stage->lab->near);
	unsigned count = 0;

	for (const char *c = list; *c; c++)
		count += *c == '\n';
	return count;
}

static void await_taps(const struct stage *stage, unsigned count)
{
	int64_t until_ns = clock_now_ns() + 3 * STAGE_WAIT_MS * NSEC_PER_MSEC;

	while (count_taps(stage) != count && clock_now_ns() < until_ns)
		pause_ms(50);
	assert_int_equal(count_taps(stage), count);
}

/* Each with a line of its own; and whoever is to stop meanwhile, stops. */
static void test_many_that_go_at_once_are_let_go(void **state)
{
	const struct squall_how how = {.extra = line};
	struct stage *stage = *state;

	for (unsigned round = 0; round < 2; round++) {
		struct squall *squall = squall_start(stage, &how,
						     "inject --json network interface=sqv* "
						     "follow=true delay=%dms for=60s",
						     DELAY_MS);

		squall_await_injected(squall);
		run_many(stage, "link add sqva# group 77 type veth peer name sqvb# group 77\n",
			 LINES);
		await_taps(stage, 2 * LINES + 1);
		netlab_run("ip -n %s link delete group 77", stage->lab->near);
		if (round == 0)
			await_taps(stage, 1);
		squall_signal(squall, SIGINT);
		squall_assert_exit(squall, 4);
	}
	stage_assert_clean(stage);
}

static void away_unheard(struct stage *stage, const char *const *extra)
{
	const struct squall_how how = {.extra = extra};
	const struct netlab *lab = stage->lab;
	struct squall *squall;

	add_pair(stage, "sqv2", 2);
	squall = squall_start(stage, &how,
			      "inject --json network interface=sqv* follow=true delay=%dms for=60s",
			      DELAY_MS);
	squall_await_injected(squall);
	await_delayed(stage, "10.88.2.2", STAGE_WAIT_MS);
	kill(squall->worker, SIGSTOP);
	run_many(stage, "link set sqv2 alias number#\n", FLOOD);
	netlab_run("ip -n %s link set sqv2 netns %s", lab->near, lab->far);
	netlab_run("ip -n %s link set sqv2 netns %s", lab->far, lab->near);
	netlab_run("ip -n %s address add 10.88.2.1/24 dev sqv2", lab->near);
	netlab_run("ip -n %s link set sqv2 up", lab->near);
	kill(squall->worker, SIGCONT);
	pause_ms(1500); /* what is looked at now and then has been looked at */
	assert_null(squall_event(squall, "stopping"));
	await_delayed(stage, "10.88.2.2", STAGE_WAIT_MS);
	squall_signal(squall, SIGINT);
	squall_assert_exit(squall, 4);
	delete_link(stage, "sqv2");
	stage_assert_clean(stage);
}

static void test_what_was_away_unheard_is_affected_again(void **state)
{
	away_unheard(*state, line);
	away_unheard(*state, gate);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_what_goes_while_a_fault_is_injected_is_let_go),
		TEST(test_many_that_come_at_once_are_counted),
		TEST(test_many_that_go_at_once_are_let_go),
		TEST(test_what_was_away_unheard_is_affected_again),
	};

	return STAGE_RUN(tests);
}
