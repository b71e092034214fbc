/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Several interfaces and both directions in one step: what one of them carries does not change what
 * the fault does to another, by netem as by the delay line; and all that was made for them goes.
 */
#include "tests/support/netlab_ways.h"
#include "tests/support/squall_runner.h"

#include "faults/network.h"
#include "injector/kernel/link.h"

#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define RUN "aaaaf1" /* of netlab_start() */

/* The flow from far to near, in a process of its own: both keep what they send in one place. */
struct other {
	pid_t pid;
	int from;
};

static struct other other_start(const struct netlab *lab, const struct netlab_flow *flow)
{
	struct other other;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	fflush(stdout);
	other.pid = fork();
	assert_true(other.pid >= 0);
	if (other.pid == 0) {
		struct netlab_seen seen;

		netlab_flow_run(lab, flow, &seen);
		seen.delays_ns = NULL;
		_exit(write(ends[1], &seen, sizeof(seen)) != (ssize_t)sizeof(seen));
	}
	close(ends[1]);
	other.from = ends[0];
	return other;
}

static struct netlab_seen other_end(struct other *other)
{
	struct netlab_seen seen;
	int status;

	assert_int_equal(read(other->from, &seen, sizeof(seen)), sizeof(seen));
	close(other->from);
	assert_int_equal(waitpid(other->pid, &status, 0), other->pid);
	assert_int_equal(status, 0);
	return seen;
}

static void run_both(const struct netlab *lab, const struct netlab_flow *out,
		     const struct netlab_flow *back, struct netlab_seen *seen)
{
	struct other other = other_start(lab, back);

	netlab_flow_run(lab, out, &seen[0]);
	free(seen[0].delays_ns);
	seen[1] = other_end(&other);
	for (unsigned i = 0; i < 2; i++)
		printf("# %u arrived in %.0f ms\n", seen[i].arrived, (double)seen[i].took_ns / 1e6);
}

static unsigned count(const char *text, const char *word)
{
	unsigned found = 0;

	for (const char *at = text; (at = strstr(at, word)); at++)
		found++;
	return found;
}

static void test_a_rate_is_of_each_direction(void **state)
{
	static const struct netlab_flow out = {.count = 1000, .size = 958, .quiet_ms = 500},
					back = {.course = NETLAB_BACK,
						.count = 1000,
						.size = 958,
						.quiet_ms = 500};
	const double alone_ns = 1e9; /* a million bytes */
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct netlab_seen seen[2];

	netlab_start(lab, &fault,
		     (const char *[]){"to", "10.88.0.2", "direction", "both", "rate", "8mbit",
				      "limit", "1000", NULL});
	assert_non_null(strstr(fault.plan, "of each interface and direction by itself"));
	run_both(lab, &out, &back, seen);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(seen[i].arrived, out.count);
		/* together they would take twice as long; an emulated machine is late */
		assert_true((double)seen[i].took_ns > 0.7 * alone_ns);
		assert_true((double)seen[i].took_ns < 1.8 * alone_ns);
	}
}

/* Many times what it lets pass leaves, however slow the sender is; what arrives is little. */
static void test_a_full_queue_is_that_of_one_direction(void **state)
{
	static const struct netlab_flow out = {.count = 10000,
					       .size = 958,
					       .at_once = 20,
					       .pause_us = 2000,
					       .quiet_ms = 500},
					back = {.course = NETLAB_BACK,
						.count = 100,
						.size = 100,
						.at_once = 1,
						.pause_us = 10000,
						.quiet_ms = 500};
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct evidence evidence;
	struct netlab_seen seen[2];

	netlab_start(lab, &fault,
		     (const char *[]){"to", "10.88.0.2", "direction", "both", "rate", "2mbit",
				      "limit", "50", NULL});
	run_both(lab, &out, &back, seen);
	assert_int_equal(network_fault.evidence(&fault.fault, &evidence, NULL), 0);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	assert_true(seen[0].arrived < out.count * 3 / 4);
	assert_int_equal(seen[1].arrived, back.count);
	/* the sum of both */
	printf("# %s\n", evidence.detail);
	assert_int_equal(evidence.hits, out.count + back.count);
	assert_int_equal(evidence.dropped, out.count - seen[0].arrived);
}

