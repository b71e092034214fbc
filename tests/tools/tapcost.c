/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * tapcost PREFIX FIRST COUNT: what the kernel itself takes for what a delay line hangs on, in each
 * of the network namespaces PREFIX-FIRST and following: a listener to rtnetlink, a tap without a
 * queue, clsact with a BPF filter, up. One line "ns=..." for each, then it holds them until it
 * is ended by a signal. No fault, no journal, no table, no thread.
 */
#include "faults/delay_return.h"
#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/kernel/namespace.h"
#include "injector/kernel/netlink.h"
#include "injector/kernel/qdisc.h"
#include "injector/kernel/tap.h"

#include <inttypes.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define LOOPBACK 1

struct made {
	struct netlink *listener, *netlink;
	struct tap tap;
	int tap_fd, program_fd;
};

static int open_inside(void *context, struct error *err)
{
	static const unsigned groups[] = {RTNLGRP_LINK, RTNLGRP_TC, 0};
	struct made *made = context;
	int result = netlink_open(-1, &made->listener, err);

	if (result == 0)
		result = netlink_listen(made->listener, groups, err);
	if (result == 0)
		result = netlink_open(-1, &made->netlink, err);
	return result < 0 ? result : tap_open(&made->tap_fd, err);
}

static int attach(struct made *made, struct error *err)
{
	struct bpf_filter filter = {.hook = QDISC_INGRESS, .priority = 1, .name = "tapcost"};
	int result = qdisc_add_clsact(made->netlink, made->tap.index, err);

	filter.program_fd = made->program_fd;
	return result < 0 ? result : filter_add_bpf(made->netlink, made->tap.index, &filter, err);
}

static int make(const char *name, struct error *err)
{
	struct made made = {.tap_fd = -1, .program_fd = -1}; /* held by this process, to its end */
	const struct delay_return way = {.index = LOOPBACK, .mark = 1};
	cleanup_fd int namespace_fd = -1;
	int result = namespace_open_name(name, &namespace_fd, err);

	if (result == 0)
		result = namespace_run(namespace_fd, open_inside, &made, err);
	if (result == 0)
		result = delay_return_load(&way, &made.program_fd, err);
	if (result == 0)
		result = tap_create(&made.tap_fd, 1, "tapcost", TAP_ETHERNET, TAP_WHOLE, &made.tap,
				    err);
	if (result == 0)
		result = tap_configure(&made.tap, made.netlink, err);
	if (result == 0)
		result = attach(&made, err);
	return result < 0 ? result : tap_bring_up(&made.tap, made.netlink, err);
}

int main(int argc, char **argv)
{
	const struct rlimit many = {1 << 16, 1 << 16};
	struct error err = ERROR_INIT;
	int first = 0, count = 0;

	if (argc != 4 || sscanf(argv[2], "%d", &first) != 1 || sscanf(argv[3], "%d", &count) != 1) {
		fprintf(stderr, "usage: %s PREFIX FIRST COUNT\n", argv[0]);
		return 64;
	}
	setrlimit(RLIMIT_NOFILE, &many);
	for (int i = first; i < first + count; i++) {
		int64_t started_ns = clock_now_ns();
		char name[64];

		snprintf(name, sizeof(name), "%.40s-%d", argv[1], i);
		if (make(name, &err) < 0) {
			fprintf(stderr, "tapcost: %s: %s\n", name, err.text);
			return 1;
		}
		printf("ns=%" PRId64 "\n", clock_now_ns() - started_ns);
	}
	fflush(stdout);
	return pause();
}
