/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Nothing is left behind: the worker is killed, undone by another process, by several, twice; what
 * the user had is identical afterwards; two runs at once; the target goes away in the middle.
 */
#include "tests/support/netlab.h"
#include "tests/support/squall_runner.h"

#include "faults/network.h"
#include "faults/network_netem.h"
#include "injector/base/clock.h"
#include "injector/kernel/link.h"
#include "injector/kernel/nft_match.h"
#include "injector/kernel/qdisc.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define DELAY_NS (60 * NSEC_PER_MSEC)
#define FAST_NS	 (40 * NSEC_PER_MSEC)

static bool is_slow(const struct netlab *lab, const char *address)
{
	return netlab_fastest(lab, address, NETLAB_PORT, 2) >= DELAY_NS;
}

static bool is_fast(const struct netlab *lab, const char *address)
{
	int64_t took_ns = netlab_fastest(lab, address, NETLAB_PORT, 3);

	return took_ns >= 0 && took_ns < FAST_NS;
}

static void check_kill(struct netlab *lab, const char *address, const char *const *settings)
{
	char *before = netlab_dump(lab);
	pid_t pid = netlab_fault_start_apart(lab, "bbbbb1", settings);
	int64_t killed_ns;

	assert_true(is_slow(lab, address));
	netlab_kill(pid);
	killed_ns = clock_now_ns();
	while (!is_fast(lab, address))
		assert_true(clock_now_ns() - killed_ns < NSEC_PER_SEC);
	/* another process, from the journal alone, and once more */
	netlab_undo_all("bbbbb1");
	netlab_undo_all("bbbbb1");
	netlab_same(lab, before);
}

static void test_killed_worker_leaves_nothing(void **state)
{
	check_kill(*state, "10.88.0.2",
		   (const char *[]){"to", "10.88.0.2", "delay", "60ms", "loss", "1%", NULL});
}

static void test_killed_worker_leaves_nothing_on_loopback(void **state)
{
	check_kill(*state, "127.0.0.1", (const char *[]){"to", "127.0.0.1", "delay", "60ms", NULL});
}

static void test_killed_worker_with_packets_waiting(void **state)
{
	struct netlab *lab = *state;
	char *before = netlab_dump(lab);
	pid_t pid = netlab_fault_start_apart(
		lab, "bbbbb2", (const char *[]){"to", "10.88.0.2", "delay", "10s", NULL});
	int64_t begin_ns;

	assert_int_equal(netlab_round_trip(lab, "10.88.0.2", NETLAB_PORT, 50), -1);
	netlab_kill(pid);
	begin_ns = clock_now_ns();
	netlab_undo_all("bbbbb2");
	assert_true(clock_now_ns() - begin_ns < 5 * NSEC_PER_SEC);
	assert_true(is_fast(lab, "10.88.0.2"));
	netlab_same(lab, before);
}

static void check_foreign(struct netlab *lab, const char *run, const char *const *settings)
{
	struct netlab_fault fault;
	char *before = netlab_dump(lab);

	netlab_fault_start(lab, &fault, run, settings);
	assert_true(is_slow(lab, "10.88.0.2"));
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	netlab_same(lab, before);
}

static void test_htb_tree_stays(void **state)
{
	struct netlab *lab = *state;

	netlab_run("tc -n %s qdisc add dev sqv0 root handle 1: htb default 10", lab->near);
	netlab_run("tc -n %s class add dev sqv0 parent 1: classid 1:10 htb rate 500mbit",
		   lab->near);
	netlab_run("tc -n %s class add dev sqv0 parent 1: classid 1:20 htb rate 100mbit",
		   lab->near);
	if (netlab_try("tc -n %s qdisc add dev sqv0 parent 1:10 handle 10: fq_codel limit 777",
		       lab->near) != 0)
		netlab_run("tc -n %s qdisc add dev sqv0 parent 1:10 handle 10: bfifo limit 77777",
			   lab->near);
	netlab_run("tc -n %s qdisc add dev sqv0 parent 1:20 handle 20: pfifo limit 55", lab->near);
	check_foreign(lab, "bbbbb3",
		      (const char *[]){"to", "10.88.0.2", "delay", "60ms", "loss", "1%",
				       "direction", "both", NULL});
}