/* What the stack hands down as one is smaller than a packet of the second interface. */
static void test_packets_are_cut_to_those_of_each_interface(void **state)
{
	static const struct netlab_flow whole = {.count = 4500,
						 .size = 458,
						 .segments = 15,
						 .at_once = 30,
						 .pause_us = 1000,
						 .quiet_ms = 300};
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct netlab_seen seen;

	netlab_run("ip -n %s link add sqbig0 mtu 9000 type veth peer name sqbig1 mtu 9000 netns %s",
		   lab->near, lab->far);
	netlab_run("ip -n %s link set sqbig0 up", lab->near);
	netlab_run("ip -n %s link set sqbig1 up", lab->far);
	netlab_start(
		lab, &fault,
		(const char *[]){"interface", "sqbig0", "interface", "sqv0", "loss", "10%", NULL});
	netlab_flow_run(lab, &whole, &seen);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	printf("# %u of %u arrived, %u bursts\n", seen.arrived, whole.count, seen.bursts);
	netlab_assert_share(whole.count - seen.arrived, whole.count, 0.1, 1);
	netlab_assert_share(seen.bursts, whole.count - seen.arrived, 0.9, 1);
	free(seen.delays_ns);
	netlab_run("ip -n %s link delete sqbig0", lab->near);
}

/* It was larger when the fault began. */
static void test_packets_are_cut_to_a_smaller_size_once_the_interface_has_it(void **state)
{
	static const struct netlab_flow whole = {.count = 4500,
						 .size = 458,
						 .segments = 15,
						 .at_once = 30,
						 .pause_us = 1000,
						 .quiet_ms = 300};
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct evidence evidence;
	struct netlab_seen seen;

	netlab_run("ip -n %s link set sqv0 mtu 9000", lab->near);
	netlab_start(lab, &fault, (const char *[]){"interface", "sqv0", "loss", "10%", NULL});
	netlab_run("ip -n %s link set sqv0 mtu 1500", lab->near);
	assert_int_equal(network_fault.evidence(&fault.fault, &evidence, NULL), 0); /* it looks */
	netlab_flow_run(lab, &whole, &seen);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	netlab_assert_share(whole.count - seen.arrived, whole.count, 0.1, 1);
	netlab_assert_share(seen.bursts, whole.count - seen.arrived, 0.9, 1);
	free(seen.delays_ns);
}

/* Every ifb and tap of them. */
static unsigned links_left(const struct netlab *lab)
{
	char *text = netlab_output("ip -n %s -o link show group 29553", lab->near);
	unsigned left = count(text, "\n");

	free(text);
	return left;
}

static void test_all_of_them_are_gone_behind_a_worker_that_was_killed(void **state)
{
	static unsigned runs;
	struct netlab *lab = *state;
	char *before = netlab_dump(lab), run[RUN_ID_SIZE];
	int status;
	pid_t pid;

	if (!getenv("SQUALL_NETEM") && !netlab_has_netem()) {
		free(before);
		stage_skip("no netem here: the test machine has it");
	}
	snprintf(run, sizeof(run), "aaaag%u", ++runs % 10);
	pid = netlab_fault_start_apart(lab, run,
				       (const char *[]){"interface", "sqv0", "interface", "lo",
							"direction", "both", "rate", "8mbit",
							NULL});
	if (!getenv("SQUALL_NETEM"))
		assert_int_equal(links_left(lab), 3); /* of lo it is what leaves */
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	netlab_undo_all(run);
	assert_int_equal(links_left(lab), 0);
	netlab_same(lab, before);
}

