/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/support/netlab_watch.h"

#include "faults/network.h"
#include "injector/base/clock.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define TOLD_NS (10 * NSEC_PER_SEC) /* for what takes a millisecond on a machine that has time */

void netlab_watch_start(struct netlab *lab, struct netlab_watch *watched, const char *run,
			const char *const *settings)
{
	struct error err = ERROR_INIT;

	*watched = (struct netlab_watch){.why = ERROR_INIT};
	netlab_fault_start(lab, &watched->fault, run, settings);
	watched->fd = network_fault.listen(&watched->fault.fault, &err);
	if (watched->fd < 0)
		fail_msg("%s", err.text);
}

void netlab_watch_look(void *context, struct fault *fault)
{
	struct netlab_watch *watched = context;
	struct evidence evidence;

	assert_ptr_equal(fault, &watched->fault.fault);
	watched->times++;
	if (network_fault.evidence(fault, &evidence, &watched->why) == -ESTALE)
		watched->fd = -1;
}

void netlab_watch_hear(struct netlab_watch *watched, int64_t for_ns)
{
	int64_t until_ns = clock_now_ns() + for_ns;

	while (watched->fd >= 0 && clock_now_ns() < until_ns) {
		struct pollfd ready = {.fd = watched->fd, .events = POLLIN};

		if (poll(&ready, 1, (int)((until_ns - clock_now_ns()) / NSEC_PER_MSEC) + 1) > 0)
			network_fault.hear(netlab_watch_look, watched);
	}
}

void netlab_watch_assert_told(struct netlab_watch *watched, const char *words)
{
	netlab_watch_hear(watched, TOLD_NS);
	if (watched->fd >= 0)
		fail_msg("nobody told: '%s'", words);
	if (!strstr(watched->why.text, words))
		fail_msg("'%s' does not say '%s'", watched->why.text, words);
}

void netlab_watch_assert_in_force(struct netlab_watch *watched)
{
	netlab_watch_hear(watched, 50 * NSEC_PER_MSEC);
	if (watched->fd < 0)
		fail_msg("%s", watched->why.text);
}
