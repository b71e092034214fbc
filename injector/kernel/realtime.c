/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/kernel/realtime.h"

#include "injector/base/log.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

/* One more than the delay line's thread: who ends the fault goes before who carries it out. */
#define PRIORITY 2

void realtime_begin(void)
{
	const struct sched_param param = {.sched_priority = PRIORITY};

	if (sched_setscheduler(0, SCHED_RR, &param) < 0)
		log_debug("no real-time priority: %s", strerror(errno));
}

void realtime_end(void)
{
	const struct sched_param param = {.sched_priority = 0};

	if (sched_getscheduler(0) != SCHED_OTHER)
		sched_setscheduler(0, SCHED_OTHER, &param);
}
