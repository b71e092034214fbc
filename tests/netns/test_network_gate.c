/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The way for kernels without the nf_tables egress hook, on whatever kernel this is: tc filters
 * behind a gate that shuts by itself when its process dies. What the user has in his clsact stays,
 * and what was added goes.
 */
#include "tests/netns/gate_bench.h"

#include "injector/base/clock.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define DELAY_NS (60 * NSEC_PER_MSEC)
#define FAST_NS	 (40 * NSEC_PER_MSEC)

static bool is_slow(const struct netlab *lab, const char *address, uint16_t port)
{
	return netlab_fastest(lab, address, port, 2) >= DELAY_NS;
}

static bool is_fast(const struct netlab *lab, const char *address, uint16_t port)
{
	int64_t took_ns = netlab_fastest(lab, address, port, 3);

	return took_ns >= 0 && took_ns < FAST_NS;
}

static bool has_clsact(const struct netlab *lab)
{
	return has_clsact_at(lab, "sqv0");
}

static void test_plan_says_that_clsact_is_added(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char *before = netlab_dump(lab);

	netlab_fault_start(
		lab, &fault, "gggga1",
		(const char *[]){"to", "10.88.0.2", "to", "fd88::2", "delay", "60ms", NULL});
	assert_non_null(strstr(fault.plan, "add clsact to sqv0"));
	assert_non_null(strstr(fault.plan, "SQUALL_HOOK=clsact"));
	assert_null(strstr(fault.plan, "add table"));
	assert_true(has_clsact(lab));
	assert_true(is_slow(lab, "10.88.0.2", NETLAB_PORT));
	assert_true(is_slow(lab, "fd88::2", NETLAB_PORT));
	assert_true(is_fast(lab, "10.88.0.3", NETLAB_PORT));
	assert_true(is_fast(lab, "fd88::3", NETLAB_PORT));
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	assert_false(has_clsact(lab));
	netlab_same(lab, before);
}

static void test_a_clsact_of_the_user_is_used_and_stays(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char *before;

	netlab_run("tc -n %s qdisc add dev sqv0 clsact", lab->near);
	netlab_run("tc -n %s filter add dev sqv0 egress prio 5 protocol ip u32 match ip dport 9 "
		   "0xffff flowid 1:1",
		   lab->near);
	before = netlab_dump(lab);
	netlab_fault_start(
		lab, &fault, "gggga2",
		(const char *[]){"to", "10.88.0.2", "loss", "100%", "direction", "both", NULL});
	assert_non_null(strstr(fault.plan, "sqv0 has a clsact, which is used and stays"));
	assert_int_equal(netlab_answers(lab, "10.88.0.2", NETLAB_PORT, 3), 0);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	netlab_same(lab, before);
}

/* The first run adds it, the second finds it: whoever ends last takes it away. */
static void test_the_last_of_two_runs_removes_what_was_added(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault first, second;
	char *before = netlab_dump(lab);

	netlab_fault_start(lab, &first, "gggga3",
			   (const char *[]){"to", "10.88.0.2", "loss", "100%", NULL});
	netlab_fault_start(lab, &second, "gggga4",
			   (const char *[]){"to", "10.88.0.3", "delay", "60ms", NULL});
	netlab_fault_finish(&first, FAULT_END_NOW);
	assert_true(has_clsact(lab));
	assert_true(is_fast(lab, "10.88.0.2", NETLAB_PORT));
	assert_true(is_slow(lab, "10.88.0.3", NETLAB_PORT));
	netlab_fault_finish(&second, FAULT_END_NOW);
	netlab_same(lab, before);
}

static void test_an_empty_clsact_of_the_user_survives_two_runs(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault first, second;
	char *before;

	netlab_run("tc -n %s qdisc add dev sqv0 clsact", lab->near);
	before = netlab_dump(lab);
	netlab_fault_start(lab, &first, "gggga5",
			   (const char *[]){"to", "10.88.0.2", "loss", "100%", NULL});
	netlab_fault_start(lab, &second, "gggga6",
			   (const char *[]){"to", "10.88.0.3", "delay", "60ms", NULL});
	netlab_fault_finish(&first, FAULT_END_NOW);
	netlab_fault_finish(&second, FAULT_END_NOW);
	netlab_same(lab, before);
}

/* A worker of its own, killed in the middle: what is left is inert, without anybody's help. */
static void check_killed(struct netlab *lab, const char *const *settings)
{
	char *before = netlab_dump(lab);
	pid_t pid = netlab_fault_start_apart(lab, "gggga7", settings);
	int64_t killed_ns;

	assert_false(is_fast(lab, "10.88.0.2", NETLAB_PORT));
	netlab_kill(pid);
	killed_ns = clock_now_ns();
	while (!is_fast(lab, "10.88.0.2", NETLAB_PORT))
		assert_true(clock_now_ns() - killed_ns < 5 * NSEC_PER_SEC);
	assert_true(has_clsact(lab)); /* nobody has tidied up yet */
	netlab_undo_all("gggga7");
	netlab_undo_all("gggga7");
	netlab_same(lab, before);
}

