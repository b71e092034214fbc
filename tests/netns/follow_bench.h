/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `follow: true` of interfaces: pairs of them that a test makes in mid-run, and whether packets
 * through them are delayed. A slow machine makes an answer late, never early: so one that is late
 * is asked for again, and one that is early proves that nothing delays it. To be included by one
 * test program each.
 */
#ifndef SQUALL_TESTS_FOLLOW_BENCH_H
#define SQUALL_TESTS_FOLLOW_BENCH_H

#include "tests/support/squall_runner.h"

#include "injector/base/cleanup.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DELAY_MS (is_emulated() ? 150 : 60)
/* For what takes milliseconds on a machine that has time */
#define SOON_MS (is_emulated() ? 30000 : 5000)
#define TRIES	(is_emulated() ? 20U : 3U) /* of a ping */

/* By a delay line and by netem where the kernel has it, both by clsact as well. */
#define WAYS 4
static const char *const ways[WAYS][3] = {
	{"SQUALL_NETEM=off", NULL},
	{"SQUALL_HOOK=clsact", "SQUALL_NETEM=off", NULL},
	{"SQUALL_NETEM=", NULL},
	{"SQUALL_HOOK=clsact", NULL},
};

/* NAME 10.88.NET.1 in near, its peer 10.88.NET.2 in far. */
static inline void add_pair(const struct stage *stage, const char *name, unsigned net)
{
	const struct netlab *lab = stage->lab;

	netlab_run("ip -n %s link add %s type veth peer name far%u netns %s", lab->near, name, net,
		   lab->far);
	netlab_run("ip -n %s address add 10.88.%u.1/24 dev %s", lab->near, net, name);
	netlab_run("ip -n %s address add 10.88.%u.2/24 dev far%u", lab->far, net, net);
	netlab_run("ip -n %s link set far%u up", lab->far, net);
	netlab_run("ip -n %s link set %s up", lab->near, name);
}

static inline void delete_link(const struct stage *stage, const char *name)
{
	netlab_run("ip -n %s link delete %s", stage->lab->near, name);
}

/* The fastest of three, or of more until it is fast enough: before the first one a neighbour may
 * have to be found. */
static inline int64_t fastest_ping(const struct stage *stage, const char *address,
				   int64_t enough_ns)
{
	int64_t fastest = -1;

	for (unsigned i = 0; i < 3 || (i < TRIES && (fastest < 0 || fastest > enough_ns)); i++) {
		int64_t took = netlab_ping(stage->lab, address, 3000);

		if (took >= 0 && (fastest < 0 || took < fastest))
			fastest = took;
	}
	return fastest;
}

/* By so many steps, each time. */
static inline void assert_delayed_by(const struct stage *stage, const char *address, int steps)
{
	const int64_t least_ns = steps * DELAY_MS * NSEC_PER_MSEC;
	const int64_t most_ns = least_ns * 5 / 2 + stage->slack_ns;
	int64_t took = fastest_ping(stage, address, most_ns);

	printf("# %s: %.3f ms\n", address, (double)took / 1e6);
	assert_in_range(took, least_ns, most_ns);
}

static inline void assert_delayed(const struct stage *stage, const char *address)
{
	assert_delayed_by(stage, address, 1);
}

static inline void assert_undelayed(const struct stage *stage, const char *address)
{
	const int64_t most_ns = DELAY_MS / 2 * NSEC_PER_MSEC - 1;
	int64_t took = fastest_ping(stage, address, most_ns);

	if (took < 0 || took > most_ns)
		fail_msg("%s should not be delayed, but took %.3f ms", address, (double)took / 1e6);
}

/* Three in a row, begun at most_ms at the latest: what was away, and is back with what was at it,
 * is let go and taken again. */
static inline void await_delayed(const struct stage *stage, const char *address, int64_t most_ms)
{
	int64_t until_ns = clock_now_ns() + most_ms * NSEC_PER_MSEC, began_ns, took;

	do {
		began_ns = clock_now_ns();
		took = fastest_ping(stage, address, INT64_MAX);
	} while (took < DELAY_MS * NSEC_PER_MSEC && began_ns < until_ns);
	assert_true(took >= DELAY_MS * NSEC_PER_MSEC);
}

static inline void await_undelayed(const struct stage *stage, const char *address)
{
	int64_t until_ns = clock_now_ns() + SOON_MS * NSEC_PER_MSEC, took;

	do
		took = netlab_ping(stage->lab, address, DELAY_MS / 2);
	while (took < 0 && clock_now_ns() < until_ns);
	assert_true(took >= 0);
}

/* Nothing of ours is at it. */
static inline void assert_bare(const struct stage *stage, const char *name)
{
	cleanup_free char *qdiscs =
		netlab_output("tc -n %s qdisc show dev %s", stage->lab->near, name);
	cleanup_free char *tables =
		netlab_output("ip netns exec %s nft list ruleset", stage->lab->near);

	assert_null(strstr(qdiscs, "clsact"));
	assert_string_equal(tables, "");
}

static inline void end(struct stage *stage, struct squall *squall)
{
	squall_signal(squall, SIGINT);
	squall_assert_exit(squall, 4);
	stage_assert_fast(stage, "10.88.0.2", NETLAB_PORT);
}

#endif
