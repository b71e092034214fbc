/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The conductor: unprivileged; keeps the timeline, runs the probes, decides to abort, tells
 * everybody what happens. It cannot inject anything itself.
 */
#ifndef SQUALL_RUN_CONDUCTOR_H
#define SQUALL_RUN_CONDUCTOR_H

#include "injector/base/loop.h"
#include "injector/experiment/model.h"
#include "injector/probes/launcher.h"
#include "injector/run/event.h"
#include "injector/run/result.h"

#include <stdbool.h>
#include <sys/types.h>

struct view;

struct conductor_options {
	const struct experiment *experiment;
	struct loop *loop;
	int worker_socket;	   /* owned by the caller */
	pid_t worker;		   /* a child of this process */
	struct launcher *launcher; /* NULL: the experiment starts nothing */
	int command;		   /* number of `run -- COMMAND` in the launcher; -1: none */
	bool plan_only;
	struct run_result *result;
#define CONDUCTOR_LISTENERS 4
	struct event_listener listeners[CONDUCTOR_LISTENERS]; /* fn NULL: unused */
	struct view *view; /* told of a new terminal size; may be NULL */
};

/* Runs the whole experiment. 0: `result` is complete, its verdict is the exit code (*out_result_fd,
 * when
 * >= 0, takes the JSON of the result and is the caller's). -errno: refused, nothing was injected.
 */
int conductor_run(const struct conductor_options *options, int *out_result_fd, struct error *err);

#endif
