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

struct realtime realtime_pause(void)
{
	struct sched_param param = {0};
	struct realtime before = {.policy = sched_getscheduler(0)};

	if (before.policy < 0 || sched_getparam(0, &param) < 0)
		return (struct realtime){.policy = SCHED_OTHER};
	before.priority = param.sched_priority;
	realtime_end();
	return before;
}

void realtime_resume(struct realtime before)
{
	const struct sched_param param = {.sched_priority = before.priority};

	if (before.policy != SCHED_OTHER && sched_setscheduler(0, before.policy, &param) < 0)
		log_debug("no real-time priority any more: %s", strerror(errno));
}
