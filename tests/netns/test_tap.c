/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A tap passes on what it is given, and has no word of its own: no router solicitations, no group
 * reports, no address.
 */
#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/kernel/netlink.h"
#include "injector/kernel/tap.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* Reports of groups come at once, after detecting duplicates (1 s) solicitations; up to 1 s later.
 */
#define LISTEN_NS   (2500 * NSEC_PER_MSEC)
#define IPV6_LEAST  1280
#define FRAMES_ROOM 4096

static struct netlink *netlink;

static int open_conversation(void **state)
{
	(void)state;
	return unshare(CLONE_NEWNET) < 0 ? -errno : netlink_open(-1, &netlink, NULL);
}

static int close_conversation(void **state)
{
	(void)state;
	netlink_close(netlink);
	netlink = NULL;
	return 0;
}

static int bring_up(struct tap *tap, enum tap_kind kind)
{
	struct error err = ERROR_INIT;
	int fd;

	if (tap_open(&fd, &err) < 0 ||
	    tap_create(&fd, 1, "sqtap", kind, TAP_WHOLE, tap, &err) < 0 ||
	    tap_configure(tap, netlink, &err) < 0 || tap_bring_up(tap, netlink, &err) < 0)
		fail_msg("%s", err.text);
	return fd;
}

/* Nobody sends anything through it: each frame is its own. */
static unsigned count_own_frames(int fd)
{
	int64_t until_ns = clock_now_ns() + LISTEN_NS;
	char frame[FRAMES_ROOM];
	unsigned count = 0;

	for (int64_t left; (left = until_ns - clock_now_ns()) > 0;) {
		struct pollfd polled = {.fd = fd, .events = POLLIN};

		if (poll(&polled, 1, (int)(left / NSEC_PER_MSEC) + 1) > 0 &&
		    read(fd, frame, sizeof(frame)) > 0)
			count++;
	}
	return count;
}

static void set_mtu(const struct tap *tap, uint32_t mtu)
{
	struct ifinfomsg header = {.ifi_index = tap->index};
	struct netlink_request request;
	struct error err = ERROR_INIT;

	netlink_begin(&request, RTM_SETLINK, 0, &header, sizeof(header));
	netlink_put_u32(&request, IFLA_MTU, mtu);
	if (netlink_call(netlink, &request, NULL, NULL, &err) < 0)
		fail_msg("%s", err.text);
}

static bool has_addresses(void)
{
	cleanup_file FILE *file = fopen("/proc/thread-self/net/if_inet6", "re");
	char line[128];

	while (file && fgets(line, sizeof(line), file))
		return true;
	return false;
}

static void hear(enum tap_kind kind)
{
	struct tap tap = {0};
	cleanup_fd int fd = bring_up(&tap, kind);

	assert_int_equal(count_own_frames(fd), 0);
	assert_false(has_addresses());
	/* one that could speak would be heard */
	if (access("/proc/thread-self/net/if_inet6", F_OK) < 0)
		return;
	set_mtu(&tap, IPV6_LEAST);
	assert_int_not_equal(count_own_frames(fd), 0);
}

static void test_ethernet_has_no_word_of_its_own(void **state)
{
	(void)state;
	hear(TAP_ETHERNET);
}

static void test_ip_has_no_word_of_its_own(void **state)
{
	(void)state;
	hear(TAP_IP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_ethernet_has_no_word_of_its_own,
						open_conversation, close_conversation),
		cmocka_unit_test_setup_teardown(test_ip_has_no_word_of_its_own, open_conversation,
						close_conversation),
	};

	if (geteuid() != 0) {
		fprintf(stderr, "skipped: taps need root\n");
		return getenv("SQUALL_MUST_RUN") != NULL;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