static void test_foreign_tables_stay(void **state)
{
	struct netlab *lab = *state;

	netlab_run("ip netns exec %s nft add table netdev theirs", lab->near);
	netlab_run("ip netns exec %s nft add chain netdev theirs out { type filter hook %s device "
		   "sqv0 priority 0 ; }",
		   lab->near, netlab_has_egress_hook(lab) ? "egress" : "ingress");
	netlab_run("ip netns exec %s nft add rule netdev theirs out udp dport 9999 drop",
		   lab->near);
	netlab_run("ip netns exec %s nft add table inet filter", lab->near);
	check_foreign(lab, "bbbbb4", (const char *[]){"to", "10.88.0.2", "delay", "60ms", NULL});
}

static void test_foreign_filters_act_and_stay(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	bool is_filtered;
	char *before;

	netlab_run("tc -n %s qdisc add dev sqv0 clsact", lab->near);
	/* their filter drops one port; a packet that comes from an ifb would pass it */
	is_filtered =
		netlab_try("tc -n %s filter add dev sqv0 egress protocol ip u32 match ip dport "
			   "%d 0xffff action drop",
			   lab->near, NETLAB_OTHER_PORT) == 0;
	before = netlab_dump(lab);
	netlab_fault_start(lab, &fault, "bbbbb5",
			   (const char *[]){"to", "10.88.0.2", "delay", "60ms", NULL});
	/* by clsact it is in front of ours */
	assert_int_equal(strstr(fault.plan, "bypass") != NULL,
			 is_filtered && netlab_has_netem() && netlab_has_egress_hook(lab));
	assert_true(is_slow(lab, "10.88.0.2"));
	/* a kernel without u32 has only the clsact to show */
	assert_int_equal(netlab_round_trip(lab, "10.88.0.2", NETLAB_OTHER_PORT, 300) < 0,
			 is_filtered);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	netlab_same(lab, before);
}

static void test_two_runs_overlap(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault first, second;
	char *before = netlab_dump(lab);

	netlab_fault_start(lab, &first, "bbbbb6",
			   (const char *[]){"to", "10.88.0.2", "delay", "60ms", NULL});
	netlab_fault_start(lab, &second, "bbbbb7",
			   (const char *[]){"to", "10.88.0.0/24", "delay", "60ms", NULL});
	assert_true(is_slow(lab, "10.88.0.2"));
	assert_true(is_slow(lab, "10.88.0.3"));
	netlab_fault_finish(&first, FAULT_END_NOW);
	assert_true(is_slow(lab, "10.88.0.2"));
	assert_true(is_slow(lab, "10.88.0.3"));
	netlab_fault_finish(&second, FAULT_END_NOW);
	assert_true(is_fast(lab, "10.88.0.2"));
	assert_true(is_fast(lab, "10.88.0.3"));
	netlab_same(lab, before);
}

/* 127.0.0.1 only is answered, so the second step delays the same traffic. */
static void test_two_steps_on_loopback_share_its_settings(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault first, second;
	char *before = netlab_dump(lab);

	netlab_fault_start(lab, &first, "bbbbb8",
			   (const char *[]){"to", "127.0.0.1", "delay", "60ms", NULL});
	netlab_fault_start_step(lab, &second, &first, 1,
				(const char *[]){"to", "127.0.0.0/8", "delay", "60ms", NULL});
	assert_non_null(strstr(second.plan, "another network step"));
	netlab_fault_end(&first, FAULT_END_NOW);
	netlab_undo_step("bbbbb8", 0);
	assert_true(is_slow(lab, "127.0.0.1"));
	netlab_fault_end(&second, FAULT_END_NOW);
	netlab_undo_step("bbbbb8", 1);
	assert_true(is_fast(lab, "127.0.0.1"));
	netlab_same(lab, before);
	second.journal = NULL; /* the first one's */
	netlab_fault_finish(&second, FAULT_END_NOW);
	netlab_fault_finish(&first, FAULT_END_NOW);
}

