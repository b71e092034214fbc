/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The worker and its guardian as processes: how they are started, and what they keep of what they
 * inherit. A pipe or terminal that nobody reads would stop the worker in a write.
 */
#include "injector/kernel/descriptors.h"
#include "injector/kernel/inherited.h"
#include "injector/kernel/prefault.h"
#include "injector/run/worker_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

int worker_settle_in(struct worker *worker, struct error *err)
{
	int result = inherited_leave("squall-worker", err);

	if (result < 0)
		return result;
	result = descriptors_keep(
		(int *const[]){&worker->options.socket, &worker->options.guardian_socket}, 2);
	return result < 0 ? error_errno(err, -result, "cannot close inherited descriptors") : 0;
}

static struct reply too_long;
static int refusing_socket;

/* In a handler: one message, and out. Nothing is in force. */
static void refuse_planning(int signal)
{
	(void)signal;
	send(refusing_socket, &too_long, sizeof(too_long), MSG_DONTWAIT | MSG_NOSIGNAL);
	_exit(EXIT_FAILURE);
}

/* Of the processor's time, as that of its threads: an idle machine and a busy one are alike. */
static void limit_processor(rlim_t more_s)
{
	struct rlimit limit;
	struct timespec used;

	if (getrlimit(RLIMIT_CPU, &limit) < 0 || clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) < 0)
		return;
	limit.rlim_cur =
		more_s == RLIM_INFINITY ? limit.rlim_max : (rlim_t)used.tv_sec + 1 + more_s;
	if (limit.rlim_cur <= limit.rlim_max)
		setrlimit(RLIMIT_CPU, &limit);
}

void worker_bound_planning(const struct worker *worker)
{
	const struct sigaction action = {.sa_handler = refuse_planning};

	refusing_socket = worker->options.socket;
	too_long = (struct reply){.type = REPLY_REFUSED, .code = ETIMEDOUT};
	snprintf(too_long.text, sizeof(too_long.text),
		 "planning took more than %d s of processor time", PLANNING_S);
	snprintf(too_long.remedy, sizeof(too_long.remedy),
		 "patterns like a.*b are slow in very long lines: begin them with ^, or give "
		 "`content`");
	sigaction(SIGXCPU, &action, NULL);
	limit_processor(PLANNING_S);
}

void worker_end_planning(void)
{
	limit_processor(RLIM_INFINITY);
	signal(SIGXCPU, SIG_DFL);
}

static void be_worker(const struct worker_options *given, int socket, int guardian_socket)
{
	struct worker_options options = *given;

	options.socket = socket;
	options.guardian_socket = guardian_socket;
	_exit(worker_main(&options));
}

int worker_start(const struct worker_options *options, struct worker_family *out, struct error *err)
{
	int pair[2], guardian[2], result;

	*out = (struct worker_family){.socket = -1};
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return error_errno(err, errno, "cannot talk to a worker");
	result = guardian_sockets(guardian, err);
	if (result < 0) {
		close(pair[0]);
		close(pair[1]);
		return result;
	}
	out->worker = fork();
	if (out->worker == 0) {
		prefault_after_fork();
		be_worker(options, pair[1], guardian[0]); /* and closes everything else */
	}
	if (out->worker < 0)
		result = error_errno(err, errno, "cannot start the worker");
	close(pair[1]);
	close(guardian[0]);
	/* While the worker settles in; it waits for neither before it has to. */
	if (result == 0)
		result = guardian_fork(out->worker, guardian[1], &out->guardian, err);
	else
		close(guardian[1]);
	prefault_after_fork();
	out->socket = pair[0]; /* closed, it sends away a worker without a guardian */
	return result;
}
