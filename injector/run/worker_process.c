/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The worker is a child of whatever process somebody started. What that process had open, where it
 * stood and how it was limited must not decide whether faults end: a pipe or terminal that nobody
 * reads would stop the worker in a write, and a limit could kill it or leave no descriptor for an
 * undo. The guardian, forked from here, inherits what is set right.
 */
#include "injector/run/worker_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define DESCRIPTORS 262144 /* a pidfd for each target, and room to work */
#define STACK_BYTES (8UL << 20)

static void raise_limit(int resource, rlim_t wanted)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit) < 0 || limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = wanted;
	if (limit.rlim_max < wanted) {
		const struct rlimit both = {wanted, wanted};

		if (setrlimit(resource, &both) == 0)
			return;
		limit.rlim_cur = limit.rlim_max; /* a container without CAP_SYS_RESOURCE */
	}
	setrlimit(resource, &limit);
}

static void raise_limits(void)
{
	raise_limit(RLIMIT_CPU, RLIM_INFINITY);
	raise_limit(RLIMIT_FSIZE, RLIM_INFINITY);
	raise_limit(RLIMIT_AS, RLIM_INFINITY);
	raise_limit(RLIMIT_DATA, RLIM_INFINITY);
	raise_limit(RLIMIT_STACK, STACK_BYTES);
	raise_limit(RLIMIT_NOFILE, DESCRIPTORS);
}

/* Only the conversation stays open. */
static int keep_socket(int socket)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return -errno;
	for (int fd = 0; fd <= 2; fd++) {
#ifdef __SANITIZE_ADDRESS__
		if (fd == 2) /* where it reports what it found */
			continue;
#endif
		if (fd != socket && dup2(null, fd) < 0)
			return -errno;
	}
	if ((socket > 3 && close_range(3, (unsigned)socket - 1, 0) < 0) ||
	    close_range((unsigned)(socket < 3 ? 3 : socket + 1), ~0U, 0) < 0)
		return -errno;
	return 0;
}

int worker_settle_in(const struct worker *worker, struct error *err)
{
	int result;

	setsid();
	prctl(PR_SET_NAME, "squall-worker");
	umask(022);
	/* An ignored SIGCHLD is inherited, and would reap the guardian behind our back. */
	signal(SIGCHLD, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	raise_limits();
	if (chdir("/") < 0)
		return error_errno(err, errno, "cannot enter /");
	result = keep_socket(worker->options.socket);
	return result < 0 ? error_errno(err, -result, "cannot close inherited descriptors") : 0;
}
