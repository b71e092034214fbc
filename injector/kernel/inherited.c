/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/kernel/inherited.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define DESCRIPTORS 262144 /* a pidfd for each target, and room to work */
#define STACK_BYTES (8UL << 20)

static struct rlimit given[RLIM_NLIMITS];
static bool has_left;

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
	for (int resource = 0; resource < RLIM_NLIMITS && !has_left; resource++)
		getrlimit(resource, &given[resource]);
	has_left = true;
	raise_limit(RLIMIT_CPU, RLIM_INFINITY);
	raise_limit(RLIMIT_FSIZE, RLIM_INFINITY);
	raise_limit(RLIMIT_AS, RLIM_INFINITY);
	raise_limit(RLIMIT_DATA, RLIM_INFINITY);
	raise_limit(RLIMIT_STACK, STACK_BYTES);
	raise_limit(RLIMIT_NOFILE, DESCRIPTORS);
}

void inherited_limits_back(void)
{
	for (int resource = 0; has_left && resource < RLIM_NLIMITS; resource++)
		setrlimit(resource, &given[resource]);
}

int inherited_leave(const char *name, struct error *err)
{
	setsid();
	prctl(PR_SET_NAME, name);
	umask(022);
	/* An ignored SIGCHLD would reap children behind our back. */
	signal(SIGCHLD, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	raise_limits();
	return chdir("/") < 0 ? error_errno(err, errno, "cannot enter /") : 0;
}
