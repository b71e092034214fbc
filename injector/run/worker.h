/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The worker: the only process that injects. It believes nothing that the conductor says beyond
 * what requests.h allows, holds what it injected, and restores everything on every way out: asked,
 * deadline, signal, loss of the conductor or of the guardian.
 */
#ifndef SQUALL_RUN_WORKER_H
#define SQUALL_RUN_WORKER_H

#include "injector/base/error.h"
#include "injector/journal/journal.h"
#include "injector/policy/policy.h"

#include <sys/types.h>

struct worker_options {
	int socket;	     /* to the conductor; owned by the worker */
	int guardian_socket; /* of guardian_sockets(); owned by the worker */
	pid_t conductor;     /* our parent */
	uid_t invoking_uid;
	gid_t invoking_gid;
	uid_t result_uid;	     /* the unprivileged user that fills the result file */
	const struct policy *policy; /* of the site, NULL: none; not owned */
};

struct worker_family {
	pid_t worker, guardian; /* children of the caller, who reaps them */
	int socket;		/* to the worker, owned */
};

/* Forks the worker, and beside it its guardian. The sockets in `options` are not looked at. */
int worker_start(const struct worker_options *options, struct worker_family *out,
		 struct error *err);

/* Body of the forked process. Returns its exit status when everything is restored (or journalled as
 * left). Never returns early with a fault in force. */
int worker_main(const struct worker_options *options);

#endif