static void test_loss_beside_delay_composes(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault delay, loss;
	unsigned answers;

	netlab_fault_start(lab, &delay, "bbbbb9",
			   (const char *[]){"to", "10.88.0.2", "delay", "60ms", NULL});
	netlab_fault_start(lab, &loss, "bbbbba",
			   (const char *[]){"to", "10.88.0.2", "loss", "50%", NULL});
	/* the fastest of twelve: one in 4096 runs would lose them all */
	assert_true(netlab_fastest(lab, "10.88.0.2", NETLAB_PORT, 12) >= DELAY_NS);
	answers = netlab_answers(lab, "10.88.0.2", NETLAB_PORT, 400);
	assert_in_range(answers, 140, 260);
	netlab_fault_finish(&delay, FAULT_END_NOW);
	answers = netlab_answers(lab, "10.88.0.2", NETLAB_PORT, 400);
	assert_in_range(answers, 140, 260);
	netlab_fault_finish(&loss, FAULT_END_NOW);
	assert_true(is_fast(lab, "10.88.0.2"));
}

static void test_interface_vanishes(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	netlab_fault_start(lab, &fault, "bbbbbb",
			   (const char *[]){"to", "10.88.0.2", "delay", "60ms", NULL});
	netlab_run("ip -n %s link delete sqv0", lab->near);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	assert_int_not_equal(netlab_try("ip -n %s link show sqbbbbbb-0", lab->near), 0);
}

static void test_namespace_vanishes(void **state)
{
	struct netlab *lab = *state;
	pid_t pid = netlab_fault_start_apart(
		lab, "bbbbbc", (const char *[]){"to", "10.88.0.2", "delay", "60ms", NULL});

	netlab_kill(pid);
	/* our own descriptors keep it alive until here */
	netlab_run("ip netns delete %s", lab->near);
	netlab_undo_all("bbbbbc");
}

/* What carries our name but not our marks is somebody else's. */
static void test_undo_leaves_what_is_not_ours(void **state)
{
	struct netlab *lab = *state;
	pid_t pid = netlab_fault_start_apart(
		lab, "bbbbbd", (const char *[]){"to", "10.88.0.2", "delay", "60ms", NULL});
	char *name;

	netlab_kill(pid);
	netlab_try("ip -n %s link delete sqbbbbbd-0", lab->near);
	netlab_run("ip -n %s link add sqbbbbbd-0 type ifb", lab->near);
	netlab_undo_all("bbbbbd");
	name = netlab_output("ip -n %s -o link show sqbbbbbd-0", lab->near);
	assert_non_null(strstr(name, "sqbbbbbd-0"));
	free(name);
}

/* A namespace that got the inode number of one that is gone: nothing in it is ours, whatever its
 * name and marks. */
static void test_a_namespace_that_took_the_number_of_another_is_left_alone(void **state)
{
	struct netlab *lab = *state;
	struct journal_record record = {.type = NETWORK_RECORD_LINK};
	struct network_record what = {.link = "sqcookie-0",
				      .alias = "squall run cookie step 0",
				      .group = NETWORK_LINK_GROUP};
	struct netlink *netlink;
	struct link link;
	int index;

	assert_int_equal(netlink_open(lab->near_fd, &netlink, NULL), 0);
	if (!netlink_namespace_cookie(netlink))
		stage_skip("no number of a network namespace before Linux 5.14");
	assert_int_equal(link_create_ifb(netlink, what.link, what.group, what.alias, &index, NULL),
			 0);
	assert_int_equal(namespace_identify(lab->near_fd, &what.namespace_id, NULL), 0);
	what.namespace_cookie = netlink_namespace_cookie(netlink) + 1;
	memcpy(record.payload, &what, sizeof(what));
	assert_int_equal(network_undo(&record, NULL), 0);
	assert_int_equal(link_find(netlink, what.link, &link, NULL), 0);
	what.namespace_cookie = netlink_namespace_cookie(netlink);
	memcpy(record.payload, &what, sizeof(what));
	assert_int_equal(network_undo(&record, NULL), 0);
	assert_int_equal(link_find(netlink, what.link, &link, NULL), -ENODEV);
	netlink_close(netlink);
}

