/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Processes of the laboratory's near namespace that connect when they are asked to, and the connect
 * fault on them. Failures are cmocka failures.
 */
#ifndef SQUALL_TESTS_CALLERS_H
#define SQUALL_TESTS_CALLERS_H

#include "tests/support/netlab.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct caller {
	pid_t pid;
	int line;
	char text[16]; /* of the pid */
};

/* One in a session of its own; `group`: directory of a control group, or NULL. */
struct caller caller_in(const struct netlab *lab, const char *group);
/* `number`: of the process; 0: any. */
struct caller caller_as(const struct netlab *lab, const char *group, pid_t number);
/* Killed, and reaped. */
void caller_hang_up(struct caller *caller);
/* 0 or the errno of its connect(2); SOCK_STREAM, or of that type. */
int caller_try(const struct caller *caller, const char *address, uint16_t port);
int caller_try_type(const struct caller *caller, const char *address, uint16_t port, int type);
/* The same by this process, where it is. */
int caller_connect(const char *address, uint16_t port, int type);

/* Of connect_start(). Links are found by the names of their programs, on the whole machine: each
 * test program that runs beside others has one of its own. */
extern const char *connect_run_id;
/* A connect fault in force: settings as of netlab_fault_plan(), up to NULL. */
void connect_start_run(struct netlab *lab, struct netlab_fault *fault, const char *run_id,
		       const char *const *settings);
void connect_start(struct netlab *lab, struct netlab_fault *fault, const char *const *settings);
#define CONNECT_START(lab, fault, ...)                                                             \
	connect_start(lab, fault, (const char *[]){"fault", "connect", __VA_ARGS__, NULL})
struct evidence connect_evidence(struct netlab_fault *fault);
/* Programs are told our pids only by kernels since 6.10 when we are in a pid namespace of our own.
 */
bool connect_tells_processes(struct netlab *lab);

#endif
