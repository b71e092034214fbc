/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The worker is found by the identity in the journal's header, pinned by a pidfd, and proven to be
 * the same once more before a signal is sent: a number may have come to somebody else.
 */
#include "injector/restore/stop.h"

#include "injector/base/clock.h"
#include "injector/kernel/proc.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define AFTER_KILL_NS (5 * NSEC_PER_SEC)
#define STOPPED_NS    (3 * NSEC_PER_SEC) /* its guardian kills it after two */

/* A descriptor of that very process, or -1 when it is gone. */
static int pin(const struct process_identity *identity)
{
	int fd = proc_pidfd_open(identity->pid);

	if (fd < 0)
		return -1;
	if (proc_is_same(identity) > 0)
		return fd;
	close(fd);
	return -1;
}

int stop_begin(const char *run_id, struct stop *out, struct error *err)
{
	struct stop stop = {.worker = -1, .asked_ns = clock_now_ns()};
	struct journal_header header;
	enum run_state state;
	int result = restore_look(run_id, &state, &header, err);

	if (result < 0)
		return result;
	snprintf(stop.run_id, sizeof(stop.run_id), "%s", run_id);
	if (state == RUN_LIVE)
		stop.worker = pin(&header.worker);
	stop.worker_pid = header.worker.pid;
	if (stop.worker >= 0) {
		result = proc_pidfd_signal(stop.worker, SIGTERM);
		if (result < 0 && result != -ESRCH) {
			close(stop.worker);
			return error_errno(err, -result, "cannot ask run %s (process %d) to stop",
					   run_id, (int)header.worker.pid);
		}
	}
	*out = stop;
	return 0;
}

/* Who is stopped cannot obey. */
static bool is_stopped(const struct stop *stop)
{
	enum proc_stop how;

	return stop->worker >= 0 && proc_read_stop(stop->worker_pid, &how) == 0 &&
	       how == PROC_STOPPED;
}

/* Until the run is gone, or nobody is left who could end it, or will. */
static void wait_for_end(const struct stop *stop, int64_t wait_ns)
{
	int64_t now = clock_now_ns(), until = now + wait_ns, ran = now;
	struct timespec pause = {.tv_nsec = 2 * NSEC_PER_MSEC};
	struct journal_header header;
	enum run_state state;

	for (; now < until && now - ran < STOPPED_NS && journal_exists(stop->run_id);
	     nanosleep(&pause, NULL), now = clock_now_ns()) {
		int result = restore_look(stop->run_id, &state, &header, NULL);

		if (!is_stopped(stop))
			ran = now;

		/* -ENODATA: the directory is just being removed, its journal has gone first */
		if (result == 0 ? restore_is_abandoned(state, &header)
				: result != -ENODATA && result != -ENOENT)
			return;
	}
}

int stop_finish(struct stop *stop, int64_t wait_ns, struct restore_report *report,
		struct error *err)
{
	int result = 0;

	wait_for_end(stop, wait_ns);
	if (journal_exists(stop->run_id) && stop->worker >= 0 &&
	    !proc_pidfd_has_exited(stop->worker)) {
		stop->was_killed = proc_pidfd_signal(stop->worker, SIGKILL) == 0;
		wait_for_end(stop, AFTER_KILL_NS);
	}
	if (journal_exists(stop->run_id))
		result = restore_run(stop->run_id, report, err);
	stop->took_ns = clock_now_ns() - stop->asked_ns;
	if (stop->worker >= 0)
		close(stop->worker);
	stop->worker = -1;
	return result;
}