/* Somebody else's are not. */
static void test_links_of_the_same_name_are_left_alone(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char *text;

	netlab_start(
		lab, &fault,
		(const char *[]){"to", "10.88.0.2", "direction", "both", "rate", "8mbit", NULL});
	netlab_run("ip -n %s link add sq" RUN "-0q7 type ifb", lab->near);
	netlab_run("ip -n %s link add sq" RUN "-0x0 group 29553 type ifb", lab->near);
	netlab_run("ip -n %s link add sq" RUN "-00 group 29553 type ifb", lab->near);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	text = netlab_output("ip -n %s -o link show", lab->near);
	assert_int_equal(count(text, RUN), 3);
	free(text);
	netlab_run("ip -n %s link delete sq" RUN "-0q7", lab->near);
	netlab_run("ip -n %s link delete sq" RUN "-0x0", lab->near);
	netlab_run("ip -n %s link delete sq" RUN "-00", lab->near);
}

/* What is left is told with the command for each, and undone from the record of all. */
static void test_what_is_left_of_them_is_told_and_undone(void **state)
{
	static const char *const names[] = {"sqaaaap-0q0", "sqaaaap-0q11"};
	struct netlab *lab = *state;
	struct journal_record record = {.type = NETWORK_RECORD_LINK};
	struct network_record what = {.table = "squall_aaaap_0",
				      .link = "sqaaaap-0",
				      .alias = "squall run aaaap step 0",
				      .group = NETWORK_LINK_GROUP,
				      .index = 2};
	char *before = netlab_dump(lab), left[1024], *at;
	struct netlink *netlink;
	bool is_gone = true;
	int index;

	assert_int_equal(netlink_open(lab->near_fd, &netlink, NULL), 0);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(
			link_create_ifb(netlink, names[i], what.group, what.alias, &index, NULL),
			0);
	netlink_close(netlink);
	assert_int_equal(namespace_identify(lab->near_fd, &what.namespace_id, NULL), 0);
	snprintf(what.namespace_name, sizeof(what.namespace_name), "%s", lab->near);
	memcpy(record.payload, &what, sizeof(what));
	assert_int_equal(network_verify(&record, &is_gone, left, sizeof(left), NULL), 0);
	assert_false(is_gone);
	printf("# left: %s\n", left);
	assert_non_null(strstr(left, "interfaces of squall_aaaap_0: ip "));
	for (unsigned i = 0; i < 2; i++) {
		char command[64];

		snprintf(command, sizeof(command), " ip link delete %s", names[i]);
		at = strstr(left, command);
		assert_non_null(at);
		assert_true(at[strlen(command)] == (i ? '\0' : ';'));
	}
	assert_int_equal(network_undo(&record, NULL), 0);
	assert_int_equal(network_verify(&record, &is_gone, left, sizeof(left), NULL), 0);
	assert_true(is_gone);
	netlab_same(lab, before);
}

int main(void)
{
	const struct CMUnitTest line[] = {
		BY_LINES(test_a_rate_is_of_each_direction),
		BY_LINE(test_a_full_queue_is_that_of_one_direction),
		BY_LINE(test_packets_are_cut_to_those_of_each_interface),
		BY_LINE(test_packets_are_cut_to_a_smaller_size_once_the_interface_has_it),
		BY_LINE(test_all_of_them_are_gone_behind_a_worker_that_was_killed),
		BY_LINE(test_what_is_left_of_them_is_told_and_undone),
	};
	const struct CMUnitTest netem[] = {
		BY_NETEMS(test_a_rate_is_of_each_direction),
		BY_NETEMS(test_a_full_queue_is_that_of_one_direction),
		BY_NETEM(test_packets_are_cut_to_those_of_each_interface),
		BY_NETEM(test_packets_are_cut_to_a_smaller_size_once_the_interface_has_it),
		BY_NETEMS(test_all_of_them_are_gone_behind_a_worker_that_was_killed),
		BY_NETEM(test_links_of_the_same_name_are_left_alone),
	};

	return NETLAB_RUN_WAYS(line, netem);
}
