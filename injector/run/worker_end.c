/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/run/worker_end.h"

#include "injector/base/clock.h"
#include "injector/kernel/proc.h"

#include <errno.h>
#include <sys/wait.h>
#include <time.h>

#define PLANNER_PATIENCE_NS (2 * NSEC_PER_SEC)
#define STOPPED_PATIENCE_NS (4 * NSEC_PER_SEC) /* of the guardian: two or three */
#define HANGING_PATIENCE_NS (4 * NSEC_PER_SEC)

/* Killed and not gone; or asleep in the kernel where no signal wakes it, with nobody to kill it. */
static bool is_hanging(const struct worker_family *family)
{
	struct proc_stat stat;

	if (proc_is_dying(family->worker) > 0)
		return true;
	return proc_read_stat(family->worker, &stat) == 0 && stat.state == 'D' &&
	       (proc_read_stat(family->guardian, &stat) < 0 || stat.is_dead);
}

static bool is_stopped(pid_t worker)
{
	enum proc_stop stop;

	return proc_read_stop(worker, &stop) == 0 && stop == PROC_STOPPED;
}

/* Has it been so without a break for long enough? */
static bool lasts(int64_t *since_ns, bool is_so, int64_t patience_ns)
{
	if (!is_so)
		*since_ns = 0;
	else if (!*since_ns)
		*since_ns = clock_now_ns();
	return is_so && clock_now_ns() - *since_ns > patience_ns;
}

enum worker_end worker_end_await(const struct worker_family *family, bool was_armed)
{
	const struct timespec pause = {.tv_nsec = NSEC_PER_MSEC};
	int64_t began_ns = clock_now_ns(), stopped_ns = 0, hangs_ns = 0;
	pid_t ended;

	while ((ended = waitpid(family->worker, NULL, WNOHANG)) == 0 ||
	       (ended < 0 && errno == EINTR)) {
		if (lasts(&stopped_ns, is_stopped(family->worker), STOPPED_PATIENCE_NS))
			return WORKER_STAYS_STOPPED;
		if (lasts(&hangs_ns, is_hanging(family), HANGING_PATIENCE_NS))
			return WORKER_HANGS;
		if (!was_armed && !stopped_ns && clock_now_ns() - began_ns > PLANNER_PATIENCE_NS)
			break;
		nanosleep(&pause, NULL);
	}
	return WORKER_ENDED;
}