static void test_killed_while_delaying(void **state)
{
	check_killed(*state, (const char *[]){"to", "10.88.0.2", "delay", "60ms", "loss", "1%",
					      "direction", "both", NULL});
}

static void test_killed_while_losing(void **state)
{
	check_killed(*state, (const char *[]){"to", "10.88.0.2", "loss", "100%", NULL});
}

/* A longer prefix keeps what the shorter ones around it have, and adds its own ports. */
static void test_nested_networks_add_up(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	netlab_fault_start(lab, &fault, "gggga8",
			   (const char *[]){"to", "10.88.0.0/24:7000-7001", "to", "10.88.0.2:7002",
					    "to", "10.88.0.3:1-99", "delay", "60ms", NULL});
	assert_true(is_slow(lab, "10.88.0.2", NETLAB_PORT));
	assert_true(is_slow(lab, "10.88.0.2", NETLAB_OTHER_PORT));
	assert_true(is_slow(lab, "10.88.0.3", NETLAB_PORT));
	assert_true(is_fast(lab, "fd88::3", NETLAB_PORT));
	assert_true(netlab_ping(lab, "10.88.0.2", 1000) < FAST_NS); /* it has no port */
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

static void test_somebody_removes_the_filter(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct evidence evidence;
	struct error err = ERROR_INIT;
	char *before = netlab_dump(lab);

	netlab_fault_start(lab, &fault, "gggga9",
			   (const char *[]){"to", "10.88.0.2", "delay", "60ms", NULL});
	assert_int_equal(network_fault.evidence(&fault.fault, &evidence, &err), 0);
	netlab_run("tc -n %s filter delete dev sqv0 egress", lab->near);
	assert_int_equal(network_fault.evidence(&fault.fault, &evidence, &err), -ESTALE);
	assert_non_null(strstr(err.text, "filter"));
	netlab_fault_finish(&fault, FAULT_END_NOW);
	netlab_same(lab, before);
}

/* Nor is what holds it: with its record gone, it would stay for good behind them. */
static void test_a_filter_that_cannot_be_removed_is_not_gone(void **state)
{
	struct restore_report refused = {0}, allowed = {0};
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct error err = ERROR_INIT;
	char *before = netlab_dump(lab);
	bool is_told = false;

	netlab_fault_start(lab, &fault, "ggggb1",
			   (const char *[]){"to", "10.88.0.2", "loss", "100%", NULL});
	filters_stay = clsact_stays = true;
	assert_int_equal(restore_records(fault.journal, -1, &refused, &err), 0);
	filters_stay = clsact_stays = false;
	for (unsigned i = 0; i < refused.left_count; i++) {
		print_message("%s\n", refused.left[i]);
		is_told |= strstr(refused.left[i], "qdisc delete dev sqv0 clsact") != NULL;
	}
	assert_int_equal(refused.failed, 2);
	assert_true(is_told);
	assert_int_equal(restore_records(fault.journal, -1, &allowed, &err), 0);
	assert_int_equal(allowed.failed, 0);
	assert_false(has_clsact(lab));
	restore_report_free(&refused);
	restore_report_free(&allowed);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	netlab_same(lab, before);
}

static void start_second(struct netlab *lab, const struct netlab_fault *first,
			 struct netlab_fault *second)
{
	netlab_fault_start_step(lab, second, first, 1,
				(const char *[]){"to", "10.88.0.3", "loss", "100%", NULL});
}

static void leave_second(struct netlab_fault *second)
{
	second->journal = NULL; /* the first one's */
	netlab_fault_finish(second, FAULT_END_NOW);
}

/* Whose filters are refused takes the other's for somebody else's no more. */
static void test_the_filters_of_two_steps_cannot_be_removed(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault first, second;
	char *before = netlab_dump(lab);

	netlab_fault_start(lab, &first, "ggggb2",
			   (const char *[]){"to", "10.88.0.2", "loss", "100%", NULL});
	start_second(lab, &first, &second);
	netlab_fault_end(&second, FAULT_END_NOW);
	netlab_fault_end(&first, FAULT_END_NOW);
	assert_refused(&first, -1, 4, "qdisc delete dev sqv0 clsact");
	netlab_undo_all("ggggb2");
	netlab_same(lab, before);
	leave_second(&second);
	netlab_fault_finish(&first, FAULT_END_NOW);
}

/* Nobody needs any of them. */
static void test_the_clsact_takes_filters_that_cannot_be_removed(void **state)
{
	struct restore_report report = {0};
	struct netlab *lab = *state;
	struct netlab_fault first, second;
	struct error err = ERROR_INIT;
	char *before = netlab_dump(lab);

	netlab_fault_start(lab, &first, "ggggb8",
			   (const char *[]){"to", "10.88.0.2", "loss", "100%", NULL});
	start_second(lab, &first, &second);
	netlab_fault_end(&second, FAULT_END_NOW);
	netlab_fault_end(&first, FAULT_END_NOW);
	filters_stay = true;
	assert_int_equal(restore_records(first.journal, -1, &report, &err), 0);
	filters_stay = false;
	assert_int_equal(report.failed, 0);
	netlab_same(lab, before);
	restore_report_free(&report);
	leave_second(&second);
	netlab_fault_finish(&first, FAULT_END_NOW);
}

/* The other one goes on: no command that would take its filters away is told. */
static void test_the_filter_of_the_first_step_cannot_be_removed(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault first, second;
	char *before = netlab_dump(lab);

	netlab_fault_start(lab, &first, "ggggb3",
			   (const char *[]){"to", "10.88.0.2", "loss", "100%", NULL});
	start_second(lab, &first, &second);
	netlab_fault_end(&first, FAULT_END_NOW);
	assert_refused(&first, 0, 2, "clsact of sqv0: filters of other steps or runs are in it");
	assert_int_equal(netlab_answers(lab, "10.88.0.3", NETLAB_PORT, 2), 0);
	netlab_fault_end(&second, FAULT_END_NOW);
	assert_refused(&first, 1, 2, "qdisc delete dev sqv0 clsact");
	netlab_undo_all("ggggb3");
	netlab_same(lab, before);
	leave_second(&second);
	netlab_fault_finish(&first, FAULT_END_NOW);
}

/* Without the other one's: the first step ends, and the second takes the clsact away. */
static void test_the_last_of_two_steps_removes_what_was_added(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault first, second;
	char *before = netlab_dump(lab);

	netlab_fault_start(lab, &first, "ggggb4",
			   (const char *[]){"to", "10.88.0.2", "loss", "100%", NULL});
	start_second(lab, &first, &second);
	netlab_fault_end(&first, FAULT_END_NOW);
	netlab_undo_step("ggggb4", 0);
	assert_true(has_clsact(lab));
	assert_int_equal(netlab_answers(lab, "10.88.0.3", NETLAB_PORT, 2), 0);
	netlab_fault_end(&second, FAULT_END_NOW);
	netlab_undo_step("ggggb4", 1);
	netlab_same(lab, before);
	leave_second(&second);
	netlab_fault_finish(&first, FAULT_END_NOW);
}

/* The way there and the way back, in both directions. */
static void test_every_filter_of_a_record_is_told(void **state)
{
	static const char *const filters[] = {"egress pref 65534", "egress pref 65535",
					      "ingress pref 65534", "ingress pref 65535"};
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char *before = netlab_dump(lab), all[512] = "";

	netlab_fault_start(
		lab, &fault, "ggggb5",
		(const char *[]){"to", "10.88.0.2", "delay", "60ms", "direction", "both", NULL});
	for (unsigned i = 0; i < 4; i++)
		snprintf(all + strlen(all), sizeof(all) - strlen(all),
			 "%sip netns exec %s tc filter delete dev sqv0 %s handle 0x1 bpf",
			 i ? "; " : "", lab->near, filters[i]);
	netlab_fault_end(&fault, FAULT_END_NOW);
	assert_refused(&fault, -1, 2, all);
	assert_int_equal(system(all), 0); /* as it was told */
	netlab_fault_finish(&fault, FAULT_END_NOW);
	netlab_same(lab, before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define IN_LAB(test)                                                                               \
	cmocka_unit_test_setup_teardown(test, netlab_setup_filters, netlab_teardown_ways)
		IN_LAB(test_plan_says_that_clsact_is_added),
		IN_LAB(test_a_clsact_of_the_user_is_used_and_stays),
		IN_LAB(test_the_last_of_two_runs_removes_what_was_added),
		IN_LAB(test_an_empty_clsact_of_the_user_survives_two_runs),
		IN_LAB(test_killed_while_delaying),
		IN_LAB(test_killed_while_losing),
		IN_LAB(test_nested_networks_add_up),
		IN_LAB(test_somebody_removes_the_filter),
		IN_LAB(test_a_filter_that_cannot_be_removed_is_not_gone),
		IN_LAB(test_the_filters_of_two_steps_cannot_be_removed),
		IN_LAB(test_the_clsact_takes_filters_that_cannot_be_removed),
		IN_LAB(test_the_filter_of_the_first_step_cannot_be_removed),
		IN_LAB(test_the_last_of_two_steps_removes_what_was_added),
		IN_LAB(test_every_filter_of_a_record_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
