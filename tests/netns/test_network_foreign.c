/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Filters of the user's on the interface that a fault acts on: BPF, flower and police of tc, chains
 * of nf_tables, in front of ours and behind. They keep acting while the fault does, and are to the
 * letter as they were, in its course and afterwards.
 */
#include "tests/support/netlab.h"
#include "tests/support/squall_runner.h"

#include "faults/network.h"
#include "injector/base/cleanup.h"
#include "injector/base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DELAY_NS (60 * NSEC_PER_MSEC)

/* Classic BPF, as tc takes it; at egress a packet begins with its MAC addresses. "To 10.88.0.3":
 * dropped (TC_ACT_SHOT), else further (TC_ACT_OK). */
#define BPF_DROP_HOST_3 "4,32 0 0 30,21 0 1 173539331,6 0 0 2,6 0 0 0"

static void start(struct netlab *lab, struct netlab_fault *fault, const char *run,
		  const char *const *settings)
{
	struct error err = ERROR_INIT;

	if (netlab_fault_plan(lab, fault, run, settings, &err) < 0 ||
	    network_fault.inject(&fault->fault, &err) < 0)
		fail_msg("%s (%s)", err.text, err.remedy);
}

static char *dump_filters(const struct netlab *lab)
{
	static const char *const commands[] = {
		"tc -n %s qdisc show dev sqv0",		"tc -n %s class show dev sqv0",
		"tc -n %s filter show dev sqv0",	"tc -n %s filter show dev sqv0 egress",
		"tc -n %s filter show dev sqv0 ingress", "ip netns exec %s nft -s list table netdev user",
		"ip -n %s -d link show dev sqv0"};
	char *all = NULL;
	size_t size;
	FILE *out = open_memstream(&all, &size);

	for (unsigned i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		const char *hole = strstr(commands[i], "%s");
		cleanup_free char *text = netlab_output("%.*s%s%s", (int)(hole - commands[i]),
							commands[i], lab->near, hole + 2);

		fputs(text, out);
	}
	fclose(out);
	return all;
}

static void add_chains(struct netlab *lab)
{
	netlab_run("ip netns exec %s nft add table netdev user", lab->near);
	netlab_run("ip netns exec %s nft add chain netdev user early { type filter hook egress "
		   "device sqv0 priority 0 ; }",
		   lab->near);
	netlab_run("ip netns exec %s nft add rule netdev user early ip6 daddr fd88::3 counter drop",
		   lab->near);
	netlab_run("ip netns exec %s nft add chain netdev user arriving { type filter hook ingress "
		   "device sqv0 priority 0 ; }",
		   lab->near);
	netlab_run("ip netns exec %s nft add rule netdev user arriving udp sport 7009 drop",
		   lab->near);
	/* behind ours: nobody but us has ever wanted to be the last */
	netlab_run("ip netns exec %s nft add chain netdev user late { type filter hook egress device "
		   "sqv0 priority 2147483647 ; }",
		   lab->near);
	netlab_run("ip netns exec %s nft add rule netdev user late udp dport 7009 counter drop",
		   lab->near);
}

/* What is for 10.88.0.3 is dropped by a program, for fd88::3 by a chain. */
static void add_programs(struct netlab *lab)
{
	netlab_run("tc -n %s qdisc add dev sqv0 clsact", lab->near);
	netlab_run("tc -n %s filter add dev sqv0 egress prio 7 protocol ip bpf da bytecode %s",
		   lab->near, "4,32 0 0 30,21 0 1 173539331,6 0 0 2,6 0 0 0");
	add_chains(lab);
}

static void assert_filtered(struct netlab *lab)
{
	assert_int_equal(netlab_answers(lab, "10.88.0.3", NETLAB_PORT, 3), 0);
	assert_int_equal(netlab_answers(lab, "fd88::3", NETLAB_PORT, 3), 0);
}