/* Without netem the ifb never is the fault's own way, so its life is tried with tbf alone. */
static void test_ifb_drains_before_it_is_deleted(void **state)
{
	struct netlab *lab = *state;
	const struct qdisc_rate slow = {.bytes = 20000, .burst = 2000, .limit = 1000000};
	struct netlab_stream stream;
	struct netlink *netlink;
	struct error err = ERROR_INIT;
	unsigned answers, reordered;
	const uint8_t peer[] = {10, 88, 0, 2};
	struct nft_batch batch;
	struct netlink *netfilter;
	bool is_empty;
	int index;

	if (!netlab_has_egress_hook(lab))
		stage_skip("no nf_tables egress hook, which forwards to it here");
	if (netlink_open(lab->near_fd, &netlink, &err) < 0 ||
	    link_create_ifb(netlink, "sqntifb", 7, "sqnt test", &index, &err) < 0 ||
	    link_change(netlink, index, &(struct link_change){.up = true}, &err) < 0 ||
	    qdisc_add_rate(netlink, index, TC_H_ROOT, QDISC_HANDLE(1), &slow, &err) < 0 ||
	    netlink_open_netfilter(lab->near_fd, &netfilter, &err) < 0)
		fail_msg("%s", err.text);
	nft_batch_begin(&batch);
	nft_add_table(&batch, NFPROTO_NETDEV, "sqnt", NULL);
	nft_add_hook_chain(
		&batch,
		&(struct nft_hook_chain){.name = "c", .hook = NF_NETDEV_EGRESS, .device = "sqv0"});
	nft_rule_begin(&batch, "c");
	nft_match_address(&batch, AF_INET, NFT_DESTINATION, peer);
	nft_forward(&batch, index);
	nft_rule_end(&batch, NULL);
	if (nft_commit(netfilter, &batch, &err) < 0)
		fail_msg("%s", err.text);
	netlab_stream_open(&stream, lab, "10.88.0.2", NETLAB_PORT);
	for (unsigned i = 0; i < 300; i++) /* 15 kB at 20 kB a second */
		netlab_stream_send(&stream);
	assert_int_equal(network_netem_is_empty(netlink, index, &is_empty, &err), 0);
	assert_false(is_empty);
	netlink_close(netfilter);
	for (unsigned polls = 0, idle = 0; idle < 3; polls++) {
		assert_in_range(polls, 0, 5000);
		assert_int_equal(network_netem_is_empty(netlink, index, &is_empty, &err), 0);
		idle = is_empty ? idle + 1 : 0;
		poll(NULL, 0, 1);
	}
	assert_int_equal(link_delete(netlink, index, &err), 0);
	netlab_stream_close(&stream, &answers, &reordered);
	assert_int_equal(answers, 300);
	assert_int_equal(reordered, 0);
	assert_int_equal(link_delete(netlink, index, &err), -ENODEV);
	netlink_close(netlink);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, netlab_setup, netlab_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_killed_worker_leaves_nothing),
		TEST(test_killed_worker_leaves_nothing_on_loopback),
		TEST(test_killed_worker_with_packets_waiting),
		TEST(test_htb_tree_stays),
		TEST(test_foreign_tables_stay),
		TEST(test_foreign_filters_act_and_stay),
		TEST(test_two_runs_overlap),
		TEST(test_two_steps_on_loopback_share_its_settings),
		TEST(test_loss_beside_delay_composes),
		TEST(test_interface_vanishes),
		TEST(test_namespace_vanishes),
		TEST(test_undo_leaves_what_is_not_ours),
		TEST(test_a_namespace_that_took_the_number_of_another_is_left_alone),
		TEST(test_ifb_drains_before_it_is_deleted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
